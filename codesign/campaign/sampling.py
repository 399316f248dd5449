"""How many faults to draw, and from where: sample sizes and stratified samples of a finite population of faults."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri

from codesign.campaign.statistics import Interval, check_confidence
from codesign.errors import ConfigError


def sample_size(margin: float, confidence: float, population: float = math.inf, p: float = 0.5) -> int:
    """Faults to draw from `population` so that a rate near `p` is known within +- `margin`.

    Each fault is one observation, hit or not. `p` = 0.5 asks for the most. Raises ConfigError for numbers that
    cannot be. Source: Leveugle, Calvez, Maistri and Vanhauwaert, "Statistical fault injection: quantified error and
    confidence", DATE 2009.
    """
    if not 0.0 < margin < 1.0 or not 0.0 < p < 1.0 or population < 1:
        raise ConfigError(
            f"margin {margin} and p {p} lie between 0 and 1, and the population {population} is at least 1"
        )
    z = float(ndtri(0.5 + check_confidence(confidence) / 2))
    unlimited = z * z * p * (1 - p) / (margin * margin)
    # Leveugle's N / (1 + e^2 (N - 1) / (t^2 p (1 - p))), in a form that takes an infinite N.
    return math.ceil(unlimited / (1 - 1 / population + unlimited / population))


def neyman_allocation(sizes: ArrayLike, deviations: ArrayLike, total: int, least: int = 2) -> NDArray[np.int64]:
    """How many of `total` draws each stratum gets so that the estimate's variance is smallest; shape (n_strata,).

    `sizes` are the strata's faults, `deviations` the standard deviations of an outcome in them, from a pilot campaign
    or a guess. Each stratum gets `least` draws (two show a variance), or all that it has, and none more than it has.
    Exact in whole numbers: Wright, "The equivalence of Neyman optimum allocation for sampling and equal proportions
    for apportioning the U.S. House of Representatives", The American Statistician 66 (2012).
    """
    n, s = np.asarray(sizes, np.int64), np.asarray(deviations, np.float64)
    if n.shape != s.shape or n.ndim != 1 or (n < 1).any() or not (s >= 0).all() or least < 1:
        raise ConfigError(
            "strata need as many sizes (at least 1) as deviations (at least 0), and at least one draw each"
        )
    drawn = np.minimum(n, least)
    if not drawn.sum() <= total <= n.sum():
        raise ConfigError(f"{total} draws from {len(n)} strata: between {drawn.sum()} and {n.sum()} can be made")
    gains = [(-float(n[h] * s[h]) / math.sqrt(k * (k + 1)), h) for h, k in enumerate(drawn) if k < n[h]]
    heapq.heapify(gains)
    for _ in range(total - int(drawn.sum())):
        stratum = gains[0][1]
        drawn[stratum] += 1
        k = int(drawn[stratum])
        if k < n[stratum]:
            heapq.heapreplace(gains, (-float(n[stratum] * s[stratum]) / math.sqrt(k * (k + 1)), stratum))
        else:
            heapq.heappop(gains)
    return drawn


@dataclass(frozen=True)
class StratifiedEstimate:
    """Mean outcome of a population of faults, the variance of that estimate, and its interval."""

    mean: float
    variance: float
    interval: Interval


def stratified_estimate(
    sizes: Sequence[int], outcomes: Sequence[ArrayLike], confidence: float = 0.95
) -> StratifiedEstimate:
    """From the `outcomes` of each stratum's faults, shape (n_drawn,), in 0..1, drawn without repetition.

    Unbiased: strata count by their size, however many were drawn. The interval is Clopper and Pearson's with the
    effective number of draws mean (1 - mean) / variance (Korn and Graubard, Survey Methodology 24, 1998). Source of
    mean and variance: Cochran, "Sampling Techniques", 3rd edition, chapter 5. Raises ConfigError if a stratum has
    fewer than two outcomes that are not all of it, or more than all.
    """
    shares = np.array(sizes) / sum(sizes)
    strata = [np.asarray(found, np.float64) for found in outcomes]
    drawn = np.array([found.size for found in strata])
    if len(drawn) != len(sizes) or (drawn > sizes).any() or (drawn < np.minimum(sizes, 2)).any():
        raise ConfigError("strata: each needs two outcomes, or one for every fault that it has, and none more")
    mean = float(shares @ [float(found.mean()) for found in strata])
    spreads = np.array([float(found.var(ddof=1)) if found.size > 1 else 0.0 for found in strata])
    left = 1 - drawn / np.array(sizes)
    variance = float(shares**2 @ (spreads / drawn * left))
    if not left.any():
        return StratifiedEstimate(mean, 0.0, Interval(mean, mean, mean, check_confidence(confidence)))
    # Where nothing varied, the least drawn stratum may hide the most.
    blind = float((drawn / shares)[left > 0].min())
    effective = max(1.0, mean * (1 - mean) / variance) if variance > 0 and 0 < mean < 1 else blind
    return StratifiedEstimate(mean, variance, _clopper_pearson(mean, effective, confidence))


def _clopper_pearson(mean: float, draws: float, confidence: float) -> Interval:
    """Of `draws` independent draws, which need not be whole."""
    tail, hits = (1 - check_confidence(confidence)) / 2, mean * draws
    low = float(betaincinv(hits, draws - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, draws - hits, 1 - tail)) if hits < draws else 1.0
    return Interval(mean, min(mean, low), max(mean, high), confidence)
