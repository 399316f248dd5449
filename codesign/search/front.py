"""The feasible designs that no other one beats in everything at once."""

from collections.abc import Mapping
from typing import Any

from codesign.search.evaluation import Evaluation

Figures = tuple[float, ...]


def front(evaluations: Mapping[int, Evaluation]) -> list[dict[str, Any]]:
    """The Pareto front of all feasible evaluations over LUTs, DSPs, latency and accuracy under faults.

    Ordered by LUTs. Accuracy is the measured mean, which has an interval: designs that lie close may change places.
    """
    feasible = {number: evaluation for number, evaluation in evaluations.items() if evaluation.feasible}
    losses = {number: _losses(evaluation) for number, evaluation in feasible.items()}
    kept = [number for number, own in losses.items() if not any(_beats(other, own) for other in losses.values())]
    return [
        {
            "id": number,
            **{name: getattr(feasible[number].resources, name) for name in ("lut", "dsp", "latency_cycles")},
            "accuracy_faulty": feasible[number].accuracy_faulty.to_json(),
        }
        for number in sorted(kept, key=lambda n: (losses[n], n))
    ]


def _losses(evaluation: Evaluation) -> Figures:
    """The less the better, each."""
    used = evaluation.resources
    return (used.lut or 0, used.dsp or 0, used.latency_cycles or 0, -evaluation.accuracy_faulty.mean)


def _beats(one: Figures, other: Figures) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
