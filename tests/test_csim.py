"""C-simulation of a small network: exactness, flags, status registers, hits, and how it is built."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from networks import Case, cases, random_raw, small_network

from codesign.assets import asset
from codesign.engine.fast import EngineSimulator
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError, MismatchError, ToolError
from codesign.faults import FAULT, FaultModel, FaultSite, FaultSpace, Target, fault_array
from codesign.fixed import Ints, to_real
from codesign.hls.csim import CsimSimulator, compile_csim
from codesign.hls.project import ProjectOptions, write_project
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan

NO_FAULTS = np.zeros(0, FAULT)
SAMPLES = 40


def mixed_plan(network: Network) -> ProtectionPlan:
    """Every kind of neuron: plain, partly hardened, classic TMR."""
    bits = {
        layer.name: np.resize([0, 3, layer.acc.width, layer.acc.width - 1, 1], layer.n_out)
        for _, layer in network.compute_layers()
    }
    return ProtectionPlan.of(network, bits)


def samples(network: Network, count: int = SAMPLES) -> Ints:
    return random_raw(network.input_type, (count, network.n_in), np.random.default_rng(1))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> CsimSimulator:
    network = small_network()
    project = write_project(network, mixed_plan(network), tmp_path_factory.mktemp("csim") / "project")
    return CsimSimulator(project, samples(network))


# ---------------------------------------------------------------- exactness


@pytest.mark.cxx
@settings(
    max_examples=4,  # test_csim_modes.py runs many more, marked slow
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would compile for minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(case=cases())
def test_random_networks_give_the_same_integers_under_faults(case: Case, tmp_path: Path) -> None:
    csim = CsimSimulator(write_project(case.network, case.plan, tmp_path / "project"), case.inputs)
    assert np.array_equal(csim.golden, forward(case.network, case.inputs)[-1])
    found = csim.run(case.faults)
    assert np.array_equal(found, ReferenceSimulator(case.network, case.plan, case.inputs).run(case.faults))
    assert np.array_equal(found, EngineSimulator(case.network, case.plan, case.inputs).run(case.faults))


@pytest.mark.cxx
@pytest.mark.parametrize(("kind", "backend"), [("empty", "Vivado"), ("mixed", "Vitis"), ("full", "Vivado")])
def test_drawn_trials_give_the_same_integers(kind: str, backend: str, tmp_path: Path) -> None:
    network = small_network()
    plan = {"empty": ProtectionPlan(), "mixed": mixed_plan(network), "full": ProtectionPlan.full(network)}[kind]
    raw = samples(network)
    project = write_project(network, plan, tmp_path / "project", ProjectOptions(backend))  # type: ignore[arg-type]
    csim, reference = CsimSimulator(project, raw), ReferenceSimulator(network, plan, raw)
    assert np.array_equal(csim.golden, forward(network, raw)[-1])
    for ber in (1e-3, 1e-2):
        space = FaultSpace(network, plan, FaultModel(tuple(Target), ber=ber, seed=3), len(raw))
        for trial in range(3):
            faults = space.draw(trial)
            traced = csim.run_traced(faults)
            assert np.array_equal(traced.logits, reference.run(faults))
            # "Equal" also holds where taps were never compiled in; the hits tell.
            for index, _ in network.compute_layers():
                assert traced.hits[faults["layer"] == index].sum() > 0


@pytest.mark.cxx
def test_every_single_flip_of_a_hardened_bit_is_outvoted_and_flagged(mixed: CsimSimulator) -> None:
    """Exhaustive: every hardened bit of every replica of every adder, one sample each."""
    network, plan = mixed.network, mixed.plan
    rows = [
        (index, Target.ACCUMULATOR, neuron, position, replica, bit)
        for index, layer in network.compute_layers()
        for neuron, hardened in enumerate(plan.hardened(layer))
        for position in range(layer.n_in)
        for replica in range(3)
        for bit in range(layer.acc.width - hardened, layer.acc.width)
    ]
    raw = samples(network, len(rows))
    faults = fault_array([(*row, sample, 0) for sample, row in enumerate(rows)])
    csim = mixed.on(raw)
    traced = csim.run_traced(faults)
    assert len(rows) > 500
    assert np.array_equal(traced.hits, np.ones(len(rows)))
    assert np.array_equal(traced.logits, forward(network, raw)[-1])
    flag_of = {index: flag for flag, (index, _) in enumerate(network.compute_layers())}
    raised = np.array([flag_of[index] for index in faults["layer"]])
    assert np.array_equal(traced.corrected, np.eye(len(flag_of), dtype=np.int64)[raised])
    assert not traced.detected.any()


@pytest.mark.cxx
def test_unprotected_neurons_raise_no_flag(tmp_path: Path) -> None:
    network = small_network()
    csim = CsimSimulator(write_project(network, ProtectionPlan(), tmp_path / "project"), samples(network))
    faults = FaultSpace(network, ProtectionPlan(), FaultModel(("accumulator",), ber=1e-2), SAMPLES).draw(0)
    traced = csim.run_traced(faults, guard=7)
    assert not np.array_equal(traced.logits, csim.golden)
    assert not traced.corrected.any()
    assert not traced.detected.any()


@pytest.mark.cxx
@pytest.mark.parametrize("guard", [1, 2, 4])
def test_a_raised_guard_is_outvoted_and_flagged(mixed: CsimSimulator, guard: int) -> None:
    """The self-test of the voters: one corrupted copy changes no output and raises every layer's flag."""
    traced = mixed.run_traced(NO_FAULTS, guard)
    assert np.array_equal(traced.logits, mixed.golden)
    assert traced.corrected.any(axis=0).all()


