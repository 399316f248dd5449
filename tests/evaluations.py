"""Evaluations of nothing, for tests of what the search makes of them."""

from dataclasses import replace
from typing import Any

from codesign.campaign.statistics import Interval
from codesign.resources.report import ResourceReport
from codesign.search.evaluation import Evaluation
from codesign.study import Design


def design(number: int) -> Design:
    """Another one for each number."""
    return Design(8, 8, number / 1000, 24, 0)


def evaluation(number: int = 0, cost: float = 100.0, accuracy: float = 0.97, **changes: Any) -> Evaluation:
    """Feasible by `accuracy` alone, of which 0.95 are asked; `cost` LUTs."""
    low = accuracy - 0.01
    found = Evaluation(
        design=design(number),
        network="network",
        plan=str(number),
        accuracy_clean=0.98,
        accuracy_faulty=Interval(accuracy, low, accuracy + 0.01, 0.95),
        sdc1=Interval(0.0, 0.0, 0.01, 0.95),
        trials=200,
        resources=ResourceReport(int(cost), 0, 0, 0, 5, 1, 5.0, "estimate", "test"),
        lut_by_cause={},
        cost=cost,
        margins={"accuracy_faulty": low - 0.95, "capacity": 0.5},
        seconds=0.0,
    )
    return replace(found, **changes)
