"""Campaigns of what needs no training: saved networks and projects, on a machine without TensorFlow or hls4ml."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies

import codesign.cli as cli
from codesign.hls.project import write_project
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.study import load_study
from codesign.train.builder import data

Captured = pytest.CaptureFixture[str]
FAULTS = ("--target", "accumulator", "--ber", "1e-3", "--seed", "5", "--trials", "50", "--verify", "0")
NETWORK = studies.tiny_network("tiny", studies.WIDTHS[-1])
PLAN = ProtectionPlan.full(NETWORK)

# Refuses the frameworks as a machine does that has none of them, then is the command.
WITHOUT = """
import sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuses())
from codesign.cli import main
main()
"""
HEAVY = ("tensorflow", "keras", "qkeras", "tensorflow_model_optimization", "hls4ml", "skopt", "sklearn", "matplotlib")


def run_without(*arguments: str | Path, refused: tuple[str, ...] = HEAVY) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(refused=refused), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a study, its widest network, a plan for it, and the study's test set."""
    study = studies.write_study(tmp_path)
    samples = data(load_study(study))
    NETWORK.save(tmp_path / "net.npz")
    PLAN.save(tmp_path / "plan.json", NETWORK)
    np.savez(tmp_path / "data.npz", inputs=samples.test_inputs, labels=samples.test_labels)
    return tmp_path


