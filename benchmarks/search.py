"""Searchers against the exhaustive optimum of discretised spaces, all on the same budget of evaluations.

Every design of a space is evaluated once by engine and estimate. Then every searcher looks for the cheapest one that
meets the requirements, as `codesign optimize` would: a network is not known before it is evaluated, and all searchers
that have starting designs have the same. Printed for each: by how much the best design that it found costs more than
the optimum; how often it is within 3 %; how far the front of cost and accuracy under faults that its evaluations span
is from the whole front (ADRS, and its share of the hypervolume); and how long it thinks.
"""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from search_table import CASES, Table, table_of
from timing import on_one_thread, parser_of, table

from codesign.campaign.batches import available_cores
from codesign.progress import bar
from codesign.search.evaluation import Evaluation
from codesign.search.searchers import SEARCHERS, searcher_of
from codesign.study import SearchSection

CLOSE = 0.03
INITIAL = 8
Front = list[tuple[float, float]]


@dataclass(frozen=True)
class Search:
    """One search: over the optimum (None if nothing was feasible), evaluations until within 3 %, and its front."""

    excess: float | None
    evaluations_to_close: int | None
    adrs: float
    hypervolume: float
    seconds: float

    @classmethod
    def of(cls, truth: Table, history: Sequence[Evaluation], seconds: float) -> "Search":
        """What a finished search has found."""
        best, close = None, None
        for number, evaluation in enumerate(history, 1):
            if evaluation.feasible and (best is None or evaluation.cost < best):
                best = evaluation.cost
            if close is None and best is not None and best <= (1 + CLOSE) * truth.optimum:
                close = number
        found = [(e.cost, e.accuracy_faulty.mean) for e in history]
        share = hypervolume(found, truth.points) / hypervolume(truth.points, truth.points)
        excess = None if best is None else best / truth.optimum - 1
        return cls(excess, close, adrs(found, truth.points), share, seconds / len(history))


def front(points: Front) -> Front:
    """Points that no other one beats in cost (less) and accuracy (more), by rising cost."""
    found: Front = []
    for cost, accuracy in sorted(points, key=lambda p: (p[0], -p[1])):
        if not found or accuracy > found[-1][1]:
            found.append((cost, accuracy))
    return found


def adrs(found: Front, every: Front) -> float:
    """Average distance from the reference set: of each point of the true front the distance to the nearest found one.

    The distance is the larger of the shares by which cost is higher and accuracy lower, at least zero. Source:
    Zitzler et al. and, in design-space exploration, Palermo et al., "ReSPIR", IEEE TCAD 28 (2009).
    """
    mine = front(found)
    return statistics.mean(
        min(max((c - cost) / cost, (accuracy - a) / accuracy, 0.0) for c, a in mine) for cost, accuracy in front(every)
    )


def hypervolume(found: Front, every: Front) -> float:
    """The area that the points dominate, towards the dearest and the least accurate design there is."""
    dearest, least = max(c for c, _ in every), min(a for _, a in every)
    area, before = 0.0, least
    for cost, accuracy in front(found):
        area += (dearest - cost) * (accuracy - before)
        before = accuracy
    return area


def search(truth: Table, name: str, seed: int, evaluations: int) -> list[Evaluation]:
    """One search to its end."""
    settings = SearchSection(evaluations=evaluations, initial=INITIAL, searcher=name)
    searcher = searcher_of(replace(truth.study, seed=seed, search=settings))
    history: list[Evaluation] = []
    while len(history) < evaluations and (design := searcher.ask(history, [], truth.seen(history))) is not None:
        history.append(truth.evaluate(design))
    return history


def measure(truth: Table, names: Sequence[str], seeds: int, evaluations: int) -> list[dict[str, Any]]:
    """One row a searcher."""
    rows = []
    with bar(f"{truth.case.name}: searches", len(names) * seeds) as advance:
        for place, name in enumerate(names):
            found = []
            for seed in range(seeds):
                start = time.process_time()
                history = search(truth, name, seed, evaluations)
                found.append(Search.of(truth, history, time.process_time() - start))
                advance(place * seeds + seed + 1)
            rows.append(row(truth, name, evaluations, found))
    return rows


def row(truth: Table, name: str, evaluations: int, found: Sequence[Search]) -> dict[str, Any]:
    """Medians over seeds; a search without a feasible design counts as worse than any."""
    excess = [float("inf") if one.excess is None else one.excess for one in found]
    close = [one.evaluations_to_close or evaluations + 1 for one in found]
    middle = statistics.median(excess)
    return {
        "case": truth.case.name,
        "designs": truth.designs,
        "accelerators": len(truth.rows),
        "optimum": truth.optimum,
        "searcher": name,
        "seeds": len(found),
        "evaluations": evaluations,
        "excess": None if middle == float("inf") else middle,
        "excess_worst": None if max(excess) == float("inf") else max(excess),
        "close": sum(one <= CLOSE for one in excess),
        "evaluations_to_close": statistics.median(close) if statistics.median(close) <= evaluations else None,
        "adrs": statistics.median(one.adrs for one in found),
        "hypervolume": statistics.median(one.hypervolume for one in found),
        "seconds": statistics.median(one.seconds for one in found),
    }


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""

    def percent(share: float | None) -> str:
        return "none" if share is None else f"{share:.1%}"

    heads = [
        "space",
        "designs",
        "searcher",
        "over optimum",
        "worst",
        "within 3 %",
        "after",
        "ADRS",
        "hypervolume",
        "s/ask",
    ]
    cells = [
        [
            one["case"],
            str(one["designs"]),
            one["searcher"],
            percent(one["excess"]),
            percent(one["excess_worst"]),
            f"{one['close']}/{one['seeds']}",
            str(one["evaluations_to_close"] or "-"),
            f"{one['adrs']:.4f}",
            percent(one["hypervolume"]),
            f"{one['seconds']:.3f}",
        ]
        for one in rows
    ]
    return table([heads, *cells])


def main() -> None:
    """Print the table."""
    parser = parser_of(__doc__, "a space of a few designs, two seeds, few evaluations")
    real = [name for name in CASES if name != "quick"]
    parser.add_argument("--network", action="append", choices=real, default=[], help=f"the space [{real[0]}]")
    parser.add_argument("--searcher", action="append", choices=SEARCHERS, default=[], help="[all]")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each searcher [20]")
    parser.add_argument("--evaluations", type=int, default=60, help="of each search [60]")
    parser.add_argument("--trials", type=int, default=100, help="fault sets for each design [100]")
    parser.add_argument("--table-seed", type=int, default=1, help="of the faults [1]")
    parser.add_argument("--workers", type=int, default=available_cores(), help="processes that fill the table")
    options = parser.parse_args()
    if options.quick:
        options.network, options.seeds, options.evaluations, options.trials = ["quick"], 2, 10, 20
        options.searcher = options.searcher or ["gp", "random"]
    rows = []
    for name in options.network or real[:1]:
        truth = table_of(CASES[name], options.trials, options.table_seed, options.workers)
        rows += measure(truth, options.searcher or SEARCHERS, options.seeds, options.evaluations)
    print(json.dumps({"rows": rows}, indent=1) if options.json else text(rows))


if __name__ == "__main__":
    on_one_thread()
    main()
