"""Projects for boards: their scripts run in a Tcl interpreter, against what the exported top and the IPs have."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from networks import small_network

from codesign.board.boards import Board, board_names, load_board
from codesign.board.project import FILES, board_options, write_board_project
from codesign.errors import ConfigError
from codesign.hls.project import Project, ProjectOptions, write_project
from codesign.protection import ProtectionPlan

tkinter = pytest.importorskip("tkinter", reason="this Python has no Tcl: install it (Debian: python3-tk)")
import vendor_tcl  # noqa: E402
from vendor_tcl import Design  # noqa: E402

GOLDEN = Path(__file__).parent / "data" / "golden"
SOCS = [name for name in board_names() if load_board(name).family != "alveo"]
CARDS = [name for name in board_names() if load_board(name).family == "alveo"]
BACKENDS = ("Vivado", "Vitis")


def written(name: str, folder: Path, **options: object) -> Project:
    board, network = load_board(name), small_network()
    chosen = board_options(board, **options)  # type: ignore[arg-type]
    return write_board_project(network, ProtectionPlan.full(network), folder / "project", board, chosen)


def exported(project: Project) -> Design:
    top = f"{project.network.name}_axi"
    return Design({f"xilinx.com:hls:{top}": vendor_tcl.exported_pins(project.folder, top)})


def synthesised(project: Project) -> None:
    """What the HLS tool would leave."""
    left = project.folder / "small_axi_prj/solution1/impl/ip"
    left.mkdir(parents=True)
    (left / "component.xml").write_text("<component/>")


def implemented(project: Project, generated: str = "gen") -> None:
    """What Vivado would leave."""
    folder = project.folder
    handoff = folder / f"build/vivado/design.{generated}/sources_1/bd/system/hw_handoff"
    handoff.mkdir(parents=True)
    (handoff / "system.hwh").write_text("<EDKSYSTEM/>")
    (folder / "run").mkdir()
    (folder / "run/system_wrapper.bit").write_bytes(b"bits")


def built(project: Project, design: Design | None = None) -> Design:
    synthesised(project)
    vendor_tcl.run(project.folder / "build_ip.tcl", exported(project))
    implemented(project)
    return vendor_tcl.run(project.folder / "build_design.tcl", design or exported(project))


# ---------------------------------------------------------------- all boards


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SOCS)
def test_a_boards_project_is_whole_and_its_design_is_connected(name: str, backend: str, tmp_path: Path) -> None:
    project, board = written(name, tmp_path, backend=backend), load_board(name)
    assert Project.open(project.folder) == project
    manifest = json.loads((project.folder / "codesign.json").read_text())
    assert (manifest["board"], manifest["stream"]["bits"]) == (name, board.axi_bits)
    design = built(project)
    # The IP core that the first script exports is the one that the second one takes.
    assert f"xilinx.com:hls:{manifest['top']}" in design.cells.values()
    assert not design.unconnected()
    clocks = {design.nets[path] for path in design.nets if design.pin(path)[1] == "clock"}
    assert clocks == {"ps/FCLK_CLK0" if board.family == "zynq7000" else "ps/pl_clk0"}
    assert design.links["small_axi_0/stream_in"] == "axi_dma_0/M_AXIS_MM2S"
    assert design.links["axi_dma_0/S_AXIS_S2MM"] == "small_axi_0/stream_out"
    assert design.links[f"small_axi_0/{manifest['interface']}"] == "control_0/M01_AXI"
    dma = design.properties["axi_dma_0"]
    widths = {"m_axi_mm2s_data", "m_axis_mm2s_tdata", "m_axi_s2mm_data", "s_axis_s2mm_tdata"}
    assert {dma[f"CONFIG.c_{what}_width"] for what in widths} == {str(board.axi_bits)}
    assert (dma["CONFIG.c_include_sg"], dma["CONFIG.c_sg_length_width"]) == ("0", "26")
    assert int(dma["CONFIG.c_mm2s_burst_size"]) * board.axi_bits <= 4096 * 8
    assert (project.folder / "build/design.bit").read_bytes() == b"bits"
    assert (project.folder / "build/design.hwh").exists()
    assert design.called("create_project") == [("-force", "design", "build/vivado", "-part", board.part)]


@pytest.mark.parametrize("name", SOCS)
def test_the_fabrics_clock_is_the_one_that_hls_is_given(name: str, tmp_path: Path) -> None:
    project = written(name, tmp_path)
    design = built(project)
    frequency = next(float(v) for k, v in design.properties["ps"].items() if k.endswith("FREQMHZ"))
    assert frequency == pytest.approx(1000 / project.options.clock_ns)
    hls = vendor_tcl.run(project.folder / "build_ip.tcl", exported(project))
    assert float(hls.called("create_clock")[0][1]) == project.options.clock_ns
    assert hls.called("set_part") == [(project.options.part,)]
    assert hls.called("set_top") == [("small_axi",)]
    files = [call[0] for call in hls.called("add_files")]
    assert all((project.folder / name).exists() for name in files)


@pytest.mark.parametrize("name", CARDS)
def test_a_cards_kernels_are_packaged_and_joined(name: str, tmp_path: Path) -> None:
    project, board = written(name, tmp_path), load_board(name)
    synthesised(project)
    vendor_tcl.run(project.folder / "build_ip.tcl", exported(project))
    design = vendor_tcl.run(project.folder / "build_kernel.tcl", exported(project))
    (packaged,) = design.called("package_xo")
    assert packaged[packaged.index("-kernel_name") + 1] == "small_axi"
    assert packaged[packaged.index("-ctrl_protocol") + 1] == "user_managed"
    pins = vendor_tcl.exported_pins(project.folder, "small_axi")
    movers = (project.folder / "movers.cpp").read_text()
    joined = re.findall(r"stream_connect=(\w+)\.(\w+):(\w+)\.(\w+)", (project.folder / "link.cfg").read_text())
    assert [(a, b) for a, _, b, _ in joined] == [("mm2s_0", "small_axi_0"), ("small_axi_0", "s2mm_0")]
    for cell, port, other, its in joined:
        sides = [pins[p][0] for c, p in ((cell, port), (other, its)) if c == "small_axi_0"]
        assert sides == ["master" if cell == "small_axi_0" else "slave"]
        assert "hls::stream<beat_t> &stream" in movers
    assert f"ap_axiu<{board.axi_bits}, 0, 0, 0>" in movers
    script = (project.folder / "build.sh").read_text()
    assert script.count(f"--platform {board.platform}") == 2


@pytest.mark.cxx
def test_the_kernels_that_move_data_compile(tmp_path: Path) -> None:
    project = written(CARDS[0], tmp_path)
    command = ["g++", "-std=c++14", "-fsyntax-only", "-w", "-Ifirmware/ap_types", "movers.cpp"]
    subprocess.run(command, cwd=project.folder, check=True)


@pytest.mark.parametrize("name", CARDS)
def test_cards_have_no_vivado_hls(name: str) -> None:
    with pytest.raises(ConfigError, match="Vitis"):
        board_options(load_board(name), backend="Vivado")


# ---------------------------------------------------------------- what can go wrong


def test_without_board_files_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = written("kv260", tmp_path)
    synthesised(project)
    vendor_tcl.run(project.folder / "build_ip.tcl", exported(project))
    bare = exported(project)
    bare.board_parts = ()
    with pytest.raises(tkinter.TclError, match="no board files of kv260_som: install them"):
        vendor_tcl.run(project.folder / "build_design.tcl", bare)
    monkeypatch.setenv("CODESIGN_NO_BOARD_FILES", "1")
    implemented(project)
    again = exported(project)
    again.board_parts = ()
    vendor_tcl.run(project.folder / "build_design.tcl", again)
    assert "board_part" not in again.properties.get("project", {})


def test_a_failed_run_and_missing_parts_are_errors(tmp_path: Path) -> None:
    project = written("pynq-z1", tmp_path)
    with pytest.raises(tkinter.TclError, match="build/ip holds no IP core"):
        vendor_tcl.run(project.folder / "build_design.tcl", exported(project))
    synthesised(project)
    vendor_tcl.run(project.folder / "build_ip.tcl", exported(project))
    failed = {"PROGRESS": "60%", "STATUS": "route_design ERROR"}
    with pytest.raises(tkinter.TclError, match="implementation failed: route_design ERROR"):
        vendor_tcl.run(project.folder / "build_design.tcl", exported(project), failed)
    implemented(project, "srcs")  # where Vivado before 2020.2 puts it
    vendor_tcl.run(project.folder / "build_design.tcl", exported(project))
    shutil.rmtree(project.folder / "build/vivado")
    with pytest.raises(tkinter.TclError, match="no hardware description"):
        vendor_tcl.run(project.folder / "build_design.tcl", exported(project))


def test_streams_that_an_older_tool_named_otherwise_are_found(tmp_path: Path) -> None:
    project = written("pynq-z2", tmp_path)
    design = exported(project)
    pins = design.own["xilinx.com:hls:small_axi"]
    for stream in ("stream_in", "stream_out"):
        pins[f"{stream}_V"] = pins.pop(stream)
    built(project, design)
    assert design.links["small_axi_0/stream_in_V"] == "axi_dma_0/M_AXIS_MM2S"
    other = exported(project)
    del other.own["xilinx.com:hls:small_axi"]["stream_out"]
    with pytest.raises(tkinter.TclError, match="the IP core small_axi has no stream stream_out"):
        vendor_tcl.run(project.folder / "build_design.tcl", other)


def test_the_stubs_refuse_what_no_ip_has(tmp_path: Path) -> None:
    """What the tests above rest on."""
    project = written("pynq-z2", tmp_path)
    synthesised(project)
    vendor_tcl.run(project.folder / "build_ip.tcl", exported(project))
    path = project.folder / "build_design.tcl"
    text = path.read_text()
    for old, new, error in (
        ("axi_dma_0/M_AXI_MM2S memory", "axi_dma_0/M_AXI memory", "no pin axi_dma_0/M_AXI"),
        ("link control_0/M00_AXI axi_dma_0", "link control_0/M02_AXI axi_dma_0", "no pin control_0/M02_AXI"),
        ("s_axi_control", "s_axi_CTRL", "no pin small_axi_0/s_axi_CTRL"),
        ("xilinx.com:hls:small_axi", "xilinx.com:hls:small", "no IP xilinx.com:hls:small"),
        ("link memory_0/M00_AXI ps/S_AXI_HP0", "link ps/S_AXI_HP0 memory_0/M00_AXI", "cannot connect"),
        ("ps/FCLK_RESET0_N reset_0", "ps/FCLK_CLK0 reset_0", "cannot connect"),
        ("foreach sink", "for each sink", "invalid command name"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(tkinter.TclError, match=error):
            vendor_tcl.run(path, exported(project))


# ---------------------------------------------------------------- against hls4ml's design


def words(text: str) -> dict[str, str]:
    """The settings of a list of hls4ml's script."""
    return dict(re.findall(r"(CONFIG\.\S+) (\{[^}]*\}|\S+?)[\] ]", text))


