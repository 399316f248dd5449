"""Units that are used several times a sample, as RTL: the network's integers, and the estimate's cycles."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from networks import SEEDS, divisors, fixed_points, layer_plans, random_raw, results
from test_rtl import Design, compare, drawn

from codesign.codes import Code
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import Kind, Layer, Network, Parameter, Shape
from codesign.protection import Mechanism, ProtectionPlan, Scope

COPIED = (Mechanism.TMR, Mechanism.DMR)
WRAPPED = {"rounding": st.just(Rounding.TRN), "overflow": st.just(Overflow.WRAP)}


@st.composite
def designs(draw: st.DrawFn, mechanisms: tuple[Mechanism, ...] = COPIED, reuse: bool = False) -> Design:
    """Layers on a series or an image, the last ones on vectors; levels a cycle."""
    source = draw(fixed_points((1, 8), (0, 6)))
    first, shape, layers = source, _drawn_shape(draw), []
    start = shape
    for index in range(draw(st.integers(1, 3))):
        layers.append(draw(_layer(f"layer{index}", shape, source, index == 0, reuse)))
        shape, source = layers[-1].out_shape, layers[-1].result
    network = Network("random", first, tuple(layers), start)
    plans = [
        draw(layer_plans(layer, mechanisms, (Scope.ADDER,), (Code.NONE,))) for layer in layers if layer.protectable
    ]
    return network, ProtectionPlan(tuple(plans)), draw(st.integers(1, 5))


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


@pytest.mark.cxx
def test_some_convolutions_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(12, designs()), tmp_path)


@pytest.mark.cxx
@pytest.mark.slow
def test_many_convolutions_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(60, designs()), tmp_path)


@pytest.mark.cxx
def test_some_units_in_passes_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(12, designs(reuse=True)), tmp_path)


@pytest.mark.cxx
@pytest.mark.slow
def test_many_units_in_passes_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(60, designs(reuse=True)), tmp_path)


@pytest.mark.cxx
def test_some_recomputed_neurons_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(12, designs((Mechanism.RECOMPUTE,), reuse=True)), tmp_path)


@pytest.mark.cxx
@pytest.mark.slow
def test_many_recomputed_neurons_have_the_networks_integers(tmp_path: Path) -> None:
    compare(drawn(60, designs((Mechanism.RECOMPUTE,), reuse=True)), tmp_path)
