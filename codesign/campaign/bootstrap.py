"""Intervals of any statistic of trials or faults, by drawing them again."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from codesign.campaign.statistics import Interval, check_confidence
from codesign.errors import ConfigError

Statistic = Callable[[NDArray[Any]], float]


def bootstrap(
    rows: NDArray[Any],
    statistic: Statistic,
    confidence: float = 0.95,
    *,
    seed: int,
    method: Literal["bca", "percentile"] = "bca",
    resamples: int = 2000,
) -> Interval:
    """Interval of `statistic(rows)`, where each of the `rows`, shape (n_trials, ...), is one trial or one fault.

    Whole rows are drawn, because samples that share a fault are correlated. For a mean rate prefer
    `statistics.rate_interval`: no bootstrap sees beyond the trials there are. "bca" corrects bias and skewness.
    Raises ConfigError for fewer than two rows. Source: Efron, "Better bootstrap confidence intervals", JASA 82 (1987).
    """
    if len(rows) < 2:
        raise ConfigError(f"{len(rows)} rows: a bootstrap needs at least two")
    generator = np.random.default_rng((seed, 4))
    seen = statistic(rows)
    drawn = np.array([statistic(rows[generator.integers(len(rows), size=len(rows))]) for _ in range(resamples)])
    levels = np.array([0.5 - check_confidence(confidence) / 2, 0.5 + confidence / 2])
    if method == "bca":
        levels = _corrected(levels, seen, drawn, rows, statistic)
    low, high = np.quantile(drawn, levels)
    return Interval(seen, min(seen, float(low)), max(seen, float(high)), confidence)


def _corrected(
    levels: NDArray[np.float64], seen: float, drawn: NDArray[np.float64], rows: NDArray[Any], statistic: Statistic
) -> NDArray[np.float64]:
    """Levels after Efron: bias from the share of draws below what was seen, acceleration from the jackknife."""
    below = ((drawn < seen).mean() + (drawn <= seen).mean()) / 2
    bias = ndtri(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
    left_out = np.array([statistic(np.delete(rows, i, axis=0)) for i in range(len(rows))])
    spread = left_out.mean() - left_out
    squares = float((spread**2).sum())
    acceleration = float((spread**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    shifted = bias + ndtri(levels)
    return np.asarray(ndtr(bias + shifted / (1 - acceleration * shifted)))
