"""Workers that are processes of this machine.

Each is an interpreter of its own with a pipe to this one, so that the death of one is seen at once and costs nothing of
the others' work, a script needs no `if __name__ == "__main__"`, and a worker ends by itself when its pipe does: also
when this process is killed. (A ProcessPoolExecutor loses all workers with one, and cannot say which shard did it.)
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Any

from codesign.campaign.shards import run_shard
from codesign.campaign.simulators import open_simulator
from codesign.campaign.task import Task
from codesign.campaign.workers import Done, Lost
from codesign.errors import CodesignError, ConfigError
from codesign.files import digest_of

_POLL_SECONDS = 1.0
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from codesign.campaign.processes import serve
serve(int(sys.argv[2]))
"""
# One thread a worker: the workers are the parallelism.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Processes:
    """So many worker processes, with one thread each; one that ends is replaced."""

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ConfigError(f"{count} workers: at least one is needed")
        self._count, self._started = count, 0
        self._workers: dict[str, _Worker] = {}
        self._task = ("", b"")

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()

    def begin(self, task: Task) -> None:
        if task.simulator == "csim":
            open_simulator(task.simulator, task.network, task.plan, task.raw)  # compiled once, for all
        description = task.to_bytes()
        self._task = (digest_of(description), description)
        for worker in self._workers.values():
            worker.begin(self._task)
        self._fill()

    def _fill(self) -> None:
        fresh: dict[str, _Worker] = {}
        while len(self._workers) + len(fresh) < self._count:
            self._started += 1
            fresh[f"worker {self._started}"] = _Worker()
        for worker in fresh.values():  # all are on their way before the first is waited for
            worker.begin(self._task)
        self._workers |= fresh

    def slots(self) -> Mapping[str, int]:
        return dict.fromkeys(self._workers, 1)

    def submit(self, worker: str, shard: range) -> None:
        self._workers[worker].submit(shard)

    def wait(self, *, block: bool = True) -> list[Done | Lost]:
        spoke = wait([worker.pipe for worker in self._workers.values()], _POLL_SECONDS if block else 0)
        found = [self._heard(name) for name, worker in list(self._workers.items()) if worker.pipe in spoke]
        self._fill()
        return [event for event in found if event]

    def _heard(self, name: str) -> Done | Lost | None:
        worker = self._workers[name]
        try:
            answer = worker.answer()
        except (EOFError, OSError):
            return Lost(name, self._workers.pop(name).end(_POLL_SECONDS))
        if answer is None:
            return None
        shard, result = answer
        if isinstance(result, CodesignError):
            raise result
        return Done(name, shard, *result)


class _Worker:
    """One process, seen from here."""

    def __init__(self) -> None:
        self.pipe, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), str(number)],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # results stand there
                process_group=0,  # Ctrl-C is for this process alone
                env={**os.environ, **_ONE_THREAD},
            )
        self._task: object = None
        self._given: list[tuple[object, range]] = []

    def begin(self, task: tuple[str, bytes]) -> None:
        self._task = task
        self._send(task)

    def submit(self, shard: range) -> None:
        self._given.append((self._task, shard))
        self._send(shard)

    def _send(self, what: object) -> None:
        with suppress(OSError):  # it has ended, which `answer` will say
            self.pipe.send(what)

    def answer(self) -> tuple[range, Any] | None:
        """A shard and what became of it; None if nobody asks for it any more. Raises EOFError or OSError at its end."""
        result = self.pipe.recv()
        task, shard = self._given.pop(0)
        return (shard, result) if task is self._task else None

    def end(self, patience_s: float = 0.0) -> str:
        """End it, if it does not end by itself, and say how it did."""
        self.pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self._process.kill()
        code = self._process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def serve(number: int) -> None:
    """Run what comes through the pipe of that number, until it ends."""
    task = ("", b"")
    with Connection(number) as pipe, suppress(EOFError, OSError):
        while True:
            given = pipe.recv()
            if isinstance(given, range):
                pipe.send(_result(task, given))
            else:
                task = given


def _result(task: tuple[str, bytes], shard: range) -> object:
    try:
        return run_shard(*task, shard.start, shard.stop)
    except CodesignError as error:
        return error
    except OSError as error:
        # Not to be taken for the end of the pipe.
        return ConfigError(f"a worker cannot run trials: {error}")
