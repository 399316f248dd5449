"""From the nodes of hls4ml's ModelGraph to the layers of a Network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, quantise, to_real
from codesign.network import INPUT, Layer, Network, Parameter, Shape
from codesign.network.passive import check_sources
from codesign.network.tables import SPANS, activation_table, exponential_table, inverse_table


@dataclass(frozen=True)
class _Node:
    """A node of the graph, and of each tensor that enters it the Network's layer, its shape and its type."""

    hls: Any
    inputs: tuple[str, ...]
    shapes: tuple[Shape, ...]
    sources: tuple[FixedPoint, ...]

    @property
    def name(self) -> str:
        return str(self.hls.name)

    def get(self, attribute: str, default: Any = None) -> Any:
        return self.hls.get_attr(attribute, default)

    def type(self, name: str) -> FixedPoint:
        return precision(self.hls, name)

    @property
    def result(self) -> FixedPoint:
        return self.type("result_t")

    @property
    def axes(self) -> tuple[str, ...]:
        return ("width",) if self.hls.class_name.endswith("1D") else ("height", "width")

    def pair(self, what: str) -> Shape:
        """Such as ("stride_height", "stride_width")."""
        return tuple(int(self.get(f"{what}_{axis}")) for axis in self.axes)

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        sides = {"width": ("pad_left", "pad_right"), "height": ("pad_top", "pad_bottom")}
        return tuple(
            (int(self.get(before)), int(self.get(after))) for before, after in map(sides.__getitem__, self.axes)
        )

    @property
    def reuse_factor(self) -> int:
        if self.get("strategy", "latency") != "latency":
            raise ConfigError(f"layer '{self.name}': strategy {self.get('strategy')}, expected Latency")
        return int(self.get("reuse_factor", 1))

    def parameter(self, name: str) -> Parameter:
        to, values = self.type(f"{name}_t"), np.asarray(self.hls.weights[name].data, np.float64)
        return Parameter(_exact(values, to, f"layer '{self.name}': {name}"), to)

    def number(self, attribute: str, type_name: str) -> Parameter:
        """A constant that hls4ml writes as a literal and C++ casts."""
        to = self.type(type_name)
        return Parameter(quantise([float(self.get(attribute))], to), to)


def network_from_graph(graph: Any, name: str, input_type: FixedPoint) -> Network:
    """Read a ModelGraph in io_parallel; layers that change nothing are left out."""
    layers: list[Layer] = []
    # What each tensor of the graph is in the Network: the layer that makes it, its shape and its type.
    known: dict[str, tuple[str, Shape, FixedPoint]] = {}
    for node in graph.get_layers():
        if node.class_name == "Input":
            known[node.outputs[0]] = (INPUT, _shape(node.get_output_variable()), _input_type(node, input_type))
            continue
        missing = [tensor for tensor in node.inputs if tensor not in known]
        if missing:
            raise ConfigError(f"layer '{node.name}' takes {missing}, which no layer before it makes")
        names, shapes, sources = zip(*(known[tensor] for tensor in node.inputs), strict=True)
        if _is_idle(node, sources[0]):
            known[node.outputs[0]] = known[node.inputs[0]]
            continue
        layer = _layer(_Node(node, names, shapes, sources))
        layers.append(layer)
        known[node.outputs[0]] = (layer.name, layer.out_shape, layer.result)
    shape = next(shape for source, shape, _ in known.values() if source == INPUT)
    return Network(name, input_type, tuple(layers), shape)


def _input_type(node: Any, expected: FixedPoint) -> FixedPoint:
    if (found := precision(node, "result_t")) != expected:
        raise ConfigError(f"input '{node.name}' became {found} in hls4ml, expected {expected}")
    return found


def _is_idle(node: Any, source: FixedPoint) -> bool:
    """An activation that is none and casts to the type it is given."""
    return (
        node.class_name == "Activation"
        and node.get_attr("activation") == "linear"
        and precision(node, "result_t") == source
    )


def _layer(node: _Node) -> Layer:
    kind = node.hls.class_name
    if kind not in _MAKERS:
        raise ConfigError(f"layer '{node.name}' became {kind} in hls4ml, which is not supported")
    try:
        layer = _MAKERS[kind](node)
        if not layer.protectable:
            check_sources(layer, node.sources)
    except ConfigError as error:
        prefix = "" if f"'{node.name}'" in str(error) else f"layer '{node.name}': "
        raise ConfigError(f"{prefix}{error}") from None
    return layer


# ---------------------------------------------------------------- layers that compute


