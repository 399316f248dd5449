"""Architectural vulnerability by sampling against every single fault enumerated, and failures in the field."""

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.campaign import avf as avf_module
from codesign.campaign.avf import OUTCOMES, Group, Vulnerability, measure_avf
from codesign.campaign.fit_table import FitTable, failures
from codesign.campaign.requirement import METRICS
from codesign.campaign.strata import strata_of
from codesign.engine.compiled import open_engine
from codesign.engine.counts import COUNTS, count
from codesign.engine.fast import EngineSimulator
from codesign.errors import ConfigError
from codesign.faults import ALL_SAMPLES, FAULT, FaultModel, FaultSpace, Lifetime, Target
from codesign.fixed import FixedPoint
from codesign.network import Layer, Network, Parameter
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan

NETWORK = networks.small_network()
INPUTS = networks.small_inputs(16)
EVERY = tuple(Target)
PARTLY = ProtectionPlan.uniform(NETWORK, 5)


def labels_of(network: Network, inputs: np.ndarray) -> np.ndarray:
    return open_engine(network, ProtectionPlan(), inputs).golden.argmax(axis=1)


LABELS = labels_of(NETWORK, INPUTS)


def measured(
    plan: ProtectionPlan = PARTLY, targets: tuple[Target, ...] = EVERY, margin: float = 0.05, **more: Any
) -> Vulnerability:
    return measure_avf(NETWORK, plan, targets, INPUTS, LABELS, margin=margin, **more)


def space_of(plan: ProtectionPlan, lifetime: Lifetime, network: Network = NETWORK, samples: int = 16) -> FaultSpace:
    return FaultSpace(network, plan, FaultModel(EVERY, n_flips=1, lifetime=lifetime), samples)


# ---------------------------------------------------------------- strata


@settings(max_examples=40)
@given(st.data(), st.sampled_from(Lifetime))
def test_every_fault_is_in_exactly_one_stratum(data: st.DataObject, lifetime: Lifetime) -> None:
    network = data.draw(networks.networks(max_layers=2))
    space = space_of(data.draw(networks.plans(network)), lifetime, network, 2)
    strata = strata_of(space)
    assert sum(stratum.size for stratum in strata) == space.size
    if space.size > 20_000:
        return
    split = np.concatenate([stratum.faults(np.arange(stratum.size)) for stratum in strata])
    whole = np.concatenate([segment.decode(np.arange(segment.size)) for segment in space.segments])
    assert np.array_equal(np.unique(split), np.unique(whole)) and len(np.unique(split)) == space.size
    for stratum in strata:
        found = stratum.faults(np.arange(stratum.size))
        assert set(found["bit"].tolist()) == {stratum.bit}
        assert set(found["layer"].tolist()) == {stratum.layer} and set(found["target"].tolist()) == {stratum.target}
        places = np.unique(found[["neuron", "position", "replica"]])
        assert len(places) == stratum.bits


# ---------------------------------------------------------------- against the whole population


@dataclass(frozen=True)
class Truth:
    """Every single fault and its outcome."""

    network: Network
    faults: np.ndarray
    outcomes: np.ndarray

    def of(self, group: Group) -> float:
        chosen = self.faults["target"] == [t.label for t in Target].index(group.target)
        if group.layer is not None:
            chosen &= self.faults["layer"] == [layer.name for layer in self.network.layers].index(group.layer)
        if group.bit is not None:
            chosen &= self.faults["bit"] == group.bit
        assert chosen.sum() == group.population
        return float(self.outcomes[chosen].mean())


def truth(
    plan: ProtectionPlan,
    lifetime: Lifetime,
    outcome: str = "sdc1",
    network: Network = NETWORK,
    inputs: np.ndarray = INPUTS,
) -> Truth:
    space = space_of(plan, lifetime, network, len(inputs))
    faults = np.concatenate([segment.decode(np.arange(segment.size)) for segment in space.segments])
    engine = open_engine(network, plan, inputs)
    rows = engine.run_lists(faults, labels_of(network, inputs)).rows  # type: ignore[union-attr]
    struck = np.where(faults["sample"] == ALL_SAMPLES, len(inputs), 1)
    return Truth(network, faults, METRICS[outcome](rows, len(inputs)) / struck)


