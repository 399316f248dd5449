"""Codes of stored parameters: how a word is stored, and what is read back from a damaged one.

A stored word holds the data in its low bits and the check bits above them. `PARITY` finds every odd number of
flips, `ECC` is the extended Hamming code (Hamming, "Error detecting and error correcting codes", BSTJ 1950):
it corrects one flip and finds two. What is found and not corrected is read as zero, the documented safe value.
"""

from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from codesign.fixed import FixedPoint, Ints, wrap

Bools = NDArray[np.bool_]


class Code(StrEnum):
    """Protection of a layer's stored weights and biases; `TMR` stores three copies and reads their majority."""

    NONE = "none"
    TMR = "tmr"
    PARITY = "parity"
    ECC = "ecc"

    @property
    def copies(self) -> int:
        return 3 if self is Code.TMR else 1

    def stored_width(self, width: int) -> int:
        """Bits of a stored word that holds `width` bits of data."""
        match self:
            case Code.PARITY:
                return width + 1
            case Code.ECC:
                return width + len(_checks(width)) + 1
        return width


@cache
def _checks(width: int) -> tuple[int, ...]:
    """For each Hamming check bit the mask of the data bits that it covers."""
    positions = _positions(width)
    count = next(r for r in range(2, 64) if 1 << r >= width + r + 1)
    return tuple(sum(1 << bit for bit, place in enumerate(positions) if place >> i & 1) for i in range(count))


@cache
def _positions(width: int) -> tuple[int, ...]:
    """Code position of each data bit: the numbers from three that are no powers of two."""
    return tuple(place for place in range(3, 2 * width + 8) if place & (place - 1))[:width]


def _parity(words: Ints) -> Ints:
    folded = words.copy()
    for shift in (32, 16, 8, 4, 2, 1):
        folded = folded ^ (folded >> shift)
    return folded & 1


def encode(raw: Ints, of: FixedPoint, code: Code) -> Ints:
    """Stored words of raw integers, as numbers that are not negative."""
    words = np.asarray(raw, np.int64) & np.int64((1 << of.width) - 1)
    if code is Code.PARITY:
        return words | (_parity(words) << of.width)
    if code is Code.ECC:
        for i, mask in enumerate(_checks(of.width)):
            words = words | (_parity(words & mask) << (of.width + i))
        return words | (_parity(words) << (of.width + len(_checks(of.width))))
    return words


def decode(copies: Ints, of: FixedPoint, code: Code) -> tuple[Ints, Bools, Bools]:
    """What is read from stored words, shape (copies, ...): values, corrected and detected, each of shape (...)."""
    first = copies[0]
    nothing = np.zeros(first.shape, np.bool_)
    if code is Code.TMR:
        a, b, c = copies
        return wrap((a & b) | (a & c) | (b & c), of), (a != b) | (a != c), nothing
    if code is Code.PARITY:
        wrong = _parity(first) == 1
        return np.where(wrong, 0, wrap(first, of)), nothing, wrong
    if code is Code.ECC:
        return _decode_ecc(first, of)
    return wrap(first, of), nothing, nothing


def _decode_ecc(words: Ints, of: FixedPoint) -> tuple[Ints, Bools, Bools]:
    checks, positions = _checks(of.width), _positions(of.width)
    syndrome = np.zeros_like(words)
    for i, mask in enumerate(checks):
        syndrome |= (_parity(words & mask) ^ (words >> (of.width + i) & 1)) << i
    single = _parity(words) == 1
    # Where the syndrome points: a data bit to invert, a check bit (nothing to do), or nowhere.
    fix = np.zeros(1 << len(checks), np.int64)
    fix[list(positions)] = np.int64(1) << np.arange(of.width)
    known = np.zeros(len(fix), np.bool_)
    known[[0, *positions, *(1 << i for i in range(len(checks)))]] = True
    corrected = single & known[syndrome]
    detected = (single & ~known[syndrome]) | (~single & (syndrome != 0))
    values = wrap(np.where(corrected, words ^ fix[syndrome], words), of)
    return np.where(detected, 0, values), corrected, detected
