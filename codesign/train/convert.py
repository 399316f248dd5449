"""From a trained QKeras model to an integer Network, through hls4ml's ModelGraph.

Every type is read from the graph after hls4ml's own optimisers, so the Network computes what hls4ml's
project computes, integer for integer. What cannot be carried over exactly is refused by name.
"""

import contextlib
import io
import tempfile
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, to_real
from codesign.network import Layer, Network, Parameter

SUPPORTED = "Input, QDense, quantized_relu (as QActivation or as a QDense's activation) and a linear output"
# Types hls4ml cannot infer; the widths of every supported layer are inferred or given by a quantiser.
DEFAULT_PRECISION = "fixed<24,12>"


def network_from_keras(model: Any, name: str, input_type: FixedPoint, backend: str) -> Network:
    """Convert a trained functional or sequential QKeras model.

    Raises ConfigError for layers outside SUPPORTED and for weights that are not exact in their type.
    """
    check_layers(model)
    graph = model_graph(model, input_type, backend)
    return network_from_graph(graph, name, input_type)


def model_graph(model: Any, input_type: FixedPoint, backend: str, output_dir: str | None = None) -> Any:
    """hls4ml's ModelGraph (io_parallel, Latency) with exact types; nothing is written yet."""
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        import hls4ml

        config = hls4ml.utils.config_from_keras_model(
            model, granularity="name", default_precision=DEFAULT_PRECISION, backend=backend
        )
        for entry in model.input_names:
            config["LayerName"][entry]["Precision"]["result"] = str(input_type)
        return hls4ml.converters.convert_from_keras_model(
            model,
            hls_config=config,
            backend=backend,
            io_type="io_parallel",
            output_dir=output_dir or folder,
        )


def network_from_graph(graph: Any, name: str, input_type: FixedPoint) -> Network:
    """Read a ModelGraph that is one chain of supported layers."""
    nodes = list(graph.get_layers())
    layers = []
    for before, node in zip([None, *nodes], nodes, strict=False):
        if before is not None and list(node.inputs) != [before.name]:
            raise ConfigError(f"layer '{node.name}' takes {list(node.inputs)}, expected one chain of layers")
        if layer := _layer(node, before, input_type):
            layers.append(layer)
    return Network(name, input_type, tuple(layers))


def _layer(node: Any, before: Any, input_type: FixedPoint) -> Layer | None:
    """The Network's layer for a graph node; None for one that computes nothing."""
    kind, activation = node.class_name, node.get_attr("activation")
    if kind == "Input" and before is None:
        found = _type(node, "result_t")
        if found != input_type:
            raise ConfigError(f"input '{node.name}' became {found} in hls4ml, expected {input_type}")
        return None
    if kind == "Dense":
        return _dense(node)
    if kind == "Activation" and activation == "relu":
        return Layer.relu(node.name, int(node.get_attr("n_in")), _type(node, "result_t"))
    if kind == "Activation" and activation == "linear" and _type(node, "result_t") == _type(before, "result_t"):
        return None
    raise _unsupported(node.name, f"{kind} {activation}" if kind == "Activation" else kind)


def _dense(node: Any) -> Layer:
    if node.get_attr("strategy") != "latency" or node.get_attr("reuse_factor") != 1:
        raise ConfigError(f"layer '{node.name}' is not fully unrolled (strategy Latency, reuse factor 1)")
    return Layer.dense(
        node.name, _parameter(node, "weight"), _parameter(node, "bias"), _type(node, "accum_t"), _type(node, "result_t")
    )


def _type(node: Any, name: str) -> FixedPoint:
    from hls4ml.model.types import FixedPrecisionType, IntegerPrecisionType

    precision = node.types[name].precision
    # The types of binary and power-of-two quantisers print like integers and mean something else.
    if not isinstance(precision, FixedPrecisionType | IntegerPrecisionType):
        raise ConfigError(
            f"layer '{node.name}': {name} is a {type(precision).__name__}, expected a fixed-point type "
            "(quantized_bits with alpha=1)"
        )
    return FixedPoint.parse(str(precision))


def _parameter(node: Any, name: str) -> Parameter:
    to = _type(node, f"{name}_t")
    return Parameter(_exact(np.asarray(node.weights[name].data, np.float64), to, f"layer '{node.name}': {name}"), to)


def _exact(values: NDArray[np.float64], to: FixedPoint, what: str) -> Ints:
    """Raw integers of real values that must be exact in the type: no rounding, no overflow."""
    scaled = np.ldexp(values, to.frac)
    raw: Ints = np.rint(np.clip(scaled, to.min_raw, to.max_raw)).astype(np.int64)
    wrong = to_real(raw, to) != values
    if wrong.any():
        raise ConfigError(f"{what} {values[wrong][0]!r} is not exact in {to}: give it a quantized_bits with alpha=1")
    return raw


def check_layers(model: Any) -> None:
    """Refuse, before anything is trained, what hls4ml rejects with a bare exception or silently leaves out."""
    if type(model).__name__ not in ("Functional", "Sequential"):
        raise ConfigError(f"model class {type(model).__name__}: expected a functional or sequential Keras model")
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in ("InputLayer", "QDense", "QActivation", "Activation"):
            raise _unsupported(layer.name, kind)
        Layer.relu(layer.name, 1, FixedPoint(1, 1))  # the Network's own rule for names
        if kind != "InputLayer":
            _check_activation(layer)
        if kind == "QDense":
            _check_quantisers(layer)


def _check_activation(layer: Any) -> None:
    activation = getattr(layer, "quantizer", None) or getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__)
    if activation is None or name == "linear":
        return
    if name != "quantized_relu":
        raise _unsupported(layer.name, f"{type(layer).__name__} {name}")
    settings = activation.get_config()
    for key in ("negative_slope", "relu_upper_bound", "use_sigmoid", "use_stochastic_rounding"):
        if settings.get(key):
            raise ConfigError(f"layer '{layer.name}': quantized_relu with {key} is not supported")
    if settings["bits"] <= settings["integer"]:
        # hls4ml 1.3.0 turns such a type into a plain integer, which wraps and truncates where QKeras
        # saturates and rounds: accuracy would be lost without a word.
        raise ConfigError(
            f"layer '{layer.name}': quantized_relu({settings['bits']}, {settings['integer']}) has no fractional bit, "
            "expected integer < bits"
        )


def _check_quantisers(layer: Any) -> None:
    for what, quantiser in (("kernel", layer.kernel_quantizer_internal), ("bias", layer.bias_quantizer_internal)):
        if what == "bias" and not layer.use_bias:
            continue
        name = type(quantiser).__name__
        if name != "quantized_bits":
            raise ConfigError(f"layer '{layer.name}': {what}_quantizer is {name}, expected quantized_bits with alpha=1")
        if quantiser.alpha not in (None, 1, 1.0):
            raise ConfigError(f"layer '{layer.name}': {what}_quantizer has alpha={quantiser.alpha!r}, expected alpha=1")


def _unsupported(name: str, kind: str) -> ConfigError:
    return ConfigError(f"layer '{name}' ({kind}) is not supported; supported are {SUPPORTED}")


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep hls4ml's prints to ourselves; if it fails, they go with the error."""
    log = io.StringIO()
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        error.add_note(f"hls4ml said:\n{log.getvalue()}")
        raise
