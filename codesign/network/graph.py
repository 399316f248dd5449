"""The immutable network: layers in an order in which each finds its inputs, compared by digest."""

import hashlib
import io
import json
import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.errors import ConfigError
from codesign.files import write_atomically
from codesign.fixed import MAX_WIDTH, FixedPoint, Ints, quantise
from codesign.network.layer import INPUT, Kind, Layer, Parameter, Shape, Window
from codesign.network.passive import check_sources
from codesign.notebook import html_table

FORMAT = 2
# What NumPy's and the standard library's readers raise on damaged or foreign files.
UNREADABLE = (
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
# The network's input among the sources of a layer.
FROM_INPUT = -1


@dataclass(frozen=True, eq=False)
class Network:
    """Layers on an input of shape `input_shape`, by default the first layer's, of type `input_type`.

    A layer stands behind those that it takes its inputs from; the last one gives the logits.
    """

    name: str
    input_type: FixedPoint
    layers: tuple[Layer, ...]
    input_shape: Shape = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ConfigError(f"network '{self.name}' has no layers")
        object.__setattr__(self, "input_shape", tuple(self.input_shape) or self.layers[0].in_shapes[0])
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            raise ConfigError(f"network '{self.name}': two layers share a name: {names}")
        for index, layer in enumerate(self.layers):
            self._check_inputs(index, layer)
            if layer.protectable:
                self._check_range(index, layer)
            else:
                check_sources(layer, self.input_types(index))
        used = {source for sources in self._sources for source in sources}
        if idle := [x.name for i, x in enumerate(self.layers[:-1]) if i not in used]:
            raise ConfigError(f"network '{self.name}': nothing takes the output of {idle}; only the last layer may end")

    def _check_inputs(self, index: int, layer: Layer) -> None:
        for source, shape in zip(self.sources(index), layer.in_shapes, strict=True):
            before, given = self._origin(source)
            # One-dimensional layers take any shape of as many values, as a flattening costs nothing.
            if given != shape and not (len(shape) == 1 and math.prod(given) == shape[0]):
                raise ConfigError(
                    f"network '{self.name}': {before} gives {_size(given)}, '{layer.name}' takes {_size(shape)}"
                )

    def _origin(self, source: int) -> tuple[str, Shape]:
        if source == FROM_INPUT:
            return "the input", self.input_shape
        return f"'{self.layers[source].name}'", self.layers[source].out_shape

    def _check_range(self, index: int, layer: Layer) -> None:
        for source in self.input_types(index):
            frac = source.frac + (layer.w.type.frac if layer.has_weights else 0)
            width = source.width + (layer.w.type.width if layer.has_weights else 0)
            if width > 63 or not -62 <= layer.acc.frac - frac <= MAX_WIDTH:
                what = f"products of {source} and {layer.w.type}" if layer.has_weights else f"values of {source}"
                raise ConfigError(
                    f"network '{self.name}', layer '{layer.name}': {what}, added as {layer.acc}, "
                    "do not fit 64-bit integers"
                )

    @property
    def n_in(self) -> int:
        return math.prod(self.input_shape)

    @property
    def n_out(self) -> int:
        return self.layers[-1].n_out

    @cached_property
    def _sources(self) -> tuple[tuple[int, ...], ...]:
        place = {INPUT: FROM_INPUT}
        found = []
        for index, layer in enumerate(self.layers):
            for name in layer.inputs:
                if name not in place:
                    raise ConfigError(
                        f"network '{self.name}': layer '{layer.name}' takes '{name}', which is not before it"
                    )
            found.append(tuple(place[name] for name in layer.inputs) or (index - 1,))
            place[layer.name] = index
        return tuple(found)

    def sources(self, index: int) -> tuple[int, ...]:
        """Indices of the layers whose values enter layer `index`; FROM_INPUT is the network's input."""
        return self._sources[index]

    def input_types(self, index: int) -> tuple[FixedPoint, ...]:
        """Types of the values that enter layer `index`, one an input."""
        return tuple(self.layers[s].result if s != FROM_INPUT else self.input_type for s in self.sources(index))

    def input_of(self, index: int) -> FixedPoint:
        """Type of the values that enter layer `index` first."""
        return self.input_types(index)[0]

    def compute_layers(self) -> list[tuple[int, Layer]]:
        """Index and layer of all that can be protected."""
        return [(i, layer) for i, layer in enumerate(self.layers) if layer.protectable]

    def layer(self, name: str) -> Layer:
        """The layer of that name, or ConfigError that lists the names."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ConfigError(f"network '{self.name}' has no layer '{name}'; it has {[x.name for x in self.layers]}")

    def with_reuse(self, reuse_factor: int) -> "Network":
        """The same function with multipliers used up to so many times a pixel.

        Every layer takes the largest factor up to it that divides its fan-in, as hls4ml takes a valid one nearby.
        """
        if reuse_factor < 1:
            raise ConfigError(f"reuse factor {reuse_factor}: expected at least 1")
        layers = []
        for layer in self.layers:
            fitting = [r for r in range(1, reuse_factor + 1) if layer.has_weights and layer.fan_in % r == 0]
            layers.append(replace(layer, reuse_factor=max(fitting, default=1)))
        return replace(self, layers=tuple(layers))

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

    def _repr_html_(self) -> str:
        rows = [(x.name, x.kind, x.n_out, x.accumulator, x.result, x.reuse_factor) for x in self.layers]
        caption = f"{self.name}: {self.n_in} inputs of {self.input_type}"
        return html_table(caption, ("layer", "kind", "values", "accumulator", "result", "reuse factor"), rows)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides the outputs (names included)."""
        hashed = hashlib.sha256(json.dumps(_describe(self), sort_keys=True).encode())
        for _, _, parameter in _parameters(self):
            hashed.update(parameter.raw.tobytes())
        return hashed.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def to_bytes(self) -> bytes:
        """An NPZ file's content."""
        arrays: dict[str, NDArray[Any]] = {"meta": np.array(json.dumps(_describe(self)))}
        for index, name, parameter in _parameters(self):
            arrays[f"{name}{index}"] = parameter.raw
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "this") -> "Network":
        """What `to_bytes` gave. Raises ConfigError for anything else."""
        try:
            # From memory: NumPy leaves a damaged file open.
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                return _restore(json.loads(str(found["meta"])), {name: found[name] for name in found.files})
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        except UNREADABLE as error:
            raise ConfigError(f"{where} is not a network file ({error})") from None

    def save(self, path: Path) -> None:
        """Write an NPZ file, atomically."""
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> "Network":
        """Read what `save` wrote. Raises ConfigError for anything else."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ConfigError(f"no network file {path}") from None
        except OSError as error:
            raise ConfigError(f"{path} is not a network file ({error})") from None
        return cls.from_bytes(data, str(path))


def _size(shape: Shape) -> str:
    return f"{shape[0]} values" if len(shape) == 1 else f"shape {shape}"


def _parameters(network: Network) -> list[tuple[int, str, Parameter]]:
    """Every array of the network: its layer, its name in the file, and itself."""
    found = []
    for index, layer in enumerate(network.layers):
        tables = {f"t{n}_": table for n, table in enumerate(layer.tables)}
        for name, parameter in {"w": layer.weight, "b": layer.bias, **tables}.items():
            if parameter is not None:
                found.append((index, name, parameter))
    return found


def _describe(network: Network) -> dict[str, Any]:
    """Everything but the arrays, as JSON values; `_restore` reads it."""

    def text(of: FixedPoint | None) -> str | None:
        return None if of is None else str(of)

    def window(of: Window | None) -> list[Any] | None:
        return None if of is None else [of.in_shape, of.kernel, of.strides, of.pads]

    return {
        "format": FORMAT,
        "name": network.name,
        "input": str(network.input_type),
        "input_shape": network.input_shape,
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind.value,
                "in_shapes": layer.in_shapes,
                "out_shape": layer.out_shape,
                "result": str(layer.result),
                "inputs": layer.inputs,
                "weight": text(layer.weight.type if layer.weight else None),
                "bias": text(layer.bias.type if layer.bias else None),
                "accumulator": text(layer.accumulator),
                "window": window(layer.window),
                "reuse_factor": layer.reuse_factor,
                "settings": dict(layer.settings),
                "tables": [str(table.type) for table in layer.tables],
            }
            for layer in network.layers
        ],
    }


def _restore(meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Network:
    if meta.get("format") != FORMAT:
        raise ConfigError(f"network format {meta.get('format')}, this version reads {FORMAT}")
    layers = tuple(_restore_layer(entry, index, arrays) for index, entry in enumerate(meta["layers"]))
    return Network(meta["name"], FixedPoint.parse(meta["input"]), layers, _tuples(meta["input_shape"]))


def _restore_layer(entry: dict[str, Any], index: int, arrays: dict[str, NDArray[Any]]) -> Layer:
    def parameter(name: str, text: str | None) -> Parameter | None:
        return None if text is None else Parameter(arrays[f"{name}{index}"], FixedPoint.parse(text))

    if entry["kind"] not in [kind.value for kind in Kind]:
        raise ConfigError(f"layer '{entry['name']}' has unknown kind '{entry['kind']}'")
    accumulator = entry["accumulator"]
    tables = [parameter(f"t{n}_", text) for n, text in enumerate(entry["tables"])]
    return Layer(
        name=entry["name"],
        kind=Kind(entry["kind"]),
        in_shapes=_tuples(entry["in_shapes"]),
        out_shape=_tuples(entry["out_shape"]),
        result=FixedPoint.parse(entry["result"]),
        inputs=tuple(entry["inputs"]),
        weight=parameter("w", entry["weight"]),
        bias=parameter("b", entry["bias"]),
        accumulator=None if accumulator is None else FixedPoint.parse(accumulator),
        window=None if entry["window"] is None else Window(*_tuples(entry["window"])),
        reuse_factor=entry["reuse_factor"],
        settings=entry["settings"],
        tables=tuple(table for table in tables if table is not None),
    )


def _tuples(value: Any) -> Any:
    """Lists, however deep, as tuples."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