def wide_network() -> Network:
    """Of so many weights that not every one is drawn."""
    generator, weights, biases = np.random.default_rng(5), FixedPoint(5, 2), FixedPoint(6, 3)

    def dense(name: str, n_in: int, n_out: int, accumulator: FixedPoint) -> Layer:
        drawn = (
            networks.random_raw(of, size, generator) for of, size in ((weights, (n_in, n_out)), (biases, (n_out,)))
        )
        weight, bias = drawn
        return Layer.dense(name, Parameter(weight, weights), Parameter(bias, biases), accumulator)

    hidden = FixedPoint.parse("ufixed<6,3,RND,SAT>")
    first, second = dense("first", 20, 16, FixedPoint(16, 8)), dense("second", 16, 4, FixedPoint(17, 9))
    return Network("wide", FixedPoint.parse("ufixed<6,1>"), (first, Layer.relu("relu", 16, hidden), second))


KINDS: tuple[dict[str, bool], ...] = ({}, {"layer": True}, {"bit": True}, {"layer": True, "bit": True})


@pytest.mark.parametrize(
    ("network", "lifetime", "margin"), [(NETWORK, Lifetime.TRANSIENT, 0.04), (wide_network(), Lifetime.PERSISTENT, 0.1)]
)
def test_intervals_cover_the_exhaustive_truth(network: Network, lifetime: Lifetime, margin: float) -> None:
    runs, plan = 25, ProtectionPlan.uniform(network, 5)
    inputs = networks.random_raw(network.input_type, (16, network.n_in), np.random.default_rng(11))
    known, labels = truth(plan, lifetime, network=network, inputs=inputs), labels_of(network, inputs)
    covered: dict[int, list[bool]] = defaultdict(list)
    off, within = [], []
    for seed in range(runs):
        found = measure_avf(network, plan, EVERY, inputs, labels, lifetime=lifetime, margin=margin, seed=seed)
        assert sum(map(np.size, found.outcomes)) < 0.7 * len(known.faults)
        for kind, of in enumerate(KINDS):
            for group in found.groups(**of):
                wanted = known.of(group)
                covered[kind].append(group.avf.low - 1e-12 <= wanted <= group.avf.high + 1e-12)
                if of == {"layer": True}:
                    off.append(group.avf.mean - wanted)
                    within.append(abs(off[-1]) <= margin)
    shares = {kind: np.mean(found) for kind, found in covered.items()}
    assert all(share >= 0.935 for share in shares.values()), shares
    assert np.mean(within) >= 0.95
    # Unbiased, although the pilot decides how many more are drawn.
    assert abs(np.mean(off)) <= 4 * np.std(off) / math.sqrt(len(off))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_smallest_margin_is_the_whole_population(outcome: str) -> None:
    plan = ProtectionPlan.uniform(NETWORK, 5, LayerPlan("", (), mechanism=Mechanism.DMR))
    known = truth(plan, Lifetime.PERSISTENT, outcome)
    found = measured(plan, lifetime=Lifetime.PERSISTENT, margin=1e-4, outcome=outcome)
    for of in KINDS:
        for group in found.groups(**of):
            assert group.drawn == group.population
            assert group.avf.low == group.avf.high == pytest.approx(known.of(group), abs=1e-12)


def test_a_voted_bit_is_not_vulnerable() -> None:
    """Every copy of a tripled adder is masked; the plain network's adders are not."""
    full, none = ProtectionPlan.full(NETWORK), ProtectionPlan()
    adders = (Target.ACCUMULATOR,)
    assert [group.avf.mean for group in measured(full, adders).groups()] == [0.0]
    assert measured(none, adders).groups()[0].avf.low > 0.05


