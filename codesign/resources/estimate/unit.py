"""The cost of a layer that computes: its unit, and the mechanism that protects it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from codesign.fixed import FixedPoint, Ints, Rounding, cast
from codesign.network import Kind, Layer
from codesign.protection import LayerPlan, Mechanism, Scope
from codesign.resources.estimate.feed import Feed
from codesign.resources.estimate.figures import Area, Boundary, Costed, LayerEstimate, status
from codesign.resources.estimate.logic import cast_cost, flag_luts
from codesign.resources.estimate.multipliers import Multipliers, products
from codesign.resources.estimate.recompute import SharedUnit
from codesign.resources.estimate.shared import Datapath, GraphDatapath, only
from codesign.resources.estimate.stored import FLAGS, decoding_levels, stored_parameters
from codesign.resources.estimate.sums import Alive, Copies, Sums, chain
from codesign.resources.estimate.trees import Tree
from codesign.resources.estimate.words import Bools, Range, Words
from codesign.resources.policy import EstimatePolicy
from codesign.resources.rtl.shared import sums_on_graphs

Sources = tuple[FixedPoint, ...]


def unit_cost(layer: Layer, sources: Sources, plan: LayerPlan, policy: EstimatePolicy, per_cycle: int) -> Costed:
    """Figures of a layer into which values of types `sources` enter, under its plan, registers every so many levels."""
    feed = Feed(layer, sources)
    before = feed.levels + decoding_levels(layer, plan)
    path = _datapath(layer, sources, plan, policy, feed.bits, (per_cycle, before))
    unit = SharedUnit(layer, sources[0], plan, policy)
    cast_lut, cast_levels = cast_cost(layer.acc, layer.result)
    casts = layer.neurons * cast_lut
    area = feed.area + path.area + Area(function=casts, casts=casts) + stored_parameters(layer, plan, policy)
    area += _resolution(path, plan, policy)
    own = (before, *path.levels)
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
    boundaries = (Boundary(0, feed.bits), *_boundaries(estimated, own, path))
    return Costed(estimated, boundaries, layer.n_out * layer.result.width, isinstance(path, GraphDatapath))


def _boundaries(layer: LayerEstimate, own: tuple[int, int, int], path: Datapath) -> Iterator[Boundary]:
    """Behind the operands; `own` are the levels of the layer's own neurons."""
    deepest = sum(own)
    for level, bits in path.alive.by_level():
        if 0 < level < sum(own[1:]):
            yield Boundary(own[0] + level, bits)
    yield Boundary(deepest, path.sum_bits)
    voted = layer.levels - layer.activation_levels
    yield Boundary(voted, path.layer.neurons * path.layer.acc.width)
    if layer.activation_levels:
        yield Boundary(layer.levels, path.layer.n_out * path.layer.result.width)


# ---------------------------------------------------------------- products and sums


def _datapath(
    layer: Layer,
    sources: Sources,
    plan: LayerPlan,
    policy: EstimatePolicy,
    operand_bits: int,
    registered: tuple[int, int],
) -> Datapath:
    """The layer's arithmetic by its strategy, in registers after so many levels, with so many before it."""
    apart = _Datapath.of(layer, sources, plan, policy, operand_bits, registered)
    if not (graphs := sums_on_graphs(layer, sources[0], plan, policy)):
        return apart
    rest = np.setdiff1d(np.arange(layer.neurons), [j for graph in graphs for j in graph.neurons])
    alone = None
    if len(rest):
        some, its_plan = only(layer, plan, rest)
        alone = _Datapath.of(some, sources, its_plan, policy, operand_bits, registered)
    return GraphDatapath(tuple(graphs), apart, alone)


@dataclass(frozen=True)
class _Datapath:
    """The arithmetic of a layer's neurons. `operands` enter the sums beside the bias, at a certain `cost`.

    `voted` are the hardened bits of neurons whose copies exist, zero elsewhere, shape (neurons,); `alive` are the bits
    between products and sums.
    """

    layer: Layer
    plan: LayerPlan
    operands: Words
    cost: Multipliers
    voted: Ints
    copies: Copies
    sums: Sums
    alive: Alive

    @classmethod
    def of(
        cls,
        layer: Layer,
        sources: Sources,
        plan: LayerPlan,
        policy: EstimatePolicy,
        operand_bits: int,
        registered: tuple[int, int],
    ) -> "_Datapath":
        plain = _plain(layer, sources, policy)
        recomputes = plan.mechanism is Mechanism.RECOMPUTE
        # A neuron without operands is a constant, whatever the plan says of it; but it would be recomputed.
        hardened = np.array(plan.hardened_bits, np.int64)
        voted = np.where(plain.operands.live.any(axis=0) | recomputes, hardened, 0)
        copies = (
            Copies.none(layer.neurons)
            if recomputes
            else Copies(layer.acc.width - hardened, voted > 0, plan.mechanism.copies - 1, *registered)
        )
        if plain.tree is None:
            summed = chain(plain.leaves, copies, Range.of_type(layer.acc), operand_bits)
        else:
            summed = plain.tree.sums(copies)
        waiting = Alive()
        waiting.join(plain.waiting)
        waiting.join(summed.alive)
        if layer.reuse_factor > 1 and not layer.saturates:
            # The running sum waits in its own register.
            running = plain.leaves[:1]
            waiting.wait(copies.registers(running), running.level, running.level + 1, -1)
        return cls(layer, plan, plain.operands, plain.cost, voted, copies, summed, waiting)

    @property
    def there(self) -> Bools:
        return self.voted > 0

    @property
    def own_multipliers(self) -> bool:
        return self.plan.scope is Scope.MAC and self.plan.mechanism is not Mechanism.RECOMPUTE

    @property
    def area(self) -> Area:
        copied = self.copies.there if self.own_multipliers else np.zeros_like(self.copies.there)
        more, stored = self.copies.more, self.layer.reuse_factor > 1
        # A neuron that is computed again reads its operands through guards, as a saturating one does.
        recomputes = self.plan.mechanism is Mechanism.RECOMPUTE
        recomputed = int(self.operands.live[:, self.there].sum()) + int(self.there.sum()) * stored if recomputes else 0
        running = self.sum_bits if stored else 0
        return Area(
            function=int(self.cost.lut.sum()) + self.sums.lut,
            replicas=more * (self.sums.copied + int(self.cost.lut[:, copied].sum())),
            guards=self.sums.guards + recomputed,
            dsp=int(self.cost.dsp.sum()) + more * int(self.cost.dsp[:, copied].sum()),
            ff=running,
        )

    @property
    def levels(self) -> tuple[int, int]:
        """Of the deepest product, and from there to the deepest sum."""
        products = int(self.cost.depth.max(initial=0))
        return products, max(self.sums.levels - products, 0)

    @property
    def voter_levels(self) -> int:
        return int(self.there.any())

    @property
    def sum_bits(self) -> int:
        return int(self.copies.registers(self.sums.words).sum())


