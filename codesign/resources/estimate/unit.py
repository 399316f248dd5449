"""The cost of a layer that computes: its unit, and the mechanism that protects it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codesign.fixed import FixedPoint, Ints, Rounding, cast
from codesign.network import Kind, Layer
from codesign.protection import LayerPlan, Mechanism, Scope
from codesign.resources.estimate.feed import Feed
from codesign.resources.estimate.figures import Area, Boundary, Costed, LayerEstimate, status
from codesign.resources.estimate.logic import cast_cost, flag_luts, vote_levels, vote_luts
from codesign.resources.estimate.multipliers import Multipliers, products
from codesign.resources.estimate.recompute import SharedUnit
from codesign.resources.estimate.shared import Datapath, GraphDatapath, only
from codesign.resources.estimate.stored import FLAGS, decoding_levels, stored_parameters
from codesign.resources.estimate.sums import Copies, Sums, chain, tree
from codesign.resources.estimate.words import Bools, Range, Words
from codesign.resources.policy import EstimatePolicy
from codesign.resources.rtl.shared import sums_on_graphs

Sources = tuple[FixedPoint, ...]


def unit_cost(layer: Layer, sources: Sources, plan: LayerPlan, policy: EstimatePolicy) -> Costed:
    """Figures of a layer into which values of types `sources` enter, under its plan."""
    feed = Feed(layer, sources)
    path = _datapath(layer, sources, plan, policy, feed.bits)
    unit = SharedUnit(layer, sources[0], plan, policy)
    cast_lut, cast_levels = cast_cost(layer.acc, layer.result)
    area = feed.area + path.area + Area(function=layer.neurons * cast_lut) + stored_parameters(layer, plan, policy)
    area += _resolution(path, plan)
    own = (feed.levels + decoding_levels(layer, plan), path.multiplier_levels, path.sums.levels)
    deepest, cycles = own, layer.steps
    if unit.neurons:
        area, deepest, cycles = area + unit.area, max(own, unit.levels, key=sum), cycles + layer.pixels * unit.cycles
    estimated = LayerEstimate(
        name=layer.name,
        **area.figures(),
        input_levels=deepest[0],
        multiplier_levels=deepest[1],
        adder_levels=deepest[2],
        voter_levels=path.voter_levels,
        activation_levels=cast_levels,
        ii=cycles,
    )
    widths = np.minimum(path.sums.words[0].bits, layer.result.width)
    boundaries = (Boundary(0, feed.bits), *_boundaries(estimated, own, path, int(widths.sum())))
    return Costed(estimated, boundaries, np.tile(widths, layer.pixels))


def _boundaries(layer: LayerEstimate, own: tuple[int, int, int], path: Datapath, out: int) -> Iterator[Boundary]:
    """Behind the operands; `own` are the levels of the layer's own neurons."""
    first = own[0] + own[1]
    # A chain's products are made one after the other, not all at once.
    if not path.layer.saturates:
        yield Boundary(first, path.product_bits)
    for level, bits in path.sums.alive:
        yield Boundary(first + level, bits)
    yield Boundary(first + own[2], path.sum_bits)
    if layer.voter_levels:
        yield Boundary(layer.levels - layer.activation_levels, int(path.sums.words.bits.sum()))
    if layer.activation_levels:
        yield Boundary(layer.levels, out)


# ---------------------------------------------------------------- products and sums


def _datapath(layer: Layer, sources: Sources, plan: LayerPlan, policy: EstimatePolicy, operand_bits: int) -> Datapath:
    """The layer's arithmetic by its strategy."""
    apart = _Datapath.of(layer, sources, plan, policy, operand_bits)
    if not (graphs := sums_on_graphs(layer, sources[0], plan, policy)):
        return apart
    rest = np.setdiff1d(np.arange(layer.neurons), [j for graph in graphs for j in graph.neurons])
    alone = None
    if len(rest):
        some, its_plan = only(layer, plan, rest)
        alone = _Datapath.of(some, sources, its_plan, policy, operand_bits)
    return GraphDatapath(tuple(graphs), apart, alone, operand_bits)


