"""Confidence intervals of rates that are measured over samples sharing their faults."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from codesign.errors import ConfigError


@dataclass(frozen=True)
class Interval:
    """A rate with its two-sided confidence interval."""

    mean: float
    low: float
    high: float
    confidence: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def wilson(rate: float, n: float, confidence: float, quantile: float | None = None) -> Interval:
    """Wilson's score interval of a rate seen in `n` independent draws (`n` need not be whole).

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927); `quantile` replaces the normal quantile where the caller has a better one.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence {confidence} is outside 0..1")
    z = quantile if quantile is not None else float(ndtri(0.5 + confidence / 2))
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return Interval(rate, min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)), confidence)


def clustered_wilson(events: NDArray[np.int64], samples: int, confidence: float) -> Interval:
    """Interval of the mean rate over trials of `samples` each; `events`, shape (n_trials,), counts a trial's.

    Samples of one trial share its faults, so they are not independent. Wilson's formula is used with the
    effective number of samples p (1 - p) / Var(mean), the variance taken between trials, and Student's
    quantile for that variance. Source: Korn and Graubard, "Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data", Survey Methodology 24 (1998). The variance
    of trials that are mostly harmless and seldom catastrophic is itself uncertain: by moments it has
    2 n_trials / (kurtosis - 1) degrees of freedom (Satterthwaite's argument), and at most n_trials - 1. The
    population is all fault sets on this evaluation set; catastrophes that no trial showed are not covered.
    """
    trials = len(events)
    rates = events / samples
    mean = float(rates.mean())
    if trials < 2:
        return wilson(mean, trials, confidence)
    t = float(stdtrit(_degrees_of_freedom(rates), 0.5 + confidence / 2))
    variance = float(rates.var(ddof=1)) / trials
    total = float(trials * samples)
    effective = min(total, mean * (1 - mean) / variance) if variance > 0 else total
    if mean in (0.0, 1.0):
        # Nothing was seen to vary: only whole trials are sure to be independent.
        effective = float(trials)
    return wilson(mean, max(effective, 1.0), confidence, t)


def _degrees_of_freedom(rates: NDArray[np.float64]) -> float:
    """Of the variance between trials, from its kurtosis."""
    squares = (rates - rates.mean()) ** 2
    most = float(len(rates) - 1)
    if not squares.any():
        return most
    kurtosis = len(rates) * float((squares**2).sum()) / float(squares.sum()) ** 2
    return most if kurtosis <= 1 else min(most, max(1.0, 2 * len(rates) / (kurtosis - 1)))
