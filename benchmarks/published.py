#!/usr/bin/env python3
"""Our figures beside the vendor's on designs that others published: plain hls4ml, csynth's estimate, Vivado's netlist.

LUT are primitives (LUT1 to LUT6, before two share a site). Products are either all in logic, or in DSPs where both
factors have at least `DSP_MIN_BITS` bits, from where on those tools planned DSPs in these designs (csynth for a part of
any size; Vivado has put into logic what the part's 220 DSPs did not hold of the MLP). The vendor's figures also hold
what hls4ml adds and we do not write: softmax and sigmoid tables, FIFOs, line buffers, handshakes. Weights that are not
published are drawn, of two spreads. Descriptions, weights and vendor figures: `published/*.json`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from timing import parser_of, table

from codesign.fixed import MAX_WIDTH, FixedPoint
from codesign.network import Layer, Network, Parameter
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import EstimatePolicy, estimate
from codesign.resources.synthesis import synthesise

FOLDER = Path(__file__).parent / "published"
DEFAULT = FixedPoint(16, 6)
DSP_MIN_BITS = 6
# Standard deviations of drawn 6-bit weights, in units of their last bit: narrow, as training leaves them, to uniform.
SPREADS = (5.0, 10.0)
HEADING = ["design", "products in", "estimate", "mapped", "DSP", "csynth", "DSP", "Vivado", "DSP", "mapped / Vivado"]


def parameters(raw: list[int], *shape: int) -> Parameter:
    """Of the type that hls4ml gives by default."""
    return Parameter(np.array(raw, np.int64).reshape(shape), DEFAULT)


def dense(name: str, weight: Parameter, bias: Parameter) -> Layer:
    """With hls4ml's default accumulator and result."""
    return Layer.dense(name, weight, bias, DEFAULT)


def mlp(raw: Mapping[str, list[int]]) -> list[Network]:
    """Two dense layers and a ReLU."""
    first = dense("fc1", parameters(raw["w2"], 4, 128), parameters(raw["b2"], 128))
    last = dense("fc2", parameters(raw["w4"], 128, 3), parameters(raw["b4"], 3))
    return [Network("mlp", DEFAULT, (first, Layer.relu("relu1", 128, DEFAULT), last), (4,))]


def conv1d(raw: Mapping[str, list[int]]) -> list[Network]:
    """The arithmetic of a pixel's window, and the dense layer: each as a network of its own."""
    window = dense("conv", parameters(raw["w2"], 27, 16), parameters(raw["b2"], 16))
    last = dense("dense", parameters(raw["w6"], 16, 6), parameters(raw["b6"], 6))
    return [Network(layer.name, DEFAULT, (layer,), layer.in_shapes[0]) for layer in (window, last)]


def dnd(spread: float) -> list[Network]:
    """Two dense layers of 6-bit weights, drawn."""
    rng, weight = np.random.default_rng(0), FixedPoint(6, 1)

    def drawn(*shape: int) -> Parameter:
        values = np.clip(np.round(rng.normal(0, spread, shape)), weight.min_raw, weight.max_raw)
        return Parameter(values.astype(np.int64), weight)

    first = dense("fc1", drawn(98, 20), drawn(20))
    relu = Layer.relu("relu1", 20, FixedPoint(6, 0, False))
    return [Network("dnd", DEFAULT, (first, relu, dense("last", drawn(20, 1), drawn(1))), (98,))]


def measured(networks: list[Network], least: int, clock_ns: float, *, maps: bool) -> dict[str, int | None]:
    """LUTs by the estimate and by Yosys, and DSPs, of all networks together."""
    found: dict[str, int | None] = {"estimate_lut": 0, "mapped_lut": 0 if maps else None, "dsp": 0}
    for network in networks:
        given: dict[str, Any] = {"clock_ns": clock_ns, "policy": EstimatePolicy(dsp_min_bits=least)}
        guess = estimate(network, ProtectionPlan(), **given).report
        found["estimate_lut"] = (found["estimate_lut"] or 0) + (guess.lut or 0)
        found["dsp"] = (found["dsp"] or 0) + (guess.dsp or 0)
        if maps:
            mapped = synthesise(network, ProtectionPlan(), **given).report
            assert mapped.dsp == guess.dsp
            found["mapped_lut"] = (found["mapped_lut"] or 0) + (mapped.lut or 0)
    return found


def rows(quick: bool) -> Iterator[dict[str, Any]]:
    """Every design, with its products in logic and, where the vendor's tools took DSPs, in DSPs."""
    known = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    designs = {
        "conv1d": ("conv1d", conv1d(known["conv1d"]["raw"]), 5.0),
        "mlp": ("mlp", mlp(known["mlp"]["raw"]), 25.0),
        **{f"dnd, spread {spread:g}": ("dnd", dnd(spread), 5.0) for spread in SPREADS},
    }
    for name, (source, networks, clock_ns) in designs.items():
        vendor = {tool: known[source][tool] for tool in ("csynth", "vivado")}
        for where, least in (("logic", MAX_WIDTH + 1), ("DSPs", DSP_MIN_BITS)):
            if where == "logic" or vendor["vivado"]["dsp"]:
                ours = measured(networks, least, clock_ns, maps=not quick)
                yield {"design": name, "products_in": where, **ours, **vendor}


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    luts = [row["estimate_lut"], row["mapped_lut"], row["dsp"]]
    vendor = [row[tool][kind] for tool in ("csynth", "vivado") for kind in ("lut", "dsp")]
    ratio = f"{row['mapped_lut'] / row['vivado']['lut']:.2f}" if row["mapped_lut"] else ""
    figures = ["" if figure is None else f"{figure:,}" for figure in (*luts, *vendor)]
    return [row["design"], row["products_in"], *figures, ratio]


def main() -> None:
    """Print the table or its JSON."""
    arguments = parser_of(__doc__, "the estimate alone").parse_args()
    found = list(rows(arguments.quick))
    if arguments.json:
        print(json.dumps({"dsp_min_bits": DSP_MIN_BITS, "designs": found}))
        return
    print(table([HEADING, *map(cells, found)]))


if __name__ == "__main__":
    main()
