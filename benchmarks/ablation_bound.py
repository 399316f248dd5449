"""What bounds an ablation: the cheapest design of a discretised space that meets the study's requirements.

The space: every network of the study's algorithm layer that is accurate enough without faults, with each number of
hardened bits in all neurons alike, and with budgets up to the end of the study's range, each some percent above the one
before. Designs are attacked by rising cost, so the first that meets the requirements, also in a fresh campaign, is the
cheapest of all: no search can find a better one in this space.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from codesign.campaign.store import Store
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import estimate
from codesign.search.choice import in_json
from codesign.search.evaluate import Evaluator
from codesign.study import Design, Study, Variable, load_study


def values(variable: Variable | None) -> list[Any]:
    """The choices of a list; a variable that is no list has one."""
    return [None] if variable is None else list(variable.values) or [variable.first]


def designs(study: Study, levels: int) -> Iterator[Design]:
    """The discretised space."""
    space = study.space
    most = (
        max(values(space.protection_budget), default=0.0)
        if space.protection_budget.values
        else (space.protection_budget.high or 0.0)
    )
    names = ("weight_bits", "activation_bits", "accumulator_bits", "truncation")
    for chosen in product(*(values(getattr(space, name)) for name in names)):
        widths = dict(zip(names, chosen, strict=True))
        widths["activation_bits"] = widths["activation_bits"] or widths["weight_bits"]
        bare = Design(**widths, important_fraction=1.0, hardened_bits_important=0, hardened_bits_normal=0)
        yield bare
        for bits in range(1, int(space.hardened_bits_important.high or 0) + 1):
            yield replace(bare, hardened_bits_important=bits, hardened_bits_normal=bits)
        for level in range(levels if most else 0):
            yield replace(bare, protection_budget=most * 0.005 ** (level / max(levels - 1, 1)))


def by_cost(evaluator: Evaluator, levels: int) -> list[tuple[int, int, Design]]:
    """LUT, protection LUT and design of every accelerator that is accurate enough, the cheapest first."""
    found: dict[tuple[str, ...], tuple[int, int, Design]] = {}
    wanted, plain = evaluator.study.requirements.accuracy_clean or 0.0, dict[str, int]()
    for design in designs(evaluator.study, levels):
        if evaluator.trained(design).accuracy_clean < wanted:
            continue
        network, plan = evaluator.protected(design)
        lut = estimate(network, plan).report.lut or 0
        plain.setdefault(network.digest, estimate(network, ProtectionPlan()).report.lut or 0)
        found.setdefault((network.digest, plan.digest), (lut, lut - plain[network.digest], design))
    return sorted(found.values(), key=lambda one: one[:2])


def cheapest(evaluator: Evaluator, levels: int) -> dict[str, Any]:
    """The first design by rising cost that meets the requirements twice."""
    wanted, candidates = evaluator.study.requirements.accuracy_faulty or 0.0, by_cost(evaluator, levels)
    for number, (lut, protection, design) in enumerate(candidates):
        if evaluator.evaluate(design, every_trial=True).accuracy_faulty.low < wanted:
            continue
        confidence = evaluator.study.faults.confidence
        fresh = in_json(evaluator.fresh_campaign(*evaluator.protected(design), confidence))
        if fresh["low"] >= wanted:
            known = {"designs": len(candidates), "attacked": number + 1, "accuracy_faulty": fresh}
            return {"lut": lut, "protection_lut": protection, **known, "design": design.to_json()}
    return {"lut": None, "protection_lut": None, "designs": len(candidates), "attacked": len(candidates)}


def main() -> None:
    """Print the cheapest design and how many there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--ber", type=float, help="of the faults [the study's]")
    parser.add_argument("--levels", type=int, default=60, help="budgets for each network [60]")
    parser.add_argument("--out", type=Path, help="folder that keeps finished trials [none]")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    study = load_study(options.study)
    if options.ber is not None:
        study = replace(study, faults=study.faults.model_copy(update={"ber": options.ber, "n_flips": None}))
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        with Store(folder / "bound.sqlite") as store:
            found = cheapest(Evaluator(study, store), options.levels)
    if options.json:
        return print(json.dumps(found, indent=1))
    for key, value in found.items():
        print(f"{key:<16} {value}")
    return None


if __name__ == "__main__":
    main()
