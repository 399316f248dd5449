"""Protection plans: refused by name, kept through JSON, equal when they protect the same bits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SEEDS, mixed_network, mixed_plan, networks, plans, possible_mechanisms, small_network

from codesign.codes import Code
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import Layer, Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope, select_important, selective_plan


@st.composite
def planned(draw: st.DrawFn) -> tuple[Network, ProtectionPlan]:
    network = draw(networks())
    return network, draw(plans(network))


# ---------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([LayerPlan("fc7", (1,))], ["fc7", "fc0", "relu0", "fc1"]),
        ([LayerPlan("relu0", (1,) * 5)], ["relu0", "relu"]),
        ([LayerPlan("fc0", (1,) * 4)], ["fc0", "5 neurons", "4"]),
        ([LayerPlan("fc0", (0, 0, 15, 0, 0))], ["fc0", "neuron 2", "15 hardened", "14"]),
        ([LayerPlan("fc1", (0, -1, 0))], ["fc1", "neuron 1", "-1 hardened", "15"]),
        ([LayerPlan("fc0", (1,) * 5), LayerPlan("fc0", (1,) * 5)], ["twice"]),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_by_name(layers: list[LayerPlan], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        ProtectionPlan(tuple(layers)).check(small_network())
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def of_mixed(name: str, bits: int = 3, **settings: Any) -> LayerPlan:
    return LayerPlan(name, (bits,) * mixed_network().layer(name).neurons, **settings)


BY_SIGN = (Rounding.TRN_ZERO, Rounding.RND_ZERO, Rounding.RND_INF)
AGAIN: dict[str, Any] = {"mechanism": Mechanism.RECOMPUTE}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (of_mixed("add", **AGAIN, dot_size=1), ["'add'", "tmr or dmr"]),
        (of_mixed("add", scope=Scope.MAC), ["'add'", "scope adder"]),
        (of_mixed("add", parameters=Code.ECC), ["'add'", "no parameters", "ecc"]),
        (of_mixed("flat"), ["'flat'", "reshape"]),
        (of_mixed("norm", parameters=Code.TMR), ["'norm'", "reuse factor", "tmr"]),
        (of_mixed("conv", **AGAIN), ["'conv'", "dot_size", "1..8", "0"]),
        (of_mixed("conv", **AGAIN, dot_size=9), ["'conv'", "dot_size", "1..8", "9"]),
        (of_mixed("conv", **AGAIN, dot_size=-1), ["'conv'", "dot_size", "1..8", "-1"]),
        (of_mixed("conv", dot_size=2), ["'conv'", "dot_size", "recompute", "tmr"]),
        (of_mixed("fc", 17), ["'fc'", "neuron 0", "17 hardened", "16"]),
    ],
)
def test_what_a_layer_cannot_have_is_refused_by_name(plan: LayerPlan, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        ProtectionPlan((plan,)).check(mixed_network())
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def with_accumulator(of: FixedPoint) -> Network:
    """`mixed_network` up to its convolution, which adds in the given type."""
    network = mixed_network()
    return replace(network, layers=(replace(network.layers[0], accumulator=of),))


@pytest.mark.parametrize("rounding", Rounding)
def test_copies_of_multipliers_need_a_rounding_without_regard_to_the_sign(rounding: Rounding) -> None:
    """Of a part of the bits: else a copy's sign would reach the bits that exist once. Whole words may round at will."""
    network = with_accumulator(FixedPoint(10, 6, rounding=rounding))
    whole, part = (LayerPlan("conv", (10, bits), scope=Scope.MAC) for bits in (0, 4))
    ProtectionPlan((whole,)).check(network)
    ProtectionPlan((replace(part, scope=Scope.ADDER),)).check(network)
    ProtectionPlan((LayerPlan("conv", (10, 4), Mechanism.RECOMPUTE, dot_size=8),)).check(network)
    if rounding in BY_SIGN:
        with pytest.raises(ConfigError, match=f"'conv'.*{rounding}.*harden all 10 bits or use scope adder"):
            ProtectionPlan((part,)).check(network)
    else:
        ProtectionPlan((part,)).check(network)


@pytest.mark.parametrize("overflow", [o for o in Overflow if o is not Overflow.WRAP])
def test_a_saturating_accumulator_is_hardened_whole_and_not_computed_again(overflow: Overflow) -> None:
    network = with_accumulator(FixedPoint(10, 6, overflow=overflow))
    ProtectionPlan((LayerPlan("conv", (0, 10), Mechanism.DMR, Scope.MAC),)).check(network)
    with pytest.raises(ConfigError, match="'conv' neuron 1.*whole.*got 9 bits"):
        ProtectionPlan((LayerPlan("conv", (0, 9)),)).check(network)
    with pytest.raises(ConfigError, match="'conv'.*tmr or dmr, not recompute"):
        ProtectionPlan((LayerPlan("conv", (0, 10), Mechanism.RECOMPUTE, dot_size=2),)).check(network)


