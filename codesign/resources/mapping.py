"""Verilog modules mapped to a Xilinx family's primitives by Yosys: each on its own, several at once, and only once."""

import gzip
import importlib.metadata
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from codesign.campaign.batches import available_cores
from codesign.errors import ConfigError, ToolError, one_of
from codesign.files import cache_folder, digest_of, write_atomically
from codesign.progress import bar
from codesign.resources.flows import FLOWS_DIGEST, MAPS, Flow, flow_of, primitive, script
from codesign.resources.rtl.verilog import KEEP, Module
from codesign.resources.yosys import Batch, run_all

Family = Literal["xc7", "xcup"]
FAMILIES: tuple[Family, ...] = ("xc7", "xcup")
# A process takes as many modules as keep its start-up small beside its work, and the last ones fewer, so that all cores
# are busy until the end: characters of Verilog, and how many batches a core shall have from any point on.
_BATCH_CHARACTERS, _BATCHES_A_CORE = (60_000, 300_000), 3
# Parts of codesign.resources' part numbers that tell a family: 7 series, and UltraScale+ (its Alveo cards: xcu250).
_PARTS = {"xc7": re.compile(r"x[acq]7"), "xcup": re.compile(r"x[acq](zu\d|k2\d|u\d|[akv]u\d+p)")}


@dataclass(frozen=True, eq=False)
class Mapped:
    """A module's primitives and instances: how many of each kind. The netlist is unpacked when it is asked for."""

    cells: Counter[str]
    packed: bytes

    @classmethod
    def of(cls, netlist: Mapping[str, Any]) -> "Mapped":
        """What has `ports`, `cells` and `netnames` as Yosys writes them."""
        cells = Counter(str(cell["type"]) for cell in netlist["cells"].values())
        text = f"{json.dumps(cells)}\n{json.dumps(netlist)}"
        mapped = cls(cells, gzip.compress(text.encode(), 1, mtime=0))
        vars(mapped)["netlist"] = netlist  # it is asked for soon, and takes as long to unpack as to map
        return mapped

    @classmethod
    def unpacked(cls, packed: bytes) -> "Mapped":
        """Raises ValueError, EOFError, OSError or zlib.error for what `of` did not pack."""
        cells, _, _ = gzip.decompress(packed).partition(b"\n")
        return cls(Counter(json.loads(cells)), packed)

    @cached_property
    def netlist(self) -> Mapping[str, Any]:
        _, _, text = gzip.decompress(self.packed).partition(b"\n")
        found: Mapping[str, Any] = json.loads(text)
        return found

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


def family_of(part: str) -> Family:
    """The family of a part number. Raises ConfigError for another one than the flow maps to."""
    for family in FAMILIES:
        if _PARTS[family].match(part.lower()):
            return family
    raise ConfigError(
        f"part '{part}' is neither of the 7 series nor UltraScale+: choose what to map to, --family xc7 or xcup"
    )


def map_flat(top: Module, family: Family = "xc7", cache: Path | None = None) -> dict[str, Mapped]:
    """A design without its hierarchy, as a tool makes it that is not told to keep it: one module, by its name."""
    return map_modules({top.name: flattened(top)}, family, cache, flat=True)


def flattened(top: Module) -> Module:
    """A module with all below it, none of which asks to be kept; `map_modules` makes one of them with `flat`.

    The nets between a neuron's parts are kept as nets: logic of both sides does not get into one LUT, so that it can be
    told to which side it belongs. That hinders no tool in merging copies.
    """
    text = "".join(module.text for module in top.every().values()).replace(KEEP, "")
    return Module(top.name, _BETWEEN.sub(r"  (* keep *) \1", text))


_BETWEEN = re.compile(r"^  (wire (?:\[\d+:0\] )?n\d+_(?:[hcy]\d+|voted|differ);)$", re.MULTILINE)


def map_modules(
    modules: Mapping[str, Module], family: Family = "xc7", cache: Path | None = None, *, flat: bool = False
) -> dict[str, Mapped]:
    """Every module's netlist, by name: from the cache, or mapped now on all cores.

    With `flat` what a module's text holds becomes one module. What is finished is kept at once, so that an interrupted
    or failed call need not be repeated from its start, and several processes may use one cache. Raises ToolError, with
    the log, when Yosys fails or is missing.
    """
    one_of("family", family, FAMILIES)
    folder = (cache or cache_folder()) / "yosys" / digest_of(FLOWS_DIGEST, tool_version(), family, str(flat))[:16]
    found = {name: kept for name, module in modules.items() if (kept := _kept(_file(folder, module)))}
    if len(found) == len(modules):
        return found
    missing = {name: module for name, module in modules.items() if name not in found}
    with bar("mapping modules with Yosys", len(modules)) as advance:
        advance(len(found))
        for batch, netlists in run_all(_batches(missing, family, flat), folder):
            for name in batch.modules:
                found[name] = Mapped.of(_essential(netlists[name]))
                write_atomically(_file(folder, modules[name]), found[name].packed)
            advance(len(found))
    return {name: found[name] for name in modules}


def _file(folder: Path, module: Module) -> Path:
    """Names tell contents apart, but for a design's top module."""
    return folder / f"{digest_of(module.text)[:32]}.json.gz"


def _kept(file: Path) -> Mapped | None:
    """None for what is not there, and for what was damaged since: it is mapped again."""
    try:
        return Mapped.unpacked(file.read_bytes())
    except (OSError, EOFError, ValueError, zlib.error):
        return None


def _batches(modules: Mapping[str, Module], family: Family, flat: bool) -> Iterator[Batch]:
    """Modules of one flow and about one size together, the longest first; of flat ones each on its own."""
    flows: dict[Flow, list[Module]] = {}
    for module in sorted(modules.values(), key=lambda m: (len(m.text), m.name)):
        flows.setdefault("general" if flat else flow_of(module.text), []).append(module)
    left = sum(len(module.text) for module in modules.values())
    while any(flows.values()):
        flow = max((flow for flow in flows if flows[flow]), key=lambda f: len(flows[f][-1].text))
        waiting, room = flows[flow], 0 if flat else _room(left)
        chosen = [waiting.pop()]
        while waiting and len(waiting[-1].text) + sum(len(module.text) for module in chosen) <= room:
            chosen.append(waiting.pop())
        left -= sum(len(module.text) for module in chosen)
        yield _batch(chosen, flow, family, flat)


def _room(left: int) -> int:
    least, most = _BATCH_CHARACTERS
    return min(max(left // (_BATCHES_A_CORE * available_cores()), least), most)


def _batch(modules: list[Module], flow: Flow, family: Family, flat: bool) -> Batch:
    own = tuple(module.name for module in modules)
    stubs = {part.name: part.stub for module in modules for part in module.parts if part.name not in own}
    text = "".join(module.text for module in modules)
    source = "".join([*stubs.values(), text])
    return Batch(own, {"source.v": source, **MAPS}, script(flow, text, family, own[0] if flat else None))


def _essential(module: dict[str, Any]) -> dict[str, Any]:
    """A netlist without what only a reader of the source needs."""
    cells = {name: primitive(cell) for name, cell in module["cells"].items()}
    nets = {name: net["bits"] for name, net in module["netnames"].items() if not net["hide_name"]}
    return {"ports": module["ports"], "cells": cells, "netnames": nets}
