"""What interval arithmetic knows of signals."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.fixed import FixedPoint, Ints

# Interval bounds are whole numbers in float64: products of two 48-bit types leave int64, and what float64
# rounds (above 2**53) lies beyond every accumulator, where ranges are cut to the type anyway.
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Range:
    """Bounds of a type, in the unit of the words it is applied to."""

    low: float
    high: float

    @classmethod
    def of_bits(cls, bits: int, signed: bool) -> "Range":
        return cls(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else cls(0.0, 2.0**bits - 1)

    @property
    def width(self) -> float:
        """Bits of a type's range."""
        return math.log2(self.high - self.low + 1)

    @classmethod
    def of_type(cls, of: FixedPoint) -> "Range":
        return cls.of_bits(of.width, of.signed)

    @property
    def top(self) -> float:
        """Bits of the range, sign included."""
        return max(math.log2(self.high + 1), math.log2(-self.low) if self.low < 0 else 0) + (self.low < 0)


EVERYTHING = Range(-math.inf, math.inf)


def bit_length(value: Reals) -> Ints:
    """Bits of whole numbers >= 0 (and 0 below): frexp gives v = m * 2**e with 1/2 <= m < 1."""
    exponent: Ints = np.frexp(np.maximum(value, 0))[1].astype(np.int64)
    return exponent


def trailing_zeros(value: Ints) -> Ints:
    """Index of the lowest set bit; 0 for zero."""
    return np.maximum(bit_length((value & -value).astype(np.float64)) - 1, 0)


@dataclass(frozen=True)
class Words:
    """Ranges of signals: raw bounds, the lowest bit that can be one, and whether it can be other than zero.

    With `minus` the number meant is the negative of this one; `level` counts the adders in a row before it. All arrays
    have the same shape; the first axis counts the operands of a sum.
    """

    low: Reals
    high: Reals
    lowest: Ints
    live: Bools
    minus: Bools
    level: Ints

    @classmethod
    def plain(cls, low: Reals, high: Reals, lowest: Ints, live: Bools) -> "Words":
        """Words that stand for themselves and are there at once."""
        return cls(low, high, lowest, live, np.zeros(low.shape, np.bool_), np.zeros(low.shape, np.int64))

    @classmethod
    def of_type(cls, of: FixedPoint, shape: tuple[int, ...]) -> "Words":
        """Anything that the type holds."""
        return cls.plain(
            np.full(shape, float(of.min_raw)),
            np.full(shape, float(of.max_raw)),
            np.zeros(shape, np.int64),
            np.ones(shape, np.bool_),
        )

    @classmethod
    def constants(cls, raw: Ints) -> "Words":
        exact = raw.astype(np.float64)
        return cls.plain(exact, exact, trailing_zeros(raw), raw != 0)

    @cached_property
    def width(self) -> Ints:
        """Bits of the range from bit 0, with a sign bit where it reaches below zero."""
        magnitude: Ints = np.maximum(bit_length(self.high), bit_length(-self.low - 1))
        return magnitude + self.negative.astype(np.int64)

    @cached_property
    def top(self) -> Ints:
        """The bit above the highest; a word has one bit at least."""
        return np.maximum(self.width, self.lowest + 1)

    @cached_property
    def negative(self) -> Bools:
        """Where a sign is carried."""
        return np.less(self.low, 0)

    @cached_property
    def constant(self) -> Bools:
        return np.equal(self.low, self.high)

    @cached_property
    def meant(self) -> tuple[Reals, Reals]:
        """Bounds of the numbers that are meant, zero where dead."""
        low, high = np.where(self.live, self.low, 0), np.where(self.live, self.high, 0)
        return np.where(self.minus, -high, low), np.where(self.minus, -low, high)

    @cached_property
    def bits(self) -> Ints:
        """Bits that a register needs; none for a constant."""
        return np.where(self.live & ~self.constant, np.maximum(self.width - self.lowest, 0), 0)

    def __getitem__(self, at: Any) -> "Words":
        return Words(*(getattr(self, n)[at] for n in _FIELDS))

    def then(self, other: "Words") -> "Words":
        """Both, one behind the other."""
        return Words(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in _FIELDS))

    def where(self, condition: Bools, other: "Words") -> "Words":
        """These where the condition holds, the others elsewhere."""
        return Words(*(np.where(condition, getattr(self, n), getattr(other, n)) for n in _FIELDS))

    def only(self, live: Bools) -> "Words":
        """The others become zero."""
        return replace(self, low=np.where(live, self.low, 0), high=np.where(live, self.high, 0), live=live)

    def beyond(self, to: Range) -> Bools:
        """Where the range is left."""
        out: Bools = np.less(self.low, to.low) | np.greater(self.high, to.high)
        return out

    def wrapped_to(self, to: Range) -> "Words":
        """Values that leave the range wrap, so that they can be anything in it."""
        out = self.beyond(to)
        return replace(self, low=np.where(out, to.low, self.low), high=np.where(out, to.high, self.high))

    def held_in(self, to: Range) -> "Words":
        """Values of more bits than the range's wrap; of as many they stay, whether signed or not."""
        out = self.top > to.top
        return replace(self, low=np.where(out, to.low, self.low), high=np.where(out, to.high, self.high))

    def clipped_to(self, to: Range) -> "Words":
        """Values that leave the range become one of its ends, or zero."""
        out = self.beyond(to)
        low, high = np.clip(self.low, to.low, to.high), np.clip(self.high, to.low, to.high)
        low, high = np.where(out, np.minimum(low, 0), low), np.where(out, np.maximum(high, 0), high)
        # The ends have all bits of the type, whatever the value has.
        return replace(self, low=low, high=high, lowest=np.where(out, 0, self.lowest))

    def moved(self, shift: int, rounds: bool) -> "Words":
        """With so many bits of fraction more (fewer if negative), truncated or rounded up at most."""
        high = np.ldexp(self.high, shift)
        return replace(
            self,
            low=np.floor(np.ldexp(self.low, shift)),
            high=np.ceil(high) if rounds else np.floor(high),
            lowest=np.maximum(self.lowest + shift, 0),
        )


_FIELDS = ("low", "high", "lowest", "live", "minus", "level")
