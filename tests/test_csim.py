"""The written project: what stands in it, and that its C-simulation gives the network's integers."""

import json
import shutil
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
from codesign.fixed import FixedPoint, Ints, to_real
from codesign.hls.csim import CsimSimulator, compile_csim
from codesign.hls.project import Project, ProjectOptions, write_project
from codesign.network import Layer, Network, Parameter, forward
from codesign.protection import LayerPlan, ProtectionPlan

GOLDEN = Path(__file__).parent / "data" / "golden"
GOLDEN_FILES = [
    *(f"firmware/{name}" for name in ("small.cpp", "small.h", "parameters.h", "defines.h", "weights/w2.h")),
    *("csim.cpp", "build_csim.sh", "project.tcl"),
]
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
    max_examples=8,
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
@pytest.mark.parametrize("backend", ["Vivado", "Vitis"])
@pytest.mark.parametrize("kind", ["empty", "mixed", "full"])
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
            logits, _, hits = csim.run_traced(faults)
            assert np.array_equal(logits, reference.run(faults))
            # "Equal" also holds where taps were never compiled in; the hits tell.
            for index, _ in network.compute_layers():
                assert hits[faults["layer"] == index].sum() > 0


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
    faults = fault_array([(*row, sample) for sample, row in enumerate(rows)])
    csim = mixed.on(raw)
    logits, flags, hits = csim.run_traced(faults)
    assert len(rows) > 500
    assert np.array_equal(hits, np.ones(len(rows)))
    assert np.array_equal(logits, forward(network, raw)[-1])
    flag_of = {index: flag for flag, (index, _) in enumerate(network.compute_layers())}
    raised = np.array([flag_of[index] for index in faults["layer"]])
    assert np.array_equal(flags, np.eye(len(flag_of), dtype=np.int64)[raised])


@pytest.mark.cxx
def test_unprotected_neurons_raise_no_flag(tmp_path: Path) -> None:
    network = small_network()
    csim = CsimSimulator(write_project(network, ProtectionPlan(), tmp_path / "project"), samples(network))
    faults = FaultSpace(network, ProtectionPlan(), FaultModel(("accumulator",), ber=1e-2), SAMPLES).draw(0)
    logits, flags, _ = csim.run_traced(faults, guard=7)
    assert not np.array_equal(logits, csim.golden)
    assert not flags.any()


@pytest.mark.cxx
@pytest.mark.parametrize("guard", [1, 2, 4])
def test_a_raised_guard_is_outvoted_and_flagged(mixed: CsimSimulator, guard: int) -> None:
    """The self-test of the voters: one corrupted copy changes no output and raises every layer's flag."""
    logits, flags, _ = mixed.run_traced(NO_FAULTS, guard)
    assert np.array_equal(logits, mixed.golden)
    assert flags.any(axis=0).all()


@pytest.mark.cxx
def test_two_raised_guards_are_not_outvoted(mixed: CsimSimulator) -> None:
    assert not np.array_equal(mixed.run_traced(NO_FAULTS, guard=3)[0], mixed.golden)


@pytest.mark.cxx
def test_nothing_is_flagged_without_faults(mixed: CsimSimulator) -> None:
    assert not mixed.run_traced(NO_FAULTS)[1].any()


@pytest.mark.cxx
def test_a_fault_that_meets_no_tap_is_an_error(mixed: CsimSimulator) -> None:
    nowhere = FaultSite(0, Target.ACCUMULATOR, neuron=0, replica=1, bit=0).at(0)  # neuron 0 has one copy only
    with pytest.raises(MismatchError, match="0 times instead of 1"):
        mixed.run(nowhere)


