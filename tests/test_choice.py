"""Which design a search returns, and how seldom it is one that does not hold."""

from dataclasses import dataclass

import numpy as np
import pytest
from evaluations import evaluation
from hypothesis import given
from hypothesis import strategies as st

from codesign.campaign.statistics import Interval, rate_interval
from codesign.search.choice import Choice, choose, level
from codesign.search.evaluation import Evaluation
from codesign.search.stages import Stage

WANTED = 0.95


@dataclass(frozen=True)
class Fresh:
    """A campaign that found this interval."""

    low: float

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (Stage(400, self.low, 1.0, "met"),)

    def interval(self, metric: str) -> Interval:
        assert metric == "accuracy"
        return Interval(self.low + 0.01, self.low, self.low + 0.02, 0.95)


def chosen(history: list[Evaluation], lows: dict[str, float], long: dict[str, Evaluation] | None = None) -> Choice:
    """With the lower ends that fresh campaigns find by plan, and what long ones say otherwise than the search."""
    return choose(
        history, WANTED, 0.95, lambda e: (long or {}).get(e.plan, e), lambda e, _: Fresh(lows.get(e.plan, 0.0))
    )


def test_the_cheapest_that_holds_again_is_chosen() -> None:
    history = [evaluation(0, 300), evaluation(1, 100), evaluation(2, 200), evaluation(3, 50, accuracy=0.9)]
    found = chosen(history, {"0": 0.96, "1": 0.949, "2": 0.951})
    assert found.index == 2 and found.evaluation is history[2]
    assert found.fresh is not None and found.fresh["low"] == 0.951 and found.fresh["trials"] == 400
    assert [(miss["index"], miss["campaign"]) for miss in found.missed] == [(1, "fresh")]


def test_a_design_that_a_long_campaign_refutes_costs_no_confidence() -> None:
    history = [evaluation(0, 100), evaluation(1, 200)]
    seen: list[float] = []

    def fresh(_: Evaluation, confidence: float) -> Fresh:
        seen.append(confidence)
        return Fresh(0.96)

    worse = evaluation(0, 100, accuracy=0.955)
    found = choose(history, WANTED, 0.95, lambda e: worse if e.plan == "0" else e, fresh)
    assert found.index == 1 and seen == [0.95]
    assert [(miss["index"], miss["campaign"]) for miss in found.missed] == [(0, "long")]


def test_without_one_that_holds_the_nearest_is_named() -> None:
    history = [evaluation(0, 300), evaluation(1, 100), evaluation(2, 10, accuracy=0.5)]
    found = chosen(history, {})
    assert found.fresh is None and found.index == 1 and len(found.missed) == 2
    assert chosen(history[2:], {}).index == 0


def test_without_a_requirement_on_faults_the_cheapest_is_chosen() -> None:
    found = choose([evaluation(0, 2), evaluation(1, 1)], None, 0.95, lambda e: e, lambda *_: Fresh(0.1))
    assert found.index == 1 and found.fresh is not None


@given(st.floats(0.5, 0.9999), st.integers(1, 2000))
def test_all_errors_together_are_what_the_study_allows(confidence: float, tries: int) -> None:
    one_sided = [(1 - level(k, confidence)) / 2 for k in range(1, tries + 1)]
    assert sum(one_sided) <= 1 - confidence + 1e-9
    assert sum(one_sided) == pytest.approx((1 - confidence) * tries / (tries + 1))
    assert level(1, confidence) == pytest.approx(confidence)


def test_ten_designs_that_just_miss_are_seldom_returned() -> None:
    """All have passed the search, and none is as good as asked for. With the same level for each it would be 1 in 5."""
    generator, returned, careless, rounds = np.random.default_rng(1), 0, 0, 120
    history = [evaluation(i, 100.0 + i) for i in range(10)]
    for _ in range(rounds):
        drawn = {e.plan: generator.binomial(400, 0.9499, 40) for e in history}

        @dataclass(frozen=True)
        class Drawn:
            plan: str
            confidence: float
            stages: tuple[Stage, ...] = (Stage(40, 0.0, 1.0, "undecided"),)
            trials = drawn

            def interval(self, metric: str) -> Interval:
                return rate_interval(self.trials[self.plan], 400, self.confidence)

        def own(e: Evaluation, confidence: float, of: type[Drawn] = Drawn) -> Drawn:
            return of(e.plan, confidence)

        def same(e: Evaluation, _: float, of: type[Drawn] = Drawn) -> Drawn:
            return of(e.plan, 0.95)

        returned += choose(history, WANTED, 0.95, lambda e: e, own).fresh is not None
        careless += choose(history, WANTED, 0.95, lambda e: e, same).fresh is not None
    assert returned <= 0.05 * rounds + 3 * np.sqrt(0.05 * rounds)
    assert careless > 2 * returned
