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
from codesign.study import Study
from codesign.train.builder import Builder, Data, Quantisation, load_builder
from codesign.train.convert import network_from_keras
from codesign.train.files import load
from codesign.train.supported import check_layers
from codesign.train.taken import check_taken

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


def train(study: Study, weight_bits: int, activation_bits: int, *, cache: Path | None = None) -> TrainedNetwork:
    """The network of a study at these widths, from the cache folder (default: the user's) or trained now."""
    builder = load_builder(study)
    data = builder.data()
    quantisation = Quantisation(weight_bits, activation_bits)
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
        "train": study.train.model_dump(mode="json") if study.train else None,
        "backend": study.hardware.backend,
        "quantisation": asdict(quantisation),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    given = () if study.model_source is None else (study.model_source,)
    return digest_of(json.dumps(content, sort_keys=True), study.builder_source, data.digest, *given)


def fit(study: Study, builder: Builder, data: Data, quantisation: Quantisation) -> Any:
    """Build and train the Keras model; the builder may add to it what needs no training."""
    tf, settings = tensorflow(), study.train
    assert settings is not None  # without it, the study names a trained model
    tf.keras.backend.clear_session()
    with _seeded(study.seed), warnings.catch_warnings():
        # Keras 2.14 draws its seeds in a way that Python 3.11 deprecates; QKeras calls an initialiser again
        # when its first draw quantises badly, and Keras warns of that. Neither is for the user to change.
        warnings.filterwarnings("ignore", message="non-integer arguments to randrange", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="The initializer .* is unseeded", category=UserWarning)
        model = builder.model(quantisation)
        where = f"{builder.path}: build_model"
        check_model(model, where, data, logits=builder.loss is None)
        inputs, targets = builder.training_set(data)
        loss = builder.loss or tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(tf.keras.optimizers.Adam(settings.learning_rate), loss)
        model.fit(inputs.astype(np.float32), targets, batch_size=settings.batch_size, epochs=settings.epochs, verbose=0)
        if not all(np.all(np.isfinite(weights)) for weights in model.get_weights()):
            raise ConfigError(f"{study.path}: training diverged (weights are not finite); lower [train] learning_rate")
        finished = builder.finish(model, data)
    check_model(finished, where if finished is model else f"{builder.path}: finish", data)
    return finished


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


def check_model(model: object, where: str, data: Data, *, logits: bool = True) -> None:
    """Raise ConfigError, beginning with `where`, for a model that cannot be carried over or does not fit the data."""
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
    if logits and (len(model.output_shape) != 2 or model.output_shape[1] < data.n_classes):
        raise ConfigError(
            f"{where}: the model's output has shape {model.output_shape[1:]}, "
            f"the labels go from 0 to {data.n_classes - 1}"
        )


def _train_and_keep(
    study: Study, builder: Builder, data: Data, quantisation: Quantisation, stem: Path
) -> TrainedNetwork:
    if study.model_path is None:
        tensorflow()  # the start-up is paid once a process and is not training
    start = time.perf_counter()
    if study.model_path is None:
        model = fit(study, builder, data, quantisation)
    else:
        model = load(study, builder.custom_objects)
        check_model(model, str(study.model_path), data)
    network = network_from_keras(model, study.name, builder.input_type, study.hardware.backend)
    if study.model_path is not None:
        check_taken(study, model, network, data, quantisation)
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
