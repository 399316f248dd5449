"""C-simulation: compile a written project once, then run whole batches under fault lists."""

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from codesign.errors import ConfigError, MismatchError, ToolError
from codesign.faults import FAULT, FaultArray
from codesign.files import cache_folder
from codesign.fixed import Ints
from codesign.hls.folder import CSIM_SCRIPT, Project, source_digest
from codesign.hls.uses import Uses, describe
from codesign.outcome import Outcome

_COMPILE_SECONDS = 600
# hls4ml's look-up tables fill themselves at the first sample, without a lock.
FIRST_RUN = threading.Lock()


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


@dataclass(frozen=True)
class Traced:
    """What a run showed. `corrected` and `detected` have shape (n_samples, layers that compute); a hit a fault's use.

    `logits` has shape (n_samples, n_out).
    """

    logits: Ints
    corrected: Ints
    detected: Ints
    hits: Ints


@dataclass(frozen=True)
class Counted:
    """The status registers after a batch: sticky bits and sample counts of each layer that computes."""

    logits: Ints
    sticky_corrected: Ints
    sticky_detected: Ints
    samples_corrected: Ints
    samples_detected: Ints


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
        self._uses = Uses(self.network, self.plan)
        # RTLD_LOCAL, and hidden symbols in the build: several projects live in one process.
        self._library = ctypes.CDLL(str(compile_csim(project, cache)))
        with FIRST_RUN:
            self._run(np.zeros(0, FAULT), 0, self.raw_inputs[:1], clear_each=True)

    def on(self, raw_inputs: Ints) -> "CsimSimulator":
        """The same accelerator on other samples."""
        return CsimSimulator(self._project, raw_inputs, self._cache)

    @cached_property
    def golden(self) -> Ints:
        """Fault-free logits, shape (n_samples, n_out)."""
        return self.run(np.zeros(0, FAULT))

    def run(self, faults: FaultArray) -> Ints:
        """Logits under the faults, shape (n_samples, n_out). Raises as `outcome` does."""
        return self.outcome(faults).logits

    def outcome(self, faults: FaultArray) -> Outcome:
        """Logits under the faults, and whether any layer raised a flag.

        Raises MismatchError when a fault was not applied exactly as often as its site is used: a tap that
        is not hit means a layer that is not simulated as planned.
        """
        traced = self.run_traced(faults)
        expected = self.expected_hits(faults)
        if wrong := np.flatnonzero(traced.hits != expected).tolist():
            first = wrong[0]
            raise MismatchError(
                f"csim applied a fault ({describe(faults[first])}) {traced.hits[first]} times instead of "
                f"{expected[first]} ({len(wrong)} such faults): its tap is not where the plan has it"
            )
        flags = (given.astype(np.bool_).any(axis=1) for given in (traced.corrected, traced.detected))
        return Outcome(traced.logits, *flags)

    def expected_hits(self, faults: FaultArray) -> Ints:
        """How often each fault of a list is applied. Raises ConfigError naming one whose bit does not exist."""
        return self._uses.expected(faults, len(self.raw_inputs))

    def run_traced(self, faults: FaultArray, guard: int = 0) -> Traced:
        """Logits, flags of every sample and hits of every fault.

        `guard` has one bit a replica; raising one corrupts that copy everywhere (the voters' self-test).
        """
        logits, status, hits = self._run(faults, guard, self.raw_inputs, clear_each=True)
        layers = np.arange(len(self.network.compute_layers()))
        return Traced(logits, status[:, :1] >> layers & 1, status[:, 1:2] >> layers & 1, hits)

    def run_counted(self, faults: FaultArray, guard: int = 0) -> Counted:
        """Logits, and the status registers as they stand after the batch; they start cleared."""
        logits, status, _ = self._run(faults, guard, self.raw_inputs, clear_each=False)
        last = status[-1] if len(status) else np.zeros(status.shape[1], np.int64)
        layers = np.arange(len(last) - 2)
        return Counted(logits, last[0] >> layers & 1, last[1] >> layers & 1, last[2:] & 0xFFFF, last[2:] >> 16)

    def _run(self, faults: FaultArray, guard: int, raw_inputs: Ints, *, clear_each: bool) -> tuple[Ints, Ints, Ints]:
        faults = np.ascontiguousarray(faults, FAULT)
        n = len(raw_inputs)
        self.expected_hits(faults)  # the C side indexes by the faults without looking
        outputs = np.zeros((n, self.network.n_out), np.int64)
        status = np.zeros((n, 2 + len(self.network.compute_layers())), np.uint32)
        hits = np.zeros(len(faults), np.int64)
        pointer = ctypes.c_void_p
        complete = self._library.codesign_run(
            raw_inputs.ctypes.data_as(pointer),
            ctypes.c_int64(n),
            faults.ctypes.data_as(pointer),
            ctypes.c_int64(len(faults)),
            ctypes.c_uint32(guard),
            ctypes.c_int(clear_each),
            outputs.ctypes.data_as(pointer),
            status.ctypes.data_as(pointer),
            hits.ctypes.data_as(pointer),
        )
        if not complete:
            raise MismatchError(
                f"csim: network '{self.network.name}' left input unread or gave another number of outputs than "
                f"{self.network.n_out}: hardware would stall"
            )
        return outputs, status.astype(np.int64), hits
