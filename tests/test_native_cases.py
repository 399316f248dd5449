"""Thousands of random networks, plans and fault lists: NumPy's integers, flags and counts in every kernel."""

import itertools
from functools import cache

import numpy as np
import pytest
from byte_networks import byte_networks, digits_like, reshaped_networks
from coverage_table import FLAGS, OUTCOMES, TARGETS, Cell, Coverage, Table, cells_of, cells_of_faults, cells_of_outcome
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from networks import SEEDS, drawn_list, networks, plans, random_raw, same_outcome
from passive_layers import passive

from codesign.engine.compiled import KERNELS, NativeEngine
from codesign.engine.counts import count
from codesign.engine.fast import EngineSimulator
from codesign.faults import FaultArray, Target
from codesign.network import Kind, Network
from codesign.protection import Mechanism, ProtectionPlan

# Of what the packed kernels take; all else is the generic simulator's.
PACKED = (Kind.DENSE, Kind.CONV, Kind.RELU, Kind.ACTIVATION, Kind.MAX_POOL, Kind.RESHAPE)
PASSING = (Kind.RELU, Kind.ACTIVATION, Kind.RESHAPE)
STORED, REGISTERS = (Target.WEIGHT, Target.BIAS), (Target.ACTIVATION,)
WAYS = "ways to compute, and what they computed"
# A register's fault behind a reshape, in a block whose parameters are struck too.
BEHIND = "behind reshape"
SAMPLES = 5
# Networks that are drawn from one seed.
ROUND = 40


@cache
def kernels() -> tuple[str, ...]:
    """What this machine has: it takes the best that there is below the one asked for."""
    network, inputs = digits_like()
    best = NativeEngine(network, ProtectionPlan(), inputs[:1]).kernels
    return KERNELS[: KERNELS.index(best) + 1]


def ways() -> Table:
    """The kernels, and what they computed."""
    columns = ("cases", *map(str, PACKED), *TARGETS, BEHIND, *map(str, Mechanism), *OUTCOMES.rows)
    return Table(WAYS, kernels(), columns)


def strikes_behind_reshape(network: Network, faults: FaultArray) -> bool:
    """Whether a register behind a reshape is struck, together with a parameter of the convolution before it."""
    stored, registers = (set(faults["layer"][np.isin(faults["target"], t)].tolist()) for t in (STORED, REGISTERS))
    kinds = [layer.kind for layer in network.layers]
    for number in stored:
        block = itertools.takewhile(lambda index: kinds[index] in PASSING, range(number + 1, len(kinds)))
        if registers.intersection(itertools.dropwhile(lambda index: kinds[index] is not Kind.RESHAPE, block)):
            return True
    return False


def cells_of_way(kernel: str, cells: set[Cell], behind: bool) -> set[Cell]:
    """What a kernel reaches with a case that has these cells."""
    found = {(WAYS, kernel, "cases")} | ({(WAYS, kernel, BEHIND)} if behind else set())
    for title, row, column in cells:
        if title.startswith("layers"):
            found |= {(WAYS, kernel, row), (WAYS, kernel, column)}
        elif title.startswith("neurons"):
            found.add((WAYS, kernel, row.split()[0]))
        elif title == OUTCOMES.title:
            found.add((WAYS, kernel, row))
    return found


def compare(wanted: int, lists: int, *, complete: bool) -> Coverage:
    """At least as many cases as wanted, the same ones every time, and on until no cell is empty or twice as many."""
    covered = Coverage((ways(), FLAGS, OUTCOMES))

    @settings(max_examples=ROUND, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(networks(more=passive) | networks() | byte_networks() | reshaped_networks(), st.data(), SEEDS)
    def check(network: Network, data: st.DataObject, number: int) -> None:
        plan, generator = data.draw(plans(network)), np.random.default_rng(number)
        inputs = random_raw(network.input_type, (SAMPLES, network.n_in), generator)
        expected = EngineSimulator(network, plan, inputs)
        engines = [NativeEngine(network, plan, inputs, kernel) for kernel in kernels()]
        if {engine.kernels for engine in engines} == {"generic"}:
            del engines[1:]
        cells, drawn = cells_of(network, plan), [drawn_list(network, plan, SAMPLES, number, k) for k in range(lists)]
        labels, counts = generator.integers(network.n_out, size=SAMPLES), []
        for trial, faults in enumerate(drawn):
            reached, outcome = cells | cells_of_faults(network, plan, faults), expected.outcome(faults)
            reached |= cells_of_outcome(outcome, expected.golden)
            for engine in engines:
                same_outcome(engine.outcome(faults), outcome, (engine.kernels, trial))
            counts.append(count(outcome, expected.golden, labels))
            behind = strikes_behind_reshape(network, faults)
            covered.add(reached.union(*(cells_of_way(engine.kernels, reached, behind) for engine in engines)))
        for engine in engines:
            assert engine.run_lists(drawn, labels).rows.tolist() == counts, engine.kernels

    try:
        for number in range(2 * wanted // (ROUND * lists)):
            if covered.cases < wanted or (complete and covered.empty()):
                seed(number)(check)()
    finally:
        print(covered)
    return covered


def test_hundreds_of_cases() -> None:
    assert compare(400, 10, complete=False).cases >= 400


@pytest.mark.slow
def test_ten_thousand_cases() -> None:
    """`pytest -s` shows the tables of what they reach."""
    covered = compare(10_000, 12, complete=True)
    assert covered.cases >= 10_000
    assert covered.empty() == []
