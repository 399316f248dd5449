"""hls4ml's project writers, with our top function, our weight tables and the registers' way to the outside."""

import contextlib
import io
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hls4ml.writer.vitis_writer import VitisWriter
from hls4ml.writer.vivado_accelerator_writer import VivadoAcceleratorWriter
from hls4ml.writer.vivado_writer import VivadoWriter

from codesign.assets import asset
from codesign.hls import tables
from codesign.hls.glue import patch_bench, replace
from codesign.hls.options import ProjectOptions
from codesign.hls.registers import BUNDLE
from codesign.hls.top import Top
from codesign.hls.wrapper import wrapper_header, wrapper_source
from codesign.protection import ProtectionPlan

# The processor's port through which hls4ml's block design for a part controls the DMA.
_MASTERS = {
    "xc7z020clg400-1": "/processing_system7_0/M_AXI_GP0",
    "xczu9eg-ffvb1156-2-e": "/zynq_ultra_ps_e_0/M_AXI_HPM0_FPD",
}


def write_hls4ml_project(top: Top, plan: ProtectionPlan, folder: Path) -> None:
    """All that hls4ml writes, and our changes to it."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # hls4ml leaves its list of boards open
        _WRITERS[top.options.backend](top).write_hls(top.graph)
    for _, layer in top.network.compute_layers():
        for name, header in tables.tables(layer, plan.of_layer(layer).parameters).items():
            (folder / "firmware/weights" / f"{name}.h").write_text(header)
    patch_bench(top, folder)
    if top.options.backend == "VivadoAccelerator":
        _open_wrapper(top, folder)
    # The bridge does not know our ports; csim.cpp stands for it.
    for leftover in ("build_lib.sh", f"{top.network.name}_bridge.cpp"):
        (folder / leftover).unlink()


def write_wrapper(top: Top, plan: ProtectionPlan, folder: Path) -> None:
    """The top on AXI streams around the accelerator, and what it needs."""
    name, firmware, sources = top.network.name, folder / "firmware", asset("hls_templates")
    (firmware / f"{name}_axi.h").write_text(wrapper_header(top, plan))
    (firmware / f"{name}_axi.cpp").write_text(wrapper_source(top))
    for header in ("codesign_axi.h", "codesign_burst.h"):
        shutil.copyfile(sources / header, firmware / "nnet_utils" / header)
    _patch_script(folder / "build_prj.tcl")
    # The vendor's tools do not look there for headers.
    shutil.copyfile(sources / "codesign_axi_sdata.h", firmware / "ap_types/ap_axi_sdata.h")


def _patch_script(script: Path) -> None:
    """Let hls4ml's script of simulations and synthesis take the wrapper for the top."""
    name = "${project_name}"
    source = f'add_files firmware/{name}.cpp -cflags "-std=c++0x"\n'
    replace(script, source, source + source.replace(".cpp", "_axi.cpp"))
    replace(script, f"set_top {name}\n", f"set_top {name}_axi\n")
    replace(script, f"sim/verilog/{name}.tcl", f"sim/verilog/{name}_axi.tcl", times=2)
    replace(script, f"sim/report/{name}_cosim.rpt", f"sim/report/{name}_axi_cosim.rpt")


class _OwnTop:
    """hls4ml's writer with our top function, and without what names this machine or needs Keras."""

    def __init__(self, top: Top) -> None:
        super().__init__()
        self._top = top

    def write_project_cpp(self, _: Any) -> None:
        self._write(f"{self._top.network.name}.cpp", self._top.source())

    def write_project_header(self, _: Any) -> None:
        self._write(f"{self._top.network.name}.h", self._top.header())

    def _write(self, name: str, text: str) -> None:
        (Path(self._top.graph.config.get_output_dir()) / "firmware" / name).write_text(text)

    def write_yml(self, _: Any) -> None:
        pass

    def write_tar(self, _: Any) -> None:
        pass

    def write_new_tar(self, _: Any) -> None:
        pass


class _Vivado(_OwnTop, VivadoWriter):
    pass


class _Vitis(_OwnTop, VitisWriter):
    pass


class _VivadoAccelerator(_OwnTop, VivadoAcceleratorWriter):
    pass


_WRITERS: dict[str, Callable[[Top], Any]] = {
    "Vivado": _Vivado,
    "Vitis": _Vitis,
    "VivadoAccelerator": _VivadoAccelerator,
}


def _open_wrapper(top: Top, folder: Path) -> None:
    """Pass the registers through hls4ml's AXI wrapper, and connect them in its block design."""
    name = top.network.name
    header, source = (folder / f"firmware/{name}_axi.{suffix}" for suffix in ("h", "cpp"))
    old = f"void {name}_axi(input_axi_t in[N_IN], output_axi_t out[N_OUT])"
    ports = "".join(f",\n    {register.port}" for register in top.registers)
    for path in (header, source):
        replace(path, old, f"{old[:-1]}{ports})")
    call = f"{name}(in_local, out_local);"
    replace(source, call, f"{call[:-2]}, {', '.join(register.name for register in top.registers)});")
    axis = "    #pragma HLS INTERFACE axis port=out\n"
    replace(source, axis, axis + "".join(f"    {register.pragma}\n" for register in top.registers))
    _connect(folder / "design.tcl", top.options)


def _connect(design: Path, options: ProjectOptions) -> None:
    """Connect the registers' AXI-lite port as the DMA's is, before both are grouped."""
    group = "group_bd_cells hier_0"
    pin = f"${{project_name}}_axi_0/s_axi_{BUNDLE}"
    rule = (
        "apply_bd_automation -rule xilinx.com:bd_rule:axi4 -config [subst { Clk_master {Auto} Clk_slave {Auto} "
        f"Clk_xbar {{Auto}} Master {{{_MASTERS[options.part]}}} Slave {{/{pin}}} ddr_seg {{Auto}} "
        f"intc_ip {{Auto}} master_apm {{0}}}}] [get_bd_intf_pins {pin}]\n\n"
    )
    replace(design, group, rule + group)
