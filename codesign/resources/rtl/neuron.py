"""A neuron as modules: the plain one, or what exists once of a hardened one and its copies."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from codesign.fixed import FixedPoint, Overflow, Rounding, cast
from codesign.network import Kind, Layer
from codesign.protection import LayerPlan, Scope
from codesign.resources.dsp import takes_dsp, tiles
from codesign.resources.policy import EstimatePolicy
from codesign.resources.rtl.emit import Net, View, crosses
from codesign.resources.rtl.guards import Guards
from codesign.resources.rtl.verilog import Module, Writer
from codesign.resources.rtl.words import (
    Assigned,
    Bounds,
    Constant,
    Guarded,
    Operand,
    Own,
    Product,
    Sum,
    Word,
    adders,
    assigned,
    chained,
    made_of,
    moved,
    positive,
    summed,
    times,
    trailing_zeros,
)

Cycles = Callable[[int], int]


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """One neuron's words: the operands it reads, the leaves of its sum, and the sum; None where that is zero."""

    inputs: tuple[Operand, ...]
    leaves: tuple[Word, ...]
    total: Word | None

    @property
    def level(self) -> int:
        return self.total.level if self.total else 0

    @property
    def varies(self) -> bool:
        return not (self.total is None or isinstance(self.total, Constant))


def arithmetic(layer: Layer, neuron: int, sources: tuple[FixedPoint, ...], policy: EstimatePolicy) -> Arithmetic:
    """Products by constants, or an addition's operands, and their sum; a leaf that is zero is left out.

    The sum is a balanced tree, as `codesign.network.adder_spans` has it, or a chain where the accumulator saturates.
    """
    acc = layer.acc
    if layer.kind is Kind.ADD:
        operands = [Operand(_range(source), port=f"x{k}") for k, source in enumerate(sources)]
        leaves: list[Word | None] = [
            operand if source == acc else assigned(operand, acc.frac - source.frac, acc)
            for operand, source in zip(operands, sources, strict=True)
        ]
    else:
        operands = [Operand(_range(sources[0]), port=f"x{k}") for k in range(layer.fan_in)]
        bias = int(cast(layer.b.raw[neuron], layer.b.type, acc))
        products = [
            _product(x, weight, layer, sources[0], policy)
            for x, weight in zip(operands, layer.w.raw[:, neuron].tolist(), strict=True)
        ]
        leaves = [Constant.of(bias) if bias else None, *products]
    limit = Bounds.of_bits(acc.width, acc.signed)
    total = chained(leaves, acc) if layer.saturates else summed(leaves, limit)
    total = positive(total, limit) if total else None
    read = {at.port for at in made_of(*leaves) if isinstance(at, Operand)}
    inputs = tuple(operand for operand in operands if operand.port in read)
    return Arithmetic(inputs, tuple(leaf for leaf in leaves if leaf is not None), total)


def _range(source: FixedPoint) -> Bounds:
    return Bounds(source.min_raw, source.max_raw)


# What these make of a number depends on its sign, so that no bit of it may be left out.
_SIGN_DEPENDENT = (Rounding.TRN_ZERO, Rounding.RND_ZERO, Rounding.RND_INF)


def _product(operand: Operand, weight: int, layer: Layer, source: FixedPoint, policy: EstimatePolicy) -> Word | None:
    """What a product adds to the sum; above an accumulator that wraps its bits are not computed."""
    acc = layer.acc
    shift = acc.frac - source.frac - layer.w.type.frac
    limit, wraps = Bounds.of_bits(acc.width, acc.signed), acc.overflow is Overflow.WRAP
    bits = max(limit.top - shift, 1)
    room = Bounds.of_bits(bits)
    truncates = shift >= 0 or acc.rounding is Rounding.TRN
    modular = wraps and (truncates or acc.rounding not in _SIGN_DEPENDENT)
    narrowed = room if modular and (shift >= 0 or not truncates) else None
    if weight and takes_dsp(source, weight >> trailing_zeros(weight), policy):
        product: Word | None = _by_dsps(operand, weight, source, policy, bits if modular else math.inf, narrowed)
    else:
        product = times(operand, weight, narrowed)
    if product is None or (modular and product.lowest + shift >= limit.top):
        return None
    if not (wraps and truncates):
        return assigned(positive(product), shift, acc)
    if shift < 0:  # rounding down needs the number itself
        product = positive(product, room)
    leaf = moved(product, shift)
    return None if leaf.bounds == Bounds(0, 0) else leaf


def _by_dsps(
    operand: Operand, weight: int, source: FixedPoint, policy: EstimatePolicy, room: float, limit: Bounds | None
) -> Word | None:
    """A product of what DSPs give, of which the lowest `room` bits count."""
    zeros = trailing_zeros(weight)
    found = [
        moved(Product.by_tile(operand, tile, policy.dsp_levels), tile.shift + zeros)
        for tile in tiles(source, weight >> zeros, policy, room - zeros)
    ]
    return found[0] if len(found) == 1 else summed(found, limit or operand.bounds.times(weight))


# ---------------------------------------------------------------- modules


