"""A mapped netlist as a circuit for the engine: every primitive as look-up tables and registers.

A design that takes a sample every cycle has no feedback on the way to its answer, so what a net holds for one sample
does not depend on the others: a register there is a wire that the sample passes later, and one cycle is simulated, in
which every register holds what it has of that sample. What has feedback (flags, counters) begins each sample anew. A
design with feedback on that way, such as a state machine, is simulated cycle by cycle, each sample from the start.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from codesign.engine.circuit import CORRECTED, DETECTED, TABLE_INPUTS, Circuit, CircuitSimulator
from codesign.errors import MismatchError, ReportError
from codesign.fixed import FixedPoint, Ints
from codesign.network import Network, forward
from codesign.protection import Mechanism, ProtectionPlan
from codesign.resources.netlist import LUTS, WIRE, Cell, Netlist
from codesign.resources.rtl import Rtl

REGISTERS = ("FDRE", "FDSE")
OR, XOR = 0b1110, 0b0110
CHOOSE = 0b11001010  # inputs a, b, select: b where selected
PASS = 0b10


class Place(NamedTuple):
    """A primitive with bits of its own: a LUT's contents, `bits` of them, or a flip-flop's one."""

    path: str
    value: int
    bits: int


@dataclass(frozen=True, eq=False)
class MappedCircuit:
    """`x` and `valid` are sources; `luts` and `registers` say which values are whose.

    With `cycles` 1 registers are wires, otherwise a sample is followed through so many cycles.
    """

    circuit: Circuit
    input_type: FixedPoint
    x: NDArray[np.int32]
    valid: int
    cycles: int
    luts: tuple[Place, ...]
    registers: tuple[Place, ...]

    def simulator(self, raw: Ints) -> CircuitSimulator:
        """On raw inputs of shape (n_samples, n_in), which stay at the ports."""
        places = np.arange(self.input_type.width)
        bits = ((raw[:, :, None] >> places) & 1).astype(np.bool_).reshape(len(raw), -1).T
        entering = np.zeros((self.cycles, len(self.x) + 1, len(raw)), np.bool_)
        entering[:, :-1] = bits
        entering[0, -1] = True
        return CircuitSimulator(self.circuit, np.append(self.x, np.int32(self.valid)), entering)


def circuit_of(
    netlist: Netlist, design: Rtl, network: Network, plan: ProtectionPlan, *, by_cycle: bool = False
) -> MappedCircuit:
    """The design's circuit, cycle by cycle if it has to be, or if that is asked for.

    Raises ReportError for a primitive used in a way that is not known.
    """
    parts = _Parts(netlist)
    y, ready = parts.nets("y"), parts.nets("ready")[0]
    loops = parts.on_loops()
    state = [q for q, loop in zip(parts.registers, loops, strict=True) if loop]
    stream = not by_cycle and not parts.reaches(state, [*y, ready])
    if stream:
        parts.make_wires(loops)
    order = _Order(parts)
    last = network.layers[-1]
    protected = [*design.hardened, *design.recomputed]
    flags = [parts.behind(parts.nets(f"{name}_flag")[0]) for name in protected]
    kinds = [
        DETECTED if plan.of_layer(network.layer(name)).mechanism is Mechanism.DMR else CORRECTED for name in protected
    ]
    circuit = Circuit(
        n_sources=order.n_sources,
        data=order.values(data for data, _ in parts.registers.values()),
        initial=np.array([initial for _, initial in parts.registers.values()], np.uint8),
        tables=np.array([parts.tables[net][1] for net in order.tables], np.uint64),
        n_inputs=np.array([len(parts.tables[net][0]) for net in order.tables], np.int32),
        inputs=order.inputs(),
        outputs=order.values(y).reshape(last.n_out, last.result.width),
        word=last.result,
        ready=order.number[ready],
        flags=order.values(flags),
        flag_kinds=np.array(kinds, np.uint8),
    )
    places = (tuple(order.placed(found)) for found in (parts.luts, parts.flip_flops))
    x, valid = order.values(parts.nets("x")), order.number[parts.nets("valid")[0]]
    return MappedCircuit(circuit, network.input_type, x, valid, 1 if stream else design.latency + 1, *places)


def check_circuit(mapped: MappedCircuit, network: Network, raw: Ints, where: str) -> CircuitSimulator:
    """The simulator, after its fault-free answers. Raises MismatchError where they are not the network's."""
    simulator = mapped.simulator(raw)
    words, ready, flagged = simulator.golden()
    wanted = forward(network, raw)[-1]
    wrong = np.argwhere(words != wanted)
    if wrong.size:
        sample, output = wrong[0].tolist()
        raise MismatchError(
            f"{where}: output {output} of sample {sample} is {words[sample, output]} in the mapped netlist, "
            f"{wanted[sample, output]} in the network"
        )
    if not ready.all() or flagged.any():
        sample = int(np.flatnonzero(~ready | flagged)[0])
        what = "has raised a flag" if ready[sample] else "is not announced"
        raise MismatchError(f"{where}: sample {sample} {what} in the mapped netlist, without any fault")
    return simulator


