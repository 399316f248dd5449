"""What a running campaign has found so far, in a few lines and at little cost."""

import time
from collections.abc import Callable, Sequence

from codesign.campaign.forecast import Tally, more_trials
from codesign.campaign.requirement import METRICS, Requirement, Status
from codesign.campaign.sequential import Stopping
from codesign.campaign.verdict import counted, rounded, span
from codesign.engine.counts import CountArray
from codesign.progress import duration

_REFRESH_SECONDS = 0.5
_COST = 0.01  # share of the time that may go into the lines


class Watch:
    """For `run_campaign(..., watch=)`: gives `tell` the interval of each required metric, or of the accuracy.

    Trials are counted as they come; intervals are computed at most twice a second, and more seldom where they would
    take more than a hundredth of the time.
    """

    def __init__(
        self,
        requirements: Sequence[Requirement],
        samples: int,
        confidence: float,
        tell: Callable[[list[str]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requirements, self._samples, self._confidence = requirements, samples, confidence
        self._tell, self._clock = tell, clock
        self._tallies = {name: Tally(samples) for name in {r.metric for r in requirements} or {"accuracy"}}
        self._start: tuple[float, int] | None = None  # trials of the store were there at once
        self._trials, self._due = 0, 0.0

    def __call__(self, rows: CountArray, stopping: Stopping | None) -> None:
        self._trials += len(rows)
        for name, tally in self._tallies.items():
            tally.add(METRICS[name](rows, self._samples))
        now = self._clock()
        if self._start is None:
            self._start = now, self._trials
        if self._trials and now >= self._due:
            self._tell(self._lines(stopping, now))
            self._due = self._clock() + max(_REFRESH_SECONDS, (self._clock() - now) / _COST)

    def _lines(self, stopping: Stopping | None, now: float) -> list[str]:
        if not self._requirements:
            return [f"accuracy {span(self._tallies['accuracy'].interval(self._confidence))}"]
        statuses = [test.status for test in stopping.tests] if stopping else [None] * len(self._requirements)
        return [self._line(*pair, now) for pair in zip(self._requirements, statuses, strict=True)]

    def _line(self, requirement: Requirement, tested: Status | None, now: float) -> str:
        tally = self._tallies[requirement.metric]
        interval = tally.interval(requirement.confidence)
        status = tested or requirement.status(interval.low, interval.high)
        line = f"{requirement}: {span(interval)}, {status.value}"
        if tested is not Status.UNDECIDED:
            return line
        more = more_trials(requirement, tally, sequential=True)
        return f"{line}, {self._until(more, now)}" if more else line

    def _until(self, more: int, now: float) -> str:
        assert self._start is not None
        seconds, trials = now - self._start[0], self._trials - self._start[1]
        left = f" ({duration(more * seconds / trials)})" if trials and seconds > 0 else ""
        return f"about {counted(rounded(more), 'trial')}{left} to its decision"
