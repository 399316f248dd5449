"""Starting a vendor's tool: its output in a log, what it is at, and no process of it left behind."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from codesign.errors import ToolError

LIMIT_S = 24 * 3600.0
# How often a run is looked at, and how long its processes have to end by themselves once they are told to.
_POLL_S, _PATIENCE_S = 0.2, 10.0

Watch = Callable[[str], None]
"""Is shown every line of a log as it appears."""


def run_tool(
    command: Sequence[str],
    folder: Path,
    log: Path,
    limit_s: float = LIMIT_S,
    watch: Watch | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a tool in `folder` to its end, its output in `log`; `environment` adds to the process's own.

    Raises ToolError if it cannot be started, if it fails (with its first error), or after `limit_s` seconds. An
    interrupt, too, ends all of its processes.
    """
    with log.open("wb") as output, log.open("rb") as seen:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that all its processes can be told to end
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            raise ToolError(f"{command[0]} cannot be started: {error.strerror or error}", [*command]) from None
        try:
            code = _wait(process, limit_s, _Tail(seen, watch or (lambda _: None)))
        finally:
            _end(process)
    if code is None:
        raise ToolError(f"{command[0]} took more than {limit_s:g} s", [*command], log)
    if code:
        raise ToolError(f"{command[0]} failed with exit code {code}: {first_error(log)}", [*command], log)


def first_error(log: Path) -> str:
    """The first line of a log that the tools mark as an error."""
    lines = (line.strip() for line in log.read_text(errors="replace").splitlines())
    return next((line for line in lines if line.upper().startswith(("ERROR", "@E"))), "its log has no line 'ERROR'")


class _Tail:
    """Shows the complete lines that have come since the last look."""

    def __init__(self, file: IO[bytes], watch: Watch) -> None:
        self._file, self._watch, self._rest = file, watch, b""

    def look(self) -> None:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            self._watch(line.decode(errors="replace").rstrip("\r"))


def _wait(process: subprocess.Popen[bytes], limit_s: float, tail: _Tail) -> int | None:
    """The exit code, None if the time is over."""
    end = time.monotonic() + limit_s
    code = None
    while code is None and time.monotonic() < end:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(_POLL_S)
        tail.look()
    return code


def _end(process: subprocess.Popen[bytes]) -> None:
    """No process of the run is left, whatever it has started."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
    process.wait()
