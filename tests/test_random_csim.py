"""Hundreds of random networks, plans and fault lists in every mode: the C-simulation has the reference's integers.

Compiled without optimisation and with one precompiled header for all, two at a time; what is compiled is the project.
"""

import itertools
import os
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from networks import Case, cases

from codesign.engine.fast import EngineSimulator
from codesign.engine.reference import ReferenceSimulator
from codesign.fixed import fit
from codesign.hls.csim import CsimSimulator
from codesign.hls.options import BACKENDS, IO_TYPES, ProjectOptions
from codesign.hls.project import Project, write_project
from codesign.network import forward

NETWORKS = 210
MODES = [ProjectOptions(backend=b, io_type=i) for b, i in itertools.product(BACKENDS, IO_TYPES)]
FLAGS = "-std=c++17 -O0 -DNDEBUG -fPIC -fvisibility=hidden -fno-gnu-unique -w"


def drawn(count: int) -> list[Case]:
    found: list[Case] = []

    @settings(
        max_examples=2 * count,  # some are alike, and the first ones are the simplest there are
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(max_faults=30))
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    different = {(case.network.digest, case.plan.digest): case for case in found}
    # An accelerator's inputs come as real numbers, so the one word that SAT_SYM never gives does not come.
    return [
        replace(case, inputs=fit(case.inputs, case.network.input_type)) for case in list(different.values())[-count:]
    ]


def compiler(folder: Path, project: Project) -> Path:
    """g++ that reads the library's headers once for all projects."""
    firmware = project.folder / "firmware"
    headers = ["ap_types/ap_fixed.h", "ap_types/hls_stream.h", "nnet_utils/nnet_helpers.h"]
    headers += ["nnet_utils/codesign_layers.h", "nnet_utils/codesign_status.h", "nnet_utils/codesign_csim.h"]
    (folder / "all.h").write_text("".join(f'#include "{firmware / name}"\n' for name in headers))
    subprocess.run(
        ["g++", *FLAGS.split(), f"-I{firmware / 'ap_types'}", "-x", "c++-header", str(folder / "all.h")], check=True
    )
    script = folder / "g++"
    script.write_text(f'#!/bin/sh\nexec g++ -include {folder / "all.h"} "$@" -O0\n')
    script.chmod(0o755)
    return script


@pytest.mark.slow
@pytest.mark.cxx
def test_random_networks_plans_and_fault_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = drawn(NETWORKS)
    assert len(every) == NETWORKS
    covered: Counter[str] = Counter()
    projects = []
    for number, case in enumerate(every):
        options = MODES[number % len(MODES)]
        project = write_project(case.network, case.plan, tmp_path / f"p{number}", options)
        projects.append(project)
        covered.update({f"{options.backend} {options.io_type}": 1})
        covered.update({f"{layer.kind}" for layer in case.network.layers})
        covered.update({f"{plan.mechanism} {plan.scope}" for plan in case.plan.layers if any(plan.hardened_bits)})
        covered.update({"reuse" for _, layer in case.network.compute_layers() if layer.reuse_factor > 1})
        covered.update({f"{layer.acc.rounding} {layer.acc.overflow}" for _, layer in case.network.compute_layers()})
    monkeypatch.setenv("CXX", str(compiler(tmp_path, projects[0])))

    def check(number: int) -> int:
        case = every[number]
        csim = CsimSimulator(projects[number], case.inputs, tmp_path / "cache")
        assert csim.golden.tolist() == forward(case.network, case.inputs)[-1].tolist(), number
        expected = ReferenceSimulator(case.network, case.plan, case.inputs).run_flagged(case.faults)
        csim.run(case.faults)  # every tap is hit as often as its unit is used
        traced = csim.run_traced(case.faults)
        assert traced.logits.tolist() == expected.logits.tolist(), (number, case)
        assert traced.corrected.astype(bool).tolist() == expected.corrected.tolist(), (number, case)
        assert traced.detected.astype(bool).tolist() == expected.detected.tolist(), (number, case)
        engine = EngineSimulator(case.network, case.plan, case.inputs).run(case.faults)
        assert engine.tolist() == expected.logits.tolist(), (number, case)
        return len(case.faults)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = sum(pool.map(check, range(NETWORKS)))
    for name, count in sorted(covered.items()):
        print(f"{name:40} {count} networks")
    print(f"{NETWORKS} networks, {faults} faults")
    assert faults > 2 * NETWORKS
