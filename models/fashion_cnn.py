"""Convolutional network on Fashion-MNIST (70,000 images of clothes), read from Debian's package."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Pixels are 0..255, so a pixel over 256 is exact in eight bits behind the point.
INPUT_TYPE = "ufixed<8,0>"
FOLDER = Path("/usr/share/datasets/fashion-mnist")

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def load_data(options: dict[str, Any]) -> Arrays:
    """The first `train_samples` and `test_samples` of either set: inputs (n, 28, 28, 1) in 0..1, labels (n,)."""
    folder = Path(options.get("folder", FOLDER))
    train, test = (
        (_read(folder, f"{name}-images-idx3-ubyte.gz", 16), _read(folder, f"{name}-labels-idx1-ubyte.gz", 8))
        for name in ("train", "t10k")
    )
    found = []
    for (images, labels), samples in ((train, options["train_samples"]), (test, options["test_samples"])):
        found += [images.reshape(-1, 28, 28, 1)[:samples] / 256.0, labels[:samples].astype(np.int64)]
    return found[0], found[1], found[2], found[3]


def _read(folder: Path, name: str, header: int) -> NDArray[np.uint8]:
    """The bytes of an IDX file behind its header."""
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}; on Debian `apt-get install dataset-fashion-mnist` puts it there, "
            "elsewhere set `folder` in [model.options] to a folder with the four .gz files"
        )
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8)[header:]


def build_model(quantisation: Any, options: dict[str, Any]) -> Any:
    """A convolution for each of `channels`, each halved by a maximum; then one dense layer that gives logits."""
    import tensorflow as tf
    from qkeras import QActivation, QConv2D, QDense, quantized_bits, quantized_relu

    bits = quantisation.weight_bits
    # At least one fractional bit is left: hls4ml keeps rounding and saturation only then.
    integer_bits = min(options["activation_integer_bits"], quantisation.activation_bits - 1)
    # The bias has the weights' step and twice their range, so it never widens the accumulator.
    quantisers = {
        "kernel_quantizer": quantized_bits(bits, 0, alpha=1),
        "bias_quantizer": quantized_bits(bits + 1, 1, alpha=1),
    }
    values = inputs = tf.keras.Input((28, 28, 1), name="pixels")
    for index, channels in enumerate(options["channels"]):
        values = QConv2D(channels, 3, name=f"conv_{index}", **quantisers)(values)
        values = QActivation(quantized_relu(quantisation.activation_bits, integer_bits), name=f"relu_{index}")(values)
        values = tf.keras.layers.MaxPooling2D(2, name=f"pool_{index}")(values)
    values = tf.keras.layers.Flatten(name="flat")(values)
    return tf.keras.Model(inputs, QDense(10, name="logits", **quantisers)(values))
