"""The compiled engine gives the NumPy engine's integers, draws the same faults, and counts and stops as it should."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from byte_networks import byte_cases, byte_networks, digits_like, reshaped_networks
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import (
    SEEDS,
    Case,
    cases,
    crowded_cases,
    lone_cases,
    networks,
    plans,
    random_raw,
    same_outcome,
    small_inputs,
    small_network,
)
from passive_layers import passive

from codesign.engine import binding
from codesign.engine.compiled import KERNELS, Interrupted, NativeEngine
from codesign.engine.counts import count
from codesign.engine.description import describe_space
from codesign.engine.fast import EngineSimulator
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError
from codesign.faults import FAULT, FaultModel, FaultSite, FaultSpace, Lifetime, Target
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import Layer, Network, Parameter, forward
from codesign.network.rules import TABLES_OF
from codesign.network.tables import activation_table, exponential_table, inverse_table
from codesign.protection import ProtectionPlan

NOTHING = np.zeros(0, FAULT)


def agree(case: Case, *kernels: str) -> None:
    """Logits, flags and counts are those of the NumPy engine."""
    expected = EngineSimulator(case.network, case.plan, case.inputs)
    outcome, golden = expected.outcome(case.faults), expected.golden
    labels = np.zeros(len(case.inputs), np.int64)
    for kernel in kernels:
        engine = NativeEngine(case.network, case.plan, case.inputs, kernel)
        assert engine.golden.tolist() == golden.tolist()
        same_outcome(engine.outcome(case.faults), outcome)
        counts = engine.run_lists([case.faults, NOTHING], labels)
        quiet = (int((golden.argmax(axis=1) == 0).sum()), 0, 0, 0, 0, 0)
        assert counts.rows.tolist() == [count(outcome, golden, labels), quiet]


# ---------------------------------------------------------------- any network


@settings(max_examples=100)
@given(cases() | cases(more=passive))
def test_any_network_equals_the_numpy_engine(case: Case) -> None:
    agree(case, "avx512")


@settings(max_examples=60)
@given(crowded_cases() | lone_cases())
def test_faults_that_meet_in_one_neuron(case: Case) -> None:
    agree(case, "avx512")


@settings(max_examples=30)
@given(cases() | cases(more=passive))
def test_it_equals_the_reference(case: Case) -> None:
    expected = ReferenceSimulator(case.network, case.plan, case.inputs).outcome(case.faults)
    same_outcome(NativeEngine(case.network, case.plan, case.inputs).outcome(case.faults), expected)


@settings(max_examples=40)
@given(
    networks(),
    st.data(),
    st.sampled_from([0.0, 1e-3, 0.02, 0.2, 1.0]),
    st.sets(st.sampled_from(Target), min_size=1),
    st.sampled_from(Lifetime),
    SEEDS,
)
def test_drawn_campaigns(
    network: Network, data: st.DataObject, ber: float, targets: set[Target], lifetime: Lifetime, seed: int
) -> None:
    plan = data.draw(plans(network))
    inputs = random_raw(network.input_type, (3, network.n_in), np.random.default_rng(seed))
    _same_campaign(network, plan, inputs, FaultModel(tuple(targets), ber=ber, lifetime=lifetime, seed=seed))


def _same_campaign(
    network: Network,
    plan: ProtectionPlan,
    inputs: np.ndarray,
    model: FaultModel,
    kernel: str = "avx512",
    most: int = 4000,
) -> None:
    space = FaultSpace(network, plan, model, len(inputs))
    if space.size * (model.ber or 0) > most:
        return
    expected, engine = EngineSimulator(network, plan, inputs), NativeEngine(network, plan, inputs, kernel)
    labels = np.arange(len(inputs)) % network.n_out
    whole = engine.run_campaign(space, labels, range(2, 5), logits=True)
    counted = engine.run_campaign(space, labels, range(2, 5), threads=2)
    assert whole.logits is not None
    for number, trial in enumerate(range(2, 5)):
        drawn = space.draw(trial)
        assert np.array_equal(binding.draw(describe_space(space), trial), drawn)
        outcome = expected.outcome(drawn)
        assert whole.logits[number].tolist() == outcome.logits.tolist()
        for counts in (whole, counted):
            assert counts.rows[number].item() == count(outcome, expected.golden, labels)


# ---------------------------------------------------------------- lanes of 32 and of 64 bits


@settings(max_examples=60)
@given(cases() | crowded_cases())
def test_lanes_of_every_instruction_set(case: Case) -> None:
    agree(case, *KERNELS)


def wide_network(source: FixedPoint, weight: FixedPoint) -> Network:
    """Every kind of layer that the kernels of bytes do not take, on (4, 4, 2) images."""
    generator = np.random.default_rng(7)
    hidden = FixedPoint(source.width, source.integer, True, Rounding.RND, Overflow.SAT)
    shape = (4, 4, 2)

    def pair(*sizes: int) -> tuple[Parameter, Parameter]:
        return tuple(Parameter(random_raw(weight, size, generator), weight) for size in (sizes, sizes[-1:]))

    def sums(grown: int) -> FixedPoint:
        return FixedPoint(hidden.width + weight.width + grown, hidden.integer + weight.integer + grown)

    saturating = FixedPoint(hidden.width, hidden.integer + 2, True, Rounding.RND_CONV, Overflow.SAT)
    layers = [
        Layer.conv("conv", shape, *pair(3, 3, 2, 2), sums(5), padding="same"),
        Layer.relu("relu", shape, hidden),
        Layer.depthwise("depthwise", shape, *pair(3, 3, 2), sums(4), hidden, padding="same"),
        Layer.batchnorm("norm", shape, *pair(2), sums(1), hidden),
        Layer.add("sum", shape, saturating, inputs=("norm", "relu")),
        Layer.concatenate("both", (shape, shape), hidden, inputs=("sum", "conv")),
        Layer.average_pool("mean", (4, 4, 4), (3, 3), FixedPoint(source.width + 4, 10), hidden, padding="same"),
        Layer.activation("tanh", (2, 2, 4), "tanh", hidden, tables=(activation_table("tanh", 64, hidden),)),
        Layer.reshape("flat", (2, 2, 4), (16,), hidden),
        Layer.dense("saturating", *pair(16, 6), saturating, hidden),
        Layer.dense("logits", *pair(6, 3), sums(3)),
    ]
    return Network("wide", source, tuple(layers), shape)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("source", "weight"), [(16, 6), (24, 16)])
@pytest.mark.parametrize(
    "model",
    [
        FaultModel((Target.WEIGHT,), n_flips=1),
        FaultModel((Target.WEIGHT, Target.BIAS), ber=0.05),
        FaultModel((Target.ACCUMULATOR, Target.VOTER), ber=1e-6),
        FaultModel((Target.ACCUMULATOR, Target.ACTIVATION), ber=3e-5),
        FaultModel((Target.PRODUCT, Target.VOTER), ber=1e-5),
        FaultModel((Target.ACCUMULATOR,), n_flips=1, lifetime=Lifetime.PERSISTENT),
    ],
    ids=str,
)
def test_many_samples_of_wide_values(kernel: str, source: int, weight: int, model: FaultModel) -> None:
    """More samples than one tile has lanes, the last tile filled in part."""
    network = wide_network(FixedPoint(source, 6), FixedPoint(weight, 1))
    inputs = random_raw(network.input_type, (530, network.n_in), np.random.default_rng(3))
    for plan in (ProtectionPlan(), ProtectionPlan.uniform(network, 8)):
        _same_campaign(network, plan, inputs, model, kernel, most=20_000)


# ---------------------------------------------------------------- networks of bytes, which have kernels of their own


@settings(max_examples=60)
@given(byte_cases())
def test_packed_kernels_equal_the_numpy_engine(case: Case) -> None:
    agree(case, *KERNELS)


@settings(max_examples=50)
@given(
    byte_networks() | byte_networks() | reshaped_networks(),
    st.data(),
    st.sampled_from([1e-3, 0.02, 0.2]),
    st.sets(st.sampled_from(Target), min_size=1),
    st.sampled_from(Lifetime),
    st.sampled_from([3, 70]),
    SEEDS,
)
def test_packed_campaigns(
    network: Network,
    data: st.DataObject,
    ber: float,
    targets: set[Target],
    lifetime: Lifetime,
    n_samples: int,
    seed: int,
) -> None:
    plan = data.draw(plans(network))
    inputs = random_raw(network.input_type, (n_samples, network.n_in), np.random.default_rng(seed))
    model = FaultModel(tuple(targets), ber=ber, lifetime=lifetime, seed=seed)
    _same_campaign(network, plan, inputs, model, data.draw(st.sampled_from(KERNELS)))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "model",
    [
        FaultModel((Target.WEIGHT,), n_flips=1),
        FaultModel((Target.WEIGHT,), n_flips=3),
        FaultModel((Target.WEIGHT,), ber=4e-4),
        FaultModel((Target.WEIGHT, Target.BIAS), ber=1e-3),
        FaultModel((Target.VOTER, Target.ACTIVATION), ber=1e-3),
        FaultModel((Target.ACCUMULATOR,), ber=1e-5),
        FaultModel((Target.ACCUMULATOR,), ber=1e-4),
        FaultModel((Target.ACTIVATION, Target.PRODUCT), ber=1e-5),
        FaultModel((Target.ACCUMULATOR,), n_flips=2, lifetime=Lifetime.PERSISTENT),
    ],
    ids=str,
)
def test_a_network_that_fits_the_registers(kernel: str, model: FaultModel) -> None:
    network, inputs = digits_like()
    _same_campaign(network, ProtectionPlan(), inputs, model, kernel)
    _same_campaign(network, ProtectionPlan.uniform(network, 8), inputs, model, kernel)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_register_behind_a_reshape(kernel: str) -> None:
    """The convolution counts two pixels of two neurons, the layer behind the reshape one pixel of four."""

    def parameter(raw: list[object], width: int) -> Parameter:
        return Parameter(np.array(raw), FixedPoint(width, width, False))

    wide, narrow = FixedPoint(9, 9, False), FixedPoint(2, 2, False)
    layers = (
        Layer.conv("conv", (2, 1), parameter([[[1, 1]]], 1), parameter([2, 1], 2), wide, wide),
        Layer.relu("relu", (2, 2), narrow),
        Layer.reshape("flat", (2, 2), (4,), narrow),
        Layer.relu("last", 4, narrow),
    )
    network, inputs = Network("flat", FixedPoint(1, 1, False), layers, (2, 1)), np.array([[1, 1]])
    weight = FaultSite(0, Target.WEIGHT, 0).at()
    register = FaultSite(3, Target.ACTIVATION, 2).at(0, 0)
    engine = NativeEngine(network, ProtectionPlan(), inputs, kernel)
    assert engine.golden.tolist() == [[3, 2, 3, 2]]
    assert engine.run(register).tolist() == [[3, 2, 2, 2]]
    assert engine.run(np.concatenate([weight, register])).tolist() == [[2, 2, 3, 2]]
    _same_campaign(network, ProtectionPlan(), inputs, FaultModel((Target.WEIGHT, Target.ACTIVATION), ber=0.2), kernel)


# ---------------------------------------------------------------- layers that compute no sums


def _function_layers(source: FixedPoint) -> list[Layer]:
    to = FixedPoint(9, 3, True, Rounding.RND, Overflow.SAT)
    factor, ratio = Parameter(np.array([11]), FixedPoint(6, 2)), Parameter(np.array([7]), FixedPoint(6, 1))
    tables = {
        "leaky_relu": (factor,),
        "hard_sigmoid": (factor, ratio),
        "hard_tanh": (factor, ratio),
        "elu": (activation_table("elu", 64, to), factor),
    }
    found = []
    for name, sizes in TABLES_OF.items():
        given = tables.get(name) or tuple(activation_table(name, 64, to) for _ in sizes)
        found.append(Layer.activation(name, (5,), name, to, tables=given))
    table, index = FixedPoint(12, 4, False, overflow=Overflow.SAT), FixedPoint(8, 4)
    norm = FixedPoint(7, 4, False, Rounding.RND, Overflow.SAT)
    for implementation, of in (("stable", norm), ("latency", source)):
        pair = (
            exponential_table(32, of, table, negative=implementation == "stable"),
            inverse_table(64, index, table),
        )
        kept = norm if implementation == "stable" else None
        types = (FixedPoint(14, 6, False), index, to)
        found.append(Layer.softmax(f"softmax_{implementation}", 5, implementation, pair, *types, norm=kept))
    return [*found, Layer.argmax("argmax", 5, to)]


@pytest.mark.parametrize("source", [FixedPoint(8, 4), FixedPoint(11, 6), FixedPoint(9, 11), FixedPoint(6, 1, False)])
def test_activations_softmax_and_argmax(source: FixedPoint) -> None:
    generator = np.random.default_rng(1)
    inputs = random_raw(source, (300, 5), generator)
    scale, shift = (Parameter(random_raw(t, (5,), generator), t) for t in (FixedPoint(6, 2), FixedPoint(6, 2)))
    for layer in _function_layers(source):
        last = Layer.batchnorm("last", (5,), scale, shift, FixedPoint(20, 10))
        network = Network("passive", source, (layer, last))
        model = FaultModel((Target.ACTIVATION, Target.ACCUMULATOR), ber=1e-3)
        assert NativeEngine(network, ProtectionPlan(), inputs).golden.tolist() == forward(network, inputs)[-1].tolist()
        _same_campaign(network, ProtectionPlan(), inputs, model)


def test_pooling_and_wiring() -> None:
    generator = np.random.default_rng(2)
    source, wide = FixedPoint(7, 3), FixedPoint(12, 8)
    image = Layer.relu("start", (4, 6, 3), source)
    for layer in (
        Layer.average_pool("pool", (4, 6, 3), (2, 3), wide, source),
        Layer.average_pool("pool", (4, 6, 3), (3, 3), wide, source, strides=(1, 2), padding="same"),
        Layer.average_pool("pool", (4, 6, 3), None, wide, source),
        Layer.max_pool("pool", (4, 6, 3), (3, 3), source, strides=(2, 1), padding="same"),
        Layer.upsample("up", (4, 6, 3), (2, 3), source),
        Layer.pad("pad", (4, 6, 3), ((1, 2), (0, 1)), source),
    ):
        channels = layer.out_shape[-1:]
        pair = (Parameter(random_raw(source, channels, generator), source) for _ in range(2))
        last = Layer.batchnorm("last", layer.out_shape, *pair, FixedPoint(20, 10))
        network = Network("images", source, (image, layer, last), (4, 6, 3))
        inputs = random_raw(source, (9, 72), generator)
        _same_campaign(network, ProtectionPlan(), inputs, FaultModel((Target.ACTIVATION,), ber=1e-3))


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("ber", [1e-6, 1e-3, 0.009999, 0.010001, 0.3, 0.999])
def test_draws_are_those_of_python(ber: float) -> None:
    network, _ = digits_like()
    plan = ProtectionPlan.uniform(network, 3)
    model = FaultModel((Target.ACCUMULATOR, Target.WEIGHT), ber=ber, seed=2**62 + 7)
    space = FaultSpace(network, plan, model, 1 if ber > 0.1 else 40)
    words = describe_space(space)
    for trial in (0, 1, 2**40):
        assert np.array_equal(binding.draw(words, trial), space.draw(trial))


@pytest.mark.parametrize("n_flips", [1, 2, 500])
def test_draws_of_a_number_of_flips(n_flips: int) -> None:
    network, inputs = small_network(), small_inputs(4)
    space = FaultSpace(network, ProtectionPlan(), FaultModel(tuple(Target), n_flips=n_flips, seed=3), len(inputs))
    words = describe_space(space)
    for trial in range(50):
        assert np.array_equal(binding.draw(words, trial), space.draw(trial))


def test_more_flips_than_bits_are_refused() -> None:
    network = small_network()
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.BIAS,), n_flips=10**6), 1)
    with pytest.raises(ConfigError, match="n_flips 1000000"):
        binding.draw(describe_space(space), 0)


# ---------------------------------------------------------------- campaigns


def test_every_number_of_threads_counts_the_same() -> None:
    network, inputs = digits_like()
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.ACCUMULATOR,), ber=1e-5, seed=9), len(inputs))
    engine, labels = NativeEngine(network, ProtectionPlan(), inputs), np.arange(400) % 10
    found = [engine.run_campaign(space, labels, range(50), threads=threads) for threads in (1, 2, 7)]
    assert all(np.array_equal(f.rows, found[0].rows) for f in found)
    assert found[0].rows["sdc1"].any()


def test_an_interrupt_keeps_what_is_finished() -> None:
    network, inputs = digits_like()
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.ACCUMULATOR,), ber=1e-4, seed=9), len(inputs))
    engine, labels = NativeEngine(network, ProtectionPlan(), inputs), np.zeros(400, np.int64)
    told: list[int] = []

    def stop(done: int) -> None:
        told.append(done)
        if done:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(Interrupted) as caught:
        engine.run_campaign(space, labels, range(10**6), threads=2, progress=stop)
    kept = caught.value.counts
    assert told[-1] > 0 and len(kept.rows) > 0 and threading.active_count() == before
    again = engine.run_campaign(space, labels, range(len(kept.rows)))
    assert np.array_equal(kept.rows, again.rows)


def test_an_interrupt_waits_for_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Ctrl-C, while this thread waits: the engine still writes to memory that would be gone."""
    network, inputs, at_work = small_network(), small_inputs(5), []
    engine = NativeEngine(network, ProtectionPlan(), inputs)

    def slow(*_: object) -> int:
        at_work.append(True)
        for _ in range(2):
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        at_work.clear()
        return 0

    monkeypatch.setattr(engine, "_library", SimpleNamespace(codesign_engine_campaign=slow))
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.WEIGHT,), n_flips=1), len(inputs))
    with pytest.raises(Interrupted):
        engine.run_campaign(space, np.zeros(5, np.int64), range(3))
    assert not at_work


