"""Figures of the modules of a design, from the C-synthesis reports: what each function of the top one occupies.

`csynth.xml` of Vitis HLS lists every module once; the text reports list the instances in the top function, and what
each instance occupies holds what it calls. `<top>_csynth.xml`, and `csynth.xml` of Vivado HLS, say nothing of modules.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codesign.resources.reading import Row
from codesign.resources.vendor import AREA, CsynthText, CsynthXml, csynth_report


@dataclass(frozen=True)
class ModuleFigures:
    """A module, or an instance of one in the top function. None where the report does not say."""

    module: str
    instance: str | None
    lut: int | None
    ff: int | None
    dsp: int | None
    bram_18k: int | None
    latency_cycles: int | None
    ii: int | None

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def read_modules(path: Path, top: str | None = None) -> list[ModuleFigures]:
    """The modules below the top one, as the report orders them; none where it does not list any.

    Takes what `read_report` takes of csynth. Raises ReportError.
    """
    report = csynth_report(path, top)
    report.report(top)  # a report that cannot be used as a whole says nothing of its parts
    return _of_xml(report) if isinstance(report, CsynthXml) else _of_text(report)


# ---------------------------------------------------------------- XML


def _of_xml(report: CsynthXml) -> list[ModuleFigures]:
    lists = [element for element in report.root if element.tag == "ModuleInformation"]
    if not lists:
        return []
    if len(lists) > 1:
        raise report.error(f"{len(lists)} times <ModuleInformation>, expected it at most once")
    top = report.text(report.section("UserAssignments"), "TopModelName")
    found = [_of_element(report, element) for element in lists[0] if element.tag == "Module"]
    return [module for module in found if module.module != top]


def _of_element(report: CsynthXml, module: Any) -> ModuleFigures:
    area = report.child(report.child(module, "AreaEstimates"), "Resources")
    counts = {name: report.count(report.text(area, *tags), tags[-1]) for name, tags in AREA.items()}
    summary = report.child(report.child(module, "PerformanceEstimates"), "SummaryOfOverallLatency")
    latency = report.worst(
        report.text(summary, "Best-caseLatency"), report.text(summary, "Worst-caseLatency"), "latency"
    )
    # One number, or the least and the most: "2 ~ 130".
    least, _, most = report.text(summary, "PipelineInitiationInterval").partition("~")
    ii = report.worst(least.strip(), (most or least).strip(), "interval")
    return ModuleFigures(report.text(module, "Name"), None, **counts, latency_cycles=latency, ii=ii)


# ---------------------------------------------------------------- text


def _of_text(report: CsynthText) -> list[ModuleFigures]:
    area = report.instances("== Utilization Estimates")
    timing = report.instances("+ Latency:", "+ Latency (clock cycles):")
    cycles = {row[0]: _cycles(report, row) for row in _rows(report, timing, "")}
    found = []
    for row in _rows(report, area, "Total"):
        if row[0] not in cycles:
            raise report.error(f"instance '{row[0][:80]}' has an area and no latency")
        instance, module = row[0], row[1]
        counts = {name: report.count(row[_column(report, area[0], tags)], tags[-1]) for name, tags in AREA.items()}
        latency, ii = cycles[instance]
        found.append(ModuleFigures(module, instance, **counts, latency_cycles=latency, ii=ii))
    _check_totals(report, found)
    return found


def _rows(report: CsynthText, table: list[list[Row]], last: str) -> list[Row]:
    """The rows of instances: of the blocks header, rows, and (where there is one) the total."""
    if not table:
        return []
    shape = [len(row) for block in table[1:] for row in block]
    names = table[0][-1]
    if len(table) != 2 + bool(last) or (last and table[2][0][0] != last) or set(shape) != {len(names)}:
        raise report.error("a table of instances has an unknown layout")
    return table[1]


def _column(report: CsynthText, header: list[Row], tags: tuple[str, ...]) -> int:
    found = [number for number, name in enumerate(header[0]) if name in tags]
    if len(found) != 1:
        raise report.error(f"{len(found)} columns '{tags[-1]}' in a table of areas, expected one")
    return found[0]


def _cycles(report: CsynthText, row: Row) -> tuple[int | None, int | None]:
    """Behind instance and module: latency (cycles, then time where it is given) and interval, each min and max."""
    figures = row[2:-1]
    if len(figures) not in (4, 6):
        raise report.error("the table of instances' latencies has an unknown layout")
    return report.worst(figures[0], figures[1], "latency"), report.worst(figures[-2], figures[-1], "interval")


def _check_totals(report: CsynthText, found: list[ModuleFigures]) -> None:
    """Every instance is listed: together they are what the summary says of instances."""
    _, (header, rows, *_) = report.summary("== Utilization Estimates")
    instances = [row for row in rows if row[0] == "Instance"]
    for name, tags in AREA.items() if instances else ():
        stated = report.count(instances[0][_column(report, header, tags)], tags[-1])
        summed = sum(getattr(module, name) or 0 for module in found)
        if (stated or 0) != summed:
            raise report.error(f"the instances' {tags[-1]} add up to {summed}, the summary says {stated}")
