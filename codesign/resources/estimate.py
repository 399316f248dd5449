"""Resources of a design by arithmetic alone, for the inner loop of a search.

The architecture costed is hls4ml's io_parallel with strategy Latency and reuse factor 1: everything is
unrolled, weights are constants in logic, a new input enters every cycle. The model is worked out from the
arithmetic and not yet fitted to a synthesis tool; `tool_version` of the report names it.

Model (`MODEL`), figures in 6-input LUTs unless said otherwise:

- *Products*: constants are recoded to canonical signed digits (Reitwiesner, "Binary arithmetic", Advances
  in Computers 1, 1960); d nonzero digits cost d - 1 adders, in a balanced tree. A zero weight costs nothing.
- *Sums*: a balanced binary tree over [bias, product 0, product 1, ...], the tree of `network.adder_spans`;
  an operand that is always zero needs no adder. Nothing is shared between neurons.
- *Adder*: one LUT a bit. Its bits run from the higher of its operands' lowest bits (below it, one operand
  passes through) to the top of the sum's range, found by interval arithmetic from the input's type and the
  weights, at most the accumulator's width. A subtraction costs as much as an addition: of two operands
  of different sign either can be the one subtracted, and the sum's sign is left to the next adder.
- *Hardened neuron* (h bits, cut c = A - h): bits of an adder below c exist once, those from c on three
  times. Where values can be negative each copy carries the sign, so the high part has at least one bit.
  Products exist once; their high parts fan out to the copies.
- *Voter*: h LUTs of majority; a LUT for the mismatch of every two bits, or-reduced; an or over the
  layer's hardened neurons with its sticky flag.
- *Guard*: a LUT for each nonzero product and copy. Conservative: mapping can absorb it into the adder.
- *Casts and ReLU*: an adder where the type rounds; overflow detection and one mux LUT a result bit where
  it saturates; the same mux LUT zeroes negative values in a ReLU.
- *DSP*: a multiplication whose operands both have at least `dsp_min_bits` bits takes DSPs and no LUT.
- *Latency*: levels of logic of the deepest neuron, `levels_per_cycle` in a cycle. A dense layer and the
  ReLUs behind it share cycles; each such stage ends in a register, so it takes at least one cycle.
- *FF*: at every cut between two cycles the bits alive there (see `_timed`), constants excluded.
- BRAM is a true zero: there is no memory in this architecture.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding, cast
from codesign.network import Kind, Layer, Network
from codesign.protection import REPLICAS, ProtectionPlan
from codesign.resources.report import ResourceReport

MODEL = "codesign-estimate-1"

# Interval bounds are whole numbers in float64: products of two 48-bit types leave int64, and what float64
# rounds (above 2**53) lies beyond every accumulator, where ranges are cut to the type anyway.
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]

LUT_INPUTS = 6


@dataclass(frozen=True)
class EstimatePolicy:
    """The assumptions that a design's figures rest on.

    `dsp_min_bits`: a multiplication by a constant takes DSPs when both operands have as many bits;
    `dsp_tile`: operand widths of one DSP (25 x 18 in a DSP48E1, AMD UG479), wider ones take several;
    `dsp_levels`: levels of logic that a multiplication in DSPs counts for;
    `level_ns`: delay of one level, an adder of typical width with its routing;
    `clock_uncertainty`: share of the period kept back (default of Vivado HLS; Vitis HLS keeps 0.27).
    """

    dsp_min_bits: int = 10
    dsp_tile: tuple[int, int] = (25, 18)
    dsp_levels: int = 3
    level_ns: float = 1.25
    clock_uncertainty: float = 0.125

    def __post_init__(self) -> None:
        if min(self.dsp_min_bits, self.dsp_levels, *self.dsp_tile) < 1:
            raise ConfigError("estimate policy: dsp_min_bits, dsp_levels and dsp_tile must be at least 1")
        if not (math.isfinite(self.level_ns) and self.level_ns > 0 and 0 <= self.clock_uncertainty < 1):
            raise ConfigError("estimate policy: level_ns must be > 0, clock_uncertainty in 0..1 (1 excluded)")

    def levels_per_cycle(self, clock_ns: float) -> int:
        """Levels of logic that fit between two registers. Raises ConfigError where not one does."""
        if not (math.isfinite(clock_ns) and clock_ns > 0):
            raise ConfigError(f"clock_ns is {clock_ns}, expected nanoseconds > 0")
        levels = int(clock_ns * (1 - self.clock_uncertainty) / self.level_ns)
        if levels < 1:
            least = self.level_ns / (1 - self.clock_uncertainty)
            raise ConfigError(f"clock_ns {clock_ns:g} is too short for one level of logic, {least:.3g} ns are needed")
        return levels


@dataclass(frozen=True)
class LayerEstimate:
    """One layer. `function`, `replicas`, `voters` and `guards` are LUTs and sum to `lut`.

    `function` is what the unprotected layer takes, whatever the plan. Levels are the depth of logic of
    the deepest neuron; `latency_cycles` of all layers sum to the network's.
    """

    name: str
    function: int
    replicas: int
    voters: int
    guards: int
    dsp: int
    ff: int
    multiplier_levels: int
    adder_levels: int
    voter_levels: int
    activation_levels: int
    latency_cycles: int

    @property
    def lut(self) -> int:
        return self.function + self.replicas + self.voters + self.guards

    @property
    def levels(self) -> int:
        return self.multiplier_levels + self.adder_levels + self.voter_levels + self.activation_levels


@dataclass(frozen=True)
class Estimate:
    """The report, and where its figures come from."""

    report: ResourceReport
    layers: tuple[LayerEstimate, ...]

    @property
    def function(self) -> int:
        """LUTs of the unprotected design."""
        return sum(layer.function for layer in self.layers)

    @property
    def replicas(self) -> int:
        """LUTs of the second and third copies."""
        return sum(layer.replicas for layer in self.layers)

    @property
    def voters(self) -> int:
        """LUTs of majority, mismatch detection and flags."""
        return sum(layer.voters for layer in self.layers)

    @property
    def guards(self) -> int:
        """LUTs that keep the copies apart."""
        return sum(layer.guards for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """The report's fields, the LUTs by cause, and the layers."""
        causes = {name: getattr(self, name) for name in ("function", "replicas", "voters", "guards")}
        layers = [{**asdict(layer), "lut": layer.lut, "levels": layer.levels} for layer in self.layers]
        return {**self.report.to_json(), "lut_by_cause": causes, "layers": layers}


