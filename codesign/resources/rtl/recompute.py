"""The unit that a layer's hardened neurons share to be recomputed: twice, one after the other, and then voted.

It starts on a pixel when the layer's own neurons have had their passes, and all wait for its last sum: the first
results and those that are computed again are registers, as are its operands and its running sum.
"""

from dataclasses import dataclass
from functools import cached_property

from codesign.errors import ConfigError
from codesign.fixed import Rounding, cast
from codesign.network import Layer
from codesign.protection import LayerPlan, Mechanism
from codesign.resources.rtl.emit import View
from codesign.resources.rtl.neuron import Cycles
from codesign.resources.rtl.parts import voter_module
from codesign.resources.rtl.sequence import Sequence, bits_for, selected, steps_module
from codesign.resources.rtl.stored import Multiplier, PassNeuron, RunningSum, joined_raw, rom_module
from codesign.resources.rtl.verilog import Writer, value_of


def recomputed(plan: LayerPlan) -> tuple[int, ...]:
    """The neurons that are computed again."""
    if plan.mechanism is not Mechanism.RECOMPUTE:
        return ()
    return tuple(j for j, bits in enumerate(plan.hardened_bits) if bits)


def extra_steps(layer: Layer, plan: LayerPlan) -> int:
    """A pixel's steps in which the unit works."""
    neurons = recomputed(plan)
    return 2 * len(neurons) * plan.unit_passes(layer) if neurons else 0


@dataclass(frozen=True)
class _SharedSum(PassNeuron):
    """A sum that starts with one bias or another."""

    def _own(self, view: View) -> None:
        bits, writer = self.width, view.writer
        run, first, bias = (writer.input(name, n) for name, n in (("run", bits), ("first", 1), ("bias", bits)))
        view.take(self.words.running, writer.wire("so_far", bits, f"{first} ? {bias} : {run}"), self._cycle)


