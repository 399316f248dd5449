"""Protection plans: refused by name, kept through JSON, equal when they protect the same bits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SEEDS, networks, plans, small_network

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import Layer, Network
from codesign.protection import LayerPlan, ProtectionPlan, select_important, selective_plan


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


@settings(max_examples=30)
@given(planned())
def test_a_plan_that_fits_is_returned(case: tuple[Network, ProtectionPlan]) -> None:
    network, plan = case
    assert plan.check(network) is plan
    named = {p.layer: p.hardened_bits for p in plan.layers}
    for _, layer in network.compute_layers():
        assert tuple(plan.hardened(layer)) == named.get(layer.name, (0,) * layer.n_out)


@settings(max_examples=30)
@given(networks(), st.integers(0, 60))
def test_uniform_and_full_plans_stop_at_the_accumulator(network: Network, bits: int) -> None:
    uniform, full = ProtectionPlan.uniform(network, bits).check(network), ProtectionPlan.full(network).check(network)
    for _, layer in network.compute_layers():
        assert set(uniform.hardened(layer).tolist()) == {min(bits, layer.acc.width)}
        assert set(full.hardened(layer).tolist()) == {layer.acc.width}


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
    spelt_out = ProtectionPlan.of(network, {x.name: plan.hardened(x) for _, x in network.compute_layers()})
    reverse = ProtectionPlan(spelt_out.layers[::-1])
    silent = ProtectionPlan(tuple(p for p in spelt_out.layers if any(p.hardened_bits)))
    assert plan.digest == spelt_out.digest == reverse.digest == silent.digest


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
        {"format": 1, "layers": [{**GOOD, "mechanism": "dmr"}]},
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
