"""What a worker does: it runs shards, ranges of a campaign's trials, and says what would compute them."""

import threading
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

from codesign import __version__
from codesign.assets import asset
from codesign.campaign.batches import Batches
from codesign.campaign.task import Task
from codesign.engine import binding
from codesign.engine.counts import CountArray
from codesign.errors import ConfigError
from codesign.files import digest_of

# A search goes from one task to the next; the one before may still have shards on the way.
_KEPT = 2
_open: dict[str, Batches] = {}
_opening = threading.Lock()


def run_shard(digest: str, description: bytes, first: int, end: int) -> tuple[CountArray, float]:
    """Counts of trials first .. end - 1 of a task, and the seconds they took on one thread.

    The task, `Task.to_bytes()` and its digest, is opened at its first shard and kept.
    """
    batches = _opened(digest, description)
    start = time.perf_counter()
    rows = batches.counts(range(first, end))
    return rows, time.perf_counter() - start


def _opened(digest: str, description: bytes) -> Batches:
    with _opening:
        if digest not in _open:
            if digest_of(description) != digest:
                raise ConfigError("a campaign's description was damaged on its way to a worker")
            while len(_open) >= _KEPT:
                del _open[next(iter(_open))]
            _open[digest] = Task.from_bytes(description).open(threads=1)
        return _open[digest]


class Release(NamedTuple):
    """What decides the counts that a process computes; the versions of Python and NumPy do not."""

    version: str
    engine: int | None
    """Version of the compiled engine's interface, None where the engine in NumPy stands in for it."""
    sources: str

    def __str__(self) -> str:
        engine = "no compiled engine" if self.engine is None else f"engine interface {self.engine}"
        return f"codesign {self.version} ({engine}, sources {self.sources[:12]})"

    def unlike(self, here: "Release") -> str:
        """How it differs from `here`, as 'runs codesign 0.0.9, this is 0.1.0'; no text where it does not."""
        if self == here:
            return ""
        if self.version != here.version:
            return f"runs codesign {self.version}, this is {here.version}"
        return f"runs {self}, this is {here}"


@cache
def release() -> Release:
    """Of this process."""
    try:
        engine = int(binding.library().codesign_engine_version())
    except ConfigError:
        engine = None
    package, templates = Path(binding.__file__).parent.parent, asset("hls_templates")
    found = {path.relative_to(package): path for path in package.rglob("*.py")}
    # A wheel carries the models inside the package, a checkout beside it; they decide nothing here.
    sources = {str(name): path for name, path in found.items() if name.parts[0] != "_assets"}
    sources |= {path.name: path for path in templates.glob("*.h")}
    parts = [part for name in sorted(sources) for part in (name.encode(), sources[name].read_bytes())]
    return Release(__version__, engine, digest_of(*parts))
