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
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import ConfigError
from codesign.extras import require
from codesign.files import cache_folder, digest_of, locked, write_atomically
from codesign.network import Network, forward
from codesign.network.accumulators import narrowed, prove_accumulators
from codesign.notebook import html_table
from codesign.study import Study
from codesign.train.bound import bound_model
from codesign.train.builder import Builder, Data, Quantisation, load_builder
from codesign.train.convert import network_from_keras
from codesign.train.faulty import faulty_forward
from codesign.train.files import load
from codesign.train.headroom import add_headroom_cost
from codesign.train.recipe import Recipe, recipe_of, scratch_recipe
from codesign.train.start import WEIGHTS, Start, load_weights, packed
from codesign.train.supported import check_layers
from codesign.train.taken import check_taken, remarks, widths
from codesign.train.truncation import truncated

# Raise it when training itself changes, so that kept networks are not taken for new ones.
RECIPE = 3
_LIBRARIES = ("tensorflow", "keras", "qkeras", "hls4ml", "numpy", "scikit-learn")


@dataclass(frozen=True)
class TrainedNetwork:
    """`accuracy_clean` is that of the integer network on the whole test set; `seconds` what training took."""

    network: Network
    accuracy_clean: float
    seconds: float
    cached: bool

    def _repr_html_(self) -> str:
        of = self.network
        origin = "from the cache" if self.cached else f"trained in {self.seconds:.0f} s"
        head = ("network", "layers that compute", "accuracy without faults", "origin")
        row = (of.name, len(list(of.compute_layers())), f"{self.accuracy_clean:.4f}", origin)
        return html_table(f"trained network {of.digest[:8]}", head, [row])


def train(
    study: Study,
    weight_bits: int,
    activation_bits: int,
    accumulator_bits: int = 0,
    truncation: str = "builder",
    *,
    cache: Path | None = None,
) -> TrainedNetwork:
    """The network of a study at these widths, from the cache folder (default: the user's) or trained now.

    With `accumulator_bits` above 0 no neuron's sum can overflow so many bits, which is proven, and accumulators are
    as narrow as that proof allows. Raises ConfigError where a layer cannot be bound to so few.
    """
    builder = load_builder(study)
    data = builder.data()
    task = _Task(study, builder, data, cache or cache_folder() / "networks")
    asked = Quantisation(weight_bits, activation_bits, accumulator_bits, truncation)
    return _kept_or_trained(task, recipe_of(study, asked))


@dataclass(frozen=True)
class _Task:
    """What the networks of one study share."""

    study: Study
    builder: Builder
    data: Data
    folder: Path

    def stem(self, recipe: Recipe) -> Path:
        """Of the files that keep a network."""
        return self.folder / _key(self.study, recipe, self.data)


def _kept_or_trained(task: _Task, recipe: Recipe, *, weights: bool = False) -> TrainedNetwork:
    """From the folder, where with `weights` the Keras weights are kept too, or trained now."""
    stem = task.stem(recipe)

    def kept() -> TrainedNetwork | None:
        return _load(stem) if not weights or load_weights(stem.with_suffix(WEIGHTS)) is not None else None

    if found := kept():
        return found
    with locked(stem.with_suffix(".lock"), "CODESIGN_CACHE chooses another folder"):
        # Another process may have trained it while this one waited.
        return kept() or _train_and_keep(task, recipe, stem)


def network_key(study: Study, quantisation: Quantisation, data: Data) -> str:
    """SHA-256 of everything that decides the trained integers."""
    return _key(study, recipe_of(study, quantisation), data)


