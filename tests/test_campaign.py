"""Campaigns: intervals that cover, requirements, counts that a plain loop confirms, and a store that keeps them."""

import itertools
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import small_inputs, small_network
from stores import numbered

from codesign.campaign import batches as batches_module
from codesign.campaign.batches import Batches
from codesign.campaign.requirement import METRICS, Requirement, Status
from codesign.campaign.result import CampaignResult
from codesign.campaign.run import run_campaign
from codesign.campaign.sequential import SequentialTest
from codesign.campaign.store import Store
from codesign.engine.compiled import NativeEngine
from codesign.engine.counts import COUNTS, CountArray, Counts
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError, MismatchError
from codesign.faults import FaultModel, FaultSpace, Target
from codesign.fixed import FixedPoint
from codesign.network import forward
from codesign.protection import ProtectionPlan

NETWORK = small_network()
INPUTS = small_inputs(40)
LABELS = (forward(NETWORK, INPUTS)[-1].argmax(axis=1) + (np.arange(40) % 5 == 0)) % 3
MODEL = FaultModel((Target.ACCUMULATOR, Target.WEIGHT), ber=2e-3, seed=9)
PLAN = ProtectionPlan.uniform(NETWORK, 4)


def campaign(trials: int = 30, **arguments: Any) -> CampaignResult:
    given_arguments = {
        "network": NETWORK,
        "plan": PLAN,
        "fault_model": MODEL,
        "inputs": INPUTS,
        "labels": LABELS,
        **arguments,
    }
    return run_campaign(**given_arguments, trials=trials)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_impossible_confidences_are_refused(confidence: float) -> None:
    with pytest.raises(ConfigError, match="confidence"):
        campaign(1, confidence=confidence)


def test_known_logits_change_nothing_and_wrong_ones_are_noticed() -> None:
    golden = forward(NETWORK, INPUTS)[-1]
    assert campaign(golden=golden) == campaign()
    with pytest.raises(MismatchError, match="other fault-free logits"):
        campaign(golden=golden + 1)


# ---------------------------------------------------------------- requirements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy>=0.95@0.99", Requirement("accuracy", ">=", 0.95, 0.99)),
        (" sdc1 <= 1e-3 @ .9 ", Requirement("sdc1", "<=", 0.001, 0.9)),
        ("accuracy>=1", Requirement("accuracy", ">=", 1.0, 0.95)),
    ],
)
def test_requirements_are_parsed(text: str, expected: Requirement) -> None:
    assert Requirement.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy",
        "accuracy>0.9",
        "accuracy>=",
        "accuracy==0.9",
        "loss>=0.9",
        "accuracy>=0.9@",
        "accuracy>=0.9@95%",
        "accuracy>=1.5",
        "accuracy>=-0.1",
        "accuracy>=0.9@1",
        "accuracy>=0.9@0",
        "accuracy>=nan",
        "accuracy>=1e",
        "accuracy>=1e999",
        "accuracy>=0.9@0.95@0.9",
        "accuracy>=0.9 sdc1<=0.1",
        "accuracy>=..",
        "0.9<=accuracy",
    ],
)
def test_malformed_requirements_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        Requirement.parse(text)
    assert f"'{text}'" in str(error.value) and "\n" not in str(error.value)


@given(
    st.sampled_from(sorted(METRICS)),
    st.sampled_from([">=", "<="]),
    st.integers(0, 10**9),
    st.integers(1, 10**6 - 1),
)
def test_requirements_print_what_they_mean(metric: str, relation: Any, bound: int, confidence: int) -> None:
    requirement = Requirement(metric, relation, bound / 10**9, confidence / 10**6)
    assert Requirement.parse(str(requirement)) == requirement


