"""The estimate of dense networks: figures worked out by hand, an independent count of adders, laws of its causes.

Other layers, reuse and the other mechanisms are in `test_estimate_units.py`.
"""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding, cast, rescale
from codesign.network import Layer, Network, Parameter, adder_spans
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import Estimate, EstimatePolicy, estimate
from codesign.resources.estimate.multipliers import signed_digits

UNPROTECTED = ProtectionPlan()


def dense(weights: ArrayLike, bias: ArrayLike = 0, *, acc: str = "int<16>", weight: str = "int<16>") -> Layer:
    """A dense layer of integers; `weights` has shape (n_in, n_out)."""
    raw = np.array(weights)
    biases = np.broadcast_to(bias, raw.shape[1])
    kind = FixedPoint.parse(weight)
    return Layer.dense("dense", Parameter(raw, kind), Parameter(biases, kind), FixedPoint.parse(acc))


def one(layer: Layer, source: str = "uint<4>") -> Network:
    return Network("net", FixedPoint.parse(source), (layer,))


def mlp(sizes: tuple[int, ...], bits: int, seed: int) -> Network:
    """Random weights, ReLUs between the layers."""
    rng = np.random.default_rng(seed)
    weight, activation = FixedPoint(bits, 1), FixedPoint(bits, 1, False, Rounding.RND, Overflow.SAT)
    layers: list[Layer] = []
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        raw = np.clip(rng.normal(0, weight.max_raw / 4, (n_in, n_out)).round(), weight.min_raw, weight.max_raw).astype(
            int
        )
        bias = rng.integers(weight.min_raw, weight.max_raw + 1, n_out)
        accumulator = FixedPoint(2 * bits + 5, 6)
        layers.append(Layer.dense(f"dense{index}", Parameter(raw, weight), Parameter(bias, weight), accumulator))
        if index < len(sizes) - 2:
            layers.append(Layer.relu(f"relu{index}", n_out, activation))
    return Network("mlp", activation, tuple(layers))


def causes(of: Estimate) -> tuple[int, int, int, int]:
    """Without the status registers, which have a test of their own."""
    return of.function, of.replicas, of.voters, of.guards


# --- worked out by hand ---


def test_two_inputs_added() -> None:
    # x0 + x1 of 4 unsigned bits reaches 30: five bits, one adder.
    result = estimate(one(dense([[1], [1]])), UNPROTECTED)
    assert causes(result) == (5, 0, 0, 0)
    assert (result.report.dsp, result.report.bram_18k, result.report.ii) == (0, 0, 1)


def test_nothing_to_add_costs_nothing() -> None:
    assert causes(estimate(one(dense([[8]])), UNPROTECTED)) == (0, 0, 0, 0)
    assert causes(estimate(one(dense([[-1], [0]])), UNPROTECTED)) == (0, 0, 0, 0)


def test_a_constant_neuron_costs_nothing_even_hardened() -> None:
    network = one(dense([[0], [0]], bias=5))
    result = estimate(network, ProtectionPlan.full(network))
    assert causes(result) == (0, 0, 0, 0)
    assert result.report.ff == 0


def test_shifted_operand_passes_low_bits_through() -> None:
    # 4 * x0 + x1 reaches 75, seven bits; the two lowest are those of x1.
    assert estimate(one(dense([[4], [1]])), UNPROTECTED).function == 5


@pytest.mark.parametrize(
    ("weight", "lut", "depth"),
    [
        (5, 5, 1),  # 4x + x reaches 75, bits 2..6
        (-5, 6, 1),  # reaches -75: a sign as well
        (7, 4, 1),  # 8x - x reaches 105, bits 3..6
        (0, 0, 0),
        (64, 0, 0),
        (85, 5 + 5 + 7, 2),  # (16 + 64)x, (1 + 4)x, their sum reaches 1275 from bit 4: 80x = 7 - 2 bits high
    ],
)
def test_multiplier(weight: int, lut: int, depth: int) -> None:
    layer = estimate(one(dense([[weight]])), UNPROTECTED).layers[0]
    assert (layer.function, layer.multiplier_levels) == (lut, depth)


