"""The command line as scripts see it: exit codes, JSON contracts, and what goes to which stream."""

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import defusedxml.ElementTree
import numpy as np
import pytest
import studies
import typer.main

import codesign
import codesign.cli as cli
from codesign.campaign.store import Store
from codesign.hls.project import Project
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.resources.report import ResourceReport

DATA = Path(__file__).resolve().parent / "data" / "reports"

# What each command's help says first.
PURPOSE = {
    "init": "Write a commented study for a trained model and its data",
    "train": "Train the study's networks",
    "analyze": "Show which neurons and which bits matter",
    "campaign": "Attack the study's network with faults",
    "faults": "Write one trial of a campaign as a case",
    "trials": "List the campaigns whose trials a run folder keeps",
    "replay": "Run one fault list on several simulators",
    "curve": "Measure accuracy and silent data corruption against the bit error rate",
    "compare": "Attack two designs with the same faults",
    "avf": "Measure which share of single upsets matters",
    "calibrate": "Fit the estimate to designs mapped by Yosys",
    "ablate": "Compare unprotected, full TMR, each layer alone",
    "upsets": "Upset the bits of the mapped netlist",
    "optimize": "Search the cheapest design that meets the requirements",
    "export": "Write the HLS project of a design",
    "resources": "Print what a design occupies",
    "build": "Build a project for a board",
    "deploy": "Copy a package to a board over SSH",
    "report": "Write the run's report again",
    "doctor": "List the tools that are there",
}

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return studies.write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A finished run to change at will."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def text(captured: Captured, *arguments: str | Path, code: int = 0) -> str:
    """Run a command in this process; its standard output. Standard error must stay empty."""
    assert cli.run([str(argument) for argument in arguments]) == code
    out, err = captured.readouterr()
    assert err == ""
    return out


def document(captured: Captured, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """The same for `--json`: nothing but one document."""
    found = json.loads(text(captured, *arguments, "--json", code=code))
    assert isinstance(found, dict)
    return found


# ---------------------------------------------------------------- help, version, usage


def test_every_command_is_known_here() -> None:
    assert set(typer.main.get_group(cli.app).commands) == set(PURPOSE)


@pytest.mark.parametrize("command", PURPOSE)
def test_help(command: str, capsys: Captured) -> None:
    shown = " ".join(text(capsys, command, "--help").split())
    assert shown.startswith(f"Usage: codesign {command}")
    assert PURPOSE[command] in shown


def test_help_of_the_whole(capsys: Captured) -> None:
    shown = text(capsys, "--help")
    assert all(command in shown for command in PURPOSE)
    assert "130 interrupted" in " ".join(shown.split())


def test_without_a_command_there_is_help(capsys: Captured) -> None:
    assert cli.run([]) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    assert "Usage: codesign" in out + err


def test_version(capsys: Captured) -> None:
    assert text(capsys, "--version") == f"{codesign.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["optimise", "x.toml"], "No such command"),
        (["optimize"], "Missing argument"),
        (["optimize", "x.toml", "--evaluation", "3"], "No such option"),
        (["optimize", "x.toml", "--evaluations", "0"], "--evaluations"),
        (["optimize", "x.toml", "--evaluations", "many"], "--evaluations"),
        (["campaign", "x.toml", "--trials", "0"], "--trials"),
        (["campaign", "x.toml", "--seed", "-1"], "--seed"),
        (["campaign", "x.toml", "--verify", "-1"], "--verify"),
        (["faults", "x.toml"], "--trial"),
        (["faults", "x.toml", "--trial", "-1"], "--trial"),
        (["replay"], "Missing argument"),
        (["analyze", "x.toml", "--draws", "0"], "--draws"),
        (["export", "x", "--design", "best"], "--design"),
    ],
)
def test_usage_errors(arguments: list[str], said: str, capsys: Captured) -> None:
    assert cli.run(arguments) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == "" and "Usage: codesign" in err and said in err


