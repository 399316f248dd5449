"""Evaluating a design so that its failure is an outcome like any other, in this process or in one of several."""

import os
import queue
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from types import TracebackType

from codesign.campaign.batches import available_cores
from codesign.campaign.child import Child
from codesign.campaign.store import Store
from codesign.errors import CodesignError, ConfigError, ReportError, StoreError, ToolError
from codesign.progress import console
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Failure, Outcome
from codesign.search.folder import RunFolder, identity
from codesign.search.loop import Here, Workplace
from codesign.study import Design, Study

# What one design may suffer from and the next one not. A simulator that differs, a store that is damaged, a full disk
# or a mistake in this package is not the design's fault.
_ITS_OWN = (ConfigError, ToolError, ReportError, MemoryError)


def attempt(evaluator: Evaluator, folder: RunFolder, design: Design) -> Outcome:
    """The evaluation of a design, whose network and plan are kept in the folder, or why there is none."""
    try:
        found = evaluator.evaluate(design)
        folder.keep(*evaluator.protected(design))
    except _ITS_OWN as error:
        return Failure(design, " ".join(str(error).splitlines()) or type(error).__name__)
    return found


def workplace_of(
    evaluator: Evaluator, folder: RunFolder, workers: int, owner: Study
) -> AbstractContextManager[Workplace]:
    """This process, or so many `workers` where they are several; the folder belongs to the study `owner`."""
    if workers > 1:
        return DesignWorkers(evaluator.study, folder, workers, owner)
    return nullcontext(Here(partial(attempt, evaluator, folder)))


@dataclass(frozen=True)
class _Job:
    number: int
    design: Design


@dataclass(frozen=True)
class _Setting:
    """What a worker has to know; the paths are those of this machine."""

    study: Study
    owner: Study
    folder: RunFolder
    threads: int


class DesignWorkers:
    """So many processes of this machine, each evaluating one design at a time; one that ends is replaced.

    They share the run folder and its store. A design whose worker ends, for want of memory or by a crash, counts as
    failed. `owner` is the study that the folder belongs to, where another one of it is evaluated.
    """

    def __init__(self, study: Study, folder: RunFolder, count: int, owner: Study | None = None) -> None:
        if count < 1:
            raise ConfigError(f"{count} workers: at least one is needed")
        self._setting = _Setting(study, owner or study, folder, max(1, available_cores() // count))
        self._count = count
        self._ahead: list[_Job] = []
        self._idle: list[Child] = []
        self._busy: dict[Child, _Job] = {}

    @property
    def in_flight(self) -> int:
        """One more than there are workers: whoever finishes finds the next design there while an older one lasts."""
        return self._count + 1 if self._count > 1 else 1

    def __enter__(self) -> "DesignWorkers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in [*self._idle, *self._busy]:
            worker.end()

    def submit(self, number: int, design: Design) -> None:
        self._ahead.append(_Job(number, design))
        self._give_out()

    def _give_out(self) -> None:
        while self._ahead and len(self._busy) < self._count:
            worker = self._idle.pop() if self._idle else self._started()
            self._busy[worker] = self._ahead.pop(0)
            worker.send(self._busy[worker])

    def _started(self) -> Child:
        worker = Child(__name__)
        worker.send(self._setting)
        return worker

    def wait(self) -> list[tuple[int, Outcome]]:
        spoke = wait([worker.pipe for worker in self._busy])
        found = [self._heard(worker) for worker in list(self._busy) if worker.pipe in spoke]
        self._give_out()
        return found

    def _heard(self, worker: Child) -> tuple[int, Outcome]:
        job = self._busy.pop(worker)
        try:
            outcome = worker.receive()
        except (EOFError, OSError):
            return job.number, Failure(job.design, f"its worker process {worker.end(1.0)}")
        self._idle.append(worker)
        if isinstance(outcome, BaseException):
            raise outcome
        return job.number, outcome


def serve(number: int) -> None:
    """Evaluate the designs that come through the pipe of that number, until it ends."""
    console.quiet = True  # the other process says what there is to say
    with Connection(number) as pipe:
        jobs: queue.SimpleQueue[_Job | _Setting] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(pipe, jobs), daemon=True).start()
        setting = jobs.get()
        assert isinstance(setting, _Setting)
        try:
            with Store(setting.folder.store, identity(setting.owner)) as store:
                _serve(pipe, jobs, Evaluator(setting.study, store, threads=setting.threads), setting.folder)
        except (CodesignError, OSError) as error:
            with suppress(OSError):
                pipe.send(error if isinstance(error, CodesignError) else StoreError(f"a worker failed: {error}"))


def _listen(pipe: Connection, jobs: "queue.SimpleQueue[_Job | _Setting]") -> None:
    """Hear the end of the pipe also in the middle of an evaluation: nobody wants it any more."""
    try:
        while True:
            jobs.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)


def _serve(
    pipe: Connection, jobs: "queue.SimpleQueue[_Job | _Setting]", evaluator: Evaluator, folder: RunFolder
) -> None:
    while True:
        job = jobs.get()
        assert isinstance(job, _Job)
        pipe.send(attempt(evaluator, folder, job.design))
