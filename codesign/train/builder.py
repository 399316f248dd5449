"""The user's builder file: loaded, run and checked, so that its faults become one clear line.

A builder is a Python file with

- ``INPUT_TYPE``: fixed-point type of the inputs, such as ``"ufixed<5,1>"``; every input must be exact in it;
- ``load_data(options)`` -> train inputs, train labels, test inputs, test labels (NumPy arrays; inputs of
  shape (n_samples, ...), labels whole numbers of shape (n_samples,));
- ``build_model(quantisation, options)`` -> an uncompiled Keras model that ends in logits; not needed where the study
  takes a trained model from a file.

For a model that is not trained to give the labels, such as an autoencoder, a builder also has

- ``LOSS``: a loss of Keras by its name, such as ``"mse"``;
- ``training_set(inputs, labels, options)`` -> of the train set, the inputs to train on and their targets;
- ``finish(model, inputs, labels, options)`` -> the trained model with what turns its output into logits, such as a
  score and a threshold; inputs and labels are the train set.

Beside a model with code of its own, which the study has to allow, stands ``CUSTOM_OBJECTS``: classes and functions by
name.

`options` is the study's ``[model.options]``. A builder may read other files; of those, only what comes
out as data is part of a network's digest.
"""

import contextlib
import copy
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.extras import extra_of
from codesign.files import digest_of
from codesign.fixed import FixedPoint, quantise, to_real
from codesign.notebook import html_table
from codesign.study import Study

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
T = TypeVar("T")

_PARTS = ("train inputs", "train labels", "test inputs", "test labels")


@dataclass(frozen=True)
class Quantisation:
    """What the design space decides about a model's widths; handed to the builder.

    A builder has to heed the first two; the others are put on the model that it built.
    """

    weight_bits: int
    activation_bits: int
    accumulator_bits: int = 0
    truncation: str = "builder"

    @property
    def is_constrained(self) -> bool:
        """More is asked than the builder does."""
        return self.accumulator_bits > 0 or self.truncation != "builder"


@dataclass(frozen=True, eq=False)
class Data:
    """Inputs of shape (n_samples, ...), exact in `input_type`; labels of shape (n_samples,), from 0. Read-only."""

    train_inputs: Floats
    train_labels: Labels
    test_inputs: Floats
    test_labels: Labels
    input_type: FixedPoint

    def _repr_html_(self) -> str:
        sets = {"train": (self.train_inputs, self.train_labels), "test": (self.test_inputs, self.test_labels)}
        rows = [(name, len(x), "x".join(map(str, x.shape[1:])), len(np.unique(y))) for name, (x, y) in sets.items()]
        return html_table(f"data, inputs {self.input_type}", ("set", "samples", "shape", "classes"), rows)

    @property
    def n_classes(self) -> int:
        """One more than the largest label of the training set."""
        return int(self.train_labels.max()) + 1

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all arrays, their shapes and the input type."""
        arrays = (self.train_inputs, self.train_labels, self.test_inputs, self.test_labels)
        shapes = str([array.shape for array in arrays])
        return digest_of(str(self.input_type), shapes, *(array.tobytes() for array in arrays))


@dataclass(frozen=True)
class Builder:
    """A loaded builder file; its functions run guarded."""

    path: Path
    input_type: FixedPoint
    options: dict[str, Any]
    module: ModuleType

    def data(self) -> Data:
        """Run ``load_data`` and check what it gave."""
        given = self._call("load_data", self._options())
        if not isinstance(given, tuple) or len(given) != len(_PARTS):
            raise ConfigError(f"{self.path}: load_data gave {_kind(given)}, expected a tuple of {', '.join(_PARTS)}")
        for what, array in zip(_PARTS, given, strict=True):
            if not isinstance(array, np.ndarray):
                raise ConfigError(f"{self.path}: load_data: {what} are a {_kind(array)}, expected a NumPy array")
        train_inputs, test_inputs = self._inputs(_PARTS[0], given[0]), self._inputs(_PARTS[2], given[2])
        if train_inputs.shape[1:] != test_inputs.shape[1:]:
            raise ConfigError(
                f"{self.path}: load_data: a train input has shape {train_inputs.shape[1:]}, "
                f"a test input {test_inputs.shape[1:]}"
            )
        train_labels = self._labels(_PARTS[1], given[1], len(train_inputs))
        test_labels = self._labels(_PARTS[3], given[3], len(test_inputs))
        self._check_classes(train_labels, test_labels)
        return Data(train_inputs, train_labels, test_inputs, test_labels, self.input_type)

    def model(self, quantisation: Quantisation) -> Any:
        """Run ``build_model``; the caller checks the model."""
        return self._call("build_model", quantisation, self._options())

    def training_set(self, data: Data) -> tuple[Floats, NDArray[Any]]:
        """What the model is trained on: inputs, and as targets the labels unless the builder says others."""
        if not hasattr(self.module, "training_set"):
            return data.train_inputs, data.train_labels
        given = self._call("training_set", data.train_inputs, data.train_labels, self._options())
        where = f"{self.path}: training_set"
        if not isinstance(given, tuple) or len(given) != 2 or not all(isinstance(part, np.ndarray) for part in given):
            raise ConfigError(f"{where} gave {_kind(given)}, expected a tuple of inputs and targets, NumPy arrays")
        inputs, targets = given
        if not len(inputs) or inputs.shape[1:] != data.train_inputs.shape[1:] or len(inputs) != len(targets):
            raise ConfigError(
                f"{where} gave inputs of shape {inputs.shape} and targets of {targets.shape}, expected inputs of shape "
                f"(n, {str(data.train_inputs.shape[1:])[1:-1].rstrip(',')}) and as many targets"
            )
        if targets.dtype.kind not in "iuf" or not np.isfinite(targets).all():
            raise ConfigError(f"{where}: targets are {targets.dtype}, expected finite numbers")
        return inputs, targets

    @property
    def loss(self) -> str | None:
        """The builder's own loss; None for cross-entropy with the labels."""
        given = getattr(self.module, "LOSS", None)
        if given is not None and not isinstance(given, str):
            raise ConfigError(f"{self.path}: LOSS is {given!r}, expected the name of a loss of Keras such as 'mse'")
        return given

    @property
    def custom_objects(self) -> dict[str, Any]:
        """What a model file's own code is found by."""
        given = getattr(self.module, "CUSTOM_OBJECTS", {})
        if not isinstance(given, dict):
            raise ConfigError(f"{self.path}: CUSTOM_OBJECTS is {_kind(given)}, expected classes and functions by name")
        return given

    def finish(self, model: Any, data: Data) -> Any:
        """The trained model as it is protected; the caller checks it."""
        if not hasattr(self.module, "finish"):
            return model
        return self._call("finish", model, data.train_inputs, data.train_labels, self._options())

    def _options(self) -> dict[str, Any]:
        return copy.deepcopy(self.options)  # a builder that changes its options must not change the study

    def _call(self, name: str, *arguments: object) -> Any:
        return _guard(self.path, name, lambda: getattr(self.module, name)(*arguments))

    def _inputs(self, what: str, array: NDArray[Any]) -> Floats:
        where = f"{self.path}: load_data: {what}"
        if array.ndim < 2 or array.size == 0:
            raise ConfigError(f"{where} have shape {array.shape}, expected (n_samples, ...) and not empty")
        if array.dtype.kind not in "iuf":
            raise ConfigError(f"{where} are {array.dtype}, expected numbers")
        values = array.astype(np.float64)
        broken = np.argwhere(~np.isfinite(values))
        if len(broken):
            raise ConfigError(f"{where} hold {len(broken)} NaN or infinite values, first in {broken[0].tolist()}")
        exact = to_real(quantise(values, self.input_type), self.input_type)
        if not np.array_equal(exact, values):
            wrong = float(values[exact != values][0])
            raise ConfigError(f"{where}: {wrong!r} is not exact in INPUT_TYPE {self.input_type}; quantise in load_data")
        return _read_only(values)

    def _labels(self, what: str, array: NDArray[Any], samples: int) -> Labels:
        where = f"{self.path}: load_data: {what}"
        if array.shape != (samples,):
            raise ConfigError(f"{where} have shape {array.shape}, expected ({samples},), one for each input")
        if array.dtype.kind not in "iu":
            raise ConfigError(f"{where} are {array.dtype}, expected whole numbers")
        if array.min() < 0:
            raise ConfigError(f"{where}: found {array.min()}, expected classes from 0")
        return _read_only(array.astype(np.int64))

    def _check_classes(self, train: Labels, test: Labels) -> None:
        if len(np.unique(train)) < 2:
            raise ConfigError(f"{self.path}: load_data: train labels hold only class {train[0]}, expected at least two")
        if test.max() > train.max():
            raise ConfigError(
                f"{self.path}: load_data: test labels go up to {test.max()}, train labels only to {train.max()}"
            )


