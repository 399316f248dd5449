"""Real numbers to raw integers and back, as `ap_fixed` does it: the arithmetic of `codesign.fixed`, for the board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

import numpy as np

from .errors import InputError, PackageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Ints = NDArray[np.int64]

ROUNDING = ("RND", "RND_ZERO", "RND_MIN_INF", "RND_INF", "RND_CONV", "TRN", "TRN_ZERO")
OVERFLOW = ("WRAP", "SAT", "SAT_ZERO", "SAT_SYM")
MAX_WIDTH = 48
# Ten bits below the last one keep every rounding mode's decision, a sticky one stands for all that lies below them.
_GUARD_BITS = 10


class FixedType(NamedTuple):
    """`ap_fixed<width, integer, rounding, overflow>`; `integer` counts the sign bit, as there."""

    width: int
    integer: int
    signed: bool
    rounding: str
    overflow: str

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

    def __str__(self) -> str:
        name = "fixed" if self.signed else "ufixed"
        return f"{name}<{self.width},{self.integer},{self.rounding},{self.overflow}>"

    @classmethod
    def of(cls, where: str, given: Any) -> FixedType:
        """From JSON. Raises PackageError that begins with `where` for anything that is no type."""
        if not isinstance(given, Mapping) or set(given) != set(cls._fields):
            raise PackageError(f"{where}: expected a type with {', '.join(cls._fields)}, got {given!r}")
        found = cls(**given)
        if [type(given[key]) for key in ("width", "integer", "signed")] != [int, int, bool]:
            raise PackageError(f"{where}: width and integer are whole numbers and signed is true or false: {given!r}")
        if not 1 <= found.width <= MAX_WIDTH or abs(found.frac) > MAX_WIDTH:
            raise PackageError(f"{where}: {found} has more than {MAX_WIDTH} bits")
        if found.rounding not in ROUNDING or found.overflow not in OVERFLOW:
            raise PackageError(f"{where}: unknown rounding or overflow mode: {found}")
        return found


def quantise(values: ArrayLike, to: FixedType) -> Ints:
    """Turn real numbers into raw integers: round, then handle overflow, as the type says.

    Raises InputError on NaN, infinity and magnitudes of 2**(51 - frac) and up.
    """
    try:
        reals = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"inputs are no array of numbers that could be quantised to {to}") from None
    if not np.all(np.isfinite(reals)):
        raise InputError(f"cannot quantise NaN or infinite values to {to}")
    with np.errstate(over="ignore"):  # infinity is refused below
        scaled = np.ldexp(reals, to.frac + _GUARD_BITS)
    if np.any(np.abs(scaled) >= float(1 << 61)):
        raise InputError(f"a value of magnitude {np.abs(reals).max():g} is too large to quantise to {to}")
    guarded = np.floor(scaled)
    sticky = (scaled != guarded).astype(np.int64)
    return _fit(_round(guarded.astype(np.int64) * 2 + sticky, to.rounding), to)


def to_real(raw: ArrayLike, of: FixedType) -> NDArray[np.float64]:
    """The real numbers that raw integers stand for."""
    return np.ldexp(np.asarray(raw, np.float64), -of.frac)


def _round(values: Ints, mode: str) -> Ints:
    """Drop the guard bits and the sticky bit."""
    shift = _GUARD_BITS + 1
    floor = values >> shift
    rest = values - (floor << shift)
    half = np.int64(1 << (shift - 1))
    negative, tie, above = values < 0, rest == half, rest > half
    up = {
        "TRN": above & False,
        "TRN_ZERO": negative & (rest != 0),
        "RND": above | tie,
        "RND_MIN_INF": above,
        "RND_ZERO": above | (tie & negative),
        "RND_INF": above | (tie & ~negative),
        "RND_CONV": above | (tie & ((floor & 1) == 1)),
    }[mode]
    rounded: Ints = floor + up
    return rounded


def _fit(values: Ints, to: FixedType) -> Ints:
    """Bring integers into the type's range."""
    if to.overflow == "WRAP":
        low = values & np.int64((1 << to.width) - 1)
        sign = np.int64(1 << (to.width - 1))
        return (low ^ sign) - sign if to.signed else low
    # A lone sign bit has no symmetric range: the headers saturate it as SAT does.
    least = -to.max_raw if to.overflow == "SAT_SYM" and to.signed and to.width > 1 else to.min_raw
    if to.overflow == "SAT_ZERO":
        return np.where((values < least) | (values > to.max_raw), np.int64(0), values)
    return np.clip(values, least, to.max_raw)
