"""The exported top of a board project as text: the accelerator between AXI streams, its registers on AXI-lite."""

from typing import TYPE_CHECKING

from codesign.hls.options import ProjectOptions
from codesign.hls.registers import board_registers
from codesign.hls.stream import input_lanes, output_lanes
from codesign.network import Network
from codesign.protection import ProtectionPlan

if TYPE_CHECKING:
    from codesign.hls.top import Top

# The exported top's data ports.
STREAMS = ("stream_in", "stream_out")

_HEADER = """#ifndef {guard}_AXI_H_
#define {guard}_AXI_H_

#include "{name}.h"
{beat_header}#include "nnet_utils/codesign_axi.h"

// A beat of the streams.
typedef {beat} beat_t;

// How samples lie in beats, and which design this is: see codesign.json.
struct stream_config {{
{config}
}};

// The accelerator on AXI streams, free running. The ports behind the streams are registers, described in codesign.json.
void {name}_axi(
{ports}
);

#endif
"""

_SOURCE = """#include "{name}_axi.h"

void {name}_axi(
{ports}
) {{
{interface}
    #pragma HLS DATAFLOW

    // Goes past the accelerator, which has several samples under way.
    hls::stream<codesign::Frame> frames("frames");
    #pragma HLS STREAM variable=frames depth=64
{variables}

    codesign::load<stream_config>(stream_in, {data}, frames);
    {name}({data}, {result}, {inner});
    codesign::deliver<stream_config>({result}, frames, stream_out, {own});
}}
"""


def identity(digest: str) -> int:
    """What a register shows of a digest: its first 32 bits."""
    return int(digest[:8], 16)


def stream_config(network: Network, plan: ProtectionPlan, bits: int) -> dict[str, str]:
    """The members of `stream_config`, as C++ constants; the design-rule check looks for them."""
    given, result = input_lanes(network, bits), output_lanes(network, bits)
    return {
        "int bits": str(bits),
        "int n_in": str(given.values),
        "int lane_in": str(given.lane_bits),
        "int n_out": str(result.values),
        "int lane_out": str(result.lane_bits),
        "unsigned id_network": f"{identity(network.digest):#010x}",
        "unsigned id_plan": f"{identity(plan.digest):#010x}",
    }


def beat_type(options: ProjectOptions) -> str:
    """The C++ type of a beat, in which each generation of tools recognises TLAST."""
    bits = options.axi_bits
    return f"ap_axiu<{bits}, 0, 0, 0>" if options.backend == "Vitis" else f"codesign::Beat<{bits}>"


def wrapper_header(top: "Top", plan: ProtectionPlan) -> str:
    """`<network>_axi.h`."""
    assert top.options.axi_bits is not None  # only projects with streams have a wrapper
    config = stream_config(top.network, plan, top.options.axi_bits)
    return _HEADER.format(
        guard=top.network.name.upper(),
        name=top.network.name,
        beat_header='#include "ap_axi_sdata.h"\n' if top.options.backend == "Vitis" else "",
        beat=beat_type(top.options),
        config=_lines([f"static const {key} = {value};" for key, value in config.items()]),
        ports=_lines(_ports(top), ",\n"),
    )


def wrapper_source(top: "Top") -> str:
    """`<network>_axi.cpp`."""
    registers, inner = board_registers(top.network, top.options.upset_slots), top.registers
    data, result = top.input, top.output
    return _SOURCE.format(
        name=top.network.name,
        ports=_lines(_ports(top), ",\n"),
        interface=_lines(
            [
                *(f"#pragma HLS INTERFACE axis port={stream}" for stream in STREAMS),
                *(register.pragma for register in registers),
                "#pragma HLS INTERFACE ap_ctrl_none port=return",
            ]
        ),
        variables=_lines([line for variable in (data, result) for line in top.declaration(variable)]),
        data=data.name,
        result=result.name,
        inner=", ".join(register.name for register in inner),
        own=", ".join(register.name for register in registers if register not in inner),
    )


def _ports(top: "Top") -> list[str]:
    streams = [f"hls::stream<beat_t> &{name}" for name in STREAMS]
    return [*streams, *(register.port for register in board_registers(top.network, top.options.upset_slots))]


def _lines(lines: list[str], between: str = "\n") -> str:
    return between.join(f"    {line}" for line in lines)
