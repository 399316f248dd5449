"""How often a search returns a design that misses its requirement, on problems whose truth is known.

Loop, stages, choice and searcher are those of `codesign optimize`; the designs are those of models/digits_mlp.toml. In
the place of networks and faults stands a smooth function: cost and true accuracy under faults rise with every bit and
neuron that is hardened, so that the cheapest designs that pass are close to the requirement (`steep`), or all designs
are (`flat`). A trial's share of harmed samples has a Beta distribution, skewed as in real campaigns: most trials hurt
little, a few a lot. Every design has trials of its own, the worst case for choosing among many.

Rules that are compared, on the same searches: `fresh` is `codesign optimize`; `search` takes the cheapest design that
passed its staged campaign; `mean` the cheapest one whose measured mean passed.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from timing import parser_of, table

from codesign.campaign.statistics import Interval, rate_interval
from codesign.fixed import Ints
from codesign.progress import console
from codesign.resources.report import ResourceReport
from codesign.search.choice import choose
from codesign.search.evaluate import FRESH_TIMES
from codesign.search.evaluation import Evaluation
from codesign.search.loop import Here, Loop
from codesign.search.problem import Known, Problem, Searcher
from codesign.search.searchers import searcher_of
from codesign.search.space import Space
from codesign.search.stages import Staged, looks, measure
from codesign.study import Design, Study, load_study

STUDY = Path(__file__).resolve().parent.parent / "models" / "digits_mlp.toml"
SAMPLES = 360
CLEAN = {4: 0.962, 6: 0.972, 8: 0.976}
CONCENTRATION = 12.0  # of a trial's share of harmed samples; the less the more skewed


def hardening(design: Design) -> tuple[float, float]:
    """Share of the harm that is removed, and hardened bits a neuron."""
    fraction = design.important_fraction
    kinds = (fraction**0.6, design.hardened_bits_important), (1 - fraction**0.6, design.hardened_bits_normal)
    removed = sum(share * (1 - 0.72**bits) for share, bits in kinds)
    bits = fraction * design.hardened_bits_important + (1 - fraction) * design.hardened_bits_normal
    return removed, bits


def steep(design: Design) -> float:
    """Mean share of samples that were right and are not under faults: unprotected networks lose up to ten points."""
    return 0.012 * design.weight_bits * (1 - hardening(design)[0]) + 0.002


def flat(design: Design) -> float:
    """The same where every design is within a point of the requirement, so that luck decides which ones pass."""
    return 1 - (0.947 + 0.009 * hardening(design)[0] ** 12) / CLEAN[design.weight_bits]


HARMS = {"steep": steep, "flat": flat}


def cost(design: Design) -> int:
    """In LUTs."""
    return round(1000 * design.weight_bits + 180 * hardening(design)[1] * design.weight_bits / 4)


@dataclass(frozen=True, eq=False)
class Trials:
    """Right answers of each trial."""

    correct: Ints

    def interval(self, metric: str, confidence: float | None = None) -> Interval:
        assert metric == "accuracy" and confidence is not None
        return rate_interval(self.correct, SAMPLES, confidence)


@dataclass(frozen=True)
class Synthetic:
    """The study's problem with one of these functions in the place of its networks."""

    study: Study
    harm: Callable[[Design], float]

    def true_accuracy(self, design: Design) -> float:
        """Mean over all fault sets."""
        return CLEAN[design.weight_bits] * (1 - self.harm(design))

    def signature(self, design: Design) -> tuple[str, str, str, int]:
        return str(design.weight_bits), design.digest, *design.structure

    def known(self, design: Design) -> Known:
        return Known(cost(design), self._exact(design))

    def _exact(self, design: Design) -> dict[str, float]:
        wanted = self.study.requirements.accuracy_clean
        assert wanted is not None
        return {"accuracy_clean": CLEAN[design.weight_bits] - wanted, "capacity": 1 - cost(design) / 274_080}

    def attack(self, design: Design, series: int) -> Callable[[int], Trials]:
        """Campaigns of a length, all of which begin alike; `series` 1 are the fresh ones."""
        generator = np.random.default_rng((self.study.seed, series, int(design.digest[:15], 16)))
        mean, most = self.harm(design), FRESH_TIMES * self.study.faults.trials
        harmed = generator.beta(mean * CONCENTRATION, (1 - mean) * CONCENTRATION, most)
        correct = generator.binomial(SAMPLES, CLEAN[design.weight_bits] * (1 - harmed))
        return lambda trials: Trials(correct[:trials])

    def evaluate(self, design: Design, *, every_trial: bool = False) -> Evaluation:
        faults, wanted = self.study.faults, self.study.requirements.accuracy_faulty
        views, exact = looks(faults.trials, faults.confidence), self._exact(design)
        views = views[-1:] if every_trial else views[:1] if min(exact.values()) < 0 else views
        found = measure(self.attack(design, 0), wanted, faults.confidence, views)
        faulty = found.interval("accuracy")
        return Evaluation(
            design=design,
            network=str(design.weight_bits),
            plan=design.digest,
            accuracy_clean=CLEAN[design.weight_bits],
            accuracy_faulty=faulty,
            sdc1=faulty,
            trials=found.stages[-1].trials,
            resources=ResourceReport(cost(design), None, 0, None, 1, 1, 5.0, "estimate", "synthetic"),
            lut_by_cause={},
            cost=cost(design),
            margins={**exact, "accuracy_faulty": faulty.low - (wanted or 0.0)},
            seconds=0.0,
            stages=found.stages,
        )

    def fresh(self, evaluation: Evaluation, confidence: float) -> Staged[Trials]:
        trials = FRESH_TIMES * self.study.faults.trials
        wanted = self.study.requirements.accuracy_faulty
        return measure(self.attack(evaluation.design, 1), wanted, confidence, looks(trials, confidence, trials // 2))


@dataclass(frozen=True)
class RandomSearch:
    """Points drawn at random, the quickest searcher there is."""

    space: Space
    seed: int

    def ask(self, history: Sequence[Evaluation], pending: Sequence[Design], problem: Problem) -> Design | None:
        del problem
        number = len(history) + len(pending)
        return self.space.design(self.space.sample(1, np.random.default_rng((self.seed, number)))[0])


def search(problem: Synthetic, searcher: Searcher, evaluations: int) -> dict[str, Any]:
    """One search, and what each rule returns: shortfall of the truth and cost over the cheapest design that holds."""
    study, wanted = problem.study, problem.study.requirements.accuracy_faulty
    assert wanted is not None
    loop = Loop(searcher, lambda _: problem, Here(problem.evaluate), lambda *_: None)
    history = [found for found in loop.run(evaluations, {}).values() if isinstance(found, Evaluation)]
    chosen = choose(
        history,
        wanted,
        study.faults.confidence,
        lambda found: problem.evaluate(found.design, every_trial=True),
        problem.fresh,
    )
    passed = [found for found in history if found.feasible]
    by_mean = [
        found for found in history if found.accuracy_faulty.mean >= wanted and found.margins["accuracy_clean"] >= 0
    ]
    holds = [found.cost for found in history if problem.true_accuracy(found.design) >= wanted]
    returned = {
        "fresh": chosen.evaluation if chosen.fresh else None,
        "search": min(passed, key=lambda found: found.cost, default=None),
        "mean": min(by_mean, key=lambda found: found.cost, default=None),
    }
    return {
        "tried": 1 + len(chosen.missed),
        "trials": sum(found.trials for found in history) / (len(history) * study.faults.trials),
        **{name: _judged(problem, found, wanted, min(holds, default=None)) for name, found in returned.items()},
    }


def _judged(
    problem: Synthetic, found: Evaluation | None, wanted: float, cheapest: float | None
) -> dict[str, float] | None:
    if found is None:
        return None
    shortfall = wanted - problem.true_accuracy(found.design)
    return {"shortfall": shortfall, "cost": found.cost / cheapest if cheapest else float("nan")}


def rows_of(found: list[dict[str, Any]], **about: str) -> list[dict[str, Any]]:
    """One row a rule."""
    rows = []
    for rule in ("fresh", "search", "mean"):
        returned = [one[rule] for one in found if one[rule] is not None]
        short = [one["shortfall"] for one in returned if one["shortfall"] > 0]
        rows.append(
            {
                **about,
                "rule": rule,
                "searches": len(found),
                "returned": len(returned),
                "missing": len(short),
                "worst_points": 100 * max(short, default=0.0),
                "median_cost": float(np.median([one["cost"] for one in returned if one["shortfall"] <= 0] or [0.0])),
                "tried": float(np.mean([one["tried"] for one in found])),
                "trials_share": float(np.mean([one["trials"] for one in found])),
            }
        )
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """A table in Markdown."""
    head = ["problem", "searcher", "rule", "searches", "returned", "missing", "worst, points", "cost", "trials"]
    lines = [
        [
            row["problem"],
            row["searcher"],
            row["rule"],
            str(row["searches"]),
            str(row["returned"]),
            str(row["missing"]),
            f"{row['worst_points']:.2f}",
            f"{row['median_cost']:.3f}",
            f"{row['trials_share']:.0%}",
        ]
        for row in rows
    ]
    return table([head, *lines])


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "few searches")
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--evaluations", type=int, default=32)
    parser.add_argument("--searcher", choices=("default", "random"), action="append")
    parser.add_argument("--problem", choices=HARMS, action="append")
    options = parser.parse_args()
    console.quiet = True
    study, rows = load_study(STUDY), []
    count, evaluations = (2, 14) if options.quick else (options.searches, options.evaluations)
    for name in options.problem or HARMS:
        for by in options.searcher or ("default", "random"):
            found = []
            for seed in range(count):
                seeded = replace(study, seed=seed)
                searcher = searcher_of(seeded) if by == "default" else RandomSearch(Space(study.space), seed)
                found.append(search(Synthetic(seeded, HARMS[name]), searcher, evaluations))
            rows += rows_of(found, problem=name, searcher=by)
    print(json.dumps({"rows": rows}, indent=1) if options.json else as_text(rows))


if __name__ == "__main__":
    main()