@dataclass(frozen=True)
class SharedUnit:
    """The unit of one layer, whose own neurons give their sums `own_cycle` cycles after their operands are there.

    Cycles of its own count from a step of its counters, whose operands are registers; those of the layer's own
    neurons may be later.
    """

    sequence: Sequence
    plan: LayerPlan
    cycle_of: Cycles
    own_cycle: int

    @cached_property
    def neurons(self) -> tuple[int, ...]:
        return recomputed(self.plan)

    @property
    def layer(self) -> Layer:
        return self.sequence.layer

    @property
    def passes(self) -> int:
        return self.plan.unit_passes(self.layer)

    @cached_property
    def _multiplier(self) -> Multiplier:
        if self.layer.acc.rounding is not Rounding.TRN:
            raise ConfigError(f"layer '{self.layer.name}': RTL recomputes sums that truncate, not {self.layer.acc}")
        return Multiplier(self.layer, self.sequence.source, 0)

    @cached_property
    def _words(self) -> RunningSum:
        return RunningSum.of(self._multiplier, self.plan.dot_size, 0)

    @property
    def _sum_cycle(self) -> int:
        return 1 + self.cycle_of(self._words.depth)

    @property
    def _kept_cycle(self) -> int:
        """When a sum, of the unit or of the layer, goes into its register."""
        return max(self.sequence.lead + self.own_cycle, self._sum_cycle)

    @property
    def voted_cycle(self) -> int:
        """When all sums are there, counted from the operands of a pixel's last step."""
        return self._kept_cycle + 1 - self.sequence.lead

    @property
    def struck_cycle(self) -> int:
        """When the first of them can be struck, counted from the operands of its step."""
        return min(self.own_cycle, self._sum_cycle - self.sequence.lead)

    # ---------------------------------------------------------------- strikes

    def _struck(self, copy: int, k: int, strike: str) -> str:
        """The bits of the port that strike a copy of the unit's k-th neuron."""
        width, hardened = self.layer.acc.width, [self.plan.hardened_bits[j] for j in self.neurons]
        first = 3 * sum(hardened[:k]) + copy * hardened[k]
        low = f", {width - hardened[k]}'d0" if hardened[k] < width else ""
        return f"{{{strike}[{first + hardened[k] - 1}:{first}]{low}}}"

    def strike_own(self, writer: Writer, net: str, j: int, strike: str, bits: int) -> str:
        """A neuron's own sum as it is struck."""
        if not strike or j not in self.neurons:
            return net
        now = writer.delayed(strike, bits, self.own_cycle - self.struck_cycle)
        struck = self._struck(0, self.neurons.index(j), now)
        return writer.wire(f"{net}_struck", self.layer.acc.width, f"{net} ^ {struck}")

    def _strike(self, writer: Writer, strike: str, bits: int) -> str:
        if not strike:
            return "again_sum"
        now = writer.delayed(strike, bits, self._sum_cycle - self.sequence.lead - self.struck_cycle)
        every = [self._struck(copy, k, now) for k in range(len(self.neurons)) for copy in (1, 2)]
        return writer.wire("again_struck", self.layer.acc.width, f"again_sum ^ {' ^ '.join(every)}")

    # ---------------------------------------------------------------- Verilog

    def write(self, writer: Writer, own: list[str], strike: str, bits: int) -> tuple[list[str], list[str]]:
        """The voted sums of the layer's neurons, and the flags of those that are recomputed."""
        width, delayed, kept = self.layer.acc.width, writer.delayed, self._kept_cycle
        own_last = f"pass_now == {bits_for(self.sequence.period)}'d{self.layer.reuse_factor - 1}"
        writer.wire("own_last", 1, own_last)
        self._counters(writer)
        self._operands(writer)
        total = delayed(self._sum(writer, strike, bits), width, kept - self._sum_cycle)
        take, size = delayed("again_last", 1, kept), 2 * len(self.neurons) * width
        entering = f"{{{total}, again[{size - 1}:{width}]}}"
        writer.body.append(f"reg [{size - 1}:0] again; always @(posedge clk) if ({take}) again <= {entering};")
        first = []
        for j, net in enumerate(own):
            now = delayed(net, width, kept - self.sequence.lead - self.own_cycle)
            take = delayed("own_last", 1, kept)
            writer.body.append(f"reg [{width - 1}:0] first{j}; always @(posedge clk) if ({take}) first{j} <= {now};")
            first.append(f"first{j}")
        return self._voted(writer, first)

    def _counters(self, writer: Writer) -> None:
        """They run twice, the second time for the second copy."""
        counters = {"pixel": bits_for(len(self.neurons)), "pass": bits_for(self.passes)}
        signals = {**{name: n for name, n in counters.items() if n}, "first": 1, "last": 1, "done": 1}
        writer.body += [f"wire [{n - 1}:0] again_{name};" for name, n in signals.items()]
        writer.body += [
            "reg [0:0] second = 0;",
            "always @(posedge clk) second <= ~own_last & (second | again_done);",
        ]
        writer.instance(
            steps_module(len(self.neurons), self.passes),
            "again_steps",
            start="own_last | (again_done & ~second)",
            **{name: f"again_{name}" for name in signals},
        )
        parts = [f"again_{name}" for name in ("pixel", "pass") if name in signals]
        writer.wire("line", max(1, sum(counters.values())), f"{{{', '.join(parts)}}}" if parts else "1'b0")

    def _line(self, k: int, number: int) -> int:
        return k << bits_for(self.passes) | number

    def _operands(self, writer: Writer) -> None:
        """Registers of what the multipliers take, read through a guard, and of their weights."""
        size, width = self.plan.dot_size, self.sequence.source.width
        writer.wire("again_guard", 1, "second ? guard[2] : guard[1]")
        for m in range(size):
            writer.wire(f"again_x{m}", width, self._choice(m))
            rest = f"again_x{m}[{width - 1}:1], " if width > 1 else ""
            guarded = f"{{{rest}again_x{m}[0] ^ again_guard}}"
            writer.body.append(f"reg [{width - 1}:0] again_o{m}; always @(posedge clk) again_o{m} <= {guarded};")
        bits, lines = self.layer.w.type.width, {}
        for k, j in enumerate(self.neurons):
            for number in range(self.passes):
                weights = self.layer.w.raw[number * size : (number + 1) * size, j]
                lines[self._line(k, number)] = joined_raw(weights, bits)
        self._rom(writer, "weights", "line", lines, size * bits)
        writer.delayed("again_weights", size * bits, 1)

    def _rom(self, writer: Writer, name: str, line: str, lines: dict[int, int], bits: int) -> None:
        writer.body.append(f"wire [{bits - 1}:0] again_{name};")
        rom = rom_module([lines.get(k, 0) for k in range(max(lines) + 1)], bits)
        writer.instance(rom, f"again_{name}_rom", line=line, y=f"again_{name}")

    def _choice(self, m: int) -> str:
        """The operand of a multiplier in each pass, of every neuron where they differ; zero behind the last one."""
        size, products = self.plan.dot_size, self.layer.fan_in

        def operand(j: int, number: int) -> str:
            k = number * size + m
            return self.sequence.operand(j, k) if k < products else f"{self.sequence.source.width}'d0"

        if not self.layer.per_channel:
            return selected("again_pass", [operand(0, number) for number in range(self.passes)])
        every = {
            self._line(k, number): operand(j, number)
            for k, j in enumerate(self.neurons)
            for number in range(self.passes)
        }
        return selected("line", [every.get(line, every[0]) for line in range(max(every) + 1)])

    def _sum(self, writer: Writer, strike: str, bits: int) -> str:
        """The unit's sum, and as it is struck."""
        width, words, weight = self.layer.acc.width, self._words, self.layer.w.type.width
        part = self._multiplier.module(self.cycle_of)
        for m in range(self.plan.dot_size):
            writer.body.append(f"wire [{self._multiplier.bounds.top - 1}:0] again_p{m};")
            w = value_of("again_weights_d1", m, weight)
            writer.instance(part, f"again_mult{m}", x=f"again_o{m}", w=w, y=f"again_p{m}")
        neuron = _SharedSum(words, self.plan, width, width, lambda level: self.cycle_of(min(level, words.depth)))
        biases = cast(self.layer.b.raw, self.layer.b.type, self.layer.acc)[list(self.neurons)] & ((1 << width) - 1)
        pixel = bits_for(len(self.neurons))
        line = writer.delayed("again_pixel", pixel, self._sum_cycle) if pixel else "1'b0"
        self._rom(writer, "bias", line, dict(enumerate(biases.tolist())), width)
        writer.body.append(f"wire [{width - 1}:0] again_sum;")
        struck = self._strike(writer, strike, bits)
        writer.instance(
            neuron.once(self._sum_cycle - 1),
            "again_neuron",
            **{operand.port: f"again_{operand.port}" for operand in words.inputs},
            run=writer.delayed(struck, width, 1),
            bias="again_bias",
            y="again_sum",
            first=writer.delayed("again_first", 1, self._sum_cycle),
        )
        return struck

    def _voted(self, writer: Writer, sums: list[str]) -> tuple[list[str], list[str]]:
        width, flags, sums = self.layer.acc.width, [], list(sums)
        for k, j in enumerate(self.neurons):
            hardened, net = self.plan.hardened_bits[j], sums[j]
            cut = width - hardened
            again = [f"again[{(copy + 1) * width - 1}:{copy * width + cut}]" for copy in (k, len(self.neurons) + k)]
            rest = f"{net}[{width - 1}:{cut + 1}], " if hardened > 1 else ""
            writer.body += [f"wire [{hardened - 1}:0] n{j}_voted;", f"wire n{j}_differ;"]
            votes = {"a0": f"{{{rest}{net}[{cut}] ^ guard[0]}}", "a1": again[0], "a2": again[1]}
            voter = voter_module(Mechanism.TMR, hardened, 0)
            writer.instance(voter, f"n{j}_voter", **votes, y=f"n{j}_voted", differ=f"n{j}_differ")
            low = f", {net}[{cut - 1}:0]" if cut else ""
            sums[j] = writer.wire(f"n{j}_final", width, f"{{n{j}_voted{low}}}")
            flags.append(f"n{j}_differ")
        return sums, flags
