"""Small pieces of logic, counted in 6-input LUTs: reductions, choices, voters, casts, codes, memories, counters."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from codesign.codes import Code, encode
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.resources.policy import EstimatePolicy

LUT_INPUTS = 6
# Words x bits of an 18 Kbit block RAM (AMD UG473).
_BRAM_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
_BRAM_PORTS = 2
# A LUT holds so many bits of memory (AMD UG474).
_LUT_WORDS = 64
# A counter of the status registers, which stops at its largest value.
COUNTER_BITS = 16


def reduce_luts(n_inputs: int) -> int:
    """LUTs that reduce so many bits to one by or, and, xor: each takes six and gives one back."""
    return max(0, -(-(n_inputs - 1) // (LUT_INPUTS - 1)))


def reduce_levels(n_inputs: int) -> int:
    """Levels of that tree."""
    levels = 0
    while n_inputs > 1:
        n_inputs, levels = -(-n_inputs // LUT_INPUTS), levels + 1
    return levels


def mux_luts(n_inputs: int) -> int:
    """One bit out of many: a LUT chooses among four, F7 and F8 multiplexers join four LUTs (AMD UG474)."""
    luts = 0
    while n_inputs > 1:
        luts, n_inputs = luts + -(-n_inputs // 4), -(-n_inputs // 16)
    return luts


def larger_luts(bits: int) -> int:
    """The larger of two numbers: a comparison, two bits a LUT with its carry, and a choice for each bit."""
    return -(-bits // 2) + bits


def majority_luts(bits: int) -> int:
    """Of three words: a LUT a bit of majority; two bits' mismatch (6 inputs) in a LUT, or-reduced."""
    pairs = -(-bits // 2)
    return bits + pairs + reduce_luts(pairs)


def flag_luts(n_sources: int) -> int:
    """A layer's sticky flag: its own state or any source's."""
    return reduce_luts(n_sources + 1) if n_sources else 0


def counter_luts() -> int:
    """Whether all bits are ones already, and the flag that counts up otherwise: the bits are wires of a carry chain."""
    return reduce_luts(COUNTER_BITS) + 1


def cast_cost(source: FixedPoint, to: FixedPoint, *, relu: bool = False) -> tuple[int, int]:
    """LUTs and levels of one value's cast, behind the zeroing of negative values in a ReLU.

    Rounding is a carry chain of wires; when it rounds up takes a LUT, and more for a tie. A LUT for each bit that is
    zeroed or held, behind the LUTs that detect the overflow. Bits that are constants, or repeat the sign, take none.
    """
    if source == to and not (relu and to.signed):
        return 0, 0
    chooses = relu and source.signed
    signed = source.signed and not relu
    dropped = source.frac - to.frac
    width = source.width - chooses
    up, kept = _rounding_luts(dropped, width, signed, to.rounding)
    saturates = to.overflow is not Overflow.WRAP
    beyond = max(0, (kept - signed) - (to.width - to.signed)) if saturates else 0
    holds = beyond > 0 or (saturates and signed and not to.signed)
    if not (holds or chooses):
        return up, 1
    varying = max(0, min(kept, to.width) - max(0, -dropped))
    # The first five inputs of the detection are in the LUTs of the bits.
    return up + varying + reduce_luts(beyond + signed + chooses - 4), 1


def _rounding_luts(dropped: int, width: int, signed: bool, rounding: Rounding) -> tuple[int, int]:
    """LUTs that find out whether to round up, and the bits that are left, a carry's included."""
    kept = max(width - dropped, 1 if signed else 0)
    down = (Rounding.TRN,) if signed else (Rounding.TRN, Rounding.TRN_ZERO)
    if dropped <= 0 or rounding in down:
        return 0, kept
    if dropped >= width + (not signed):  # less than a half
        return 0, kept
    read = 2 if rounding is Rounding.RND else min(dropped, width) + 2
    return 1 + reduce_luts(read) - 1 if kept else 0, kept + 1


@dataclass(frozen=True)
class Memory:
    """LUTs and 18 Kbit block RAMs of a table."""

    lut: int = 0
    bram_18k: int = 0

    @classmethod
    def of(cls, depth: int, width: int, policy: EstimatePolicy, readers: int = 1) -> "Memory":
        """`depth` words of `width` bits, each of `readers` reading one at a time.

        Shallow ones are LUTs: 64 words of a bit, or 32 of two, in each; four are joined for nothing (F7, F8). Deep
        ones are block RAM of the shape that takes the fewest; it has two ports.
        """
        if depth <= policy.lutram_depth:
            blocks = -(-depth // _LUT_WORDS)
            bits = -(-width // 2) if depth <= _LUT_WORDS // 2 else width * (blocks + mux_luts(-(-blocks // 4)))
            return cls(lut=bits * readers)
        fewest = min(-(-depth // words) * -(-width // bits) for words, bits in _BRAM_SHAPES)
        return cls(bram_18k=fewest * -(-readers // _BRAM_PORTS))


@cache
def decoder_luts(code: Code, width: int) -> int:
    """Reading one stored word of `width` bits of data back, without guards.

    TMR: a voter. Parity: a parity tree, and a LUT a bit that makes the value zero. ECC: a parity tree for each bit of
    the syndrome and for the whole word; for each bit of data the comparison of the syndrome with its position and a
    LUT that inverts it or makes it zero; the two flags.
    """
    match code:
        case Code.NONE:
            return 0
        case Code.TMR:
            return majority_luts(width)
        case Code.PARITY:
            return reduce_luts(width + 1) + width
    # The check bits of a word with a single bit of data say which parities cover that bit; the last one is overall.
    words = encode(1 << np.arange(width), FixedPoint(width, width, signed=False), Code.ECC)
    checks = code.stored_width(width) - width - 1
    covered = [int((words >> (width + check) & 1).sum()) for check in range(checks)]
    parities = sum(reduce_luts(n + 1) for n in covered) + reduce_luts(code.stored_width(width))
    matches = width * (reduce_luts(checks + 1) + 1)
    return parities + matches + 2 * reduce_luts(checks + 1)


def decoder_levels(code: Code, width: int) -> int:
    """Levels of `decoder_luts` until the value is there."""
    match code:
        case Code.NONE:
            return 0
        case Code.TMR:
            return 1
        case Code.PARITY:
            return reduce_levels(width + 1) + 1
    stored = code.stored_width(width)
    return reduce_levels(stored) + reduce_levels(stored - width) + 1