def test_an_accumulator_cuts_what_does_not_reach_it() -> None:
    # 16 x of 8 bits needs bits 4..7 of its sum only: 31 x = 32 x - x, cut at 8 bits, from bit 5.
    assert estimate(one(dense([[31]], acc="int<8>")), UNPROTECTED).function == 3
    assert estimate(one(dense([[1024]], acc="int<8>")), UNPROTECTED).report.ff == 0


@pytest.mark.parametrize(
    ("hardened", "replicas", "voters"),
    [
        (1, 0, 1 + 1 + 0 + 1),  # bit 7: the sum of 5 unsigned bits does not reach it
        (4, 2, 4 + 2 + 1 + 1),  # bits 4..7: one of the sum's five
        (8, 10, 8 + 4 + 1 + 1),  # all
    ],
)
def test_hardened_sum(hardened: int, replicas: int, voters: int) -> None:
    network = one(dense([[1], [1]], acc="int<8>"))
    result = estimate(network, ProtectionPlan.uniform(network, hardened))
    # Two operands, three copies; majority, mismatch, its or, and the layer's flag.
    assert causes(result) == (5, replicas, voters, 6)
    assert result.layers[0].voter_levels == 1


def test_the_sign_is_copied_with_any_hardened_bit() -> None:
    # Sums of two signed 4-bit values have five bits; one of them is the sign.
    network = one(dense([[1], [1]], acc="int<8>"), "int<4>")
    assert estimate(network, ProtectionPlan.uniform(network, 1)).replicas == 2 * 1
    assert estimate(network, ProtectionPlan.uniform(network, 4)).replicas == 2 * 1
    assert estimate(network, ProtectionPlan.uniform(network, 5)).replicas == 2 * 2


def test_only_hardened_neurons_are_copied() -> None:
    network = one(dense([[1, 1, 0], [1, 1, 1]], acc="int<8>"))
    plan = ProtectionPlan.of(network, {"dense": np.array([0, 8, 0])})
    assert causes(estimate(network, plan)) == (10, 10, 14, 6)


def test_products_exist_once() -> None:
    network = one(dense([[5]], acc="int<8>"))
    result = estimate(network, ProtectionPlan.full(network))
    assert (result.function, result.replicas, result.guards) == (5, 0, 3)


def test_truncated_products_that_round_cost_an_adder() -> None:
    # One fractional bit is lost: 4 + 4 bits of fraction against 7. x * 5 reaches 75, 37 with half of it.
    layer = dense([[5]], acc="fixed<9,2,TRN>", weight="fixed<8,4>")
    rounding = dense([[5]], acc="fixed<9,2,RND>", weight="fixed<8,4>")
    plain, rounded = (estimate(one(x, "ufixed<4,0>"), UNPROTECTED) for x in (layer, rounding))
    assert (plain.function, plain.layers[0].multiplier_levels) == (5, 1)
    assert (rounded.function, rounded.layers[0].multiplier_levels) == (5 + 6, 2)


def relu_of(source: str, result: str) -> tuple[int, int]:
    """LUTs and levels of one ReLU."""
    layer = Layer.relu("relu", 1, FixedPoint.parse(result))
    network = Network("net", FixedPoint.parse(source), (layer,))
    estimated = estimate(network, UNPROTECTED).layers[0]
    return estimated.function, estimated.activation_levels


@pytest.mark.parametrize(
    ("source", "result", "expected"),
    [
        ("ufixed<8,4>", "ufixed<8,4>", (0, 0)),  # wiring
        ("fixed<8,4>", "ufixed<8,4>", (7, 1)),  # seven bits, zeroed by the sign
        ("fixed<8,4>", "ufixed<5,3,TRN,SAT>", (0 + 5, 1)),  # 3 integer bits and 2 of fraction: cannot overflow
        ("fixed<8,4>", "ufixed<4,2,TRN,SAT>", (4, 1)),  # one bit too many: it is the overflow
        ("fixed<12,8>", "ufixed<4,2,TRN,SAT>", (1 + 4, 2)),  # five bits too many, or-ed in one LUT
        ("fixed<12,8>", "ufixed<4,2,RND,SAT>", (10 + 1 + 4, 3)),  # rounding gives ten bits, six too many
        ("fixed<8,4>", "ufixed<6,4,RND>", (6 + 6, 2)),  # five bits rounded to six, and zeroed
        ("fixed<8,4>", "ufixed<5,3,TRN_ZERO,SAT>", (5, 1)),  # nothing is negative any more
    ],
)
def test_relu(source: str, result: str, expected: tuple[int, int]) -> None:
    assert relu_of(source, result) == expected


