"""Verilog modules as values: what a module's text is decides its name, so that equal ones are one."""

from dataclasses import dataclass, field

from codesign.files import digest_of

KEEP = "(* keep_hierarchy *)\n"
# Read by Vivado (UG901) and by our own flow: the multiplication in a module of this attribute is a DSP.
DSP = '(* use_dsp = "yes" *)\n'


def value_of(bus: str, k: int, width: int) -> str:
    """Value k of those side by side in a bus."""
    return f"{bus}[{(k + 1) * width - 1}:{k * width}]"


@dataclass(frozen=True)
class Module:
    """A finished module. `text` is its Verilog, `parts` the modules that it instantiates, each once."""

    name: str
    text: str
    parts: tuple["Module", ...] = ()

    @property
    def stub(self) -> str:
        """Its ports alone."""
        return f"(* blackbox *)\n{self.text.split(');', 1)[0]});\nendmodule\n"

    def every(self) -> dict[str, "Module"]:
        """This module and all below it, by name; the lowest ones first."""
        found: dict[str, Module] = {}
        for part in self.parts:
            found |= part.every()
        return found | {self.name: self}


@dataclass
class Writer:
    """Collects a module's ports and body. Nets are vectors, also those of one bit."""

    kind: str
    ports: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    parts: dict[str, Module] = field(default_factory=dict)
    _names: int = 0
    _delayed: dict[tuple[str, int], str] = field(default_factory=dict)

    def input(self, name: str, width: int) -> str:
        self.ports.append(f"input wire [{width - 1}:0] {name}")
        return name

    def output(self, name: str, width: int, value: str) -> None:
        self.ports.append(f"output wire [{width - 1}:0] {name}")
        self.body.append(f"assign {name} = {value};")

    def wire(self, name: str, width: int, value: str) -> str:
        self.body.append(f"wire [{width - 1}:0] {name} = {value};")
        return name

    def fresh(self) -> str:
        """A name that no other net of the module has."""
        self._names += 1
        return f"s{self._names}"

    def guarded(self, port: str, width: int) -> str:
        """A port's bits with the module's guard in the lowest one."""
        rest = f"{port}[{width - 1}:1], " if width > 1 else ""
        return self.wire(f"g_{port}", width, f"{{{rest}{port}[0] ^ guard[0]}}")

    def clock(self) -> None:
        """Give the module its clock, once."""
        if (port := "input wire clk") not in self.ports:
            self.ports.insert(0, port)

    def delayed(self, name: str, width: int, cycles: int) -> str:
        """A net, so many cycles later."""
        if cycles <= 0:
            return name
        if (key := (name, cycles)) not in self._delayed:
            before = self.delayed(name, width, cycles - 1)
            self._delayed[key] = self.register(f"{name}_d{cycles}", width, before)
        return self._delayed[key]

    def register(self, name: str, width: int, value: str, reset: tuple[str, int] | None = None) -> str:
        """A net, a cycle later; `reset` is a net of one bit, and what it sets the register to."""
        self.clock()
        if reset:
            value = f"{reset[0]} ? {width}'d{reset[1]} : {value}"
        self.body.append(f"reg [{width - 1}:0] {name}; always @(posedge clk) {name} <= {value};")
        return name

    def instance(self, part: Module, name: str, **nets: str) -> None:
        """Instantiate a module, which gets the clock if it has one."""
        self.parts[part.name] = part
        if "input wire clk" in part.text:
            self.clock()
            nets = {"clk": "clk", **nets}
        given = ", ".join(f".{port}({net})" for port, net in nets.items())
        self.body.append(f"{part.name} {name} ({given});")

    def done(self, name: str | None = None, attributes: str = "") -> Module:
        """The module; without a name of its own it gets one by its content."""
        ports = ",\n  ".join(self.ports)
        text = f"(\n  {ports}\n);\n" + "".join(f"  {line}\n" for line in self.body) + "endmodule\n"
        name = name or f"{self.kind}_{digest_of(text)[:12]}"
        return Module(name, f"{KEEP}{attributes}module {name} {text}", tuple(self.parts.values()))
