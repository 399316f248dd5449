#!/usr/bin/env python3
"""Structures of the open synthesis: layers of the digits MLP mapped with either strategy, and with DSPs.

Prints the tables of docs/structures.md. `--layers N` takes the last N layers only.
"""

import argparse
from collections.abc import Iterator

from digits import digits_mlp

from codesign.network import Layer, Network
from codesign.protection import LayerPlan, ProtectionPlan
from codesign.resources.estimate import EstimatePolicy, estimate
from codesign.resources.policy import Strategy
from codesign.resources.synthesis import synthesise

Row = tuple[object, ...]


def alone(network: Network, index: int) -> Network:
    """One layer as a network."""
    layer = network.layers[index]
    return Network(layer.name, network.input_types(index)[0], (layer,), layer.in_shapes[0])


def plans(layer: Layer) -> dict[str, tuple[int, ...]]:
    """Hardened bits of the neurons."""
    width, n = layer.acc.width, layer.neurons
    return {
        "none": (0,) * n,
        "every second neuron, whole": tuple(width * (j % 2) for j in range(n)),
        "upper third of the bits": (width // 3,) * n,
        "full TMR": (width,) * n,
    }


def figures(network: Network, bits: tuple[int, ...], policy: EstimatePolicy) -> Row:
    """Mapped LUT, FF, DSP and cycles, and the estimated LUT."""
    plan = ProtectionPlan((LayerPlan(network.layers[0].name, bits),))
    mapped, guess = synthesise(network, plan, policy=policy).report, estimate(network, plan, policy=policy).report
    return mapped.lut, mapped.ff, mapped.dsp, mapped.latency_cycles, guess.lut, guess.dsp


def by_strategy(networks: list[Network]) -> Iterator[Row]:
    """Each layer under each plan, both strategies side by side."""
    for network in networks:
        for name, bits in plans(network.layers[0]).items():
            latency, shared = (figures(network, bits, EstimatePolicy(strategy=strategy)) for strategy in Strategy)
            yield network.name, name, *latency[:2], latency[4], *shared[:2], shared[4], f"{shared[0] / latency[0]:.2f}"


def by_dsp(networks: list[Network], thresholds: tuple[int, ...]) -> Iterator[Row]:
    """Each layer with fewer and fewer products in logic."""
    for network in networks:
        for name in ("none", "full TMR"):
            for least in thresholds:
                lut, ff, dsp, _, guess, guessed = figures(
                    network, plans(network.layers[0])[name], EstimatePolicy(dsp_min_bits=least)
                )
                yield network.name, name, least, lut, ff, dsp, guess, guessed


def table(head: Row, rows: Iterator[Row]) -> None:
    """Print it in Markdown, row by row."""
    print(f"| {' | '.join(map(str, head))} |\n|{'---|' * len(head)}")
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        print(f"| {' | '.join(cells)} |", flush=True)
    print()


def main() -> None:
    """Map and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    network = digits_mlp().network
    networks = [alone(network, index) for index, _ in network.compute_layers()][-parser.parse_args().layers :]
    protected = ("layer", "protection")
    table(
        (*protected, "latency LUT", "FF", "estimate", "distributed LUT", "FF", "estimate", "ratio"),
        by_strategy(networks),
    )
    table((*protected, "dsp_min_bits", "LUT", "FF", "DSP", "estimate LUT", "DSP"), by_dsp(networks[-2:], (10, 8, 7, 6)))


if __name__ == "__main__":
    main()