def campaign(captured: Captured, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    assert cli.run(["campaign", *map(str, arguments), "--json"]) == code
    out, err = captured.readouterr()
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    return found


def refused(captured: Captured, *arguments: str | Path) -> str:
    assert cli.run(["campaign", *map(str, arguments)]) == cli.BAD_INPUT
    out, err = captured.readouterr()
    assert out == ""
    return studies.refusal(err)


def test_a_saved_network_is_attacked_as_its_study_is(folder: Path, capsys: Captured) -> None:
    plan = ("--plan", folder / "plan.json")
    study = campaign(capsys, folder / "tiny.toml", "--verify", "0", "--out", folder / "a", *plan)
    saved = campaign(capsys, folder / "net.npz", "--data", folder / "data.npz", *FAULTS, "--out", folder / "b", *plan)
    assert saved == study
    raw = NETWORK.quantise_inputs(np.load(folder / "data.npz")["inputs"])
    np.savez(folder / "raw.npz", inputs=raw, labels=np.load(folder / "data.npz")["labels"])
    assert campaign(capsys, folder / "net.npz", "--data", folder / "raw.npz", *FAULTS, "--out", folder, *plan) == study


def test_options_of_a_study_can_be_others(folder: Path, capsys: Captured) -> None:
    """So that what a saved network is asked can be asked of its study."""
    options = ("--target", "weight", "--flips", "3", "--lifetime", "persistent", "--verify", "0", "--out", folder / "a")
    study = campaign(capsys, folder / "tiny.toml", *options)
    more = ("--data", folder / "data.npz", "--seed", "5", "--trials", "50")
    assert campaign(capsys, folder / "net.npz", *more, *options) == study
    assert (
        study["fault_model"] != campaign(capsys, folder / "tiny.toml", "--verify", "0", "--out", folder)["fault_model"]
    )


def test_trained_networks_and_their_test_set_are_all_that_is_needed(folder: Path, capsys: Captured) -> None:
    assert cli.run(["train", str(folder / "tiny.toml"), "--out", str(folder / "run"), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    network = next(row["file"] for row in written["networks"] if row["weight_bits"] == studies.WIDTHS[-1])
    saved = campaign(capsys, network, "--data", written["data"], *FAULTS, "--out", folder / "b")
    assert saved == campaign(capsys, folder / "tiny.toml", "--verify", "0", "--out", folder / "a")


@pytest.mark.cxx
def test_a_project_is_attacked_and_replayed_as_it_is(folder: Path) -> None:
    """Without hls4ml: the project's own csim is compiled, and it needs nothing but g++."""
    write_project(NETWORK, PLAN, folder / "project")
    arguments = ("--data", folder / "data.npz", *FAULTS[:-2], "--out", folder / "run", "--verify", "3", "--json")
    done = run_without("campaign", folder / "project", *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["network"], found["plan"], len(found["verified"])) == (NETWORK.digest, PLAN.digest, 3)
    # What is replayed is this project: with another function inside the csim differs.
    top = folder / "project" / "firmware" / f"{NETWORK.name}.cpp"
    relu = "nnet::relu<layer2_t, layer3_t, relu_config3>(layer2_out, layer3_out);"
    assert top.read_text().count(relu) == 1
    top.write_text(top.read_text().replace(relu, "for (int i = 0; i < 5; i++) layer3_out[i] = 0;"))
    broken = run_without("campaign", folder / "project", *arguments)
    assert broken.returncode == cli.BAD_INPUT and "mismatches" in broken.stderr


@pytest.mark.parametrize("what", ["net.npz", "project"])
def test_without_the_frameworks(what: str, folder: Path) -> None:
    write_project(NETWORK, PLAN, folder / "project")
    wanted = ("--require", "accuracy>=0.5", "--require", "sdc1<=1e-4", "--until-decided", "--junit", folder / "out.xml")
    done = run_without("campaign", folder / what, "--data", folder / "data.npz", *FAULTS, "--out", folder, *wanted)
    assert done.returncode == cli.UNMET, done.stderr
    assert done.stderr == "" and (folder / "out.xml").exists()
    assert "requirement accuracy>=0.5@0.95: met, accuracy" in done.stdout
    assert "requirement sdc1<=0.0001@0.95: violated, sdc1" in done.stdout


@pytest.mark.cxx
def test_a_csim_that_cannot_be_written_is_said_before_any_trial(folder: Path) -> None:
    for options in (("--verify", "3"), ("--verify", "0", "--simulator", "csim")):
        arguments = ("--data", folder / "data.npz", *FAULTS[:-2], "--out", folder / "run", *options)
        done = run_without("campaign", folder / "net.npz", *arguments)
        assert done.returncode == cli.BAD_INPUT
        assert "the module hls4ml is missing: install hls4ml, or leave the csim out" in studies.refusal(done.stderr)


def saved_without(folder: Path, name: str, **arrays: Any) -> Path:
    np.savez(folder / name, **arrays)
    return folder / name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("net.npz", *FAULTS), "net.npz has no data of its own: --data, an NPZ file with the arrays inputs and labels"),
        (("net.npz", "--data", "none.npz", *FAULTS), "no data file"),
        (("net.npz", "--data", "net.npz", *FAULTS), "net.npz is no NPZ file with the arrays inputs and labels"),
        (("net.npz", "--data", "tiny.toml", *FAULTS), "tiny.toml is no NPZ file with the arrays"),
        (("net.npz", "--data", "short.npz", *FAULTS), "short.npz: labels must be 120 whole numbers, got shape (7,)"),
        (("net.npz", "--data", "data.npz"), "which bits flip? --target, one or more of weight, bias, product"),
        (("net.npz", "--data", "data.npz", "--target", "weight"), "how often do bits flip? --ber 1e-4"),
        (("net.npz", "--data", "data.npz", *FAULTS, "--flips", "1"), "either ber or n_flips"),
        (("net.npz", "--data", "data.npz", *FAULTS, "--target", "wieght"), "unknown fault target 'wieght'"),
        (("net.npz", "--data", "data.npz", *FAULTS, "--lifetime", "brief"), "unknown lifetime 'brief'"),
        (("net.npz", "--data", "data.npz", *FAULTS, "--weight-bits", "4"), "--weight-bits does not go with a saved"),
        (("data.npz", "--data", "data.npz", *FAULTS), "data.npz is not a network file"),
        (("gone.npz", "--data", "data.npz", *FAULTS), "no network file"),
        ((".", "--data", "data.npz", *FAULTS), "is not a codesign project: codesign.json"),
        ((".", "--data", "data.npz", *FAULTS, "--plan", "plan.json"), "--plan does not go with a project"),
        (("tiny.toml", "--data", "data.npz"), "--data does not go with a study"),
    ],
)
def test_what_does_not_fit_is_one_line(
    arguments: tuple[str, ...], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(folder)
    np.savez("short.npz", inputs=np.load("data.npz")["inputs"], labels=np.zeros(7, int))
    assert said in refused(capsys, *arguments)
    assert not (folder / "runs").exists()


def test_a_plan_for_another_network_is_refused(folder: Path, capsys: Captured) -> None:
    other = studies.tiny_network("tiny", studies.WIDTHS[0])
    other.save(folder / "other.npz")
    assert Network.load(folder / "other.npz") != NETWORK
    arguments = ("--data", folder / "data.npz", *FAULTS, "--plan", folder / "plan.json")
    assert "a plan for another network" in refused(capsys, folder / "other.npz", *arguments)
