"""Verilog modules mapped to a Xilinx family's primitives by Yosys: each on its own, several at once, and only once.

Adders are kept apart (`alumacc` before anything could join them into sums of many terms) and LUTs are covered by
`abc`: on adder graphs that gives what the adders' widths add up to.
"""

import gzip
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from codesign.errors import ToolError, one_of
from codesign.files import cache_folder, digest_of, write_atomically
from codesign.progress import say
from codesign.resources.rtl.verilog import KEEP, Module

Family = Literal["xc7", "xcup"]
FAMILIES: tuple[Family, ...] = ("xc7", "xcup")
# Operand widths of a family's DSP: DSP48E1 (AMD UG479) and DSP48E2 (UG579).
DSP_TILES: dict[Family, tuple[int, int]] = {"xc7": (25, 18), "xcup": (27, 18)}
_DSP_MAPS: dict[Family, str] = {"xc7": "xc7_dsp_map", "xcup": "xcu_dsp_map"}
LIMIT_S = 3600.0
# One child maps modules of about so many characters: fewer leave its start-up idle, more leave a core without work.
_BATCH_CHARACTERS = 150_000

_FLOW = """
read_verilog {source}
read_verilog -lib -specify +/xilinx/cells_sim.v
read_verilog -lib +/xilinx/cells_xtra.v
proc
wreduce A:use_dsp
techmap -map +/mul2dsp.v -D DSP_A_MAXWIDTH={wide} -D DSP_B_MAXWIDTH=18 -D DSP_A_MINWIDTH=1 -D DSP_B_MINWIDTH=1 \
  -D DSP_SIGNEDONLY=1 -D DSP_NAME=$__MUL{wide}X18 A:use_dsp
chtype -set $mul t:$__soft_mul
techmap -map +/xilinx/{dsp_map}.v A:use_dsp
{flatten}
opt_expr
opt_clean
wreduce
alumacc
opt
synth_xilinx -family {family} -noiopad -noclkbuf -nodsp -run prepare:map_luts
opt_expr -mux_undef -noclkinv
abc -luts 2:2,3,6:5,10,20
clean
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
xilinx_dffopt
opt_lut_ins -tech xilinx
opt_clean
select *
write_json -selected {result}
"""
_CHILD = "import sys; from pyosys import libyosys as y; y.Design().run_pass('script ' + sys.argv[1])"


@dataclass(frozen=True)
class Mapped:
    """A module's primitives and instances: `netlist` as Yosys writes it, with `ports`, `cells` and `netnames`."""

    netlist: Mapping[str, Any]

    @cached_property
    def cells(self) -> Counter[str]:
        """How many of each kind."""
        return Counter(cell["type"] for cell in self.netlist["cells"].values())

    @property
    def lut(self) -> int:
        """LUT primitives; an inverter is one as well."""
        return sum(n for kind, n in self.cells.items() if kind.startswith("LUT") or kind == "INV")

    @property
    def ff(self) -> int:
        return sum(n for kind, n in self.cells.items() if kind.startswith("FD"))

    @property
    def carry(self) -> int:
        return sum(n for kind, n in self.cells.items() if kind.startswith("CARRY"))

    @property
    def dsp(self) -> int:
        return sum(n for kind, n in self.cells.items() if kind.startswith("DSP48"))


def tool_version() -> str:
    """Raises ToolError where Yosys is missing, with how to get it."""
    try:
        return f"yosys {importlib.metadata.version('pyosys')}"
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(
            "Yosys is not installed: pip install 'codesign[yosys]', or use --source estimate", ["pyosys"]
        ) from None


def map_flat(top: Module, family: Family = "xc7", cache: Path | None = None) -> dict[str, Mapped]:
    """A design without its hierarchy, as a tool makes it that is not told to keep it: one module, by its name."""
    text = "".join(module.text for module in top.every().values()).replace(KEEP, "")
    return map_modules({top.name: Module(top.name, text)}, family, cache, flat=True)


