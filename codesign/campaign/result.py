"""What a campaign found, with its intervals and verdicts."""

from dataclasses import dataclass
from typing import Any

from codesign.campaign.forecast import Tally, more_trials
from codesign.campaign.requirement import METRICS, OUTCOMES, Requirement, Status
from codesign.campaign.sequential import Stopping
from codesign.campaign.statistics import Interval, rate_interval
from codesign.campaign.verdict import Verdict
from codesign.engine.counts import COUNTS, CountArray
from codesign.notebook import html_table


@dataclass(frozen=True, eq=False)
class CampaignResult:
    """Counts of each trial and what follows from them. Accuracy, SDC and outcomes are rates over samples.

    `counts` has shape (n_trials,) and the columns of `codesign.engine.counts.COUNTS`. `network`, `plan` and
    `fault_model` are digests; `verified` are the trials that were replayed on the csim. If `sequential`, the campaign
    could stop when its requirements were decided, and `SequentialTest` gives the verdicts.
    """

    simulator: str
    seed: int
    samples: int
    accuracy_clean: float
    counts: CountArray
    confidence: float
    requirements: tuple[Requirement, ...]
    network: str
    plan: str
    fault_model: str
    verified: tuple[int, ...] = ()
    sequential: bool = False

    @property
    def trials(self) -> int:
        return len(self.counts)

    def interval(self, metric: str, confidence: float | None = None) -> Interval:
        """The rate of one of METRICS; `codesign.engine.counts.COUNTS` says what is counted."""
        return rate_interval(METRICS[metric](self.counts, self.samples), self.samples, confidence or self.confidence)

    @property
    def accuracy(self) -> Interval:
        return self.interval("accuracy")

    @property
    def sdc1(self) -> Interval:
        return self.interval("sdc1")

    @property
    def sdc5(self) -> Interval:
        return self.interval("sdc5")

    @property
    def outcomes(self) -> dict[str, Interval]:
        """Shares of samples that were masked, corrected, detected, or silently corrupted: together one."""
        return {name: self.interval(name) for name in OUTCOMES}

    def verdicts(self) -> list[tuple[Requirement, Status]]:
        """Each requirement at its own confidence."""
        if self.sequential:
            stopping = Stopping(self.requirements, self.samples)
            stopping.update(self.counts)
            return [(test.requirement, test.status) for test in stopping.tests]
        found = []
        for requirement in self.requirements:
            interval = self.interval(requirement.metric, requirement.confidence)
            found.append((requirement, requirement.status(interval.low, interval.high)))
        return found

    def findings(self) -> list[Verdict]:
        """The verdicts with what was measured, and with a forecast for what is undecided."""
        found = []
        for requirement, status in self.verdicts():
            tally = Tally(self.samples, METRICS[requirement.metric](self.counts, self.samples))
            undecided = status is Status.UNDECIDED
            more = more_trials(requirement, tally, sequential=self.sequential) if undecided else None
            measured = tally.interval(requirement.confidence)
            found.append(Verdict(requirement, status, measured, self.trials, more))
        return found

    @property
    def met(self) -> bool:
        """Whether every requirement is met: none is violated, and none undecided."""
        return all(status is Status.MET for _, status in self.verdicts())

    def _repr_html_(self) -> str:
        rates = {"accuracy": self.accuracy, "sdc1": self.sdc1, **self.outcomes}
        rows = [(name, f"{rate.mean:.4f}", f"[{rate.low:.4f}, {rate.high:.4f}]", "") for name, rate in rates.items()]
        rows += [(str(requirement), "", "", str(status)) for requirement, status in self.verdicts()]
        caption = f"{self.trials} trials of {self.samples} samples ({self.simulator}), {self.confidence:.0%} confidence"
        return html_table(caption, ("rate", "mean", "interval", "verdict"), rows) + self._figure(rates)

    def _figure(self, rates: dict[str, Interval]) -> str:
        from codesign.notebook.figures import intervals

        limits = {name: [r.bound for r in self.requirements if r.metric == name] for name in rates}
        spans = {name: (rate.mean, rate.low, rate.high) for name, rate in rates.items()}
        return intervals(f"rates of {self.trials} trials with intervals, {self.fault_model[:8]}", spans, limits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CampaignResult) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> dict[str, Any]:
        return {
            "simulator": self.simulator,
            "seed": self.seed,
            "trials": self.trials,
            "samples": self.samples,
            "accuracy_clean": self.accuracy_clean,
            "accuracy": self.accuracy.to_json(),
            "sdc1": self.sdc1.to_json(),
            "sdc5": self.sdc5.to_json(),
            "outcomes": {name: interval.to_json() for name, interval in self.outcomes.items()},
            **{f"{name}_per_trial": self.counts[name].tolist() for name in COUNTS.names or ()},
            "requirements": [verdict.to_json() for verdict in self.findings()],
            "network": self.network,
            "plan": self.plan,
            "fault_model": self.fault_model,
            "verified": list(self.verified),
            "sequential": self.sequential,
        }
