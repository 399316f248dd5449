"""Reader of the paths in Vivado's timing summary: which one is the slowest.

Format: AMD UG906. A summary lists the worst paths of each pair of clocks and of each kind of check.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codesign.resources.reading import TextReader

_SLACK = re.compile(r"Slack \((?:MET|VIOLATED)\)\s*:\s*(-?\d+\.\d+)ns\b.*")
# A path's head ends long before the table of its cells.
_HEAD = 12


@dataclass(frozen=True)
class TimedPath:
    """A path between two registers, its slack in ns, and the check: "setup", "hold" or as the report names it."""

    slack_ns: float
    source: str
    destination: str
    check: str


def worst_path(path: Path) -> TimedPath | None:
    """The path with the least slack of a report of `report_timing_summary`; None if it lists none.

    Raises ReportError for what cannot be read and for a path that is cut short.
    """
    return min(_Paths(path).paths(), key=lambda found: found.slack_ns, default=None)


class _Paths(TextReader):
    kind = "timing summary of Vivado"

    def paths(self) -> Iterator[TimedPath]:
        for number, line in enumerate(self.lines):
            if match := _SLACK.fullmatch(line):
                head = self.lines[number + 1 : number + _HEAD]
                check = self.named(head, "Path Type", match[1]).split(" ")[0].lower()
                yield TimedPath(
                    float(match[1]),
                    self.named(head, "Source", match[1]),
                    self.named(head, "Destination", match[1]),
                    check,
                )

    def named(self, head: list[str], name: str, slack: str) -> str:
        for line in head:
            if line.startswith(f"{name}:"):
                return line.removeprefix(f"{name}:").strip()
        raise self.error(f"the path of slack {slack} ns has no '{name}'")
