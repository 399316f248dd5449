"""The top function of a project: ports, registers, the layers' calls, and the taps behind them."""

from dataclasses import dataclass
from typing import Any

from codesign.hls import graph, kernels
from codesign.hls.options import ProjectOptions
from codesign.hls.registers import Register, inner_registers, status_words
from codesign.network import Layer, Network

_HEADER = """#ifndef {guard}_H_
#define {guard}_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"

#include "defines.h"
#include "nnet_utils/codesign_vote.h"

// The accelerator. The ports behind the data are registers, described in codesign.json.
void {name}(
{ports}
);

#endif
"""

_SOURCE = """#include "{name}.h"
#include "nnet_utils/codesign_status.h"
#include "parameters.h"

// The status registers take in the events of a sample.
static void update_status(
{status_ports}
) {{
    const codesign::Flags flags[{n_layers}] = {{{flags}}};
    #pragma HLS ARRAY_PARTITION variable=flags complete
    ap_uint<32> words[{n_words}];
    #pragma HLS ARRAY_PARTITION variable=words complete
    codesign::report<{n_layers}>(flags, clear, words);
{words}
}}

void {name}(
{ports}
) {{
{interface}

{variables}

{calls}
}}
"""


@dataclass(frozen=True)
class Top:
    """The top function as text, from hls4ml's graph with its calls."""

    network: Network
    options: ProjectOptions
    graph: Any

    @property
    def input(self) -> Any:
        return self.graph.get_input_variables()[0]

    @property
    def output(self) -> Any:
        return self.graph.get_output_variables()[0]

    @property
    def registers(self) -> tuple[Register, ...]:
        return inner_registers(self.network, self.options.upset_slots)

    def header(self) -> str:
        name = self.network.name
        return _HEADER.format(guard=name.upper(), name=name, ports=_lines(self._ports(), ",\n"))

    def source(self) -> str:
        flags = [kernels.flags_name(layer) for _, layer in self.network.compute_layers()]
        words = status_words(self.network)
        status_ports = [f"const codesign::Flags &{name}" for name in flags]
        return _SOURCE.format(
            name=self.network.name,
            status_ports=_lines([*status_ports, "bool clear", *(word.port for word in words)], ",\n"),
            n_layers=len(flags),
            flags=", ".join(flags),
            n_words=len(words),
            words=_lines([f"{word.name} = words[{k}];" for k, word in enumerate(words)]),
            ports=_lines(self._ports(), ",\n"),
            interface=_lines(self._interface()),
            variables=_lines([*(f"codesign::Flags {name};" for name in flags), *self._variables()]),
            calls=_lines([*self._calls(), self._update(flags)]),
        )

    def tap(self, index: int, layer: Layer) -> str:
        """The line behind a layer whose outputs are registers."""
        variable = self._node(layer).get_output_variable()
        return f"CODESIGN_TAP_OUTPUTS({variable.type.name}, {layer.n_out}, {layer.neurons}, {variable.name}, {index});"

    def _node(self, layer: Layer) -> Any:
        return next(node for node in self.graph.get_layers() if node.name == layer.name)

    def _ports(self) -> list[str]:
        data = [variable.definition_cpp(as_reference=True) for variable in (self.input, self.output)]
        return [*data, *(register.port for register in self.registers)]

    def _interface(self) -> list[str]:
        from hls4ml.writer.vivado_writer import VivadoWriter

        data = [self.input, self.output]
        names, streams = ",".join(variable.name for variable in data), self.options.io_type == "io_stream"
        lines = [] if streams else [VivadoWriter._make_array_pragma(variable) for variable in data]
        if self.options.axi_bits is None:  # no ports of our wrapper's inside
            lines.append(f"#pragma HLS INTERFACE {'axis' if streams else 'ap_vld'} port={names}")
            if self.options.backend != "VivadoAccelerator":  # whose wrapper has the registers
                lines += [register.pragma for register in self.registers]
        style = graph.dataflow(self.network, self.options)
        return [*lines, *([f"#pragma HLS {style}"] if style else [])]

    def declaration(self, variable: Any) -> list[str]:
        """The lines that declare what hls4ml passes from layer to layer."""
        from hls4ml.writer.vivado_writer import VivadoWriter

        pragma = [VivadoWriter._make_array_pragma(variable)] if variable.pragma else []
        return [f"{variable.definition_cpp()};", *pragma]

    def _variables(self) -> list[str]:
        ports = (self.input.name, self.output.name)
        variables = [variable for node in self.graph.get_layers() for variable in node.get_variables()]
        return [line for v in variables if v.name not in ports for line in self.declaration(v)]

    def _calls(self) -> list[str]:
        layers = {layer.name: (index, layer) for index, layer in enumerate(self.network.layers)}
        lines = []
        for node in self.graph.get_layers():
            if function := node.get_attr("function_cpp"):
                lines.append(f"{function} // {node.name}")
            index, layer = layers.get(node.name, (0, None))
            if layer is not None and layer.has_registers:
                lines.append(self.tap(index, layer))
        return lines

    def _update(self, flags: list[str]) -> str:
        words = [word.name for word in status_words(self.network)]
        return f"update_status({', '.join([*flags, 'clear', *words])});"


def _lines(lines: list[str], between: str = "\n") -> str:
    return between.join(f"    {line}" for line in lines)
