"""The design as RTL has the network's integers: random networks and plans, fault-free and with struck copies."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from networks import SEEDS, accumulators, fixed_points, layer_plans, random_raw, results, weighted
from passive_layers import passive
from verilog_bench import Job, packed, simulate, unpacked

from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError, ReportError
from codesign.faults import FaultArray, Target, fault_array
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.network import INPUT, Kind, Layer, Network, Parameter, Shape, adder_spans, forward
from codesign.network.rules import TABLES_OF
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope
from codesign.resources.estimate import EstimatePolicy
from codesign.resources.mapping import map_flat, map_modules
from codesign.resources.netlist import Netlist
from codesign.resources.redundancy import check_redundancy
from codesign.resources.rtl import Rtl, rtl
from codesign.resources.rtl.verilog import Module

VECTORS = 48
MANY = 60


@st.composite
def designs(draw: st.DrawFn) -> tuple[Network, ProtectionPlan, int]:
    """Layers of all kinds that are computed at once, with shortcuts; levels a cycle."""
    source = draw(fixed_points((1, 9), (0, 6)))
    shape = draw(st.sampled_from([(5,), (7,), (3, 2), (4, 2), (3, 3, 1), (3, 2, 2)]))
    tensors: list[tuple[str, Shape, FixedPoint]] = [(INPUT, shape, source)]
    layers: list[Layer] = []
    for index in range(draw(st.integers(1, 5))):
        layers.append(draw(_layer(f"layer{index}", tensors)))
        tensors.append((layers[-1].name, layers[-1].out_shape, layers[-1].result))
    if not any(layer.protectable for layer in layers):
        _, last, of = tensors[-1]
        layers.append(draw(_dense("last", math.prod(last), of)))
    network = Network("random", source, tuple(layers), shape)
    plans = [
        draw(layer_plans(layer, (Mechanism.TMR, Mechanism.DMR)))
        for layer in layers
        if layer.protectable and draw(st.integers(0, 3))
    ]
    return network, ProtectionPlan(tuple(plans)), draw(st.integers(1, 5))


@st.composite
def _layer(draw: st.DrawFn, name: str, tensors: list[tuple[str, Shape, FixedPoint]]) -> Layer:
    last, shape, source = tensors[-1]
    kinds: list[Kind | None] = [Kind.RELU, Kind.CONCATENATE, None, None]
    kinds += [Kind.PAD, Kind.RESHAPE] if len(shape) > 1 else [Kind.ADD, Kind.BATCHNORM, Kind.DENSE, Kind.DENSE]
    match draw(st.sampled_from(kinds)):
        case None:
            return draw(passive(name, last, shape, source))
        case Kind.RELU:
            return Layer.relu(name, shape, draw(results(source.frac)), inputs=(last,))
        case Kind.PAD:
            pads = tuple((draw(st.integers(0, 1)), draw(st.integers(0, 1))) for _ in shape[:-1])
            return Layer.pad(name, shape, pads, source, inputs=(last,))
        case Kind.RESHAPE:
            return Layer.reshape(name, shape, (math.prod(shape),), source, inputs=(last,))
        case Kind.DENSE:
            return draw(_dense(name, shape[0], source))
        case Kind.BATCHNORM:
            return draw(weighted(name, Kind.BATCHNORM, shape, source, (last,)))
        case kind:
            other, _, second = draw(st.sampled_from([tensor for tensor in tensors if tensor[1] == shape]))
            frac = max(source.frac, second.frac)
            if kind is Kind.CONCATENATE:
                axis = draw(st.integers(0, len(shape) - 1))
                return Layer.concatenate(name, (shape, shape), draw(results(frac)), inputs=(last, other), axis=axis)
            accumulator = draw(accumulators(frac))
            result = draw(st.none() | results(accumulator.frac))
            return Layer.add(name, shape, accumulator, result, inputs=(last, other))


@st.composite
def _dense(draw: st.DrawFn, name: str, size: int, source: FixedPoint) -> Layer:
    """With some weights and biases of zero."""
    layer = replace(draw(weighted(name, Kind.DENSE, (size,), source, ())), reuse_factor=1)
    generator = np.random.default_rng(draw(SEEDS))
    weights = layer.w.raw * generator.integers(0, 4, layer.w.raw.shape).clip(0, 1)
    biases = layer.b.raw * generator.integers(0, 2, layer.neurons)
    return replace(layer, weight=Parameter(weights, layer.w.type), bias=Parameter(biases, layer.b.type))


Design = tuple[Network, ProtectionPlan, int]


def designs_of(strategy: st.SearchStrategy[Design], count: int, number: int = 1) -> list[Design]:
    """Random designs of a seed."""
    found: list[Design] = []

    @seed(number)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(design: Design) -> None:
        network, plan, levels = design
        found.append((replace(network, name=f"random{len(found)}"), plan, levels))

    collect()
    return found


@cache
def pool() -> tuple[Design, ...]:
    """Random designs, first those that hold some case that none before them does."""
    # hypothesis draws neighbours: few of many seeds differ more
    found = [design for number in range(50) for design in designs_of(designs(), 4, number)]
    found = [(replace(network, name=f"random{k}"), plan, levels) for k, (network, plan, levels) in enumerate(found)]
    seen: set[str] = set()
    new, others = [], []
    for design in found:
        held = set(features(*design[:2]))
        (others if held <= seen else new).append(design)
        seen |= held
    return (*new, *others)


def drawn(count: int) -> tuple[Design, ...]:
    return pool()[:count]


def struck(network: Network, plan: ProtectionPlan, design: Rtl) -> tuple[FaultArray, dict[str, list[int]]]:
    """For every vector a flip in what some copy of one layer gives, as a fault list and as numbers at the ports.

    Of a layer that is used several times it strikes one step.
    """
    generator, rows = np.random.default_rng(0), []
    protected = design.hardened | design.recomputed
    ports = {f"{name}_strike": [0] * VECTORS for name in protected}
    for sample in range(VECTORS if ports else 0):
        name = list(protected)[sample % len(protected)]
        index = [layer.name for layer in network.layers].index(name)
        layer, copies = network.layers[index], plan.of_layer(network.layers[index]).mechanism.copies
        places = [
            (neuron, copy, bit)
            for neuron, hardened in enumerate(plan.of_layer(layer).hardened_bits)
            if hardened and neuron in protected[name]
            for copy in range(copies)
            for bit in range(layer.acc.width - hardened, layer.acc.width)
        ]
        place = int(generator.integers(len(places)))
        neuron, copy, bit = places[place]
        again = name in design.recomputed
        per_pass, step, clock = struck_step(layer, plan.of_layer(layer), neuron, copy if again else 0, generator)
        ports[f"{name}_strike"][sample] = 1 << place | clock << len(places)
        spans = adder_spans(per_pass, chain=layer.saturates)
        last = int(np.argmax(spans[:, 1] - spans[:, 0]))
        rows.append((index, Target.ACCUMULATOR, neuron, last, copy, bit, sample, step))
    return fault_array(rows), ports


def struck_step(
    layer: Layer, plan: LayerPlan, neuron: int, again: int, generator: np.random.Generator
) -> tuple[int, int, int]:
    """Products of a pass, step of a fault, and step of the layer, in a pass of the first computation or a later one."""
    lines = [j for j, hardened in enumerate(plan.hardened_bits) if hardened]
    recomputes = plan.mechanism is Mechanism.RECOMPUTE
    period = layer.reuse_factor + (2 * len(lines) * plan.unit_passes(layer) if recomputes else 0)
    passes, per_pass, before = layer.reuse_factor, layer.per_pass, 0
    if again:
        passes, per_pass = plan.unit_passes(layer), plan.dot_size
        before = layer.reuse_factor + ((again - 1) * len(lines) + lines.index(neuron)) * passes
    pixel, number = int(generator.integers(layer.pixels)), int(generator.integers(passes))
    return per_pass, pixel * passes + number, pixel * period + before + number


def job(
    network: Network, plan: ProtectionPlan, levels: int, policy: EstimatePolicy
) -> tuple[Job, ReferenceSimulator, FaultArray]:
    design = rtl(network, plan, levels, policy=policy, taps=True)
    inputs = random_raw(network.input_type, (VECTORS, network.n_in), np.random.default_rng(5))
    faults, strikes = struck(network, plan, design)
    entering = {"x": packed(inputs, network.input_type), "guard": [0] * VECTORS, **strikes}
    last = network.layers[-1]
    leaving = {
        "y": last.n_out * last.result.width,
        **{f"{name}_count": 16 for name in design.hardened | design.recomputed},
    }
    return Job(design, entering, leaving), ReferenceSimulator(network, plan, inputs), faults


def compare(designs: Sequence[Design], folder: Path, *policies: EstimatePolicy) -> None:
    """All designs in one simulator, twice: without faults (also against the golden model), and struck."""
    count, of_each = len(designs), itertools.cycle(policies or (EstimatePolicy(),))
    made = [job(*design, policy) for design, policy in zip(designs, of_each, strict=False)]
    assert sum(bool(one.design.hardened or one.design.recomputed) for one, _, _ in made) > count // 2
    assert len({one.design.latency for one, _, _ in made}) > min(count - 1, 3)
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
        for name in one.design.hardened | one.design.recomputed:
            flags = expected.corrected | expected.detected
            raised = int(flags[:, names.index(name)].sum())
            assert hit[-1][f"{name}_count"] == raised
            assert clean[-1][f"{name}_count"] == 0
            flagged += raised
    assert flagged > count * VECTORS // 4


@pytest.mark.cxx
def test_some_designs_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(12), tmp_path)


@pytest.mark.cxx
@pytest.mark.slow
def test_many_designs_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(MANY), tmp_path)


def test_what_has_no_rtl_is_refused_by_name() -> None:
    weight = Parameter(np.ones((2, 1), np.int64), FixedPoint(4, 4))
    bias = Parameter(np.zeros(1, np.int64), FixedPoint(4, 4))
    layer = Layer.dense("fc", weight, bias, FixedPoint(8, 8), reuse_factor=2)
    network = Network("n", FixedPoint(4, 4), (layer,), (2,))
    plan = ProtectionPlan((LayerPlan("fc", (3,), scope=Scope.MAC),))
    with pytest.raises(ConfigError, match="layer 'fc'.*scope mac.*reuse factor 1"):
        rtl(network, plan)


# ---------------------------------------------------------------- what the designs hold


def features(network: Network, plan: ProtectionPlan) -> Iterator[str]:
    """What of the RTL's cases a design has, by name."""
    for index, layer in enumerate(network.layers):
        yield str(layer.settings.get("function") or layer.settings.get("implementation") or layer.kind)
        if not layer.protectable:
            continue
        source = network.input_types(index)[0]
        if layer.has_weights and source.width == 1:
            yield f"single bit {source.signed}"
        of_layer, acc = plan.of_layer(layer), layer.acc
        frac = network.input_of(index).frac + (layer.w.type.frac if layer.has_weights else 0)
        if frac > acc.frac:
            yield f"{acc.rounding} {'chain' if layer.saturates else 'tree'}"
        for hardened in set(of_layer.hardened_bits) - {0}:
            yield f"{of_layer.mechanism} {of_layer.scope} {'whole' if hardened == acc.width else 'part'}"
            yield f"{of_layer.scope} {acc.overflow}"