def test_one_list_a_fault_and_lists_of_any_length() -> None:
    network, inputs = small_network(), small_inputs(20)
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.WEIGHT,), ber=1.0), len(inputs))
    every, labels = space.draw(0), np.zeros(20, np.int64)
    engine = NativeEngine(network, ProtectionPlan(), inputs)
    single = engine.run_lists(every, labels)
    listed = engine.run_lists([every[k : k + 1] for k in range(len(every))], labels)
    assert np.array_equal(single.rows, listed.rows)
    assert len(engine.run_lists([], labels).rows) == 0


# ---------------------------------------------------------------- bad input


def test_faults_that_strike_nothing_are_refused() -> None:
    network, inputs = small_network(), small_inputs(3)
    engine = NativeEngine(network, ProtectionPlan(), inputs)
    for site, sample, step in (
        (FaultSite(9, Target.WEIGHT, 0), -1, -1),
        (FaultSite(0, Target.WEIGHT, 5), -1, -1),
        (FaultSite(0, Target.WEIGHT, 0, 6), -1, -1),
        (FaultSite(0, Target.WEIGHT, 0, bit=5), -1, -1),
        (FaultSite(0, Target.WEIGHT, 0), 0, -1),
        (FaultSite(1, Target.WEIGHT, 0), -1, -1),
        (FaultSite(0, Target.ACCUMULATOR, 0), 3, 0),
        (FaultSite(0, Target.ACCUMULATOR, 0), 0, 1),
        (FaultSite(0, Target.ACCUMULATOR, 0, replica=3), 0, 0),
        (FaultSite(0, Target.ACCUMULATOR, -1), 0, 0),
        (FaultSite(0, Target.ACTIVATION, 0, bit=14), 0, 0),
    ):
        with pytest.raises(ConfigError, match="fault 1 of the list"):
            engine.run(np.concatenate([FaultSite(0, Target.WEIGHT, 0).at(), site.at(sample, step)]))


