"""Logic with a time: values of known width and sign, aligned by registers where they meet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codesign.fixed import FixedPoint, Ints, Rounding
from codesign.resources.rtl.parts import cast_text
from codesign.resources.rtl.verilog import Writer
from codesign.resources.rtl.words import signed_digits


@dataclass(frozen=True)
class Value:
    """A net, or a constant, that holds a number of `width` bits from a level of logic on."""

    net: str
    width: int
    signed: bool
    level: int = 0
    constant: bool = False

    @classmethod
    def of(cls, number: int) -> "Value":
        """A number, in as few bits as it takes."""
        width = max(1, (number if number >= 0 else -number - 1).bit_length() + (number < 0))
        return cls(f"{width}'d{number & ((1 << width) - 1)}", width, number < 0, 0, True)

    @classmethod
    def word(cls, number: int, of: FixedPoint) -> "Value":
        """A number as a word of a type."""
        return cls(f"{of.width}'d{int(number) & ((1 << of.width) - 1)}", of.width, of.signed, 0, True)


@dataclass
class Logic:
    """Writes values into a module; `cycle_of` says in which cycle the logic of a level stands."""

    writer: Writer
    cycle_of: Callable[[int], int]

    def at(self, value: Value, level: int) -> str:
        """The net of a value for logic of a level."""
        if value.constant:
            return value.net
        return self.writer.delayed(value.net, value.width, self.cycle_of(level) - self.cycle_of(value.level))

    def made(
        self,
        of: Sequence[Value],
        width: int,
        signed: bool,
        text: Callable[..., str],
        *,
        levels: int = 1,
        extended: bool = False,
    ) -> Value:
        """A value of others, whose nets `text` gets; with `extended` in so many bits as the result has."""
        level = max(value.level for value in of) + levels
        nets = [self.wide(value, width, level) if extended else self.at(value, level) for value in of]
        return Value(self.writer.wire(self.writer.fresh(), width, text(*nets)), width, signed, level)

    def wide(self, value: Value, width: int, level: int) -> str:
        """The bits of a value for logic of a level, as many as asked for."""
        if width <= value.width and value.constant:
            return self.named(value, width)
        net = self.at(value, level)
        if width <= value.width:
            return net if width == value.width else f"{net}[{width - 1}:0]"
        if value.constant:
            net = self.named(value, value.width)
        sign = f"{net}[{value.width - 1}]" if value.signed else "1'b0"
        return f"{{{{{width - value.width}{{{sign}}}}}, {net}}}"

    def named(self, value: Value, width: int) -> str:
        """A net of its own for the lowest bits of a constant."""
        return self.writer.wire(self.writer.fresh(), width, value.net)

    # ---------------------------------------------------------------- arithmetic

    def added(self, a: Value, b: Value, *, minus: bool = False) -> Value:
        """The exact sum, or difference."""
        signed = a.signed or b.signed or minus
        width = max(value.width + (signed and not value.signed) for value in (a, b)) + 1
        sign = "-" if minus else "+"
        return self.made([a, b], width, signed, lambda x, y: f"{x} {sign} {y}", extended=True)

    def less(self, a: Value, b: Value) -> Value:
        """Whether a is below b, by the sign of their difference."""
        difference = self.added(a, b, minus=True)
        return self.made([difference], 1, False, lambda x: f"{x}[{difference.width - 1}]", levels=0)

    def shifted(self, value: Value, by: int) -> Value:
        """A value times two to the power of `by`, not below zero."""
        if not by:
            return value
        return self.made([value], value.width + by, value.signed, lambda x: f"{{{x}, {by}'d0}}", levels=0)

    def times(self, value: Value, factor: int) -> Value:
        """A value times a constant: what its signed digits add, less what they subtract."""
        digits = list(signed_digits(factor))
        more, less = (
            [self.shifted(value, abs(d).bit_length() - 1) for d in digits if (d > 0) == plus] for plus in (True, False)
        )
        plus = self.tree(more, self.added) if more else Value.of(0)
        return self.added(plus, self.tree(less, self.added), minus=True) if less else plus

    def product(self, a: Value, b: Value) -> Value:
        """Two values' exact product: a row for each bit of one, added in a tree."""
        signed, width = a.signed or b.signed, a.width + b.width
        levels = 1 + (min(a.width, b.width) - 1).bit_length()
        texts = ["$signed({})" if v.signed else "$signed({{1'b0, {}}})" for v in (a, b)]
        return self.made(
            [a, b], width, signed, lambda x, y: f"{texts[0].format(x)} * {texts[1].format(y)}", levels=levels
        )

    @staticmethod
    def tree(values: Sequence[Value], join: Callable[[Value, Value], Value]) -> Value:
        """Neighbours joined, and joined again; an odd one waits."""
        rest = list(values)
        while len(rest) > 1:
            rest = [join(*rest[k : k + 2]) if len(rest[k : k + 2]) > 1 else rest[k] for k in range(0, len(rest), 2)]
        return rest[0]

    # ---------------------------------------------------------------- choices

    def chosen(self, select: Value, yes: Value, no: Value) -> Value:
        """One of two values by a bit."""
        signed = yes.signed or no.signed
        width = max(value.width + (signed and not value.signed) for value in (yes, no))
        level = max(value.level for value in (select, yes, no)) + 1
        a, b = (self.wide(value, width, level) for value in (yes, no))
        return self.made([select, yes, no], width, signed, lambda s, *_: f"{s} ? {a} : {b}")

    def negative(self, value: Value) -> Value:
        """Whether a value is below zero."""
        if not value.signed:
            return Value.of(0)
        return self.made([value], 1, False, lambda x: f"{x}[{value.width - 1}]", levels=0)

    # ---------------------------------------------------------------- types

    def cast(self, value: Value, frac: int, to: FixedPoint) -> Value:
        """A value of so many fractional bits, assigned to a type."""
        level = value.level + 1
        text = cast_text(self.writer, self.at(value, level), value.width, value.signed, frac, to)
        return Value(self.writer.wire(self.writer.fresh(), to.width, text), to.width, to.signed, level)

    def typed(self, value: Value, source: FixedPoint, to: FixedPoint) -> Value:
        """A value of a type, assigned to another one; the same is copied."""
        return value if source == to else self.cast(value, source.frac, to)

    def towards_zero(self, value: Value, bits: int) -> Value:
        """A value divided by two to the power of `bits`."""
        if not bits:
            return value
        width = max(value.width - bits, 0) + 1
        return self.cast(value, bits, FixedPoint(width, width, value.signed, Rounding.TRN_ZERO))

    def top_bits(self, value: Value, count: int) -> Value:
        """The highest bits of a word, as a number."""
        return self.made([value], count, False, lambda x: f"{x}[{value.width - 1}:{value.width - count}]", levels=0)

    def looked_up(self, index: Value, table: Ints | list[int], of: FixedPoint) -> Value:
        """An entry of a table of words of a type: for every bit a choice of constants."""
        words, bits = [int(word) for word in table], []
        for bit in reversed(range(of.width)):
            column = sum((word >> bit & 1) << k for k, word in enumerate(words))
            size = 1 << index.width
            bits.append(self.writer.wire(self.writer.fresh(), size, f"{size}'h{column:x}"))
        text = ", ".join(f"{bit}[{{0}}]" for bit in bits)
        return self.made([index], of.width, of.signed, lambda x: f"{{{text.format(x)}}}")
