"""What all evaluations say together: the Pareto front, the objective, which constraint binds."""

from dataclasses import replace

import pytest
from evaluations import evaluation
from hypothesis import given
from hypothesis import strategies as st

from codesign.board.boards import Board
from codesign.campaign.statistics import Interval
from codesign.resources.report import ResourceReport
from codesign.search import summary
from codesign.search.evaluation import Evaluation
from codesign.search.front import front
from codesign.search.objective import cost_of
from codesign.study import ObjectiveSection

SMALL = st.integers(0, 3)


def figures(lut: int, dsp: int, latency: int, accuracy: int, feasible: bool = True) -> Evaluation:
    mean = 0.9 + accuracy / 100
    return evaluation(
        resources=ResourceReport(lut, 0, dsp, 0, latency, 1, 5.0, "estimate", "test"),
        accuracy_faulty=Interval(mean, mean, mean, 0.95),
        margins={"accuracy_faulty": 0.0 if feasible else -0.1},
    )


def better(one: Evaluation, other: Evaluation) -> bool:
    """Nowhere worse and somewhere better."""
    pairs = [
        (one.resources.lut, other.resources.lut),
        (one.resources.dsp, other.resources.dsp),
        (one.resources.latency_cycles, other.resources.latency_cycles),
        (-one.accuracy_faulty.mean, -other.accuracy_faulty.mean),
    ]
    return all((a or 0) <= (b or 0) for a, b in pairs) and any(a != b for a, b in pairs)


@given(st.lists(st.builds(figures, SMALL, SMALL, SMALL, SMALL, st.booleans()), max_size=12))
def test_the_front_is_what_nothing_beats(found: list[Evaluation]) -> None:
    by_number = dict(enumerate(found))
    shown = {entry["id"] for entry in front(by_number)}
    feasible = {number for number, one in by_number.items() if one.feasible}
    assert shown <= feasible and bool(shown) == bool(feasible)
    for number in feasible:
        beaten = any(better(by_number[other], by_number[number]) for other in feasible)
        assert (number in shown) != beaten


def test_the_front_is_ordered_and_gives_its_figures() -> None:
    found = front({3: figures(200, 0, 5, 3), 7: figures(100, 0, 5, 1), 8: figures(300, 1, 6, 0)})
    assert [entry["id"] for entry in found] == [7, 3]
    assert found[0] == {
        "id": 7, "lut": 100, "dsp": 0, "latency_cycles": 5,
        "accuracy_faulty": {"mean": 0.91, "low": 0.91, "high": 0.91, "confidence": 0.95},
    }  # fmt: skip


# ---------------------------------------------------------------- objective

BOARD = Board("b", "xc7z020clg400-1", "zynq7000", 1000, 2000, 10, 4, 5.0, 64, "vitis", "")
REPORT = ResourceReport(300, 100, 5, 0, 12, 1, 5.0, "estimate", "test")


@pytest.mark.parametrize(
    ("given_objective", "cost"),
    [
        ({}, 300 + 100 * 5),
        ({"dsp": 0}, 300),
        ({"lut": 0, "dsp": 0, "ff": 2.0}, 200),
        ({"latency_cycles": 10}, 300 + 500 + 120),
        ({"scarcest": True}, 0.5 * 1000),
        ({"scarcest": True, "latency_cycles": 1}, 500 + 12),
    ],
)
def test_the_objective_weighs(given_objective: dict[str, float], cost: float) -> None:
    assert cost_of(REPORT, ObjectiveSection(**given_objective), BOARD) == cost


def test_the_objective_weighs_bit_changes() -> None:
    assert cost_of(REPORT, ObjectiveSection(lut=0, dsp=0, energy=0.5), BOARD, 3000.0) == 1500
    assert cost_of(REPORT, ObjectiveSection(dsp=0, energy=1), BOARD, 10.0) == 310
    assert cost_of(REPORT, ObjectiveSection(dsp=0), BOARD, 10.0) == 300


def test_what_the_board_lacks_is_dearer_than_all_of_it() -> None:
    without = replace(BOARD, bram_18k=0)
    objective = ObjectiveSection(scarcest=True)
    assert cost_of(REPORT, objective, without) == 500
    assert cost_of(replace(REPORT, bram_18k=1), objective, without) >= 1000


# ---------------------------------------------------------------- what binds


def missing(**margins: float) -> Evaluation:
    return evaluation(margins={"accuracy_faulty": 0.1, "capacity": 0.1, "latency_cycles": 0.1, **margins})


def test_the_constraint_that_nothing_meets_binds() -> None:
    found = [missing(latency_cycles=-0.1), missing(latency_cycles=-0.2, capacity=-3.0), missing(latency_cycles=-0.05)]
    assert summary.binding(found) == "latency_cycles"
    seen = summary.constraints(found)
    assert seen["latency_cycles"] == {"met_by": 0, "alone_missed_by": 2, "best_margin": -0.05}
    assert seen["capacity"] == {"met_by": 2, "alone_missed_by": 0, "best_margin": 0.1}


def test_of_two_the_one_missed_alone_binds() -> None:
    both = {"capacity": -0.1, "accuracy_faulty": -0.1}
    found = [missing(**both), missing(capacity=-0.1), missing(accuracy_faulty=-0.5), missing(**both)]
    assert summary.binding([*found, missing(capacity=-0.1)]) == "capacity"
    assert summary.binding([*found, missing(accuracy_faulty=-0.1)]) == "accuracy_faulty"


def test_the_nearest_miss_the_least() -> None:
    found = {n: missing(capacity=-margin) for n, margin in enumerate((0.4, 0.1, 0.3, 0.2))}
    assert [entry["id"] for entry in summary.nearest(found)] == [1, 3, 2]
    assert summary.nearest(found)[0] == {"id": 1, "broken": ["capacity"], "violation": 0.1}


def test_trials_saved_and_time_spent() -> None:
    found = [
        evaluation(trials=trials, seconds_by_stage={"campaigns": 1.0, name: 2.0})
        for trials, name in ((25, "training"), (200, "estimate"), (25, "training"))
    ]
    assert summary.trials(found, 200) == {
        "run": 250, "without_stages": 600, "evaluations_by_trials": {"25": 2, "200": 1},
    }  # fmt: skip
    assert summary.seconds(found) == {"campaigns": 3.0, "training": 4.0, "estimate": 2.0}
