"""A network under a plan as one synchronous design: a new sample every `ii` cycles, registers where the logic is deep.

Stages are runs of logic between registers that always stand: a layer that computes with the layers behind it. Within
one, registers cut the logic after every so many levels, and the stage's results are registered. When a sample is where
is known beforehand: `valid`, so many cycles later, says that it is there. A layer that needs several cycles keeps its
inputs in registers of its own, unless they stay long enough where they are.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from codesign.codes import Code
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import FROM_INPUT, Kind, Layer, Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope
from codesign.resources.rtl.neuron import Neuron, arithmetic
from codesign.resources.rtl.parts import COUNTER_BITS, cast_module, status_module, voter_module
from codesign.resources.rtl.passive import PassiveWriter
from codesign.resources.rtl.recompute import SharedUnit, extra_steps, recomputed
from codesign.resources.rtl.sequence import Sequence
from codesign.resources.rtl.stored import Passes
from codesign.resources.rtl.verilog import Module, Writer, value_of

LEVELS_PER_CYCLE = 3
# Nets by which redundancy is proven in the mapped netlist: their names stay.
KEPT = "(* keep *)"


@dataclass(frozen=True)
class Rtl:
    """The design's top module. A sample may enter every `ii` cycles, and leaves `latency` cycles later.

    Ports: `clk`, `clear` of flags and counters, `valid`, `guard` (one bit a copy, zero in operation), `x` with value k
    in the bits [k * width, (k + 1) * width); `y` in the same way, `ready`, and for each protected layer its flag and
    its counter. By a layer's name: `layers` are the modules, `hardened` the neurons that have copies, `recomputed`
    those that a unit computes again.
    """

    top: Module
    latency: int
    ii: int
    hardened: dict[str, tuple[int, ...]]
    recomputed: dict[str, tuple[int, ...]]
    layers: dict[str, Module]


@dataclass(frozen=True)
class _Bus:
    """Values side by side, each of one type: after so many levels of logic behind the registers of cycle `base`.

    They stay for `hold` cycles.
    """

    net: str
    type: FixedPoint
    size: int
    base: int = 0
    level: int = 0
    hold: int = 1

    @property
    def bits(self) -> int:
        return self.size * self.type.width


def rtl(network: Network, plan: ProtectionPlan, levels_per_cycle: int = LEVELS_PER_CYCLE, *, taps: bool = False) -> Rtl:
    """The design. Raises ConfigError for what it cannot have, by name.

    With `taps`, for simulation, each protected layer has a port `<layer>_strike`, which is xor-ed with what its copies
    give: from the lowest bit up those of the first hardened neuron, copy by copy, then the next one's; in a layer that
    is used several times, in the step that stands in the bits above.
    """
    plan.check(network)
    for layer in network.layers:
        _check(layer, plan.of_layer(layer))
    return _Design(network, plan, levels_per_cycle, taps).build()


def _check(layer: Layer, plan: LayerPlan) -> None:
    where = f"layer '{layer.name}' ({layer.kind})"
    if plan.parameters is not Code.NONE:
        raise ConfigError(f"{where}: RTL is there for stored parameters without a code, not in {plan.parameters}")
    if layer.kind is Kind.ADD and layer.pixels != 1:
        raise ConfigError(f"{where}: RTL is there for additions of one pixel")
    again = plan.mechanism is Mechanism.RECOMPUTE
    if plan.scope is Scope.MAC and any(plan.hardened_bits) and (again or layer.reuse_factor > 1):
        raise ConfigError(f"{where}: RTL of scope mac is there for tmr and dmr with reuse factor 1")


class _Design:
    def __init__(self, network: Network, plan: ProtectionPlan, levels_per_cycle: int, taps: bool) -> None:
        self.network, self.plan, self.per_cycle, self.taps = network, plan, levels_per_cycle, taps
        self.writer = Writer("top")
        self.layers: dict[str, Module] = {}
        self.hardened: dict[str, tuple[int, ...]] = {}
        self.recomputed: dict[str, tuple[int, ...]] = {}
        self.sequences = {
            layer.name: Sequence(layer, network.input_of(index), extra_steps(layer, plan.of_layer(layer)))
            for index, layer in network.compute_layers()
        }
        self.ii = max((sequence.cycles for sequence in self.sequences.values()), default=1)

    def build(self) -> Rtl:
        network, writer = self.network, self.writer
        writer.clock()
        for name, width in (("clear", 1), ("valid", 1), ("guard", 3)):
            writer.input(name, width)
        net = writer.input("x", network.n_in * network.input_type.width)
        buses = {FROM_INPUT: _Bus(net, network.input_type, network.n_in)}
        for index, layer in enumerate(network.layers):
            entering = self._together([buses[source] for source in network.sources(index)])
            make = self._unit if layer.protectable else self._passive
            buses[index] = make(layer, entering)
        found = self._registered(buses[len(network.layers) - 1])
        writer.output("y", found.bits, found.net)
        writer.output("ready", 1, self._valid(found.base))
        return Rtl(writer.done(f"{network.name}_top"), found.base, self.ii, self.hardened, self.recomputed, self.layers)

    # ---------------------------------------------------------------- time

    def _cycle_of(self, level: int) -> int:
        """In which cycle of its stage the logic of a level stands."""
        return max(0, -(-level // self.per_cycle) - 1)

    def _at(self, bus: _Bus, cycle: int) -> str:
        """The bus's net in a later cycle."""
        return self.writer.delayed(bus.net, bus.bits, cycle - bus.base - self._cycle_of(bus.level))

    def _registered(self, bus: _Bus, hold: int = 1) -> _Bus:
        """The bus behind a register, unless it comes from one; so that it stays for so many cycles."""
        if bus.hold < hold:
            return self._captured(bus, bus.base + self._cycle_of(bus.level))
        if not bus.level:
            return bus
        base = bus.base + self._cycle_of(bus.level) + 1
        return replace(bus, net=self._at(bus, base), base=base, level=0)

    def _captured(self, bus: _Bus, cycle: int) -> _Bus:
        """The bus in registers that take it in a certain cycle of each sample."""
        net, now = f"{bus.net}_at{cycle + 1}", self._at(bus, cycle)
        self.writer.body.append(
            f"reg [{bus.bits - 1}:0] {net}; always @(posedge clk) if ({self._valid(cycle)}) {net} <= {now};"
        )
        return replace(bus, net=net, base=cycle + 1, level=0, hold=self.ii)

    def _valid(self, cycle: int) -> str:
        return self.writer.delayed("valid", 1, cycle)

    def _together(self, buses: list[_Bus]) -> list[_Bus]:
        """Buses that are known at the same time."""
        if len(buses) == 1:
            return buses
        buses = [self._registered(bus) for bus in buses]
        latest = max(bus.base for bus in buses)
        return [self._later(bus, latest) for bus in buses]

    def _later(self, bus: _Bus, cycle: int) -> _Bus:
        """A registered bus in a later cycle, in one more set of registers for each sample that enters meanwhile."""
        while cycle >= bus.base + bus.hold:
            bus = self._captured(bus, bus.base + bus.hold - 1)
        return replace(bus, base=cycle, hold=bus.base + bus.hold - cycle)

    # ---------------------------------------------------------------- layers

    def _passive(self, layer: Layer, entering: list[_Bus]) -> _Bus:
        """All values at once, behind the logic that made them."""
        bus = entering[0]
        if layer.kind is Kind.RESHAPE:
            return bus
        types = tuple(one.type for one in entering)
        writer, level = PassiveWriter(layer, types, self._cycle_of, bus.level).write()
        cycle = bus.base + self._cycle_of(bus.level)
        net = self._instance(layer, writer, {f"x{k}": self._at(one, cycle) for k, one in enumerate(entering)})
        return _Bus(net, layer.result, layer.n_out, bus.base, level, min(one.hold for one in entering))

    def _unit(self, layer: Layer, entering: list[_Bus]) -> _Bus:
        """The neurons, each with its copies and voter, and the casts of their sums."""
        sequence, plan = self.sequences[layer.name], self.plan.of_layer(layer)
        buses = [self._registered(one, sequence.reading) for one in entering]
        unit = UnitWriter(sequence, tuple(one.type for one in buses), plan, self._cycle_of, self.taps)
        bus, nets = buses[0], dict(zip(unit.ports, (one.net for one in buses), strict=True))
        if sequence.several:
            nets["start"] = self._valid(bus.base - 1)
        if unit.protected:
            copied = tuple(j for j, neuron in enumerate(unit.neurons) if neuron.hardened)
            (self.recomputed if unit.again else self.hardened)[layer.name] = recomputed(plan) or copied
            nets |= self._protection(layer.name, unit, bus.base)
        net = self._instance(layer, unit.write(), nets)
        if not sequence.several:
            return _Bus(net, layer.result, layer.n_out, bus.base, unit.level, bus.hold)
        base = bus.base + sequence.cycles + sequence.lead + unit.result_cycle
        return _Bus(net, layer.result, layer.n_out, base, hold=sequence.hold(self.ii))

    def _protection(self, name: str, unit: "UnitWriter", base: int) -> dict[str, str]:
        """Guards and status of a layer that is protected, whose inputs are there in cycle `base`."""
        nets, sequence = {"guard": "guard", "clear": "clear"}, unit.sequence
        if not sequence.several:
            nets["valid"] = self._valid(base + unit.voted_cycle)
        if self.taps:
            bits = unit.copied_bits + sequence.step_bits
            seen = base - sequence.several + sequence.lead + unit.struck_cycle
            nets["strike"] = self.writer.delayed(self.writer.input(f"{name}_strike", bits), bits, seen)
        for port, width in (("flag", 1), ("count", COUNTER_BITS)):
            self.writer.output(f"{name}_{port}", width, f"{name}_{port}_net")
            self.writer.body.insert(0, f"wire [{width - 1}:0] {name}_{port}_net;")
            nets[port] = f"{name}_{port}_net"
        return nets

    def _instance(self, layer: Layer, writer: Writer, nets: dict[str, str]) -> str:
        """A layer's module in the top one; gives the net of its results."""
        module = self.layers[layer.name] = writer.done()
        net = f"{layer.name}_y"
        self.writer.body.append(f"wire [{layer.n_out * layer.result.width - 1}:0] {net};")
        self.writer.instance(module, f"layer_{layer.name}", **nets, y=net)
        return net


