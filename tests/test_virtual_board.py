"""The runtime on the virtual board: PYNQ's own classes, the exported top's C-simulation, and what goes wrong."""

import io
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_raw, small_network

from codesign.assets import asset
from codesign.board.package import Package, verify, write_package
from codesign.board.runtime import (
    Accelerator,
    InputError,
    LostError,
    OverlayError,
    PackageError,
    TransferError,
    check,
    self_test,
)
from codesign.board.runtime.__main__ import main as runtime
from codesign.board.virtual import Kind, Trouble, Until, virtual_board, virtual_package
from codesign.board.virtual.bitstream import Content, bit_bytes
from codesign.faults import FAULT
from codesign.fixed import Ints, quantise, to_real
from codesign.hls.csim import CsimSimulator
from codesign.hls.folder import Project
from codesign.hls.project import ProjectOptions, write_project
from codesign.network import forward
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan

pytestmark = pytest.mark.cxx
SAMPLES, TIMEOUT_S = 40, 0.05


def protected() -> tuple[Any, ProtectionPlan]:
    """One layer of TMR, one of DMR, so that guards are both outvoted and detected."""
    network = small_network()
    layers = [layer for _, layer in network.compute_layers()]
    tmr, dmr = (LayerPlan(one.name, (one.acc.width,) * one.neurons) for one in (layers[0], layers[-1]))
    return network, ProtectionPlan((tmr, replace(dmr, mechanism=Mechanism.DMR)))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    network, plan = protected()
    options = ProjectOptions("Vivado", part="xc7z020clg400-1", axi_bits=64, board="pynq-z2")
    return write_project(network, plan, tmp_path_factory.mktemp("board") / "project", options)


@pytest.fixture(scope="module")
def raw(project: Project) -> Ints:
    return random_raw(project.network.input_type, (SAMPLES, project.network.n_in), np.random.default_rng(3))


