"""Workers that are processes of this machine and run a campaign's shards."""

from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, TypeAlias

from codesign.campaign.child import Child
from codesign.campaign.shards import run_shard
from codesign.campaign.simulators import open_simulator
from codesign.campaign.task import Task
from codesign.campaign.workers import Done, Lost
from codesign.errors import CodesignError, ConfigError
from codesign.files import digest_of

_POLL_SECONDS = 1.0
# A campaign's number among those of these workers, the digest of its description, and that.
_Given: TypeAlias = tuple[int, str, bytes]


class Processes:
    """So many worker processes, with one thread each; one that ends is replaced."""

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ConfigError(f"{count} workers: at least one is needed")
        self._count, self._started = count, 0
        self._workers: dict[str, _Worker] = {}
        self._task: _Given = (0, "", b"")

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
        self._task = (self._task[0] + 1, digest_of(description), description)
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
        pipes = [worker.pipe for worker in self._workers.values()]
        spoke = [pipe for pipe in pipes if pipe.closed] or wait(pipes, _POLL_SECONDS if block else 0)
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


class _Worker(Child):
    """One process, seen from here."""

    def __init__(self) -> None:
        super().__init__(__name__)
        self._campaign = 0

    def begin(self, task: _Given) -> None:
        self._campaign = task[0]
        self.send(task)

    def submit(self, shard: range) -> None:
        self.send(shard)

    def answer(self) -> tuple[range, Any] | None:
        """A shard and what became of it; None if nobody asks for it any more. Raises EOFError or OSError at its end.

        Every answer says what it answers: an interrupt right behind the reading must not make it another shard's.
        """
        campaign, shard, result = self.receive()
        return (shard, result) if campaign == self._campaign else None


def serve(number: int) -> None:
    """Run what comes through the pipe of that number, until it ends."""
    task: _Given = (0, "", b"")
    with Connection(number) as pipe, suppress(EOFError, OSError):
        while True:
            given = pipe.recv()
            if isinstance(given, range):
                pipe.send((task[0], given, _result(task, given)))
            else:
                task = given


def _result(task: _Given, shard: range) -> object:
    try:
        return run_shard(*task[1:], shard.start, shard.stop)
    except CodesignError as error:
        return error
    except OSError as error:
        # Not to be taken for the end of the pipe.
        return ConfigError(f"a worker cannot run trials: {error}")
