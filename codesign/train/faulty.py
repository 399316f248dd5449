"""Fault-aware training: flips drawn by the project's own FaultModel strike the sums of the forward pass.

Every batch is a trial of its own. A flip in any of a neuron's additions is taken at its finished sum, whose bit is
inverted as it would be in the accumulator's word; the gradient passes as if nothing had happened (straight through).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from codesign.faults import FaultModel, FaultSpace, Target
from codesign.fixed import Ints
from codesign.network import Layer, Network
from codesign.protection import ProtectionPlan
from codesign.train.bound import kernels


def flip_masks(network: Network, space: FaultSpace, trial: int, samples: int) -> dict[int, Ints]:
    """Of each layer that is struck what its sums are to be XORed with, shape (samples, *out_shape), signed."""
    faults, masks = space.draw(trial), dict[int, Ints]()
    for index, layer in network.compute_layers():
        own = faults[faults["layer"] == index]
        mask = np.zeros((samples, layer.pixels, layer.neurons), np.int64)
        bits = _as_signed(own["bit"].astype(np.int64), layer)
        np.bitwise_xor.at(mask, (own["sample"], own["step"] // layer.reuse_factor, own["neuron"]), bits)
        masks[index] = mask.reshape(samples, *layer.out_shape)
    return masks


def _as_signed(bit: Ints, layer: Layer) -> Ints:
    """The sign bit's inversion goes through all higher bits."""
    words = np.int64(1) << bit
    return np.where(layer.acc.signed & (bit == layer.acc.width - 1), -words, words)


@contextlib.contextmanager
def faulty_forward(model: Any, network: Network, ber: float, seed: int, batch_size: int) -> Iterator[Any]:
    """Within it the model's layers are struck; gives the Keras callback that draws each batch's faults."""
    import tensorflow as tf

    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.ACCUMULATOR,), ber=ber, seed=seed), batch_size)
    struck: dict[int, Any] = {}
    patched: list[Any] = []
    for layer, _, _, index in kernels(model, network):
        one = network.layers[index]
        shape = (batch_size, *layer.output_shape[1:])
        struck[index] = mask = tf.Variable(np.zeros(shape, np.int64), trainable=False)

        def call(inputs: Any, original: Any = layer.call, mask: Any = mask, step: float = 2.0**-one.acc.frac) -> Any:
            sums = original(inputs)
            raw = tf.cast(tf.round(sums / step), tf.int64)
            wrong = tf.cast(tf.bitwise.bitwise_xor(raw, mask[: tf.shape(raw)[0]]), sums.dtype) * step
            return sums + tf.stop_gradient(wrong - sums)

        layer.call = call
        patched.append(layer)
    trials = iter(range(2**62))

    def draw(*_: object) -> None:
        for index, mask in flip_masks(network, space, next(trials), batch_size).items():
            if index in struck:
                struck[index].assign(mask.reshape(struck[index].shape))

    try:
        yield tf.keras.callbacks.LambdaCallback(on_train_batch_begin=draw)
    finally:
        for layer in patched:
            del layer.call
