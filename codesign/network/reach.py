"""Which values a fault-free network can hold, by interval arithmetic, and which of them anything reads.

Bounds hold for every input of the declared range; they are not always tight.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, cast_range
from codesign.network.gradient import gradient_through
from codesign.network.graph import FROM_INPUT, Network
from codesign.network.inference import passed
from codesign.network.kind import WIRING
from codesign.network.layer import Kind, Layer, Parameter
from codesign.network.unit import Unit

Bools = NDArray[np.bool_]
_ONE_BIT = FixedPoint(2, 2)


@dataclass(frozen=True)
class Reach:
    """Least and greatest raw values, two arrays of one shape."""

    low: Ints
    high: Ints

    @classmethod
    def of_type(cls, of: FixedPoint, shape: tuple[int, ...]) -> "Reach":
        return cls(np.full(shape, of.min_raw, np.int64), np.full(shape, of.max_raw, np.int64))

    def within(self, of: FixedPoint) -> Bools:
        inside: Bools = (self.low >= of.min_raw) & (self.high <= of.max_raw)
        return inside

    def cast(self, source: FixedPoint, to: FixedPoint) -> "Reach":
        """After assignment from one type to another; from a type to itself nothing changes."""
        return self if source == to else Reach(*cast_range(self.low, self.high, source.frac, to))


@dataclass(frozen=True)
class LayerReach:
    """Of one layer: what enters it, (n_in,), its sums if it computes, (pixels, neurons), and its results, (n_out,)."""

    entering: Reach
    sums: Reach | None
    result: Reach


def reaches(network: Network, inputs: tuple[Ints, Ints] | None = None) -> tuple[LayerReach, ...]:
    """Of every layer, for inputs between two raw arrays of shape (n_in,); by default all that the type holds.

    Raises ConfigError for inputs that are no such range.
    """
    start = Reach.of_type(network.input_type, (network.n_in,)) if inputs is None else _declared(network, *inputs)
    found: list[LayerReach] = []
    for index, layer in enumerate(network.layers):
        parts = [start if s == FROM_INPUT else found[s].result for s in network.sources(index)]
        types = network.input_types(index)
        if layer.protectable:
            entering = _joined(parts)
            sums = _sums(Unit(layer, types), entering)
            result = sums.cast(layer.acc, layer.result)
            found.append(LayerReach(entering, sums, Reach(result.low.reshape(-1), result.high.reshape(-1))))
        else:
            found.append(LayerReach(_joined(parts), None, _passed(layer, types, parts)))
    return tuple(found)


def _joined(parts: list[Reach]) -> Reach:
    return Reach(np.concatenate([p.low for p in parts]), np.concatenate([p.high for p in parts]))


def _declared(network: Network, low: Ints, high: Ints) -> Reach:
    found = Reach(np.asarray(low), np.asarray(high))
    shapes = found.low.shape, found.high.shape
    if shapes != ((network.n_in,),) * 2 or (found.low > found.high).any() or not found.within(network.input_type).all():
        raise ConfigError(
            f"network '{network.name}': a range of inputs is two raw arrays of shape ({network.n_in},), the lower "
            f"first, within {network.input_type}"
        )
    return found


def leaves(unit: Unit, entering: Reach) -> Reach:
    """Of what a layer's sums add, cast to its accumulator: shape (pixels, leaves, neurons)."""
    layer = unit.layer
    low, high = unit.gather(entering.low[None]), unit.gather(entering.high[None])
    if layer.has_weights:
        ends = np.stack([low * layer.w.raw, high * layer.w.raw])  # 2, pixels, fan_in, neurons
        frac = unit.source.frac + layer.w.type.frac
        products = Reach(*cast_range(ends.min(axis=0), ends.max(axis=0), frac, layer.acc))
        start = np.broadcast_to(unit.start(layer.b.raw), (layer.pixels, 1, layer.neurons))
        return Reach(np.concatenate([start, products.low], 1), np.concatenate([start, products.high], 1))
    parts = [Reach(low[:, k], high[:, k]).cast(source, layer.acc) for k, source in enumerate(unit.sources)]
    return Reach(np.stack([p.low for p in parts], 1), np.stack([p.high for p in parts], 1))


