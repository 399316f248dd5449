"""A network under a plan as one synchronous design: a new sample every `ii` cycles, registers where the logic is deep.

Stages are runs of logic between registers that always stand: a layer that computes with the layers behind it. Within
one, registers cut the logic after every so many levels, and the stage's results are registered. When a sample is where
is known beforehand: `valid`, so many cycles later, says that it is there. A layer that needs several cycles keeps its
inputs in registers of its own, unless they stay long enough where they are.
"""

from dataclasses import dataclass, replace

from codesign.codes import Code
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import FROM_INPUT, Kind, Layer, Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope
from codesign.resources.policy import EstimatePolicy
from codesign.resources.rtl.parts import COUNTER_BITS
from codesign.resources.rtl.passive import PassiveWriter
from codesign.resources.rtl.recompute import extra_steps, recomputed
from codesign.resources.rtl.sequence import Sequence
from codesign.resources.rtl.unit import UnitWriter
from codesign.resources.rtl.verilog import Module, Writer

LEVELS_PER_CYCLE = 3
_DEFAULT = EstimatePolicy()


@dataclass(frozen=True)
class Rtl:
    """The design's top module. A sample may enter every `ii` cycles, and leaves `latency` cycles later.

    Ports: `clk`, `clear` of flags and counters, `valid`, `guard` (one bit a copy, zero in operation), `x` with value k
    in the bits [k * width, (k + 1) * width); `y` in the same way, `ready`, and for each protected layer its flag and
    its counter. By a layer's name: `layers` are the modules, `hardened` the neurons that have copies, `on_graphs` those
    of them whose copies are shared graphs, `recomputed` those that a unit computes again.
    """

    top: Module
    latency: int
    ii: int
    hardened: dict[str, tuple[int, ...]]
    on_graphs: dict[str, tuple[int, ...]]
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


def rtl(
    network: Network,
    plan: ProtectionPlan,
    levels_per_cycle: int = LEVELS_PER_CYCLE,
    *,
    policy: EstimatePolicy = _DEFAULT,
    taps: bool = False,
) -> Rtl:
    """The design. Raises ConfigError for what it cannot have, by name.

    With `taps`, for simulation, each protected layer has a port `<layer>_strike`, which is xor-ed with what its copies
    give: from the lowest bit up those of the first hardened neuron, copy by copy, then the next one's; in a layer that
    is used several times, in the step that stands in the bits above.
    """
    plan.check(network)
    for layer in network.layers:
        _check(layer, plan.of_layer(layer))
    return _Design(network, plan, levels_per_cycle, policy, taps).build()


def _check(layer: Layer, plan: LayerPlan) -> None:
    where = f"layer '{layer.name}' ({layer.kind})"
    if plan.parameters is not Code.NONE:
        raise ConfigError(f"{where}: RTL is there for stored parameters without a code, not in {plan.parameters}")
    again = plan.mechanism is Mechanism.RECOMPUTE
    if plan.scope is Scope.MAC and any(plan.hardened_bits) and (again or layer.reuse_factor > 1):
        raise ConfigError(f"{where}: RTL of scope mac is there for tmr and dmr with reuse factor 1")


class _Design:
    def __init__(
        self, network: Network, plan: ProtectionPlan, levels_per_cycle: int, policy: EstimatePolicy, taps: bool
    ) -> None:
        self.network, self.plan, self.per_cycle, self.taps = network, plan, levels_per_cycle, taps
        self.policy = policy
        self.writer = Writer("top")
        self.captured: set[str] = set()
        self.layers: dict[str, Module] = {}
        self.hardened: dict[str, tuple[int, ...]] = {}
        self.on_graphs: dict[str, tuple[int, ...]] = {}
        self.recomputed: dict[str, tuple[int, ...]] = {}
        self.sequences = {
            layer.name: Sequence(layer, network.input_types(index), extra_steps(layer, plan.of_layer(layer)))
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
        return Rtl(
            writer.done(f"{network.name}_top"),
            found.base,
            self.ii,
            self.hardened,
            self.on_graphs,
            self.recomputed,
            self.layers,
        )

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

    def _read(self, buses: list[_Bus], cycles: int) -> list[_Bus]:
        """Registered buses, known at the same time, that stay for so many cycles."""
        if len(buses) > 1 and any(bus.hold < cycles for bus in buses):
            return [self._captured(bus, bus.base) for bus in buses]
        return [self._registered(bus, cycles) for bus in buses]

    def _captured(self, bus: _Bus, cycle: int) -> _Bus:
        """The bus in registers that take it in a certain cycle of each sample."""
        net = f"{bus.net}_at{cycle + 1}"
        if net not in self.captured:
            self.captured.add(net)
            now = self._at(bus, cycle)
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
        buses = self._read(entering, sequence.reading)
        unit = UnitWriter(sequence, plan, self.policy, self._cycle_of, self.taps)
        bus, nets = buses[0], dict(zip(sequence.ports, (one.net for one in buses), strict=True))
        if sequence.several:
            nets["start"] = self._valid(bus.base - 1)
        if unit.protected:
            copied = tuple(j for j, neuron in enumerate(unit.neurons) if neuron.hardened)
            (self.recomputed if unit.again else self.hardened)[layer.name] = recomputed(plan) or copied
            self.on_graphs[layer.name] = tuple(j for j in copied if j in unit.on_graphs)
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
