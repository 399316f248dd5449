"""Random networks on values of at most 8 bits, which the compiled engine computes with kernels of their own."""

import math

import numpy as np
from hypothesis import strategies as st
from networks import (
    PLAIN,
    ROUNDINGS,
    SEEDS,
    Case,
    crowds,
    divisors,
    faults,
    fixed_points,
    plans,
    random_raw,
    results,
)

from codesign.faults import fault_array
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import Layer, Network, Parameter, Shape


@st.composite
def byte_networks(draw: st.DrawFn, max_layers: int = 6) -> Network:
    """Chains of dense layers, convolutions, pooling and activations on values of at most 8 bits."""
    source = input_type = draw(fixed_points((1, 8), (-2, 8)))
    sides = draw(st.sampled_from([0, 0, 1, 2]))
    shape = first = (*(draw(st.integers(2, 4)) for _ in range(sides)), draw(st.integers(1, 9 if sides else 70)))
    layers: list[Layer] = []
    behind_sum = False
    for index in range(draw(st.integers(1, max_layers))):
        kinds = ["dense"] if len(shape) == 1 else ["conv", "conv", "pool", "flat"]
        kinds = kinds if source.width <= 8 else []
        kinds += ["relu", "relu", "activation"] if behind_sum or not kinds else []
        kind = draw(st.sampled_from(kinds))
        layers.append(draw(_byte_layer(f"layer{index}", kind, shape, source)))
        shape, source = layers[-1].out_shape, layers[-1].result
        behind_sum = kind in ("dense", "conv") or (behind_sum and kind != "pool")
    if not behind_sum or not any(layer.protectable for layer in layers):
        layers += draw(_last_layers(shape, source))
    return Network("bytes", input_type, tuple(layers), first)


@st.composite
def reshaped_networks(draw: st.DrawFn) -> Network:
    """A convolution, then elementwise layers in front of a reshape and behind it, which one block computes."""
    source = draw(fixed_points((1, 8), (-2, 8)))
    shape = first = (*(draw(st.integers(2, 4)) for _ in range(draw(st.integers(1, 2)))), draw(st.integers(1, 3)))
    layers: list[Layer] = []
    before, behind = (draw(st.lists(st.sampled_from(["relu", "activation"]), max_size=2)) for _ in range(2))
    for index, kind in enumerate(["conv", *before, "flat", "relu", *behind]):
        layers.append(draw(_byte_layer(f"layer{index}", kind, shape, layers[-1].result if layers else source)))
        shape = layers[-1].out_shape
    if draw(st.booleans()):
        layers += draw(_last_layers(shape, layers[-1].result))
    return Network("reshaped", source, tuple(layers), first)


@st.composite
def _byte_layer(draw: st.DrawFn, name: str, kind: str, shape: Shape, source: FixedPoint) -> Layer:
    if kind in ("relu", "activation"):
        near = source.frac + draw(st.integers(-8, 1))
        to = draw(fixed_points((2, 8), (near, near)))
        function = draw(st.sampled_from(["linear", "linear", "binary_tanh", "ternary_tanh"]))
        return Layer.relu(name, shape, to) if kind == "relu" else Layer.activation(name, shape, function, to)
    if kind == "flat":
        return Layer.reshape(name, shape, (math.prod(shape),), source)
    if kind == "pool":
        kernel = draw(st.none() | st.just(tuple(min(2, size) for size in shape[:-1])))
        padding = draw(st.sampled_from(["valid", "same"])) if source.signed else "valid"
        return Layer.max_pool(name, shape, kernel, source, padding=padding)
    return draw(_byte_sums(name, kind, shape, source))


