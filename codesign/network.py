"""Immutable integer networks and their NumPy reference inference (the golden model).

Arrays hold raw integers (see `codesign.fixed`). A network is a chain of layers; every layer keeps the
exact types that hls4ml settled on, so nothing is guessed later. Networks are compared by digest.
"""

import hashlib
import io
import json
import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.errors import ConfigError
from codesign.files import write_atomically
from codesign.fixed import MAX_WIDTH, FixedPoint, Ints, Overflow, cast, quantise, rescale, wrap

FORMAT = 1
# What NumPy's and the standard library's readers raise on damaged or foreign files.
_UNREADABLE = (
    *(
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        ArithmeticError,
        MemoryError,
        RuntimeError,
    ),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
# hls4ml and C++ reserve these; a name outside the pattern would also end up in generated code.
_RESERVED = {"input", "output", "int", "float", "double", "const", "static", "template", "class", "namespace"}


class Kind(StrEnum):
    """Layer kinds; `DENSE` computes and can be protected, `RELU` only requantises."""

    DENSE = "dense"
    RELU = "relu"


def _frozen(values: ArrayLike) -> Ints:
    given = np.asarray(values)
    if given.dtype.kind not in "iu" or (given.size and given.max() > np.iinfo(np.int64).max):
        raise ConfigError(
            f"parameters are raw 64-bit integers, got {given.dtype}; `fixed.quantise` makes them of reals"
        )
    array = np.array(given, np.int64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Parameter:
    """Integer weights or biases and the type they are stored in."""

    raw: Ints
    type: FixedPoint

    def __post_init__(self) -> None:
        object.__setattr__(self, "raw", _frozen(self.raw))
        if self.raw.size and (self.raw.min() < self.type.min_raw or self.raw.max() > self.type.max_raw):
            raise ConfigError(f"a parameter holds {self.raw.min()}..{self.raw.max()}, outside {self.type}")


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer.

    Dense: `weight` has shape (n_in, n_out), `bias` (n_out,); each product and the bias are cast to
    `accumulator`, added there, and the sum is cast to `result`. ReLU: negative values become zero and
    the rest is cast to `result`.
    """

    name: str
    kind: Kind
    n_in: int
    n_out: int
    result: FixedPoint
    weight: Parameter | None = None
    bias: Parameter | None = None
    accumulator: FixedPoint | None = None

    @classmethod
    def dense(
        cls, name: str, weight: Parameter, bias: Parameter, accumulator: FixedPoint, result: FixedPoint | None = None
    ) -> "Layer":
        """A dense layer; without `result` the accumulator's type is passed on, as hls4ml does."""
        if weight.raw.ndim != 2:
            raise ConfigError(f"layer '{name}': dense weights have shape (n_in, n_out), got {weight.raw.shape}")
        n_in, n_out = weight.raw.shape
        return cls(name, Kind.DENSE, n_in, n_out, result or accumulator, weight, bias, accumulator)

    @classmethod
    def relu(cls, name: str, size: int, result: FixedPoint) -> "Layer":
        return cls(name, Kind.RELU, size, size, result)

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or not self.name.isascii() or self.name in _RESERVED:
            raise ConfigError(f"layer name '{self.name}' cannot stand in C++: use letters, digits and _")
        if self.n_in < 1 or self.n_out < 1:
            raise ConfigError(f"layer '{self.name}': at least one input and one output are needed")
        if self.kind is Kind.DENSE:
            self._check_dense()
        elif self.n_in != self.n_out:
            raise ConfigError(f"layer '{self.name}': a ReLU keeps its size, got {self.n_in} -> {self.n_out}")

    def _check_dense(self) -> None:
        if self.weight is None or self.bias is None or self.accumulator is None:
            raise ConfigError(f"layer '{self.name}': a dense layer needs weight, bias and accumulator")
        if self.weight.raw.shape != (self.n_in, self.n_out) or self.bias.raw.shape != (self.n_out,):
            raise ConfigError(
                f"layer '{self.name}': weight {self.weight.raw.shape} and bias {self.bias.raw.shape} "
                f"do not fit {self.n_in} inputs and {self.n_out} neurons"
            )
        if self.accumulator.overflow is not Overflow.WRAP:
            raise ConfigError(
                f"layer '{self.name}': accumulator {self.accumulator} saturates; only WRAP accumulators are supported"
            )

    @property
    def protectable(self) -> bool:
        return self.kind is Kind.DENSE

    # The three below are for dense layers, where __post_init__ has made sure that they exist.
    @property
    def w(self) -> Parameter:
        assert self.weight is not None
        return self.weight

    @property
    def b(self) -> Parameter:
        assert self.bias is not None
        return self.bias

    @property
    def acc(self) -> FixedPoint:
        assert self.accumulator is not None
        return self.accumulator


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of layers on an input vector of `layers[0].n_in` values of type `input_type`."""

    name: str
    input_type: FixedPoint
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ConfigError(f"network '{self.name}' has no layers")
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            raise ConfigError(f"network '{self.name}': two layers share a name: {names}")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.n_out != after.n_in:
                raise ConfigError(
                    f"network '{self.name}': '{before.name}' gives {before.n_out} values, "
                    f"'{after.name}' takes {after.n_in}"
                )
        for index, layer in self.compute_layers():
            self._check_products(layer, self.input_of(index))

    def _check_products(self, layer: Layer, source: FixedPoint) -> None:
        shift = layer.acc.frac - source.frac - layer.w.type.frac
        if source.width + layer.w.type.width > 63 or not -62 <= shift <= MAX_WIDTH:
            raise ConfigError(
                f"network '{self.name}', layer '{layer.name}': products of {source} and {layer.w.type}, "
                f"added as {layer.acc}, do not fit 64-bit integers"
            )

    @property
    def n_in(self) -> int:
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        return self.layers[-1].n_out

    def input_of(self, index: int) -> FixedPoint:
        """Type of the values that enter layer `index`."""
        return self.layers[index - 1].result if index else self.input_type

    def compute_layers(self) -> list[tuple[int, Layer]]:
        """Index and layer of all that can be protected."""
        return [(i, layer) for i, layer in enumerate(self.layers) if layer.protectable]

    def layer(self, name: str) -> Layer:
        """The layer of that name, or ConfigError that lists the names."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ConfigError(f"network '{self.name}' has no layer '{name}'; it has {[x.name for x in self.layers]}")

    def quantise_inputs(self, inputs: ArrayLike) -> Ints:
        """Shape (n_samples, n_in). Real inputs are quantised; integer arrays are taken as raw integers."""
        try:
            array = np.asarray(inputs)
        except ValueError:
            raise ConfigError(f"network '{self.name}': the inputs are samples of different shapes") from None
        array = array.reshape(len(array), math.prod(array.shape[1:])) if array.ndim > 1 else array
        if array.ndim != 2 or array.shape[1] != self.n_in:
            raise ConfigError(f"network '{self.name}' takes shape (n_samples, {self.n_in}), got {array.shape}")
        if array.dtype.kind not in "iuf":
            raise ConfigError(f"inputs must be numbers, got {array.dtype}")
        if array.dtype.kind == "f":
            return quantise(array, self.input_type)
        if array.size and (array.min() < self.input_type.min_raw or array.max() > self.input_type.max_raw):
            raise ConfigError(f"raw inputs {array.min()}..{array.max()} lie outside {self.input_type}")
        return array.astype(np.int64)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides the outputs (names included)."""
        hashed = hashlib.sha256(json.dumps(_describe(self), sort_keys=True).encode())
        for _, layer in self.compute_layers():
            hashed.update(layer.w.raw.tobytes())
            hashed.update(layer.b.raw.tobytes())
        return hashed.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def save(self, path: Path) -> None:
        """Write an NPZ file, atomically."""
        arrays: dict[str, NDArray[Any]] = {"meta": np.array(json.dumps(_describe(self)))}
        for index, layer in self.compute_layers():
            arrays[f"w{index}"] = layer.w.raw
            arrays[f"b{index}"] = layer.b.raw
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Network":
        """Read what `save` wrote. Raises ConfigError for anything else."""
        try:
            # From memory: NumPy leaves a damaged file open.
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
                return _restore(json.loads(str(data["meta"])), {name: data[name] for name in data.files})
        except FileNotFoundError:
            raise ConfigError(f"no network file {path}") from None
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except _UNREADABLE as error:
            raise ConfigError(f"{path} is not a network file ({error})") from None


def _describe(network: Network) -> dict[str, Any]:
    """Everything but the arrays, as JSON values; `_restore` reads it."""

    def text(of: FixedPoint | None) -> str | None:
        return None if of is None else str(of)

    return {
        "format": FORMAT,
        "name": network.name,
        "input": str(network.input_type),
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind.value,
                "shape": [layer.n_in, layer.n_out],
                "result": str(layer.result),
                "weight": text(layer.weight.type if layer.weight else None),
                "bias": text(layer.bias.type if layer.bias else None),
                "accumulator": text(layer.accumulator),
            }
            for layer in network.layers
        ],
    }


def _restore(meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Network:
    if meta.get("format") != FORMAT:
        raise ConfigError(f"network format {meta.get('format')}, this version reads {FORMAT}")
    layers = []
    for index, entry in enumerate(meta["layers"]):
        result = FixedPoint.parse(entry["result"])
        if entry["kind"] == Kind.RELU:
            layers.append(Layer.relu(entry["name"], entry["shape"][0], result))
            continue
        if entry["kind"] != Kind.DENSE:
            raise ConfigError(f"layer '{entry['name']}' has unknown kind '{entry['kind']}'")
        weight = Parameter(arrays[f"w{index}"], FixedPoint.parse(entry["weight"]))
        bias = Parameter(arrays[f"b{index}"], FixedPoint.parse(entry["bias"]))
        layers.append(Layer.dense(entry["name"], weight, bias, FixedPoint.parse(entry["accumulator"]), result))
    return Network(meta["name"], FixedPoint.parse(meta["input"]), tuple(layers))


def exact_matmul(left: Ints, right: Ints) -> Ints:
    """Integer matrix product modulo 2**64; by float64 BLAS where that is exact (sums below 2**53)."""
    bound = float(np.abs(left).max(initial=0)) * float(np.abs(right).max(initial=0)) * left.shape[-1]
    if bound < 2.0**53:
        product: Ints = (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
        return product
    return left @ right


def products_are_exact(layer: Layer, source: FixedPoint) -> bool:
    """True when casting a product to the accumulator drops no bits, so that sums may be regrouped."""
    return layer.acc.frac >= source.frac + layer.w.type.frac


def product_type(layer: Layer, source: FixedPoint) -> FixedPoint:
    """The multiplier's output: what C++ gives for the product of an input and a weight, nothing lost."""
    weight = layer.w.type
    return FixedPoint(source.width + weight.width, source.integer + weight.integer, source.signed or weight.signed)


def as_leaves(layer: Layer, source: FixedPoint, products: Ints) -> Ints:
    """Products, of any shape, cast to the accumulator type."""
    return rescale(products, source.frac + layer.w.type.frac, layer.acc)


def dense_sums(layer: Layer, source: FixedPoint, inputs: Ints, weights: Ints, biases: Ints) -> Ints:
    """Accumulator values after the last addition. Shapes: (n, n_in) x (n_in, n_out) -> (n, n_out)."""
    start = cast(biases, layer.b.type, layer.acc)
    if products_are_exact(layer, source):
        shift = layer.acc.frac - source.frac - layer.w.type.frac
        return wrap((exact_matmul(inputs, weights) << shift) + start, layer.acc)
    total = np.broadcast_to(start, (len(inputs), layer.n_out)).copy()
    for i in range(layer.n_in):
        total += as_leaves(layer, source, inputs[:, i, None] * weights[i])
    return wrap(total, layer.acc)


def finish(layer: Layer, source: FixedPoint, values: Ints) -> Ints:
    """Cast a dense layer's accumulators, or pass values through a ReLU; shape is kept."""
    if layer.kind is Kind.RELU:
        return cast(np.maximum(values, 0), source, layer.result)
    return cast(values, layer.acc, layer.result)


def forward(network: Network, raw_inputs: Ints) -> tuple[Ints, ...]:
    """Fault-free output of every layer, shapes (n_samples, layer.n_out); the last is the logits."""
    outputs = []
    values = raw_inputs
    for index, layer in enumerate(network.layers):
        source = network.input_of(index)
        if layer.kind is Kind.DENSE:
            values = dense_sums(layer, source, values, layer.w.raw, layer.b.raw)
        values = finish(layer, source, values)
        outputs.append(values)
    return tuple(outputs)


def adder_spans(n_in: int) -> Ints:
    """Which leaves each adder of a neuron's balanced tree sums, shape (n_in, 2): first, past the last.

    Leaves are the bias (0) and the products (1..n_in). A subtree of N leaves splits at the largest power
    of two below N. Adder k stands between leaf k and leaf k + 1: the one that brings product k in.
    """
    spans = np.zeros((n_in, 2), np.int64)
    pending = [(0, n_in + 1)]
    while pending:
        first, end = pending.pop()
        if end - first < 2:
            continue
        middle = first + (1 << ((end - first - 1).bit_length() - 1))
        spans[middle - 1] = first, end
        pending += [(first, middle), (middle, end)]
    return spans
