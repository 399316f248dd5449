"""The layers that compute no sums, as hls4ml's own: what its layer classes have to be told.

Every type is given, so that none of hls4ml's defaults and none of its inference can enter.
"""

from collections.abc import Callable
from typing import Any

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, to_real
from codesign.network import Kind, Layer, Parameter, Window

# Activations by hls4ml's layer class; the others are of class Activation.
_CLASSES = {
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "hard_sigmoid": "HardActivation",
    "hard_tanh": "HardActivation",
}


def passive_node(layer: Layer, source: FixedPoint) -> dict[str, Any]:
    """hls4ml's layer without its name and inputs; `source` is the type that enters."""
    match layer.kind:
        case Kind.MAX_POOL:
            return _pool(layer, "Max", source)
        case Kind.AVERAGE_POOL:
            return _pool(layer, "Average", layer.acc)
    if layer.kind not in _NODES:
        raise ConfigError(f"layer '{layer.name}': kind {layer.kind} has no layer in hls4ml")
    return _NODES[layer.kind](layer)


def precisions(layer: Layer) -> dict[str, str]:
    """The types that hls4ml takes from its configuration."""
    found = {"result": str(layer.result)}
    if layer.kind is Kind.ACTIVATION and layer.settings["function"] in ("leaky_relu", "elu"):
        found["param"] = str(layer.tables[-1].type)
    return found


def _named(layer: Layer, what: str, of: FixedPoint) -> Any:
    from hls4ml.backends import get_backend
    from hls4ml.model.types import NamedType

    return NamedType(f"{layer.name}_{what}_t", get_backend("Vivado").convert_precision_string(str(of)))


def _activation(layer: Layer) -> dict[str, Any]:
    function = layer.settings["function"]
    node = {"class_name": _CLASSES.get(function, "Activation"), "activation": function, "n_in": layer.n_in}
    match function, layer.tables:
        case "leaky_relu", (alpha,):
            return {**node, "activ_param": _only(alpha)}
        case "elu", (table, alpha):
            return {**node, **_table(layer, table), "activ_param": _only(alpha)}
        case (("hard_sigmoid" | "hard_tanh"), (slope, shift)):
            types = {
                "slope_prec": _named(layer, "slope", slope.type).precision,
                "shift_prec": _named(layer, "shift", shift.type).precision,
            }
            return {**node, **types, "slope": _only(slope), "shift": _only(shift)}
        case _, (table,):
            return {**node, **_table(layer, table)}
    return node


def _only(parameter: Parameter) -> float:
    return float(to_real(parameter.raw, parameter.type).ravel()[0])


def _table(layer: Layer, table: Parameter) -> dict[str, Any]:
    return {"table_size": table.raw.size, "table_t": _named(layer, "table", table.type)}


def _vector(layer: Layer) -> dict[str, Any]:
    return {"class_name": "Softmax", "activation": "softmax", "n_in": layer.n_in, "axis": -1}


def _softmax(layer: Layer) -> dict[str, Any]:
    exponentials, inverses = layer.tables
    types = {
        "exp_table": exponentials.type,
        "inv_table": inverses.type,
        "accum": layer.acc,
        "inv_inp": FixedPoint.parse(layer.settings["inverse_input_type"]),
    }
    if norm := layer.settings["norm_type"]:
        types["inp_norm"] = FixedPoint.parse(norm)
    return {
        **_vector(layer),
        "implementation": layer.settings["implementation"],
        **{f"{what}_t": _named(layer, what, of) for what, of in types.items()},
        "table_size": exponentials.raw.size,
        "exp_table_size": exponentials.raw.size,
        "inv_table_size": inverses.raw.size,
    }


def _spatial(layer: Layer) -> tuple[int, Window]:
    """Number of spatial dimensions, and the window."""
    assert layer.window is not None
    return len(layer.in_shapes[0]) - 1, layer.window


def _pads(dimensions: int, window: Window) -> dict[str, int]:
    (top, bottom), (left, right) = window.pads
    sides = {"pad_left": left, "pad_right": right}
    return sides if dimensions == 1 else {"pad_top": top, "pad_bottom": bottom, **sides}


def _pool(layer: Layer, op: str, accumulator: FixedPoint) -> dict[str, Any]:
    dimensions, window = _spatial(layer)
    height, width, channels = window.in_shape
    everything = bool(layer.settings.get("global"))
    node = {
        "class_name": f"{'Global' if everything else ''}{op}Pooling{dimensions}D",
        "data_format": "channels_last",
        "n_filt": channels,
        "pool_op": op,
        "accum_t": _named(layer, "accum", accumulator),
        **({"n_in": width} if dimensions == 1 else {"in_height": height, "in_width": width}),
    }
    if everything:
        return node
    rows, columns = window.out_hw
    node |= {"count_pad": False, **_pads(dimensions, window)}
    node |= {"pool_width": window.kernel[1], "stride_width": window.strides[1]}
    if dimensions == 1:
        return {**node, "n_out": columns}
    tall = {"pool_height": window.kernel[0], "stride_height": window.strides[0]}
    return {**node, **tall, "out_height": rows, "out_width": columns}


def _pad(layer: Layer) -> dict[str, Any]:
    dimensions, window = _spatial(layer)
    (height, width, channels), (rows, columns) = window.in_shape, window.out_hw
    sizes = {"in_width": width, "out_width": columns, "n_chan": channels}
    if dimensions == 2:
        sizes |= {"in_height": height, "out_height": rows}
    node = {"class_name": f"ZeroPadding{dimensions}D", "data_format": "channels_last"}
    return {**node, **sizes, **_pads(dimensions, window)}


def _upsample(layer: Layer) -> dict[str, Any]:
    (*spatial, channels), (*grown, _) = layer.in_shapes[0], layer.out_shape
    height, width = ([1, *spatial])[-2:]
    rows, columns = ([1, *grown])[-2:]
    sizes = {"in_height": height, "in_width": width, "out_height": rows, "out_width": columns, "n_chan": channels}
    return {"class_name": "Resize", "algorithm": "nearest", "data_format": "channels_last", **sizes}


def _relu(layer: Layer) -> dict[str, Any]:
    return {"class_name": "Activation", "activation": "relu", "n_in": layer.n_in}


def _argmax(layer: Layer) -> dict[str, Any]:
    return {**_vector(layer), "implementation": "argmax"}


def _concatenate(layer: Layer) -> dict[str, Any]:
    op = f"concatenate{len(layer.out_shape)}d"
    # hls4ml counts the axes from the batch's.
    return {"class_name": "Concatenate", "op": op, "axis": layer.settings["axis"] + 1}


_NODES: dict[Kind, Callable[[Layer], dict[str, Any]]] = {
    Kind.RELU: _relu,
    Kind.ACTIVATION: _activation,
    Kind.SOFTMAX: _softmax,
    Kind.ARGMAX: _argmax,
    Kind.CONCATENATE: _concatenate,
    Kind.PAD: _pad,
    Kind.UPSAMPLE: _upsample,
}
