"""Campaigns in stages: when they end, and that looking several times costs no confidence."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import studies
from clusters import Cluster
from hypothesis import given
from hypothesis import strategies as st

from codesign.campaign.statistics import Interval, rate_interval
from codesign.campaign.store import Store
from codesign.fixed import Ints
from codesign.search.evaluate import FRESH_TIMES, Evaluator
from codesign.search.folder import identity
from codesign.search.stages import Look, looks, measure
from codesign.study import Design, load_study

CONFIDENCE = st.floats(0.5, 0.999)


@dataclass(frozen=True, eq=False)
class Counted:
    """Right answers of each trial of 100 samples."""

    correct: Ints

    def interval(self, metric: str, confidence: float | None = None) -> Interval:
        assert metric == "accuracy" and confidence is not None
        return rate_interval(self.correct, 100, confidence)


def campaign(correct: Ints, asked: list[int]) -> Callable[[int], Counted]:
    def attack(trials: int) -> Counted:
        asked.append(trials)
        return Counted(correct[:trials])

    return attack


@given(st.integers(2, 100_000), CONFIDENCE, st.integers(1, 100))
def test_looks_share_out_what_may_be_missed(trials: int, confidence: float, least: int) -> None:
    found = looks(trials, confidence, least)
    assert 1 <= len(found) <= 4 and found[-1].trials == trials
    sizes = [look.trials for look in found]
    assert sizes == sorted(set(sizes)) and all(size >= least for size in sizes[:-1])
    assert sum(1 - look.confidence for look in found) == pytest.approx(1 - confidence)
    assert all(look.confidence <= found[0].confidence for look in found)
    assert found[-1].confidence >= confidence - 1e-12


@pytest.mark.parametrize(("rate", "wanted", "trials", "status"), [(80, 0.95, 25, "violated"), (99, 0.9, 25, "met")])
def test_a_clear_case_ends_at_the_first_look(rate: int, wanted: float, trials: int, status: str) -> None:
    asked: list[int] = []
    correct = rate + np.arange(200) % 2
    found = measure(campaign(correct, asked), wanted, 0.95, looks(200, 0.95))
    assert asked == [trials] and [stage.status for stage in found.stages] == [status]


def test_a_close_case_takes_all_trials() -> None:
    asked: list[int] = []
    correct = 95 + 5 * (-1) ** np.arange(200)
    found = measure(campaign(correct, asked), 0.95, 0.95, looks(200, 0.95))
    assert asked == [25, 50, 100, 200]
    assert [stage.status for stage in found.stages] == 4 * ["undecided"]
    own = found.interval("accuracy")
    assert (own.low, own.high) == (found.stages[-1].low, found.stages[-1].high)
    assert own.confidence == 0.95  # of all looks together: each interval by itself is wider
    alone = rate_interval(correct, 100, 0.95)
    assert own.low < alone.low < alone.high < own.high


@pytest.mark.parametrize(("wanted", "plan"), [(None, looks(200, 0.95)), (0.9, looks(200, 0.95)[:1])])
def test_a_single_look_has_all_of_the_confidence(wanted: float | None, plan: tuple[Look, ...]) -> None:
    asked: list[int] = []
    correct = 90 + np.arange(200) % 3
    found = measure(campaign(correct, asked), wanted, 0.95, plan)
    assert asked == [25] and found.interval("accuracy") == rate_interval(correct[:25], 100, 0.95)


@pytest.mark.parametrize("setting", [Cluster(0.95, 0.02, 200, 100), Cluster(0.95, 0.2, 200, 100)])
def test_designs_at_the_border_are_rarely_said_to_meet_it(setting: Cluster) -> None:
    """One side of a 95 % interval: 2.5 % may, whatever the number of looks. Looking as often without spending: more."""
    generator, met, naive, campaigns = np.random.default_rng(4), 0, 0, 300
    for _ in range(campaigns):
        correct = setting.draw(generator)
        plan = looks(200, 0.95)
        met += measure(campaign(correct, []), 0.95, 0.95, plan).stages[-1].status == "met"
        careless = tuple(replace(look, confidence=0.95) for look in plan)
        naive += measure(campaign(correct, []), 0.95, 0.95, careless).stages[-1].status == "met"
    assert met <= 0.025 * campaigns + 3 * np.sqrt(0.025 * campaigns)
    assert met < naive


# ---------------------------------------------------------------- in an evaluation


def test_an_evaluation_says_what_its_looks_saw(tmp_path: Path) -> None:
    study = load_study(studies.write_study(tmp_path, ("trials = 50", "trials = 200")))
    with Store(tmp_path / "study.sqlite", identity(study)) as store:
        evaluator = Evaluator(study, store)
        plain, full = (evaluator.evaluate(Design(6, 6, 1.0, bits, bits)) for bits in (0, 16))
        assert [found.stages[-1].status for found in (plain, full)] == ["violated", "met"]
        assert plain.trials == full.trials == 25 and full.feasible and not plain.feasible
        everything = evaluator.evaluate(Design(6, 6, 1.0, 16, 16), every_trial=True)
        assert everything.trials == 200 and len(everything.stages) == 1
        model = evaluator.fault_model()
        whole = evaluator.campaign(*evaluator.protected(full.design), model)
        assert everything.accuracy_faulty == whole.accuracy  # a longer campaign has the shorter one's trials
        part = evaluator.campaign(*evaluator.protected(full.design), model, trials=25)
        assert np.array_equal(part.counts, whole.counts[:25])


def test_what_breaks_another_constraint_gets_a_short_campaign(tmp_path: Path) -> None:
    cycles = ("latency_cycles = 50", "latency_cycles = 1")
    study = load_study(studies.write_study(tmp_path, ("trials = 50", "trials = 200"), cycles))
    with Store(tmp_path / "study.sqlite", identity(study)) as store:
        for bits in (0, 4, 16):
            found = Evaluator(study, store).evaluate(Design(6, 6, 1.0, bits, bits))
            assert found.trials == 25 and len(found.stages) == 1 and "latency_cycles" in found.broken


def test_fresh_faults_are_others_and_more(tmp_path: Path) -> None:
    study = load_study(studies.write_study(tmp_path))
    with Store(tmp_path / "study.sqlite", identity(study)) as store:
        evaluator = Evaluator(study, store)
        built = evaluator.protected(Design(6, 6, 1.0, 4, 4))
        fresh = evaluator.fresh_campaign(*built, 0.95).measured
        seen = evaluator.campaign(*built, evaluator.fault_model())
        assert seen.trials < fresh.trials <= FRESH_TIMES * study.faults.trials
        assert not np.array_equal(fresh.counts[: seen.trials], seen.counts)
