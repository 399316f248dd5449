"""Why a search ended where it did: what became of each design and when that was clear, and which variables mattered."""

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.search.evaluation import Evaluation, Failure
from codesign.search.sensitivity import sensitivity
from codesign.search.space import Space
from codesign.study import Study

# Which stage finds a constraint missed that needs no campaign.
_EXACT = {"accuracy_clean": "training", "latency_cycles": "estimate", "capacity": "estimate"}


def explanation(
    study: Study,
    found: Mapping[int, Evaluation],
    failed: Mapping[int, Failure],
    chosen: int | None,
    missed: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The part `explanation` of a result document.

    `chosen` is the number of the design that holds, None where none does; `missed` the designs that passed in the
    search and not in a longer campaign, as `missed_fresh_campaign` has them.
    """
    space = Space(study.space)
    later = {miss["id"]: miss for miss in missed}
    outcomes = [_outcome(study, number, one, number == chosen, later.get(number)) for number, one in found.items()]
    outcomes += [{"id": n, "outcome": "failed", "stage": "evaluation", "reason": f.reason} for n, f in failed.items()]
    return {
        "sensitivity": sensitivity(space, list(found.values()), study.seed),
        "outcomes": sorted(outcomes, key=lambda outcome: outcome["id"]),
        "convergence": _convergence(study, space, found),
    }


def _outcome(
    study: Study, number: int, one: Evaluation, chosen: bool, later: Mapping[str, Any] | None
) -> dict[str, Any]:
    """`missed` holds by how much, in shares of one; `stage` is where that was clear, after `trials` of the campaign."""
    document: dict[str, Any] = {"id": number, "stage": _stage(study, one), "trials": one.trials}
    document["missed"] = {name: -margin for name, margin in one.margins.items() if margin < 0}
    document["looks"] = len(one.stages)
    if chosen:
        return {**document, "outcome": "chosen"}
    if later is not None:
        wanted = study.requirements.accuracy_faulty or 0.0
        missed = {"accuracy_faulty": wanted - later["low"]}
        return {
            **document,
            "outcome": "missed_later",
            "missed": missed,
            "trials": later["trials"],
            "stage": f"{later.get('campaign', 'fresh')} campaign",
        }
    return {**document, "outcome": "feasible" if one.feasible else "rejected"}


def _stage(study: Study, one: Evaluation) -> str:
    """The first stage at which a design's outcome was clear."""
    exact = [_EXACT.get(name, "estimate") for name in one.broken if name != "accuracy_faulty"]
    if exact:
        return "training" if "training" in exact else "estimate"
    return "short campaign" if one.trials < study.faults.trials else "whole campaign"


def _convergence(study: Study, space: Space, found: Mapping[int, Evaluation]) -> list[dict[str, Any]]:
    """Every evaluation in order, whether it is a starting design, and the cost of the best feasible one so far."""
    starting = {space.design(point) for point in space.starting(study.search.initial, study.seed)}
    steps, best, best_number = [], None, None
    for number, one in sorted(found.items()):
        if one.feasible and (best is None or one.cost < best):
            best, best_number = one.cost, number
        steps.append(
            {
                "id": number,
                "starting": one.design in starting,
                "feasible": one.feasible,
                "trials": one.trials,
                "cost": one.cost,
                "best": best_number,
                "best_cost": best,
            }
        )
    return steps
