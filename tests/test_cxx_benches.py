"""The C++ headers' own test benches, compiled as synthesis and as simulation would, and their format."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.assets import asset

pytestmark = pytest.mark.cxx

BENCHES = Path(__file__).parent / "cxx"
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-label"]
# ap_fixed's constructors read the word that they are about to write.
WARNINGS += ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]


def hls4ml_headers() -> Path:
    found = importlib.util.find_spec("hls4ml")  # importing it takes over a second
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "templates" / "vivado"


@pytest.mark.parametrize(
    ("bench", "standard"),
    [
        # Every kind of layer under every mechanism takes the compiler a while.
        pytest.param(path.stem, standard, marks=pytest.mark.slow if path.stem == "layers" else ())
        for path in sorted(BENCHES.glob("*.cpp"))
        for standard in ("c++11", "c++17")
    ],
)
def test_bench(bench: str, standard: str, tmp_path: Path) -> None:
    headers, program = hls4ml_headers(), tmp_path / bench
    command = ["g++", f"-std={standard}", "-O1", "-pthread", *WARNINGS, f"-I{asset('hls_templates')}"]
    command += ["-isystem", str(headers / "ap_types"), "-isystem", str(headers / "nnet_utils")]
    compiled = subprocess.run([*command, str(BENCHES / f"{bench}.cpp"), "-o", str(program)], capture_output=True)
    assert not compiled.returncode, compiled.stderr.decode()
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert not done.returncode, done.stdout
    assert "ok " in done.stdout and "FAIL" not in done.stdout


def test_every_header_has_a_bench() -> None:
    headers = {path.stem.removeprefix("codesign_") for path in asset("hls_templates").glob("*.h")}
    assert headers <= {path.stem for path in BENCHES.glob("*.cpp")}


def test_only_one_header_tells_synthesis_from_simulation() -> None:
    looking = {
        path.name
        for path in asset("hls_templates").glob("*.h")
        if any("__SYNTHESIS__" in line and line.startswith("#") for line in path.read_text().splitlines())
    }
    assert looking == {"codesign_taps.h"}


def test_format() -> None:
    files = [*asset("hls_templates").glob("*.h"), *BENCHES.iterdir()]
    formatter = Path(sys.executable).with_name("clang-format")
    command = [str(formatter), "--dry-run", "-Werror", "--style=file", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr
