"""C-simulation of protected projects against plain hls4ml's, for the digits CNN: compile time, and samples a second.

Compiling: hls4ml's compile() (which writes the project) against write_project and the project's own build script.
Simulating: 360 digits without faults, hls4ml's top function called by a loop in C. All in turns, in one run, on one
thread; medians, of processor time. Needs TensorFlow (the extra `train`) and a C++ compiler.
"""

import importlib.util
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from plain import PlainProject
from timing import Work, machine, median_ratio, on_one_thread, parser_of, processor_seconds, rates, significant, table

from codesign.assets import asset
from codesign.faults import fault_array
from codesign.fixed import FixedPoint, Ints
from codesign.hls.csim import CsimSimulator, compile_csim
from codesign.hls.project import Project, write_project
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan
from codesign.study import load_study

PLAIN = "plain hls4ml"
BACKEND = "Vivado"
# Compilations of each project, and repetitions of the simulation and seconds that each project has in one.
COMPILATIONS, FULL, QUICK = 3, (7, 2.0), (3, 0.5)


def plans(network: Network) -> dict[str, ProtectionPlan]:
    """What is compared with the plain project."""
    return {
        "unprotected": ProtectionPlan(),
        "six hardened bits": ProtectionPlan.uniform(network, 6),
        "full TMR": ProtectionPlan.full(network),
    }


def plain_project(folder: Path) -> tuple[PlainProject, Network, Ints]:
    """The digits CNN of models/ with its first, random weights at eight bits; its network, and raw test inputs."""
    from codesign.train.builder import Quantisation, load_builder
    from codesign.train.convert import model_graph
    from codesign.train.nodes import network_from_graph

    builder = load_builder(load_study(asset("models") / "digits_cnn.toml"))
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    model, of = builder.model(Quantisation(8, 8)), builder.input_type
    graph = model_graph(model, of, BACKEND, str(folder))
    network = network_from_graph(graph, "digits_cnn", of)
    inputs = network.quantise_inputs(builder.data().test_inputs)
    return PlainProject(graph, of, _result(network), (network.n_in, network.n_out)), network, inputs


def _result(network: Network) -> FixedPoint:
    return network.layers[-1].result


# ---------------------------------------------------------------- measurement


def compile_all(
    plain: PlainProject, network: Network, folder: Path, compilations: int
) -> tuple[dict[str, list[float]], Path, dict[str, Project]]:
    """Seconds of each compilation, the plain library, and the protected projects, whose cache is `folder`."""
    seconds: dict[str, list[float]] = {name: [] for name in (PLAIN, *plans(network))}
    projects = {}
    for _ in range(compilations):
        start = processor_seconds()
        library = plain.compile()
        seconds[PLAIN].append(processor_seconds() - start)
        for name, plan in plans(network).items():
            shutil.rmtree(folder / name, ignore_errors=True)
            start = processor_seconds()
            projects[name] = write_project(network, plan, folder / name / "project")
            compile_csim(projects[name], folder / name)
            seconds[name].append(processor_seconds() - start)
    return seconds, library, projects


def run(*, quick: bool) -> dict[str, Any]:
    """Everything that `--json` prints."""
    with tempfile.TemporaryDirectory(prefix="codesign-bench-") as name:
        folder = Path(name)
        plain, network, inputs = plain_project(folder / "plain")
        print("compiling", file=sys.stderr)
        seconds, library, projects = compile_all(plain, network, folder, 1 if quick else COMPILATIONS)
        simulators: dict[str, Any] = {PLAIN: plain.simulator(library, inputs)}
        for plan, project in projects.items():
            simulators[plan] = CsimSimulator(project, inputs, folder / plan)
        print("simulating", file=sys.stderr)
        found = rates(_works(network, inputs, simulators), *(QUICK if quick else FULL))
    rows = [_row(project, seconds, found, len(inputs)) for project in simulators]
    return {"machine": machine(), "quick": quick, "projects": rows}


def _works(network: Network, inputs: Ints, simulators: dict[str, Any]) -> dict[str, Work]:
    """Evaluations of the set by each simulator, which must give the network's integers."""
    expected = forward(network, inputs)[-1]
    works: dict[str, Work] = {}
    for name, simulator in simulators.items():
        once = simulator.run if name == PLAIN else partial(simulator.run, fault_array([]))
        if not np.array_equal(once(), expected):
            raise SystemExit(f"{name}: the csim's logits are not the network's")
        works[name] = partial(_again, once)
    return works


def _again(work: Callable[[], Ints], times: int) -> None:
    for _ in range(times):
        work()


def _row(name: str, seconds: dict[str, list[float]], found: dict[str, list[float]], samples: int) -> dict[str, Any]:
    return {
        "name": name,
        "compile_s": median(seconds[name]),
        "compile_ratio": median_ratio(seconds[name], seconds[PLAIN]),
        "samples_per_s": median(found[name]) * samples,
        "samples_ratio": median_ratio(found[name], found[PLAIN]),
    }


# ---------------------------------------------------------------- command


def as_text(document: dict[str, Any]) -> str:
    """The table, for people."""
    rows = [["project", "compile s", "of plain", "samples/s", "of plain"]]
    keys = ("compile_s", "compile_ratio", "samples_per_s", "samples_ratio")
    rows += [[row["name"], *(significant(row[key]) for key in keys)] for row in document["projects"]]
    return table(rows)


def main() -> None:
    """Measure and print."""
    options = parser_of(__doc__, "one compilation, short repetitions").parse_args()
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise SystemExit(f"no C++ compiler '{compiler}': install g++ (Debian: apt-get install g++) or set CXX")
    if not all(map(importlib.util.find_spec, ("tensorflow", "qkeras"))):
        raise SystemExit(
            "the plain project comes from a QKeras model: pip install 'codesign[train]' (TensorFlow, QKeras)"
        )
    on_one_thread()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")  # TensorFlow's and QKeras's, about themselves
    document = run(quick=options.quick)
    print(json.dumps(document, indent=1) if options.json else as_text(document))


if __name__ == "__main__":
    main()
