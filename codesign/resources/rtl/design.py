"""A network under a plan as one synchronous design: a new sample every cycle, registers where the logic is deep.

Stages are runs of logic between registers that always stand: a layer that computes with the layers behind it. Within
one, registers cut the logic after every so many levels, and the stage's results are registered.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import FROM_INPUT, Kind, Layer, Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope
from codesign.resources.policy import EstimatePolicy
from codesign.resources.rtl.neuron import Neuron, arithmetic
from codesign.resources.rtl.parts import COUNTER_BITS, cast_module, status_module, voter_module
from codesign.resources.rtl.shared import SharedSums, sums_on_graphs
from codesign.resources.rtl.verilog import Module, Writer

LEVELS_PER_CYCLE = 3
_DEFAULT = EstimatePolicy()


@dataclass(frozen=True)
class Rtl:
    """The design's top module, with one sample entering and one leaving every cycle, `latency` cycles later.

    Ports: `clk`, `clear` of flags and counters, `valid`, `guard` (one bit a copy, zero in operation), `x` with value k
    in the bits [k * width, (k + 1) * width); `y` in the same way, `ready`, and for each protected layer its flag and
    its counter. By a layer's name: `layers` are the modules, `hardened` the neurons that have copies.
    """

    top: Module
    latency: int
    hardened: dict[str, tuple[int, ...]]
    layers: dict[str, Module]


@dataclass(frozen=True)
class _Bus:
    """Values side by side, each of one type: after so many levels of logic behind the registers of cycle `base`."""

    net: str
    type: FixedPoint
    size: int
    base: int = 0
    level: int = 0

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
    give: from the lowest bit up those of the first hardened neuron, copy by copy, then the next one's.
    """
    plan.check(network)
    for layer in network.layers:
        _check(layer, plan.of_layer(layer))
    return _Design(network, plan, levels_per_cycle, policy, taps).build()


def _check(layer: Layer, plan: LayerPlan) -> None:
    where = f"layer '{layer.name}' ({layer.kind})"
    if layer.kind not in _KINDS:
        raise ConfigError(f"{where}: RTL is there for {', '.join(sorted(_KINDS))}")
    if layer.pixels != 1 or layer.reuse_factor != 1:
        raise ConfigError(f"{where}: RTL is there for layers that are computed at once, with reuse factor 1")
    if plan.mechanism is Mechanism.RECOMPUTE and any(plan.hardened_bits):
        raise ConfigError(f"{where}: RTL is there for tmr and dmr, not for recompute")
    if plan.scope is Scope.MAC and any(plan.hardened_bits):
        raise ConfigError(f"{where}: RTL is there for scope adder, not for mac")


_KINDS = (Kind.DENSE, Kind.BATCHNORM, Kind.RELU, Kind.RESHAPE, Kind.CONCATENATE, Kind.ACTIVATION)


