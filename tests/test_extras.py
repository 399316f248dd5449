"""A missing extra is one line that names it; what does not need it works."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import packages
import pytest
import studies

from codesign import cli
from codesign.doctor import examine, examine_study
from codesign.errors import MissingExtraError
from codesign.extras import EXTRAS, require

ROOT = Path(__file__).resolve().parent.parent

# Every import of a named package, and every question for its version, is answered as if it were not installed. It is
# found as sitecustomize by all processes that a command starts.
HIDING = """
import importlib.metadata, os, sys

names = set(os.environ["HIDDEN_PACKAGES"].split(","))


class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


real = importlib.metadata.Distribution.from_name.__func__


def from_name(cls, name):
    if name in names:
        raise importlib.metadata.PackageNotFoundError(name)
    return real(cls, name)


sys.meta_path.insert(0, Hiding())
importlib.metadata.Distribution.from_name = classmethod(from_name)
"""

Without = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, one of its networks, its test set and a store."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "hidden").mkdir()
    (folder / "hidden/sitecustomize.py").write_text(HIDING)
    study = studies.write_study(folder)
    network = studies.tiny_network("tiny", 6)
    network.save(folder / "net.npz")
    raw = np.random.default_rng(3).integers(0, 17, (60, 6))
    np.savez(folder / "data.npz", inputs=raw, labels=np.arange(60) % 3)
    packages.write(folder).folder.rename(folder / "design")
    trained = folder / "trained.toml"
    trained.write_text(study.read_text().replace('name = "tiny"', 'name = "other"'))  # which is not in the cache
    (folder / "tpe.toml").write_text(f'{study.read_text()}searcher = "tpe"\n')
    return folder


@pytest.fixture
def without(place: Path) -> Without:
    """Run the command in that folder without these packages."""

    def run(hidden: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(place / "hidden"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        variables = {**os.environ, "PYTHONPATH": paths, "HIDDEN_PACKAGES": ",".join(hidden)}
        return studies.codesign(*arguments, cwd=place, env=variables, stdin=subprocess.DEVNULL)

    return run


def names_of(extra: str) -> set[str]:
    modules = EXTRAS[extra].modules
    return {*modules, *modules.values()}


TRAINING = names_of("train") | {"keras"}
SAVED = ("net.npz", "--data", "data.npz", "--target", "accumulator")
ATTACK = (*SAVED, "--ber", "1e-3", "--trials", "3", "--verify", "0")


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("train", ["train", "trained.toml"]),
        pytest.param("train", ["analyze", "trained.toml"], marks=pytest.mark.slow),
        ("train", ["campaign", "trained.toml"]),
        pytest.param("train", ["curve", "trained.toml"], marks=pytest.mark.slow),
        pytest.param("train", ["avf", "trained.toml"], marks=pytest.mark.slow),
        ("train", ["optimize", "trained.toml"]),
        pytest.param("train", ["ablate", "trained.toml"], marks=pytest.mark.slow),
        ("train", ["resources", "trained.toml"]),
        ("train", ["faults", "trained.toml", "--trial", "0"]),
        ("yosys", ["resources", "net.npz", "--source", "yosys"]),
        ("yosys", ["upsets", *SAVED[:3], "--trials", "2"]),
        ("yosys", ["calibrate", "--designs", "10"]),
        ("dask", ["campaign", *SAVED, "--ber", "1e-3", "--dask", "tcp://localhost:1"]),
        ("dask", ["optimize", "tiny.toml", "--dask", "tcp://localhost:1"]),
        ("search", ["optimize", "tpe.toml"]),
        ("board", ["deploy", "design", "--host", "nobody.invalid"]),
        ("parquet", ["trials", "runs/kept", "--out", "trials.parquet"]),
    ],
)
def test_a_missing_extra_is_one_line(extra: str, arguments: list[str], without: Without) -> None:
    if arguments[0] == "trials":
        kept = without({"none"}, "campaign", *ATTACK, "--out", "runs/kept")
        assert kept.returncode == 0, kept.stderr
    done = without(names_of(extra), *arguments)
    assert done.returncode == cli.BAD_INPUT and done.stdout == ""
    said = done.stderr.splitlines()
    assert len(said) == 1 and said[0].startswith("codesign: ") and f"pip install 'codesign[{extra}]'" in said[0], said


@pytest.mark.parametrize("hidden", sorted(EXTRAS["train"].modules))
def test_each_package_of_an_extra_is_named(hidden: str, without: Without) -> None:
    package = EXTRAS["train"].modules[hidden]
    done = without({hidden, package}, "train", "trained.toml")
    assert done.returncode == cli.BAD_INPUT and f"needs {package}, which is not installed" in studies.refusal(
        done.stderr
    )


def test_a_builder_that_imports_what_is_missing(place: Path, without: Without) -> None:
    shutil.copytree(place, folder := place / "mine", ignore=shutil.ignore_patterns("mine", "runs", "hidden"))
    (folder / "tiny.py").write_text("import qkeras\n" + (folder / "tiny.py").read_text())
    done = without(TRAINING, "train", "mine/tiny.toml")
    said = studies.refusal(done.stderr)
    assert done.returncode == cli.BAD_INPUT and "tiny.py:1" in said and "needs qkeras" in said
    assert said.endswith("pip install 'codesign[train]'")


@pytest.mark.parametrize(
    "arguments",
    [
        ["campaign", *ATTACK],
        pytest.param(["campaign", *ATTACK, "--workers", "1"], marks=pytest.mark.slow),
        ["curve", *SAVED, "--ber", "1e-3,1e-2", "--trials", "3"],
        ["compare", "net.npz", "net.npz", *SAVED[1:], "--ber", "1e-3", "--trials", "3"],
        ["avf", *SAVED, "--margin", "0.2"],
        ["analyze", *SAVED[:3], "--draws", "1"],
        ["resources", "net.npz"],
        ["export", "net.npz", "--out", "exported"],
        ["doctor"],
    ],
)
def test_what_works_without_any_extra(arguments: list[str], without: Without) -> None:
    every = TRAINING.union(*map(names_of, EXTRAS))
    done = without(every, *arguments, "--json")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert json.loads(done.stdout)


@pytest.mark.cxx
def test_runs_and_projects_work_without_any_extra(finished_run: Path, tmp_path: Path, without: Without) -> None:
    run = str(shutil.copytree(finished_run, tmp_path / "run"))
    every = TRAINING.union(*map(names_of, EXTRAS))
    project = f"{run}/best/project"
    for arguments in (
        ["report", run],
        ["trials", run],
        ["resources", run],
        ["export", run, "--board", "pynq-z2", "--out", str(tmp_path / "project")],
        ["compare", run, f"{run}:unprotected", "--trials", "3"],
        ["campaign", project, *ATTACK[1:-1], "1", "--out", str(tmp_path / "c")],
    ):
        done = without(every, *arguments, "--json")
        assert done.returncode == 0, (arguments, done.stderr)
        assert json.loads(done.stdout)


@pytest.mark.parametrize(
    ("hidden", "arguments"),
    [
        ("hls4ml", ["replay", "case", "--simulator", "csim", "--simulator", "engine"]),
        ("matplotlib", ["curve", *SAVED, "--ber", "1e-3"]),
    ],
)
def test_a_broken_installation_is_one_line(hidden: str, arguments: list[str], without: Without) -> None:
    if arguments[0] == "replay":
        made = without({"none"}, "faults", "tiny.toml", "--trial", "0", "--out", "case")
        assert made.returncode == 0, made.stderr
    done = without({hidden}, *arguments, *(["--trials", "2"] if arguments[0] == "curve" else []))
    assert done.returncode == cli.BAD_INPUT and hidden in studies.refusal(done.stderr)


def test_python_says_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qkeras", None)
    with pytest.raises(MissingExtraError, match=r"^training needs qkeras, .*: pip install 'codesign\[train"):
        require("train", "training")


def test_the_extras_are_those_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"dev"}
    for name, extra in EXTRAS.items():
        text = " ".join(declared[name])
        assert all(package in text for package in extra.modules.values()), name


# ---------------------------------------------------------------- doctor


def test_doctor_says_how_to_get_what_is_missing(without: Without) -> None:
    done = without(TRAINING, "doctor")
    assert done.returncode == 0
    [line] = [line for line in done.stdout.splitlines() if line.startswith("qkeras ")]
    assert " missing " in line and line.endswith("; to get it: pip install 'codesign[train]'")
    found = {entry["name"]: entry for entry in examine()}
    assert all(
        entry["get"] and {"name", "found", "version", "enables", "extra"} < set(entry) for entry in found.values()
    )
    assert {package for extra in EXTRAS.values() for package in extra.modules.values()} <= set(found)


@pytest.mark.tf
def test_doctor_of_a_study(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its builder cannot build a model: everything else is looked at all the same."""
    assert cli.run(["doctor", str(place / "tiny.toml"), "--json"]) == cli.BAD_INPUT
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert [name for name, check in checks.items() if not check["ok"]] == ["model"]
    assert "these tests do not train" in checks["model"]["says"] or "[train]" in checks["model"]["says"]
    assert checks["data"]["says"].startswith(
        "180 training and 120 test samples of shape 6, 3 classes, inputs ufixed<5,1,"
    )
    assert "zcu102" in checks["board"]["says"] and "important_fraction" in checks["search"]["says"]


@pytest.mark.parametrize(
    ("old", "new", "name", "said"),
    [
        ("[model]", "[modell]", "study", "did you mean"),
        pytest.param('board = "zcu102"', 'board = "zcu1O2"', "board", "did you mean 'zcu102'", marks=pytest.mark.tf),
        ('builder = "tiny.py"', 'builder = "absent.py"', "study", "absent.py"),
    ],
)
def test_doctor_names_what_is_wrong(old: str, new: str, name: str, said: str, tmp_path: Path) -> None:
    path = studies.write_study(tmp_path, (old, new), kept=False)
    wrong = [check for check in examine_study(path) if not check["ok"]]
    assert name in {check["name"] for check in wrong}
    assert any(said in check["says"] and "\n" not in check["says"] for check in wrong), wrong


@pytest.mark.tf
def test_doctor_of_a_good_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["doctor", str(ROOT / "models/digits_mlp.toml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:5]] == [
        [n, "ok"] for n in ("study", "board", "data", "model", "search")
    ]
    assert "neurons by layer: " in lines[3]
