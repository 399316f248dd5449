"""Reading a report of any kind, and the readers of the C-synthesis reports of Vivado HLS and Vitis HLS.

The figures are the vendor tool's own estimates before logic synthesis. Formats: AMD UG902 and UG1399; read
from real reports of Vivado HLS 2019.1 and 2020.1 and Vitis HLS 2024.1. Whatever is not understood is
refused: a report gives the right numbers or a ReportError, and a figure that the tool leaves open
(`undef`, `?`, `-`) is None.
"""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree

from codesign.errors import ReportError
from codesign.resources.implementation import is_utilization, read_utilization
from codesign.resources.reading import ABSENT, Reader, Row, TextReader, content_of
from codesign.resources.report import ResourceReport

# A report's field, and what the tools call it: Vivado HLS writes DSP48E, Vitis HLS writes DSP.
AREA = {"lut": ("LUT",), "ff": ("FF",), "dsp": ("DSP48E", "DSP"), "bram_18k": ("BRAM_18K",)}
# Where hls4ml's own script for logic synthesis puts it.
_AFTER_SYNTHESIS = "vivado_synth.rpt"


def read_report(path: Path, top: str | None = None, source: str | None = None) -> ResourceReport:
    """Read a report: a csynth XML or `.rpt` file, a utilization report, or a project folder in hls4ml's layout.

    In a folder, and with `source` "vivado", the report after logic synthesis is preferred to csynth's estimate. With
    `top`, a report of another top function is refused.
    """
    path = Path(path)
    synthesised = path / _AFTER_SYNTHESIS
    if path.is_dir() and source == "vivado" and synthesised.is_file():
        path = synthesised
    if path.is_file() and is_utilization(path):
        return read_utilization(path, top=top)
    return csynth_report(path, top).report(top)


def csynth_report(path: Path, top: str | None = None) -> "CsynthXml | CsynthText":
    """The reader of a csynth report, or of the one in a project folder."""
    if path.is_dir():
        path = _find(path, top)
    xml = path.suffix.lower() == ".xml" or content_of(path).lstrip().startswith(b"<")
    return CsynthXml(path) if xml else CsynthText(path)


def read_csynth_xml(path: Path, *, top: str | None = None) -> ResourceReport:
    """Read `csynth.xml` or `<top>_csynth.xml`. Raises ReportError for anything else."""
    return CsynthXml(path).report(top)


def read_csynth_rpt(path: Path, *, top: str | None = None) -> ResourceReport:
    """Read `<top>_csynth.rpt`, the text report. Raises ReportError for anything else."""
    return CsynthText(path).report(top)


def has_report(folder: Path) -> bool:
    """Whether a project folder holds any report that `read_report` would take."""
    return (folder / _AFTER_SYNTHESIS).is_file() or any(place.is_file() for place in _places(folder, None))


def _places(folder: Path, top: str | None) -> list[Path]:
    """Where csynth reports can be: `<name>_prj/solution1/syn/report/`, as hls4ml lays it out; the best ones first."""
    projects = [folder] if folder.name.endswith("_prj") else sorted(folder.glob(f"{top or '*'}_prj"))
    places = []
    for project in projects or [folder / f"{top or '*'}_prj"]:
        reports = project / "solution1" / "syn" / "report"
        name = top or project.name.removesuffix("_prj")
        places += [reports / "csynth.xml", reports / f"{name}_csynth.xml", reports / f"{name}_csynth.rpt"]
    return places


def _find(folder: Path, top: str | None) -> Path:
    """The csynth report in a project folder."""
    places = _places(folder, top)
    found = list({place.parent: place for place in reversed(places) if place.is_file()}.values())
    if len(found) > 1:
        raise ReportError(f"{folder}: more than one project, name one of {', '.join(map(str, sorted(found)))}")
    if not found:
        raise ReportError(f"{folder}: no csynth report; looked for {', '.join(map(str, places))}")
    return found[0]


