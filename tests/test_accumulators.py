"""Worst-case sums, the proof, narrowed accumulators, and the projection that keeps a bound in training."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks, random_raw

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import Layer, Network, Parameter, forward
from codesign.network.accumulators import accumulator_needs, narrowed, prove_accumulators, worst_sums
from codesign.train.bound import furthest, limits_of, project, raw_of

WEIGHT, BIAS, WIDE = FixedPoint(4, 1), FixedPoint(5, 2), FixedPoint(24, 12)


def dense(source: FixedPoint, weights: list[list[int]], bias: list[int], accumulator: FixedPoint = WIDE) -> Network:
    layer = Layer.dense("only", Parameter(np.array(weights), WEIGHT), Parameter(np.array(bias), BIAS), accumulator)
    return Network("net", source, (layer,))


@given(
    st.sampled_from([FixedPoint(2, 1), FixedPoint(2, 1, signed=False)]),
    st.lists(st.integers(-8, 7), min_size=3, max_size=3),
    st.integers(-16, 15),
)
def test_worst_sums_are_those_of_every_input_and_order(source: FixedPoint, weights: list[int], bias: int) -> None:
    network = dense(source, [[w] for w in weights], [bias])
    shift = WIDE.frac - source.frac - WEIGHT.frac
    leaves_of = (
        [bias << (WIDE.frac - BIAS.frac), *((w * x) << shift for w, x in zip(weights, inputs, strict=True))]
        for inputs in itertools.product(range(source.min_raw, source.max_raw + 1), repeat=3)
    )
    sums = [sum(part) for leaves in leaves_of for n in range(5) for part in itertools.combinations(leaves, n)]
    worst = worst_sums(network)["only"]
    assert (worst.low[0], worst.high[0]) == (min(sums), max(sums))
    width = int(accumulator_needs(network)["only"][0])
    assert -(1 << (width - 1)) <= min(sums) and max(sums) < 1 << (width - 1)
    assert width == 1 or min(sums) < -(1 << (width - 2)) or max(sums) >= 1 << (width - 2)


@given(st.data())
def test_narrowing_changes_no_value_and_is_proven(data: st.DataObject) -> None:
    network = data.draw(networks())
    seed = data.draw(st.integers(0, 2**32 - 1))
    inputs = random_raw(network.input_type, (8, network.n_in), np.random.default_rng(seed))
    slim = narrowed(network)
    for before, after in zip(forward(network, inputs), forward(slim, inputs), strict=True):
        assert np.array_equal(before, after)
    for old, new in zip(network.layers, slim.layers, strict=True):
        if old.protectable:
            assert new.acc.width <= old.acc.width and new.acc.frac == old.acc.frac
    assert narrowed(slim) == slim


def test_a_sum_that_may_overflow_is_named() -> None:
    network = dense(FixedPoint(4, 1, signed=False), [[1, 7], [0, 7]], [0, 0])
    needs = prove_accumulators(network)["only"]
    assert needs.tolist() == [11, 15]  # 15 and 210 units of 64 steps
    prove_accumulators(network, 15)
    with pytest.raises(ConfigError, match="layer 'only': the sum of neuron 1 needs 15 bits, more than 14"):
        prove_accumulators(network, 14)
    cut = replace(network.layers[0], accumulator=FixedPoint(10, -2))
    with pytest.raises(ConfigError, match="neuron 0 needs 11 bits, more than 10"):
        prove_accumulators(replace(network, layers=(cut,)))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([FixedPoint(4, 1), FixedPoint(5, 1, signed=False)]),
    st.integers(7, 14),
    st.integers(1, 9),
)
def test_projected_weights_obey_and_change_no_more_than_needed(
    seed: int, source: FixedPoint, bits: int, fan_in: int
) -> None:
    generator = np.random.default_rng(seed)
    accumulator = FixedPoint(24, 24 - source.frac - WEIGHT.frac)
    start = dense(source, [[0, 0]] * fan_in, [0, 0], accumulator)
    limits = limits_of(start, 0, bits)
    weights, biases = generator.normal(0, 0.7, (fan_in, 2)), generator.normal(0, 1, 2)
    drawn, shift = project(weights, biases, limits)
    raw = raw_of(drawn, limits.weight).astype(np.int64), raw_of(shift, limits.bias).astype(np.int64)
    prove_accumulators(dense(source, raw[0].tolist(), raw[1].tolist(), accumulator), bits)
    assert (np.abs(drawn) <= np.abs(weights)).all() and (drawn * weights >= 0).all()
    again = project(drawn, shift, limits)
    assert np.array_equal(again[0], drawn) and np.array_equal(again[1], shift)
    below, above = furthest(raw_of(weights, limits.weight), raw_of(shift, limits.bias), limits)
    obeyed = (below <= limits.below) & (above <= limits.above)
    assert np.array_equal(drawn[:, obeyed], weights[:, obeyed])


@pytest.mark.parametrize("source", [FixedPoint(4, 1), FixedPoint(5, 1, signed=False)])
def test_the_narrowest_bound_leaves_one_step_of_a_weight(source: FixedPoint) -> None:
    accumulator = FixedPoint(24, 24 - source.frac - WEIGHT.frac)
    network = dense(source, [[1, -1]], [0, 0], accumulator)
    width = int(accumulator_needs(network)["only"].max())
    limits_of(network, 0, width)
    with pytest.raises(ConfigError, match=f"layer 'only': accumulator_bits 2 .* the narrowest that works is {width}"):
        limits_of(network, 0, 2)
