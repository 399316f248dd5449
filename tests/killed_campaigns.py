"""A campaign that is killed again and again; test_store_kills.py says when, and looks at what is left.

Of each line of standard input, `STORE SEED SECONDS`, the campaign goes on in a process of its own, which gets SIGKILL
after so many seconds; its exit code is printed. The process is a fork, so that Python starts once and not a hundred
times.
"""

import json
import multiprocessing
import os
import sys
from pathlib import Path

from networks import small_inputs, small_network

import codesign.campaign.batches as batches_module
from codesign.campaign import CampaignResult, run_campaign
from codesign.campaign.key import CampaignKey
from codesign.campaign.store import Store
from codesign.engine.counts import CountArray
from codesign.faults import FaultModel, Target
from codesign.files import write_atomically
from codesign.network import forward
from codesign.protection import ProtectionPlan

TRIALS = 200_000
NETWORK, INPUTS = small_network(), small_inputs(200)
STUDY = {"name": "killed"}
# Many batches, so that many kills hit one that is just being written.
BATCH_SECONDS = 0.01


class LoggedStore(Store):
    """Says in a file beside it which batch it is about to keep, and which one it has kept."""

    def add_batch(self, key: CampaignKey, first: int, rows: CountArray) -> None:
        self._log(f"begun {first} {len(rows)}")
        super().add_batch(key, first, rows)
        self._log(f"kept {first} {len(rows)}")

    def _log(self, line: str) -> None:
        with log_of(self.path).open("ab", buffering=0) as file:
            file.write(f"{line}\n".encode())


def log_of(store: Path) -> Path:
    return store.with_suffix(".log")


def result_of(store: Path) -> Path:
    return store.with_suffix(".json")


def run(seed: int, store: Store | None = None) -> CampaignResult:
    """The whole campaign, or what is missing of it."""
    model = FaultModel((Target.ACCUMULATOR, Target.WEIGHT), ber=2e-3, seed=seed)
    labels = forward(NETWORK, INPUTS)[-1].argmax(axis=1)
    return run_campaign(NETWORK, ProtectionPlan(), model, INPUTS, labels, trials=TRIALS, threads=1, store=store)


def go_on(path: Path, seed: int) -> None:
    """Until the end, which is a file with the result."""
    batches_module.BATCH_SECONDS = BATCH_SECONDS
    with LoggedStore(path, STUDY) as store:
        result = run(seed, store)
    write_atomically(result_of(path), json.dumps(result.to_json()))


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    for line in sys.stdin:
        path, seed, seconds = line.split()
        process = multiprocessing.get_context("fork").Process(target=go_on, args=(Path(path), int(seed)))
        process.start()
        process.join(float(seconds))
        process.kill()
        process.join()
        print(process.exitcode, flush=True)


if __name__ == "__main__":
    main()
