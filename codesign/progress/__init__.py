"""Progress on long work: a live display where a person watches, seldom a plain line where a log is written."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from codesign.progress.live import Display

Advance = Callable[[int], None]
Clock = Callable[[], float]
LINE_SECONDS = 30.0
"""A log gets a line no more often."""


class Console:
    """Standard error, where everything goes that is said on the way to a result."""

    quiet = False
    display: "Display | None" = None
    _file: TextIO | None = None

    @property
    def file(self) -> TextIO:
        """Standard error as it is now."""
        return self._file or sys.stderr

    @property
    def is_watched(self) -> bool:
        """A person sees it, on a terminal that can move its cursor."""
        return self.file.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")

    def print(self, text: str) -> None:
        """One line, unless it is quiet; above the bar where one is shown."""
        if self.quiet:
            return
        if self.display is not None:
            self.display.above(text)
        else:
            self.file.write(f"{text}\n")
            self.file.flush()


console = Console()


class Shown:
    """What `bar` gives: called with the number of finished steps, and shown lines about what was found so far."""

    def __call__(self, done: int) -> None:
        """So many steps are finished."""

    def tell(self, lines: Sequence[str]) -> None:
        """Show these lines instead of the ones before."""


@contextmanager
def bar(what: str, total: int) -> Iterator[Shown]:
    """Show how far `total` steps are.

    On a terminal a live display; elsewhere a line each half minute, so that work of seconds leaves a log empty;
    with --quiet nothing.
    """
    if console.quiet:
        yield Shown()
    elif console.is_watched and console.display is None:
        with _live(what, total) as live:
            yield live
    else:
        yield _Lines(what, total)


def say(text: str) -> None:
    """One line above the bar, or in the log."""
    console.print(text)


class _Live(Shown):
    """What a display shows."""

    def __init__(self, display: "Display") -> None:
        self._display = display

    def __call__(self, done: int) -> None:
        self._display.done(done)

    def tell(self, lines: Sequence[str]) -> None:
        self._display.lines = tuple(lines)


@contextmanager
def _live(what: str, total: int) -> Iterator[Shown]:
    from codesign.progress.live import Display  # rich takes a tenth of a second to import

    display = Display(what, total, _rate)
    try:
        display.start()  # within: Ctrl-C while the first frame is drawn must give the cursor back, too
        console.display = display
        yield _Live(display)
    finally:
        console.display = None
        display.stop()


class _Lines(Shown):
    """A line of text at most every LINE_SECONDS, and none before."""

    def __init__(self, what: str, total: int, clock: Clock = time.monotonic) -> None:
        self._what, self._total, self._clock = what, total, clock
        self._found: tuple[str, ...] = ()
        self._first: tuple[float, int] | None = None  # steps that were there at once took no time
        self._said = clock()

    def __call__(self, done: int) -> None:
        now = self._clock()
        if self._first is None:
            self._first = now, done
        if now < self._said + LINE_SECONDS or done >= self._total:
            return
        self._said = now
        seconds, steps = now - self._first[0], done - self._first[1]
        parts = [f"{self._what}: {done:,} of {self._total:,} ({done / self._total:.0%})"]
        if steps > 0 and seconds > 0:
            left = (self._total - done) * seconds / steps
            parts += [_rate(steps / seconds), f"{duration(left)} left"]
        say("; ".join([", ".join(part for part in parts if part), *self._found]))

    def tell(self, lines: Sequence[str]) -> None:
        self._found = tuple(lines)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _rate(per_second: float | None) -> str:
    """Nothing for what is slower than one a second: then the time left says more."""
    return f"{per_second:,.0f}/s" if per_second and per_second >= 1 else ""