@st.composite
def _byte_sums(draw: st.DrawFn, name: str, kind: str, shape: Shape, source: FixedPoint) -> Layer:
    weight = draw(fixed_points((1, 8), (-1, 8), **PLAIN))
    bias = draw(fixed_points((2, 12), (-1, 10), **PLAIN))
    frac, width = source.frac + weight.frac, draw(st.integers(2, 30) | st.integers(14, 26))
    accumulator = FixedPoint(width, width - frac, draw(st.booleans()) or draw(st.booleans()), draw(ROUNDINGS))
    types = (accumulator, draw(st.none() | st.none() | results(frac)))
    neurons = draw(st.integers(1, 5) | st.sampled_from([16, 17] if kind == "conv" else [16, 17, 33, 64]))
    generator = np.random.default_rng(draw(SEEDS))

    def parameter(of: FixedPoint, *sizes: int) -> Parameter:
        return Parameter(random_raw(of, sizes, generator), of)

    if kind == "dense":
        reuse = draw(st.sampled_from(divisors(shape[0])))
        pair = (parameter(weight, shape[0], neurons), parameter(bias, neurons))
        return Layer.dense(name, *pair, *types, reuse_factor=reuse)
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in shape[:-1])
    pair = (parameter(weight, *kernel, shape[-1], neurons), parameter(bias, neurons))
    strides, padding = tuple(draw(st.integers(1, 2)) for _ in kernel), draw(st.sampled_from(["valid", "same"]))
    reuse = draw(st.sampled_from(divisors(math.prod(kernel) * shape[-1])))
    return Layer.conv(name, shape, *pair, *types, strides=strides, padding=padding, reuse_factor=reuse)


@st.composite
def _last_layers(draw: st.DrawFn, shape: Shape, source: FixedPoint) -> list[Layer]:
    """What makes logits of any tensor."""
    found = []
    if source.width > 8:
        source = FixedPoint(8, 11 - source.frac, False)
        found.append(Layer.relu("small", shape, source))
    if len(shape) > 1:
        found.append(Layer.reshape("flat", shape, (math.prod(shape),), source))
    generator, weight = np.random.default_rng(draw(SEEDS)), FixedPoint(8, 1)
    n_in, accumulator = math.prod(shape), FixedPoint(24, 17 - source.frac)
    pair = (random_raw(weight, (n_in, 3), generator), random_raw(weight, (3,), generator))
    return [*found, Layer.dense("last", *(Parameter(raw, weight) for raw in pair), accumulator)]


@st.composite
def byte_cases(draw: st.DrawFn) -> Case:
    network = draw(byte_networks() | byte_networks() | reshaped_networks())
    plan = draw(plans(network))
    n_samples = draw(st.integers(1, 5) | st.sampled_from([65, 130]))
    inputs = random_raw(network.input_type, (n_samples, network.n_in), np.random.default_rng(draw(SEEDS)))
    if draw(st.booleans()):
        return Case(network, plan, inputs, draw(crowds(network, plan, n_samples)))
    rows = draw(st.lists(faults(network, plan, n_samples), max_size=12))
    return Case(network, plan, inputs, fault_array(rows))


# ---------------------------------------------------------------- one network by hand


def digits_like(seed: int = 5) -> tuple[Network, np.ndarray]:
    """A 64-64-32-10 network of the widths that the kernels hold in registers, with 400 samples."""
    generator = np.random.default_rng(seed)
    weight, hidden = FixedPoint(8, 1), FixedPoint(8, 3, False, Rounding.RND_CONV, Overflow.SAT)
    source = FixedPoint(5, 1, False)
    layers: list[Layer] = []
    for index, (n_in, n_out) in enumerate([(64, 64), (64, 32), (32, 10)]):
        before = hidden if index else source
        accumulator = FixedPoint(before.width + 15, before.integer + 8)
        raw = np.clip(generator.normal(0, 18, (n_in, n_out)), -128, 127).astype(np.int64)
        bias = generator.integers(-50, 50, n_out)
        layers.append(Layer.dense(f"fc{index}", Parameter(raw, weight), Parameter(bias, weight), accumulator))
        if n_out > 10:
            layers.append(Layer.relu(f"relu{index}", n_out, hidden))
    return Network("digits_like", source, tuple(layers)), generator.integers(0, 17, (400, 64))
