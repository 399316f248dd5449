"""The fast engine gives the reference's integers, and hardened bits mask what they promise to mask."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import SEEDS, Case, cases, networks, plans, random_raw, real, small_inputs, small_network

from codesign.engine.fast import EngineSimulator
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError
from codesign.faults import (
    ALL_SAMPLES,
    FAULT,
    FaultArray,
    FaultModel,
    FaultSite,
    FaultSpace,
    Lifetime,
    Target,
    fault_array,
)
from codesign.fixed import FixedPoint, Overflow, flip, wrap
from codesign.network import Layer, Network, Parameter, adder_spans, forward
from codesign.protection import ProtectionPlan

SIMULATORS = [EngineSimulator, ReferenceSimulator]
NOTHING = np.zeros(0, FAULT)


def both(network: Network, plan: ProtectionPlan, inputs: np.ndarray, faults: FaultArray) -> np.ndarray:
    """Logits on which engine and reference agree."""
    fast = EngineSimulator(network, plan, inputs).run(faults)
    plain = ReferenceSimulator(network, plan, inputs).run(faults)
    assert fast.tolist() == plain.tolist()
    return fast


# ---------------------------------------------------------------- engine = reference


@settings(max_examples=150)
@given(cases())
def test_engine_equals_reference_on_any_list(case: Case) -> None:
    both(case.network, case.plan, case.inputs, case.faults)


@settings(max_examples=60)
@given(cases(max_faults=4), st.integers(1, 3))
def test_engine_equals_reference_where_faults_repeat(case: Case, times: int) -> None:
    """The same site twice is no fault; three times is one."""
    again = both(case.network, case.plan, case.inputs, np.repeat(case.faults, times))
    odd = case.faults if times % 2 else NOTHING
    assert again.tolist() == both(case.network, case.plan, case.inputs, odd).tolist()


@settings(max_examples=80)
@given(
    networks(),
    st.data(),
    st.sampled_from([1e-3, 0.02, 0.2]),
    st.sets(st.sampled_from(Target), min_size=1),
    st.sampled_from(Lifetime),
    SEEDS,
)
def test_engine_equals_reference_on_drawn_trials(
    network: Network, data: st.DataObject, ber: float, targets: set[Target], lifetime: Lifetime, seed: int
) -> None:
    """At a BER of 0.2 dozens of faults meet in one neuron."""
    plan = data.draw(plans(network))
    inputs = random_raw(network.input_type, (3, network.n_in), np.random.default_rng(seed))
    drawn_from = FaultSpace(
        network, plan, FaultModel(tuple(targets), ber=ber, lifetime=lifetime, seed=seed), len(inputs)
    )
    engine, reference = EngineSimulator(network, plan, inputs), ReferenceSimulator(network, plan, inputs)
    for trial in range(3):
        faults = drawn_from.draw(trial)
        assert engine.run(faults).tolist() == reference.run(faults).tolist()
    assert engine.run(NOTHING).tolist() == forward(network, inputs)[-1].tolist()  # trials leave no trace


@settings(max_examples=60)
@given(cases(max_faults=8), st.randoms(use_true_random=False))
def test_the_order_of_a_list_does_not_matter(case: Case, random: np.random.Generator) -> None:
    shuffled = list(range(len(case.faults)))
    random.shuffle(shuffled)
    first = EngineSimulator(case.network, case.plan, case.inputs).run(case.faults)
    assert first.tolist() == both(case.network, case.plan, case.inputs, case.faults[shuffled]).tolist()


def test_a_wide_layer_in_small_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs = small_network(), small_inputs(40)
    drawn_from = FaultSpace(network, ProtectionPlan(), FaultModel((Target.ACCUMULATOR,), ber=0.02, seed=1), 40)
    whole = EngineSimulator(network, ProtectionPlan(), inputs).run(drawn_from.draw(0))
    monkeypatch.setattr("codesign.engine.fast._CHUNK_PRODUCTS", 7)
    assert EngineSimulator(network, ProtectionPlan(), inputs).run(drawn_from.draw(0)).tolist() == whole.tolist()
    assert whole.tolist() != forward(network, inputs)[-1].tolist()


# ---------------------------------------------------------------- without faults


@settings(max_examples=60)
@given(cases(max_faults=0))
def test_without_faults_every_plan_gives_the_networks_outputs(case: Case) -> None:
    expected = forward(case.network, case.inputs)[-1].tolist()
    for plan in (ProtectionPlan(), case.plan, ProtectionPlan.full(case.network)):
        assert both(case.network, plan, case.inputs, NOTHING).tolist() == expected
        assert EngineSimulator(case.network, plan, case.inputs).golden.tolist() == expected


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_results_do_not_share_memory_with_the_simulator(simulator: type[EngineSimulator]) -> None:
    network, inputs = small_network(), small_inputs(3)
    opened = simulator(network, ProtectionPlan(), inputs)
    first = opened.run(NOTHING)
    expected = first.tolist()
    first[:] = 0
    assert opened.run(NOTHING).tolist() == expected


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_plan_of_another_network_is_refused(simulator: type[EngineSimulator]) -> None:
    other = ProtectionPlan.of(small_network(), {"fc0": np.full(4, 3)})
    with pytest.raises(ConfigError, match="fc0"):
        simulator(small_network(), other, small_inputs(2))


# ---------------------------------------------------------------- what protection promises


@st.composite
def one_flip(draw: st.DrawFn, hardened: bool) -> tuple[Network, ProtectionPlan, np.ndarray, FaultSite, int]:
    """An accumulator bit above (hardened) or below its neuron's cut."""
    network = draw(networks())
    plan = draw(plans(network))
    inputs = random_raw(network.input_type, (3, network.n_in), np.random.default_rng(draw(SEEDS)))
    cuts = {
        (index, neuron): layer.acc.width - int(bits)
        for index, layer in network.compute_layers()
        for neuron, bits in enumerate(plan.hardened(layer))
    }
    fitting = [k for k, cut in cuts.items() if (cut < network.layers[k[0]].acc.width if hardened else cut > 0)]
    assume(fitting)
    index, neuron = draw(st.sampled_from(fitting))
    layer, cut = network.layers[index], cuts[index, neuron]
    bit = draw(st.integers(cut, layer.acc.width - 1) if hardened else st.integers(0, cut - 1))
    replica = draw(st.integers(0, 2)) if hardened else 0
    site = FaultSite(index, Target.ACCUMULATOR, neuron, draw(st.integers(0, layer.n_in - 1)), replica, bit)
    return network, plan, inputs, site, draw(st.sampled_from([ALL_SAMPLES, 0, 2]))


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=100)
@given(one_flip(hardened=True))
def test_one_flip_in_hardened_bits_changes_nothing(simulator, case) -> None:  # type: ignore[no-untyped-def]
    network, plan, inputs, site, sample = case
    assert simulator(network, plan, inputs).run(site.at(sample)).tolist() == forward(network, inputs)[-1].tolist()


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=60)
@given(one_flip(hardened=True), st.integers(2, 6), SEEDS)
def test_any_faults_in_the_hardened_bits_of_one_replica_change_nothing(simulator, case, count, seed) -> None:  # type: ignore[no-untyped-def]
    """A whole copy may fail: the other two outvote it."""
    network, plan, inputs, site, sample = case
    layer = network.layers[site.layer]
    cut = layer.acc.width - int(plan.hardened(layer)[site.neuron])
    generator = np.random.default_rng(seed)
    rows = [
        (site.layer, site.target, site.neuron, generator.integers(layer.n_in), site.replica, bit, sample)
        for bit in generator.integers(cut, layer.acc.width, count)
    ]
    assert simulator(network, plan, inputs).run(fault_array(rows)).tolist() == forward(network, inputs)[-1].tolist()


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=100)
@given(one_flip(hardened=False))
def test_one_flip_below_the_cut_acts_as_in_the_unprotected_network(simulator, case) -> None:  # type: ignore[no-untyped-def]
    network, plan, inputs, site, sample = case
    protected = simulator(network, plan, inputs).run(site.at(sample))
    assert protected.tolist() == simulator(network, ProtectionPlan(), inputs).run(site.at(sample)).tolist()


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=60)
@given(networks(), st.data())
def test_faults_stay_in_their_sample(simulator, network: Network, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    inputs = random_raw(network.input_type, (4, network.n_in), np.random.default_rng(data.draw(SEEDS)))
    model = FaultModel((Target.ACCUMULATOR,), ber=0.1, seed=data.draw(SEEDS))
    faults = FaultSpace(network, ProtectionPlan(), model, 4).draw(0)
    struck = data.draw(st.integers(0, 3))
    outputs = simulator(network, ProtectionPlan(), inputs).run(faults[faults["sample"] == struck])
    untouched = [s for s in range(4) if s != struck]
    assert outputs[untouched].tolist() == forward(network, inputs)[-1][untouched].tolist()


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_same_bit_in_two_replicas_of_full_tmr_is_an_error(simulator: type[EngineSimulator]) -> None:
    network, inputs = small_network(), small_inputs(20)
    plan, golden = ProtectionPlan.full(network), forward(network, inputs)[-1]
    opened = simulator(network, plan, inputs)
    for pair in ((0, 1), (0, 2), (1, 2)):
        twice = np.concatenate([FaultSite(2, Target.ACCUMULATOR, 1, 4, replica, 6).at() for replica in pair])
        changed = opened.run(twice)
        assert (changed[:, 1] != golden[:, 1]).all() and (changed[:, [0, 2]] == golden[:, [0, 2]]).all()
        alone = simulator(network, ProtectionPlan(), inputs).run(FaultSite(2, Target.ACCUMULATOR, 1, 4, 0, 6).at())
        assert changed.tolist() == alone.tolist()


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_different_bits_of_two_replicas_are_both_outvoted(simulator: type[EngineSimulator]) -> None:
    """At the last adder no carry joins them, and the voter looks at each bit by itself."""
    network, inputs = small_network(), small_inputs(20)
    last = 3  # the adder that joins leaves 0..3 and 4..5 of the second layer
    assert adder_spans(5)[last].tolist() == [0, 6]
    faults = np.concatenate(
        [FaultSite(2, Target.ACCUMULATOR, 0, last, r, b).at() for r, b in ((0, 3), (1, 9), (2, 14))]
    )
    assert (
        simulator(network, ProtectionPlan.full(network), inputs).run(faults).tolist()
        == forward(network, inputs)[-1].tolist()
    )


# ---------------------------------------------------------------- the reference against arithmetic by hand


def chain(n_in: int = 4) -> tuple[Network, np.ndarray]:
    """One neuron that adds 1 (bias), 2, 4, 8 and 16 as whole numbers in 8 bits."""
    whole = FixedPoint(8, 8)
    layer = Layer.dense("fc", Parameter(np.ones((n_in, 1), int), whole), Parameter(np.ones(1, int), whole), whole)
    return Network("chain", whole, (layer,)), 2 ** np.arange(1, n_in + 1)[None]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("position", "bit", "expected"),
    [
        (0, 0, 30),  # 1 + 2 = 3 loses its 1
        (0, 3, 39),  # 3 becomes 11
        (2, 2, 27),  # 4 + 8 = 12 loses its 4
        (1, 4, 47),  # 1 + 2 + 4 + 8 = 15 becomes 31
        (3, 0, 30),  # the whole sum, 31, loses its 1
        (3, 7, 31 - 128),  # and its sign
        (1, 7, 31 - 128),  # a sign lost early stays lost
    ],
)
def test_single_flips_by_hand(simulator: type[EngineSimulator], position: int, bit: int, expected: int) -> None:
    network, inputs = chain()
    assert adder_spans(4).tolist() == [[0, 2], [0, 4], [2, 4], [0, 5]]
    site = FaultSite(0, Target.ACCUMULATOR, 0, position, 0, bit)
    assert simulator(network, ProtectionPlan(), inputs).run(site.at(0)).tolist() == [[expected]]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_flips_below_the_cut_carry_into_the_hardened_part_of_all_replicas(simulator: type[EngineSimulator]) -> None:
    """3 becomes 11 below a cut at bit 4; 15 + 8 = 23 carries into bit 4, and all three copies take the carry."""
    network, inputs = chain()
    plan = ProtectionPlan.of(network, {"fc": np.array([4])})
    carried = FaultSite(0, Target.ACCUMULATOR, 0, 0, 0, 3)
    assert simulator(network, plan, inputs).run(carried.at(0)).tolist() == [[39]]
    masked = [FaultSite(0, Target.ACCUMULATOR, 0, 0, replica, 4).at(0) for replica in range(3)]
    for fault in masked:
        assert simulator(network, plan, inputs).run(fault).tolist() == [[31]]
    assert simulator(network, plan, inputs).run(np.concatenate(masked[:2])).tolist() == [[47]]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("n_in", [1, 2, 5])
