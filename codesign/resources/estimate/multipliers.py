"""Products as they enter the sums: by constants in logic, or by stored weights."""

from dataclasses import dataclass

import numpy as np

from codesign.fixed import FixedPoint, Ints, Rounding
from codesign.network import Layer
from codesign.resources.dsp import parts, takes_dsp, tiles
from codesign.resources.estimate.sums import Copies, tree
from codesign.resources.estimate.words import EVERYTHING, Range, Words, bit_length, total, trailing_zeros
from codesign.resources.policy import EstimatePolicy


@dataclass(frozen=True)
class Multipliers:
    """Cost of each product; arrays of one shape."""

    lut: Ints
    dsp: Ints
    depth: Ints


@dataclass(frozen=True)
class Products:
    """A pass's products in the accumulator's unit and what they cost; shape (products, neurons)."""

    words: Words
    cost: Multipliers


def products(layer: Layer, source: FixedPoint, policy: EstimatePolicy) -> Products:
    """Those of the layer's own unit."""
    if layer.reuse_factor > 1:
        return stored_products(layer, source, policy, (layer.per_pass, layer.neurons))
    return _entering(
        layer, source, _times(layer.w.raw, source), by_constants(layer.w.raw, source, _limit(layer, source), policy)
    )


def stored_products(layer: Layer, source: FixedPoint, policy: EstimatePolicy, shape: tuple[int, ...]) -> Products:
    """By weights that change from pass to pass: of any value of their type."""
    weight = layer.w.type
    one = by_variable(source, weight, _limit(layer, source), policy)
    ends = [x * y for x in (source.min_raw, source.max_raw) for y in (weight.min_raw, weight.max_raw)]
    words = Words(
        np.full(shape, float(min(ends))),
        np.full(shape, float(max(ends))),
        np.zeros(shape, np.int64),
        np.ones(shape, np.bool_),
    )
    return _entering(layer, source, words, Multipliers(*(np.full(shape, n, np.int64) for n in one)))


def _limit(layer: Layer, source: FixedPoint) -> Range:
    """Above these bits a product never reaches an accumulator that wraps, so its multiplier does not compute them."""
    if layer.saturates:
        return EVERYTHING
    shift = layer.acc.frac - source.frac - layer.w.type.frac
    return Range.of_bits(max(layer.acc.width - shift, 1), layer.acc.signed)


def _entering(layer: Layer, source: FixedPoint, exact: Words, cost: Multipliers) -> Products:
    """Exact products cast to the accumulator: an adder where it rounds, a choice a bit where it saturates."""
    acc = layer.acc
    shift = acc.frac - source.frac - layer.w.type.frac
    rounds = shift < 0 and acc.rounding is not Rounding.TRN
    words, to = exact.moved(shift, rounds), Range.of_type(acc)
    extra, levels = np.zeros_like(cost.lut), np.zeros_like(cost.depth)
    if layer.saturates:
        live, beyond = exact.live & ((words.low < 0) | (words.high > 0)), words.beyond(to)
        extra, levels = np.where(beyond, acc.width + 1, 0), levels + beyond
        words = words.clipped_to(to).only(live)
    else:
        live = exact.live & (words.lowest < acc.width) & ((words.low < 0) | (words.high > 0))
        words = words.wrapped_to(to).only(live)
    if rounds:
        extra, levels = extra + words.bits, levels + 1
    lut, dsp = np.where(live, cost.lut + extra, 0), np.where(live, cost.dsp, 0)
    return Products(words, Multipliers(lut, dsp, np.where(live, cost.depth + levels, 0)))


# ---------------------------------------------------------------- by constants


def signed_digits(values: Ints) -> Ints:
    """Canonical signed digits: shape (n_digits, *values.shape), each -1, 0 or 1, the least significant first."""
    rest = np.array(values, np.int64)
    digits = []
    while np.any(rest):
        digit = np.where(rest & 1, 2 - (rest & 3), 0)
        digits.append(digit)
        rest = (rest - digit) >> 1
    return np.array(digits, np.int64).reshape(len(digits), *rest.shape)


