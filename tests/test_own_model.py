"""docs/own_model.md from its first block to its last, as a new user would: in one folder, with nothing else there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, Block, blocks

PAGE = ROOT / "docs" / "own_model.md"
# What a new user may have to type before there is a protected project, the demo included.
COMMANDS = 10


def session() -> list[Block]:
    return [block for block in blocks(PAGE) if block.words[1:] == ("session",)]


def run(block: Block, folder: Path) -> None:
    tools = Path(sys.executable).parent
    command = [sys.executable, "-c", block.body] if block.words[0] == "python" else ["sh", "-e", "-c", block.body]
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{block.where}\n{done.stdout}\n{done.stderr}"


def test_it_takes_few_commands() -> None:
    typed = [line for block in session() if block.words[0] == "sh" for line in block.body.splitlines()]
    demo = 4  # apt install, git clone, cd, make demo
    assert all(line.startswith("codesign ") for line in typed) and demo + len(typed) < COMMANDS


@pytest.mark.slow
@pytest.mark.tf
@pytest.mark.cxx
def test_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    for block in session():
        run(block, tmp_path)
    result = json.loads((tmp_path / "runs/digits/result.json").read_text())
    assert result["best"]["feasible"] and result["baselines"]["unprotected"]["feasible"] is False
    assert (tmp_path / "runs/digits/report.html").exists()
    [manifest] = (tmp_path / "runs/digits/export").glob("*/codesign.json")
    assert json.loads(manifest.read_text())["board"] == "pynq-z2"
