"""An ablation: every variant of a study is searched alike, and its best design is attacked by a fresh campaign."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

from codesign.campaign.result import CampaignResult
from codesign.campaign.store import Store
from codesign.errors import ConfigError
from codesign.files import locked, write_atomically
from codesign.network import Network
from codesign.progress import bar, say
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import EstimatePolicy, estimate
from codesign.search.attempt import workplace_of
from codesign.search.choice import choose, in_json
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Evaluation, Failure, Outcome
from codesign.search.folder import RunFolder, identity
from codesign.search.loop import Loop, Workplace
from codesign.search.protect import hardened_alike
from codesign.search.searchers import searcher_of
from codesign.search.seen import SeenNetworks
from codesign.search.stages import Staged
from codesign.search.variants import (
    ALGORITHM,
    CROSS_LAYER,
    DECIDES,
    FULL_TMR,
    SELECTIVE,
    UNPROTECTED,
    VARIANTS,
    Widths,
    check_space,
    unconstrained,
    variant,
)
from codesign.study import MAX_SEED, Design, Study

RESULT_NAME = "ablation.json"
Row = dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """Under which every variant is searched: bit error rates, seeds, and at most so many designs each."""

    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    evaluations: int

    @classmethod
    def of(cls, study: Study, rates: Sequence[float], seeds: int, evaluations: int | None) -> "Conditions":
        """What the study says where nothing is asked. Raises ConfigError for what cannot be compared."""
        if study.requirements.accuracy_faulty is None:
            raise ConfigError(
                f"{study.path}: [requirements] has no accuracy_faulty, at which the variants would be compared"
            )
        if not rates and study.faults.ber is None:
            raise ConfigError(f"{study.path}: [faults] has no ber: give --ber")
        for rate in rates:
            if not 0 < rate <= 1:
                raise ConfigError(f"--ber {rate:g}: expected a bit error rate above 0 and up to 1")
        check_space(study)
        asked = tuple(dict.fromkeys(rates)) or (study.faults.ber or 0.0,)
        if study.seed + seeds - 1 > MAX_SEED:
            raise ConfigError(f"--seeds {seeds}: from the study's seed {study.seed} on, seeds go up to {MAX_SEED}")
        given = tuple(range(study.seed, study.seed + seeds))
        return cls(asked, given, evaluations or study.search.evaluations)


def ablate(study: Study, folder: RunFolder, conditions: Conditions, workers: int = 1) -> dict[str, Any]:
    """Search all variants under all conditions and write the result document, which is given back.

    So many `workers`, processes of this machine, evaluate designs of a variant side by side. Whatever was finished
    before in this folder is not done again. Raises StoreError when the folder belongs to another study.
    """
    rows: list[Row] = []
    cases = list(product(conditions.seeds, conditions.rates))
    hint = "wait for it, or choose another folder with --out"
    with (
        locked(folder.path / ".lock", hint, wait=False),
        Store(folder.store, identity(study)) as store,
        bar("evaluations", len(VARIANTS) * len(cases) * conditions.evaluations) as advance,
    ):
        for seed, rate in cases:
            faults = study.faults.model_copy(update={"ber": rate, "n_flips": None})
            evaluator = Evaluator(replace(study, seed=seed, faults=faults), store)
            with workplace_of(evaluator, folder, workers, study) as workplace:
                rows += _contest(
                    evaluator,
                    workplace,
                    conditions.evaluations,
                    partial(_advance, advance, len(rows) * conditions.evaluations),
                )
    document = {
        "study": study.name,
        "requirements": study.requirements.model_dump(),
        "faults": {**study.faults.model_dump(mode="json"), "ber": list(conditions.rates), "n_flips": None},
        "evaluations": conditions.evaluations,
        "rows": rows,
        "claims": claims(rows),
    }
    write_atomically(folder.path / RESULT_NAME, json.dumps(document, indent=1, sort_keys=True) + "\n")
    return document


def _advance(advance: Callable[[int], None], before: int, done: int) -> None:
    advance(before + done)


def met(rows: Sequence[Row]) -> bool:
    """Whether the designs that all layers chose meet the requirements."""
    return all(row["feasible"] for row in rows if row["variant"] == CROSS_LAYER)


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each rate and seed: what the cross-layer design's protection costs, as a share of other variants'.

    `to_full_tmr` and `to_single_layer` count LUTs over the unprotected reference, `own_...` those over the design's
    own network. None where the other, or the design itself, does not meet the requirements.
    """
    found = []
    for rate, seed in dict.fromkeys((row["ber"], row["seed"]) for row in rows):
        of = {row["variant"]: row for row in rows if (row["ber"], row["seed"]) == (rate, seed)}
        single = [of[name] for name in SELECTIVE if of[name]["feasible"]]
        best = min(single, key=lambda row: row["protection_share"], default=None)
        own, all_layers = of[CROSS_LAYER]["own_share"], of[CROSS_LAYER]["protection_share"]
        base = best["protection_share"] if best and best["protection_share"] else None
        holds = of[CROSS_LAYER]["feasible"]
        found.append(
            {
                "ber": rate,
                "seed": seed,
                "unprotected_fails": not of[UNPROTECTED]["feasible"],
                "feasible": holds,
                "best_single_layer": best["variant"] if best else None,
                "to_full_tmr": all_layers if holds else None,
                "own_to_full_tmr": own if holds else None,
                "to_single_layer": all_layers / base if holds and base else None,
                "own_to_single_layer": own / base if holds and base else None,
            }
        )
    return found