@dataclass(frozen=True)
class Neuron:
    """Modules of one neuron, under a plan: `once` exists once, `copies` are the others' modules, one a replica.

    All give the sum's bits at `cycle`. `cut` is where the hardened bits begin; the accumulator's width if none are.
    """

    words: Arithmetic
    plan: LayerPlan
    cut: int
    width: int
    cycle_of: Cycles

    @cached_property
    def hardened(self) -> bool:
        return self.cut < self.width and self.words.varies

    @property
    def crossing(self) -> list[Sum]:
        """Adders of the tree that hand a carry to the copies, in order."""
        return self._crossing(self.words.total, self.words.leaves)

    def _crossing(self, total: Word | None, leaves: Iterable[Word]) -> list[Sum]:
        below = {id(sum_) for leaf in leaves for sum_ in adders(leaf)}
        return [s for s in adders(total) if id(s) not in below and crosses(s, self.cut)]

    @property
    def ports(self) -> dict[str, int]:
        """What the copies read, and its bits: high parts of operands, carries of the low sum."""
        return self._leaf_ports | self._carry_ports

    @property
    def _leaf_ports(self) -> dict[str, int]:
        high = View(Writer(""), self.cycle_of, self.cut)
        spans = {f"h{k}": high.span(leaf) for k, leaf in enumerate(self.words.leaves) if not isinstance(leaf, Own)}
        return {port: end - start for port, (start, end) in spans.items() if start < end}

    @property
    def _carry_ports(self) -> dict[str, int]:
        return {f"c{k}": 1 for k in range(len(self.crossing))}

    def reads(self, copy: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What a copy reads: ports of the layer's operands, and those of `ports`."""
        if self._multiplies(copy):
            return tuple(operand.port for operand in self.words.inputs), tuple(self._carry_ports)
        return (), tuple(self.ports)

    def _multiplies(self, copy: int) -> bool:
        """Whether a copy has multipliers of its own. The first one's are those that the shared low part comes from."""
        return copy > 0 and self.plan.scope is Scope.MAC

    def once(self, cycle: int) -> Module:
        """The plain neuron, or of a hardened one the products, the low sum and what the copies need."""
        writer = Writer("neuron" if not self.hardened else "shared")
        view = View(writer, self.cycle_of)
        for operand in self.words.inputs:
            view.take(operand, writer.input(operand.port, operand.bounds.top), self.cycle_of(operand.level))
        if not self.hardened:
            self._own(view)
            writer.output("y", self.width, self._bits(view, self.words.total, 0, self.width, cycle))
            return writer.done()
        self._whole(view, self.words.leaves)
        low = View(writer, self.cycle_of, 0, self.cut, dict(view.nets), dict(view.carries))
        if self.cut:
            self._own(low)
            writer.output("y", self.cut, self._bits(low, self.words.total, 0, self.cut, cycle))
        high = View(writer, self.cycle_of, self.cut)
        for number, leaf in enumerate(self.words.leaves):
            start, end = high.span(leaf)
            if start < end and not isinstance(leaf, Own):
                writer.output(f"h{number}", end - start, view.bits(leaf, start, end, self.cycle_of(leaf.level)))
        for number, adder in enumerate(self.crossing):
            writer.output(f"c{number}", 1, low.carries[id(adder)].name)
        return writer.done()

    def copy(self, cycle: int, number: int) -> Module:
        """The hardened bits of the sum, once; what it reads, it reads through its guard."""
        writer = Writer("mac" if self._multiplies(number) else "copy")
        writer.input("guard", 1)
        make = self._multiplied if self._multiplies(number) else self._fed
        view, total, leaves = make(writer)
        for place, adder in enumerate(self._crossing(total, leaves)):
            name, level = writer.input(f"c{place}", 1), self.cycle_of(adder.level)
            start, end = view.span(adder)
            # Of a single bit an operand is guarded, if one has it and is more than a constant.
            operands = [of for of in (adder.first, adder.second) if not isinstance(of, Constant)]
            if end - start > 1 or not any(any(view.span(of)) for of in operands):
                # Beside another exclusive or with the guard this one would cancel.
                cancels = any(view.guards_a_constant(of, start) for of in (adder.first, adder.second))
                name = writer.wire(f"g_c{place}", 1, f"{name} {'& ~' if cancels else '^ '}guard[0]")
            view.carries[id(adder)] = Net(name, 0, 1, level)
        writer.output("y", self.width - self.cut, self._bits(view, total, self.cut, self.width, cycle))
        return writer.done()

    def _fed(self, writer: Writer) -> tuple[View, Word | None, list[Word]]:
        """A copy's words on products that all copies share."""
        view = View(writer, self.cycle_of, self.cut)
        self._own(view)
        for number, leaf in enumerate(self.words.leaves):
            if not isinstance(leaf, Own):
                start, end = view.span(leaf)
                name = writer.input(f"h{number}", end - start) if start < end else ""
                view.take(leaf, name, self.cycle_of(leaf.level))
        guards = Guards(self.cut, self.cycle_of, self.words.leaves)
        return view, self._guarded(guards), list(self.words.leaves)

    def _multiplied(self, writer: Writer) -> tuple[View, Word | None, list[Word]]:
        """A copy's words on products of its own, which are whole: their low bits decide on what is carried."""
        whole = View(writer, self.cycle_of)
        for operand in self.words.inputs:
            whole.take(operand, writer.input(operand.port, operand.bounds.top), 0)
        guards = Guards(0, self.cycle_of, ())
        leaves = [guards.read(leaf) for leaf in self.words.leaves]
        self._whole(whole, leaves)
        guards.cut = self.cut
        return View(writer, self.cycle_of, self.cut, nets=dict(whole.nets)), self._guarded(guards), leaves

    def _guarded(self, guards: Guards) -> Word | None:
        return guards.result(self.words.total) if self.words.total else None

    @staticmethod
    def _whole(view: View, leaves: Iterable[Word]) -> None:
        """Write all that the leaves are made of."""
        for leaf in leaves:
            for word in made_of(leaf):
                if isinstance(word, Sum | Assigned | Guarded | Product):
                    view.write(word)

    def _own(self, view: View) -> None:
        """What it keeps by itself: a plain neuron nothing."""

    @staticmethod
    def _bits(view: View, total: Word | None, start: int, end: int, cycle: int) -> str:
        return f"{end - start}'d0" if total is None else view.bits(total, start, end, cycle)
