"""Units that are used several times a sample, as RTL: the network's integers, and the estimate's cycles."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from networks import SEEDS, divisors, fixed_points, layer_plans, random_raw, results
from test_rtl import Design, compare, designs_of

from codesign.codes import Code
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import INPUT, Kind, Layer, Network, Parameter, Shape
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope
from codesign.resources.estimate import EstimatePolicy, estimate
from codesign.resources.netlist import Netlist
from codesign.resources.redundancy import check_redundancy
from codesign.resources.rtl import rtl
from codesign.resources.synthesis import synthesise

COPIED = (Mechanism.TMR, Mechanism.DMR)
WRAPPED = {"rounding": st.just(Rounding.TRN), "overflow": st.just(Overflow.WRAP)}


@st.composite
def designs(draw: st.DrawFn, mechanisms: tuple[Mechanism, ...] = COPIED, reuse: bool = False) -> Design:
    """Layers on a series or an image, the last ones on vectors; levels a cycle."""
    source = draw(fixed_points((1, 8), (0, 6)))
    first, shape, layers = source, _drawn_shape(draw), list[Layer]()
    start = shape
    for index in range(draw(st.integers(1, 3))):
        layers.append(draw(_layer(f"layer{index}", shape, source, index == 0, reuse)))
        shape, source = layers[-1].out_shape, layers[-1].result
        earlier = [INPUT, *(layer.name for layer in layers)]
        shapes = dict(zip(earlier, (start, *(layer.out_shape for layer in layers)), strict=True))
        if others := [name for name in earlier if shapes[name] == shape and draw(st.booleans())]:
            layers.append(_sum(draw, f"add{index}", shape, source, (layers[-1].name, others[0])))
            source = layers[-1].result
    network = Network("random", first, tuple(layers), start)
    plans = [
        draw(layer_plans(layer, mechanisms if layer.has_weights else COPIED, (Scope.ADDER,), (Code.NONE,)))
        for layer in layers
        if layer.protectable
    ]
    return network, ProtectionPlan(tuple(plans)), draw(st.integers(1, 5))


def _sum(draw: st.DrawFn, name: str, shape: Shape, source: FixedPoint, inputs: tuple[str, str]) -> Layer:
    """Of two tensors, which can be one, at another scale or not."""
    frac = source.frac + draw(st.integers(-2, 1))
    width = draw(st.integers(2, 14))
    accumulator = FixedPoint(width, width - frac, draw(st.booleans()))
    return Layer.add(name, shape, accumulator, draw(st.none() | results(accumulator.frac)), inputs=inputs)


def _drawn_shape(draw: st.DrawFn) -> Shape:
    return (*(draw(st.integers(2, 5)) for _ in range(draw(st.integers(0, 2)))), draw(st.integers(1, 3)))


@st.composite
def _layer(draw: st.DrawFn, name: str, shape: Shape, source: FixedPoint, first: bool, reuse: bool) -> Layer:
    image = len(shape) > 1
    kinds = [Kind.CONV, Kind.CONV, Kind.DEPTHWISE, Kind.BATCHNORM] if image else [Kind.DENSE]
    kind = draw(st.sampled_from(kinds if first else [*kinds, Kind.RELU, *([Kind.RESHAPE] if image else [])]))
    if kind is Kind.RELU:
        return Layer.relu(name, shape, draw(results(source.frac)))
    if kind is Kind.RESHAPE:
        return Layer.reshape(name, shape, (int(np.prod(shape)),), source)
    weight, bias = draw(fixed_points((1, 7), (-1, 5), **WRAPPED)), draw(fixed_points((2, 9), (-1, 8), **WRAPPED))
    width, frac = draw(st.integers(2, 20)), source.frac + weight.frac + draw(st.integers(-4, 2) | st.just(0))
    accumulator = FixedPoint(width, width - frac, draw(st.booleans()))
    types = (accumulator, draw(st.none() | results(accumulator.frac)))
    generator = np.random.default_rng(draw(SEEDS))

    def parameters(*sizes: int) -> tuple[Parameter, Parameter]:
        present = generator.integers(0, 4, sizes).clip(0, 1)
        weights = Parameter(random_raw(weight, sizes, generator) * present, weight)
        return weights, Parameter(random_raw(bias, sizes[-1:], generator), bias)

    def passes(products: int) -> int:
        return draw(st.sampled_from(divisors(products))) if reuse else 1

    if kind is Kind.BATCHNORM:
        return Layer.batchnorm(name, shape, *parameters(shape[-1]), *types)
    neurons = draw(st.integers(1, 3))
    if kind is Kind.DENSE:
        return Layer.dense(name, *parameters(shape[0], neurons), *types, reuse_factor=passes(shape[0]))
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in shape[:-1])
    strides, padding = tuple(draw(st.integers(1, 2)) for _ in kernel), draw(st.sampled_from(["valid", "same"]))
    slide = {"strides": strides, "padding": padding}
    if kind is Kind.CONV:
        slide["reuse_factor"] = passes(int(np.prod(kernel)) * shape[-1])
        return Layer.conv(name, shape, *parameters(*kernel, shape[-1], neurons), *types, **slide)
    slide["reuse_factor"] = passes(int(np.prod(kernel)))
    return Layer.depthwise(name, shape, *parameters(*kernel, shape[-1]), *types, **slide)


def small_cnn(shape: Shape, channels: tuple[int, int], reuse: int = 1) -> Network:
    """Two convolutions, each with a ReLU, and a dense layer of ten neurons."""
    generator = np.random.default_rng(8)
    weights, biases, accumulator = FixedPoint(4, 1), FixedPoint(5, 2), FixedPoint(14, 7)
    hidden = FixedPoint(5, 2, False, Rounding.RND, Overflow.SAT)

    def parameters(*sizes: int) -> tuple[Parameter, Parameter]:
        return (
            Parameter(random_raw(weights, sizes, generator), weights),
            Parameter(random_raw(biases, sizes[-1:], generator), biases),
        )

    slide = {"padding": "same", "reuse_factor": reuse}
    first = Layer.conv("conv0", shape, *parameters(3, 3, shape[-1], channels[0]), accumulator, **slide)
    second = Layer.conv(
        "conv1", first.out_shape, *parameters(3, 3, channels[0], channels[1]), accumulator, strides=(2, 2), **slide
    )
    relus = [Layer.relu(f"relu{k}", conv.out_shape, hidden) for k, conv in enumerate((first, second))]
    last = Layer.dense("fc", *parameters(second.n_out, 10), FixedPoint(16, 9), reuse_factor=reuse)
    return Network("cnn", FixedPoint(5, 1, False), (first, relus[0], second, relus[1], last), shape)


# ---------------------------------------------------------------- integers


@pytest.mark.cxx
@pytest.mark.slow
def test_many_convolutions_have_the_networks_integers(tmp_path: Path) -> None:
    compare(designs_of(designs(), 30), tmp_path)


@pytest.mark.cxx
def test_some_units_in_passes_have_the_networks_integers(tmp_path: Path) -> None:
    compare(designs_of(designs(reuse=True), 8), tmp_path)


@pytest.mark.cxx
@pytest.mark.slow
def test_many_units_in_passes_have_the_networks_integers(tmp_path: Path) -> None:
    compare(designs_of(designs(reuse=True), 30), tmp_path)


@pytest.mark.cxx
def test_some_recomputed_neurons_have_the_networks_integers(tmp_path: Path) -> None:
    compare(designs_of(designs((Mechanism.RECOMPUTE,), reuse=True), 8), tmp_path)


@pytest.mark.cxx
@pytest.mark.slow
def test_many_recomputed_neurons_have_the_networks_integers(tmp_path: Path) -> None:
    compare(designs_of(designs((Mechanism.RECOMPUTE,), reuse=True), 30), tmp_path)


@pytest.mark.cxx
@pytest.mark.slow
def test_a_network_for_images_of_digits_has_its_integers(tmp_path: Path) -> None:
    network = small_cnn((8, 8, 1), (3, 4))
    bits = {layer.name: np.full(layer.neurons, 6) for _, layer in network.compute_layers()}
    compare([(network, ProtectionPlan.of(network, bits), 3)], tmp_path)


# ---------------------------------------------------------------- cycles


def test_the_interval_is_the_estimates() -> None:
    for mechanisms in (COPIED, (Mechanism.RECOMPUTE,)):
        intervals = set()
        for network, plan, levels in designs_of(designs(mechanisms, reuse=True), 40):
            design = rtl(network, plan, levels)
            assert design.ii == estimate(network, plan).report.ii, network.name
            intervals.add(design.ii)
        assert len(intervals) > 6


@pytest.mark.parametrize(("reuse", "mechanism"), [(1, Mechanism.TMR), (3, Mechanism.TMR), (3, Mechanism.RECOMPUTE)])
def test_the_latency_is_the_estimates_and_what_it_leaves_out(reuse: int, mechanism: Mechanism) -> None:
    """Where a cycle holds any logic: a register for each window, for the network's input and for recomputed sums."""
    network = small_cnn((4, 4, 1), (2, 3), reuse)
    like = LayerPlan("", (), mechanism, dot_size=2 if mechanism is Mechanism.RECOMPUTE else 0)
    plan = ProtectionPlan.uniform(network, 5, like)
    a_cycle_ns = 1000.0
    levels = EstimatePolicy().levels_per_cycle(a_cycle_ns)
    expected = estimate(network, plan, clock_ns=a_cycle_ns).report.latency_cycles
    # In a layer that recomputes: its operands and its sums; the window's cycle is among those.
    registers = 3 * 2 if mechanism is Mechanism.RECOMPUTE else 2
    assert rtl(network, plan, levels).latency == expected + 1 + registers


