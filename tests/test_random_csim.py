"""Hundreds of random networks, plans and fault lists in every mode: csim has the engines' integers, flags and counts.

Compiled without optimisation and with one precompiled header for all, two at a time; what is compiled is the project.
"""

import itertools
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coverage_table import FLAGS, OUTCOMES, Cell, Coverage, Table, cells_of, cells_of_faults, cells_of_outcome
from hypothesis import HealthCheck, Phase, given, seed, settings
from networks import Case, cases, drawn_list, same_outcome
from passive_layers import passive

from codesign.engine.compiled import KERNELS, NativeEngine
from codesign.engine.counts import count
from codesign.engine.fast import EngineSimulator
from codesign.engine.reference import ReferenceSimulator
from codesign.faults import FaultArray
from codesign.fixed import FixedPoint, Overflow, fit
from codesign.hls.csim import CsimSimulator
from codesign.hls.options import BACKENDS, IO_TYPES, ProjectOptions
from codesign.hls.project import Project, write_project
from codesign.network import Network, forward
from codesign.network.passive import refused_in_streams

NETWORKS = 210
ROUNDS = 12
MODES = [ProjectOptions(backend=b, io_type=i) for b, i in itertools.product(BACKENDS, IO_TYPES)]
COMPILER_FLAGS = "-std=c++17 -O0 -DNDEBUG -fPIC -fvisibility=hidden -fno-gnu-unique -w"


def drawn(count: int) -> list[Case]:
    """Different networks with plans, first those that reach what the ones before do not, so that nothing is left out.

    Faults are drawn for each: by hypothesis, which likes extremes, and three lists by the framework. What hypothesis
    draws depends on the constants in all sources of the project that are loaded; so seed after seed is tried, until no
    cell is empty.
    """
    found: dict[tuple[str, str], Case] = {}
    covered, first, rest = Coverage(), [], []

    @settings(max_examples=2 * count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(cases(max_faults=30) | cases(max_faults=30, more=passive))
    def collect(case: Case) -> None:
        key = (case.network.digest, case.plan.digest)
        if key in found:
            return
        # An accelerator's inputs come as real numbers, so the one word that SAT_SYM never gives does not come.
        found[key] = case = replace(case, inputs=fit(case.inputs, case.network.input_type))
        cells = set().union(*(reached(case, faults) for faults in lists(case)))
        (first if set(covered.empty()) & cells else rest).append(case)
        covered.add(cells)

    for number in range(ROUNDS):
        seed(number)(collect)()
        if len(found) >= count and covered.empty() == []:
            break
    assert covered.empty() == [], f"{ROUNDS} rounds of {2 * count} draws reach no such case"
    return [*first, *rest[len(first) + len(rest) - count :]]  # hypothesis begins with the simplest


def forbids_a_word(of: FixedPoint) -> bool:
    return of.signed and of.overflow is Overflow.SAT_SYM


def lists(case: Case) -> list[FaultArray]:
    return [case.faults, *(drawn_list(case.network, case.plan, len(case.inputs), 7, trial) for trial in range(3))]


def reached(case: Case, faults: FaultArray) -> set[Cell]:
    return cells_of(case.network, case.plan) | cells_of_faults(case.network, case.plan, faults)


def mode_of(network: Network, number: int) -> ProjectOptions:
    """Every mode in turn that can have the network. An accelerator's outputs, too, come as real numbers."""
    parallel, words = any(map(refused_in_streams, network.layers)), forbids_a_word(network.layers[-1].result)
    possible = [mode for mode in MODES if mode.io_type == "io_parallel" or not parallel]
    possible = [mode for mode in possible if mode.backend != "VivadoAccelerator" or not words]
    return possible[number % len(possible)]


def compiler(folder: Path, project: Project) -> Path:
    """g++ that reads the library's headers once for all projects."""
    firmware = project.folder / "firmware"
    headers = ["ap_types/ap_fixed.h", "ap_types/hls_stream.h", "nnet_utils/nnet_helpers.h"]
    headers += ["nnet_utils/codesign_layers.h", "nnet_utils/codesign_status.h", "nnet_utils/codesign_csim.h"]
    (folder / "all.h").write_text("".join(f'#include "{firmware / name}"\n' for name in headers))
    subprocess.run(
        ["g++", *COMPILER_FLAGS.split(), f"-I{firmware / 'ap_types'}", "-x", "c++-header", str(folder / "all.h")],
        check=True,
    )
    script = folder / "g++"
    script.write_text(f'#!/bin/sh\nexec g++ -include {folder / "all.h"} "$@" -O0\n')
    script.chmod(0o755)
    return script


class Simulators:
    """Those that must give one another's integers."""

    def __init__(self, case: Case, project: Project, cache: Path) -> None:
        everything = (case.network, case.plan, case.inputs)
        self.csim = CsimSimulator(project, case.inputs, cache)
        self.reference = ReferenceSimulator(*everything)
        self.numpy, self.compiled = EngineSimulator(*everything), [NativeEngine(*everything, k) for k in KERNELS]
        self.labels = np.arange(len(case.inputs)) % case.network.n_out
        golden = forward(case.network, case.inputs)[-1].tolist()
        assert [one.golden.tolist() for one in (self.csim, self.numpy, *self.compiled)] == [golden] * (
            2 + len(KERNELS)
        ), case

    def agree(self, faults: FaultArray, number: int) -> set[Cell]:
        """What flags and answers reach."""
        expected = self.reference.run_flagged(faults)
        outcome = self.csim.outcome(faults)  # every tap is hit as often as its unit is used
        assert outcome.logits.tolist() == expected.logits.tolist(), number
        traced = self.csim.run_traced(faults)
        assert traced.corrected.astype(bool).tolist() == expected.corrected.tolist(), number
        assert traced.detected.astype(bool).tolist() == expected.detected.tolist(), number
        for engine in (self.numpy, *self.compiled):
            same_outcome(engine.outcome(faults), outcome, (number, engine.name))
        counts = count(outcome, self.csim.golden, self.labels)
        for engine in self.compiled:
            assert engine.run_lists([faults], self.labels).rows.tolist() == [counts], (number, engine.name)
        return cells_of_outcome(outcome, self.csim.golden)


@pytest.mark.slow
@pytest.mark.cxx
def test_random_networks_plans_and_fault_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-simulation, reference, NumPy engine and each kernel of the compiled one."""
    every = drawn(NETWORKS)
    assert len(every) == NETWORKS
    modes = [mode_of(case.network, number) for number, case in enumerate(every)]
    projects = [
        write_project(case.network, case.plan, tmp_path / f"p{number}", mode)
        for number, (case, mode) in enumerate(zip(every, modes, strict=True))
    ]
    monkeypatch.setenv("CXX", str(compiler(tmp_path, projects[0])))
    covered = Coverage((Table("modes", BACKENDS, IO_TYPES), FLAGS, OUTCOMES))

    def check(number: int) -> list[set[Cell]]:
        case, mode = every[number], modes[number]
        simulators = Simulators(case, projects[number], tmp_path / "cache")
        modes_cell = {("modes", mode.backend, mode.io_type)}
        return [reached(case, faults) | modes_cell | simulators.agree(faults, number) for faults in lists(case)]

    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for cells in itertools.chain.from_iterable(pool.map(check, range(NETWORKS))):
                covered.add(cells)
    finally:
        print(f"{NETWORKS} networks and plans", covered, sep="\n")
    assert covered.empty() == []
