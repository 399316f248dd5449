"""kill -9 during a campaign, a hundred times: the store loses the batch in flight and nothing else."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import killed_campaigns
import numpy as np
import pytest
from killed_campaigns import STUDY, log_of, result_of

from codesign.campaign.store import Store
from codesign.engine.counts import COUNTS, CountArray

KILLS = 100
# From the start of the process on: before the store is opened, in the engine, between and within writes.
LATEST_SECONDS = 0.25
PATIENCE_SECONDS = 120


class Driver:
    """tests/killed_campaigns.py in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def exit_code(self, store: Path, seed: int, seconds: float) -> int:
        """Of a campaign that is killed after so many seconds, unless it has ended before."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{store} {seed} {seconds}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def driver() -> Iterator[Driver]:
    command = [sys.executable, killed_campaigns.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Driver(process)


def found(path: Path) -> CountArray:
    """The trials that a store has. They are the first ones, and no two batches have the same."""
    if not path.exists():  # killed before it was made
        return np.zeros(0, COUNTS)
    with Store(path, STUDY) as store:
        pieces = [rows for key in store.campaigns() for _, rows in store.batches(key)]
    db = sqlite3.connect(path)
    batches = db.execute("select first, count from batch order by first").fetchall()
    db.close()
    ends = [first + count for first, count in batches]
    assert [first for first, _ in batches] == [0, *ends][: len(batches)]
    rows = np.concatenate([np.zeros(0, COUNTS), *pieces])
    assert len(rows) == sum(count for _, count in batches)
    return rows


def check_log(lines: list[str], before: int, after: int) -> bool:
    """One process's batches: nothing that was there is run again, nothing kept is gone. True where one was in flight.

    What is killed between the commit and the line that tells of it is there and not told.
    """
    told, flying = before, 0
    for word, first, count in map(str.split, lines):
        assert int(first) == told
        flying = int(count) if word == "begun" else 0
        told += int(count) if word == "kept" else 0
    assert after in (told, told + flying)
    return flying > 0


@pytest.mark.slow
def test_a_hundred_kills(tmp_path: Path) -> None:
    generator, kills, seed, flying = random.Random(5), 0, 0, 0
    with driver() as campaigns:
        while kills < KILLS:
            seed += 1  # a fast machine ends a campaign before that and begins the next
            path, logged, rows = tmp_path / f"{seed}.sqlite", 0, np.zeros(0, COUNTS)
            whole = killed_campaigns.run(seed)
            while not result_of(path).exists():
                last = kills == KILLS
                seconds = PATIENCE_SECONDS if last else generator.uniform(0, LATEST_SECONDS)
                code = campaigns.exit_code(path, seed, seconds)
                assert code in ((0,) if last else (0, -signal.SIGKILL))
                kills += code != 0
                before, rows = rows, found(path)
                assert len(rows) >= len(before) and np.array_equal(rows, whole.counts[: len(rows)])
                lines = log_of(path).read_text().splitlines() if log_of(path).exists() else []
                flying += check_log(lines[logged:], len(before), len(rows))
                logged = len(lines)
            assert json.loads(result_of(path).read_text()) == whole.to_json()
    assert flying > 0  # some came while a batch was being written
