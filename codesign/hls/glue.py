"""What stands in the project beside the accelerator: the simulation's C interface and hls4ml's own test bench."""

import shutil
from pathlib import Path

import numpy as np

from codesign.assets import asset
from codesign.errors import ToolError
from codesign.fixed import Ints, to_real
from codesign.hls.folder import CSIM_SCRIPT, CSIM_SOURCE
from codesign.hls.registers import board_registers, status_words
from codesign.hls.top import Top
from codesign.network import Network, forward

_GLUE = """// The C interface of this project for simulation: see firmware/nnet_utils/codesign_csim.h.
{sources}
#include "firmware/nnet_utils/codesign_csim.h"

struct Top {{
    void operator()({input} data, {output} result, codesign::Guard guard, bool clear, ap_uint<32> *status) const {{
{body}
    }}
}};

extern "C" __attribute__((visibility("default"))) int
codesign_run(const int64_t *inputs, int64_t n_samples, const codesign::Fault *faults, int64_t n_faults, uint32_t guard,
             int clear_each, int64_t *outputs, uint32_t *status, int64_t *hits) {{
    return codesign::{run}<{input_t}, {n_in}, {output_t}, {n_out}, {n_layers}, {n_status}>(
        Top(), inputs, n_samples, faults, n_faults, guard, clear_each, outputs, status, hits);
}}
"""

# The wrapper takes its values one by one as floating-point numbers, which hold them exactly.
_THROUGH_WRAPPER = """        static input_axi_t in[N_IN];
        static output_axi_t out[N_OUT];
        for (unsigned i = 0; i < N_IN; i++)
            in[i] = input_axi_t(T_in(data[i].to_double()), i == N_IN - 1);
        {call}
        for (unsigned i = 0; i < N_OUT; i++)
            result[i] = out[i].data;"""

_BOARD_GLUE = """
// Bursts through the exported top: see firmware/nnet_utils/codesign_burst.h.
#include "firmware/nnet_utils/codesign_burst.h"

struct Wrapper {{
    void operator()(hls::stream<beat_t> &in, hls::stream<beat_t> &out, const uint32_t *host, uint32_t *read) const {{
        ap_uint<32> words[{n_read}];
        {name}_axi(in, out, {ports});
        for (int word = 0; word < {n_read}; word++)
            read[word] = words[word].to_uint();
    }}
}};

#define CODESIGN_EXPORT extern "C" __attribute__((visibility("default")))

CODESIGN_EXPORT void *codesign_board_open(void) {{ return new codesign::BoardState({n_read}); }}

CODESIGN_EXPORT void codesign_board_close(void *handle) {{ delete static_cast<codesign::BoardState *>(handle); }}

CODESIGN_EXPORT int64_t
codesign_board_feed(void *handle, const uint8_t *data, const uint64_t *keep, const uint8_t *last, int64_t n_beats,
                    const uint32_t *host, uint32_t *read, const codesign::Fault *faults, int64_t n_faults,
                    int64_t *hits, uint8_t *out_data, uint64_t *out_keep, uint8_t *out_last, int64_t capacity) {{
    const codesign::Burst burst = {{data, keep, last, n_beats}};
    const codesign::Answer answer = {{out_data, out_keep, out_last, capacity, 0}};
    return codesign::feed<stream_config, beat_t, {n_layers}>(*static_cast<codesign::BoardState *>(handle), Wrapper(),
                                                            burst, host, read, faults, n_faults, hits, answer);
}}
"""

_SCRIPT = """#!/bin/sh
# Builds the C-simulation library of this project: sh build_csim.sh [compiler]
# csim.cpp takes in the accelerator's sources, so that the library's headers are read once.
# NDEBUG: the ap_fixed headers read, and then ignore, a bit beyond the source when a cast drops all its bits.
set -e
cd "$(dirname "$0")"
exec "${1:-g++}" -std=c++17 -O2 -DNDEBUG -fPIC -shared -fvisibility=hidden -fno-gnu-unique -w -Ifirmware/ap_types \\
    csim.cpp -o csim.so
"""


def write_glue(top: Top, folder: Path) -> None:
    """Our own C interface, where hls4ml would put its bridge."""
    board = _board_glue(top) if top.options.axi_bits is not None else ""
    (folder / CSIM_SOURCE).write_text(_glue(top) + board)
    (folder / CSIM_SCRIPT).write_text(_SCRIPT)
    shutil.copyfile(asset("hls_templates") / "codesign_csim.h", folder / "firmware/nnet_utils/codesign_csim.h")


