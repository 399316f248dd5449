"""Design rules of a written project: that what stands in its files is what the network and the plan say.

The files are read back, not compared with what would be written again.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from codesign.codes import Code
from codesign.hls import kernels, tables
from codesign.hls.folder import Project
from codesign.hls.registers import Register, board_registers, inner_registers, register_map, status_words, upset_number
from codesign.hls.wrapper import STREAMS, beat_type, stream_config
from codesign.network import Layer
from codesign.protection import LayerPlan, Mechanism, Scope

# hls4ml's own kernels of layers that compute; none of them may be left in the top function.
_UNPROTECTED = re.compile(r"nnet::((?:dense|conv_\w+|pointwise_\w+|depthwise_\w+|normalize\w*|add)\b[^;(]*)\(")


def check_project(project: Project) -> list[str]:
    """Every rule that the project breaks, one line each; none for a sound project."""
    return _Check(project).findings()


class _Check:
    def __init__(self, project: Project) -> None:
        self._project, self._network = project, project.network
        firmware = project.folder / "firmware"
        self._weights = firmware / "weights"
        self._parameters = _code(firmware / "parameters.h")
        self._top = _code(firmware / f"{project.network.name}.cpp")
        wrapped, name = project.options.wrapped, project.network.name
        self._outer = _code(firmware / f"{name}_axi.cpp") if wrapped else self._top
        self._outer_header = _code(firmware / f"{name}_axi.h") if wrapped else ""

    def findings(self) -> list[str]:
        found = self._registers()
        if self._project.options.axi_bits is not None:
            found += self._streams(self._project.options.axi_bits)
        for index, layer in enumerate(self._network.layers):
            plan = self._project.plan.of_layer(layer)
            broken = [*self._config(index, layer, plan), *self._call(layer)] if layer.protectable else []
            if layer.has_weights:
                broken += self._tables(layer, plan.parameters)
            if layer.has_registers:
                broken += self._tap(index, layer)
            found += [f"layer '{layer.name}': {text}" for text in broken]
        for kernel in _UNPROTECTED.findall(self._top):
            found.append(f"the top function calls hls4ml's unprotected {kernel}")
        return found

    def _config(self, index: int, layer: Layer, plan: LayerPlan) -> list[str]:
        name = kernels.config_name(layer)
        struct = re.search(rf"struct {name} {{(.*?)\n}};", self._parameters, re.DOTALL)
        if struct is None:
            return [f"no struct {name} in parameters.h"]
        body = struct[1]
        wanted = {
            "layer_id": str(index),
            "n_filt": str(layer.neurons),
            "mechanism": f"codesign::Mechanism::{plan.mechanism.name}",
        }
        if layer.has_weights:
            codes = {Code.NONE: "PLAIN", Code.TMR: "TRIPLE", Code.PARITY: "PARITY", Code.ECC: "ECC"}
            wanted |= {
                "reuse_factor": str(layer.reuse_factor),
                "harden_multipliers": "true" if plan.scope is Scope.MAC else "false",
                "parameter_code": f"codesign::Code::{codes[plan.parameters]}",
            }
            if plan.mechanism is Mechanism.RECOMPUTE:
                wanted["dot_size"] = str(plan.dot_size)
        found = dict(re.findall(r"(\w+) = ([\w:]+);", body))
        broken = [
            f"{name} says {key} = {found.get(key)} instead of {value}"
            for key, value in wanted.items()
            if found.get(key) != value
        ]
        bits = re.search(r"hardened_bits\[\d+\] = {([\d, ]*)};", body)
        given = [int(h) for h in bits[1].split(",")] if bits else []
        for neuron, (there, planned) in enumerate(zip(given, plan.hardened_bits, strict=False)):
            if there != planned:
                broken.append(f"neuron {neuron} has {there} hardened bits instead of {planned}")
        if len(given) != layer.neurons:
            broken.append(f"{name} names {len(given)} neurons instead of {layer.neurons}")
        return broken

    def _call(self, layer: Layer) -> list[str]:
        flags = kernels.flags_name(layer)
        number = upset_number(self._network, layer)
        slots = kernels.slots(number, self._project.options.upset_slots if number else 0)
        count = len(kernels.calls(layer, slots).findall(self._top))
        if count != 1:
            what = f"{kernels.entry(layer)} with its own parameters, the guard and {flags}"
            what += " and the upset slots" if slots else ""
            return [f"the top function calls {what} {count} times instead of once"]
        update = re.search(r"\n    update_status\(([^;]*)\);", self._top)
        if update is None or flags not in re.split(r",\s*", update[1]):
            return [f"{flags} do not reach the status registers"]
        return []

    def _tap(self, index: int, layer: Layer) -> list[str]:
        tap = rf"CODESIGN_TAP_OUTPUTS\(\w+, {layer.n_out}, {layer.neurons}, (\w+), {index}\);"
        taps = list(re.finditer(tap, self._top))
        if len(taps) != 1:
            return [f"{len(taps)} taps on its outputs instead of one"]
        # Written by the call right before, and by no other.
        variable = taps[0][1]
        before = self._top[: taps[0].start()].rstrip().rsplit("\n", 1)[-1]
        if not re.search(rf"\b{variable}\b", before):
            return [f"its tap on {variable} does not stand behind its call"]
        return []

    def _tables(self, layer: Layer, code: Code) -> list[str]:
        broken = []
        for name, parameter in zip(tables.names(layer), (layer.w, layer.b), strict=True):
            try:
                found = tables.parse((self._weights / f"{name}.h").read_text())
            except (OSError, ValueError) as error:
                broken.append(f"table {name}: {error}")
                continue
            expected = tables.stored(parameter, code)
            if len(found) != len(expected):
                broken.append(f"table {name} has {len(found)} words instead of {len(expected)}")
            elif len(wrong := np.flatnonzero(found != expected)):
                place = int(wrong[0])
                broken.append(f"table {name}, word {place}: {found[place]} instead of {expected[place]}")
        return broken

    def _registers(self) -> list[str]:
        """Each has its port, its address, and a way from the outermost function to the inner one."""
        broken = []
        for register in self._all_registers:
            if register.port not in self._outer:
                broken.append(f"register {register.name} is no port")
            if f"{register.pragma}\n" not in self._outer:
                broken.append(f"register {register.name} has no address {register.offset:#x}")
        inner = inner_registers(self._network, self._project.options.upset_slots)
        names = [register.name for register in inner]
        call = rf"\n    {self._network.name}\(\w+, \w+, {', '.join(names)}\);"
        if self._outer is not self._top and len(re.findall(call, self._outer)) != 1:
            broken.append("the wrapper does not pass the registers on")
        words = [word.name for word in status_words(self._network)]
        if f"clear, {', '.join(words)});" not in self._top:
            broken.append("the status words are not brought up to date")
        return broken

    @property
    def _all_registers(self) -> tuple[Register, ...]:
        own = self._project.options.axi_bits is not None
        slots = self._project.options.upset_slots
        return board_registers(self._network, slots) if own else register_map(self._network)

    def _streams(self, bits: int) -> Iterator[str]:
        """The wrapper's ports are streams, samples go through it by way of the accelerator, and it tells who it is."""
        passed = inner_registers(self._network, self._project.options.upset_slots)
        own = [r.name for r in self._all_registers if r not in passed]
        for pragma in (*(f"axis port={stream}" for stream in STREAMS), "ap_ctrl_none port=return"):
            if f"#pragma HLS INTERFACE {pragma}\n" not in self._outer:
                yield f"the wrapper has no interface {pragma}"
        call = rf"\n    {self._network.name}\((\w+), (\w+), "
        inner = re.search(call, self._outer)
        data, result = (inner[1], inner[2]) if inner else ("", "")
        for line in (
            f"codesign::load<stream_config>({STREAMS[0]}, {data}, frames);",
            f"codesign::deliver<stream_config>({result}, frames, {STREAMS[1]}, {', '.join(own)});",
        ):
            if self._outer.count(f"\n    {line}\n") != 1:
                yield f"the wrapper does not call {line}"
        wanted = stream_config(self._network, self._project.plan, bits)
        for key, value in wanted.items():
            if f"static const {key} = {value};\n" not in self._outer_header:
                yield f"stream_config does not say {key} = {value}"
        if f"typedef {beat_type(self._project.options)} beat_t;\n" not in self._outer_header:
            yield f"the streams' beats are not {beat_type(self._project.options)}"


def _code(path: Path) -> str:
    """The text of a source without its comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