@pytest.mark.parametrize(
    ("weight", "source", "dsp"),
    [
        (255, "int<16>", 0),  # nine bits with a sign
        (257, "int<16>", 1),
        (257, "int<9>", 0),
        (256, "int<16>", 0),  # wiring
        (257 << 4, "int<16>", 1),
        (2**17 + 1, "int<18>", 1),  # 19 x 18
        (2**17 + 1, "int<19>", 2),  # 19 x 19: one side of 18 is too short
        (2**17 - 1, "int<25>", 1),
        (2**17 - 1, "ufixed<25,25>", 2),  # 26 bits with a sign
        (2**24 - 1, "int<26>", 2),  # 25 x 26
        (2**25 - 1, "int<26>", 4),
    ],
)
def test_dsp_policy(weight: int, source: str, dsp: int) -> None:
    result = estimate(one(dense([[weight]], acc="int<48>", weight="int<30>"), source), UNPROTECTED)
    assert result.report.dsp == dsp
    # What several give is added.
    assert (result.function == 0) == (dsp == 1 or weight == 256)


def test_dsp_threshold_is_the_policy_s() -> None:
    network = one(dense([[5], [3]]))
    narrow = estimate(network, UNPROTECTED, policy=EstimatePolicy(dsp_min_bits=4))
    # 5 has four bits with its sign, 3 has three. 3x = 4x - x reaches 45, bits 2..5; the sum reaches 120.
    assert (narrow.report.dsp, narrow.function) == (1, 4 + 7)


# --- latency and registers ---


def test_levels_per_cycle() -> None:
    assert EstimatePolicy().levels_per_cycle(5.0) == 3
    assert EstimatePolicy(clock_uncertainty=0.0).levels_per_cycle(5.0) == 4
    with pytest.raises(ConfigError, match=r"clock_ns 1 is too short for one level of logic, 1\.43 ns are needed"):
        EstimatePolicy().levels_per_cycle(1.0)


@pytest.mark.parametrize("clock_ns", [0.0, -5.0, float("nan"), float("inf")])
def test_impossible_clocks_are_refused(clock_ns: float) -> None:
    with pytest.raises(ConfigError, match="expected nanoseconds > 0"):
        estimate(one(dense([[1]])), UNPROTECTED, clock_ns=clock_ns)


@pytest.mark.parametrize(
    "change",
    [{"dsp_min_bits": 0}, {"dsp_tile": (25, 0)}, {"lutram_depth": 0}, {"level_ns": 0.0}, {"clock_uncertainty": 1.0}],
)
def test_impossible_policies_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="estimate policy"):
        EstimatePolicy(**change)  # type: ignore[arg-type]


def test_registers_stand_at_the_cuts() -> None:
    # Eight inputs of 4 bits: sums of 5, 6 and 7 bits at levels 1, 2 and 3.
    network = one(dense(np.ones((8, 1), int)))
    per_cycle = {levels: EstimatePolicy(level_ns=4.375 / levels) for levels in (1, 2, 3, 4)}
    found = {n: estimate(network, UNPROTECTED, policy=policy).report for n, policy in per_cycle.items()}
    # The bias is zero, so the leaves pair as 0 | x0, x1 + x2, x3 + x4, x5 + x6 | x7: four levels in all.
    assert {n: report.latency_cycles for n, report in found.items()} == {1: 4, 2: 2, 3: 2, 4: 1}
    assert found[4].ff == 7
    assert found[3].ff == (7 + 4) + 7
    assert found[2].ff == (6 + 6 + 4) + 7
    assert found[1].ff == (4 + 5 + 5 + 5 + 4) + (6 + 6 + 4) + (7 + 4) + 7


def test_registers_of_hardened_sums_are_copied() -> None:
    network = one(dense([[1], [1]], acc="int<8>"))
    policy = EstimatePolicy(level_ns=4.375)
    result = estimate(network, ProtectionPlan.full(network), policy=policy)
    # Three copies of five bits into the voter, five voted bits, the sticky flag and its counter.
    assert (result.report.latency_cycles, result.report.ff) == (2, 15 + 5 + 1 + 16)
    assert estimate(network, UNPROTECTED, policy=policy).report.ff == 5


