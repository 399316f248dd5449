"""How long Yosys takes for the digits MLP: cold, when one layer's plan has changed, and when nothing has.

By the clock, on all cores, and the processor's time of this process and of Yosys together, which other work on the
machine changes little; both also as a share of the cold run's. The cache is its own and empty at first. The network
has the shape of models/digits_mlp.py, 64-32-32-10, at 8 bits; `--large` takes the engine's benchmark, 64-64-32-32-10.
`--quick` is a small one.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from digits import HIDDEN, digits_mlp
from timing import machine, table

from codesign.network import Network
from codesign.progress import console
from codesign.protection import ProtectionPlan
from codesign.resources.synthesis import synthesise

HARDENED_BITS = 6


def measure(network: Network, cold: Path) -> dict[str, Any]:
    """Seconds, LUTs and copies: of the unprotected network, and with each layer in turn hardened by its top bits."""
    rows = [_row("cold", network, ProtectionPlan(), cold), _row("nothing changed", network, ProtectionPlan(), cold)]
    layers = [layer for _, layer in network.compute_layers()]
    for changed in layers:
        bits = {layer.name: np.full(layer.neurons, HARDENED_BITS * (layer is changed)) for layer in layers}
        with tempfile.TemporaryDirectory() as folder:
            warm = Path(shutil.copytree(cold, Path(folder) / "cache"))
            rows.append(_row(f"{changed.name} hardened", network, ProtectionPlan.of(network, bits), warm))
    return {"machine": machine(), "rows": rows}


def _row(name: str, network: Network, plan: ProtectionPlan, cache: Path) -> dict[str, Any]:
    start, before = perf_counter(), _processor_s()
    found = synthesise(network, plan, cache=cache)
    spent = {"seconds": perf_counter() - start, "processor_s": _processor_s() - before}
    return {"name": name, **spent, "lut": found.report.lut, "copies": found.copies}


def _processor_s() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--large", action="store_true")
    size.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    console.quiet = True
    hidden = HIDDEN if chosen.large else (2,) if chosen.quick else (32, 32)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(digits_mlp(hidden).network, Path(folder))
    if chosen.json:
        print(json.dumps(found))
        return
    cold = found["rows"][0]
    rows = [
        [
            r["name"],
            *(text for key in ("seconds", "processor_s") for text in (f"{r[key]:.1f}", f"{r[key] / cold[key]:.2f}")),
            f"{r['lut']:,}",
            str(r["copies"]),
        ]
        for r in found["rows"]
    ]
    print(table([["", "seconds", "of cold", "processor s", "of cold", "LUT", "copies"], *rows]))


if __name__ == "__main__":
    main()
