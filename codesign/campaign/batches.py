"""Trials in batches: large enough that a fast simulator is kept busy, short enough that little is lost."""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np

from codesign.campaign.simulators import Simulator
from codesign.engine.compiled import Counts, Interrupted, NativeEngine
from codesign.faults import FaultSpace
from codesign.fixed import Ints

# What a process that is killed may lose; an interrupt loses no finished trial.
BATCH_SECONDS = 0.5
# Nothing is known of a trial's length before the first batch; then a batch is at most so many times the one before.
_FIRST_TRIALS, _GROWTH = 8, 16

Progress = Callable[[int], None]


class Batches:
    """Runs trials of a fault space on a simulator; how they are cut into batches changes no count."""

    def __init__(self, runner: Simulator, space: FaultSpace, golden: Ints, truth: Ints, threads: int | None) -> None:
        self._runner, self._space, self._golden, self._truth = runner, space, golden, truth
        self._threads = available_cores() if threads is None else threads
        self._next_size = _FIRST_TRIALS

    def run(self, trials: range, progress: Progress | None = None) -> Iterator[Counts]:
        """Counts of `trials`, batch by batch; `progress` is told the number after the last finished trial.

        After a KeyboardInterrupt what was finished of its batch is given, then the interrupt raised again.
        """
        while trials:
            try:
                counts = self._batch(trials, progress)
            except Interrupted as stopped:
                yield stopped.counts
                raise
            yield counts
            trials = trials[len(counts.correct) :]

    def _batch(self, trials: range, progress: Progress | None) -> Counts:
        if isinstance(self._runner, NativeEngine):
            return self._together(self._runner, trials[: self._next_size], progress)
        return self._one_by_one(trials, progress)

    def _together(self, engine: NativeEngine, trials: range, progress: Progress | None) -> Counts:
        def told(done: int) -> None:
            if progress:
                progress(trials.start + done)

        start = time.perf_counter()
        counts = engine.run_campaign(self._space, self._truth, trials, threads=self._threads, progress=told)
        seconds = max(time.perf_counter() - start, 1e-6)
        fitting = int(len(trials) * BATCH_SECONDS / seconds)
        self._next_size = min(max(fitting, 1), _GROWTH * self._next_size)
        return counts

    def _one_by_one(self, trials: range, progress: Progress | None) -> Counts:
        found: list[tuple[int, int]] = []
        end = time.perf_counter() + BATCH_SECONDS
        try:
            for trial in trials:
                found.append(count(self._runner.run(self._space.draw(trial)), self._golden, self._truth))
                if progress:
                    progress(trial + 1)
                if time.perf_counter() >= end:
                    break
        except KeyboardInterrupt as interrupt:
            raise Interrupted(_counts(found)) from interrupt
        return _counts(found)


def count(logits: Ints, golden: Ints, truth: Ints) -> tuple[int, int]:
    """Right answers and samples whose top class changed; the first of equal logits wins."""
    top = logits.argmax(axis=1)
    return int((top == truth).sum()), int((top != golden.argmax(axis=1)).sum())


def _counts(found: list[tuple[int, int]]) -> Counts:
    correct, sdc1 = np.array(found, np.int64).reshape(-1, 2).T
    return Counts(correct, sdc1)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
