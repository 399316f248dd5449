"""Running the vendor's C-synthesis on a written project, for its report."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from codesign.errors import ToolError
from codesign.files import write_atomically
from codesign.hls.folder import Project
from codesign.progress import say

LOG = "codesign_csynth.log"
LIMIT_S = 24 * 3600.0
# How often a run is looked at, and how long its processes have to end by themselves once they are told to.
_POLL_S, _PATIENCE_S = 0.2, 10.0
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
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that all its processes can be told to end
        )
        try:
            code = _wait(process, limit_s)
        finally:
            _end(process)
    if code is None:
        raise ToolError(f"{command[0]} took more than {limit_s:g} s", command, log)
    if code:
        raise ToolError(f"{command[0]} failed with exit code {code}: {_first_error(log)}", command, log)
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


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> int | None:
    """The exit code, None if the time is over."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_POLL_S)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """No process of the run is left, whatever it has started."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
    process.wait()


def _first_error(log: Path) -> str:
    lines = (line.strip() for line in log.read_text(errors="replace").splitlines())
    return next((line for line in lines if line.upper().startswith(("ERROR", "@E"))), "its log has no line 'ERROR'")
