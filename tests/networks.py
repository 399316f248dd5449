"""What the tests of integer networks share: an oracle in Python's own integers, and random networks.

The oracle works on exact fractions and knows nothing of NumPy, shifts or masks. The strategies draw the
structure (so that a failure shrinks) and fill arrays from a drawn seed (so that drawing is cheap).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from codesign.codes import Code
from codesign.faults import (
    ALL_SAMPLES,
    ALL_STEPS,
    UNIT,
    FaultArray,
    FaultModel,
    FaultSpace,
    Lifetime,
    Target,
    fault_array,
)
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.network import INPUT, Kind, Layer, Network, Parameter, Shape
from codesign.outcome import Outcome
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

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


PLAIN = {"rounding": st.just(Rounding.TRN), "overflow": st.just(Overflow.WRAP)}


@st.composite
def results(draw: st.DrawFn, frac: int) -> FixedPoint:
    """A result type of 2 to 12 bits whose last bit is near that of the values it is cast from."""
    near = frac + draw(st.integers(-6, 2))
    return draw(fixed_points((2, 12), (near, near)))


@st.composite
def accumulators(draw: st.DrawFn, frac: int) -> FixedPoint:
    """Too narrow, too coarse, or ample for values of `frac` fractional bits; three in eight saturate."""
    width, frac = draw(st.integers(2, 24)), frac + draw(st.integers(-6, 3) | st.just(0))
    overflow = draw(st.just(Overflow.WRAP) | OVERFLOWS)
    return FixedPoint(width, width - frac, draw(SIGNS), draw(ROUNDINGS), overflow)


@st.composite
def weighted(
    draw: st.DrawFn, name: str, kind: Kind, shape: Shape, source: FixedPoint, inputs: tuple[str, ...]
) -> Layer:
    """A dense layer, a convolution or a batch normalisation with types of 2 to 12 bits."""
    weight_type = draw(fixed_points((2, 12), (-1, 8), **PLAIN))
    bias_type = draw(fixed_points((2, 12), (-1, 10), **PLAIN))
    accumulator = draw(accumulators(source.frac + weight_type.frac))
    types = (accumulator, draw(st.none() | results(accumulator.frac)))
    generator = np.random.default_rng(draw(SEEDS))

    def parameter(of: FixedPoint, *sizes: int) -> Parameter:
        return Parameter(random_raw(of, sizes, generator), of)

    neurons = draw(st.integers(1, 4))
    if kind is Kind.BATCHNORM:
        pair = (parameter(weight_type, shape[-1]), parameter(bias_type, shape[-1]))
        return Layer.batchnorm(name, shape, *pair, *types, inputs=inputs)
    if kind is Kind.DENSE:
        reuse = draw(st.sampled_from(divisors(shape[0])))
        pair = (parameter(weight_type, shape[0], neurons), parameter(bias_type, neurons))
        return Layer.dense(name, *pair, *types, inputs=inputs, reuse_factor=reuse)
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in shape[:-1])
    slide = {
        "strides": tuple(draw(st.integers(1, 2)) for _ in kernel),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "inputs": inputs,
    }
    if kind is Kind.CONV:
        reuse = draw(st.sampled_from(divisors(math.prod(kernel) * shape[-1])))
        pair = (parameter(weight_type, *kernel, shape[-1], neurons), parameter(bias_type, neurons))
        return Layer.conv(name, shape, *pair, *types, **slide, reuse_factor=reuse)
    pair = (parameter(weight_type, *kernel, shape[-1]), parameter(bias_type, shape[-1]))
    return Layer.depthwise(
        name, shape, *pair, *types, **slide, reuse_factor=draw(st.sampled_from(divisors(math.prod(kernel))))
    )


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


# A strategy of layers with a name, on a tensor of a name, shape and type.
MoreLayers = Callable[[str, str, Shape, FixedPoint], st.SearchStrategy[Layer]]


@st.composite
def networks(draw: st.DrawFn, max_layers: int = 5, more: MoreLayers | None = None) -> Network:
    """A few layers on vectors, series or images, with shortcuts from earlier tensors; every third is one of `more`."""
    input_type = draw(fixed_points((2, 12), (0, 8)))
    sides = draw(st.integers(0, 2))
    shape = (*(draw(st.integers(2, 4)) for _ in range(sides)), draw(st.integers(1, 9 if not sides else 3)))
    tensors = [(INPUT, shape, input_type)]
    layers: list[Layer] = []
    for index in range(draw(st.integers(1, max_layers))):
        if more and draw(st.integers(0, 2)) == 0:
            layers.append(draw(more(f"layer{index}", *tensors[-1])))
        else:
            layers.append(draw(_next_layer(f"layer{index}", tensors)))
        tensors.append((layers[-1].name, layers[-1].out_shape, layers[-1].result))
    if not any(layer.protectable for layer in layers):
        layers.append(draw(weighted("last", Kind.BATCHNORM, tensors[-1][1], tensors[-1][2], ())))
    return Network("random", input_type, tuple(layers), shape)


@st.composite
def _next_layer(draw: st.DrawFn, name: str, tensors: list[tuple[str, Shape, FixedPoint]]) -> Layer:
    last, shape, source = tensors[-1]
    image = len(shape) > 1
    alike = [t for t in tensors if t[1] == shape]
    kinds = [Kind.RELU, Kind.BATCHNORM, Kind.ADD, Kind.CONCATENATE]
    kinds += [Kind.CONV, Kind.CONV, Kind.DEPTHWISE, Kind.PAD, Kind.RESHAPE] if image else [Kind.DENSE, Kind.DENSE]
    kind = draw(st.sampled_from(kinds))
    if kind is Kind.RELU:
        return Layer.relu(name, shape, draw(results(source.frac)), inputs=(last,))
    if kind is Kind.RESHAPE:
        return Layer.reshape(name, shape, (math.prod(shape),), source, inputs=(last,))
    if kind is Kind.PAD:
        pads = tuple((draw(st.integers(0, 1)), draw(st.integers(0, 1))) for _ in shape[:-1])
        return Layer.pad(name, shape, pads, source, inputs=(last,))
    if kind in (Kind.ADD, Kind.CONCATENATE):
        other = draw(st.sampled_from(alike))
        frac = max(source.frac, other[2].frac)
        if kind is Kind.CONCATENATE:
            return Layer.concatenate(name, (shape, shape), draw(results(frac)), inputs=(last, other[0]))
        accumulator = draw(accumulators(frac))
        return Layer.add(name, shape, accumulator, draw(st.none() | results(accumulator.frac)), inputs=(last, other[0]))
    return draw(weighted(name, kind, shape, source, (last,)))


@st.composite
def plans(draw: st.DrawFn, network: Network) -> ProtectionPlan:
    """0 to A hardened bits for each neuron on its own, by any mechanism; some layers are not named at all."""
    found = []
    for _, layer in network.compute_layers():
        if draw(st.booleans()) or draw(st.booleans()):
            found.append(draw(layer_plans(layer)))
    return ProtectionPlan(tuple(found))


@st.composite
def layer_plans(
    draw: st.DrawFn,
    layer: Layer,
    mechanisms: tuple[Mechanism, ...] = tuple(Mechanism),
    scopes: tuple[Scope, ...] = tuple(Scope),
    codes: tuple[Code, ...] = tuple(Code),
) -> LayerPlan:
    width = layer.acc.width
    bits = st.sampled_from([0, width]) if layer.saturates else st.integers(0, width) | st.just(width)
    hardened = tuple(draw(bits) for _ in range(layer.neurons))
    mechanism = draw(st.sampled_from([m for m in mechanisms if m in possible_mechanisms(layer)]))
    if not layer.has_weights:
        return LayerPlan(layer.name, hardened, mechanism)
    code = draw(st.sampled_from(codes)) if layer.reuse_factor > 1 else Code.NONE
    if mechanism is Mechanism.RECOMPUTE:
        size = draw(st.integers(1, layer.fan_in))
        return LayerPlan(layer.name, hardened, mechanism, dot_size=size, parameters=code)
    scope = draw(st.sampled_from(scopes))
    if layer.acc.rounding in (Rounding.TRN_ZERO, Rounding.RND_ZERO, Rounding.RND_INF):
        hardened = tuple(width if h else 0 for h in hardened) if scope is Scope.MAC else hardened
    return LayerPlan(layer.name, hardened, mechanism, scope, parameters=code)


def possible_mechanisms(layer: Layer) -> tuple[Mechanism, ...]:
    """A saturating chain is not computed again, nor is an addition."""
    again = layer.has_weights and not layer.saturates
    return tuple(Mechanism) if again else (Mechanism.TMR, Mechanism.DMR)


@st.composite
def faults(draw: st.DrawFn, network: Network, plan: ProtectionPlan, n_samples: int) -> tuple[int, ...]:
    """One row of a fault list that names a bit that exists, of any target and lifetime."""
    models = [FaultModel((target,), ber=0.0, lifetime=life) for target in Target for life in Lifetime]
    segments = [
        s for model in draw(st.permutations(models)) for s in FaultSpace(network, plan, model, n_samples).segments
    ]
    segment = segments[draw(st.integers(0, len(segments) - 1))]
    drawn = segment.decode(np.array([draw(st.integers(0, segment.size - 1))]))
    return tuple(int(value) for value in drawn[0])


def drawn_list(network: Network, plan: ProtectionPlan, n_samples: int, seed: int, trial: int) -> FaultArray:
    """Some 20 faults of a few targets, by the framework's own draw; every third list's are persistent."""
    generator = np.random.default_rng([seed, trial])
    targets = tuple(Target(t) for t in generator.choice(len(Target), generator.integers(1, 4), replace=False))
    lifetime = Lifetime.PERSISTENT if trial % 3 == 2 else Lifetime.TRANSIENT
    bits = FaultSpace(network, plan, FaultModel(targets, ber=0.0, lifetime=lifetime), n_samples).size
    model = FaultModel(targets, ber=min(0.5, 20 / max(bits, 1)), lifetime=lifetime, seed=seed)
    return FaultSpace(network, plan, model, n_samples).draw(trial)


@dataclass(frozen=True)
class Case:
    """A network, a plan, raw inputs of shape (n_samples, n_in), and a fault list."""

    network: Network
    plan: ProtectionPlan
    inputs: Ints
    faults: FaultArray


def same_outcome(found: Outcome, expected: Outcome, where: object = None) -> None:
    """Logits and flags of two simulators are the same in every sample."""
    for name in ("logits", "corrected", "detected"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), (name, where)


@st.composite
def cases(draw: st.DrawFn, max_faults: int = 12, more: MoreLayers | None = None) -> Case:
    network = draw(networks(more=more))
    plan = draw(plans(network))
    n_samples = draw(st.integers(1, 4))
    rows = draw(st.lists(faults(network, plan, n_samples), max_size=max_faults))
    inputs = random_raw(network.input_type, (n_samples, network.n_in), np.random.default_rng(draw(SEEDS)))
    return Case(network, plan, inputs, fault_array(rows))


@st.composite
def crowds(draw: st.DrawFn, network: Network, plan: ProtectionPlan, n_samples: int, max_faults: int = 24) -> FaultArray:
    """A list whose faults meet: all in one layer, most in one neuron, of all targets, replicas and lifetimes."""
    index, layer = draw(st.sampled_from(network.compute_layers()))
    favourite = st.just(draw(st.integers(0, layer.neurons - 1)))
    row = (favourite | favourite | st.integers(0, layer.neurons - 1)).flatmap(
        lambda neuron: _crowded_row(network, index, plan.of_layer(layer), neuron, n_samples)
    )
    return fault_array(draw(st.lists(row, min_size=draw(st.integers(0, max_faults // 2)), max_size=max_faults)))


@st.composite
def _crowded_row(
    draw: st.DrawFn, network: Network, index: int, plan: LayerPlan, neuron: int, n_samples: int
) -> tuple[int, ...]:
    """Any bit of a neuron that computes, in any sample or all, at any step or all."""
    layer, hardened = network.layers[index], plan.hardened_bits[neuron]
    adders, multipliers = [Target.ACCUMULATOR] * 3, [Target.PRODUCT] * 3
    target = draw(
        st.sampled_from(
            [*adders, Target.ACTIVATION]
            + ([*multipliers, Target.WEIGHT, Target.BIAS] if layer.has_weights else [])
            + ([Target.VOTER] if hardened else [])
        )
    )
    if target in (Target.WEIGHT, Target.BIAS):
        parameter = layer.w if target is Target.WEIGHT else layer.b
        position = draw(st.integers(0, layer.fan_in - 1)) if target is Target.WEIGHT else 0
        bit = draw(st.integers(0, plan.parameters.stored_width(parameter.type.width) - 1))
        return index, target, neuron, position, draw(st.integers(0, plan.parameters.copies - 1)), bit, -1, -1
    samples = st.integers(0, n_samples - 1) | st.just(ALL_SAMPLES)
    if target in (Target.ACTIVATION, Target.VOTER):
        low, width = (0, layer.result.width) if target is Target.ACTIVATION else (layer.acc.width - hardened, hardened)
        step = draw(st.integers(0, layer.pixels - 1) | st.just(ALL_STEPS))
        return index, target, neuron, 0, 0, low + draw(st.integers(0, width - 1)), draw(samples), step
    return draw(_crowded_operation(network, index, plan, neuron, target, samples))


@st.composite
def _crowded_operation(
    draw: st.DrawFn,
    network: Network,
    index: int,
    plan: LayerPlan,
    neuron: int,
    target: Target,
    samples: st.SearchStrategy[int],
) -> tuple[int, ...]:
    """A bit of a multiplier or an adder, of one of its copies, or of the shared unit."""
    layer, hardened = network.layers[index], plan.hardened_bits[neuron]
    recomputes = plan.mechanism is Mechanism.RECOMPUTE
    copied = hardened > 0 and (target is Target.ACCUMULATOR or recomputes or plan.scope is Scope.MAC)
    replica = draw(st.integers(0, plan.mechanism.copies - 1)) if copied else 0
    again = recomputes and replica > 0
    per_pass = plan.dot_size if again else layer.per_pass
    steps = layer.pixels * (plan.unit_passes(layer) if again else layer.reuse_factor)
    lowest, width = 0, layer.acc.width
    if target is Target.PRODUCT:
        width = network.input_of(index).width + layer.w.type.width
    elif replica and not again:
        lowest = width - hardened
    position, bit = draw(st.integers(0, per_pass - 1)), draw(st.integers(lowest, width - 1))
    if again and draw(st.booleans()):
        return index, target, UNIT, position, 1, bit, ALL_SAMPLES, ALL_STEPS
    step = draw(st.integers(0, steps - 1) | st.just(ALL_STEPS))
    return index, target, neuron, position, replica, bit, draw(samples), step


@st.composite
def crowded_cases(draw: st.DrawFn) -> Case:
    """Many faults in few places of any network."""
    network = draw(networks())
    return draw(_crowded(network, draw(plans(network))))


@st.composite
def lone_cases(draw: st.DrawFn) -> Case:
    """Many faults in few places of one layer that is protected somehow; the rarer protection is drawn more often."""
    network = draw(lone_layers())
    mechanisms = (Mechanism.TMR, Mechanism.TMR, Mechanism.DMR, Mechanism.RECOMPUTE, Mechanism.RECOMPUTE)
    of_layer = draw(layer_plans(network.layers[-1], mechanisms, (Scope.ADDER, Scope.MAC, Scope.MAC)))
    return draw(_crowded(network, ProtectionPlan((of_layer,))))


@st.composite
def _crowded(draw: st.DrawFn, network: Network, plan: ProtectionPlan) -> Case:
    n_samples = draw(st.integers(1, 3))
    inputs = random_raw(network.input_type, (n_samples, network.n_in), np.random.default_rng(draw(SEEDS)))
    return Case(network, plan, inputs, draw(crowds(network, plan, n_samples)))


@st.composite
def lone_layers(draw: st.DrawFn) -> Network:
    """One layer that computes; in front of an addition a ReLU makes the second operand."""
    kinds = [Kind.DENSE, Kind.DENSE, Kind.CONV, Kind.CONV, Kind.DEPTHWISE, Kind.BATCHNORM, Kind.ADD]
    kind = draw(st.sampled_from(kinds))
    source = draw(fixed_points((2, 12), (0, 8)))
    image = kind in (Kind.CONV, Kind.DEPTHWISE)
    sides = draw(st.integers(1, 2)) if image else 0
    shape = (*(draw(st.integers(2, 4)) for _ in range(sides)), draw(st.integers(1, 3 if image else 12)))
    if kind is not Kind.ADD:
        return Network("lone", source, (draw(weighted("lone", kind, shape, source, ())),), shape)
    second = Layer.relu("second", shape, draw(results(source.frac)))
    accumulator = draw(accumulators(max(source.frac, second.result.frac)))
    result = draw(st.none() | results(accumulator.frac))
    added = Layer.add("lone", shape, accumulator, result, inputs=(INPUT, "second"))
    return Network("lone", source, (second, added), shape)


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


def mixed_network(seed: int = 3) -> Network:
    """A small graph with every kind that computes, reused multipliers, a shortcut and wiring; images of 3x3x2."""
    generator = np.random.default_rng(seed)
    weights, biases = FixedPoint(5, 2), FixedPoint(6, 3)
    inputs, hidden = FixedPoint(5, 1, signed=False), FixedPoint(6, 3, False, Rounding.RND, Overflow.SAT)
    wide, result, shape = FixedPoint(14, 6), FixedPoint(8, 4, True, Rounding.RND, Overflow.SAT), (3, 3, 2)

    def parameters(*sizes: int) -> tuple[Parameter, Parameter]:
        return (
            Parameter(random_raw(weights, sizes, generator), weights),
            Parameter(random_raw(biases, sizes[-1:], generator), biases),
        )

    same = {"padding": "same"}
    layers = (
        Layer.conv("conv", shape, *parameters(2, 2, 2, 2), wide, result, **same, reuse_factor=2),
        Layer.relu("relu", shape, hidden),
        Layer.depthwise("depthwise", shape, *parameters(3, 3, 2), wide, result, **same, reuse_factor=3),
        Layer.batchnorm("norm", shape, *parameters(2), wide, result),
        Layer.add("add", shape, FixedPoint(10, 6), result, inputs=("relu", "norm")),
        Layer.reshape("flat", shape, (18,), result),
        Layer.dense("fc", *parameters(18, 3), FixedPoint(16, 8), reuse_factor=6),
    )
    return Network("mixed", inputs, layers)


def mixed_plan(mechanism: Mechanism, parameters: Code = Code.NONE, scope: Scope = Scope.ADDER) -> ProtectionPlan:
    """Of `mixed_network`: neurons hardened by none, some and all of their bits."""
    again = {"conv": 3, "depthwise": 4, "norm": 1, "fc": 7} if mechanism is Mechanism.RECOMPUTE else {}
    bits = {"conv": (14, 6), "depthwise": (0, 9), "norm": (5, 14), "add": (10, 4), "fc": (16, 0, 7)}
    found = []
    for name, hardened in bits.items():
        like = LayerPlan(name, hardened, mechanism, scope, again.get(name, 0), parameters)
        if name == "add":
            simple = Mechanism.TMR if mechanism is Mechanism.RECOMPUTE else mechanism
            like = LayerPlan(name, hardened, simple)
        elif name == "norm":
            like = replace(like, parameters=Code.NONE)  # its two numbers are constants in logic
        found.append(like)
    return ProtectionPlan(tuple(found))
