"""Which tools are there, and what each missing one would enable."""

import importlib.metadata
import re
import shutil
import subprocess
from typing import Any

from codesign.engine.binding import library
from codesign.errors import ConfigError

# Name, command, what it enables. The vendors' tools are looked for, not started: that takes a licence.
_COMMANDS = (
    ("g++", True, "C-simulation: --simulator csim, the proof of the best design"),
    ("make", True, "the Makefile's targets"),
    ("git", True, "working on codesign itself"),
    ("vivado_hls", False, "synthesis of Vivado projects (up to 2020.1)"),
    ("vitis_hls", False, "synthesis of Vitis projects (from 2020.2)"),
    ("vitis-run", False, "synthesis of Vitis projects (2024.1 and later)"),
    ("vivado", False, "bitstreams for Zynq boards: codesign build"),
    ("v++", False, "designs for Alveo cards: codesign build"),
    ("ssh", False, "the first connection to a board, by which its host key becomes known"),
)
_PACKAGES = (
    ("hls4ml", "HLS projects"),
    ("tensorflow", "training (extra: train)"),
    ("qkeras", "training (extra: train)"),
    ("scikit-optimize", "the search"),
    ("pyosys", "mapped figures, codesign resources --source yosys (extra: yosys)"),
    ("da4ml", "shared adder graphs, the structure distributed_arithmetic (extra: yosys)"),
    ("pynq", "boards (extra: board)"),
    ("paramiko", "codesign deploy: packages onto boards by SSH (extra: board)"),
)


def examine() -> list[dict[str, Any]]:
    """One entry a tool: `name`, `found`, `version` (None where it is not asked for), `enables`."""
    commands = [_command(*entry) for entry in _COMMANDS]
    return [*commands, _engine(), *(_package(*entry) for entry in _PACKAGES)]


def _command(name: str, ask_version: bool, enables: str) -> dict[str, Any]:
    path = shutil.which(name)
    version = None
    if path and ask_version:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
        match = re.search(r"\d+(\.\d+)+", done.stdout)
        version = match.group() if match else None
    return {"name": name, "found": path is not None, "version": version, "enables": enables}


def _engine() -> dict[str, Any]:
    try:
        version: str | None = str(library().codesign_engine_version())
    except ConfigError:
        version = None
    enables = "fast campaigns (without it NumPy simulates faults); built when a C++ compiler is there at installation"
    return {"name": "compiled engine", "found": version is not None, "version": version, "enables": enables}


def _package(name: str, enables: str) -> dict[str, Any]:
    try:
        version: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return {"name": name, "found": version is not None, "version": version, "enables": enables}
