"""What a campaign found, with its intervals and verdicts."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.campaign.requirement import Requirement, Status
from codesign.campaign.sequential import Stopping
from codesign.campaign.statistics import Interval, rate_interval


@dataclass(frozen=True)
class CampaignResult:
    """Counts of each trial and what follows from them. `accuracy` and `sdc1` are rates over samples.

    `network`, `plan` and `fault_model` are digests; `verified` are the trials that were replayed on the csim. If
    `sequential`, the campaign could stop when its requirements were decided, and `SequentialTest` gives the verdicts.
    """

    simulator: str
    seed: int
    samples: int
    accuracy_clean: float
    correct_per_trial: tuple[int, ...]
    sdc1_per_trial: tuple[int, ...]
    confidence: float
    requirements: tuple[Requirement, ...]
    network: str
    plan: str
    fault_model: str
    verified: tuple[int, ...] = ()
    sequential: bool = False

    @property
    def trials(self) -> int:
        return len(self.correct_per_trial)

    def interval(self, metric: str, confidence: float | None = None) -> Interval:
        """`accuracy`: share of right answers; `sdc1`: share of samples whose top class left the golden run's."""
        events = self.correct_per_trial if metric == "accuracy" else self.sdc1_per_trial
        return rate_interval(np.array(events, np.int64), self.samples, confidence or self.confidence)

    @property
    def accuracy(self) -> Interval:
        return self.interval("accuracy")

    @property
    def sdc1(self) -> Interval:
        return self.interval("sdc1")

    def verdicts(self) -> list[tuple[Requirement, Status]]:
        """Each requirement at its own confidence."""
        if self.sequential:
            stopping = Stopping(self.requirements, self.samples)
            stopping.update(self.correct_per_trial, self.sdc1_per_trial)
            return [(test.requirement, test.status) for test in stopping.tests]
        found = []
        for requirement in self.requirements:
            interval = self.interval(requirement.metric, requirement.confidence)
            found.append((requirement, requirement.status(interval.low, interval.high)))
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "simulator": self.simulator,
            "seed": self.seed,
            "trials": self.trials,
            "samples": self.samples,
            "accuracy_clean": self.accuracy_clean,
            "accuracy": self.accuracy.to_json(),
            "sdc1": self.sdc1.to_json(),
            "correct_per_trial": list(self.correct_per_trial),
            "sdc1_per_trial": list(self.sdc1_per_trial),
            "requirements": [{"text": str(r), "status": status.value} for r, status in self.verdicts()],
            "network": self.network,
            "plan": self.plan,
            "fault_model": self.fault_model,
            "verified": list(self.verified),
            "sequential": self.sequential,
        }
