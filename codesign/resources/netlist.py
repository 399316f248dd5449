"""A mapped design as one flat netlist of Xilinx primitives, and its simulation, bit-parallel over samples.

The design is a pipeline without feedback but for its flags and counters, and takes a sample every cycle, so what a net
holds for one sample does not depend on the others: a register is a wire that a sample passes later. One Python integer
holds a net's values for all samples, one bit each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from codesign.errors import ReportError
from codesign.resources.mapping import Mapped

# No primitive: a port that gives what another one gives or takes, or a constant.
WIRE = "BUF"
LUTS = {**{f"LUT{k}": k for k in range(1, 7)}, "INV": 1}


def _constants() -> dict[int | str, int]:
    """Nets 0 and 1 are the constants; an unknown bit is taken as zero, which is what the tools make of it."""
    return {"0": 0, "1": 1, "x": 0, "z": 0}


@dataclass(frozen=True)
class Cell:
    """One primitive: `path` with dots, its nets by port (buses as several), and for a LUT its table."""

    path: str
    kind: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    table: int = 0

    @property
    def reads(self) -> Iterator[int]:
        for nets in self.inputs.values():
            yield from nets


@dataclass
class Netlist:
    """`nets` finds the nets of a name: a port of an instance, or a named net, each with the instances' path."""

    cells: list[Cell] = field(default_factory=list)
    nets: dict[str, tuple[int, ...]] = field(default_factory=dict)
    size: int = 2

    @classmethod
    def of(cls, modules: Mapping[str, Mapped], top: str) -> "Netlist":
        """The whole design below a module. Raises ReportError for a primitive that it does not know."""
        found = cls()
        ports = {name: found._fresh(len(port["bits"])) for name, port in modules[top].netlist["ports"].items()}
        found._place(modules, top, "", ports)
        return found

    def _fresh(self, bits: int) -> tuple[int, ...]:
        self.size += bits
        return tuple(range(self.size - bits, self.size))

    def _place(
        self, modules: Mapping[str, Mapped], kind: str, path: str, outside: Mapping[str, tuple[int, ...]]
    ) -> None:
        """A module's cells, with its ports tied to nets."""
        netlist, known = modules[kind].netlist, _constants()
        aliases: list[tuple[int, int]] = []
        for name, port in netlist["ports"].items():
            for bit, net in zip(port["bits"], outside[name], strict=True):
                if known.setdefault(bit, net) != net:
                    aliases.append((known[bit], net))

        def nets(bits: Sequence[int | str]) -> tuple[int, ...]:
            return tuple(self._known(bit, known) for bit in bits)

        for name, bits in netlist["netnames"].items():
            self.nets[path + name] = nets(bits)
        for source, net in aliases:  # a port that gives what another one gives or takes, or a constant
            self.cells.append(Cell(f"{path}wire", WIRE, {"I": (source,)}, {"O": (net,)}))
        for name, cell in netlist["cells"].items():
            ports = {port: nets(bits) for port, bits in cell["connections"].items()}
            if cell["type"] in modules:
                self._place_instance(modules, cell["type"], f"{path}{name}.", ports)
            else:
                self.cells.append(_primitive(path + name, cell, ports))

    def _known(self, bit: int | str, known: dict[int | str, int]) -> int:
        if bit not in known:
            known[bit] = self._fresh(1)[0]
        return known[bit]

    def _place_instance(
        self, modules: Mapping[str, Mapped], kind: str, path: str, given: Mapping[str, tuple[int, ...]]
    ) -> None:
        """A module's cells, some of its ports tied to nets."""
        ports = modules[kind].netlist["ports"]
        self.nets |= {f"{path}{port}": nets for port, nets in given.items()}
        self._place(modules, kind, path, {p: given.get(p) or self._fresh(len(v["bits"])) for p, v in ports.items()})

    @cached_property
    def driver(self) -> dict[int, Cell]:
        """Which cell gives a net."""
        return {net: cell for cell in self.cells for nets in cell.outputs.values() for net in nets}


def _primitive(path: str, cell: Mapping[str, object], ports: Mapping[str, tuple[int, ...]]) -> Cell:
    kind, directions = str(cell["type"]), cell["port_directions"]
    assert isinstance(directions, Mapping)
    if kind not in KINDS and kind not in LUTS:
        raise ReportError(
            f"netlist: '{path}' is a {kind}, which is not simulated; known are {', '.join(sorted(KINDS))}"
        )
    parameters = cell["parameters"]
    assert isinstance(parameters, Mapping)
    table = 0b01 if kind == "INV" else int(parameters["INIT"], 2) if kind in LUTS else 0
    inputs = {port: nets for port, nets in ports.items() if directions[port] == "input"}
    outputs = {port: nets for port, nets in ports.items() if directions[port] == "output"}
    return Cell(path, kind, inputs, outputs, table)


# ---------------------------------------------------------------- what primitives do


def lut(table: int, inputs: Sequence[int], ones: int) -> int:
    """A table's values for many samples at once: Shannon's expansion, the first input lowest."""
    level = [ones if table >> k & 1 else 0 for k in range(1 << len(inputs))]
    for value in inputs:
        level = [a if a == b else a ^ ((a ^ b) & value) for a, b in zip(level[0::2], level[1::2], strict=True)]
    return level[0]


def _carry(values: Mapping[str, list[int]], first: int) -> dict[str, list[int]]:
    """Sums and carries of a chain (AMD UG953: O = S xor C, the next C = S ? C : DI)."""
    carry, sums, carries = first, [], []
    for select, data in zip(values["S"], values["DI"], strict=True):
        sums.append(select ^ carry)
        carry = (carry & select) | (data & ~select)
        carries.append(carry)
    return {"O": sums, "CO": carries}


def _carry4(values: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return _carry(values, (values.get("CI") or [0])[0] | (values.get("CYINIT") or [0])[0])


def _carry8(values: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return _carry(values, (values.get("CI") or [0])[0])


def _mux(values: Mapping[str, list[int]]) -> dict[str, list[int]]:
    (a,), (b,), (select,) = values["I0"], values["I1"], values["S"]
    return {"O": [a ^ ((a ^ b) & select)]}


def _register(values: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return {"Q": values["D"]}


def _dsp(values: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """A DSP that only multiplies, without registers: signed A times signed B, a row of A's copies for each bit of B."""
    a, b, product = values["A"], values["B"], [0] * 48
    for place, selected in enumerate(b):
        carry, subtracts = 0, place == len(b) - 1  # the sign's row has a negative weight
        for at in range(place, len(product)):
            x, y = product[at], a[min(at - place, len(a) - 1)] & selected
            product[at] = x ^ y ^ carry
            carry = (y & carry) | ((y | carry) & (~x if subtracts else x))
    return {"P": product}


def _buffer(values: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return {"O": values["I"]}


KINDS = {
    "CARRY4": _carry4,
    "CARRY8": _carry8,
    "MUXF7": _mux,
    "MUXF8": _mux,
    "MUXF9": _mux,
    "FDRE": _register,
    "FDSE": _register,
    WIRE: _buffer,
    "DSP48E1": _dsp,
    "DSP48E2": _dsp,
}
