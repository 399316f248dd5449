"""The exported top of a board project as text: golden files, registers, and the design rules of the wrapper."""

import json
import re
import shutil
from pathlib import Path

import pytest
from networks import small_network
from test_project import mixed_plan

from codesign.errors import ConfigError
from codesign.hls.check import check_project
from codesign.hls.options import AXI_BITS
from codesign.hls.project import IO_TYPES, Project, ProjectOptions, write_project
from codesign.hls.registers import register_map
from codesign.network import Network
from codesign.protection import ProtectionPlan

GOLDEN = Path(__file__).parent / "data" / "golden"
FILES = ("firmware/small.cpp", "firmware/small_axi.cpp", "firmware/small_axi.h", "csim.cpp", "codesign.json")


@pytest.mark.parametrize("which", ["Vivado-io_parallel-32", "Vitis-io_stream-128"])
def test_generated_files_are_the_golden_ones(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    backend, io_type, bits = which.split("-")
    options = ProjectOptions(backend, io_type=io_type, axi_bits=int(bits))  # type: ignore[arg-type]
    network = small_network()
    folder = write_project(network, mixed_plan(network), tmp_path / "p", options).folder
    for name in FILES:
        golden = GOLDEN / which / name
        if request.config.getoption("--golden-update"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, golden)
        assert (folder / name).read_text() == golden.read_text(), name


@pytest.mark.parametrize("backend", ["Vivado", "Vitis"])
@pytest.mark.parametrize("io_type", IO_TYPES)
@pytest.mark.parametrize("bits", AXI_BITS)
def test_manifest_and_ports_agree(backend: str, io_type: str, bits: int, tmp_path: Path) -> None:
    options = ProjectOptions(backend, io_type=io_type, axi_bits=bits)  # type: ignore[arg-type]
    project = write_project(small_network(), ProtectionPlan(), tmp_path / "project", options)
    assert Project.open(project.folder) == project
    manifest = json.loads((project.folder / "codesign.json").read_text())
    assert (manifest["top"], manifest["stream"]["bits"]) == ("small_axi", bits)
    old = [register.name for register in register_map(small_network())]
    assert [r["name"] for r in manifest["registers"]] == [*old, "id_network", "id_plan", "samples", "bad_frames"]
    source = (project.folder / "firmware/small_axi.cpp").read_text()
    pragmas = re.findall(r"#pragma HLS INTERFACE s_axilite port=(\w+) bundle=control offset=(0x\w+)", source)
    assert [(name, int(offset, 16)) for name, offset in pragmas] == [
        (r["name"], r["offset"]) for r in manifest["registers"]
    ]
    assert "INTERFACE" not in (project.folder / "firmware/small.cpp").read_text()


TAMPERED = {
    "a register kept": ("small_axi.cpp", "layer4_out, guard, clear", "layer4_out, 0, clear", "does not pass the regis"),
    "an address": ("small_axi.cpp", "port=samples bundle=control offset=0x90", "port=samples", "samples has no addr"),
    "a port": ("small_axi.cpp", "ap_uint<32> &bad_frames", "ap_uint<32> bad_frames", "bad_frames is no port"),
    "no stream": (
        "small_axi.cpp",
        "axis port=stream_out",
        "ap_fifo port=stream_out",
        "no interface axis port=stream_o",
    ),
    "started by hand": ("small_axi.cpp", "ap_ctrl_none", "ap_ctrl_hs", "no interface ap_ctrl_none"),
    "past the network": (
        "small_axi.cpp",
        "deliver<stream_config>(layer4_out",
        "deliver<stream_config>(x",
        "not call code",
    ),
    "another network": (
        "small_axi.h",
        "id_network = 0x",
        "id_network = 0x1",
        "stream_config does not say unsigned id_n",
    ),
    "lanes": ("small_axi.h", "lane_in = 8", "lane_in = 16", "stream_config does not say int lane_in = 8"),
    "no TLAST": (
        "small_axi.h",
        "typedef codesign::Beat<64>",
        "typedef ap_uint<64>",
        "beats are not codesign::Beat<64>",
    ),
    "the inner top": ("small.cpp", "fc1_flags, clear", "fc0_flags, clear", "layer 'fc1'"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_wrapper_breaks_a_rule(what: str, tmp_path: Path) -> None:
    name, old, new, finding = TAMPERED[what]
    project = write_project(small_network(), ProtectionPlan(), tmp_path / "project", ProjectOptions(axi_bits=64))
    assert check_project(project) == []
    path = project.folder / "firmware" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert any(finding in line for line in check_project(project)), check_project(project)


@pytest.mark.parametrize("name", ["samples", "stream_in", "beat_t"])
def test_names_of_the_wrappers_own_are_refused(name: str, tmp_path: Path) -> None:
    network = Network(name, small_network().input_type, small_network().layers)
    with pytest.raises(ConfigError, match=f"'{name}': its name cannot be the name of a C"):
        write_project(network, ProtectionPlan(), tmp_path / "project", ProjectOptions(axi_bits=64))
    write_project(network, ProtectionPlan(), tmp_path / "project")
