"""Adders of a layer's sums: balanced trees, or chains where the accumulator saturates."""

from dataclasses import dataclass, field, replace

import numpy as np

from codesign.fixed import Ints
from codesign.resources.estimate.adders import ENDLESS, Adders, added, adder_luts, positive
from codesign.resources.estimate.words import EVERYTHING, Bools, Range, Words
from codesign.resources.rtl.words import CHAIN_BITS

# LUTs of a sum of single bits, which the mapping joins with its neighbours.
SINGLE_LUTS = 0.6


@dataclass(frozen=True)
class Copies:
    """What is copied of a layer's words: of neurons `there` the bits from `cut` on, `more` further times.

    Where values can be negative each copy carries the sign, so its part has at least one bit. Registers cut the logic
    every `per_cycle` levels; `before` of them lie before level 0.
    """

    cut: Ints
    there: Bools
    more: int
    per_cycle: int = ENDLESS
    before: int = 0

    @classmethod
    def none(cls, neurons: int = 1) -> "Copies":
        return cls(np.zeros(neurons, np.int64), np.zeros(neurons, np.bool_), 0)

    def waits(self, since: Ints, until: Ints) -> Bools:
        """Whether a word of level `since` is held in a register before the logic of level `until`."""
        first, last = np.maximum(since + self.before, 1), until + self.before
        held: Bools = (last - 1) // self.per_cycle > (first - 1) // self.per_cycle
        return held

    def registers(self, words: Words) -> Ints:
        """Register bits of words, with those of all copies."""
        once = words.bits
        high = np.maximum(words.width - np.maximum(words.lowest, self.cut), words.negative.astype(np.int64))
        copied = np.where(self.there & (once > 0), high, 0)
        bits: Ints = once + self.more * copied
        return bits


@dataclass
class Alive:
    """Bits that wait behind each level for the next ones."""

    changes: dict[int, int] = field(default_factory=dict)

    def wait(self, bits: Ints, since: Ints, until: Ints | int, times: int = 1) -> None:
        """Words of so many bits, there after level `since`, needed by the logic of level `until`."""
        if not times or not bits.size:
            return
        until = np.broadcast_to(until, bits.shape)
        for level, sign in ((since, times), (until, -times)):
            for at, count in enumerate(np.bincount(level.ravel(), bits.ravel()).astype(np.int64).tolist()):
                if count:
                    self.changes[at] = self.changes.get(at, 0) + sign * count

    def join(self, other: "Alive", times: int = 1) -> None:
        for at, change in other.changes.items():
            self.changes[at] = self.changes.get(at, 0) + times * change

    def by_level(self) -> tuple[tuple[int, int], ...]:
        levels = sorted(at for at, change in self.changes.items() if change)
        totals = np.cumsum([self.changes[at] for at in levels]).tolist()
        return tuple(zip(levels, totals, strict=True))


@dataclass(frozen=True)
class Sums:
    """Adders of every neuron: `lut` without copies, `copied` in each further copy, `guards` for having copies at all.

    `levels` is the depth of the deepest, its operands' levels included. `alive` are the bits between the adders, up to
    that level. `words` are the sums, shape (1, neurons).
    """

    lut: int
    copied: int
    guards: int
    levels: int
    alive: Alive
    words: Words


# ---------------------------------------------------------------- trees


