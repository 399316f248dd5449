"""Shared adder graphs and multiplications in DSPs: the network's integers, the plan's copies, the estimate's counts."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import SEEDS, random_raw
from test_rtl import compare, drawn

from codesign.errors import ConfigError, ToolError
from codesign.fixed import FixedPoint, Overflow
from codesign.network import Layer, Network, Parameter, forward
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan
from codesign.resources.dsp import parts, takes_dsp, tiles
from codesign.resources.estimate import EstimatePolicy, estimate
from codesign.resources.policy import Strategy
from codesign.resources.rtl import rtl
from codesign.resources.rtl.graph import Graph, Term, solved
from codesign.resources.rtl.shared import sums_on_graphs
from codesign.resources.rtl.verilog import DSP, Module
from codesign.resources.rtl.words import Constant, Moved, Operand, Sum, Word
from codesign.resources.synthesis import synthesise
from codesign.study import Design

SHARED = EstimatePolicy(strategy=Strategy.DISTRIBUTED_ARITHMETIC)
# Thresholds and tiles so small that narrow factors take DSPs, and several each.
IN_DSP = (
    EstimatePolicy(dsp_min_bits=2),
    EstimatePolicy(dsp_min_bits=3, dsp_tile=(5, 4)),
    EstimatePolicy(dsp_min_bits=3, dsp_tile=(3, 2), dsp_levels=2),
)
TYPES = st.builds(FixedPoint, st.integers(1, 9), st.integers(-2, 4), st.booleans())


def whole_neurons(plan: ProtectionPlan, network: Network) -> ProtectionPlan:
    """Every other hardened neuron hardened whole."""

    def layer(of: LayerPlan) -> LayerPlan:
        width = network.layer(of.layer).acc.width
        return replace(of, hardened_bits=tuple(width if h and j % 2 else h for j, h in enumerate(of.hardened_bits)))

    return ProtectionPlan(tuple(layer(of) for of in plan.layers))


def of_structures(count: int) -> list[tuple[Network, ProtectionPlan, int]]:
    return [(network, whole_neurons(plan, network), levels) for network, plan, levels in drawn(count)]


@pytest.mark.cxx
def test_some_structures_have_the_networks_integers(tmp_path: Path) -> None:
    compare(of_structures(10), tmp_path, SHARED, IN_DSP[1])


@pytest.mark.cxx
@pytest.mark.slow
def test_many_structures_have_the_networks_integers(tmp_path: Path) -> None:
    compare(of_structures(60), tmp_path, SHARED, IN_DSP[0], SHARED, IN_DSP[1], SHARED, IN_DSP[2])


# ---------------------------------------------------------------- graphs


def number(word: Word, operands: dict[str, int]) -> int:
    """What a word's bits mean, its sign left aside, before anything wraps."""
    match word:
        case Operand():
            return operands[word.port]
        case Constant():
            return word.value
        case Moved():
            bits = number(word.of, operands)
            return bits << word.by if word.by >= 0 else bits >> -word.by
        case Sum():
            first, second = number(word.first, operands), number(word.second, operands)
            return first - second if word.subtracts else first + second
    raise TypeError(word)


@st.composite
def dense_layers(draw: st.DrawFn) -> tuple[Layer, FixedPoint]:
    source, weight = draw(TYPES), draw(TYPES)
    n_in, neurons = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    generator = np.random.default_rng(draw(SEEDS))
    width, frac = draw(st.integers(1, 24)), source.frac + weight.frac + draw(st.integers(0, 3))
    acc = FixedPoint(width, width - frac, draw(st.booleans()))
    bias = FixedPoint(6, 6 - frac)
    kept = generator.integers(0, 3, (n_in, neurons)).clip(0, 1)
    weights = Parameter(random_raw(weight, (n_in, neurons), generator) * kept, weight)
    return Layer.dense("fc", weights, Parameter(random_raw(bias, (neurons,), generator), bias), acc), source


