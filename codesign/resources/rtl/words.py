"""Numbers in hardware: words with their ranges, and the sums that make words of words.

A word has the bits [lowest, top) of a two's complement number in [low, high]; what lies below `lowest` is zero, what
lies above `top` is the sign. Nothing here is Verilog: `emit` writes a word, or a part of its bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from codesign.fixed import FixedPoint, Overflow, Rounding, rescale
from codesign.resources.dsp import Tile

# Shorter adders become plain logic.
CHAIN_BITS = 5


@dataclass(frozen=True)
class Bounds:
    """A range of integers."""

    low: int
    high: int

    @classmethod
    def of_bits(cls, bits: int, signed: bool = True) -> "Bounds":
        return cls(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else cls(0, (1 << bits) - 1)

    @cached_property
    def top(self) -> int:
        """Bits of the range, with a sign bit where it reaches below zero."""
        return max(self.high.bit_length(), (-self.low - 1).bit_length() if self.low < 0 else 0) + (self.low < 0)

    def within(self, other: "Bounds") -> bool:
        return other.low <= self.low and self.high <= other.high

    def times(self, factor: int) -> "Bounds":
        ends = self.low * factor, self.high * factor
        return Bounds(min(ends), max(ends))


@dataclass(frozen=True, eq=False)
class Word:
    """`level` counts the adders in a row before it. With `minus` the number meant is the negative of this one."""

    bounds: Bounds
    lowest: int = 0
    level: int = 0
    minus: bool = False

    @cached_property
    def top(self) -> int:
        return max(self.bounds.top, self.lowest + 1)

    @property
    def signed(self) -> bool:
        return self.bounds.low < 0


@dataclass(frozen=True, eq=False)
class Operand(Word):
    """A word that comes from outside, by the name of its port."""

    port: str = ""


@dataclass(frozen=True, eq=False)
class Own(Word):
    """What a neuron, and each copy of it, has by itself: it reads it nowhere."""


@dataclass(frozen=True, eq=False)
class Running(Own):
    """Its sum of the passes before."""


@dataclass(frozen=True, eq=False)
class Constant(Own):
    """A number other than zero."""

    @classmethod
    def of(cls, value: int) -> "Constant":
        return cls(Bounds(value, value), trailing_zeros(value))

    @property
    def value(self) -> int:
        return self.bounds.low


@dataclass(frozen=True, eq=False)
class Moved(Word):
    """`of` shifted to the left by so many bits; to the right if negative, which drops bits (rounds down)."""

    of: Word = Word(Bounds(0, 0))
    by: int = 0


@dataclass(frozen=True, eq=False)
class Product(Word):
    """The bits [start, end) of a word, those at its top with its sign, times a constant in a multiplier of its own."""

    of: Word = Word(Bounds(0, 0))
    start: int = 0
    end: int = 0
    factor: int = 0

    @classmethod
    def by_tile(cls, of: Word, tile: Tile, levels: int) -> "Product":
        """What one DSP gives."""
        end = min(tile.end, of.top)
        part = Bounds.of_bits(end - tile.start, signed=False)
        if end == of.top:
            part = Bounds(of.bounds.low >> tile.start, of.bounds.high >> tile.start)
        return cls(part.times(tile.factor), 0, of.level + levels, False, of, tile.start, end, tile.factor)


@dataclass(frozen=True, eq=False)
class Sum(Word):
    """`first` plus `second`, or minus it; modulo two to the power of `top`. `start` is the adder's lowest bit.

    Below it the bits are those of `first`. Without an adder (`wired`) the upper bits are those of `second`.
    """

    first: Word = Word(Bounds(0, 0))
    second: Word = Word(Bounds(0, 0))
    subtracts: bool = False

    @property
    def start(self) -> int:
        return max(self.first.lowest, self.second.lowest)

    @property
    def wired(self) -> bool:
        return not self.subtracts and not self.first.signed and self.first.top <= self.start


_BIT = FixedPoint(1, 1)


@dataclass(frozen=True, eq=False)
class Assigned(Word):
    """`of`, without its lowest `dropped` bits, rounded and brought into the range of a type as an assignment does."""

    of: Word = Word(Bounds(0, 0))
    dropped: int = 0
    to: FixedPoint = _BIT


@dataclass(frozen=True, eq=False)
class Guarded(Word):
    """`of`, with the bits of `mask` read through the guard of the copy that this is in; it may have more bits.

    If it is `held`, that is a register which the guard can reset, and the word is there a cycle later.
    """

    of: Word = Word(Bounds(0, 0))
    mask: int = 0
    held: bool = False

    @property
    def top(self) -> int:
        return max(super().top, self.mask.bit_length())


def mux_levels(n_inputs: int) -> int:
    """Levels of LUTs with their F7 and F8 multiplexers."""
    levels = 0
    while n_inputs > 1:
        n_inputs, levels = -(-n_inputs // 16), levels + 1
    return levels


def trailing_zeros(value: int) -> int:
    """Index of the lowest set bit; 0 for zero."""
    return (value & -value).bit_length() - 1 if value else 0


def moved(word: Word, by: int) -> Word:
    """A word shifted to the left, or to the right, which rounds down."""
    if not by:
        return word
    if isinstance(word, Constant):
        return Constant.of(word.value << by if by > 0 else word.value >> -by)
    low, high = (b << by if by > 0 else b >> -by for b in (word.bounds.low, word.bounds.high))
    if by < 0 and word.minus:
        raise ValueError("a word that stands for its negative cannot be rounded")
    return Moved(Bounds(low, high), max(word.lowest + by, 0), word.level, word.minus, word, by)


def assigned(word: Word, shift: int, to: FixedPoint) -> Word | None:
    """A word that stands for itself, times two to the power of `shift`, assigned to a type of that scale.

    None is zero.
    """
    if isinstance(word, Constant):
        value = int(rescale(word.value, to.frac - shift, to))
        return Constant.of(value) if value else None
    if shift >= 0 or word.lowest >= -shift:
        word, shift = moved(word, shift), 0
    rounds = shift < 0 and to.rounding is not Rounding.TRN
    bounds = Bounds(word.bounds.low >> -shift, -(-word.bounds.high >> -shift) if rounds else word.bounds.high >> -shift)
    inside = bounds.within(_kept(to))
    if inside and not rounds:
        found = moved(word, shift)
    else:
        fits = inside or to.overflow is Overflow.WRAP
        fitted = bounds if inside else _fitted(bounds, to)
        found = Assigned(fitted, 0, word.level + rounds + (not fits), False, word, -shift, to)
    if found.bounds.low == found.bounds.high:
        return Constant.of(found.bounds.low) if found.bounds.low else None
    return found


def _fitted(bounds: Bounds, to: FixedPoint) -> Bounds:
    """What becomes of numbers in a range that a type does not hold."""
    limit = _kept(to)
    if to.overflow is Overflow.WRAP:
        return limit
    if to.overflow is Overflow.SAT_ZERO:
        return Bounds(min(0, max(bounds.low, limit.low)), max(0, min(bounds.high, limit.high)))
    return Bounds(*sorted(min(max(end, limit.low), limit.high) for end in (bounds.low, bounds.high)))


def _kept(to: FixedPoint) -> Bounds:
    """The numbers that overflow handling leaves as they are."""
    symmetric = to.overflow is Overflow.SAT_SYM and to.signed and to.width > 1
    return Bounds(-to.max_raw if symmetric else to.min_raw, to.max_raw)


def chained(words: Sequence[Word | None], to: FixedPoint) -> Word | None:
    """One word after the other added to the sum so far, which every addition brings into the range of a type."""
    total = words[0]
    for word in words[1:]:
        if total is None or word is None:
            total = total or word
        else:
            low = min(total.lowest, word.lowest)
            # The sum stands for itself, not for its negative: it is never what is subtracted.
            first = Moved(total.bounds, low, total.level, False, total, 0)
            a, b = total.bounds, word.bounds.times(-1) if word.minus else word.bounds
            exact = Bounds(a.low + b.low, a.high + b.high)
            total = Sum(exact, low, max(total.level, word.level) + 1, False, first, word, word.minus)
        if total is not None:
            total = assigned(positive(total), 0, to)
    return total


def positive(word: Word, limit: Bounds | None = None) -> Word:
    """A word that stands for itself: zero minus it, if it stood for its negative."""
    if not word.minus:
        return word
    bounds = word.bounds.times(-1)
    zero = Constant(Bounds(0, 0), word.lowest, word.level)
    if limit and bounds.top > limit.top:
        bounds = limit
    return Sum(bounds, word.lowest, word.level + 1, False, zero, word, True)


def added(left: Word, right: Word, exact: Bounds, limit: Bounds | None = None) -> Word:
    """The sum of two words, of which the range is known to be `exact`; one that leaves the limit wraps.

    Of operands of different sign either can be the one subtracted, and the sum's sign is left to what comes next: bits
    that lie below the other operand pass through, which only those of the minuend can. A running sum stands second: the
    choice of its start is then in the adder's LUT, but not in what the carry chain takes directly.
    """
    first, second = sorted((left, right), key=lambda word: (word.lowest, word.minus, isinstance(word, Running)))
    subtracts = first.minus != second.minus
    bounds = exact.times(-1) if first.minus else exact
    level = max(left.level, right.level)
    found = Sum(bounds, first.lowest, level, first.minus, first, second, subtracts)
    if not found.wired:
        found = replace(found, level=level + 1)
    if limit and found.top > limit.top:
        found = replace(found, bounds=limit)
    return found


def summed(words: Sequence[Word | None], limit: Bounds) -> Word | None:
    """A balanced tree that splits at the largest power of two below the number of words; None is zero."""
    rest: list[Word | None] = list(words)
    while len(rest) > 1:
        pairs = [_both(a, b, limit) for a, b in zip(rest[0::2], rest[1::2], strict=False)]
        rest = pairs + rest[len(pairs) * 2 :]
    return rest[0] if rest else None


def _both(left: Word | None, right: Word | None, limit: Bounds) -> Word | None:
    if left is None or right is None:
        return left or right
    a, b = (w.bounds.times(-1) if w.minus else w.bounds for w in (left, right))
    return added(left, right, Bounds(a.low + b.low, a.high + b.high), limit)


def signed_digits(value: int) -> Iterator[int]:
    """Powers of two with signs, as few as can be, that add up to the value: its canonical signed digits."""
    weight = 1
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            yield digit * weight
            value -= digit
        value, weight = value >> 1, weight << 1


def binary_digits(value: int) -> Iterator[int]:
    """Powers of two that add up to a value >= 0."""
    return (1 << place for place in range(value.bit_length()) if value >> place & 1)


def times(word: Word, factor: int, limit: Bounds | None = None) -> Word | None:
    """A word times a constant: shifted copies of it, added in a balanced tree; None is zero.

    Copies of a single bit never meet: such a product is wiring. A signed one is the negative of an unsigned one.
    """
    meant, digits = word.bounds, signed_digits(factor)
    if word.top == 1:
        word = replace(word, bounds=Bounds(0, 1), minus=word.signed)
        digits = (digit if factor > 0 else -digit for digit in binary_digits(abs(factor)))
    terms = [
        (digit, replace_sign(moved(word, abs(digit).bit_length() - 1), (digit < 0) != word.minus)) for digit in digits
    ]
    while len(terms) > 1:
        pairs = [
            (a[0] + b[0], added(a[1], b[1], meant.times(a[0] + b[0]), limit))
            for a, b in zip(terms[0::2], terms[1::2], strict=False)
        ]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0][1] if terms else None


def replace_sign(word: Word, minus: bool) -> Word:
    """The word, meant as its negative or not."""
    return replace(word, minus=minus) if word.minus != minus else word


def made_of(*words: Word | None) -> Iterator[Word]:
    """Words and everything that they are computed from, operands first, each once."""
    found: dict[int, Word] = {}

    def visit(at: Word) -> None:
        if id(at) in found:
            return
        if isinstance(at, Sum):
            visit(at.first)
            visit(at.second)
        elif isinstance(at, Moved | Assigned | Guarded | Product):
            visit(at.of)
        found[id(at)] = at

    for word in words:
        if word is not None:
            visit(word)
    return iter(found.values())


def adders(word: Word | None) -> Iterator[Sum]:
    """Every sum that a word is made of, operands first, each once."""
    return (at for at in made_of(word) if isinstance(at, Sum))
