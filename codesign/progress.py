"""Progress on long work: a live display where a person watches, seldom a plain line where a log is written."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Results go to standard output, everything on the way there to standard error.
console = Console(stderr=True)

Advance = Callable[[int], None]
Clock = Callable[[], float]
LINE_SECONDS = 30.0
"""A log gets a line no more often."""


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
    elif console.file.isatty() and not console.is_dumb_terminal:
        with _Live(what, total) as live:
            yield live
    else:
        yield _Lines(what, total)


def say(text: str) -> None:
    """One line above the bar, or in the log."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


class _Live(Shown):
    """A bar with the rate and the time left, and the lines below it."""

    def __init__(self, what: str, total: int) -> None:
        self._shown = _Display(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._shown.add_task(what, total=total)

    def __enter__(self) -> "_Live":
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    def __call__(self, done: int) -> None:
        self._shown.update(self._task, completed=done)

    def tell(self, lines: Sequence[str]) -> None:
        self._shown.lines = tuple(lines)


class _Display(Progress):
    lines: tuple[str, ...] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in self.lines)


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(_rate(task.speed))


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
