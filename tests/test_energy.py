"""The proxy of energy: bits of adders that change from one inference to the next."""

from pathlib import Path

import numpy as np
import pytest
from networks import small_inputs, small_network
from studies import write_study

from codesign.campaign.store import Store
from codesign.fixed import MAX_WIDTH, FixedPoint
from codesign.network import Layer, Network, Parameter
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan
from codesign.search.energy import Energy, changes, copies, toggles
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Evaluation
from codesign.search.folder import identity
from codesign.search.protect import hardened_alike
from codesign.study import load_study
from codesign.vulnerability.injection import uses

INPUTS, SUM = FixedPoint.parse("ufixed<3,3>"), FixedPoint.parse("fixed<5,5>")


def one_neuron() -> Network:
    """Two inputs of three bits, of which the neuron gives the sum, in five bits."""
    ones = Parameter(np.ones((2, 1), int), FixedPoint.parse("fixed<2,2>"))
    none = Parameter(np.zeros(1, int), FixedPoint.parse("fixed<2,2>"))
    return Network("n", INPUTS, (Layer.dense("a", ones, none, SUM),))


def test_toggles_are_counted_by_bit() -> None:
    """Sums 0, 1, 3, 3: one change of each of the lowest two bits in three steps."""
    found = toggles(one_neuron(), np.array([[0, 0], [1, 0], [1, 2], [2, 1]]))
    assert found["a"].tolist() == [[1 / 3, 1 / 3, 0, 0, 0]]


def test_negative_sums_change_their_sign_bits() -> None:
    none = one_neuron().layers[0].b
    minus = Parameter(-np.ones((2, 1), int), FixedPoint.parse("fixed<2,2>"))
    negative = Network("n", INPUTS, (Layer.dense("a", minus, none, SUM),))
    assert toggles(negative, np.array([[0, 0], [1, 0]]))["a"].tolist() == [[1, 1, 1, 1, 1]]


def test_one_sample_changes_nothing() -> None:
    assert toggles(one_neuron(), np.array([[3, 3]]))["a"].tolist() == [[0] * 5]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (LayerPlan("a", (0,)), [1, 1, 1, 1, 1]),
        (LayerPlan("a", (2,)), [1, 1, 1, 3, 3]),
        (LayerPlan("a", (5,), Mechanism.DMR), [2, 2, 2, 2, 2]),
        (LayerPlan("a", (1,), Mechanism.RECOMPUTE, dot_size=1), [3, 3, 3, 3, 3]),
        (LayerPlan("a", (0,), Mechanism.RECOMPUTE, dot_size=1), [1, 1, 1, 1, 1]),
    ],
)
def test_copies_of_each_bit(plan: LayerPlan, expected: list[int]) -> None:
    assert copies(one_neuron().layers[0], plan).tolist() == [expected]


def test_full_tmr_changes_three_times_as_much_and_parts_lie_between() -> None:
    network = small_network()
    shares = toggles(network, small_inputs(30))
    plain = changes(network, ProtectionPlan(), shares)
    grown = [changes(network, ProtectionPlan.uniform(network, bits), shares) for bits in range(MAX_WIDTH)]
    assert plain > 0
    assert grown == sorted(grown)
    assert (grown[0], grown[-1]) == (plain, pytest.approx(3 * plain))
    assert plain == pytest.approx(sum(uses(layer) * shares[layer.name].sum() for _, layer in network.compute_layers()))


def test_a_network_is_measured_once() -> None:
    network, energy = small_network(), Energy()
    first = energy.proxy(network, ProtectionPlan(), lambda: small_inputs(30))
    again = energy.proxy(network, ProtectionPlan(), lambda: pytest.fail("it was measured already"))
    assert first == again > 0


def test_the_evaluator_weighs_it(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path, ("[space]", "[objective]\nlut = 0\ndsp = 0\nenergy = 2\n[space]")))
    with Store(tmp_path / "s.sqlite", identity(study)) as store:
        evaluator = Evaluator(study, store)
        design = study.space.design({v.name: v.first for v in study.space.searched})
        plain, full = (evaluator.evaluate(hardened_alike(design, bits)) for bits in (0, MAX_WIDTH))
    assert plain.energy_proxy is not None
    assert plain.cost == 2 * plain.energy_proxy > 0
    assert full.cost == pytest.approx(3 * plain.cost)
    assert Evaluation.from_json(plain.to_json()) == plain


def test_runs_without_it_stay_the_same_run(tmp_path: Path) -> None:
    plain = load_study(write_study(tmp_path / "a"))
    weighed = load_study(write_study(tmp_path / "b", ("[space]", "[objective]\nenergy = 2\n[space]")))
    assert "objective.energy" not in identity(plain)
    assert identity(weighed)["objective.energy"] == 2
