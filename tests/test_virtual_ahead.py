"""A board that takes the registers of samples before they arrive, as a freely running accelerator may.

What the host writes then counts later than it was written; the runtime has to give the C-simulation's results all the
same (docs/registers.md: when a write counts).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from networks import random_raw
from test_virtual_board import TIMEOUT_S, protected

from codesign.board.package import Package
from codesign.board.runtime import Accelerator, TransferError, accelerator, check, self_test
from codesign.board.virtual import Kind, Trouble, Until, virtual_board, virtual_package
from codesign.faults import FAULT
from codesign.fixed import Ints
from codesign.hls.csim import CsimSimulator
from codesign.hls.folder import Project
from codesign.hls.project import ProjectOptions, write_project

pytestmark = pytest.mark.cxx
SAMPLES = 20
NO_FAULTS = np.zeros(0, FAULT)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    network, plan = protected()
    options = ProjectOptions("Vivado", part="xc7z020clg400-1", axi_bits=64, board="pynq-z2")
    return write_project(network, plan, tmp_path_factory.mktemp("ahead") / "project", options)


@pytest.fixture(scope="module")
def raw(project: Project) -> Ints:
    return random_raw(project.network.input_type, (SAMPLES, project.network.n_in), np.random.default_rng(8))


@pytest.fixture(scope="module")
def package(project: Project, raw: Ints, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return virtual_package(project, tmp_path_factory.mktemp("package"), raw)


@pytest.fixture(scope="module", params=[0, 1, 40])
def device(request: pytest.FixtureRequest) -> Iterator[Any]:
    with virtual_board(request.param) as device:
        device.ahead = request.param
        yield device


@pytest.fixture
def board(device: Any, package: Package) -> Iterator[Accelerator]:
    with Accelerator.load(package.folder, TIMEOUT_S) as found:
        yield found


def test_check_and_self_test_pass(board: Accelerator) -> None:
    report = check(board)
    assert report["passed"], report
    assert report["equal"] == report["flags_equal"] == SAMPLES and report["self_test"]["seen"]


@pytest.mark.parametrize("guard", [1, 2, 4])
def test_flags_of_each_sample_are_the_csims(board: Accelerator, project: Project, raw: Ints, guard: int) -> None:
    wanted = CsimSimulator(project, raw).run_traced(NO_FAULTS, guard)
    board.guard = guard
    for _ in range(2):
        found = board.trace_raw(raw)
        assert np.array_equal(found.logits, wanted.logits)
        assert np.array_equal(found.corrected, wanted.corrected) and np.array_equal(found.detected, wanted.detected)
    board.guard = 0
    found = board.trace_raw(raw)
    assert np.array_equal(found.logits, CsimSimulator(project, raw).golden)
    assert not found.corrected.any() and not found.detected.any()


@pytest.mark.parametrize("guard", [1, 4])
def test_sticky_flags_and_counters_are_those_of_the_samples_that_were_asked_for(
    board: Accelerator, project: Project, raw: Ints, guard: int
) -> None:
    wanted = CsimSimulator(project, raw).run_counted(NO_FAULTS, guard)
    for times in (1, 2):
        before = board.counters()["samples"]
        board.clear()
        board.guard = guard
        for _ in range(times):
            assert np.array_equal(board.predict_raw(raw), wanted.logits)
        board.guard = 0
        flags, counters = board.flags(), board.counters()
        assert [*flags.corrected.values()] == wanted.sticky_corrected.astype(bool).tolist()
        assert [*flags.detected.values()] == wanted.sticky_detected.astype(bool).tolist()
        assert [*counters["corrected"].values()] == (times * wanted.samples_corrected).tolist()
        assert [*counters["detected"].values()] == (times * wanted.samples_detected).tolist()
        assert counters["samples"] == before + 1 + times * SAMPLES  # one that clears
    board.predict_raw(raw)
    board.clear()
    assert not any([*board.flags().corrected.values(), *board.counters()["corrected"].values()])


def test_trouble_under_a_guard_takes_no_new_load(device: Any, board: Accelerator, project: Project, raw: Ints) -> None:
    board.guard = 1
    board.predict_raw(raw)
    loads = device.loads
    device.trouble.append(Trouble(Kind.MUTE, Until.RESET))
    with pytest.raises(TransferError, match="the DMA was reset"):
        board.predict_raw(raw)
    assert device.loads == loads and board.guard == 0
    assert np.array_equal(board.predict_raw(raw), CsimSimulator(project, raw).golden)
    assert board.counters()["samples"] == SAMPLES
    assert self_test(board, raw)["passed"]


def test_without_settling_such_a_board_would_be_misread(
    device: Any, package: Package, project: Project, raw: Ints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the tests above show something."""
    monkeypatch.setattr(accelerator, "_SETTLING", 0)
    wanted = CsimSimulator(project, raw).run_traced(NO_FAULTS, 1).corrected
    with Accelerator.load(package.folder, TIMEOUT_S) as board:
        board.guard = 1
        assert np.array_equal(board.trace_raw(raw).corrected, wanted) is (device.ahead == 0)
