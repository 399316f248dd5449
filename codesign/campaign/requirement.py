"""Requirements on a campaign, such as ``accuracy>=0.95@0.99``."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from codesign.engine.counts import CountArray
from codesign.errors import ConfigError
from codesign.fixed import Ints

# The metrics, rates over samples, and their numbers of samples in each trial (codesign.engine.counts), given all counts
# and the samples of a trial.
METRICS: dict[str, Callable[[CountArray, int], Ints]] = {
    "accuracy": lambda rows, _: rows["correct"],
    "sdc1": lambda rows, _: rows["sdc1"],
    "sdc5": lambda rows, _: rows["sdc5"],
    "masked": lambda rows, samples: samples - rows["corrected"] - rows["detected"] - rows["silent"],
    "corrected": lambda rows, _: rows["corrected"],
    "detected": lambda rows, _: rows["detected"],
    "silent": lambda rows, _: rows["silent"],
}
OUTCOMES = ("masked", "corrected", "detected", "silent")
"""The metrics of which every sample counts for exactly one."""
_TEXT = re.compile(r"^\s*(\w+)\s*(>=|<=)\s*([0-9.eE+-]+)\s*(?:@\s*([0-9.eE+-]+)\s*)?$")
_FORM = "write it as accuracy>=0.95@0.99 or sdc1<=1e-3@0.95 (metric, bound, confidence)"


class Status(StrEnum):
    """What a campaign says of a requirement; undecided when the interval holds the bound."""

    MET = "met"
    VIOLATED = "violated"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Requirement:
    """`metric` must lie on the right side of `bound`, as far as an interval at `confidence` can tell."""

    metric: str
    relation: Literal[">=", "<="]
    bound: float
    confidence: float = 0.95

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Raises ConfigError that shows the right form."""
        match = _TEXT.match(text)
        if match is None:
            raise ConfigError(f"requirement '{text}': {_FORM}")
        metric, relation, bound, confidence = match.groups()
        if metric not in METRICS:
            raise ConfigError(f"requirement '{text}': unknown metric '{metric}', choose from {', '.join(METRICS)}")
        try:
            parsed = cls(metric, ">=" if relation == ">=" else "<=", float(bound), float(confidence or 0.95))
        except ValueError:
            raise ConfigError(f"requirement '{text}': {_FORM}") from None
        if not 0.0 <= parsed.bound <= 1.0 or not 0.0 < parsed.confidence < 1.0:
            raise ConfigError(f"requirement '{text}': the bound lies in 0..1, the confidence between 0 and 1")
        return parsed

    @classmethod
    def parse_all(cls, texts: "Iterable[Requirement | str]") -> "tuple[Requirement, ...]":
        """All of them. Raises ConfigError for a text that is none, and for requirements that cannot hold together."""
        found = tuple(text if isinstance(text, cls) else cls.parse(str(text)) for text in texts)
        _check_together(found)
        return found

    def __str__(self) -> str:
        return f"{self.metric}{self.relation}{self.bound:.15g}@{self.confidence:.15g}"

    def status(self, low: float, high: float) -> Status:
        """Met or violated when the whole interval says so; otherwise undecided."""
        surely, never = (low >= self.bound, high < self.bound)
        if self.relation == "<=":
            surely, never = (high <= self.bound, low > self.bound)
        return Status.MET if surely else Status.VIOLATED if never else Status.UNDECIDED


def _check_together(requirements: tuple[Requirement, ...]) -> None:
    """Raise ConfigError naming requirements of which one rules out another, whatever is measured."""
    least = {name: _strictest(requirements, name, ">=") for name in METRICS}
    most = {name: _strictest(requirements, name, "<=") for name in METRICS}
    # What is an SDC-5 is an SDC-1, and what is silent, too.
    for small, large in (*((name, name) for name in METRICS), ("sdc5", "sdc1"), ("silent", "sdc1")):
        low, high = least[small], most[large]
        if low and high and low.bound > high.bound:
            why = "" if small == large else f", since no sample counts for {small} and not for {large}"
            raise ConfigError(f"requirements '{low}' and '{high}' contradict each other{why}")
    shares = [requirement for name in OUTCOMES if (requirement := least[name])]
    if sum(requirement.bound for requirement in shares) > 1 + 1e-12:
        listed = ", ".join(f"'{requirement}'" for requirement in shares)
        raise ConfigError(f"requirements {listed} contradict each other: these shares of samples are together one")


def _strictest(requirements: tuple[Requirement, ...], metric: str, relation: str) -> Requirement | None:
    """The one that implies all others on the same side of a metric."""
    sign = 1 if relation == ">=" else -1
    alike = [r for r in requirements if r.metric == metric and r.relation == relation]
    return max(alike, key=lambda r: sign * r.bound, default=None)