@pytest.mark.cxx
def test_two_raised_guards_are_not_outvoted(mixed: CsimSimulator) -> None:
    assert not np.array_equal(mixed.run_traced(NO_FAULTS, guard=3).logits, mixed.golden)


@pytest.mark.cxx
def test_nothing_is_flagged_without_faults(mixed: CsimSimulator) -> None:
    traced = mixed.run_traced(NO_FAULTS)
    assert not traced.corrected.any()
    assert not traced.detected.any()


@pytest.mark.cxx
def test_a_fault_that_meets_no_tap_is_an_error(tmp_path: Path) -> None:
    """A tap taken out of the sources: the outputs are right, and the missing hits tell."""
    network = small_network()
    project = write_project(network, ProtectionPlan(), tmp_path / "project")
    source = project.folder / "firmware/small.cpp"
    tap = "CODESIGN_TAP_OUTPUTS(layer3_t, 5, 5, layer3_out, 1);"
    assert tap in source.read_text()
    source.write_text(source.read_text().replace(tap, ""))
    csim = CsimSimulator(project, samples(network))
    with pytest.raises(MismatchError, match=r"activation of layer 1, neuron 0.* 0 times instead of 1"):
        csim.run(FaultSite(1, Target.ACTIVATION, neuron=0, bit=0).at(0, 0))


@pytest.mark.cxx
@pytest.mark.parametrize(
    ("row", "what"),
    [
        ((0, 3, 0, 0, 0, 0, SAMPLES, 0), "sample"),
        ((0, 3, 0, 0, 0, 0, -2, 0), "sample"),
        ((9, 3, 0, 0, 0, 0, 0, 0), "nothing there"),
        ((-1, 3, 0, 0, 0, 0, 0, 0), "nothing there"),
        ((0, 6, 0, 0, 0, 0, 0, 0), "target 6.*nothing there"),
        ((1, 3, 0, 0, 0, 0, 0, 0), "nothing there"),  # a ReLU has no adders
        ((0, 3, 5, 0, 0, 0, 0, 0), "neuron"),
        ((0, 3, -2, 0, 0, 0, 0, 0), "neuron"),
        ((0, 3, 0, 6, 0, 0, 0, 0), "position"),
        ((0, 3, 0, -1, 0, 0, 0, 0), "position"),
        ((0, 3, 0, 0, 3, 0, 0, 0), "nothing there"),
        ((0, 3, 0, 0, 1, 0, 0, 0), "bit"),  # neuron 0 has one copy only
        ((0, 3, 1, 0, 1, 10, 0, 0), "bit"),  # below the cut of neuron 1
        ((0, 3, 0, 0, 0, 14, 0, 0), "bit"),
        ((0, 3, 0, 0, 0, -1, 0, 0), "bit"),
        ((0, 3, 0, 0, 0, 0, 0, 1), "step"),
        ((0, 0, 0, 0, 0, 0, -1, 0), "step"),
        ((0, 0, 0, 0, 0, 0, 3, -1), "sample"),  # a stored bit is wrong for the whole trial
        ((0, 3, -1, 0, 1, 0, -1, -1), "nothing there"),  # nothing is recomputed
    ],
)
def test_a_fault_that_does_not_exist_is_refused_by_name(mixed: CsimSimulator, row: tuple[int, ...], what: str) -> None:
    for run in (mixed.run, mixed.run_traced, mixed.run_counted):
        with pytest.raises(ConfigError, match=rf"fault list: .* of layer {row[0]}, neuron .*{what.split('.*')[-1]}"):
            run(fault_array([row]))