def test_pynq_z2_has_the_structure_of_hls4mls_design(tmp_path: Path) -> None:
    """Same processing system, DMA settings and connections; ours are explicit where theirs leave them to automation."""
    network, board = small_network(), load_board("pynq-z2")
    options = ProjectOptions("VivadoAccelerator", board.part, board.clock_ns)
    theirs = (write_project(network, ProtectionPlan(), tmp_path / "t", options).folder / "design.tcl").read_text()
    design = built(written("pynq-z2", tmp_path, backend="Vivado", axi_bits=32))
    # IPs: every one of theirs, those that automation adds among ours.
    cells = {vlnv.rpartition(":")[0] for vlnv in re.findall(r"-vlnv (\S+)", theirs)}
    named = {cell.replace("${project_name}", "small") for cell in cells}
    assert named <= set(design.cells.values())
    assert theirs.count("New AXI Interconnect") == list(design.cells.values()).count("xilinx.com:ip:axi_interconnect")
    assert set(design.cells.values()) - named == {"xilinx.com:ip:axi_interconnect", "xilinx.com:ip:proc_sys_reset"}
    # Settings of processing system and DMA.
    assert "CONFIG.PCW_USE_S_AXI_HP0 {1}" in theirs and design.properties["ps"]["CONFIG.PCW_USE_S_AXI_HP0"] == "1"
    (ours,) = design.called("apply_bd_automation")
    (rule,) = re.findall(r"bd_rule:processing_system7 -config \{(.*?)\}", theirs)
    both = [dict(zip(*[iter(tkinter.Tcl().splitlist(text))] * 2, strict=True)) for text in (rule, ours[3])]
    assert both[0] == {key: str(value) for key, value in both[1].items()}
    settings = {key: value.strip("{}") for key, value in words(theirs).items() if ".c_" in key}
    settings = {key: "32" if "bit_width_hls" in value else value for key, value in settings.items()}
    mistyped = "CONFIG.c_s_axis_s2mm_data_width"  # no setting of the DMA
    del settings[mistyped]
    assert settings.items() <= design.properties["axi_dma_0"].items()
    # Connections: what masters reach.
    reached = re.findall(r"Master \{/(\S+)\} Slave \{/(\S+)\}", theirs.replace("${project_name}", "small"))
    for master, slave in reached:
        start, end = (name.replace("processing_system7_0", "ps") for name in (master, slave))
        between = [sink for sink, source in design.links.items() if source == start]
        assert len(between) == 1
        hub = between[0].partition("/")[0]
        assert design.links[end].partition("/")[0] == hub
    streams = re.findall(r"connect_bd_intf_net \[get_bd_intf_pins (\S+)\] \[get_bd_intf_pins (\S+)\]", theirs)
    renamed = {"in_r": "stream_in", "out_r": "stream_out"}
    for source, sink in streams:
        pair = [
            re.sub(r"in_r|out_r", lambda m: renamed[m[0]], p.replace("${project_name}", "small"))
            for p in (source, sink)
        ]
        assert design.links[pair[1]] == pair[0]


