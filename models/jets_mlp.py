"""Multilayer perceptron that tells jets at the LHC apart by 16 features: gluon, light quark, W, Z or top.

The data, 830,000 simulated jets, is OpenML's `hls4ml_lhc_jets_hlf` (Pierini et al., doi:10.5281/zenodo.3602260), which
scikit-learn downloads once. Without a network, `file` in [model.options] names an NPZ file with `inputs`, of shape
(n, 16) as OpenML has them, and `labels`, whole numbers 0..4 of shape (n,).
"""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Features are scaled to mean 0 and deviation 1, then cut to steps of 1/256 in -8..8.
INPUT_TYPE = "fixed<12,4>"
FEATURES, CLASSES = 16, ("g", "q", "w", "z", "t")
DATASET = "hls4ml_lhc_jets_hlf"

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def load_data(options: dict[str, Any]) -> Arrays:
    """At most `train_samples` and `test_samples` jets: inputs (n, 16) in -8..8, labels (n,) in 0..4."""
    from sklearn.model_selection import train_test_split

    inputs, labels = _of_file(Path(options["file"])) if "file" in options else _of_openml()
    # The split is part of the data: it does not follow the study's seed.
    split = train_test_split(inputs, labels, test_size=0.2, random_state=0, stratify=labels)
    train_inputs, test_inputs, train_labels, test_labels = split
    mean, deviation = train_inputs.mean(axis=0), train_inputs.std(axis=0)
    scale = 1.0 / np.where(deviation > 0, deviation, 1.0)
    found = []
    for part, samples in ((train_inputs, options["train_samples"]), (test_inputs, options["test_samples"])):
        found.append(np.clip(np.rint((part[:samples] - mean) * scale * 256.0), -2048, 2047) / 256.0)
    return found[0], train_labels[: options["train_samples"]], found[1], test_labels[: options["test_samples"]]


def _of_file(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: an NPZ file with `inputs` (n, 16) and `labels` (n,) is expected there")
    with np.load(path, allow_pickle=False) as found:
        inputs, labels = np.asarray(found["inputs"], np.float64), np.asarray(found["labels"])
    if (
        inputs.ndim != 2
        or inputs.shape[1] != FEATURES
        or labels.shape != (len(inputs),)
        or labels.dtype.kind not in "iu"
    ):
        raise ValueError(
            f"{path}: inputs of shape {inputs.shape} and labels of {labels.shape}, expected (n, 16) and (n,)"
        )
    if not np.isfinite(inputs).all():
        raise ValueError(f"{path}: inputs hold NaN or infinite values")
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise ValueError(f"{path}: labels {labels.min()}..{labels.max()}, expected 0..{len(CLASSES) - 1}")
    return inputs, labels.astype(np.int64)


def _of_openml() -> tuple[NDArray[Any], NDArray[Any]]:
    from sklearn.datasets import fetch_openml

    parser = "pandas" if importlib.util.find_spec("pandas") else "liac-arff"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="A network error occurred", category=UserWarning)
            found = fetch_openml(DATASET, as_frame=False, parser=parser, n_retries=1, delay=0.1)
    except Exception as error:
        raise FileNotFoundError(
            f"no jets: set `file` in [model.options] to an NPZ file with `inputs` (n, 16) and `labels` (n,) in 0..4, "
            f"or let scikit-learn download OpenML's {DATASET} where there is a network; here it cannot "
            f"({str(error)[:80]})"
        ) from error
    names = np.asarray(found.target).astype(str)
    return np.asarray(found.data, np.float64), np.array([CLASSES.index(name) for name in names], np.int64)


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

    values = inputs = tf.keras.Input((FEATURES,), name="features")
    for index, size in enumerate(options["hidden"]):
        values = dense(size, f"dense_{index}")(values)
        values = QActivation(activation, name=f"relu_{index}")(values)
    return tf.keras.Model(inputs, dense(len(CLASSES), "logits")(values))