def _glue(top: Top) -> str:
    network, options = top.network, top.options
    accelerator = options.backend == "VivadoAccelerator"
    streams = options.io_type == "io_stream" and not accelerator
    types = [variable.type.name for variable in (top.input, top.output)]
    if accelerator and options.io_type == "io_stream":
        types = [f"{name}::value_type" for name in types]
    words = ", ".join(f"status[{k}]" for k in range(len(status_words(network))))
    words += ", 0" * 3 * options.upset_slots  # only bursts through the wrapper upset weights
    call = "{}({}, {}, guard, clear, " + words + ");"
    if accelerator:
        body = _THROUGH_WRAPPER.format(call=call.format(f"{network.name}_axi", "in", "out"))
    else:
        body = f"        {call.format(network.name, 'data', 'result')}"
    port = "hls::stream<{}> &" if streams else "{} *"
    names = [network.name, *([f"{network.name}_axi"] if options.wrapped else [])]
    return _GLUE.format(
        sources="\n".join(f'#include "firmware/{name}.cpp"' for name in names),
        input=port.format(types[0]),
        output=port.format(types[1]),
        body=body,
        run="run_batch_stream" if streams else "run_batch",
        input_t=types[0],
        output_t=types[1],
        n_in=network.n_in,
        n_out=network.n_out,
        n_layers=len(network.layers),
        n_status=len(status_words(network)),
    )


def _board_glue(top: Top) -> str:
    registers = board_registers(top.network, top.options.upset_slots)
    ports, n_read, n_host = [], 0, 0
    for register in registers:
        if register.written_by_host:
            ports.append(f"{register.c_type}(host[{n_host}])")
            n_host += 1
        else:
            ports.append(f"words[{n_read}]")
            n_read += 1
    return _BOARD_GLUE.format(
        name=top.network.name,
        ports=", ".join(ports),
        n_read=n_read,
        n_layers=len(top.network.layers),
    )


def patch_bench(top: Top, folder: Path) -> None:
    """Let hls4ml's test bench call the top with its ports, and write down whole numbers."""
    name, accelerator = top.network.name, top.options.backend == "VivadoAccelerator"
    bench = folder / f"{name}_test.cpp"
    log = "std::ofstream fout(RESULTS_LOG);\n"
    replace(bench, log, f"{log}    fout.precision(17); // the numbers, not six digits of them\n")
    if top.options.axi_bits is not None:
        _patch_stream_bench(top, bench)
        return
    words = status_words(top.network)
    call = f"{name}_axi(inputs,outputs);" if accelerator else f"{name}({top.input.name},{top.output.name});"
    status = ", ".join(f"status[{k}]" for k in range(len(words)))
    ours = f"ap_uint<32> status[{len(words)}];\n            {call[:-2]}, 0, false, {status});"
    replace(bench, call, ours, times=2)


def _patch_stream_bench(top: Top, bench: Path) -> None:
    """Let it send a sample as a batch of one through the exported top."""
    name, data, result = top.network.name, top.input.name, top.output.name
    registers = board_registers(top.network, top.options.upset_slots)
    ports, n_read = [], 0
    for register in registers:
        ports.append("0" if register.written_by_host else f"words[{n_read}]")
        n_read += not register.written_by_host
    lines = (
        f"ap_uint<32> words[{n_read}];",
        'hls::stream<beat_t> stream_in("stream_in"), stream_out("stream_out");',
        'hls::stream<codesign::Frame> frames("frames");',
        f"codesign::store<codesign::Reversed<stream_config>>({data}, codesign::Frame(1), stream_in);",
        f"{name}_axi(stream_in, stream_out, {', '.join(ports)});",
        f"codesign::load<codesign::Reversed<stream_config>>(stream_out, {result}, frames);",
        "frames.read();",
    )
    replace(bench, f"{name}({data},{result});", "\n            ".join(lines), times=2)
    replace(bench, f'#include "firmware/{name}.h"\n', f'#include "firmware/{name}_axi.h"\n')


def write_bench(network: Network, folder: Path, raw_inputs: Ints) -> None:
    """Stimuli and expected logits as the decimal text that hls4ml's test bench reads."""
    logits = forward(network, raw_inputs)[-1]
    np.savetxt(folder / "tb_input_features.dat", to_real(raw_inputs, network.input_type), fmt="%.17g")
    np.savetxt(folder / "tb_output_predictions.dat", to_real(logits, network.layers[-1].result), fmt="%.17g")


def replace(path: Path, old: str, new: str, times: int = 1) -> None:
    """Change a piece of what hls4ml wrote. Raises ToolError when it is not what this version writes."""
    text = path.read_text()
    if text.count(old) != times:
        raise ToolError(f"{path.name}: expected {times} time(s) {old!r} in what hls4ml wrote", [])
    path.write_text(text.replace(old, new))