def _dense(node: _Node) -> Layer:
    pair = (node.parameter("weight"), node.parameter("bias"))
    return Layer.dense(
        node.name, *pair, node.type("accum_t"), node.result, inputs=node.inputs, reuse_factor=node.reuse_factor
    )


def _conv(node: _Node) -> Layer:
    weight, given = node.parameter("weight"), (node.parameter("bias"), node.type("accum_t"), node.result)
    slide = {
        "strides": node.pair("stride"),
        "padding": node.pads,
        "inputs": node.inputs,
        "reuse_factor": node.reuse_factor,
    }
    return Layer.conv(node.name, node.shapes[0], weight, *given, **slide)  # type: ignore[arg-type]


def _depthwise(node: _Node) -> Layer:
    weight, given = node.parameter("weight"), (node.parameter("bias"), node.type("accum_t"), node.result)
    if weight.raw.shape[-1] != 1:
        raise ConfigError(f"layer '{node.name}': depth multiplier {weight.raw.shape[-1]}, expected 1")
    weight = Parameter(weight.raw[..., 0], weight.type)
    slide = {
        "strides": node.pair("stride"),
        "padding": node.pads,
        "inputs": node.inputs,
        "reuse_factor": node.reuse_factor,
    }
    return Layer.depthwise(node.name, node.shapes[0], weight, *given, **slide)  # type: ignore[arg-type]


def _batchnorm(node: _Node) -> Layer:
    scale, shift = node.parameter("scale"), node.parameter("bias")
    source, by = node.sources[0], scale.type
    product = FixedPoint(source.width + by.width, source.integer + by.integer, source.signed or by.signed)
    given = (scale, shift, _sum_type(product, shift.type), node.result)
    return Layer.batchnorm(node.name, node.shapes[0], *given, inputs=node.inputs)


def _add(node: _Node) -> Layer:
    if node.get("op").lower() != "add":
        raise ConfigError(f"layer '{node.name}': {node.get('op')} of two tensors is not supported, Add is")
    if node.shapes[0] != node.shapes[1]:
        raise ConfigError(
            f"layer '{node.name}': adds tensors of shapes {node.shapes[0]} and {node.shapes[1]}, expected equal ones"
        )
    return Layer.add(node.name, node.shapes[0], _sum_type(*node.sources), node.result, inputs=node.inputs)


def _sum_type(a: FixedPoint, b: FixedPoint) -> FixedPoint:
    """The type of an exact sum: hls4ml adds without loss and casts once."""
    signed, frac = a.signed or b.signed, max(a.frac, b.frac)
    integer = 1 + max(x.integer + (signed and not x.signed) for x in (a, b))
    return FixedPoint(max(integer + frac, 1), max(integer, 1 - frac), signed)


# ---------------------------------------------------------------- layers that do not


def _activation(node: _Node) -> Layer:
    function = node.get("activation").lower().replace("leakyrelu", "leaky_relu")
    result = node.result
    if function == "relu":
        return Layer.relu(node.name, node.shapes[0], result, inputs=node.inputs)
    tables: list[Parameter] = []
    if function in SPANS:
        tables.append(activation_table(function, int(node.get("table_size")), node.type("table_t")))
    if function in ("leaky_relu", "elu"):
        tables.append(node.number("activ_param", "param_t"))
    if function in ("hard_sigmoid", "hard_tanh"):
        tables += [node.number("slope", "slope_t"), node.number("shift", "shift_t")]
    return Layer.activation(node.name, node.shapes[0], function, result, tables=tuple(tables), inputs=node.inputs)


def _pool(node: _Node) -> Layer:
    kernel = None if node.hls.class_name.startswith("Global") else node.pair("pool")
    slide: dict[str, Any] = {"inputs": node.inputs}
    if kernel:
        slide |= {"strides": node.pair("stride"), "padding": node.pads}
    accumulator, result = node.type("accum_t"), node.result
    if node.get("pool_op") == "Average":
        return Layer.average_pool(node.name, node.shapes[0], kernel, accumulator, result, **slide)
    source = node.sources[0]
    if accumulator.frac < source.frac or accumulator.integer - accumulator.signed < source.integer - source.signed:
        raise ConfigError(f"layer '{node.name}': accum_t {accumulator} does not hold the {source} that it compares")
    return Layer.max_pool(node.name, node.shapes[0], kernel, result, **slide)


