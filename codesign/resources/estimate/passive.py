"""The cost of layers that compute no sums of products. They work on all of their values at once, as hls4ml's do.

- Wiring (concatenate, reshape, pad, upsample) costs its casts.
- ReLU: see `logic.cast_cost`.
- Maximum: a tree of comparisons (two bits a LUT) and choices (a LUT a bit); argmax carries the index along.
- Average: a tree of adders, then the division by the number of pixels: a shift by a power of two, otherwise an array
  divider, for each bit of the sum a row of subtract-or-keep as wide as the divisor and one bit more.
- Look-up: the index saturated to the table's span, and a table of its own for each two values in block RAM, which has
  two ports, or for each value in LUTs.
- Factors are multiplications by constants; functions of two halves choose with a LUT a bit.
- Softmax: the maximum, the distances from it ("stable"), their exponentials, the tree of their sum, one look-up of its
  inverse, and a multiplication of two variables for each value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.network import Kind, Layer, Parameter
from codesign.network.tables import SELU_FACTOR, SPANS
from codesign.resources.estimate.figures import Boundary, Costed, LayerEstimate
from codesign.resources.estimate.logic import Memory, cast_cost, larger_luts, reduce_luts
from codesign.resources.estimate.multipliers import by_constants, by_variable
from codesign.resources.estimate.sums import Copies
from codesign.resources.estimate.trees import tree
from codesign.resources.estimate.words import EVERYTHING, Range, Words
from codesign.resources.policy import EstimatePolicy

Sources = tuple[FixedPoint, ...]


@dataclass(frozen=True)
class _Part:
    """A piece of logic. `a + b`: b works on what a gives; `n * a`: n of them side by side."""

    lut: int = 0
    levels: int = 0
    dsp: int = 0
    bram_18k: int = 0

    def __add__(self, then: "_Part") -> "_Part":
        return _Part(self.lut + then.lut, self.levels + then.levels, self.dsp + then.dsp, self.bram_18k + then.bram_18k)

    def __rmul__(self, n: int) -> "_Part":
        return _Part(n * self.lut, self.levels, n * self.dsp, n * self.bram_18k)


def passive_cost(layer: Layer, sources: Sources, policy: EstimatePolicy) -> Costed:
    """Figures of a layer into which values of types `sources` enter."""
    part = _logic(layer, sources, policy)
    estimated = LayerEstimate(
        name=layer.name,
        function=part.lut,
        casts=part.lut,
        dsp=part.dsp,
        bram_18k=part.bram_18k,
        activation_levels=part.levels,
    )
    entering = sum(int(np.prod(shape)) * source.width for shape, source in zip(layer.in_shapes, sources, strict=True))
    leaving = layer.n_out * layer.result.width
    return Costed(estimated, (Boundary(0, entering), Boundary(part.levels, leaving)), leaving)


def _logic(layer: Layer, sources: Sources, policy: EstimatePolicy) -> _Part:
    source = sources[0]
    match layer.kind:
        case Kind.MAX_POOL:
            return _max_pool(layer, source)
        case Kind.AVERAGE_POOL:
            return _average_pool(layer, source)
        case Kind.ACTIVATION:
            return _activation(layer, source, policy)
        case Kind.SOFTMAX:
            return _softmax(layer, source, policy)
        case Kind.ARGMAX:
            index = max(1, (layer.n_in - 1).bit_length())
            # The winner's place, decoded; the values that leave are constants.
            return _largest(layer.n_in, source.width, index) + _Part(layer.n_in * reduce_luts(index), 1)
    n_values = [int(np.prod(shape)) for shape in layer.in_shapes]
    casts = [n * _cast(x, layer.result, layer.kind is Kind.RELU) for n, x in zip(n_values, sources, strict=True)]
    return _Part(sum(part.lut for part in casts), max(part.levels for part in casts))


def _cast(source: FixedPoint, to: FixedPoint, relu: bool = False) -> _Part:
    return _Part(*cast_cost(source, to, relu=relu))


# ---------------------------------------------------------------- pooling


def _largest(n: int, bits: int, index_bits: int = 0) -> _Part:
    """The largest of n values, and its index."""
    return _Part((n - 1) * (larger_luts(bits) + index_bits), 2 * (n - 1).bit_length())


def _windows(layer: Layer) -> tuple[Ints, int]:
    """How many pixels of the image lie under the window, for each of its positions, and the channels."""
    assert layer.window is not None
    return (layer.window.places >= 0).sum(axis=1), layer.window.in_shape[2]


def _max_pool(layer: Layer, source: FixedPoint) -> _Part:
    pixels, channels = _windows(layer)
    each = [_largest(max(1, int(n)), source.width) for n in pixels]
    return _side_by_side(each, channels) + layer.n_out * _cast(source, layer.result)


def _average_pool(layer: Layer, source: FixedPoint) -> _Part:
    pixels, channels = _windows(layer)
    mean = {int(n): _sum(int(n), source, layer.acc) + _divided(int(n), layer.acc) for n in np.unique(pixels)}
    return _side_by_side([mean[int(n)] for n in pixels], channels) + layer.n_out * _cast(layer.acc, layer.result)


def _side_by_side(parts: Sequence[_Part], times: int) -> _Part:
    return _Part(times * sum(part.lut for part in parts), max(part.levels for part in parts))


def _sum(n: int, source: FixedPoint, to: FixedPoint) -> _Part:
    """Values, each cast to a type, and added in it; one that saturates detects and chooses behind every adder."""
    limit = Range.of_type(to)
    words = Words.of_type(source, (n, 1)).moved(to.frac - source.frac, False).wrapped_to(limit)
    sums, saturates = tree(words, Copies.none(), limit), to.overflow is not Overflow.WRAP
    choices = (n - 1) * (to.width + 1) * saturates
    return n * _cast(source, to) + _Part(sums.lut + choices, sums.levels * (1 + saturates))


def _divided(n: int, of: FixedPoint) -> _Part:
    if n & (n - 1) == 0:
        return _Part()
    return _Part(of.width * (n.bit_length() + 1), of.width)


# ---------------------------------------------------------------- activations


def _activation(layer: Layer, source: FixedPoint, policy: EstimatePolicy) -> _Part:
    """Two comparisons of the ternary function; the binary one is the sign."""
    function, to = layer.settings["function"], layer.result
    single = [_scaled(source, table, to, policy) for table in layer.tables if table.raw.size == 1]
    choice = _Part(to.width, 1)
    match function:
        case "linear":
            return layer.n_in * _cast(source, to)
        case "binary_tanh":
            return _Part()
        case "ternary_tanh":
            return layer.n_in * _Part(2 * -(-source.width // 2), 1)
        case "leaky_relu":
            return layer.n_in * (single[0] + choice)
        case "hard_sigmoid" | "hard_tanh":
            # The shift is an adder; behind it the value is held between two constants.
            shifted = _Part(source.width + layer.tables[0].type.width, 1)
            return layer.n_in * (single[0] + shifted + choice)
    table = layer.tables[0]
    looked_up = layer.n_in * _index(source, table.raw.size, SPANS[function]) + _tables(table, layer.n_in, policy)
    if function == "elu":
        return looked_up + layer.n_in * (_scaled(table.type, layer.tables[1], to, policy) + choice)
    if function == "selu":
        return looked_up + layer.n_in * (_scaled(source, SELU_FACTOR, to, policy) + choice)
    return looked_up + layer.n_in * _cast(table.type, to)


def _scaled(source: FixedPoint, factor: Parameter, to: FixedPoint, policy: EstimatePolicy) -> _Part:
    """A product with a single number, cast."""
    cost = by_constants(factor.raw.reshape(1, 1), source, EVERYTHING, policy)
    kind = factor.type
    exact = FixedPoint(min(source.width + kind.width, 48), source.integer + kind.integer, source.signed or kind.signed)
    return _Part(int(cost.lut.sum()), int(cost.depth.max()), int(cost.dsp.sum())) + _cast(exact, to)


def _index(source: FixedPoint, size: int, span: int) -> _Part:
    """A value as the number of a table's entry, rounded towards zero and held in the table."""
    covered = 2 * span if span > 0 else -span
    bits = max(1, (size - 1).bit_length())
    number = FixedPoint(bits, (covered - 1).bit_length(), span > 0, Rounding.TRN_ZERO, Overflow.SAT)
    return _cast(source, number)


