"""A layer that computes as one module: its neurons, their copies and voters, shared graphs, casts and status."""

import math
from collections.abc import Callable

from codesign.protection import LayerPlan, Mechanism
from codesign.resources.policy import EstimatePolicy
from codesign.resources.rtl.neuron import Neuron, arithmetic
from codesign.resources.rtl.parts import COUNTER_BITS, cast_module, status_module, voter_module
from codesign.resources.rtl.recompute import SharedUnit, recomputed
from codesign.resources.rtl.sequence import Sequence
from codesign.resources.rtl.shared import SharedSums, sums_on_graphs
from codesign.resources.rtl.stored import Passes
from codesign.resources.rtl.verilog import Writer

# Nets by which redundancy is proven in the mapped netlist: their names stay.
KEPT = "(* keep *)"


class UnitWriter:
    """A layer that computes, in one piece. Cycles count from when the operands of a step are there."""

    def __init__(
        self,
        sequence: Sequence,
        plan: LayerPlan,
        policy: EstimatePolicy,
        cycle_of: Callable[[int], int],
        taps: bool,
    ) -> None:
        self.sequence, self.layer, self.plan, self.taps = sequence, sequence.layer, plan, taps
        self.sources, self.policy, self.cycle_of = sequence.sources, policy, cycle_of
        self.strike = ""
        self._tapped: dict[str, int] = {}
        self._own: list[str] = []
        self.passes = Passes(sequence, cycle_of) if self.layer.reuse_factor > 1 else None
        again = recomputed(plan)
        self.neurons = self._made((0,) * self.layer.neurons if again else plan.hardened_bits)
        self.graphs = sums_on_graphs(self.layer, sequence.source, plan, policy)
        self.on_graphs = {j for graph in self.graphs for j in graph.neurons}
        alone = [neuron.words.level for j, neuron in enumerate(self.neurons) if j not in self.on_graphs]
        self.depth = max([*alone, *(graph.level for graph in self.graphs)])
        self.again = SharedUnit(sequence, plan, cycle_of, cycle_of(self.depth)) if again else None

    def _made(self, hardened: tuple[int, ...]) -> list[Neuron]:
        if self.passes:
            return self.passes.neurons(self.plan, hardened)
        width = self.layer.acc.width
        every = [arithmetic(self.layer, j, self.sources, self.policy) for j in range(self.layer.neurons)]
        return [
            Neuron(words, self.plan, width - bits, width, self.cycle_of)
            for words, bits in zip(every, hardened, strict=True)
        ]

    @property
    def protected(self) -> bool:
        return self.again is not None or any(neuron.hardened for neuron in self.neurons)

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
        for port, shape, source in zip(sequence.ports, layer.in_shapes, self.sources, strict=True):
            writer.input(port, math.prod(shape) * source.width)
        sequence.begin(writer)
        if self.protected:
            writer.input("guard", 3)
            writer.input("clear", 1)
            if self.taps:
                self.strike = sequence.struck(writer, self.copied_bits, self.struck_cycle)
        if self.passes:
            self.passes.begin(writer)
        for graph in self.graphs:
            self._graph(writer, graph)
        for j, neuron in enumerate(self.neurons):
            if j not in self.on_graphs:
                self._neuron(writer, j, neuron)
            if neuron.hardened:
                self._vote(writer, j, neuron)
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

    def _graph(self, writer: Writer, graph: SharedSums) -> None:
        """Sums of several neurons: the nets n<j>, or n<j>_y<r> of each copy."""
        width = self.layer.acc.width
        module = graph.module(width, self.summed_cycle, self.cycle_of)
        reads = {o.port: self._operand(0, o.port) for o in graph.inputs}
        if graph.guarded:
            reads = {port: self._read_by_copies(writer, port, net) for port, net in reads.items()}
        for r in range(graph.copies):
            names = {j: f"n{j}_y{r}" if graph.guarded else f"n{j}" for j in graph.neurons}
            kept = f"{KEPT} " if graph.guarded else ""
            writer.body += [f"{kept}wire [{width - 1}:0] {name};" for name in names.values()]
            guard = {"guard": f"guard[{r}]"} if graph.guarded else {}
            name = f"graph_copy{r}" if graph.guarded else "graph_neurons"
            gives = {f"y{j}": net if graph.guarded else self._given(writer, j) for j, net in names.items()}
            writer.instance(module, name, **guard, **reads, **gives)

    def _read_by_copies(self, writer: Writer, port: str, operand: str) -> str:
        """An operand under a name by which it is known that the copies share it."""
        net, bits = f"graph_h{port.removeprefix('x')}", self.sources[0].width
        writer.body.append(f"{KEPT} wire [{bits - 1}:0] {net} = {operand};")
        return net

    def _given(self, writer: Writer, j: int) -> str:
        """The net that a neuron without copies gives; where it is computed again, as it is struck."""
        if not self.again:
            return f"n{j}"
        self._own.append(self.again.strike_own(writer, f"n{j}", j, self.strike, self.copied_bits))
        return self._own[-1]

    def _neuron(self, writer: Writer, j: int, neuron: Neuron) -> None:
        """Its sum as the net n<j>, or what its copies give as the nets n<j>_y<r>."""
        wires = writer.body
        width, cut = neuron.width, neuron.cut
        reads = {o.port: self._operand(j, o.port) for o in neuron.words.inputs}
        once = neuron.once(self.summed_cycle)
        if self.passes:
            writer.wire(self._first(j), 1, self.sequence.at(writer, "first", self.summed_cycle))
        if not neuron.hardened:
            wires.append(f"wire [{width - 1}:0] n{j};")
            given = self._given(writer, j)
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
        for r in range(self.plan.mechanism.copies):
            wires.append(f"{KEPT} wire [{width - cut - 1}:0] n{j}_y{r};")
            operands, fed = neuron.reads(r)
            read = {p: reads[p] for p in operands} | {p: nets[p] for p in fed}
            own = self._running(writer, j, self._struck(writer, j, r), width - cut)
            copy = neuron.copy(self.summed_cycle, r)
            writer.instance(copy, f"n{j}_copy{r}", guard=f"guard[{r}]", **read, **own, y=f"n{j}_y{r}")

    def _running(self, writer: Writer, j: int, net: str, bits: int) -> dict[str, str]:
        """Where a sum that goes on in the next pass reads what it was."""
        if not self.passes:
            return {}
        return {"run": writer.delayed(net, bits, 1), "first": self._first(j)}

    def _first(self, j: int) -> str:
        """A net named as those are that a neuron's copies share: they may read the same one."""
        return f"n{j}_c{len(self.neurons[j].crossing)}"

    def _struck(self, writer: Writer, j: int, r: int) -> str:
        """What a copy gives, with taps as it is struck."""
        net, bits = f"n{j}_y{r}", self.neurons[j].width - self.neurons[j].cut
        if not self.taps:
            return net
        if (struck := f"{net}_struck") not in self._tapped:
            first = sum(self._tapped.values())
            self._tapped[struck] = bits
            writer.wire(struck, bits, f"{net} ^ {self.strike}[{first + bits - 1}:{first}]")
        return struck

    def _vote(self, writer: Writer, j: int, neuron: Neuron) -> None:
        """What its copies give, voted, as the net n<j>."""
        width, cut = neuron.width, neuron.cut
        whole = self.plan.mechanism is Mechanism.DMR
        late = self.voted_cycle - self.summed_cycle
        low = writer.delayed(f"n{j}_low", cut, late) if cut else ""
        copies = range(self.plan.mechanism.copies)
        votes = {f"a{r}": writer.delayed(self._struck(writer, j, r), width - cut, late) for r in copies}
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
