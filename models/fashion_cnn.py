"""Convolutional network on Fashion-MNIST (70,000 images of clothes), from files or over the network.

`folder` in [model.options] names a folder with the four IDX files, packed (.gz) or not. Without it they are looked for
where Debian's package dataset-fashion-mnist puts them, and then Keras's own loader is asked, which downloads them.
"""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Pixels are 0..255, so a pixel over 256 is exact in eight bits behind the point.
INPUT_TYPE = "ufixed<8,0>"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
Bytes = NDArray[np.uint8]


def load_data(options: dict[str, Any]) -> Arrays:
    """The first `train_samples` and `test_samples` of either set: inputs (n, 28, 28, 1) in 0..1, labels (n,)."""
    if "folder" in options:
        train, test = _of_folder(Path(options["folder"]))
    elif DEBIAN.is_dir():
        train, test = _of_folder(DEBIAN)
    else:
        train, test = _of_keras()
    found = []
    for (images, labels), samples in ((train, options["train_samples"]), (test, options["test_samples"])):
        found += [images.reshape(-1, 28, 28, 1)[:samples] / 256.0, labels[:samples].astype(np.int64)]
    return found[0], found[1], found[2], found[3]


def _of_folder(folder: Path) -> Any:
    sets = []
    for name in ("train", "t10k"):
        images, labels = _read(folder, f"{name}-images-idx3-ubyte", 3), _read(folder, f"{name}-labels-idx1-ubyte", 1)
        if images.shape[1:] != (28, 28) or len(images) != len(labels):
            raise ValueError(f"{folder}: {name} images of shape {images.shape}, {len(labels)} labels")
        sets.append((images, labels))
    return sets


def _read(folder: Path, name: str, dimensions: int) -> Bytes:
    """The array of an IDX file of bytes: two zeros, 8 for bytes, the number of dimensions, each size in four bytes."""
    packed, plain = folder / f"{name}.gz", folder / name
    path = plain if plain.is_file() else packed
    if not path.is_file():
        raise FileNotFoundError(
            f"no {packed}; on Debian `apt-get install dataset-fashion-mnist` brings it, elsewhere set `folder` in "
            "[model.options] to a folder with the four files"
        )
    with plain.open("rb") if path == plain else gzip.open(packed) as file:
        header = file.read(4 + 4 * dimensions)
        if len(header) != 4 + 4 * dimensions or header[:4] != bytes([0, 0, 8, dimensions]):
            raise ValueError(f"{path} is no IDX file of bytes in {dimensions} dimensions")
        shape = tuple(np.frombuffer(header[4:], ">u4").tolist())
        values = np.frombuffer(file.read(int(np.prod(shape)) + 1), np.uint8)
    if values.size != np.prod(shape):
        raise ValueError(f"{path} holds {values.size} values or more, its header says {shape}")
    return values.reshape(shape)


def _of_keras() -> Any:
    try:
        import tensorflow as tf

        return tf.keras.datasets.fashion_mnist.load_data()
    except Exception as error:
        raise FileNotFoundError(
            f"no Fashion-MNIST: set `folder` in [model.options] to a folder with its four IDX files, or on Debian "
            f"`apt-get install dataset-fashion-mnist`; Keras cannot download it ({str(error)[:100]})"
        ) from error


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
