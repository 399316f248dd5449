"""Bad input and bad surroundings: one clear line, the right exit code, and nothing lost that was computed."""

import errno
import importlib.metadata
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import studies

import codesign.cli as cli
import codesign.files as files
from codesign.campaign.run import CampaignResult
from codesign.campaign.store import Store
from codesign.errors import ConfigError
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.search.evaluate import Evaluator
from codesign.search.stages import Stage, Staged
from codesign.study import load_study

DATA = Path(__file__).resolve().parent / "data" / "reports"
VITIS = DATA / "vitis-2024.1-xcu250-conv1d" / "csynth.xml"
KIB = 1024

Captured = pytest.CaptureFixture[str]
Change = tuple[str, str]


def refused(captured: Captured, *arguments: str | Path) -> str:
    """Run a command that is to fail as bad input; its one line on standard error."""
    captured.readouterr()
    assert cli.run([str(argument) for argument in arguments]) == cli.BAD_INPUT
    out, err = captured.readouterr()
    assert out == ""
    return studies.refusal(err)


def complaint(stderr: str) -> str:
    """The one line after the progress of a command that failed in the middle."""
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if line.startswith("codesign:")]
    assert len(lines) == 1 and stderr.splitlines()[-1] == lines[0], stderr
    return lines[0].removeprefix("codesign: ")