# ---------------------------------------------------------------- what is not there, and redundancy


def test_what_has_no_rtl_in_passes_is_refused_by_name() -> None:
    weights, source = Parameter(np.ones((2, 1), np.int64), FixedPoint(4, 4)), FixedPoint(4, 4)
    bias = Parameter(np.zeros(1, np.int64), source)
    for accumulator, code, message in (
        (FixedPoint(8, 8, overflow=Overflow.SAT), Code.NONE, "layer 'fc'.*truncate and wrap"),
        (FixedPoint(8, 8), Code.PARITY, "layer 'fc'.*without a code.*parity"),
    ):
        layer = Layer.dense("fc", weights, bias, accumulator, reuse_factor=2)
        plan = ProtectionPlan((LayerPlan("fc", (0,), parameters=code),))
        with pytest.raises(ConfigError, match=message):
            rtl(Network("n", source, (layer,), (2,)), plan)


def test_copies_of_running_sums_stay_apart_when_mapped(tmp_path: Path) -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install pyosys")
    generator, weights = np.random.default_rng(3), FixedPoint(3, 1)
    pair = [Parameter(random_raw(weights, sizes, generator), weights) for sizes in ((2, 2, 2), (2,))]
    layer = Layer.conv("conv", (3, 2), *pair, FixedPoint(7, 3), padding="same", reuse_factor=2)
    network = Network("n", FixedPoint(3, 1), (layer,), (3, 2))
    plan = ProtectionPlan((LayerPlan("conv", (7, 3)),))
    found = synthesise(network, plan, cache=tmp_path)
    netlist = Netlist.of(found.modules, found.design.top.name)
    assert check_redundancy(netlist, found.design.hardened, plan) == 2 * 3
    assert found.report.ii == 6
    assert 0 < found.layers["conv"].rom < found.layers["conv"].lut