def test_a_protected_layer_has_status_registers_once() -> None:
    network = mlp((6, 5, 4), 5, 1)
    plan = ProtectionPlan.of(network, {"dense1": np.array([0, 3, 5, 8])})
    for layer in estimate(network, plan).layers:
        # A counter of 16 bits, and the detection that all of them are ones; with the sticky flag 17 registers.
        expected = (16 + 3, 17) if layer.name == "dense1" else (0, 0)
        assert (layer.status, layer.status_ff) == expected


def test_a_relu_shares_the_cycles_of_its_dense_layer() -> None:
    relu = Layer.relu("relu", 1, FixedPoint.parse("ufixed<4,4>"))
    network = Network("net", FixedPoint.parse("int<4>"), (dense([[1], [1]]), relu))
    result = estimate(network, UNPROTECTED)
    assert [layer.levels for layer in result.layers] == [1, 1]
    assert [layer.latency_cycles for layer in result.layers] == [0, 1]
    assert result.report.ff == 4


# --- an independent count ---


def bits_of(low: int, high: int) -> int:
    """Bits of a range, a sign bit where it reaches below zero."""
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + (low < 0)


def lowest_bit(value: int) -> int:
    return (value & -value).bit_length() - 1


def naf(value: int) -> list[int]:
    """Terms +-2**k of the non-adjacent form, by Reitwiesner's recurrence."""
    terms, place = [], 0
    while value:
        if value % 2:
            digit = 2 - value % 4
            terms.append(digit << place)
            value -= digit
        value //= 2
        place += 1
    return terms


def split_at(n: int) -> int:
    """The largest power of two below n."""
    return 1 << ((n - 1).bit_length() - 1)


def multiplier_luts(terms: list[int], source: FixedPoint) -> int:
    if len(terms) < 2:
        return 0
    cut = split_at(len(terms))
    left, right = terms[:cut], terms[cut:]
    total = sum(terms)
    ends = sorted((total * source.min_raw, total * source.max_raw))
    own = bits_of(*ends) - max(lowest_bit(sum(left)), lowest_bit(sum(right)))
    return own + multiplier_luts(left, source) + multiplier_luts(right, source)


def neuron_luts(layer: Layer, source: FixedPoint, neuron: int, hardened: int) -> tuple[int, int]:
    """Adders and copied bits of one neuron, over the spans that the other simulators use."""
    acc = layer.acc
    shift = acc.frac - source.frac - layer.w.type.frac
    assert shift >= 0
    leaves = [int(cast(layer.b.raw, layer.b.type, acc)[neuron])] + [int(w) << shift for w in layer.w.raw[:, neuron]]
    ranges = [(leaves[0], leaves[0])] + [tuple(sorted((w * source.min_raw, w * source.max_raw))) for w in leaves[1:]]
    lowest = [lowest_bit(leaf) if leaf else None for leaf in leaves]
    function = sum(multiplier_luts(naf(int(w)), source) for w in layer.w.raw[:, neuron])
    copied = 0
    for k, (first, end) in enumerate(adder_spans(layer.n_in)):
        sides = [[b for b in lowest[i:j] if b is not None] for i, j in ((first, k + 1), (k + 1, end))]
        if not all(sides):
            continue
        low, high = (sum(r[side] for r in ranges[first:end]) for side in (0, 1))
        assert acc.min_raw <= low <= high <= acc.max_raw
        start = max(min(side) for side in sides)
        function += bits_of(low, high) - start
        if hardened:
            copied += max(bits_of(low, high) - max(start, acc.width - hardened), low < 0)
    return function, copied


weights_of = st.integers(1, 9).flatmap(
    lambda n_in: st.lists(st.lists(st.integers(-128, 127), min_size=n_in, max_size=n_in), min_size=1, max_size=3)
)


