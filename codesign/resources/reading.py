"""What the readers of vendor reports share: a file of bounded size, and checks of every single figure."""

import re
from itertools import pairwise
from pathlib import Path

from codesign.errors import ReportError

ABSENT = {"undef", "?", "-"}
_VERSION = re.compile(r"(20\d\d)\.(\d)(?:[.\s]\S.*)?", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_FIRST_VITIS = (2020, 2)

# Beyond these a figure is damage, not a design: devices hold some 10**7 primitives, a run of 10**15 cycles
# takes a month, and no fabric is clocked below 100 kHz.
MAX_PRIMITIVES = 10**9
MAX_CYCLES = 10**15
_MAX_CLOCK_NS = 10_000.0
_MAX_BYTES = 256 * 2**20

Row = list[str]


def content_of(path: Path) -> bytes:
    """All of a file. Raises ReportError if it cannot be read or is larger than any report."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ReportError(f"cannot read report {path}: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise ReportError(f"{path}: larger than {_MAX_BYTES >> 20} MiB, expected a report")
    return data


class Reader:
    """Checks of single figures, with the path in every message."""

    kind = "csynth report"

    def __init__(self, path: Path) -> None:
        self.path = path

    def error(self, problem: str) -> ReportError:
        # Pieces of a damaged file are quoted here: the message stays one printable line.
        line = "".join(c if c.isprintable() else "?" for c in " ".join(problem.split()))
        return ReportError(f"{self.path}: not a usable {self.kind}: {line}")

    def count(self, text: str, what: str, limit: int = MAX_PRIMITIVES) -> int | None:
        if text in ABSENT:
            return None
        if not _WHOLE.fullmatch(text) or int(text) > limit:
            raise self.error(f"{what} is '{text[:40]}', expected a whole number from 0 to {limit:,}")
        return int(text)

    def worst(self, least: str, most: str, what: str) -> int | None:
        """The second of a (min, max) pair of cycle counts."""
        low, high = self.count(least, f"minimum {what}", MAX_CYCLES), self.count(most, what, MAX_CYCLES)
        if low is not None and high is not None and low > high:
            raise self.error(f"{what} runs from {low} to {high} cycles")
        return high

    def clock(self, text: str) -> float | None:
        if text in ABSENT:
            return None
        if not _DECIMAL.fullmatch(text) or not 0 < float(text) <= _MAX_CLOCK_NS:
            raise self.error(f"target clock is '{text[:40]}', expected nanoseconds up to {_MAX_CLOCK_NS:g}")
        return float(text)

    def source(self, version: str) -> str:
        """Up to 2020.1 the tool is Vivado HLS, from 2020.2 on Vitis HLS."""
        match = _VERSION.fullmatch(version)
        if match is None:
            raise self.error(f"tool version is '{version[:40]}', expected one like 2020.1")
        return "vivado" if (int(match[1]), int(match[2])) < _FIRST_VITIS else "vitis"

    def check_top(self, found: str, wanted: str | None) -> None:
        if wanted is not None and found != wanted:
            raise self.error(f"it is of top function '{found}', expected '{wanted}'")


class TextReader(Reader):
    """Text with fixed-width tables below headings. Every table is checked for its shape."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            text = content_of(path).decode()
        except UnicodeDecodeError:
            raise self.error(f"not text; expected a {self.kind}") from None
        self.lines = [line.strip() for line in text.splitlines()]

    def match(self, pattern: str, what: str) -> str:
        """The group of the one line that has this form."""
        found = [match[1] for line in self.lines if (match := re.fullmatch(pattern, line))]
        if len(found) != 1:
            raise self.error(f"{len(found)} lines with {what}, expected one")
        return found[0]

    def blocks(self, lines: list[str], heading: str) -> list[list[Row]]:
        """Rows between border lines. All lines of a table have one width, and its last is a border."""
        table = []
        for line in lines:
            if line[0] not in "+|" or line.startswith("+ "):
                break
            table.append(line)
        borders = [number for number, line in enumerate(table) if re.fullmatch(r"\+(-+\+)+", line)]
        whole = len(borders) >= 3 and borders[0] == 0 and borders[-1] == len(table) - 1
        if not whole or any(len(line) != len(table[0]) or line[-1] not in "+|" for line in table):
            raise self.error(f"the table below '{heading}' is cut short or damaged")
        cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in table]
        return [cells[first + 1 : last] for first, last in pairwise(borders)]
