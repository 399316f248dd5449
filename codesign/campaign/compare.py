"""Differences between two designs."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from codesign.campaign.requirement import METRICS
from codesign.campaign.result import CampaignResult
from codesign.campaign.statistics import Interval, mean_interval
from codesign.errors import ConfigError


@dataclass(frozen=True)
class Comparison:
    """Two designs under the same trials, and what the second has more of each metric than the first."""

    first: CampaignResult
    second: CampaignResult
    differences: dict[str, Interval]

    def to_json(self) -> dict[str, Any]:
        designs = {name: _rates(result) for name, result in (("a", self.first), ("b", self.second))}
        return {
            "seed": self.first.seed,
            "trials": self.first.trials,
            "samples": self.first.samples,
            "confidence": self.first.confidence,
            "fault_model": self.first.fault_model,
            **designs,
            "difference": {metric: interval.to_json() for metric, interval in self.differences.items()},
        }


def _rates(result: CampaignResult) -> dict[str, Any]:
    digests = {"network": result.network, "plan": result.plan}
    rates = {metric: result.interval(metric).to_json() for metric in METRICS}
    return {**digests, "accuracy_clean": result.accuracy_clean, "verified": list(result.verified), **rates}


def compare_results(first: CampaignResult, second: CampaignResult) -> Comparison:
    """Second minus first in every metric. Raises ConfigError for campaigns that did not draw the same trials."""
    for what in ("fault_model", "seed", "trials", "samples", "confidence"):
        if (one := getattr(first, what)) != (other := getattr(second, what)):
            raise ConfigError(f"a paired comparison needs the same {what}: {one} and {other} were given")
    differences = {}
    for metric, of in METRICS.items():
        ours, theirs = of(first.counts, first.samples), of(second.counts, second.samples)
        differences[metric] = paired_difference(theirs, ours, first.samples, first.confidence)
    return Comparison(first, second, differences)


def paired_difference(first: ArrayLike, second: ArrayLike, samples: int, confidence: float = 0.95) -> Interval:
    """Rate of `first` minus rate of `second`, both of shape (n_trials,) and counted under common random numbers.

    That is: same seed, same fault model, same trials. What both designs suffer alike cancels, so the interval is
    that of the trials' own differences. Raises ConfigError for campaigns of different length. Source of the method:
    Law, "Simulation Modeling and Analysis", 5th edition, chapters 10 and 11.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape:
        raise ConfigError(f"a paired comparison needs the same trials: {a.size} and {b.size} were given")
    halved = mean_interval((a - b + samples) / (2 * samples), confidence)
    return Interval(2 * halved.mean - 1, 2 * halved.low - 1, 2 * halved.high - 1, confidence)


def independent_difference(first: Interval, second: Interval) -> Interval:
    """Rate of `first` minus rate of `second`, from campaigns of different seeds or lengths.

    Source: Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17 (1998), method 10, with the intervals given. Raises ConfigError if their confidences differ.
    """
    if first.confidence != second.confidence:
        raise ConfigError(f"intervals at {first.confidence} and {second.confidence} cannot be subtracted")
    mean = first.mean - second.mean
    below = math.hypot(first.mean - first.low, second.high - second.mean)
    above = math.hypot(first.high - first.mean, second.mean - second.low)
    return Interval(mean, max(-1.0, mean - below), min(1.0, mean + above), first.confidence)
