"""Yosys in processes of their own, as many as there are cores: an error ends one, and its memory is given back."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.campaign.batches import available_cores
from codesign.errors import ConfigError, ToolError
from codesign.files import write_atomically

LIMIT_S = 3600.0
# How often processes are looked at.
_POLL_S = 0.02
_CHILD = "from pyosys import libyosys as y; y.Design().run_pass('script flow.ys')"


@dataclass(frozen=True)
class Batch:
    """What one process does: modules by name, files by name, and a script that reads them and writes `result.json`."""

    modules: tuple[str, ...]
    files: Mapping[str, str]
    script: str


def run_all(batches: Iterable[Batch], logs: Path, limit_s: float = LIMIT_S) -> Iterator[tuple[Batch, dict[str, Any]]]:
    """The modules of each batch by name, as Yosys writes them, whichever is done first.

    Raises ToolError when a process fails, is killed or takes too long; its log is kept in `logs`. Whatever ends this,
    no process is left.
    """
    waiting, running = list(batches), list[_Run]()
    cores = available_cores()
    with tempfile.TemporaryDirectory(prefix="codesign-yosys-") as name:
        try:
            while waiting or running:
                done = [run for run in running if run.ended()]
                running = [run for run in running if run not in done]
                while waiting and len(running) < cores:  # at once, so that no core waits while results are read
                    with _uninterrupted():
                        running.append(_Run(waiting.pop(0), Path(name), logs, limit_s))
                for run in done:
                    yield run.batch, run.result()
                if not done:
                    time.sleep(_POLL_S)
        finally:
            for run in running:
                run.stop()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until a process that is being started is known, and can be ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Run:
    """One process, in a folder of its own."""

    def __init__(self, batch: Batch, folder: Path, logs: Path, limit_s: float) -> None:
        self.batch, self.limit_s = batch, limit_s
        self.kept, folder = logs / f"failed-{batch.modules[0]}.log", folder / batch.modules[0]
        self.netlist, self.log = folder / "result.json", folder / "yosys.log"
        try:
            folder.mkdir()
            for name, text in batch.files.items():
                (folder / name).write_text(text)
            (folder / "flow.ys").write_text(batch.script)
            output = self.log.open("wb")
        except OSError as error:
            raise ConfigError(f"cannot write {folder}: {error.strerror}; TMPDIR names another place") from None
        self.command = [sys.executable, "-c", _CHILD]
        self.end = time.monotonic() + limit_s
        with output:
            self.process = subprocess.Popen(
                self.command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Yosys has a child, too, and Ctrl-C is for us to handle
            )

    def ended(self) -> bool:
        """Whether it is over. Raises ToolError where its time is."""
        if self.process.poll() is not None:
            return True
        if time.monotonic() > self.end:
            self.stop()
            raise self._error(f"took more than {self.limit_s:g} s: use --source estimate")
        return False

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def result(self) -> dict[str, Any]:
        """The netlist of a process that is over. It is read once and removed."""
        code = self.process.returncode
        if code < 0:
            fix = ", as the system does where memory runs out: use --source estimate" if code == -signal.SIGKILL else ""
            raise self._error(f"was ended by {signal.Signals(-code).name}{fix}")
        if code or not self.netlist.is_file():
            raise self._error(f"failed: {self._complaint() or f'exit code {code}'}")
        try:
            found: dict[str, Any] = json.loads(self.netlist.read_bytes())["modules"]
        except (ValueError, KeyError):
            raise self._error(f"wrote a netlist that is cut short: is there room in {self.log.parent}?") from None
        self.netlist.unlink()
        return found

    def _complaint(self) -> str:
        """The first error in the log, or its last line, which is where Python says what it lacks."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return next((line for line in lines if "ERROR:" in line), lines[-1] if lines else "")

    def _error(self, what: str) -> ToolError:
        """The log is kept, where there is room for it."""
        try:
            write_atomically(self.kept, self.log.read_bytes())
        except ConfigError:
            return ToolError(f"Yosys {what}", self.command)
        return ToolError(f"Yosys {what}", self.command, self.kept)
