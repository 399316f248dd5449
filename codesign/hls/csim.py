"""C-simulation: compile a written project once, then run whole batches under fault lists."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path

import numpy as np

from codesign.errors import ConfigError, MismatchError, ToolError
from codesign.faults import ALL_SAMPLES, FAULT, FaultArray
from codesign.files import cache_folder
from codesign.fixed import Ints
from codesign.hls.project import CSIM_SCRIPT, Project, source_digest

_COMPILE_SECONDS = 600


def compile_csim(project: Project, cache: Path | None = None) -> Path:
    """The project's shared library, built by its own script unless the cache has it.

    Raises ToolError with the compiler's first error and its log, or when no compiler is there.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ToolError(
            f"no C++ compiler '{compiler}': install g++ (Debian: apt-get install g++) or set CXX", [compiler]
        )
    folder = (cache or cache_folder()) / "csim"
    library = folder / f"{source_digest(project.folder)}.so"
    if library.exists():
        return library
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            _build(project, compiler, Path(name) / "project", folder / f"{library.stem}.log")
            (Path(name) / "project" / "csim.so").replace(library)
    except OSError as error:
        raise ConfigError(f"cannot write the simulation cache {folder}: {error.strerror or error}") from None
    return library


def _build(project: Project, compiler: str, copy: Path, log: Path) -> None:
    shutil.copytree(project.folder, copy)
    command = ["sh", str(copy / CSIM_SCRIPT), compiler]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{compiler} took more than {_COMPILE_SECONDS} s", command) from None
    if done.returncode:
        log.write_text(done.stdout + done.stderr)
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise ToolError(f"{compiler} failed: {errors[0] if errors else 'no error line'}", command, log)


class CsimSimulator:
    """Runs the compiled accelerator on raw inputs of shape (n_samples, n_in). Thread-safe."""

    name = "csim"

    def __init__(self, project: Project, raw_inputs: Ints, cache: Path | None = None) -> None:
        self._project, self._cache = project, cache
        self.network = project.network
        self.plan = project.plan
        self.raw_inputs = np.ascontiguousarray(raw_inputs, np.int64)
        if self.raw_inputs.ndim != 2 or self.raw_inputs.shape[1] != self.network.n_in:
            raise ConfigError(f"csim takes inputs of shape (n, {self.network.n_in}), got {self.raw_inputs.shape}")
        # RTLD_LOCAL, and hidden symbols in the build: several projects live in one process.
        self._library = ctypes.CDLL(str(compile_csim(project, cache)))

    def on(self, raw_inputs: Ints) -> "CsimSimulator":
        """The same accelerator on other samples."""
        return CsimSimulator(self._project, raw_inputs, self._cache)

    @cached_property
    def golden(self) -> Ints:
        """Fault-free logits, shape (n_samples, n_out)."""
        return self.run(np.zeros(0, FAULT))

    def run(self, faults: FaultArray) -> Ints:
        """Logits under the faults, shape (n_samples, n_out).

        Raises MismatchError when a fault was not applied exactly as often as its site is used: a tap that
        is not hit means a layer that is not simulated as planned.
        """
        logits, _, hits = self.run_traced(faults)
        expected = np.where(faults["sample"] == ALL_SAMPLES, len(self.raw_inputs), 1)
        if wrong := np.flatnonzero(hits != expected).tolist():
            fault = faults[wrong[0]]
            raise MismatchError(
                f"csim applied fault {fault} {hits[wrong[0]]} times instead of {expected[wrong[0]]} "
                f"({len(wrong)} such faults): its tap is not where the plan has it"
            )
        return logits

    def run_traced(self, faults: FaultArray, guard: int = 0) -> tuple[Ints, Ints, Ints]:
        """Logits (n_samples, n_out), corrected flags (n_samples, n_flags) and hits of each fault.

        `guard` has one bit a replica; raising one corrupts that copy everywhere (the voters' self-test).
        """
        faults = np.ascontiguousarray(faults, FAULT)
        self._check(faults)
        n = len(self.raw_inputs)
        outputs = np.zeros((n, self.network.n_out), np.int64)
        flags, hits = np.zeros(n, np.uint32), np.zeros(len(faults), np.int64)
        pointer = ctypes.c_void_p
        self._library.codesign_run(
            self.raw_inputs.ctypes.data_as(pointer),
            ctypes.c_int64(n),
            faults.ctypes.data_as(pointer),
            ctypes.c_int64(len(faults)),
            ctypes.c_uint32(guard),
            outputs.ctypes.data_as(pointer),
            flags.ctypes.data_as(pointer),
            hits.ctypes.data_as(pointer),
        )
        bits = np.arange(len(self.network.compute_layers()))
        return outputs, (flags[:, None] >> bits & 1).astype(np.int64), hits

    def _check(self, faults: FaultArray) -> None:
        """The C side indexes by these without looking."""
        sample, layer = faults["sample"], faults["layer"]
        if len(faults) and (sample.min() < ALL_SAMPLES or sample.max() >= len(self.raw_inputs)):
            raise ConfigError(f"fault list: samples {sample.min()}..{sample.max()}, there are {len(self.raw_inputs)}")
        if len(faults) and (layer.min() < 0 or layer.max() >= len(self.network.layers)):
            raise ConfigError(f"fault list: layers {layer.min()}..{layer.max()}, there are {len(self.network.layers)}")