@dataclass(frozen=True)
class _Plain:
    """What no plan changes: `operands` that enter the sums and their cost, the bits that wait between products, leaves.

    `tree` adds the leaves where the accumulator wraps.
    """

    operands: Words
    cost: Multipliers
    waiting: Alive
    leaves: Words
    tree: Tree | None


# A search asks for many plans of few layers, and this is most of an estimate.
_PLAIN: WeakKeyDictionary[Layer, dict[tuple[object, ...], _Plain]] = WeakKeyDictionary()


def _plain(layer: Layer, sources: Sources, policy: EstimatePolicy) -> _Plain:
    """Found once a layer; of the policy only the choice of DSPs matters."""
    known = _PLAIN.setdefault(layer, {})
    key = sources, policy.dsp_min_bits, policy.dsp_tile, policy.dsp_levels
    if key not in known:
        operands, cost, waiting = _operands(layer, sources, policy)
        leaves = operands if layer.kind is Kind.ADD else _start(layer, cost).then(operands)
        wired = layer.kind is not Kind.ADD and sources[0].width == 1 and layer.reuse_factor == 1
        tree = None if layer.saturates else Tree(leaves, Range.of_type(layer.acc), wired)
        known[key] = _Plain(operands, cost, waiting, leaves, tree)
    return known[key]


def _start(layer: Layer, cost: Multipliers) -> Words:
    """Leaf 0: the biases, which are constants, or in passes the running sums; shape (1, neurons)."""
    if layer.reuse_factor > 1:
        # They come from a register of their own when the products are there.
        running = Words.of_type(layer.acc, (1, layer.neurons))
        return replace(running, level=np.full_like(running.level, cost.depth.max(initial=0)))
    return Words.constants(cast(layer.b.raw, layer.b.type, layer.acc)[None])


def _operands(layer: Layer, sources: Sources, policy: EstimatePolicy) -> tuple[Words, Multipliers, Alive]:
    """What is added to the first leaf, what it costs, and the bits between its adders.

    Of an addition both leaves, cast to the accumulator.
    """
    if layer.kind is not Kind.ADD:
        found = products(layer, sources[0], policy)
        return found.words, found.cost, found.alive
    both = [_cast_operand(layer, source) for source in sources]
    costs = np.array([cast_cost(source, layer.acc) for source in sources], np.int64)[:, None]
    lut, levels = np.moveaxis(np.broadcast_to(costs, (2, layer.neurons, 2)), -1, 0)
    words = replace(both[0].then(both[1]), level=levels)
    return words, Multipliers(lut, np.zeros_like(lut), levels), Alive()


def _cast_operand(layer: Layer, source: FixedPoint) -> Words:
    dropped = source.frac > layer.acc.frac
    rounds = dropped and layer.acc.rounding is not Rounding.TRN
    words = Words.of_type(source, (1, layer.neurons)).moved(layer.acc.frac - source.frac, rounds)
    return words.clipped_to(Range.of_type(layer.acc)) if layer.saturates else words.wrapped_to(Range.of_type(layer.acc))


# ---------------------------------------------------------------- protection


def _resolution(path: Datapath, plan: LayerPlan, policy: EstimatePolicy) -> Area:
    """Voters or comparisons of the hardened neurons, their flag, and the status registers of the layer."""
    width = path.layer.acc.width
    voter = policy.calibration.vote_luts
    votes = sum(voter(plan.mechanism, int(path.voted[j]), width) for j in np.flatnonzero(path.there))
    flags = set(FLAGS[plan.parameters])
    if path.there.any():
        flags.add("detected" if plan.mechanism is Mechanism.DMR else "corrected")
    return Area(voters=votes, status=flag_luts(int(path.there.sum()))) + status(len(flags))
