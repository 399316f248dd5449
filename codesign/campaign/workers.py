"""A campaign's trials handed to workers as shards; the same for processes of this machine and for a Dask cluster."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from codesign.campaign.batches import Pace, Progress
from codesign.campaign.task import Task
from codesign.engine.counts import CountArray
from codesign.errors import WorkersError
from codesign.progress import say

# So many shards for each one that a worker runs at once: the next one is there when it is finished.
_IN_FLIGHT = 2
# A shard that ends so many workers is not given to another one.
_ENDED_WORKERS = 3


@dataclass(frozen=True, eq=False)
class Done:
    """A shard's counts, and the seconds that they took."""

    worker: str
    shard: range
    rows: CountArray
    seconds: float


@dataclass(frozen=True)
class Lost:
    """A worker that ended with all that it was given; or only this shard, which it could not run."""

    worker: str
    why: str
    shard: range | None = None


class Workers(Protocol):
    """Where shards are run: a context manager that may serve several campaigns, one after the other."""

    def begin(self, task: Task) -> None:
        """Shards are of this task from now on; what is left of another one is forgotten."""

    def slots(self) -> Mapping[str, int]:
        """The workers that are there, and how many shards each runs at once."""

    def submit(self, worker: str, shard: range) -> None:
        """Give a shard to a worker. One that has ended in between is heard of by `wait`."""

    def wait(self, *, block: bool = True) -> list[Done | Lost]:
        """What has happened; with `block` nothing only after about a second."""


def spread(
    workers: Workers, task: Task, ranges: Iterable[range], progress: Progress | None = None
) -> Iterator[tuple[int, CountArray]]:
    """First trial and counts of each shard, in the order in which they are finished.

    `progress` is told how many of the trials are finished. After a KeyboardInterrupt what is finished is given, then
    the interrupt raised again. Raises WorkersError where workers cannot be used or one shard after the other ends them.
    """
    workers.begin(task)
    flight, finished = _Flight(workers, ranges), 0
    while flight.unfinished:
        try:
            flight.start()
            events = workers.wait()
        except KeyboardInterrupt:
            yield from ((done.shard.start, done.rows) for done in flight.landed(workers.wait(block=False)))
            raise
        for done in flight.landed(events):
            yield done.shard.start, done.rows
            finished += len(done.shard)
            if progress:
                progress(finished)


class _Flight:
    """Which shards are with which worker."""

    def __init__(self, workers: Workers, ranges: Iterable[range]) -> None:
        self._workers, self._ahead = workers, deque(ranges)
        self._again: deque[range] = deque()
        self._given: defaultdict[str, list[range]] = defaultdict(list)
        self._paces: defaultdict[str, Pace] = defaultdict(lambda: Pace(1))
        self._ended: Counter[range] = Counter()

    @property
    def unfinished(self) -> bool:
        return bool(self._ahead or self._again or any(self._given.values()))

    def start(self) -> None:
        """Give out as much as keeps every worker busy, to the idle ones first."""
        self._slots = self._workers.slots()
        for depth in range(_IN_FLIGHT):
            for worker, slots in self._slots.items():
                while (self._ahead or self._again) and len(self._given[worker]) < slots * (depth + 1):
                    shard = self._next(worker)
                    self._given[worker].append(shard)
                    self._workers.submit(worker, shard)

    def _next(self, worker: str) -> range:
        if self._again:
            return self._again.popleft()
        # Towards the end smaller ones, so that all workers finish at about the same time.
        left, size = sum(map(len, self._ahead)), self._paces[worker].size
        fair = left // (_IN_FLIGHT * sum(self._slots.values()))
        size = min(size, max(fair, size // 8, 1))
        trials = self._ahead.popleft()
        if trials[size:]:
            self._ahead.appendleft(trials[size:])
        return trials[:size]

    def landed(self, events: Iterable[Done | Lost]) -> Iterator[Done]:
        """The finished shards; lost ones are given out again."""
        for event in events:
            if isinstance(event, Done):
                self._given[event.worker].remove(event.shard)
                self._paces[event.worker].took(len(event.shard), event.seconds)
                yield event
            elif event.shard is not None:
                self._given[event.worker].remove(event.shard)
                self._repeat([event.shard], [event.shard], event)
            else:
                shards = self._given.pop(event.worker, [])
                self._repeat(shards, shards[: self._slots.get(event.worker, 1)], event)

    def _repeat(self, shards: list[range], running: list[range], lost: Lost) -> None:
        for shard in running:
            self._ended[shard] += 1
            if self._ended[shard] == _ENDED_WORKERS:
                raise WorkersError(
                    f"trials {shard.start}..{shard.stop - 1} failed on {_ENDED_WORKERS} workers and are given up "
                    f"(the last: {lost.worker} {lost.why}); finished trials are kept"
                )
        self._again.extend(shards)
        say(f"{lost.worker} {lost.why}; {sum(map(len, shards))} trials are run again")
