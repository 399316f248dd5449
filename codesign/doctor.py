"""Which tools are there, what each missing one would enable and how to get it; and what is wrong with a study."""

import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.engine.binding import library
from codesign.errors import CodesignError, ConfigError
from codesign.extras import EXTRAS

if TYPE_CHECKING:
    from codesign.study import Study

_VENDOR = "from AMD (Vivado or Vitis, with an account); then source its settings64.sh"
# Name, asked for its version, what it enables, how to get it. The vendors' tools are looked for, not started: that
# takes a licence.
_COMMANDS = (
    ("g++", True, "C-simulation: --simulator csim, the proof of the best design", "apt-get install g++"),
    ("make", True, "the Makefile's targets", "apt-get install make"),
    ("git", True, "working on codesign itself", "apt-get install git"),
    ("vivado_hls", False, "synthesis of Vivado projects (up to 2020.1)", _VENDOR),
    ("vitis_hls", False, "synthesis of Vitis projects (from 2020.2)", _VENDOR),
    ("vitis-run", False, "synthesis of Vitis projects (2024.1 and later)", _VENDOR),
    ("vivado", False, "bitstreams for Zynq boards: codesign build", _VENDOR),
    ("v++", False, "designs for Alveo cards: codesign build", _VENDOR),
    (
        "ssh",
        False,
        "the first connection to a board, by which its host key becomes known",
        "apt-get install openssh-client",
    ),
)
_ENABLES = {
    "pyosys": "mapped figures, codesign resources --source yosys",
    "da4ml": "shared adder graphs, the structure distributed_arithmetic",
    "pynq": "the virtual board, and drivers on a board",
    "paramiko": "codesign deploy: packages onto boards by SSH",
}
_BASE = (
    ("hls4ml", "HLS projects"),
    ("scikit-optimize", "the search"),
    ("matplotlib", "figures"),
)


def examine() -> list[dict[str, Any]]:
    """One entry a tool: `name`, `found`, `version` (None where it is not asked for), `enables`, `extra`, `get`."""
    commands = [_command(*entry) for entry in _COMMANDS]
    base = [_package(name, enables, None, "pip install codesign") for name, enables in _BASE]
    return [*commands, _engine(), *base, *_of_extras()]


def _of_extras() -> Iterator[dict[str, Any]]:
    for extra in EXTRAS.values():
        for package in extra.modules.values():
            enables = f"{_ENABLES.get(package, extra.enables)} (extra: {extra.name})"
            yield _package(package, enables, extra.name, extra.command)


def _entry(
    name: str, found: bool, version: str | None, enables: str, get: str, extra: str | None = None
) -> dict[str, Any]:
    return {"name": name, "found": found, "version": version, "enables": enables, "extra": extra, "get": get}


def _command(name: str, ask_version: bool, enables: str, get: str) -> dict[str, Any]:
    path = shutil.which(name)
    version = None
    if path and ask_version:
        try:
            done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
            match = re.search(r"\d+(\.\d+)+", done.stdout)
            version = match.group() if match else None
        except (OSError, subprocess.TimeoutExpired):  # a file of that name which does not run
            path = None
    return _entry(name, path is not None, version, enables, get)


def _engine() -> dict[str, Any]:
    try:
        version: str | None = str(library().codesign_engine_version())
    except ConfigError:
        version = None
    enables = "fast campaigns (without it NumPy simulates faults); built when a C++ compiler is there at installation"
    get = "apt-get install g++, then pip install --force-reinstall --no-deps codesign"
    return _entry("compiled engine", version is not None, version, enables, get)


def _package(name: str, enables: str, extra: str | None, get: str) -> dict[str, Any]:
    try:
        version: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return _entry(name, version is not None, version, enables, get, extra)


# ---------------------------------------------------------------- a study


def examine_study(path: Path) -> list[dict[str, Any]]:
    """One entry for each part of a study: `name`, `ok`, `says` (what was found, or what is wrong and what to do).

    The model is built or loaded and converted, not trained. What depends on a part that is wrong is left out, except
    that board and tools are looked at in any case.
    """
    from codesign.study import load_study

    found: list[dict[str, Any]] = []
    loaded: list[Study] = []

    def opened() -> str:
        loaded.append(load_study(path))
        return f"{loaded[0].name}, searched by {loaded[0].search.searcher}"

    found.append(_checked("study", opened))
    for study in loaded:
        found.append(_checked("board", lambda study=study: _board(study)))  # type: ignore[misc]
        found.append(_checked("data", lambda study=study: _data(study)))  # type: ignore[misc]
        if found[-1]["ok"]:
            found.append(_checked("model", lambda study=study: _model(study)))  # type: ignore[misc]
        found.append(_checked("search", lambda study=study: _search(study)))  # type: ignore[misc]
        found.append(_checked("C-simulation", _csim))
    return found


def _checked(name: str, look: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "says": look()}
    except CodesignError as error:
        return {"name": name, "ok": False, "says": " ".join(str(error).split())}
    except OSError as error:
        return {"name": name, "ok": False, "says": f"{error.filename}: {error.strerror}"}


def _board(study: "Study") -> str:
    from codesign.board.boards import load_board

    board = load_board(study.hardware.board)
    return f"{board.name}: {board.part}, {board.lut:,} LUT, {board.dsp:,} DSP, clock {study.hardware.clock_ns:g} ns"


def _data(study: "Study") -> str:
    from codesign.train.builder import data

    found = data(study)
    shape = "x".join(map(str, found.train_inputs.shape[1:]))
    sets = f"{len(found.train_inputs):,} training and {len(found.test_inputs):,} test samples"
    return f"{sets} of shape {shape}, {found.n_classes} classes, inputs {found.input_type}"


def _model(study: "Study") -> str:
    from codesign.train.probe import probe

    network = probe(study)
    layers = ", ".join(f"{layer.name} ({layer.neurons})" for _, layer in network.compute_layers())
    return f"neurons by layer: {layers}"


def _search(study: "Study") -> str:
    from codesign.search.searchers import searcher_of
    from codesign.search.space import Space

    searcher_of(study)
    names = [variable.name for variable in Space(study.space).variables]
    return f"{len(names)} variables: {', '.join(names)}" if names else "one design: every variable is fixed"


def _csim() -> str:
    from codesign.campaign.simulators import require_compiler

    require_compiler("the proof of the best design", "use campaigns with --verify 0")
    return "g++ compiles the proof of the best design"
