"""Units that work in passes: stored weights, multipliers of two variables, and a running sum in a register.

A pass's products may be pipelined; its way through the adders that the running sum enters is one cycle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, Rounding, cast
from codesign.network import Layer
from codesign.protection import LayerPlan
from codesign.resources.rtl.emit import View
from codesign.resources.rtl.neuron import Arithmetic, Neuron
from codesign.resources.rtl.sequence import Sequence as Steps
from codesign.resources.rtl.sequence import bits_for, selected
from codesign.resources.rtl.verilog import Module, Writer, value_of
from codesign.resources.rtl.words import (
    Bounds,
    Operand,
    Running,
    Word,
    moved,
    mux_levels,
    positive,
    replace_sign,
    summed,
)

Cycles = Callable[[int], int]


@dataclass(frozen=True)
class Multiplier:
    """An operand that is there after `level` levels times a stored weight, as far as `layer` adds its bits."""

    layer: Layer
    source: FixedPoint
    level: int

    @property
    def shift(self) -> int:
        """What a product is moved by to the accumulator's last bit."""
        return self.layer.acc.frac - self.source.frac - self.layer.w.type.frac

    @property
    def _room(self) -> int:
        """Bits above these never reach the accumulator."""
        return max(self.layer.acc.width - self.shift, 1)

    @property
    def _wide(self) -> tuple[FixedPoint, FixedPoint]:
        """The wider factor and the narrower one."""
        weight = self.layer.w.type
        return (self.source, weight) if self.source.width >= weight.width else (weight, self.source)

    @cached_property
    def rows(self) -> tuple[Operand, ...]:
        """The wider factor, or zero, for each bit of the narrower one."""
        wide, narrow = self._wide
        bounds = Bounds(min(wide.min_raw, 0), max(wide.max_raw, 0))
        return tuple(Operand(bounds, level=self.level, port=f"row{k}") for k in range(narrow.width))

    @cached_property
    def product(self) -> Word:
        """The rows' sum; that of the narrower factor's sign is subtracted."""
        narrow, limit = self._wide[1], Bounds.of_bits(self._room)
        terms: list[Word | None] = []
        for k, row in enumerate(self.rows):
            term = replace_sign(moved(row, k), narrow.signed and k == narrow.width - 1)
            terms.append(term if k < self._room else None)
        found = summed(terms, limit)
        assert found is not None
        return positive(found, limit)

    @property
    def bounds(self) -> Bounds:
        """Of the exact product, unless it is cut."""
        weight, source = self.layer.w.type, self.source
        ends = [x * y for x in (source.min_raw, source.max_raw) for y in (weight.min_raw, weight.max_raw)]
        exact = Bounds(min(ends), max(ends))
        return exact if exact.top <= self._room else Bounds.of_bits(self._room)

    def module(self, cycle_of: Cycles) -> Module:
        """`y` is `x` times `w`, in the cycle of the product's level."""
        writer = Writer("mult")
        x, w = writer.input("x", self.source.width), writer.input("w", self.layer.w.type.width)
        wide, narrow = (x, w) if self._wide[0] is self.source else (w, x)
        view = View(writer, cycle_of)
        for k, row in enumerate(self.rows):
            bits = row.bounds.top
            writer.wire(row.port, bits, f"{wide}[{bits - 1}:0] & {{{bits}{{{narrow}[{k}]}}}}")
            view.take(row, row.port, cycle_of(self.level))
        top = self.bounds.top
        writer.output("y", top, view.bits(self.product, 0, top, cycle_of(self.product.level)))
        return writer.done()

    def leaves(self, count: int) -> tuple[list[Operand], list[Word | None]]:
        """Products as operands p0, p1, ..., and what each adds to the sum."""
        operands = [Operand(self.bounds, level=self.product.level, port=f"p{k}") for k in range(count)]
        reaches = self.shift < self.layer.acc.width and moved(operands[0], self.shift).bounds != Bounds(0, 0)
        return operands, [moved(operand, self.shift) if reaches else None for operand in operands]


# ---------------------------------------------------------------- sums


@dataclass(frozen=True, eq=False)
class RunningSum(Arithmetic):
    """A pass's products and the `running` sum, which is `bias` in the first pass; done after `depth` levels."""

    running: Running
    bias: int
    depth: int

    @property
    def level(self) -> int:
        return self.depth

    @classmethod
    def of(cls, multiplier: Multiplier, products: int, bias: int) -> "RunningSum":
        """Adders that the running sum enters stand behind all others, of which the deepest decides."""
        limit = Bounds.of_bits(multiplier.layer.acc.width, multiplier.layer.acc.signed)
        operands, leaves = multiplier.leaves(products)
        first = summed([Running(limit), *leaves], limit)
        assert first is not None
        depth = max(first.level, multiplier.level)
        running = Running(limit, level=depth)
        total = summed([running, *leaves], limit)
        inputs = tuple(operands) if any(leaves) else ()
        return cls(inputs, (running, *(leaf for leaf in leaves if leaf is not None)), total, running, bias, depth)


