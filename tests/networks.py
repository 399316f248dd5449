"""What the tests of integer networks share: an oracle in Python's own integers, and random networks.

The oracle works on exact fractions and knows nothing of NumPy, shifts or masks. The strategies draw the
structure (so that a failure shrinks) and fill arrays from a drawn seed (so that drawing is cheap).
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from codesign.faults import ALL_SAMPLES, FAULT, FaultArray, Target
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.network import Layer, Network, Parameter
from codesign.protection import LayerPlan, ProtectionPlan

# ---------------------------------------------------------------- the oracle


def sign(x: Fraction) -> int:
    return (x > 0) - (x < 0)


def exact_round(x: Fraction, rounding: Rounding) -> int:
    """Each mode by its definition in UG1399: to nearest with six ways to break a tie, or truncation."""
    half = Fraction(1, 2)
    match rounding:
        case Rounding.TRN:
            return math.floor(x)
        case Rounding.TRN_ZERO:
            return math.trunc(x)
        case Rounding.RND:
            return math.floor(x + half)
        case Rounding.RND_MIN_INF:
            return math.ceil(x - half)
        case Rounding.RND_ZERO:
            return sign(x) * math.ceil(abs(x) - half)
        case Rounding.RND_INF:
            return sign(x) * math.floor(abs(x) + half)
        case Rounding.RND_CONV:
            return round(x)


def exact_overflow(value: int, to: FixedPoint) -> int:
    low, high = (-(2 ** (to.width - 1)), 2 ** (to.width - 1) - 1) if to.signed else (0, 2**to.width - 1)
    if to.overflow is Overflow.WRAP:
        return (value - low) % 2**to.width + low
    if to.overflow is Overflow.SAT_SYM and to.signed and to.width > 1:  # a lone sign bit has no symmetric range
        low = -high
    if low <= value <= high:
        return value
    if to.overflow is Overflow.SAT_ZERO:
        return 0
    return high if value > high else low


def exact_cast(value: Fraction, to: FixedPoint) -> int:
    """Raw integer of `to` that a real number becomes."""
    return exact_overflow(exact_round(value * Fraction(2) ** to.frac, to.rounding), to)


def real(raw: int, frac: int) -> Fraction:
    """The real number of a raw integer with `frac` fractional bits."""
    return Fraction(int(raw)) / Fraction(2) ** frac


# ---------------------------------------------------------------- strategies

SEEDS = st.integers(0, 2**32 - 1)
ROUNDINGS, OVERFLOWS, SIGNS = st.sampled_from(Rounding), st.sampled_from(Overflow), st.booleans()


def fixed_points(
    widths: tuple[int, int] = (1, 48),
    fracs: tuple[int, int] = (-8, 20),
    rounding: st.SearchStrategy[Rounding] = ROUNDINGS,
    overflow: st.SearchStrategy[Overflow] = OVERFLOWS,
    signed: st.SearchStrategy[bool] = SIGNS,
) -> st.SearchStrategy[FixedPoint]:
    return st.builds(
        lambda width, frac, s, r, o: FixedPoint(width, width - frac, s, r, o),
        st.integers(*widths),
        st.integers(*fracs),
        signed,
        rounding,
        overflow,
    )


def raws(of: FixedPoint) -> st.SearchStrategy[int]:
    """Raw integers of a type, its ends included."""
    return st.integers(of.min_raw, of.max_raw) | st.sampled_from([of.min_raw, of.max_raw])


def random_raw(of: FixedPoint, shape: tuple[int, ...], generator: np.random.Generator) -> Ints:
    return generator.integers(of.min_raw, of.max_raw, shape, np.int64, endpoint=True)


@st.composite
def dense_layers(draw: st.DrawFn, name: str, source: FixedPoint, n_in: int, n_out: int) -> Layer:
    """A dense layer with types of 2 to 12 bits; its accumulator may be too narrow, too coarse, or ample."""
    plain = {"rounding": st.just(Rounding.TRN), "overflow": st.just(Overflow.WRAP)}
    weight_type = draw(fixed_points((2, 12), (-1, 8), **plain))
    bias_type = draw(fixed_points((2, 12), (-1, 10), **plain))
    product_frac = source.frac + weight_type.frac
    width = draw(st.integers(2, 24))
    frac = product_frac + draw(st.integers(-6, 3) | st.just(0))
    accumulator = FixedPoint(width, width - frac, draw(st.booleans()), draw(st.sampled_from(Rounding)))
    result_frac = frac + draw(st.integers(-6, 2))
    result = draw(st.none() | fixed_points((2, 12), (result_frac, result_frac)))
    generator = np.random.default_rng(draw(SEEDS))
    return Layer.dense(
        name,
        Parameter(random_raw(weight_type, (n_in, n_out), generator), weight_type),
        Parameter(random_raw(bias_type, (n_out,), generator), bias_type),
        accumulator,
        result,
    )


@st.composite
def networks(draw: st.DrawFn, max_layers: int = 3, max_width: int = 9) -> Network:
    """One to three dense layers, some followed by a ReLU."""
    source = draw(fixed_points((2, 12), (0, 8)))
    input_type, layers = source, []
    n_in = draw(st.integers(1, max_width))
    for index in range(draw(st.integers(1, max_layers))):
        n_out = draw(st.integers(1, 5))
        layers.append(draw(dense_layers(f"fc{index}", source, n_in, n_out)))
        source, n_in = layers[-1].result, n_out
        if draw(st.booleans()):
            frac = source.frac + draw(st.integers(-3, 1))
            layers.append(Layer.relu(f"relu{index}", n_out, draw(fixed_points((2, 12), (frac, frac)))))
            source = layers[-1].result
    return Network("random", input_type, tuple(layers))


@st.composite
def plans(draw: st.DrawFn, network: Network) -> ProtectionPlan:
    """0 to A hardened bits for each neuron on its own; some layers are not named at all."""
    found = []
    for _, layer in network.compute_layers():
        if draw(st.booleans()) or draw(st.booleans()):
            bits = st.integers(0, layer.acc.width) | st.just(layer.acc.width)
            found.append(LayerPlan(layer.name, tuple(draw(bits) for _ in range(layer.n_out))))
    return ProtectionPlan(tuple(found))


@st.composite
def faults(draw: st.DrawFn, network: Network, plan: ProtectionPlan, n_samples: int) -> tuple[int, ...]:
    """One row of a fault list that names a bit that exists."""
    target = draw(st.sampled_from(Target))
    every = list(enumerate(network.layers))
    index, layer = draw(st.sampled_from(every if target is Target.ACTIVATION else network.compute_layers()))
    neuron, replica = draw(st.integers(0, layer.n_out - 1)), 0
    hardened = int(plan.hardened(layer)[neuron])
    if target is Target.VOTER and not hardened:
        target = Target.ACCUMULATOR
    first, end = bits_of(target, layer, network.input_of(index), hardened)
    bit = draw(st.integers(first, end - 1))
    if target is Target.ACCUMULATOR and bit >= layer.acc.width - hardened:
        replica = draw(st.integers(0, 2))
    single = target in (Target.BIAS, Target.ACTIVATION, Target.VOTER)
    position = 0 if single else draw(st.integers(0, layer.n_in - 1))
    sample = ALL_SAMPLES if target in (Target.WEIGHT, Target.BIAS) else draw(st.integers(-1, n_samples - 1))
    return index, target, neuron, position, replica, bit, sample


def bits_of(target: Target, layer: Layer, source: FixedPoint, hardened: int) -> tuple[int, int]:
    """First bit that exists at a target of a neuron, and the one past the last."""
    match target:
        case Target.WEIGHT:
            return 0, layer.w.type.width
        case Target.BIAS:
            return 0, layer.b.type.width
        case Target.PRODUCT:
            return 0, source.width + layer.w.type.width
        case Target.ACCUMULATOR:
            return 0, layer.acc.width
        case Target.ACTIVATION:
            return 0, layer.result.width
        case Target.VOTER:
            return layer.acc.width - hardened, layer.acc.width


@dataclass(frozen=True)
class Case:
    """A network, a plan, raw inputs of shape (n_samples, n_in), and a fault list."""

    network: Network
    plan: ProtectionPlan
    inputs: Ints
    faults: FaultArray


@st.composite
def cases(draw: st.DrawFn, max_faults: int = 12) -> Case:
    network = draw(networks())
    plan = draw(plans(network))
    n_samples = draw(st.integers(1, 4))
    rows = draw(st.lists(faults(network, plan, n_samples), max_size=max_faults))
    inputs = random_raw(network.input_type, (n_samples, network.n_in), np.random.default_rng(draw(SEEDS)))
    return Case(network, plan, inputs, np.array([tuple(map(int, row)) for row in rows], FAULT))


# ---------------------------------------------------------------- one network by hand


def small_network(seed: int = 102) -> Network:
    """A 6-5-3 network of ample accumulators, by plain arrays, with inputs of ufixed<6,1>.

    By default all neurons and classes occur in `small_inputs`: in a dead neuron no fault can show.
    """
    generator = np.random.default_rng(seed)
    weights, biases = FixedPoint(5, 2), FixedPoint(6, 3)
    first, second = FixedPoint(14, 6), FixedPoint(15, 7)
    inputs, hidden = FixedPoint(6, 1, signed=False), FixedPoint(6, 2, False, Rounding.RND, Overflow.SAT)
    return Network(
        "small",
        inputs,
        (
            Layer.dense(
                "fc0",
                Parameter(random_raw(weights, (6, 5), generator), weights),
                Parameter(random_raw(biases, (5,), generator), biases),
                first,
            ),
            Layer.relu("relu0", 5, hidden),
            Layer.dense(
                "fc1",
                Parameter(random_raw(weights, (5, 3), generator), weights),
                Parameter(random_raw(biases, (3,), generator), biases),
                second,
            ),
        ),
    )


def small_inputs(n_samples: int, seed: int = 11) -> Ints:
    return random_raw(small_network().input_type, (n_samples, 6), np.random.default_rng(seed))
