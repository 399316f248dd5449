"""What hardening would cost, as a term of the loss that a training can lower.

Bits of a sum above the range of the activation behind it hold nothing in a fault-free network but make the greatest
errors when they flip: the dangerous headroom. A neuron whose sum may reach r (bias and products, worst inputs, as in
`bound`) before an activation that ends at R has log2(r / R) of them; two more copies of a bit are two LUTs for each of
its additions, and one more LUT votes. The term is their sum over neurons, in thousands of LUTs. It is taken on the real
weights, whose integers are not differentiable.
"""

import math
from typing import Any

from codesign.network import Kind, Layer, Network
from codesign.network.reach import followers
from codesign.train.bound import kernels


def lut_of_bit(layer: Layer) -> int:
    """LUTs of two copies of one bit of a neuron's adders, and of its voter."""
    return 2 * layer.fan_in + 1


def activation_end(network: Network, index: int) -> float | None:
    """Where the quantised activation behind a layer ends; None where there is none."""
    behind = [network.layers[i] for i in followers(network, index)]
    if not behind or behind[0].kind not in (Kind.RELU, Kind.ACTIVATION):
        return None
    result = behind[0].result
    return math.ldexp(result.max_raw + 1, -result.frac)


def add_headroom_cost(model: Any, network: Network, weight: float) -> None:
    """Add `weight` times the term to the model's loss; layers without an activation behind them have none."""
    import tensorflow as tf

    for layer, kernel, bias, index in kernels(model, network):
        end, source, neurons = activation_end(network, index), network.input_of(index), network.layers[index].neurons
        if end is None:
            continue
        low, high = (math.ldexp(raw, -source.frac) for raw in (source.min_raw, source.max_raw))
        thousands = weight * lut_of_bit(network.layers[index]) / 1000

        def cost(
            kernel: Any = kernel,
            bias: Any = bias,
            shape: tuple[int, int] = (-1, neurons),
            ends: tuple[float, float, float] = (low, high, end),
            factor: float = thousands,
        ) -> Any:
            weights, (low, high, end) = tf.reshape(kernel, shape), ends
            positive = tf.reduce_sum(tf.nn.relu(weights), axis=0)
            negative = tf.reduce_sum(tf.nn.relu(-weights), axis=0)
            shift = 0.0 if bias is None else bias
            above = high * positive - low * negative + tf.nn.relu(shift)
            below = high * negative - low * positive + tf.nn.relu(-shift)
            bits = tf.math.log(tf.maximum(tf.maximum(above, below) / end, 1.0)) / math.log(2.0)
            return factor * tf.reduce_sum(bits)

        layer.add_loss(cost)