def any_order(added: Reach) -> Reach:
    """Of every partial sum of leaves in any order, the empty one too: shape (pixels, neurons)."""
    return Reach(np.minimum(added.low, 0).sum(axis=1), np.maximum(added.high, 0).sum(axis=1))


def _sums(unit: Unit, entering: Reach) -> Reach:
    """Of the accumulators, shape (pixels, neurons); all of the type where a sum may leave it."""
    layer, added = unit.layer, leaves(unit, entering)
    sums = Reach(added.low.sum(axis=1), added.high.sum(axis=1))
    # A sum that saturates must not even pass the type's ends on its way; one that wraps comes back.
    inside = (any_order(added) if layer.saturates else sums).within(layer.acc)
    return Reach(np.where(inside, sums.low, layer.acc.min_raw), np.where(inside, sums.high, layer.acc.max_raw))


def keeps_order(layer: Layer) -> bool:
    """Each of its values is a cast of one that enters, or of zero where that is negative."""
    return layer.kind is Kind.RELU or (layer.kind is Kind.ACTIVATION and layer.settings["function"] == "linear")


def followers(network: Network, index: int) -> list[int]:
    """Layers that keep the order, which the values of one pass through alone until they are moved, mixed or copied."""
    found: list[int] = []
    while True:
        takers = [i for i in range(len(network.layers)) if index in network.sources(i)]
        if len(takers) != 1 or not keeps_order(network.layers[takers[0]]):
            return found
        index = takers[0]
        found.append(index)


def one_to_one(layer: Layer, source: FixedPoint, values: Reach) -> Reach:
    """What a layer that `keeps_order` makes of values, of any shape."""
    if layer.kind is Kind.RELU:
        values = Reach(np.maximum(values.low, 0), np.maximum(values.high, 0))
    return values.cast(source, layer.result)


def _passed(layer: Layer, sources: tuple[FixedPoint, ...], parts: list[Reach]) -> Reach:
    """What a layer that computes no sums makes of values; all of its type where no order is kept."""
    if keeps_order(layer):
        return one_to_one(layer, sources[0], parts[0])
    if layer.kind is Kind.MAX_POOL:
        pool = replace(layer, result=sources[0])
        return Reach(*passed(pool, sources, np.stack([parts[0].low, parts[0].high]))).cast(sources[0], layer.result)
    if layer.kind in WIRING:
        cast = _joined([part.cast(source, layer.result) for part, source in zip(parts, sources, strict=True)])
        return Reach(*passed(layer, (layer.result,) * len(sources), np.stack([cast.low, cast.high])))
    return Reach.of_type(layer.result, (layer.n_out,))


def read_values(network: Network) -> tuple[Bools, ...]:
    """Of every layer, shape (n_out,): which of its values anything reads, down to the logits.

    A value that meets only weights of zero, or neurons that nothing reads, is not read.
    """
    read = [np.zeros(layer.n_out, np.bool_) for layer in network.layers]
    read[-1][:] = True
    for index in range(len(network.layers) - 1, -1, -1):
        arriving = _reads(network.layers[index], network.input_types(index), read[index])
        start = 0
        for source in network.sources(index):
            size = network.n_in if source == FROM_INPUT else network.layers[source].n_out
            if source != FROM_INPUT:
                read[source] |= arriving[start : start + size]
            start += size
    return tuple(read)


def _reads(layer: Layer, sources: tuple[FixedPoint, ...], read: Bools) -> Bools:
    """Which inputs, shape (n_in,), reach an output that is read; of maximum pooling all of a channel that is."""
    if layer.has_weights:
        layer = replace(layer, weight=Parameter((layer.w.raw != 0).astype(np.int64), _ONE_BIT))
    if layer.protectable or layer.kind in WIRING:
        nothing = np.zeros((1, layer.n_in), np.int64)
        found: Bools = gradient_through(layer, sources, nothing, nothing, read[None].astype(np.float64))[0] > 0
        return found
    if layer.kind in (Kind.RELU, Kind.ACTIVATION):
        return read
    if layer.kind in (Kind.MAX_POOL, Kind.AVERAGE_POOL):
        channels = read.reshape(-1, layer.neurons).any(axis=0)
        return np.tile(channels, layer.n_in // layer.neurons)
    return np.ones(layer.n_in, np.bool_)
