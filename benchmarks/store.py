"""What a store of a million trials costs: appending at its start and at its end, opening, summing, going on, its size.

The trials come in batches as small as slow campaigns bring them, with counts that are drawn evenly and so hardly
compress; real ones take less room. The times are by the clock and include the disk: each batch is a transaction.
"""

import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from digits import digits_mlp
from timing import on_one_thread, parser_of, significant, table

from codesign.campaign import run_campaign
from codesign.campaign.export import Kept
from codesign.campaign.key import CampaignKey
from codesign.campaign.requirement import OUTCOMES
from codesign.campaign.store import Store
from codesign.engine.counts import COUNTS, CountArray
from codesign.faults import FaultModel, Target
from codesign.protection import ProtectionPlan

TRIALS, BATCH = 1_000_000, 250
QUICK_TRIALS = 10_000
REPETITIONS = 5
# The share of the batches, at the start and at the end, of which the rates are the median.
ENDS = 0.1


def drawn_counts(trials: int, samples: int) -> CountArray:
    """Any number of samples in each column; of outcomes, which exclude each other, up to a third each."""
    generator = np.random.default_rng(0)
    rows = np.empty(trials, COUNTS)
    for name in COUNTS.names or ():
        rows[name] = generator.integers(0, samples // (3 if name in OUTCOMES else 1) + 1, trials)
    return rows


def append(path: Path, key: CampaignKey, rows: CountArray) -> list[float]:
    """Seconds of each batch."""
    found = []
    with Store(path) as store:
        for first in range(0, len(rows), BATCH):
            start = perf_counter()
            store.add_batch(key, first, rows[first : first + BATCH])
            found.append(perf_counter() - start)
    return found


def timed(work: Callable[[], Any]) -> float:
    """Median of the seconds that something takes."""
    found = []
    for _ in range(REPETITIONS):
        start = perf_counter()
        work()
        found.append(perf_counter() - start)
    return statistics.median(found)


def run(trials: int, folder: Path) -> dict[str, Any]:
    """All figures, of a store in a folder."""
    task, plan, model = digits_mlp(), ProtectionPlan(), FaultModel((Target.WEIGHT,), ber=1e-3, seed=1)
    key = CampaignKey.of(task.network, plan, model, task.inputs, task.labels, "engine")
    path, rows = folder / "study.sqlite", drawn_counts(trials, len(task.inputs))
    seconds = append(path, key, rows)
    ends = max(1, int(ENDS * len(seconds)))

    def opened() -> None:
        Store(path).close()

    def summed() -> Kept:
        with Store(path, reading=True) as store:
            return Kept.of(store, key)

    def resumed() -> None:
        with Store(path) as store:
            arguments = (task.network, plan, model, task.inputs, task.labels)
            result = run_campaign(*arguments, trials=trials, store=store)
            assert np.array_equal(result.counts, rows)
            _ = result.accuracy, result.sdc1, result.sdc5, result.outcomes

    assert summed().totals == {name: int(rows[name].sum()) for name in COUNTS.names or ()}
    return {
        "trials": trials,
        "batch": BATCH,
        "columns": len(COUNTS),
        "append_first_s": statistics.median(seconds[:ends]),
        "append_last_s": statistics.median(seconds[-ends:]),
        "open_s": timed(opened),
        "summary_s": timed(summed),
        "resume_s": timed(resumed),
        "bytes": path.stat().st_size,
    }


def as_text(found: dict[str, Any]) -> str:
    """The table, for people."""
    first, last = found["append_first_s"], found["append_last_s"]
    lines = [
        [f"{found['trials']:,} trials, {found['columns']} columns", ""],
        [f"appending {found['batch']} trials, the first tenth of the batches, ms", significant(1e3 * first)],
        ["the last tenth, ms", significant(1e3 * last)],
        ["last over first", significant(last / first)],
        ["opening, ms", significant(1e3 * found["open_s"])],
        ["opening, and the sums of every column, s", significant(found["summary_s"])],
        ["opening, and the campaign again with all intervals, s", significant(found["resume_s"])],
        ["size, MiB", significant(found["bytes"] / 2**20)],
    ]
    return table(lines)


def main() -> None:
    """Measure and print."""
    options = parser_of(__doc__, "few trials").parse_args()
    on_one_thread()
    with tempfile.TemporaryDirectory() as folder:
        found = run(QUICK_TRIALS if options.quick else TRIALS, Path(folder))
    print(json.dumps(found, indent=1) if options.json else as_text(found))


if __name__ == "__main__":
    main()
