"""How many bits each neuron's sum needs, proven by integer arithmetic, and accumulators cut down to that.

A sum needs as many bits as hold every partial sum of its bias and products, in any order, for any inputs that the
types before it allow: then no addition overflows, however the adders stand. This is the bound of accumulator-aware
quantisation (Colbert, Pappalardo, Petri-Koenig, "A2Q", 2023, arXiv 2308.13504, section 3), without the step from
the sum itself to a norm of the weights.
"""

from collections.abc import Container
from dataclasses import replace

import numpy as np

from codesign.errors import ConfigError
from codesign.fixed import MAX_WIDTH, FixedPoint, Ints
from codesign.network.graph import FROM_INPUT, Network
from codesign.network.layer import Kind, Layer
from codesign.network.reach import Reach, any_order, leaves, reaches
from codesign.network.unit import Unit

# These pass on values as they are, and their type.
_FOLLOWING = (Kind.RESHAPE, Kind.PAD, Kind.UPSAMPLE, Kind.MAX_POOL)


def worst_sums(network: Network) -> dict[str, Reach]:
    """Of every layer that computes, the least and greatest partial sums, raw at its accumulator's scale: (neurons,)."""
    found = {}
    for index, (layer, reach) in enumerate(zip(network.layers, reaches(network), strict=True)):
        if layer.protectable:
            wide = FixedPoint(MAX_WIDTH, MAX_WIDTH - layer.acc.frac, True, layer.acc.rounding)
            unit = Unit(replace(layer, accumulator=wide), network.input_types(index))
            worst = any_order(leaves(unit, reach.entering))
            found[layer.name] = Reach(worst.low.min(axis=0), worst.high.max(axis=0))
    return found


def needed_bits(worst: Reach) -> Ints:
    """Width of the narrowest signed integers that hold values of these ranges; same shape, at least 1."""
    furthest = np.maximum(worst.high, -worst.low - 1)
    bits: Ints = 1 + np.frexp(furthest.astype(np.float64))[1].astype(np.int64)  # exact below 2**53
    return bits


def accumulator_needs(network: Network) -> dict[str, Ints]:
    """Of every layer that computes, the signed bits that each neuron's sum needs: (neurons,)."""
    return {name: needed_bits(worst) for name, worst in worst_sums(network).items()}


def prove_accumulators(
    network: Network, bits: int | None = None, layers: Container[str] | None = None
) -> dict[str, Ints]:
    """The needs, when every sum fits its accumulator, and those of layers with trained weights fit `bits`.

    `layers`: only these are held to `bits`; by default all.
    Raises ConfigError that names the first neuron whose sum may overflow.
    """
    needs = {}
    for name, worst in worst_sums(network).items():
        layer, needs[name] = network.layer(name), needed_bits(worst)
        trained = layer.has_weights and layer.kind is not Kind.BATCHNORM and (layers is None or name in layers)
        bounded = bits is not None and trained
        limit = min(layer.acc.width, bits) if bounded and bits else layer.acc.width
        if (over := np.flatnonzero(~worst.within(layer.acc) | (needs[name] > limit + (not layer.acc.signed)))).size:
            raise ConfigError(
                f"network '{network.name}', layer '{name}': the sum of neuron {over[0]} needs "
                f"{needs[name][over[0]]} bits, more than {limit}"
            )
    return needs


def narrowed(network: Network) -> Network:
    """The same function on accumulators as narrow as proven, and the types of results that follow them.

    A result keeps its type where a table is indexed by it or another layer's rule depends on it.
    """
    worst, done = worst_sums(network), list[Layer]()
    for index, layer in enumerate(network.layers):
        sources = [done[s].result if s != FROM_INPUT else network.input_type for s in network.sources(index)]
        if layer.protectable:
            accumulator = _narrow(layer.acc, worst[layer.name])
            follows = layer.result == layer.acc and _may_change(network, index)
            result = accumulator if follows else layer.result
            done.append(replace(layer, accumulator=accumulator, result=result))
        elif layer.kind in _FOLLOWING and layer.result == network.input_of(index) and _may_change(network, index):
            done.append(replace(layer, result=sources[0]))
        else:
            done.append(layer)
    return replace(network, layers=tuple(done))


def _narrow(accumulator: FixedPoint, worst: Reach) -> FixedPoint:
    width = int(needed_bits(worst).max())
    if not accumulator.signed or width >= accumulator.width:
        return accumulator
    return replace(accumulator, width=width, integer=width - accumulator.frac)


def _may_change(network: Network, index: int) -> bool:
    """All that take a layer's values take any type, down to the layers that cast them to a type of their own."""
    for taker in (i for i in range(len(network.layers)) if index in network.sources(i)):
        layer = network.layers[taker]
        linear = layer.kind is Kind.ACTIVATION and layer.settings["function"] == "linear"
        if layer.protectable or layer.kind is Kind.RELU or linear:
            continue
        if layer.kind not in _FOLLOWING or not _may_change(network, taker):
            return False
    return True