@pytest.mark.cxx
def test_inputs_of_another_width_are_refused(mixed: CsimSimulator) -> None:
    with pytest.raises(ConfigError, match=r"csim takes inputs of shape \(n, 6\), got \(2, 5\)"):
        mixed.on(np.zeros((2, 5), np.int64))


@pytest.mark.cxx
def test_no_samples_give_no_logits(mixed: CsimSimulator) -> None:
    empty = mixed.on(np.zeros((0, 6), np.int64))
    assert empty.golden.shape == (0, 3)
    assert empty.run_counted(NO_FAULTS).samples_corrected.tolist() == [0, 0]


@pytest.mark.cxx
def test_status_registers_count_the_samples_of_a_batch(mixed: CsimSimulator) -> None:
    """Three upsets in the second layer, two of them in one sample."""
    rows = [(2, 3, 2, 0, replica, 14, sample, 0) for replica, sample in ((0, 4), (1, 9), (2, 9))]
    faults = fault_array([*rows[:2], (2, 3, 1, 0, 0, 14, 9, 0)])
    counted = mixed.run_counted(faults)
    assert np.array_equal(counted.logits, mixed.golden)
    assert counted.sticky_corrected.tolist() == [0, 1]
    assert counted.samples_corrected.tolist() == [0, 2]
    assert counted.sticky_detected.tolist() == counted.samples_detected.tolist() == [0, 0]
    assert mixed.run_counted(NO_FAULTS).sticky_corrected.tolist() == [0, 0]  # a run starts with cleared registers


@pytest.mark.cxx
def test_threads_do_not_meet(mixed: CsimSimulator) -> None:
    space = FaultSpace(mixed.network, mixed.plan, FaultModel(("accumulator", "weight"), ber=3e-3), SAMPLES)
    lists = [space.draw(trial) for trial in range(24)]
    alone = [mixed.run(faults) for faults in lists]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(mixed.run, lists))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.cxx
@pytest.mark.tf
def test_digits_network_on_its_whole_test_set(tmp_path: Path) -> None:
    from codesign.study import load_study
    from codesign.train.builder import data
    from codesign.train.training import train

    study = load_study(asset("models") / "digits_mlp.toml")
    network = train(study, 8, 8).network
    raw = network.quantise_inputs(data(study).test_inputs)
    generator = np.random.default_rng(5)
    random = ProtectionPlan.of(
        network, {x.name: generator.choice([0, 4, 9, 30], x.n_out) for _, x in network.compute_layers()}
    )
    for number, plan in enumerate((ProtectionPlan(), random, ProtectionPlan.full(network))):
        csim = CsimSimulator(write_project(network, plan, tmp_path / str(number)), raw)
        assert np.array_equal(csim.golden, forward(network, raw)[-1])
        faults = FaultSpace(network, plan, FaultModel(tuple(Target), ber=1e-4), len(raw)).draw(0)
        assert np.array_equal(csim.run(faults), ReferenceSimulator(network, plan, raw).run(faults))
        assert set(faults["layer"]) == set(range(len(network.layers)))


# ---------------------------------------------------------------- building


@pytest.mark.cxx
def test_an_unchanged_project_is_not_compiled_twice(mixed: CsimSimulator, tmp_path: Path) -> None:
    project = write_project(mixed.network, mixed.plan, tmp_path / "project")
    library = compile_csim(project)
    before = library.stat()
    assert compile_csim(project) == library
    after = library.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.cxx
