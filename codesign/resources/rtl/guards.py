"""Where the copies of a neuron read their operands through their guards, so that no tool can merge two of them.

A guard is an unknown bit of a copy's own. A net of the copy is *own* if it leaves a carry chain or a register of the
copy that depends on the guard: what is computed from it is the copy's, whatever an optimiser knows of logic. A net is
*gated* if it is a shared one that the guard can make zero, and *raw* if it is shared. Logic on raw nets alone is equal
in all copies, and of gated ones alone it can be: a tool makes it once and gates what it gives. So of the two operands
of an adder, bit by bit, one is guarded where neither is own and both are raw or both gated; and a raw net is guarded
before a rounding or an overflow's choice, and where it is a bit of the result; in a register, which the guard resets. A
guard on an adder's second operand or at a register's reset costs no LUT. (An exclusive or with the guard instead would
be taken apart.)

Adders below `CHAIN_BITS` bits become plain logic. A neuron of nothing else is a Boolean function of its operands and
guards, which a tool that flattens the design may arrange as it likes: there only a hierarchy that is kept helps.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from codesign.resources.rtl.words import CHAIN_BITS, Assigned, Constant, Guarded, Moved, Product, Sum, Word

_REACH = 128


@dataclass(frozen=True)
class _Nets:
    """Bits of a word that are raw, gated, own; the others are constants zero."""

    raw: int = 0
    gated: int = 0
    own: int = 0

    def within(self, mask: int) -> "_Nets":
        return _Nets(self.raw & mask, self.gated & mask, self.own & mask)

    def moved(self, by: int) -> "_Nets":
        return _Nets(*(m << by if by >= 0 else m >> -by for m in (self.raw, self.gated, self.own)))

    def guarded(self, mask: int) -> "_Nets":
        kept = ~mask
        return _Nets(self.raw & kept, self.gated | mask, self.own & kept)

    def __or__(self, other: "_Nets") -> "_Nets":
        return _Nets(self.raw | other.raw, self.gated | other.gated, self.own | other.own)


@dataclass
class Guards:
    """Rewrites the words of a copy that has the bits from `cut` up. `outside` are words that enter it by its ports."""

    cut: int
    cycle_of: Callable[[int], int]
    outside: Iterable[Word]
    _words: dict[int, tuple[Word, Word]] = field(default_factory=dict)
    _nets: dict[int, tuple[Word, _Nets]] = field(default_factory=dict)
    _guarded: dict[tuple[int, int], Guarded] = field(default_factory=dict)
    _held: dict[int, Word] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for word in self.outside:
            if not isinstance(word, Constant):
                self._keep(word, word, _Nets(_mask(*self._span(word))))

    def result(self, word: Word) -> Word:
        """The word with its guards, and no raw bit in it."""
        found = self.read(word)
        return self._wrapped(found, self._of(found).raw & ~_mask(0, self.cut))

    def read(self, word: Word) -> Word:
        """The word with the guards that what it is made of needs."""
        if id(word) in self._words:
            return self._words[id(word)][1]
        match word:
            case Moved():
                of = self.read(word.of)
                return self._keep(word, replace(word, of=of), self._of(of).moved(word.by))
            case Assigned():
                return self._assigned(word)
            case Sum():
                return self._sum(word)
            case Product():
                return self._product(word)
            case Constant():
                return self._keep(word, word, _Nets(word.value & _mask(0, _REACH)))
        return self._keep(word, word, _Nets(_mask(*self._span(word))))

    def _keep(self, word: Word, found: Word, nets: _Nets) -> Word:
        self._words[id(word)] = word, found
        self._nets[id(found)] = found, nets
        return found

    def _span(self, word: Word) -> tuple[int, int]:
        """Bits that the copy has of a word; of a negative one that ends below the cut, its sign."""
        return max(word.lowest, self.cut), max(word.top, self.cut + word.signed)

    def _of(self, word: Word) -> _Nets:
        """A word's nets, with its sign's above its top."""
        nets = self._nets[id(word)][1]
        if not word.signed or isinstance(word, Constant):
            return nets
        for top in (word.top, self._span(word)[1]):
            above = _mask(top, _REACH)
            nets = _Nets(*(m | (above if m >> (top - 1) & 1 else 0) for m in (nets.raw, nets.gated, nets.own)))
        return nets

    def _wrapped(self, word: Word, mask: int) -> Word:
        """A word with some of its bits read through the guard; a sign once for all of its places."""
        start, top = self._span(word)
        if word.signed and mask >> (top - 1):
            mask |= 1 << (top - 1)
            mask &= _mask(start, top)
        if not mask:
            return word
        if (key := (id(word), mask)) not in self._guarded:
            found = Guarded(word.bounds, word.lowest, word.level, word.minus, word, mask)
            self._guarded[key] = found
            self._nets[id(found)] = found, self._of(word).within(_mask(0, top)).guarded(mask)
        return self._guarded[key]

    def _at(self, word: Word, level: int) -> Word:
        """A word for logic of a level; what waits there in registers is guarded before them."""
        found = self.read(word)
        if self.cycle_of(level) <= self.cycle_of(found.level) or isinstance(found, Constant):
            return found
        if (later := self._held.get(id(found))) is None:
            nets, whole = self._of(found), _mask(*self._span(found))
            shape = found.bounds, found.lowest, found.level, found.minus, found
            later = Guarded(*shape, whole, held=True) if nets.raw else Moved(*shape, 0)
            self._held[id(found)] = later
            self._nets[id(later)] = later, _Nets(own=_some(nets))
        return later

    def _assigned(self, word: Assigned) -> Word:
        """Rounding adds, and the choice behind an overflow hangs on the highest bits."""
        of = self._at(word.of, word.level)
        nets, whole = self._of(of), _mask(0, word.to.width)
        rounds = word.dropped > 0 and word.level > word.of.level
        if rounds:
            of = self._wrapped(of, nets.raw)
        elif word.level > word.of.level and not nets.own:
            of = self._wrapped(of, 1 << (word.of.top - 1))
        elif word.level == word.of.level:
            return self._keep(word, replace(word, of=of), nets.moved(-word.dropped).within(whole))
        own = (rounds and word.of.top - word.dropped >= CHAIN_BITS) or nets.own
        # Otherwise a bit may still be the operand's.
        return self._keep(word, replace(word, of=of), _Nets(own=whole) if own else _Nets(raw=whole))

    def _product(self, word: Product) -> Word:
        """A multiplier is one piece: one bit of what it reads is enough."""
        of = self.read(word.of)
        if not self._of(of).own:
            of = self._wrapped(of, 1 << max(word.start, of.lowest))
        return self._keep(word, replace(word, of=of), _Nets(own=_mask(*self._span(word))))

    def _sum(self, word: Sum) -> Word:
        first, second = self._at(word.first, word.level), self._at(word.second, word.level)
        start, end = max(word.start, self.cut), max(word.top, self.cut + word.signed, word.start + 1)
        adder, below = _mask(start, end), _mask(self.cut, start)
        a, b = self._of(first), self._of(second)
        if word.wired:
            return self._keep(word, replace(word, first=first, second=second), a.within(below) | b.within(adder))
        # Below the lowest bits that meet, what enters passes through, unless a carry does.
        meet = (_some(b) if word.subtracts else _some(a) & _some(b)) & adder
        passes = _mask(start, end if not meet else (meet & -meet).bit_length() - 1) if word.start >= self.cut else 0
        chain = end - start - passes.bit_count() >= CHAIN_BITS
        needed = (a.raw | ~_some(a)) & (b.raw | ~_some(b)) | a.gated & b.gated
        if chain and not word.subtracts:  # an operand that is zero there needs no logic
            needed &= _some(a) & _some(b)
        varies = (0 if isinstance(first, Constant) else _some(a)) | (0 if isinstance(second, Constant) else _some(b))
        second = self._wrapped(second, needed & varies & adder & ~passes)
        computed = adder & ~passes
        own = computed if chain else computed & (a.own | b.own)
        nets = _Nets(gated=computed & ~own, own=own) | a.within(below | passes) | b.within(passes)
        return self._keep(word, replace(word, first=first, second=second), nets)


def _some(nets: _Nets) -> int:
    return nets.raw | nets.gated | nets.own


def _mask(start: int, end: int) -> int:
    return (1 << max(end, start)) - (1 << start)