def _tables(table: Parameter, readers: int, policy: EstimatePolicy) -> _Part:
    memory = Memory.of(table.raw.size, table.type.width, policy, readers)
    return _Part(memory.lut, 1, 0, memory.bram_18k)


def _softmax(layer: Layer, source: FixedPoint, policy: EstimatePolicy) -> _Part:
    exponentials, inverses = layer.tables
    n, part = layer.n_in, _Part()
    if norm := layer.settings["norm_type"]:
        distance = FixedPoint(min(source.width + 1, 48), source.integer + 1)
        subtract = _Part(source.width, 1) + _cast(distance, FixedPoint.parse(norm))
        part = _largest(n, source.width) + n * subtract
    part += _tables(exponentials, n, policy) + _sum(n, exponentials.type, layer.acc)
    part += _cast(layer.acc, FixedPoint.parse(layer.settings["inverse_input_type"])) + _tables(inverses, 1, policy)
    lut, dsp, levels = by_variable(layer.acc, inverses.type, EVERYTHING, policy)
    product = FixedPoint(
        min(layer.acc.width + inverses.type.width, 48),
        layer.acc.integer + inverses.type.integer,
        layer.acc.signed or inverses.type.signed,
    )
    return part + n * (_Part(lut, levels, dsp) + _cast(product, layer.result))