def reference_widths(evaluator: Evaluator) -> Widths:
    """The network that stands unprotected: of those that are only quantised, the cheapest that is accurate enough.

    Who does not think of faults quantises for area. Where none is accurate enough, it is the most accurate one.
    """
    wanted, found = evaluator.study.requirements.accuracy_clean or 0.0, []
    for widths in unconstrained(evaluator.study):
        design = variant(evaluator.study, UNPROTECTED, widths).space.design({})
        missing = max(wanted - evaluator.trained(design).accuracy_clean, 0.0)
        found.append((missing, _luts(evaluator, design), widths))
    return min(found, key=lambda one: one[:2])[2]


def _contest(evaluator: Evaluator, workplace: Workplace, budget: int, advance: Callable[[int], None]) -> list[Row]:
    """A row for each variant at the evaluator's rate and seed."""
    study, rows = evaluator.study, list[Row]()
    reference = reference_widths(evaluator)
    for done, name in enumerate(VARIANTS):
        kind = f"ablate {name} ber={study.faults.ber!r} seed={study.seed}"
        history = _searched(
            variant(study, name, reference),
            evaluator,
            workplace,
            kind,
            budget,
            partial(_advance, advance, done * budget),
        )
        rows.append({"variant": name, "ber": study.faults.ber, "seed": study.seed, **_best(evaluator, history)})
        say(f"{kind}: {_line(rows[-1])}")
    return _with_shares(rows)


def _searched(
    restricted: Study,
    evaluator: Evaluator,
    workplace: Workplace,
    kind: str,
    budget: int,
    advance: Callable[[int], None],
) -> list[Evaluation]:
    """Up to `budget` designs of the restricted space, those of an earlier run first."""
    documents = evaluator.store.evaluations(kind)
    finished: dict[int, Outcome] = {document["id"]: Evaluation.from_json(document) for document in documents}

    kept = set(finished)

    def keep(number: int, outcome: Outcome) -> None:
        if isinstance(outcome, Evaluation):  # what failed is tried again: it fails as fast
            evaluator.store.add_evaluation(kind, number, {"id": number, **outcome.to_json()})
        kept.add(number)
        advance(len(kept))

    loop = Loop(searcher_of(restricted), partial(SeenNetworks, evaluator), workplace, keep)
    outcomes = loop.run(budget, finished).values()
    history = [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]
    if not history:
        reason = next((outcome.reason for outcome in outcomes if isinstance(outcome, Failure)), "its space is empty")
        raise ConfigError(f"{kind}: no design could be evaluated: {reason}")
    return history


def _best(evaluator: Evaluator, history: list[Evaluation]) -> Row:
    """Figures of a variant's best design; accuracy is that of the fresh campaign."""
    faults, wanted = evaluator.study.faults, evaluator.study.requirements.accuracy_faulty or 0.0

    def long(candidate: Evaluation) -> Evaluation:
        return evaluator.evaluate(candidate.design, every_trial=True)

    def attacked(candidate: Evaluation, confidence: float) -> Staged[CampaignResult]:
        return evaluator.fresh_campaign(*evaluator.protected(candidate.design), confidence)

    choice = choose(history, wanted, faults.confidence, long, attacked)
    chosen, fresh = choice.evaluation, choice.fresh or in_json(attacked(choice.evaluation, faults.confidence))
    held = {**chosen.margins, "accuracy_faulty": fresh["low"] - wanted}
    broken = [name for name, margin in held.items() if margin < 0]
    lut = chosen.resources.lut
    assert lut is not None  # the estimate always says
    return {
        "feasible": not broken,
        "broken": broken,
        "lut": lut,
        "dsp": chosen.resources.dsp,
        "latency_cycles": chosen.resources.latency_cycles,
        "protection_lut": lut - _luts(evaluator, hardened_alike(chosen.design, 0)),
        "accuracy_clean": chosen.accuracy_clean,
        "accuracy_faulty": {**fresh, "seed": evaluator.fresh_seed},
        "design": chosen.design.to_json(),
        "network": chosen.network,
        "plan": chosen.plan,
        "evaluations": len(history),
        "missed_fresh_campaign": len(choice.missed),
        "seconds": sum(evaluation.seconds for evaluation in history),
    }


def _luts(evaluator: Evaluator, design: Design) -> int:
    network: Network = evaluator.network(design)
    policy = EstimatePolicy.of(*design.structure)
    report = estimate(network, ProtectionPlan(), clock_ns=evaluator.study.hardware.clock_ns, policy=policy).report
    assert report.lut is not None  # the estimate always says
    return report.lut


def _with_shares(rows: list[Row]) -> list[Row]:
    """Protection in shares of what full TMR of the reference adds to it.

    `protection_share` counts from the unprotected reference, so it is negative where a constraint saves more than
    protection costs; `own_share` counts from the design's own network without protection.
    """
    of = {row["variant"]: row for row in rows}
    plain, full = of[UNPROTECTED]["lut"], of[FULL_TMR]["lut"]
    return [
        {
            **row,
            "protection_share": (row["lut"] - plain) / (full - plain),
            "own_share": row["protection_lut"] / (full - plain),
        }
        for row in rows
    ]


def _line(row: Row) -> str:
    design, faulty = row["design"], row["accuracy_faulty"]
    chosen = ", ".join(f"{name} {design[name]}" for name in DECIDES[ALGORITHM])
    verdict = "feasible" if row["feasible"] else f"misses {', '.join(row['broken'])}"
    return (
        f"{row['lut']} LUT, {row['protection_lut']} of it protection, accuracy under faults {faulty['mean']:.4f} "
        f"[{faulty['low']:.4f}, {faulty['high']:.4f}]  {verdict}  ({chosen}; {row['evaluations']} designs)"
    )
