"""The wheel, installed away from the checkout: what belongs to it is in it, and found there."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation; what it depends on is this environment's."""
    folder = tmp_path_factory.mktemp("site")
    command = [*PIP, "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return folder


def run(site: Path, folder: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
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


def test_it_is_small_and_holds_nothing_of_this_machine(wheel: Path) -> None:
    assert wheel.stat().st_size < 5e6
    archive = zipfile.ZipFile(wheel)
    texts = [archive.read(name) for name in archive.namelist() if not name.endswith(".so")]
    assert not any(str(ROOT).encode() in text for text in texts)


@pytest.mark.cxx
def test_it_works_away_from_the_checkout(site: Path, tmp_path: Path) -> None:
    run(site, tmp_path, "-c", SCRIPT, str(site))
    assert (tmp_path / "projects/pynq-z2/build.sh").exists()
    tools = json.loads(run(site, tmp_path, "-c", "from codesign.cli import main; main()", "doctor", "--json"))["tools"]
    assert next(tool["found"] for tool in tools if tool["name"] == "compiled engine")