def test_interrupted(study: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def stop(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("codesign.subject.study_of", stop)
    assert cli.run(["campaign", str(study)]) == cli.INTERRUPTED
    out, err = capsys.readouterr()
    assert out == "" and studies.refusal(err).startswith("interrupted")


# ---------------------------------------------------------------- doctor


def test_doctor_contract(capsys: Captured) -> None:
    tools = document(capsys, "doctor")["tools"]
    assert all({"name", "found", "version", "enables"} <= set(tool) for tool in tools)
    assert all(isinstance(tool["found"], bool) and tool["enables"] for tool in tools)
    found = {tool["name"]: tool for tool in tools}
    assert {"g++", "vivado", "vivado_hls", "vitis-run", "hls4ml", "tensorflow"} <= set(found)
    assert found["hls4ml"]["found"] and found["hls4ml"]["version"] == "1.3.0"


def test_doctor_without_any_tool(capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {tool["name"]: tool for tool in document(capsys, "doctor")["tools"]}
    assert not found["g++"]["found"] and found["g++"]["version"] is None
    assert re.search(r"^g\+\+ +missing +C-simulation", text(capsys, "doctor"), re.MULTILINE)


# ---------------------------------------------------------------- train and analyze


def test_train(study: Path, tmp_path: Path, capsys: Captured) -> None:
    rows = document(capsys, "train", study, "--out", tmp_path)["networks"]
    assert [row["weight_bits"] for row in rows] == list(studies.WIDTHS)
    for row in rows:
        network = Network.load(Path(row["file"]))
        assert network == studies.tiny_network("tiny", row["weight_bits"])
        assert row["network"] == network.digest and row["cached"]
    assert rows[-1]["accuracy_clean"] == 1.0
    shown = text(capsys, "train", study, "--out", tmp_path, "--weight-bits", "4").splitlines()
    assert len(shown) == 1 and shown[0].endswith(rows[0]["file"])


def test_analyze(study: Path, tmp_path: Path, capsys: Captured) -> None:
    shown = document(capsys, "analyze", study, "--draws", "2", "--out", tmp_path)
    assert shown["network"] == studies.tiny_network("tiny", studies.WIDTHS[-1]).digest and shown["draws"] == 2
    for entry, (_, layer) in zip(shown["layers"], studies.tiny_network("tiny", 6).compute_layers(), strict=True):
        assert entry["layer"] == layer.name and len(entry["taylor"]) == layer.n_out
        rates = entry["sdc1_by_neuron_and_bit"]
        assert {len(row) for row in rates} == {layer.acc.width} and len(rates) == layer.n_out
        assert all(0 <= rate <= 1 for row in rates for rate in row)
        assert np.shape(entry["proven_hidden"]) == np.shape(rates) and len(entry["importance"]) == layer.n_out
        assert {target: len(by_bit) for target, by_bit in entry["sdc1_by_bit"].items()} == {
            "accumulator": layer.acc.width,
            "activation": layer.result.width,
            "product": layer.w.type.width + (5 if layer.name == "first" else 14),
            "weight": layer.w.type.width,
        }
    assert shown["score"] == "measured" and {Path(file).suffix for file in shown["files"]} == {".svg", ".png"}
    assert all(Path(file).read_bytes() for file in shown["files"])
    drawn = text(capsys, "analyze", study, "--draws", "2", "--score", "taylor", "--out", tmp_path)
    assert "layer first: 5 neurons" in drawn and len(re.findall(r"^ +\d \|.*\|$", drawn, re.MULTILINE)) == 8
    assert "taylor score" in drawn and "proven never to show: " in drawn


def test_analyze_counts_every_flip(study: Path, tmp_path: Path, capsys: Captured) -> None:
    drawn = document(capsys, "analyze", study, "--draws", "800", "--out", tmp_path, "--weight-bits", "4")["layers"]
    every = document(capsys, "analyze", study, "--exhaustive", "--out", tmp_path, "--weight-bits", "4")
    assert every["draws"] is None
    for one, other in zip(drawn, every["layers"], strict=True):
        for name in ("accumulator", "product", "weight", "activation"):
            assert one["sdc1_by_bit"][name] == pytest.approx(other["sdc1_by_bit"][name], abs=0.05)


def test_a_score_that_does_not_exist_is_refused(study: Path, capsys: Captured) -> None:
    assert cli.run(["analyze", str(study), "--score", "tailor"]) == 2
    assert "unknown importance score 'tailor', choose from taylor, " in capsys.readouterr().err


# ---------------------------------------------------------------- campaign


def campaign(captured: Captured, study: Path, out: Path, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    return document(captured, "campaign", study, "--out", out, "--verify", "0", *arguments, code=code)


def test_campaign_contract(study: Path, tmp_path: Path, capsys: Captured) -> None:
    network = studies.tiny_network("tiny", studies.WIDTHS[-1])
    shown = campaign(capsys, study, tmp_path, "--require", "accuracy>=0.5", "--require", "sdc1<=0.5@0.99")
    assert (shown["simulator"], shown["seed"], shown["trials"], shown["samples"]) == ("engine", 5, 50, 120)
    for name, counts in (("accuracy", "correct_per_trial"), ("sdc1", "sdc1_per_trial")):
        interval = shown[name]
        assert set(interval) == {"mean", "low", "high", "confidence"} and interval["confidence"] == 0.95
        assert len(shown[counts]) == 50
        assert interval["mean"] == pytest.approx(sum(shown[counts]) / (50 * 120), abs=1e-12)
        assert interval["low"] < interval["mean"] < interval["high"]
    assert [(entry["text"], entry["status"], entry["more_trials"]) for entry in shown["requirements"]] == [
        ("accuracy>=0.5@0.95", "met", None),
        ("sdc1<=0.5@0.99", "met", None),
    ]
    assert shown["requirements"][0]["measured"] == shown["accuracy"]
    assert shown["requirements"][1]["measured"]["confidence"] == 0.99
    assert shown["network"] == network.digest and shown["plan"] == ProtectionPlan().digest
    assert re.fullmatch(r"[0-9a-f]{64}", shown["fault_model"])


@pytest.mark.parametrize(
    ("requirement", "status", "code"),
    [
        ("accuracy>=0.5", "met", 0),
        ("accuracy>=0.99", "violated", 1),
        ("accuracy>=0.847", "undecided", 1),
        ("sdc1<=0.01", "violated", 1),
    ],
)
def test_a_requirement_decides_the_exit_code(
    study: Path, tmp_path: Path, capsys: Captured, requirement: str, status: str, code: int
) -> None:
    shown = campaign(capsys, study, tmp_path, "--require", requirement, code=code)
    assert [entry["status"] for entry in shown["requirements"]] == [status]
    arguments = ("campaign", study, "--out", tmp_path, "--verify", "0", "--require", requirement)
    [line] = [line for line in text(capsys, *arguments, code=code).splitlines() if line.startswith("requirement ")]
    metric = requirement.split(">")[0].split("<")[0]
    assert line.startswith(f"requirement {requirement}@0.95: {status}, {metric} ")
    assert re.search(r"\[0\.\d{5}, [01]\.\d{5}\] at 95% after 50 trials", line)
    assert line.endswith(" would decide it") == (status == "undecided")


def test_more_trials_continue_a_campaign(study: Path, tmp_path: Path, capsys: Captured) -> None:
    first = campaign(capsys, study, tmp_path, "--trials", "30")["correct_per_trial"]
    more = campaign(capsys, study, tmp_path, "--trials", "60")["correct_per_trial"]
    assert len(first) == 30 and len(more) == 60 and more[:30] == first
    assert more == campaign(capsys, study, tmp_path / "anew", "--trials", "60")["correct_per_trial"]
    assert first == campaign(capsys, study, tmp_path, "--trials", "30")["correct_per_trial"]


def test_options_of_the_fault_model(study: Path, tmp_path: Path, capsys: Captured) -> None:
    usual = campaign(capsys, study, tmp_path)
    harder = campaign(capsys, study, tmp_path, "--ber", "1e-2")
    reseeded = campaign(capsys, study, tmp_path, "--seed", "77")
    assert harder["accuracy"]["mean"] < usual["accuracy"]["mean"] - 0.1
    assert reseeded["seed"] == 77 and reseeded["correct_per_trial"] != usual["correct_per_trial"]
    assert len({usual["fault_model"], harder["fault_model"], reseeded["fault_model"]}) == 3
    assert campaign(capsys, study, tmp_path, "--ber", "0")["accuracy"]["mean"] == 1.0


def test_a_plan_and_another_width(study: Path, tmp_path: Path, capsys: Captured) -> None:
    network = studies.tiny_network("tiny", studies.WIDTHS[-1])
    plan = ProtectionPlan.full(network)
    plan.save(tmp_path / "plan.json", network)
    bare = campaign(capsys, study, tmp_path)
    hardened = campaign(capsys, study, tmp_path, "--plan", tmp_path / "plan.json")
    assert hardened["plan"] == plan.digest
    assert hardened["accuracy"]["low"] > bare["accuracy"]["high"]
    narrow = campaign(capsys, study, tmp_path, "--weight-bits", "4")
    assert narrow["network"] == studies.tiny_network("tiny", 4).digest


def test_reference_counts_the_same(study: Path, tmp_path: Path, capsys: Captured) -> None:
    usual = campaign(capsys, study, tmp_path, "--trials", "4")
    slow = campaign(capsys, study, tmp_path, "--trials", "4", "--simulator", "reference")
    assert slow["simulator"] == "reference"
    assert slow["correct_per_trial"] == usual["correct_per_trial"] and slow["sdc1_per_trial"] == usual["sdc1_per_trial"]


@pytest.mark.cxx
def test_csim_counts_the_same(study: Path, tmp_path: Path, capsys: Captured) -> None:
    usual = campaign(capsys, study, tmp_path, "--trials", "10")
    arguments = ["campaign", str(study), "--out", str(tmp_path), "--trials", "10", "--verify", "3", "--json"]
    assert cli.run(arguments) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert len(found["verified"]) == 3 and usual["verified"] == []
    assert found == {**usual, "verified": found["verified"]}
    assert re.fullmatch(r"csim equals the engine in 3 replayed trials: \d, \d, \d\n", err)
    compiled = campaign(capsys, study, tmp_path, "--trials", "10", "--simulator", "csim")
    assert compiled["simulator"] == "csim"
    assert compiled["correct_per_trial"] == usual["correct_per_trial"]
    assert compiled["sdc1_per_trial"] == usual["sdc1_per_trial"]


def test_junit(tmp_path: Path, capsys: Captured) -> None:
    study = studies.write_study(tmp_path).rename(tmp_path / "a \"b\" <c> & 'd'.toml")
    junit = tmp_path / "below" / "junit.xml"
    requirements = ["accuracy>=0.5", "sdc1<=0.001"]
    shown = campaign(
        capsys, study, tmp_path, "--require", requirements[0], "--require", requirements[1], "--junit", junit, code=1
    )
    suite = defusedxml.ElementTree.parse(junit).getroot()
    assert suite.tag == "testsuite" and (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [entry["text"] for entry in shown["requirements"]]
    assert {case.get("classname") for case in cases} == {study.stem}
    met, missed = (case.find("failure") for case in cases)
    assert met is None
    assert missed is not None and missed.get("message", "").startswith("violated: sdc1 0.153")
    assert missed.text is not None and shown["fault_model"] in missed.text and "seed 5" in missed.text


# What Jenkins' schema asks of each element: its attributes, and which of them are numbers. GitHub's readers ask less.
JUNIT = {
    "testsuite": ({"name", "tests", "failures", "errors", "skipped"}, {"tests", "failures", "errors", "skipped"}),
    "testcase": ({"classname", "name"}, set()),
    "failure": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}


def test_junit_has_the_elements_and_attributes_of_the_schema(tmp_path: Path, capsys: Captured) -> None:
    study = studies.write_study(tmp_path).rename(tmp_path / "odd \x01 \udcff.toml")  # neither goes into XML as it is
    junit = tmp_path / "junit.xml"
    wanted = ["--require", "accuracy>=0.5", "--require", "accuracy>=0.847", "--junit", junit]
    campaign(capsys, study, tmp_path, *wanted, code=1)
    suite = defusedxml.ElementTree.parse(junit).getroot()
    for element in suite.iter():
        needed, numbers = JUNIT[element.tag]
        assert set(element.keys()) == needed
        assert all(element.get(name, "").isdecimal() for name in numbers)
    assert [[child.tag for child in case] for case in suite] == [["system-out"], ["failure"]]
    message = suite[1][0].get("message")
    assert message.startswith("undecided: accuracy 0.8") and message.endswith("would decide it")


def test_campaign_as_text(study: Path, tmp_path: Path, capsys: Captured) -> None:
    shown = text(capsys, "campaign", study, "--out", tmp_path, "--verify", "0")
    assert "engine: 50 trials of 120 samples, seed 5" in shown and "accuracy under faults" in shown


# ---------------------------------------------------------------- optimize and what it leaves


@pytest.mark.cxx
def test_the_result_of_a_search(finished_run: Path) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    assert {"best", "baselines", "evaluations", "seconds", "seed", "versions"} <= set(result)
    best, baselines = result["best"], result["baselines"]
    assert best["feasible"] and result["nearest"] is None
    assert {"design", "accuracy_clean", "accuracy_faulty", "resources"} <= set(best)
    assert {"mean", "low", "high", "trials"} <= set(best["accuracy_faulty"])
    assert best["resources"]["source"] == "estimate"
    assert not baselines["unprotected"]["feasible"] and baselines["full_tmr"]["feasible"]
    assert baselines["unprotected"]["resources"]["lut"] < best["resources"]["lut"]
    assert best["resources"]["lut"] < baselines["full_tmr"]["resources"]["lut"]
    assert [entry["id"] for entry in result["evaluations"]] == list(range(studies.EVALUATIONS))
    lucky = {entry["id"] for entry in result["missed_fresh_campaign"]}
    candidates = [entry for entry in result["evaluations"] if entry["feasible"] and entry["id"] not in lucky]
    assert best["cost"] == min(entry["cost"] for entry in candidates)
    assert result["seed"] == 5 and result["seconds"] > 0
    assert result["versions"]["codesign"] == codesign.__version__
    assert result["verification"]["equal"] and result["verification"]["samples"] == 120


@pytest.mark.cxx
def test_the_folder_of_a_search(finished_run: Path) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    assert (finished_run / "study" / "tiny.toml").read_text() == studies.TOML
    assert (finished_run / "study" / "tiny.py").exists()
    assert (finished_run / "report.html").read_text().lstrip().lower().startswith("<!doctype html>")
    kept = {path.stem for path in (finished_run / "networks").iterdir()}
    assert {entry["network"][:16] for entry in result["evaluations"]} <= kept
    project = Project.open(finished_run / "best" / "project")
    assert project.network.digest == result["best"]["network"] and project.plan.digest == result["best"]["plan"]
    assert ProtectionPlan.load(finished_run / "best" / "plan.json", project.network).digest == project.plan.digest
    with Store(finished_run / "study.sqlite") as store:
        assert len(store.evaluations("design")) == studies.EVALUATIONS
    left = [path.name for path in finished_run.rglob(".*")]
    assert left == [".lock"]  # no temporary files


@pytest.mark.cxx
def test_a_finished_search_is_not_done_again(run: Path, finished_run: Path, capsys: Captured) -> None:
    study = finished_run.parent / "tiny.toml"
    again = document(capsys, "--quiet", "optimize", study, "--out", run)
    assert again == json.loads((run / "result.json").read_text())
    before = json.loads((finished_run / "result.json").read_text())
    assert studies.without_seconds(again) == studies.without_seconds(before)
    # The evaluations were read, not repeated: even their times are those of then.
    assert again["evaluations"] == before["evaluations"]


@pytest.mark.cxx
def test_progress_goes_to_standard_error(run: Path, finished_run: Path) -> None:
    done = studies.codesign("optimize", finished_run.parent / "tiny.toml", "--out", run, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["best"]["feasible"]
    assert done.stderr.splitlines()[0].startswith(f"continuing after {studies.EVALUATIONS} of {studies.EVALUATIONS}")


@pytest.mark.cxx
def test_text_of_a_search(run: Path, finished_run: Path, capsys: Captured) -> None:
    shown = text(capsys, "--quiet", "optimize", finished_run.parent / "tiny.toml", "--out", run)
    assert f"best of {studies.EVALUATIONS} designs" in shown and "full_tmr" in shown
    assert f"project: {run / 'best' / 'project'}\nreport:  {run / 'report.html'}\n" in shown


@pytest.mark.cxx
@pytest.mark.slow
def test_the_winner_mapped_by_yosys(run: Path, finished_run: Path, capsys: Captured) -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install pyosys")
    shown = text(capsys, "--quiet", "optimize", finished_run.parent / "tiny.toml", "--out", run, "--synthesise")
    result = json.loads((run / "result.json").read_text())
    mapped, estimated = result["mapped"], result["best"]["resources"]
    assert mapped["source"] == "yosys" and mapped["lut"] == pytest.approx(estimated["lut"], rel=0.15)
    assert f"mapped by {mapped['tool_version']}: {mapped['lut']} LUT" in shown


@pytest.mark.cxx
def test_export(run: Path, capsys: Captured) -> None:
    result = json.loads((run / "result.json").read_text())
    folder = Path(text(capsys, "export", run).strip())
    assert folder == run / "export" / f"{result['best']['id']}-Vivado"
    project, best = Project.open(folder), Project.open(run / "best" / "project")
    assert (project.network, project.plan, project.options) == (best.network, best.plan, best.options)
    assert Path(text(capsys, "export", run).strip()) == folder  # replaces what it wrote before
    other = Path(text(capsys, "export", run, "--design", "1", "--backend", "Vitis", "--out", run / "other").strip())
    exported = Project.open(other)
    assert other == run / "other" and exported.options.backend == "Vitis"
    assert exported.plan.digest == result["evaluations"][1]["plan"]


def test_export_of_a_saved_network(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = studies.tiny_network("tiny", 6)
    plan = ProtectionPlan.uniform(network, 3)
    network.save(tmp_path / "net.npz")
    plan.save(tmp_path / "plan.json", network)
    found = document(capsys, "export", "net.npz", "--plan", "plan.json", "--board", "pynq-z2")
    assert found["project"] == "runs/net/export/net-pynq-z2" and found["board"] == "pynq-z2"
    assert found["design"] is None and found["plan"] == plan.digest and found["network"] == network.digest
    assert Project.open(Path(found["project"])).plan == plan
    assert text(capsys, "export", "net.npz") == "runs/net/export/net-Vivado\n"
    for wrong, said in (
        (["net.npz", "--design", "1"], "--plan says how"),
        ([".", "--plan", "plan.json"], "plans of their"),
    ):
        assert cli.run(["export", *wrong]) == cli.BAD_INPUT
        assert said in studies.refusal(capsys.readouterr().err)


@pytest.mark.cxx
def test_export_for_a_board(run: Path, capsys: Captured) -> None:
    best = json.loads((run / "result.json").read_text())["best"]["id"]
    folder = Path(text(capsys, "export", run, "--board", "pynq-z2").strip())
    assert folder == run / "export" / f"{best}-pynq-z2"
    options = Project.open(folder).options
    assert (options.backend, options.board, options.axi_bits, options.clock_ns) == ("Vivado", "pynq-z2", 64, 10.0)
    assert (folder / "build.sh").exists() and (folder / "build_design.tcl").exists()
    wide = ("--board", "zcu104", "--axi-bits", "512", "--io-type", "io_stream", "--backend", "Vivado")
    folder = Path(text(capsys, "export", run, *wide).strip())
    assert folder.name == f"{best}-zcu104-io_stream"
    options = Project.open(folder).options
    assert (options.backend, options.axi_bits, options.io_type) == ("Vivado", 512, "io_stream")
    for arguments, message in (
        (("--board", "pynk-z2"), "unknown board 'pynk-z2'; did you mean 'pynq-z2'?"),
        (("--axi-bits", "64"), "--axi-bits is for a board's project: name the --board, too"),
        (("--board", "pynq-z2", "--upset-slots", "9"), "upset_slots is 9, expected 0 to 8"),
        (("--board", "pynq-z2", "--axi-bits", "48"), "axi_bits is 48, expected one of 32, 64"),
        (("--board", "pynq-z2", "--backend", "VivadoAccelerator"), "choose Vivado or Vitis"),
        (("--board", "u250", "--backend", "Vivado"), "u250 is a card, which is built with Vitis"),
    ):
        assert cli.run(["export", str(run), *arguments]) == cli.BAD_INPUT
        assert message in capsys.readouterr().err


@pytest.mark.cxx
def test_report_is_written_again(run: Path, capsys: Captured) -> None:
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    assert text(capsys, "report", run) == f"{run / 'report.html'}\n"
    assert (run / "report.html").read_bytes() == before


# ---------------------------------------------------------------- resources


@pytest.mark.cxx
def test_resources_contract(finished_run: Path, capsys: Captured) -> None:
    names = {field.name for field in fields(ResourceReport)}
    estimated = document(capsys, "resources", finished_run)
    assert names <= set(estimated)
    best = json.loads((finished_run / "result.json").read_text())["best"]["resources"]
    assert {name: estimated[name] for name in names} == best
    assert estimated == document(capsys, "resources", finished_run / "best" / "project")
    shown = text(capsys, "resources", finished_run)
    assert "source: estimate" in shown and re.search(rf"^lut +{best['lut']}$", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("vitis", "vitis-2024.1-xcu250-conv1d/csynth.xml"),
        ("vivado", "vivado-2020.1-xczu9eg-dnd/myproject_csynth.rpt"),
    ],
)
def test_resources_of_a_report(source: str, file: str, capsys: Captured) -> None:
    shown = document(capsys, "resources", DATA / file, "--source", source)
    assert set(shown) == {*(field.name for field in fields(ResourceReport)), "modules"}
    assert shown["source"] == source and shown["lut"] > max(module["lut"] for module in shown["modules"])


def test_resources_of_a_project_of_hls4ml(tmp_path: Path, capsys: Captured) -> None:
    """A synthesised project needs no codesign in it to be read."""
    reports = tmp_path / "myproject_prj" / "solution1" / "syn" / "report"
    reports.mkdir(parents=True)
    shutil.copy(DATA / "vitis-2024.1-xcu250-conv1d" / "csynth.xml", reports)
    assert document(capsys, "resources", tmp_path, "--source", "vitis")["lut"] == 17966
