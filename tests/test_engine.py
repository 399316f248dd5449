"""The fast engine gives the reference's integers, and hardened bits mask what they promise to mask."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hardware import Hardware, relu
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import (
    SEEDS,
    Case,
    cases,
    crowded_cases,
    layer_plans,
    lone_cases,
    mixed_network,
    mixed_plan,
    networks,
    plans,
    possible_mechanisms,
    random_raw,
    real,
    same_outcome,
    small_inputs,
    small_network,
)

from codesign.codes import Code
from codesign.engine.fast import EngineSimulator
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError
from codesign.faults import (
    ALL_SAMPLES,
    ALL_STEPS,
    FAULT,
    UNIT,
    FaultArray,
    FaultModel,
    FaultSite,
    FaultSpace,
    Lifetime,
    Target,
    fault_array,
)
from codesign.fixed import FixedPoint, Overflow, flip, wrap
from codesign.network import (
    Kind,
    Layer,
    Network,
    Parameter,
    Unit,
    adder_spans,
    entering,
    finish,
    forward,
    parameters,
    passed,
)
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

SIMULATORS = [EngineSimulator, ReferenceSimulator]
NOTHING = np.zeros(0, FAULT)


def both(network: Network, plan: ProtectionPlan, inputs: np.ndarray, faults: FaultArray) -> np.ndarray:
    """Logits on which engine and reference agree, as on the flags."""
    fast = EngineSimulator(network, plan, inputs).outcome(faults)
    same_outcome(fast, ReferenceSimulator(network, plan, inputs).outcome(faults))
    return fast.logits


# ---------------------------------------------------------------- engine = reference


@settings(max_examples=100)
@given(cases())
def test_engine_equals_reference_on_any_list(case: Case) -> None:
    both(case.network, case.plan, case.inputs, case.faults)


@settings(max_examples=100)
@given(crowded_cases())
def test_engine_equals_reference_where_faults_meet(case: Case) -> None:
    """Many in one neuron, in one adder in the same pass; single uses, broken units and stored words at once."""
    both(case.network, case.plan, case.inputs, case.faults)


@settings(max_examples=40)
@given(cases(max_faults=4), st.integers(1, 3))
def test_engine_equals_reference_where_faults_repeat(case: Case, times: int) -> None:
    """The same site twice is no fault; three times is one."""
    again = both(case.network, case.plan, case.inputs, np.repeat(case.faults, times))
    odd = case.faults if times % 2 else NOTHING
    assert again.tolist() == both(case.network, case.plan, case.inputs, odd).tolist()


@settings(max_examples=50)
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
        same_outcome(engine.outcome(faults), reference.outcome(faults))
    assert engine.run(NOTHING).tolist() == forward(network, inputs)[-1].tolist()  # trials leave no trace


@settings(max_examples=40)
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
    monkeypatch.setattr("codesign.engine.strikes._CHUNK_LEAVES", 7)
    assert EngineSimulator(network, ProtectionPlan(), inputs).run(drawn_from.draw(0)).tolist() == whole.tolist()
    assert whole.tolist() != forward(network, inputs)[-1].tolist()


@pytest.mark.parametrize("mechanism", Mechanism)
def test_a_graph_in_small_pieces_is_the_same(mechanism: Mechanism, monkeypatch: pytest.MonkeyPatch) -> None:
    network, plan = mixed_network(), mixed_plan(mechanism)
    inputs = random_raw(network.input_type, (6, network.n_in), np.random.default_rng(5))
    targets = (Target.ACCUMULATOR, Target.PRODUCT, Target.WEIGHT)
    faults = FaultSpace(network, plan, FaultModel(targets, ber=1e-3, seed=1), len(inputs)).draw(0)
    whole = both(network, plan, inputs, faults)
    monkeypatch.setattr("codesign.engine.strikes._CHUNK_LEAVES", 7)
    monkeypatch.setattr("codesign.network.unit._CHUNK_VALUES", 7)
    assert EngineSimulator(network, plan, inputs).run(faults).tolist() == whole.tolist()
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


def test_a_network_that_computes_nothing_has_registers_only() -> None:
    whole = FixedPoint(8, 8)
    network = Network("passive", whole, (Layer.relu("relu", 3, whole),))
    inputs = np.array([[1, -2, 3], [4, 5, -6]])
    struck = FaultSite(0, Target.ACTIVATION, 1, bit=3).at(0, 0)
    assert both(network, ProtectionPlan(), inputs, struck).tolist() == [[1, 8, 3], [4, 5, 0]]
    flagged = ReferenceSimulator(network, ProtectionPlan(), inputs).run_flagged(struck)
    assert flagged.corrected.shape == flagged.detected.shape == (2, 0)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_plan_of_another_network_is_refused(simulator: type[EngineSimulator]) -> None:
    other = ProtectionPlan.of(small_network(), {"fc0": np.full(4, 3)})
    with pytest.raises(ConfigError, match="fc0"):
        simulator(small_network(), other, small_inputs(2))


# ---------------------------------------------------------------- the hardware, gate by gate


@settings(max_examples=200)
@given(lone_cases())
def test_simulators_equal_the_hardware(case: Case) -> None:
    """Outputs and flags of one layer of any kind under any plan, however many faults meet there."""
    network, index = case.network, len(case.network.layers) - 1
    layer = network.layers[index]
    tensors = [[sample] for sample in case.inputs.tolist()]
    if layer.kind is Kind.ADD:
        to = network.layers[0].result
        tensors = [[sample, [relu(value, network.input_type, to) for value in sample]] for (sample,) in tensors]
    hardware = Hardware(layer, network.input_types(index), case.plan.of_layer(layer), case.faults.tolist())
    expected = hardware.run(tensors)
    flagged = ReferenceSimulator(network, case.plan, case.inputs).run_flagged(case.faults)
    assert flagged.logits.tolist() == expected.outputs
    assert flagged.corrected[:, 0].tolist() == expected.corrected
    assert flagged.detected[:, 0].tolist() == expected.detected
    assert EngineSimulator(network, case.plan, case.inputs).run(case.faults).tolist() == expected.outputs


# ---------------------------------------------------------------- what protection promises


@dataclass(frozen=True)
class Struck:
    """A network, its plan and raw inputs; one site of a neuron that computes, when it is struck, and its cut."""

    network: Network
    plan: ProtectionPlan
    inputs: np.ndarray
    site: FaultSite
    sample: int
    step: int
    cut: int

    @property
    def layer(self) -> Layer:
        return self.network.layers[self.site.layer]

    @property
    def faults(self) -> FaultArray:
        return self.site.at(self.sample, self.step)

    @property
    def golden(self) -> list[list[int]]:
        return forward(self.network, self.inputs)[-1].tolist()


@st.composite
def planned(
    draw: st.DrawFn, mechanisms: tuple[Mechanism, ...], hardened: bool, scopes: tuple[Scope, ...] = tuple(Scope)
) -> tuple[Network, ProtectionPlan, np.ndarray, int, int]:
    """A network with a plan, inputs, and a layer and neuron of one of the mechanisms, with bits hardened or not."""
    network = draw(networks())
    fitting = [
        (index, layer)
        for index, layer in network.compute_layers()
        if set(mechanisms) & set(possible_mechanisms(layer)) and (layer.has_weights or Scope.ADDER in scopes)
    ]
    assume(fitting)
    index, layer = draw(st.sampled_from(fitting))
    place, neuron = draw(layer_plans(layer, mechanisms, scopes)), draw(st.integers(0, layer.neurons - 1))
    bits = list(place.hardened_bits)
    if bits[neuron] == (0 if hardened else layer.acc.width):
        bits[neuron] = layer.acc.width - bits[neuron]
    others = tuple(other for other in draw(plans(network)).layers if other.layer != layer.name)
    plan = ProtectionPlan((replace(place, hardened_bits=tuple(bits)), *others))
    inputs = random_raw(network.input_type, (3, network.n_in), np.random.default_rng(draw(SEEDS)))
    return network, plan, inputs, index, neuron


@st.composite
def one_flip(draw: st.DrawFn, *mechanisms: Mechanism, hardened: bool = True) -> Struck:
    """A bit of an adder above (hardened) or below its neuron's cut; what is computed again is all above."""
    network, plan, inputs, index, neuron = draw(planned(mechanisms, hardened))
    layer = network.layers[index]
    place = plan.of_layer(layer)
    cut = layer.acc.width - place.hardened_bits[neuron]
    replica = draw(st.integers(0, place.mechanism.copies - 1)) if hardened else 0
    again = place.mechanism is Mechanism.RECOMPUTE and replica > 0
    bit = draw(st.integers(0 if again else cut, layer.acc.width - 1) if hardened else st.integers(0, cut - 1))
    adders = place.dot_size if again else layer.per_pass
    steps = layer.pixels * place.unit_passes(layer) if again else layer.steps
    site = FaultSite(index, Target.ACCUMULATOR, neuron, draw(st.integers(0, adders - 1)), replica, bit)
    sample, step = draw(st.sampled_from([ALL_SAMPLES, 0, 2])), draw(st.integers(0, steps - 1))
    return Struck(network, plan, inputs, site, sample, step, cut)


