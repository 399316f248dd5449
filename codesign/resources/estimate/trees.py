"""Balanced adder trees of a layer's sums, and what copies of their upper bits take.

Everything but the cuts of the neurons follows from the layer, so a `Tree` is made once a layer; what the parts above
and below a cut take is counted once for each cut, for all neurons. A plan then only chooses: of each neuron the part
that goes with its hardened bits. That is what makes the estimates of a search cheap.
"""

from dataclasses import dataclass

import numpy as np

from codesign.fixed import Ints
from codesign.resources.estimate.adders import ENDLESS, Adders, added, adder_luts, positive
from codesign.resources.estimate.sums import Alive, Copies, Sums
from codesign.resources.estimate.words import Bools, Range, Words
from codesign.resources.rtl.words import CHAIN_BITS

# LUTs of a sum of single bits, which the mapping joins with its neighbours.
SINGLE_LUTS = 0.6


def tree(leaves: Words, copies: Copies, limit: Range) -> Sums:
    """The sums of a balanced tree along the first axis."""
    return Tree(leaves, limit).sums(copies)


class Tree:
    """Balanced trees along the first axis, level by level, all trees of a layer at once.

    Leaves of `single_bits` are one bit at several places each, or constants.

    Pairing neighbours, with an odd last one passed on, is the tree that splits N leaves at the largest
    power of two below N. An operand that is always zero is passed by without an adder.
    """

    def __init__(self, leaves: Words, limit: Range, single_bits: bool = False) -> None:
        self._leaves, self._floors = leaves, list[_Floor]()
        while len(leaves.live) > 1:
            even = len(leaves.live) // 2 * 2
            adders = added(leaves[0:even:2], leaves[1:even:2], limit)
            self._floors.append(_Floor(adders, single_bits))
            single_bits, leaves = False, adders.sum.then(leaves[even:])
        self._last, self.words = leaves, positive(leaves, limit)
        self.levels = int(np.where(self.words.live, self.words.level, 0).max(initial=0))
        tops = [self._leaves.level, self.words.level, *(floor.adders.sum.level for floor in self._floors)]
        self._shape = (max(int(level.max(initial=0)) for level in tops) + 1, leaves.live.shape[1])
        self._whole = _Part(ENDLESS, self._shape)
        self._count(self._whole)
        self._cuts: dict[tuple[int, int, int], tuple[_Part, _Copy]] = {}

    def sums(self, copies: Copies) -> Sums:
        """With the copies of some neurons' upper bits."""
        once, whole = ~copies.there, self._whole
        lut, waiting = int(whole.lut.sum()), whole.waiting[:, once].sum(axis=1)
        both = copied = extra = 0
        singles = np.zeros(len(self._floors), np.int64)
        for cut in np.unique(copies.cut[copies.there]).tolist():
            columns = copies.there & (copies.cut == cut)
            low, high = self._cut(cut, copies)
            copied += int(high.lut[columns].sum())
            both += int(low.lut[columns].sum()) - int(whole.lut[columns].sum())
            extra += int(high.extra[columns].sum())
            singles += high.singles[:, columns].sum(axis=1)
            waiting += low.waiting[:, columns].sum(axis=1) + (copies.more + 1) * high.waiting[:, columns].sum(axis=1)
        copied += sum(round(SINGLE_LUTS * count) for count in singles.tolist())
        # What cutting a neuron costs beside its copies: guards, carries handed over, LUTs that both parts need.
        guards = (copies.more + 1) * extra + max(0, both + copied)
        alive = Alive({level: bits for level, bits in enumerate(waiting.tolist()) if bits})
        return Sums(lut, copied, guards, self.levels, alive, self.words)

    def _cut(self, cut: int, copies: Copies) -> "tuple[_Part, _Copy]":
        """What is below and above, in every neuron."""
        key = cut, copies.per_cycle, copies.before
        if key not in self._cuts:
            low, high = _Part(cut, self._shape), _Copy(cut, self._shape, copies, len(self._floors))
            high.enter(self._leaves)
            for part in (low, high):
                self._count(part)
            self._cuts[key] = low, high
        return self._cuts[key]

    def _count(self, part: "_Part") -> None:
        for floor in self._floors:
            part.add(floor.adders, floor.single_bits)
        part.leave(self._last, self.words.level, self.levels)


@dataclass(frozen=True)
class _Floor:
    """The adders of one level of the trees, and whether they add single bits."""

    adders: Adders
    single_bits: bool


