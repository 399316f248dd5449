"""The written project: what stands in it, its design rules, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from networks import small_network

from codesign.codes import Code
from codesign.errors import CodesignError, ConfigError
from codesign.fixed import FixedPoint
from codesign.hls.check import check_project
from codesign.hls.project import BACKENDS, IO_TYPES, Project, ProjectOptions, write_project
from codesign.hls.registers import register_map
from codesign.hls.tables import parse, stored, tables
from codesign.network import Layer, Network, Parameter
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

GOLDEN = Path(__file__).parent / "data" / "golden"
FIRMWARE = ("small.cpp", "small.h", "parameters.h", "defines.h", "weights/fc0_weights.h")
GOLDEN_FILES = {
    "Vivado-io_parallel": [*(f"firmware/{name}" for name in FIRMWARE), "csim.cpp", "build_csim.sh", "project.tcl"],
    # Others differ in the top function and the scripts only.
    "Vitis-io_stream": ["firmware/small.cpp", "csim.cpp", "project.tcl"],
    "VivadoAccelerator-io_parallel": ["firmware/small_axi.cpp", "firmware/small_axi.h", "csim.cpp", "design.tcl"],
}


def mixed_plan(network: Network) -> ProtectionPlan:
    """Every kind of neuron: plain, partly hardened, classic TMR."""
    bits = {
        layer.name: np.resize([0, 3, layer.acc.width, layer.acc.width - 1, 1], layer.n_out)
        for _, layer in network.compute_layers()
    }
    return ProtectionPlan.of(network, bits)


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("which", GOLDEN_FILES)
def test_generated_files_are_the_golden_ones(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """`pytest --golden-update` writes them again; look at the difference before committing it."""
    network = small_network()
    backend, io_type = which.split("-")
    options = ProjectOptions(backend, io_type=io_type)  # type: ignore[arg-type]
    folder = write_project(network, mixed_plan(network), tmp_path / "p", options).folder
    for name in GOLDEN_FILES[which]:
        golden = GOLDEN / which / name
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
    for name in ("my net", "short", "std", "2d", "_x"):
        named = Network(name, small_network().input_type, layers)
        with pytest.raises(ConfigError, match=f"'{name}': its name cannot be the name of a C\\+\\+ function"):
            write_project(named, ProtectionPlan(), tmp_path / "project")
    narrow = FixedPoint(4, 2)
    one = Parameter(np.ones((2, 2), np.int64), narrow)
    taken = Layer.dense("x", one, Parameter(np.ones(2, np.int64), narrow), FixedPoint(12, 6))
    with pytest.raises(ConfigError, match="taken by the input or a port"):
        write_project(Network("net", narrow, (taken,)), ProtectionPlan(), tmp_path / "project")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("io_type", IO_TYPES)
def test_registers_stand_in_manifest_and_pragmas(backend: str, io_type: str, tmp_path: Path) -> None:
    network = small_network()
    options = ProjectOptions(backend, io_type=io_type)  # type: ignore[arg-type]
    folder = write_project(network, ProtectionPlan(), tmp_path / "project", options).folder
    manifest = json.loads((folder / "codesign.json").read_text())
    found = {(r["name"], r["offset"]) for r in manifest["registers"]}
    names = ("guard", "clear", "status_corrected", "status_detected", "events_fc0", "events_fc1")
    assert [r["name"] for r in manifest["registers"]] == list(names)
    source = (folder / "firmware" / f"{manifest['top']}.cpp").read_text()
    pragmas = re.findall(r"#pragma HLS INTERFACE s_axilite port=(\w+) bundle=control offset=(0x\w+)", source)
    assert {(name, int(offset, 16)) for name, offset in pragmas} == found
    assert manifest["interface"] == "s_axi_control"
    assert len({offset for _, offset in found}) == len(found)


def test_nothing_of_this_machine_stands_in_a_project(tmp_path: Path) -> None:
    for backend in BACKENDS:
        folder = write_project(small_network(), ProtectionPlan(), tmp_path / backend, ProjectOptions(backend)).folder
        for path in folder.rglob("*"):
            assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path


# ---------------------------------------------------------------- weight tables


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("of", [FixedPoint(4, 1), FixedPoint(8, 8, signed=False), FixedPoint(16, 2), FixedPoint(24, 3)])
def test_a_weight_table_is_read_back_as_it_was_written(code: Code, of: FixedPoint) -> None:
    values = np.linspace(of.min_raw, of.max_raw, 12).astype(np.int64).reshape(4, 3)
    weight = Parameter(values, of)
    layer = Layer.dense("fc", weight, Parameter(values[0], of), FixedPoint(40, 20), reuse_factor=2)
    headers = tables(layer, code)
    assert list(headers) == ["fc_weights", "fc_biases"]
    assert np.array_equal(parse(headers["fc_weights"]), stored(weight, code))
    assert len(stored(weight, code)) == 12 * code.copies
    if code is Code.NONE:
        assert np.array_equal(parse(headers["fc_weights"]), values.ravel())


@pytest.mark.parametrize("text", ["", "const int a[2] = {1, 2, 3};", "const int a[2] = {1, x};"])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        parse(text)


# ---------------------------------------------------------------- design rules


def passes_network() -> Network:
    """Two layers of several passes, so that parameters are stored."""
    small = small_network()
    fc0, relu, fc1 = small.layers
    first = Layer.dense("fc0", fc0.w, fc0.b, fc0.acc, fc0.result, reuse_factor=3)
    return Network("small", small.input_type, (first, relu, Layer.dense("fc1", fc1.w, fc1.b, fc1.acc, reuse_factor=5)))


def strong_plan() -> ProtectionPlan:
    return ProtectionPlan(
        (
            LayerPlan("fc0", (0, 3, 14, 13, 1), Mechanism.RECOMPUTE, Scope.ADDER, 2, Code.ECC),
            LayerPlan("fc1", (15, 4, 0), Mechanism.DMR, Scope.MAC, 0, Code.TMR),
        )
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("io_type", IO_TYPES)
def test_a_sound_project_breaks_no_rule(backend: str, io_type: str, tmp_path: Path) -> None:
    options = ProjectOptions(backend, io_type=io_type)  # type: ignore[arg-type]
    project = write_project(passes_network(), strong_plan(), tmp_path / "project", options)
    assert check_project(project) == []


TAMPERED = {
    "a neuron's hardened bits": ("parameters.h", "{0, 3, 14, 13, 1}", "{0, 2, 14, 13, 1}", "neuron 1 has 2 hardened"),
    "a neuron left out": ("parameters.h", "{15, 4, 0}", "{15, 4}", "names 2 neurons instead of 3"),
    "mechanism": ("parameters.h", "Mechanism::DMR", "Mechanism::TMR", "fc1_config says mechanism"),
    "scope": ("parameters.h", "harden_multipliers = true", "harden_multipliers = false", "says harden_multipliers"),
    "dot size": ("parameters.h", "dot_size = 2", "dot_size = 3", "fc0_config says dot_size = 3 instead of 2"),
    "code": ("parameters.h", "Code::ECC", "Code::PLAIN", "fc0_config says parameter_code"),
    "passes": ("parameters.h", "reuse_factor = 3", "reuse_factor = 1", "says reuse_factor"),
    "fault layer": ("parameters.h", "layer_id = 2", "layer_id = 0", "says layer_id"),
    "no struct": ("parameters.h", "struct fc1_config", "struct other", "no struct fc1_config"),
    "a weight": ("weights/fc0_weights.h", "= {\n    ", "= {\n    1", "table fc0_weights, word 0"),
    "a copy": ("weights/fc1_biases.h", "[9]", "[3]", "table fc1_biases: 9 numbers instead of 3"),
    "guard": ("small.cpp", "fc1_biases, guard,", "fc1_biases, 0,", "the top function calls nnet::protected_dense"),
    "flags": ("small.cpp", "guard, fc1_flags", "guard, fc0_flags", "own parameters, the guard and fc1_flags 0 times"),
    "parameters": ("small.cpp", "fc1_weights, fc1_biases", "fc0_weights, fc1_biases", "0 times instead of once"),
    "commented out": ("small.cpp", "    nnet::protected_dense<layer3_t", "    // nnet::<layer3_t", "0 times"),
    "hls4ml's kernel": (
        "small.cpp",
        "nnet::protected_dense<input_t",
        "nnet::dense<input_t",
        "hls4ml's unprotected dense",
    ),
    "status": ("small.cpp", "update_status(fc0_flags, fc1", "update_status(fc0_flags, fc0", "fc1_flags do not reach"),
    "tap": ("small.cpp", "    CODESIGN_TAP_OUTPUTS(layer3_t", "    // (layer3_t", "layer 'relu0': 0 taps"),
    "tap's layer": ("small.cpp", "layer3_out, 1);", "layer3_out, 0);", "layer 'relu0': 0 taps"),
    "tap's variable": ("small.cpp", "5, 5, layer3_out, 1);", "5, 5, layer2_x, 1);", "does not stand behind its call"),
    "address": ("small.cpp", "port=clear bundle=control offset=0x20", "port=clear", "clear has no address 0x20"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_project_breaks_a_rule(what: str, tmp_path: Path) -> None:
    name, old, new, finding = TAMPERED[what]
    project = write_project(passes_network(), strong_plan(), tmp_path / "project")
    path = project.folder / "firmware" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert any(finding in line for line in check_project(project)), check_project(project)


def test_registers_that_the_wrapper_keeps_are_found(tmp_path: Path) -> None:
    options = ProjectOptions("VivadoAccelerator")
    project = write_project(small_network(), ProtectionPlan(), tmp_path / "project", options)
    path = project.folder / "firmware/small_axi.cpp"
    path.write_text(path.read_text().replace("out_local, guard, clear", "out_local, 0, clear"))
    assert check_project(project) == ["the wrapper does not pass the registers on"]


def test_a_project_that_breaks_a_rule_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesign.hls.project.check_project", lambda _: ["layer 'fc0': something"])
    with pytest.raises(CodesignError, match="breaks a design rule: layer 'fc0': something"):
        write_project(small_network(), ProtectionPlan(), tmp_path / "project")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "Quartus"}, "unknown backend 'Quartus'"),
        ({"io_type": "io_serial"}, "unknown io_type 'io_serial'"),
        ({"backend": "VivadoAccelerator", "part": "xcu50"}, "no board with part 'xcu50'; it has xc7z020clg400-1"),
    ],
)
def test_options_that_do_not_exist_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProjectOptions(**options)  # type: ignore[arg-type]


def image(layers: list[Layer]) -> Network:
    return Network("net", FixedPoint(6, 2), tuple(layers))


def normal(name: str, shape: tuple[int, ...], **more: object) -> Layer:
    one = Parameter(np.ones(shape[-1], np.int64), FixedPoint(4, 2))
    return Layer.batchnorm(name, shape, one, one, FixedPoint(12, 6), FixedPoint(6, 2), **more)  # type: ignore[arg-type]


def test_what_hls4mls_streams_cannot_do_is_refused_there(tmp_path: Path) -> None:
    stream = ProjectOptions(io_type="io_stream")
    pooled = Layer.max_pool("pool", (4, 4, 2), (3, 3), FixedPoint(6, 2), strides=(2, 2))
    with pytest.raises(ConfigError, match="'pool': pooling in io_stream needs strides.*; use io_type 'io_parallel'"):
        write_project(image([normal("norm", (4, 4, 2)), pooled]), ProtectionPlan(), tmp_path / "p", stream)
    layers = [normal("hub", (3,))]
    for number in range(8):
        before = layers[-1].name if number else "hub"
        layers.append(Layer.add(f"add{number}", (3,), FixedPoint(12, 6), FixedPoint(6, 2), inputs=(before, "hub")))
    with pytest.raises(ConfigError, match="9 layers read layer 'hub'; hls4ml copies a stream 7 times at most"):
        write_project(image(layers), ProtectionPlan(), tmp_path / "p", stream)
    assert not list(tmp_path.iterdir())


def test_networks_that_make_no_accelerator_are_refused(tmp_path: Path) -> None:
    relu = Layer.relu("relu", 3, FixedPoint(6, 2))
    with pytest.raises(ConfigError, match="0 layers compute; an accelerator has 1 to 32"):
        write_project(image([relu]), ProtectionPlan(), tmp_path / "p")
    with pytest.raises(ConfigError, match="33 layers compute; an accelerator has 1 to 32"):
        write_project(image([normal(f"n{k}", (3,)) for k in range(33)]), ProtectionPlan(), tmp_path / "p")
    with pytest.raises(ConfigError, match="layer names 'a' and 'A' differ in case only"):
        write_project(image([normal("a", (3,)), normal("A", (3,))]), ProtectionPlan(), tmp_path / "p")


def test_thirty_two_layers_have_a_bit_each() -> None:
    registers = register_map(image([normal(f"n{k}", (3,)) for k in range(32)]))
    assert len(registers) == 2 + 2 + 32
    assert len({register.offset for register in registers}) == len(registers)
    assert "bit 31: n31" in registers[2].meaning