VOTED = (Mechanism.TMR, Mechanism.RECOMPUTE)


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=60)
@given(one_flip(*VOTED))
def test_one_flip_in_hardened_bits_changes_nothing(simulator: type[EngineSimulator], case: Struck) -> None:
    assert simulator(case.network, case.plan, case.inputs).run(case.faults).tolist() == case.golden


@settings(max_examples=40)
@given(one_flip(*VOTED))
def test_a_flip_that_is_voted_away_is_counted(case: Struck) -> None:
    """`corrected`, in this layer and the struck samples alone.

    A copy that is computed again may differ below the cut only, a chain may saturate the flip away.
    """
    flagged = ReferenceSimulator(case.network, case.plan, case.inputs).run_flagged(case.faults)
    raised = raised_by(case)
    assert not (flagged.corrected & ~raised).any() and not flagged.detected.any()
    if case.site.bit >= case.cut and not case.layer.saturates:
        assert flagged.corrected.tolist() == raised.tolist()


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=40)
@given(one_flip(*VOTED), st.integers(2, 6), SEEDS)
def test_any_faults_in_the_hardened_bits_of_one_replica_change_nothing(
    simulator: type[EngineSimulator], case: Struck, count: int, seed: int
) -> None:
    """A whole copy may fail: the other two outvote it."""
    site, place = case.site, case.plan.of_layer(case.layer)
    again = place.mechanism is Mechanism.RECOMPUTE and site.replica > 0
    generator = np.random.default_rng(seed)
    rows = [
        (site.layer, site.target, site.neuron, generator.integers(adders), site.replica, bit, case.sample, step)
        for adders in [place.dot_size if again else case.layer.per_pass]
        for bit in generator.integers(0 if again else case.cut, case.layer.acc.width, count)
        for step in [generator.integers(case.layer.pixels), ALL_STEPS]
    ]
    assert simulator(case.network, case.plan, case.inputs).run(fault_array(rows)).tolist() == case.golden


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=50)
@given(one_flip(Mechanism.TMR, Mechanism.DMR, hardened=False))
def test_one_flip_below_the_cut_acts_as_in_the_unprotected_network(
    simulator: type[EngineSimulator], case: Struck
) -> None:
    protected = simulator(case.network, case.plan, case.inputs).run(case.faults)
    assert protected.tolist() == simulator(case.network, ProtectionPlan(), case.inputs).run(case.faults).tolist()


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=40)
@given(one_flip(Mechanism.RECOMPUTE, hardened=False))
def test_below_the_cut_a_recomputed_neuron_is_its_first_sum(simulator: type[EngineSimulator], case: Struck) -> None:
    """A flip there reaches no bit from the cut up: the carry is the first sum's own."""
    hardened = case.plan.of_layer(case.layer).hardened_bits[case.site.neuron]
    low = (1 << case.cut) - 1 if hardened else -1
    expected = outputs_with(
        case, lambda values, golden: wrap((golden & ~low) | (struck_sums(case, values) & low), case.layer.acc)
    )
    assert simulator(case.network, case.plan, case.inputs).run(case.faults).tolist() == expected