@dataclass(frozen=True)
class _Datapath:
    """The arithmetic of a layer's neurons. `operands` enter the sums beside the bias, at a certain `cost`.

    `guarded` are the operands that a copy of each neuron reads through its guard, shape (neurons,); `voted` are the
    hardened bits of neurons whose copies exist, zero elsewhere.
    """

    layer: Layer
    plan: LayerPlan
    operands: Words
    cost: Multipliers
    guarded: Ints
    voted: Ints
    copies: Copies
    sums: Sums

    @classmethod
    def of(
        cls, layer: Layer, sources: Sources, plan: LayerPlan, policy: EstimatePolicy, operand_bits: int
    ) -> "_Datapath":
        operands, cost = _operands(layer, sources, policy)
        stored = layer.reuse_factor > 1
        guarded = operands.live.sum(axis=0) + stored
        recomputes = plan.mechanism is Mechanism.RECOMPUTE
        # A neuron without operands is a constant, whatever the plan says of it; but it would be recomputed.
        hardened = np.array(plan.hardened_bits, np.int64)
        voted = np.where(operands.live.any(axis=0) | recomputes, hardened, 0)
        copies = (
            Copies.none(layer.neurons)
            if recomputes
            else Copies(layer.acc.width - hardened, voted > 0, plan.mechanism.copies - 1)
        )
        leaves = operands if layer.kind is Kind.ADD else _start(layer).then(operands)
        limit = Range.of_type(layer.acc)
        summed = chain(leaves, copies, limit, operand_bits) if layer.saturates else tree(leaves, copies, limit)
        return cls(layer, plan, operands, cost, guarded, voted, copies, summed)

    @property
    def there(self) -> Bools:
        return self.voted > 0

    @property
    def own_multipliers(self) -> bool:
        return self.plan.scope is Scope.MAC and self.plan.mechanism is not Mechanism.RECOMPUTE

    @property
    def area(self) -> Area:
        copied = self.copies.there if self.own_multipliers else np.zeros_like(self.copies.there)
        more = self.copies.more
        running = self.sum_bits if self.layer.reuse_factor > 1 else 0
        return Area(
            function=int(self.cost.lut.sum()) + self.sums.lut,
            replicas=more * (self.sums.copied + int(self.cost.lut[:, copied].sum())),
            guards=(more + 1) * int(self.guarded[self.there].sum()),
            dsp=int(self.cost.dsp.sum()) + more * int(self.cost.dsp[:, copied].sum()),
            ff=running,
        )

    @property
    def multiplier_levels(self) -> int:
        return int(self.cost.depth.max(initial=0))

    @property
    def voter_levels(self) -> int:
        return max((vote_levels(self.plan.mechanism, int(h)) for h in self.voted[self.there]), default=0)

    @property
    def product_bits(self) -> int:
        """Registers of the operands; of shared products the high parts only fan out to the copies."""
        bits = self.copies.registers(self.operands) if self.own_multipliers else self.operands.bits
        return int(bits.sum())

    @property
    def sum_bits(self) -> int:
        return int(self.copies.registers(self.sums.words).sum())


def _start(layer: Layer) -> Words:
    """Leaf 0: the biases, which are constants, or in passes the running sums; shape (1, neurons)."""
    if layer.reuse_factor > 1:
        return Words.of_type(layer.acc, (1, layer.neurons))
    return Words.constants(cast(layer.b.raw, layer.b.type, layer.acc)[None])


def _operands(layer: Layer, sources: Sources, policy: EstimatePolicy) -> tuple[Words, Multipliers]:
    """What is added to the first leaf, and what it costs; of an addition both leaves, cast to the accumulator."""
    if layer.kind is not Kind.ADD:
        found = products(layer, sources[0], policy)
        return found.words, found.cost
    both = [_cast_operand(layer, source) for source in sources]
    costs = np.array([cast_cost(source, layer.acc) for source in sources], np.int64)[:, None]
    lut, levels = np.moveaxis(np.broadcast_to(costs, (2, layer.neurons, 2)), -1, 0)
    return both[0].then(both[1]), Multipliers(lut, np.zeros_like(lut), levels)


def _cast_operand(layer: Layer, source: FixedPoint) -> Words:
    dropped = source.frac > layer.acc.frac
    rounds = dropped and layer.acc.rounding is not Rounding.TRN
    words = Words.of_type(source, (1, layer.neurons)).moved(layer.acc.frac - source.frac, rounds)
    return words.clipped_to(Range.of_type(layer.acc)) if layer.saturates else words.wrapped_to(Range.of_type(layer.acc))


# ---------------------------------------------------------------- protection


def _resolution(path: Datapath, plan: LayerPlan) -> Area:
    """Voters or comparisons of the hardened neurons, their flag, and the status registers of the layer."""
    widths = path.sums.words[0].bits
    votes = sum(vote_luts(plan.mechanism, int(path.voted[j]), int(widths[j])) for j in np.flatnonzero(path.there))
    flags = set(FLAGS[plan.parameters])
    if path.there.any():
        flags.add("detected" if plan.mechanism is Mechanism.DMR else "corrected")
    return Area(voters=votes + flag_luts(int(path.there.sum()))) + status(len(flags))
