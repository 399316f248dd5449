"""Readers of what comes after C-synthesis: Vivado's utilization and timing reports, and the co-simulation's.

Formats: AMD UG906 and UG1399; read from real reports of Vivado 2018.3 to 2024.1. As for csynth reports, what is not
understood is refused, and sums are checked wherever a report gives parts and total.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from codesign.resources.reading import Row, TextReader
from codesign.resources.report import ResourceReport

_BORDER = re.compile(r"\+(-+\+)+")
_SLACK = re.compile(r"-?[0-9]{1,9}\.[0-9]{3}")
_TIMES = {f"{name.lower()}_ns": f"{name}(ns)" for name in ("WNS", "TNS", "WHS", "THS", "WPWS", "TPWS")}
_VERDICTS = {"All user specified timing constraints are met.": True, "Timing constraints are not met.": False}


@dataclass(frozen=True)
class Timing:
    """What `report_timing_summary` says: slacks in ns, negative where a path is too slow; None where nothing is timed.

    `met` is the tool's own verdict, None if it gives none (a design without constraints).
    """

    wns_ns: float | None
    tns_ns: float | None
    whs_ns: float | None
    ths_ns: float | None
    wpws_ns: float | None
    tpws_ns: float | None
    met: bool | None
    design: str
    tool_version: str


@dataclass(frozen=True)
class Cosim:
    """What a co-simulation found for one language: `passed`, and worst latency and interval in cycles or None."""

    language: str
    passed: bool
    latency_cycles: int | None
    ii: int | None


def is_utilization(path: Path) -> bool:
    """Whether a file is a utilization report of Vivado."""
    try:
        with path.open("rb") as file:
            return b"Utilization Design Information" in file.read(8192)
    except OSError:
        return False


def read_utilization(path: Path, *, top: str | None = None) -> ResourceReport:
    """Read a report of `report_utilization`, such as hls4ml's `vivado_synth.rpt`; `stage` tells how far the design was.

    `lut` counts LUT sites: two small functions that share one count once, other than in csynth's estimate.
    Raises ReportError for anything else, and for another top module than `top`.
    """
    return _Utilization(path).report(top)


def read_timing(path: Path, *, top: str | None = None) -> Timing:
    """Read a report of `report_timing_summary`. Raises ReportError for anything else."""
    return _TimingSummary(path).timing(top)


def read_cosim(path: Path) -> list[Cosim]:
    """Read `<top>_cosim.rpt`: the languages that were simulated. Raises ReportError for anything else."""
    return _CosimReport(path).runs()


class _VivadoReport(TextReader):
    """A report with Vivado's header."""

    def header(self, top: str | None) -> tuple[str, str]:
        """Design and tool version."""
        design = self.match(r"\| Design\s*: (\S+)", "the design's name")
        self.check_top(design, top)
        version = self.match(r"\| Tool Version\s*: Vivado v\.(\S+) .*", "the version of Vivado")
        self.source(version)
        return design, version


class _Utilization(_VivadoReport):
    kind = "utilization report of Vivado"

    def report(self, top: str | None) -> ResourceReport:
        _, version = self.header(top)
        used = self.sites()
        lut = self.summed(used, ("CLB LUTs", "Slice LUTs"), ("LUT as Logic", "LUT as Memory"))
        ff = self.summed(used, ("CLB Registers", "Slice Registers"), ("Register as Flip Flop", "Register as Latch"))
        return ResourceReport(
            lut=lut,
            ff=ff,
            dsp=self.count(self.one_of(used, "DSPs", "DSP Slices"), "DSPs"),
            bram_18k=self.bram_18k(used),
            latency_cycles=None,
            ii=None,
            clock_ns=None,
            source="vivado",
            tool_version=version,
            stage=self.match(r"\| Design State\s*: (\S.*)", "the design's state").lower(),
        )

    def sites(self) -> dict[str, str]:
        """What is used of each type of site. A site that is in several tables is the same in each."""
        used: dict[str, str] = {}
        for number, line in enumerate(self.lines):
            begins = _BORDER.fullmatch(line) and (number == 0 or self.lines[number - 1][:1] not in ("|", "+"))
            header = self.lines[number + 1 : number + 2]
            if not begins or not header or [c.strip() for c in header[0].split("|")[1:3]] != ["Site Type", "Used"]:
                continue
            for row in self.rows(number):
                # Parts of a site have names that repeat; what is read here does not.
                name = row[0].rstrip("*")
                if used.setdefault(name, row[1]) != row[1] and name in ("CLB LUTs", "CLB Registers", "DSPs"):
                    raise self.error(f"{name} is '{used[name][:40]}' and '{row[1][:40]}'")
        return used

    def rows(self, first: int) -> list[Row]:
        """The body of the table that begins at a line."""
        end = next((n for n in range(first, len(self.lines)) if self.lines[n][:1] not in ("+", "|")), len(self.lines))
        blocks = self.blocks(self.lines[first:end], "Site Type")
        if len(blocks) != 2 or len(blocks[0]) != 1 or any(len(row) != len(blocks[0][0]) for row in blocks[1]):
            raise self.error("a table of site types has an unknown layout")
        return blocks[1]

    def one_of(self, used: dict[str, str], *names: str) -> str:
        found = [used[name] for name in names if name in used]
        if len(found) != 1:
            raise self.error(f"{len(found)} rows '{' or '.join(names)}', expected one")
        return found[0]

    def summed(self, used: dict[str, str], names: tuple[str, ...], parts: tuple[str, ...]) -> int | None:
        """A total that has to be the sum of its parts."""
        total = self.count(self.one_of(used, *names), names[0])
        rows = [self.count(self.one_of(used, part), part) for part in parts]
        if total is not None and None not in rows and total != sum(row or 0 for row in rows):
            raise self.error(
                f"{names[0]} is {total}, but {' and '.join(parts)} add up to {sum(row or 0 for row in rows)}"
            )
        return total

    def bram_18k(self, used: dict[str, str]) -> int:
        """Blocks of 18 Kbit; a tile is two of them."""
        tiles = self.one_of(used, "Block RAM Tile")
        if not re.fullmatch(r"[0-9]{1,8}(\.[05]0*)?", tiles):
            raise self.error(f"Block RAM Tile is '{tiles[:40]}', expected halves")
        blocks = round(2 * float(tiles))
        if "RAMB36/FIFO" in used and "RAMB18" in used:
            large, small = (self.count(used[name], name) or 0 for name in ("RAMB36/FIFO", "RAMB18"))
            if blocks != 2 * large + small:
                raise self.error(f"Block RAM Tile is {tiles}, but there are {large} RAMB36 and {small} RAMB18")
        return blocks