@given(dense_layers(), SEEDS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_graphs_have_the_layers_sums(drawn_layer: tuple[Layer, FixedPoint], seed: int) -> None:
    """Modulo two to the accumulator's width, whichever neurons are hardened; and every neuron has one place."""
    layer, source = drawn_layer
    generator = np.random.default_rng(seed)
    hardened = tuple(int(h) for h in generator.choice([0, layer.acc.width], layer.neurons))
    graphs = sums_on_graphs(layer, source, LayerPlan("fc", hardened), SHARED)
    assert sorted(j for graph in graphs for j in graph.neurons) == list(range(layer.neurons))
    inputs = random_raw(source, (5, layer.n_in), generator)
    expected = forward(Network("n", source, (layer,)), inputs)[-1]
    for row, sums in zip(inputs.tolist(), expected.tolist(), strict=True):
        operands = {f"x{k}": value for k, value in enumerate(row)}
        for graph in graphs:
            assert graph.guarded == (graph.copies == 3)
            for j, total in zip(graph.neurons, graph.totals, strict=True):
                found = number(total, operands) if total else 0
                assert (found - sums[j]) % (1 << layer.acc.width) == 0


def test_a_graph_that_is_not_the_weights_is_refused() -> None:
    graph = Graph(2, ((Term(0), Term(1, 1)),), (Term(2), None))
    graph.check(np.array([[1, 0], [2, 0]]))
    for wrong in ([[1, 0], [3, 0]], [[1, 1], [2, 0]]):
        with pytest.raises(ToolError, match="does not compute the layer's products"):
            graph.check(np.array(wrong))


def test_damaged_graphs_are_solved_again(tmp_path: Path) -> None:
    weights, source = np.array([[3, 5], [-7, 11]]), FixedPoint(4, 4)
    graph = solved(weights, source, tmp_path)
    (path,) = tmp_path.rglob("*.json.gz")
    good = path.read_bytes()
    for damaged in (b"", good[:-9], b"no archive"):
        path.write_bytes(damaged)
        _forget()
        assert solved(weights, source, tmp_path) == graph
        assert path.read_bytes() != damaged


def _forget() -> None:
    from codesign.resources.rtl import graph

    graph._kept.cache_clear()


def one(width: int, frac: int, overflow: Overflow = Overflow.WRAP, kind: str = "dense") -> Network:
    source, weight = FixedPoint(4, 2), FixedPoint(4, 2)
    acc = FixedPoint(width, width - frac, overflow=overflow)
    weights, bias = Parameter(np.array([[3, 5], [-7, 1]]), weight), Parameter(np.zeros(2, np.int64), weight)
    if kind == "dense":
        return Network("n", source, (Layer.dense("fc", weights, bias, acc),))
    scale = Parameter(weights.raw[0], weight)
    return Network("n", source, (Layer.batchnorm("fc", (2,), scale, bias, acc),))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (one(8, 3), "keeps the products' 4 bits of fraction, fixed<8,5,TRN,WRAP> has 3"),
        (one(8, 4, Overflow.SAT), "needs an accumulator that wraps, not fixed<8,4,TRN,SAT>"),
        (one(8, 4, kind="batchnorm"), "is for layers whose neurons share their inputs: dense, conv"),
    ],
)
def test_layers_that_cannot_share(network: Network, message: str) -> None:
    """Named they are refused, among all others they stay as they are."""
    named = EstimatePolicy(layer_strategies=(("fc", Strategy.DISTRIBUTED_ARITHMETIC),))
    with pytest.raises(ConfigError, match=f"layer 'fc'.*{message}"):
        estimate(network, ProtectionPlan(), policy=named)
    assert estimate(network, ProtectionPlan(), policy=SHARED) == estimate(network, ProtectionPlan())