@pytest.mark.parametrize(
    ("text", "low", "high", "status"),
    [
        ("accuracy>=0.9", 0.9, 0.95, Status.MET),
        ("accuracy>=0.9", 0.89, 0.95, Status.UNDECIDED),
        ("accuracy>=0.9", 0.8, 0.9, Status.UNDECIDED),
        ("accuracy>=0.9", 0.8, 0.89, Status.VIOLATED),
        ("sdc1<=0.1", 0.05, 0.1, Status.MET),
        ("sdc1<=0.1", 0.05, 0.11, Status.UNDECIDED),
        ("sdc1<=0.1", 0.1, 0.2, Status.UNDECIDED),
        ("sdc1<=0.1", 0.11, 0.2, Status.VIOLATED),
    ],
)
def test_verdicts_need_the_whole_interval(text: str, low: float, high: float, status: Status) -> None:
    assert Requirement.parse(text).status(low, high) is status


def test_each_requirement_is_judged_at_its_own_confidence() -> None:
    result = campaign(30)
    narrow, wide = result.interval("accuracy", 0.5), result.interval("accuracy", 0.999)
    between = (narrow.low + wide.low) / 2
    judged = campaign(
        30,
        requirements=[f"accuracy>={between:.9f}@0.5", f"accuracy>={between:.9f}@0.999", "accuracy>=0.99", "sdc1<=0.9"],
    )
    assert [status for _, status in judged.verdicts()] == [Status.MET, Status.UNDECIDED, Status.VIOLATED, Status.MET]
    assert [r["status"] for r in judged.to_json()["requirements"]] == ["met", "undecided", "violated", "met"]


@pytest.mark.parametrize("text", ["accuracy>=0.3@0.9", "sdc1<=0.9", "accuracy>=0.999@0.9"])
def test_a_campaign_stops_when_its_requirements_are_decided(text: str, tmp_path: Path) -> None:
    """After exactly the trials that the test needs, whatever the batches and whatever a store knows already."""
    everything = campaign(400)
    events = everything.counts["correct" if text.startswith("accuracy") else "sdc1"]
    alone = SequentialTest(Requirement.parse(text), everything.samples)
    alone.update(events)
    stopped = campaign(400, requirements=[text], stop_when_decided=True)
    assert 0 < stopped.trials == alone.decided_at < 400
    assert np.array_equal(stopped.counts, everything.counts[: stopped.trials])
    assert [status for _, status in stopped.verdicts()] == [alone.status]
    with Store(tmp_path / "store.sqlite") as store:
        campaign(stopped.trials + 50, store=store)
        assert campaign(400, requirements=[text], stop_when_decided=True, store=store) == stopped
    both = campaign(400, requirements=[text, "accuracy>=0"], stop_when_decided=True)
    assert both.trials == stopped.trials and both.verdicts()[1][1] is Status.MET


def test_what_is_not_decided_runs_to_its_end() -> None:
    close = f"accuracy>={campaign(400).accuracy.mean:.6f}@0.999"
    found = campaign(60, requirements=[close], stop_when_decided=True)
    assert found.trials == 60 and found.verdicts()[0][1] is Status.UNDECIDED and found.to_json()["sequential"]
    assert campaign(60, requirements=["accuracy>=0"], stop_when_decided=True).trials == 1
    with pytest.raises(ConfigError, match="nothing to decide"):
        campaign(60, stop_when_decided=True)


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize("simulator", ["engine", "reference"])
def test_counts_are_those_of_a_plain_loop(simulator: str) -> None:
    result = campaign(30, simulator=simulator)
    golden = forward(NETWORK, INPUTS)[-1]
    space, reference = FaultSpace(NETWORK, PLAN, MODEL, 40), ReferenceSimulator(NETWORK, PLAN, INPUTS)
    correct, sdc1 = [], []
    for trial in range(30):
        logits = reference.run(space.draw(trial))
        tops = [max(range(3), key=lambda c, row=row: (row[c], -c)) for row in logits.tolist()]  # the first of equals
        golden_tops = [max(range(3), key=lambda c, row=row: (row[c], -c)) for row in golden.tolist()]
        correct.append(sum(a == b for a, b in zip(tops, LABELS, strict=True)))
        sdc1.append(sum(a != b for a, b in zip(tops, golden_tops, strict=True)))
    assert result.counts["correct"].tolist() == correct and result.counts["sdc1"].tolist() == sdc1
    assert len(set(correct)) > 3 and 0 < max(sdc1) < 40
    assert result.accuracy.mean == pytest.approx(np.mean(correct) / 40)
    assert result.sdc1.mean == pytest.approx(np.mean(sdc1) / 40)
    assert result.accuracy_clean == 32 / 40
    assert (result.trials, result.samples, result.simulator, result.seed) == (30, 40, simulator, 9)
    assert (result.network, result.plan, result.fault_model) == (NETWORK.digest, PLAN.digest, MODEL.digest)


