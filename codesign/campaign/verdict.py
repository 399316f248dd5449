"""What a campaign says of one requirement, for people and for machines."""

import math
from dataclasses import dataclass
from typing import Any

from codesign.campaign.requirement import Requirement, Status
from codesign.campaign.statistics import Interval


@dataclass(frozen=True)
class Verdict:
    """`measured` is the metric's interval at the requirement's confidence; `more` the forecast where it is undecided.

    `more` is None where it is decided, or no number of trials in sight would decide it.
    """

    requirement: Requirement
    status: Status
    measured: Interval
    trials: int
    more: int | None = None

    @property
    def found(self) -> str:
        """What was measured, and what would decide it."""
        after = f"{self.requirement.metric} {span(self.measured)} after {counted(self.trials, 'trial')}"
        if self.status is not Status.UNDECIDED:
            return after
        if self.more is None:
            return f"{after}; it lies too near the bound to be decided by more trials"
        return f"{after}; about {counted(rounded(self.more), 'more trial')} would decide it"

    def __str__(self) -> str:
        return f"{self.requirement}: {self.status.value}, {self.found}"

    def to_json(self) -> dict[str, Any]:
        return {
            "text": str(self.requirement),
            "status": self.status.value,
            "measured": self.measured.to_json(),
            "more_trials": self.more,
        }


def span(interval: Interval) -> str:
    """An interval in a line."""
    return f"{bounds(interval)} at {100 * interval.confidence:.6g}%"


def bounds(interval: Interval) -> str:
    """An interval where its confidence is said elsewhere."""
    return f"{interval.mean:.5f} [{interval.low:.5f}, {interval.high:.5f}]"


def counted(number: int, what: str) -> str:
    """`1 trial`, `2,000 trials`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def rounded(number: int) -> int:
    """Up to two digits: a forecast knows no more."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return math.ceil(number / unit) * unit