# ---------------------------------------------------------------- primitives


class _Parts:
    """Tables and registers by the net that they give: a table's inputs and entries, a register's data and start."""

    def __init__(self, netlist: Netlist) -> None:
        self._netlist, self._size = netlist, netlist.size
        self._wires: dict[int, int] = {}
        self.tables: dict[int, tuple[tuple[int, ...], int]] = {}
        self.registers: dict[int, tuple[int, int]] = {}
        self.luts: list[Place] = []
        self.flip_flops: list[Place] = []
        for cell in netlist.cells:
            if cell.kind == WIRE:
                self._wires[cell.outputs["O"][0]] = cell.inputs["I"][0]
        for cell in netlist.cells:
            if cell.kind != WIRE:
                self._add(cell)

    def nets(self, name: str) -> list[int]:
        """Of a port of the top module, or another named net."""
        return self._real(self._netlist.nets[name])

    def behind(self, net: int) -> int:
        """What a flag's register is about to take: then it tells of the sample at hand."""
        return self.registers[net][0] if net in self.registers else net

    @property
    def size(self) -> int:
        return self._size

    def _real(self, nets: Iterable[int]) -> list[int]:
        """Without the wires between modules."""
        found = []
        for net in nets:
            while net in self._wires:
                net = self._wires[net]
            found.append(net)
        return found

    def _add(self, cell: Cell) -> None:
        inputs = {port: self._real(nets) for port, nets in cell.inputs.items()}
        if cell.kind in LUTS:
            reads = [net for port in sorted(inputs) for net in inputs[port]]
            net = cell.outputs["O"][0]
            self.tables[net] = (tuple(reads), cell.table)
            self.luts.append(Place(cell.path, net, 1 << len(reads)))
        elif cell.kind.startswith("CARRY"):
            self._carry(inputs, cell.outputs)
        elif cell.kind.startswith("MUXF"):
            self._table(cell.outputs["O"][0], CHOOSE, inputs["I0"][0], inputs["I1"][0], inputs["S"][0])
        elif cell.kind in REGISTERS:
            self._register(cell, inputs)
        else:
            logic = "; map products to logic with --dsp-min-bits 49" if cell.kind.startswith("DSP") else ""
            raise ReportError(f"netlist: '{cell.path}' is a {cell.kind}, which is not simulated{logic}")

    def _table(self, net: int | None, bits: int, *inputs: int) -> int:
        """Of a net, or of a new one where the design has none."""
        if net is None or net < 2:
            net, self._size = self._size, self._size + 1
        self.tables[net] = (inputs, bits)
        return net

    def _carry(self, inputs: Mapping[str, Sequence[int]], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """Sums and carries of a chain (AMD UG953: O = S xor C, the next C = S ? C : DI)."""
        entering = [net for port in ("CI", "CYINIT") for net in inputs.get(port, ())[:1] if net != 0]
        carry = self._table(None, OR, *entering) if len(entering) > 1 else entering[0] if entering else 0
        for k, (select, data) in enumerate(zip(inputs["S"], inputs["DI"], strict=True)):
            if "O" in outputs:
                self._table(outputs["O"][k], XOR, select, carry)
            carry = self._table(outputs["CO"][k] if "CO" in outputs else None, CHOOSE, data, carry, select)

    def _register(self, cell: Cell, inputs: Mapping[str, Sequence[int]]) -> None:
        """With its enable and its reset (FDRE) or set (FDSE) in a table before it."""
        if cell.inverted:
            raise ReportError(f"netlist: '{cell.path}' is a {cell.kind} with inverted pins, which is not simulated")
        (q,), (data,) = cell.outputs["Q"], inputs["D"]
        sets = cell.kind == "FDSE"
        clear, enable = inputs.get("S" if sets else "R", [0])[0], inputs.get("CE", [1])[0]
        if enable == 1 and clear != 0:
            data = self._table(None, 0b1110 if sets else 0b0100, clear, data)
        elif enable != 1:
            rows = [sets if k & 1 else bool(k & (4 if k & 2 else 8)) for k in range(16)]
            bits = sum(row << k for k, row in enumerate(rows))
            data = self._table(None, bits, clear, enable, data, q)
        self.registers[q] = (data, cell.table)
        self.flip_flops.append(Place(cell.path, q, 1))

    # ---------------------------------------------------------------- loops

    def _graph(self) -> coo_array:
        """Which net leads to which, registers included."""
        pairs = [(source, net) for net, (inputs, _) in self.tables.items() for source in inputs]
        pairs += [(data, q) for q, (data, _) in self.registers.items()]
        rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
        return coo_array((np.ones(len(rows), np.int8), (rows, columns)), (self._size, self._size))

    def on_loops(self) -> list[bool]:
        """Of every register whether what it holds decides what it will hold."""
        _, labels = connected_components(self._graph(), directed=True, connection="strong")
        sizes = np.bincount(labels)
        return [bool(sizes[labels[q]] > 1) or q == data for q, (data, _) in self.registers.items()]

    def reaches(self, sources: Sequence[int], ends: Sequence[int]) -> bool:
        """Whether any of the nets leads to any of the others."""
        graph, wanted = self._graph().tocsr(), set(ends)
        return any(not wanted.isdisjoint(breadth_first_order(graph, q, return_predecessors=False)) for q in sources)

    def make_wires(self, keep: Sequence[bool]) -> None:
        """Let the other registers be tables that give what they read."""
        for (q, (data, _)), stays in zip(list(self.registers.items()), keep, strict=True):
            if not stays:
                self.tables[q] = ((data,), PASS)
                del self.registers[q]


class _Order:
    """Values' numbers: the constants, nets that nothing gives, registers, and tables behind what they read."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        given = {*parts.tables, *parts.registers}
        read = [net for inputs, _ in parts.tables.values() for net in inputs]
        read += [data for data, _ in parts.registers.values()]
        read += [net for name in ("x", "valid", "y", "ready") for net in parts.nets(name)]
        sources = [0, 1, *sorted({net for net in read if net > 1} - given)]
        self.n_sources = len(sources)
        self.tables = self._sorted()
        self.number = {net: k for k, net in enumerate([*sources, *parts.registers, *self.tables])}

    def _sorted(self) -> list[int]:
        """Kahn, "Topological sorting of large networks", CACM 5 (1962)."""
        tables = self._parts.tables
        readers: dict[int, list[int]] = {}
        waiting: dict[int, int] = {}
        for net, (inputs, _) in tables.items():
            needed = {source for source in inputs if source in tables}
            waiting[net] = len(needed)
            for source in needed:
                readers.setdefault(source, []).append(net)
        ready, found = [net for net in tables if not waiting[net]], []
        while ready:
            found.append(net := ready.pop())
            for reader in readers.get(net, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
        if len(found) < len(tables):
            raise ReportError("netlist: its logic has a loop without a register")
        return found

    def values(self, nets: Iterable[int]) -> NDArray[np.int32]:
        return np.array([self.number[net] for net in nets], np.int32)

    def inputs(self) -> NDArray[np.int32]:
        """Of every table, filled up with zeros."""
        found = np.zeros((len(self.tables), TABLE_INPUTS), np.int32)
        for row, net in zip(found, self.tables, strict=True):
            reads = self._parts.tables[net][0]
            row[: len(reads)] = [self.number[source] for source in reads]
        return found

    def placed(self, places: Iterable[Place]) -> Iterable[Place]:
        return (Place(path, self.number[net], bits) for path, net, bits in places)
