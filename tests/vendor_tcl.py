"""Vivado's block-design commands as far as the scripts use them: they record, and refuse what no IP has.

A script runs in Python's own Tcl interpreter. What pins an IP has is in the tables below, from AMD's product guides
(PG021 AXI DMA, PG059 AXI Interconnect, PG082 Zynq-7000, PG164 Processor System Reset, PG201 UltraScale+, PG247
SmartConnect); the accelerator's own are read from the sources that the HLS tool is given.
"""

import re
import tkinter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# Interface pins of an IP: direction of the data (master or slave) and protocol; plain pins: direction, and what it is.
Pins = dict[str, tuple[str, str]]
_IN_CLOCK, _IN_RESET = ("in", "clock"), ("in", "reset")


def _dma() -> Pins:
    interfaces = {"S_AXI_LITE": "slave", "M_AXI_MM2S": "master", "M_AXI_S2MM": "master"}
    streams = {"M_AXIS_MM2S": "master", "S_AXIS_S2MM": "slave"}
    clocks = ("s_axi_lite_aclk", "m_axi_mm2s_aclk", "m_axi_s2mm_aclk")
    return {
        **{name: (side, "axi") for name, side in interfaces.items()},
        **{name: (side, "axis") for name, side in streams.items()},
        **dict.fromkeys(clocks, _IN_CLOCK),
        "axi_resetn": _IN_RESET,
    }


IPS: dict[str, Pins] = {
    "xilinx.com:ip:axi_dma": _dma(),
    "xilinx.com:ip:proc_sys_reset": {
        "slowest_sync_clk": _IN_CLOCK,
        "ext_reset_in": _IN_RESET,
        "peripheral_aresetn": ("out", "reset"),
        "interconnect_aresetn": ("out", "reset"),
    },
    "xilinx.com:ip:processing_system7": {
        "M_AXI_GP0": ("master", "axi"),
        "S_AXI_HP0": ("slave", "axi"),
        "M_AXI_GP0_ACLK": _IN_CLOCK,
        "S_AXI_HP0_ACLK": _IN_CLOCK,
        "FCLK_CLK0": ("out", "clock"),
        "FCLK_RESET0_N": ("out", "reset"),
    },
    "xilinx.com:ip:zynq_ultra_ps_e": {
        "M_AXI_HPM0_FPD": ("master", "axi"),
        "S_AXI_HP0_FPD": ("slave", "axi"),
        "maxihpm0_fpd_aclk": _IN_CLOCK,
        "saxihp0_fpd_aclk": _IN_CLOCK,
        "pl_clk0": ("out", "clock"),
        "pl_resetn0": ("out", "reset"),
    },
}


def _ports(n_si: int, n_mi: int) -> dict[str, str]:
    return {**{f"S{k:02}": "slave" for k in range(n_si)}, **{f"M{k:02}": "master" for k in range(n_mi)}}


def interconnect_pins(vlnv: str, n_si: int, n_mi: int) -> Pins:
    ports = _ports(n_si, n_mi)
    pins: Pins = {f"{name}_AXI": (side, "axi") for name, side in ports.items()}
    if vlnv == "xilinx.com:ip:smartconnect":
        return {**pins, "aclk": _IN_CLOCK, "aresetn": _IN_RESET}
    pins |= {f"{name}_ACLK": _IN_CLOCK for name in ports} | {f"{name}_ARESETN": _IN_RESET for name in ports}
    return {**pins, "ACLK": _IN_CLOCK, "ARESETN": _IN_RESET}


INTERCONNECTS = ("xilinx.com:ip:smartconnect", "xilinx.com:ip:axi_interconnect")


def exported_pins(folder: Path, top: str) -> Pins:
    """The accelerator's pins, from the pragmas of its C++ top function."""
    source = (folder / "firmware" / f"{top}.cpp").read_text()
    pins: Pins = {"ap_clk": _IN_CLOCK, "ap_rst_n": _IN_RESET}
    written = re.findall(r"hls::stream<beat_t> &(\w+)", source)
    for number, name in enumerate(written):
        assert f"#pragma HLS INTERFACE axis port={name}\n" in source
        pins[name] = ("slave" if number == 0 else "master", "axis")
    for bundle in set(re.findall(r"s_axilite port=\w+ bundle=(\w+)", source)):
        pins[f"s_axi_{bundle}"] = ("slave", "axi")
    return pins


