"""Sums of a layer's neurons, and those of accumulators that saturate: chains. `trees` has the others."""

from dataclasses import dataclass, field, replace

import numpy as np

from codesign.fixed import Ints
from codesign.resources.estimate.adders import ENDLESS, added, adder_luts
from codesign.resources.estimate.words import EVERYTHING, Bools, Range, Words


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