class UnitWriter:
    """A layer that computes, in one piece. Cycles count from when the operands of a step are there."""

    def __init__(
        self,
        sequence: Sequence,
        sources: tuple[FixedPoint, ...],
        plan: LayerPlan,
        cycle_of: Callable[[int], int],
        taps: bool,
    ) -> None:
        self.sequence, self.layer, self.plan, self.taps = sequence, sequence.layer, plan, taps
        self.sources, self.cycle_of = sources, cycle_of
        self.strike, self._tapped = "", 0
        self._own: list[str] = []
        self.passes = Passes(sequence, cycle_of) if self.layer.reuse_factor > 1 else None
        again = recomputed(plan)
        self.neurons = self._made((0,) * self.layer.neurons if again else plan.hardened_bits)
        self.depth = max(neuron.words.level for neuron in self.neurons)
        self.again = SharedUnit(sequence, plan, cycle_of, cycle_of(self.depth)) if again else None

    def _made(self, hardened: tuple[int, ...]) -> list[Neuron]:
        if self.passes:
            return self.passes.neurons(self.plan, hardened)
        width = self.layer.acc.width
        every = [arithmetic(self.layer, j, self.sources) for j in range(self.layer.neurons)]
        return [
            Neuron(words, self.plan, width - bits, width, self.cycle_of)
            for words, bits in zip(every, hardened, strict=True)
        ]

    @property
    def protected(self) -> bool:
        return self.again is not None or any(neuron.hardened for neuron in self.neurons)

    @property
    def ports(self) -> tuple[str, ...]:
        """What the layer reads: all its values, or those of each of an addition's tensors."""
        return ("x",) if self.layer.has_weights else ("x0", "x1")

    @property
    def copied_bits(self) -> int:
        """What the copies of all neurons give."""
        if self.again:
            return self.plan.mechanism.copies * sum(self.plan.hardened_bits)
        return self.plan.mechanism.copies * sum(n.width - n.cut for n in self.neurons if n.hardened)

    @property
    def voted_cycle(self) -> int:
        return self.again.voted_cycle if self.again else self.cycle_of(self.depth + self.protected)

    @property
    def summed_cycle(self) -> int:
        """When neurons and copies give their sums. A running sum is needed again in the next cycle."""
        return self.cycle_of(self.depth) if self.passes or self.again else self.voted_cycle

    @property
    def struck_cycle(self) -> int:
        return self.again.struck_cycle if self.again else self.summed_cycle

    @property
    def result_cycle(self) -> int:
        """When a pixel's results are there."""
        if self.again:
            return self.again.voted_cycle + self.cycle_of(1 + (self.layer.acc != self.layer.result))
        return self.cycle_of(self.level)

    @property
    def level(self) -> int:
        return self.depth + self.protected + (self.layer.acc != self.layer.result)

    def write(self) -> Writer:
        writer, layer, sequence = Writer("layer"), self.layer, self.sequence
        for port, shape, source in zip(self.ports, layer.in_shapes, self.sources, strict=True):
            writer.input(port, math.prod(shape) * source.width)
        sequence.begin(writer)
        if self.protected:
            writer.input("guard", 3)
            writer.input("clear", 1)
            if self.taps:
                self.strike = sequence.struck(writer, self.copied_bits, self.struck_cycle)
        if self.passes:
            self.passes.begin(writer)
        for j, neuron in enumerate(self.neurons):
            self._neuron(writer, j, neuron)
        sums, flags = self._sums(writer)
        results = sequence.collect(writer, self._casts(writer, sums), self.result_cycle)
        writer.output("y", layer.n_out * layer.result.width, results)
        if flags:
            self._status(writer, flags)
        return writer

    def _sums(self, writer: Writer) -> tuple[list[str], list[str]]:
        """The voted sums in the cycle of the results, and the flags in that of the votes."""
        width = self.layer.acc.width
        if self.again:
            voted, flags = self.again.write(writer, self._own, self.strike, self.copied_bits)
            return [writer.delayed(net, width, self.result_cycle - self.voted_cycle) for net in voted], flags
        sums = []
        for j, neuron in enumerate(self.neurons):
            since = self.voted_cycle if neuron.hardened else self.summed_cycle
            sums.append(writer.delayed(f"n{j}", width, self.result_cycle - since))
        return sums, [f"n{j}_differ" for j, neuron in enumerate(self.neurons) if neuron.hardened]

    def _status(self, writer: Writer, flags: list[str]) -> None:
        flags, valid = self.sequence.raised(writer, flags, self.voted_cycle)
        nets = {"clear": "clear", "valid": valid, "differ": f"{{{', '.join(flags)}}}"}
        for port, width in (("flag", 1), ("count", COUNTER_BITS)):
            writer.output(port, width, f"{port}_net")
            writer.body.insert(0, f"wire [{width - 1}:0] {port}_net;")
            nets[port] = f"{port}_net"
        writer.instance(status_module(len(flags)), "status", **nets)

    def _neuron(self, writer: Writer, j: int, neuron: Neuron) -> None:
        """Its sum, voted, as the net n<j>."""
        wires = writer.body
        width, cut = neuron.width, neuron.cut
        reads = {o.port: self._operand(j, o.port) for o in neuron.words.inputs}
        once = neuron.once(self.summed_cycle)
        if self.passes:
            writer.wire(self._first(j), 1, self.sequence.at(writer, "first", self.summed_cycle))
        if not neuron.hardened:
            wires.append(f"wire [{width - 1}:0] n{j};")
            given = f"n{j}"
            if self.again:
                given = self.again.strike_own(writer, given, j, self.strike, self.copied_bits)
                self._own.append(given)
            own = self._running(writer, j, given, width)
            writer.instance(once, f"n{j}_neuron", **reads, **own, y=f"n{j}")
            return
        nets = {port: f"n{j}_{port}" for port in neuron.ports}
        wires += [f"{KEPT} wire [{bits - 1}:0] n{j}_{port};" for port, bits in neuron.ports.items()]
        low = {}
        if cut:
            wires.append(f"wire [{cut - 1}:0] n{j}_low;")
            low = {**self._running(writer, j, f"n{j}_low", cut), "y": f"n{j}_low"}
        writer.instance(once, f"n{j}_shared", **reads, **nets, **low)
        votes: dict[str, str] = {}
        for r in range(self.plan.mechanism.copies):
            wires.append(f"{KEPT} wire [{width - cut - 1}:0] n{j}_y{r};")
            operands, fed = neuron.reads(r)
            read = {p: reads[p] for p in operands} | {p: nets[p] for p in fed}
            given = self._struck(writer, f"n{j}_y{r}", width - cut)
            own = self._running(writer, j, given, width - cut)
            copy = neuron.copy(self.summed_cycle, r)
            writer.instance(copy, f"n{j}_copy{r}", guard=f"guard[{r}]", **read, **own, y=f"n{j}_y{r}")
            votes[f"a{r}"] = writer.delayed(given, width - cut, self.voted_cycle - self.summed_cycle)
        self._vote(writer, j, neuron, votes)

    def _running(self, writer: Writer, j: int, net: str, bits: int) -> dict[str, str]:
        """Where a sum that goes on in the next pass reads what it was."""
        if not self.passes:
            return {}
        return {"run": writer.delayed(net, bits, 1), "first": self._first(j)}

    def _first(self, j: int) -> str:
        """A net named as those are that a neuron's copies share: they may read the same one."""
        return f"n{j}_c{len(self.neurons[j].crossing)}"

    def _struck(self, writer: Writer, net: str, bits: int) -> str:
        """What a copy gives, with taps as it is struck."""
        if not self.taps:
            return net
        first, self._tapped = self._tapped, self._tapped + bits
        return writer.wire(f"{net}_struck", bits, f"{net} ^ {self.strike}[{self._tapped - 1}:{first}]")

    def _vote(self, writer: Writer, j: int, neuron: Neuron, votes: dict[str, str]) -> None:
        width, cut = neuron.width, neuron.cut
        whole = self.plan.mechanism is Mechanism.DMR
        low = writer.delayed(f"n{j}_low", cut, self.voted_cycle - self.summed_cycle) if cut else ""
        voter = voter_module(self.plan.mechanism, width - cut, cut if whole else 0)
        bits = width if whole else width - cut
        writer.body += [f"{KEPT} wire n{j}_differ;", f"{KEPT} wire [{bits - 1}:0] n{j}_voted;"]
        if whole and cut:
            votes = {**votes, "low": low}
        writer.instance(voter, f"n{j}_voter", **votes, y=f"n{j}_voted", differ=f"n{j}_differ")
        joined = f"{{n{j}_voted, {low}}}" if cut and not whole else f"n{j}_voted"
        writer.wire(f"n{j}", width, joined)

    def _operand(self, neuron: int, port: str) -> str:
        if self.passes:
            return f"n{neuron}_{port}"
        if not self.layer.has_weights:
            return value_of(port, neuron, self.sources[self.ports.index(port)].width)
        return self.sequence.operand(neuron, int(port.removeprefix("x")))

    def _casts(self, writer: Writer, sums: list[str]) -> list[str]:
        """The results of a pixel."""
        layer = self.layer
        if layer.acc != layer.result:
            part = cast_module(layer.acc, layer.result)
            for j, net in enumerate(sums):
                writer.body.append(f"wire [{layer.result.width - 1}:0] r{j};")
                writer.instance(part, f"cast{j}", x=net, y=f"r{j}")
            sums = [f"r{j}" for j in range(layer.neurons)]
        return sums