def load_builder(study: Study) -> Builder:
    """Run the builder file of a study (the bytes that its digest counts) and check what it defines."""
    path = study.builder_path
    # A name for each content: two studies in one process never share a module.
    module = ModuleType(f"codesign_builder_{digest_of(str(path.resolve()), study.builder_source)[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses in the builder look their module up
    code = _guard(path, "the builder", lambda: compile(study.builder_source, str(path), "exec"))
    _guard(path, "the builder", lambda: exec(code, module.__dict__))  # noqa: S102, the user's own code is what a builder is
    for name in ("load_data",) if study.model.file else ("load_data", "build_model"):
        if not callable(getattr(module, name, None)):
            raise ConfigError(f"{path}: no function {name}(...), which every builder defines")
    declared = getattr(module, "INPUT_TYPE", None)
    if not isinstance(declared, str):
        raise ConfigError(f"{path}: INPUT_TYPE is {declared!r}, expected a fixed-point type such as 'ufixed<8,1>'")
    try:
        return Builder(path, FixedPoint.parse(declared), study.model.options, module)
    except ConfigError as error:
        raise ConfigError(f"{path}: INPUT_TYPE: {error}") from None


def data(study: Study) -> Data:
    """The study's data, checked. Loads no TensorFlow unless the builder file itself does."""
    return load_builder(study).data()


def _guard(path: Path, what: str, call: Callable[[], T]) -> T:
    """Run the user's code. Whatever it raises is about that file: say which line and what."""
    try:
        # Standard output is for results; what the user's code prints is shown as progress is.
        with contextlib.redirect_stdout(sys.stderr):
            return call()
    except (Exception, SystemExit) as error:  # user code may raise anything, and may call sys.exit
        reason = " ".join(str(error).split())[:300]
        line = _line_in(path, error)
        place = f"{path}:{line}" if line else str(path)
        if isinstance(error, ModuleNotFoundError) and (extra := extra_of(error.name)):
            raise ConfigError(f"{place}: {what} needs {error.name}, which is not installed: {extra.command}") from error
        raise ConfigError(f"{place}: {what} raised {type(error).__name__}: {reason}") from error


def _line_in(path: Path, error: BaseException) -> int | None:
    """The deepest line of the builder file on the way to the error."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _kind(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, tuple | list | dict) else ""
    return f"{type(value).__name__}{size}"


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
