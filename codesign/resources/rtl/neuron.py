"""A neuron as modules: the plain one, or what exists once of a hardened one and its copies."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Rounding, cast
from codesign.network import Layer
from codesign.protection import LayerPlan
from codesign.resources.dsp import takes_dsp, tiles
from codesign.resources.policy import EstimatePolicy
from codesign.resources.rtl.emit import Net, View, crosses
from codesign.resources.rtl.verilog import Module, Writer
from codesign.resources.rtl.words import (
    Bounds,
    Constant,
    Operand,
    Product,
    Sum,
    Word,
    adders,
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


def arithmetic(layer: Layer, neuron: int, source: FixedPoint, policy: EstimatePolicy) -> Arithmetic:
    """Products by constants and their balanced tree, as `codesign.network.adder_spans` has it; a zero is left out."""
    acc = layer.acc
    limit, bounds = Bounds.of_bits(acc.width, acc.signed), Bounds(source.min_raw, source.max_raw)
    shift = acc.frac - source.frac - layer.w.type.frac
    if layer.saturates or (shift < 0 and acc.rounding is not Rounding.TRN):
        raise ConfigError(f"layer '{layer.name}': RTL is there for accumulators that truncate and wrap, not for {acc}")
    bias = int(cast(layer.b.raw[neuron], layer.b.type, acc))
    room = max(limit.top - shift, 1)
    leaves: list[Word | None] = [Constant.of(bias) if bias else None]
    inputs = []
    for k, weight in enumerate(layer.w.raw[:, neuron].tolist()):
        operand = Operand(bounds, port=f"x{k}")
        exact = _exact_product(operand, weight, source, room, policy, wraps=shift >= 0)
        product = _entering(exact, shift, limit, room)
        leaves.append(product)
        if product is not None:
            inputs.append(operand)
    total = positive(summed(leaves, limit), limit)
    return Arithmetic(tuple(inputs), tuple(leaf for leaf in leaves if leaf is not None), total)


def _exact_product(
    operand: Operand, weight: int, source: FixedPoint, room: int, policy: EstimatePolicy, *, wraps: bool
) -> Word | None:
    """A product in logic, or of what DSPs give; of which `room` bits count, and no others are there if it wraps."""
    zeros, limit = trailing_zeros(weight), Bounds.of_bits(room) if wraps else None
    if not takes_dsp(source, weight >> zeros, policy):
        return times(operand, weight, limit)
    found = [
        moved(Product.by_tile(operand, tile, policy.dsp_levels), tile.shift + zeros)
        for tile in tiles(source, weight >> zeros, policy, room - zeros)
    ]
    return found[0] if len(found) == 1 else summed(found, limit or operand.bounds.times(weight))


def _entering(product: Word | None, shift: int, limit: Bounds, room: int) -> Word | None:
    """What a product adds to the sum; above the accumulator its bits are not computed."""
    if product is None or product.lowest + shift >= limit.top:
        return None
    if shift < 0:  # rounding down needs the number itself
        product = positive(product, Bounds.of_bits(room))
        assert product is not None
    leaf = moved(product, shift)
    return None if leaf.bounds == Bounds(0, 0) else leaf


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
        below = {id(sum_) for leaf in self.words.leaves for sum_ in adders(leaf)}
        return [s for s in adders(self.words.total) if id(s) not in below and crosses(s, self.cut)]

    @property
    def ports(self) -> dict[str, int]:
        """What the copies read, and its bits: high parts of operands, carries of the low sum."""
        high = View(Writer(""), self.cycle_of, self.cut)
        spans = {f"h{k}": high.span(leaf) for k, leaf in enumerate(self.words.leaves) if not isinstance(leaf, Constant)}
        carries = {f"c{k}": 1 for k in range(len(self.crossing))}
        return {port: end - start for port, (start, end) in spans.items() if start < end} | carries

    def once(self, cycle: int) -> Module:
        """The plain neuron, or of a hardened one the products, the low sum and what the copies need."""
        writer = Writer("neuron" if not self.hardened else "shared")
        view = View(writer, self.cycle_of)
        self._read(view)
        if not self.hardened:
            writer.output("y", self.width, self._sum(view, 0, self.width, cycle))
            return writer.done()
        for leaf in self.words.leaves:
            self._whole(view, leaf)
        low = View(writer, self.cycle_of, 0, self.cut, dict(view.nets), dict(view.carries))
        if self.cut:
            writer.output("y", self.cut, self._sum(low, 0, self.cut, cycle))
        high = View(writer, self.cycle_of, self.cut)
        for number, leaf in enumerate(self.words.leaves):
            start, end = high.span(leaf)
            if start < end and not isinstance(leaf, Constant):
                writer.output(f"h{number}", end - start, view.bits(leaf, start, end, self.cycle_of(leaf.level)))
        for number, adder in enumerate(self.crossing):
            writer.output(f"c{number}", 1, low.carries[id(adder)].name)
        return writer.done()

    def copy(self, cycle: int) -> Module:
        """The hardened bits of the sum, once; what it reads, it reads through the guard, in the lowest bit here."""
        writer = Writer("copy")
        view = View(writer, self.cycle_of, self.cut)
        writer.input("guard", 1)
        for number, leaf in enumerate(self.words.leaves):
            start, end = view.span(leaf)
            if isinstance(leaf, Constant):
                continue
            port = f"h{number}"
            name = writer.guarded(writer.input(port, end - start), end - start) if start < end else ""
            view.take(leaf, name, self.cycle_of(leaf.level))
        marked = self._marked()
        for number, adder in enumerate(self.crossing):
            name = writer.input(f"c{number}", 1)
            if marked.get(id(adder.first), False) == marked.get(id(adder.second), False):
                name = writer.guarded(name, 1)
            view.carries[id(adder)] = Net(name, 0, 1, self.cycle_of(adder.level))
        writer.output("y", self.width - self.cut, self._sum(view, self.cut, self.width, cycle))
        return writer.done()

    def _marked(self) -> dict[int, bool]:
        """Which words of the tree the guard inverts in their lowest bit.

        Two of them added cancel there, and where that bit is the only one the copy would not be held apart: then, and
        where neither is, the carry is read through the guard as well.
        """
        high, crossing = View(Writer(""), self.cycle_of, self.cut), {id(adder) for adder in self.crossing}
        found = {id(leaf): not isinstance(leaf, Constant) and high.span(leaf) != (0, 0) for leaf in self.words.leaves}
        for adder in adders(self.words.total):
            if id(adder) not in found:
                either = found.get(id(adder.first), False) or found.get(id(adder.second), False)
                found[id(adder)] = id(adder) in crossing or either
        return found

    def _read(self, view: View) -> None:
        for operand in self.words.inputs:
            view.take(operand, view.writer.input(operand.port, operand.bounds.top), 0)

    def _whole(self, view: View, word: Word) -> None:
        for part in made_of(word):
            view.write(part)

    def _sum(self, view: View, start: int, end: int, cycle: int) -> str:
        return f"{end - start}'d0" if self.words.total is None else view.bits(self.words.total, start, end, cycle)
