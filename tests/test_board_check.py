"""The samples of a package: chosen, simulated, written."""

import io
from pathlib import Path

import numpy as np
import pytest
from networks import small_network

from codesign.board.check import bench_inputs, check_samples
from codesign.errors import ConfigError
from codesign.fixed import to_real
from codesign.hls.folder import Project
from codesign.hls.options import ProjectOptions
from codesign.network import forward
from codesign.protection import ProtectionPlan


def opened(folder: Path) -> Project:
    (folder / "tb_data").mkdir()
    return Project(folder, small_network(), ProtectionPlan(), ProjectOptions())


def drawn(project: Project, count: int) -> np.ndarray:
    of = project.network.input_type
    return np.random.default_rng(7).integers(of.min_raw, of.max_raw, (count, project.network.n_in), endpoint=True)


def test_the_test_benchs_inputs_come_back_as_they_were(tmp_path: Path) -> None:
    project = opened(tmp_path)
    raw = drawn(project, 9)
    path = tmp_path / "tb_data" / "tb_input_features.dat"
    np.savetxt(path, to_real(raw, project.network.input_type), fmt="%.17g")
    assert np.array_equal(bench_inputs(project), raw)
    assert np.array_equal(bench_inputs(project, 4), raw[:4])
    path.write_text("1 2 three")
    with pytest.raises(ConfigError, match="tb_input_features.dat is not as it was written"):
        bench_inputs(project)


@pytest.mark.parametrize("empty", [False, True])
def test_without_a_test_bench_inputs_are_drawn_alike(tmp_path: Path, empty: bool) -> None:
    project = opened(tmp_path)
    if empty:
        (tmp_path / "tb_data" / "tb_input_features.dat").write_text("")
    raw, of = bench_inputs(project, 500), project.network.input_type
    assert raw.shape == (500, project.network.n_in) and np.array_equal(raw[:3], bench_inputs(project, 500)[:3])
    assert (raw.min(), raw.max()) == (of.min_raw, of.max_raw)


@pytest.mark.cxx
def test_the_csim_says_what_the_board_has_to_give(tmp_path: Path) -> None:
    from codesign.hls.project import write_project

    network = small_network()
    options = ProjectOptions("Vivado", "xc7z020clg400-1", 10.0, axi_bits=64, board="pynq-z2")
    hardened = {layer.name: np.full(layer.neurons, 3) for _, layer in network.compute_layers()}
    plan = ProtectionPlan.of(network, hardened)
    project = write_project(network, plan, tmp_path / "project", options)
    raw = drawn(project, 11)
    labels = np.arange(11) % network.n_out
    with np.load(io.BytesIO(check_samples(project, raw, labels)), allow_pickle=False) as found:
        assert {name: found[name].dtype for name in found} == {
            **dict.fromkeys(("inputs", "logits", "labels", "guard_logits"), np.dtype(np.int64)),
            **dict.fromkeys(("corrected", "detected", "guard_corrected", "guard_detected"), np.dtype(np.bool_)),
        }
        assert np.array_equal(found["inputs"], raw) and np.array_equal(found["labels"], labels)
        assert np.array_equal(found["logits"], forward(network, raw)[-1])
        assert not found["corrected"].any() and found["detected"].shape == (11,)
        # Every raised guard is outvoted and seen in every layer that is protected.
        assert np.array_equal(found["guard_logits"], np.stack([found["logits"]] * 3))
        assert found["guard_corrected"].shape == found["guard_detected"].shape == (3, len(network.compute_layers()))
        assert found["guard_corrected"].all() and not found["guard_detected"].any()
