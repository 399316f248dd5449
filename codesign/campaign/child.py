"""A process of this machine that works for this one.

Each is an interpreter of its own with a pipe to this one, so that the death of one is seen at once and costs nothing of
the others' work, a script needs no `if __name__ == "__main__"`, and a worker ends by itself when its pipe does: also
when this process is killed. (A ProcessPoolExecutor loses all workers with one, and cannot say which task did it.)
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import Any

_PROGRAM = """
import json, sys
from importlib import import_module
sys.path[:] = json.loads(sys.argv[1])
import_module(sys.argv[2]).serve(int(sys.argv[3]))
"""
# One thread a worker: the workers are the parallelism.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Child:
    """Runs the function `serve` of a module, which is given the number of its end of the pipe."""

    def __init__(self, module: str) -> None:
        self.pipe, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), module, str(number)],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # results stand there
                process_group=0,  # Ctrl-C is for this process alone
                env={**os.environ, **_ONE_THREAD},
            )

    def send(self, what: object) -> None:
        """Nothing happens if it has ended, which `receive` will say."""
        with suppress(OSError):
            self.pipe.send(what)

    def receive(self) -> Any:
        """What it sent. Raises EOFError or OSError at its end."""
        try:
            return self.pipe.recv()
        except BaseException:
            self.pipe.close()  # an interrupt in the middle leaves half an answer, behind which nothing can be read
            raise

    def end(self, patience_s: float = 0.0) -> str:
        """End it, if it does not end by itself, and say how it did."""
        self.pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self._process.kill()
        code = self._process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