def outputs_with(case: Struck, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[list[int]]:
    """Logits where the struck neuron's sums, there and then, are those that `change` makes.

    It takes what enters the layer and the fault-free sums, shape (n_samples, pixels, neurons).
    """
    network, site = case.network, case.site
    outputs: list[np.ndarray] = []
    for index, layer in enumerate(network.layers):
        values = entering(network, index, outputs, case.inputs)
        if not layer.protectable:
            outputs.append(passed(layer, network.input_types(index), values))
            continue
        sums = Unit(layer, network.input_types(index)).sums(values, *parameters(layer))
        if index == site.layer:
            tensor = sums.reshape(len(values), layer.pixels, layer.neurons)
            samples = slice(None) if case.sample == ALL_SAMPLES else case.sample
            again = site.replica and case.plan.of_layer(layer).mechanism is Mechanism.RECOMPUTE
            assert not again, "what is computed again has other steps"
            where = (samples, case.step // layer.reuse_factor, site.neuron)
            tensor[where] = change(values, tensor)[where]
        outputs.append(finish(layer, sums, len(values)))
    return outputs[-1].tolist()


def struck_sums(case: Struck, values: np.ndarray) -> np.ndarray:
    """Accumulators of the struck layer, unprotected: shape (n_samples, pixels, neurons)."""
    layer = replace(case.layer, result=case.layer.acc, inputs=())
    alone = Network("alone", case.network.input_of(case.site.layer), (layer,))
    faults = replace(case.site, layer=0).at(case.sample, case.step)
    struck = ReferenceSimulator(alone, ProtectionPlan(), values).run(faults)
    return struck.reshape(len(values), layer.pixels, layer.neurons)


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=50)
@given(one_flip(Mechanism.DMR))
def test_one_flip_in_one_of_two_copies_gives_zero_and_is_told(simulator: type[EngineSimulator], case: Struck) -> None:
    """Never a silent change: the struck neuron's sum, there and then, is the documented safe value.

    Only a chain that saturates may lose the flip on its way, in the struck copy itself.
    """
    zeroed = outputs_with(case, lambda _, golden: np.zeros_like(golden))
    flagged = ReferenceSimulator(case.network, case.plan, case.inputs).run_flagged(case.faults)
    detected = flagged.detected.any(axis=1)
    expected = [zero if told else golden for zero, told, golden in zip(zeroed, detected, case.golden, strict=True)]
    assert simulator(case.network, case.plan, case.inputs).run(case.faults).tolist() == expected
    raised = raised_by(case)
    assert not (flagged.detected & ~raised).any() and not flagged.corrected.any()
    assert case.layer.saturates or flagged.detected.tolist() == raised.tolist()


def raised_by(case: Struck) -> np.ndarray:
    """The flags of the struck layer in the struck samples, shape (n_samples, computing layers)."""
    layers = [index for index, _ in case.network.compute_layers()]
    raised = np.zeros((len(case.inputs), len(layers)), np.bool_)
    raised[slice(None) if case.sample == ALL_SAMPLES else case.sample, layers.index(case.site.layer)] = True
    return raised


# ---------------------------------------------------------------- multipliers in the copies


@st.composite
def one_product_flip(draw: st.DrawFn) -> Struck:
    """A product's bit in one copy of a hardened neuron that has a multiplier a copy.

    Of the first copy a bit that reaches the sum at the cut or above it: below, its multiplier is everyone's.
    """
    network, plan, inputs, index, neuron = draw(planned(VOTED, True, (Scope.MAC,)))
    layer, source = network.layers[index], network.input_of(index)
    place = plan.of_layer(layer)
    cut = layer.acc.width - place.hardened_bits[neuron]
    replica = draw(st.integers(0, 2))
    again = place.mechanism is Mechanism.RECOMPUTE and replica > 0
    width, fraction = source.width + layer.w.type.width, source.frac + layer.w.type.frac
    lowest = max(0, cut + fraction - layer.acc.frac) if replica == 0 and cut else 0
    assume(lowest < width)
    multipliers = place.dot_size if again else layer.per_pass
    steps = layer.pixels * place.unit_passes(layer) if again else layer.steps
    position, bit = draw(st.integers(0, multipliers - 1)), draw(st.integers(lowest, width - 1))
    site = FaultSite(index, Target.PRODUCT, neuron, position, replica, bit)
    step = draw(st.integers(0, steps - 1) | st.just(ALL_STEPS))
    return Struck(network, plan, inputs, site, draw(st.sampled_from([ALL_SAMPLES, 0, 2])), step, cut)


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=60)
@given(one_product_flip())
def test_one_flip_in_a_product_of_one_copy_changes_nothing(simulator: type[EngineSimulator], case: Struck) -> None:
    assert simulator(case.network, case.plan, case.inputs).run(case.faults).tolist() == case.golden


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_low_bits_of_a_product_come_from_the_first_multiplier(simulator: type[EngineSimulator]) -> None:
    """2 + 4 + 8 + 16 + 1 with one copy of the multiplier of 8 wrong: cut at bit 3, 8 becomes 9 or 24."""
    network, inputs = chain()
    plan = ProtectionPlan((LayerPlan("fc", (5,), scope=Scope.MAC),))
    opened = simulator(network, plan, inputs)
    for replica, bit, expected in ((0, 0, 32), (1, 0, 31), (2, 0, 31), (0, 4, 31), (1, 4, 31), (2, 4, 31)):
        struck = opened.run(FaultSite(0, Target.PRODUCT, 0, 2, replica, bit).at(0, 0))
        assert struck.tolist() == [[expected]], (replica, bit)
    shared = simulator(network, ProtectionPlan.of(network, {"fc": np.array([5])}), inputs)
    assert shared.run(FaultSite(0, Target.PRODUCT, 0, 2, 0, 4).at(0, 0)).tolist() == [[31 + 16]]