@dataclass
class Design:
    """What a script has built."""

    own: dict[str, Pins]
    board_parts: tuple[str, ...] = ("vendor:board:part0:1.0",)
    cells: dict[str, str] = field(default_factory=dict)
    properties: dict[str, dict[str, str]] = field(default_factory=dict)
    nets: dict[str, str] = field(default_factory=dict)  # sink to source
    links: dict[str, str] = field(default_factory=dict)  # slave to master
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def pins(self, cell: str) -> Pins:
        vlnv = self.cells[cell]
        if vlnv in INTERCONNECTS:
            counts = self.properties.get(cell, {})
            return interconnect_pins(vlnv, *(int(counts.get(f"CONFIG.NUM_{side}", 1)) for side in ("SI", "MI")))
        return IPS[vlnv] if vlnv in IPS else self.own[vlnv]

    def pin(self, path: str) -> tuple[str, str]:
        cell, _, name = path.partition("/")
        if cell not in self.cells or name not in self.pins(cell):
            raise tkinter.TclError(f"no pin {path}")
        return self.pins(cell)[name]

    def called(self, command: str) -> list[tuple[str, ...]]:
        return [call[1:] for call in self.calls if call[0] == command]

    # ------------------------------------------------------------ commands

    def create_bd_cell(self, *words: str) -> str:
        _, kind, _, vlnv, name = words
        if kind != "ip" or vlnv not in {*IPS, *INTERCONNECTS, *self.own}:
            raise tkinter.TclError(f"no IP {vlnv}")
        if name in self.cells:
            raise tkinter.TclError(f"cell {name} is there already")
        self.cells[name] = vlnv
        return name

    def get_bd_cells(self, name: str) -> str:
        if name not in self.cells:
            raise tkinter.TclError(f"no cell {name}")
        return name

    def get_bd_pins(self, path: str) -> str:
        if self.pin(path)[0] not in ("in", "out"):
            raise tkinter.TclError(f"{path} is an interface")
        return path

    def get_bd_intf_pins(self, *words: str) -> str:
        path = words[-1]
        try:
            side = self.pin(path)[0]
        except tkinter.TclError:
            if "-quiet" in words:
                return ""
            raise
        if side not in ("master", "slave"):
            raise tkinter.TclError(f"{path} is no interface")
        return path

    def connect_bd_net(self, source: str, sink: str) -> str:
        (out, what), (into, wanted) = self.pin(source), self.pin(sink)
        if (out, into) != ("out", "in") or what != wanted or sink in self.nets:
            raise tkinter.TclError(f"cannot connect {source} ({out} {what}) to {sink} ({into} {wanted})")
        self.nets[sink] = source
        return ""

    def connect_bd_intf_net(self, a: str, b: str) -> str:
        (side, protocol), (other, wanted) = self.pin(a), self.pin(b)
        if (side, other) != ("master", "slave") or protocol != wanted or b in self.links or a in self.links.values():
            raise tkinter.TclError(f"cannot connect {a} ({side} {protocol}) to {b} ({other} {wanted})")
        self.links[b] = a
        return ""

    def set_property(self, *words: str) -> str:
        pairs, target = (words[1], words[2]) if words[0] == "-dict" else (f"{words[0]} {{{words[1]}}}", words[2])
        values = list(map(str, tkinter.Tcl().splitlist(pairs)))
        self.properties.setdefault(target, {}).update(zip(values[::2], values[1::2], strict=True))
        return ""

    def get_board_parts(self, *_: str) -> str:
        return " ".join(self.board_parts)

    def unconnected(self) -> set[str]:
        """Clocks, resets and interfaces that lead nowhere."""
        there = {f"{cell}/{name}": pin for cell in self.cells for name, pin in self.pins(cell).items()}
        used = {*self.nets, *self.links, *self.links.values()}
        return {path for path, (side, _) in there.items() if side != "out" and path not in used}


# Commands that only have to be there, and what they give back.
_RECORDED = {
    "create_project": "",
    "current_project": "project",
    "update_ip_catalog": "",
    "create_bd_design": "",
    "apply_bd_automation": "",
    "assign_bd_address": "",
    "validate_bd_design": "",
    "save_bd_design": "",
    "get_files": "system.bd",
    "generate_target": "",
    "make_wrapper": "system_wrapper.v",
    "add_files": "",
    "current_fileset": "sources_1",
    "update_compile_order": "",
    "launch_runs": "",
    "wait_on_run": "",
    "get_runs": "impl_1",
    "open_run": "",
    "report_utilization": "",
    "report_timing_summary": "",
    "get_timing_paths": "path",
    # HLS
    "open_project": "",
    "set_top": "",
    "open_solution": "",
    "config_array_partition": "",
    "config_compile": "",
    "config_schedule": "",
    "set_part": "",
    "create_clock": "",
    "set_clock_uncertainty": "",
    "csynth_design": "",
    "export_design": "",
    # kernels
    "package_xo": "",
    "ipx::open_core": "core",
    "ipx::update_checksums": "",
    "ipx::save_core": "",
}
_RUN = {"PROGRESS": "100%", "STATUS": "write_bitstream Complete!", "DIRECTORY": "run", "SLACK": "0.5"}


def run(script: Path, design: Design, run_properties: dict[str, str] | None = None) -> Design:
    """Run a script with stubs for the vendor's commands, in its folder. Raises tkinter.TclError as Tcl does.

    Tcl leaves the working directory as it was; `exit` ends the script only.
    """
    interpreter = tkinter.Tcl()
    interpreter.eval("namespace eval ipx {}")
    answers = {**_RUN, **(run_properties or {})}
    refused: list[str] = []

    def record(name: str, act: Callable[..., str]) -> None:
        def command(*words: str) -> str:
            texts = tuple(str(word) for word in words)
            design.calls.append((name, *texts))
            try:
                return act(*texts)
            except tkinter.TclError as error:
                refused.append(str(error))  # tkinter drops the text of an error in a command of Python's
                raise

        interpreter.createcommand(name, command)

    for name, value in _RECORDED.items():
        record(name, lambda *_, value=value: value)
    for name in (
        *("create_bd_cell", "get_bd_cells", "get_bd_pins", "get_bd_intf_pins", "connect_bd_net"),
        *("connect_bd_intf_net", "set_property", "get_board_parts"),
    ):
        record(name, getattr(design, name))
    record("get_property", lambda name, *_: answers[name])
    record("puts", lambda *_: "")
    before = interpreter.eval("pwd")
    try:
        # `exit` would end Python.
        interpreter.eval("proc exit {args} {return -level [expr {[info level] + 1}]}")
        interpreter.eval("source {" + str(script) + "}")
    except tkinter.TclError as error:
        raise tkinter.TclError(str(error) or refused[-1]) from None
    finally:
        interpreter.eval("cd {" + before + "}")
    return design
