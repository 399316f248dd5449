"""Bits that are proven never to show, against every flip of them injected; and the bounds the proofs rest on."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import SEEDS, fixed_points, networks, random_raw, raws, small_inputs, small_network
from passive_layers import passive

from codesign.engine.compiled import open_engine
from codesign.errors import ConfigError
from codesign.faults import ALL_SAMPLES, FAULT, Target
from codesign.fixed import FixedPoint, Ints, Overflow, cast, cast_range
from codesign.network import Layer, Network, Parameter, forward
from codesign.network.reach import reaches, read_values
from codesign.protection import ProtectionPlan
from codesign.vulnerability import Masking, exhaustive_vulnerability

_SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
_MOST = 150  # flips that are injected of one network and target


@given(fixed_points(), fixed_points(), st.data())
def test_the_range_of_a_cast_holds_every_cast(source: FixedPoint, to: FixedPoint, data: st.DataObject) -> None:
    values = np.sort([data.draw(raws(source)) for _ in range(3)])
    if source == to:
        return
    low, high = cast_range(values[0], values[2], source.frac, to)
    assert low <= cast(values[1], source, to) <= high
    assert to.min_raw <= low and high <= to.max_raw


def inputs_between(low: Ints, high: Ints, generator: np.random.Generator) -> Ints:
    """The ends, and some samples between them."""
    return np.stack([low, high, *generator.integers(low, high, (4, len(low)), endpoint=True)])


@_SLOW
@given(networks(more=passive), SEEDS, st.booleans())
def test_no_value_leaves_its_reach(network: Network, seed: int, whole: bool) -> None:
    generator = np.random.default_rng(seed)
    of = network.input_type
    low, high = np.sort(random_raw(of, (2, network.n_in), generator), axis=0)
    if whole:
        low, high = np.full_like(low, of.min_raw), np.full_like(high, of.max_raw)
    bounds = reaches(network, None if whole else (low, high))
    for values, bound in zip(forward(network, inputs_between(low, high, generator)), bounds, strict=True):
        assert (values >= bound.result.low).all() and (values <= bound.result.high).all()


def flips(network: Network, masking: Masking, index: int, target: Target) -> np.ndarray:
    """Every flip of the bits that are proven hidden, in every place and step, in all samples."""
    layer = network.layers[index]
    neuron, bit = np.nonzero(masking.hidden(index, target))
    positions = {Target.WEIGHT: layer.fan_in, Target.ACCUMULATOR: layer.per_pass, Target.PRODUCT: layer.per_pass}
    steps = {Target.ACCUMULATOR: layer.steps, Target.PRODUCT: layer.steps, Target.ACTIVATION: layer.pixels}
    places = positions.get(target, 1) if layer.protectable else 1
    cell, position, step = np.indices((len(neuron), places, steps.get(target, 1))).reshape(3, -1)
    faults = np.zeros(len(cell), FAULT)
    faults["layer"], faults["target"], faults["sample"] = index, int(target), ALL_SAMPLES
    faults["neuron"], faults["bit"], faults["position"] = neuron[cell], bit[cell], position
    faults["step"] = -1 if target.stored else step
    return faults


def targets_of(layer: Layer) -> list[Target]:
    weights = [Target.WEIGHT, Target.BIAS, Target.PRODUCT] if layer.has_weights else []
    return [Target.ACTIVATION] * layer.has_registers + [Target.ACCUMULATOR] * layer.protectable + weights


@_SLOW
@given(networks(more=passive), SEEDS, st.booleans())
def test_what_is_proven_masked_never_changes_an_output(network: Network, seed: int, whole: bool) -> None:
    generator = np.random.default_rng(seed)
    of = network.input_type
    low, high = np.sort(random_raw(of, (2, network.n_in), generator), axis=0)
    if whole:
        low, high = np.full_like(low, of.min_raw), np.full_like(high, of.max_raw)
    masking = Masking.of(network, None if whole else (low, high))
    inputs = inputs_between(low, high, generator)
    engine = open_engine(network, ProtectionPlan(), inputs)
    for index, layer in enumerate(network.layers):
        for target in targets_of(layer):
            if target is Target.PRODUCT and network.input_of(index).width + layer.w.type.width > 48:
                continue
            found = flips(network, masking, index, target)
            for fault in generator.permutation(found)[:_MOST]:
                assert np.array_equal(engine.run(fault[None]), engine.golden), (layer.name, target, fault)


@_SLOW
@given(networks(max_layers=3), SEEDS)
def test_what_is_proven_masked_of_the_final_adder_never_changes_an_answer(network: Network, seed: int) -> None:
    inputs = random_raw(network.input_type, (6, network.n_in), np.random.default_rng(seed))
    rates = exhaustive_vulnerability(network, inputs, final=True)
    masking = Masking.of(network)
    for index, layer in network.compute_layers():
        assert not rates[layer.name][masking.hidden(index, Target.ACCUMULATOR, final=True)].any()


# ---------------------------------------------------------------- one reason at a time


UNSIGNED = FixedPoint(4, 4, signed=False, overflow=Overflow.SAT)


def chain(weights: list[list[int]], bias: list[int], acc: FixedPoint, relu: FixedPoint | None) -> Network:
    """One dense layer on two inputs of 0..15, a ReLU if there is a type for it, and a layer that reads all of it."""
    whole = FixedPoint(6, 6)
    w = np.array(weights).T
    layers = [Layer.dense("first", Parameter(w, whole), Parameter(np.array(bias), FixedPoint(12, 12)), acc)]
    if relu:
        layers.append(Layer.relu("relu", w.shape[1], relu))
    ones = Parameter(np.ones((w.shape[1], 2), int), whole)
    layers.append(Layer.dense("last", ones, Parameter(np.zeros(2, int), whole), FixedPoint(20, 20)))
    return Network("chain", FixedPoint(4, 4, signed=False), tuple(layers))


def hidden(network: Network, target: Target = Target.ACCUMULATOR, **options: bool) -> list[list[int]]:
    """Of each neuron of the first layer the hidden bits."""
    return [np.flatnonzero(row).tolist() for row in Masking.of(network).hidden(0, target, **options)]


def test_a_sum_that_stays_negative_hides_small_flips() -> None:
    """Sums lie in -200..-170; up to 2**7 more is still negative, 2**8 is not."""
    network = chain([[1, 1], [1, 1]], [-200, 0], FixedPoint(12, 12), UNSIGNED)
    assert hidden(network) == [[0, 1, 2, 3, 4, 5, 6, 7], []]
    # Bit 4 of a weight moves a sum by up to 16 * 15, its sign by -32 * 15.
    assert hidden(network, Target.WEIGHT) == [[0, 1, 2, 3, 5], []]


def test_a_sum_beyond_saturation_hides_small_flips() -> None:
    network = chain([[1, 1]], [300], FixedPoint(12, 12), UNSIGNED)
    assert hidden(network) == [[0, 1, 2, 3, 4, 5, 6, 7, 8]]


def test_a_neuron_that_meets_only_zeros_is_hidden() -> None:
    network = chain([[1, 1], [1, 1]], [0, 0], FixedPoint(12, 12), UNSIGNED)
    last = network.layers[2]
    w = last.w.raw.copy()
    w[1] = 0
    deaf = Layer.dense("last", Parameter(w, last.w.type), last.b, last.acc)
    network = Network("deaf", network.input_type, (*network.layers[:2], deaf))
    assert hidden(network) == [[], list(range(12))]
    assert [row.tolist() for row in read_values(network)] == [[True, False], [True, False], [True, True]]


def test_a_truncation_hides_what_it_cuts_off_in_the_final_sum_only() -> None:
    """Sums have three fractional bits more than the result; a flip before the last addition could still carry."""
    network = chain([[1, 1]], [1], FixedPoint(12, 12), FixedPoint(6, 9, signed=False))
    assert hidden(network) == [[]] and hidden(network, final=True) == [[0, 1, 2]]


def test_what_adds_to_zeros_only_is_cut_off_as_well() -> None:
    """Every leaf is a multiple of 8: no flip of the bits below carries."""
    network = chain([[8, 16]], [24], FixedPoint(12, 12), FixedPoint(6, 9, signed=False))
    assert hidden(network) == [[0, 1, 2]]


def test_a_wrap_hides_the_bits_above_those_it_keeps() -> None:
    network = chain([[1, 1]], [0], FixedPoint(12, 12), None)
    first = network.layers[0]
    narrow = Layer.dense("first", first.w, first.b, first.acc, FixedPoint(6, 6))
    network = Network("narrow", network.input_type, (narrow, *network.layers[1:]))
    assert hidden(network) == [[6, 7, 8, 9, 10, 11]]


def test_targets_that_a_layer_does_not_have_are_named() -> None:
    network = small_network()
    relu = next(i for i, layer in enumerate(network.layers) if not layer.protectable)
    with pytest.raises(ConfigError, match="has no bits of target weight"):
        Masking.of(network).hidden(relu, Target.WEIGHT)
    assert Masking.of(network).hidden(relu, Target.ACTIVATION).shape == (
        network.layers[relu].neurons,
        network.layers[relu].result.width,
    )


def test_ranges_of_inputs_are_checked() -> None:
    network, values = small_network(), small_inputs(2)
    with pytest.raises(ConfigError, match="a range of inputs is two raw arrays"):
        Masking.of(network, (values[0] + 1, values[0]))