def test_parameter_flips_are_other_parameters(simulator: type[EngineSimulator], n_in: int) -> None:
    network, inputs = chain(n_in)
    layer = network.layers[0]
    for target, parameter in ((Target.WEIGHT, layer.w), (Target.BIAS, layer.b)):
        for bit in range(8):
            raw = parameter.raw.copy()
            raw[-1] = flip(raw[-1], bit, parameter.type)
            changed = [Parameter(raw, parameter.type) if p is parameter else p for p in (layer.w, layer.b)]
            other = Network("other", network.input_type, (Layer.dense("fc", *changed, layer.acc),))
            site = FaultSite(0, target, 0, n_in - 1 if target is Target.WEIGHT else 0, 0, bit)
            expected = forward(other, inputs)[-1].tolist()
            assert simulator(network, ProtectionPlan.full(network), inputs).run(site.at()).tolist() == expected


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_result_that_saturates_hides_large_errors(simulator: type[EngineSimulator]) -> None:
    whole, narrow = FixedPoint(8, 8), FixedPoint(4, 4, overflow=Overflow.SAT)
    network, inputs = chain()
    first = network.layers[0]
    saturating = Network("n", whole, (Layer.dense("fc", first.w, first.b, first.acc, narrow),))
    assert real(int(forward(saturating, inputs)[-1][0, 0]), 0) == 7
    for bit, expected in ((5, 7), (0, 7), (7, -8)):
        site = FaultSite(0, Target.ACCUMULATOR, 0, 3, 0, bit)
        assert simulator(saturating, ProtectionPlan(), inputs).run(site.at(0)).tolist() == [[expected]]