# ---------------------------------------------------------------- stored parameters


@dataclass(frozen=True)
class Stored:
    """A network, its plan, raw inputs, and a stored word: its layer, target, position and neuron."""

    network: Network
    plan: ProtectionPlan
    inputs: np.ndarray
    place: tuple[int, Target, int, int]

    @property
    def width(self) -> int:
        layer = self.network.layers[self.place[0]]
        code = self.plan.of_layer(layer).parameters
        return code.stored_width((layer.w if self.place[1] is Target.WEIGHT else layer.b).type.width)

    def flips(self, *bits: tuple[int, int]) -> FaultArray:
        """Faults in (copy, bit) of the word."""
        index, target, position, neuron = self.place
        return fault_array([(index, target, neuron, position, copy, bit, -1, -1) for copy, bit in bits])

    def reading(self, value: int) -> list[list[int]]:
        """Logits where the word's value is another."""
        index, target, position, neuron = self.place
        layer = self.network.layers[index]
        parameter = layer.w if target is Target.WEIGHT else layer.b
        raw = parameter.raw.copy()
        raw[(position, neuron) if target is Target.WEIGHT else neuron] = value
        other = {"weight" if target is Target.WEIGHT else "bias": Parameter(raw, parameter.type)}
        layers = list(self.network.layers)
        layers[index] = replace(layer, **other)
        return forward(replace(self.network, layers=tuple(layers)), self.inputs)[-1].tolist()

    def run(self, faults: FaultArray) -> tuple[list[list[int]], bool, bool]:
        """Logits on which engine and reference agree, and whether all samples raised the flags."""
        logits = both(self.network, self.plan, self.inputs, faults).tolist()
        flagged = ReferenceSimulator(self.network, self.plan, self.inputs).run_flagged(faults)
        number = [index for index, _ in self.network.compute_layers()].index(self.place[0])
        flags = []
        for kind in (flagged.corrected, flagged.detected):
            assert kind[:, number].all() == kind.any()
            flags.append(bool(kind.any()))
        return logits, *flags