@settings(max_examples=30)
@given(planned())
def test_a_plan_that_fits_is_returned(case: tuple[Network, ProtectionPlan]) -> None:
    network, plan = case
    assert plan.check(network) is plan
    named = {p.layer: p for p in plan.layers}
    for _, layer in network.compute_layers():
        expected = named.get(layer.name, LayerPlan(layer.name, (0,) * layer.neurons))
        assert plan.of_layer(layer) == expected
        assert tuple(plan.hardened(layer)) == expected.hardened_bits


@settings(max_examples=30)
@given(networks(), st.integers(0, 60))
def test_uniform_and_full_plans_stop_at_the_accumulator(network: Network, bits: int) -> None:
    """A saturating accumulator has no part that could be hardened alone: it is hardened whole."""
    uniform, full = ProtectionPlan.uniform(network, bits).check(network), ProtectionPlan.full(network).check(network)
    for _, layer in network.compute_layers():
        expected = layer.acc.width if layer.saturates and bits else min(bits, layer.acc.width)
        assert set(uniform.hardened(layer).tolist()) == {expected}
        assert set(full.hardened(layer).tolist()) == {layer.acc.width}
        assert uniform.of_layer(layer).mechanism is Mechanism.TMR and full.of_layer(layer).scope is Scope.ADDER


@settings(max_examples=80)
@given(networks(), st.sampled_from(Mechanism), st.sampled_from(Scope), st.sampled_from(Code), st.integers(0, 30))
def test_one_setting_for_all_layers_becomes_what_each_can_have(
    network: Network, mechanism: Mechanism, scope: Scope, code: Code, bits: int
) -> None:
    size = 3 if mechanism is Mechanism.RECOMPUTE else 0
    like = LayerPlan("", (), mechanism, scope, size, code)
    plan = ProtectionPlan.uniform(network, bits, like).check(network)
    for _, layer in network.compute_layers():
        found = plan.of_layer(layer)
        fits = mechanism in possible_mechanisms(layer)
        assert (found.layer, found.mechanism) == (layer.name, mechanism if fits else Mechanism.TMR)
        assert found.dot_size == (min(size, layer.fan_in) if fits else 0)
        partly = any(0 < h < layer.acc.width for h in found.hardened_bits)
        copied = layer.has_weights and not (partly and layer.acc.rounding in BY_SIGN) and not size
        assert found.scope is (scope if copied else Scope.ADDER)
        coded = layer.has_weights and layer.reuse_factor > 1
        assert found.parameters is (code if coded else Code.NONE)


@pytest.mark.parametrize("size", [1, 4, 5, 100])
def test_a_dot_product_unit_is_no_longer_than_the_neuron(size: int) -> None:
    network = mixed_network()
    plan = ProtectionPlan.uniform(network, 3, LayerPlan("", (), Mechanism.RECOMPUTE, dot_size=size)).check(network)
    found = {p.layer: (p.mechanism.value, p.dot_size) for p in plan.layers}
    again = {name: ("recompute", min(size, k)) for name, k in (("conv", 8), ("depthwise", 9), ("norm", 1), ("fc", 18))}
    assert found == {**again, "add": ("tmr", 0)}
    conv = network.layer("conv")
    assert plan.of_layer(conv).unit_passes(conv) == {1: 8, 4: 2, 5: 2, 100: 1}[size]


def test_a_network_that_computes_nothing_has_an_empty_full_plan() -> None:
    network = Network("n", FixedPoint(4, 4), (Layer.relu("relu", 3, FixedPoint(4, 4)),))
    assert ProtectionPlan.full(network).layers == ()


# ---------------------------------------------------------------- JSON and digest


@settings(max_examples=30)
@given(planned())
def test_json_round_trip(case: tuple[Network, ProtectionPlan]) -> None:
    _, plan = case
    text = json.dumps(plan.to_json())
    assert ProtectionPlan.from_json(json.loads(text)) == plan
    assert ProtectionPlan.from_json(json.loads(text)).digest == plan.digest


