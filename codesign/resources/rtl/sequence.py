"""How often a unit is used for a sample: counters, windows, and registers that collect the results; or just once.

A sample's *steps* follow each other without a gap: for each pixel its passes. `start` comes in the cycle before the
first step; the inputs stay as they are as long as they are read. A sample may start with the last step of another.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.fixed import FixedPoint, Ints
from codesign.network import Layer
from codesign.resources.rtl.verilog import Module, Writer, value_of


def bits_for(count: int) -> int:
    """Bits that tell so many things apart."""
    return (count - 1).bit_length()


def selected(select: str, leaves: Items[str]) -> str:
    """One of several expressions by a counter: two by two, and without a choice where both are the same."""
    level, bit = list(leaves), 0
    while len(level) > 1:
        pairs = [level[k : k + 2] for k in range(0, len(level), 2)]
        level = [p[0] if p[0] == p[-1] else f"({select}[{bit}] ? {p[1]} : {p[0]})" for p in pairs]
        bit += 1
    return level[0]


def steps_module(pixels: int, passes: int) -> Module:
    """Counts a sample's steps from the cycle after `start` on: `pixel`, and `pass` within it, where there are several.

    `first` is a pixel's first step; `last` its last one, and `done` the sample's, if there is a sample.
    """
    writer = Writer("steps")
    writer.clock()
    writer.input("start", 1)
    wide, long = bits_for(pixels), bits_for(passes)
    if long:
        writer.body += [
            f"reg [{long - 1}:0] count = 0; wire turn = count == {long}'d{passes - 1};",
            f"always @(posedge clk) count <= (start[0] | turn) ? {long}'d0 : count + {long}'d1;",
        ]
        writer.output("pass", long, "count")
    else:
        writer.body.append("wire turn = 1'b1;")
    if wide:
        writer.body += [
            f"reg [{wide - 1}:0] place = 0; wire end_of = turn & (place == {wide}'d{pixels - 1});",
            f"always @(posedge clk) place <= start[0] ? {wide}'d0 : place + {{{wide - 1}'d0, turn}};"
            if wide > 1
            else "always @(posedge clk) place <= ~start & (place ^ turn);",
        ]
        writer.output("pixel", wide, "place")
    else:
        writer.body.append("wire end_of = turn;")
    writer.body.append("reg busy = 0; always @(posedge clk) busy <= start[0] | (busy & ~end_of);")
    for name, value in (("first", f"count == {long}'d0" if long else "1'b1"), ("last", "busy & turn")):
        writer.output(name, 1, value)
    writer.output("done", 1, "busy & end_of")
    return writer.done()


@dataclass(frozen=True)
class Sequence:
    """How a layer's unit is used for one sample. `extra` are a pixel's steps behind its own passes."""

    layer: Layer
    sources: tuple[FixedPoint, ...]
    extra: int = 0

    @property
    def source(self) -> FixedPoint:
        """What the products read."""
        return self.sources[0]

    @property
    def ports(self) -> tuple[str, ...]:
        """What the layer reads: all its values, or those of each of an addition's tensors."""
        return ("x",) if self.layer.has_weights else tuple(f"x{k}" for k in range(len(self.sources)))

    @property
    def period(self) -> int:
        """Steps of a pixel."""
        return self.layer.reuse_factor + self.extra

    @property
    def cycles(self) -> int:
        """From one sample to the next."""
        return self.layer.pixels * self.period

    @property
    def several(self) -> bool:
        """Without it the layer is a pipeline: everything below is wiring then."""
        return self.cycles > 1

    @property
    def lead(self) -> int:
        """Cycles from a step until its operands are there: windows are registers."""
        return int(self.layer.pixels > 1)

    @property
    def reading(self) -> int:
        """For how many cycles the inputs are read: a pixel's window with the first of its steps."""
        return (self.layer.pixels - 1) * self.period + 1 if self.lead else self.period

    def hold(self, interval: int) -> int:
        """For how many cycles the results of a sample stand, if one comes in every so many cycles."""
        return interval - (self.layer.pixels - 1) * self.period

    # ---------------------------------------------------------------- control

    @cached_property
    def _signals(self) -> dict[str, int]:
        counters = {"pixel": bits_for(self.layer.pixels), "pass": bits_for(self.period)}
        return {**{name: bits for name, bits in counters.items() if bits}, "first": 1, "last": 1, "done": 1}

    def begin(self, writer: Writer) -> None:
        """Counters, and the registers of the window."""
        if not self.several:
            return
        writer.input("start", 1)
        writer.body += [f"wire [{bits - 1}:0] {name}_now;" for name, bits in self._signals.items()]
        nets = {name: f"{name}_now" for name in self._signals}
        writer.instance(steps_module(self.layer.pixels, self.period), "steps", start="start", **nets)
        if not self.lead:
            return
        if self.layer.has_weights:
            for place in range(self._places.shape[1]):
                self._window(writer, place, "x", self._places[:, place], self.source)
        else:
            for number, (port, source) in enumerate(zip(self.ports, self.sources, strict=True)):
                self._window(writer, number, port, self._places[:, 0], source)

    def at(self, writer: Writer, signal: str, cycles: int) -> str:
        """A signal of the counters, so many cycles after the operands of its step are there."""
        return writer.delayed(f"{signal}_now", self._signals[signal], self.lead + cycles)

    # ---------------------------------------------------------------- operands

    @cached_property
    def _places(self) -> Ints:
        """Which of the input's pixels stands at each place of each pixel's window, -1 in the padding."""
        layer = self.layer
        return layer.window.places if layer.window else np.arange(layer.pixels)[:, None]

    @property
    def _channels(self) -> int:
        return self.layer.window.in_shape[2] if self.layer.window else self.layer.in_shapes[0][-1]

    def _window(self, writer: Writer, number: int, port: str, places: Ints, source: FixedPoint) -> None:
        """The register of one place, of all channels."""
        bits = self._channels * source.width
        pixels = [value_of(port, pixel, bits) if pixel >= 0 else f"{bits}'d0" for pixel in places]
        enable = "if (first_now) " if self.period > 1 else ""
        writer.body += [
            f"reg [{bits - 1}:0] window{number};",
            f"always @(posedge clk) {enable}window{number} <= {selected('pixel_now', pixels)};",
        ]

    def operand(self, neuron: int, product: int) -> str:
        """What a neuron's product takes from the window, `lead` cycles after its pixel's first step.

        Of an addition, what it takes from the tensor of that number.
        """
        layer, width = self.layer, self.source.width
        if not layer.has_weights:
            net = f"window{product}" if self.lead else self.ports[product]
            return value_of(net, neuron, self.sources[product].width)
        place, channel = (product, neuron) if layer.per_channel else divmod(product, self._channels)
        if self.lead:
            return value_of(f"window{place}", channel, width)
        pixel = int(self._places[0, place])
        return value_of("x", pixel * self._channels + channel, width) if pixel >= 0 else f"{width}'d0"

    # ---------------------------------------------------------------- results

    def collect(self, writer: Writer, results: list[str], cycles: int) -> str:
        """The results of all pixels, each of which is there so many cycles after its last operands."""
        row = f"{{{', '.join(reversed(results))}}}"
        if not self.several:
            return row
        bits, store = self.layer.neurons * self.layer.result.width, self.at(writer, "last", cycles)
        size = self.layer.pixels * bits
        # The pixels move down as the next one enters: no decoder of addresses is needed.
        entering = f"{{{row}, results[{size - 1}:{bits}]}}" if self.lead else row
        writer.body += [f"reg [{size - 1}:0] results;", f"always @(posedge clk) if ({store}) results <= {entering};"]
        return "results"

    def raised(self, writer: Writer, flags: list[str], cycles: int) -> tuple[list[str], str]:
        """What differed in a sample, and when that counts; `flags` are those of a pixel, so many cycles late."""
        if not self.several:
            return flags, writer.input("valid", 1)
        done = self.at(writer, "done", cycles)
        if not self.lead:
            return flags, done
        last = self.at(writer, "last", cycles)
        writer.body += [
            f"reg seen = 0; wire now = {' | '.join(flags)};",
            f"always @(posedge clk) seen <= {last} & ~{done} & (seen | now) | ~{last} & seen;",
        ]
        return [*flags, "seen"], done

    # ---------------------------------------------------------------- simulation

    @property
    def step_bits(self) -> int:
        """Bits of the number of a step, and of one that there is not."""
        return bits_for(self.cycles + 1) if self.several else 0

    def struck(self, writer: Writer, bits: int, cycles: int) -> str:
        """What strikes now: of the port `strike` the lowest bits, in the step that the upper ones name.

        A step's operands are struck so many cycles later; in the cycle before the first one is, the port is read.
        """
        steps = self.step_bits
        strike = writer.input("strike", bits + steps)
        if not self.several:
            return strike
        now = writer.delayed("start", 1, self.lead + cycles)
        writer.body += [
            f"reg [{bits + steps - 1}:0] strike_held; always @(posedge clk) if ({now}) strike_held <= strike;",
            f"reg [{steps - 1}:0] strike_step; "
            f"always @(posedge clk) strike_step <= {now} ? {steps}'d0 : strike_step + {steps}'d1;",
            f"wire [{bits - 1}:0] strike_now = {{{bits}{{strike_step == strike_held[{bits + steps - 1}:{bits}]}}}} "
            f"& strike_held[{bits - 1}:0];",
        ]
        return "strike_now"
