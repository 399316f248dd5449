"""Errors a user can act on. The command line turns each into one line and exit code 2."""

from pathlib import Path


class CodesignError(Exception):
    """Root of every error this package raises on purpose."""


class ConfigError(CodesignError):
    """A study, plan, model or argument is wrong: the message says what, where and what was expected."""


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


class MismatchError(CodesignError):
    """Two simulators that must agree integer for integer do not."""
