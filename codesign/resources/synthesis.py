"""Open synthesis of a design: its RTL mapped by Yosys, counted, and its redundancy proven in the result."""

import contextlib
import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codesign.errors import ConfigError, one_of
from codesign.files import write_atomically
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import CAUSES, EstimatePolicy
from codesign.resources.flows import DSP_TILES
from codesign.resources.mapping import FAMILIES, Family, Mapped, map_modules, tool_version
from codesign.resources.redundancy import prove
from codesign.resources.report import ResourceReport
from codesign.resources.rtl import Rtl, rtl


@dataclass
class Occupied:
    """Primitives of a layer; LUTs by cause. `rom` of the LUTs are memories: stored parameters, which are constants."""

    lut_by_cause: Counter[str] = field(default_factory=Counter)
    ff: int = 0
    carry: int = 0
    rom: int = 0
    dsp: int = 0

    @property
    def lut(self) -> int:
        return sum(self.lut_by_cause.values())

    def add(self, cause: str, mapped: Mapped, modules: Mapping[str, Mapped]) -> None:
        """A module's own primitives, and those of everything that it instantiates, under one cause."""
        self.lut_by_cause[cause] += mapped.lut
        self.ff += mapped.ff
        self.carry += mapped.carry
        self.dsp += mapped.dsp
        for kind in mapped.cells.elements():
            if kind in modules:
                self.add(cause, modules[kind], modules)

    def to_json(self) -> dict[str, Any]:
        causes = {cause: self.lut_by_cause[cause] for cause in CAUSES}
        own = {name: getattr(self, name) for name in ("lut", "rom", "ff", "carry", "dsp")}
        return {**own, "lut_by_cause": causes}


@dataclass(frozen=True)
class Synthesis:
    """A mapped design: figures, those of each layer (`""` is what stands between them), and the netlists by name.

    `copies` of neurons were found in them, as the plan has it, and apart.
    """

    design: Rtl
    report: ResourceReport
    layers: Mapping[str, Occupied]
    modules: Mapping[str, Mapped]
    copies: int

    def to_json(self) -> dict[str, Any]:
        """The report's fields, the LUTs by cause, the carry primitives, the copies counted, and the layers."""
        causes = {cause: sum(layer.lut_by_cause[cause] for layer in self.layers.values()) for cause in CAUSES}
        layers = [{"name": name, **layer.to_json()} for name, layer in self.layers.items()]
        carry = sum(layer.carry for layer in self.layers.values())
        return {
            **self.report.to_json(),
            "lut_by_cause": causes,
            "carry": carry,
            "copies": self.copies,
            "layers": layers,
        }


_DEFAULT = EstimatePolicy()


def synthesise(
    network: Network,
    plan: ProtectionPlan,
    *,
    clock_ns: float = 5.0,
    family: Family = "xc7",
    policy: EstimatePolicy = _DEFAULT,
    cache: Path | None = None,
) -> Synthesis:
    """Write the design's RTL, map it and count. The policy says which layers share adders and what becomes a DSP.

    Registers cut the logic as the estimate cuts it at that clock. Raises ConfigError for layers and mechanisms without
    RTL, and for a DSP larger than the family's; ToolError when Yosys or da4ml is missing or fails, ReportError when the
    mapped design has not the plan's copies.
    """
    one_of("family", family, FAMILIES)
    if max(policy.dsp_tile) > max(tile := DSP_TILES[family]) or min(policy.dsp_tile) > min(tile):
        raise ConfigError(f"a DSP of {family} multiplies {tile[0]} x {tile[1]} bits, the policy says {policy.dsp_tile}")
    design = rtl(network, plan, policy.levels_per_cycle(clock_ns), policy=policy)
    with _uncollected():
        return _mapped(design, plan, float(clock_ns), family, cache)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Netlists are millions of objects without cycles, among which Python would look for cycles, and for long."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _mapped(design: Rtl, plan: ProtectionPlan, clock_ns: float, family: Family, cache: Path | None) -> Synthesis:
    modules = map_modules(design.top.every(), family, cache)
    layers = _layers(design, modules)
    report = ResourceReport(
        lut=sum(layer.lut for layer in layers.values()),
        ff=sum(layer.ff for layer in layers.values()),
        dsp=sum(layer.dsp for layer in layers.values()),
        bram_18k=0,
        latency_cycles=design.latency,
        ii=design.ii,
        clock_ns=clock_ns,
        source="yosys",
        tool_version=f"{tool_version()} {family}",
        stage="mapped",
    )
    return Synthesis(design, report, layers, modules, prove(design, modules, plan))


def write_rtl(
    network: Network,
    plan: ProtectionPlan,
    folder: Path,
    *,
    clock_ns: float = 5.0,
    policy: EstimatePolicy = _DEFAULT,
) -> Path:
    """The Verilog that `synthesise` maps, in one file named after the network; gives the file.

    Raises ConfigError for layers and mechanisms without RTL, and where it cannot be written.
    """
    design = rtl(network, plan, policy.levels_per_cycle(clock_ns), policy=policy)
    path = folder / f"{network.name}.v"
    write_atomically(path, "\n".join(module.text for module in design.top.every().values()))
    return path


def _layers(design: Rtl, modules: Mapping[str, Mapped]) -> dict[str, Occupied]:
    top = modules[design.top.name]
    found = {"": Occupied(Counter(function=top.lut), top.ff, top.carry)}
    for name, module in design.layers.items():
        mapped, layer = modules[module.name], Occupied()
        layer.lut_by_cause["function"] += mapped.lut
        layer.ff, layer.carry = mapped.ff, mapped.carry
        for instance, cell in mapped.netlist["cells"].items():
            if cell["type"] in modules:
                layer.add(cause_of(instance), modules[cell["type"]], modules)
                if cell["type"].startswith("rom_"):
                    layer.rom += modules[cell["type"]].lut
        found[name] = layer
    return found


def cause_of(instance: str) -> str:
    """What an instance of a layer's module is there for: the first copy does what the unprotected neuron does.

    The choice of the operands of a unit that recomputes stands in the layer's own module and counts as its function.
    """
    part = instance.rsplit("_", 1)[-1]
    if part == "status":
        return "status"
    if part == "voter":
        return "voters"
    if instance.startswith("again_"):
        return "replicas"
    return "replicas" if part.startswith("copy") and part != "copy0" else "function"
