"""What became of a design: its figures."""

from dataclasses import dataclass
from typing import Any

from codesign.campaign.statistics import Interval
from codesign.resources.report import ResourceReport
from codesign.study import Design


@dataclass(frozen=True)
class Evaluation:
    """A design's figures. A constraint holds when its margin is not negative."""

    design: Design
    network: str
    plan: str
    accuracy_clean: float
    accuracy_faulty: Interval
    sdc1: Interval
    trials: int
    resources: ResourceReport
    lut_by_cause: dict[str, int]
    cost: float
    margins: dict[str, float]
    seconds: float

    @property
    def feasible(self) -> bool:
        return all(margin >= 0 for margin in self.margins.values())

    @property
    def violation(self) -> float:
        """Sum of what is missing, each constraint in its own unit (shares of one)."""
        return sum(-margin for margin in self.margins.values() if margin < 0)

    @property
    def broken(self) -> list[str]:
        """Names of the constraints that do not hold."""
        return [name for name, margin in self.margins.items() if margin < 0]

    def to_json(self) -> dict[str, Any]:
        return {
            "design": self.design.to_json(),
            "feasible": self.feasible,
            "network": self.network,
            "plan": self.plan,
            "accuracy_clean": self.accuracy_clean,
            "accuracy_faulty": {**self.accuracy_faulty.to_json(), "trials": self.trials},
            "sdc1": self.sdc1.to_json(),
            "resources": self.resources.to_json(),
            "lut_by_cause": self.lut_by_cause,
            "cost": self.cost,
            "margins": self.margins,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "Evaluation":
        faulty = dict(given["accuracy_faulty"])
        trials = faulty.pop("trials")
        return cls(
            design=Design.from_json(given["design"]),
            network=given["network"],
            plan=given["plan"],
            accuracy_clean=given["accuracy_clean"],
            accuracy_faulty=Interval(**faulty),
            sdc1=Interval(**given["sdc1"]),
            trials=trials,
            resources=ResourceReport.from_json(given["resources"]),
            lut_by_cause=given["lut_by_cause"],
            cost=given["cost"],
            margins=given["margins"],
            seconds=given["seconds"],
        )


def rank(evaluation: Evaluation) -> tuple[bool, float, float]:
    """Order of designs, best first: feasible ones by cost, then the others by what they miss."""
    return (not evaluation.feasible, 0.0 if evaluation.feasible else evaluation.violation, evaluation.cost)
