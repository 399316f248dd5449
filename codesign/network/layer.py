"""One layer: its kind, shapes, integer parameters and exact types.

Tensors have shape (pixels..., channels), channels last; flat, a value stands at pixel * channels + channel.
Every layer that computes has one structure, the *unit*: for each channel a neuron that adds a bias and `fan_in`
products, at every pixel anew. It has `fan_in / reuse_factor` multipliers and takes `reuse_factor` passes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, Overflow
from codesign.network import rules
from codesign.network.kind import COMPUTING as COMPUTING
from codesign.network.kind import MERGING, WITH_WEIGHTS
from codesign.network.kind import WIRING as WIRING
from codesign.network.kind import Kind as Kind
from codesign.network.window import Padding as Padding
from codesign.network.window import Shape as Shape
from codesign.network.window import Window as Window

# The network's input, as a name among `Layer.inputs`.
INPUT = ""
# hls4ml and C++ reserve these; a name outside the pattern would also end up in generated code.
_RESERVED = {"input", "output", "int", "float", "double", "const", "static", "template", "class", "namespace"}


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
    """One layer; use the constructors below, which say what each kind takes.

    `inputs` names the layers whose values enter; empty stands for the layer before, INPUT for the network's
    input. Weights have shape (fan_in, neurons): a neuron's window row by row, channel by channel. Each product and
    the bias are cast to `accumulator`, added there, and the sum is cast to `result`.
    """

    name: str
    kind: Kind
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    result: FixedPoint
    inputs: tuple[str, ...] = ()
    weight: Parameter | None = None
    bias: Parameter | None = None
    accumulator: FixedPoint | None = None
    window: Window | None = None
    reuse_factor: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Parameter, ...] = ()

    # ---------------------------------------------------------------- layers that compute

    @classmethod
    def dense(
        cls,
        name: str,
        weight: Parameter,
        bias: Parameter,
        accumulator: FixedPoint,
        result: FixedPoint | None = None,
        *,
        inputs: tuple[str, ...] = (),
        reuse_factor: int = 1,
    ) -> "Layer":
        """`weight` (n_in, n_out), `bias` (n_out,); without `result` the accumulator's type is passed on."""
        if weight.raw.ndim != 2:
            raise ConfigError(f"layer '{name}': dense weights have shape (n_in, n_out), got {weight.raw.shape}")
        n_in, n_out = weight.raw.shape
        given = (inputs, weight, bias, accumulator)
        return cls(name, Kind.DENSE, ((n_in,),), (n_out,), result or accumulator, *given, reuse_factor=reuse_factor)

    @classmethod
    def conv(
        cls,
        name: str,
        shape: Shape,
        weight: Parameter,
        bias: Parameter,
        accumulator: FixedPoint,
        result: FixedPoint | None = None,
        *,
        strides: Shape | None = None,
        padding: Padding = "valid",
        inputs: tuple[str, ...] = (),
        reuse_factor: int = 1,
    ) -> "Layer":
        """A convolution over `shape` (length, channels) or (height, width, channels).

        `weight` has shape (*kernel, channels, neurons), `bias` (neurons,). A kernel of ones is a pointwise
        convolution, or a dense layer over the last axis.
        """
        if weight.raw.ndim != len(shape) + 1 or weight.raw.shape[-2] != shape[-1]:
            raise ConfigError(
                f"layer '{name}': weights of shape (*kernel, {shape[-1]}, neurons) are needed, got {weight.raw.shape}"
            )
        kernel, neurons = weight.raw.shape[:-2], weight.raw.shape[-1]
        window = Window.over(shape, kernel, strides or (1,) * len(kernel), padding)
        table = Parameter(weight.raw.reshape(-1, neurons), weight.type)
        out_shape = (*window.out_hw[3 - len(shape) :], neurons)
        given = (inputs, table, bias, accumulator, window, reuse_factor)
        return cls(name, Kind.CONV, (shape,), out_shape, result or accumulator, *given)

    @classmethod
    def depthwise(
        cls,
        name: str,
        shape: Shape,
        weight: Parameter,
        bias: Parameter,
        accumulator: FixedPoint,
        result: FixedPoint | None = None,
        *,
        strides: Shape | None = None,
        padding: Padding = "valid",
        inputs: tuple[str, ...] = (),
        reuse_factor: int = 1,
    ) -> "Layer":
        """A convolution of every channel with its own kernel: `weight` (*kernel, channels), `bias` (channels,)."""
        if weight.raw.ndim != len(shape) or weight.raw.shape[-1] != shape[-1]:
            raise ConfigError(f"layer '{name}': weights of shape (*kernel, {shape[-1]}) needed, got {weight.raw.shape}")
        kernel = weight.raw.shape[:-1]
        window = Window.over(shape, kernel, strides or (1,) * len(kernel), padding)
        table = Parameter(weight.raw.reshape(-1, shape[-1]), weight.type)
        out_shape = (*window.out_hw[3 - len(shape) :], shape[-1])
        given = (inputs, table, bias, accumulator, window, reuse_factor)
        return cls(name, Kind.DEPTHWISE, (shape,), out_shape, result or accumulator, *given)

    @classmethod
    def batchnorm(
        cls,
        name: str,
        shape: Shape,
        scale: Parameter,
        shift: Parameter,
        accumulator: FixedPoint,
        result: FixedPoint | None = None,
        *,
        inputs: tuple[str, ...] = (),
    ) -> "Layer":
        """Every channel times its `scale` plus its `shift`, both of shape (channels,)."""
        table = Parameter(scale.raw.reshape(1, -1), scale.type)
        given = (inputs, table, shift, accumulator)
        return cls(name, Kind.BATCHNORM, (shape,), shape, result or accumulator, *given)

    @classmethod
    def add(
        cls,
        name: str,
        shape: Shape,
        accumulator: FixedPoint,
        result: FixedPoint | None = None,
        *,
        inputs: tuple[str, ...],
    ) -> "Layer":
        """The sum of two tensors of the same shape."""
        return cls(name, Kind.ADD, (shape, shape), shape, result or accumulator, inputs, accumulator=accumulator)

    # ---------------------------------------------------------------- layers that do not

    @classmethod
    def relu(cls, name: str, size: int | Shape, result: FixedPoint, *, inputs: tuple[str, ...] = ()) -> "Layer":
        """Negative values become zero, the rest is cast to `result`."""
        shape = (size,) if isinstance(size, int) else size
        return cls(name, Kind.RELU, (shape,), shape, result, inputs)

    @classmethod
    def activation(
        cls,
        name: str,
        shape: Shape,
        function: str,
        result: FixedPoint,
        *,
        tables: tuple[Parameter, ...] = (),
        inputs: tuple[str, ...] = (),
    ) -> "Layer":
        """One of `rules.TABLES_OF` on every value; "linear" only casts. See there for the `tables` that each takes."""
        return cls(
            name, Kind.ACTIVATION, (shape,), shape, result, inputs, settings={"function": function}, tables=tables
        )

    @classmethod
    def max_pool(
        cls,
        name: str,
        shape: Shape,
        kernel: Shape | None,
        result: FixedPoint,
        *,
        strides: Shape | None = None,
        padding: Padding = "valid",
        inputs: tuple[str, ...] = (),
    ) -> "Layer":
        """The largest value under each window, by default windows side by side; `kernel` None is the whole image."""
        window = Window.over(shape, kernel or shape[:-1], strides or kernel or shape[:-1], padding)
        settings = {"global": kernel is None}
        out = rules.windowed(shape, window, whole=kernel is None)
        return cls(name, Kind.MAX_POOL, (shape,), out, result, inputs, window=window, settings=settings)

    @classmethod
    def average_pool(
        cls,
        name: str,
        shape: Shape,
        kernel: Shape | None,
        accumulator: FixedPoint,
        result: FixedPoint,
        *,
        strides: Shape | None = None,
        padding: Padding = "valid",
        inputs: tuple[str, ...] = (),
    ) -> "Layer":
        """The mean of each window's pixels that lie in the image, rounded towards zero in `accumulator`."""
        window = Window.over(shape, kernel or shape[:-1], strides or kernel or shape[:-1], padding)
        settings = {"global": kernel is None}
        out = rules.windowed(shape, window, whole=kernel is None)
        given = {"accumulator": accumulator, "window": window, "settings": settings}
        return cls(name, Kind.AVERAGE_POOL, (shape,), out, result, inputs, **given)  # type: ignore[arg-type]

    @classmethod
    def softmax(
        cls,
        name: str,
        size: int,
        implementation: str,
        tables: tuple[Parameter, Parameter],
        accumulator: FixedPoint,
        inverse_input: FixedPoint,
        result: FixedPoint,
        *,
        norm: FixedPoint | None = None,
        inputs: tuple[str, ...] = (),
    ) -> "Layer":
        """hls4ml's "stable" or "latency" softmax by tables of exponentials and of inverses.

        "stable" looks up the distance from the largest value, cast to `norm`; "latency" the value itself. The
        exponentials are added in `accumulator`; the sum, cast to `inverse_input`, finds the inverse.
        """
        types = {"inverse_input_type": str(inverse_input), "norm_type": str(norm) if norm else None}
        settings = {"implementation": implementation, **types}
        given = {"accumulator": accumulator, "settings": settings, "tables": tables}
        return cls(name, Kind.SOFTMAX, ((size,),), (size,), result, inputs, **given)  # type: ignore[arg-type]

    @classmethod
    def argmax(cls, name: str, size: int, result: FixedPoint, *, inputs: tuple[str, ...] = ()) -> "Layer":
        """One at the first of the largest values, zero elsewhere."""
        return cls(name, Kind.ARGMAX, ((size,),), (size,), result, inputs)

    @classmethod
    def concatenate(
        cls, name: str, shapes: tuple[Shape, Shape], result: FixedPoint, *, inputs: tuple[str, ...], axis: int = -1
    ) -> "Layer":
        """Two tensors side by side along `axis`, each cast to `result`."""
        axis = axis % max(len(shapes[0]), 1)
        out = rules.joined(name, shapes, axis)
        return cls(name, Kind.CONCATENATE, shapes, out, result, inputs, settings={"axis": axis})

    @classmethod
    def reshape(
        cls, name: str, shape: Shape, out_shape: Shape, result: FixedPoint, *, inputs: tuple[str, ...] = ()
    ) -> "Layer":
        """The same values in another shape, such as a flat one; `result` is the type that enters."""
        return cls(name, Kind.RESHAPE, (shape,), out_shape, result, inputs)

    @classmethod
    def pad(
        cls,
        name: str,
        shape: Shape,
        pads: tuple[tuple[int, int], ...],
        result: FixedPoint,
        *,
        inputs: tuple[str, ...] = (),
    ) -> "Layer":
        """Zeros around an image; `pads` are (before, after) of each axis but the channels."""
        ones = (1,) * (len(shape) - 1)
        window = Window.over(shape, ones, ones, pads)
        return cls(name, Kind.PAD, (shape,), rules.windowed(shape, window), result, inputs, window=window)

    @classmethod
    def upsample(
        cls, name: str, shape: Shape, factors: Shape, result: FixedPoint, *, inputs: tuple[str, ...] = ()
    ) -> "Layer":
        """Every pixel repeated, `factors` times along each axis but the channels; `result` is the type that enters."""
        out = rules.enlarged(name, shape, factors)
        return cls(name, Kind.UPSAMPLE, (shape,), out, result, inputs, settings={"factors": list(factors)})

    # ---------------------------------------------------------------- checks

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "settings", dict(self.settings))
        if not self.name.isidentifier() or not self.name.isascii() or self.name in _RESERVED:
            raise ConfigError(f"layer name '{self.name}' cannot stand in C++: use letters, digits and _")
        if min((size for shape in (*self.in_shapes, self.out_shape) for size in shape), default=0) < 1:
            raise ConfigError(f"layer '{self.name}': at least one input and one output are needed")
        if self.window:
            self.window.check(self.name)
        if self.protectable:
            self._check_unit()
        else:
            rules.check(self)
        if self.inputs and len(self.inputs) != len(self.in_shapes):
            raise ConfigError(
                f"layer '{self.name}' ({self.kind}) takes {len(self.in_shapes)} inputs, got {self.inputs}"
            )
        if self.kind in MERGING and not self.inputs:
            raise ConfigError(f"layer '{self.name}' ({self.kind}) needs the names of its two inputs")

    def _check_unit(self) -> None:
        if self.accumulator is None or (self.kind in WITH_WEIGHTS and (self.weight is None or self.bias is None)):
            raise ConfigError(f"layer '{self.name}': a {self.kind} layer needs weight, bias and accumulator")
        slides = self.kind in (Kind.CONV, Kind.DEPTHWISE)
        if slides != (self.window is not None):
            raise ConfigError(f"layer '{self.name}': a {self.kind} layer has {'a' if slides else 'no'} window")
        if self.pixels != (math.prod(self.window.out_hw) if self.window else math.prod(self.in_shapes[0][:-1])):
            raise ConfigError(
                f"layer '{self.name}': a {self.kind} layer cannot make {self.out_shape} of {self.in_shapes}"
            )
        if self.kind in WITH_WEIGHTS and (
            self.w.raw.shape != (self.fan_in, self.neurons) or self.b.raw.shape != (self.neurons,)
        ):
            raise ConfigError(
                f"layer '{self.name}': weight {self.w.raw.shape} and bias {self.b.raw.shape} "
                f"do not fit {self.fan_in} inputs and {self.neurons} neurons"
            )
        if self.reuse_factor < 1 or self.fan_in % self.reuse_factor:
            fitting = [r for r in range(1, self.fan_in + 1) if self.fan_in % r == 0]
            raise ConfigError(
                f"layer '{self.name}': reuse factor {self.reuse_factor} does not divide the {self.fan_in} products of "
                f"a neuron; choose from {fitting}"
            )

    # ---------------------------------------------------------------- shape of the unit

    @property
    def protectable(self) -> bool:
        return self.kind in COMPUTING

    @property
    def has_weights(self) -> bool:
        return self.kind in WITH_WEIGHTS

    @property
    def per_channel(self) -> bool:
        """Each neuron sees its own channel only."""
        return self.kind in (Kind.DEPTHWISE, Kind.BATCHNORM, Kind.ADD)

    @property
    def has_registers(self) -> bool:
        """Its outputs are stored; wiring only moves them."""
        return self.kind not in WIRING

    @property
    def n_in(self) -> int:
        """Values that enter, all inputs together."""
        return sum(math.prod(shape) for shape in self.in_shapes)

    @property
    def n_out(self) -> int:
        """Values that leave: pixels times neurons."""
        return math.prod(self.out_shape)

    @property
    def neurons(self) -> int:
        """Channels of the output; each is one neuron, used for every pixel."""
        return self.out_shape[-1]

    @property
    def pixels(self) -> int:
        return self.n_out // self.neurons

    @property
    def fan_in(self) -> int:
        """Products of a neuron at one pixel (of an addition: operands beside the first)."""
        if self.kind in (Kind.BATCHNORM, Kind.ADD):
            return 1
        if self.window is None:
            return self.n_in
        return math.prod(self.window.kernel) * (1 if self.per_channel else self.window.in_shape[2])

    @property
    def per_pass(self) -> int:
        """Multipliers of a neuron, and its adders."""
        return self.fan_in // self.reuse_factor

    @property
    def steps(self) -> int:
        """How often a multiplier or an adder is used in one sample."""
        return self.pixels * self.reuse_factor

    @property
    def saturates(self) -> bool:
        """The sum is brought into range after every addition, so the additions form a chain."""
        return self.acc.overflow is not Overflow.WRAP

    # The three below are for layers where _check_unit has made sure that they exist.
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
