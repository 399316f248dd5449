"""What the trials so far say of a requirement, and how many more of their kind would decide it."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.campaign.requirement import Requirement, Status
from codesign.campaign.sequential import expected_trials
from codesign.campaign.statistics import Interval, counted_interval

_MOST_TRIALS = 1e12  # more are as good as never
_PRECISION = 1.05


class Tally:
    """How many trials had how many events: all that an interval needs, at a cost that does not grow with them."""

    def __init__(self, samples: int, events: ArrayLike = ()) -> None:
        self._samples = samples
        self._counts = np.zeros(samples + 1, np.int64)
        self.add(events)

    def add(self, events: ArrayLike) -> None:
        """Take more trials' numbers of events, shape (n_trials,)."""
        self._counts += np.bincount(np.asarray(events, np.int64), minlength=len(self._counts))

    @property
    def trials(self) -> int:
        return int(self._counts.sum())

    @property
    def seen(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The different rates, ascending, and the trials that had them, both of shape (n_values,)."""
        events = np.flatnonzero(self._counts)
        return events / self._samples, self._counts[events]

    def interval(self, confidence: float) -> Interval:
        return counted_interval(*self.seen, confidence)


def more_trials(requirement: Requirement, tally: Tally, *, sequential: bool) -> int | None:
    """About how many more trials decide the requirement, at least one; None if no number in sight does.

    That is if they are distributed as those so far; a mean near the bound makes it a guess. With `sequential` the
    sequential test decides, otherwise the interval.
    """
    rates, counts = tally.seen
    needed = expected_trials(requirement, rates, counts) if sequential else _until_clear(requirement, rates, counts)
    return max(1, math.ceil(needed - tally.trials)) if needed <= _MOST_TRIALS else None


def _until_clear(requirement: Requirement, rates: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Trials after which the interval does not hold the bound: so many times more of each kind."""
    trials, low = int(counts.sum()), 1.0
    if math.isclose(float(rates @ counts) / trials, requirement.bound, rel_tol=1e-12, abs_tol=1e-15):
        return math.inf
    high = 2.0
    while not _is_clear(requirement, rates, counts * high):
        low, high = high, 2 * high
        if high * trials > _MOST_TRIALS:
            return math.inf
    while high > _PRECISION * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _is_clear(requirement, rates, counts * middle) else (middle, high)
    return high * trials


def _is_clear(requirement: Requirement, rates: NDArray[np.float64], counts: NDArray[np.float64]) -> bool:
    interval = counted_interval(rates, counts, requirement.confidence)
    return requirement.status(interval.low, interval.high) is not Status.UNDECIDED