def tree(leaves: Words, copies: Copies, limit: Range, single_bits: bool = False) -> Sums:
    """Balanced trees along the first axis, level by level, all trees of a layer at once.

    Leaves of `single_bits` are one bit at several places each, or constants.

    Pairing neighbours, with an odd last one passed on, is the tree that splits N leaves at the largest
    power of two below N. An operand that is always zero is passed by without an adder.
    """
    there = copies.there
    once, plain = _View.of(~there), _View.of(there)
    low, high = _View(there, copies.cut[there]), _Copy(there, copies.cut[there], copies=copies).entered(leaves)
    views = (once, plain, low, high) if there.any() else (once,)
    while len(leaves.live) > 1:
        even = len(leaves.live) // 2 * 2
        adders = added(leaves[0:even:2], leaves[1:even:2], limit)
        for view in views:
            view.add(adders if view.columns.all() else adders[:, view.columns], single_bits)
        single_bits, leaves = False, adders.sum.then(leaves[even:])
    words = positive(leaves, limit)
    levels = int(np.where(words.live, words.level, 0).max(initial=0))
    for view in views:
        view.leave(leaves[:, view.columns], words.level[:, view.columns], levels)
    alive = Alive()
    for view, times in ((once, 1), (low, 1), (high, copies.more + 1)):
        alive.join(view.alive, times)
    # What cutting a neuron costs beside its copies: guards, carries handed over, LUTs that both parts need.
    split = max(0, low.lut + high.lut - plain.lut)
    guards = (copies.more + 1) * high.extra + split
    return Sums(once.lut + plain.lut, high.lut, guards, levels, alive, words)


@dataclass
class _View:
    """The bits below `cut` of some neurons' adders: LUTs, and registers that the operands' bits need."""

    columns: Bools
    cut: Ints
    lut: int = 0
    alive: Alive = field(default_factory=Alive)

    @classmethod
    def of(cls, columns: Bools) -> "_View":
        """All bits."""
        return cls(columns, np.full(int(columns.sum()), ENDLESS))

    def add(self, adders: Adders, alike: bool) -> None:
        """Count adders, shape (n, columns)."""
        end = np.minimum(self.cut, adders.sum.top)
        # A part that hands its carry on has all the bits that make it.
        widest = np.maximum(adders.sum.top, np.maximum(adders.first.top, adders.second.top))
        end = np.where(_crossing(adders, self.cut), np.minimum(self.cut, widest), end)
        self.lut += int(adder_luts(adders, adders.start, end, alike=alike).sum())
        self._wait(adders)

    def _wait(self, adders: Adders) -> None:
        """The operands' bits are there until the sums' level; those above a sum that wraps are not needed."""
        for word in (adders.first, adders.second):
            bits = np.where(adders.both, self.bits_of(word, adders.sum.top), 0)
            self.alive.wait(bits, word.level, adders.sum.level)

    def bits_of(self, word: Words, top: Ints | int = ENDLESS) -> Ints:
        bits = np.minimum(np.minimum(word.top, top), self.cut) - word.lowest
        return np.where(word.live & ~word.constant, np.maximum(bits, 0), 0)

    def leave(self, words: Words, level: Ints, until: int) -> None:
        """The sums: those that stand for their negative are inverted, at the level given; then all wait for others."""
        bits = self.bits_of(words)
        self.lut += int(bits[words.minus].sum())
        self.alive.wait(bits, words.level, level)
        self.alive.wait(bits, level, until)


