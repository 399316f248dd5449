"""Products as they enter the sums: by constants in logic, or by stored weights."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from codesign.fixed import FixedPoint, Ints, Rounding
from codesign.network import Layer
from codesign.resources.dsp import parts, takes_dsp, tiles
from codesign.resources.estimate.adders import added, adder_luts, positive
from codesign.resources.estimate.sums import Alive
from codesign.resources.estimate.words import EVERYTHING, Bools, Range, Words, bit_length, trailing_zeros
from codesign.resources.policy import EstimatePolicy


@dataclass(frozen=True)
class Multipliers:
    """Cost of each product; arrays of one shape."""

    lut: Ints
    dsp: Ints
    depth: Ints

    def __getitem__(self, at: Any) -> "Multipliers":
        return Multipliers(self.lut[at], self.dsp[at], self.depth[at])


@dataclass(frozen=True)
class Products:
    """A pass's products in the accumulator's unit and what they cost; shape (products, neurons)."""

    words: Words
    cost: Multipliers
    alive: Alive = field(default_factory=Alive)


def products(layer: Layer, source: FixedPoint, policy: EstimatePolicy) -> Products:
    """Those of the layer's own unit."""
    if layer.reuse_factor > 1:
        return stored_products(layer, source, policy, (layer.per_pass, layer.neurons))
    shift = layer.acc.frac - source.frac - layer.w.type.frac
    if layer.saturates or (shift < 0 and layer.acc.rounding is not Rounding.TRN):
        cost = by_constants(layer.w.raw, source, EVERYTHING, policy)
        return _entering(layer, source, _times(layer.w.raw, source), cost)
    unique, where = np.unique(layer.w.raw, return_inverse=True)
    room = Range.of_bits(max(layer.acc.width - shift, 1), True) if shift >= 0 else EVERYTHING
    found = _constants(unique, source, room, policy, max(layer.acc.width - shift, 1))
    words, lut = found.words, found.cost.lut
    if shift < 0:  # rounding down needs the number itself
        lut = lut + np.where(words.minus, words.top - words.lowest, 0)
        words = positive(words, Range.of_bits(max(layer.acc.width - shift, 1), True))
    live = words.live & (words.lowest + shift < layer.acc.width)
    words = words.moved(shift, False)
    live &= (words.low < 0) | (words.high > 0)
    words = words.only(live)
    cost = Multipliers(np.where(live, lut, 0), np.where(live, found.cost.dsp, 0), np.where(live, words.level, 0))
    where = where.reshape(layer.w.raw.shape)
    counts = np.bincount(where.ravel(), minlength=len(unique)) * live
    return Products(words[where], cost[where], found.alive_of(counts))


