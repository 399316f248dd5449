"""The NumPy reference inference: the golden model that every simulator must equal, integer for integer."""

from collections.abc import Sequence

import numpy as np

from codesign.fixed import Ints, cast
from codesign.network.graph import FROM_INPUT, Network
from codesign.network.layer import Layer
from codesign.network.passive import passed as passed
from codesign.network.unit import Unit


def forward(network: Network, raw_inputs: Ints) -> tuple[Ints, ...]:
    """Fault-free output of every layer, shapes (n_samples, layer.n_out); the last is the logits."""
    outputs: list[Ints] = []
    for index, layer in enumerate(network.layers):
        values = entering(network, index, outputs, raw_inputs)
        if layer.protectable:
            unit = Unit(layer, network.input_types(index))
            sums = unit.sums(values, *parameters(layer))
            outputs.append(finish(layer, sums, len(values)))
        else:
            outputs.append(passed(layer, network.input_types(index), values))
    return tuple(outputs)


def parameters(layer: Layer) -> tuple[Ints | None, Ints | None]:
    """Fault-free weights and biases; none for an addition."""
    return (layer.w.raw, layer.b.raw) if layer.has_weights else (None, None)


def entering(network: Network, index: int, outputs: Sequence[Ints], raw_inputs: Ints) -> Ints:
    """The values that enter a layer, its inputs side by side: shape (n_samples, layer.n_in)."""
    found = [raw_inputs if s == FROM_INPUT else outputs[s] for s in network.sources(index)]
    return found[0] if len(found) == 1 else np.concatenate(found, axis=1)


def finish(layer: Layer, sums: Ints, n_samples: int) -> Ints:
    """Cast accumulators of shape (n_samples * pixels, neurons) to the result: (n_samples, n_out)."""
    return cast(sums, layer.acc, layer.result).reshape(n_samples, layer.n_out)