def evaluations(run: Path) -> list[Any]:
    """Evaluations in a store, without their times. Opening it must work."""
    with Store(run / "study.sqlite") as store:
        return [studies.without_seconds(document) for document in store.evaluations("design")]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return studies.write_study(tmp_path / "study")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a search that was stopped after three evaluations; its study lies beside it."""
    folder = tmp_path_factory.mktemp("searched")
    process = studies.start("optimize", studies.write_study(folder), "--out", folder / "run")
    assert process.stderr is not None
    with process.stderr as lines:
        for _ in range(3):
            assert "LUT" in lines.readline()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
    assert process.returncode == cli.INTERRUPTED
    return folder / "run"


# ---------------------------------------------------------------- study and builder


@pytest.mark.parametrize("command", ["train", "analyze", "campaign", "optimize"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[train]\nepochs", "[train]\nepoch"), "[train] unknown key 'epoch'; did you mean 'epochs'?"),
        (("[space]", "[spaces]"), "unknown key 'spaces'; did you mean 'space'?"),
        (("trials = 50", 'trials = "fifty"'), "[faults] trials: found 'fifty', expected a whole number"),
        (("seed = 5", "seed = 5.0"), "seed: found 5.0, expected a whole number"),
        (("ber = 1e-3", "ber = 2.0"), "[faults] ber: found 2.0, expected at most 1"),
        (("ber = 1e-3", "ber = -1e-3"), "[faults] ber: found -0.001, expected at least 0"),
        (("[4, 6]", "[4, 99]"), "[space] weight_bits: found 99, expected whole numbers in 2..16"),
        (('"accumulator"', '"voters"'), "[faults] targets: found 'voters', expected one of"),
        (('builder = "tiny.py"', 'builder = "none.py"'), "[model] builder: no file"),
        (('board = "zcu102"', 'backend = "Catapult"'), "[hardware] backend: found 'Catapult', expected one of"),
        (('name = "tiny"', "name = "), "is not TOML"),
    ],
)
def test_studies(command: str, change: Change, said: str, tmp_path: Path, capsys: Captured) -> None:
    path = studies.write_study(tmp_path, change, kept=False)
    line = refused(capsys, command, path, *(["--out", tmp_path / "run"] if command != "analyze" else []))
    assert line.startswith(str(path)) and said in line
    assert not (tmp_path / "run").exists()


def test_absent_study(tmp_path: Path, capsys: Captured) -> None:
    assert refused(capsys, "optimize", tmp_path / "no.toml") == f"no study file {tmp_path / 'no.toml'}"


@pytest.mark.parametrize("command", ["train", "analyze", "campaign", "optimize"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("    inputs = ", "    open('/nowhere')\n    inputs = "), "load_data raised FileNotFoundError"),
        (("import numpy as np", "import nunpy as np"), "the builder raised ModuleNotFoundError"),
        (("def load_data", "def get_data"), "no function load_data"),
        (("inputs[:180] / 16", "inputs[:180] / 7"), "is not exact in INPUT_TYPE"),
        (("options):\n    inputs", "options):\n    raise ValueError('two\\nlines')\n    inputs"), "two lines"),
    ],
)
def test_builders(command: str, change: Change, said: str, study: Path, capsys: Captured) -> None:
    builder = study.with_name("tiny.py")
    assert change[0] in builder.read_text()
    builder.write_text(builder.read_text().replace(*change))
    run = study.parent / "run"
    line = refused(capsys, command, study, *(["--out", run] if command != "analyze" else []))
    assert str(builder) in line and said in line
    assert not (run / "result.json").exists()


@pytest.mark.tf
def test_unsupported_layer(tmp_path: Path) -> None:
    study = studies.write_study(tmp_path, kept=False)
    builder = study.with_name("tiny.py")
    model = (
        "import tensorflow as tf\n"
        "    inputs = tf.keras.Input((6,), name='entry')\n"
        "    return tf.keras.Model(inputs, tf.keras.layers.Dense(3, name='plain')(inputs))\n"
    )
    text = builder.read_text().replace('raise RuntimeError("these tests do not train")\n', model)
    assert model in text
    builder.write_text(text)
    done = studies.codesign("optimize", study, "--out", tmp_path / "run")
    assert done.returncode == cli.BAD_INPUT and done.stdout == ""
    assert complaint(done.stderr).startswith("layer 'plain' (Dense) is not supported: it has no quantisers")


def test_a_corrected_study_may_use_the_folder(tmp_path: Path, capsys: Captured) -> None:
    """A first attempt that failed has found nothing, so it does not own the folder."""
    run = tmp_path / "run"
    wrong = studies.write_study(tmp_path / "wrong", ('"zcu102"', '"zcu103"'))
    line = refused(capsys, "optimize", wrong, "--out", run)
    assert line.startswith("unknown board 'zcu103'; did you mean 'zcu10")
    assert (run / "study.sqlite").exists()
    right = studies.write_study(tmp_path / "right")
    assert cli.run(["campaign", str(right), "--out", str(run), "--verify", "0"]) == 0
    # Now it holds something, and belongs to that study.
    assert "belongs to another study" in refused(capsys, "campaign", wrong, "--out", run)


def test_a_study_that_was_changed_is_told_before_it_is_trained(tmp_path: Path, capsys: Captured) -> None:
    study, run = studies.write_study(tmp_path), tmp_path / "run"
    assert cli.run(["campaign", str(study), "--out", str(run), "--trials", "5", "--verify", "0"]) == 0
    changed = studies.write_study(tmp_path, ("seed = 5", "seed = 6"), ("ber = 1e-3", "ber = 1e-4"), kept=False)
    for command in ("campaign", "optimize"):
        line = refused(capsys, command, changed, "--out", run)
        assert line == (
            f"{run / 'study.sqlite'} belongs to another study, or this one was changed since: faults.ber was 0.001, "
            "is 0.0001; seed was 5, is 6; undo that, or choose another folder with --out"
        )


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--require", "accuracy>0.9"], "requirement 'accuracy>0.9': write it as accuracy>=0.95@0.99"),
        (["--require", "accuracy"], "requirement 'accuracy': write it as"),
        (["--require", ""], "requirement '': write it as"),
        (["--require", "accuracy>=high"], "requirement 'accuracy>=high': write it as"),
        (["--require", "accuracy>=1e"], "requirement 'accuracy>=1e': write it as"),
        (["--require", "speed>=0.9"], "unknown metric 'speed', choose from accuracy, sdc1"),
        (["--require", "accuracy>=95"], "the bound lies in 0..1"),
        (["--require", "accuracy>=0.9@95"], "the confidence between 0 and 1"),
        (["--require", "accuracy>=0.9@1"], "the confidence between 0 and 1"),
        (["--ber", "1.5"], "bit error rate 1.5 is outside 0..1"),
        (["--ber", "-0.1"], "bit error rate -0.1 is outside 0..1"),
        (["--ber", "nan"], "bit error rate nan is outside 0..1"),
        (["--seed", str(2**64)], f"seed {2**64} is outside"),
        (["--simulator", "verilator"], "unknown simulator 'verilator', choose from engine, csim, reference"),
        (["--weight-bits", "5"], "--weight-bits 5: the study has 4, 6"),
        (["--weight-bits", "0"], "--weight-bits 0: the study has 4, 6"),
    ],
)
def test_arguments_of_campaign(arguments: list[str], said: str, study: Path, capsys: Captured) -> None:
    assert said in refused(capsys, "campaign", study, "--out", study.parent / "run", *arguments)


@pytest.mark.parametrize("command", ["train", "analyze"])
def test_width_that_the_study_does_not_have(command: str, study: Path, capsys: Captured) -> None:
    assert refused(capsys, command, study, "--weight-bits", "0") == "--weight-bits 0: the study has 4, 6"


def layer(name: str, bits: Any, mechanism: str = "tmr") -> dict[str, Any]:
    return {"layer": name, "hardened_bits": bits, "mechanism": mechanism}


def plan_text(*layers: Any) -> str:
    return json.dumps({"format": 1, "layers": layers})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"format: 1", "is not JSON: Expecting value"),
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[]", "is not a protection plan"),
        (b"null", "is not a protection plan"),
        (b'{"format": 9, "layers": []}', "plan format 9, this version reads 1"),
        (b'{"format": 1}', "is not a protection plan: KeyError('layers')"),
        (plan_text(3).encode(), "is not a protection plan"),
        (plan_text(layer("first", "11111")).encode(), "must be whole numbers"),
        (plan_text(layer("first", [1.5] * 5)).encode(), "must be whole numbers"),
        (plan_text(layer("first", [1] * 5, "dmr5")).encode(), "plan.json: 'dmr5', choose from tmr, dmr, recompute"),
        (plan_text(layer("second", [1] * 5)).encode(), "network 'tiny' has no layer 'second'; it has"),
        (plan_text(layer("relu", [1] * 5)).encode(), "layer 'relu' (relu) does not compute"),
        (plan_text(layer("first", [1] * 6)).encode(), "layer 'first' has 5 neurons, the plan names 6"),
        (plan_text(layer("first", [1, 1, 1, 1, 16])).encode(), "neuron 4: 16 hardened bits, the accumulator has 15"),
        (plan_text(layer("first", [-1] * 5)).encode(), "neuron 0: -1 hardened bits"),
        (plan_text(*[layer("first", [1] * 5)] * 2).encode(), "a layer is named twice"),
    ],
)
@pytest.mark.parametrize("simulator", ["engine", "reference"])
def test_plans(content: bytes, said: str, simulator: str, study: Path, tmp_path: Path, capsys: Captured) -> None:
    plan, run = tmp_path / "plan.json", tmp_path / "run"
    plan.write_bytes(content)
    assert said in refused(capsys, "campaign", study, "--out", run, "--simulator", simulator, "--plan", plan)


def test_plan_of_another_network(study: Path, tmp_path: Path, capsys: Captured) -> None:
    """It would fit, and mean something else."""
    network, plan = studies.tiny_network("tiny", 4), tmp_path / "plan.json"
    ProtectionPlan.full(network).save(plan, network)
    arguments = ("campaign", study, "--out", tmp_path / "run", "--plan", plan)
    assert f"{plan} is a plan for another network" in refused(capsys, *arguments)
    assert cli.run([*map(str, arguments), "--weight-bits", "4", "--verify", "0"]) == 0


def test_plan_that_is_not_there(study: Path, tmp_path: Path, capsys: Captured) -> None:
    absent, folder = tmp_path / "no.json", tmp_path
    arguments = ("campaign", study, "--out", tmp_path / "run", "--plan")
    assert refused(capsys, *arguments, absent) == f"cannot read plan {absent}: No such file or directory"
    assert refused(capsys, *arguments, folder) == f"cannot read plan {folder}: Is a directory"


def test_csim_without_a_compiler(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    line = refused(capsys, "campaign", study, "--out", tmp_path / "run", "--simulator", "csim", "--trials", "1")
    assert line.startswith("no C++ compiler 'no-such-compiler': install g++")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("labels[180:]", "labels[180:] * 2 + 3"), ("labels[:180]", "labels[:180] * 4")], "lie outside the 3 classes"),
        ([("labels[180:]", "labels[180:] - 1")], "load_data: test labels: found -1, expected classes from 0"),
        ([("inputs[180:] / 16", "np.where(inputs[180:] > 15, np.nan, 0.5)")], "test inputs hold"),
        ([("inputs[180:] / 16", "inputs[180:] / 2")], "is not exact in INPUT_TYPE ufixed<5,1"),
        ([("inputs[180:] / 16", "inputs[180:, :5] / 16")], "a train input has shape (6,), a test input (5,)"),
        (
            [("inputs[:180] / 16", "inputs[:180, 1:] / 16"), ("inputs[180:] / 16", "inputs[180:, 1:] / 16")],
            "takes shape",
        ),
    ],
)
def test_data_that_do_not_fit(changes: list[Change], said: str, study: Path, tmp_path: Path, capsys: Captured) -> None:
    """By the builder's own rules, or, where the data are sound in themselves, by the network's."""
    builder = study.with_name("tiny.py")
    for change in changes:
        assert change[0] in builder.read_text()
        builder.write_text(builder.read_text().replace(*change))
    if said.startswith(("lie", "takes")):  # the network was trained on other data
        studies.keep_networks(load_study(study), check=False)
    for simulator in ("engine", "reference"):
        line = refused(capsys, "campaign", study, "--out", tmp_path / "run", "--simulator", simulator, "--verify", "0")
        assert said in line


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("command", ["export", "report"])
def test_folders_that_are_no_finished_run(command: str, searched: Path, tmp_path: Path, capsys: Captured) -> None:
    assert refused(capsys, command, tmp_path / "no") == f"{tmp_path / 'no'} is not a run folder (no result.json)"
    assert "has no result yet: let `codesign optimize` finish" in refused(capsys, command, searched)


@pytest.mark.parametrize("command", ["export", "report"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "cannot be read: "),
        (b"\xff", "cannot be read: "),
        (b"[]", "is not a codesign result"),
        (b'{"evaluations": []}', "is not a codesign result: it has no best, nearest, baselines, hardware"),
    ],
)
def test_damaged_results(command: str, content: bytes, said: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "result.json").write_bytes(content)
    line = refused(capsys, command, tmp_path)
    assert line.startswith(str(tmp_path / "result.json")) and said in line


@pytest.mark.cxx
def test_export_of_what_there_is_not(finished_run: Path, tmp_path: Path, capsys: Captured) -> None:
    assert refused(capsys, "export", finished_run, "--design", "12") == f"{finished_run}: no design 12; there are 0..11"
    line = refused(capsys, "export", finished_run, "--backend", "Quartus")
    assert line == "unknown backend 'Quartus', choose from Vivado, Vitis, VivadoAccelerator"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    line = refused(capsys, "export", finished_run, "--out", tmp_path / "mine")
    assert "exists and is not a codesign project" in line
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.cxx
def test_export_without_the_network(finished_run: Path, tmp_path: Path, capsys: Captured) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    for path in (run / "networks").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert "is not a network file" in refused(capsys, "export", run)
    shutil.rmtree(run / "networks")
    assert "no network file" in refused(capsys, "export", run)


# ---------------------------------------------------------------- resources


@pytest.mark.parametrize(
    "content",
    [
        VITIS.read_bytes()[:3000],
        b"",
        b"<testsuite/>",
        b"<profile></profile>",
        b'<!DOCTYPE x [<!ENTITY e "e">]><profile>&e;</profile>',
        b"\x00\x01\x02",
    ],
    ids=["truncated", "empty", "foreign", "hollow", "entities", "binary"],
)
@pytest.mark.parametrize("source", ["vivado", "vitis"])
def test_reports(content: bytes, source: str, tmp_path: Path, capsys: Captured) -> None:
    report = tmp_path / "csynth.xml"
    report.write_bytes(content)
    assert str(report) in refused(capsys, "resources", report, "--source", source)


def test_report_of_another_tool(capsys: Captured) -> None:
    line = refused(capsys, "resources", VITIS, "--source", "vivado")
    assert line == f"{VITIS}: the report is of vitis 2024.1, not of vivado"


def test_resources_of_nothing(tmp_path: Path, capsys: Captured) -> None:
    absent = tmp_path / "no"
    assert refused(capsys, "resources", absent) == f"no project, run or report {absent}"
    assert "choose from estimate, yosys, vivado, vitis" in refused(capsys, "resources", tmp_path, "--source", "quartus")
    assert refused(capsys, "resources", tmp_path).startswith(f"{tmp_path} is not a codesign project")
    assert refused(capsys, "resources", tmp_path, "--source", "vitis").startswith(f"{tmp_path}: no csynth report")
    assert refused(capsys, "resources", VITIS).startswith(f"{VITIS} is not a codesign project")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--source", "estimate", "--family", "xc7"],
            "--family, --rtl and --verify are for --source yosys, not for estimate",
        ),
        (["--source", "vitis", "--rtl", "out"], "--family, --rtl and --verify are for --source yosys, not for vitis"),
        (["--verify", "256"], "--family, --rtl and --verify are for --source yosys, not for estimate"),
        (["--source", "yosys", "--family", "ice40"], "unknown family 'ice40', choose from xc7, xcup"),
        (["--source", "vivado", "--weight-bits", "4"], "choose a study's network, which has no reports"),
        (["--source", "yosys", "--weight-bits", "5"], "--weight-bits 5: the study has 4, 6"),
    ],
)
def test_arguments_of_resources(arguments: list[str], said: str, study: Path, capsys: Captured) -> None:
    assert said in refused(capsys, "resources", study, *arguments)


def test_mapping_without_yosys_or_of_what_has_no_rtl(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(plan_text())
    assert "is a plan: name a project" in refused(capsys, "resources", plan, "--source", "yosys")

    version = importlib.metadata.version

    def missing(name: str) -> str:
        if name == "pyosys":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    line = refused(capsys, "resources", study, "--source", "yosys")
    assert line == "Yosys is not installed: pip install 'codesign[yosys]', or use --source estimate"


@pytest.mark.cxx
def test_report_of_another_project(finished_run: Path, tmp_path: Path, capsys: Captured) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    assert "no csynth report" in refused(capsys, "resources", run, "--source", "vitis")
    reports = run / "best" / "project" / "tiny_prj" / "solution1" / "syn" / "report"
    reports.mkdir(parents=True)
    shutil.copy(VITIS, reports / "csynth.xml")
    line = refused(capsys, "resources", run, "--source", "vitis")
    assert "myproject" in line and "tiny" in line


# ---------------------------------------------------------------- nothing is feasible


@pytest.mark.cxx
def test_impossible_constraints(tmp_path: Path, capsys: Captured) -> None:
    study = studies.write_study(tmp_path, ("accuracy_faulty = 0.9", "accuracy_faulty = 1.0"))
    run = tmp_path / "run"
    assert cli.run(["--quiet", "optimize", str(study), "--evaluations", "3", "--out", str(run)]) == cli.UNMET
    out, err = capsys.readouterr()
    assert err == ""
    result = json.loads((run / "result.json").read_text())
    nearest = result["nearest"]
    assert result["best"] is None and nearest["broken"] == ["accuracy_faulty"]
    missing = [sum(-m for m in entry["margins"].values() if m < 0) for entry in result["evaluations"]]
    assert nearest["binding"] == "accuracy_faulty" and result["constraints"]["accuracy_faulty"]["met_by"] == 0
    assert "binding is accuracy_faulty: none of 3 designs meets it, the best misses it by 0.0" in out
    assert [one["id"] for one in nearest["next"]] == sorted(range(3), key=lambda number: missing[number])
    assert missing[nearest["id"]] == min(missing) and not any(entry["feasible"] for entry in result["evaluations"])
    assert out.startswith(
        f"no design meets the requirements; nearest is number {nearest['id']}, which misses accuracy_faulty by 0.0"
    )
    assert (run / "report.html").stat().st_size > KIB
    # As JSON the same, and what else can be done with a run can be done with this one.
    assert cli.run(["--quiet", "optimize", str(study), "--evaluations", "3", "--out", str(run), "--json"]) == cli.UNMET
    again = json.loads(capsys.readouterr().out)
    assert studies.without_seconds(again) == studies.without_seconds(result)
    assert cli.run(["report", str(run)]) == cli.run(["export", str(run)]) == cli.run(["resources", str(run)]) == 0


@pytest.mark.cxx
def test_feasible_by_luck_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """A design that passes in the search but not with fresh faults is no answer either."""

    def worse(self: Evaluator, network: Network, plan: ProtectionPlan, confidence: float) -> Staged[CampaignResult]:
        stage = Stage(4, 0.0, 1.0, "violated")
        found = self.campaign(network, plan, self.fault_model(3e-2), trials=4)
        return Staged(found, (stage,), confidence, confidence)

    monkeypatch.setattr(Evaluator, "fresh_campaign", worse)
    study, run = studies.write_study(tmp_path), tmp_path / "run"
    assert cli.run(["optimize", str(study), "--evaluations", "3", "--out", str(run)]) == cli.UNMET
    out, err = capsys.readouterr()
    assert "Traceback" not in err and "misses 0.9 in a fresh campaign" in err
    result = json.loads((run / "result.json").read_text())
    passed = sorted((e for e in result["evaluations"] if e["feasible"]), key=lambda e: e["cost"])
    nearest = passed[0]["id"]
    assert out.startswith(f"no design meets the requirements; nearest is number {nearest}, which misses accuracy_fau")
    assert result["best"] is None and result["nearest"]["id"] == nearest
    assert [entry["id"] for entry in result["missed_fresh_campaign"]] == [entry["id"] for entry in passed]
    assert (run / "report.html").stat().st_size > KIB


# ---------------------------------------------------------------- places that cannot be written


def below_a_file(tmp_path: Path) -> Path:
    """A place where nobody, root included, can make anything."""
    (tmp_path / "file").write_text("a file")
    return tmp_path / "file" / "below"


@pytest.mark.parametrize("command", ["train", "campaign", "optimize"])
def test_output_below_a_file(command: str, study: Path, tmp_path: Path, capsys: Captured) -> None:
    place = below_a_file(tmp_path)
    line = refused(capsys, command, study, "--out", place)
    assert str(place) in line and "Not a directory" in line


@pytest.mark.parametrize("command", ["train", "campaign", "optimize"])
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_output(command: str, study: Path, tmp_path: Path, capsys: Captured) -> None:
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    line = refused(capsys, command, study, "--out", place / "run")
    assert str(place) in line and "Permission denied" in line


@pytest.mark.parametrize("command", ["train", "campaign", "optimize"])
def test_output_where_the_system_allows_nothing(command: str, study: Path, capsys: Captured) -> None:
    """The kernel's own file systems refuse root as well."""
    place = Path("/proc/self/run")
    assert str(place) in refused(capsys, command, study, "--out", place)


