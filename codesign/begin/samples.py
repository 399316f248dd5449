"""Samples from an NPZ file: which of its arrays are what, and the fixed-point type that holds the inputs."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network.graph import UNREADABLE

# Names of inputs and labels: of a set that has to be divided, or of two sets.
WHOLE = (("inputs", "labels"), ("x", "y"), ("X", "y"))
DIVIDED = (
    ("train_inputs", "train_labels", "test_inputs", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
)
# Inputs that need no more bits than that are taken as they are.
_EXACT_BITS = 16
_EXACT_FRACTIONS = 24


@dataclass(frozen=True, eq=False)
class Samples:
    """`names` are the arrays of the file that are used, inputs and labels in turn; `inputs` all of its inputs."""

    names: tuple[str, ...]
    inputs: NDArray[np.float64]

    @property
    def divided(self) -> bool:
        """Whether the file says which samples are for training and which for the test."""
        return len(self.names) == 4

    @classmethod
    def read(cls, path: Path) -> "Samples":
        """Raises ConfigError for what is no NPZ file, or lacks the arrays."""
        try:
            # NumPy leaves a file that is no archive open when it opened it itself.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                if not isinstance(file, np.lib.npyio.NpzFile):
                    raise ValueError("it holds one array without a name")
                names = _chosen(path, file.files)
                parts = [_numbers(path, name, file[name]) for name in names[::2]]
        except FileNotFoundError:
            raise ConfigError(f"no data file {path}") from None
        except UNREADABLE as error:
            raise ConfigError(f"{path} is no NPZ file of arrays, as numpy.savez writes them: {error}") from None
        if len({part.shape[1:] for part in parts}) > 1:
            raise ConfigError(f"{path}: '{names[0]}' and '{names[2]}' hold inputs of different shapes")
        return cls(names, np.concatenate(parts))

    def input_type(self, bits: int) -> FixedPoint:
        """The smallest type that holds every input exactly, or one of so many bits that holds their range."""
        return exact_type(self.inputs) or covering_type(self.inputs, bits)


def _chosen(path: Path, there: list[str]) -> tuple[str, ...]:
    for names in (*DIVIDED, *WHOLE):
        if set(names) <= set(there):
            return names
    known = "; ".join(", ".join(names) for names in (DIVIDED[0], DIVIDED[1], WHOLE[0]))
    raise ConfigError(f"{path} has the arrays {', '.join(there) or '(none)'}, expected one of these sets: {known}")


def _numbers(path: Path, name: str, given: NDArray[Any]) -> NDArray[np.float64]:
    if given.dtype.kind not in "biuf" or given.ndim < 2 or not given.size:
        raise ConfigError(
            f"{path}: '{name}' is {given.dtype} of shape {given.shape}, expected numbers of shape (n_samples, ...)"
        )
    values = given.astype(np.float64)
    if not np.isfinite(values).all():
        raise ConfigError(f"{path}: '{name}' holds NaN or infinite values")
    return values


def exact_type(values: NDArray[np.float64]) -> FixedPoint | None:
    """The narrowest type in which all values are exact; None if it would have more than 16 bits."""
    for frac in range(-_EXACT_FRACTIONS, _EXACT_FRACTIONS + 1):
        raw = np.ldexp(values, frac)
        if np.array_equal(raw, np.floor(raw)):
            return _of_range(int(raw.min()), int(raw.max()), frac)
    return None


def covering_type(values: NDArray[np.float64], bits: int) -> FixedPoint:
    """Of so many bits, with as fine a step as the range allows; rounds to the nearest and saturates."""
    low, high = float(values.min()), float(values.max())
    signed = low < 0
    integer = (math.frexp(max(high, -low))[1] if high > low or high else 1) + signed
    integer = max(integer, bits - _EXACT_FRACTIONS)  # as fine a step as single precision has near one
    return FixedPoint(bits, integer, signed, Rounding.RND, Overflow.SAT)


def _of_range(low: int, high: int, frac: int) -> FixedPoint | None:
    signed = low < 0
    width = max(max(high, 0).bit_length(), (-low - 1).bit_length() if signed else 0) + signed
    width = max(width, 1)
    return FixedPoint(width, width - frac, signed) if width <= _EXACT_BITS else None
