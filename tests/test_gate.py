"""The gate: requirements that cannot hold, forecasts of what is undecided, and campaigns that end when decided."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
from clusters import Cluster, Mixture
from hypothesis import given
from hypothesis import strategies as st

import codesign.cli as cli
from codesign.campaign.forecast import Tally, more_trials
from codesign.campaign.requirement import METRICS, OUTCOMES, Requirement, Status
from codesign.campaign.sequential import SequentialTest
from codesign.campaign.statistics import Interval, rate_interval
from codesign.campaign.verdict import Verdict

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return studies.write_study(tmp_path_factory.mktemp("study"))


def campaign(study: Path, out: Path, *arguments: str | Path) -> int:
    return cli.run(["campaign", str(study), "--out", str(out), "--verify", "0", *map(str, arguments)])


# ---------------------------------------------------------------- requirements that cannot hold together


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["accuracy>=0.9", "accuracy<=0.8"], "'accuracy>=0.9@0.95' and 'accuracy<=0.8@0.95' contradict each other"),
        (["accuracy<=0.8@0.5", "sdc1<=0.1", "accuracy>=0.81", "accuracy>=0.1"], "'accuracy>=0.81@0.95' and 'accu"),
        (["sdc5>=0.2", "sdc1<=0.1"], "since no sample counts for sdc5 and not for sdc1"),
        (["sdc1<=0.1", "silent>=0.2"], "since no sample counts for silent and not for sdc1"),
        (["masked>=0.6", "corrected>=0.3", "silent>=0.2"], "these shares of samples are together one"),
        (["accuracy>0.9"], "requirement 'accuracy>0.9': write it as accuracy>=0.95@0.99"),
        (["accuracy>=95%"], "write it as"),
        (["accuracy>=nan"], "write it as"),
        (["accuracy>=1e"], "write it as"),
        (["accuracy>=0.9@"], "write it as"),
        ([""], "requirement '': write it as"),
        (["accuracy>=95"], "the bound lies in 0..1"),
        (["accuracy>=0.9@99"], "the confidence between 0 and 1"),
        (["acuracy>=0.9"], "unknown metric 'acuracy', choose from accuracy, sdc1"),
        (["accuracy>=0.9\naccuracy>=0.8"], "write it as"),
    ],
)
def test_requirements_that_cannot_be_are_one_line(
    texts: list[str], said: str, study: Path, tmp_path: Path, capsys: Captured
) -> None:
    arguments = [word for text in texts for word in ("--require", text)]
    assert campaign(study, tmp_path / "run", *arguments) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == "" and said in studies.refusal(err)
    assert not (tmp_path / "run").exists()  # nothing was run


@given(st.lists(st.tuples(st.sampled_from(sorted(METRICS)), st.sampled_from([">=", "<="]), st.integers(0, 10))))
def test_requirements_that_something_meets_are_accepted(wanted: list[tuple[str, Any, int]]) -> None:
    """Measure anything at all: requirements that hold of it do not contradict each other."""
    shares = {"masked": 0.7, "corrected": 0.1, "detected": 0.1, "silent": 0.1}
    truth = {**shares, "sdc1": 0.2, "sdc5": 0.1, "accuracy": 0.8}
    true = [
        Requirement(metric, relation, bound / 10)
        for metric, relation, bound in wanted
        if Requirement(metric, relation, bound / 10).status(truth[metric], truth[metric]) is Status.MET
    ]
    assert Requirement.parse_all(true) == tuple(true)
    assert set(shares) == set(OUTCOMES)


# ---------------------------------------------------------------- forecasts

FORECASTS = [
    ("accuracy>=0.95@0.99", Cluster(0.955, 0.02, 4000, 100), 200),
    ("accuracy>=0.95@0.95", Cluster(0.94, 0.1, 4000, 100), 100),
    ("sdc1<=0.01", Mixture(0.01, 0.5, 0.0, 40000, 100), 1000),
    ("sdc1<=0.02", Cluster(0.01, 0.1, 4000, 100), 20),
]


@pytest.mark.parametrize(("text", "setting", "pilot"), FORECASTS, ids=str)
def test_forecasts_of_the_interval_come_near(text: str, setting: Cluster | Mixture, pilot: int) -> None:
    """The number of trials with which the interval leaves the bound, against the median over campaigns."""
    requirement, ratios = Requirement.parse(text), []
    for seed in range(12):
        events = setting.draw(np.random.default_rng(seed))
        tally = Tally(setting.samples, events[:pilot])
        more = more_trials(requirement, tally, sequential=False)
        if more is not None and pilot + more < setting.trials:
            interval = rate_interval(events[: pilot + more], setting.samples, requirement.confidence)
            half = (interval.high - interval.low) / 2
            ratios.append(abs(interval.mean - requirement.bound) / half)
    assert len(ratios) >= 6
    assert 0.5 <= np.median(ratios) <= 2.0  # one is a forecast to the point


@pytest.mark.parametrize(("text", "setting", "pilot"), FORECASTS, ids=str)
def test_forecasts_of_the_sequential_test_come_near(text: str, setting: Cluster | Mixture, pilot: int) -> None:
    requirement, ratios = Requirement.parse(text), []
    for seed in range(12):
        events = setting.draw(np.random.default_rng(seed))
        test = SequentialTest(requirement, setting.samples)
        test.update(events)
        if test.decided_at is None or test.decided_at <= pilot:
            continue
        more = more_trials(requirement, Tally(setting.samples, events[:pilot]), sequential=True)
        ratios.append(np.inf if more is None else (pilot + more) / test.decided_at)
    assert len(ratios) >= 3
    assert 0.3 <= np.median(ratios) <= 3.0


def test_the_forecast_is_exact_where_all_trials_are_alike() -> None:
    for text, events in (("accuracy>=0.9@0.99", 95), ("accuracy>=0.9@0.99", 80), ("sdc1<=0.01", 0)):
        test = SequentialTest(Requirement.parse(text), 100)
        while test.update([events]) is Status.UNDECIDED:
            pass
        assert test.decided_at is not None
        forecast = 3 + (more_trials(test.requirement, Tally(100, [events] * 3), sequential=True) or 0)
        assert test.decided_at <= forecast <= 1.5 * test.decided_at + 1


@pytest.mark.parametrize("sequential", [True, False])
def test_what_lies_on_the_bound_is_never_decided(sequential: bool) -> None:
    assert more_trials(Requirement.parse("accuracy>=0.9"), Tally(10, [9] * 50), sequential=sequential) is None
    assert more_trials(Requirement.parse("accuracy>=0.9"), Tally(10, [8, 10]), sequential=sequential) is None
    assert more_trials(Requirement.parse("sdc1<=0"), Tally(10, [0] * 50), sequential=sequential) is None


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.sampled_from([0.5, 0.95, 0.999]), st.integers(1, 60))
def test_a_tally_knows_the_interval(events: list[int], confidence: float, cut: int) -> None:
    tally = Tally(20, events[:cut])
    tally.add(events[cut:])
    assert tally.trials == len(events)
    assert tally.interval(confidence) == rate_interval(np.array(events), 20, confidence)


def test_forecasts_are_rounded_up_to_two_digits() -> None:
    interval = Interval(0.9, 0.85, 0.95, 0.95)
    for more, said in (
        (1, "about 1 more trial would"),
        (99, "about 99 "),
        (1234, "about 1,300 "),
        (990_001, "about 1,0"),
    ):
        verdict = Verdict(Requirement.parse("accuracy>=0.9"), Status.UNDECIDED, interval, 10, more)
        assert said in str(verdict) and "\n" not in str(verdict)
    never = Verdict(Requirement.parse("accuracy>=0.9"), Status.UNDECIDED, interval, 10)
    assert "too near the bound" in str(never)


# ---------------------------------------------------------------- until it is decided


def test_a_campaign_ends_when_everything_is_decided(study: Path, tmp_path: Path, capsys: Captured) -> None:
    wanted = ("--require", "accuracy>=0.7@0.99", "--require", "sdc1<=0.5", "--trials", "5000", "--until-decided")
    assert campaign(study, tmp_path / "a", *wanted, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sequential"] and 0 < found["trials"] < 500
    assert [entry["status"] for entry in found["requirements"]] == ["met", "met"]
    # Whatever the store had before, the verdict and the trials are the same.
    assert campaign(study, tmp_path / "b", "--trials", "2000") == 0
    capsys.readouterr()
    assert campaign(study, tmp_path / "b", *wanted, "--json") == 0
    assert json.loads(capsys.readouterr().out) == found


def test_a_violation_ends_it_too(study: Path, tmp_path: Path, capsys: Captured) -> None:
    wanted = ("--require", "sdc1<=1e-3@0.99", "--trials", "5000", "--until-decided")
    assert campaign(study, tmp_path, *wanted) == cli.UNMET
    out = capsys.readouterr().out
    assert re.search(r"^requirement sdc1<=0.001@0.99: violated, sdc1 0\.\d+ \[.*\] at 99% after \d+ trials$", out, re.M)
    assert int(out.split(": ")[1].split()[0]) < 500


def test_what_stays_undecided_fails_with_a_forecast(study: Path, tmp_path: Path, capsys: Captured) -> None:
    wanted = ("--require", "accuracy>=0.84@0.99", "--trials", "20", "--until-decided")
    assert campaign(study, tmp_path, *wanted) == cli.UNMET
    line = capsys.readouterr().out.splitlines()[-1]
    assert re.search(r"@0.99: undecided, .* after 20 trials; about [\d,]+ more trials would decide it$", line)


def test_nothing_to_decide_is_said_before_anything_is_run(study: Path, tmp_path: Path, capsys: Captured) -> None:
    assert campaign(study, tmp_path / "run", "--until-decided") == cli.BAD_INPUT
    assert "nothing to decide without --require" in studies.refusal(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()
