"""What the vendor's tools are asked to do with a board project, stage by stage, and what they leave.

The same as the project's own `build.sh`, which does it where this package is not installed.
"""

from dataclasses import dataclass
from pathlib import Path

from codesign.board.build_run import Stage
from codesign.hls.folder import Project

_HLS: dict[str, tuple[dict[str, tuple[str, ...]], str]] = {
    "Vivado": ({"vivado_hls": ("vivado_hls", "-f", "build_ip.tcl")}, "Vivado HLS 2019.2 to 2020.1"),
    "Vitis": (
        {
            "vitis-run": ("vitis-run", "--mode", "hls", "--tcl", "build_ip.tcl"),
            "vitis_hls": ("vitis_hls", "-f", "build_ip.tcl"),
        },
        "Vitis HLS 2020.2 or later",
    ),
}
_VIVADO = {"vivado": ("vivado", "-mode", "batch", "-nojournal", "-nolog", "-source", "build_design.tcl")}
"""Of the same release as the HLS tool."""


@dataclass(frozen=True)
class Recipe:
    """Stages, and what becomes of their outputs: names in the package and paths in the project's folder."""

    stages: tuple[Stage, ...]
    design: dict[str, str]
    utilization: str
    timing: str
    reports: tuple[str, ...]

    def missing(self, folder: Path) -> list[Path]:
        """What is not there of what a package needs."""
        needed = (*self.design.values(), self.utilization, self.timing)
        return [folder / name for name in needed if not (folder / name).is_file()]


def recipe(project: Project) -> Recipe:
    """How a board project is built."""
    commands, release = _HLS[project.options.backend]
    sources = ("firmware/**/*.h", "firmware/**/*.cpp", "build_ip.tcl")
    hls = Stage("hls", "C-synthesis", commands, release, sources, ("build/ip/component.xml",))
    outputs = ("build/design.bit", "build/design.hwh", "build/utilization.rpt", "build/timing.rpt")
    vivado = Stage("vivado", "implementation", _VIVADO, "Vivado of the same release", ("build_design.tcl",), outputs)
    design = {name: f"build/{name}" for name in ("design.bit", "design.hwh")}
    return Recipe((hls, vivado), design, "build/utilization.rpt", "build/timing.rpt", ("build/*.rpt",))
