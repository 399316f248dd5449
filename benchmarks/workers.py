"""How much two worker processes bring over one: the same campaign in turn, by the clock, as a ratio in one run.

Beside it, what the machine gives two processes at all: two campaigns that know nothing of each other, run at once, over
one alone. What is missing to two there is what its cores share.
"""

import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import perf_counter
from typing import Any

from digits import digits_mlp
from timing import on_one_thread, parser_of, significant, table

from codesign.campaign import run_campaign
from codesign.campaign.processes import Processes
from codesign.faults import FaultModel, Target
from codesign.protection import ProtectionPlan

ROUNDS, SECONDS = 7, 4.0
QUICK_ROUNDS, QUICK_SECONDS = 2, 0.3
FAULTS = {
    "weight, BER 1e-4": FaultModel((Target.WEIGHT,), ber=1e-4, seed=1),
    "accumulator, BER 1e-5": FaultModel((Target.ACCUMULATOR,), ber=1e-5, seed=1),
}


def measured(model: FaultModel, rounds: int, seconds: float) -> dict[str, float]:
    """Medians over the rounds: of two workers over one, and of two lone ones at once over one."""
    task, plan = digits_mlp(), ProtectionPlan()

    def spent(workers: Processes, trials: int) -> float:
        start = perf_counter()
        run_campaign(task.network, plan, model, task.inputs, task.labels, trials=trials, workers=workers)
        return perf_counter() - start

    with ExitStack() as stack:
        one, other, two = (stack.enter_context(Processes(count)) for count in (1, 1, 2))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        for workers in (one, other, two):
            spent(workers, 100)  # started, and the network there
        trials = max(100, int(2000 * seconds / spent(one, 2000)))
        shared, possible, rates = [], [], []
        for _ in range(rounds):
            alone = spent(one, trials)
            shared.append(2 * alone / spent(two, 2 * trials))
            start = perf_counter()
            list(pool.map(lambda workers: spent(workers, trials), (one, other)))
            possible.append(2 * alone / (perf_counter() - start))
            rates.append(trials / alone)
    return {
        "trials_per_s": statistics.median(rates),
        "two_over_one": statistics.median(shared),
        "possible": statistics.median(possible),
    }


def as_text(rows: list[dict[str, Any]]) -> str:
    """The table, for people."""
    header = ["faults", "one worker, trials/s", "two workers over one", "two lone processes over one"]
    lines = [
        [row["faults"], *(significant(row[k]) for k in ("trials_per_s", "two_over_one", "possible"))] for row in rows
    ]
    return table([header, *lines])


def main() -> None:
    """Measure and print."""
    options = parser_of(__doc__, "few trials").parse_args()
    on_one_thread()
    amount = (QUICK_ROUNDS, QUICK_SECONDS) if options.quick else (ROUNDS, SECONDS)
    rows = [{"faults": name, **measured(model, *amount)} for name, model in FAULTS.items()]
    print(json.dumps({"rows": rows}, indent=1) if options.json else as_text(rows))


if __name__ == "__main__":
    main()