# ---------------------------------------------------------------- golden files, the shell script, a user's board


@pytest.mark.parametrize("name", ["pynq-z2", "kv260", "u250"])
def test_scripts_are_the_golden_ones(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    project = written(name, tmp_path)
    for script in ("build_ip.tcl", *FILES[load_board(name).family], "build.sh"):
        golden = GOLDEN / f"board-{name}" / script
        if request.config.getoption("--golden-update"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project.folder / script, golden)
        assert (project.folder / script).read_text() == golden.read_text(), script


def fake_tool(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> calls\n')
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("backend", "tools", "expected"),
    [
        ("Vivado", ("vivado_hls", "vivado"), ["vivado_hls -f build_ip.tcl"]),
        ("Vitis", ("vitis_hls", "vivado"), ["vitis_hls -f build_ip.tcl"]),
        ("Vitis", ("vitis_hls", "vitis-run", "vivado"), ["vitis-run --mode hls --tcl build_ip.tcl"]),
    ],
)
def test_the_script_runs_its_stages(backend: str, tools: tuple[str, ...], expected: list[str], tmp_path: Path) -> None:
    project = written("pynq-z2", tmp_path, backend=backend)
    for tool in tools:
        fake_tool(tmp_path / "bin", tool)
    path = {**os.environ, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    vivado = "vivado -mode batch -nojournal -nolog -source build_design.tcl"
    for arguments, stages in (([], [*expected, vivado]), (["hls"], expected), (["bitstream"], [vivado])):
        subprocess.run([project.folder / "build.sh", *arguments], env=path, check=True, capture_output=True)
        assert (project.folder / "calls").read_text().splitlines() == stages
        (project.folder / "calls").unlink()
    wrong = subprocess.run([project.folder / "build.sh", "deploy"], env=path, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "build.sh: unknown stage 'deploy', there are hls, bitstream\n")


def test_the_script_names_the_tools_that_are_missing(tmp_path: Path) -> None:
    project = written("pynq-z2", tmp_path)
    done = subprocess.run([project.folder / "build.sh"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "build.sh: no vivado_hls: source settings64.sh of Vivado 2019.2 to 2020.1\n"


def test_a_users_own_board_is_built_for(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "boards/zcu104.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('"zcu104"', '"mine"'))
    board, network = load_board(tmp_path / "mine.toml"), small_network()
    assert isinstance(board, Board)
    project = write_board_project(network, ProtectionPlan(), tmp_path / "project", board)
    assert "*:mine:*" in (project.folder / "build_design.tcl").read_text()
    assert not built(project).unconnected()
