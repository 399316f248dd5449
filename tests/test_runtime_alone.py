"""The board's runtime by itself: as old a Python as boards have, numpy, and a stand-in for PYNQ; nothing else."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RUNTIME = Path(__file__).resolve().parent.parent / "codesign" / "board" / "runtime"
STAND_IN = Path(__file__).resolve().parent / "data" / "pynq_standin"
OLDEST = (3, 8)
# Pythons of the PYNQ images are 3.8 (2.7) and 3.10 (3.0, 3.1).
PYTHONS = ("python3.8", "python3.9", "python3.10", "pypy3")

# Lets in the standard library, numpy, the stand-in and the runtime, and nothing else that may be installed.
ALONE = """
import os, runpy, sys
sys.dont_write_bytecode = True
import numpy, numpy.lib.npyio  # with whatever it needs itself
allowed = set(getattr(sys, "stdlib_module_names", ())) | {"numpy", "pynq", "codesign_runtime"}

class Border:
    def find_spec(self, name, path=None, target=None):
        if allowed - {"numpy", "pynq", "codesign_runtime"} and name.partition(".")[0] not in allowed:
            raise ImportError("not on a board: " + name)

sys.meta_path.insert(0, Border())
sys.path[:0] = sys.argv[1].split(os.pathsep)
sys.argv = sys.argv[2:]
runpy.run_module("codesign_runtime", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The stand-in's network as a package."""
    folder = tmp_path / "package"
    shutil.copytree(RUNTIME, folder / "codesign_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    digests = {"network_name": "sums", "network": "a1" * 32, "plan": "b2" * 32}
    fixed = {"integer": 8, "signed": True, "rounding": "RND_CONV", "overflow": "SAT"}
    stream = {
        "bits": 32,
        "input": {"values": 4, "lane_bits": 8, "type": {"width": 8, **fixed, "integer": 4}, "beats": 1},
        "output": {"values": 2, "lane_bits": 16, "type": {"width": 11, **fixed}, "beats": 1},
    }
    names = ["guard", "clear", "status_corrected", "status_detected", "events_fc", "id_network", "id_plan", "samples"]
    rows = [
        {
            "name": name,
            "offset": 16 * (k + 1),
            "bits": 3 if k == 0 else 32,
            "access": "read-write" if k < 2 else "read-only",
        }
        for k, name in enumerate([*names, "bad_frames"])
    ]
    model = {**digests, "stream": stream, "registers": rows, "upset_slots": 0, "layers": ["fc"]}
    (folder / "model.json").write_text(json.dumps(model))
    inputs = np.random.default_rng(0).integers(-128, 128, (20, 4))
    sums = inputs.sum(axis=1)
    silent = np.zeros(20, np.bool_)
    np.savez(folder / "check.npz", inputs=inputs, logits=np.stack([sums, -sums], 1), corrected=silent, detected=silent)
    (folder / "design.bit").write_bytes(b"bits")
    (folder / "design.hwh").write_bytes(b"<xml/>")
    seal(folder, digests)
    return folder


def seal(folder: Path, digests: dict[str, str]) -> None:
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "package.json"
    }
    (folder / "package.json").write_text(json.dumps({"format": 1, "board": "pynq-z2", **digests, "files": files}))


def run(python: str, package: Path, *arguments: str, trouble: str = "") -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(package), str(STAND_IN)])
    environment = {"PATH": os.environ["PATH"], "TROUBLE": trouble}
    command = [python, "-B", "-c", ALONE, paths, "codesign_runtime", str(package), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=package, timeout=120)


def why_not(python: str) -> str | None:
    """What such a Python lacks; a version manager may have put a name on the PATH that starts nothing."""
    if not shutil.which(python):
        return f"there is no {python} on PATH"
    told = subprocess.run([python, "-c", "import numpy"], capture_output=True, text=True)
    return f"{python} cannot be used: {told.stderr.strip().splitlines()[-1].strip()}" if told.returncode else None


def other_pythons() -> list[str]:
    """Those of PYNQ's age, and those that somebody names."""
    return [*PYTHONS, *filter(None, os.environ.get("CODESIGN_BOARD_PYTHON", "").split(os.pathsep))]


def test_every_file_is_of_the_oldest_python_and_has_its_annotations_unevaluated() -> None:
    files = sorted(RUNTIME.glob("*.py"))
    assert len(files) > 5
    for path in files:
        tree = ast.parse(path.read_text(), str(path), feature_version=OLDEST)
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AnnAssign)]
        if functions:
            assert "from __future__ import annotations" in path.read_text(), path


def test_it_runs_with_numpy_and_a_stand_in_for_pynq_only(package: Path) -> None:
    check_runtime(sys.executable, package)


@pytest.mark.parametrize("python", other_pythons())
def test_it_runs_on_older_pythons(package: Path, python: str) -> None:
    """Where it is installed: neither Debian 12 nor PyPI has a CPython 3.8 or 3.10."""
    if reason := why_not(python):
        pytest.skip(
            f"{reason}; `pyenv install 3.8 3.10` has them, and CODESIGN_BOARD_PYTHON=$(sh scripts/board_pythons.sh) "
            "names them with NumPy"
        )
    check_runtime(python, package)


def test_nothing_of_the_standard_library_is_newer_than_the_oldest_python() -> None:
    pytest.importorskip("vermin", reason="needs vermin: pip install 'codesign[dev]'")
    oldest = ".".join(map(str, OLDEST))
    command = [sys.executable, "-c", "import vermin; vermin.main()", "--no-tips", "--violations", f"-t={oldest}-"]
    told = subprocess.run([*command, *map(str, sorted(RUNTIME.glob("*.py")))], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout


def check_runtime(python: str, package: Path) -> None:
    done = run(python, package, "check", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"] and report["equal"] == report["samples"] == 20
    assert run(python, package, "self-test", "--json").returncode == 0

    reals = np.array([[0.5, 0.53125, 100.0, -100.0]])  # 8, a tie to even, and both ends of the range
    np.savez(package / "reals.npz", inputs=reals)
    done = run(python, package, "predict", "--json", "--inputs", "reals.npz")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["logits"] == [[8 + 8 + 127 - 128, -15]]

    for arguments, words in (
        (["predict", "--json"], "needs --inputs"),
        (["predict", "--json", "--inputs", "nothing.npz"], "nothing.npz is no NPZ file"),
        (["replay", "--json", "--inputs", "reals.npz"], "holds no trials"),
        (["check", "--json", "--samples", "0"], "at least 1"),
        (["check", "--json", "--timeout", "0"], "timeout_s is 0"),
    ):
        done = run(python, package, *arguments)
        assert done.returncode == 2 and words in json.loads(done.stdout)["error"], done
        assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr

    trouble = package / "trouble"
    trouble.touch()
    done = run(python, package, "check", "--json", "--timeout", "0.05", trouble=str(trouble))
    assert done.returncode == 2 and "time-out after 0.05 s" in json.loads(done.stdout)["error"], done
    (package / "design.bit").write_bytes(b"other")
    done = run(python, package, "check", "--json")
    assert done.returncode == 2 and "design.bit is not what was packed" in json.loads(done.stdout)["error"]


def test_without_pynq_it_says_where_it_belongs(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "STAND_IN", package / "no")
    code = ALONE.replace('| {"numpy", "pynq", "codesign_runtime"}', '| {"numpy", "codesign_runtime"}')
    monkeypatch.setattr(sys.modules[__name__], "ALONE", code)
    done = run(sys.executable, package, "check", "--json")
    assert done.returncode == 2 and "run this on the board" in json.loads(done.stdout)["error"], done