@pytest.fixture(scope="module")
def package(project: Project, raw: Ints, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return virtual_package(project, tmp_path_factory.mktemp("package"), raw, raw[:, 0] % 2)


@pytest.fixture(scope="module")
def booted() -> Iterator[Any]:
    with virtual_board() as device:
        yield device


@pytest.fixture
def device(booted: Any) -> Iterator[Any]:
    booted.trouble.clear()
    yield booted
    booted.trouble.clear()


@pytest.fixture
def board(device: Any, package: Package) -> Iterator[Accelerator]:
    with Accelerator.load(package.folder, TIMEOUT_S) as accelerator:
        yield accelerator
    assert device.memory.allocated == 0  # what was allocated is given back


def changed(package: Package, folder: Path, **files: bytes) -> Path:
    """A package of other content, whole in itself: `bit` and `model` replace those."""
    names = {"bit": "design.bit", "model": "model.json", "hwh": "design.hwh", "check": "check.npz"}
    content: dict[str, Path | bytes] = {name: package.folder / name for name in package.manifest["files"]}
    content |= {names[key]: value for key, value in files.items()}
    about = {key: value for key, value in package.manifest.items() if key not in ("files", "format")}
    if "model" in files:
        model = json.loads(files["model"])
        about |= {key: model[key] for key in ("network", "plan", "network_name")}
    return write_package(folder / "changed", content, about).folder


# ---------------------------------------------------------------- what is right


def test_predictions_are_the_csims_for_raw_and_real_inputs(board: Accelerator, project: Project, raw: Ints) -> None:
    network = project.network
    golden = CsimSimulator(project, raw).golden
    assert np.array_equal(golden, forward(network, raw)[-1])
    assert np.array_equal(board.predict_raw(raw), golden)
    reals = np.random.default_rng(5).normal(size=(SAMPLES, network.n_in)) * 4
    wanted = to_real(forward(network, quantise(reals, network.input_type))[-1], network.layers[-1].result)
    assert np.array_equal(board.predict(reals), wanted)
    assert np.array_equal(board.predict(reals.reshape(SAMPLES, 1, -1)), wanted)
    assert board.predict_raw(raw[:0]).shape == (0, network.n_out)


@pytest.mark.parametrize("guard", [0, 1, 2, 4, 3])
def test_flags_are_raised_by_exactly_the_samples_that_the_csim_flags(
    board: Accelerator, project: Project, raw: Ints, guard: int
) -> None:
    board.clear()
    board.guard = guard
    found = board.trace_raw(raw)
    wanted = CsimSimulator(project, raw).run_traced(np.zeros(0, FAULT), guard)
    assert np.array_equal(found.logits, wanted.logits)
    assert np.array_equal(found.corrected, wanted.corrected) and np.array_equal(found.detected, wanted.detected)
    assert wanted.corrected.any() == bool(guard)


def test_counters_and_sticky_flags_are_those_of_a_batch(board: Accelerator, project: Project, raw: Ints) -> None:
    board.clear()
    before = board.counters()["samples"]
    board.guard = 1
    logits = board.predict_raw(raw)
    board.guard = 0
    wanted = CsimSimulator(project, raw).run_counted(np.zeros(0, FAULT), 1)
    flags, counters = board.flags(), board.counters()
    assert np.array_equal(logits, wanted.logits)
    assert [*flags.corrected.values()] == wanted.sticky_corrected.astype(bool).tolist()
    assert [*flags.detected.values()] == wanted.sticky_detected.astype(bool).tolist()
    assert [*counters["corrected"].values()] == wanted.samples_corrected.tolist()
    assert [*counters["detected"].values()] == wanted.samples_detected.tolist()
    assert counters["samples"] == before + SAMPLES and counters["bad_frames"] == 0
    board.clear()
    assert not any([*board.flags().corrected.values(), *board.flags().detected.values()])


def test_batches_are_split_by_the_longest_transfer_of_the_dma(
    device: Any, project: Project, raw: Ints, tmp_path: Path
) -> None:
    package = virtual_package(project, tmp_path, raw[:2], length_bits=8)
    with Accelerator.load(package.folder, TIMEOUT_S) as accelerator:
        sample = max(accelerator.model.input.sample_bytes, accelerator.model.output.sample_bytes)
        assert accelerator.batch == 255 // sample < SAMPLES
        before = device.dma.transfers
        assert np.array_equal(accelerator.predict_raw(raw), forward(project.network, raw)[-1])
        assert device.dma.transfers - before == -(-SAMPLES // accelerator.batch)
    many = np.tile(raw, (30, 1))
    with Accelerator.load(virtual_package(project, tmp_path, raw[:2]).folder, TIMEOUT_S) as accelerator:
        assert accelerator.batch == 1000 < len(many)
        assert np.array_equal(accelerator.predict_raw(many), np.tile(forward(project.network, raw)[-1], (30, 1)))
    tiny = virtual_package(project, tmp_path, raw[:2], length_bits=2)
    with pytest.raises((OverlayError, LostError), match="transfer"), Accelerator.load(tiny.folder, TIMEOUT_S) as small:
        small.predict_raw(raw)


def test_check_compares_samples_flags_and_guards(board: Accelerator) -> None:
    report = check(board)
    assert report["passed"] and report["equal"] == report["flags_equal"] == report["samples"] == SAMPLES
    assert report["self_test"]["seen"] and not report["self_test"]["findings"]
    assert [guard["logits_equal"] for guard in report["self_test"]["guards"]] == [False, False, True]
    assert json.loads(json.dumps(report)) == report
    assert check(board, 3)["samples"] == 3
    with pytest.raises(InputError, match="samples"):
        check(board, 0)


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("logits", (3, 1), ""),
        ("corrected", (3,), ""),
        ("guard_logits", (1, 0, 0), "guard bit 1: other logits than in C-simulation"),
        ("guard_corrected", (0, 0), "guard bit 0: corrected in fc0, in C-simulation in no layer"),
    ],
)
def test_a_board_that_differs_from_the_csim_is_told(
    device: Any,
    package: Package,
    tmp_path: Path,
    name: str,
    place: tuple[int, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Here it is the expectation that is changed by one number or flag."""
    with np.load(package.folder / "check.npz") as data:
        arrays = dict(data)
    arrays[name][place] = ~arrays[name][place]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    folder = changed(package, tmp_path, check=buffer.getvalue())
    assert runtime([str(folder), "check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["passed"]
    assert report["equal"] == SAMPLES - (name == "logits") and report["flags_equal"] == SAMPLES - (name == "corrected")
    assert report["self_test"]["findings"] == ([message] if message else [])
    if name == "logits":
        first = report["first_difference"]
        assert (first["sample"], first["logit"]) == (3, 1) and first["board"] == ~first["csim"]


def test_figures_are_measured_and_inputs_of_other_shapes_refused(board: Accelerator, raw: Ints) -> None:
    figures = board.measure(raw, 0.01)
    assert figures.samples >= SAMPLES and figures.samples_per_s > 0 < figures.latency_us <= figures.latency_us_max
    for given, message in (
        (raw[:, 1:], "shape"),
        (raw.astype(float), "integers"),
        (raw + (1 << 40), "outside"),
    ):
        with pytest.raises(InputError, match=message):
            board.predict_raw(given)
    with pytest.raises(InputError, match="values a sample"):
        board.predict(np.zeros((2, 3)))
    with pytest.raises(InputError, match="NaN"):
        board.predict(np.full((1, raw.shape[1]), np.nan))
    with pytest.raises(InputError, match="3 bits"):
        board.guard = 8
    with pytest.raises(InputError, match="no register 'samples'"):
        board.set_register("samples", 1)


# ---------------------------------------------------------------- what goes wrong


def works(board: Accelerator, raw: Ints, project: Project) -> None:
    assert np.array_equal(board.predict_raw(raw), forward(project.network, raw)[-1])
    assert self_test(board, raw)["passed"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Kind.DEAF, "DMA time-out after 0.05 s: the accelerator does not take its input"),
        (Kind.MUTE, "DMA time-out after 0.05 s: the accelerator takes its input and gives no output"),
        (Kind.SHORT, "short transfer: the accelerator gave"),
        (Kind.LONG, "DMA internal error"),
        (Kind.SLAVE_ERROR, "DMA slave error"),
        (Kind.DECODE_ERROR, "DMA decode error"),
        (Kind.DROPPED, "samples instead of 40"),
    ],
)
@pytest.mark.parametrize("until", [Until.RESET, Until.LOAD])
def test_each_trouble_is_one_error_and_leaves_the_board_usable(
    device: Any, board: Accelerator, project: Project, raw: Ints, kind: Kind, until: Until, message: str
) -> None:
    loads = device.loads
    device.trouble.append(Trouble(kind, until))
    with pytest.raises(TransferError, match=message) as caught:
        board.predict_raw(raw)
    assert "\n" not in str(caught.value) and str(caught.value).endswith("so the board can be used again")
    assert device.loads - loads == (until is Until.LOAD)  # it is loaded again only where a reset does not help
    works(board, raw, project)


def test_an_accelerator_that_is_out_of_step_is_noticed_and_loaded_again(
    device: Any, board: Accelerator, project: Project, raw: Ints
) -> None:
    device.trouble.append(Trouble(Kind.LATE, Until.LOAD))
    with pytest.raises(TransferError, match="loaded again"):
        board.predict_raw(raw)
    works(board, raw, project)


def test_a_lost_accelerator_is_said_and_found_again_when_it_comes_back(
    device: Any, board: Accelerator, project: Project, raw: Ints
) -> None:
    device.trouble.append(Trouble(Kind.MUTE, Until.NEVER))
    for _ in range(2):
        with pytest.raises(LostError, match="switch the board off and on"):
            board.predict_raw(raw)
    device.trouble.clear()
    works(board, raw, project)


def test_an_interrupt_stops_the_dma_before_its_memory_is_given_back(device: Any, package: Package, raw: Ints) -> None:
    def interrupted() -> float:
        raise KeyboardInterrupt

    with Accelerator.load(package.folder, 60.0) as accelerator:
        device.trouble.append(Trouble(Kind.MUTE, Until.RESET))
        accelerator._hardware.dma._clock = interrupted
        with pytest.raises(KeyboardInterrupt):
            accelerator.predict_raw(raw)
        accelerator._hardware.dma._clock = time.monotonic
        assert device.trouble
    assert not device.trouble and device.memory.allocated == 0  # it was reset


def test_a_dma_that_does_not_reset_is_loaded_again(
    device: Any, board: Accelerator, project: Project, raw: Ints
) -> None:
    device.trouble += [Trouble(Kind.MUTE, Until.RESET), Trouble(Kind.STUCK, Until.LOAD)]
    with pytest.raises(TransferError, match="the bitstream was loaded again"):
        board.predict_raw(raw)
    works(board, raw, project)


def test_registers_that_the_host_wrote_are_zero_after_trouble(device: Any, board: Accelerator, raw: Ints) -> None:
    board.guard = 1
    device.trouble.append(Trouble(Kind.MUTE, Until.RESET))
    with pytest.raises(TransferError):
        board.trace_raw(raw)
    assert board.guard == 0
    assert not any(board.trace_raw(raw).corrected.any(axis=0))


def test_another_networks_bitstream_is_refused_and_ours_can_be_loaded_afterwards(
    device: Any, package: Package, project: Project, raw: Ints, tmp_path: Path
) -> None:
    unprotected = write_project(project.network, ProtectionPlan(), tmp_path / "other", project.options)
    bit = bit_bytes(Content(f"{project.network.name}_axi", str(unprotected.folder)), "xc7z020clg400-1")
    with pytest.raises(OverlayError, match="wrong bitstream: its plan begins with"):
        Accelerator.load(changed(package, tmp_path, bit=bit), TIMEOUT_S)
    with Accelerator.load(package.folder, TIMEOUT_S) as board:
        works(board, raw, project)


def test_digests_of_another_model_are_refused(device: Any, package: Package, tmp_path: Path) -> None:
    model = json.loads((package.folder / "model.json").read_text()) | {"network": "0" * 64}
    with pytest.raises(OverlayError, match="its network begins with"):
        Accelerator.load(changed(package, tmp_path, model=json.dumps(model).encode()), TIMEOUT_S)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"bit": b"noise"}, "is no bitstream"),
        ({"hwh": b"<a/>"}, "cannot load"),
    ],
)
def test_what_cannot_be_loaded_is_one_error(
    device: Any, package: Package, project: Project, raw: Ints, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(OverlayError, match=message) as caught:
        Accelerator.load(changed(package, tmp_path, **files), TIMEOUT_S)
    assert "\n" not in str(caught.value)
    with Accelerator.load(package.folder, TIMEOUT_S) as board:
        works(board, raw, project)


def test_a_description_of_another_accelerator_is_a_wrong_bitstream(
    device: Any, package: Package, tmp_path: Path
) -> None:
    text = (package.folder / "design.hwh").read_text().replace("small_axi", "large_axi")
    with pytest.raises(OverlayError, match="no accelerator small_axi, but large_axi"):
        Accelerator.load(changed(package, tmp_path, hwh=text.encode()), TIMEOUT_S)
    sg = (package.folder / "design.hwh").read_text().replace('"c_include_sg" VALUE="0"', '"c_include_sg" VALUE="1"')
    with pytest.raises(OverlayError, match="not a simple one"):
        Accelerator.load(changed(package, tmp_path, hwh=sg.encode()), TIMEOUT_S)


@pytest.mark.parametrize("name", ["design.bit", "model.json", "check.npz", "codesign_runtime/dma.py"])
def test_a_file_that_was_tampered_with_never_reaches_the_board(
    device: Any, package: Package, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(package.folder, folder)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    loads = device.loads
    with pytest.raises(PackageError, match=f"{name} is not what was packed"):
        Accelerator.load(folder)
    (folder / name).unlink()
    with pytest.raises(PackageError, match=f"{name} is missing"):
        Accelerator.load(folder)
    assert device.loads == loads
    assert verify(package.folder)


def test_pynqs_own_dma_driver_works_on_the_virtual_board(
    device: Any, package: Package, project: Project, raw: Ints
) -> None:
    import pynq
    from pynq.lib.dma import DMA

    overlay = pynq.Overlay(str(package.folder / "design.bit"))
    dma = overlay.axi_dma_0
    assert isinstance(dma, DMA) and dma.buffer_max_size == (1 << 26) - 1
    with Accelerator.load(package.folder) as board:
        lanes, out = board.model.input, board.model.output
    dma = pynq.Overlay(str(package.folder / "design.bit")).axi_dma_0
    source, target = (
        pynq.allocate((SAMPLES, lanes.sample_bytes), "u1"),
        pynq.allocate((SAMPLES, out.sample_bytes), "u1"),
    )
    source[:] = lanes.pack(raw)
    dma.recvchannel.transfer(target)
    dma.sendchannel.transfer(source)
    dma.sendchannel.wait()
    dma.recvchannel.wait()
    assert dma.recvchannel.transferred == target.nbytes
    assert np.array_equal(out.unpack(np.array(target)), forward(project.network, raw)[-1])
    source.freebuffer()
    target.freebuffer()


# ---------------------------------------------------------------- the notebook


def test_the_notebooks_cells_run_on_the_board(device: Any, package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    path = asset("boards") / "notebooks" / "predict.ipynb"
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    text = "\n".join("".join(cell["source"]) for cell in code)
    usual = "/home/xilinx/codesign/digits_mlp-pynq-z2"
    assert usual in text
    monkeypatch.setattr(sys, "path", [*sys.path])
    found: dict[str, Any] = {}
    exec(compile(text.replace(usual, str(package.folder)), str(path), "exec"), found)
    assert found["report"]["passed"] and found["flags"].corrected["fc0"] and found["flags"].detected["fc1"]
    assert found["outputs"].shape == (1000, 3) and found["accelerator"].package.folder == package.folder
    for name in [name for name in sys.modules if name.startswith("codesign_runtime")]:
        del sys.modules[name]
