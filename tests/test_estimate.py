"""The estimate of dense networks: figures worked out by hand, an independent count of adders, laws of its causes.

Other layers, reuse and the other mechanisms are in `test_estimate_units.py`.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from counted import estimate
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding, rescale
from codesign.network import Layer, Network, Parameter
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import Estimate, EstimatePolicy
from codesign.resources.estimate.multipliers import signed_digits
from codesign.resources.rtl.neuron import arithmetic
from codesign.resources.rtl.words import Constant, Moved, Operand, Sum, Word

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
    # x0 + x1 of 4 unsigned bits: four pairs of bits meet, the fifth bit is the last carry.
    result = estimate(one(dense([[1], [1]])), UNPROTECTED)
    assert causes(result) == (4, 0, 0, 0)
    assert (result.report.dsp, result.report.bram_18k, result.report.ii) == (0, 0, 1)


def test_nothing_to_add_costs_nothing() -> None:
    assert causes(estimate(one(dense([[8]])), UNPROTECTED)) == (0, 0, 0, 0)
    assert causes(estimate(one(dense([[1], [0]])), UNPROTECTED)) == (0, 0, 0, 0)


def test_a_number_alone_is_inverted_to_be_negative() -> None:
    assert causes(estimate(one(dense([[-1], [0]])), UNPROTECTED)) == (4, 0, 0, 0)


def test_a_constant_is_wires_and_inverters() -> None:
    # 5 has two ones below the four bits of x; what lies above is carried on. -1 has ones only.
    assert estimate(one(dense([[1]], bias=5)), UNPROTECTED).function == 2
    assert estimate(one(dense([[1]], bias=-1)), UNPROTECTED).function == 4


def test_a_constant_neuron_costs_nothing_even_hardened() -> None:
    network = one(dense([[0], [0]], bias=5))
    result = estimate(network, ProtectionPlan.full(network))
    assert causes(result) == (0, 0, 0, 0)
    assert result.report.ff == 16 + 1  # the result's register, and that of its being valid


def test_shifted_operand_passes_low_bits_through() -> None:
    # Of 4 * x0 + x1 only bits 2 and 3 are in both.
    assert estimate(one(dense([[4], [1]])), UNPROTECTED).function == 2


@pytest.mark.parametrize(
    ("weight", "lut", "depth"),
    [
        (5, 2, 1),  # 4x + x: bits 2 and 3 are in both
        (-5, 2 + 7, 1),  # the same, and zero minus its seven bits
        (7, 5 + 7, 1),  # x - 8x: bits 3..6, and the sign; then zero minus its bits but the sign
        (0, 0, 0),
        (64, 0, 0),
        (85, 2 + 3, 2),  # (16 + 64)x is (1 + 4)x elsewhere; 5x and 80x share bits 4..6
    ],
)
def test_multiplier(weight: int, lut: int, depth: int) -> None:
    layer = estimate(one(dense([[weight]])), UNPROTECTED).layers[0]
    assert (layer.function, layer.multiplier_levels) == (lut, depth)


def test_an_accumulator_cuts_what_does_not_reach_it() -> None:
    # x - 32 x, cut at 8 bits, from bit 5; then zero minus its eight bits.
    assert estimate(one(dense([[31]], acc="int<8>")), UNPROTECTED).function == 3 + 8
    assert estimate(one(dense([[1024], [0]], acc="int<8>")), UNPROTECTED).function == 0


@pytest.mark.parametrize(
    ("hardened", "replicas", "guards"),
    [
        (1, 0, 0),  # bit 7: the sum of 5 unsigned bits does not reach it
        (4, 2 * 1, 0 + 1),  # bits 4..7: the carry alone
        (8, 2 * 4, 0),  # all; the guards are in the adders' LUTs
    ],
)
def test_hardened_sum(hardened: int, replicas: int, guards: int) -> None:
    network = one(dense([[1], [1]], acc="int<8>"))
    result = estimate(network, ProtectionPlan.uniform(network, hardened))
    voter = EstimatePolicy().calibration.voters["tmr"][hardened - 1]
    assert causes(result) == (4, replicas, voter, guards)
    assert result.layers[0].voter_levels == 1


def test_only_hardened_neurons_are_copied() -> None:
    network = one(dense([[1, 1, 0], [1, 1, 1]], acc="int<8>"))
    plan = ProtectionPlan.of(network, {"dense": np.array([0, 8, 0])})
    alone = one(dense([[1], [1]], acc="int<8>"))
    hardened = causes(estimate(alone, ProtectionPlan.full(alone)))
    # The first neuron's four LUTs beside it.
    assert causes(estimate(network, plan)) == (4 + hardened[0], *hardened[1:])


def test_products_exist_once() -> None:
    network = one(dense([[5]], acc="int<8>"))
    result = estimate(network, ProtectionPlan.full(network))
    # Each copy reads seven bits through a guard, and gives them.
    assert (result.function, result.replicas, result.guards) == (2, 0, 3 * 7)


def test_truncated_products_that_round_cost_an_adder() -> None:
    # One fractional bit is lost: 4 + 4 bits of fraction against 7. x * 5 reaches 75, 37 with half of it.
    layer = dense([[5]], acc="fixed<9,2,TRN>", weight="fixed<8,4>")
    rounding = dense([[5]], acc="fixed<9,2,RND>", weight="fixed<8,4>")
    plain, rounded = (estimate(one(x, "ufixed<4,0>"), UNPROTECTED) for x in (layer, rounding))
    assert (plain.function, plain.layers[0].multiplier_levels) == (2, 1)
    assert (rounded.function, rounded.layers[0].multiplier_levels) == (2 + 6, 2)


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
        ("fixed<12,8>", "ufixed<4,2,TRN,SAT>", (1 + 4, 1)),  # five bits too many, or-ed in one LUT
        ("fixed<12,8>", "ufixed<4,2,RND,SAT>", (1 + 1 + 4, 1)),  # rounding, ten bits, six too many
        ("fixed<8,4>", "ufixed<6,4,RND>", (1 + 6, 1)),  # five bits rounded to six, and zeroed
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
    # The result's 16 bits and the mark of a sample at the end, and behind every cut the words that are there.
    assert found[4].ff == 17
    assert found[3].ff == (7 + 4 + 1) + 17
    assert found[2].ff == (6 + 6 + 4 + 1) + 17
    assert found[1].ff == (4 + 5 + 5 + 5 + 4 + 1) + (6 + 6 + 4 + 1) + (7 + 4 + 1) + 17


def test_registers_of_hardened_sums_are_copied() -> None:
    network = one(dense([[1], [1]], acc="int<8>"))
    policy = EstimatePolicy(level_ns=4.375)
    result = estimate(network, ProtectionPlan.full(network), policy=policy)
    # Three copies of five bits into the voter, eight voted bits, a mark each, the sticky flag and its counter.
    assert (result.report.latency_cycles, result.report.ff) == (2, 15 + 1 + 8 + 1 + 1 + 16)
    assert estimate(network, UNPROTECTED, policy=policy).report.ff == 8 + 1


def test_a_protected_layer_has_status_registers_once() -> None:
    network = mlp((6, 5, 4), 5, 1)
    plan = ProtectionPlan.of(network, {"dense1": np.array([0, 3, 5, 8])})
    for layer in estimate(network, plan).layers:
        # All 16 bits ones, the count, an or over the flags of three neurons; with the sticky flag 17 registers.
        expected = (3 + 1 + 1, 17) if layer.name == "dense1" else (0, 0)
        assert (layer.status, layer.status_ff) == expected


def test_a_relu_shares_the_cycles_of_its_dense_layer() -> None:
    relu = Layer.relu("relu", 1, FixedPoint.parse("ufixed<4,4>"))
    network = Network("net", FixedPoint.parse("int<4>"), (dense([[1], [1]]), relu))
    result = estimate(network, UNPROTECTED)
    assert [layer.levels for layer in result.layers] == [1, 1]
    assert [layer.latency_cycles for layer in result.layers] == [0, 1]
    assert result.report.ff == 4 + 1


# --- an independent count ---


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


@dataclass
class Bits:
    """Which signal each bit of the RTL's words is, and which pairs of signals meet in adders: one LUT a pair.

    A signal is a constant 0 or 1, or a name. An adder's bits are of its own, named by what it adds.
    """

    luts: set[tuple[frozenset[object], bool]] = field(default_factory=set)
    known: dict[int, list[object]] = field(default_factory=dict)

    def of(self, word: Word, start: int, end: int) -> list[object]:
        """Bits [start, end), extended by the sign."""
        if isinstance(word, Constant):
            return [word.value >> place & 1 for place in range(start, end)]
        if isinstance(word, Moved):
            return self.of(word.of, start - word.by, end - word.by)
        if isinstance(word, Operand):
            bits: list[object] = [(word.port, place) for place in range(word.bounds.top)]
        else:
            if id(word) not in self.known:
                self.known[id(word)] = self.sum(word)
            bits = self.known[id(word)]
        above: list[object] = [bits[-1] if word.signed else 0] * max(0, end - len(bits))
        return (bits + above)[start:end]

    def sum(self, word: Word) -> list[object]:
        assert isinstance(word, Sum)
        below = self.of(word.first, 0, word.start)
        pairs = [self.of(operand, word.start, word.top) for operand in (word.first, word.second)]
        if word.wired:
            return below + pairs[1]
        for a, b in zip(*pairs, strict=True):
            self.meet(a, b, word.subtracts)
        name = (tuple(pairs[0]), tuple(pairs[1]), word.subtracts)
        return below + [(name, place) for place in range(len(pairs[0]))]

    def meet(self, a: object, b: object, inverts: bool) -> None:
        names, ones = [x for x in (a, b) if x not in (0, 1)], [x for x in (a, b) if x == 1]
        inverted = bool(len(ones) % 2) != inverts
        if len(set(names)) == 2 or (len(names) == 1 and inverted):
            self.luts.add((frozenset(names), inverted))


weights_of = st.integers(1, 9).flatmap(
    lambda n_in: st.lists(st.lists(st.integers(-128, 127), min_size=n_in, max_size=n_in), min_size=1, max_size=3)
)


@settings(max_examples=60, deadline=None)
@given(weights=weights_of, data=st.data(), signed=st.booleans(), extra=st.integers(0, 3))
def test_adders_agree_with_a_count_of_the_rtl_s_bits(
    weights: list[list[int]], data: st.DataObject, signed: bool, extra: int
) -> None:
    source = FixedPoint(6, 2, signed)
    kind, n_out = FixedPoint(8, 3), len(weights)
    bias = data.draw(st.lists(st.integers(-128, 127), min_size=n_out, max_size=n_out))
    hardened = data.draw(st.lists(st.integers(0, 24), min_size=n_out, max_size=n_out))
    layer = Layer.dense("d", Parameter(np.array(weights).T, kind), Parameter(bias, kind), FixedPoint(24, 15 - extra))
    network = Network("net", source, (layer,))
    plan = ProtectionPlan.of(network, {"d": np.array(hardened)})
    counted = 0
    for j in range(n_out):
        bits, total = Bits(), arithmetic(layer, j, (source,), EstimatePolicy()).total
        if total is not None and not isinstance(total, Constant):
            bits.of(total, 0, 24)
        counted += len(bits.luts)
    result = estimate(network, plan)
    # Products that share an inverter, or a pair of bits by chance, are not looked for.
    n_products = sum(np.count_nonzero(column) for column in weights)
    assert counted <= result.function <= counted + 9 * n_products + 10 * n_out
    assert result.function == estimate(network, UNPROTECTED).function


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


@settings(max_examples=50, deadline=None)
@given(network=networks(), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), seed=seeds, clock_ns=clocks)
def test_hardened_bits_cost(network: Network, shares: tuple[float, float], seed: int, clock_ns: float) -> None:
    plans = [plan_from(network, share, seed) for share in (0.0, *sorted(shares))]
    found = [estimate(network, plan, clock_ns=clock_ns) for plan in (*plans, ProtectionPlan.full(network))]
    for less, more in pairwise(found):
        assert less.function == more.function
        assert less.report.dsp == more.report.dsp
        assert less.report.latency_cycles <= more.report.latency_cycles
        # A neuron that is hardened whole needs no carries from below: it can cost less than one cut near its end.
        assert found[0].report.lut is not None and more.report.lut is not None
        assert found[0].report.lut <= more.report.lut


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
    assert (result.report.source, result.report.tool_version) == ("estimate", "codesign-estimate-3")
    assert result.report.clock_ns == 4.0
    nothing = dict.fromkeys(("replicas", "voters", "guards", "parameters", "status"), 0)
    assert result.to_json()["lut_by_cause"] == {"function": result.report.lut, **nothing}
    with pytest.raises(ConfigError, match="has no layer"):
        estimate(network, ProtectionPlan.uniform(one(dense([[1]])), 1))