@st.composite
def stored_words(draw: st.DrawFn, *codes: Code) -> Stored:
    network = draw(networks(max_layers=3)).with_reuse(draw(st.integers(2, 9)))
    with_words = [(i, x) for i, x in network.compute_layers() if x.has_weights and x.reuse_factor > 1]
    assume(with_words)
    index, layer = draw(st.sampled_from(with_words))
    of_layer = replace(draw(layer_plans(layer)), parameters=draw(st.sampled_from(codes)))
    others = tuple(p for p in draw(plans(network)).layers if p.layer != layer.name)
    inputs = random_raw(network.input_type, (2, network.n_in), np.random.default_rng(draw(SEEDS)))
    target = draw(st.sampled_from([Target.WEIGHT, Target.BIAS]))
    position = draw(st.integers(0, layer.fan_in - 1)) if target is Target.WEIGHT else 0
    place = (index, target, position, draw(st.integers(0, layer.neurons - 1)))
    return Stored(network, ProtectionPlan((of_layer, *others)), inputs, place)


@settings(max_examples=60)
@given(stored_words(Code.TMR, Code.ECC), st.data())
def test_one_flip_in_a_stored_word_is_corrected(word: Stored, data: st.DataObject) -> None:
    copies = word.plan.of_layer(word.network.layers[word.place[0]]).parameters.copies
    struck = (data.draw(st.integers(0, copies - 1)), data.draw(st.integers(0, word.width - 1)))
    assert word.run(word.flips(struck)) == (forward(word.network, word.inputs)[-1].tolist(), True, False)


