"""Residual network on scikit-learn's 8x8 digits (1,797 real images, no download)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Pixels are 0..16, so a pixel over 16 is exact in five bits, one of them left of the point.
INPUT_TYPE = "ufixed<5,1>"

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def load_data(options: dict[str, Any]) -> Arrays:
    """Train inputs (1437, 8, 8, 1) and labels (1437,), test inputs (360, 8, 8, 1) and labels (360,); inputs in 0..1."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    inputs = np.asarray(images).reshape(-1, 8, 8, 1) / 16.0
    # The split is part of the data: it does not follow the study's seed.
    split = train_test_split(inputs, labels, test_size=360, random_state=0, stratify=labels)
    train_inputs, test_inputs, train_labels, test_labels = split
    return train_inputs, train_labels, test_inputs, test_labels


def build_model(quantisation: Any, options: dict[str, Any]) -> Any:
    """A convolution that halves the image, `blocks` of two convolutions around a shortcut, the mean, logits."""
    import tensorflow as tf
    from qkeras import QActivation, QConv2D, QDense, quantized_bits, quantized_relu

    bits, channels = quantisation.weight_bits, options["channels"]
    # At least one fractional bit is left: hls4ml keeps rounding and saturation only then.
    integer_bits = min(options["activation_integer_bits"], quantisation.activation_bits - 1)
    # The bias has the weights' step and twice their range, so it never widens the accumulator.
    quantisers = {
        "kernel_quantizer": quantized_bits(bits, 0, alpha=1),
        "bias_quantizer": quantized_bits(bits + 1, 1, alpha=1),
    }

    def conv(values: Any, name: str, strides: int = 1) -> Any:
        return QConv2D(channels, 3, strides=strides, padding="same", name=f"conv_{name}", **quantisers)(values)

    def relu(values: Any, name: str) -> Any:
        activation = quantized_relu(quantisation.activation_bits, integer_bits)
        return QActivation(activation, name=f"relu_{name}")(values)

    inputs = tf.keras.Input((8, 8, 1), name="pixels")
    values = relu(conv(inputs, "first", strides=2), "first")
    for index in range(options["blocks"]):
        inner = relu(conv(values, f"{index}a"), f"{index}a")
        added = tf.keras.layers.Add(name=f"add_{index}")([conv(inner, f"{index}b"), values])
        values = relu(added, f"{index}b")
    # hls4ml rounds the means to the activations' type; so does training.
    values = relu(tf.keras.layers.AveragePooling2D(2, name="pool")(values), "mean")
    values = tf.keras.layers.Flatten(name="flat")(values)
    return tf.keras.Model(inputs, QDense(10, name="logits", **quantisers)(values))