def test_real_inputs_are_quantised() -> None:
    assert campaign(5, inputs=INPUTS / 2.0**5) == campaign(5)


def test_a_longer_campaign_begins_with_the_shorter_one() -> None:
    assert np.array_equal(campaign(60).counts[:7], campaign(7).counts)


def test_a_campaign_without_faults_is_the_golden_run() -> None:
    result = campaign(3, fault_model=FaultModel((Target.WEIGHT,), ber=0.0))
    assert result.counts.tolist() == [(32, 0, 0, 0, 0, 0)] * 3
    assert result.sdc1.low == 0.0 < result.sdc1.high


def test_progress_tells_finished_trials_and_ends_at_all() -> None:
    told: list[int] = []
    campaign(60, progress=told.append)
    assert told == sorted(told) and told[-1] == 60 and set(told) <= set(range(61)) and len(told) > 2


def with_one(value: float) -> np.ndarray:
    """Real inputs, all of them fine but input 2 of sample 7."""
    reals = INPUTS / 2.0**5
    reals[7, 2] = value
    return reals


@pytest.mark.parametrize("simulator", ["engine", "reference", "csim"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"inputs": INPUTS[:, :5]}, "takes shape (n_samples, 6), got (40, 5)"),
        ({"inputs": INPUTS[0]}, "takes shape (n_samples, 6), got (6,)"),
        ({"inputs": INPUTS.astype(str)}, "inputs must be numbers, got <U"),
        (
            {"inputs": with_one(np.nan)},
            "NaN or infinite values to ufixed<6,1,TRN,WRAP>, first in inputs[7, 2]",
        ),
        ({"inputs": with_one(-np.inf)}, "first in inputs[7, 2]"),
        ({"inputs": with_one(2.0)}, "input 2 of sample 7 is 2, outside ufixed<6,1,TRN,WRAP>: 0..1.96875"),
        ({"inputs": with_one(-0.25)}, "input 2 of sample 7 is -0.25, outside"),
        ({"inputs": with_one(1e300)}, "too large to quantise"),
        ({"inputs": INPUTS + 64}, "raw inputs 64..127 lie outside"),
        ({"inputs": INPUTS - 64}, "lie outside ufixed<6,1"),
        ({"inputs": INPUTS[:0], "labels": LABELS[:0]}, "the evaluation set is empty"),
        ({"inputs": [[1, 2], [3]]}, "samples of different shapes"),
        ({"labels": LABELS[:-1]}, "labels must be 40 whole numbers, got shape (39,)"),
        ({"labels": np.where(np.arange(40) == 9, 3, LABELS)}, "outside the 3 classes, first the 3 of sample 9"),
        ({"labels": LABELS - 1}, "labels -1..1 lie outside the 3 classes, first the -1 of sample"),
        ({"labels": LABELS.astype(float)}, "labels must be 40 whole numbers, got shape (40,) of float64"),
        ({"labels": np.eye(3)[LABELS]}, "got shape (40, 3)"),
        ({"labels": [[1, 2], [3]]}, "got lists of different lengths"),
        ({"trials": 0}, "0 trials: at least one is needed"),
        ({"trials": -1}, "-1 trials: at least one is needed"),
        ({"requirements": ["accuracy>0.9"]}, "requirement 'accuracy>0.9'"),
        ({"plan": ProtectionPlan.of(NETWORK, {"fc0": np.ones(4, np.int64)})}, "the plan names 4"),
        ({"fault_model": FaultModel((Target.BIAS,), n_flips=10**6)}, "n_flips 1000000: the network has only"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_one_line(
    arguments: dict[str, Any], said: str, simulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is simulated, so on every simulator alike."""
    if simulator == "csim":  # would have to be compiled; what is refused does not get so far, but for the draw
        monkeypatch.setattr(
            "codesign.campaign.task.open_simulator", lambda *_: ReferenceSimulator(NETWORK, PLAN, INPUTS)
        )
    with pytest.raises(ConfigError) as error:
        campaign(**{"simulator": simulator, **arguments})
    assert said in str(error.value) and "\n" not in str(error.value)


def test_unknown_simulators_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown simulator 'spice', choose from engine, csim, reference"):
        campaign(simulator="spice")


def test_real_inputs_at_the_ends_of_their_type_are_taken() -> None:
    """Rounding is no overflow; and a type that saturates says itself what becomes of larger numbers."""
    rounds = replace(NETWORK, input_type=FixedPoint.parse("ufixed<6,1,RND,WRAP>"))
    for network, value in ((NETWORK, 0.0), (NETWORK, 63.9 / 32), (rounds, 63.4 / 32), (rounds, -0.4 / 32)):
        assert campaign(2, network=network, inputs=with_one(value)).trials == 2
    for network, value in ((NETWORK, 64 / 32), (NETWORK, -0.1 / 32), (rounds, 63.6 / 32), (rounds, -0.6 / 32)):
        with pytest.raises(ConfigError, match="input 2 of sample 7 is"):
            campaign(2, network=network, inputs=with_one(value))
    clipped = replace(NETWORK, input_type=FixedPoint.parse("ufixed<6,1,RND,SAT>"))
    assert campaign(2, network=clipped, inputs=with_one(7.0)) == campaign(2, network=clipped, inputs=with_one(63 / 32))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FixedPoint(49, 1), "fixed-point width 49 is outside 1..48"),
        (lambda: FixedPoint(0, 0), "fixed-point width 0 is outside 1..48"),
        (lambda: FixedPoint.parse("fixed<64,8>"), "fixed-point width 64 is outside 1..48"),
        (lambda: FixedPoint(8, -41), "49 fractional bits: at most 48 are supported"),
        (lambda: FaultModel((Target.WEIGHT,), ber=1.01), "bit error rate 1.01 is outside 0..1"),
        (lambda: FaultModel((Target.WEIGHT,), ber=-1e-9), "bit error rate -1e-09 is outside 0..1"),
        (lambda: FaultModel((Target.WEIGHT,), ber=float("nan")), "bit error rate nan is outside 0..1"),
    ],
)
def test_what_no_campaign_can_be_made_of(make: Any, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert said in str(error.value) and "\n" not in str(error.value)


# ---------------------------------------------------------------- the store


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry a simulated trial; batches of the engine have 25 trials, as a clock would give others each time."""
    calls: list[int] = []
    batch = Batches._batch

    def counted(self: Batches, trials: range, progress: Any) -> CountArray:
        self._pace.size = 25
        counts = batch(self, trials, progress)
        calls.extend(trials[: len(counts)])
        return counts

    monkeypatch.setattr(Batches, "_batch", counted)
    return calls  # type: ignore[return-value]


def test_finished_trials_are_not_run_again(tmp_path: Path, simulated: list[int]) -> None:
    path = tmp_path / "runs" / "study.sqlite"
    for trials, new in ((10, 10), (10, 0), (60, 50), (3, 0), (61, 1)):
        simulated.clear()
        with Store(path) as store:
            kept = campaign(trials, store=store)
        assert len(simulated) == new
        assert kept == campaign(trials)


def test_another_campaign_in_the_same_store_is_another_one(tmp_path: Path, simulated: list[int]) -> None:
    others: list[dict[str, Any]] = [
        {},
        {"plan": ProtectionPlan()},
        {"fault_model": FaultModel(MODEL.targets, ber=2e-3, seed=10)},
        {"fault_model": FaultModel(MODEL.targets, ber=3e-3, seed=9)},
        {"labels": np.zeros(40, int)},
        {"inputs": INPUTS[::-1]},
        {"network": small_network(seed=8)},
        {"simulator": "reference"},
    ]
    with Store(tmp_path / "study.sqlite") as store:
        results = [campaign(5, store=store, **other) for other in others]
        assert len(simulated) == 5 * len(others)
        assert results == [campaign(5, store=store, **other) for other in others]
        assert len(simulated) == 5 * len(others)  # and none again


@pytest.mark.parametrize("simulator", ["engine", "reference"])
def test_an_interrupt_keeps_every_finished_trial(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a batch: what the batch has finished is in the store, and is not run again."""
    if simulator == "engine":  # one batch, long enough to be caught in it
        monkeypatch.setattr(batches_module, "_FIRST_TRIALS", 10**7)
    trials = {"engine": 10**7, "reference": 100}[simulator]

    def stop(finished: int) -> None:
        if finished >= 7:
            raise KeyboardInterrupt

    with Store(tmp_path / "study.sqlite") as store, pytest.raises(KeyboardInterrupt):
        campaign(trials, simulator=simulator, store=store, progress=stop)
    db = sqlite3.connect(tmp_path / "study.sqlite")
    [(first, kept)] = db.execute("select first, count from batch").fetchall()
    db.close()
    assert first == 0 and 7 <= kept < trials
    if simulator == "reference":
        assert kept == 7
    told: list[int] = []
    with Store(tmp_path / "study.sqlite") as store:
        more = campaign(kept + 9, simulator=simulator, store=store, progress=told.append)
    assert told[0] == kept
    assert more == campaign(kept + 9, simulator=simulator)


@given(st.lists(st.floats(1e-4, 3.0), min_size=1, max_size=30), st.integers(1, 3000))
def test_however_trials_are_cut_into_batches_they_count_the_same(seconds: list[float], trials: int) -> None:
    """Batches by a clock that says what it likes; they follow each other without a gap."""
    clock = itertools.accumulate(itertools.cycle(seconds))
    sizes: list[int] = []

    class Told(NativeEngine):
        def __init__(self) -> None:
            pass

        def run_campaign(self, space: Any, labels: Any, trials: range, **_: Any) -> Counts:
            sizes.append(len(trials))
            return Counts(numbered(trials))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches_module.time, "perf_counter", lambda: next(clock))
        runner = Batches(Told(), None, None, None, 1)  # type: ignore[arg-type]
        found = list(runner.run([range(5, 5 + trials)]))
    assert [first for first, _ in found] == list(itertools.accumulate(sizes, initial=5))[:-1]
    assert np.concatenate([rows["correct"] for _, rows in found]).tolist() == list(range(5, 5 + trials))
    assert all(after <= 16 * before for before, after in itertools.pairwise(sizes))


def test_batches_take_about_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator of 1,000 trials a second soon gets 500 at a time."""
    now, sizes = [0.0], []

    def ran(self: NativeEngine, space: Any, labels: Any, trials: range, **_: Any) -> Counts:
        now[0] += len(trials) / 1000
        sizes.append(len(trials))
        return Counts(np.zeros(len(trials), COUNTS))

    monkeypatch.setattr(NativeEngine, "run_campaign", ran)
    monkeypatch.setattr(batches_module.time, "perf_counter", lambda: now[0])
    campaign(3000)
    assert sizes[0] <= 16 and set(sizes[2:-1]) <= {499, 500} and len(sizes) < 12


def test_threads_change_nothing() -> None:
    assert campaign(60, threads=1) == campaign(60, threads=3) == campaign(60)
    with pytest.raises(ConfigError, match="0 threads: at least one is needed"):
        campaign(1, threads=0)


def test_trials_behind_a_gap_are_run_again(tmp_path: Path, simulated: list[int]) -> None:
    path = tmp_path / "study.sqlite"
    with Store(path) as store:
        campaign(75, store=store)
    with sqlite3.connect(path) as db:
        assert db.execute("delete from batch where first = 0").rowcount == 1  # two batches, joined
    db.close()
    simulated.clear()
    with Store(path) as store:
        assert campaign(75, store=store) == campaign(75)
    assert sorted(simulated) == sorted([*range(75), *range(50)])