def test_draws_follow_the_seed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    one = measured(seed=3, threads=1).to_json()
    assert one == measured(seed=3, threads=2).to_json() != measured(seed=4).to_json()
    few = (Target.BIAS, Target.VOTER)
    native = measured(targets=few, margin=0.2).to_json()
    monkeypatch.setattr(avf_module, "open_engine", EngineSimulator)
    assert measured(targets=few, margin=0.2).to_json() == native


def test_more_is_drawn_where_outcomes_vary() -> None:
    found = measured(ProtectionPlan(), (Target.ACCUMULATOR,), margin=0.02)
    cells = [cell for cell in found.groups(layer=True, bit=True) if cell.layer == "fc1"]
    varying = [cell for cell in cells if 0.3 < cell.avf.mean < 0.7]
    constant = [cell for cell in cells if cell.avf.mean == 0.0]
    assert varying and constant
    assert min(cell.drawn / cell.population for cell in varying) > max(c.drawn / c.population for c in constant)


def test_progress_ends_with_all_of_it() -> None:
    told: list[tuple[int, int]] = []
    found = measured(margin=0.05, progress=lambda done, total: told.append((done, total)))
    total = found.pilot + sum(outcomes.size for outcomes in found.outcomes)
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("mechanism", [Mechanism.DMR, Mechanism.RECOMPUTE])
def test_every_mechanism_and_kind_of_layer(mechanism: Mechanism) -> None:
    network, plan = networks.mixed_network(), networks.mixed_plan(mechanism)
    inputs = networks.random_raw(network.input_type, (3, network.n_in), np.random.default_rng(1))
    engine = open_engine(network, plan, inputs)
    truth = engine.golden.argmax(axis=1)
    found = measure_avf(network, plan, EVERY, inputs, truth, outcome="detected", margin=0.2)
    assert {group.target for group in found.groups()} == {target.label for target in EVERY}
    detects = any(group.avf.mean > 0 for group in found.groups())
    assert detects is (mechanism is Mechanism.DMR)
    stratum, outcomes = max(zip(found.strata, found.outcomes, strict=True), key=lambda pair: pair[1].sum())
    assert outcomes.shape == (outcomes.size,) and 0 <= outcomes.min() <= outcomes.max() <= 1
    # One of them again, by hand.
    fault = stratum.faults(np.array([0]))
    row = np.array([count(engine.outcome(fault), engine.golden, truth)], COUNTS)
    assert fault.dtype == FAULT and 0 <= row["detected"][0] <= 3


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match="no bits of voter under this plan"):
        measured(ProtectionPlan(), (Target.VOTER,))
    with pytest.raises(ConfigError, match="unknown outcome 'accuracy', choose from sdc1"):
        measured(outcome="accuracy")
    with pytest.raises(ConfigError, match="margin 0"):
        measured(margin=0.0)
    with pytest.raises(ConfigError, match="confidence 1"):
        measured(confidence=1.0)


# ---------------------------------------------------------------- failures in the field


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fit.toml"
    path.write_text(text)
    return path


def test_failures_are_bits_times_raw_rate_times_avf(tmp_path: Path) -> None:
    known = truth(PARTLY, Lifetime.PERSISTENT)
    found = measured(lifetime=Lifetime.PERSISTENT, margin=1e-4)
    rates = {target.label: 1e-5 * (target + 1) for target in Target}
    lines = "\n".join(f"{name} = {rate}" for name, rate in rates.items())
    raw = FitTable.load(table(tmp_path, f"source = 'a test'\n[fit_per_bit]\n{lines}\n"))
    of = failures(found, raw)
    # Struck for the whole trial, so a place is one fault: the sum over faults of their raw rate and outcome.
    each = np.array(list(rates.values()))[known.faults["target"]] * known.outcomes
    assert of.total.fit.mean == pytest.approx(each.sum())
    assert of.total.fit.low == of.total.fit.high == of.total.fit.mean
    for target, rate in of.targets.items():
        assert rate.fit.mean == pytest.approx(each[known.faults["target"] == Target[target.upper()]].sum())
    for number, layer in enumerate(NETWORK.layers):
        if layer.name in of.layers:
            assert of.layers[layer.name].fit.mean == pytest.approx(each[known.faults["layer"] == number].sum())
    document = of.to_json()
    assert document["mttf_hours"]["mean"] == pytest.approx(1e9 / each.sum()) and document["source"] == "a test"