def test_what_does_not_fit_is_refused() -> None:
    network, inputs = small_network(), small_inputs(3)
    engine = NativeEngine(network, ProtectionPlan(), inputs)
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.WEIGHT,), n_flips=1), 3)
    with pytest.raises(ConfigError, match="shape"):
        NativeEngine(network, ProtectionPlan(), inputs[:, :2])
    with pytest.raises(ConfigError, match="input type"):
        NativeEngine(network, ProtectionPlan(), inputs + 1000)
    with pytest.raises(ConfigError, match="kernels 'sse'"):
        NativeEngine(network, ProtectionPlan(), inputs, "sse")
    with pytest.raises(ConfigError, match="labels"):
        engine.run_campaign(space, np.array([0, 1, 3]), range(2))
    with pytest.raises(ConfigError, match="labels"):
        engine.run_campaign(space, np.array([0, 1]), range(2))
    with pytest.raises(ConfigError, match="0 threads"):
        engine.run_campaign(space, np.zeros(3, np.int64), range(2), threads=0)
    more = FaultSpace(network, ProtectionPlan(), FaultModel((Target.ACCUMULATOR,), ber=0.1), 4)
    with pytest.raises(ConfigError, match="strikes nothing"):
        engine.run_campaign(more, np.zeros(3, np.int64), range(2))


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    binding.library.cache_clear()
    monkeypatch.setenv(binding.VARIABLE, "/nowhere/engine.so")
    with pytest.raises(ConfigError, match=r"/nowhere/engine\.so"):
        binding.library()
    binding.library.cache_clear()