def _softmax(node: _Node) -> Layer:
    if len(node.shapes[0]) != 1:
        raise ConfigError(f"layer '{node.name}': softmax over shape {node.shapes[0]}, in hls4ml it takes a vector")
    size, implementation = node.shapes[0][0], node.get("implementation")
    result, source = node.result, node.sources[0]
    if implementation == "argmax":
        return Layer.argmax(node.name, size, result, inputs=node.inputs)
    if implementation not in ("stable", "latency"):
        raise ConfigError(f"layer '{node.name}': softmax '{implementation}' is not supported, use 'stable'")
    inverses = int(node.get("inv_table_size", node.get("table_size")))
    entries = int(node.get("exp_table_size", node.get("table_size")))
    norm = None
    if implementation == "stable":
        # The distance from the largest value is never negative; hls4ml gives it the type without the sign.
        norm = FixedPoint(source.width - source.signed, source.integer - source.signed, signed=False)
        entries = min(inverses, 1 << norm.width) if source.signed else entries
    inverse_input = node.type("inv_inp_t")
    tables = (
        exponential_table(entries, norm or source, node.type("exp_table_t"), negative=norm is not None),
        inverse_table(inverses, inverse_input, node.type("inv_table_t")),
    )
    given = (tables, node.type("accum_t"), inverse_input, result)
    return Layer.softmax(node.name, size, implementation, *given, norm=norm, inputs=node.inputs)


def _concatenate(node: _Node) -> Layer:
    axis = int(node.get("axis"))
    first, second = node.shapes
    axis = axis - 1 if axis > 0 else axis
    return Layer.concatenate(node.name, (first, second), node.result, inputs=node.inputs, axis=axis)


def _reshape(node: _Node) -> Layer:
    return Layer.reshape(
        node.name, node.shapes[0], _shape(node.hls.get_output_variable()), node.sources[0], inputs=node.inputs
    )


def _pad(node: _Node) -> Layer:
    return Layer.pad(node.name, node.shapes[0], node.pads, node.result, inputs=node.inputs)


def _upsample(node: _Node) -> Layer:
    if node.get("algorithm") != "nearest":
        raise ConfigError(f"layer '{node.name}': {node.get('algorithm')} interpolation, expected nearest")
    out = _shape(node.hls.get_output_variable())
    factors = tuple(after // before for before, after in zip(node.shapes[0][:-1], out[:-1], strict=True))
    return Layer.upsample(node.name, node.shapes[0], factors, node.result, inputs=node.inputs)


_MAKERS: dict[str, Callable[[_Node], Layer]] = {
    "Dense": _dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "PointwiseConv1D", "PointwiseConv2D", "Conv2DBatchnorm"), _conv),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    "BatchNormalization": _batchnorm,
    "Merge": _add,
    **dict.fromkeys(("Activation", "HardActivation", "ParametrizedActivation"), _activation),
    **dict.fromkeys(("Pooling1D", "Pooling2D", "GlobalPooling1D", "GlobalPooling2D"), _pool),
    "Softmax": _softmax,
    "Concatenate": _concatenate,
    "Reshape": _reshape,
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), _pad),
    "Resize": _upsample,
}


# ---------------------------------------------------------------- attributes of nodes


def precision(node: Any, name: str) -> FixedPoint:
    """A type of a node, refused if it is none of fixed point."""
    from hls4ml.model.types import FixedPrecisionType, IntegerPrecisionType

    found = node.get_output_variable().type.precision if name == "result_t" else node.types[name].precision
    # The types of binary and power-of-two quantisers print like integers and mean something else.
    if not isinstance(found, FixedPrecisionType | IntegerPrecisionType):
        raise ConfigError(
            f"layer '{node.name}': {name} is a {type(found).__name__}, expected a fixed-point type "
            "(quantized_bits with alpha=1)"
        )
    try:
        return FixedPoint.parse(str(found))
    except ConfigError as error:
        raise ConfigError(f"layer '{node.name}': {name}: {error}; quantise what enters the layer") from None


def _shape(variable: Any) -> Shape:
    return tuple(int(size) for size in variable.shape)


def _exact(values: NDArray[np.float64], to: FixedPoint, what: str) -> Ints:
    """Raw integers of real values that must be exact in the type: no rounding, no overflow."""
    scaled = np.ldexp(values, to.frac)
    raw: Ints = np.rint(np.clip(scaled, to.min_raw, to.max_raw)).astype(np.int64)
    wrong = to_real(raw, to) != values
    if wrong.any():
        raise ConfigError(f"{what} {values[wrong][0]!r} is not exact in {to}: give it a quantized_bits with alpha=1")
    return raw