def test_places_that_are_used_often_are_struck_no_more_often(tmp_path: Path) -> None:
    """Time is shared by the uses of a place: a convolution's bit counts once, whatever its pixels and passes."""
    network = networks.mixed_network()
    inputs = networks.random_raw(network.input_type, (2, network.n_in), np.random.default_rng(1))
    truth = open_engine(network, ProtectionPlan(), inputs).golden.argmax(axis=1)
    found = measure_avf(network, ProtectionPlan(), (Target.ACCUMULATOR,), inputs, truth, margin=0.2)
    raw = FitTable.load(table(tmp_path, "source = 'a test'\n[fit_per_bit]\naccumulator = 1e-3\n"))
    total = failures(found, raw).total.fit
    groups = found.groups(layer=True)
    for group in groups:
        layer = next(one for one in network.layers if one.name == group.layer)
        assert group.bits == layer.neurons * layer.per_pass * layer.acc.width
        assert group.population == group.bits * layer.steps * len(inputs)
    assert total.mean == pytest.approx(sum(group.bits * 1e-3 * group.avf.mean for group in groups))
    assert total.low < total.mean < total.high


def test_no_failure_seen_leaves_the_time_open(tmp_path: Path) -> None:
    found = measured(ProtectionPlan.full(NETWORK), (Target.ACCUMULATOR,))
    raw = FitTable.load(table(tmp_path, "source = 'a test'\n[fit_per_bit]\naccumulator = 1e-3\n"))
    document = failures(found, raw).to_json()
    assert document["mttf_hours"]["mean"] is document["mttf_hours"]["high"] is None
    assert document["mttf_hours"]["low"] > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fit_per_bit]\nweight = 1\n", "source: expected a text"),
        ("source = 'x'\n", r"expected a section \[fit_per_bit\]"),
        ("source = 'x'\n[fit_per_bit]\nwieght = 1\n", r"\[fit_per_bit\]: unknown key 'wieght'; did you mean 'weight'"),
        ("source = 'x'\nsourse = 'y'\n[fit_per_bit]\nweight = 1\n", "unknown key 'sourse'; did you mean 'source'"),
        ("source = 'x'\n[fit_per_bit]\nweight = -1\n", "weight: found -1, expected a number of at least 0"),
        ("source = 'x'\n[fit_per_bit]\nweight = true\n", "weight: found True"),
        ("source = 'x'\n[fit_per_bit]\nweight = inf\n", "weight: found inf"),
        ("source = 'x'\n[fit_per_bit]\nweight = '1'\n", "weight: found '1'"),
        ("source", "is not TOML"),
    ],
)
def test_bad_tables_are_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        FitTable.load(table(tmp_path, text))
    assert "fit.toml" in str(error.value) and "\n" not in str(error.value)


def test_a_target_without_a_figure_is_named(tmp_path: Path) -> None:
    raw = FitTable.load(table(tmp_path, "source = 'x'\n[fit_per_bit]\nweight = 1e-4\n"))
    with pytest.raises(ConfigError, match="has no bias: give its raw FIT a bit"):
        raw.check((Target.WEIGHT, Target.BIAS))
    with pytest.raises(ConfigError, match="cannot read FIT table"):
        FitTable.load(tmp_path / "none.toml")