def every_feature() -> set[str]:
    kinds = {str(kind) for kind in Kind} - {Kind.CONV, Kind.DEPTHWISE, Kind.ACTIVATION, Kind.SOFTMAX}
    sums = {f"{mode} {sums}" for mode in Rounding for sums in ("chain", "tree")}
    plans = {f"{m} {s} {part}" for m in (Mechanism.TMR, Mechanism.DMR) for s in Scope for part in ("whole", "part")}
    modes = {f"{scope} {mode}" for scope in Scope for mode in Overflow}
    others = {"stable", "latency", "single bit True", "single bit False"}
    return kinds | set(TABLES_OF) | others | sums | plans | modes


def test_the_designs_hold_every_case() -> None:
    found = {feature for network, plan, _ in drawn(MANY) for feature in features(network, plan)}
    assert every_feature() - found == set()


# ---------------------------------------------------------------- redundancy


def guarded_design() -> tuple[Network, ProtectionPlan]:
    """Layers of every scope and kind of sum, each with words wide enough for carry chains."""
    generator, of, shape = np.random.default_rng(4), FixedPoint(8, 2), (3,)
    passed, limits = FixedPoint(8, 4, True, Rounding.RND, Overflow.SAT), FixedPoint(14, 6, overflow=Overflow.SAT)

    def dense(name: str, accumulator: FixedPoint) -> Layer:
        weights, biases = (Parameter(random_raw(of, size, generator), of) for size in ((3, 3), (3,)))
        return Layer.dense(name, weights, biases, accumulator, passed)

    wraps = FixedPoint(18, 8)
    layers = (
        dense("tree", wraps),
        dense("mac", wraps),
        dense("chain", limits),
        dense("macs", limits),
        Layer.add("add", shape, FixedPoint(10, 6), passed, inputs=("mac", "macs")),
    )
    plans = (
        LayerPlan("tree", (18, 9, 0)),
        LayerPlan("mac", (18, 9, 7), Mechanism.DMR, Scope.MAC),
        LayerPlan("chain", (14, 0, 14)),
        LayerPlan("macs", (14, 14, 0), Mechanism.TMR, Scope.MAC),
        LayerPlan("add", (10, 7, 0)),
    )
    return Network("guarded", FixedPoint(8, 2), layers, shape), ProtectionPlan(plans)