@dataclass
class _Copy(_View):
    """The bits from `cut` on, in one copy. `extra` are the LUTs of guards and of carries that come from below.

    An operand is read through the guard in the adder's own LUTs, or where it waits in registers by their reset. A bit
    below `raw_top` met no adder: where it leaves the copy, its guard is a LUT.
    """

    copies: Copies = field(default_factory=Copies.none)
    extra: int = 0
    raw_top: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def entered(self, leaves: Words) -> "_Copy":
        words = leaves[:, self.columns]
        self.raw_top = np.where(self.bits_of(words) > 0, np.maximum(words.top, self.cut + words.negative), 0)
        return self

    def add(self, adders: Adders, alike: bool) -> None:
        there = adders.there
        crossing = _crossing(adders, self.cut)
        sign = np.where(adders.sum.negative, self.cut + 1, 0)
        end = np.maximum(adders.sum.top, sign)
        at = np.maximum(adders.start, self.cut)
        single = crossing & (end - at == 1)
        found = adder_luts(adders, at, np.where(single, at, end), self.cut + 1, alike)
        self.lut += int(found.sum()) + round(SINGLE_LUTS * int(single.sum()))
        first, second = (
            np.where(self.copies.waits(word.level, adders.sum.level), 0, top)
            for word, top in zip((adders.first, adders.second), self._of(self.raw_top, adders), strict=True)
        )
        gates = self._gates(adders, at, np.where(single, at, end), (first > at, second > at))
        self.extra += int((crossing & ~single).sum()) + int(np.maximum(gates - found, 0).sum())
        wired = np.where(adders.wired, np.maximum(first, second), first)
        self.raw_top = self._then(np.where(there, np.minimum(first, at), wired), self.raw_top, adders)
        self._wait(adders)

    @staticmethod
    def _gates(adders: Adders, at: Ints, end: Ints, raw: tuple[Bools, Bools]) -> Ints:
        """LUTs of adders that guard every bit that varies: short ones and subtractions, of what nothing guards yet."""
        first, second = adders.first, adders.second
        unguarded = (raw[0] | first.constant) & (raw[1] | second.constant)
        top = np.maximum(np.where(first.constant, 0, first.top), np.where(second.constant, 0, second.top))
        some = adders.there & unguarded & (adders.subtracts | (end - at < CHAIN_BITS))
        return np.where(some, np.minimum(end, top) - at, 0)

    def _of(self, tops: Ints, adders: Adders) -> tuple[Ints, Ints]:
        """Those of the first operands and of the second ones."""
        even = 2 * len(adders.both)
        left, right = tops[0:even:2], tops[1:even:2]
        return np.where(adders.swapped, right, left), np.where(adders.swapped, left, right)

    def _then(self, found: Ints, tops: Ints, adders: Adders) -> Ints:
        return np.concatenate([found, tops[2 * len(adders.both) :]])

    def bits_of(self, word: Words, top: Ints | int = ENDLESS) -> Ints:
        bits = np.minimum(word.top, top) - np.maximum(word.lowest, self.cut)
        return np.where(word.live & ~word.constant, np.maximum(bits, word.negative), 0)

    def leave(self, words: Words, level: Ints, until: int) -> None:
        super().leave(words, level, until)
        raw = np.maximum(self.raw_top - np.maximum(words.lowest, self.cut), 0)
        self.extra += int(raw[~words.minus].sum())  # what is inverted has a LUT anyway


def _crossing(adders: Adders, cut: Ints) -> Bools:
    """Adders of which the part below a cut hands a carry to that above."""
    above = (adders.sum.top > cut) | adders.sum.negative
    crossing: Bools = adders.there & (adders.start < cut) & above & (cut < ENDLESS)
    return crossing


# ---------------------------------------------------------------- chains


def chain(leaves: Words, copies: Copies, limit: Range, operand_bits: int) -> Sums:
    """Sums of one leaf after the other, each brought into the limit.

    An adder, and where the range demands it the detection of the overflow and a choice for every bit of the type.
    What is still to be added waits as operands, of `operand_bits` for all leaves but the first: their products are
    made when they are needed.
    """
    width = int(limit.top)
    words = leaves[:1]
    lut = copied = 0
    alive = Alive()
    for k in range(1, len(leaves.live)):
        adders = added(words, leaves[k : k + 1], EVERYTHING)
        saturates = adders.there & adders.sum.beyond(limit)
        # Such a neuron is hardened whole or not at all, so a copy repeats all of it.
        found = adder_luts(adders, adders.start, adders.sum.top) + (width + 1) * saturates
        lut, copied = lut + int(found.sum()), copied + int(found[:, copies.there].sum())
        done = adders.sum.level + saturates
        waiting = np.array(operand_bits * (len(leaves.live) - k) // (len(leaves.live) - 1))
        alive.wait(np.append(copies.registers(words), waiting), np.append(words.level, words.level.max()), done.max())
        words = replace(adders.sum.clipped_to(limit), level=done)
    guards = (copies.more + 1) * int(leaves.live[1:, copies.there].sum())
    return Sums(lut, copied, guards, int(words.level.max(initial=0)), alive, words)
