"""What the report says about why: which variables mattered, and where designs were rejected. Plain values, no HTML."""

from dataclasses import dataclass

from codesign.report import facts
from codesign.report.facts import Document

# Below it the model foretells little of what was measured, so that what it says of variables is worth little.
_SKILLED = 0.5
_STAGES = {
    "training": "its network: accuracy without faults",
    "estimate": "the estimate: latency or board capacity",
    "short campaign": "a short campaign",
    "whole campaign": "the whole campaign",
    "long campaign": "the long campaign after the search",
    "fresh campaign": "the fresh campaign after the search",
    "evaluation": "its evaluation, which failed",
}
QUANTITIES = {"cost": "cost", "accuracy_faulty": "accuracy under faults"}


@dataclass(frozen=True)
class Rejected:
    """Designs that were rejected alike: at which stage, for what, between how much and how much is missing."""

    stage: str
    reason: str
    designs: list[int]
    least: str
    most: str


def rejected(result: Document) -> list[Rejected]:
    """Groups of rejected designs, those of the earliest stage first; empty for runs that say nothing about it."""
    groups: dict[tuple[str, str], list[tuple[int, float, str]]] = {}
    for outcome in result["explanation"]["outcomes"]:
        if outcome["outcome"] == "failed":
            groups.setdefault(("evaluation", outcome["reason"]), []).append((outcome["id"], 0.0, ""))
        for name, margin in outcome.get("missed", {}).items():
            group = groups.setdefault((_stage_of(name, outcome["stage"]), facts.label(name)), [])
            group.append((outcome["id"], margin, facts.shortfall(name, -margin)))
    order = list(_STAGES)
    found = []
    for (stage, reason), members in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        by_margin = sorted(members, key=lambda member: member[1])
        numbers = [number for number, _, _ in members]
        found.append(Rejected(_STAGES[stage], reason, numbers, by_margin[0][2], by_margin[-1][2]))
    return found


def _stage_of(constraint: str, stage: str) -> str:
    """Of a design that misses several constraints, each has the stage at which it showed."""
    if constraint == "accuracy_clean":
        return "training"
    if constraint in ("latency_cycles", "capacity"):
        return "estimate"
    return "short campaign" if stage in ("training", "estimate") else stage


def dearer(result: Document) -> str:
    """How many designs met everything and were not chosen, in a sentence; empty where there are none."""
    feasible = sum(outcome["outcome"] == "feasible" for outcome in result["explanation"]["outcomes"])
    if not feasible:
        return ""
    return (
        f"{feasible} more met every requirement in the search and {'were' if feasible > 1 else 'was'} not the cheapest."
    )


def quantities(result: Document) -> dict[str, Document]:
    """What can be shown of each quantity, by its key."""
    shown: dict[str, Document] = result["explanation"]["sensitivity"]["quantities"]
    return {name: found for name, found in shown.items() if found["variables"]}


def silent(result: Document) -> list[str]:
    """Why there is nothing to show of some quantities, or of all."""
    told = result["explanation"]["sensitivity"]
    if told["unavailable"]:
        return [f"Which variables mattered cannot be said: {told['unavailable']}."]
    return [
        f"{QUANTITIES[name].capitalize()}: {found['unavailable']}, so no variable mattered."
        for name, found in told["quantities"].items()
        if found["unavailable"]
    ]


def trust(result: Document) -> list[str]:
    """How well the model foretells the designs that it was not shown."""
    said = []
    for name, found in quantities(result).items():
        skill = found["skill"]
        share = facts.percent(max(0.0, skill), 0)
        warning = "" if skill >= _SKILLED else ": too little to believe what is said of single variables"
        said.append(f"Of the variance of {QUANTITIES[name]}, {share} is foretold for a design by the others{warning}.")
    return said


def share(found: Document) -> str:
    """A share of the variance with its interval."""
    low, high = 100 * found["low"], 100 * found["high"]
    return f"{facts.percent(found['median'], 0)} [{low:.0f},{facts.NBSP}{high:.0f}]"


def trend(quantity: str, name: str, dependence: list[Document]) -> str:
    """The partial dependence at both ends of a variable; of a category at its best value and at its worst."""
    ends = [dependence[0], dependence[-1]]
    if isinstance(dependence[0]["value"], str):
        ordered = sorted(dependence, key=lambda one: one["median"])
        ends = [ordered[0], ordered[-1]]
    return ", ".join(f"{_value(quantity, one['median'])} at {facts.setting(name, one['value'])}" for one in ends)


def _value(quantity: str, value: float) -> str:
    return facts.count(value) if quantity == "cost" else facts.percent(value)