_DEFAULT = EstimatePolicy()


def estimate(
    network: Network, plan: ProtectionPlan, *, clock_ns: float = 5.0, policy: EstimatePolicy = _DEFAULT
) -> Estimate:
    """Cost of the network under the plan. Raises ConfigError when the plan does not fit the network."""
    plan.check(network)
    per_cycle = policy.levels_per_cycle(clock_ns)
    layers: list[LayerEstimate] = []
    for stage in _stages(network, plan, policy):
        layers += _timed(stage, per_cycle)
    report = ResourceReport(
        lut=sum(layer.lut for layer in layers),
        ff=sum(layer.ff for layer in layers),
        dsp=sum(layer.dsp for layer in layers),
        bram_18k=0,
        latency_cycles=sum(layer.latency_cycles for layer in layers),
        ii=1,
        clock_ns=float(clock_ns),
        source="estimate",
        tool_version=MODEL,
    )
    return Estimate(report, tuple(layers))


# --- words: what interval arithmetic knows of a signal ---


@dataclass(frozen=True)
class _Words:
    """Ranges of signals: raw bounds, the lowest bit that can be one, and whether it can be other than zero.

    All arrays have the same shape; the first axis counts the operands of a sum.
    """

    low: Reals
    high: Reals
    lowest: Ints
    live: Bools

    @property
    def width(self) -> Ints:
        """Bits of the range from bit 0, with a sign bit where it reaches below zero."""
        magnitude: Ints = np.maximum(_bit_length(self.high), _bit_length(-self.low - 1))
        return magnitude + self.negative.astype(np.int64)

    @property
    def negative(self) -> Bools:
        """Where a sign is carried."""
        return np.less(self.low, 0)

    @property
    def bits(self) -> Ints:
        """Bits that a register needs; none for a constant."""
        return np.where(self.live & (self.low < self.high), np.maximum(self.width - self.lowest, 0), 0)

    def __getitem__(self, at: Any) -> "_Words":
        return _Words(self.low[at], self.high[at], self.lowest[at], self.live[at])

    def then(self, other: "_Words") -> "_Words":
        """Both, one behind the other."""
        return _Words(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in _FIELDS))

    def only(self, live: Bools) -> "_Words":
        """The others become zero."""
        return _Words(np.where(live, self.low, 0), np.where(live, self.high, 0), self.lowest, live)

    def cut_to(self, to: "_Range") -> "_Words":
        """Values that leave the range wrap, so that they can be anything in it."""
        out = (self.low < to.low) | (self.high > to.high)
        return _Words(np.where(out, to.low, self.low), np.where(out, to.high, self.high), self.lowest, self.live)


