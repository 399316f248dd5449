"""hls4ml's own project of a model: compiled by hls4ml, simulated by a loop in C."""

import contextlib
import ctypes
import io
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from codesign.fixed import FixedPoint, Ints, quantise, to_real


class PlainProject:
    """A folder that hls4ml writes into and compiles in; an existing graph may be compiled again."""

    def __init__(self, graph: Any, input_type: FixedPoint, result: FixedPoint, shape: tuple[int, int]) -> None:
        self._graph, self._input_type, self._result = graph, input_type, result
        self._n_in, self._n_out = shape

    def compile(self) -> Path:
        """Write and compile as hls4ml does it; the library."""
        firmware = Path(self._graph.config.get_output_dir()) / "firmware"
        for library in firmware.glob("*.so"):
            library.unlink()
        with contextlib.redirect_stdout(io.StringIO()):
            self._graph.compile()
        (found,) = firmware.glob("*.so")
        return found

    def simulator(self, library: Path, raw_inputs: Ints) -> "PlainSimulator":
        """Ready to run on raw inputs of shape (n_samples, n_in)."""
        top = getattr(ctypes.CDLL(str(library)), f"{self._graph.config.get_project_name()}_double")
        return PlainSimulator(top, to_real(raw_inputs, self._input_type), self._n_out, self._result)


class PlainSimulator:
    """Fault-free logits of plain csim."""

    def __init__(self, top: Any, inputs: Any, n_out: int, result: FixedPoint) -> None:
        self._top, self._inputs, self._result = top, np.ascontiguousarray(inputs, np.float64), result
        self._outputs = np.zeros((len(inputs), n_out))
        self._loop = _loop()
        self.run()  # reads the weights' text files, once

    def run(self) -> Ints:
        """Raw logits, shape (n_samples, n_out)."""
        inputs, outputs = (ctypes.c_void_p(array.ctypes.data) for array in (self._inputs, self._outputs))
        n, n_in = (ctypes.c_long(size) for size in self._inputs.shape)
        self._loop(self._top, inputs, n, n_in, outputs, ctypes.c_long(self._outputs.shape[1]))
        return quantise(self._outputs, self._result)


def _loop() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "loop.so"
        source = Path(__file__).with_name("loop.c")
        command = [os.environ.get("CXX", "g++"), "-x", "c", "-O2", "-fPIC", "-shared", "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(library)).loop