def test_layers_of_one_network_can_differ() -> None:
    network = Network("n", one(8, 4).input_type, (dense("a", 8, 6, 1), dense("b", 6, 5, 2)))
    some = EstimatePolicy(layer_strategies=(("b", Strategy.DISTRIBUTED_ARITHMETIC),))
    each, every, none = (estimate(network, ProtectionPlan(), policy=p).layers for p in (some, SHARED, EstimatePolicy()))
    assert [layer.lut for layer in each] == [none[0].lut, every[1].lut]
    assert every[1].lut < none[1].lut


def dense(name: str, n_in: int, neurons: int, seed: int, bits: int = 4) -> Layer:
    generator, weight = np.random.default_rng(seed), FixedPoint(bits, 2)
    types = (weight, FixedPoint(5, 3), FixedPoint(18, 18 - bits), FixedPoint(4, 2))
    shapes = ((n_in, neurons), (neurons,))
    weights, bias = (Parameter(random_raw(of, shape, generator), of) for of, shape in zip(types, shapes, strict=False))
    return Layer.dense(name, weights, bias, types[2], types[3])


# ---------------------------------------------------------------- DSPs


@given(TYPES.map(lambda of: replace(of, width=of.width * 5)), st.integers(-(2**40), 2**40), SEEDS, st.integers(2, 26))
def test_tiles_are_the_product(source: FixedPoint, factor: int, seed: int, side: int) -> None:
    """Parts of the operand times parts of the constant, each within a DSP's operands as signed numbers."""
    factor, policy = factor | 1, EstimatePolicy(dsp_tile=(25, side))
    (x,) = random_raw(source, (1,), np.random.default_rng(seed)).tolist()
    total, width = 0, source.width + (not source.signed)
    for tile in tiles(source, factor, policy, 1000):
        part = x >> tile.start
        if tile.end < width:
            part &= (1 << (tile.end - tile.start)) - 1
        total += part * tile.factor << tile.shift
        sizes = sorted([tile.end - tile.start + (tile.end < width), (abs(tile.factor)).bit_length() + 1])
        assert sizes[0] <= min(25, side) + 1 and sizes[1] <= 26
    assert total == x * factor


def test_which_products_take_dsps() -> None:
    policy = EstimatePolicy(dsp_min_bits=5)
    assert takes_dsp(FixedPoint(5, 5), 9, policy)
    assert not takes_dsp(FixedPoint(4, 4), 9, policy)
    assert not takes_dsp(FixedPoint(5, 5), 7, policy)  # four bits with its sign
    assert list(parts(10, 4)) == [(0, 3), (3, 6), (6, 10)]


def chain(sizes: tuple[int, ...], hardened: int, bits: int) -> tuple[Network, ProtectionPlan]:
    """Dense layers one behind the other, of each `hardened` bits of every other neuron."""
    layers = tuple(dense(f"fc{k}", n, m, k, bits) for k, (n, m) in enumerate(itertools.pairwise(sizes)))
    plans = (
        LayerPlan(x.name, tuple(hardened * (j % 2) for j in range(x.neurons)), list(Mechanism)[k % 2])
        for k, x in enumerate(layers)
    )
    return Network("n", FixedPoint(4, 2), layers), ProtectionPlan(tuple(plans))


@pytest.mark.parametrize("family", ["xc7", "xcup"])
def test_mapped_dsps_are_the_estimates(family: str, tmp_path: Path) -> None:
    """Also of hardened neurons, of which each product exists once, and of factors that take several."""
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install 'codesign[yosys]'")
    network, plan = chain((5, 4, 3), 9, 7)
    policy = EstimatePolicy(dsp_min_bits=4, dsp_tile=(6, 5))
    found = synthesise(network, plan, policy=policy, family=family, cache=tmp_path)  # type: ignore[arg-type]
    expected = estimate(network, plan, policy=policy)
    assert {name: layer.dsp for name, layer in found.layers.items() if name} == {x.name: x.dsp for x in expected.layers}
    assert found.report.dsp == expected.report.dsp > 10
    assert found.to_json()["dsp"] == found.report.dsp
    assert found.copies == 2 * 3 + 1 * 2


