"""What Yosys does with a module, by what its text holds: scripts, and maps of adders.

Adders are kept apart: joined into sums of many terms (`alumacc`) they take more LUTs and no carry chain. In a module
of adders and registers alone the mapping is known, a LUT2 a bit on a carry chain, and nothing is searched for; where
there are gates as well, `abc` covers them with the adders' LUTs. Only other modules need all of `synth_xilinx`.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from codesign.errors import ToolError
from codesign.resources.rtl.verilog import DSP

Flow = Literal["adders", "gates", "general"]

_ADDER = "".join(
    f"""
(* techmap_celltype = "${operation}" *)
module _adder_{operation} (A, B, Y);
  parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] X, CO;
  \\$alu #(
    .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) _TECHMAP_REPLACE_ (.A(A), .B(B), .CI(1'b{inverts}), .BI(1'b{inverts}), .Y(Y), .X(X), .CO(CO));
endmodule
"""
    for operation, inverts in (("add", 0), ("sub", 1))
)

# An adder of three bits or more as share/xilinx/arith_map.v of Yosys makes it, without the steps between.
_CHAIN = "".join(
    f"""
(* techmap_celltype = "${operation}" *)
module _chain_{operation} (A, B, Y);
  parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
  localparam SLICES = (Y_WIDTH + 3) / 4;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = Y_WIDTH <= 2;
  wire [Y_WIDTH-1:0] DI, S;
  \\$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) generates (.A(A), .Y(DI));
  \\${gate} #(
    .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) propagates (.A(A), .B(B), .Y(S));
  wire [4*SLICES-1:0] D4 = DI, S4 = S, O4, C4;
  assign Y = O4;
  genvar i;
  generate for (i = 0; i < SLICES; i = i + 1) begin : slice
    if (i == 0) CARRY4 carry (
      .CYINIT(1'b{inverts}), .CI(1'b0), .DI(D4[3:0]), .S(S4[3:0]), .O(O4[3:0]), .CO(C4[3:0])
    );
    else CARRY4 carry (
      .CYINIT(1'b0), .CI(C4[4*i-1]), .DI(D4[4*i+:4]), .S(S4[4*i+:4]), .O(O4[4*i+:4]), .CO(C4[4*i+:4])
    );
  end endgenerate
endmodule
"""
    for operation, gate, inverts in (("add", "xor", 0), ("sub", "xnor", 1))
)

# The ports of what the quick flows make; Yosys's own library of 160 kB takes as long to read as a neuron to map.
_CELLS = "".join(
    f"(* blackbox *) module {name} ({ports}); endmodule\n"
    for name, ports in {
        "CARRY4": "output [3:0] CO, output [3:0] O, input CI, input CYINIT, input [3:0] DI, input [3:0] S",
        "INV": "output O, input I",
        "MUXF7": "output O, input I0, input I1, input S",
        "MUXF8": "output O, input I0, input I1, input S",
        **{f"LUT{n}": ", ".join(["output O", *(f"input I{k}" for k in range(n))]) for n in range(1, 7)},
    }.items()
)
# Files beside a batch's source.
MAPS = {"adders.v": _ADDER, "chains.v": _CHAIN, "cells.v": _CELLS}
# Gates that a primitive does: it, its parameters, and its ports for theirs. A register is always enabled; a guard can
# reset or set it.
_TWO_INPUTS = {"A": "I0", "B": "I1", "Y": "O"}
_PRIMITIVES: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "$_NOT_": ("INV", {}, {"A": "I", "Y": "O"}),
    "$_AND_": ("LUT2", {"INIT": "1000"}, _TWO_INPUTS),
    "$_OR_": ("LUT2", {"INIT": "1110"}, _TWO_INPUTS),
    "$_XOR_": ("LUT2", {"INIT": "0110"}, _TWO_INPUTS),
    "$_XNOR_": ("LUT2", {"INIT": "1001"}, _TWO_INPUTS),
    "$_DFF_P_": ("FDRE", {"INIT": "x"}, {"C": "C", "D": "D", "Q": "Q"}),
    "$_SDFF_PP0_": ("FDRE", {"INIT": "x"}, {"C": "C", "D": "D", "Q": "Q", "R": "R"}),
    "$_SDFF_PP1_": ("FDSE", {"INIT": "x"}, {"C": "C", "D": "D", "Q": "Q", "R": "S"}),
}
_TIED = {
    "$_DFF_P_": {"CE": ["1"], "R": ["0"]},
    "$_SDFF_PP0_": {"CE": ["1"]},
    "$_SDFF_PP1_": {"CE": ["1"]},
}

# Operand widths of a family's DSP: DSP48E1 (AMD UG479) and DSP48E2 (UG579).
DSP_TILES = {"xc7": (25, 18), "xcup": (27, 18)}
_DSP_MAPS = {"xc7": "xc7_dsp_map", "xcup": "xcu_dsp_map"}
# Of modules that are multipliers: a multiplication in a DSP, whatever its operands.
_MULTIPLIERS = """
read_verilog -lib +/xilinx/cells_xtra.v
wreduce A:use_dsp
techmap -map +/mul2dsp.v -D DSP_A_MAXWIDTH={wide} -D DSP_B_MAXWIDTH=18 -D DSP_A_MINWIDTH=1 -D DSP_B_MINWIDTH=1 \
  -D DSP_SIGNEDONLY=1 -D DSP_NAME=$__MUL{wide}X18 A:use_dsp
chtype -set $mul t:$__soft_mul
techmap -map +/xilinx/{dsp_map}.v A:use_dsp
"""
_GENERAL = """
read_verilog source.v
read_verilog -lib -specify +/xilinx/cells_sim.v
proc
{multipliers}
{flatten}
opt_expr
opt_clean
wreduce
techmap -map adders.v
opt
synth_xilinx -family {family} -noiopad -noclkbuf -nodsp -run prepare:map_memory
{memory}
synth_xilinx -family {family} -noiopad -noclkbuf -nodsp -run map_ffram:map_luts
opt_expr -mux_undef -noclkinv
abc -luts 2:2,3,6:5,10,20
clean
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
xilinx_dffopt
opt_lut_ins -tech xilinx
opt_clean
select *
write_json -selected result.json
"""
_DIRECT = """
read_verilog source.v
read_verilog -lib cells.v
proc
opt_expr
opt_clean
wreduce
opt -fast
techmap -map chains.v
simplemap
techmap -map +/techmap.v t:$* t:$_* %d
simplemap
opt_expr
opt_merge
{cover}
opt_clean
select *
write_json -selected result.json
"""
# Between registers and chains stand a guard's gates alone: with the whole of `abc`'s script more LUTs came of them.
_COVER: dict[Flow, str] = {
    "adders": "",
    "gates": "abc -luts 2:2,3,6:5,10,20 -script +strash;ifraig;if;mfs2\ntechmap -map +/xilinx/lut_map.v -D LUT_WIDTH=6",
}
# Everything that decides on a result, for the cache.
FLOWS_DIGEST = "".join(
    [*MAPS.values(), repr(_PRIMITIVES), repr(_TIED), _MULTIPLIERS, _GENERAL, _DIRECT, *_COVER.values()]
)

# What may become a memory. Its mapping takes longer to begin than all else, so it is left out where there is none.
_MEMORY = re.compile(r"\bcase|\breg\b[^;\n]*\]\s*\w+\s*\[")
# All that is written in a module of instances, registers, adders and (the second) gates.
_MARKS = r"(?:\(\* keep(?:_hierarchy)? \*\)|@\(posedge clk\) \w+ <=(?: guard\[0\] \? \d+'d\d+ :)?"
_ADDERS_ONLY = re.compile(_MARKS + r"|[\w\s'\[\]:{},;.()=+-])*")
_WITH_GATES = re.compile(_MARKS + r"|[\w\s'\[\]:{},;.()=+&|^~-])*")
# An adder that is no chain: of gates, which `abc` covers.
_SHORT = re.compile(r"\bwire \[[01]:0\] \w+ = [^;]*[+-]")
_BEHAVIOUR = re.compile(r"==|\[[^\]]*[A-Za-z_+]|\breg\b[^;]*=|\b(?:if|for|initial|integer|function|parameter)\b")


def flow_of(text: str) -> Flow:
    """The quickest flow that a module's text allows."""
    if _MEMORY.search(text) or _BEHAVIOUR.search(text):
        return "general"
    if _ADDERS_ONLY.fullmatch(text) and not _SHORT.search(text):
        return "adders"
    return "gates" if _WITH_GATES.fullmatch(text) else "general"


def script(flow: Flow, text: str, family: str, flat_top: str | None = None) -> str:
    """Yosys's script for `source.v` with that text. With a top what it instantiates becomes part of it."""
    if flow != "general":
        return _DIRECT.format(cover=_COVER[flow])
    return _GENERAL.format(
        family=family,
        multipliers=_MULTIPLIERS.format(wide=DSP_TILES[family][0], dsp_map=_DSP_MAPS[family]) if DSP in text else "",
        flatten=f"hierarchy -top {flat_top}\nflatten -noscopeinfo" if flat_top else "",
        memory=f"synth_xilinx -family {family} -run map_memory:map_ffram" if _MEMORY.search(text) else "",
    )


def primitive(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell as Yosys writes it, without its attributes and with a gate as a family's primitive.

    Raises ToolError for a cell that neither a map nor this knows: no figure is given without it.
    """
    kind, given = cell["type"], cell["connections"]
    if not kind.startswith("$"):
        return {key: cell[key] for key in ("type", "parameters", "port_directions", "connections")}
    if kind not in _PRIMITIVES:
        raise ToolError(f"Yosys left a cell {kind} unmapped: use --source estimate", ["yosys"])
    tied = _TIED.get(kind, {})
    kind, parameters, ports = _PRIMITIVES[kind]
    connections = {ports[port]: bits for port, bits in given.items()} | tied
    directions = {ports[port]: way for port, way in cell["port_directions"].items()} | dict.fromkeys(tied, "input")
    return {"type": kind, "parameters": parameters, "port_directions": directions, "connections": connections}