class _Design:
    def __init__(
        self, network: Network, plan: ProtectionPlan, levels_per_cycle: int, policy: EstimatePolicy, taps: bool
    ) -> None:
        self.network, self.plan, self.per_cycle, self.taps = network, plan, levels_per_cycle, taps
        self.policy = policy
        self.writer = Writer("top")
        self.layers: dict[str, Module] = {}
        self.hardened: dict[str, tuple[int, ...]] = {}

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
        writer.output("ready", 1, writer.delayed("valid", 1, found.base))
        return Rtl(writer.done(f"{network.name}_top"), found.base, self.hardened, self.layers)

    # ---------------------------------------------------------------- time

    def _cycle_of(self, level: int) -> int:
        """In which cycle of its stage the logic of a level stands."""
        return max(0, -(-level // self.per_cycle) - 1)

    def _at(self, bus: _Bus, cycle: int) -> str:
        """The bus's net in a later cycle."""
        return self.writer.delayed(bus.net, bus.bits, cycle - bus.base - self._cycle_of(bus.level))

    def _registered(self, bus: _Bus) -> _Bus:
        """The bus behind a register, unless it comes from one."""
        if not bus.level:
            return bus
        base = bus.base + self._cycle_of(bus.level) + 1
        return _Bus(self._at(bus, base), bus.type, bus.size, base)

    def _together(self, buses: list[_Bus]) -> list[_Bus]:
        """Buses that are known at the same time."""
        if len(buses) == 1:
            return buses
        buses = [self._registered(bus) for bus in buses]
        latest = max(bus.base for bus in buses)
        return [replace(bus, net=self._at(bus, latest), base=latest) for bus in buses]

    # ---------------------------------------------------------------- layers

    def _passive(self, layer: Layer, entering: list[_Bus]) -> _Bus:
        """Every value cast on its own; the values of several inputs follow each other."""
        bus, relu = entering[0], layer.kind is Kind.RELU
        if layer.kind is Kind.ACTIVATION and layer.settings["function"] != "linear":
            raise ConfigError(f"layer '{layer.name}': RTL is there for the function linear")
        if all(one.type == layer.result for one in entering) and not (relu and layer.result.signed):
            if len(entering) == 1:
                return bus
            level = bus.level
        else:
            level = bus.level + 1
        cycle = bus.base + self._cycle_of(level)
        writer, nets, value = Writer("layer"), [], 0
        for number, one in enumerate(entering):
            port = writer.input(f"x{number}", one.bits)
            part = cast_module(one.type, layer.result, relu=relu)
            for k in range(one.size):
                width = layer.result.width
                writer.body.append(f"wire [{width - 1}:0] v{value};")
                writer.instance(part, f"cast{value}", x=_value(port, k, one.type.width), y=f"v{value}")
                nets.append(f"v{value}")
                value += 1
        writer.output("y", layer.n_out * layer.result.width, f"{{{', '.join(reversed(nets))}}}")
        module = self._instance(layer, writer, {f"x{k}": self._at(one, cycle) for k, one in enumerate(entering)})
        return _Bus(module, layer.result, layer.n_out, bus.base, level)

    def _unit(self, layer: Layer, entering: list[_Bus]) -> _Bus:
        """The neurons, each with its copies and voter, and the casts of their sums."""
        bus, plan = self._registered(entering[0]), self.plan.of_layer(layer)
        unit = UnitWriter(layer, bus.type, plan, self.policy, self._cycle_of, self.taps)
        nets = {"x": bus.net}
        if unit.protected:
            self.hardened[layer.name] = tuple(j for j, neuron in enumerate(unit.neurons) if neuron.hardened)
            seen = bus.base + unit.voted_cycle
            nets |= {"guard": "guard", "clear": "clear", "valid": self.writer.delayed("valid", 1, seen)}
            if self.taps:
                strike = self.writer.input(f"{layer.name}_strike", unit.copied_bits)
                nets["strike"] = self.writer.delayed(strike, unit.copied_bits, seen)
            for port, width in (("flag", 1), ("count", COUNTER_BITS)):
                self.writer.output(f"{layer.name}_{port}", width, f"{layer.name}_{port}_net")
                self.writer.body.insert(0, f"wire [{width - 1}:0] {layer.name}_{port}_net;")
                nets[port] = f"{layer.name}_{port}_net"
        net = self._instance(layer, unit.write(), nets)
        return _Bus(net, layer.result, layer.n_out, bus.base, unit.level)

    def _instance(self, layer: Layer, writer: Writer, nets: dict[str, str]) -> str:
        """A layer's module in the top one; gives the net of its results."""
        module = self.layers[layer.name] = writer.done()
        net = f"{layer.name}_y"
        self.writer.body.append(f"wire [{layer.n_out * layer.result.width - 1}:0] {net};")
        self.writer.instance(module, f"layer_{layer.name}", **nets, y=net)
        return net


def _value(bus: str, k: int, width: int) -> str:
    return f"{bus}[{(k + 1) * width - 1}:{k * width}]"


class UnitWriter:
    """A layer that computes, in one piece."""

    def __init__(
        self,
        layer: Layer,
        source: FixedPoint,
        plan: LayerPlan,
        policy: EstimatePolicy,
        cycle_of: Callable[[int], int],
        taps: bool,
    ) -> None:
        self.layer, self.source, self.plan, self.cycle_of, self.taps = layer, source, plan, cycle_of, taps
        self._tapped = 0
        every = [arithmetic(layer, j, source, policy) for j in range(layer.neurons)]
        width = layer.acc.width
        self.neurons = [
            Neuron(words, plan, width - bits, width, cycle_of)
            for words, bits in zip(every, plan.hardened_bits, strict=True)
        ]
        self.graphs = sums_on_graphs(layer, source, plan, policy)
        self.on_graphs = {j for graph in self.graphs for j in graph.neurons}
        alone = [words.level for j, words in enumerate(every) if j not in self.on_graphs]
        self.depth = max([*alone, *(graph.level for graph in self.graphs)])

    @property
    def protected(self) -> bool:
        return any(neuron.hardened for neuron in self.neurons)

    @property
    def copied_bits(self) -> int:
        """What the copies of all neurons give."""
        return self.plan.mechanism.copies * sum(n.width - n.cut for n in self.neurons if n.hardened)

    @property
    def voted_cycle(self) -> int:
        return self.cycle_of(self.depth + self.protected)

    @property
    def level(self) -> int:
        return self.depth + self.protected + (self.layer.acc != self.layer.result)

    def write(self) -> Writer:
        writer, layer = Writer("layer"), self.layer
        writer.input("x", layer.n_in * self.source.width)
        if self.protected:
            for name, width in (("guard", 3), ("clear", 1), ("valid", 1)):
                writer.input(name, width)
            if self.taps:
                writer.input("strike", self.copied_bits)
        for graph in self.graphs:
            self._graph(writer, graph)
        for j, neuron in enumerate(self.neurons):
            if j not in self.on_graphs:
                self._neuron(writer, j, neuron)
            if neuron.hardened:
                self._vote(writer, j, neuron)
        self._casts(writer)
        if flags := [f"n{j}_differ" for j, neuron in enumerate(self.neurons) if neuron.hardened]:
            nets = {"clear": "clear", "valid": "valid", "differ": f"{{{', '.join(flags)}}}"}
            for port, width in (("flag", 1), ("count", COUNTER_BITS)):
                writer.output(port, width, f"{port}_net")
                writer.body.insert(0, f"wire [{width - 1}:0] {port}_net;")
                nets[port] = f"{port}_net"
            writer.instance(status_module(len(flags)), "status", **nets)
        return writer

    def _graph(self, writer: Writer, graph: SharedSums) -> None:
        """Sums of several neurons: the nets n<j>, or n<j>_y<r> of each copy."""
        width = self.layer.acc.width
        module = graph.module(width, self.voted_cycle, self.cycle_of)
        reads = {o.port: self._operand(0, o.port) for o in graph.inputs}
        for r in range(graph.copies):
            names = {j: f"n{j}_y{r}" if graph.guarded else f"n{j}" for j in graph.neurons}
            writer.body += [f"wire [{width - 1}:0] {name};" for name in names.values()]
            guard = {"guard": f"guard[{r}]"} if graph.guarded else {}
            name = f"graph_copy{r}" if graph.guarded else "graph_neurons"
            writer.instance(module, name, **guard, **reads, **{f"y{j}": net for j, net in names.items()})

    def _neuron(self, writer: Writer, j: int, neuron: Neuron) -> None:
        """Its sum as the net n<j>, or what its copies give as the nets n<j>_y<r>."""
        wires = writer.body
        width, cut = neuron.width, neuron.cut
        reads = {o.port: self._operand(j, o.port) for o in neuron.words.inputs}
        once = neuron.once(self.voted_cycle)
        if not neuron.hardened:
            wires.append(f"wire [{width - 1}:0] n{j};")
            writer.instance(once, f"n{j}_neuron", **reads, y=f"n{j}")
            return
        copy = neuron.copy(self.voted_cycle)
        nets = {port: f"n{j}_{port}" for port in neuron.ports}
        wires += [f"wire [{bits - 1}:0] n{j}_{port};" for port, bits in neuron.ports.items()]
        low = {"y": f"n{j}_low"} if cut else {}
        if cut:
            wires.append(f"wire [{cut - 1}:0] n{j}_low;")
        writer.instance(once, f"n{j}_shared", **reads, **nets, **low)
        for r in range(self.plan.mechanism.copies):
            wires.append(f"wire [{width - cut - 1}:0] n{j}_y{r};")
            writer.instance(copy, f"n{j}_copy{r}", guard=f"guard[{r}]", **nets, y=f"n{j}_y{r}")

    def _strike(self, bits: int) -> str:
        if not self.taps:
            return ""
        first, self._tapped = self._tapped, self._tapped + bits
        return f" ^ strike[{self._tapped - 1}:{first}]"

    def _vote(self, writer: Writer, j: int, neuron: Neuron) -> None:
        """What its copies give, voted, as the net n<j>."""
        width, cut = neuron.width, neuron.cut
        whole = self.plan.mechanism is Mechanism.DMR
        copies = range(self.plan.mechanism.copies)
        votes = {f"a{r}": f"n{j}_y{r}" + self._strike(width - cut) for r in copies}
        voter = voter_module(self.plan.mechanism, width - cut, cut if whole else 0)
        bits = width if whole else width - cut
        writer.body += [f"wire n{j}_differ;", f"wire [{bits - 1}:0] n{j}_voted;"]
        if whole and cut:
            votes = {**votes, "low": f"n{j}_low"}
        writer.instance(voter, f"n{j}_voter", **votes, y=f"n{j}_voted", differ=f"n{j}_differ")
        joined = f"{{n{j}_voted, n{j}_low}}" if cut and not whole else f"n{j}_voted"
        writer.wire(f"n{j}", width, joined)

    def _operand(self, neuron: int, port: str) -> str:
        k = neuron if self.layer.per_channel else int(port.removeprefix("x"))
        return _value("x", k, self.source.width)

    def _casts(self, writer: Writer) -> None:
        layer, cycles = self.layer, self.cycle_of(self.level) - self.voted_cycle
        sums = [writer.delayed(f"n{j}", layer.acc.width, cycles) for j in range(layer.neurons)]
        if layer.acc != layer.result:
            part = cast_module(layer.acc, layer.result)
            for j, net in enumerate(sums):
                writer.body.append(f"wire [{layer.result.width - 1}:0] r{j};")
                writer.instance(part, f"cast{j}", x=net, y=f"r{j}")
            sums = [f"r{j}" for j in range(layer.neurons)]
        writer.output("y", layer.n_out * layer.result.width, f"{{{', '.join(reversed(sums))}}}")
