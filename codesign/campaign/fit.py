"""Failure rates in the field: architectural vulnerability, FIT, and mean time to failure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from codesign.campaign.statistics import Interval, mean_interval
from codesign.errors import ConfigError

HOURS = 1e9  # one FIT is one failure in so many hours


@dataclass(frozen=True)
class Bounded:
    """A number with its interval, in the unit that its maker states."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class FailureRate:
    """`fit`: failures in 1e9 hours, all targets together; `by_target`: each one's share of it."""

    fit: Bounded
    by_target: dict[str, Bounded]

    @property
    def mttf_hours(self) -> Bounded:
        """Mean time to failure, at a constant rate; without end where the rate may be zero."""
        hours = [HOURS / rate if rate > 0 else math.inf for rate in (self.fit.mean, self.fit.high, self.fit.low)]
        return Bounded(*hours)


def failure_rate(
    bits: Mapping[str, int], fit_per_bit: Mapping[str, float], derating: Mapping[str, Interval]
) -> FailureRate:
    """Sum over targets of bits * raw FIT a bit * derating, the share of upsets that matter (AVF, or an SDC rate).

    `fit_per_bit` comes from the vendor's or a beam test's figures for the part and place; tables are often given per
    Mbit (2**20 or 1e6 bits). The raw figures are taken as exact. The targets' estimates are independent, so distances
    to the ends add by squares: Zou and Donner, Statistics in Medicine 27 (2008). The confidence is the intervals'.
    Raises ConfigError for targets that do not agree, and for negative numbers. Source of the sum: Mukherjee,
    "Architecture Design for Soft Errors" (2008), chapter 2; of FIT: JEDEC JESD89B.
    """
    if not bits or not bits.keys() == fit_per_bit.keys() == derating.keys():
        raise ConfigError("bits, raw FIT a bit and derating must name the same targets, at least one")
    by_target = {}
    for target, interval in derating.items():
        raw = bits[target] * fit_per_bit[target]
        if bits[target] < 0 or not 0 <= raw < math.inf:
            raise ConfigError(f"target {target}: bits and raw FIT a bit cannot be negative or without end")
        by_target[target] = Bounded(raw * interval.mean, raw * interval.low, raw * interval.high)
    parts = by_target.values()
    mean = sum(part.mean for part in parts)
    low = mean - math.hypot(*(part.mean - part.low for part in parts))
    high = mean + math.hypot(*(part.high - part.mean for part in parts))
    return FailureRate(Bounded(mean, max(0.0, low), high), by_target)


def avf(outcomes: ArrayLike, *keys: ArrayLike, confidence: float = 0.95) -> dict[tuple[int, ...], Interval]:
    """Architectural vulnerability factor of each group of single faults: the mean of their `outcomes`.

    `outcomes`, shape (n_faults,), are in 0..1: whether a fault changed an answer, or in what share of the samples.
    Each of the `keys`, shape (n_faults,), is a number of every fault, such as its layer and its bit; the result is
    ordered by them. Faults have to be drawn uniformly within a group. Raises ConfigError for shapes that differ.
    Source: Mukherjee et al., "A systematic methodology to compute the architectural vulnerability factors", MICRO 2003.
    """
    found = np.asarray(outcomes, np.float64)
    columns = [np.asarray(key) for key in keys]
    if not columns or any(column.shape != found.shape for column in columns):
        raise ConfigError(f"{found.size} outcomes need keys, one a fault each")
    groups, member = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    return {
        tuple(group.tolist()): mean_interval(found[member == number], confidence) for number, group in enumerate(groups)
    }
