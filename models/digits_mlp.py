"""Multilayer perceptron on scikit-learn's 8x8 digits (1,797 real images, no download)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Pixels are 0..16, so a pixel over 16 is exact in five bits, one of them left of the point.
INPUT_TYPE = "ufixed<5,1>"

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def load_data(options: dict[str, Any]) -> Arrays:
    """Train inputs (1437, 64) and labels (1437,), test inputs (360, 64) and labels (360,); inputs in 0..1."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    inputs = np.asarray(images) / 16.0
    # The split is part of the data: it does not follow the study's seed.
    split = train_test_split(inputs, labels, test_size=360, random_state=0, stratify=labels)
    train_inputs, test_inputs, train_labels, test_labels = split
    return train_inputs, train_labels, test_inputs, test_labels


def build_model(quantisation: Any, options: dict[str, Any]) -> Any:
    """QDense and quantised ReLU; scales are powers of two (alpha=1), the last layer gives logits."""
    import tensorflow as tf
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu

    bits = quantisation.weight_bits
    # At least one fractional bit is left: hls4ml keeps rounding and saturation only then.
    integer_bits = min(options["activation_integer_bits"], quantisation.activation_bits - 1)
    activation = quantized_relu(quantisation.activation_bits, integer_bits)

    def dense(size: int, name: str) -> Any:
        # The bias has the weights' step and twice their range, so it never widens the accumulator.
        return QDense(
            size,
            kernel_quantizer=quantized_bits(bits, 0, alpha=1),
            bias_quantizer=quantized_bits(bits + 1, 1, alpha=1),
            name=name,
        )

    values = inputs = tf.keras.Input((64,), name="pixels")
    for index, size in enumerate(options["hidden"]):
        values = dense(size, f"dense_{index}")(values)
        values = QActivation(activation, name=f"relu_{index}")(values)
    return tf.keras.Model(inputs, dense(10, "logits")(values))
