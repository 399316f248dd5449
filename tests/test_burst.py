"""The exported top of a board project in C-simulation: beats in, beats out, registers that keep their content."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from networks import random_raw, small_network

from codesign.errors import ConfigError
from codesign.faults import ALL_SAMPLES, FaultModel, FaultSpace, Target, fault_array
from codesign.fixed import FixedPoint, Ints, to_real
from codesign.hls.burst import BoardCsim
from codesign.hls.csim import CsimSimulator
from codesign.hls.project import ProjectOptions, write_project
from codesign.hls.wrapper import identity
from codesign.network import Layer, Network, Parameter, forward
from codesign.protection import ProtectionPlan

pytestmark = pytest.mark.cxx
SAMPLES = 30


def wide_network() -> Network:
    """Inputs in lanes of 32 bits, outputs in lanes of 64: wider than a beat of 32."""
    generator = np.random.default_rng(5)
    weights, biases = FixedPoint(9, 3), FixedPoint(12, 4)
    layers = []
    for name, shape, acc in (("wide0", (5, 4), FixedPoint(36, 18)), ("wide1", (4, 3), FixedPoint(48, 20))):
        w, b = random_raw(weights, shape, generator), random_raw(biases, shape[1:], generator)
        layers.append(Layer.dense(name, Parameter(w, weights), Parameter(b, biases), acc))
    return Network("wide", FixedPoint(17, 9, signed=False), tuple(layers))


def half_hardened(network: Network) -> ProtectionPlan:
    bits = {layer.name: np.resize([0, layer.acc.width, 5], layer.n_out) for _, layer in network.compute_layers()}
    return ProtectionPlan.of(network, bits)


CASES = {
    "padded": (small_network, "Vivado", "io_parallel", 32),
    "one beat": (small_network, "Vitis", "io_stream", 512),
    "wider than a beat": (wide_network, "Vivado", "io_stream", 32),
}


@pytest.fixture(scope="module", params=CASES)
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BoardCsim:
    make, backend, io_type, bits = CASES[request.param]
    network = make()
    options = ProjectOptions(backend, io_type=io_type, axi_bits=bits)  # type: ignore[arg-type]
    return BoardCsim(write_project(network, half_hardened(network), tmp_path_factory.mktemp("burst") / "p", options))


def samples(board: BoardCsim, count: int = SAMPLES) -> Ints:
    return random_raw(board.network.input_type, (count, board.network.n_in), np.random.default_rng(1))


def ends(board: BoardCsim, *places: int) -> np.ndarray:
    """TLAST on the last beat of these samples, of as many as the last of them needs."""
    last = np.zeros((places[-1] + 1) * board.input.beats, np.bool_)
    last[[(place + 1) * board.input.beats - 1 for place in places]] = True
    return last


def test_every_sample_gives_the_networks_integers(board: BoardCsim) -> None:
    raw = samples(board)
    burst = board.feed(board.input.pack(raw), ends(board, len(raw) - 1))
    assert np.array_equal(board.output.unpack(burst.data), forward(board.network, raw)[-1])
    assert np.flatnonzero(burst.last).tolist() == [len(burst.data) - 1]


def test_padding_is_ignored_on_the_way_in_and_zero_on_the_way_out(board: BoardCsim) -> None:
    raw = samples(board)
    given, result = board.input, board.output
    flat = given.pack(raw).reshape(len(raw), -1)
    flat[:, given.values * given.lane_bits // 8 :] = 0xA5
    burst = board.feed(flat.reshape(-1, given.bits // 8), ends(board, len(raw) - 1))
    assert np.array_equal(result.unpack(burst.data), forward(board.network, raw)[-1])
    used = np.arange(result.beats * result.bits // 8) < result.values * result.lane_bits // 8
    assert np.array_equal(burst.keep.reshape(len(raw), -1), np.tile(used, (len(raw), 1)))
    assert not burst.data[~burst.keep].any()


def test_bits_of_a_lane_above_its_value_are_ignored(board: BoardCsim) -> None:
    raw = samples(board, 4)
    lane, width = board.input.lane_bits // 8, board.input.type.width
    lanes = board.input.pack(raw).copy()
    spoilt = lanes.reshape(4, -1)[:, : board.input.values * lane].copy().view(f"<u{lane}")
    spoilt |= np.array(~((1 << width) - 1) & ((1 << 8 * lane) - 1), spoilt.dtype)
    lanes.reshape(4, -1)[:, : board.input.values * lane] = spoilt.view(np.uint8)
    burst = board.feed(lanes, ends(board, 3))
    assert np.array_equal(board.output.unpack(burst.data), forward(board.network, raw)[-1])


def test_a_batch_of_one_and_several_batches_in_a_burst(board: BoardCsim) -> None:
    raw = samples(board, 6)
    burst = board.feed(board.input.pack(raw), ends(board, 0, 3, 5))
    last = np.flatnonzero(burst.last)
    assert ((last + 1) / board.output.beats).tolist() == [1, 4, 6]
    assert np.array_equal(board.output.unpack(burst.data), forward(board.network, raw)[-1])


def test_an_early_end_takes_the_rest_as_zero_and_is_counted(board: BoardCsim) -> None:
    raw = samples(board, 3)
    board.reset()
    if board.input.beats == 1:
        burst = board.feed(board.input.pack(raw), np.ones(3, np.bool_))
        assert burst.registers["bad_frames"] == 0
        return
    beats = board.input.pack(raw).reshape(3, board.input.beats, -1)
    sent = np.concatenate([beats[0], beats[1][:1], beats[2]])
    last = np.zeros(len(sent), np.bool_)
    last[[board.input.beats, -1]] = True
    burst = board.feed(sent, last)
    cut = beats.copy()
    cut[1, 1:] = 0
    expected = forward(board.network, board.input.unpack(cut.reshape(-1, board.input.bits // 8)))[-1]
    assert np.array_equal(board.output.unpack(burst.data), expected)
    assert np.flatnonzero(burst.last).tolist() == [2 * board.output.beats - 1, 3 * board.output.beats - 1]
    assert burst.registers["bad_frames"] == 1
    assert burst.registers["samples"] == 3


def test_flags_and_outputs_are_the_plain_csims_under_the_same_faults(board: BoardCsim) -> None:
    raw = samples(board)
    csim = CsimSimulator(board.project, raw)
    space = FaultSpace(board.network, board.project.plan, FaultModel(tuple(Target), ber=3e-3, seed=3), len(raw))
    beats, last = board.input.pack(raw), ends(board, len(raw) - 1)
    for trial in range(3):
        faults = space.draw(trial)
        counted, traced = csim.run_counted(faults), csim.run_traced(faults)
        board.reset()
        burst = board.feed(beats, last, faults=faults)
        assert np.array_equal(board.output.unpack(burst.data), counted.logits)
        assert np.array_equal(burst.hits, traced.hits)
        assert traced.hits.sum() > 0
        for what, sticky in (("corrected", counted.sticky_corrected), ("detected", counted.sticky_detected)):
            assert burst.registers[f"status_{what}"] == sum(int(flag) << k for k, flag in enumerate(sticky))
        for k, (_, layer) in enumerate(board.network.compute_layers()):
            events = int(counted.samples_corrected[k]) + (int(counted.samples_detected[k]) << 16)
            assert burst.registers[f"events_{layer.name}"] == events


def strike(board: BoardCsim) -> np.ndarray:
    """The top bit of a hardened neuron's last adder, in the burst's first sample."""
    index, layer = board.network.compute_layers()[0]
    return fault_array([(index, Target.ACCUMULATOR, 1, layer.fan_in - 1, 0, layer.acc.width - 1, 0, 0)])


def test_registers_keep_their_content_from_burst_to_burst(board: BoardCsim) -> None:
    board.reset()
    raw, last = samples(board, 2), ends(board, 1)
    beats, name = board.input.pack(raw), board.network.compute_layers()[0][1].name
    found = board.feed(beats, last, faults=strike(board)).registers
    assert (found["status_corrected"], found[f"events_{name}"], found["samples"]) == (1, 1, 2)
    found = board.feed(beats, last).registers
    assert (found["status_corrected"], found[f"events_{name}"], found["samples"]) == (1, 1, 4)
    found = board.feed(beats, last, faults=strike(board)).registers
    assert found[f"events_{name}"] == 2
    found = board.feed(beats, last, {"clear": 1}).registers
    assert (found["status_corrected"], found[f"events_{name}"], found["samples"]) == (0, 0, 8)
    assert board.feed(beats, last, {"guard": 1}).registers["status_corrected"]


def test_identities_are_there_from_the_first_sample_on(board: BoardCsim) -> None:
    board.reset()
    nothing = np.zeros((0, board.input.bits // 8), np.uint8)
    assert set(board.feed(nothing, np.zeros(0, np.bool_)).registers.values()) == {0}
    found = board.feed(board.input.pack(samples(board, 1)), ends(board, 0)).registers
    assert found["id_network"] == identity(board.network.digest)
    assert found["id_plan"] == identity(board.project.plan.digest)
    board.reset()
    assert set(board.feed(nothing, np.zeros(0, np.bool_)).registers.values()) == {0}


def test_two_accelerators_do_not_meet(board: BoardCsim) -> None:
    board.reset()
    other = BoardCsim(board.project)
    raw, last = samples(board, 2), ends(board, 1)
    board.feed(board.input.pack(raw), last, faults=strike(board))
    found = other.feed(board.input.pack(raw), last).registers
    assert (found["status_corrected"], found["samples"]) == (0, 2)


def test_what_hardware_would_wait_for_is_refused(board: BoardCsim) -> None:
    beats = board.input.pack(samples(board, 1))
    if board.input.beats > 1:
        with pytest.raises(ConfigError, match="ends within a sample"):
            board.feed(beats[:-1], np.zeros(len(beats) - 1, np.bool_))
    with pytest.raises(ConfigError, match="has shapes"):
        board.feed(beats[:, :-1], np.zeros(len(beats), np.bool_))
    with pytest.raises(ConfigError, match="no register 'reset' that the host writes; there are guard, clear"):
        board.feed(beats, ends(board, 0), {"reset": 1})
    with pytest.raises(ConfigError, match="register guard has 3 bits, 8 does not fit"):
        board.feed(beats, ends(board, 0), {"guard": 8})
    with pytest.raises(ConfigError, match="no such bit there"):
        board.feed(beats, ends(board, 0), faults=fault_array([(0, Target.WEIGHT, 0, 0, 0, 60, ALL_SAMPLES, -1)]))


def test_the_bench_for_the_vendors_simulation_goes_through_the_streams(tmp_path: Path) -> None:
    network = small_network()
    options = ProjectOptions("Vitis", io_type="io_stream", axi_bits=32)
    raw = random_raw(network.input_type, (10, network.n_in), np.random.default_rng(1))
    folder = write_project(network, half_hardened(network), tmp_path / "p", options, raw).folder
    sources = ["small_test.cpp", "firmware/small.cpp", "firmware/small_axi.cpp"]
    command = ["g++", "-std=c++17", "-O0", "-w", "-Ifirmware/ap_types", *sources, "-o", "bench"]
    subprocess.run(command, cwd=folder, check=True)
    subprocess.run([folder / "bench"], cwd=folder, check=True, capture_output=True)
    found = np.loadtxt(folder / "tb_data/csim_results.log")
    assert np.array_equal(found, to_real(forward(network, raw)[-1], network.layers[-1].result))
