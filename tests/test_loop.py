"""The loop of a search: the same designs in whatever order they are finished, and wherever the search was killed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from evaluations import design, evaluation
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError
from codesign.search.evaluation import Evaluation, Failure, Outcome
from codesign.search.loop import Here, Loop, Workplace
from codesign.search.problem import Known, Problem
from codesign.study import Design


class Nothing:
    """A problem of which nothing is known."""

    def signature(self, design: Design) -> str:
        return design.digest

    def known(self, design: Design) -> Known | None:
        return None


@dataclass
class Noting:
    """A searcher whose designs depend on everything that it was given, and that writes it down."""

    last: int = 10**6
    asked: list[tuple[list[str], list[str]]] = field(default_factory=list)

    def ask(self, history: Sequence[Evaluation], pending: Sequence[Design], problem: Problem) -> Design | None:
        self.asked.append(([e.design.digest for e in history], [d.digest for d in pending]))
        if len(history) + len(pending) >= self.last:
            return None
        seed = f"{[e.cost for e in history]} {[d.digest for d in pending]}"
        return design(random.Random(seed).randrange(1000))


def outcome(of: Design, failing: float = 0.0) -> Outcome:
    """The same for the same design."""
    dice = random.Random(of.digest)
    if dice.random() < failing:
        return Failure(of, f"too large by {'abcdefgh'[dice.randrange(8)]}")
    return evaluation(round(1000 * of.important_fraction), cost=dice.random())


@dataclass
class Shuffled:
    """Workers that finish in a drawn order."""

    in_flight: int
    seed: int
    failing: float = 0.0
    given: list[tuple[int, Design]] = field(default_factory=list)

    def submit(self, number: int, design: Design) -> None:
        self.given.append((number, design))
        assert len(self.given) <= self.in_flight

    def wait(self) -> list[tuple[int, Outcome]]:
        dice = random.Random(f"{self.seed} {self.given}")
        ready = dice.sample(self.given, dice.randint(1, len(self.given)))
        for one in ready:
            self.given.remove(one)
        return [(number, outcome(of, self.failing)) for number, of in ready]


def run(
    workplace: Workplace, budget: int = 12, finished: dict[int, Outcome] | None = None, searcher: Noting | None = None
) -> dict[int, Outcome]:
    kept: dict[int, Outcome] = dict(finished or {})
    loop = Loop(searcher or Noting(), lambda _: Nothing(), workplace, lambda n, found: kept.update({n: found}))
    found = loop.run(budget, finished or {})
    assert {n: kept[n] for n in found} == found
    return found


def designs(found: dict[int, Outcome]) -> list[Design]:
    assert list(found) == list(range(len(found)))
    return [one.design for one in found.values()]


@given(st.integers(1, 5), st.integers(0, 1000), st.integers(0, 1000))
def test_the_order_of_finishing_does_not_matter(in_flight: int, one: int, other: int) -> None:
    first, second = (run(Shuffled(in_flight, seed)) for seed in (one, other))
    assert designs(first) == designs(second) and len(first) == 12


@given(st.integers(1, 4), st.sets(st.integers(0, 11)), st.integers(0, 1000), st.sampled_from([0.0, 0.3]))
def test_a_search_goes_on_from_whatever_was_finished(in_flight: int, kept: set[int], seed: int, failing: float) -> None:
    whole = run(Shuffled(in_flight, 1, failing))
    # What a killed search leaves: nothing behind the window of the first that is missing.
    missing = min(set(range(12)) - kept, default=12)
    left = {n: whole[n] for n in kept if n < missing + in_flight}
    assert designs(run(Shuffled(in_flight, seed, failing), finished=left)) == designs(whole)


@given(st.integers(1, 4), st.integers(0, 100))
def test_a_design_is_asked_for_with_what_is_sure_to_be_known(in_flight: int, seed: int) -> None:
    searcher = Noting()
    found = designs(run(Shuffled(in_flight, seed), searcher=searcher))
    for number, (history, pending) in enumerate(searcher.asked):
        known = max(0, number - in_flight + 1)
        assert history == [one.digest for one in found[:known]]
        assert pending == [one.digest for one in found[known:number]]


def test_the_time_of_asking_is_kept_with_the_evaluation() -> None:
    class Looking(Noting):
        def ask(self, history: Sequence[Evaluation], pending: Sequence[Design], problem: Problem) -> Design | None:
            assert problem.known(design(1)) is None and problem.signature(design(1)) == design(1).digest
            return super().ask(history, pending, problem)

    for found in run(Here(outcome), searcher=Looking()).values():
        assert isinstance(found, Evaluation)
        assert found.seconds_by_stage.keys() == {"proposing", "candidates"}
        assert min(found.seconds_by_stage.values()) > 0


def test_one_after_the_other_knows_everything() -> None:
    searcher = Noting()
    found = run(Here(outcome), searcher=searcher)
    assert all(not pending for _, pending in searcher.asked) and len(found) == len(searcher.asked) == 12
    assert designs(found) == designs(run(Shuffled(1, 0)))


def test_a_larger_budget_goes_on_and_a_smaller_one_cuts() -> None:
    seven, twelve = run(Shuffled(3, 1), budget=7), run(Shuffled(3, 2))
    assert designs(seven) == designs(twelve)[:7]
    assert designs(run(Shuffled(3, 3), finished=dict(seven))) == designs(twelve)
    assert run(Shuffled(3, 4), budget=7, finished=dict(twelve)) == {n: twelve[n] for n in range(7)}


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_space_that_is_searched_out_ends_the_search(in_flight: int) -> None:
    assert len(run(Shuffled(in_flight, 1), searcher=Noting(last=5))) == 5


def test_a_failure_is_not_asked_for_again() -> None:
    searcher = Noting()
    found = run(Here(lambda of: outcome(of, 0.3)), searcher=searcher)
    failed = [one.design.digest for one in found.values() if isinstance(one, Failure)]
    assert failed
    history, pending = searcher.asked[-1]
    assert set(pending) == set(failed) - {found[11].design.digest} and not set(history) & set(failed)


def test_the_same_failure_three_times_in_a_row_ends_the_search() -> None:
    numbers = iter(range(100))

    def evaluate(of: Design) -> Outcome:
        number = next(numbers)
        return Failure(of, f"layer 'a' needs {number} bits") if number not in (1, 4) else outcome(of)

    with pytest.raises(ConfigError, match=r"^layer 'a' needs 7 bits \(designs 5\.\.7 all failed alike\)$"):
        run(Here(evaluate))
    assert next(numbers) == 8


def test_different_failures_do_not() -> None:
    reasons = iter("abcdefghijkl")
    found = run(Here(lambda of: Failure(of, f"cannot {next(reasons)}")))
    assert len(found) == 12
