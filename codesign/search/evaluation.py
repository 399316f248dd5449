"""What became of a design: its figures, or why it has none."""

from dataclasses import dataclass, field
from typing import Any

from codesign.campaign.statistics import Interval
from codesign.resources.report import ResourceReport
from codesign.search.stages import Stage
from codesign.study import Design


@dataclass(frozen=True)
class Evaluation:
    """A design's figures. A constraint holds when its margin is not negative.

    `accuracy_faulty` holds with its confidence although its campaign ended when `stages`, the looks at it, allowed.
    """

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
    stages: tuple[Stage, ...] = ()
    seconds_by_stage: dict[str, float] = field(default_factory=dict)
    energy_proxy: float | None = None  # bit changes an inference, where the objective weighs them

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
            **({} if self.energy_proxy is None else {"energy_proxy": self.energy_proxy}),
            "margins": self.margins,
            "stages": [stage.to_json() for stage in self.stages],
            "seconds": self.seconds,
            "seconds_by_stage": self.seconds_by_stage,
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
            energy_proxy=given.get("energy_proxy"),
            margins=given["margins"],
            stages=tuple(Stage(**stage) for stage in given["stages"]),
            seconds=given["seconds"],
            seconds_by_stage=given["seconds_by_stage"],
        )


@dataclass(frozen=True)
class Failure:
    """A design that could not be evaluated, and the reason in one line."""

    design: Design
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"design": self.design.to_json(), "reason": self.reason}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "Failure":
        return cls(Design.from_json(given["design"]), given["reason"])


Outcome = Evaluation | Failure


def rank(evaluation: Evaluation) -> tuple[bool, float, float]:
    """Order of designs, best first: feasible ones by cost, then the others by what they miss."""
    return (not evaluation.feasible, 0.0 if evaluation.feasible else evaluation.violation, evaluation.cost)
