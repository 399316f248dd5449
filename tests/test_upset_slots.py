"""Upset slots: what the host writes does exactly what a persistent fault in a stored weight does."""

import json

import numpy as np
import pytest
from networks import random_raw
from test_project import passes_network, strong_plan

from codesign.codes import Code
from codesign.errors import ConfigError
from codesign.faults import ALL_SAMPLES, ALL_STEPS, FaultArray, Target, fault_array
from codesign.hls.burst import BoardCsim, Burst
from codesign.hls.check import check_project
from codesign.hls.options import ProjectOptions
from codesign.hls.project import write_project
from codesign.hls.registers import board_registers, register_map
from codesign.network import forward
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

SAMPLES = 6
SLOTS = 2


def plain_and_parity() -> ProtectionPlan:
    fc1 = LayerPlan("fc1", (15, 4, 0), Mechanism.TMR, Scope.ADDER, 0, Code.PARITY)
    return ProtectionPlan((LayerPlan("fc0", (0, 3, 14, 13, 1)), fc1))


CASES = {
    "coded": (strong_plan, "Vivado", "io_parallel"),
    "plain": (plain_and_parity, "Vitis", "io_stream"),
}


@pytest.fixture(scope="module", params=CASES)
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BoardCsim:
    plan, backend, io_type = CASES[request.param]
    options = ProjectOptions(backend, io_type=io_type, axi_bits=64, upset_slots=SLOTS)  # type: ignore[arg-type]
    return BoardCsim(write_project(passes_network(), plan(), tmp_path_factory.mktemp("upsets") / "p", options))


def run(board: BoardCsim, host: dict[str, int] | None = None, faults: FaultArray | None = None) -> Burst:
    raw = random_raw(board.network.input_type, (SAMPLES, board.network.n_in), np.random.default_rng(2))
    beats = board.input.pack(raw)
    board.reset()
    return board.feed(beats, np.arange(len(beats)) == len(beats) - 1, host, faults)


def slot(k: int, layer: int, word: int, mask: int) -> dict[str, int]:
    return {f"upset{k}_layer": layer, f"upset{k}_word": word, f"upset{k}_mask": mask}


def same(found: Burst, expected: Burst) -> bool:
    return np.array_equal(found.data, expected.data) and found.registers == expected.registers


@pytest.mark.slow
@pytest.mark.cxx
def test_a_slot_is_a_persistent_fault_of_every_stored_bit(board: BoardCsim) -> None:
    silent, tried = run(board), 0
    differed = 0
    computing = board.network.compute_layers()
    for number, (index, layer) in enumerate(computing, start=1):
        code = board.project.plan.of_layer(layer).parameters
        size = layer.fan_in * layer.neurons
        for copy in range(code.copies):
            for position in range(layer.fan_in):
                for neuron in range(layer.neurons):
                    bit = (position + neuron + copy) % code.stored_width(layer.w.type.width)
                    word = copy * size + position * layer.neurons + neuron
                    row = (index, Target.WEIGHT, neuron, position, copy, bit, ALL_SAMPLES, ALL_STEPS)
                    expected = run(board, faults=fault_array([row]))
                    found = run(board, slot(tried % SLOTS, number, word, 1 << bit))
                    assert same(found, expected), row
                    assert expected.hits[0] > 0
                    tried += 1
                    differed += not same(expected, silent)
    assert tried > 40 and differed > tried // 4


@pytest.mark.slow
@pytest.mark.cxx
def test_several_bits_and_both_slots(board: BoardCsim) -> None:
    (first, layer), (second, other) = board.network.compute_layers()
    rows = [(first, Target.WEIGHT, 1, 2, 0, bit, ALL_SAMPLES, ALL_STEPS) for bit in (0, 3)]
    rows.append((second, Target.WEIGHT, 0, 1, 0, 2, ALL_SAMPLES, ALL_STEPS))
    host = slot(0, 1, 2 * layer.neurons + 1, 0b1001) | slot(1, 2, other.neurons, 0b100)
    assert same(run(board, host), run(board, faults=fault_array(rows)))
    twice = slot(0, 1, 7, 0b10) | slot(1, 1, 7, 0b10)
    assert same(run(board, twice), run(board))


@pytest.mark.slow
@pytest.mark.cxx
def test_slots_that_are_off_or_beyond_change_nothing(board: BoardCsim) -> None:
    silent = run(board)
    raw = random_raw(board.network.input_type, (SAMPLES, board.network.n_in), np.random.default_rng(2))
    assert np.array_equal(board.output.unpack(silent.data), forward(board.network, raw)[-1])
    for host in (slot(0, 0, 3, 0xFF), slot(1, 9, 3, 0xFF), slot(0, 1, 10_000, 0xFF), slot(1, 2, 0, 0)):
        assert same(run(board, host), silent)


def test_registers_and_sources_of_slots(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, network = tmp_path_factory.mktemp("p"), passes_network()
    options = ProjectOptions(axi_bits=64, upset_slots=SLOTS)
    project = write_project(network, strong_plan(), folder / "with", options)
    manifest = json.loads((project.folder / "codesign.json").read_text())
    names = [r["name"] for r in manifest["registers"]]
    ports = [f"upset{k}_{what}" for k in range(SLOTS) for what in ("layer", "word", "mask")]
    assert names[-6:] == ports and manifest["upset_slots"] == SLOTS
    assert [r["access"] for r in manifest["registers"]][-6:] == ["read-write"] * 6
    assert "1: fc0, 2: fc1" in manifest["registers"][-6]["meaning"]
    offsets = [r.offset for r in board_registers(network, SLOTS)]
    assert offsets == list(range(0x10, 0x10 * (len(offsets) + 1), 0x10))
    top = project.folder / "firmware/small.cpp"
    for old, new in (("set(0, 2,", "set(0, 1,"), ("upset1_mask", "upset0_mask"), ("Upsets<2>", "Upsets<1>")):
        text = top.read_text()
        assert old in text
        at = text.rindex(old)
        top.write_text(text[:at] + new + text[at + len(old) :])
        assert any("the upset slots 0 times instead of once" in line for line in check_project(project))
        top.write_text(text)
    # Without slots nothing of them is there.
    bare = write_project(network, strong_plan(), folder / "without", ProjectOptions(axi_bits=64))
    assert "pset" not in (bare.folder / "firmware/small.cpp").read_text()
    assert len(board_registers(network)) == len(register_map(network)) + 4


@pytest.mark.parametrize(
    ("slots", "message"), [(9, "upset_slots is 9, expected 0 to 8"), (-1, "upset_slots is -1, expected 0 to 8")]
)
def test_numbers_of_slots_that_do_not_exist_are_refused(slots: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProjectOptions(axi_bits=64, upset_slots=slots)


def test_slots_need_stored_weights(tmp_path_factory: pytest.TempPathFactory) -> None:
    from networks import small_network

    options = ProjectOptions(axi_bits=64, upset_slots=1)
    with pytest.raises(ConfigError, match="no layer has a reuse factor above 1"):
        write_project(small_network(), ProtectionPlan(), tmp_path_factory.mktemp("p") / "p", options)
