"""Gradients of the real-valued function that a layer stands for; rounding is passed straight through."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from codesign.fixed import FixedPoint, Ints, to_real
from codesign.network.inference import passed
from codesign.network.layer import WIRING, Kind, Layer
from codesign.network.unit import Unit

Reals = NDArray[np.float64]
# Wide enough for the number of every value of a tensor.
_INDEX = FixedPoint(48, 48)


def gradient_through(
    layer: Layer, sources: tuple[FixedPoint, ...], values: Ints, leaving: Ints, gradient: Reals
) -> Reals:
    """From dL/d(output), shape (n, n_out), to dL/d(input), shape (n, n_in), at the given inputs and outputs."""
    if layer.protectable:
        return _through_unit(layer, sources, gradient)
    if layer.kind in WIRING:
        index = passed(replace(layer, result=_INDEX), (_INDEX,) * len(sources), _numbered(layer))[0]
        found = np.zeros((layer.n_in + 1, len(gradient)))
        np.add.at(found, index, gradient.T)  # one value may go to several places
        return found[1:].T
    if layer.kind in (Kind.MAX_POOL, Kind.AVERAGE_POOL):
        return _through_pool(layer, values, gradient)
    if layer.kind is Kind.RELU:
        return gradient * ((values > 0) & (leaving < layer.result.max_raw))
    return gradient * _secant(layer, sources[0], values)


def _numbered(layer: Layer) -> Ints:
    """Each input value is its own number, from one; zero is left for padding."""
    return np.arange(1, layer.n_in + 1, dtype=np.int64)[None]


def _scattered(layer: Layer, index: Ints, gradient: Reals) -> Reals:
    """Sum gradients (n, places, k) at the inputs that `index` (places, k) numbers from one.

    Within one k every place has another input, but for the padding: that is number zero, and not wanted.
    """
    found = np.zeros((len(gradient), layer.n_in + 1))
    for k in range(index.shape[1]):
        found[:, index[:, k]] += gradient[:, :, k]
    return found[:, 1:]


def _through_unit(layer: Layer, sources: tuple[FixedPoint, ...], gradient: Reals) -> Reals:
    n, shape = len(gradient), (layer.pixels, layer.neurons)
    index = Unit(layer, sources).gather(_numbered(layer))  # pixels, fan_in, channels or 1
    by_neuron = gradient.reshape(n, *shape)
    if layer.kind is Kind.ADD:
        return _scattered(layer, index.swapaxes(1, 2).reshape(-1, 2), np.repeat(gradient[:, :, None], 2, axis=2))
    weights = to_real(layer.w.raw, layer.w.type)
    if layer.per_channel:
        parts = (by_neuron[:, :, None] * weights).swapaxes(2, 3).reshape(n, layer.n_out, layer.fan_in)
        return _scattered(layer, index.swapaxes(1, 2).reshape(layer.n_out, layer.fan_in), parts)
    return _scattered(layer, index[:, :, 0], by_neuron @ weights.T)


def _through_pool(layer: Layer, values: Ints, gradient: Reals) -> Reals:
    assert layer.window is not None
    n, channels = len(values), layer.neurons
    places = layer.window.places
    images = values.reshape(n, -1, channels)
    lowest = np.full((n, 1, channels), np.iinfo(np.int64).min)
    windows = np.concatenate([images, lowest], axis=1)[:, places]  # n, pixels, places, channels
    inside = (places >= 0)[None, :, :, None]
    if layer.kind is Kind.MAX_POOL:
        shares = (np.arange(places.shape[1])[:, None] == windows.argmax(axis=2)[:, :, None]) & inside
    else:
        shares = inside / inside.sum(axis=2, keepdims=True)
    parts = (shares * gradient.reshape(n, -1, 1, channels)).swapaxes(2, 3).reshape(n, layer.n_out, -1)
    numbers = places[:, None, :] * channels + np.arange(channels)[:, None] + 1
    return _scattered(layer, np.where(places[:, None, :] < 0, 0, numbers).reshape(layer.n_out, -1), parts)


def _secant(layer: Layer, source: FixedPoint, values: Ints) -> Reals:
    """Slope of a function of one value, over one step of its result to either side."""
    step = max(1, 1 << max(source.frac - layer.result.frac, 0))
    high, low = np.minimum(values + step, source.max_raw), np.maximum(values - step, source.min_raw)
    rise = to_real(passed(layer, (source,), high) - passed(layer, (source,), low), layer.result)
    run = to_real(high - low, source)
    slope: Reals = rise / np.maximum(run, np.finfo(np.float64).tiny)
    return slope