def test_junit_that_cannot_be_written_loses_no_trial(study: Path, tmp_path: Path, capsys: Captured) -> None:
    junit, run = below_a_file(tmp_path), tmp_path / "run"
    line = refused(capsys, "campaign", study, "--out", run, "--verify", "0", "--junit", junit)
    assert line.startswith(f"cannot write {junit}")
    db = sqlite3.connect(run / "study.sqlite")
    assert db.execute("select sum(count) from batch").fetchone() == (50,)
    db.close()


@pytest.mark.cxx
def test_export_below_a_file(finished_run: Path, tmp_path: Path, capsys: Captured) -> None:
    place = below_a_file(tmp_path) / "project"
    line = refused(capsys, "export", finished_run, "--out", place)
    assert str(place) in line and "Not a directory" in line


def test_cache_that_cannot_be_written(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("CODESIGN_CACHE", str(below_a_file(tmp_path)))
    line = refused(capsys, "train", study, "--out", tmp_path / "run")
    assert "CODESIGN_CACHE" in line


# ---------------------------------------------------------------- a full disk


def no_larger_than(size: int) -> Callable[[], None]:
    """For a new process: a file that grows beyond so many bytes fails, as on a full disk."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_no_room_for_a_store(study: Path, tmp_path: Path) -> None:
    arguments = ("campaign", study, "--out", tmp_path / "run", "--verify", "0", "--json")
    done = studies.codesign(*arguments, preexec_fn=no_larger_than(2 * KIB))
    assert done.returncode == cli.BAD_INPUT and done.stdout == ""
    assert str(tmp_path / "run" / "study.sqlite") in studies.refusal(done.stderr)
    again = studies.codesign(*arguments)
    assert again.returncode == 0 and json.loads(again.stdout)["trials"] == 50


def test_a_disk_that_fills_during_a_search(searched: Path, tmp_path: Path) -> None:
    """What was evaluated before stays, what fits is added, and there is room again later."""
    study, run = searched.parent / "tiny.toml", Path(shutil.copytree(searched, tmp_path / "run"))
    before = evaluations(run)
    size = (run / "study.sqlite").stat().st_size
    done = studies.codesign("optimize", study, "--out", run, preexec_fn=no_larger_than(size + 8 * KIB))
    assert done.returncode == cli.BAD_INPUT and done.stdout == ""
    assert str(run / "study.sqlite") in complaint(done.stderr)
    kept = evaluations(run)
    assert len(before) <= len(kept) < studies.EVALUATIONS and kept[: len(before)] == before
    process = studies.start("optimize", study, "--out", run)
    assert process.stderr is not None
    with process.stderr as lines:
        assert lines.readline().startswith(f"continuing after {len(kept)} of")
        assert "LUT" in lines.readline()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
    assert evaluations(run)[: len(kept)] == kept and len(evaluations(run)) > len(kept)


@pytest.mark.cxx
def test_no_room_for_the_project(finished_run: Path, tmp_path: Path) -> None:
    """The search is done and kept; neither a result nor half a project is left, and later it is finished."""
    study, run = finished_run.parent / "tiny.toml", tmp_path / "run"
    shutil.copytree(finished_run, run, ignore=shutil.ignore_patterns("best", "result.json", "report.html"))
    done = studies.codesign("optimize", study, "--out", run, preexec_fn=no_larger_than(80 * KIB))
    assert done.returncode == cli.BAD_INPUT and done.stdout == ""
    assert str(run / "best" / "project") in complaint(done.stderr)
    assert not (run / "result.json").exists() and not (run / "best" / "project").exists()
    assert evaluations(run) == evaluations(finished_run)
    assert studies.codesign("optimize", study, "--out", run).returncode == 0
    results = [json.loads((folder / "result.json").read_text()) for folder in (run, finished_run)]
    assert studies.without_seconds(results[0]) == studies.without_seconds(results[1])


def test_a_store_that_may_not_grow(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """SQLite's own words for a full disk."""
    run = tmp_path / "run"
    assert cli.run(["campaign", str(study), "--out", str(run), "--verify", "0"]) == 0
    connect = sqlite3.connect

    def small(path: str, **options: Any) -> sqlite3.Connection:
        found = connect(path, **options)
        pages = found.execute("pragma page_count").fetchone()[0]
        found.execute(f"pragma max_page_count = {pages}")
        return found

    with monkeypatch.context() as patch:
        patch.setattr("codesign.campaign.database.sqlite3.connect", small)
        line = refused(capsys, "campaign", study, "--out", run, "--verify", "0", "--trials", "5000")
    full = f"store {run / 'study.sqlite'}: database or disk is full"
    assert line == f"{full}; what was finished is kept: see to the disk and start again"
    with Store(run / "study.sqlite") as store:
        db = store._db.rows("select sum(count) from batch")
        [campaign] = store.campaigns()
        assert db[0][0] >= 50
        assert sum(len(rows) for _, rows in store.batches(campaign)) == db[0][0]  # without a gap


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_file_is_written_whole_or_not_at_all(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "result.json"
    files.write_atomically(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        patch.setattr(Path, "replace", full if failing == "replace" else Path.replace)
        with pytest.raises(ConfigError) as caught:
            files.write_atomically(path, "new")
    assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("arguments", [["--version"], ["doctor", "--json"], ["doctor"]])
def test_full_standard_output(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [*studies.COMMAND, *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == cli.BAD_INPUT
    assert studies.refusal(done.stderr) == "No space left on device"


# ---------------------------------------------------------------- the store


def test_store_of_another_study(searched: Path, tmp_path: Path, capsys: Captured) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    before = (run / "study.sqlite").read_bytes()
    other = studies.write_study(tmp_path / "other", ("ber = 1e-3", "ber = 2e-3"))
    for command in ("optimize", "campaign"):
        assert "belongs to another study" in refused(capsys, command, other, "--out", run)
    assert (run / "study.sqlite").read_bytes() == before
    assert (run / "study" / "tiny.toml").read_text() == studies.TOML


def replaced(path: Path) -> None:
    path.write_bytes(b"this is not a database, and it is long enough to be read as one" * 20)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def scribbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(4096, len(data), 97):
        data[place] ^= 0x55
    path.write_bytes(data)


def half_a_document(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("update evaluation set document = substr(document, 1, 100) where number = 1")
    db.commit()
    db.close()


def other_version(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("update meta set value = '99' where key = 'version'")
    db.commit()
    db.close()


def foreign(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("create table notes (text)")
    db.commit()
    db.close()


@pytest.mark.parametrize("damage", [replaced, truncated, scribbled, half_a_document, other_version, foreign])
def test_damaged_stores(damage: Callable[[Path], None], searched: Path, tmp_path: Path, capsys: Captured) -> None:
    """Refused and left as they are: what can be saved of them is not for us to throw away."""
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    damage(run / "study.sqlite")
    before = (run / "study.sqlite").read_bytes()
    line = refused(capsys, "optimize", searched.parent / "tiny.toml", "--out", run)
    assert str(run / "study.sqlite") in line
    if damage is not half_a_document:  # a session that began is counted in the store
        assert (run / "study.sqlite").read_bytes() == before


def test_a_folder_in_the_store_s_place(study: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "run" / "study.sqlite").mkdir(parents=True)
    line = refused(capsys, "campaign", study, "--out", tmp_path / "run")
    assert line.startswith(f"cannot open the store {tmp_path / 'run' / 'study.sqlite'}")


def test_a_plan_is_checked_although_its_trials_are_known(study: Path, tmp_path: Path, capsys: Captured) -> None:
    """An empty plan and one that hardens nothing share their trials."""
    run, plan = tmp_path / "run", tmp_path / "plan.json"
    assert cli.run(["campaign", str(study), "--out", str(run), "--verify", "0"]) == 0
    plan.write_text(plan_text(layer("second", [0] * 5)))
    assert "no layer 'second'" in refused(capsys, "campaign", study, "--out", run, "--plan", plan)
