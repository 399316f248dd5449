"""Errors a user can act on. The command line turns each into one line and exit code 2."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

Name = TypeVar("Name", bound=str)


class CodesignError(Exception):
    """Root of every error this package raises on purpose."""


class ConfigError(CodesignError):
    """A study, plan, model or argument is wrong: the message says what, where and what was expected."""


class MissingExtraError(CodesignError):
    """A part of the installation that this needs is not there; the message names the extra that brings it."""


class ReportError(CodesignError):
    """A resource report is absent, damaged or of another design."""


class StoreError(CodesignError):
    """A run folder's store cannot be read or written."""


class ToolError(CodesignError):
    """An external tool failed; `command` is what was run and `log` where its output is kept."""

    def __init__(self, message: str, command: list[str], log: Path | None = None) -> None:
        where = f" (log: {log})" if log else ""
        super().__init__(f"{message}{where}")
        self.command = command
        self.log = log
        self._given = (message, command, log)

    def __reduce__(self) -> tuple[type["ToolError"], tuple[str, list[str], Path | None]]:
        """It passes from one process to another."""
        return ToolError, self._given


class WorkersError(CodesignError):
    """The processes or machines that a campaign's trials are handed to cannot be reached, used or kept alive."""


class BoardError(CodesignError):
    """A board cannot be reached, does not let us in, has no room, or its runtime says no."""


class MismatchError(CodesignError):
    """Two simulators that must agree integer for integer do not."""


def did_you_mean(word: str, known: Sequence[str], otherwise: str) -> str:
    """The end of a message: the known word most like this one, or `otherwise` and all of them."""
    alike = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {alike[0]!r}?" if alike else f"; {otherwise} {', '.join(known)}"


def one_of(what: str, given: str, known: tuple[Name, ...]) -> Name:
    """The name, if it is known; ConfigError lists the known ones otherwise."""
    for name in known:
        if given == name:
            return name
    raise ConfigError(f"unknown {what} '{given}', choose from {', '.join(known)}")