class _TimingSummary(_VivadoReport):
    kind = "timing summary of Vivado"

    def timing(self, top: str | None) -> Timing:
        design, version = self.header(top)
        starts = [n for n, line in enumerate(self.lines) if line == "| Design Timing Summary"]
        if len(starts) != 1:
            raise self.error(f"{len(starts)} times 'Design Timing Summary', expected it once")
        body = [line for line in self.lines[starts[0] + 1 : starts[0] + 12] if line]
        names = next((line.split() for line in body if line.startswith("WNS(ns)")), [])
        values = next((line.split() for line in body if re.match(r"-?\d+\.\d|NA\b", line)), [])
        # The names of the columns without a unit are of several words; each column has one value.
        columns = re.findall(r"\S+\(ns\)|[TW]\w* (?:Failing|Total) Endpoints", " ".join(names))
        if len(columns) != 12 or len(values) != 12:
            raise self.error("the design timing summary has an unknown layout, expected twelve columns")
        found = dict(zip(columns, values, strict=True))
        slacks = {field: self.slack(found.get(name, ""), name) for field, name in _TIMES.items()}
        verdicts = {met for text, met in _VERDICTS.items() if text in self.lines}
        if len(verdicts) > 1:
            raise self.error("it says both that timing is met and that it is not")
        met = verdicts.pop() if verdicts else None
        if met and any(slack is not None and slack < 0 for slack in slacks.values()):
            raise self.error("it says that timing is met, but a slack is negative")
        return Timing(**slacks, met=met, design=design, tool_version=version)

    def slack(self, text: str, name: str) -> float | None:
        if text == "NA":
            return None
        if not _SLACK.fullmatch(text):
            raise self.error(f"{name} is '{text[:40]}', expected nanoseconds with three decimals, or NA")
        return float(text)


class _CosimReport(TextReader):
    kind = "co-simulation report"

    def runs(self) -> list[Cosim]:
        rows = [[c.strip() for c in line.strip("|").split("|")] for line in self.lines if line.startswith("|")]
        named = [row for row in rows if row[0] in ("VHDL", "Verilog", "SystemC")]
        heads = [row for row in rows if row[2:8] == ["min", "avg", "max"] * 2]
        if len(heads) != 1 or not named or any(len(row) != len(heads[0]) for row in named):
            raise self.error("no table of languages, status, latency and interval")
        found = [self.run(row) for row in named if row[1] != "NA"]
        if not found:
            raise self.error("nothing was simulated")
        return found

    def run(self, row: Row) -> Cosim:
        language, status, *cycles = row
        if status not in ("Pass", "Fail"):
            raise self.error(f"the status of {language} is '{status[:40]}', expected Pass or Fail")
        low, _, latency, least, _, interval = ["-" if text == "NA" else text for text in cycles[:6]]
        return Cosim(
            language,
            status == "Pass",
            self.worst(low, latency, f"latency of {language}"),
            self.worst(least, interval, f"interval of {language}"),
        )
