"""A proxy of an inference's dynamic energy: how many bits of adders change from one inference to the next.

Dynamic power is the sum over all nets of capacitance, voltage squared and rising edges a second (Jevtic and Carreras,
"Power measurement methodology for FPGA devices", IEEE Trans. Instrum. Meas. 60, 2011). No capacitances of the devices
were found that could be cited, so each change counts as one, and the result serves to compare designs only:

    energy_proxy = sum over layers, neurons n, bits b of (additions an inference) * toggles[n, b] * copies[n, b]

in bit changes an inference. `toggles` are measured on the evaluation samples, at the last addition of each neuron.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from codesign.fixed import Ints
from codesign.network import Layer, Network, Unit, forward
from codesign.network.inference import entering, parameters
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan
from codesign.vulnerability.injection import uses

Shares = NDArray[np.float64]
ENERGY_SAMPLES = 256  # shares are then known to a few points, and the sum over a network far better


@dataclass(frozen=True, eq=False)
class Energy:
    """Gives the proxy of protected networks; what was measured of a network is kept, by its digest."""

    _toggles: dict[str, dict[str, Shares]] = field(default_factory=dict)

    def proxy(self, network: Network, plan: ProtectionPlan, raw_inputs: Callable[[], Ints]) -> float:
        """Bit changes an inference; measured once a network, on what `raw_inputs` gives: shape (n_samples, n_in)."""
        if network.digest not in self._toggles:
            self._toggles[network.digest] = toggles(network, raw_inputs())
        return changes(network, plan, self._toggles[network.digest])


def toggles(network: Network, raw_inputs: Ints) -> dict[str, Shares]:
    """How often each accumulator bit changes from one sample to the next, shape (neurons, bits) by layer, bit 0 first.

    Of several pixels the mean. A single sample changes nothing.
    """
    outputs, found = forward(network, raw_inputs), {}
    for index, layer in network.compute_layers():
        unit = Unit(layer, network.input_types(index))
        sums = unit.sums(entering(network, index, outputs, raw_inputs), *parameters(layer))
        by_sample = sums.reshape(len(raw_inputs), layer.pixels, layer.neurons)
        moved = by_sample[1:] ^ by_sample[:-1]
        bits = [((moved >> bit) & 1).sum(axis=(0, 1)) for bit in range(layer.acc.width)]
        found[layer.name] = np.stack(bits, axis=1) / max(1, (len(raw_inputs) - 1) * layer.pixels)
    return found


def changes(network: Network, plan: ProtectionPlan, shares: dict[str, Shares]) -> float:
    """Bit changes an inference of the adders of all layers, copies included."""
    return float(
        sum(
            uses(layer) * (shares[layer.name] * copies(layer, plan.of_layer(layer))).sum()
            for _, layer in network.compute_layers()
        )
    )


def copies(layer: Layer, plan: LayerPlan) -> Ints:
    """How often each bit is computed, shape (neurons, bits), bit 0 first; a recomputed neuron is computed whole."""
    hardened = np.array(plan.hardened_bits, np.int64)[:, None]
    if plan.mechanism is Mechanism.RECOMPUTE:
        hardened = np.where(hardened > 0, layer.acc.width, 0)
    several = np.arange(layer.acc.width) >= layer.acc.width - hardened
    return np.where(several, plan.mechanism.copies, 1)
