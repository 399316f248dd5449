"""Laws of selection under a budget: never over it, never less for more, and the best bits first."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import SEEDS, mixed_network, networks, small_network

from codesign.errors import ConfigError
from codesign.network import Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan
from codesign.resources.estimate import estimate
from codesign.vulnerability import BudgetSelection, Scores

_SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
SCOPES = st.sampled_from(["network", "layer"])


def random_rates(network: Network, seed: int) -> Scores:
    """A third of all bits does no harm."""
    generator = np.random.default_rng(seed)
    found = {}
    for _, layer in network.compute_layers():
        shape = (layer.neurons, layer.acc.width)
        found[layer.name] = generator.random(shape) * (generator.random(shape) < 2 / 3)
    return found


def made_up(network: Network, seed: int) -> Callable[[ProtectionPlan], float]:
    """A cost that rises with every bit, with a part for a neuron that is hardened at all and one for its layer."""
    generator = np.random.default_rng(seed)
    parts = {layer.name: generator.integers(1, 30, (3, layer.neurons)) for _, layer in network.compute_layers()}

    def cost(plan: ProtectionPlan) -> float:
        total = 1000.0
        for of_layer in plan.layers:
            bits = np.array(of_layer.hardened_bits)
            once, a_bit, _ = parts[of_layer.layer]
            total += float((once * (bits > 0) + a_bit * bits).sum()) + 20 * bool(bits.any())
        return total

    return cost


def bits_of(network: Network, plan: ProtectionPlan) -> np.ndarray:
    return np.concatenate([plan.hardened(layer) for _, layer in network.compute_layers()])


@settings(_SLOW, max_examples=40)
@given(networks(max_layers=4), SEEDS, st.lists(st.floats(0, 1.2), min_size=2, max_size=4), SCOPES)
def test_never_over_the_budget_and_never_less_for_more(
    network: Network, seed: int, shares: list[float], scope: str
) -> None:
    cost = made_up(network, seed)
    selection = BudgetSelection(network, random_rates(network, seed), cost)
    plans = []
    for share in sorted(shares):
        plan = selection.plan(share * selection.full_cost, scope).check(network)
        assert cost(plan) - cost(ProtectionPlan()) <= share * selection.full_cost + 1e-9
        plans.append(bits_of(network, plan))
    assert all((less <= more).all() for less, more in pairwise(plans))
    assert not bits_of(network, selection.plan(0.0, scope)).any()


@settings(_SLOW, max_examples=5)
@given(SEEDS, st.sampled_from([Mechanism.TMR, Mechanism.DMR, Mechanism.RECOMPUTE]), SCOPES, st.floats(0, 1))
def test_the_estimate_stays_within_the_budget(seed: int, mechanism: Mechanism, scope: str, share: float) -> None:
    network = small_network()
    like = LayerPlan("", (), mechanism, dot_size=2 if mechanism is Mechanism.RECOMPUTE else 0)

    def cost(plan: ProtectionPlan) -> float:
        lut = estimate(network, plan).report.lut
        assert lut is not None
        return lut

    selection = BudgetSelection(network, random_rates(network, seed), cost, like)
    plan = selection.plan(share * selection.full_cost, scope)
    assert cost(plan) - cost(ProtectionPlan()) <= share * selection.full_cost
    assert all(of_layer.mechanism is mechanism for of_layer in plan.layers)


@settings(_SLOW, max_examples=15)
@given(SEEDS)
def test_where_steps_end_with_the_budget_no_plan_of_that_cost_removes_more(seed: int) -> None:
    """Against every plan of two neurons; the cost has no part that neurons share."""
    network = small_network()
    layer = network.layers[2]
    generator = np.random.default_rng(seed)
    rates = random_rates(network, seed)
    kept = np.zeros_like(rates["fc1"])
    kept[:2] = rates["fc1"][:2]
    rates = {"fc0": np.zeros_like(rates["fc0"]), "fc1": kept}
    prices = generator.integers(1, 9, layer.neurons)

    def cost(plan: ProtectionPlan) -> float:
        return float(sum((prices * p.hardened_bits).sum() for p in plan.layers if p.layer == "fc1"))

    def removed(bits: tuple[int, int]) -> float:
        return sum(kept[neuron, layer.acc.width - h :].sum() for neuron, h in enumerate(bits) if h)

    selection = BudgetSelection(network, rates, cost)
    every = [(a, b) for a in range(layer.acc.width + 1) for b in range(layer.acc.width + 1)]
    for budget in range(0, int(selection.full_cost), 11):
        plan = selection.plan(budget)
        spent = cost(plan)
        best = max(removed(bits) for bits in every if prices[:2] @ np.array(bits) <= spent)
        assert removed(tuple(plan.hardened(layer)[:2])) == pytest.approx(best, abs=1e-9)


def test_bits_that_do_no_harm_are_not_hardened() -> None:
    network = small_network()
    rates = {layer.name: np.zeros((layer.neurons, layer.acc.width)) for _, layer in network.compute_layers()}
    rates["fc0"][3, 9] = 0.5
    plan = BudgetSelection(network, rates, made_up(network, 1)).plan(1e9)
    assert plan.hardened(network.layer("fc0")).tolist() == [0, 0, 0, 14 - 9, 0]
    assert not plan.hardened(network.layer("fc1")).any()


def test_scopes_differ() -> None:
    """One layer alone is vulnerable by far; with a budget a layer the other gets its part all the same."""
    network = mixed_network()
    rates = {name: values * 1e-6 for name, values in random_rates(network, 1).items()}
    first = network.compute_layers()[0][1]
    rates[first.name] = rates[first.name] * 1e6
    selection = BudgetSelection(network, rates, made_up(network, 1))
    whole, split = (selection.plan(0.3 * selection.full_cost, scope) for scope in ("network", "layer"))
    assert bits_of(network, whole)[first.neurons :].sum() < bits_of(network, split)[first.neurons :].sum()


def test_what_does_not_fit_is_refused() -> None:
    network = small_network()
    selection = BudgetSelection(network, random_rates(network, 0), made_up(network, 0))
    for budget in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match="protection budget"):
            selection.plan(budget)
    with pytest.raises(ConfigError, match="vulnerability of layer 'fc0' has shape"):
        BudgetSelection(network, {"fc0": np.zeros((5, 3))}, made_up(network, 0))


@settings(_SLOW, max_examples=20)
@given(SEEDS, st.lists(st.tuples(st.floats(0, 1), SCOPES), min_size=2, max_size=5))
def test_what_was_asked_before_changes_no_plan_and_nothing_is_priced_twice(
    seed: int, asked: list[tuple[float, str]]
) -> None:
    network, priced = mixed_network(), list[str]()
    rates, cost = random_rates(network, seed), made_up(network, seed)

    def noted(plan: ProtectionPlan) -> float:
        priced.append(plan.digest)
        return cost(plan)

    used = BudgetSelection(network, rates, noted)
    for share, scope in asked:
        budget = share * used.full_cost
        assert used.plan(budget, scope) == BudgetSelection(network, rates, cost).plan(budget, scope)
    before = len(priced)
    for share, scope in asked:
        used.plan(share * used.full_cost, scope)
    assert len(priced) == before
