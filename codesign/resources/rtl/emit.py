"""Words as Verilog: whole ones, or of a hardened neuron those bits that exist once and those of a copy.

A *view* is a range of bit positions. The low view [0, cut) of a tree of sums makes the carries that the high views
[cut, ...) take, one for each adder that crosses the cut, so that each high view with the low one is one whole adder.
A negative word that ends below the cut has its sign in the high views as well, as one bit of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from codesign.resources.rtl.parts import cast_text, multiplier_module
from codesign.resources.rtl.verilog import Writer
from codesign.resources.rtl.words import Assigned, Constant, Guarded, Moved, Operand, Product, Sum, Word

ENDLESS = 1 << 20


@dataclass(frozen=True)
class Net:
    """A vector that holds the bits [start, end) of a word from a cycle on."""

    name: str
    start: int
    end: int
    cycle: int


@dataclass
class View:
    """Writes words into a module as far as they lie in [start, end). `cycle_of` says when a level of adders is done."""

    writer: Writer
    cycle_of: Callable[[int], int]
    start: int = 0
    end: int = ENDLESS
    nets: dict[int | str, Net] = field(default_factory=dict)
    carries: dict[int, Net] = field(default_factory=dict)

    def span(self, word: Word) -> tuple[int, int]:
        """Which bits of a word this view has; (0, 0) for none."""
        start, end = max(word.lowest, self.start), min(word.top, self.end)
        if start < end:
            return start, end
        if word.signed and 0 < word.top <= self.start:
            return self.start, self.start + 1
        return 0, 0

    def take(self, word: Word, name: str, cycle: int) -> Net:
        """Let a port bring this view's bits of a word."""
        start, end = self.span(word)
        return self._keep(word, Net(name, start, end, cycle))

    def _keep(self, word: Word, net: Net) -> Net:
        self.nets[_key(word)] = net
        return net

    # ---------------------------------------------------------------- bits of words

    def bits(self, word: Word, start: int, end: int, cycle: int) -> str:
        """The bits [start, end) of a word, extended by its sign, at a cycle."""
        if isinstance(word, Constant) and _key(word) not in self.nets:
            return f"{end - start}'d{(word.value >> start) & ((1 << (end - start)) - 1)}"
        if isinstance(word, Moved) and _key(word) not in self.nets:
            return self.bits(word.of, start - word.by, end - word.by, cycle)
        net = self.nets.get(_key(word)) or self.write(word)
        pieces = []
        if (above := end - max(net.end, start)) > 0:
            pieces.append(self._extension(word, net, above, cycle))
        if (first := max(start, net.start)) < (last := min(end, net.end)):
            name = self.writer.delayed(net.name, net.end - net.start, cycle - net.cycle)
            pieces.append(f"{name}[{last - 1 - net.start}:{first - net.start}]")
        if (below := min(net.start, end) - start) > 0:
            pieces.append(f"{below}'d0")
        return pieces[0] if len(pieces) == 1 else f"{{{', '.join(pieces)}}}"

    def _extension(self, word: Word, net: Net, width: int, cycle: int) -> str:
        if not word.signed or net.start == net.end:
            return f"{width}'d0"
        name = self.writer.delayed(net.name, net.end - net.start, cycle - net.cycle)
        return f"{{{width}{{{name}[{net.end - 1 - net.start}]}}}}"

    def guards_a_constant(self, word: Word, bit: int) -> bool:
        """Whether that bit of a word is the guard alone, or its inverse."""
        if not isinstance(word, Guarded) or not word.mask >> bit & 1:
            return False
        return isinstance(word.of, Constant) or bit >= self.span(word.of)[1]

    # ---------------------------------------------------------------- sums

    def write(self, word: Word) -> Net:
        """Write a sum and all that it is made of; gives its net."""
        if _key(word) in self.nets:
            return self.nets[_key(word)]
        if isinstance(word, Moved):
            self.write(word.of)
            start, end = self.span(word)
            cycle = self.cycle_of(word.level)
            name = self.writer.fresh()
            if start < end:
                self.writer.wire(name, end - start, self.bits(word, start, end, cycle))
            return self._keep(word, Net(name, start, end, cycle))
        if isinstance(word, Assigned):
            return self._assigned(word)
        if isinstance(word, Guarded):
            return self._guarded(word)
        if isinstance(word, Product):
            return self._product(word)
        if not isinstance(word, Sum):
            raise TypeError(f"{type(word).__name__} has no net")
        return self._sum(word)

    def _assigned(self, word: Assigned) -> Net:
        """All of its bits: what is rounded or saturates has no view of a part."""
        cycle, to = self.cycle_of(word.level), word.to
        number = self.writer.wire(self.writer.fresh(), word.of.top, self.bits(word.of, 0, word.of.top, cycle))
        text = cast_text(self.writer, number, word.of.top, word.of.signed, to.frac + word.dropped, to)
        name = self.writer.wire(self.writer.fresh(), to.width, text)
        return self._keep(word, Net(name, 0, to.width, cycle))

    def _guarded(self, word: Guarded) -> Net:
        start, end = self.span(word)
        cycle, width = self.cycle_of(word.level), end - start
        known = word.of.value if isinstance(word.of, Constant) else (1 << self.span(word.of)[1]) - 1
        zeros, ones = ((mask >> start) & ((1 << width) - 1) for mask in (word.mask & known, word.mask & ~known))
        name, bits, guard = self.writer.fresh(), self.bits(word.of, start, end, cycle), f"{{{width}{{guard[0]}}}}"
        if word.held:
            self.writer.register(name, width, bits, reset=("guard[0]", ones))
            return self._keep(word, Net(name, start, end, cycle + 1))
        raised = f" | ({guard} & {width}'d{ones})" if ones else ""  # what is zero anyway
        self.writer.wire(name, width, f"({bits} & ~({guard} & {width}'d{zeros})){raised}")
        return self._keep(word, Net(name, start, end, cycle))

    def _product(self, word: Product) -> Net:
        """All bits that count of a multiplier's product, whatever the view."""
        name, cycle = self.writer.fresh(), self.cycle_of(word.level)
        width = word.end - word.start
        part = multiplier_module(width, word.of.signed and word.end == word.of.top, word.factor, word.top)
        self.writer.body.append(f"wire [{word.top - 1}:0] {name};")
        operand = self.bits(word.of, word.start, word.end, cycle)
        self.writer.instance(part, f"{name}_product", x=operand, y=name)
        return self._keep(word, Net(name, 0, word.top, cycle))

    def _sum(self, word: Sum) -> Net:
        cycle = self.cycle_of(word.level)
        start, end = self.span(word)
        name = self.writer.fresh()
        if start == end:
            return self._keep(word, Net(name, 0, 0, cycle))
        if word.wired:
            at = min(max(word.start, start), end)
            pieces = [(word.second, at, end), (word.first, start, at)]
        else:
            at = min(max(word.start, start), end)
            pieces = [(word.first, start, at)]
        parts = [self.bits(of, low, high, cycle) for of, low, high in pieces if low < high]
        if not word.wired and at < end:
            parts.insert(0, self._adder(word, name, at, end, cycle))
        self.writer.wire(name, end - start, f"{{{', '.join(parts)}}}")
        return self._keep(word, Net(name, start, end, cycle))

    def _adder(self, word: Sum, name: str, start: int, end: int, cycle: int) -> str:
        """The adder's bits from `start`, which is the cut or above; takes and gives the carry where it crosses it."""
        sign = "-" if word.subtracts else "+"
        if crosses(word, self.start) and self.start:
            a, b = (self.bits(of, start, end, cycle) for of in (word.first, word.second))
            carry = self.carries[id(word)]
            taken = self.writer.delayed(carry.name, 1, cycle - carry.cycle)
            if end - start == 1:
                return f"{a} ^ {b} ^ {taken}"
            if word.subtracts:
                b, taken = f"~({b})", f"~{taken}"
            self.writer.wire(f"{name}_t", end - start + 1, f"{{{a}, 1'b1}} + {{{b}, {taken}}}")
            return f"{name}_t[{end - start}:1]"
        if crosses(word, self.end):
            reach = min(self.end, max(word.top, word.first.top, word.second.top))
            a, b = (self.bits(of, start, reach, cycle) for of in (word.first, word.second))
            self.writer.wire(f"{name}_t", reach - start + 1, f"{{1'b0, {a}}} {sign} {{1'b0, {b}}}")
            self.writer.wire(f"{name}_c", 1, f"{name}_t[{reach - start}]")
            self.carries[id(word)] = Net(f"{name}_c", 0, 1, cycle)
            return f"{name}_t[{end - 1 - start}:0]"
        a, b = (self.bits(of, start, end, cycle) for of in (word.first, word.second))
        self.writer.wire(f"{name}_t", end - start, f"{a} {sign} {b}")
        return f"{name}_t"


def crosses(word: Sum, cut: int) -> bool:
    """Whether the part of an adder below the cut hands a carry to that above."""
    return not word.wired and word.start < cut < ENDLESS and (word.top > cut or word.signed)


def _key(word: Word) -> int | str:
    """An operand is the same with either sign."""
    return word.port if isinstance(word, Operand) else id(word)
