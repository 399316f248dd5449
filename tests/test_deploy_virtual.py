"""A network onto a virtual board: built with stand-in tools, deployed by SSH, checked by the runtime."""

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

paramiko = pytest.importorskip("paramiko", reason="needs paramiko: pip install 'codesign[board]'")
pytest.importorskip("pynq", reason="needs pynq: pip install 'codesign[board]'")

import board_tools  # noqa: E402
import ssh_server  # noqa: E402
from networks import small_network  # noqa: E402

from codesign.board.boards import load_board  # noqa: E402
from codesign.board.build_stages import recipe  # noqa: E402
from codesign.board.package import write_package  # noqa: E402
from codesign.board.project import write_board_project  # noqa: E402
from codesign.board.virtual import virtual_package  # noqa: E402
from codesign.cli import run  # noqa: E402
from codesign.protection import ProtectionPlan  # noqa: E402

pytestmark = [pytest.mark.cxx, pytest.mark.slow]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of a protected network for pynq-z2; its bitstream is one of the virtual board."""
    folder = tmp_path_factory.mktemp("built")
    network = small_network()
    raw = np.random.default_rng(3).integers(
        network.input_type.min_raw, network.input_type.max_raw, (20, network.n_in), endpoint=True
    )
    plan = ProtectionPlan.full(network)
    project = write_board_project(network, plan, folder / "project", load_board("pynq-z2"), bench_inputs=raw)
    with pytest.MonkeyPatch.context() as patch:
        tools = folder / "tools"
        patch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
        board_tools.both(tools)
        virtual = virtual_package(project, folder / "virtual", raw).folder
        copied = " ".join(
            f"cp {virtual / name} build/{name};" for name in recipe(project, load_board("pynq-z2")).design
        )
        board_tools.stand_in(tools, "vivado", f"{board_tools.vivado_body(tools / 'timing.rpt')}; {copied}")
        assert run(["build", str(project.folder), "--board", "pynq-z2", "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssh_server.Server]:
    cache = os.environ["CODESIGN_CACHE"]
    server = ssh_server.serve_known(tmp_path, monkeypatch, {"CODESIGN_CACHE": cache, "PYTHONPATH": str(ROOT)})
    yield server
    server.stop()


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The board's Python: one that has the virtual device."""
    path = tmp_path / "python3"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m codesign.board.virtual "$@"\n')
    path.chmod(0o755)
    return path


def altered(package: Path, folder: Path, files: dict[str, bytes], **about: object) -> Path:
    """A package like another one, but for some files."""
    given = json.loads((package / "package.json").read_text())
    content: dict[str, Path | bytes] = {name: package / name for name in given.pop("files")}
    return write_package(folder / package.name, {**content, **files}, {**given, **about}).folder


def deploy(path: Path, board: ssh_server.Server, python: Path, *options: str) -> int:
    host = ["--host", ssh_server.HOST, "--port", str(board.port), "--user", "xilinx"]
    return run(["deploy", str(path), *host, "--python", str(python), "--no-sudo", *options])


def test_a_network_arrives_on_the_board_and_is_right_there(
    built: Path, board: ssh_server.Server, python: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(built, board, python, "--json") == 0, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    check = found["check"]
    assert (check["samples"], check["equal"], check["flags_equal"], check["passed"]) == (20, 20, 20, True)
    assert (
        check["self_test"]["seen"] and [guard["logits_equal"] for guard in check["self_test"]["guards"]] == [True] * 3
    )
    remote = Path(found["remote"])
    assert remote.parent == board.home / "codesign" and (remote / "design.bit").is_file()
    assert deploy(built / remote.name, board, python, "--samples", "3") == 0
    assert "3 of 3 samples equal the C-simulation in every logit, 3 in their flags" in capsys.readouterr().out


def test_what_is_wrong_on_the_board_leaves_the_old_package(
    built: Path, tmp_path: Path, board: ssh_server.Server, python: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = next(path.parent for path in built.glob("*/package.json"))
    assert deploy(package, board, python, "--samples", "2") == 0
    installed = board.home / "codesign" / package.name
    before = (installed / "package.json").read_bytes()
    capsys.readouterr()
    # A bitstream of another network than the package says.
    model = json.loads((package / "model.json").read_text())
    model["network"] = "0badbeef" + model["network"][8:]
    other = {"model.json": json.dumps(model).encode()}
    assert deploy(altered(package, tmp_path / "network", other, network=model["network"]), board, python) == 2
    assert "wrong bitstream: its network begins with" in capsys.readouterr().err
    # A board that computes something else.
    with np.load(package / "check.npz") as arrays:
        changed = {name: arrays[name].copy() for name in arrays}
    changed["logits"][7, 1] += 1
    buffer = io.BytesIO()
    np.savez(buffer, **changed)
    assert deploy(altered(package, tmp_path / "logits", {"check.npz": buffer.getvalue()}), board, python) == 1
    out = capsys.readouterr().out
    assert "19 of 20 samples equal the C-simulation" in out and "first difference: sample 7; logit 1" in out
    assert (installed / "package.json").read_bytes() == before
    assert [path.name for path in installed.parent.iterdir()] == [package.name]
    assert deploy(package, board, python, "--samples", "2") == 0, "and the board is usable"