class _Part:
    """The bits below `cut` of every neuron's adders: LUTs, and changes of the bits that wait behind each level.

    Shapes (neurons,) and (levels, neurons).
    """

    def __init__(self, cut: int, shape: tuple[int, int]) -> None:
        self.cut = cut
        self.lut = np.zeros(shape[1], np.int64)
        self.waiting = np.zeros(shape, np.int64)

    def add(self, adders: Adders, alike: bool) -> None:
        """Count adders, shape (n, neurons)."""
        end = np.minimum(self.cut, adders.sum.top)
        # A part that hands its carry on has all the bits that make it.
        widest = np.maximum(adders.sum.top, np.maximum(adders.first.top, adders.second.top))
        end = np.where(_crossing(adders, self.cut), np.minimum(self.cut, widest), end)
        self.lut += adder_luts(adders, adders.start, end, alike=alike).sum(axis=0)
        self._operands(adders)

    def _operands(self, adders: Adders) -> None:
        """The operands' bits are there until the sums' level; those above a sum that wraps are not needed."""
        for word in (adders.first, adders.second):
            bits = np.where(adders.both, self.bits_of(word, adders.sum.top), 0)
            self._wait(bits, word.level, adders.sum.level)

    def _wait(self, bits: Ints, since: Ints, until: Ints) -> None:
        columns = np.arange(bits.shape[1])
        for level, sign in ((since, 1), (until, -1)):
            at = (level * bits.shape[1] + columns).ravel()
            found = np.bincount(at, bits.ravel(), self.waiting.size).astype(np.int64)
            self.waiting += sign * found.reshape(self.waiting.shape)

    def bits_of(self, word: Words, top: Ints | int = ENDLESS) -> Ints:
        bits = np.minimum(np.minimum(word.top, top), self.cut) - word.lowest
        return np.where(word.live & ~word.constant, np.maximum(bits, 0), 0)

    def leave(self, words: Words, level: Ints, until: int) -> None:
        """The sums: those that stand for their negative are inverted, at the level given; then all wait for others."""
        bits = self.bits_of(words)
        self.lut += np.where(words.minus, bits, 0).sum(axis=0)
        self._wait(bits, words.level, level)
        self._wait(bits, level, np.full_like(level, until))


class _Copy(_Part):
    """The bits from `cut` on, in one copy. `extra` are the LUTs of guards and of carries that come from below.

    `singles` are the sums of a single bit by floor, shape (floors, neurons).

    An operand is read through the guard in the adder's own LUTs, or where it waits in registers by their reset. A bit
    below `raw_top` met no adder: where it leaves the copy, its guard is a LUT.
    """

    def __init__(self, cut: int, shape: tuple[int, int], copies: Copies, floors: int) -> None:
        super().__init__(cut, shape)
        self._copies = copies
        self.extra = np.zeros(shape[1], np.int64)
        self.singles = np.zeros((floors, shape[1]), np.int64)
        self._floor = 0
        self._raw_top = np.zeros((0, shape[1]), np.int64)

    def enter(self, leaves: Words) -> None:
        self._raw_top = np.where(self.bits_of(leaves) > 0, np.maximum(leaves.top, self.cut + leaves.negative), 0)

    def add(self, adders: Adders, alike: bool) -> None:
        crossing = _crossing(adders, self.cut)
        sign = np.where(adders.sum.negative, self.cut + 1, 0)
        end = np.maximum(adders.sum.top, sign)
        at = np.maximum(adders.start, self.cut)
        single = crossing & (end - at == 1)
        found = adder_luts(adders, at, np.where(single, at, end), self.cut + 1, alike)
        self.lut += found.sum(axis=0)
        self.singles[self._floor] = single.sum(axis=0)
        first, second = (
            np.where(self._copies.waits(word.level, adders.sum.level), 0, top)
            for word, top in zip((adders.first, adders.second), self._of(self._raw_top, adders), strict=True)
        )
        gates = self._gates(adders, at, np.where(single, at, end), (first > at, second > at))
        self.extra += (crossing & ~single).sum(axis=0) + np.maximum(gates - found, 0).sum(axis=0)
        wired = np.where(adders.wired, np.maximum(first, second), first)
        self._raw_top = self._then(np.where(adders.there, np.minimum(first, at), wired), self._raw_top, adders)
        self._floor += 1
        self._operands(adders)

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
        raw = np.maximum(self._raw_top - np.maximum(words.lowest, self.cut), 0)
        self.extra += np.where(words.minus, 0, raw).sum(axis=0)  # what is inverted has a LUT anyway


def _crossing(adders: Adders, cut: int) -> Bools:
    """Adders of which the part below a cut hands a carry to that above."""
    if cut >= ENDLESS:
        return np.zeros_like(adders.both)
    above = (adders.sum.top > cut) | adders.sum.negative
    crossing: Bools = adders.there & (adders.start < cut) & above
    return crossing