_FIELDS = ("low", "high", "lowest", "live")


@dataclass(frozen=True)
class _Range:
    """Bounds of a type, in the unit of the words it is applied to."""

    low: float
    high: float

    @classmethod
    def of_bits(cls, bits: int, signed: bool) -> "_Range":
        return cls(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else cls(0.0, 2.0**bits - 1)


def _bit_length(value: Reals) -> Ints:
    """Bits of whole numbers >= 0 (and 0 below): frexp gives v = m * 2**e with 1/2 <= m < 1."""
    exponent: Ints = np.frexp(np.maximum(value, 0))[1].astype(np.int64)
    return exponent


def _trailing_zeros(value: Ints) -> Ints:
    """Index of the lowest set bit; 0 for zero."""
    return np.maximum(_bit_length((value & -value).astype(np.float64)) - 1, 0)


# --- adder trees ---


@dataclass(frozen=True)
class _Adders:
    """The adders of one level of trees: the bits they span, [start, top), where `there`."""

    start: Ints
    top: Ints
    signed: Bools
    there: Bools

    def bits(self) -> Ints:
        """Bits of each tree's adders, summed over the level."""
        return _total(np.where(self.there, self.top - self.start, 0))

    def high_bits(self, cut: Ints) -> Ints:
        """Bits from the cut on, the sign at least, summed over the level."""
        return _total(np.where(self.there, _above(self.start, self.top, self.signed, cut), 0))


def _total(counts: Ints) -> Ints:
    """Summed over the first axis."""
    total: Ints = counts.sum(axis=0)
    return total


def _above(start: Ints, top: Ints, signed: Bools, cut: Ints) -> Ints:
    """How many of the bits [start, top) are copied by a cut; the sign is always one of them."""
    return np.maximum(top - np.maximum(start, cut), signed.astype(np.int64))


@dataclass(frozen=True)
class _Level:
    """One level of a set of trees: its adders, the words that leave it, and how deep each of those is."""

    adders: _Adders
    words: _Words
    depth: Ints


def _tree(leaves: _Words, depth: Ints, limit: _Range) -> list[_Level]:
    """Balanced trees along the first axis, level by level, all trees of a layer at once.

    Pairing neighbours, with an odd last one passed on, is the tree that splits N leaves at the largest
    power of two below N. An operand that is always zero is passed by without an adder.
    """
    levels = []
    while len(leaves.live) > 1:
        even = len(leaves.live) // 2 * 2
        left, right, rest = leaves[0:even:2], leaves[1:even:2], leaves[even:]
        both = left.live & right.live
        level, sums = _add(left, right, both, limit)
        below = np.maximum(depth[0:even:2], depth[1:even:2]) + both
        leaves, depth = sums.then(rest), np.concatenate([below, depth[even:]])
        levels.append(_Level(level, leaves, depth))
    return levels


def _add(left: _Words, right: _Words, both: Bools, limit: _Range) -> tuple[_Adders, _Words]:
    """Sums of two sets of words, whose dead words hold zero; an adder stands only where both are live."""
    lowest = np.where(both, np.minimum(left.lowest, right.lowest), np.where(left.live, left.lowest, right.lowest))
    summed = _Words(left.low + right.low, left.high + right.high, lowest, left.live | right.live).cut_to(limit)
    start = np.maximum(left.lowest, right.lowest)
    return _Adders(start, np.maximum(summed.width, start + 1), summed.negative, both), summed


# --- multipliers ---


def signed_digits(values: Ints) -> Ints:
    """Canonical signed digits: shape (n_digits, *values.shape), each -1, 0 or 1, the least significant first."""
    rest = np.array(values, np.int64)
    digits = []
    while np.any(rest):
        digit = np.where(rest & 1, 2 - (rest & 3), 0)
        digits.append(digit)
        rest = (rest - digit) >> 1
    return np.array(digits, np.int64).reshape(len(digits), *rest.shape)


@dataclass(frozen=True)
class _Multipliers:
    """Cost of multiplying by each weight, arrays of shape (n_in, n_out)."""

    lut: Ints
    dsp: Ints
    depth: Ints


def _multipliers(weights: Ints, source: FixedPoint, limit: _Range, policy: EstimatePolicy) -> _Multipliers:
    """Costs are found once for each different weight and then spread over the layer."""
    unique, where = np.unique(weights, return_inverse=True)
    digits = signed_digits(unique)
    scaled = digits * (np.int64(1) << np.arange(len(digits), dtype=np.int64))[:, None]
    # Nonzero digits first, so that the tree over them is as shallow as their number allows.
    scaled = np.take_along_axis(scaled, np.argsort(scaled == 0, axis=0, kind="stable"), axis=0)
    lut, depth = _shift_adds(scaled, source, limit)
    tiles = _tiles(unique, (digits != 0).sum(axis=0), source, policy)
    chosen = tiles > 0
    costs = (np.where(chosen, 0, lut), tiles, np.where(chosen, policy.dsp_levels, depth))
    return _Multipliers(*(cost[where].reshape(weights.shape) for cost in costs))


def _shift_adds(terms: Ints, source: FixedPoint, limit: _Range) -> tuple[Ints, Ints]:
    """LUTs and depth of balanced trees over shifted inputs, shape (n_terms, n); 0 is no term.

    All terms of a tree are multiples of the same input, so that the range of a partial sum is exact.
    """
    lut, depth = np.zeros(terms.shape[1], np.int64), np.zeros_like(terms)
    while len(terms) > 1:
        even = len(terms) // 2 * 2
        left, right = terms[0:even:2], terms[1:even:2]
        both = (left != 0) & (right != 0)
        start = np.maximum(_trailing_zeros(left), _trailing_zeros(right))
        top = np.maximum(_times(left + right, source).cut_to(limit).width, start + 1)
        lut = lut + _total(np.where(both, top - start, 0))
        depth = np.concatenate([np.maximum(depth[0:even:2], depth[1:even:2]) + both, depth[even:]])
        terms = np.concatenate([left + right, terms[even:]])
    return lut, depth.max(axis=0, initial=0)


def _times(constants: Ints, source: FixedPoint) -> _Words:
    """Products of a source's whole range with constants."""
    ends = constants * float(source.min_raw), constants * float(source.max_raw)
    return _Words(np.minimum(*ends), np.maximum(*ends), _trailing_zeros(constants), constants != 0)


def _tiles(weights: Ints, n_digits: Ints, source: FixedPoint, policy: EstimatePolicy) -> Ints:
    """DSPs of each multiplication, 0 where it stays in logic; a power of two is wiring and takes none."""
    # As signed numbers, as the DSP takes them; zeros below the lowest set bit are wiring as well.
    width = _bit_length(np.abs(weights >> _trailing_zeros(weights)).astype(np.float64)) + 1
    source_width = source.width + (not source.signed)
    first, second = policy.dsp_tile
    one_way = -(-source_width // first) * -(-width // second)
    other_way = -(-source_width // second) * -(-width // first)
    wide = (width >= policy.dsp_min_bits) & (n_digits > 1) & (source.width >= policy.dsp_min_bits)
    return np.where(wide, np.minimum(one_way, other_way), 0)


# --- layers ---


def _or_luts(n_inputs: int) -> int:
    """LUTs that reduce so many bits to one: each takes six and gives one back."""
    return max(0, -(-(n_inputs - 1) // (LUT_INPUTS - 1)))


def _voter_luts(hardened_bits: int) -> int:
    """Majority of three, a LUT a bit; two bits' mismatch (6 inputs) in a LUT, or-reduced."""
    pairs = -(-hardened_bits // 2)
    return hardened_bits + pairs + _or_luts(pairs)


@dataclass(frozen=True)
class _Boundary:
    """Where a register can stand: after so many levels of its layer, holding so many bits."""

    level: int
    bits: int


@dataclass(frozen=True)
class _Cost:
    """A layer before its latency is known.

    `boundaries` are in ascending order of level; `widths` are the bits of each result, shape (n_out,).
    """

    layer: LayerEstimate
    boundaries: tuple[_Boundary, ...]
    widths: Ints


def _stages(network: Network, plan: ProtectionPlan, policy: EstimatePolicy) -> Iterator[list[_Cost]]:
    """A dense layer and the ReLUs behind it: one run of logic, cut into cycles of equal depth."""
    stage: list[_Cost] = []
    for index, layer in enumerate(network.layers):
        source = network.input_of(index)
        if layer.kind is Kind.DENSE:
            if stage:
                yield stage
            stage = [_dense(layer, source, plan.hardened(layer), policy)]
        else:
            widths = stage[-1].widths if stage else np.full(layer.n_in, source.width, np.int64)
            stage.append(_relu(layer, source, widths))
    yield stage


def _timed(stage: list[_Cost], per_cycle: int) -> Iterator[LayerEstimate]:
    """Each layer with the cycles and registers that fall into it; the stage's last register is the last's.

    A cut after t levels holds the bits of the last boundary at or before t. Boundaries are the stage's
    inputs, the products, the words after each level of the adder trees (those of hardened neurons with
    their copies), the voted sums and the results.
    """
    ends = list(accumulate(cost.layer.levels for cost in stage))
    starts = [0, *ends[:-1]]
    boundaries = [(s + b.level, b.bits) for s, cost in zip(starts, stage, strict=True) for b in cost.boundaries]
    inner = max(0, -(-ends[-1] // per_cycle) - 1)
    done = 0
    for cost, end in zip(stage, ends, strict=True):
        reached = min(inner, end // per_cycle)
        levels = [cut * per_cycle for cut in range(done + 1, reached + 1)]
        registers = sum([bits for at, bits in boundaries if at <= level][-1] for level in levels)
        cycles, done = reached - done, reached
        if cost is stage[-1]:
            registers, cycles = registers + int(cost.widths.sum()), cycles + 1
        yield replace(cost.layer, ff=cost.layer.ff + registers, latency_cycles=cycles)


def _products(layer: Layer, source: FixedPoint, policy: EstimatePolicy) -> tuple[_Words, _Multipliers]:
    """Every product as it enters the sums, in the accumulator's unit, and what it costs; (n_in, n_out)."""
    weights, acc = layer.w.raw, layer.acc
    shift = acc.frac - source.frac - layer.w.type.frac
    # Above these bits a product never reaches the accumulator, so its multiplier does not compute them.
    limit = _Range.of_bits(max(acc.width - shift, 1), acc.signed)
    cost = _multipliers(weights, source, limit, policy)
    exact = _times(weights, source)
    rounds = shift < 0 and acc.rounding is not Rounding.TRN
    high = np.ldexp(exact.high, shift)
    words = _Words(
        np.floor(np.ldexp(exact.low, shift)),
        np.ceil(high) if rounds else np.floor(high),
        np.maximum(exact.lowest + shift, 0),
        exact.live,
    )
    live = exact.live & (words.lowest < acc.width) & ((words.low < 0) | (words.high > 0))
    words = words.cut_to(_Range.of_bits(acc.width, acc.signed)).only(live)
    extra = words.bits if rounds else np.zeros_like(weights)
    lut, dsp = np.where(live, cost.lut + extra, 0), np.where(live, cost.dsp, 0)
    return words, _Multipliers(lut, dsp, np.where(live, cost.depth + int(rounds), 0))


def _bias(layer: Layer) -> _Words:
    """The biases as they enter the sums: constants, shape (1, n_out)."""
    raw = cast(layer.b.raw, layer.b.type, layer.acc)[None]
    return _Words(raw.astype(np.float64), raw.astype(np.float64), _trailing_zeros(raw), raw != 0)


@dataclass(frozen=True)
class _Datapath:
    """The arithmetic of a dense layer: products, adder trees, their sums, and what is copied of them."""

    products: _Words
    multipliers: _Multipliers
    tree: list[_Level]
    sums: _Words
    copies: "_Copies"

    @classmethod
    def of(cls, layer: Layer, source: FixedPoint, hardened: Ints, policy: EstimatePolicy) -> "_Datapath":
        products, multipliers = _products(layer, source, policy)
        leaves = _bias(layer).then(products)
        limit = _Range.of_bits(layer.acc.width, layer.acc.signed)
        tree = _tree(leaves, np.zeros(leaves.live.shape, np.int64), limit)
        # A neuron without operands is a constant, whatever the plan says of it.
        copies = _Copies(layer.acc.width - hardened, (hardened > 0) & products.live.any(axis=0))
        return cls(products, multipliers, tree, tree[-1].words if tree else leaves, copies)

    @property
    def function(self) -> int:
        """LUTs of one copy."""
        return int(self.multipliers.lut.sum() + sum(level.adders.bits().sum() for level in self.tree))

    @property
    def replicas(self) -> int:
        """LUTs of the further copies."""
        return (REPLICAS - 1) * int(sum(self.copies.of_adders(level.adders).sum() for level in self.tree))

    @property
    def guards(self) -> int:
        """A LUT for each operand and copy of the hardened neurons."""
        return REPLICAS * int(self.products.live.sum(axis=0)[self.copies.there].sum())

    @property
    def adder_levels(self) -> int:
        return int(self.tree[-1].depth.max(initial=0)) if self.tree else 0


def _dense(layer: Layer, source: FixedPoint, hardened: Ints, policy: EstimatePolicy) -> _Cost:
    path = _Datapath.of(layer, source, hardened, policy)
    cast_lut, cast_levels = _cast_cost(layer.acc, layer.result, relu=False)
    protected = hardened[path.copies.there]
    estimated = LayerEstimate(
        name=layer.name,
        function=path.function + layer.n_out * cast_lut,
        replicas=path.replicas,
        voters=sum(_voter_luts(int(h)) for h in protected) + _flag_luts(len(protected)),
        guards=path.guards,
        dsp=int(path.multipliers.dsp.sum()),
        # The sticky flag; pipeline registers come with the cycles.
        ff=int(len(protected) > 0),
        multiplier_levels=int(path.multipliers.depth.max(initial=0)),
        adder_levels=path.adder_levels,
        voter_levels=int(len(protected) > 0),
        activation_levels=cast_levels,
        latency_cycles=0,
    )
    widths = np.minimum(path.sums[0].bits, layer.result.width)
    inputs = _Boundary(0, layer.n_in * source.width)
    return _Cost(estimated, (inputs, *_dense_boundaries(estimated, path, widths)), widths)


def _dense_boundaries(layer: LayerEstimate, path: _Datapath, widths: Ints) -> Iterator[_Boundary]:
    """Behind the inputs. Where zeros make a tree shallower than its leaves ask, its sums are there earlier."""
    first = layer.multiplier_levels
    yield _Boundary(first, int(path.products.bits.sum()))
    for at, level in enumerate(path.tree[: max(0, layer.adder_levels - 1)], first + 1):
        yield _Boundary(at, path.copies.bits(level.words))
    yield _Boundary(first + layer.adder_levels, path.copies.bits(path.sums))
    if layer.voter_levels:
        yield _Boundary(layer.levels - layer.activation_levels, int(path.sums.bits.sum()))
    if layer.activation_levels:
        yield _Boundary(layer.levels, int(widths.sum()))


def _flag_luts(n_hardened: int) -> int:
    """A layer's sticky flag: its own state or any neuron's mismatch."""
    return _or_luts(n_hardened + 1) if n_hardened else 0


@dataclass(frozen=True)
class _Copies:
    """What a layer's plan copies: neurons `there`, from bit `cut` on, both of shape (n_out,)."""

    cut: Ints
    there: Bools

    def of_adders(self, adders: _Adders) -> Ints:
        """Bits of adders in one copy, a neuron."""
        return np.where(self.there, adders.high_bits(self.cut), 0)

    def bits(self, words: _Words) -> int:
        """Register bits of words, with those of all copies."""
        once = words.bits
        copied = np.where(self.there & (once > 0), _above(words.lowest, words.width, words.negative, self.cut), 0)
        return int((once + (REPLICAS - 1) * copied).sum())


def _relu(layer: Layer, source: FixedPoint, widths: Ints) -> _Cost:
    lut, levels = _cast_cost(source, layer.result, relu=True)
    result = LayerEstimate(layer.name, layer.n_out * lut, 0, 0, 0, 0, 0, 0, 0, 0, levels, 0)
    kept = np.minimum(widths, layer.result.width)
    return _Cost(result, (_Boundary(0, int(widths.sum())), _Boundary(levels, int(kept.sum()))), kept)


def _cast_cost(source: FixedPoint, to: FixedPoint, *, relu: bool) -> tuple[int, int]:
    """LUTs and levels of one value's cast, behind the zeroing of negative values in a ReLU."""
    signed = source.signed and not relu
    dropped = source.frac - to.frac
    kept = max(source.width - (source.signed and relu) - dropped, 0)
    lut, levels = 0, 0
    if dropped > 0 and to.rounding not in ((Rounding.TRN,) if signed else (Rounding.TRN, Rounding.TRN_ZERO)):
        kept, lut, levels = kept + 1, kept + 1, 1
    beyond = max(0, (kept - signed) - (to.width - to.signed))
    if to.overflow is not Overflow.WRAP and (beyond or (signed and not to.signed)):
        detect = _or_luts(beyond + signed)
        return lut + detect + to.width, levels + (detect > 0) + 1
    if relu and source.signed:
        return lut + min(kept, to.width), levels + 1
    return lut, levels