@settings(max_examples=40)
@given(stored_words(Code.PARITY), st.data())
def test_one_flip_in_a_word_with_parity_reads_zero(word: Stored, data: st.DataObject) -> None:
    struck = (0, data.draw(st.integers(0, word.width - 1)))
    assert word.run(word.flips(struck)) == (word.reading(0), False, True)


@settings(max_examples=40)
@given(stored_words(Code.ECC), st.data())
def test_two_flips_in_a_word_with_ecc_read_zero(word: Stored, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.integers(0, word.width - 1), min_size=2, max_size=2, unique=True))
    assert word.run(word.flips(*((0, bit) for bit in bits))) == (word.reading(0), False, True)


@settings(max_examples=40)
@given(stored_words(Code.TMR), st.data())
def test_two_flips_in_copies_of_a_word_are_outvoted_unless_they_meet(word: Stored, data: st.DataObject) -> None:
    first, second = data.draw(st.permutations(range(3)))[:2]
    bits = data.draw(st.tuples(*[st.integers(0, word.width - 1)] * 2))
    logits, corrected, detected = word.run(word.flips((first, bits[0]), (second, bits[1])))
    index, target, position, neuron = word.place
    layer = word.network.layers[index]
    value, of = (
        (layer.w.raw[position, neuron], layer.w.type)
        if target is Target.WEIGHT
        else (
            layer.b.raw[neuron],
            layer.b.type,
        )
    )
    wrong = int(flip(value, bits[0], of)) if bits[0] == bits[1] else int(value)
    assert (logits, corrected, detected) == (word.reading(wrong), True, False)


