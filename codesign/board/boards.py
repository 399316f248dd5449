"""Boards and their capacities, one TOML file each in `boards/`."""

import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from codesign.assets import asset
from codesign.errors import ConfigError, did_you_mean

# hls4ml backends; only VivadoAccelerator ends in a bitstream, the others in an IP core.
FLOWS = ("VivadoAccelerator", "Vivado", "Vitis")


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
    """A board: FPGA part, capacities in primitives, target clock period, hls4ml backend, data sheet."""

    name: str
    part: str
    lut: int
    ff: int
    dsp: int
    bram_18k: int
    clock_ns: float
    flow: str
    source: str

    def shortfalls(self, report: Usage) -> list[str]:
        """One line for each resource that the report exceeds, and by how much.

        A figure that the report does not give is not judged.
        """
        lines = []
        for name, label in _LABELS.items():
            used, there = getattr(report, name), getattr(self, name)
            if used is not None and used > there:
                lines.append(f"{label}: {used:,} needed, {self.name} has {there:,} ({used - there:,} too few)")
        return lines


_LABELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM_18K"}


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
    if missing := [key for key in known if key not in table]:
        raise ConfigError(f"board file {path}: missing {', '.join(missing)}")
    for key, value in table.items():
        expected, good = _RULES[key]
        if not good(value):
            raise ConfigError(f"board file {path}: {key} = {value!r} ({type(value).__name__}), expected {expected}")
    return Board(**{**table, "clock_ns": float(table["clock_ns"])})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_period(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


# For each key what is expected, in words, and the check.
_RULES: dict[str, tuple[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("name", "part", "source"), ("text", _is_text)),
    **dict.fromkeys(_LABELS, ("a whole number >= 0", _is_count)),
    "clock_ns": ("nanoseconds > 0", _is_period),
    "flow": (f"one of {', '.join(FLOWS)}", lambda value: isinstance(value, str) and value in FLOWS),
}