def multipliers(module: Module) -> int:
    """How many a module holds, all instances counted."""
    if not module.parts:
        return int(DSP in module.text)
    instances = [line.split()[0] for line in module.text.splitlines() if line.strip()]
    return sum(multipliers(part) * instances.count(part.name) for part in module.parts)


def test_multipliers_are_the_estimates_dsps() -> None:
    """Of sums that wrap: one that saturates can be a constant, and products of two variables are in logic."""
    total = 0
    for number_of, (network, plan, levels) in enumerate(drawn(40)):
        policy = IN_DSP[number_of % 3]
        layers = rtl(network, plan, levels, policy=policy).layers
        for layer, expected in zip(network.layers, estimate(network, plan, policy=policy).layers, strict=True):
            if layer.has_weights and not layer.saturates:
                found = multipliers(layers[layer.name])
                assert found == expected.dsp, (network.name, layer.name)
                total += found
    assert total > 200


@pytest.mark.slow
def test_mapped_dsps_of_random_layers_are_the_estimates(tmp_path: Path) -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install 'codesign[yosys]'")
    total = 0
    for number_of, (network, plan, levels) in enumerate(drawn(8)):
        policy = replace(IN_DSP[number_of % 2], level_ns=4.375 / levels)
        found, expected = (
            synthesise(network, plan, policy=policy, cache=tmp_path),
            estimate(network, plan, policy=policy),
        )
        of_weights = {layer.name for layer in network.layers if layer.has_weights and not layer.saturates}
        by_layer = {name: layer.dsp for name, layer in found.layers.items() if name in of_weights}
        assert by_layer == {layer.name: layer.dsp for layer in expected.layers if layer.name in of_weights}
        total += found.report.dsp or 0
    assert total > 20


def test_a_dsp_larger_than_the_familys_is_refused() -> None:
    network, plan = chain((2, 2), 0, 4)
    with pytest.raises(ConfigError, match=r"a DSP of xc7 multiplies 25 x 18 bits, the policy says \(27, 18\)"):
        synthesise(network, plan, policy=EstimatePolicy(dsp_tile=(27, 18)))


# ---------------------------------------------------------------- mapped graphs


def test_mapped_graphs_are_smaller_and_their_copies_apart(tmp_path: Path) -> None:
    """Of seven neurons two are plain, two are hardened whole and share a graph a copy, three stand alone."""
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install 'codesign[yosys]'")
    layer = dense("fc", 8, 7, 3, 6)
    network, none = Network("n", FixedPoint(5, 3), (layer,)), ProtectionPlan()
    plan = ProtectionPlan((LayerPlan("fc", (0, 18, 5, 18, 9, 3, 0)),))
    plain, shared = (synthesise(network, none, policy=p, cache=tmp_path) for p in (EstimatePolicy(), SHARED))
    assert (shared.report.lut or 0) < (plain.report.lut or 0)
    found = synthesise(network, plan, policy=SHARED, cache=tmp_path)
    assert found.copies == 5 * 3
    names = [line.split()[1] for line in found.design.layers["fc"].text.splitlines() if "graph_" in line.split("(")[0]]
    assert [name for name in names if name.startswith("graph_")] == [
        "graph_neurons",
        "graph_copy0",
        "graph_copy1",
        "graph_copy2",
    ]
    lut = found.report.lut or 0
    assert abs(lut - (estimate(network, plan, policy=SHARED).report.lut or 0)) <= 0.12 * lut


# ---------------------------------------------------------------- studies


def test_a_designs_structure_is_the_policys() -> None:
    design = Design(8, 8, 1.0, 0, 0)
    assert EstimatePolicy.of(*design.structure) == EstimatePolicy()
    shared = replace(design, strategy="distributed_arithmetic", dsp_min_bits=7)
    assert EstimatePolicy.of(*shared.structure) == replace(SHARED, dsp_min_bits=7)
    assert replace(design, strategy="Resource").structure == design.structure
    with pytest.raises(ConfigError, match="unknown strategy 'area'"):
        EstimatePolicy.of("area", 10)
