"""Adders that stand side by side, and what a tool makes of them.

A bit of an adder is a position of a carry chain, with a LUT that adds (without carry) the two bits that meet there.
Where only one operand has a bit, or the other's is a constant, that LUT is a wire, or an inverter. Where both are
extended by their signs, all positions share one LUT. That is what a mapped netlist shows, bit for bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.fixed import Ints
from codesign.resources.estimate.words import Bools, Range, Reals, Words

ENDLESS = 1 << 20


@dataclass(frozen=True)
class Adders:
    """`first` plus or minus `second` is `sum`; `first` alone where not `both` are live. `swapped`: it was on the right.

    Bits below `start` are those of `first`. Without an adder (`wired`) the upper bits are those of `second`.
    """

    first: Words
    second: Words
    sum: Words
    swapped: Bools
    both: Bools
    wired: Bools
    subtracts: Bools
    start: Ints

    @property
    def there(self) -> Bools:
        return self.both & ~self.wired

    def __getitem__(self, at: Any) -> "Adders":
        return Adders(*(getattr(self, name)[at] for name in self.__dataclass_fields__))


def added(left: Words, right: Words, limit: Range, exact: tuple[Reals, Reals] | None = None) -> Adders:
    """Sums of two sets of words, wrapped to a range; their own ranges can be given.

    As the RTL does it: of operands of different sign either can be the one subtracted, and the sum's sign is left to
    what comes next; bits that lie below the other operand pass through, which only those of the minuend can.
    """
    both = left.live & right.live
    swapped = (right.lowest < left.lowest) | ((right.lowest == left.lowest) & left.minus & ~right.minus)
    swapped = np.where(both, swapped, ~left.live)
    first, second = right.where(swapped, left), left.where(swapped, right)
    low, high = exact or (left.meant[0] + right.meant[0], left.meant[1] + right.meant[1])
    low, high = np.where(first.minus, -high, low), np.where(first.minus, -low, high)
    subtracts = both & (first.minus != second.minus)
    start = np.where(both, np.maximum(first.lowest, second.lowest), first.lowest)
    wired = both & ~subtracts & ~first.negative & (first.top <= start)
    level = np.where(both, np.maximum(first.level, second.level) + ~wired, first.level)
    found = Words(low, high, first.lowest, left.live | right.live, first.minus, level).held_in(limit)
    return Adders(first, second, found, swapped, both, wired, subtracts, start)


def positive(words: Words, limit: Range) -> Words:
    """Words that stand for themselves: zero minus those that stood for their negative, an inverter a bit."""
    low, high = words.meant
    level = words.level + (words.minus & words.live)
    return Words(low, high, words.lowest, words.live, np.zeros_like(words.minus), level).held_in(limit)


def adder_luts(adders: Adders, at: Ints, end: Ints, extended: Ints | int = 0, alike: bool = False) -> Ints:
    """LUTs of the bits [at, end) of adders; words with a sign have it in the bit below `extended` at least.

    If bits are `alike`, each operand is one bit at several places, so that equal LUTs are one.
    """
    a, b = adders.first, adders.second
    a_top, b_top = (np.where(w.negative, np.maximum(w.top, extended), w.top) for w in (a, b))
    plus = np.where(
        a.negative,
        np.where(b.negative, np.maximum(a_top, b_top), b_top),
        np.where(b.negative, a_top, np.minimum(a_top, b_top)),
    )
    # A bit that meets nothing is inverted, unless the other's sign does it already.
    minus = np.maximum(a_top + (~a.negative & b.negative), b_top + (a.negative & ~b.negative))
    top = np.where(adders.subtracts, minus, plus)
    signed = adders.subtracts | (a.negative & b.negative)
    top = np.where(signed, np.maximum(top, at + 1), top)
    found = np.where(adders.there, np.maximum(np.minimum(end, top) - at, 0), 0)
    constants = np.nonzero(adders.there & (a.constant | b.constant))
    if len(constants[0]):
        found[constants] = _inverters(adders[constants], at[constants], end[constants])
    return np.minimum(found, np.where(adders.subtracts, 3, 1)) if alike else found


def _inverters(adders: Adders, at: Ints, end: Ints) -> Ints:
    """With a constant, a bit is a wire, or an inverter where a one is added or a zero subtracted."""
    first = adders.first.constant
    value = np.where(first, adders.first.low, adders.second.low).astype(np.int64)
    variable = adders.second.where(first, adders.first)
    end = np.where(variable.negative, np.minimum(end, np.maximum(variable.top, at + 1)), np.minimum(end, variable.top))
    count = np.clip(end - at, 0, 62)
    ones = _popcount((value >> np.minimum(at, 62)) & ((np.int64(1) << count) - 1))
    return np.where(adders.first.constant & adders.second.constant, 0, np.where(adders.subtracts, count - ones, ones))


def _popcount(values: Ints) -> Ints:
    octets = values.astype("<u8").view(np.uint8).reshape(len(values), 8)
    count: Ints = np.unpackbits(octets, axis=1).sum(axis=1).astype(np.int64)
    return count
