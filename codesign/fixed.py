"""Fixed-point types with the semantics of Xilinx `ap_fixed`: the only home of rounding and bit order.

A value is carried as its *raw integer*: the real number times ``2**frac``, in int64, signed types as
signed integers. Bit 0 is the least significant. Source of the semantics: AMD UG902/UG1399, "Arbitrary
Precision Fixed-Point Data Types"; the tests compare every mode with the compiled headers.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.errors import ConfigError

Ints = NDArray[np.int64]

# A cast may shift left by up to the difference of two fractions; below this bound int64 holds it all.
MAX_WIDTH = 48


class Rounding(StrEnum):
    """What happens to bits below the least significant one (`ap_q_mode` without its prefix)."""

    RND = "RND"
    RND_ZERO = "RND_ZERO"
    RND_MIN_INF = "RND_MIN_INF"
    RND_INF = "RND_INF"
    RND_CONV = "RND_CONV"
    TRN = "TRN"
    TRN_ZERO = "TRN_ZERO"


class Overflow(StrEnum):
    """What happens to values beyond the range (`ap_o_mode` without its prefix, no saturation bits)."""

    WRAP = "WRAP"
    SAT = "SAT"
    SAT_ZERO = "SAT_ZERO"
    SAT_SYM = "SAT_SYM"


_TYPE_TEXT = re.compile(
    r"(?:ap_)?(u?)(?:int<(\d+)>|fixed<(\d+)(?:,(-?\d+))?(?:,(?:AP_)?(\w+))?(?:,(?:AP_)?(\w+))?(?:,0)?>)"
)


@dataclass(frozen=True)
class FixedPoint:
    """`ap_fixed<width, integer, rounding, overflow>`; `integer` counts the sign bit, as there."""

    width: int
    integer: int
    signed: bool = True
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.WRAP

    def __post_init__(self) -> None:
        try:  # a mode given as text compares equal to the member but is not identical to it
            object.__setattr__(self, "rounding", Rounding(self.rounding))
            object.__setattr__(self, "overflow", Overflow(self.overflow))
        except ValueError as error:
            raise ConfigError(f"fixed-point type: {error}") from None
        if not 1 <= self.width <= MAX_WIDTH:
            raise ConfigError(f"fixed-point width {self.width} is outside 1..{MAX_WIDTH}")
        if abs(self.frac) > MAX_WIDTH:
            raise ConfigError(f"fixed-point type with {self.frac} fractional bits: at most {MAX_WIDTH} are supported")

    @property
    def frac(self) -> int:
        """Fractional bits; negative when the least significant bit weighs more than one."""
        return self.width - self.integer

    @property
    def min_raw(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max_raw(self) -> int:
        return (1 << (self.width - 1 if self.signed else self.width)) - 1

    @classmethod
    def parse(cls, text: str) -> "FixedPoint":
        """Read `fixed<16,6,RND,SAT>`, `ap_ufixed<8,1>`, `int<4>` and the like."""
        match = _TYPE_TEXT.fullmatch(text.replace(" ", ""))
        if match is None:
            raise ConfigError(f"'{text}' is not a fixed-point type such as fixed<16,6,TRN,WRAP>")
        unsigned, whole, width, integer, rounding, overflow = match.groups()
        bits = int(whole or width)
        try:
            modes = Rounding(rounding or "TRN"), Overflow(overflow or "WRAP")
        except ValueError as error:
            raise ConfigError(f"type '{text}': {error}") from None
        return cls(bits, bits if integer is None else int(integer), not unsigned, *modes)

    def __str__(self) -> str:
        name = "fixed" if self.signed else "ufixed"
        return f"{name}<{self.width},{self.integer},{self.rounding},{self.overflow}>"

    def cpp(self) -> str:
        """The C++ type name."""
        name = "ap_fixed" if self.signed else "ap_ufixed"
        return f"{name}<{self.width},{self.integer},AP_{self.rounding},AP_{self.overflow},0>"


def wrap(raw: ArrayLike, to: FixedPoint) -> Ints:
    """Keep the low `width` bits and read them as the type does."""
    values = np.asarray(raw, np.int64) & np.int64((1 << to.width) - 1)
    if not to.signed:
        return values
    sign = np.int64(1 << (to.width - 1))
    return (values ^ sign) - sign


def flip(raw: ArrayLike, bit: ArrayLike, of: FixedPoint) -> Ints:
    """Invert one bit of the stored word; flipping twice gives the value back."""
    return wrap(np.asarray(raw, np.int64) ^ (np.int64(1) << np.asarray(bit, np.int64)), of)


def fit(raw: ArrayLike, to: FixedPoint) -> Ints:
    """Bring integers at the type's own scale into its range by its overflow mode."""
    values = np.asarray(raw, np.int64)
    if to.overflow is Overflow.WRAP:
        return wrap(values, to)
    # A lone sign bit has no symmetric range: the headers saturate it as SAT does.
    low = -to.max_raw if to.overflow is Overflow.SAT_SYM and to.signed and to.width > 1 else to.min_raw
    if to.overflow is Overflow.SAT_ZERO:
        return np.where((values < low) | (values > to.max_raw), np.int64(0), values)
    return np.clip(values, low, to.max_raw)