@settings(max_examples=200, deadline=None)
@given(weights=weights_of, data=st.data(), signed=st.booleans(), extra=st.integers(0, 3))
def test_adders_agree_with_a_count_neuron_by_neuron(
    weights: list[list[int]], data: st.DataObject, signed: bool, extra: int
) -> None:
    source = FixedPoint(6, 2, signed)
    kind, n_out = FixedPoint(8, 3), len(weights)
    bias = data.draw(st.lists(st.integers(-128, 127), min_size=n_out, max_size=n_out))
    hardened = data.draw(st.lists(st.integers(0, 24), min_size=n_out, max_size=n_out))
    layer = Layer.dense("d", Parameter(np.array(weights).T, kind), Parameter(bias, kind), FixedPoint(24, 15 - extra))
    network = Network("net", source, (layer,))
    plan = ProtectionPlan.of(network, {"d": np.array(hardened)})
    counted = [neuron_luts(layer, source, j, hardened[j]) for j in range(n_out)]
    result = estimate(network, plan)
    assert (result.function, result.replicas) == (sum(f for f, _ in counted), 2 * sum(c for _, c in counted))
    n_operands = [np.count_nonzero(column) for column in weights]
    assert result.guards == 3 * sum(n for n, h in zip(n_operands, hardened, strict=True) if h)


@given(values=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=8))
def test_signed_digits_are_canonical(values: list[int]) -> None:
    digits = signed_digits(np.array(values))
    places = 2 ** np.arange(len(digits), dtype=object)
    assert [sum(column * places) for column in digits.T.astype(object)] == values
    assert not np.any(digits[1:] * digits[:-1])
    assert [np.count_nonzero(column) for column in digits.T] == [len(naf(v)) for v in values]


# --- laws ---


@st.composite
def types(draw: st.DrawFn, widths: tuple[int, int], overflow: bool = True) -> FixedPoint:
    width = draw(st.integers(*widths))
    mode = draw(st.sampled_from(Overflow)) if overflow else Overflow.WRAP
    return FixedPoint(
        width, draw(st.integers(-1, width + 1)), draw(st.booleans()), draw(st.sampled_from(Rounding)), mode
    )


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Dense layers and ReLUs of any types, wrapping, truncating and losing bits as they may."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 9))
    source, layers = draw(types((1, 12))), []
    for index in range(draw(st.integers(1, 4))):
        if draw(st.booleans()) and index:
            layers.append(Layer.relu(f"l{index}", size, draw(types((1, 12)))))
            continue
        n_out, kind = draw(st.integers(1, 4)), draw(types((1, 12), overflow=False))
        raw = rng.integers(kind.min_raw, kind.max_raw + 1, (size, n_out)) * (rng.random((size, n_out)) < 0.8)
        bias = rng.integers(kind.min_raw, kind.max_raw + 1, n_out)
        accumulator, result = draw(types((1, 20), overflow=False)), draw(types((1, 20)) | st.none())
        layers.append(Layer.dense(f"l{index}", Parameter(raw, kind), Parameter(bias, kind), accumulator, result))
        size = n_out
    return Network("net", source, tuple(layers))


def plan_from(network: Network, share: float, seed: int) -> ProtectionPlan:
    """Up to `share` of each accumulator hardened; for one seed a larger share hardens no bit less."""
    rng = np.random.default_rng(seed)
    bits = {x.name: np.floor(rng.random(x.n_out) * (x.acc.width + 1) * share) for _, x in network.compute_layers()}
    return ProtectionPlan.of(network, {name: values.astype(np.int64) for name, values in bits.items()})


clocks = st.sampled_from([1.5, 3.0, 5.0, 20.0])
seeds = st.integers(0, 2**32)


@settings(max_examples=150, deadline=None)
@given(network=networks(), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), seed=seeds, clock_ns=clocks)
def test_more_hardened_bits_are_never_cheaper(
    network: Network, shares: tuple[float, float], seed: int, clock_ns: float
) -> None:
    plans = [plan_from(network, share, seed) for share in (0.0, *sorted(shares))]
    found = [estimate(network, plan, clock_ns=clock_ns) for plan in (*plans, ProtectionPlan.full(network))]
    for less, more in pairwise(found):
        assert less.function == more.function
        assert less.report.dsp == more.report.dsp
        for cause in ("replicas", "voters", "guards"):
            assert getattr(less, cause) <= getattr(more, cause)
        for figure in ("lut", "ff", "latency_cycles"):
            assert getattr(less.report, figure) <= getattr(more.report, figure)