def test_json_names_what_is_not_the_default() -> None:
    plan = ProtectionPlan(
        (
            LayerPlan("fc0", (1, 2, 3, 4, 5)),
            LayerPlan("fc1", (0, 0, 0), Mechanism.DMR, Scope.MAC, parameters=Code.ECC),
            LayerPlan("fc2", (7,), Mechanism.RECOMPUTE, dot_size=2),
        )
    )
    assert json.loads(json.dumps(plan.to_json())) == {
        "format": 1,
        "layers": [
            {"layer": "fc0", "mechanism": "tmr", "hardened_bits": [1, 2, 3, 4, 5]},
            {
                "layer": "fc1",
                "mechanism": "dmr",
                "hardened_scope": "mac",
                "parameters": "ecc",
                "hardened_bits": [0, 0, 0],
            },
            {"layer": "fc2", "mechanism": "recompute", "dot_size": 2, "hardened_bits": [7]},
        ],
    }


def test_file_round_trip(tmp_path: Path) -> None:
    plan = ProtectionPlan.uniform(small_network(), 3)
    plan.save(tmp_path / "folder" / "plan.json", small_network())
    assert ProtectionPlan.load(tmp_path / "folder" / "plan.json", small_network()) == plan


def test_a_file_knows_its_network(tmp_path: Path) -> None:
    path, plan = tmp_path / "plan.json", ProtectionPlan.uniform(small_network(), 3)
    plan.save(path, small_network())
    with pytest.raises(ConfigError, match="another network"):
        ProtectionPlan.load(path, small_network(seed=8))
    path.write_text(json.dumps(plan.to_json()))  # as people write them: it only has to fit
    assert ProtectionPlan.load(path, small_network(seed=8)) == plan
    path.write_text(json.dumps(ProtectionPlan((LayerPlan("fc0", (99,) * 5),)).to_json()))
    with pytest.raises(ConfigError, match="99 hardened bits"):
        ProtectionPlan.load(path, small_network())


@settings(max_examples=30)
@given(planned())
def test_plans_of_the_same_bits_share_a_digest(case: tuple[Network, ProtectionPlan]) -> None:
    network, plan = case
    spelt_out = ProtectionPlan(tuple(plan.of_layer(layer) for _, layer in network.compute_layers()))
    reverse = ProtectionPlan(spelt_out.layers[::-1])
    silent = ProtectionPlan(tuple(p for p in spelt_out.layers if p.active))
    assert plan.digest == spelt_out.digest == reverse.digest == silent.digest


def test_what_is_computed_again_has_no_scope() -> None:
    """It has multipliers of its own in any case, so both spellings are one plan, of any rounding."""
    network = with_accumulator(FixedPoint(10, 6, rounding=Rounding.RND_ZERO))
    first, second = (LayerPlan("conv", (10, 4), Mechanism.RECOMPUTE, scope, 3) for scope in Scope)
    assert first == second
    assert ProtectionPlan((first,)).check(network).digest == ProtectionPlan((second,)).check(network).digest


def test_plans_of_other_protection_do_not() -> None:
    found = [
        ProtectionPlan(),
        *(mixed_plan(mechanism, code) for mechanism in Mechanism for code in Code),
        mixed_plan(Mechanism.TMR, scope=Scope.MAC),
        mixed_plan(Mechanism.DMR, scope=Scope.MAC),
        ProtectionPlan((LayerPlan("conv", (3, 0), Mechanism.RECOMPUTE, dot_size=1),)),
        ProtectionPlan((LayerPlan("conv", (3, 0), Mechanism.RECOMPUTE, dot_size=2),)),
        *(ProtectionPlan((LayerPlan("conv", (0, 0), parameters=code),)) for code in Code if code is not Code.NONE),
    ]
    assert len({plan.check(mixed_network()).digest for plan in found}) == len(found)


def test_plans_of_other_bits_do_not() -> None:
    network = small_network()
    seen = {ProtectionPlan().digest}
    for _, layer in network.compute_layers():
        for neuron in range(layer.n_out):
            for bits in range(1, layer.acc.width + 1):
                row = np.zeros(layer.n_out, np.int64)
                row[neuron] = bits
                seen.add(ProtectionPlan.of(network, {layer.name: row}).digest)
    assert len(seen) == 1 + 5 * 14 + 3 * 15