def stored_products(layer: Layer, source: FixedPoint, policy: EstimatePolicy, shape: tuple[int, ...]) -> Products:
    """By weights that change from pass to pass: of any value of their type."""
    weight = layer.w.type
    one = by_variable(source, weight, _limit(layer, source), policy)
    ends = [x * y for x in (source.min_raw, source.max_raw) for y in (weight.min_raw, weight.max_raw)]
    words = Words.plain(
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
    depth = np.where(live, cost.depth + levels, 0)
    return Products(replace(words, level=depth), Multipliers(lut, dsp, depth))


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


def binary_digits(values: Ints) -> Ints:
    """As `signed_digits`, but the bits of the magnitudes, all with the value's sign: copies of one bit never meet."""
    places = np.arange(int(bit_length(np.abs(values).astype(np.float64)).max(initial=0)), dtype=np.int64)
    digits: Ints = (np.abs(values) >> places.reshape(-1, *[1] * values.ndim) & 1) * np.sign(values)
    return digits


def by_constants(weights: Ints, source: FixedPoint, limit: Range, policy: EstimatePolicy) -> Multipliers:
    """Costs are found once for each different weight and then spread over the layer."""
    unique, where = np.unique(weights, return_inverse=True)
    found = _constants(unique, source, limit, policy, limit.width)
    # The products that stand for their negative are made positive where they are needed.
    return found.cost[where.reshape(weights.shape)]


@dataclass(frozen=True)
class _Constants:
    """Products by different weights, shape (n,). `waits` are, for each adder's operands, bits, since and until."""

    words: Words
    cost: Multipliers
    waits: tuple[tuple[Ints, Ints, Ints], ...]

    def alive_of(self, counts: Ints) -> Alive:
        """Register bits between the adders of so many products by each weight."""
        alive = Alive()
        for bits, since, until in self.waits:
            alive.wait(bits * counts, since, until)
        return alive


def _constants(weights: Ints, source: FixedPoint, limit: Range, policy: EstimatePolicy, room: float) -> _Constants:
    """Products in a limit, of which the lowest `room` bits count."""
    digits = binary_digits(weights) if source.width == 1 else signed_digits(weights)
    terms = digits * (np.int64(1) << np.arange(len(digits), dtype=np.int64))[:, None]
    # Nonzero digits first, so that the tree over them is as shallow as their number allows.
    terms = np.take_along_axis(terms, np.argsort(terms == 0, axis=0, kind="stable"), axis=0)
    words, lut, waits = _shift_adds(terms[: max(1, int((terms != 0).sum(axis=0).max(initial=0)))], source, limit)
    dsp = np.array([_dsps(int(weight), source, policy, room) for weight in weights], np.int64)
    chosen = dsp > 0
    if chosen.any():
        # What several DSPs give is added.
        more = np.maximum(dsp - 1, 0)
        sums = more * (source.width + bit_length(np.abs(weights).astype(np.float64)))
        level = policy.dsp_levels + bit_length(more.astype(np.float64))
        words = replace(_times(weights, source), level=level).where(chosen, words)
        lut, waits = np.where(chosen, sums, lut), tuple((np.where(chosen, 0, b), s, u) for b, s, u in waits)
    return _Constants(words, Multipliers(lut, dsp, words.level), waits)


def _dsps(weight: int, source: FixedPoint, policy: EstimatePolicy, room: float) -> int:
    zeros = (weight & -weight).bit_length() - 1 if weight else 0
    if not takes_dsp(source, weight >> zeros, policy):
        return 0
    return len(tiles(source, weight >> zeros, policy, room - zeros))


def _shift_adds(
    terms: Ints, source: FixedPoint, limit: Range
) -> tuple[Words, Ints, tuple[tuple[Ints, Ints, Ints], ...]]:
    """Balanced trees over shifted inputs, shape (n_terms, n); 0 is no term. Products, LUTs, and what waits for sums.

    All terms of a tree are multiples of the same input, so that the range of a partial sum is exact, and equal sums
    are one.
    """
    if not len(terms):
        terms = np.zeros((1, terms.shape[1]), np.int64)
    words = replace(_times(np.abs(terms), source), minus=terms < 0)
    if source.width == 1 and source.signed:
        words = replace(_times(np.abs(terms), FixedPoint(1, 1, False)), minus=terms > 0)
    lut, waits = np.zeros(terms.shape[1], np.int64), []
    while len(terms) > 1:
        even = len(terms) // 2 * 2
        left, right = terms[0:even:2], terms[1:even:2]
        meant = _times(left + right, source)
        adders = added(words[0:even:2], words[1:even:2], limit, (meant.low, meant.high))
        found = adder_luts(adders, adders.start, adders.sum.top)
        lut = lut + np.where(_repeated(left, right), 0, found).sum(axis=0)
        for word in (adders.first, adders.second):
            bits = np.where(adders.both, np.minimum(word.top, adders.sum.top) - word.lowest, 0)
            waits += list(zip(bits, word.level, adders.sum.level, strict=True))
        words, terms = adders.sum.then(words[even:]), np.concatenate([left + right, terms[even:]])
    return words[0], lut, tuple(waits)


def _repeated(left: Ints, right: Ints) -> Bools:
    """Sums that are a multiple of another one before them, by a power of two: the same adder, wired elsewhere."""
    ratio = np.divide(left, right, out=np.full(left.shape, np.nan), where=(left != 0) & (right != 0))
    found = np.zeros(left.shape, np.bool_)
    for later in range(1, len(left)):
        found[later] = (ratio[:later] == ratio[later]).any(axis=0)
    return found


def _times(constants: Ints, source: FixedPoint) -> Words:
    """Products of a source's whole range with constants."""
    ends = constants * float(source.min_raw), constants * float(source.max_raw)
    return Words.plain(np.minimum(*ends), np.maximum(*ends), trailing_zeros(constants), constants != 0)


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
    rows = Words.plain(low, high, np.arange(narrow.width)[:, None], np.ones_like(low, np.bool_))
    lut = narrow.width // 2
    while len(rows.live) > 1:
        even = len(rows.live) // 2 * 2
        adders = added(rows[0:even:2], rows[1:even:2], limit)
        # Bits of one row alone are ands as well, so each bit of an adder has its LUT.
        lut += int((adders.sum.top - adders.start).sum())
        rows = adders.sum.then(rows[even:])
    return lut, 0, int(rows.level[0, 0])


def _dsps_of_variables(a: FixedPoint, b: FixedPoint, policy: EstimatePolicy) -> int:
    """Both as signed numbers, in parts that fit a DSP's operands, the better way round."""
    first, second = (of.width + (not of.signed) for of in (a, b))

    def count(width: int, most: int) -> int:
        return len(list(parts(width, most)))

    one, other = policy.dsp_tile
    return min(count(first, one) * count(second, other), count(first, other) * count(second, one))
