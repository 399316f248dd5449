"""Flows of the mapper: which one a module takes, and that what comes out computes what went in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.errors import ToolError
from codesign.resources.flows import flow_of, primitive
from codesign.resources.mapping import Mapped, map_modules
from codesign.resources.rtl.verilog import Module, Writer

SAMPLES = 64


@pytest.mark.parametrize(
    ("line", "flow"),
    [
        ("wire [3:0] s1_t = {1'd0, a[3:1]} - b;", "adders"),
        ("reg [3:0] s1; always @(posedge clk) s1 <= a;", "adders"),
        ("part_0 n1 (.clk(clk), .a(a), .y(s1));", "adders"),
        ("(* keep *) wire [3:0] s1;", "adders"),
        ("wire [1:0] s1_t = a[1:0] + b[1:0];", "gates"),
        ("wire [3:0] s1 = a & ~({4{guard[0]}} & 4'd5);", "gates"),
        ("reg [3:0] s1; always @(posedge clk) s1 <= guard[0] ? 4'd0 : a;", "adders"),
        ("wire [3:0] s1 = a[0] ? a : b;", "general"),
        ("wire [7:0] s1 = a * b;", "general"),
        ("wire [0:0] s1 = a == b;", "general"),
        ("wire [0:0] s1 = a < b;", "general"),
        ("reg [3:0] s1 = 4'd3;", "general"),
        ("wire [3:0] s1 = a[4*b +: 4];", "general"),
        ("wire [0:0] s1 = a[b];", "general"),
        ("reg [3:0] s1; always @(posedge clk) if (a[0]) s1 <= b;", "general"),
        ("reg [3:0] s1 [0:7];", "general"),
    ],
)
def test_a_modules_text_decides_on_its_flow(line: str, flow: str) -> None:
    assert flow_of(f"(* keep_hierarchy *)\nmodule m (\n  input wire clk\n);\n  {line}\nendmodule\n") == flow


def test_a_cell_that_no_flow_knows_is_an_error() -> None:
    with pytest.raises(ToolError, match=r"Yosys left a cell \$mul unmapped"):
        primitive({"type": "$mul", "connections": {}})


def test_mapped_modules_compute_what_their_text_says(tmp_path: Path) -> None:
    """Sums and differences of words and constants of many widths, signed or not, with registers and guards between."""
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install pyosys")
    drawn = [_drawn(np.random.default_rng(seed)) for seed in range(120)]
    mapped = map_modules({module.name: module for module, _ in drawn}, cache=tmp_path)
    assert {flow_of(module.text) for module, _ in drawn} == {"adders", "gates"}
    rng = np.random.default_rng(0)
    for module, expected in drawn:
        given = {port: [int(v) for v in rng.integers(0, 256, SAMPLES)] for port in ("a", "b", "c", "guard")}
        given["guard"] = [value & 1 for value in given["guard"]]
        width = len(mapped[module.name].netlist["ports"]["y"]["bits"])
        wanted = [expected(*(given[port][k] for port in given)) % (1 << width) for k in range(SAMPLES)]
        assert _computed(mapped[module.name], given) == wanted, module.text


def _drawn(rng: np.random.Generator) -> tuple[Module, Any]:
    """A module `y = (a op b or constant) op c`, and the same of integers."""
    writer = Writer("drawn")
    for port in ("a", "b", "c"):
        writer.input(port, 8)
    guarded, fixed = rng.random() < 0.4, rng.random() < 0.4
    guard = writer.input("guard", 1)
    first, second, last = (int(n) for n in rng.integers(1, 12, 3))
    minus, less = (bool(n) for n in rng.integers(0, 2, 2))
    constant = int(rng.integers(0, 1 << min(first, 8)))
    x, fa = _operand("a", min(first, 8), first, bool(rng.integers(0, 2)))
    y, fb = (f"{first}'d{constant}", lambda _: constant) if fixed else _operand("b", min(second, 8), first, False)
    if guarded:
        x = f"({x} & ~({{{first}{{{guard}[0]}}}} & {first}'d1))"
    total = writer.wire("s1_t", first, f"{x} {'-' if minus else '+'} {y}")
    held = writer.delayed(total, first, int(rng.integers(0, 2)))
    reset = int(rng.integers(0, 1 << first)) if rng.random() < 0.3 else None
    if reset is not None:
        held = writer.register("held", first, held, reset=(f"{guard}[0]", reset))
    wide = max(first, last)
    z, fc = _operand("c", min(last, 8), wide, bool(rng.integers(0, 2)))
    padded = f"{{{{{wide - first}{{{held}[{first - 1}]}}}}, {held}}}" if wide > first else held
    writer.output("y", wide, writer.wire("s2_t", wide, f"{padded} {'-' if less else '+'} {z}"))

    def expected(a: int, b: int, c: int, guard: int) -> int:
        left = fa(a) & ~(guard & 1) if guarded else fa(a)
        partial = (left - fb(b) if minus else left + fb(b)) % (1 << first)
        if reset is not None and guard & 1:
            partial = reset
        signed = partial - (1 << first) if wide > first and partial >> (first - 1) else partial
        return signed - fc(c) if less else signed + fc(c)

    return writer.done(), expected


def _operand(port: str, bits: int, width: int, signed: bool) -> tuple[str, Any]:
    """The lowest bits of a port in a word of so many, and of an integer."""

    def value(given: int) -> int:
        low = given & ((1 << bits) - 1)
        return (low - (1 << bits) if signed and low >> (bits - 1) else low) % (1 << width)

    if width <= bits:
        return f"{port}[{width - 1}:0]", lambda given: given % (1 << width)
    above = f"{{{width - bits}{{{port}[{bits - 1}]}}}}" if signed else f"{width - bits}'d0"
    return f"{{{above}, {port}[{bits - 1}:0]}}", value


# ---------------------------------------------------------------- a netlist without loops, all samples at once


def _computed(mapped: Mapped, given: Mapping[str, list[int]]) -> list[int]:
    """`y` of each sample; a net is an integer with a bit for each of them, and registers hand on what they get."""
    netlist, every = mapped.netlist, (1 << SAMPLES) - 1
    nets: dict[int | str, int] = {"0": 0, "1": every, "x": 0}
    for port, values in given.items():
        for k, bit in enumerate(netlist["ports"][port]["bits"]):
            nets[bit] = sum((value >> k & 1) << n for n, value in enumerate(values))
    makes = {
        bit: (cell, port, k)
        for cell in netlist["cells"].values()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for k, bit in enumerate(bits)
    }

    def net(bit: int | str) -> int:
        if bit not in nets:
            cell, port, k = makes[bit]
            nets[bit] = _of_cell(cell, port, k, net, every)
        return nets[bit]

    bits = [net(bit) for bit in netlist["ports"]["y"]["bits"]]
    return [sum((bit >> n & 1) << k for k, bit in enumerate(bits)) for n in range(SAMPLES)]


def _of_cell(cell: Mapping[str, Any], port: str, k: int, net: Any, every: int) -> int:
    kind, pins = cell["type"], cell["connections"]
    if kind in ("FDRE", "FDSE"):
        assert pins["CE"] == ["1"]
        data = net(pins["D"][0])
        return int(data & ~net(pins["R"][0]) if kind == "FDRE" else data | net(pins["S"][0]))
    if kind == "INV":
        return int(every ^ net(pins["I"][0]))
    if kind.startswith("MUXF"):
        chosen = net(pins["S"][0])
        return int((chosen & net(pins["I1"][0])) | (~chosen & net(pins["I0"][0])))
    if kind == "CARRY4":
        chain = [*pins["CI"], *pins["CO"]]
        carry = net(chain[k]) | (net(pins["CYINIT"][0]) if k == 0 else 0)
        chosen = net(pins["S"][k])
        return int(chosen ^ carry if port == "O" else (chosen & carry) | (~chosen & net(pins["DI"][k])))
    inputs = [net(pins[f"I{n}"][0]) for n in range(int(kind.removeprefix("LUT")))]
    found = 0
    for row, output in enumerate(reversed(cell["parameters"]["INIT"])):
        if output == "1":
            term = every
            for n, value in enumerate(inputs):
                term &= value if row >> n & 1 else ~value
            found |= term
    return found
