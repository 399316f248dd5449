"""docs/own_model.md from its first block to its last, as a new user would: in one folder, with nothing else there."""

import contextlib
import json
from pathlib import Path

import pytest
import stages
from pages import ROOT, blocks, typed
from test_pages import OWN_MODEL, Captured, Walk

from codesign.train.training import tensorflow

PAGE = ROOT / OWN_MODEL
# What a new user may have to type before there is a protected project, the demo included.
COMMANDS = 10


def test_it_takes_few_commands() -> None:
    text = PAGE.read_text().split("## Convolutional")[0]
    shown = [block for block in blocks(PAGE) if block.language == "sh" and block.body in text]
    commands = [line for block in shown for line in typed(block.body)]
    assert commands[-1].startswith("codesign export") and len(commands) < COMMANDS


@pytest.mark.slow
@pytest.mark.tf
@pytest.mark.cxx
@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras on its own file format
def test_the_page_runs_as_it_stands(tmp_path: Path, capsys: Captured) -> None:
    tensorflow()  # the page's own training shares this process with codesign's, which wants it repeatable
    with contextlib.ExitStack() as stack:
        walk = Walk(OWN_MODEL, stages.Stage(tmp_path, lambda: tmp_path, stack), capsys)
        for block in blocks(PAGE):
            walk.block(block)
    runs = walk.folder / "runs"
    for name in ("digits", "conv", "residual"):
        result = json.loads((runs / name / "result.json").read_text())
        assert result["best"]["feasible"] and result["baselines"]["unprotected"]["feasible"] is False
        # Exact: the compiled project on all samples, and under the same fault lists.
        assert result["verification"]["equal"] and result["verification"]["simulators"] == ["engine", "csim"]
        assert result["verification"]["samples"] == 360 and len(result["verification"]["trials"]) == 5
        assert any(any(layer["hardened_bits"]) for layer in result["layers"])
        assert (runs / name / "report.html").exists() and (runs / name / "best/project/build_prj.tcl").exists()
    layers = {name: json.loads((runs / name / "result.json").read_text())["layers"] for name in ("conv", "residual")}
    assert [layer["name"] for layer in layers["conv"]] == ["first", "logits"]
    assert [layer["name"] for layer in layers["residual"]] == ["first", "second", "add", "logits"]
    [manifest] = (runs / "digits/export").glob("*/codesign.json")
    assert json.loads(manifest.read_text())["board"] == "pynq-z2"
