"""The design as RTL has the network's integers: random networks and plans, fault-free and with struck copies."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from networks import SEEDS, fixed_points, layer_plans, random_raw, results
from verilog_bench import Job, packed, simulate, unpacked

from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError
from codesign.faults import FaultArray, Target, fault_array
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.network import Kind, Layer, Network, Parameter, adder_spans, forward
from codesign.protection import Mechanism, ProtectionPlan, Scope
from codesign.resources.estimate import EstimatePolicy
from codesign.resources.rtl import Rtl, rtl

VECTORS = 48


@st.composite
def designs(draw: st.DrawFn) -> tuple[Network, ProtectionPlan, int]:
    """Dense layers, batch normalisations and casts of all kinds, one after the other; levels a cycle."""
    source = draw(fixed_points((1, 9), (0, 6)))
    first, size, layers = source, draw(st.integers(1, 7)), []
    for index in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([Kind.DENSE, Kind.DENSE, Kind.BATCHNORM, Kind.RELU, Kind.ACTIVATION]))
        if not index:
            kind = Kind.DENSE
        layers.append(draw(_layer(f"layer{index}", kind, size, source)))
        size, source = layers[-1].n_out, layers[-1].result
    network = Network("random", first, tuple(layers), (layers[0].n_in,))
    plans = [
        draw(layer_plans(layer, (Mechanism.TMR, Mechanism.DMR), (Scope.ADDER,)))
        for layer in layers
        if layer.protectable and draw(st.integers(0, 3))
    ]
    return network, ProtectionPlan(tuple(plans)), draw(st.integers(1, 5))


@st.composite
def _layer(draw: st.DrawFn, name: str, kind: Kind, size: int, source: FixedPoint) -> Layer:
    if kind is Kind.RELU:
        return Layer.relu(name, size, draw(results(source.frac)))
    if kind is Kind.ACTIVATION:
        return Layer.activation(name, (size,), "linear", draw(results(source.frac)))
    plain = {"rounding": st.just(Rounding.TRN), "overflow": st.just(Overflow.WRAP)}
    weight, bias = draw(fixed_points((2, 9), (-1, 6), **plain)), draw(fixed_points((2, 9), (-1, 8), **plain))
    width, frac = draw(st.integers(2, 22)), source.frac + weight.frac + draw(st.integers(-4, 2) | st.just(0))
    accumulator = FixedPoint(width, width - frac, draw(st.booleans()))
    result = draw(st.none() | results(accumulator.frac))
    generator = np.random.default_rng(draw(SEEDS))
    if kind is Kind.BATCHNORM:
        pair = [Parameter(random_raw(of, (size,), generator), of) for of in (weight, bias)]
        return Layer.batchnorm(name, (size,), *pair, accumulator, result)
    neurons = draw(st.integers(1, 4))
    weights = random_raw(weight, (size, neurons), generator) * generator.integers(0, 4, (size, neurons)).clip(0, 1)
    biases = random_raw(bias, (neurons,), generator) * generator.integers(0, 2, neurons)
    return Layer.dense(name, Parameter(weights, weight), Parameter(biases, bias), accumulator, result)


def drawn(count: int) -> list[tuple[Network, ProtectionPlan, int]]:
    found = []

    @seed(1)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(designs())
    def collect(design: tuple[Network, ProtectionPlan, int]) -> None:
        network, plan, levels = design
        found.append((replace(network, name=f"random{len(found)}"), plan, levels))

    collect()
    return found


def struck(network: Network, plan: ProtectionPlan, design: Rtl) -> tuple[FaultArray, dict[str, list[int]]]:
    """For every vector a flip in what some copy of one layer gives, as a fault list and as numbers at the ports."""
    generator, rows = np.random.default_rng(0), []
    ports = {f"{name}_strike": [0] * VECTORS for name in design.hardened}
    for sample in range(VECTORS if ports else 0):
        name = list(design.hardened)[sample % len(design.hardened)]
        index = [layer.name for layer in network.layers].index(name)
        layer, copies = network.layers[index], plan.of_layer(network.layers[index]).mechanism.copies
        places = [
            (neuron, copy, bit)
            for neuron, hardened in enumerate(plan.of_layer(layer).hardened_bits)
            if hardened and neuron in design.hardened[name]
            for copy in range(copies)
            for bit in range(layer.acc.width - hardened, layer.acc.width)
        ]
        place = int(generator.integers(len(places)))
        neuron, copy, bit = places[place]
        ports[f"{name}_strike"][sample] = 1 << place
        spans = adder_spans(layer.fan_in)
        last = int(np.argmax(spans[:, 1] - spans[:, 0]))
        rows.append((index, Target.ACCUMULATOR, neuron, last, copy, bit, sample, 0))
    return fault_array(rows), ports


def job(
    network: Network, plan: ProtectionPlan, levels: int, policy: EstimatePolicy
) -> tuple[Job, ReferenceSimulator, FaultArray]:
    design = rtl(network, plan, levels, policy=policy, taps=True)
    inputs = random_raw(network.input_type, (VECTORS, network.n_in), np.random.default_rng(5))
    faults, strikes = struck(network, plan, design)
    entering = {"x": packed(inputs, network.input_type), "guard": [0] * VECTORS, **strikes}
    last = network.layers[-1]
    leaving = {"y": last.n_out * last.result.width, **{f"{name}_count": 16 for name in design.hardened}}
    return Job(design, entering, leaving), ReferenceSimulator(network, plan, inputs), faults


def compare(designs: Sequence[tuple[Network, ProtectionPlan, int]], folder: Path, *policies: EstimatePolicy) -> None:
    """All designs in one simulator, twice: without faults (also against the golden model), and struck."""
    count = len(designs)
    made = [job(*design, policy) for design, policy in zip(designs, itertools.cycle(policies), strict=False)]
    assert sum(bool(one.design.hardened) for one, _, _ in made) > count // 2
    assert len({one.design.latency for one, _, _ in made}) > 3
    quiet = [
        replace(one, inputs={port: [0] * VECTORS if "strike" in port else v for port, v in one.inputs.items()})
        for one, _, _ in made
    ]
    results = simulate([*quiet, *(one for one, _, _ in made)], folder)
    flagged = 0
    for (one, reference, faults), clean, hit in zip(made, results[:count], results[count:], strict=True):
        network = reference.network
        last = network.layers[-1]

        def outputs(rows: list[dict[str, int]], of: Layer = last) -> list[list[int]]:
            return [unpacked(row["y"], of.n_out, of.result) for row in rows]

        golden: Ints = forward(network, reference.raw_inputs)[-1]
        assert outputs(clean) == golden.tolist(), network.name
        expected = reference.run_flagged(faults)
        assert outputs(hit) == expected.logits.tolist(), network.name
        names = [layer.name for _, layer in network.compute_layers()]
        for name in one.design.hardened:
            flags = expected.corrected | expected.detected
            raised = int(flags[:, names.index(name)].sum())
            # The counter tells of samples that left before: those still inside are not in its last reading.
            assert hit[-1][f"{name}_count"] <= raised and hit[-1][f"{name}_count"] >= raised - one.design.latency
            assert clean[-1][f"{name}_count"] == 0
            flagged += raised
    assert flagged > count * VECTORS // 4


@pytest.mark.cxx
def test_some_designs_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(12), tmp_path, EstimatePolicy())


@pytest.mark.cxx
@pytest.mark.slow
def test_many_designs_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(80), tmp_path, EstimatePolicy())


def test_what_has_no_rtl_is_refused_by_name() -> None:
    weight = Parameter(np.ones((2, 1), np.int64), FixedPoint(4, 4))
    bias = Parameter(np.zeros(1, np.int64), FixedPoint(4, 4))
    saturating = FixedPoint(8, 8, overflow=Overflow.SAT)
    network = Network("n", FixedPoint(4, 4), (Layer.dense("fc", weight, bias, saturating),), (2,))
    with pytest.raises(ConfigError, match="layer 'fc'.*truncate and wrap"):
        rtl(network, ProtectionPlan())
