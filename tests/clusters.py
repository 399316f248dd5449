"""Synthetic campaigns with a known truth, whose samples share the faults of their trial."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Events = NDArray[np.int64]


@dataclass(frozen=True)
class Cluster:
    """Trials whose own rates are beta distributed with a correlation between two samples of a trial."""

    rate: float
    correlation: float
    trials: int
    samples: int

    def draw(self, generator: np.random.Generator) -> Events:
        own = np.full(self.trials, self.rate)
        if self.correlation:
            size = (1 - self.correlation) / self.correlation
            own = generator.beta(self.rate * size, (1 - self.rate) * size, self.trials)
        return generator.binomial(self.samples, own)

    @property
    def variance(self) -> float:
        """Of one trial's rate."""
        return self.rate * (1 - self.rate) * (self.correlation + (1 - self.correlation) / self.samples)


@dataclass(frozen=True)
class Mixture:
    """Most trials have the rate `harmless`, the share `seldom` has the rate `catastrophic`."""

    seldom: float
    catastrophic: float
    harmless: float
    trials: int
    samples: int

    def draw(self, generator: np.random.Generator) -> Events:
        struck = generator.random(self.trials) < self.seldom
        return generator.binomial(self.samples, np.where(struck, self.catastrophic, self.harmless))

    @property
    def rate(self) -> float:
        return self.seldom * self.catastrophic + (1 - self.seldom) * self.harmless

    @property
    def variance(self) -> float:
        """Of one trial's rate."""
        squares = self.seldom * self.catastrophic**2 + (1 - self.seldom) * self.harmless**2
        noise = (self.rate - squares) / self.samples
        return squares - self.rate**2 + noise
