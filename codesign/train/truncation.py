"""Where accumulators are cut to the activation type, chosen from the values that occur in the training set.

A cut position is the number of integer bits of a quantised activation: of its width, more integer bits drop more low
bits and saturate later. Chosen is the least number with which at most a thousandth of the calibration values saturates;
what is beyond saturates (it never wraps), and the network is trained on with the chosen types.
"""

from typing import Any

import numpy as np

from codesign.errors import ConfigError
from codesign.fixed import Ints
from codesign.network import Network, forward
from codesign.train.builder import Data

# Share of the calibration values that may saturate.
SATURATING = 1e-3
_CUTTING = ("quantized_relu", "quantized_bits")


def integer_bits(values: Ints, frac: int) -> int:
    """Integer bits, no sign, below which all but SATURATING of the raw values lie in magnitude; at least 0."""
    furthest = float(np.quantile(np.abs(values), 1 - SATURATING)) * 2.0**-frac
    return max(int(np.ceil(np.log2(furthest))), 0) if furthest > 0 else 0


def cut_positions(network: Network, data: Data, names: list[str], truncation: str) -> dict[str, int]:
    """Integer bits, no sign, of each of these activations; one number for all where `truncation` is "common".

    Of a ReLU negative values do not count, which it makes zero whatever its type.
    """
    outputs, found = forward(network, network.quantise_inputs(data.train_inputs)), dict[str, int]()
    for index, layer in enumerate(network.layers):
        if layer.name in names:
            source = network.sources(index)[0]
            values = outputs[source] if source >= 0 else network.quantise_inputs(data.train_inputs)
            values = values if layer.result.signed else np.maximum(values, 0)
            found[layer.name] = integer_bits(values, network.input_of(index).frac)
    widest = max(found.values(), default=0)
    return dict.fromkeys(found, widest) if truncation == "common" else found


def truncated(model: Any, network: Network, data: Data, truncation: str) -> Any:
    """The model with its activations cut where the base `network` says; weights are kept.

    Raises ConfigError for a model without quantised activations.
    """
    import tensorflow as tf
    from qkeras.utils import _add_supported_quantized_objects

    cutting = {layer.name: layer for layer in model.layers if _is_cut(layer)}
    if not cutting:
        raise ConfigError(f"truncation '{truncation}': the model has no QActivation of {' or '.join(_CUTTING)}")
    positions = cut_positions(network, data, list(cutting), truncation)

    def copied(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in positions:
            config["activation"] = _cut(cutting[layer.name].quantizer, positions[layer.name])
        return type(layer).from_config(config)

    known: dict[str, Any] = {}
    _add_supported_quantized_objects(known)
    with tf.keras.utils.custom_object_scope(known):
        copy = tf.keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _is_cut(layer: Any) -> bool:
    return type(layer).__name__ == "QActivation" and type(layer.quantizer).__name__ in _CUTTING


def _cut(quantiser: Any, integer: int) -> Any:
    """The same quantiser with other integer bits; one bit is left behind the point, as hls4ml needs it."""
    signed = type(quantiser).__name__ == "quantized_bits"
    most = quantiser.bits - 1 - signed
    return type(quantiser)(**{**quantiser.get_config(), "integer": min(integer, most)})
