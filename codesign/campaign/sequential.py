"""Deciding a requirement as soon as the trials so far allow it, with a bounded error however often one looks."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from codesign.campaign.requirement import METRICS, Requirement, Status
from codesign.engine.counts import CountArray
from codesign.errors import ConfigError

_STAKES = 24  # each half of the one before; the least is about 1e-7 of the largest
_SHARES = 1 / np.arange(1, _STAKES + 1)
_SHARES /= _SHARES.sum()
_CHUNK = 65536


class SequentialTest:
    """Bets against the requirement and against its contrary, one trial after the other, until one bet has won.

    Trials have to be independent and to come in their order; nothing is assumed of the samples within. Where the
    requirement holds, "violated" is said with probability 1 - confidence at most, and likewise "met" where it does
    not, at whatever trial one stops. Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables
    by betting", J. R. Stat. Soc. B 86 (2024); a fair bet's capital reaches 1 / a with probability a (Ville, 1939).
    """

    def __init__(self, requirement: Requirement, samples: int) -> None:
        if samples < 1:
            raise ConfigError(f"{samples} samples a trial: at least one is needed")
        self.requirement = requirement
        self.samples = samples
        self.trials = 0
        self.status = requirement.status(0.0, 1.0)  # a bound that every rate meets needs no trial
        self.decided_at: int | None = None if self.status is Status.UNDECIDED else 0
        """Number of trials that decided it."""
        self._logs = np.zeros((2, _STAKES))
        """Logarithms of the capital of every stake: on a mean above the bound, and below it."""

    def update(self, events: ArrayLike) -> Status:
        """Take the next trials' numbers of events, shape (n_trials,); how they are divided into calls is no matter.

        Raises ConfigError for numbers that cannot be. A decision is final.
        """
        found = np.atleast_1d(np.asarray(events))
        if found.size and not (found.min() >= 0 and found.max() <= self.samples):
            raise ConfigError(f"a trial of {self.samples} samples cannot have {found.min()} or {found.max()} events")
        for first in range(0, len(found), _CHUNK):
            self._bet(found[first : first + _CHUNK] / self.samples)
        return self.status

    def _bet(self, rates: NDArray[np.float64]) -> None:
        before, self.trials = self.trials, self.trials + len(rates)
        if self.decided_at is not None:
            return
        above = self._capital(0, rates - self.requirement.bound, self.requirement.bound)
        below = self._capital(1, self.requirement.bound - rates, 1 - self.requirement.bound)
        threshold = _threshold(self.requirement)
        won = np.flatnonzero((above >= threshold) | (below >= threshold))
        if len(won):
            self.decided_at = before + int(won[0]) + 1
            is_above = bool(above[won[0]] >= threshold)
            self.status = Status.MET if is_above == (self.requirement.relation == ">=") else Status.VIOLATED

    def _capital(self, side: int, gains: NDArray[np.float64], risk: float) -> NDArray[np.float64]:
        """Logarithm of the capital after each trial, shape (n_trials,); a trial can lose `risk` at most.

        The capital is divided among fixed stakes, and more is given to the larger ones: they win in clear cases.
        """
        paths = self._logs[side] + np.cumsum(_growth(gains, risk), axis=0)
        if len(paths):
            self._logs[side] = paths[-1]
        return np.asarray(logsumexp(paths, axis=1, b=_SHARES))


def expected_trials(requirement: Requirement, rates: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """About after how many trials, of which `counts` in `counts.sum()` have the `rates`, the test is decided.

    Both have shape (n_values,). It is the first bet that alone reaches what is asked of all, at the mean growth of
    its capital; infinite if none grows.
    """
    sides = (rates - requirement.bound, requirement.bound), (requirement.bound - rates, 1 - requirement.bound)
    needed = [math.inf]
    for gains, risk in sides:
        growth = counts @ _growth(gains, risk) / counts.sum()
        wins = growth > 0
        needed += ((_threshold(requirement) - np.log(_SHARES[wins])) / growth[wins]).tolist()
    return min(needed)


def _growth(gains: NDArray[np.float64], risk: float) -> NDArray[np.float64]:
    """What each trial adds to the logarithm of each stake's capital, shape (n_trials, stakes)."""
    stakes = 0.5 ** np.arange(_STAKES) / max(risk, 1e-300)
    with np.errstate(divide="ignore"):  # the largest stake can lose all
        return np.asarray(np.log1p(np.maximum(stakes * gains[:, None], -1.0)))


def _threshold(requirement: Requirement) -> float:
    """Logarithm of the capital with which a bet has won."""
    return -math.log1p(-requirement.confidence)


class Stopping:
    """The tests of all requirements of a campaign, which may end once each is decided."""

    def __init__(self, requirements: Sequence[Requirement], samples: int) -> None:
        if not requirements:
            raise ConfigError("nothing to decide: a campaign that stops when it is decided needs a requirement")
        self.tests = [SequentialTest(requirement, samples) for requirement in requirements]

    def update(self, rows: CountArray) -> bool:
        """Take the next trials' counts; true once every requirement is decided."""
        for test in self.tests:
            test.update(METRICS[test.requirement.metric](rows, test.samples))
        return self.trials is not None

    @property
    def trials(self) -> int | None:
        """How many were needed to decide all, at least one; None until then."""
        needed = [test.decided_at for test in self.tests if test.decided_at is not None]
        if len(needed) < len(self.tests) or self.tests[0].trials == 0:
            return None
        return max(1, *needed)
