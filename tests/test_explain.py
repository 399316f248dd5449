"""Why a search ended where it did: shares and dependences of variables, where designs were rejected, convergence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import design, evaluation

from codesign.campaign.statistics import Interval
from codesign.report import reasons
from codesign.search.evaluation import Evaluation, Failure
from codesign.search.explain import explanation
from codesign.search.sensitivity import LEAST_EVALUATIONS, sensitivity
from codesign.search.space import Space
from codesign.study import SpaceSection, Study, load_study

TWO: dict[str, Any] = {
    "weight_bits": [4, 6, 8],
    "hardened_bits_important": {"low": 0, "high": 24},
    "importance_scope": ["network", "layer"],
}


def evaluated(space: Space, count: int) -> list[Evaluation]:
    """Cost follows from the weight bits and a little from the hardened bits, accuracy from the hardened bits alone."""
    found = []
    for point in space.sample(count, np.random.default_rng(7)):
        one = space.design(point)
        cost = 1000.0 * one.weight_bits + 10.0 * one.hardened_bits_important
        accuracy = 0.9 + 0.002 * one.hardened_bits_important
        interval = Interval(accuracy, accuracy - 0.005, accuracy + 0.005, 0.95)
        found.append(evaluation(cost=cost, design=one, accuracy_faulty=interval))
    return found


def shares(found: dict[str, Any], quantity: str) -> dict[str, dict[str, float]]:
    return {one["name"]: one["share"] for one in found["quantities"][quantity]["variables"]}


def test_variables_that_decide_have_the_variance() -> None:
    space = Space(SpaceSection(**TWO))
    found = sensitivity(space, evaluated(space, 30), seed=1)
    cost, accuracy = shares(found, "cost"), shares(found, "accuracy_faulty")
    assert cost["weight_bits"]["median"] > 0.8
    assert accuracy["hardened_bits_important"]["low"] > 0.8
    assert cost["importance_scope"]["high"] < 0.1 > accuracy["importance_scope"]["high"]
    for quantity in ("cost", "accuracy_faulty"):
        assert found["quantities"][quantity]["skill"] > 0.9
        names = [one["name"] for one in found["quantities"][quantity]["variables"]]
        assert names == sorted(names, key=lambda name: -shares(found, quantity)[name]["median"])
        for share in shares(found, quantity).values():
            assert 0 <= share["low"] <= share["median"] <= share["high"] <= 1


def test_dependence_is_the_function_where_it_is_known() -> None:
    space = Space(SpaceSection(**TWO))
    found = sensitivity(space, evaluated(space, 30), seed=1)["quantities"]["accuracy_faulty"]["variables"][0]
    assert [point["value"] for point in found["dependence"]] == [0, 3, 6, 9, 12, 15, 18, 21, 24]
    for point in found["dependence"]:
        assert point["low"] <= 0.9 + 0.002 * point["value"] <= point["high"]
        assert point["high"] <= 1


def test_few_evaluations_leave_much_unknown() -> None:
    space = Space(SpaceSection(**TWO))
    many = shares(sensitivity(space, evaluated(space, 30), seed=1), "cost")
    few = shares(sensitivity(space, evaluated(space, LEAST_EVALUATIONS), seed=1), "cost")
    width = {name: few[name]["high"] - few[name]["low"] for name in few}
    assert width["weight_bits"] > many["weight_bits"]["high"] - many["weight_bits"]["low"]


def test_the_same_evaluations_explain_alike() -> None:
    space = Space(SpaceSection(**TWO))
    assert sensitivity(space, evaluated(space, 8), seed=1) == sensitivity(space, evaluated(space, 8), seed=1)


def test_one_variable_explains_everything() -> None:
    space = Space(SpaceSection(hardened_bits_important={"low": 0, "high": 24}))
    found = shares(sensitivity(space, evaluated(space, 12), seed=1), "accuracy_faulty")
    assert list(found) == ["hardened_bits_important"]
    assert found["hardened_bits_important"]["median"] > 0.9


@pytest.mark.parametrize(
    ("space", "count", "said"),
    [
        (SpaceSection(), 9, "no variable is searched"),
        (SpaceSection(**TWO), LEAST_EVALUATIONS - 1, f"{LEAST_EVALUATIONS - 1} evaluations, and at least"),
    ],
)
def test_nothing_to_learn_from_is_said(space: SpaceSection, count: int, said: str) -> None:
    found = sensitivity(Space(space), [evaluation(number) for number in range(count)], seed=1)
    assert found["unavailable"].startswith(said)
    assert found["quantities"] == {}


def test_what_never_changes_has_no_variables() -> None:
    space = Space(SpaceSection(**TWO))
    alike = [replace(one, cost=5.0) for one in evaluated(space, 8)]
    assert sensitivity(space, alike, seed=1)["quantities"]["cost"]["unavailable"] == "the same in every evaluation"


def test_free_designs_have_dependences_too() -> None:
    """A cost of zero has no logarithm."""
    space = Space(SpaceSection(**TWO))
    free = [replace(one, cost=one.cost - 4000.0) for one in evaluated(space, 30)]
    points = sensitivity(space, free, seed=1)["quantities"]["cost"]["variables"][0]["dependence"]
    assert [round(point["median"], -3) for point in points] == [0, 2000, 4000]


@pytest.fixture
def study() -> Study:
    return load_study(Path(__file__).parent.parent / "models" / "digits_mlp.toml")


def outcomes(study: Study, found: list[Evaluation], **more: Any) -> dict[int, dict[str, Any]]:
    given = {"failed": {}, "chosen": None, "missed": [], **more}
    document = explanation(study, dict(enumerate(found)), **given)
    return {outcome["id"]: outcome for outcome in document["outcomes"]}


def test_each_design_has_its_outcome_and_stage(study: Study) -> None:
    trials = study.faults.trials
    late = {"id": 4, "low": 0.94, "trials": 800, "campaign": "fresh"}
    wanted = study.requirements.accuracy_faulty
    assert wanted is not None
    found = [
        evaluation(0, trials=25),
        evaluation(1, accuracy=0.9, trials=25),
        evaluation(2, accuracy=0.955, trials=trials),
        evaluation(3, margins={"accuracy_clean": -0.02, "accuracy_faulty": -0.3, "capacity": 0.5}),
        evaluation(4),
        evaluation(5, margins={"accuracy_faulty": 0.01, "capacity": -0.25}),
    ]
    seen = outcomes(study, found, chosen=0, missed=[late], failed={6: Failure(design(6), "too wide")})
    assert [seen[n]["outcome"] for n in range(7)] == [
        *("chosen", "rejected", "rejected", "rejected", "missed_later", "rejected", "failed")
    ]
    assert [seen[n]["stage"] for n in range(1, 7)] == [
        *("short campaign", "whole campaign", "training", "fresh campaign", "estimate", "evaluation")
    ]
    assert seen[1]["missed"] == {"accuracy_faulty": pytest.approx(0.06)}
    assert seen[3]["missed"] == {"accuracy_clean": 0.02, "accuracy_faulty": 0.3}
    assert seen[4]["missed"] == {"accuracy_faulty": pytest.approx(wanted - 0.94)}
    assert seen[5]["missed"] == {"capacity": 0.25}


def test_convergence_has_the_best_so_far_and_starting_designs(study: Study) -> None:
    space = Space(study.space)
    start = [space.design(point) for point in space.starting(study.search.initial, study.seed)]
    found = [
        evaluation(0, cost=90, accuracy=0.9, design=start[0]),
        evaluation(1, cost=80, design=start[1]),
        evaluation(2, cost=85),
        evaluation(3, cost=70),
    ]
    steps = explanation(study, dict(enumerate(found)), {}, None, [])["convergence"]
    assert [step["best_cost"] for step in steps] == [None, 80, 80, 70]
    assert [step["best"] for step in steps] == [None, 1, 1, 3]
    assert [step["starting"] for step in steps] == [True, True, False, False]


def test_rejected_designs_are_told_by_stage(study: Study) -> None:
    found = [
        evaluation(0, accuracy=0.9, trials=25),
        evaluation(1, accuracy=0.92, trials=25),
        evaluation(2, margins={"accuracy_clean": -0.02, "accuracy_faulty": -0.3, "capacity": 0.5}),
        evaluation(3),
    ]
    result = {"explanation": explanation(study, dict(enumerate(found)), {4: Failure(design(4), "too wide")}, None, [])}
    assert [(group.stage, group.reason, group.designs) for group in reasons.rejected(result)] == [
        ("its network: accuracy without faults", "accuracy without faults", [2]),
        ("a short campaign", "accuracy under faults", [0, 1, 2]),
        ("its evaluation, which failed", "too wide", [4]),
    ]
    assert reasons.rejected(result)[1].least == "4\u00a0points"
    assert reasons.rejected(result)[1].most == "30\u00a0points"
    assert reasons.dearer(result) == "1 more met every requirement in the search and was not the cheapest."
    assert reasons.silent(result) == [
        "Which variables mattered cannot be said: 4 evaluations, and at least 5 are needed."
    ]
