"""The stages of a board project's own `build.sh`, the tools that each needs, and what they leave."""

from dataclasses import dataclass
from pathlib import Path

from codesign.board.boards import Board
from codesign.board.build_run import Need, Stage
from codesign.hls.folder import Project

_HLS = {
    "Vivado": Need(("vivado_hls",), "Vivado HLS 2019.2 to 2020.1"),
    "Vitis": Need(("vitis-run", "vitis_hls"), "Vitis HLS 2020.2 or later"),
}
_VIVADO, _LINKER = Need(("vivado",), "Vivado of the same release"), Need(("v++",), "Vitis of the same release")
_SOURCES = ("firmware/**/*.h", "firmware/**/*.cpp", "project.tcl", "build_ip.tcl", "build.sh")
UTILIZATION, TIMING = "build/utilization.rpt", "build/timing.rpt"


@dataclass(frozen=True)
class Recipe:
    """Stages, and which of their outputs go into the package: its names for them and paths in the project's folder."""

    stages: tuple[Stage, ...]
    design: dict[str, str]

    def missing(self, folder: Path) -> list[Path]:
        """What is not there of what a package needs."""
        needed = (*self.design.values(), UTILIZATION, TIMING)
        return [folder / name for name in needed if not (folder / name).is_file()]


def recipe(project: Project, board: Board) -> Recipe:
    """How a board project is built."""
    hls = _stage("hls", "C-synthesis", (_HLS[project.options.backend],), _SOURCES, ("build/ip/component.xml",))
    if board.family == "alveo":
        design = {"design.xclbin": "build/design.xclbin"}
        scripts, kernels = ("build_kernel.tcl", "movers.cpp"), ("build/*.xo",)
        between = [_stage("kernels", "kernels", (_VIVADO, _LINKER), scripts, kernels)]
        last, script = (_LINKER,), "link.cfg"
    else:
        design = {name: f"build/{name}" for name in ("design.bit", "design.hwh")}
        between, last, script = [], (_VIVADO,), "build_design.tcl"
    outputs = (*design.values(), UTILIZATION, TIMING)
    return Recipe((hls, *between, _stage("bitstream", "bitstream", last, (script,), outputs)), design)


def _stage(name: str, title: str, needs: tuple[Need, ...], inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Stage:
    return Stage(name, title, ("sh", "build.sh", name), needs, inputs, outputs)
