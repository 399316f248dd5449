"""Projects for a board: the HLS project on AXI streams, and the scripts that make a bitstream of it."""

from functools import partial
from pathlib import Path

from codesign.assets import asset, rendered
from codesign.board.boards import Board
from codesign.errors import ConfigError
from codesign.fixed import Ints
from codesign.hls.folder import Project
from codesign.hls.options import Backend, ProjectOptions
from codesign.hls.project import write_project
from codesign.hls.registers import BUNDLE
from codesign.network import Network
from codesign.protection import ProtectionPlan

BACKEND_OF_FLOW: dict[str, Backend] = {"vivado_hls": "Vivado", "vitis": "Vitis"}
RELEASES: dict[str, str] = {"Vivado": "Vivado 2019.2 to 2020.1", "Vitis": "Vitis 2020.2 or later"}
_COMMANDS = {
    "Vivado": ("vivado_hls -f build_ip.tcl",),
    "Vitis": ("vitis-run --mode hls --tcl build_ip.tcl", "vitis_hls -f build_ip.tcl"),
}
# Files that a project for a family has, besides build_ip.tcl and build.sh.
FILES = {
    "zynq7000": ("build_design.tcl",),
    "zynqmp": ("build_design.tcl",),
    "alveo": ("build_kernel.tcl", "link.cfg", "movers.cpp"),
}
_STAGES = {"zynq7000": ("hls", "bitstream"), "zynqmp": ("hls", "bitstream"), "alveo": ("hls", "kernels", "bitstream")}
# Names of board files in Vivado that differ from the board's.
_BOARD_FILES = {"kv260": "kv260_som"}
# The longest burst on AXI, in bytes and in beats.
_BURST_BYTES, _BURST_BEATS = 4096, 256


def board_options(
    board: Board,
    base: ProjectOptions | None = None,
    backend: Backend | None = None,
    axi_bits: int | None = None,
    upset_slots: int = 0,
) -> ProjectOptions:
    """Options of a project for a board: its part, clock and streams; the rest as in `base`.

    `backend` and `axi_bits` are the board's unless given. Raises ConfigError for what the board cannot be built with.
    """
    if board.family == "alveo" and backend not in (None, "Vitis"):
        raise ConfigError(f"{board.name} is a card, which is built with Vitis, not with backend {backend}")
    changed = {
        "backend": backend or BACKEND_OF_FLOW[board.flow],
        "part": board.part,
        "clock_ns": board.clock_ns,
        "axi_bits": axi_bits or board.axi_bits,
        "board": board.name,
        "upset_slots": upset_slots or (base.upset_slots if base else 0),
    }
    return ProjectOptions(**{**vars(base or ProjectOptions()), **changed})


def write_board_project(
    network: Network,
    plan: ProtectionPlan,
    folder: Path,
    board: Board,
    options: ProjectOptions | None = None,
    bench_inputs: Ints | None = None,
) -> Project:
    """As `write_project`, with the scripts that build for the board; `options` are of `board_options`."""
    options = options or board_options(board)
    return write_project(network, plan, folder, options, bench_inputs, partial(_write_scripts, board=board))


def _write_scripts(project: Project, board: Board) -> None:
    for name, text in scripts(project, board).items():
        (project.folder / name).write_text(text)
    (project.folder / "build.sh").chmod(0o755)


def scripts(project: Project, board: Board) -> dict[str, str]:
    """What builds the project on a machine with the vendor's tools, by file name."""
    bits, backend = project.options.axi_bits, project.options.backend
    assert bits is not None  # `board_options` says so
    facts = {
        "board": board,
        "board_files": _BOARD_FILES.get(board.name, board.name),
        "network": project.network.name,
        "top": f"{project.network.name}_axi",
        "interface": f"s_axi_{BUNDLE}",
        "backend": backend,
        "release": RELEASES[backend],
        "hls_commands": _COMMANDS[backend],
        "stages": _STAGES[board.family],
        "bits": bits,
        "burst": min(_BURST_BEATS, _BURST_BYTES * 8 // bits),
        "clock_mhz": f"{1000 / project.options.clock_ns:.6g}",
    }
    names = ("build_ip.tcl", *FILES[board.family], "build.sh")
    templates = asset("hls_templates") / "boards"
    return {name: rendered(templates / f"{name}.j2", **facts) for name in names}
