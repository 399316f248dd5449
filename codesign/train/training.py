"""Seeded, repeatable training, kept on disk by digest so that no network is trained twice.

Repeatable means: the same study, widths and library versions on the same kind of processor give the
same integers, in any process and in any order. TensorFlow therefore runs on one CPU thread with
deterministic kernels.
"""

import importlib.metadata
import json
import os
import random
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import ConfigError
from codesign.files import cache_folder, digest_of, locked, write_atomically
from codesign.network import Network, forward
from codesign.network.accumulators import narrowed, prove_accumulators
from codesign.study import Study
from codesign.train.bound import bound_model
from codesign.train.builder import Builder, Data, Quantisation, load_builder
from codesign.train.convert import network_from_keras
from codesign.train.supported import check_layers

# Raise it when training itself changes, so that kept networks are not taken for new ones.
RECIPE = 2
_LIBRARIES = ("tensorflow", "keras", "qkeras", "hls4ml", "numpy", "scikit-learn")


@dataclass(frozen=True)
class TrainedNetwork:
    """`accuracy_clean` is that of the integer network on the whole test set; `seconds` what training took."""

    network: Network
    accuracy_clean: float
    seconds: float
    cached: bool


def train(
    study: Study,
    weight_bits: int,
    activation_bits: int,
    accumulator_bits: int = 0,
    *,
    cache: Path | None = None,
) -> TrainedNetwork:
    """The network of a study at these widths, from the cache folder (default: the user's) or trained now.

    With `accumulator_bits` above 0 no neuron's sum can overflow so many bits, which is proven, and accumulators are
    as narrow as that proof allows. Raises ConfigError where a layer cannot be bound to so few.
    """
    builder = load_builder(study)
    data = builder.data()
    quantisation = Quantisation(weight_bits, activation_bits, accumulator_bits)
    stem = (cache or cache_folder() / "networks") / network_key(study, quantisation, data)
    if kept := _load(stem):
        return kept
    with locked(stem.with_suffix(".lock"), "CODESIGN_CACHE chooses another folder"):
        # Another process may have trained it while this one waited.
        return _load(stem) or _train_and_keep(study, builder, data, quantisation, stem)


def network_key(study: Study, quantisation: Quantisation, data: Data) -> str:
    """SHA-256 of everything that decides the trained integers."""
    content = {
        "recipe": RECIPE,
        "name": study.name,
        "seed": study.seed,
        "options": study.model.options,
        "train": study.train.model_dump(mode="json"),
        "backend": study.hardware.backend,
        "quantisation": asdict(quantisation),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    return digest_of(json.dumps(content, sort_keys=True), study.builder_source, data.digest)


def fit(study: Study, builder: Builder, data: Data, quantisation: Quantisation) -> Any:
    """Build and train the Keras model."""
    tf = tensorflow()
    tf.keras.backend.clear_session()
    with _seeded(study.seed), warnings.catch_warnings():
        # Keras 2.14 draws its seeds in a way that Python 3.11 deprecates; QKeras calls an initialiser again
        # when its first draw quantises badly, and Keras warns of that. Neither is for the user to change.
        warnings.filterwarnings("ignore", message="non-integer arguments to randrange", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="The initializer .* is unseeded", category=UserWarning)
        model = builder.model(quantisation)
        _check_model(model, builder, data)
        model.compile(
            tf.keras.optimizers.Adam(study.train.learning_rate),
            tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        model.fit(
            data.train_inputs.astype(np.float32),
            data.train_labels,
            batch_size=study.train.batch_size,
            epochs=study.train.epochs,
            callbacks=_callbacks(model, builder, study, quantisation),
            verbose=0,
        )
    if not all(np.all(np.isfinite(weights)) for weights in model.get_weights()):
        raise ConfigError(f"{study.path}: training diverged (weights are not finite); lower [train] learning_rate")
    return model


def _callbacks(model: Any, builder: Builder, study: Study, quantisation: Quantisation) -> list[Any]:
    if not quantisation.accumulator_bits:
        return []
    # Types are what they will be after the training; weights are not looked at.
    untrained = network_from_keras(model, study.name, builder.input_type, study.hardware.backend)
    return [bound_model(model, untrained, quantisation.accumulator_bits)]


def accuracy(network: Network, data: Data) -> float:
    """Share of test samples whose largest logit is the label's (the first one, where several are largest)."""
    logits = forward(network, network.quantise_inputs(data.test_inputs))[-1]
    return float(np.mean(logits.argmax(axis=1) == data.test_labels))


@cache
def tensorflow() -> Any:
    """TensorFlow, set up once a process to be quiet and repeatable."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise ConfigError(f"TensorFlow already runs in this process with other settings: {error}") from None
    tf.config.experimental.enable_op_determinism()
    # QKeras names its constraints in a way that Keras 2.14 finds odd, at every serialisation.
    warnings.filterwarnings("ignore", message="The `keras.constraints.serialize", category=UserWarning)
    tf.get_logger().setLevel("ERROR")  # it counts the time of what bounds the weights
    return tf


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed every generator TensorFlow and a builder draw from, and give Python's and NumPy's state back."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002, what is global is the point
    tensorflow().keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def _check_model(model: object, builder: Builder, data: Data) -> None:
    where = f"{builder.path}: build_model"
    if not isinstance(model, tensorflow().keras.Model):
        raise ConfigError(f"{where} gave {type(model).__name__}, expected a Keras model")
    if not model.built or len(model.inputs or []) != 1 or len(model.outputs or []) != 1:
        raise ConfigError(f"{where}: expected a model with one Input and one output")
    check_layers(model)
    if tuple(model.input_shape[1:]) != data.train_inputs.shape[1:]:
        raise ConfigError(
            f"{where}: the model takes inputs of shape {model.input_shape[1:]}, "
            f"the data has {data.train_inputs.shape[1:]}"
        )
    if len(model.output_shape) != 2 or model.output_shape[1] < data.n_classes:
        raise ConfigError(
            f"{where}: the model's output has shape {model.output_shape[1:]}, "
            f"the labels go from 0 to {data.n_classes - 1}"
        )


def _train_and_keep(
    study: Study, builder: Builder, data: Data, quantisation: Quantisation, stem: Path
) -> TrainedNetwork:
    tensorflow()  # the start-up is paid once a process and is not training
    start = time.perf_counter()
    model = fit(study, builder, data, quantisation)
    network = network_from_keras(model, study.name, builder.input_type, study.hardware.backend)
    if quantisation.accumulator_bits:
        prove_accumulators(network, quantisation.accumulator_bits)
        network = narrowed(network)
        prove_accumulators(network)
    trained = TrainedNetwork(network, accuracy(network, data), time.perf_counter() - start, cached=False)
    network.save(stem.with_suffix(".npz"))
    # The description goes last and names the network: without it, or with another, nothing is kept.
    facts = {"network": network.digest, "accuracy_clean": trained.accuracy_clean, "seconds": trained.seconds}
    write_atomically(stem.with_suffix(".json"), json.dumps(facts) + "\n")
    return trained


def _load(stem: Path) -> TrainedNetwork | None:
    """What is kept under this name; None when it is absent or damaged, since it can be trained again."""
    try:
        facts = json.loads(stem.with_suffix(".json").read_text())
        network = Network.load(stem.with_suffix(".npz"))
        kept = TrainedNetwork(network, float(facts["accuracy_clean"]), float(facts["seconds"]), cached=True)
        return kept if facts["network"] == network.digest else None
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None
