"""What all evaluations of a search say together: which constraint binds, what was saved, where the time went."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from codesign.search.evaluation import Evaluation, rank

_NEAREST = 3


def constraints(evaluations: Sequence[Evaluation]) -> dict[str, dict[str, Any]]:
    """For each constraint how many designs meet it, how many miss nothing else, and its largest margin."""
    found = {}
    for name in evaluations[0].margins:
        found[name] = {
            "met_by": sum(evaluation.margins[name] >= 0 for evaluation in evaluations),
            "alone_missed_by": sum(evaluation.broken == [name] for evaluation in evaluations),
            "best_margin": max(evaluation.margins[name] for evaluation in evaluations),
        }
    return found


def binding(evaluations: Sequence[Evaluation]) -> str:
    """The constraint that keeps most designs from being feasible: the one met by the fewest.

    Of those met by equally many, the one that more designs miss and nothing else, then the one missed by more.
    """
    found = constraints(evaluations)
    return min(found, key=lambda n: (found[n]["met_by"], -found[n]["alone_missed_by"], found[n]["best_margin"]))


def nearest(evaluations: Mapping[int, Evaluation]) -> list[dict[str, Any]]:
    """The designs that miss the least, the best first."""
    order = sorted(evaluations, key=lambda number: rank(evaluations[number]))[:_NEAREST]
    return [
        {"id": number, "broken": evaluations[number].broken, "violation": evaluations[number].violation}
        for number in order
    ]


def trials(evaluations: Sequence[Evaluation], asked: int) -> dict[str, Any]:
    """Trials that the evaluations took, and those that campaigns of `asked` trials each would have taken."""
    return {
        "run": sum(evaluation.trials for evaluation in evaluations),
        "without_stages": asked * len(evaluations),
        "evaluations_by_trials": {
            str(size): count for size, count in sorted(Counter(evaluation.trials for evaluation in evaluations).items())
        },
    }


def seconds(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Of all evaluations, in whatever session and process, by stage."""
    total: dict[str, float] = {}
    for evaluation in evaluations:
        for stage, spent in evaluation.seconds_by_stage.items():
            total[stage] = total.get(stage, 0.0) + spent
    return total
