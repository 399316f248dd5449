"""Layers that compute no sums, integer for integer as hls4ml 1.3.0's kernels compute them.

Divisions and conversions to `int` of ap_fixed round towards zero; every assignment is a cast to the type assigned to.
"""

import numpy as np

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, cast, fit, rescale, wrap
from codesign.network.layer import Kind, Layer, Parameter
from codesign.network.tables import SELU_FACTOR, SPANS

# Beyond this an index into a table may leave C++'s int.
_MAX_TABLE_INTEGER_BITS = 20
# resize_nearest divides by a ratio of 16 fractional bits that is rounded up: this bounds size times factor.
_MAX_RESIZED = 1 << 16

Sources = tuple[FixedPoint, ...]


def passed(layer: Layer, sources: Sources, values: Ints) -> Ints:
    """What a layer makes of its inputs: (n_samples, n_in) -> (n_samples, n_out)."""
    source = sources[0]
    match layer.kind:
        case Kind.RELU:
            return cast(np.maximum(values, 0), source, layer.result)
        case Kind.ACTIVATION:
            return _activated(layer, source, values)
        case Kind.MAX_POOL:
            largest = _windows(layer, values, source.min_raw).max(axis=2)
            return cast(largest, source, layer.result).reshape(len(values), -1)
        case Kind.AVERAGE_POOL:
            return _averaged(layer, source, values)
        case Kind.SOFTMAX:
            return _softmax(layer, source, values)
        case Kind.ARGMAX:
            first = values.argmax(axis=1)[:, None] == np.arange(layer.n_out)
            return rescale(first.astype(np.int64), 0, layer.result)
        case Kind.CONCATENATE:
            return _concatenated(layer, sources, values)
        case Kind.PAD:
            return cast(_windows(layer, values), source, layer.result).reshape(len(values), -1)
        case Kind.UPSAMPLE:
            values = _upsampled(layer, values)
    return cast(values, source, layer.result)


def check_sources(layer: Layer, sources: Sources) -> None:
    """Refuse types of inputs on which hls4ml's kernel for the layer goes wrong, or leaves its integers."""
    source, where = sources[0], f"layer '{layer.name}'"
    if layer.kind in (Kind.RESHAPE, Kind.PAD, Kind.UPSAMPLE) and layer.result != source:
        raise ConfigError(f"{where}: a {layer.kind} layer passes {source} on as it is, not as {layer.result}")
    factors = zip(layer.out_shape, layer.settings.get("factors", ()), strict=False)
    if any(size * factor > _MAX_RESIZED for size, factor in factors):
        raise ConfigError(f"{where}: {layer.out_shape} is too large for hls4ml's resize_nearest to be exact")
    if layer.kind is Kind.MAX_POOL and not source.signed and _is_padded(layer):
        raise ConfigError(
            f"{where}: hls4ml pads unsigned values with half their range, so their maximum comes out wrong; "
            "use padding='valid', or pool before the ReLU"
        )
    if layer.kind is Kind.AVERAGE_POOL and layer.acc.frac < source.frac:
        raise ConfigError(f"{where}: accumulator {layer.acc} is coarser than the {source} it adds")
    if layer.settings.get("function") in SPANS and source.integer > _MAX_TABLE_INTEGER_BITS:
        raise ConfigError(f"{where}: {source} has too many integer bits for the index into its table")
    size = layer.tables[0].raw.size if layer.kind is Kind.SOFTMAX else 0
    if size and layer.settings["norm_type"] is None and size > 1 << source.width:
        raise ConfigError(f"{where}: {size} exponentials cannot be indexed by bits of {source}")


def refused_in_streams(layer: Layer) -> str | None:
    """Why hls4ml's io_stream kernel of a layer would compute something else, or stop; None where it does not."""
    function = layer.settings.get("function")
    if function == "ternary_tanh":
        return "ternary_tanh has its threshold at 1 in io_stream and at 0.5 in io_parallel"
    if function == "selu":
        return "selu rounds its positive factor to the type of its inputs in io_stream"
    if layer.kind in (Kind.MAX_POOL, Kind.AVERAGE_POOL) and layer.window is not None:
        if _is_padded(layer):
            return "pooling in io_stream takes no padding"
        if len(layer.in_shapes[0]) == 3 and layer.window.kernel != layer.window.strides:
            return "pooling in io_stream needs strides equal to the pool size"
    return None


def _is_padded(layer: Layer) -> bool:
    assert layer.window is not None
    return any(sum(pads) for pads in layer.window.pads) and bool((layer.window.places < 0).any())


# ---------------------------------------------------------------- images


def _windows(layer: Layer, values: Ints, outside: int = 0) -> Ints:
    """Values under each place of the window, shape (n_samples, windows, places, channels)."""
    assert layer.window is not None
    n, channels = len(values), layer.window.in_shape[2]
    images = np.concatenate([values.reshape(n, -1, channels), np.full((n, 1, channels), outside)], axis=1)
    windows: Ints = images[:, layer.window.places]  # -1 finds the value outside
    return windows


def _concatenated(layer: Layer, sources: Sources, values: Ints) -> Ints:
    n, first = len(values), int(np.prod(layer.in_shapes[0]))
    halves = (values[:, :first], values[:, first:])
    parts = [
        cast(half, source, layer.result).reshape(n, *shape)
        for half, source, shape in zip(halves, sources, layer.in_shapes, strict=True)
    ]
    joined: Ints = np.concatenate(parts, axis=layer.settings["axis"] + 1).reshape(n, -1)
    return joined


