"""Confidence intervals of rates that are measured over samples sharing their faults."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from codesign.errors import ConfigError

# Chosen by simulation (docs/theory.md): between these numbers of effective events the trials begin to show how large
# an event can get; below them an unseen trial may do anything.
_BLIND, _SEEING = 2.0, 4.0
_REACH = 12.0  # effective events at which the unseen trial exceeds the worst one by its excess over the common one
_LEAST_WEIGHT = 0.7  # of the unseen trial, in trials; one would be Clopper and Pearson's, a half their mid-p


@dataclass(frozen=True)
class Interval:
    """A rate, or a difference of rates, with its two-sided confidence interval."""

    mean: float
    low: float
    high: float
    confidence: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def rate_interval(events: NDArray[np.int64], samples: int, confidence: float) -> Interval:
    """Interval of the mean rate over trials of `samples` each; `events`, shape (n_trials,), counts a trial's.

    Only trials are taken as independent: samples of one trial share its faults. Each bound misses with probability
    (1 - confidence) / 2; see `upper_bound`. The population is all fault sets on this evaluation set. Fault sets of
    a kind that no trial showed are covered while there are few effective events; `unseen_share` bounds them always.
    """
    counts = np.bincount(np.asarray(events))
    values = np.flatnonzero(counts)
    return counted_interval(values / samples, counts[values], confidence)


def mean_interval(rates: NDArray[np.float64], confidence: float) -> Interval:
    """Interval of the mean of independent `rates`, shape (n_trials,), each in 0..1: one a trial, or one a fault."""
    return counted_interval(*np.unique(rates, return_counts=True), confidence)


def counted_interval(values: NDArray[np.float64], counts: NDArray[Any], confidence: float) -> Interval:
    """Interval of the mean of different rates, ascending, each seen in so many trials; both of shape (n_values,)."""
    tail = (1 - check_confidence(confidence)) / 2
    if not len(values):
        raise ConfigError("an interval needs at least one trial")
    mean = float(values @ counts) / float(counts.sum())
    low, high = 1 - upper_bound(1 - values, counts, tail), upper_bound(values, counts, tail)
    return Interval(mean, max(0.0, min(mean, low)), min(1.0, max(mean, high)), confidence)


def check_confidence(confidence: float) -> float:
    """Raises ConfigError unless it lies between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence {confidence} is outside 0..1")
    return confidence


def unseen_share(trials: int, confidence: float) -> float:
    """Largest share of fault sets that can be worse than the worst of `trials` drawn ones; for 95 %, 3 / trials.

    Source: Wilks, "Determination of sample sizes for setting tolerance limits", Ann. Math. Stat. 12 (1941).
    """
    return -math.expm1(math.log1p(-check_confidence(confidence)) / trials)


def upper_bound(rates: NDArray[np.float64], counts: NDArray[np.int64], tail: float) -> float:
    """Bound that the mean exceeds with probability `tail`; `counts` trials had `rates`, both of shape (n_values,).

    Gaffke's bound: the 1 - tail quantile of the mean under Dirichlet weights of the trials and of one unseen trial.
    His unseen trial has the rate 1; here it is only as bad as the trials give reason to fear. Sources: Gaffke,
    Mathematical Methods of Statistics 14 (2005); Learned-Miller and Thomas, arXiv:1905.06208 (2019).
    """
    base = float(rates.min())
    if base >= 1.0:
        return 1.0
    # Harmless trials all have the rate of the design without faults, so events are what exceeds the least rate.
    excess = (rates - base) / (1 - base)
    worst, weight = _unseen_trial(excess, counts)
    values, weights = np.append(excess, worst), np.append(counts, weight)
    return base + (1 - base) * _quantile(values / worst, weights, 1 - tail) * worst


def _unseen_trial(excess: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float]:
    """Rate and weight of the trial that stands for what was not drawn."""
    trials, most = float(counts.sum()), float(excess.max())
    mean = float(counts @ excess) / trials
    square = float(counts @ excess**2) / trials
    variance = (square - mean * mean) / max(1.0, trials - 1)  # of the mean
    if most == 0.0 or variance <= 0.0:
        return 1.0, 1.0
    effective = mean * mean * (1 - mean) / variance
    blindness = min(1.0, max(0.0, (_SEEING - effective) / (_SEEING - _BLIND)))
    beyond = (most - square / mean) * (_REACH / effective) ** 2
    worst = max(most + (1 - most) * blindness, min(1.0, most + beyond))
    return worst, _LEAST_WEIGHT + (1 - _LEAST_WEIGHT) * blindness


def _quantile(values: NDArray[np.float64], weights: NDArray[np.float64], level: float) -> float:
    """Of sum w * values, w ~ Dirichlet(weights); values in 0..1 with maximum 1, `level` above a half.

    That sum is at most u where sum of Gamma(weights) * (values - u) is not positive: a sum of independent variables,
    for which the saddlepoint approximation is precise far into the tails. Source: Lugannani and Rice, Adv. Appl.
    Prob. 12 (1980), in Barndorff-Nielsen's form, Biometrika 73 (1986).
    """
    wanted = float(ndtri(level))
    mean = float(weights @ values / weights.sum())
    # Were the sum normal, its saddlepoint would lie here.
    low = high = wanted / math.sqrt(float(weights @ (values - mean) ** 2))
    while _saddlepoint(values, weights, low)[1] > wanted:
        low /= 2
    while _saddlepoint(values, weights, high)[1] < wanted:
        high *= 2
    if low < high:
        low = brentq(lambda depth: _saddlepoint(values, weights, depth)[1] - wanted, low, high, rtol=1e-10)
    return _saddlepoint(values, weights, low)[0]


def _saddlepoint(values: NDArray[np.float64], weights: NDArray[np.float64], depth: float) -> tuple[float, float]:
    """The quantile whose tilt is 1 - exp(-depth), from the mean (0) to the maximum; and its normal score."""
    tilt, rest = -math.expm1(-depth), math.exp(-depth)
    shrunk = rest + (1 - values) * tilt  # 1 - tilt * values, precise where that is nearly 0
    mass = weights / shrunk
    quantile = float(mass @ values / mass.sum())
    ratio = float(weights @ np.log(shrunk / (rest + (1 - quantile) * tilt)))
    root = math.sqrt(max(2 * ratio, 1e-300))
    slope = tilt * math.sqrt(float(weights @ ((values - quantile) / shrunk) ** 2))
    return quantile, root + math.log(slope / root) / root
