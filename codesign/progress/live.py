"""The display on a terminal: a bar with the rate and the time left, and lines below it. The only importer of rich."""

from collections.abc import Callable, Iterable

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Below so many columns the rate and the time that went by give way to the bar and the time left.
_NARROW = 72


class Display(Progress):
    """One bar on standard error, gone when it is stopped."""

    lines: tuple[str, ...] = ()

    def __init__(self, what: str, total: int, rate: Callable[[float | None], str]) -> None:
        console = Console(stderr=True)
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn()]
        columns += [MofNCompleteColumn()]
        if console.width >= _NARROW:
            columns += [_Rate(rate), TimeElapsedColumn(), TextColumn("left")]
        super().__init__(*columns, TimeRemainingColumn(), console=console, transient=True)
        self._bar: TaskID = self.add_task(what, total=total)

    def done(self, steps: int) -> None:
        """So many steps are finished."""
        self.update(self._bar, completed=steps)

    def above(self, text: str) -> None:
        """A line above the bar, which stays."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, then the lines, cut where the terminal ends."""
        yield self.make_tasks_table(self.tasks)
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in self.lines)


class _Rate(ProgressColumn):
    """Steps a second."""

    def __init__(self, rate: Callable[[float | None], str]) -> None:
        super().__init__()
        self._text = rate

    def render(self, task: Task) -> Text:
        return Text(self._text(task.speed))
