"""What a searcher is told and asked: the border between the search and what it searches."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from codesign.search.evaluation import Evaluation
from codesign.study import Design
from codesign.train.builder import Quantisation


@dataclass(frozen=True)
class Known:
    """What is exact and cheap without a campaign: the cost, and the margins of all constraints but `accuracy_faulty`.

    `risk` foretells how much faults harm, the less the better, where something cheap does.
    """

    cost: float
    margins: dict[str, float]
    risk: float | None = None


def quantisation_of(design: Design) -> Quantisation:
    """What decides the design's network before its protection."""
    return Quantisation(design.weight_bits, design.activation_bits, design.accumulator_bits, design.truncation)


class Problem(Protocol):
    """What can be said of any design at once. It depends on the evaluations that the searcher was given, only."""

    def signature(self, design: Design) -> Hashable:
        """Tells accelerators apart: two designs of the same signature are the same hardware."""

    def known(self, design: Design) -> Known | None:
        """None where the network is not trained yet."""


class Searcher(Protocol):
    """Asks for designs. It keeps no state that a search which goes on would lack."""

    def ask(self, history: Sequence[Evaluation], pending: Sequence[Design], problem: Problem) -> Design | None:
        """The next design, given what was found and what is being evaluated; None if nothing is left.

        `pending` also has the designs whose evaluation failed: they are not asked for again.
        """
