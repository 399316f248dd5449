"""A mapped design as one flat netlist of Xilinx primitives."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from codesign.errors import ReportError
from codesign.resources.mapping import Mapped

# No primitive: a port that gives what another one gives or takes, or a constant.
WIRE = "BUF"
KINDS = ("CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9", "FDRE", "FDSE", "DSP48E1", "DSP48E2")
LUTS = {**{f"LUT{k}": k for k in range(1, 7)}, "INV": 1}


def _constants() -> dict[int | str, int]:
    """Nets 0 and 1 are the constants; an unknown bit is taken as zero, which is what the tools make of it."""
    return {"0": 0, "1": 1, "x": 0, "z": 0}


@dataclass(frozen=True)
class Cell:
    """One primitive: `path` with dots, its nets by port (buses as several).

    `table` is a LUT's contents, or what a register holds at first; `inverted` if a register's pins are.
    """

    path: str
    kind: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    table: int = 0
    inverted: bool = False

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
        raise ReportError(f"netlist: '{path}' is a {kind}, which is not known; known are {', '.join(sorted(KINDS))}")
    parameters = cell["parameters"]
    assert isinstance(parameters, Mapping)
    contents = str(parameters.get("INIT", "0"))
    table = 0b01 if kind == "INV" else int(contents.replace("x", "0"), 2)
    inverted = any("1" in str(value) for name, value in parameters.items() if name.endswith("_INVERTED"))
    inputs = {port: nets for port, nets in ports.items() if directions[port] == "input"}
    outputs = {port: nets for port, nets in ports.items() if directions[port] == "output"}
    return Cell(path, kind, inputs, outputs, table, inverted)
