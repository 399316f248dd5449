"""From a trained QKeras model to an integer Network, through hls4ml's ModelGraph.

Every type is read from the graph after hls4ml's own optimisers, so the Network computes what hls4ml's
project computes, integer for integer. What cannot be carried over exactly is refused by name.
"""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.fixed import FixedPoint
from codesign.network import Network
from codesign.train.nodes import network_from_graph, precision
from codesign.train.supported import DEFAULT_PRECISION, check_layers

# Fractional bits of a batch normalisation's scale and shift, which have no quantiser that hls4ml heeds.
_NORMALISATION_FRAC = 12
_NORMALISATIONS = ("BatchNormalization", "QBatchNormalization")

LayerSettings = Mapping[str, Mapping[str, Any]]


def network_from_keras(model: Any, name: str, input_type: FixedPoint, backend: str) -> Network:
    """Convert a trained functional or sequential QKeras model.

    Raises ConfigError for what `check_layers` refuses and for weights that are not exact in their type.
    """
    check_layers(model)
    return network_from_graph(model_graph(model, input_type, backend), name, input_type)


def model_graph(
    model: Any,
    input_type: FixedPoint,
    backend: str,
    output_dir: str | None = None,
    *,
    io_type: str = "io_parallel",
    reuse_factor: int = 1,
    settings: LayerSettings | None = None,
) -> Any:
    """hls4ml's ModelGraph (strategy Latency) with exact types; nothing is written yet.

    `settings` is hls4ml's own configuration of single layers by name, such as
    ``{"logits": {"Precision": {"accum": "fixed<16,8,TRN,SAT>"}}}``; it has the last word.
    """
    with _quiet(), tempfile.TemporaryDirectory() as folder, _weights_that_count(model), _optimisers_held_back():
        import hls4ml

        config = hls4ml.utils.config_from_keras_model(
            model,
            granularity="name",
            default_precision=DEFAULT_PRECISION,
            default_reuse_factor=reuse_factor,
            backend=backend,
        )
        for entry in model.input_names:
            _merge(config, {entry: {"Precision": {"result": str(input_type)}}})
        _merge(config, _normalisation_types(model))
        _merge(config, settings or {})

        def convert() -> Any:
            given = {"backend": backend, "io_type": io_type, "output_dir": output_dir or folder}
            return hls4ml.converters.convert_from_keras_model(model, hls_config=config, **given)

        graph = convert()
        if pools := _global_pool_types(graph):
            _merge(config, pools)
            _merge(config, settings or {})
            graph = convert()
        _round_normalisations(graph)
        return graph


def _merge(config: dict[str, Any], settings: LayerSettings) -> None:
    for name, entries in settings.items():
        layer = config["LayerName"].setdefault(name, {})
        for key, value in entries.items():
            if isinstance(value, Mapping):
                layer.setdefault(key, {}).update(value)
            else:
                layer[key] = value


# ---------------------------------------------------------------- what hls4ml does not infer


def _normalisation_types(model: Any) -> dict[str, dict[str, Any]]:
    """Types with as many integer bits as the scales and shifts need; hls4ml would take its default."""
    found = {}
    for layer in model.layers:
        if type(layer).__name__ in _NORMALISATIONS:
            scale, shift = _scale_and_shift(layer)
            types = {"scale": _type_around(scale), "bias": _type_around(shift)}
            found[layer.name] = {"Precision": types}
    return found


