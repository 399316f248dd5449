"""The wheel, installed away from the checkout: what belongs to it is in it, and found there."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

import codesign

ROOT = Path(__file__).resolve().parent.parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
# Data of the package beside its Python, by folder of the checkout.
CARRIED = {
    "hls_templates": "codesign/_assets/hls_templates",
    "boards": "codesign/_assets/boards",
    "codesign": "codesign",
}
SUFFIXES = (".h", ".j2", ".toml", ".css", ".js", ".json", ".ipynb")

SCRIPT = """
import sys
from pathlib import Path

import codesign
from codesign.board.boards import board_names, load_board
from codesign.board.project import write_board_project

site = Path(sys.argv[1])
six = codesign.FixedPoint(6, 1)
weight, bias = codesign.Parameter([[3, -7], [12, 5]], six), codesign.Parameter([1, -1], six)
layer = codesign.Layer.dense("fc", weight, bias, codesign.FixedPoint(14, 4))
network = codesign.Network("two", codesign.FixedPoint(4, 1), (layer,))
plan = codesign.ProtectionPlan.full(network)
for name in board_names():
    write_board_project(network, plan, Path("projects") / name, load_board(name))
assert len(board_names()) == 8
strangers = [m.__file__ for m in sys.modules.values() if m.__name__.partition(".")[0] == "codesign"]
strangers = [file for file in strangers if file and not Path(file).is_relative_to(site)]
assert not strangers, strangers
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [*PIP, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with the wheel. What it depends on is looked up in this one, without its codesign."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    # As a plain path: this environment's own .pth files, by which it finds the checkout, are not followed.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), *PIP[3:]]
    install = ["install", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    subprocess.run([*command, *install], check=True, capture_output=True, timeout=600)
    return folder


def run(clean: Path, folder: Path, *arguments: str | Path, program: str = "codesign") -> str:
    """Run the installed command there; the checkout is on no path."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [clean / "bin" / program, *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_template_and_table_is_in_it(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"{target}/{path.relative_to(ROOT / source).as_posix()}"
        for source, target in CARRIED.items()
        for path in (ROOT / source).rglob("*")
        if path.suffix in SUFFIXES and "native" not in path.parts
    }
    assert len(wanted) > 25
    assert wanted <= inside, sorted(wanted - inside)


def test_nothing_superfluous_is_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.split("/")[0] for name in names}
    assert len(roots) == 2 and "codesign" in roots  # and its description
    assert {Path(name).suffix for name in names if name.startswith("codesign/")} == {*SUFFIXES, ".py", ".so", ".typed"}
    assert not [name for name in names if {"tests", "__pycache__"} & {*Path(name).parts} or "/test_" in name]
    assert [name for name in names if name.endswith(".so")] == ["codesign/engine/libcodesign_engine.so"]


def test_it_is_small_and_holds_nothing_of_this_machine(wheel: Path) -> None:
    assert wheel.stat().st_size < 5e6
    archive = zipfile.ZipFile(wheel)
    texts = [archive.read(name) for name in archive.namelist() if not name.endswith(".so")]
    assert not any(str(ROOT).encode() in text for text in texts)


@pytest.mark.cxx
def test_it_works_away_from_the_checkout(clean: Path, tmp_path: Path) -> None:
    [site] = clean.glob("lib/python*/site-packages")
    run(clean, tmp_path, "-c", SCRIPT, site, program="python")
    assert (tmp_path / "projects/pynq-z2/build.sh").exists()
    tools = json.loads(run(clean, tmp_path, "doctor", "--json"))["tools"]
    assert next(tool["found"] for tool in tools if tool["name"] == "compiled engine")
    assert run(clean, tmp_path, "--version") == f"{codesign.__version__}\n"
    assert "campaign" in run(clean, tmp_path, "--help")
    assert run(clean, tmp_path, "-m", "codesign", "--version", program="python") == f"{codesign.__version__}\n"


@pytest.mark.cxx
def test_campaigns_and_exports_work_there(clean: Path, finished_run: Path, tmp_path: Path) -> None:
    """On a saved network, a run and its project; one trial is replayed on the csim, from the templates inside."""
    runs = shutil.copytree(finished_run, tmp_path / "run")
    networks = sorted((runs / "networks").glob("*.npz"))
    np.savez(tmp_path / "data.npz", inputs=np.zeros((20, 6), int), labels=np.zeros(20, int))
    attack = ("--data", "data.npz", "--target", "accumulator", "--ber", "1e-3", "--trials", "5", "--json", "--verify")
    for what, verified in ((networks[0], 0), (runs / "best/project", 1)):
        found = json.loads(run(clean, tmp_path, "campaign", what, *attack, str(verified)))
        assert found["simulator"] == "engine" and found["trials"] == 5 and len(found["verified"]) == verified
    exported = json.loads(run(clean, tmp_path, "export", runs, "--board", "zcu104", "--json"))
    assert (Path(exported["project"]) / "build.sh").is_file() and exported["board"] == "zcu104"
    report = Path(json.loads(run(clean, tmp_path, "report", runs, "--json"))["report"])
    assert report.read_text().lstrip().lower().startswith("<!doctype html>")


@pytest.mark.slow
@pytest.mark.tf
def test_a_study_begins_there(clean: Path, tmp_path: Path) -> None:
    from test_begin import trained

    with pytest.warns(UserWarning, match="You are saving your model as an HDF5 file"):
        model, samples = trained(tmp_path)
    begun = json.loads(run(clean, tmp_path, "init", model, "--data", samples, "--out", "mine", "--json"))
    assert "search" in run(clean, tmp_path, "doctor", begun["study"])
    attack = ("--verify", "0", "--trials", "5", "--json")
    assert json.loads(run(clean, tmp_path, "campaign", begun["study"], *attack))["network"] == begun["network"]
