"""Trials in batches: large enough that a fast simulator is kept busy, short enough that little is lost."""

import os
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from codesign.campaign.simulators import Simulator
from codesign.engine.compiled import NativeEngine
from codesign.engine.counts import COUNTS, CountArray, Counts, Interrupted, count
from codesign.faults import FaultSpace
from codesign.fixed import Ints

# What a process that is killed may lose; an interrupt loses no finished trial.
BATCH_SECONDS = 0.5
# Nothing is known of a trial's length before the first batch; then a batch is at most so many times the one before.
_FIRST_TRIALS, _GROWTH = 8, 16

Progress = Callable[[int], None]


class Pace:
    """How many trials make a batch, by the time that the ones before took."""

    def __init__(self, first: int = _FIRST_TRIALS) -> None:
        self.size = first

    def took(self, trials: int, seconds: float) -> None:
        fitting = int(trials * BATCH_SECONDS / max(seconds, 1e-6))
        self.size = min(max(fitting, 1), _GROWTH * trials)


class Batches:
    """Runs trials of a fault space on a simulator; how they are cut into batches changes no count."""

    def __init__(self, runner: Simulator, space: FaultSpace, golden: Ints, truth: Ints, threads: int | None) -> None:
        self._runner, self._space, self._golden, self._truth = runner, space, golden, truth
        self._threads = available_cores() if threads is None else threads
        self._pace = Pace()

    def run(self, ranges: Iterable[range], progress: Progress | None = None) -> Iterator[tuple[int, CountArray]]:
        """First trial and counts of each batch; `progress` is told how many of the trials are finished.

        After a KeyboardInterrupt what was finished of its batch is given, then the interrupt raised again.
        """
        finished = 0
        for trials in ranges:
            while trials:
                told = offset(progress, finished)
                try:
                    rows = self._batch(trials, told)
                except Interrupted as stopped:
                    yield trials.start, stopped.counts.rows
                    raise
                yield trials.start, rows
                trials = trials[len(rows) :]
                finished += len(rows)

    def _batch(self, trials: range, progress: Progress) -> CountArray:
        if isinstance(self._runner, NativeEngine):
            return self._together(self._runner, trials[: self._pace.size], progress)
        return self._one_by_one(trials, progress)

    def _together(self, engine: NativeEngine, trials: range, progress: Progress) -> CountArray:
        start = time.perf_counter()
        counts = engine.run_campaign(self._space, self._truth, trials, threads=self._threads, progress=progress)
        self._pace.took(len(trials), time.perf_counter() - start)
        return counts.rows

    def _one_by_one(self, trials: range, progress: Progress) -> CountArray:
        found: list[tuple[int, ...]] = []
        end = time.perf_counter() + BATCH_SECONDS
        try:
            for trial in trials:
                found.append(self._count(trial))
                progress(len(found))
                if time.perf_counter() >= end:
                    break
        except KeyboardInterrupt as interrupt:
            raise Interrupted(Counts(np.array(found, COUNTS))) from interrupt
        return np.array(found, COUNTS)

    def counts(self, trials: range) -> CountArray:
        """Counts of all of the trials in one go; several threads may ask at once."""
        if isinstance(self._runner, NativeEngine):
            return self._runner.run_campaign(self._space, self._truth, trials, threads=self._threads).rows
        return np.array([self._count(trial) for trial in trials], COUNTS)

    def _count(self, trial: int) -> tuple[int, ...]:
        return count(self._runner.outcome(self._space.draw(trial)), self._golden, self._truth)


def offset(progress: Progress | None, by: int) -> Progress:
    """Tells `progress`, if there is one, so many more: the steps of a part of the work, behind those done earlier."""
    return lambda done: progress(by + done) if progress else None


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
