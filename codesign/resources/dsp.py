"""Which products by constants become DSPs, and how many each takes: one rule for the estimate and for the RTL.

A product takes DSPs when both factors have at least `dsp_min_bits` bits, the constant as the shortest signed number
without the zeros at its end; a power of two is wiring. Factors that are wider than a DSP's operands are taken apart:
each part but the highest is unsigned, so it has one bit less than the operand, which is signed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from codesign.fixed import FixedPoint
from codesign.resources.policy import EstimatePolicy


@dataclass(frozen=True)
class Tile:
    """One DSP: the bits [start, end) of the operand times `factor`, of the weight 2**shift."""

    start: int
    end: int
    factor: int
    shift: int


def takes_dsp(source: FixedPoint, factor: int, policy: EstimatePolicy) -> bool:
    """Whether a product of any number of a type and an odd factor is worth DSPs."""
    return abs(factor) > 1 and min(source.width, _signed_bits(factor)) >= policy.dsp_min_bits


def tiles(source: FixedPoint, factor: int, policy: EstimatePolicy, room: float) -> tuple[Tile, ...]:
    """The DSPs of such a product, as far as they give some of its lowest `room` bits.

    The fewer of the two ways to lay the factors onto a DSP's operands.
    """
    first, second = policy.dsp_tile
    ways = [_laid(source, factor, *sizes) for sizes in ((first, second), (second, first))]
    return min((tuple(tile for tile in way if tile.shift < room) for way in ways), key=len)


def _laid(source: FixedPoint, factor: int, operand_bits: int, factor_bits: int) -> Iterator[Tile]:
    for start, end in parts(source.width + (not source.signed), operand_bits):
        bits = _signed_bits(factor)
        for low, high in parts(bits, factor_bits):
            part = factor >> low
            if high < bits:
                part &= (1 << (high - low)) - 1
            if part:
                yield Tile(start, end, part, start + low)


def parts(width: int, most: int) -> Iterator[tuple[int, int]]:
    """A signed number's bits in pieces for operands of `most` bits; all but the highest piece are unsigned."""
    start = 0
    while width - start > most:
        yield start, start + most - 1
        start += most - 1
    yield start, width


def _signed_bits(factor: int) -> int:
    return (factor if factor >= 0 else -factor - 1).bit_length() + 1