def _scale_and_shift(layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    gamma = layer.gamma.numpy() if layer.scale else np.ones_like(mean)
    beta = layer.beta.numpy() if layer.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - scale * mean


def _type_around(values: NDArray[np.float64]) -> str:
    """The narrowest signed type that holds the values rounded to _NORMALISATION_FRAC bits."""
    raw = np.rint(np.ldexp(values.astype(np.float64), _NORMALISATION_FRAC))
    width = 1 + int(max(raw.max(), -raw.min() - 1, 1)).bit_length()
    return f"fixed<{width},{width - _NORMALISATION_FRAC}>"


def _round_normalisations(graph: Any) -> None:
    """Bring scales and shifts to their types here: hls4ml prints them with few digits and truncates what it reads."""
    for node in graph.get_layers():
        if node.class_name == "BatchNormalization":
            for name, weights in node.weights.items():
                frac = precision(node, f"{name}_t").frac
                weights.data = np.ldexp(np.rint(np.ldexp(np.asarray(weights.data, np.float64), frac)), -frac)


def _global_pool_types(graph: Any) -> dict[str, dict[str, Any]]:
    """What hls4ml infers for a pooling layer, but not for one over the whole image."""
    found = {}
    for node in graph.get_layers():
        if node.class_name in ("GlobalPooling1D", "GlobalPooling2D"):
            source = precision(node.get_input_node(), "result_t")
            pixels = node.get_input_variable().size() // node.get_attr("n_filt")
            extra = (pixels - 1).bit_length() if node.get_attr("pool_op") == "Average" else 0
            sign = "" if source.signed else "u"
            accumulator = f"{sign}fixed<{source.width + 2 * extra},{source.integer + extra}>"
            found[node.name] = {"Precision": {"accum": accumulator, "result": str(source)}}
    return found


@contextlib.contextmanager
def _weights_that_count(model: Any) -> Iterator[None]:
    """Quantise, for the time of the conversion, the weights whose quantisers hls4ml drops."""
    kept = {}
    for layer in model.layers:
        if quantisers := _dropped_quantisers(layer):
            kept[layer.name] = layer.get_weights()
            for variable, quantiser in quantisers:
                variable.assign(quantiser(variable))
    try:
        yield
    finally:
        for name, weights in kept.items():
            model.get_layer(name).set_weights(weights)


def _dropped_quantisers(layer: Any) -> list[tuple[Any, Any]]:
    """Dense layers over the last of several axes become convolutions; batch normalisations are never quantised."""
    match type(layer).__name__:
        case "QDense" if len(layer.input_shape) > 2:
            pairs = [(layer.kernel, layer.kernel_quantizer_internal)]
            return pairs + [(layer.bias, layer.bias_quantizer_internal)] * layer.use_bias
        case "QBatchNormalization":
            names = ["gamma"] * layer.scale + ["beta"] * layer.center
            pairs = [(getattr(layer, name), getattr(layer, f"{name}_quantizer_internal")) for name in names]
            pairs += [
                (layer.moving_mean, layer.mean_quantizer_internal),
                (layer.moving_variance, layer.variance_quantizer_internal),
            ]
            return [(variable, quantiser) for variable, quantiser in pairs if quantiser is not None]
    return []


@contextlib.contextmanager
def _optimisers_held_back() -> Iterator[None]:
    """Keep hls4ml from two optimisations that drop a quantiser without a word.

    It removes a linear activation, type and all, behind a layer whose type it infers; and it multiplies a batch
    normalisation into the convolution that a dense layer became, as that has lost its quantiser.
    """
    from hls4ml.model.optimizer import get_optimizer
    from hls4ml.model.types import UnspecifiedPrecisionType

    merge, fuse = get_optimizer("merge_linear_activation"), get_optimizer("fuse_batch_normalization")

    def is_untyped(node: Any) -> bool:
        untyped = isinstance(node.get_output_variable().type.precision, UnspecifiedPrecisionType)
        return untyped and bool(type(merge).match(merge, node))

    def is_quantised(node: Any) -> bool:
        return bool(type(fuse).match(fuse, node)) and node.get_input_node().get_attr("weight_quantizer") is not None

    merge.match, fuse.match = is_untyped, is_quantised
    try:
        yield
    finally:
        del merge.match, fuse.match


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep hls4ml's prints to ourselves; if it fails, they go with the error."""
    log = io.StringIO()
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        error.add_note(f"hls4ml said:\n{log.getvalue()}")
        raise