def _round_shift(values: Ints, shift: int, rounding: Rounding) -> Ints:
    """Divide by ``2**shift`` (shift > 0) and round as the mode says."""
    floor = values >> shift
    rest = values - (floor << shift)
    half = np.int64(1) << (shift - 1)
    negative = values < 0
    match rounding:
        case Rounding.TRN:
            up = np.zeros_like(rest, bool)
        case Rounding.TRN_ZERO:
            up = negative & (rest != 0)
        case Rounding.RND:
            up = rest >= half
        case Rounding.RND_MIN_INF:
            up = rest > half
        case Rounding.RND_ZERO:
            up = (rest > half) | ((rest == half) & negative)
        case Rounding.RND_INF:
            up = (rest > half) | ((rest == half) & ~negative)
        case Rounding.RND_CONV:
            up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    rounded: Ints = floor + up
    return rounded


def rescale(raw: ArrayLike, frac: int, to: FixedPoint) -> Ints:
    """Assign integers that have `frac` fractional bits to a type: round, then handle overflow.

    Raises ConfigError when the shift could leave int64 (never where fractions differ by at most MAX_WIDTH).
    """
    values = np.asarray(raw, np.int64)
    shift = frac - to.frac
    if shift > 62 or (shift < 0 and -shift + MAX_WIDTH > 2 * MAX_WIDTH):
        raise ConfigError(f"a shift by {shift} bits to {to} does not fit 64-bit integers")
    if shift > 0:
        return fit(_round_shift(values, shift, to.rounding), to)
    if shift == 0:
        return fit(values, to)
    if to.overflow is Overflow.WRAP:
        # Bits shifted beyond 64 are beyond the type as well, so wrapping int64 is exact here.
        return wrap(values << -shift, to)
    bound = (1 << (to.width + 1)) >> -shift
    return fit(np.clip(values, -bound - 1, bound + 1) << -shift, to)


def cast(raw: ArrayLike, source: FixedPoint, to: FixedPoint) -> Ints:
    """Assign raw integers of one type to another, as C++ assignment between `ap_fixed` types does.

    From a type to itself C++ copies: a word that SAT_SYM never gives, but a fault may, stays what it is.
    """
    if source == to:
        return np.asarray(raw, np.int64)
    return rescale(raw, source.frac, to)


def cast_range(low: ArrayLike, high: ArrayLike, frac: int, to: FixedPoint) -> tuple[Ints, Ints]:
    """Least and greatest that integers of `frac` fractional bits from `low` to `high` become in a type.

    Rounding and saturation keep the order of values. Where one may wrap, or become zero for being too large, every
    value of the type is possible. Bounds are below 2**61.
    """
    shift = frac - to.frac
    ends = []
    for values in (np.asarray(low, np.int64), np.asarray(high, np.int64)):
        if shift > 0:
            ends.append(_round_shift(values, shift, to.rounding))
        else:
            # What is clipped here lies beyond every type, shifted or not.
            left = min(-shift, 61)
            limit = (1 << 61) >> left
            ends.append(np.clip(values, -limit - 1, limit + 1) << left)
    if to.overflow in (Overflow.SAT, Overflow.SAT_SYM):
        return fit(ends[0], to), fit(ends[1], to)
    inside = (ends[0] >= to.min_raw) & (ends[1] <= to.max_raw)
    return np.where(inside, ends[0], to.min_raw), np.where(inside, ends[1], to.max_raw)


def quantise(values: ArrayLike, to: FixedPoint) -> Ints:
    """Turn real numbers into raw integers.

    Raises ConfigError on NaN, infinity and magnitudes of 2**(51 - frac) and up.
    """
    reals = np.asarray(values, np.float64)
    if not np.all(np.isfinite(reals)):
        raise ConfigError(f"cannot quantise NaN or infinite values to {to}")
    # Ten guard bits keep every rounding mode's decision; a sticky bit stands for all that lies below.
    with np.errstate(over="ignore"):  # infinity is refused below
        scaled = np.ldexp(reals, to.frac + 10)
    limit = float(1 << 61)
    if np.any(np.abs(scaled) >= limit):
        raise ConfigError(f"a value of magnitude {np.abs(reals).max():g} is too large to quantise to {to}")
    guarded = np.floor(scaled)
    sticky = (scaled != guarded).astype(np.int64)
    return rescale(guarded.astype(np.int64) * 2 + sticky, to.frac + 11, to)


def to_real(raw: ArrayLike, of: FixedPoint) -> NDArray[np.float64]:
    """The real numbers that raw integers stand for (exact in float64 up to 53 bits)."""
    return np.ldexp(np.asarray(raw, np.float64), -of.frac)
