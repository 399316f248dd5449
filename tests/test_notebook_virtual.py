"""The example notebook on the virtual board: as it is, against the C-simulation of an exported project."""

import runpy
from pathlib import Path

import notebooks
import numpy as np
import pytest
from networks import random_raw, small_network

from codesign.board.virtual import virtual_board, virtual_package
from codesign.hls.project import ProjectOptions, write_project
from codesign.protection import LayerPlan, ProtectionPlan

SAMPLES = 16


@pytest.mark.cxx
def test_the_notebook_runs_on_the_virtual_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = small_network()
    layers = [layer for _, layer in network.compute_layers()]
    plan = ProtectionPlan(tuple(LayerPlan(one.name, (one.acc.width,) * one.neurons) for one in layers))
    options = ProjectOptions("Vivado", part="xc7z020clg400-1", axi_bits=64, board="pynq-z2")
    project = write_project(network, plan, tmp_path / "project", options)
    raw = random_raw(network.input_type, (SAMPLES, network.n_in), np.random.default_rng(4))
    package = virtual_package(project, tmp_path, raw)
    script = tmp_path / "predict.py"
    script.write_text(notebooks.program(notebooks.PREDICT))
    monkeypatch.setenv("CODESIGN_PACKAGE", str(package.folder))
    monkeypatch.syspath_prepend(str(package.folder))
    capsys.readouterr()
    with virtual_board():
        runpy.run_path(str(script))
    notebooks.check_printed(capsys.readouterr().out, SAMPLES * network.n_out)
