"""Trials replayed on the csim, cases that are kept where simulators differ, and their replay from the folder."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
from networks import small_inputs, small_network

import codesign.campaign.simulators as simulators
import codesign.cli as cli
from codesign.campaign import run_campaign
from codesign.campaign.case import Case, Made, differing_counts, first_difference
from codesign.campaign.fault_list import FaultList
from codesign.campaign.result import CampaignResult
from codesign.campaign.store import Store
from codesign.campaign.verify import chosen_trials, verify
from codesign.engine.compiled import NativeEngine
from codesign.engine.counts import COUNTS, Counts
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError, MismatchError, ToolError
from codesign.faults import FaultArray, FaultModel, FaultSpace, Target
from codesign.network import forward
from codesign.outcome import Outcome
from codesign.protection import ProtectionPlan

NETWORK = small_network()
PLAN = ProtectionPlan.uniform(NETWORK, 4)
INPUTS = small_inputs(40)
LABELS = forward(NETWORK, INPUTS)[-1].argmax(axis=1)
MODEL = FaultModel((Target.ACCUMULATOR, Target.WEIGHT), ber=2e-3, seed=9)
CAMPAIGN = (NETWORK, PLAN, MODEL, INPUTS, LABELS)

Captured = pytest.CaptureFixture[str]


def result(trials: int = 50, **arguments: Any) -> CampaignResult:
    return run_campaign(*CAMPAIGN, trials=trials, **arguments)


class Csim(ReferenceSimulator):
    """Plays the csim's part; counts its runs."""

    name = "csim"

    def __init__(self, plan: ProtectionPlan = PLAN) -> None:
        super().__init__(NETWORK, plan, INPUTS)
        self.runs = 0

    def outcome(self, faults: FaultArray) -> Outcome:
        self.runs += 1
        return super().outcome(faults)


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An engine that is wrong by one in one logit of one sample, whenever the faults strike at all."""
    right = NativeEngine.outcome

    def outcome(self: NativeEngine, faults: FaultArray) -> Outcome:
        found = right(self, faults)
        found.logits[min(17, len(found.logits) - 1), 1] += bool(len(faults))
        return found

    monkeypatch.setattr(NativeEngine, "outcome", outcome)
    return monkeypatch


# ---------------------------------------------------------------- the sample


def test_trials_are_chosen_by_the_seed_alone() -> None:
    chosen = chosen_trials(9, 1000, 20)
    assert chosen == sorted(set(chosen)) and len(chosen) == 20 and set(chosen) <= set(range(1000))
    assert chosen == chosen_trials(9, 1000, 20) != chosen_trials(10, 1000, 20)
    assert chosen_trials(9, 5, 20) == [0, 1, 2, 3, 4]
    # Every trial has its chance: with many seeds each is chosen about as often as another.
    often = np.bincount([t for seed in range(2000) for t in chosen_trials(seed, 10, 3)], minlength=10)
    assert often.min() > 500 and often.max() < 700


def test_verified_trials_are_in_the_result() -> None:
    plain, csim, told = result(), Csim(), []
    found = verify(plain, *CAMPAIGN, 12, csim=csim, progress=told.append)
    assert csim.runs == 12 and found.verified == tuple(chosen_trials(9, 50, 12))
    assert told == list(range(13))
    assert found.to_json() == {**plain.to_json(), "verified": list(found.verified)}
    assert plain.to_json()["verified"] == []
    assert verify(result(3), *CAMPAIGN, 12, csim=Csim()).verified == (0, 1, 2)


def test_nothing_is_replayed_where_nothing_is_asked_or_the_engine_did_not_run() -> None:
    csim = Csim()
    assert verify(result(), *CAMPAIGN, 0, csim=csim).verified == ()
    slow = result(5, simulator="reference", verify=5)
    assert verify(slow, *CAMPAIGN, 5, csim=csim) == slow and csim.runs == 0
    with pytest.raises(ConfigError, match="verify -1"):
        verify(result(), *CAMPAIGN, -1, csim=csim)
    with pytest.raises(ConfigError, match="verify -1"):
        result(verify=-1)


# ---------------------------------------------------------------- differences


def test_the_first_difference_is_named() -> None:
    logits, counts = np.arange(12).reshape(4, 3), (0,) * len(COUNTS)
    made = {name: Made(logits.copy(), counts) for name in ("engine", "csim", "reference")}
    assert first_difference(made) is None
    made["reference"].logits[2, 1] = -5
    made["reference"].logits[3, 0] = 0
    said = "sample 2, logit 1: engine gives 7, csim gives 7, reference gives -5"
    assert str(first_difference(made)) == said


def test_the_first_differing_count_is_named() -> None:
    assert differing_counts({"engine": (9, 0, 1, 7, 5, 6), "csim": (9, 0, 1, 7, 5, 6)}) is None
    said = "number of samples counted as detected: engine gives 7, csim gives 3"
    assert differing_counts({"engine": (9, 0, 1, 7, 5, 6), "csim": (9, 0, 1, 3, 5, 8)}) == said


def test_a_csim_of_another_plan_is_found(tmp_path: Path) -> None:
    said = (
        r"trial \d+, sample \d+, logit \d: engine gives (-?\d+), engine's campaign gives \1, csim gives -?\d+; "
        r"`codesign replay \S+` repeats it$"
    )
    with pytest.raises(MismatchError, match=said):
        verify(result(), *CAMPAIGN, 50, csim=Csim(ProtectionPlan()), mismatches=tmp_path)


def test_counts_that_the_logits_do_not_give_are_found(tmp_path: Path) -> None:
    """A campaign whose own path through the engine is wrong, or a store of a wrong one."""
    plain = result(10)
    counts = plain.counts.copy()
    counts["correct"][6] -= 1
    wrong = replace(plain, counts=counts)
    right = plain.counts["correct"][6]
    given = f"the result gives {right - 1}, engine gives {right}, engine's campaign gives {right}, csim gives {right}"
    said = f"trial 6, number of samples counted as correct: {given}; "
    with pytest.raises(MismatchError, match=said):
        verify(wrong, *CAMPAIGN, 10, csim=Csim(), mismatches=tmp_path)


def test_a_flag_that_only_one_simulator_raises_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the case repeats it, although every logit is the same."""
    right = NativeEngine.outcome
    with monkeypatch.context() as patch:
        flagged = np.ones(40, np.bool_)
        patch.setattr(NativeEngine, "outcome", lambda self, faults: replace(right(self, faults), detected=flagged))
        said = "number of samples counted as detected: the result gives 0, engine gives 40, engine's campaign gives 0"
        with pytest.raises(MismatchError, match=said):
            verify(result(1), *CAMPAIGN, 1, csim=Csim(), mismatches=tmp_path)
        [folder] = tmp_path.iterdir()
        replay = Case.load(folder).replay(["engine", "reference"])
        assert replay.first is None and replay.differs is not None and "as detected: engine gives 40" in replay.differs
    assert Case.load(folder).replay(["engine", "reference"]).differs is None


