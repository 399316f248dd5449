"""Boards and their capacities, one TOML file each in `boards/`."""

import math
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from codesign.assets import asset
from codesign.errors import ConfigError, did_you_mean
from codesign.hls.options import AXI_BITS
from codesign.notebook import html_table

# Generations of tools: Vivado HLS of 2019.2 to 2020.1, Vitis HLS of 2020.2 and later.
FLOWS = ("vivado_hls", "vitis")
# What the fabric hangs on, and how the names of such parts begin.
FAMILIES: dict[str, tuple[str, ...]] = {"zynq7000": ("xc7z",), "zynqmp": ("xczu", "xck"), "alveo": ("xcu",)}


class Usage(Protocol):
    """The figures of a resource report that a board limits; None where the source does not say."""

    @property
    def lut(self) -> int | None: ...
    @property
    def ff(self) -> int | None: ...
    @property
    def dsp(self) -> int | None: ...
    @property
    def bram_18k(self) -> int | None: ...


@dataclass(frozen=True)
class Board:
    """A board: FPGA part and family, capacities in primitives, target clock period, width of its streams, data sheet.

    `flow` is the generation of tools that builds for it unless another is asked for, `axi_bits` the width of the
    streams between DMA and network, `platform` the shell of a card (family "alveo"), "" of other boards.
    """

    name: str
    part: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram_18k: int
    clock_ns: float
    axi_bits: int
    flow: str
    source: str
    uram: int = 0
    platform: str = ""

    def _repr_html_(self) -> str:
        there = {"part": self.part, **{label: getattr(self, name) for name, label in _LABELS.items()}}
        rows = {**there, "clock, ns": self.clock_ns, "streams, bits": self.axi_bits, "tools": self.flow}
        return html_table(f"board {self.name}", ("", "has"), rows.items())

    def shortfalls(self, report: Usage) -> list[str]:
        """One line for each resource that the report exceeds, and by how much.

        A figure that the report does not give is not judged.
        """
        lines = []
        for name, label in _LABELS.items():
            used, there = getattr(report, name, None), getattr(self, name)
            if used is not None and used > there:
                lines.append(f"{label}: {used:,} needed, {self.name} has {there:,} ({used - there:,} too few)")
        return lines


_LABELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM_18K", "uram": "URAM"}


def board_names() -> list[str]:
    """Names of the boards that ship with the package."""
    return sorted(path.stem for path in asset("boards").glob("*.toml"))


def load_board(name_or_path: str | Path) -> Board:
    """A board by its name, or from a TOML file of the user's. Raises ConfigError naming what is wrong."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return _read(path)
    if str(name_or_path) not in board_names():
        raise ConfigError(
            f"unknown board '{name_or_path}'{did_you_mean(str(name_or_path), board_names(), 'known are')}"
        )
    return _read(asset("boards") / f"{name_or_path}.toml")


def _read(path: Path) -> Board:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read board file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"board file {path} is not TOML: {error}") from None
    return _board(table, path)


def _board(table: dict[str, Any], path: Path) -> Board:
    known = [field.name for field in fields(Board)]
    for key in table:
        if key not in known:
            raise ConfigError(f"board file {path}: unknown key '{key}'{did_you_mean(key, known, 'known are')}")
    needed = [field.name for field in fields(Board) if field.default is MISSING]
    if missing := [key for key in needed if key not in table]:
        raise ConfigError(f"board file {path}: missing {', '.join(missing)}")
    for key, value in table.items():
        expected, good = _RULES[key]
        if not good(value):
            raise ConfigError(f"board file {path}: {key} = {value!r} ({type(value).__name__}), expected {expected}")
    board = Board(**{**table, "clock_ns": float(table["clock_ns"])})
    _check_family(board, path)
    return board


def _check_family(board: Board, path: Path) -> None:
    beginnings = FAMILIES[board.family]
    if not board.part.startswith(beginnings):
        raise ConfigError(
            f"board file {path}: part '{board.part}' is not of family {board.family}, whose parts begin with "
            f"{' or '.join(beginnings)}"
        )
    if (board.family == "alveo") != bool(board.platform):
        rule = "only cards have a platform" if board.platform else "platform is missing: a card is built for one"
        raise ConfigError(f"board file {path}: {rule}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) is not None


def _one_of(known: Iterable[object]) -> tuple[str, Callable[[object], bool]]:
    choices = [*known]
    return (
        f"one of {', '.join(map(str, choices))}",
        lambda value: any(type(value) is type(choice) and value == choice for choice in choices),
    )


def _is_period(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


# For each key what is expected, in words, and the check.
_RULES: dict[str, tuple[str, Callable[[object], bool]]] = {
    # They become words of scripts and of file names.
    **dict.fromkeys(("name", "part", "platform"), ("a name of letters, digits, '.', '_' and '-'", _is_name)),
    "source": ("text", _is_text),
    **dict.fromkeys(_LABELS, ("a whole number >= 0", _is_count)),
    "clock_ns": ("nanoseconds > 0", _is_period),
    "family": _one_of(FAMILIES),
    "axi_bits": _one_of(AXI_BITS),
    "flow": _one_of(FLOWS),
}
