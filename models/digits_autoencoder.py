"""Autoencoder on scikit-learn's 8x8 digits that finds what it was not trained on (1,797 real images, no download).

It learns to give back the digits in `normal`. What it gives back badly is an anomaly: the sum of the absolute errors is
compared with a threshold, in the network itself, so that score and threshold are in the hardware, too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Pixels are 0..16, so a pixel over 16 is exact in five bits, one of them left of the point.
INPUT_TYPE = "ufixed<5,1>"
LOSS = "mse"

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
# Bits of the threshold: the sum of 128 errors below 1, and its sign, before the point.
_SUM_BITS, _SUM_FRACTION = 16, 8


def load_data(options: dict[str, Any]) -> Arrays:
    """Train inputs (1437, 64) in 0..1 and labels (1437,), 1 for an anomaly; test inputs (360, 64) and labels (360,)."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, digits = load_digits(return_X_y=True)
    inputs = np.asarray(images) / 16.0
    labels = (~np.isin(digits, options["normal"])).astype(np.int64)
    # The split is part of the data: it does not follow the study's seed.
    split = train_test_split(inputs, labels, test_size=360, random_state=0, stratify=digits)
    train_inputs, test_inputs, train_labels, test_labels = split
    return train_inputs, train_labels, test_inputs, test_labels


def training_set(
    inputs: NDArray[Any], labels: NDArray[Any], options: dict[str, Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The normal digits, which are to come out as they went in."""
    normal = inputs[labels == 0]
    return normal, normal


def build_model(quantisation: Any, options: dict[str, Any]) -> Any:
    """QDense and quantised ReLU: 64, `hidden`, `code`, `hidden`, 64."""
    import tensorflow as tf
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu

    bits, activation_bits = quantisation.weight_bits, quantisation.activation_bits
    # At least one fractional bit is left: hls4ml keeps rounding and saturation only then.
    integer_bits = min(options["activation_integer_bits"], activation_bits - 1)
    values = inputs = tf.keras.Input((64,), name="pixels")
    for index, size in enumerate((options["hidden"], options["code"], options["hidden"], 64)):
        # The bias has the weights' step and twice their range, so it never widens the accumulator.
        dense = QDense(
            size,
            kernel_quantizer=quantized_bits(bits, 0, alpha=1),
            bias_quantizer=quantized_bits(bits + 1, 1, alpha=1),
            name=f"dense_{index}",
        )
        activation = quantized_relu(activation_bits, integer_bits if size < 64 else 1)
        values = QActivation(activation, name=f"relu_{index}")(dense(values))
    return tf.keras.Model(inputs, values)


def finish(model: Any, inputs: NDArray[Any], labels: NDArray[Any], options: dict[str, Any]) -> Any:
    """The error of each pixel, both ways round; two logits: the threshold, and the sum of the errors.

    The threshold lets `false_alarms` of the normal training samples pass for anomalies; no anomaly is looked at.
    """
    import tensorflow as tf
    from qkeras import QActivation, QConv1D, QDense, quantized_bits, quantized_relu

    whole = quantized_bits(2, 1, alpha=1)  # -2..1
    bits = model.layers[-1].quantizer.bits
    images = (model.input, model.output)
    pairs = [tf.keras.layers.Reshape((64, 1), name=f"column_{n}")(image) for n, image in enumerate(images)]
    values = tf.keras.layers.Concatenate(name="pairs")(pairs)
    difference = QConv1D(2, 1, use_bias=False, kernel_quantizer=whole, name="difference")
    values = QActivation(quantized_relu(bits, 0), name="errors")(difference(values))
    values = tf.keras.layers.Flatten(name="flat")(values)
    threshold = quantized_bits(_SUM_BITS, _SUM_BITS - _SUM_FRACTION - 1, alpha=1)
    score = QDense(2, kernel_quantizer=whole, bias_quantizer=threshold, name="score")
    finished = tf.keras.Model(model.input, score(values))
    difference.set_weights([np.array([[[1.0, -1.0], [-1.0, 1.0]]])])
    sums = np.stack([np.zeros(128), np.ones(128)], axis=1)
    score.set_weights([sums, np.zeros(2)])
    scores = finished.predict(inputs[labels == 0].astype(np.float32), verbose=0)[:, 1]
    limit = float(np.quantile(scores, 1.0 - options["false_alarms"]))
    score.set_weights([sums, np.array([np.rint(np.ldexp(limit, _SUM_FRACTION)) / 2**_SUM_FRACTION, 0.0])])
    return finished