@settings(max_examples=60, deadline=None)
@given(network=networks(), seed=seeds, clock_ns=clocks)
def test_one_more_bit_of_one_neuron_is_never_cheaper(network: Network, seed: int, clock_ns: float) -> None:
    rng = np.random.default_rng(seed)
    _, layer = network.compute_layers()[rng.integers(len(network.compute_layers()))]
    neuron, bits = rng.integers(layer.n_out), np.zeros(layer.n_out, np.int64)
    previous = estimate(network, UNPROTECTED, clock_ns=clock_ns)
    for bits[neuron] in range(1, layer.acc.width + 1):
        found = estimate(network, ProtectionPlan.of(network, {layer.name: bits}), clock_ns=clock_ns)
        assert found.report.lut >= previous.report.lut
        assert found.report.ff >= previous.report.ff
        previous = found


@settings(max_examples=150, deadline=None)
@given(network=networks(), share=st.floats(0, 1), seed=seeds, clock_ns=clocks)
def test_parts_sum_to_the_whole(network: Network, share: float, seed: int, clock_ns: float) -> None:
    result = estimate(network, plan_from(network, share, seed), clock_ns=clock_ns)
    assert result.report.lut == sum(result.lut_by_cause.values()) == sum(layer.lut for layer in result.layers)
    assert sum(causes(result)) == result.report.lut - sum(layer.status for layer in result.layers)
    assert result.report.ff == sum(layer.ff for layer in result.layers)
    assert result.report.latency_cycles == sum(layer.latency_cycles for layer in result.layers)
    assert [layer.name for layer in result.layers] == [layer.name for layer in network.layers]
    # A stage's cycles cover its levels, and not a cycle more.
    per_cycle = EstimatePolicy().levels_per_cycle(clock_ns)
    levels, cycles = sum(x.levels for x in result.layers), result.report.latency_cycles
    assert levels <= cycles * per_cycle
    assert cycles <= levels / per_cycle + len(network.layers)


@settings(max_examples=100, deadline=None)
@given(network=networks(), clock_ns=clocks)
def test_an_unprotected_design_has_no_redundancy(network: Network, clock_ns: float) -> None:
    result = estimate(network, UNPROTECTED, clock_ns=clock_ns)
    assert causes(result)[1:] == (0, 0, 0)
    assert result == estimate(network, ProtectionPlan.uniform(network, 0), clock_ns=clock_ns)


@settings(max_examples=150, deadline=None)
@given(
    source=types((1, 8)),
    kind=types((2, 8), overflow=False),
    accumulator=types((1, 14), overflow=False),
    data=st.data(),
)
def test_registers_hold_every_value_of_a_product(
    source: FixedPoint, kind: FixedPoint, accumulator: FixedPoint, data: st.DataObject
) -> None:
    weight = data.draw(st.integers(kind.min_raw, kind.max_raw))
    layer = Layer.dense("d", Parameter([[weight]], kind), Parameter([0], kind), accumulator)
    products = np.arange(source.min_raw, source.max_raw + 1) * weight
    values = np.unique(rescale(products, source.frac + kind.frac, accumulator))
    held = estimate(Network("net", source, (layer,)), UNPROTECTED, clock_ns=100.0).report.ff
    assert held is not None
    assert 2**held >= len(values)


# --- the report and its speed ---


def test_report_is_labelled_and_refuses_a_plan_of_another_network() -> None:
    network = mlp((4, 3, 2), 4, 0)
    result = estimate(network, UNPROTECTED, clock_ns=4)
    assert (result.report.source, result.report.tool_version) == ("estimate", "codesign-estimate-2")
    assert result.report.clock_ns == 4.0
    nothing = dict.fromkeys(("replicas", "voters", "guards", "parameters", "status"), 0)
    assert result.to_json()["lut_by_cause"] == {"function": result.report.lut, **nothing}
    with pytest.raises(ConfigError, match="has no layer"):
        estimate(network, ProtectionPlan.uniform(one(dense([[1]])), 1))


def test_a_search_can_afford_it() -> None:
    network = mlp((64, 32, 32, 10), 8, 0)
    plan = ProtectionPlan.uniform(network, 6)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        estimate(network, plan)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05