# ---------------------------------------------------------------- what faults reach


@pytest.mark.parametrize("simulator", SIMULATORS)
@settings(max_examples=25)
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


def chain(n_in: int = 4, reuse_factor: int = 1) -> tuple[Network, np.ndarray]:
    """One neuron that adds 1 (bias), 2, 4, 8 and 16 as whole numbers in 8 bits."""
    whole = FixedPoint(8, 8)
    given = (Parameter(np.ones((n_in, 1), int), whole), Parameter(np.ones(1, int), whole), whole)
    layer = Layer.dense("fc", *given, reuse_factor=reuse_factor)
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
@pytest.mark.parametrize(
    ("target", "position", "step", "bit", "expected"),
    [
        (Target.ACCUMULATOR, 0, 0, 0, 30),  # 1 + 2 = 3 loses its 1
        (Target.ACCUMULATOR, 0, 1, 0, 30),  # 7 + 8 = 15 loses its 1
        (Target.ACCUMULATOR, 0, ALL_STEPS, 0, 31),  # 2 + 4 + 8 = 14 gets the 1 back that 3 lost
        (Target.ACCUMULATOR, 1, 0, 3, 39),  # 7 becomes 15
        (Target.ACCUMULATOR, 1, ALL_STEPS, 3, 47),  # 15 + 8 + 16 = 39 becomes 47
        (Target.PRODUCT, 0, 0, 1, 29),  # the first pass multiplies 2 and 4
        (Target.PRODUCT, 0, 1, 1, 33),  # the second 8 and 16
        (Target.PRODUCT, 0, ALL_STEPS, 1, 31),
    ],
)
def test_flips_in_passes_by_hand(simulator, target: Target, position: int, step: int, bit: int, expected: int) -> None:  # type: ignore[no-untyped-def]
    """Two multipliers and two adders: 1 + 2 + 4 = 7 in the first pass, 7 + 8 + 16 = 31 in the second."""
    network, inputs = chain(reuse_factor=2)
    site = FaultSite(0, target, 0, position, 0, bit)
    assert simulator(network, ProtectionPlan(), inputs).run(site.at(0, step)).tolist() == [[expected]]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("target", "neuron", "position", "replica", "step", "expected"),
    [
        (Target.ACCUMULATOR, 0, 2, 1, 0, 31),  # 4 + 8 becomes 13, but once only
        (Target.ACCUMULATOR, UNIT, 2, 1, ALL_STEPS, 33),  # both times 13, and 0 + 0 becomes 1
        (Target.PRODUCT, UNIT, 0, 1, ALL_STEPS, 33),  # 2 and 16 become 3 and 17
        (Target.PRODUCT, UNIT, 1, 1, ALL_STEPS, 33),  # 4 becomes 5, and what fills the second pass too
        (Target.PRODUCT, 0, 1, 2, 1, 31),
        (Target.ACCUMULATOR, 0, 3, 0, ALL_STEPS, 31),  # the neuron itself, outvoted
    ],
)
def test_a_shared_unit_by_hand(  # type: ignore[no-untyped-def]
    simulator, target: Target, neuron: int, position: int, replica: int, step: int, expected: int
) -> None:
    """Three multipliers: 1 + 2 + (4 + 8) in the first pass, 15 + 16 + (0 + 0) in the second."""
    network, inputs = chain()
    plan = ProtectionPlan((LayerPlan("fc", (8,), Mechanism.RECOMPUTE, dot_size=3),))
    site = FaultSite(0, target, neuron, position, replica, 0)
    assert simulator(network, plan, inputs).run(site.at(ALL_SAMPLES, step)).tolist() == [[expected]]


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