def by_constants(weights: Ints, source: FixedPoint, limit: Range, policy: EstimatePolicy) -> Multipliers:
    """Costs are found once for each different weight and then spread over the layer."""
    unique, where = np.unique(weights, return_inverse=True)
    digits = signed_digits(unique)
    scaled = digits * (np.int64(1) << np.arange(len(digits), dtype=np.int64))[:, None]
    # Nonzero digits first, so that the tree over them is as shallow as their number allows.
    scaled = np.take_along_axis(scaled, np.argsort(scaled == 0, axis=0, kind="stable"), axis=0)
    lut, depth = _shift_adds(scaled, source, limit)
    # Zeros below the lowest set bit are wiring.
    room = limit.width
    dsp = np.array([_dsps(int(weight), source, policy, room) for weight in unique], np.int64)
    # What several DSPs give is added.
    more = np.maximum(dsp - 1, 0)
    lut = np.where(dsp > 0, more * (source.width + bit_length(np.abs(unique).astype(np.float64))), lut)
    depth = np.where(dsp > 0, policy.dsp_levels + bit_length(more.astype(np.float64)), depth)
    return Multipliers(*(cost[where].reshape(weights.shape) for cost in (lut, dsp, depth)))


def _dsps(weight: int, source: FixedPoint, policy: EstimatePolicy, room: float) -> int:
    zeros = (weight & -weight).bit_length() - 1 if weight else 0
    if not takes_dsp(source, weight >> zeros, policy):
        return 0
    return len(tiles(source, weight >> zeros, policy, room - zeros))


def _shift_adds(terms: Ints, source: FixedPoint, limit: Range) -> tuple[Ints, Ints]:
    """LUTs and depth of balanced trees over shifted inputs, shape (n_terms, n); 0 is no term.

    All terms of a tree are multiples of the same input, so that the range of a partial sum is exact.
    """
    lut, depth = np.zeros(terms.shape[1], np.int64), np.zeros_like(terms)
    while len(terms) > 1:
        even = len(terms) // 2 * 2
        left, right = terms[0:even:2], terms[1:even:2]
        both = (left != 0) & (right != 0)
        start = np.maximum(trailing_zeros(left), trailing_zeros(right))
        top = np.maximum(_times(left + right, source).wrapped_to(limit).width, start + 1)
        lut = lut + total(np.where(both, top - start, 0))
        depth = np.concatenate([np.maximum(depth[0:even:2], depth[1:even:2]) + both, depth[even:]])
        terms = np.concatenate([left + right, terms[even:]])
    return lut, depth.max(axis=0, initial=0)


def _times(constants: Ints, source: FixedPoint) -> Words:
    """Products of a source's whole range with constants."""
    ends = constants * float(source.min_raw), constants * float(source.max_raw)
    return Words(np.minimum(*ends), np.maximum(*ends), trailing_zeros(constants), constants != 0)


# ---------------------------------------------------------------- by variables


def by_variable(a: FixedPoint, b: FixedPoint, limit: Range, policy: EstimatePolicy) -> tuple[int, int, int]:
    """LUTs, DSPs and levels of a multiplication of two variables.

    In logic: the wider one, and-ed with each bit of the narrower and shifted, added by a balanced tree. An and is in
    the LUT of the first adder that its bit meets; the lowest bit of each pair of rows meets none and takes a LUT.
    """
    if min(a.width, b.width) >= policy.dsp_min_bits:
        return 0, _dsps_of_variables(a, b, policy), policy.dsp_levels
    wide, narrow = (a, b) if a.width >= b.width else (b, a)
    if narrow.width == 1:
        return wide.width, 0, 1
    weight = 2.0 ** np.arange(narrow.width)[:, None]
    if narrow.signed:
        weight[-1] *= -1
    ends = weight * wide.min_raw, weight * wide.max_raw
    low, high = np.minimum(np.minimum(*ends), 0), np.maximum(np.maximum(*ends), 0)
    rows = Words(low, high, np.arange(narrow.width)[:, None], np.ones_like(low, np.bool_))
    sums = tree(rows, Copies.none(), limit)
    return sums.lut + narrow.width // 2, 0, sums.levels


def _dsps_of_variables(a: FixedPoint, b: FixedPoint, policy: EstimatePolicy) -> int:
    """Both as signed numbers, in parts that fit a DSP's operands, the better way round."""
    first, second = (of.width + (not of.signed) for of in (a, b))

    def count(width: int, most: int) -> int:
        return len(list(parts(width, most)))

    one, other = policy.dsp_tile
    return min(count(first, one) * count(second, other), count(first, other) * count(second, one))
