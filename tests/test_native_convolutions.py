"""Convolutions that the compiled engine computes sixteen samples at a time give the NumPy engine's integers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SEEDS, fixed_points, random_raw
from test_native import _same_campaign

from codesign.engine.compiled import KERNELS, NativeEngine
from codesign.engine.fast import EngineSimulator
from codesign.faults import FaultModel, FaultSpace, Target
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import Layer, Network, Parameter, Shape
from codesign.protection import ProtectionPlan

WEIGHT, BIAS = FixedPoint(8, 1), FixedPoint(9, 2)
# Plain ones have a faster way; of the others some keep the order of sums and some do not.
RESULTS = [
    FixedPoint(8, 3, False, Rounding.RND_CONV, Overflow.SAT),
    FixedPoint(6, 3, False, Rounding.RND, Overflow.SAT),
    FixedPoint(7, 3, True, Rounding.TRN, Overflow.SAT),
    FixedPoint(8, 4, True, Rounding.RND_CONV, Overflow.SAT_SYM),
    FixedPoint(8, 0, False, Rounding.TRN, Overflow.WRAP),
]
SIZES = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 12, 17])


@st.composite
def image_networks(draw: st.DrawFn) -> Network:
    """Convolutions of any geometry, each with an activation and perhaps a pooling, and a dense layer."""
    source = input_type = draw(fixed_points((5, 8), (4, 8)))
    sides = draw(st.sampled_from([1, 2, 2]))
    shape = first = (*(draw(st.integers(3, 11)) for _ in range(sides)), draw(SIZES))
    generator, layers = np.random.default_rng(draw(SEEDS)), []
    for index in range(draw(st.integers(1, 3))):
        layers += draw(_convolution(index, shape, source, generator))
        shape, source = layers[-1].out_shape, layers[-1].result
    flat = Layer.reshape("flat", shape, (math.prod(shape),), source)
    return Network("image", input_type, (*layers, flat, _dense(flat.n_out, source, generator)), first)


@st.composite
def _convolution(
    draw: st.DrawFn, index: int, shape: Shape, source: FixedPoint, generator: np.random.Generator
) -> list[Layer]:
    kernel = tuple(draw(st.integers(1, min(5, size))) for size in shape[:-1])
    neurons, fan_in = draw(SIZES), math.prod(kernel) * shape[-1]
    raw = np.clip(generator.normal(0, 200 / np.sqrt(fan_in), (*kernel, shape[-1], neurons)), -128, 127)
    pair = Parameter(raw.astype(np.int64), WEIGHT), Parameter(generator.integers(-100, 100, neurons), BIAS)
    grown = math.ceil(math.log2(fan_in + 1)) + draw(st.sampled_from([1, 1, -3]))
    accumulator = FixedPoint(source.width + 8 + grown, source.integer + 1 + grown)
    strides, padding = tuple(draw(st.integers(1, 2)) for _ in kernel), draw(st.sampled_from(["valid", "same"]))
    conv = Layer.conv(f"conv{index}", shape, *pair, accumulator, strides=strides, padding=padding)
    layers = [conv, Layer.relu(f"relu{index}", conv.out_shape, draw(st.sampled_from(RESULTS)))]
    if draw(st.sampled_from([True, True, True, False])):
        sizes = tuple(draw(st.integers(1, min(3, size))) for size in conv.out_shape[:-1])
        steps = draw(st.sampled_from([sizes, tuple(max(1, size - 1) for size in sizes)]))
        window = draw(st.sampled_from([sizes, sizes, None]))
        strides = None if window is None else steps
        layers.append(Layer.max_pool(f"pool{index}", conv.out_shape, window, layers[-1].result, strides=strides))
    if len(layers[-1].out_shape) < len(shape):  # the whole image at once
        layers.append(Layer.reshape(f"pixel{index}", layers[-1].out_shape, conv.out_shape[-1:], layers[-1].result))
        return [*layers, Layer.reshape(f"image{index}", conv.out_shape[-1:], _one(conv.out_shape), layers[-1].result)]
    return layers


def _one(shape: Shape) -> Shape:
    return (*(1 for _ in shape[:-1]), shape[-1])


def _dense(n_in: int, source: FixedPoint, generator: np.random.Generator) -> Layer:
    accumulator = FixedPoint(source.width + 18, source.integer + 11)
    pair = (random_raw(WEIGHT, (n_in, 4), generator), random_raw(BIAS, (4,), generator))
    return Layer.dense("last", Parameter(pair[0], WEIGHT), Parameter(pair[1], BIAS), accumulator)


MODELS = st.sampled_from(
    [
        FaultModel((Target.WEIGHT,), n_flips=1),
        FaultModel((Target.WEIGHT, Target.BIAS), n_flips=3),
        FaultModel((Target.WEIGHT,), ber=1e-3),
        FaultModel((Target.WEIGHT, Target.ACTIVATION), ber=1e-4),
        FaultModel((Target.ACTIVATION,), ber=2e-3),
        FaultModel((Target.WEIGHT, Target.ACCUMULATOR), n_flips=4),
    ]
)


@settings(max_examples=250)
@given(image_networks(), MODELS, st.sampled_from([7, 8, 16, 23, 40]), st.sampled_from([*KERNELS, "avx512"]), SEEDS)
def test_any_convolution_equals_the_numpy_engine(
    network: Network, model: FaultModel, n_samples: int, kernel: str, seed: int
) -> None:
    inputs = random_raw(network.input_type, (n_samples, network.n_in), np.random.default_rng(seed))
    _same_campaign(network, ProtectionPlan(), inputs, model, kernel)


@pytest.mark.parametrize("pooled", [(2, 2), (1, 3), (3, 3), (5, 1), (7, 6), (2, 1)], ids=str)
def test_every_weight_of_a_convolution(pooled: Shape) -> None:
    """One flip after the other, so that no neuron, operand or bit is left out."""
    generator = np.random.default_rng(8)
    source, hidden = FixedPoint(6, 1, False), RESULTS[0]
    pair = (random_raw(WEIGHT, (3, 2, 3, 5), generator), random_raw(BIAS, (5,), generator))
    accumulator = FixedPoint(20, 8)
    weights = (Parameter(pair[0], WEIGHT), Parameter(pair[1], BIAS))
    conv = Layer.conv("conv", (7, 6, 3), *weights, accumulator, padding="same")
    relu = Layer.relu("relu", conv.out_shape, hidden)
    pool = Layer.max_pool("pool", conv.out_shape, pooled, hidden)
    flat = Layer.reshape("flat", pool.out_shape, (pool.n_out,), hidden)
    layers = (conv, relu, pool, flat, _dense(flat.n_out, hidden, generator))
    network = Network("one", source, layers, (7, 6, 3))
    inputs = random_raw(source, (20, network.n_in), generator)
    engine, expected = (E(network, ProtectionPlan(), inputs) for E in (NativeEngine, EngineSimulator))
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.WEIGHT, Target.BIAS), ber=1.0), len(inputs))
    every = space.draw(0)
    for fault in every[every["layer"] == 0]:
        lone = np.array([fault], every.dtype)
        assert np.array_equal(engine.run(lone), expected.run(lone))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_bias_that_wraps_where_its_largest_does_not(kernel: str) -> None:
    """Extremes of a bias may wrap to small numbers: they say nothing about the others."""
    pair = Parameter(np.array([[[25, -26, 127]]]), WEIGHT), Parameter(np.array([-85, -97, -65]), BIAS)
    conv = Layer.conv("conv", (3, 1), *pair, FixedPoint(15, 0))
    relu, generator = Layer.relu("relu", conv.out_shape, RESULTS[0]), np.random.default_rng(0)
    layers = (conv, relu, Layer.reshape("flat", relu.out_shape, (9,), RESULTS[0]), _dense(9, RESULTS[0], generator))
    network = Network("wraps", FixedPoint(5, -3, False), layers, (3, 1))
    inputs = random_raw(network.input_type, (9, 3), generator)
    _same_campaign(network, ProtectionPlan(), inputs, FaultModel((Target.WEIGHT,), n_flips=1), kernel)