# ---------------------------------------------------------------- what exists once


@settings(max_examples=40)
@given(networks(), st.data())
def test_products_and_activations_are_common_to_all_copies(network: Network, data: st.DataObject) -> None:
    """TMR of the adders masks neither: such a fault acts as in the unprotected network."""
    model = FaultModel((Target.PRODUCT, Target.ACTIVATION, Target.WEIGHT), ber=0.05, seed=data.draw(SEEDS))
    inputs = random_raw(network.input_type, (3, network.n_in), np.random.default_rng(data.draw(SEEDS)))
    faults = FaultSpace(network, ProtectionPlan(), model, 3).draw(0)
    plain = EngineSimulator(network, ProtectionPlan(), inputs).run(faults)
    assert np.array_equal(EngineSimulator(network, ProtectionPlan.full(network), inputs).run(faults), plain)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_voters_own_fault_is_not_outvoted(simulator: type[EngineSimulator]) -> None:
    network, inputs = chain()
    layer = network.layers[0]
    plan = ProtectionPlan.uniform(network, 3)
    (golden,) = forward(network, inputs)
    for bit in range(layer.acc.width - 3, layer.acc.width):
        struck = simulator(network, plan, inputs).run(FaultSite(0, Target.VOTER, 0, bit=bit).at(0))
        assert np.array_equal(struck, flip(golden, bit, layer.acc))


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_products_flip_moves_the_sum_by_its_weight(simulator: type[EngineSimulator]) -> None:
    network, inputs = chain()
    layer = network.layers[0]
    (golden,) = forward(network, inputs)
    product = int(inputs[0, 2] * layer.w.raw[2, 0])
    for bit in range(network.input_type.width + layer.w.type.width):
        sign = -1 if product >> bit & 1 else 1
        sign = -sign if bit == network.input_type.width + layer.w.type.width - 1 else sign
        struck = simulator(network, ProtectionPlan(), inputs).run(FaultSite(0, Target.PRODUCT, 0, 2, bit=bit).at(0))
        shift = layer.acc.frac - network.input_type.frac - layer.w.type.frac
        assert np.array_equal(struck, wrap(golden + sign * (1 << bit + shift), layer.acc))
