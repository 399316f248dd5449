"""What faults will do to a protected network, foretold from what single flips do to it unprotected.

To the first order flips do not meet: each one that no copy takes back changes the answer of a sample with the rate that
was measured for its bit. So the answers that change follow a Poisson distribution, of mean

    lambda = BER * sum over layers, neurons n and bits b that are not hardened of (additions a sample) * rate[n, b]

and of the answers that were right without faults the share exp(-lambda) stays right.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from codesign.faults import FaultModel, Target
from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.vulnerability import Scores, bit_vulnerability
from codesign.vulnerability.injection import uses

_DRAWS = 100  # of each bit of each neuron; the sum over a network is then known to about a percent


@dataclass(frozen=True, eq=False)
class Foresight:
    """Foretells shares of wrong answers at one rate of upsets of accumulator bits. Measured rates are kept."""

    ber: float
    seed: int
    _rates: dict[str, Scores] = field(default_factory=dict)

    @classmethod
    def of(cls, model: FaultModel, seed: int) -> "Foresight | None":
        """Of the fault model of a campaign; None where accumulators are not struck at a rate."""
        return cls(model.ber, seed) if model.ber and Target.ACCUMULATOR in model.targets else None

    def risk(
        self, network: Network, plan: ProtectionPlan, raw_inputs: Callable[[], Ints], accuracy_clean: float
    ) -> float:
        """Share of wrong answers under faults; flips are tried once a network, on what `raw_inputs` gives.

        That has shape (n_samples, n_in).
        """
        if network.digest not in self._rates:
            self._rates[network.digest] = bit_vulnerability(network, raw_inputs(), _DRAWS, self.seed)
        return 1 - accuracy_clean * math.exp(-self.ber * exposure(network, plan, self._rates[network.digest]))


def exposure(network: Network, plan: ProtectionPlan, rates: Scores) -> float:
    """Answers that change in a sample if every addition is struck once in each bit that the plan leaves alone.

    `rates`: shape (neurons, accumulator bits) by layer, bit 0 first, as `bit_vulnerability` gives them.
    """
    total = 0.0
    for name, values in rates.items():
        layer = network.layer(name)
        shared = np.arange(layer.acc.width) < layer.acc.width - plan.hardened(layer)[:, None]
        total += uses(layer) * float(values[shared].sum())
    return total