GOOD: dict[str, Any] = {"layer": "fc0", "mechanism": "tmr", "hardened_bits": [1, 2]}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "plan",
        {},
        {"format": 1},
        {"format": 2, "layers": []},
        {"format": 1, "layers": 3},
        {"format": 1, "layers": ["fc0"]},
        {"format": 1, "layers": [{**GOOD, "mechanism": "tmrr"}]},
        {"format": 1, "layers": [{**GOOD, "mechanism": None}]},
        {"format": 1, "layers": [{**GOOD, "hardened_scope": "multiplier"}]},
        {"format": 1, "layers": [{**GOOD, "parameters": "hamming"}]},
        {"format": 1, "layers": [{**GOOD, "dot_size": "2"}]},
        {"format": 1, "layers": [{**GOOD, "dot_size": 2.0}]},
        {"format": 1, "layers": [{**GOOD, "dot_size": True}]},
        {"format": 1, "layers": [{**GOOD, "scope": "mac"}]},
        {"format": 1, "layers": [{**GOOD, "hardened_bits": 3}]},
        {"format": 1, "layers": [{**GOOD, "hardened_bits": "12"}]},
        {"format": 1, "layers": [{**GOOD, "hardened_bits": [1.0]}]},
        {"format": 1, "layers": [{**GOOD, "hardened_bits": [True]}]},
        {"format": 1, "layers": [{"layer": "fc0", "mechanism": "tmr"}]},
    ],
)
def test_other_json_is_refused(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError) as error:
        ProtectionPlan.load(path, small_network())
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{'format': 1}"])
def test_what_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not JSON"):
        ProtectionPlan.load(path, small_network())


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(ConfigError, match="cannot read plan"):
            ProtectionPlan.load(path, small_network())


# ---------------------------------------------------------------- importance


@st.composite
def scored(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Few different values, so that ties are common."""
    generator = np.random.default_rng(draw(SEEDS))
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    return {f"fc{i}": generator.integers(0, 4, n) / 4 for i, n in enumerate(sizes)}


@given(scored(), st.floats(0, 1))
def test_one_threshold_for_the_network_marks_exactly_the_share(scores: dict[str, np.ndarray], fraction: float) -> None:
    marks = select_important(scores, fraction, "network")
    assert {name: len(m) for name, m in marks.items()} == {name: len(s) for name, s in scores.items()}
    assert list(marks) == list(scores)
    flat, chosen = np.concatenate(list(scores.values())), np.concatenate(list(marks.values()))
    assert chosen.sum() == round(fraction * len(flat))
    check_best_first(flat, chosen)


@given(scored(), st.floats(0, 1))
def test_one_threshold_a_layer_marks_exactly_the_share_of_each(scores: dict[str, np.ndarray], fraction: float) -> None:
    marks = select_important(scores, fraction, "layer")
    for name, values in scores.items():
        assert marks[name].sum() == round(fraction * len(values))
        check_best_first(values, marks[name])


def check_best_first(values: np.ndarray, chosen: np.ndarray) -> None:
    """No neuron that was left out is more important; among equals the earlier ones are marked."""
    if chosen.any() and not chosen.all():
        threshold = values[chosen].min()
        assert threshold >= values[~chosen].max()
        tied = chosen[values == threshold]
        assert tied[: tied.sum()].all()


def test_scopes_differ() -> None:
    scores = {"a": np.array([5.0, 4.0, 3.0, 2.0]), "b": np.array([1.0, 0.5])}
    marks = select_important(scores, 0.5, "network")
    assert marks["a"].tolist() == [True, True, True, False] and not marks["b"].any()
    marks = select_important(scores, 0.5, "layer")
    assert marks["a"].tolist() == [True, True, False, False] and marks["b"].tolist() == [True, False]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_fractions_outside_are_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="important_fraction"):
        select_important({"a": np.ones(3)}, fraction, "network")


def test_a_selective_plan_hardens_the_important_ones_more() -> None:
    network = small_network()
    scores = {"fc0": np.array([0.1, 0.9, 0.2, 0.8, 0.3]), "fc1": np.array([0.05, 0.7, 0.06])}
    plan = selective_plan(network, scores, 3 / 8, 20, 2).check(network)
    assert {p.layer: p.hardened_bits for p in plan.layers} == {"fc0": (2, 14, 2, 14, 2), "fc1": (2, 15, 2)}


def test_a_selective_plan_takes_its_settings_from_one_layer_plan() -> None:
    network = mixed_network()
    scores = {layer.name: np.arange(layer.neurons, dtype=float) for _, layer in network.compute_layers()}
    like = LayerPlan("", (), Mechanism.RECOMPUTE, dot_size=4, parameters=Code.PARITY)
    plan = selective_plan(network, scores, 0.5, 20, 0, "layer", like).check(network)
    assert {p.layer: (p.hardened_bits, p.mechanism.value, p.dot_size, p.parameters.value) for p in plan.layers} == {
        "conv": ((0, 14), "recompute", 4, "parity"),
        "depthwise": ((0, 14), "recompute", 4, "parity"),
        "norm": ((0, 14), "recompute", 1, "none"),
        "add": ((0, 10), "tmr", 0, "none"),
        "fc": ((0, 16, 16), "recompute", 4, "parity"),
    }
