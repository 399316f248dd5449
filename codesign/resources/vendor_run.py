"""Running the vendor's C-synthesis on a written project, for its report."""

import shutil
from pathlib import Path

from codesign.errors import ToolError
from codesign.files import write_atomically
from codesign.hls.folder import Project
from codesign.progress import say
from codesign.resources.tool_run import LIMIT_S, run_tool

LOG = "codesign_csynth.log"
_OPTIONS = ("reset", "csim", "synth", "cosim", "validation", "export", "vsynth", "fifo_opt")
_WANTED = ("reset", "synth")


def tool_family(project: Project) -> str:
    """The source of the csynth reports that a project's backend leads to: `vivado` or `vitis`."""
    return "vitis" if project.options.backend == "Vitis" else "vivado"


def run_csynth(project: Project, limit_s: float = LIMIT_S) -> Path:
    """C-synthesis of a project by its own Tcl; gives the log, which stands in the project's folder.

    The tool is `vivado_hls` (up to 2020.1) for the Vivado backends and `vitis-run` or `vitis_hls` for Vitis. Raises
    ToolError if there is none, if it fails (with its first error), or after `limit_s` seconds. An interrupt, too, ends
    all of its processes.
    """
    command = _command(project)
    if tool_family(project) == "vitis":  # that backend's Tcl reads its options from a file
        body = "".join(f"    {name} {int(name in _WANTED)}\n" for name in _OPTIONS)
        write_atomically(project.folder / "build_opt.tcl", f"array set opt {{\n{body}}}\n")
    log = project.folder / LOG
    say(f"{' '.join(command)} in {project.folder}; log: {log}")
    run_tool(command, project.folder, log, limit_s)
    return log


def _command(project: Project) -> list[str]:
    """What is called, in the project's folder."""
    flags = [f"{name}={int(name in _WANTED)}" for name in _OPTIONS]
    known = {
        "vivado_hls": ["vivado_hls", "-f", "build_prj.tcl", " ".join(flags)],
        "vitis-run": ["vitis-run", "--mode", "hls", "--tcl", "build_prj.tcl"],
        "vitis_hls": ["vitis_hls", "-f", "build_prj.tcl"],
    }
    is_vitis = tool_family(project) == "vitis"
    names = ("vitis-run", "vitis_hls") if is_vitis else ("vivado_hls",)
    for name in names:
        if shutil.which(name):
            return known[name]
    release = "Vitis HLS 2020.2 or later" if is_vitis else "Vivado HLS up to 2020.1"
    raise ToolError(
        f"{project.folder} has no csynth report yet, and {' or '.join(names)} ({release}) is not on the PATH: source "
        "its settings64.sh, run C-synthesis elsewhere and give its report, or use --source estimate",
        known[names[0]],
    )
