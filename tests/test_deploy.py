"""Deployment to a real SSH server on loopback, with a stand-in for the runtime."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import packages
import pytest

paramiko = pytest.importorskip("paramiko", reason="needs paramiko: pip install 'codesign[board]'")

import ssh_server  # noqa: E402
from networks import small_network  # noqa: E402
from ssh_server import HOST, Server  # noqa: E402

from codesign.board.package import Package  # noqa: E402
from codesign.cli import run  # noqa: E402

# Says what it was asked for, and ends as the board's folder wants it.
MAIN = """
import json, os, sys
answer = os.environ.get("ANSWER", '{"equal": 8}')
print("Welcome to the board")
print(json.dumps({"arguments": sys.argv[2:], "folder": os.path.basename(sys.argv[1])}) if answer == "echo" else answer)
sys.exit(int(os.environ.get("CODE", "0")))
"""

# In the form of the runtime's own report.
WRONG = {
    "network": "small",
    "samples": 8,
    "equal": 5,
    "flags_equal": 7,
    "first_difference": {"sample": 2, "logit": 1, "board": 5, "csim": 6},
    "accuracy": 0.5,
    "samples_per_s": 12345.6,
    "latency_us": 78.9,
    "self_test": {
        "passed": False,
        "guards": [{"bit": 0, "logits_equal": True, "corrected": ["one", "two"], "detected": []}],
        "findings": ["guard bit 1 is neither outvoted nor detected: the logits differ"],
    },
    "passed": False,
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of the board's commands; changed while it runs. A login shell there resets PATH, so Python has a full path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    return {"PATH": f"{tools}:{os.environ['PATH']}", "ANSWER": "echo"}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Iterator[Server]:
    server = ssh_server.serve_known(tmp_path, monkeypatch, environment)
    yield server
    server.stop()


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return made(tmp_path / "here")


def made(folder: Path, **about: object) -> Package:
    return packages.write(
        folder, {"codesign_runtime/__init__.py": b"", "codesign_runtime/__main__.py": MAIN.encode()}, **about
    )


def deploy(path: Path, board: Server, *options: str) -> int:
    arguments = ["deploy", str(path), "--host", HOST, "--port", str(board.port), "--user", "xilinx"]
    return run([*arguments, "--python", sys.executable, "--no-sudo", *options])


def installed(board: Server) -> Path:
    return board.home / "codesign" / f"{small_network().name}-pynq-z2"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_package_is_copied_checked_and_installed(
    package: Package, board: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (package.folder, package.folder.with_name(f"{package.name}.zip"), package.folder.parent):
        assert deploy(path, board, "--json", "--samples", "5") == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["passed"] and shown["remote"] == str(installed(board)) and shown["digest"] == package.digest
        assert shown["check"]["arguments"] == ["check", "--json", "--samples", "5"]
        assert shown["check"]["folder"].startswith(f"{package.name}.new-"), "it is checked before it is installed"
        assert tree(installed(board)) == tree(package.folder), "nothing is added on the way, no compiled Python either"
    assert [p.name for p in installed(board).parent.iterdir()] == [package.name]
    assert deploy(package.folder, board) == 0
    out = capsys.readouterr().out
    assert out == f"{package.name} is on {HOST}: {installed(board)}\n"


def test_a_project_and_a_run_lead_to_the_package_that_was_built(tmp_path: Path, board: Server, capsys: object) -> None:
    best = tmp_path / "run" / "best"
    (best / "project").mkdir(parents=True)
    made(best / "project-pynq-z2")
    for path in (tmp_path / "run", best / "project", best / "project-pynq-z2"):
        assert deploy(path, board) == 0
    made(best / "project-again")
    assert deploy(tmp_path / "run", board) == 2


def test_a_package_that_differs_leaves_the_board_as_it_was(
    tmp_path: Path, package: Package, board: Server, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(package.folder, board) == 0
    before = tree(installed(board))
    other = made(tmp_path / "other", seconds=99)
    board.change({**environment, "ANSWER": json.dumps(WRONG), "CODE": "1"})
    assert deploy(other.folder, board) == 1
    assert capsys.readouterr().out.splitlines()[-8:] == [
        "5 of 8 samples equal the C-simulation in every logit, 7 in their flags",
        "first difference: sample 2; logit 1; board 5; csim 6",
        "guard bit 0; logits_equal True; corrected one, two; detected none",
        "self-test: guard bit 1 is neither outvoted nor detected: the logits differ",
        "accuracy: 0.5",
        "samples_per_s: 12,345.6",
        "latency_us: 78.9",
        f"{package.name} was not installed on {HOST}",
    ]
    assert tree(installed(board)) == before and [p.name for p in installed(board).parent.iterdir()] == [package.name]


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ('{"error": "the DMA took more than 5 s"}', "2", r"failed \(exit code 2\): the DMA took more than 5 s"),
        ("Traceback: ModuleNotFoundError: No module named pynq", "1", "No module named pynq"),
        ("", "0", r"failed \(exit code 0\): Welcome to the board"),
        ("[1]", "0", r"failed \(exit code 0\): \[1\]"),
    ],
)
def test_a_runtime_that_fails_is_one_line_and_nothing_stays(
    package: Package,
    board: Server,
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    answer: str,
    code: str,
    message: str,
) -> None:
    board.change({**environment, "ANSWER": answer, "CODE": code})
    assert deploy(package.folder, board) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"codesign: xilinx@{HOST}:{board.port}: the board's runtime failed")
    assert re.search(message, error), error
    assert [*(board.home / "codesign").iterdir()] == []


def test_a_connection_lost_during_the_check_keeps_the_old_package(
    tmp_path: Path, package: Package, board: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(package.folder, board) == 0
    before = tree(installed(board))
    board.faults.cut_command = "codesign_runtime"
    assert deploy(made(tmp_path / "other", seconds=99).folder, board) == 2
    assert "lost the connection to xilinx@127.0.0.1" in capsys.readouterr().err
    assert tree(installed(board)) == before
    board.faults.cut_command = ""
    assert deploy(package.folder, board) == 0, "and the board is usable"


def test_tampered_packages_never_reach_the_board(
    package: Package, board: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    (package.folder / "design.bit").write_bytes(b"other")
    assert deploy(package.folder, board) == 2
    assert "design.bit is not what was packed" in capsys.readouterr().err and not board.faults.commands


def test_what_holds_no_package_is_named(
    tmp_path: Path, package: Package, board: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert deploy(tmp_path / "empty", board) == 2
    assert "no package in" in capsys.readouterr().err
    assert deploy(tmp_path / "none", board) == 2
    assert "no package" in capsys.readouterr().err
    packages.write(package.folder.parent, board="zcu104")
    assert deploy(package.folder.parent, board) == 2
    assert "has several packages, name one of" in capsys.readouterr().err


# As root nothing stands in the way; these boards say that we are somebody else.
SUDO = '#!/bin/sh\n[ "$1" = -n ] || exit 9\nshift\necho "$1" >> "$HOME/as-root"\nexec "$@"\n'


def test_sudo_is_used_where_it_asks_nothing(tmp_path: Path, package: Package, board: Server) -> None:
    tools = tmp_path / "tools"
    for name, body in (("id", "#!/bin/sh\necho 1000\n"), ("sudo", SUDO)):
        (tools / name).write_text(body)
        (tools / name).chmod(0o755)
    assert deploy(package.folder, board, "--sudo") == 0
    assert (board.home / "as-root").read_text().split() == ["true", "timeout"]
    assert deploy(package.folder, board, "--no-sudo") == 0
    assert (board.home / "as-root").read_text().split() == ["true", "timeout"]


def test_sudo_that_wants_a_password_is_explained(
    tmp_path: Path, package: Package, board: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = tmp_path / "tools"
    for name, body in (
        ("id", "#!/bin/sh\necho 1000\n"),
        ("sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"),
    ):
        (tools / name).write_text(body)
        (tools / name).chmod(0o755)
    assert deploy(package.folder, board, "--sudo") == 2
    error = capsys.readouterr().err
    assert "sudo says: sudo: a password is required" in error and "xilinx ALL=(ALL) NOPASSWD: ALL" in error
    assert not (board.home / "codesign").exists(), "nothing is copied for nothing"