def unguarded(module: Module) -> Module:
    """The same with every guard tied to zero."""
    parts = tuple(unguarded(part) for part in module.parts)
    return replace(module, text=module.text.replace("guard[0]", "1'b0"), parts=parts)


@pytest.mark.slow
def test_guards_keep_the_copies_of_a_flattened_design_apart(tmp_path: Path) -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install pyosys")
    network, plan = guarded_design()
    design, name = rtl(network, plan), rtl(network, plan).top.name
    kept = Netlist.of(map_modules(design.top.every(), cache=tmp_path), name)
    mechanisms = {layer.layer: layer.mechanism for layer in plan.layers}
    copies = sum(len(neurons) * mechanisms[layer].copies for layer, neurons in design.hardened.items())
    assert check_redundancy(kept, design.hardened, plan) == copies
    flat, merged = (Netlist.of(map_flat(top, cache=tmp_path), name) for top in (design.top, unguarded(design.top)))
    for layer in plan.layers:
        alone = {layer.layer: design.hardened[layer.layer]}
        # Multipliers have logic in common that a tool may find behind the guards, and of what an overflow chooses a bit
        # can follow from others, so that the flag does not read it.
        if layer.scope is Scope.ADDER and not network.layer(layer.layer).saturates:
            assert check_redundancy(flat, alone, plan) == len(alone[layer.layer]) * layer.mechanism.copies
        with pytest.raises(ReportError, match=f"layer '{layer.layer}'"):
            check_redundancy(merged, alone, plan)
