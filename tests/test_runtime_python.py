"""The runtime on the Pythons of boards: it needs nothing but numpy and pynq, and runs on 3.8 and 3.10.

A stand-in for PYNQ (tests/pynq_stand_in) takes the place of the hardware; everything else is what runs on a board.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import notebooks
import numpy as np
import pytest
from networks import random_raw

from codesign.board.package import CHECK, MODEL, Package, model_json, runtime_files, write_package
from codesign.fixed import FixedPoint, Rounding
from codesign.hls.stream import Lanes

STAND_IN = Path(__file__).parent / "pynq_stand_in"
# PYNQ's images: 2.7 has Python 3.8, 3.0 and 3.1 have 3.10.
VERSIONS = ("3.8", "3.10")
SAMPLES, BITS = 700, 64
INPUT, OUTPUT = FixedPoint(9, 4, True, Rounding.RND), FixedPoint(18, 9)
LAYERS = ["fc0", "fc1"]
# Refuses every module but the standard library's, numpy, the stand-in and the runtime.
ALONE = """
import sys

class Border:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in {*sys.stdlib_module_names, "numpy", "pynq", "codesign_runtime"}:
            raise ModuleNotFoundError("a board has no " + name, name=name)

sys.meta_path.insert(0, Border())
import runpy
sys.argv = ["codesign_runtime", *sys.argv[1:]]
runpy.run_module("codesign_runtime", run_name="__main__", alter_sys=True)
"""


def registers() -> list[dict[str, object]]:
    status = ["status_corrected", "status_detected", *(f"events_{name}" for name in LAYERS)]
    names = ["guard", "clear", *status, "id_network", "id_plan", "samples", "bad_frames"]
    return [
        {
            "name": name,
            "offset": 0x10 + 0x10 * k,
            "bits": {"guard": 3, "clear": 1}.get(name, 32),
            "access": "read-write" if k < 2 else "read-only",
            "meaning": name,
        }
        for k, name in enumerate(names)
    ]


def bitstream(network: str, plan: str, lanes: tuple[Lanes, Lanes], **other: object) -> bytes:
    """The stand-in's bitstream; `other` has its weights."""
    given, found = lanes
    design = {
        "top": "product_axi",
        "registers": {str(row["name"]): row["offset"] for row in registers()},
        "constants": {"id_network": int(network[:8], 16), "id_plan": int(plan[:8], 16)},
        "bits": BITS,
        "input": [given.values, given.lane_bits, given.type.width],
        "output": [found.values, found.lane_bits, found.type.width],
        **other,
    }
    return json.dumps(design).encode()


def product_package(folder: Path, **other: object) -> Package:
    """A package of a matrix product; its check's logits are computed with whole numbers of Python."""
    generator = np.random.default_rng(1)
    raw, weights = random_raw(INPUT, (SAMPLES, 11), generator), random_raw(FixedPoint(12, 6), (11, 5), generator)
    half = 1 << (OUTPUT.width - 1)
    products = [[sum(int(a) * int(b) for a, b in zip(row, column, strict=True)) for column in weights.T] for row in raw]
    wanted = [[(product + half) % (2 * half) - half for product in row] for row in products]
    network, plan = "1a" * 32, "b2" * 32
    lanes = Lanes(11, INPUT, BITS), Lanes(5, OUTPUT, BITS)
    stream = {"bits": BITS, "input": lanes[0].to_json(), "output": lanes[1].to_json()}
    manifest = {"network": network, "plan_digest": plan, "stream": stream, "registers": registers(), "upset_slots": 0}
    silent = np.zeros(SAMPLES, np.bool_)
    with (folder / CHECK).open("wb") as file:
        np.savez_compressed(file, inputs=raw, logits=np.array(wanted), corrected=silent, detected=silent)
    about: dict[str, object] = {key: {} for key in ("tool", "resources", "timing")}
    about |= {"network_name": "product", "network": network, "plan": plan, "board": "stand-in", "part": "none"}
    about |= {"clock_ns": 10.0, "seconds": 1.0}
    content: dict[str, Path | bytes] = {
        "design.bit": bitstream(network, plan, lanes, **{"weights": weights.tolist(), **other}),
        "design.hwh": b"<xml/>",
        MODEL: json.dumps(model_json(manifest, "product", LAYERS)).encode(),
        CHECK: folder / CHECK,
        **runtime_files(),
    }
    return write_package(folder / "product-stand-in", content, about)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return product_package(tmp_path_factory.mktemp("product"))


@cache
def why_not(version: str) -> str | None:
    """Why there is no Python of a version to test with; it has to have numpy."""
    name = f"python{version}"
    try:
        told = subprocess.run([name, "-c", "import numpy, sys; print(*sys.version_info[:2], sep='.')"], **CAPTURED)
    except OSError:
        return f"there is no {name} on the PATH"
    if told.stdout.strip() == version:
        return None
    lines = [line for line in told.stderr.splitlines() if line and not line.startswith((" ", "Traceback"))]
    return lines[0] if lines else f"{name} is Python {told.stdout.strip()}"


CAPTURED = {"capture_output": True, "text": True, "timeout": 120, "check": False}