@pytest.mark.cxx
@pytest.mark.parametrize("row", [(0, 3, 0, 0, 0, 0, SAMPLES), (0, 3, 0, 0, 0, 0, -2), (9, 3, 0, 0, 0, 0, 0)])
def test_a_fault_list_beyond_the_network_is_refused(mixed: CsimSimulator, row: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="fault list"):
        mixed.run(fault_array([row]))


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
    for (int guard : {0, 1, 2, 4, 0}) {
        input_t x[6] = {0.5, 1, 0.25, 0.75, 1.5, 0.125};
        result_t y[3];
        ap_uint<2> status;
        small(x, y, codesign::Guard(guard), status);
        std::printf("%d %d %d %d %d\\n", guard, status.to_int(), y[0].range().to_int(), y[1].range().to_int(),
                    y[2].range().to_int());
    }
}
"""


@pytest.mark.cxx
def test_the_synthesis_view_votes_and_keeps_its_flags(tmp_path: Path) -> None:
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
    expected = forward(network, raw)[-1] & ((1 << network.layers[-1].result.width) - 1)
    assert np.array_equal(found[:, 2:] & ((1 << network.layers[-1].result.width) - 1), np.repeat(expected, 5, axis=0))
    assert found[0, 1] == 0
    assert found[1:, 1].all()  # raised once, sticky from then on


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


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("backend", ["Vivado", "Vitis"])
def test_generated_files_are_the_golden_ones(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """`pytest --golden-update` writes them again; look at the difference before committing it."""
    network = small_network()
    folder = write_project(network, mixed_plan(network), tmp_path / "p", ProjectOptions(backend)).folder  # type: ignore[arg-type]
    # The backends' projects differ in their scripts only.
    names = ["project.tcl"] if backend == "Vitis" else GOLDEN_FILES
    for name in names:
        golden = GOLDEN / backend / name
        if request.config.getoption("--golden-update"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, golden)
        assert (folder / name).read_text() == golden.read_text(), name


def test_a_project_can_be_opened_again(tmp_path: Path) -> None:
    network = small_network()
    written = write_project(network, mixed_plan(network), tmp_path / "project", ProjectOptions("Vitis", "xc7z020", 8.0))
    opened = Project.open(tmp_path / "project")
    assert opened == written


def test_a_project_with_another_network_is_refused(tmp_path: Path) -> None:
    write_project(small_network(), ProtectionPlan(), tmp_path / "project")
    small_network(seed=8).save(tmp_path / "project" / "network.npz")
    with pytest.raises(ConfigError, match="not the network"):
        Project.open(tmp_path / "project")


@pytest.mark.parametrize("text", ["", "{}", '{"options": {"colour": 1}}', "[]"])
def test_a_folder_that_is_no_project_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "codesign.json").write_text(text)
    with pytest.raises(ConfigError, match="is not a codesign project"):
        Project.open(tmp_path)


def test_a_project_is_replaced_but_nothing_else(tmp_path: Path) -> None:
    network = small_network()
    write_project(network, ProtectionPlan(), tmp_path / "project")
    write_project(network, mixed_plan(network), tmp_path / "project")
    assert Project.open(tmp_path / "project").plan == mixed_plan(network)
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1").write_text("mine")
    with pytest.raises(ConfigError, match="is not a codesign project"):
        write_project(network, ProtectionPlan(), foreign)
    assert (foreign / "chapter1").read_text() == "mine"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    network = small_network()
    wrong = ProtectionPlan((LayerPlan("nowhere", (1,)),))
    with pytest.raises(ConfigError, match="no layer 'nowhere'"):
        write_project(network, wrong, tmp_path / "project")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write the project"):
        write_project(network, ProtectionPlan(), tmp_path / "file" / "project")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_names_that_cannot_stand_in_cxx_are_refused(tmp_path: Path) -> None:
    layers = small_network().layers
    with pytest.raises(ConfigError, match="cannot be the name of a C\\+\\+ function"):
        write_project(Network("my net", small_network().input_type, layers), ProtectionPlan(), tmp_path / "project")
    narrow = FixedPoint(4, 2)
    one = Parameter(np.ones((2, 2), np.int64), narrow)
    taken = Layer.dense("x", one, Parameter(np.ones(2, np.int64), narrow), FixedPoint(12, 6))
    with pytest.raises(ConfigError, match="taken by the input"):
        write_project(Network("net", narrow, (taken,)), ProtectionPlan(), tmp_path / "project")


def test_the_manifest_describes_the_added_ports(tmp_path: Path) -> None:
    network = small_network()
    folder = write_project(network, ProtectionPlan(), tmp_path / "project").folder
    ports = json.loads((folder / "codesign.json").read_text())["ports"]
    assert ports["guard"]["bits"] == 3
    assert ports["status"]["corrected"] == [layer.name for _, layer in network.compute_layers()]
