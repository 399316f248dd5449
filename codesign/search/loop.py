"""The loop of a search: it asks for designs ahead of the evaluations, in a way that a killed search repeats.

Design k is asked for with the evaluations 0 .. k - L and the designs k - L + 1 .. k - 1, which may still be on their
way; L is the number of designs in flight. It does not matter which of those are finished already, so the sequence
follows from the study and L alone, however long the evaluations take and wherever the search was killed. With L = 1
each design is chosen with all that is known.
"""

import re
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from codesign.errors import ConfigError
from codesign.search.evaluation import Evaluation, Failure, Outcome
from codesign.search.problem import Known, Problem, Searcher
from codesign.study import Design

_SAME_FAILURES = 3


class Workplace(Protocol):
    """Where designs are evaluated."""

    @property
    def in_flight(self) -> int:
        """How many designs are asked for before the first of them is finished; at least one, and always the same."""

    def submit(self, number: int, design: Design) -> None:
        """Give a design to whoever is free next."""

    def wait(self) -> list[tuple[int, Outcome]]:
        """What has become of at least one design."""


class Here:
    """This process, one design after the other."""

    in_flight = 1

    def __init__(self, evaluate: Callable[[Design], Outcome]) -> None:
        self._evaluate = evaluate
        self._given: list[tuple[int, Design]] = []

    def submit(self, number: int, design: Design) -> None:
        self._given.append((number, design))

    def wait(self) -> list[tuple[int, Outcome]]:
        number, design = self._given.pop(0)
        return [(number, self._evaluate(design))]


@dataclass(frozen=True)
class Loop:
    """A searcher, what it searches, and where. `keep` is told each outcome as it comes, in any order.

    `problem` gives what can be said once these evaluations are known.
    """

    searcher: Searcher
    problem: Callable[[Sequence[Evaluation]], Problem]
    workplace: Workplace
    keep: Callable[[int, Outcome], None]

    def run(self, budget: int, finished: Mapping[int, Outcome]) -> dict[int, Outcome]:
        """Outcomes by number: those that are `finished` and the rest of the budget, or of the space if it is smaller.

        Raises ConfigError when one design after the other fails for the same reason.
        """
        found = {number: outcome for number, outcome in finished.items() if number < budget}
        designs = {number: outcome.design for number, outcome in found.items()}
        asking_s: dict[int, dict[str, float]] = {}
        asked, done = 0, 0
        while True:
            while done in found:
                done += 1
            _stop_if_hopeless(found, done)
            while asked < min(budget, done + self.workplace.in_flight):
                if asked not in designs:
                    design, asking_s[asked] = self._ask(asked, found, designs)
                    if design is None:
                        budget = asked
                        break
                    designs[asked] = design
                    self.workplace.submit(asked, design)
                asked += 1
            if done >= budget:
                return dict(sorted((n, outcome) for n, outcome in found.items() if n < budget))
            if done not in found:
                for number, outcome in self.workplace.wait():
                    found[number] = _with_asking(outcome, asking_s[number])
                    self.keep(number, found[number])

    def _ask(
        self, number: int, found: Mapping[int, Outcome], designs: Mapping[int, Design]
    ) -> tuple[Design | None, dict[str, float]]:
        """The design, and the seconds that the searcher took by itself and for what it was told of candidates."""
        known = max(0, number - self.workplace.in_flight + 1)
        outcomes = [found[i] for i in range(known)]
        history = [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]
        failed = [outcome.design for outcome in outcomes if isinstance(outcome, Failure)]
        pending = [*failed, *(designs[i] for i in range(known, number))]
        start, problem = time.perf_counter(), _Timed(self.problem(history))
        design = self.searcher.ask(history, pending, problem)
        spent = time.perf_counter() - start
        return design, {"proposing": spent - problem.seconds, "candidates": problem.seconds}


class _Timed:
    """A problem that counts the seconds in which it is asked."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.seconds = 0.0

    def signature(self, design: Design) -> Hashable:
        start = time.perf_counter()
        found = self._problem.signature(design)
        self.seconds += time.perf_counter() - start
        return found

    def known(self, design: Design) -> Known | None:
        start = time.perf_counter()
        found = self._problem.known(design)
        self.seconds += time.perf_counter() - start
        return found


def _with_asking(outcome: Outcome, seconds: dict[str, float]) -> Outcome:
    if isinstance(outcome, Failure):
        return outcome
    return replace(outcome, seconds_by_stage={**outcome.seconds_by_stage, **seconds})


def _stop_if_hopeless(found: Mapping[int, Outcome], done: int) -> None:
    """Raise if the same happened to several designs in a row; numbers in the reason may differ."""
    for last in range(_SAME_FAILURES, done + 1):
        row = [found[number] for number in range(last - _SAME_FAILURES, last)]
        reasons = [outcome.reason for outcome in row if isinstance(outcome, Failure)]
        if len(reasons) == _SAME_FAILURES and len({re.sub(r"\d+", "0", reason) for reason in reasons}) == 1:
            raise ConfigError(f"{reasons[-1]} (designs {last - _SAME_FAILURES}..{last - 1} all failed alike)")