class CsynthXml(Reader):
    """`<profile>`: the figures of the top function are in sections directly below the root."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self.root: Element = defusedxml.ElementTree.fromstring(content_of(path), forbid_dtd=True)
        except ParseError as error:
            raise self.error(f"broken XML, cut short or damaged ({error})") from None
        except (ValueError, LookupError) as error:
            # defusedxml's refusals are ValueErrors, an unknown encoding is a LookupError.
            raise self.error(
                f"refused XML ({type(error).__name__}); expected plain XML without DTD and entities"
            ) from None
        if self.root.tag != "profile":
            raise self.error(f"the root is <{self.root.tag[:40]}>, expected <profile>")

    def report(self, top: str | None) -> ResourceReport:
        user = self.section("UserAssignments")
        self.check_top(self.text(user, "TopModelName"), top)
        version = self.text(self.section("ReportVersion"), "Version")
        area = self.section("AreaEstimates", "Resources")
        latency, ii = self.cycles()
        return ResourceReport(
            **{name: self.count(self.text(area, *tags), tags[-1]) for name, tags in AREA.items()},
            latency_cycles=latency,
            ii=ii,
            clock_ns=self.target_clock(user),
            source=self.source(version),
            tool_version=version.split()[0],
            stage="csynth",
        )

    def section(self, *tags: str) -> Element:
        """The one element at this path below the root."""
        element = self.root
        for tag in tags:
            element = self.child(element, tag)
        return element

    def child(self, parent: Element, *tags: str) -> Element:
        """The one child that has any of these tags."""
        found = [element for element in parent if element.tag in tags]
        if len(found) != 1:
            raise self.error(f"{len(found)} times <{'> or <'.join(tags)}> in <{parent.tag}>, expected it once")
        return found[0]

    def text(self, parent: Element, *tags: str) -> str:
        element = self.child(parent, *tags)
        if len(element):
            raise self.error(f"<{element.tag}> holds <{str(element[0].tag)[:40]}>, expected a plain value")
        return (element.text or "").strip()

    def target_clock(self, user: Element) -> float | None:
        if (unit := self.text(user, "unit")) != "ns":
            raise self.error(f"the clock is in '{unit[:40]}', expected ns")
        return self.clock(self.text(user, "TargetClockPeriod"))

    def cycles(self) -> tuple[int | None, int | None]:
        """Worst latency and worst interval in cycles."""
        summary = self.section("PerformanceEstimates", "SummaryOfOverallLatency")
        if (unit := self.text(summary, "unit")) != "clock cycles":
            raise self.error(f"the latency is in '{unit[:40]}', expected clock cycles")
        latency = self.worst(self.text(summary, "Best-caseLatency"), self.text(summary, "Worst-caseLatency"), "latency")
        return latency, self.worst(self.text(summary, "Interval-min"), self.text(summary, "Interval-max"), "interval")


class CsynthText(TextReader):
    """The text report: fixed-width tables below headings. Every table is checked for its shape."""

    def report(self, top: str | None) -> ResourceReport:
        self.check_top(self.match(r"== (?:Vivado|Vitis) HLS Report for '(\S+)'", "the title of an HLS report"), top)
        version = self.match(r"\* Version:\s+(\S.*)", "a version")
        source = self.source(version)
        total = self.totals()
        latency, ii = self.cycles()
        return ResourceReport(
            lut=total["LUT"],
            ff=total["FF"],
            dsp=total["DSP"],
            bram_18k=total["BRAM_18K"],
            latency_cycles=latency,
            ii=ii,
            clock_ns=self.target_clock(),
            source=source,
            tool_version=version.split()[0],
            stage="csynth",
        )

    def summary(self, *headings: str) -> tuple[str, list[list[Row]]]:
        """The heading found and the summary table below it, as blocks of rows between border lines."""
        starts = [number for number, line in enumerate(self.lines) if line in headings]
        if len(starts) != 1:
            raise self.error(f"{len(starts)} times the heading '{headings[0]}', expected it once")
        heading = self.lines[starts[0]]
        body = [line for line in self.lines[starts[0] + 1 :] if line and not line.startswith("===")]
        if body[:1] != ["* Summary:"]:
            raise self.error(f"no summary below '{heading}'")
        return heading, self.blocks(body[1:], heading)

    def instances(self, *headings: str) -> list[list[Row]]:
        """The table of instances in the details below the one of these headings; empty where there is none."""
        heading, _ = self.summary(*headings)
        rest = self.lines[self.lines.index(heading) + 1 :]
        ends = [n for n, line in enumerate(rest) if line.startswith("== ")]
        rest = rest[: ends[0]] if ends else rest
        if "* Instance:" not in rest:
            return []
        body = [line for line in rest[rest.index("* Instance:") + 1 :] if line]
        return [] if body[:1] == ["N/A"] else self.blocks(body, f"{heading} * Instance:")

    def target_clock(self) -> float | None:
        heading, blocks = self.summary("+ Timing:", "+ Timing (ns):")
        match blocks:
            case [[["Clock", "Target", "Estimated", "Uncertainty"]], [[_, target, _, _]]]:
                # Up to 2019 the unit is in the heading, later in each cell.
                in_cell = heading == "+ Timing:"
                if in_cell and target not in ABSENT and not target.endswith(" ns"):
                    raise self.error(f"target clock is '{target[:40]}', expected ns")
                return self.clock(target.removesuffix(" ns") if in_cell else target)
        raise self.error("the timing summary has an unknown layout, expected one clock with its target")

    def cycles(self) -> tuple[int | None, int | None]:
        """Worst latency and worst interval in cycles."""
        heading, blocks = self.summary("+ Latency:", "+ Latency (clock cycles):")
        latency = "Latency (cycles)" if heading == "+ Latency:" else "Latency"
        match blocks:
            case [[groups, columns], [row]] if self.is_latency_table(groups, columns, row, latency):
                first, interval = 2 * groups.index(latency), 2 * groups.index("Interval")
                return (
                    self.worst(row[first], row[first + 1], "latency"),
                    self.worst(row[interval], row[interval + 1], "interval"),
                )
        raise self.error("the latency summary has an unknown layout, expected min and max of latency and interval")

    @staticmethod
    def is_latency_table(groups: Row, columns: Row, row: Row, latency: str) -> bool:
        """Every group of columns but the last, the pipeline type, is a pair (min, max)."""
        pairs = len(groups) - 1
        named = groups[-1] == "Pipeline" and groups.count(latency) == groups.count("Interval") == 1
        return named and columns == ["min", "max"] * pairs + ["Type"] and len(row) == len(columns)

    def totals(self) -> dict[str, int | None]:
        """The total of each resource; it has to be the sum of the rows above it."""
        _, blocks = self.summary("== Utilization Estimates")
        match blocks:
            case [[["Name", *names]], parts, [["Total", *totals]], *_]:
                rows = [*parts, ["Total", *totals]]
                if any(len(row) != len(names) + 1 for row in rows):
                    raise self.error("a row of the utilization summary has too few or too many cells")
            case _:
                raise self.error("the utilization summary has an unknown layout, expected rows, then their total")
        names = ["DSP" if name == "DSP48E" else name for name in names]
        wanted = ("LUT", "FF", "DSP", "BRAM_18K")
        if any(names.count(name) != 1 for name in wanted):
            raise self.error(f"the utilization summary has the columns {names}, expected {', '.join(wanted)}")
        return {name: self.total(name, [row[names.index(name) + 1] for row in rows]) for name in wanted}

    def total(self, name: str, column: Row) -> int | None:
        *parts, total = (self.count(cell, name) for cell in column)
        summed = sum(part or 0 for part in parts)
        if total is not None and total != summed:
            raise self.error(f"the total of {name} is {total}, but its rows add up to {summed}")
        return total
