"""Trials handed to workers: the same counts as one process, whatever order they come in and whoever dies."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
from hypothesis import given
from hypothesis import strategies as st
from stores import kept, numbered, stored
from test_campaign import INPUTS, LABELS, MODEL, NETWORK, PLAN, campaign

from codesign.campaign import child
from codesign.campaign.processes import Processes
from codesign.campaign.requirement import Status
from codesign.campaign.shards import Release, release, run_shard
from codesign.campaign.store import Store
from codesign.campaign.task import Task
from codesign.campaign.workers import Done, Lost, spread
from codesign.errors import ConfigError, MismatchError, ToolError, WorkersError
from codesign.files import digest_of
from codesign.network import forward

TASK = Task(NETWORK, PLAN, MODEL, INPUTS, LABELS, forward(NETWORK, INPUTS)[-1])
# Nothing here takes a minute; a test that hangs is to fail.
PATIENCE = 60.0


# ---------------------------------------------------------------- what a worker is sent


@pytest.mark.parametrize("simulator", ["engine", "reference"])
def test_a_task_is_the_same_on_the_other_side(simulator: Any) -> None:
    task = replace(TASK, simulator=simulator)
    again = Task.from_bytes(task.to_bytes())
    assert again.key == task.key
    assert np.array_equal(again.golden, task.golden)
    whole = campaign(20, simulator=simulator).counts
    description = task.to_bytes()
    rows, seconds = run_shard(digest_of(description), description, 5, 12)
    assert np.array_equal(rows, whole[5:12]) and seconds > 0


@pytest.mark.parametrize("cut", [0, 10, -10])
def test_a_damaged_task_is_refused(cut: int) -> None:
    description = TASK.to_bytes()
    with pytest.raises(ConfigError, match="description is damaged"):
        Task.from_bytes(description[:cut])
    with pytest.raises(ConfigError, match="damaged on its way"):
        run_shard("other digest", description, 0, 1)


def test_an_engine_that_computes_something_else_is_refused() -> None:
    with pytest.raises(MismatchError, match="other fault-free logits"):
        replace(TASK, golden=TASK.golden + 1).open(threads=1)


def test_errors_pass_from_process_to_process() -> None:
    error = pickle.loads(pickle.dumps(ToolError("g++ failed", ["g++", "x"], Path("log"))))
    assert (str(error), error.command, error.log) == ("g++ failed (log: log)", ["g++", "x"], Path("log"))


def test_a_release_is_its_version_interface_and_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    here = release()
    assert here == Release(*here) and here.unlike(here) == "" and here.version in str(here)
    assert here._replace(version="0.0.9").unlike(here) == f"runs codesign 0.0.9, this is {here.version}"
    assert "no compiled engine" in here._replace(engine=None).unlike(here)
    assert "sources abc" in here._replace(sources="abc").unlike(here)


# ---------------------------------------------------------------- the coordinator, with workers that obey a test


class Obedient:
    """Workers that finish, end and join as drawn numbers say."""

    def __init__(self, choice: random.Random, slots: int, deaths: int, after: float = 0.0) -> None:
        self._choice, self._deaths, self._count = choice, deaths, 3
        self._there = {f"w{n}": slots for n in range(self._count)}
        self._given: list[tuple[str, range]] = []
        self.most = 0

    def begin(self, task: Task) -> None:
        self._given.clear()

    def slots(self) -> dict[str, int]:
        return dict(self._there)

    def submit(self, worker: str, shard: range) -> None:
        assert len(shard) and worker in self._there
        self._given.append((worker, shard))
        self.most = max(self.most, len(self._given))

    def wait(self, *, block: bool = True) -> list[Done | Lost]:
        assert self._given
        if self._deaths and self._choice.random() < 0.3:
            return [self._death()]
        taken = self._choice.sample(self._given, self._choice.randint(1, len(self._given)))
        self._given = [given for given in self._given if given not in taken]
        return [Done(worker, shard, numbered(shard), self._choice.random()) for worker, shard in taken]

    def _death(self) -> Lost:
        self._deaths -= 1
        worker, shard = self._choice.choice(self._given)
        if self._choice.random() < 0.3:
            self._given.remove((worker, shard))
            return Lost(worker, "failed", shard)
        self._given = [given for given in self._given if given[0] != worker]
        self._there[f"w{self._count}"] = self._there.pop(worker)
        self._count += 1
        return Lost(worker, "ended")


def ranges_from(lengths: list[tuple[int, int]]) -> list[range]:
    """Ranges in order with gaps between them."""
    found, end = [], 0
    for gap, length in lengths:
        found.append(range(end + gap, end + gap + length))
        end = found[-1].stop
    return found


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 3000)), min_size=1, max_size=4).map(ranges_from),
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_every_trial_is_given_once_whoever_dies(ranges: list[range], seed: int, slots: int, deaths: int) -> None:
    workers, told = Obedient(random.Random(seed), slots, deaths), []
    pieces = list(spread(workers, TASK, ranges, told.append))
    for first, rows in pieces:
        assert np.array_equal(rows, numbered(range(first, first + len(rows))))
    trials = sorted(trial for first, rows in pieces for trial in range(first, first + len(rows)))
    assert trials == [trial for given in ranges for trial in given]
    assert told[-1] == len(trials) and told == sorted(told)
    assert workers.most <= 2 * 3 * slots


def test_a_shard_that_ends_three_workers_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    class Deadly(Obedient):
        def wait(self, *, block: bool = True) -> list[Done | Lost]:
            running = dict(reversed(self._given))  # what each worker was given first
            for worker, shard in running.items():
                if 700 in shard:
                    self._given = [given for given in self._given if given[0] != worker]
                    return [Lost(worker, "was ended by SIGKILL")]
            # Each does what it was given in that order.
            worker, shard = self._choice.choice(list(running.items()))
            self._given.remove((worker, shard))
            return [Done(worker, shard, numbered(shard), 0.1)]

    with pytest.raises(WorkersError, match=r"^trials \d+\.\.\d+ failed on 3 workers and are given up") as error:
        list(spread(Deadly(random.Random(1), 1, 0), TASK, [range(5000)]))
    first, last = map(int, str(error.value).split()[1].split(".."))
    assert first <= 700 <= last and "w" in str(error.value)
    assert capsys.readouterr().err.count("was ended by SIGKILL") == 2


def test_an_interrupt_gives_what_is_finished() -> None:
    class Interrupting(Obedient):
        def wait(self, *, block: bool = True) -> list[Done | Lost]:
            if block and self.most >= 6:
                raise KeyboardInterrupt
            return super().wait(block=block)

    found = spread(Interrupting(random.Random(3), 1, 0), TASK, [range(5000)])
    first, rows = next(found)
    assert np.array_equal(rows, numbered(range(first, first + len(rows))))
    with pytest.raises(KeyboardInterrupt):
        list(found)


# ---------------------------------------------------------------- processes


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    with Processes(2) as workers:
        yield workers


def children(of: int) -> list[int]:
    """Processes that it started."""
    lists = [path.read_text() for path in Path(f"/proc/{of}/task").glob("*/children")]
    return [int(pid) for text in lists for pid in text.split()]


def interpreters(of: int) -> list[int]:
    """Those of them that are workers."""
    found = []
    for pid in children(of):
        with suppress(OSError):
            if b"codesign.campaign.processes" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.mark.parametrize(("simulator", "trials"), [("engine", 3000), ("reference", 60), ("engine", 1)])
def test_workers_count_as_one_process_does(two: Processes, simulator: str, trials: int) -> None:
    assert campaign(trials, simulator=simulator, workers=two) == campaign(trials, simulator=simulator, threads=1)


def test_workers_stop_where_one_process_does(two: Processes) -> None:
    arguments: dict[str, Any] = {"requirements": ["accuracy>=0.5@0.99"], "stop_when_decided": True}
    alone = campaign(20_000, **arguments)
    assert alone.trials < 20_000 and alone.verdicts()[0][1] is Status.MET
    assert campaign(20_000, **arguments, workers=two) == alone


def test_the_store_holds_the_same_rows(two: Processes, tmp_path: Path) -> None:
    with Store(tmp_path / "one.sqlite") as one, Store(tmp_path / "two.sqlite") as other:
        campaign(2000, store=one)
        campaign(500, store=other, workers=two)
        campaign(1500, store=other)
        assert campaign(2000, store=other, workers=two) == campaign(2000, store=one)
        assert np.array_equal(kept(other, TASK.key), kept(one, TASK.key))


def test_a_worker_that_is_killed_is_replaced(two: Processes, capsys: pytest.CaptureFixture[str]) -> None:
    killed: list[int] = []

    def kill(done: int) -> None:
        if done > 1000 and len(killed) < 2:
            killed.append(next(pid for pid in interpreters(os.getpid()) if pid not in killed))
            os.kill(killed[-1], signal.SIGKILL)

    assert campaign(60_000, workers=two, progress=kill) == campaign(60_000)
    assert len(killed) == 2
    assert capsys.readouterr().err.count("was ended by SIGKILL") == 2
    studies.until(lambda: len(interpreters(os.getpid())) == 2)


def test_an_interrupt_behind_an_answer_does_not_make_the_next_one_that_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    receive, heard = Connection.recv, iter(range(100))

    def interrupted(pipe: Connection) -> Any:
        found = receive(pipe)
        if next(heard) == 3:
            raise KeyboardInterrupt  # what was read is lost
        return found

    right = campaign(5000).counts
    with Processes(1) as one:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "recv", interrupted)
            pieces = []
            with pytest.raises(KeyboardInterrupt):
                pieces.extend(spread(one, TASK, [range(5000)]))
        for first, rows in pieces:
            assert np.array_equal(rows, right[first : first + len(rows)])
        assert campaign(5000, workers=one) == campaign(5000)  # which go on


def test_an_error_of_a_worker_is_that_of_the_campaign(two: Processes) -> None:
    with pytest.raises(MismatchError, match="other fault-free logits"):
        list(spread(two, replace(TASK, golden=TASK.golden + 1), [range(5)]))
    assert campaign(40, workers=two) == campaign(40)  # they go on


def test_workers_that_cannot_start_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_PROGRAM", "raise SystemExit(7)")
    with Processes(1) as workers, pytest.raises(WorkersError, match=r"^trials 0\.\.0 failed .*ended with exit code 7"):
        campaign(5, workers=workers)


def test_numbers_of_workers_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="0 workers"):
        Processes(0)
    with Processes(1) as workers, pytest.raises(ConfigError, match="choose one"):
        campaign(5, workers=workers, threads=2)


@pytest.mark.cxx
def test_workers_run_the_csim(two: Processes) -> None:
    assert campaign(12, simulator="csim", workers=two) == replace(campaign(12), simulator="csim")


# ---------------------------------------------------------------- the command


def running(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A campaign of two workers that has kept some trials, and the workers."""
    study = studies.write_study(folder)
    process = studies.start(
        "campaign", study, "--verify", "0", "--workers", "2", "--trials", "100000000", "--out", folder / "run"
    )
    studies.until(lambda: stored(folder / "run" / "study.sqlite"))
    return process, studies.until(lambda: interpreters(process.pid))


def same_as_alone(folder: Path) -> None:
    """What is kept goes on as one process has it."""
    trials = str(max(50, stored(folder / "run" / "study.sqlite") // 10))
    command = ("campaign", folder / "tiny.toml", "--verify", "0", "--trials", trials, "--json", "--out")
    resumed, alone = (studies.codesign(*command, folder / run) for run in ("run", "alone"))
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout) == json.loads(alone.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc; run it on Linux")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_worker_outlives_its_campaign(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process, workers = running(tmp_path)
    assert len(workers) == 2
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    if number == signal.SIGINT:
        assert "interrupted; everything that was finished is kept" in errors and "Traceback" not in errors
    studies.until(lambda: all(map(studies.ended, workers)), 10)
    same_as_alone(tmp_path)


def test_workers_and_a_cluster_at_once_are_refused(tmp_path: Path) -> None:
    done = studies.codesign("campaign", studies.write_study(tmp_path), "--workers", "2", "--dask", "tcp://host:8786")
    assert done.returncode == 2 and "choose one of the two" in studies.refusal(done.stderr)
