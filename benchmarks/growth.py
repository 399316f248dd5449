"""How time and memory of a campaign grow with samples, trials and the size of the network.

A CNN of about a million multiply-adds on 28x28 images (Fashion-MNIST's test images where Debian's package has put them,
else noise) with random filters; one flip of a weight a trial, on one thread. Each row is a process of its own, so that
its memory is its own: what the engine adds to the inputs that are already there.
"""

import argparse
import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from digits import ACTIVATION, Task, dense, parameters, sum_type
from timing import on_one_thread, parser_of, significant, table

from codesign.engine.compiled import NativeEngine
from codesign.faults import FaultModel, FaultSpace, Target
from codesign.fixed import FixedPoint, Ints
from codesign.network import Layer, Network
from codesign.protection import ProtectionPlan

IMAGES = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
PIXEL = FixedPoint(8, 0, signed=False)
CLASSES = 10
# Samples, trials, filters of the two convolutions: the first row is the one that the others differ from.
ROWS = [(10_000, 1_000, (16, 32)), (10_000, 100, (16, 32)), (1_000, 1_000, (16, 32)), (10_000, 1_000, (8, 16))]
QUICK = [(200, 20, (16, 32)), (100, 20, (8, 16))]


def images_cnn(samples: int, filters: Iterable[int]) -> Task:
    """Two 3x3 convolutions, each pooled by two, and a dense layer; labels are nobody's."""
    generator = np.random.default_rng(0)
    shape: tuple[int, ...] = (28, 28, 1)
    layers: list[Layer] = []
    for index, n_filters in enumerate(filters):
        source = layers[-1].result if layers else PIXEL
        kernel = generator.normal(0, np.sqrt(2 / (9 * shape[-1])), (3, 3, shape[-1], n_filters))
        weight, bias = parameters(kernel, np.zeros(n_filters))
        conv = Layer.conv(f"conv_{index}", shape, weight, bias, sum_type(source, 9 * shape[-1]), padding="same")
        relu = Layer.relu(f"relu_{index}", conv.out_shape, ACTIVATION)
        layers += [conv, relu, Layer.max_pool(f"pool_{index}", relu.out_shape, (2, 2), ACTIVATION)]
        shape = layers[-1].out_shape
    readout = generator.normal(0, 0.05, (CLASSES, int(np.prod(shape))))
    layers.append(dense("logits", ACTIVATION, readout.T, np.zeros(CLASSES)))
    network = Network("images_cnn", PIXEL, tuple(layers), (28, 28, 1))
    return Task(network, _images(samples), generator.integers(0, CLASSES, samples))


def _images(samples: int) -> Ints:
    if IMAGES.exists():
        with gzip.open(IMAGES) as file:
            pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28 * 28)
        return np.resize(pixels, (samples, 28 * 28)).astype(np.int64)
    return np.random.default_rng(1).integers(0, 256, (samples, 28 * 28))


def measure(samples: int, trials: int, filters: Iterable[int]) -> dict[str, Any]:
    """One row, in this process."""
    task = images_cnn(samples, filters)
    space = FaultSpace(task.network, ProtectionPlan(), FaultModel((Target.WEIGHT,), n_flips=1), samples)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, start = _peak_bytes(), perf_counter()
    engine = NativeEngine(task.network, ProtectionPlan(), task.inputs)
    opened = perf_counter()
    counts = engine.run_campaign(space, task.labels, range(trials))
    return {
        "samples": samples,
        "trials": trials,
        "multiply_adds_per_sample": task.multiply_adds // samples,
        "activations_per_sample": task.network.n_in + sum(layer.n_out for layer in task.network.layers),
        "open_s": opened - start,
        "trials_s": perf_counter() - opened,
        "memory_bytes": _peak_bytes() - before,
        "trials_with_changes": int((counts.rows["sdc1"] > 0).sum()),
    }


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def run(*, quick: bool) -> list[dict[str, Any]]:
    """All rows, each measured by a process of its own."""
    found = []
    for row in QUICK if quick else ROWS:
        print(f"measuring {row[0]:,} samples, {row[1]:,} trials", file=sys.stderr)
        command = [sys.executable, __file__, "--row", json.dumps(row)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found.append(json.loads(done.stdout))
    return found


def as_text(rows: list[dict[str, Any]]) -> str:
    """The table, for people."""
    lines = [["samples", "trials", "M multiply-adds a sample", "opening, s", "trials, s", "memory, MiB", "B a sample"]]
    for row in rows:
        numbers = [row["multiply_adds_per_sample"] / 1e6, row["open_s"], row["trials_s"], row["memory_bytes"] / 2**20]
        kept = f"{row['memory_bytes'] // row['samples']:,}"
        lines.append([f"{row['samples']:,}", f"{row['trials']:,}", *map(significant, numbers), kept])
    return table(lines)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "few samples and trials")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    on_one_thread()
    if options.row:
        print(json.dumps(measure(*json.loads(options.row))))
        return
    rows = run(quick=options.quick)
    print(json.dumps({"rows": rows}, indent=1) if options.json else as_text(rows))


if __name__ == "__main__":
    main()
