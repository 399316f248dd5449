"""Adders of a layer's sums: balanced trees, or chains where the accumulator saturates."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codesign.fixed import Ints
from codesign.resources.estimate.words import Bools, Range, Words


@dataclass(frozen=True)
class Copies:
    """What is copied of a layer's words: of neurons `there` the bits from `cut` on, `more` further times.

    Where values can be negative each copy carries the sign, so its part has at least one bit.
    """

    cut: Ints
    there: Bools
    more: int

    @classmethod
    def none(cls, neurons: int = 1) -> "Copies":
        return cls(np.zeros(neurons, np.int64), np.zeros(neurons, np.bool_), 0)

    def above(self, start: Ints, top: Ints, signed: Bools) -> Ints:
        """How many of the bits [start, top) one copy has."""
        high = np.maximum(top - np.maximum(start, self.cut), signed.astype(np.int64))
        return np.where(self.there, high, 0)

    def registers(self, words: Words) -> Ints:
        """Register bits of words, with those of all copies."""
        once = words.bits
        copied = np.where(once > 0, self.above(words.lowest, words.width, words.negative), 0)
        bits: Ints = once + self.more * copied
        return bits


@dataclass(frozen=True)
class Sums:
    """Adders of every neuron: LUTs, how many of them each further copy repeats, levels, and what leaves them.

    `alive` are pairs (levels passed, register bits there) in ascending order, for the levels before the last.
    """

    lut: int
    copied: int
    levels: int
    alive: tuple[tuple[int, int], ...]
    words: Words


@dataclass(frozen=True)
class _Adders:
    """Adders that work at the same time: the bits they span, [start, top), where `there`."""

    start: Ints
    top: Ints
    signed: Bools
    there: Bools

    def bits(self) -> int:
        return int(np.where(self.there, self.top - self.start, 0).sum())

    def copied(self, copies: Copies) -> int:
        """Bits of one further copy, the sign at least."""
        return int(np.where(self.there, copies.above(self.start, self.top, self.signed), 0).sum())


def tree(leaves: Words, copies: Copies, limit: Range) -> Sums:
    """Balanced trees along the first axis, level by level, all trees of a layer at once.

    Pairing neighbours, with an odd last one passed on, is the tree that splits N leaves at the largest
    power of two below N. An operand that is always zero is passed by without an adder.
    """
    depth = np.zeros(leaves.live.shape, np.int64)
    lut = copied = 0
    alive: list[tuple[int, int]] = []
    while len(leaves.live) > 1:
        even = len(leaves.live) // 2 * 2
        adders, sums = _add(leaves[0:even:2], leaves[1:even:2])
        depth = np.concatenate([np.maximum(depth[0:even:2], depth[1:even:2]) + adders.there, depth[even:]])
        # What leaves the limit wraps: its adder ends there as well.
        sums = sums.wrapped_to(limit)
        adders = _Adders(adders.start, np.maximum(sums.width, adders.start + 1), sums.negative, adders.there)
        leaves = sums.then(leaves[even:])
        lut, copied = lut + adders.bits(), copied + adders.copied(copies)
        alive.append((len(alive) + 1, int(copies.registers(leaves).sum())))
    levels = int(depth.max(initial=0))
    # Where zeros make a tree shallower than its leaves ask, its sums are there earlier.
    return Sums(lut, copied, levels, tuple(alive[: max(0, levels - 1)]), leaves)


def chain(leaves: Words, copies: Copies, limit: Range, operand_bits: int) -> Sums:
    """Sums of one leaf after the other, each brought into the limit.

    An adder, and where the range demands it the detection of the overflow and a choice for every bit of the type.
    What is still to be added waits as operands, of `operand_bits` for all leaves but the first: their products are
    made when they are needed.
    """
    width = int(np.log2(limit.high - limit.low + 1))
    words, depth = leaves[:1], np.zeros(leaves.live[:1].shape, np.int64)
    lut = copied = 0
    alive = []
    for k in range(1, len(leaves.live)):
        adders, words = _add(words, leaves[k : k + 1])
        saturates = adders.there & words.beyond(limit)
        # Such a neuron is hardened whole or not at all, so a copy repeats all of it.
        choices = (width + 1) * saturates
        lut += adders.bits() + int(choices.sum())
        copied += adders.copied(copies) + int(choices[:, copies.there].sum())
        words = words.clipped_to(limit)
        depth = depth + adders.there + saturates
        waiting = operand_bits * (len(leaves.live) - 1 - k) // (len(leaves.live) - 1)
        alive.append((int(depth.max()), int(copies.registers(words).sum()) + waiting))
    return Sums(lut, copied, int(depth.max(initial=0)), tuple(_inner(alive)), words)


def _inner(alive: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Without the last level, and the last of those at the same level."""
    last = alive[-1][0] if alive else 0
    latest = {level: bits for level, bits in alive if 0 < level < last}
    yield from latest.items()


def _add(left: Words, right: Words) -> tuple[_Adders, Words]:
    """Sums of two sets of words, whose dead words hold zero; an adder stands only where both are live."""
    both = left.live & right.live
    lowest = np.where(both, np.minimum(left.lowest, right.lowest), np.where(left.live, left.lowest, right.lowest))
    words = Words(left.low + right.low, left.high + right.high, lowest, left.live | right.live)
    start = np.maximum(left.lowest, right.lowest)
    return _Adders(start, np.maximum(words.width, start + 1), words.negative, both), words