def test_a_compiler_error_is_shown_with_its_log(tmp_path: Path) -> None:
    network = small_network()
    project = write_project(network, ProtectionPlan(), tmp_path / "project")
    source = project.folder / f"firmware/{network.name}.cpp"
    source.write_text(source.read_text().replace("{", "{ this is no C++;", 1))
    with pytest.raises(ToolError, match=r"failed: .*error.*\(log: ") as caught:
        compile_csim(project, tmp_path / "cache")
    assert caught.value.log is not None
    assert "this" in caught.value.log.read_text()
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write_project(small_network(), ProtectionPlan(), tmp_path / "project")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolError, match="no C\\+\\+ compiler 'no-such-compiler': install g\\+\\+"):
        compile_csim(project, tmp_path / "cache")


# The open ap_types refuse __SYNTHESIS__, the accelerator behind them must not.
SYNTHESIS_VIEW = """
#include "firmware/ap_types/ap_fixed.h"
#include "firmware/ap_types/hls_stream.h"
#include <cstdio>
#define __SYNTHESIS__
#include "firmware/small.cpp"

int main() {
    const int guards[] = {0, 1, 2, 4, 0, 0};
    for (int run = 0; run < 6; run++) {
        input_t x[6] = {0.5, 1, 0.25, 0.75, 1.5, 0.125};
        result_t y[3];
        ap_uint<32> status[4];
        small(x, y, codesign::Guard(guards[run]), run == 5, status[0], status[1], status[2], status[3]);
        for (int k = 0; k < 4; k++)
            std::printf("%d ", status[k].to_int());
        for (int j = 0; j < 3; j++)
            std::printf("%d ", y[j].range().to_int());
        std::printf("\\n");
    }
}
"""


@pytest.mark.cxx
def test_the_synthesis_view_votes_and_keeps_its_registers(tmp_path: Path) -> None:
    """What a synthesis tool sees is valid from C++11 on, computes the network, and depends on every guard."""
    network = small_network()
    folder = write_project(network, mixed_plan(network), tmp_path / "project").folder
    (folder / "view.cpp").write_text(SYNTHESIS_VIEW)
    command = ["g++", "-std=c++11", "-O1", "-I.", "-w"]
    command += ["-isystem", "firmware/ap_types", "-isystem", "firmware/nnet_utils", "view.cpp", "-o", "view"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    shown = subprocess.run([folder / "view"], capture_output=True, text=True, check=True).stdout
    found = np.array([[int(word) for word in line.split()] for line in shown.splitlines()])
    raw = network.quantise_inputs([[0.5, 1, 0.25, 0.75, 1.5, 0.125]])
    mask = (1 << network.layers[-1].result.width) - 1
    expected = forward(network, raw)[-1] & mask
    assert np.array_equal(found[:, 4:] & mask, np.repeat(expected, 6, axis=0))
    # A guard a run; then one with none; then the registers are cleared.
    both = [0b11, 0b11, 0b11, 0b11]
    assert found[:, 0].tolist() == [0, *both, 0]
    assert not found[:, 1].any()
    assert found[:, 2].tolist() == found[:, 3].tolist() == [0, 1, 2, 3, 3, 0]


@pytest.mark.cxx
def test_hls4mls_own_test_bench_reproduces_the_expected_output(tmp_path: Path) -> None:
    network = small_network()
    raw = samples(network)
    project = write_project(network, mixed_plan(network), tmp_path / "project", bench_inputs=raw)
    sources = [f"{network.name}_test.cpp", f"firmware/{network.name}.cpp"]
    command = ["g++", "-std=c++17", "-w", "-Ifirmware/ap_types", *sources, "-o", "bench"]
    subprocess.run(command, cwd=project.folder, check=True)
    subprocess.run(["./bench"], cwd=project.folder, check=True, capture_output=True)
    found = np.loadtxt(project.folder / "tb_data/csim_results.log")
    expected = np.loadtxt(project.folder / "tb_data/tb_output_predictions.dat")
    assert np.array_equal(expected, to_real(forward(network, raw)[-1], network.layers[-1].result))
    assert np.array_equal(found, expected)
    assert len(found) == SAMPLES


def test_only_the_taps_look_at_the_synthesis_macro() -> None:
    headers = asset("hls_templates").glob("*.h")
    looking = {
        path.name
        for path in headers
        if "#ifdef __SYNTHESIS__" in path.read_text() or "#ifndef __SYN" in path.read_text()
    }
    assert looking == {"codesign_taps.h"}
