"""The core's int8 multiply-add peak, measured by a small C++ kernel that is compiled at run time."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path

# Rounds of the kernel that count as one here, so that the call costs nothing.
_BATCH = 1000
LEVELS = ("plain C++", "AVX2", "AVX-512 VNNI")


class Peak:
    """Runs the fastest int8 multiply-adds that the machine has, on registers alone."""

    def __init__(self) -> None:
        compiler = os.environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            raise SystemExit(f"the int8 peak is measured by compiled code, and there is no C++ compiler '{compiler}'")
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "peak.so"
            source = Path(__file__).with_name("peak.cpp")
            subprocess.run([compiler, "-O3", "-fPIC", "-shared", "-o", library, source], check=True)
            self._library = ctypes.CDLL(str(library))
        self._library.peak_run.restype = ctypes.c_int64
        self._level: int = self._library.peak_level()

    @property
    def instructions(self) -> str:
        return LEVELS[self._level]

    def run(self, rounds: int) -> None:
        """Do so many rounds of `per_round` multiply-adds."""
        self._run(rounds * _BATCH)

    @cached_property
    def per_round(self) -> int:
        return self._run(_BATCH)

    def _run(self, rounds: int) -> int:
        sink = ctypes.c_int64()
        done: int = self._library.peak_run(self._level, ctypes.c_int64(rounds), ctypes.byref(sink))
        return done
