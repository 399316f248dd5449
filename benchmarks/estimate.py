#!/usr/bin/env python3
"""The estimate against Yosys on random protected designs, and its time on a design of the digits MLP's size.

python benchmarks/estimate.py [--designs N] [--seed S] [--products P]
"""

import argparse
from itertools import pairwise
from time import process_time

import numpy as np

from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import Layer, Network, Parameter
from codesign.protection import ProtectionPlan
from codesign.resources.calibration import errors_of, estimated, measured, random_designs
from codesign.resources.estimate import estimate


def mlp(bits: int) -> Network:
    """64-32-32-10 with random weights."""
    rng = np.random.default_rng(0)
    weight, activation = FixedPoint(bits, 1), FixedPoint(bits, 1, False, Rounding.RND, Overflow.SAT)
    layers: list[Layer] = []
    for number, (n_in, n_out) in enumerate(pairwise((64, 32, 32, 10))):
        raw = np.clip(rng.normal(0, weight.max_raw / 4, (n_in, n_out)).round(), weight.min_raw, weight.max_raw)
        bias = rng.integers(weight.min_raw, weight.max_raw + 1, n_out)
        pair = Parameter(raw.astype(np.int64), weight), Parameter(bias, weight)
        layers.append(Layer.dense(f"dense{number}", *pair, FixedPoint(2 * bits + 5, 6)))
        if n_out > 10:
            layers.append(Layer.relu(f"relu{number}", n_out, activation))
    return Network("mlp", activation, tuple(layers))


def seconds(network: Network, plan: ProtectionPlan) -> float:
    """Of the processor, the least of nine."""
    found = []
    for _ in range(9):
        start = process_time()
        estimate(network, plan)
        found.append(process_time() - start)
    return min(found)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--designs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--products", type=int, default=20)
    given = parser.parse_args()
    print("| MLP 64-32-32-10 | ms a design |\n| --- | --- |")
    for bits in (6, 8):
        network = mlp(bits)
        plans = {"unprotected": ProtectionPlan(), "6 bits": ProtectionPlan.uniform(network, 6)}
        for name, plan in (plans | {"full TMR": ProtectionPlan.full(network)}).items():
            print(f"| {bits} bits, {name} | {1e3 * seconds(network, plan):.1f} |")
    designs = list(random_designs(given.seed, given.designs, given.products))
    errors = errors_of([estimated(design).report for design in designs], measured(designs))
    print(f"\n| {given.designs} designs, seed {given.seed} | median | p95 | Kendall tau |\n| --- | --- | --- | --- |")
    for name, error in errors.items():
        print(f"| {name} | {error.median:.2%} | {error.p95:.2%} | {error.kendall_tau:.3f} |")


if __name__ == "__main__":
    main()
