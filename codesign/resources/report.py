"""What a design occupies and how fast it is, whatever the figures come from."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from codesign.errors import ReportError
from codesign.notebook import html_table

# Figures of different sources are never mixed in one search, so the label is part of every report.
SOURCES = ("vivado", "vitis", "yosys", "estimate")


@dataclass(frozen=True)
class ResourceReport:
    """One design's figures; None where the source does not say, never 0 in its place.

    `lut`, `ff`, `dsp` and `bram_18k` count primitives, `latency_cycles` is the worst case from input to
    output, `ii` the cycles between two inputs (worst case), `clock_ns` the target period. `stage` is how far the tool
    was: "csynth", or what Vivado calls the design's state, such as "synthesized" or "routed".
    """

    lut: int | None
    ff: int | None
    dsp: int | None
    bram_18k: int | None
    latency_cycles: int | None
    ii: int | None
    clock_ns: float | None
    source: str
    tool_version: str
    stage: str | None = None

    def __post_init__(self) -> None:
        for name in COUNTS:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
                raise ReportError(f"resource report: {name} is {value!r}, expected a whole number >= 0 or nothing")
        if self.clock_ns is not None and not _is_period(self.clock_ns):
            raise ReportError(f"resource report: clock_ns is {self.clock_ns!r}, expected nanoseconds > 0 or nothing")
        if self.source not in SOURCES:
            raise ReportError(f"resource report: source is {self.source!r}, expected one of {', '.join(SOURCES)}")
        if not isinstance(self.tool_version, str):
            raise ReportError(f"resource report: tool_version is {self.tool_version!r}, expected text")
        if self.stage is not None and not isinstance(self.stage, str):
            raise ReportError(f"resource report: stage is {self.stage!r}, expected text or nothing")

    def to_json(self) -> dict[str, Any]:
        """The fields by name; a figure that the source does not give is null."""
        return asdict(self)

    def _repr_html_(self) -> str:
        rows = [(name, getattr(self, name)) for name in (*COUNTS, "clock_ns")]
        return html_table(f"{self.source} ({self.tool_version})", ("figure", "value"), rows)

    @classmethod
    def from_json(cls, data: Any) -> "ResourceReport":
        """Read what `to_json` gave. Raises ReportError for anything else."""
        names = [field.name for field in fields(cls)]
        if not isinstance(data, dict) or set(data) != set(names):
            found = sorted(map(str, data)) if isinstance(data, dict) else type(data).__name__
            raise ReportError(f"not a resource report: expected the fields {names}, got {found}")
        return cls(**data)


COUNTS = ("lut", "ff", "dsp", "bram_18k", "latency_cycles", "ii")


def _is_period(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
