"""The estimate of units that are used more than once, of every mechanism and code, and of layers without sums.

Figures worked out by hand, and laws on random graphs. Dense networks are in `test_estimate.py`.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from counted import POLICY, estimate
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import networks, plans
from numpy.typing import ArrayLike

from codesign.codes import Code
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import INPUT, Kind, Layer, Network, Parameter
from codesign.network.rules import TABLES_OF
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope
from codesign.resources.estimate import CAUSES, Estimate, EstimatePolicy, LayerEstimate
from codesign.resources.estimate.logic import Memory, decoder_luts, mux_luts
from codesign.resources.estimate.multipliers import by_variable
from codesign.resources.estimate.words import EVERYTHING
from codesign.resources.rtl.words import mux_levels

UNPROTECTED = ProtectionPlan()
ONE_LEVEL = replace(POLICY, level_ns=4.375)


def typed(values: ArrayLike, text: str = "int<4>") -> Parameter:
    return Parameter(np.array(values), FixedPoint.parse(text))


def dense(weights: ArrayLike, reuse_factor: int = 1, acc: str = "int<8>", bias: str = "int<4>") -> Layer:
    raw = np.array(weights)
    zeros = typed(np.zeros(raw.shape[1], int), bias)
    return Layer.dense("l", typed(raw), zeros, FixedPoint.parse(acc), reuse_factor=reuse_factor)


def conv(shape: tuple[int, ...], weights: ArrayLike, **given: object) -> Layer:
    raw = np.array(weights)
    zeros = typed(np.zeros(raw.shape[-1], int))
    return Layer.conv("l", shape, typed(raw), zeros, FixedPoint.parse("int<8>"), **given)  # type: ignore[arg-type]


def one(layer: Layer, source: str = "uint<4>") -> Network:
    return Network("net", FixedPoint.parse(source), (layer,), layer.in_shapes[0])


def planned(
    layer: Layer, mechanism: str = "tmr", hardened: int = 0, *, code: str = "none", **given: object
) -> ProtectionPlan:
    bits = (hardened,) * layer.neurons
    return ProtectionPlan((LayerPlan("l", bits, Mechanism(mechanism), parameters=Code(code), **given),))  # type: ignore[arg-type]


def of(layer: Layer, plan: ProtectionPlan = UNPROTECTED, policy: EstimatePolicy = POLICY) -> LayerEstimate:
    return estimate(one(layer), plan, policy=policy).layers[0]


# ---------------------------------------------------------------- pieces


def test_choices() -> None:
    # Four inputs a LUT, sixteen with the multiplexers behind it, then the choice among sixteens.
    assert [mux_luts(n) for n in (0, 1, 2, 4, 5, 16, 17, 64)] == [0, 0, 1, 1, 2, 4, 5 + 1, 16 + 1]
    assert [mux_levels(n) for n in (1, 2, 16, 17, 256)] == [0, 1, 1, 2, 2]


def test_memories() -> None:
    assert Memory.of(32, 9, POLICY) == Memory(lut=5)  # two bits a LUT
    assert Memory.of(64, 9, POLICY) == Memory(lut=9)
    assert Memory.of(65, 36, POLICY) == Memory(bram_18k=1)
    assert Memory.of(513, 36, POLICY) == Memory(bram_18k=2)
    assert Memory.of(1024, 16, POLICY, readers=5) == Memory(bram_18k=3)
    deep = EstimatePolicy(lutram_depth=1024)
    assert Memory.of(256, 9, deep) == Memory(lut=9 * 4)
    assert Memory.of(1024, 9, deep, readers=2) == Memory(lut=2 * 9 * (16 + 1))


@pytest.mark.parametrize(
    ("bits", "lut", "levels"),
    [
        (1, 1, 1),  # an and
        (2, 3 + 1, 1),  # one adder from bit 1 to 3; the lowest bit is an and of its own
        (3, (4 + 1) + 4, 2),  # three rows: bits 2..5 of the second adder hold the third row's ands
        (4, 2 * (5 + 1) + 6, 2),
        (8, 4 * (9 + 1) + 2 * 10 + 12, 3),
    ],
)
def test_multiplication_of_two_variables(bits: int, lut: int, levels: int) -> None:
    for signed in (False, True):
        kind = FixedPoint(bits, bits, signed)
        assert by_variable(kind, kind, EVERYTHING, POLICY) == (lut, 0, levels)


def test_multiplication_of_two_variables_in_dsps() -> None:
    assert by_variable(FixedPoint(10, 10), FixedPoint(10, 10), EVERYTHING, POLICY) == (0, 1, 3)
    assert by_variable(FixedPoint(18, 18, False), FixedPoint(18, 18), EVERYTHING, POLICY) == (0, 1, 3)  # 19 x 18
    assert by_variable(FixedPoint(18, 18, False), FixedPoint(18, 18, False), EVERYTHING, POLICY) == (0, 2, 3)
    assert by_variable(FixedPoint(9, 9), FixedPoint(16, 16), EVERYTHING, POLICY)[1] == 0


def test_decoders() -> None:
    assert decoder_luts(Code.NONE, 8) == 0
    assert decoder_luts(Code.TMR, 4) == 4 + 2 + 1  # majority, two mismatches, their or
    assert decoder_luts(Code.PARITY, 8) == 2 + 8  # nine bits, eight made zero
    # Data bits at 3, 5, 6, 7: each of three checks covers three, with its own bit a LUT; eight bits in all take two.
    # A bit of data: the syndrome's three bits and the parity in one LUT, the inversion in another. Two flags.
    assert decoder_luts(Code.ECC, 4) == 3 * 1 + 2 + 4 * (1 + 1) + 2 * 1


# ---------------------------------------------------------------- reuse


def test_passes() -> None:
    layer = of(dense([[1], [2]], reuse_factor=2))
    # Rows of 4 unsigned bits, the last one negative: x + 2x to 45 (bits 1..5) and 4x - 8x from -120 (bits 3..7),
    # their sum from bit 2 to 7; two lowest bits alone.
    multiplier = 5 + 5 + 6 + 2
    # The running sum may be anything: eight bits. Operands: four bits of two. Weights: two words of four bits.
    assert layer.function == multiplier + 8 + 4 + 2
    assert (layer.input_levels, layer.multiplier_levels, layer.adder_levels) == (1, 2, 1)
    # After three levels the product, eight bits; the running sum; the result; at both cuts whether there is a sample.
    assert layer.ff == 8 + 8 + 8 + 2
    assert (layer.ii, layer.latency_cycles) == (2, 2 + 1)
    assert (layer.dsp, layer.bram_18k) == (0, 0)


def test_deep_weights_are_block_ram() -> None:
    weights = np.ones((128, 3), int)
    layer = of(dense(weights, reuse_factor=128))
    assert layer.bram_18k == 1  # 128 words of 3 x 4 bits
    assert of(dense(weights, reuse_factor=64)).bram_18k == 0
    assert layer.ii == 128


def test_wide_stored_weights_take_dsps() -> None:
    kind = FixedPoint(12, 12)
    layer = Layer.dense(
        "l",
        Parameter(np.ones((4, 3), int), kind),
        Parameter(np.zeros(3, int), kind),
        FixedPoint(26, 26),
        reuse_factor=2,
    )
    assert estimate(one(layer, "int<12>"), UNPROTECTED).report.dsp == 2 * 3


# ---------------------------------------------------------------- pixels


def test_convolution() -> None:
    layer = of(conv((4, 1), [[[1]], [[1]]]))
    # x + y of 4 bits: four LUTs. Both places of the window choose four bits of three pixels.
    assert layer.function == 4 + 2 * 4
    # The window, and three results of eight bits with a mark.
    assert layer.ff == 2 * 4 + 3 * 8 + 1
    assert (layer.ii, layer.latency_cycles) == (3, 2 + 1)


def test_padding_is_one_more_choice() -> None:
    # Four outputs: the first place sees pixels 0..3, the second 1..3 and the padding.
    layer = of(conv((4, 1), [[[1]], [[1]]], padding="same"))
    assert (layer.function, layer.ii) == (4 + 2 * 4, 4)
    # Five outputs: two before and one behind, so that the first place sees five things.
    wider = of(conv((4, 1), [[[1]], [[1]]], padding=((1, 1),)))
    assert (wider.function, wider.ii) == (4 + (2 + 2) * 4, 5)


def test_pixels_and_passes() -> None:
    layer = of(conv((4, 1), [[[1]], [[1]]], reuse_factor=2), policy=ONE_LEVEL)
    once = of(dense([[1], [1]], reuse_factor=2))
    assert layer.function == once.function + 2 * 4  # the window's choices
    # A level a cycle: window, operand, two of the multiplier, adder.
    assert (layer.levels, layer.ii, layer.latency_cycles) == (5, 6, 5 + 5)


def test_a_pointwise_convolution_of_one_pixel_is_a_dense_layer() -> None:
    weights = [[1, 3], [2, -5], [7, 4]]
    as_conv, as_dense = (of(x, planned(x, hardened=5)) for x in (conv((1, 3), [weights]), dense(weights)))
    assert as_conv == as_dense


def test_depthwise_neurons_choose_their_own_operands() -> None:
    given = (typed([[1, 1], [1, 1]]), typed([0, 0]), FixedPoint.parse("int<8>"))
    layer = of(Layer.depthwise("l", (4, 2), *given))
    assert layer.function == 2 * 4 + 2 * 2 * 4
    passes = of(Layer.depthwise("l", (2, 2), *given, reuse_factor=2))
    # Two multipliers, adders and operands; weights of two words of 2 x 4 bits.
    assert passes.function == 2 * (18 + 8) + 2 * 4 + 4


def test_batch_normalisation_is_a_multiplication() -> None:
    layer = Layer.batchnorm("l", (2, 1), typed([5]), typed([0]), FixedPoint.parse("int<8>"))
    # Bits 2 and 3 of x and 4x meet; four bits of two pixels.
    assert of(layer).function == 2 + 4
    assert of(layer).ii == 2


def addition(acc: str = "int<8>", source: str = "uint<4>") -> Network:
    layer = Layer.add("l", (2,), FixedPoint.parse(acc), inputs=(INPUT, INPUT))
    return Network("net", FixedPoint.parse(source), (layer,))


def test_addition() -> None:
    plain, hardened = (estimate(addition(), plan).layers[0] for plan in (UNPROTECTED, ProtectionPlan.full(addition())))
    assert (plain.function, plain.ii) == (2 * 4, 1)
    voter = POLICY.calibration.voters["tmr"][8 - 1]
    assert (hardened.replicas, hardened.guards, hardened.voters) == (2 * 8, 0, 2 * voter)


def test_an_addition_s_operands_are_cast() -> None:
    # Half of 0..15, rounded: a LUT finds out whether up. 0..8 has four bits.
    assert estimate(addition("fixed<8,9,RND>"), UNPROTECTED).function == 2 * (2 * 1 + 4)


def test_saturating_sums_are_chains() -> None:
    layer = dense([[7], [7], [7]], acc="fixed<8,8,TRN,SAT>")
    network = one(layer)
    # 7x takes 5 and reaches 105; two reach 210, so that the type's eight bits saturate, and 127 + 105 does again.
    # The bias is zero. 7x has seven bits.
    result = estimate(network, UNPROTECTED).layers[0]
    assert result.function == 3 * 4 + (7 + 8 + 1) + (7 + 8 + 1)
    assert result.adder_levels == 4
    full = estimate(network, ProtectionPlan.full(network)).layers[0]
    assert (full.replicas, full.guards) == (2 * 2 * 16, 3 * 3)


# ---------------------------------------------------------------- mechanisms


def test_dmr() -> None:
    layer = dense([[1], [1]])
    found = of(layer, planned(layer, "dmr", 8))
    assert (found.function, found.replicas, found.guards) == (4, 4, 0)
    assert found.voters == POLICY.calibration.voters["dmr"][8 - 1]
    # Bits that exist once are made zero as well: a LUT each.
    assert of(layer, planned(layer, "dmr", 3)).voters == POLICY.calibration.voters["dmr"][3 - 1] + 5
    assert found.voter_levels == 1
    assert (found.status, found.status_ff) == (5, 17)


def test_scope_mac_copies_multipliers() -> None:
    layer = dense([[5, 5], [3, 3]])
    bits = (4, 0)
    adder, mac = (of(layer, ProtectionPlan((LayerPlan("l", bits, scope=scope),))) for scope in (Scope.ADDER, Scope.MAC))
    # Of the first neuron 5x, two LUTs, and x - 4x: bits 2..5.
    assert mac.replicas == adder.replicas + 2 * (2 + 4)
    assert (mac.function, mac.voters, mac.guards) == (adder.function, adder.voters, adder.guards)
    two = of(layer, ProtectionPlan((LayerPlan("l", bits, Mechanism.DMR, Scope.MAC),)))
    assert 2 * two.replicas == mac.replicas


def test_scope_mac_copies_dsps_and_product_registers() -> None:
    layer = Layer.dense("l", typed([[257]], "int<16>"), typed([0], "int<16>"), FixedPoint.parse("int<32>"))
    network = one(layer, "int<16>")
    adder, mac = (
        estimate(network, planned(layer, hardened=32, scope=scope), policy=replace(ONE_LEVEL, dsp_levels=1)).layers[0]
        for scope in (Scope.ADDER, Scope.MAC)
    )
    assert (adder.dsp, mac.dsp) == (1, 3)
    # The only sum is the product, 25 bits: three copies meet the voter in any case.
    assert adder.ff == mac.ff


def test_recompute() -> None:
    layer = dense([[1], [1]])
    found = of(layer, planned(layer, "recompute", 8, dot_size=1))
    assert found.function == 4
    # A multiplier of two variables, an adder of eight bits, four operand bits of two passes, two weights of four bits.
    assert found.replicas == 18 + 8 + 4 + 2
    # Two products of the neuron itself, one operand of the unit.
    assert found.guards == 2 + 1
    assert found.voters == POLICY.calibration.voters["tmr"][8 - 1]
    # Two recomputations in two passes, behind operand, multiplier, adder and voter: five levels, two cycles.
    assert (found.ii, found.latency_cycles) == (1 + 4, 2 + 4)
    # Operand and weight; first, second, third and running sum of eight bits; status; sum at the cut; result; two marks.
    assert found.ff == 4 + 4 + 4 * 8 + 17 + 5 + 8 + 2


def test_recompute_of_every_pixel() -> None:
    layer = conv((4, 2), np.ones((2, 2, 3), int))
    bits = (8, 0, 3)
    found = of(layer, ProtectionPlan((LayerPlan("l", bits, Mechanism.RECOMPUTE, dot_size=3),)))
    plain = of(layer)
    again = 3 * 2 * 2 * 2  # pixels, twice, neurons, passes
    assert (plain.ii, found.ii) == (3, 3 + again)
    assert found.latency_cycles >= plain.latency_cycles + again


@pytest.mark.parametrize(
    ("code", "parameters", "guards"),
    [
        # Weights: two words of five bits in three LUTs instead of two; the bias: five bits in three.
        ("parity", (3 - 2) + 5 + 1 + 3 + 5 + 1, 0),
        # Words of eight bits; two flags.
        ("ecc", (4 - 2) + 15 + 2 + 4 + 15 + 2, 0),
        # Three memories each, one weight and one bias are read at once.
        ("tmr", (3 * 2 - 2) + 7 + 1 + 3 * 2 + 7 + 1, 3 + 3),
    ],
)
def test_codes_of_parameters(code: str, parameters: int, guards: int) -> None:
    layer = dense([[1], [2]], reuse_factor=2)
    plain, coded = of(layer), of(layer, planned(layer, code=code))
    assert coded.function == plain.function
    assert (coded.parameters, coded.guards) == (parameters, guards)
    assert (coded.replicas, coded.voters) == (0, 0)
    flags = 2 if code == "ecc" else 1
    assert (coded.status, coded.status_ff) == (4 * flags, 17 * flags)
    assert coded.ii == plain.ii
    assert coded.latency_cycles >= plain.latency_cycles


def test_copies_of_block_ram() -> None:
    layer = dense(np.ones((128, 9), int), reuse_factor=128)
    found = {code: of(layer, planned(layer, code=code)).bram_18k for code in ("none", "parity", "ecc", "tmr")}
    # Nine words of 4, 5 and 8 bits a line: 36, 45 and 72 bits.
    assert found == {"none": 1, "parity": 2, "ecc": 2, "tmr": 3}


def test_the_shared_unit_reads_coded_words() -> None:
    layer = dense([[1], [2]], reuse_factor=2)
    both, unit, code = (
        of(layer, planned(layer, "recompute", hardened, dot_size=1, code=code))
        for hardened, code in ((8, "parity"), (8, "none"), (0, "parity"))
    )
    assert (both.function, both.replicas, both.guards) == (unit.function, unit.replicas, unit.guards)
    assert both.parameters == 2 * code.parameters  # as many words as the layer's own
    assert both.status == unit.status + code.status == 4 + 1 + 4


# ---------------------------------------------------------------- other layers


def passive(layer: Layer, source: str = "uint<4>") -> LayerEstimate:
    return estimate(one(layer, source), UNPROTECTED).layers[0]


def test_wiring_costs_nothing() -> None:
    kind = FixedPoint.parse("uint<4>")
    for layer in (
        Layer.reshape("l", (2, 3), (6,), kind),
        Layer.pad("l", (2, 3), ((1, 1),), kind),
        Layer.upsample("l", (2, 3), (2,), kind),
        Layer.concatenate("l", ((3,), (3,)), kind, inputs=(INPUT, INPUT)),
    ):
        found = passive(layer)
        assert (found.lut, found.ff, found.latency_cycles, found.ii) == (0, 0, 0, 1)


def test_wiring_that_casts() -> None:
    # 8.0 and more saturates: one bit too many, three bits chosen, for six values.
    found = passive(Layer.concatenate("l", ((3,), (3,)), FixedPoint.parse("fixed<4,4,TRN,SAT>"), inputs=(INPUT, INPUT)))
    assert (found.function, found.ff, found.latency_cycles) == (6 * 4, 6 * 4 + 1, 1)


def test_max_pooling() -> None:
    layer = Layer.max_pool("l", (4, 2), (2,), FixedPoint.parse("uint<4>"))
    found = passive(layer)
    # Two windows of two channels, each one comparison of four bits and a choice of four.
    assert (found.function, found.activation_levels, found.ff) == (4 * (2 + 4), 2, 4 * 4 + 1)


def test_average_pooling() -> None:
    four, three = (
        passive(Layer.average_pool("l", (n, 1), None, FixedPoint.parse("uint<8>"), FixedPoint.parse("uint<4>")))
        for n in (4, 3)
    )
    assert four.function == 2 * 4 + 5  # four bits meet, then five; the division is a shift
    assert three.function == 4 + 4 + 8 * 3  # eight rows of a divider by 3


def test_tables() -> None:
    table = typed(np.zeros(1024, int), "fixed<18,8>")
    layer = Layer.activation("l", (5,), "tanh", FixedPoint.parse("fixed<18,8>"), tables=(table,))
    found = passive(layer, "fixed<8,4>")
    assert found.bram_18k == 3  # a table of 1024 x 18 has two ports
    assert found.ii == 1


@pytest.mark.parametrize(
    ("function", "lut"),
    [
        ("linear", 2 * 4),  # two integer bits too many: their detection is in the LUTs of the four bits
        ("binary_tanh", 0),  # the sign
        ("ternary_tanh", 2 * 6),  # two comparisons of six bits
        ("leaky_relu", 2 * (6 + (1 + 4) + 4)),  # x - 4x; six of its bits are too many; the half
        ("hard_sigmoid", 2 * (6 + (1 + 4) + 10 + 4)),  # the shift is added to a product of ten bits
    ],
)
def test_activations(function: str, lut: int) -> None:
    numbers = TABLES_OF[function]
    layer = Layer.activation(
        "l", (2,), function, FixedPoint.parse("fixed<4,2,TRN,SAT>"), tables=tuple(typed([3]) for _ in numbers)
    )
    assert passive(layer, "fixed<6,4>").function == lut


@pytest.mark.parametrize("function", [name for name, numbers in TABLES_OF.items() if False in numbers])
def test_looked_up_activations(function: str) -> None:
    tables = tuple(typed([3]) if number else typed(np.zeros(32, int)) for number in TABLES_OF[function])
    layer = Layer.activation("l", (2,), function, FixedPoint.parse("fixed<4,2>"), tables=tables)
    found = passive(layer, "fixed<6,4>")
    # A table of 32 words of four bits for each value.
    assert found.function >= 2 * 2
    assert (found.bram_18k, found.ii) == (0, 1)


def test_softmax_multiplies_two_variables() -> None:
    kind = FixedPoint.parse("fixed<18,8,RND,SAT>")
    tables = (typed(np.zeros(1024, int), "fixed<18,8>"), typed(np.zeros(1024, int), "fixed<18,8>"))
    layer = Layer.softmax("l", 5, "stable", tables, kind, kind, FixedPoint(16, 6), norm=kind)
    found = passive(layer, "fixed<16,6>")
    assert (found.dsp, found.bram_18k) == (5, 3 + 1)


def test_argmax_carries_the_index() -> None:
    found = passive(Layer.argmax("l", 4, FixedPoint.parse("uint<1>")))
    assert found.function == 3 * (2 + 4 + 2) + 4 * 1


# ---------------------------------------------------------------- graphs


def test_a_shortcut_waits_in_registers() -> None:
    acc, kind = FixedPoint.parse("int<8>"), FixedPoint.parse("uint<4>")
    eye = typed(np.eye(3, dtype=int))
    zeros = typed([0, 0, 0])
    layers = (
        Layer.dense("a", eye, zeros, acc, kind),
        Layer.dense("b", eye, zeros, acc, kind),
        Layer.dense("c", eye, zeros, acc, kind),
        Layer.add("sum", (3,), acc, inputs=("c", "a")),
    )
    network = Network("net", FixedPoint.parse("uint<4>"), layers)
    found = {layer.name: layer for layer in estimate(network, UNPROTECTED).layers}
    assert [layer.latency_cycles for layer in found.values()] == [1, 1, 1, 1]
    # Four bits of three values; `a` stays two cycles more, a new sample entering in each.
    assert found["a"].ff == 3 * 4 * (1 + 2) + 1
    assert found["b"].ff == found["c"].ff == 3 * 4 + 1
    # Where the next sample comes later, it stays in one more set.
    slow = Network("net", FixedPoint.parse("uint<4>"), (*layers[:2], replace(layers[2], reuse_factor=3), layers[3]))
    assert estimate(slow, UNPROTECTED).report.ii == 3
    waited = {layer.name: layer for layer in estimate(slow, UNPROTECTED).layers}
    assert waited["a"].ff == 3 * 4 * (1 + -(-(1 + waited["c"].latency_cycles) // 3)) + 1


def test_a_layer_of_several_cycles_ends_its_stage() -> None:
    relu = Layer.relu("relu", (3, 1), FixedPoint.parse("ufixed<4,4>"))
    network = Network("net", FixedPoint.parse("int<4>"), (conv((4, 1), [[[1]], [[1]]]), relu), (4, 1))
    assert [layer.latency_cycles for layer in estimate(network, UNPROTECTED).layers] == [3, 1]


def test_the_slowest_layer_sets_the_interval() -> None:
    kind = FixedPoint.parse("int<8>")
    first = conv((4, 1), np.ones((2, 1, 2), int), reuse_factor=2)
    second = Layer.dense("second", typed(np.ones((6, 2), int)), typed([0, 0]), kind, reuse_factor=3)
    report = estimate(Network("net", FixedPoint.parse("uint<4>"), (first, second), (4, 1)), UNPROTECTED).report
    assert report.ii == max(3 * 2, 3)


# ---------------------------------------------------------------- laws


def alike(network: Network, seed: int, share: float, mechanism: Mechanism, scope: Scope, size: int) -> ProtectionPlan:
    """Up to `share` of each accumulator hardened by one mechanism, where the layer can have it."""
    rng = np.random.default_rng(seed)
    found = []
    for _, layer in network.compute_layers():
        width = layer.acc.width
        bits = np.floor(rng.random(layer.neurons) * (width + 1) * share).astype(int)
        signs = layer.acc.rounding in (Rounding.TRN_ZERO, Rounding.RND_ZERO, Rounding.RND_INF)
        if layer.saturates or (signs and scope is Scope.MAC):
            bits = np.where(bits > 0, width, 0)
        hardened = tuple(int(h) for h in bits)
        if layer.kind is Kind.ADD or (layer.saturates and mechanism is Mechanism.RECOMPUTE):
            found.append(
                LayerPlan(layer.name, hardened, Mechanism.DMR if mechanism is Mechanism.DMR else Mechanism.TMR)
            )
        elif mechanism is Mechanism.RECOMPUTE:
            found.append(LayerPlan(layer.name, hardened, mechanism, dot_size=min(size, layer.fan_in)))
        else:
            found.append(LayerPlan(layer.name, hardened, mechanism, scope))
    return ProtectionPlan(tuple(found))


shares = st.floats(0, 1)
seeds = st.integers(0, 2**32)
mechanisms = st.sampled_from(Mechanism)
scopes = st.sampled_from(Scope)
clocks = st.sampled_from([1.5, 5.0, 20.0])
sizes = st.integers(1, 12)


@settings(max_examples=50, deadline=None)
@given(network=networks(), data=st.data(), clock_ns=clocks)
def test_parts_sum_to_the_whole(network: Network, data: st.DataObject, clock_ns: float) -> None:
    plan = data.draw(plans(network))
    result = estimate(network, plan, clock_ns=clock_ns)
    report, layers = result.report, result.layers
    assert report.lut == sum(result.lut_by_cause.values()) == sum(layer.lut for layer in layers)
    for figure in ("ff", "dsp", "bram_18k", "latency_cycles"):
        assert getattr(report, figure) == sum(getattr(layer, figure) for layer in layers)
    assert report.ii == max(layer.ii for layer in layers)
    for layer, counted in zip(network.layers, layers, strict=True):
        assert counted.name == layer.name
        assert min(counted.figures().values()) >= 0
        assert counted.ii >= layer.steps if layer.protectable else counted.ii == 1
        assert counted.latency_cycles >= counted.ii - 1
    assert json.loads(json.dumps(result.to_json())) == result.to_json()
    assert set(result.lut_by_cause) == set(CAUSES)


@settings(max_examples=30, deadline=None)
@given(network=networks(), data=st.data())
def test_layers_add_up(network: Network, data: st.DataObject) -> None:
    plan = data.draw(plans(network))
    whole = estimate(network, plan)
    for index, layer in enumerate(network.layers):
        alone = estimate(network, ProtectionPlan(tuple(p for p in plan.layers if p.layer == layer.name)))
        # Cycles and registers of shortcuts depend on the other layers, logic does not.
        timing = {"ff": 0, "latency_cycles": 0}
        assert replace(alone.layers[index], **timing) == replace(whole.layers[index], **timing)


@settings(max_examples=50, deadline=None)
@given(network=networks(), both=st.tuples(shares, shares), seed=seeds, mechanism=mechanisms, scope=scopes, size=sizes)
def test_more_hardened_bits_are_never_cheaper(
    network: Network, both: tuple[float, float], seed: int, mechanism: Mechanism, scope: Scope, size: int
) -> None:
    less, more = (estimate(network, alike(network, seed, share, mechanism, scope, size)) for share in sorted(both))
    # A neuron that is hardened whole has no carries that come from below, which each copy reads through its guard.
    for cause in set(CAUSES) - {"guards"}:
        assert less.lut_by_cause[cause] <= more.lut_by_cause[cause]
    for figure in ("lut", "dsp", "bram_18k", "latency_cycles", "ii"):
        assert getattr(less.report, figure) <= getattr(more.report, figure)
    assert less.function == more.function


@settings(max_examples=30, deadline=None)
@given(network=networks(), seed=seeds, mechanism=mechanisms, scope=scopes, size=sizes)
def test_no_hardened_bits_are_no_protection(
    network: Network, seed: int, mechanism: Mechanism, scope: Scope, size: int
) -> None:
    assert estimate(network, alike(network, seed, 0.0, mechanism, scope, size)) == estimate(network, UNPROTECTED)


def full(network: Network, mechanism: Mechanism, scope: Scope) -> ProtectionPlan:
    """All bits of every neuron."""
    return ProtectionPlan(
        tuple(
            LayerPlan(x.name, (x.acc.width,) * x.neurons, mechanism, scope if x.has_weights else Scope.ADDER)
            for _, x in network.compute_layers()
        )
    )


@settings(max_examples=50, deadline=None)
@given(network=networks(), seed=seeds, share=shares, scope=scopes)
def test_two_copies_cost_less_than_three(network: Network, seed: int, share: float, scope: Scope) -> None:
    tmr, dmr = (
        estimate(network, alike(network, seed, share, mechanism, scope, 1), policy=POLICY)
        for mechanism in (Mechanism.TMR, Mechanism.DMR)
    )
    assert 2 * dmr.replicas == tmr.replicas
    assert dmr.guards <= tmr.guards
    assert dmr.total.status == tmr.total.status
    assert dmr.report.dsp <= tmr.report.dsp
    # Making the sum zero takes a LUT for each of its bits, however few are hardened.
    whole = [estimate(network, full(network, mechanism, scope)) for mechanism in (Mechanism.DMR, Mechanism.TMR)]
    assert whole[0].report.lut <= whole[1].report.lut


@settings(max_examples=30, deadline=None)
@given(network=networks(), seed=seeds, share=shares, mechanism=st.sampled_from([Mechanism.TMR, Mechanism.DMR]))
def test_own_multipliers_are_never_cheaper(network: Network, seed: int, share: float, mechanism: Mechanism) -> None:
    plan = alike(network, seed, share, mechanism, Scope.MAC, 1)
    shared = ProtectionPlan(tuple(replace(p, scope=Scope.ADDER) for p in plan.layers))
    adder, mac = estimate(network, shared), estimate(network, plan)
    assert adder.report.lut <= mac.report.lut
    assert adder.report.dsp <= mac.report.dsp
    assert (adder.report.latency_cycles, adder.report.ii) == (mac.report.latency_cycles, mac.report.ii)


@settings(max_examples=50, deadline=None)
@given(network=networks(), seed=seeds, share=shares, clock_ns=clocks, both=st.tuples(sizes, sizes))
def test_recomputation_takes_time(
    network: Network, seed: int, share: float, clock_ns: float, both: tuple[int, int]
) -> None:
    def timed(mechanism: Mechanism, size: int = 1) -> tuple[ProtectionPlan, Estimate]:
        plan = alike(network, seed, share, mechanism, Scope.ADDER, size)
        return plan, estimate(network, plan, clock_ns=clock_ns)

    _, tmr = timed(Mechanism.TMR)
    (small_plan, small), (large_plan, large) = (timed(Mechanism.RECOMPUTE, size) for size in sorted(both))
    for index, layer in network.compute_layers():
        plans_of = small_plan.of_layer(layer), large_plan.of_layer(layer)
        if plans_of[0].mechanism is not Mechanism.RECOMPUTE:
            continue
        passes = [plan.unit_passes(layer) for plan in plans_of]
        n_hardened = sum(h > 0 for h in plans_of[0].hardened_bits)
        for result, n in ((small, passes[0]), (large, passes[1])):
            assert result.layers[index].ii == layer.steps + layer.pixels * 2 * n_hardened * n
        if n_hardened:
            assert large.layers[index].latency_cycles > tmr.layers[index].latency_cycles
        if n_hardened and passes[1] < passes[0]:
            assert large.layers[index].latency_cycles < small.layers[index].latency_cycles
    assert tmr.report.latency_cycles <= large.report.latency_cycles


@settings(max_examples=30, deadline=None)
@given(network=networks(), data=st.data())
def test_codes_cost_only_their_own(network: Network, data: st.DataObject) -> None:
    plan = data.draw(plans(network))
    plain = ProtectionPlan(tuple(replace(p, parameters=Code.NONE) for p in plan.layers))
    coded, bare = estimate(network, plan), estimate(network, plain)
    for cause in ("function", "replicas", "voters"):
        assert coded.lut_by_cause[cause] == bare.lut_by_cause[cause]
    assert bare.lut_by_cause["parameters"] == 0
    assert coded.report.ii == bare.report.ii
    for before, after in zip(bare.layers, coded.layers, strict=True):
        assert after.bram_18k >= before.bram_18k
        assert after.lut >= before.lut


def test_reuse_saves_multipliers() -> None:
    rng = np.random.default_rng(0)
    kind = FixedPoint(8, 8)
    weights = Parameter(rng.integers(-128, 128, (64, 16)), kind)
    found = [
        estimate(
            one(
                Layer.dense("l", weights, Parameter(np.zeros(16, int), kind), FixedPoint(24, 24), reuse_factor=r),
                "int<8>",
            ),
            UNPROTECTED,
        ).report
        for r in (2, 8, 64)
    ]
    luts, intervals = [report.lut for report in found], [report.ii for report in found]
    assert luts == sorted(luts, reverse=True)
    assert intervals == [2, 8, 64]


def test_saturating_types_of_results() -> None:
    """A unit casts each pixel's sum once, whatever the number of pixels."""
    result = FixedPoint(4, 4, True, Rounding.TRN, Overflow.SAT)
    few, many = (of(conv((n, 1), [[[1]]], result=result)).function - of(conv((n, 1), [[[1]]])).function for n in (2, 9))
    assert few == many > 0