def _upsampled(layer: Layer, values: Ints) -> Ints:
    images = values.reshape(len(values), *layer.in_shapes[0])
    for axis, factor in enumerate(layer.settings["factors"], start=1):
        images = images.repeat(factor, axis=axis)
    return images.reshape(len(values), -1)


def _averaged(layer: Layer, source: FixedPoint, values: Ints) -> Ints:
    assert layer.window is not None
    sums = wrap(cast(_windows(layer, values), source, layer.acc).sum(axis=2), layer.acc)
    inside = (layer.window.places >= 0).sum(axis=1)[:, None]
    return cast(_towards_zero(sums, inside), layer.acc, layer.result).reshape(len(values), -1)


def _towards_zero(numerator: Ints, denominator: Ints | int) -> Ints:
    quotient: Ints = np.abs(numerator) // denominator * np.sign(numerator)
    return quotient


# ---------------------------------------------------------------- activations


def _activated(layer: Layer, source: FixedPoint, values: Ints) -> Ints:
    to, function = layer.result, layer.settings["function"]
    match function:
        case "linear":
            return cast(values, source, to)
        case "binary_tanh":
            return rescale(np.where(values >= 0, 1, -1), 0, to)
        case "ternary_tanh":
            return rescale(_ternary(values, source), 0, to)
        case "hard_sigmoid" | "hard_tanh":
            return _hard(layer, source, values)
        case "leaky_relu":
            return np.where(values > 0, cast(values, source, to), _scaled(values, source, layer.tables[0], to))
    table = layer.tables[0]
    found = table.raw[_places(table.raw.size, SPANS[function], values, source)]
    match function:
        case "elu":
            negative = _scaled(found, table.type, layer.tables[1], to)
            return np.where(values >= 0, cast(values, source, to), negative)
        case "selu":
            positive = _scaled(values, source, SELU_FACTOR, to)
            return np.where(values >= 0, positive, cast(found, table.type, to))
    return cast(found, table.type, to)


def _scaled(values: Ints, source: FixedPoint, factor: Parameter, to: FixedPoint) -> Ints:
    """The exact product with a single number, cast."""
    return rescale(values * factor.raw.item(), source.frac + factor.type.frac, to)


def _places(size: int, span: int, values: Ints, source: FixedPoint) -> Ints:
    """Entries of a table that hls4ml looks values up in; it covers -span to span, or a negative span to 0."""
    width = 2 * span if span > 0 else span
    numerator = values * size << max(-source.frac, 0)
    place = _towards_zero(numerator, abs(width) << max(source.frac, 0)) * (1 if span > 0 else -1)
    return np.clip(place + (size // 2 if span > 0 else 0), 0, size - 1)


def _ternary(values: Ints, source: FixedPoint) -> Ints:
    """hls4ml doubles the value in its own type, where it may wrap, and compares with 1 and -1."""
    doubled = np.ldexp(rescale(2 * values, source.frac, source).astype(np.float64), -source.frac)
    return np.where(doubled > 1, 1, np.where(doubled > -1, 0, -1))


def _hard(layer: Layer, source: FixedPoint, values: Ints) -> Ints:
    """Slope times value plus shift, held between 0 and 1; for the hyperbolic tangent doubled, less one."""
    slope, shift = layer.tables
    frac = max(source.frac + slope.type.frac, shift.type.frac, 0)
    product = values * slope.raw.item() << frac - source.frac - slope.type.frac
    sigmoid = np.clip(product + (shift.raw.item() << frac - shift.type.frac), 0, 1 << frac)
    if layer.settings["function"] == "hard_tanh":
        sigmoid = 2 * sigmoid - (1 << frac)
    return rescale(sigmoid, frac, layer.result)


# ---------------------------------------------------------------- softmax


def _softmax(layer: Layer, source: FixedPoint, values: Ints) -> Ints:
    exponentials, inverses = layer.tables
    if (norm := layer.settings["norm_type"]) is None:
        places = _top_bits(values, source, exponentials.raw.size)
    else:
        index = FixedPoint.parse(norm)
        distance = rescale(values.max(axis=1, keepdims=True) - values, source.frac, index)
        places = _top_bits(distance, index, exponentials.raw.size)
    terms = cast(exponentials.raw[places], exponentials.type, layer.acc)
    index = FixedPoint.parse(layer.settings["inverse_input_type"])
    total = cast(_tree_sum(terms, layer.acc), layer.acc, index)
    inverse = inverses.raw[_top_bits(total, index, inverses.raw.size)][:, None]
    return rescale(terms * inverse, layer.acc.frac + inverses.type.frac, layer.result)


def _top_bits(values: Ints, of: FixedPoint, size: int) -> Ints:
    """The top log2(size) bits of the stored words, as unsigned numbers."""
    words = values & ((1 << of.width) - 1)
    places: Ints = words >> (of.width - (size.bit_length() - 1))
    return places


def _tree_sum(terms: Ints, to: FixedPoint) -> Ints:
    """A balanced tree, split at the largest power of two below the number of terms; every sum is brought into range."""
    n = terms.shape[1]
    if n == 1:
        return terms[:, 0]
    left = 1 << ((n - 1).bit_length() - 1)
    return fit(_tree_sum(terms[:, :left], to) + _tree_sum(terms[:, left:], to), to)