def test_a_csim_that_applies_no_faults_is_found(tmp_path: Path) -> None:
    class Deaf(Csim):
        def outcome(self, faults: FaultArray) -> Outcome:
            raise MismatchError("csim applied a fault 0 times")

    with pytest.raises(MismatchError, match="trial 0, csim applied a fault 0 times; `codesign replay"):
        verify(result(1), *CAMPAIGN, 1, csim=Deaf(), mismatches=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_wrong_engine_leaves_a_case_that_repeats_it(
    wrong: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    with pytest.raises(MismatchError, match="sample 17, logit 1"):
        verify(result(), *CAMPAIGN, 20, csim=Csim(), mismatches=tmp_path / "mismatches")
    [folder] = (tmp_path / "mismatches").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.txt", "faults.json", "inputs.npz", "network.npz", "plan.json")
    ]
    case = Case.load(folder)
    trial = case.faults.trial
    assert trial == chosen_trials(9, 50, 20)[0] and case.faults.model == MODEL
    assert case.network == NETWORK and case.plan.digest == PLAN.digest and np.array_equal(case.inputs, INPUTS)
    assert np.array_equal(case.faults.faults, FaultSpace(*CAMPAIGN[:3], 40).draw(trial))
    readme = (folder / "README.txt").read_text()
    assert f"codesign replay {folder.name}" in readme and "sample 17, logit 1: engine gives" in readme

    replay = ["replay", str(folder), "--simulator", "engine", "--simulator", "reference"]
    assert cli.run(replay) == cli.UNMET
    said = r"^sample 17, logit 1: engine gives -?\d+, engine's campaign gives (-?\d+), reference gives \1$"
    assert re.search(said, capsys.readouterr().out, re.MULTILINE)
    assert cli.run([*replay, "--json"]) == cli.UNMET
    shown = json.loads(capsys.readouterr().out)
    assert not shown["agree"] and (shown["first_difference"]["sample"], shown["first_difference"]["logit"]) == (17, 1)
    wrong.undo()
    assert cli.run(replay) == 0
    assert capsys.readouterr().out.endswith("engine, reference agree on every logit and count\n")
    assert cli.run([*replay, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "simulators": ["engine", "reference"],
        "agree": True,
        "differs": None,
        "first_difference": None,
        "samples": 40,
        "faults": len(case.faults.faults),
        "network": NETWORK.digest,
        "plan": PLAN.digest,
        "trial": trial,
    }


def test_a_campaign_that_goes_wrong_on_its_own_leaves_a_case_that_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is right on lists and wrong where it draws itself."""
    right = NativeEngine.run_campaign

    def run_campaign(self: NativeEngine, *arguments: Any, **options: Any) -> Counts:
        counts = right(self, *arguments, **options)
        return replace(counts, logits=None if counts.logits is None else counts.logits + 1)

    with monkeypatch.context() as patch:
        patch.setattr(NativeEngine, "run_campaign", run_campaign)
        with pytest.raises(MismatchError, match="engine's campaign gives"):
            verify(result(5), *CAMPAIGN, 1, csim=Csim(), mismatches=tmp_path)
        [folder] = tmp_path.iterdir()
        assert "engine's campaign" in str(Case.load(folder).replay(["engine", "reference"]).differs)
    case = Case.load(folder)
    assert case.replay(["engine", "reference"]).differs is None
    # A list that was changed by hand is no longer that trial.
    fewer = Case(case.network, case.plan, case.inputs, replace(case.faults, faults=case.faults.faults[1:]))
    engine = simulators.open_simulator("engine", *(NETWORK, PLAN, INPUTS))
    golden_and_truth = forward(NETWORK, INPUTS)[-1], np.zeros(40, np.int64)
    assert list(fewer.made(engine, "engine", *golden_and_truth)) == ["engine"]
    assert list(case.made(engine, "engine", *golden_and_truth)) == ["engine", "engine's campaign"]


@pytest.mark.cxx
def test_a_campaign_on_a_wrong_engine_does_not_report(
    wrong: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    """By the default of the command line, and on the real csim; the trials are kept."""
    study, run = studies.write_study(tmp_path), tmp_path / "run"
    assert cli.run(["campaign", str(study), "--out", str(run), "--json"]) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    [folder] = (run / "mismatches").iterdir()
    assert studies.refusal(err).endswith(f"`codesign replay {folder}` repeats it")
    assert cli.run(["replay", str(folder)]) == cli.UNMET
    assert "engine gives" in capsys.readouterr().out
    wrong.undo()
    assert cli.run(["replay", str(folder)]) == 0
    assert capsys.readouterr().out.endswith("engine, csim, reference agree on every logit and count\n")
    assert cli.run(["campaign", str(study), "--out", str(run), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["verified"] == chosen_trials(5, 50, 20)
    assert err.startswith("csim equals the engine in 20 replayed trials: ")


@pytest.mark.cxx
def test_from_python_the_case_lies_beside_the_store(
    wrong: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert result(5).verified == ()
    with Store(tmp_path / "run" / "study.sqlite") as store, pytest.raises(MismatchError):
        result(5, verify=3, store=store)
    assert len(list((tmp_path / "run" / "mismatches").iterdir())) == 1
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MismatchError):
        result(5, verify=3)
    assert len(list((tmp_path / "mismatches").iterdir())) == 1
    wrong.undo()
    assert result(5, verify=3).verified == tuple(chosen_trials(9, 5, 3))


# ---------------------------------------------------------------- without a compiler, interrupted


def test_without_a_compiler_it_is_said_before_any_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    study, run = studies.write_study(tmp_path), tmp_path / "run"
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert cli.run(["campaign", str(study), "--out", str(run)]) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    line = studies.refusal(err)
    assert out == "" and "no C++ compiler 'no-such-compiler'" in line and "g++" in line and "--verify 0" in line
    assert not run.exists()
    assert cli.run(["campaign", str(study), "--out", str(run), "--verify", "0"]) == 0
    assert cli.run(["campaign", str(study), "--out", str(run), "--simulator", "reference", "--trials", "2"]) == 0
    capsys.readouterr()
    with pytest.raises(ToolError, match="verify=0"):
        result(verify=1)
    assert cli.run(["faults", str(study), "--trial", "1", "--out", str(tmp_path / "case")]) == 0
    capsys.readouterr()
    assert cli.run(["replay", str(tmp_path / "case")]) == cli.BAD_INPUT
    assert "--simulator engine --simulator reference" in studies.refusal(capsys.readouterr().err)


def test_an_interrupted_replay_keeps_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Ctrl-C at the third replayed trial."""

    class Stopped:
        name = "csim"

        def __init__(self) -> None:
            self.runs = 0

        def outcome(self, faults: FaultArray) -> Outcome:
            self.runs += 1
            if self.runs > 2:
                raise KeyboardInterrupt
            return self.reference.outcome(faults)  # type: ignore[attr-defined, no-any-return]

    opened, stopped = simulators.open_simulator, Stopped()

    def open_simulator(name: Any, *arguments: Any) -> Any:
        if name != "csim":
            return opened(name, *arguments)
        stopped.reference = ReferenceSimulator(*arguments)  # type: ignore[attr-defined]
        return stopped

    study, run = studies.write_study(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("codesign.campaign.verify.open_simulator", open_simulator)
        assert cli.run(["campaign", str(study), "--out", str(run)]) == cli.INTERRUPTED
    out, err = capsys.readouterr()
    assert out == "" and studies.refusal(err).startswith("interrupted") and stopped.runs == 3
    monkeypatch.setattr("codesign.campaign.task.open_simulator", None)  # no trial is run again
    assert cli.run(["campaign", str(study), "--out", str(run), "--verify", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 50


# ---------------------------------------------------------------- cases


def saved(folder: Path, plan: ProtectionPlan = PLAN, samples: int = 40) -> Path:
    listed = FaultList.drawn(NETWORK, plan, MODEL, samples, 3)
    Case(NETWORK, plan, INPUTS[:samples], listed).save(folder, "A test.")
    return folder


def complaint(captured: Captured, *arguments: str | Path) -> str:
    assert cli.run(["replay", *map(str, arguments), "--simulator", "engine", "--simulator", "reference"]) == 2
    out, err = captured.readouterr()
    assert out == ""
    return studies.refusal(err)


def test_the_trial_of_a_study_becomes_a_case(tmp_path: Path, capsys: Captured) -> None:
    study = studies.write_study(tmp_path)
    arguments = ["faults", str(study), "--trial", "7", "--ber", "1e-2", "--seed", "77", "--weight-bits", "4"]
    assert cli.run([*arguments, "--out", str(tmp_path / "case"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    network, model = studies.tiny_network("tiny", 4), FaultModel((Target.ACCUMULATOR,), ber=1e-2, seed=77)
    drawn = FaultSpace(network, ProtectionPlan(), model, 120).draw(7)
    assert (shown["trial"], shown["samples"], shown["faults"]) == (7, 120, len(drawn))
    assert (shown["network"], shown["fault_model"]) == (network.digest, model.digest)
    case = Case.load(Path(shown["folder"]))
    assert np.array_equal(case.faults.faults, drawn) and (case.faults.model, case.faults.trial) == (model, 7)
    assert cli.run([*arguments, "--out", str(tmp_path / "case")]) == 0  # the same once more
    assert capsys.readouterr().out == f"{len(drawn)} faults on 120 samples: {tmp_path / 'case' / 'faults.json'}\n"
    assert cli.run(["replay", str(tmp_path / "case"), "--simulator", "engine", "--simulator", "reference"]) == 0


def test_cases_lie_in_the_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    study = studies.write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.run(["faults", str(study), "--trial", "2"]) == 0
    [folder] = Path("runs/tiny/cases").iterdir()
    assert folder.name.endswith("-2") and Case.load(folder).faults.trial == 2
    capsys.readouterr()


def test_another_list_for_the_same_case(tmp_path: Path, capsys: Captured) -> None:
    folder, other, foreign = saved(tmp_path / "a"), tmp_path / "other.json", saved(tmp_path / "b", ProtectionPlan())
    FaultList.drawn(NETWORK, PLAN, MODEL, 40, 4).save(other, NETWORK)
    assert np.array_equal(Case.load(folder, other).faults.faults, FaultSpace(*CAMPAIGN[:3], 40).draw(4))
    line = complaint(capsys, folder, "--faults", foreign / "faults.json")
    assert "another plan" in line and PLAN.digest[:16] in line and ProtectionPlan().digest[:16] in line
    short = saved(tmp_path / "c", samples=10)
    line = complaint(capsys, folder, "--faults", short / "faults.json")
    assert "is for 10 samples" in line and "holds 40" in line


def test_what_is_no_case_is_refused(tmp_path: Path, capsys: Captured) -> None:
    assert complaint(capsys, tmp_path / "no").startswith(f"no case folder {tmp_path / 'no'}")
    for name in ("network.npz", "plan.json", "inputs.npz", "faults.json"):
        folder = saved(tmp_path / name)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        assert str(folder / name) in complaint(capsys, folder)
        (folder / name).unlink()
        assert str(folder / name) in complaint(capsys, folder)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (INPUTS[:, :5], "takes shape (n_samples, 6), got (40, 5)"),
        (INPUTS / 2.0, "raw inputs are float64, expected whole numbers"),
        (INPUTS + 64, "lie outside"),
        (INPUTS.astype(object), "raw inputs cannot be read"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(array: Any, said: str, tmp_path: Path, capsys: Captured) -> None:
    folder = saved(tmp_path / "case")
    np.savez(folder / "inputs.npz", raw_inputs=array)
    line = complaint(capsys, folder)
    assert str(folder / "inputs.npz") in line and said in line


def test_a_replay_needs_two_simulators(tmp_path: Path, capsys: Captured) -> None:
    folder = str(saved(tmp_path / "case"))
    assert cli.run(["replay", folder, "--simulator", "engine", "--simulator", "engine"]) == cli.BAD_INPUT
    assert "name two or more, got engine" in studies.refusal(capsys.readouterr().err)
    assert cli.run(["replay", folder, "--simulator", "spice"]) == cli.BAD_INPUT
    assert "unknown simulator 'spice'" in studies.refusal(capsys.readouterr().err)
