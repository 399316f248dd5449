"""The accumulator bound in training: after every step each neuron's weights are brought into it.

The weights as the quantiser gives them are what counts, so the bound holds for the integers at any time, not only at
the end. Of a neuron with inputs in lo..hi (lo <= 0 <= hi, raw) and integer weights w and bias b, no partial sum leaves
a signed accumulator of P bits if

    sum(hi w+ - lo w-) + b+ <= 2**(P-1) - 1   and   sum(hi w- - lo w+) + b- <= 2**(P-1),

w+ and w- being the positive and negative parts. Behind a ReLU (lo = 0) these bound the norm of the positive and of the
negative weights by themselves, which is what A2Q+ (Colbert et al. 2024, arXiv 2401.10432) gains by centred weights; for
symmetric inputs both are the bound of A2Q on the L1 norm (Colbert et al. 2023, arXiv 2308.13504, eq. 8). Weights that
break it are projected onto the L1 ball: all are drawn to zero by one threshold (Duchi et al. 2008, "Efficient
Projections onto the l1-Ball"), here the least one at which the quantised weights obey.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import Network

Floats = NDArray[np.floating[Any]]
# The threshold is found to this many bits below a weight's step.
_FINER = 4
# The variable that holds a Keras layer's weights. Others fold or split theirs, so that no variable is one sum's.
_KERNELS = {"QDense": "kernel", "QConv1D": "kernel", "QConv2D": "kernel", "QDepthwiseConv2D": "depthwise_kernel"}
_UNBOUND = ("QConv2DBatchnorm", "QSeparableConv1D", "QSeparableConv2D")


@dataclass(frozen=True)
class Limits:
    """Of a layer: raw range of its inputs, types of its parameters, and how far its sums may reach.

    `below` and `above` zero, and `bias_unit`, what one step of the bias adds, are in units of products.
    """

    low: int
    high: int
    weight: FixedPoint
    bias: FixedPoint
    below: float
    above: float
    bias_unit: float


def limits_of(network: Network, index: int, bits: int) -> Limits:
    """For layer `index` and sums of `bits` bits, whatever its weights are.

    Raises ConfigError where only weights of zero fit, with the narrowest width that holds more.
    """
    layer, source = network.layers[index], network.input_of(index)
    frac = source.frac + layer.w.type.frac
    finer = layer.acc.frac - frac
    if finer < 0:
        raise ConfigError(
            f"layer '{layer.name}': its accumulator {layer.acc} drops bits of products, so no bound holds"
        )
    narrowest = 1 + (max(source.max_raw, -source.min_raw) << finer).bit_length()
    if bits < narrowest:
        raise ConfigError(
            f"layer '{layer.name}': accumulator_bits {bits} leaves no weight but zero for inputs of type {source}; "
            f"the narrowest that works is {narrowest}"
        )
    reach = 2.0 ** (bits - 1)
    below, above = reach * 2.0**-finer, (reach - 1) * 2.0**-finer
    return Limits(
        source.min_raw, source.max_raw, layer.w.type, layer.b.type, below, above, 2.0 ** (frac - layer.b.type.frac)
    )


def raw_of(values: Floats, of: FixedPoint) -> Floats:
    """The integers that a quantiser of this type makes of real weights."""
    raw: Floats = np.clip(np.rint(np.ldexp(values.astype(np.float64), of.frac)), of.min_raw, of.max_raw)
    return raw


def furthest(weights: Floats, biases: Floats, limits: Limits) -> tuple[Floats, Floats]:
    """How far partial sums reach below and above zero, in units of products.

    Raw weights of shape (fan_in, neurons) and biases (neurons,) -> two of shape (neurons,).
    """
    positive, negative = np.maximum(weights, 0).sum(axis=0), np.maximum(-weights, 0).sum(axis=0)
    bias = biases * limits.bias_unit
    below = limits.high * negative - limits.low * positive + np.maximum(-bias, 0)
    above = limits.high * positive - limits.low * negative + np.maximum(bias, 0)
    return below, above


def project(weights: Floats, biases: Floats, limits: Limits) -> tuple[Floats, Floats]:
    """Real weights (fan_in, neurons) and biases (neurons,) whose integers obey; those that obey do not change.

    A bias gets at most half of what its sum may reach.
    """
    most = np.floor(limits.above / 2 / limits.bias_unit) * 2.0**-limits.bias.frac
    biases = np.clip(biases, -most, most)
    raw_bias = raw_of(biases, limits.bias)
    for side, limit in enumerate((limits.below, limits.above)):
        over = np.flatnonzero(furthest(raw_of(weights, limits.weight), raw_bias, limits)[side] > limit)
        if over.size:
            weights = weights.copy()
            weights[:, over] = _drawn_in(weights[:, over], raw_bias[over], limits, side, limit)
    return weights, biases


def _drawn_in(weights: Floats, raw_bias: Floats, limits: Limits, side: int, limit: float) -> Floats:
    """Weights drawn to zero by the least threshold a neuron at which one side obeys."""
    sign = 1 if side else -1
    counts = (sign * weights > 0) if limits.low == 0 else np.ones_like(weights, bool)

    def drawn(threshold: Floats) -> Floats:
        return np.where(counts, np.sign(weights) * np.maximum(np.abs(weights) - threshold, 0), weights)

    few, enough = np.zeros_like(raw_bias, weights.dtype), np.abs(weights).max(axis=0)
    for _ in range(limits.weight.width + _FINER):
        middle = (few + enough) / 2
        reach = furthest(raw_of(drawn(middle), limits.weight), raw_bias, limits)[side]
        few, enough = np.where(reach > limit, middle, few), np.where(reach > limit, enough, middle)
    return drawn(enough)


def kernels(model: Any, network: Network) -> Iterator[tuple[Any, Any, Any, int]]:
    """Of every Keras layer whose weights are one sum's: itself, its weights, its bias or None, its place in `network`.

    Raises ConfigError for a layer that folds or splits its weights.
    """
    places = {layer.name: index for index, layer in network.compute_layers()}
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in _UNBOUND:
            raise ConfigError(
                f"layer '{layer.name}' ({kind}): its sums cannot be constrained, those of {', '.join(_KERNELS)} can"
            )
        if kind in _KERNELS:
            yield layer, getattr(layer, _KERNELS[kind]), layer.bias if layer.use_bias else None, places[layer.name]


def bound_model(model: Any, network: Network, bits: int) -> Any:
    """A Keras callback that keeps a model, which became `network` before its training, inside `bits`.

    Raises ConfigError for a layer that cannot be bound.
    """
    import tensorflow as tf

    bounded = [
        (kernel, bias, network.layers[index].neurons, limits_of(network, index, bits))
        for _, kernel, bias, index in kernels(model, network)
    ]

    def obey(*_: object) -> None:
        for kernel, bias, neurons, limits in bounded:
            weights = kernel.numpy()
            shift = np.zeros(neurons, weights.dtype) if bias is None else bias.numpy()
            flat, shift_now = project(weights.reshape(-1, neurons), shift, limits)
            kernel.assign(flat.reshape(weights.shape))
            if bias is not None:
                bias.assign(shift_now)

    return tf.keras.callbacks.LambdaCallback(on_train_begin=obey, on_train_batch_end=obey)