@pytest.fixture(params=[*VERSIONS, "alone"])
def python(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """How a board's Python runs the runtime: those of PYNQ's images, and this one without its other packages."""
    version = request.param
    if version == "alone":
        yield [sys.executable, "-B", "-c", ALONE]
        return
    if reason := why_not(version):
        pytest.skip(
            f"{reason}; needs one with numpy: uv venv --seed --python {version} py && py/bin/pip install numpy, "
            "then PATH=$PWD/py/bin:$PATH"
        )
    yield [f"python{version}", "-B", "-W", "error", "-m", "codesign_runtime"]


def ran(python: list[str], package: Package, *arguments: str) -> tuple[int, dict[str, object], str]:
    """Exit code, JSON document and stderr of the runtime in the package's own folder, as `codesign deploy` runs it."""
    environment = {**os.environ, "PYTHONPATH": f"{STAND_IN}{os.pathsep}{package.folder}"}
    command = [*python, str(package.folder), *arguments, "--json"]
    told = subprocess.run(command, cwd=package.folder, env=environment, **CAPTURED)
    assert told.stdout.count("\n") == 1, told.stderr
    return told.returncode, json.loads(told.stdout), told.stderr


def test_the_check_of_a_package_passes(python: list[str], package: Package) -> None:
    code, answer, errors = ran(python, package, "check")
    assert (code, errors) == (0, ""), answer
    assert answer["passed"] and answer["equal"] == answer["flags_equal"] == answer["samples"] == SAMPLES
    assert [guard["corrected"] for guard in answer["self_test"]["guards"]] == [LAYERS] * 3
    assert ran(python, package, "self-test", "--samples", "3")[0] == 0


def test_real_and_raw_inputs_are_predicted(python: list[str], package: Package, tmp_path: Path) -> None:
    with np.load(package.folder / CHECK) as data:
        raw, logits = data["inputs"][:9], data["logits"][:9]
    for inputs in (raw, raw / 2.0**INPUT.frac):
        np.savez(tmp_path / "inputs.npz", inputs=inputs)
        code, answer, _ = ran(python, package, "predict", "--inputs", str(tmp_path / "inputs.npz"))
        assert code == 0 and answer["logits"] == logits.tolist() and answer["counters"]["samples"] >= 9


def test_wrong_logits_are_exit_1_and_a_hanging_accelerator_is_one_line(python: list[str], tmp_path: Path) -> None:
    for name in ("wrong", "hung"):
        (tmp_path / name).mkdir()
    code, answer, errors = ran(python, product_package(tmp_path / "wrong", weights=[[1] * 5] * 11), "check")
    assert code == 1 and not answer["passed"] and errors == "" and answer["first_difference"]["sample"] == 0
    hung = product_package(tmp_path / "hung", hangs=True)
    code, answer, errors = ran(python, hung, "check", "--timeout", "0.05")
    assert code == 2 and "time-out" in str(answer["error"]) and errors == f"error: {answer['error']}\n"


def test_a_tampered_package_is_refused(python: list[str], tmp_path: Path) -> None:
    package = product_package(tmp_path)
    (package.folder / "design.hwh").write_text("other")
    code, answer, _ = ran(python, package, "check")
    assert code == 2 and "design.hwh is not what was packed" in str(answer["error"])


def test_the_notebook_runs(python: list[str], package: Package, tmp_path: Path) -> None:
    """In the Python of the fixture, whatever else its command line says."""
    script = tmp_path / "predict.py"
    script.write_text(notebooks.program(notebooks.PREDICT))
    environment = {**os.environ, "PYTHONPATH": str(STAND_IN), "CODESIGN_PACKAGE": str(package.folder)}
    told = subprocess.run([python[0], "-B", "-W", "error", str(script)], cwd=tmp_path, env=environment, **CAPTURED)
    assert told.returncode == 0, told.stderr
    notebooks.check_printed(told.stdout, SAMPLES * 5)


def test_the_notebook_has_no_outputs_and_is_of_python_3_8() -> None:
    cells = [cell for cell in notebooks.read(notebooks.PREDICT) if cell["cell_type"] == "code"]
    assert len(cells) >= 6 and not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    ast.parse(notebooks.program(notebooks.PREDICT), feature_version=(3, 8))


@pytest.mark.parametrize("path", runtime_files().values(), ids=lambda path: path.name)
def test_sources_are_python_3_8_and_import_nothing_else(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            assert name.partition(".")[0] in {*sys.stdlib_module_names, "numpy", "pynq"}, name
        assert not isinstance(node, ast.ImportFrom) or node.level < 2  # it stands alone


def test_no_source_uses_what_came_after_python_3_8() -> None:
    pytest.importorskip("vermin", reason="needs vermin: pip install 'codesign[dev]'")
    command = [sys.executable, "-c", "import vermin; vermin.main()", "--no-tips", "--violations", "-t=3.8-"]
    told = subprocess.run([*command, *map(str, runtime_files().values())], **CAPTURED)
    assert told.returncode == 0, told.stdout


def test_the_stand_in_is_of_python_3_8_itself() -> None:
    ast.parse((STAND_IN / "pynq" / "__init__.py").read_text(), feature_version=(3, 8))
