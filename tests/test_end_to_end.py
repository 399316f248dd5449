"""The main job as a user meets it: the shipped study, trained, searched, and its project used without codesign."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies

import codesign.hls.csim as csim
from codesign.fixed import to_real
from codesign.hls.project import Project
from codesign.network import forward
from codesign.study import load_study
from codesign.train import data

STUDY = Path(__file__).resolve().parent.parent / "models" / "digits_mlp.toml"

pytestmark = [pytest.mark.tf, pytest.mark.cxx]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    done = studies.codesign("optimize", STUDY, "--evaluations", "4", "--out", folder)
    assert done.returncode == 0, done.stderr
    assert f"report:  {folder / 'report.html'}" in done.stdout
    return folder


@pytest.fixture(scope="module")
def result(run: Path) -> dict[str, Any]:
    found = json.loads((run / "result.json").read_text())
    assert isinstance(found, dict)
    return found


def test_the_contest(result: dict[str, Any]) -> None:
    """Without protection the requirement is clearly missed; the best design meets it for less than full TMR."""
    best, plain, full = result["best"], result["baselines"]["unprotected"], result["baselines"]["full_tmr"]
    wanted = result["requirements"]["accuracy_faulty"]
    assert plain["accuracy_faulty"]["high"] < wanted < full["accuracy_faulty"]["low"]
    assert best["feasible"] and best["accuracy_faulty"]["low"] >= wanted
    assert best["accuracy_clean"] >= result["requirements"]["accuracy_clean"]
    assert plain["resources"]["lut"] < best["resources"]["lut"] <= full["resources"]["lut"]


def test_the_document(result: dict[str, Any]) -> None:
    assert {"best", "baselines", "evaluations", "seconds", "seed", "versions"} <= set(result)
    assert len(result["evaluations"]) == 4 and result["seconds"] > 0
    assert result["seed"] == load_study(STUDY).seed
    assert {"codesign", "python", "hls4ml", "numpy", "tensorflow", "qkeras"} <= set(result["versions"])
    for entry in (result["best"], *result["baselines"].values(), *result["evaluations"]):
        assert {"design", "feasible", "accuracy_clean", "accuracy_faulty", "resources"} <= set(entry)
        faulty = entry["accuracy_faulty"]
        assert faulty["low"] <= faulty["mean"] <= faulty["high"]
        compared = entry is result["best"] or entry in result["baselines"].values()
        assert faulty["trials"] == 200 if compared else faulty["trials"] in (25, 50, 100, 200)
        assert entry["resources"]["source"] == "estimate"
    assert result["verification"]["equal"] and result["verification"]["samples"] == 360


def test_the_report(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>") and "digits_mlp" in page


def test_the_project_builds_by_its_own_script(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user compiles predicts the expected logits of all test samples, integer for integer."""
    project = Project.open(run / "best" / "project")
    done = subprocess.run(["sh", "build_csim.sh"], cwd=project.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(csim, "compile_csim", lambda *_: project.folder / "csim.so")
    raw = project.network.quantise_inputs(data(load_study(STUDY)).test_inputs)
    given = to_real(csim.CsimSimulator(project, raw).golden, project.network.layers[-1].result)
    assert np.array_equal(given, np.loadtxt(project.folder / "tb_data" / "tb_output_predictions.dat"))


def test_the_test_bench_reproduces_the_network(run: Path, result: dict[str, Any], tmp_path: Path) -> None:
    """hls4ml's own test bench, compiled plainly, writes the expected logits exactly."""
    project = Project.open(run / "best" / "project")
    assert project.network.digest == result["best"]["network"] and project.plan.digest == result["best"]["plan"]
    top, program = project.network.name, tmp_path / "bench"
    sources = [f"{top}_test.cpp", f"firmware/{top}.cpp"]
    compiler = ["g++", "-std=c++17", "-Ifirmware/ap_types", *sources, "-o", str(program)]
    for command in (compiler, [str(program)]):
        done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    given = np.loadtxt(project.folder / "tb_data" / "csim_results.log")
    expected = np.loadtxt(project.folder / "tb_data" / "tb_output_predictions.dat")
    assert given.shape == expected.shape == (360, 10)
    assert np.array_equal(given, expected)
    network, samples = project.network, data(load_study(STUDY))
    logits = forward(network, network.quantise_inputs(samples.test_inputs))[-1]
    assert np.array_equal(to_real(logits, network.layers[-1].result), expected)
    accuracy = float(np.mean(expected.argmax(axis=1) == samples.test_labels))
    assert accuracy == result["best"]["accuracy_clean"]