@dataclass(frozen=True)
class PassNeuron(Neuron):
    """A neuron of which each copy takes its sum so far as `run`, unless the pass is the `first`."""

    words: RunningSum

    def _own(self, view: View) -> None:
        words, writer = self.words, view.writer
        start, end = view.span(words.running)
        bits = end - start
        run, first = writer.input("run", bits), writer.input("first", 1)
        bias = (words.bias >> start) & ((1 << bits) - 1)
        view.take(words.running, writer.wire("so_far", bits, f"{first} ? {bits}'d{bias} : {run}"), self._cycle)

    @property
    def _cycle(self) -> int:
        return self.cycle_of(self.words.depth)


def rom_module(lines: Sequence[int], width: int) -> Module:
    """`y` is one of several constants."""
    writer = Writer("rom")
    bits = max(bits_for(len(lines)), 1)
    line = writer.input("line", bits)
    size = 1 << bits
    for k in range(width):
        table = sum(((value >> k) & 1) << place for place, value in enumerate(lines))
        writer.body.append(f"wire [{size - 1}:0] t{k} = {size}'h{table:x};")
    writer.output("y", width, f"{{{', '.join(f't{k}[{line}]' for k in reversed(range(width)))}}}")
    return writer.done()


def joined_raw(values: Ints, width: int) -> int:
    """Raw integers side by side, the first one lowest."""
    return sum((int(value) & ((1 << width) - 1)) << (k * width) for k, value in enumerate(values))


# ---------------------------------------------------------------- the unit


@dataclass(frozen=True)
class Passes:
    """What brings a pass's products to the sums: its operands, its weights, and a multiplier for each product."""

    steps: Steps
    cycle_of: Cycles

    @cached_property
    def multiplier(self) -> Multiplier:
        layer = self.steps.layer
        if layer.saturates or layer.acc.rounding is not Rounding.TRN:
            raise ConfigError(
                f"layer '{layer.name}': with reuse factor {layer.reuse_factor} RTL is there for accumulators that "
                f"truncate and wrap, not for {layer.acc}"
            )
        return Multiplier(layer, self.steps.source, mux_levels(layer.reuse_factor))

    def neurons(self, plan: LayerPlan, hardened: Sequence[int]) -> list[Neuron]:
        """All neurons of the layer, of which so many bits have copies."""
        layer, width = self.steps.layer, self.steps.layer.acc.width
        biases = cast(layer.b.raw, layer.b.type, layer.acc).tolist()
        words = [RunningSum.of(self.multiplier, layer.per_pass, bias) for bias in biases]
        depth = words[0].depth
        return [
            PassNeuron(word, plan, width - bits, width, lambda level: self.cycle_of(min(level, depth)))
            for word, bits in zip(words, hardened, strict=True)
        ]

    def begin(self, writer: Writer) -> None:
        """Writes everything in front of the sums: the products n<neuron>_p<product>."""
        layer, steps = self.steps.layer, self.steps
        number = steps.at(writer, "pass", 0)
        lines = layer.w.raw.reshape(layer.reuse_factor, -1)
        bits = layer.w.type.width
        writer.body.append(f"wire [{lines.shape[1] * bits - 1}:0] weights;")
        rom = rom_module([joined_raw(line, bits) for line in lines], lines.shape[1] * bits)
        writer.instance(rom, "rom", line=f"{number}[{bits_for(layer.reuse_factor) - 1}:0]", y="weights")
        part = self.multiplier.module(self.cycle_of)
        for product in range(layer.per_pass):
            for neuron in range(layer.neurons):
                operand = self._operand(writer, number, product, neuron)
                name = f"n{neuron}_p{product}"
                writer.body.append(f"wire [{self.multiplier.bounds.top - 1}:0] {name};")
                weight = value_of("weights", product * layer.neurons + neuron, bits)
                writer.instance(part, f"{name}_mult", x=operand, w=weight, y=name)

    def _operand(self, writer: Writer, number: str, product: int, neuron: int) -> str:
        """What a multiplier takes in each pass; all neurons see the same, or each its own channel."""
        layer = self.steps.layer
        name = f"o{product}_{neuron}" if layer.per_channel else f"o{product}"
        if layer.per_channel or not neuron:
            choices = [
                self.steps.operand(neuron, number * layer.per_pass + product) for number in range(layer.reuse_factor)
            ]
            writer.wire(name, self.steps.source.width, selected(number, choices))
        return name