def _key(study: Study, recipe: Recipe, data: Data) -> str:
    require("train", f"the network of {study.path}", "saved networks (NPZ), projects and runs need nothing of it")
    content = {
        "recipe": RECIPE,
        "name": study.name,
        "seed": study.seed,
        "options": study.model.options,
        "train": asdict(recipe),
        "backend": study.hardware.backend,
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    given = () if study.model_source is None else (study.model_source,)
    return digest_of(json.dumps(content, sort_keys=True), study.builder_source, data.digest, *given)


def fit(study: Study, builder: Builder, data: Data, quantisation: Quantisation, start: Start | None = None) -> Any:
    """Build and train the Keras model: from the weights of `start`, or as a base network is. Not yet `finished`."""
    tf, recipe = tensorflow(), recipe_of(study, quantisation) if start else scratch_recipe(study, quantisation)
    tf.keras.backend.clear_session()
    with _seeded(study.seed):
        model = builder.model(quantisation)
        check_model(model, f"{builder.path}: build_model", data, logits=builder.loss is None)
        if start:
            start.begin(model, builder.path)
            if quantisation.truncation != "builder":
                model = truncated(model, start.network, data, quantisation.truncation)
        # Types are what they will be after the training; weights are not looked at.
        types = network_from_keras(model, study.name, builder.input_type, study.hardware.backend) if start else None
        _optimise(study, builder, data, model, types, recipe)
    return model


def finished(study: Study, builder: Builder, data: Data, model: Any) -> Any:
    """The trained model with what the builder adds to it that needs no training."""
    with _seeded(study.seed):
        found = builder.finish(model, data)
    check_model(found, f"{builder.path}: {'build_model' if found is model else 'finish'}", data)
    return found


def _optimise(study: Study, builder: Builder, data: Data, model: Any, types: Network | None, recipe: Recipe) -> None:
    tf = tensorflow()
    if types and recipe.protection_cost:
        add_headroom_cost(model, types, recipe.protection_cost)
    inputs, targets = builder.training_set(data)
    loss = builder.loss or tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate: Any = recipe.learning_rate
    if recipe.base:  # what is fine-tuned under a constraint settles on it
        rate = tf.keras.optimizers.schedules.CosineDecay(rate, recipe.epochs * -(-len(inputs) // recipe.batch_size))
    model.compile(tf.keras.optimizers.Adam(rate), loss)
    with _callbacks(model, types, recipe, study.seed) as callbacks:
        model.fit(
            inputs.astype(np.float32),
            targets,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            callbacks=callbacks,
            verbose=0,
        )
    if not all(np.all(np.isfinite(weights)) for weights in model.get_weights()):
        raise ConfigError(f"{study.path}: training diverged (weights are not finite); lower [train] learning_rate")


@contextmanager
def _callbacks(model: Any, types: Network | None, recipe: Recipe, seed: int) -> Iterator[list[Any]]:
    """What keeps the recipe during the training; `types` is the network of a model that is constrained."""
    found: list[Any] = []
    with ExitStack() as stack:
        if types and recipe.fault_ber:
            found.append(stack.enter_context(faulty_forward(model, types, recipe.fault_ber, seed, recipe.batch_size)))
        if types and recipe.quantisation.accumulator_bits:
            found.append(bound_model(model, types, recipe.quantisation.accumulator_bits))
        if recipe.patience:
            early = tensorflow().keras.callbacks.EarlyStopping
            found.append(early(monitor="loss", patience=recipe.patience, restore_best_weights=True))
        yield found


def accuracy(network: Network, data: Data) -> float:
    """Share of test samples whose largest logit is the label's (the first one, where several are largest)."""
    logits = forward(network, network.quantise_inputs(data.test_inputs))[-1]
    return float(np.mean(logits.argmax(axis=1) == data.test_labels))


@cache
def tensorflow() -> Any:
    """TensorFlow, set up once a process to be quiet and repeatable."""
    require("train", "a Keras model")
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
    """Seed every generator TensorFlow and a builder draw from, and give Python's and NumPy's state back.

    Keras 2.14 draws its seeds in a way that Python 3.11 deprecates; QKeras calls an initialiser again when its first
    draw quantises badly, and Keras warns of that. Neither is for the user to change.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002, what is global is the point
    tensorflow().keras.utils.set_random_seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="non-integer arguments to randrange", category=DeprecationWarning)
            warnings.filterwarnings("ignore", message="The initializer .* is unseeded", category=UserWarning)
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


def _train_and_keep(task: _Task, recipe: Recipe, stem: Path) -> TrainedNetwork:
    study = task.study
    if study.model_path is not None:
        return _taken(task, recipe.quantisation, stem)
    tensorflow()  # the start-up is paid once a process and is not training
    begin = _start(task, recipe.base) if recipe.base else None
    start = time.perf_counter()
    model = fit(study, task.builder, task.data, recipe.quantisation, begin)
    whole = finished(study, task.builder, task.data, model)
    network = network_from_keras(whole, study.name, task.builder.input_type, study.hardware.backend)
    if bits := recipe.quantisation.accumulator_bits:
        bounded = {layer.name for layer in model.layers}
        prove_accumulators(network, bits, bounded)
        network = narrowed(network)
        prove_accumulators(network, bits, bounded)
    if recipe.base is None:  # others may start from it
        write_atomically(stem.with_suffix(WEIGHTS), packed(model.get_weights()))
    return _keep(task, network, time.perf_counter() - start, stem)


@dataclass(frozen=True, eq=False)
class Taken:
    """A model that is taken as it is: its network and widths, and where that answers otherwise than Keras does."""

    network: Network
    data: Data
    quantisation: Quantisation
    accuracy_clean: float
    remarks: list[str]


def taken(study: Study) -> Taken:
    """The network of the study's model file, whatever widths the study says. Nothing is kept."""
    builder = load_builder(study)
    data = builder.data()
    model, network = _converted(study, builder, data)
    said = int(study.space.weight_bits.first)
    found = widths(network, Quantisation(said, said))
    return Taken(network, data, found, accuracy(network, data), remarks(model, network, data))


def _converted(study: Study, builder: Builder, data: Data) -> tuple[Any, Network]:
    model = load(study, builder.custom_objects)
    check_model(model, str(study.model_path), data)
    return model, network_from_keras(model, study.name, builder.input_type, study.hardware.backend)


def _taken(task: _Task, quantisation: Quantisation, stem: Path) -> TrainedNetwork:
    """The network of the study's model file."""
    study, start = task.study, time.perf_counter()
    model, network = _converted(study, task.builder, task.data)
    check_taken(study, model, network, task.data, quantisation)
    return _keep(task, network, time.perf_counter() - start, stem)


def _keep(task: _Task, network: Network, seconds: float, stem: Path) -> TrainedNetwork:
    trained = TrainedNetwork(network, accuracy(network, task.data), seconds, cached=False)
    network.save(stem.with_suffix(".npz"))
    # The description goes last and names the network: without it, or with another, nothing is kept.
    facts = {"network": network.digest, "accuracy_clean": trained.accuracy_clean, "seconds": trained.seconds}
    write_atomically(stem.with_suffix(".json"), json.dumps(facts) + "\n")
    return trained


def _start(task: _Task, base: Quantisation) -> Start:
    recipe = scratch_recipe(task.study, base)
    network = _kept_or_trained(task, recipe, weights=True).network
    weights = load_weights(task.stem(recipe).with_suffix(WEIGHTS))
    if weights is None:
        raise ConfigError(f"{task.folder}: the weights of the base network were removed during the training")
    return Start(network, weights)


def _load(stem: Path) -> TrainedNetwork | None:
    """What is kept under this name; None when it is absent or damaged, since it can be trained again."""
    try:
        facts = json.loads(stem.with_suffix(".json").read_text())
        network = Network.load(stem.with_suffix(".npz"))
        kept = TrainedNetwork(network, float(facts["accuracy_clean"]), float(facts["seconds"]), cached=True)
        return kept if facts["network"] == network.digest else None
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None