def map_modules(
    modules: Mapping[str, Module], family: Family = "xc7", cache: Path | None = None, *, flat: bool = False
) -> dict[str, Mapped]:
    """Every module's netlist, by name: from the cache, or mapped now on all cores.

    With `flat` what a module's text holds becomes one module. Raises ToolError, with the log, when Yosys fails or is
    missing.
    """
    one_of("family", family, FAMILIES)
    folder = (cache or cache_folder()) / "yosys" / digest_of(_FLOW, tool_version(), family, str(flat))[:16]
    folder.mkdir(parents=True, exist_ok=True)
    missing = {name: module for name, module in modules.items() if not _file(folder, module).exists()}
    if missing:
        _map(missing, family, folder, flat)
    return {name: Mapped(json.loads(gzip.decompress(_file(folder, m).read_bytes()))) for name, m in modules.items()}


def _file(folder: Path, module: Module) -> Path:
    """Names tell contents apart, but for a design's top module."""
    return folder / f"{digest_of(module.text)[:32]}.json.gz"


def _map(modules: Mapping[str, Module], family: Family, folder: Path, flat: bool) -> None:
    batches = _batches(modules)
    say(f"Yosys maps {len(modules)} modules")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        waiting = [_Run(batch, family, Path(name) / str(number), flat) for number, batch in enumerate(batches)]
        running: list[_Run] = []
        try:
            while waiting or running:
                while waiting and len(running) < (os.cpu_count() or 1):
                    running.append(waiting.pop(0).start())
                first = running.pop(0)
                for module, netlist in first.result(folder).items():
                    write_atomically(_file(folder, modules[module]), gzip.compress(json.dumps(netlist).encode(), 1))
        finally:
            for run in running:
                run.stop()


def _batches(modules: Mapping[str, Module]) -> list[list[Module]]:
    """Modules of about one size together, the longest first."""
    batches: list[list[Module]] = []
    room = 0
    for module in sorted(modules.values(), key=lambda m: (-len(m.text), m.name)):
        if room < len(module.text):
            batches.append([])
            room = _BATCH_CHARACTERS
        batches[-1].append(module)
        room -= len(module.text)
    return batches


class _Run:
    """One Yosys process: an error ends the process, and its memory is given back."""

    def __init__(self, modules: list[Module], family: Family, folder: Path, flat: bool) -> None:
        self.modules, self.folder = modules, folder
        folder.mkdir()
        own = {module.name for module in modules}
        stubs = {part.name: part.stub for module in modules for part in module.parts if part.name not in own}
        (folder / "source.v").write_text("".join([*stubs.values(), *(module.text for module in modules)]))
        flow = _FLOW.format(
            source=folder / "source.v",
            family=family,
            wide=DSP_TILES[family][0],
            dsp_map=_DSP_MAPS[family],
            result=folder / "result.json",
            flatten=f"hierarchy -top {modules[0].name}\nflatten -noscopeinfo" if flat else "",
        )
        (folder / "flow.ys").write_text(flow)
        self.command = [sys.executable, "-c", _CHILD, str(folder / "flow.ys")]
        self.log = folder / "yosys.log"

    def start(self) -> "_Run":
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        return self

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def result(self, keep: Path) -> dict[str, Any]:
        """The netlists. A failed run's log is kept."""
        try:
            code = self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.stop()
            raise ToolError(f"Yosys took more than {LIMIT_S:g} s", self.command, self._kept_log(keep)) from None
        except BaseException:
            self.stop()
            raise
        lines = self.log.read_text(errors="replace").splitlines()
        if code or not (self.folder / "result.json").is_file():
            error = next((line for line in lines if line.startswith("ERROR")), f"exit code {code}")
            raise ToolError(f"Yosys failed: {error}", self.command, self._kept_log(keep))
        found = json.loads((self.folder / "result.json").read_text())["modules"]
        return {module.name: _essential(found[module.name]) for module in self.modules}

    def _kept_log(self, keep: Path) -> Path:
        log = keep / "failed.log"
        write_atomically(log, self.log.read_bytes())
        return log


def _essential(module: dict[str, Any]) -> dict[str, Any]:
    """A netlist without what only a reader of the source needs."""
    cells = {
        name: {key: cell[key] for key in ("type", "parameters", "port_directions", "connections")}
        for name, cell in module["cells"].items()
    }
    nets = {name: net["bits"] for name, net in module["netnames"].items() if not net["hide_name"]}
    return {"ports": module["ports"], "cells": cells, "netnames": nets}
