"""Which design is returned: the cheapest one that also holds under faults which the search has not seen.

The cheapest of many designs that passed was lucky more often than not. So the designs that passed are tried by cost in
a fresh campaign, the k-th one at the error a / (k (k + 1)), where a is one less the confidence. These errors sum to a,
so that a design whose true accuracy misses the requirement is returned with probability a at most, whatever the search
did and however many had to be tried (Bonferroni; docs/choosing.md has the proof).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from codesign.campaign.statistics import Interval
from codesign.progress import say
from codesign.search.evaluation import Evaluation, rank
from codesign.search.stages import Stage


class Fresh(Protocol):
    """A campaign on trials that no evaluation has seen."""

    @property
    def stages(self) -> tuple[Stage, ...]: ...

    def interval(self, metric: str) -> Interval: ...


@dataclass(frozen=True)
class Choice:
    """Place of the chosen design in the history, what its campaigns found, and the cheaper ones that did not hold.

    Without a design that holds, the nearest one, no fresh campaign.
    """

    index: int
    evaluation: Evaluation
    fresh: dict[str, Any] | None
    missed: list[dict[str, Any]]


def choose(
    history: Sequence[Evaluation],
    wanted: float | None,
    confidence: float,
    long: Callable[[Evaluation], Evaluation],
    fresh: Callable[[Evaluation, float], Fresh],
) -> Choice:
    """The winner of a search of at least one evaluation.

    `long` gives the evaluation with all of the study's trials; a design that only just passed a short campaign and
    does not hold there is passed over. `fresh` runs a fresh campaign with a two-sided interval of that confidence.
    """
    order = sorted(range(len(history)), key=lambda i: rank(history[i]))
    missed: list[dict[str, Any]] = []
    tried = 0
    for index in order:
        if not history[index].feasible:
            break
        candidate = long(history[index])
        if not candidate.feasible:
            missed.append({"index": index, "campaign": "long", **_in_json(candidate)})
            continue
        tried += 1
        found = fresh(candidate, level(tried, confidence))
        document = in_json(found)
        if wanted is None or document["low"] >= wanted:
            return Choice(index, candidate, document, missed)
        say(f"a design misses {wanted:g} in a fresh campaign ({document['low']:.4f}): the next one is tried")
        missed.append({"index": index, "campaign": "fresh", **document})
    return Choice(order[0], long(history[order[0]]), None, missed)


def level(tried: int, confidence: float) -> float:
    """Confidence of the two-sided interval whose lower end alone misses with (1 - confidence) / (k (k + 1)), k = tried.

    The first one's is `confidence` itself.
    """
    return 1 - 2 * (1 - confidence) / (tried * (tried + 1))


def in_json(found: Fresh) -> dict[str, Any]:
    """The accuracy under faults of a fresh campaign."""
    return {**found.interval("accuracy").to_json(), "trials": found.stages[-1].trials}


def _in_json(evaluation: Evaluation) -> dict[str, Any]:
    return {**evaluation.accuracy_faulty.to_json(), "trials": evaluation.trials}
