"""How long it takes until a campaign of a saved network or a project can begin: imports, and a whole small gate.

Each is measured in fresh processes, by the clock, medians. Python itself is in every figure, and shown.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import parser_of

from codesign.fixed import FixedPoint
from codesign.hls.project import write_project
from codesign.network import Layer, Network, Parameter, forward
from codesign.protection import ProtectionPlan

HEAVY = ("tensorflow", "keras", "qkeras", "hls4ml", "skopt", "sklearn", "matplotlib")
# What the command imports before it reads a file.
_IMPORTS = "import codesign.cli, codesign.campaign.junit, codesign.subject"
_FAULTS = ("--target", "accumulator", "--ber", "1e-4", "--trials", "100", "--verify", "0", "--require", "accuracy>=0.5")


def seconds(command: list[str], repetitions: int) -> float:
    """Median time of a process."""
    found = []
    for _ in range(repetitions):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def subjects(folder: Path) -> dict[str, Path]:
    """A saved network and a project of it, with data beside them."""
    weights, values = FixedPoint(6, 1), FixedPoint(8, 1, signed=False)
    generator = np.random.default_rng(1)
    layers = []
    for name, n_in, n_out in (("fc0", 64, 32), ("fc1", 32, 10)):
        parameters = [generator.integers(-32, 32, shape) for shape in ((n_in, n_out), (n_out,))]
        weight, bias = (Parameter(raw, weights) for raw in parameters)
        layers.append(Layer.dense(name, weight, bias, accumulator=FixedPoint(20, 8)))
    network = Network("own", values, tuple(layers))
    raw = generator.integers(values.min_raw, values.max_raw, (360, 64), endpoint=True)
    np.savez(folder / "data.npz", inputs=raw, labels=forward(network, raw)[-1].argmax(axis=1))
    network.save(folder / "own.npz")
    write_project(network, ProtectionPlan.full(network), folder / "project")
    return {"saved network": folder / "own.npz", "project": folder / "project"}


def measure(repetitions: int) -> list[dict[str, Any]]:
    """One row a process."""
    command = [sys.executable, "-c", "from codesign.cli import main; main()", "campaign"]
    loaded = f"{_IMPORTS}; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True)
    if done.stdout.strip() != "[]":
        raise SystemExit(f"a campaign imports {done.stdout.strip()}")
    rows = [
        {"name": "Python itself", "seconds": seconds([sys.executable, "-c", "pass"], repetitions)},
        {"name": "imports of a campaign", "seconds": seconds([sys.executable, "-c", _IMPORTS], repetitions)},
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, path in subjects(folder).items():
            whole = [*command, str(path), "--data", str(folder / "data.npz"), "--out", str(folder / "run"), *_FAULTS]
            rows.append({"name": f"gate of 100 trials on a {what}", "seconds": seconds(whole, repetitions)})
    return rows


def main() -> None:
    """Measure and print."""
    options = parser_of(__doc__, "once each").parse_args()
    rows = measure(1 if options.quick else 11)
    if options.json:
        print(json.dumps({"rows": rows}, indent=1))
    else:
        for row in rows:
            print(f"{row['name']:<40} {row['seconds']:.2f} s")


if __name__ == "__main__":
    main()
