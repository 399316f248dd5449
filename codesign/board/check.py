"""The samples that travel with a bitstream: inputs, and what the C-simulation gives for them."""

import io
from pathlib import Path

import numpy as np

from codesign.errors import ConfigError, MismatchError
from codesign.faults import FAULT
from codesign.fixed import Ints
from codesign.hls.csim import CsimSimulator
from codesign.hls.folder import Project
from codesign.hls.registers import GUARD_BITS
from codesign.network import forward

SAMPLES = 64
_BENCH = "tb_data/tb_input_features.dat"


def bench_inputs(project: Project, samples: int = SAMPLES) -> Ints:
    """Raw inputs, shape (samples, n_in): the first of the project's test bench, or drawn ones where it has none."""
    of, path = project.network.input_type, project.folder / _BENCH
    if path.is_file() and path.stat().st_size:
        try:
            reals = np.loadtxt(path, max_rows=samples, ndmin=2)
        except ValueError as error:
            raise ConfigError(f"{path} is not as it was written: {error}") from None
        if len(reals):
            return project.network.quantise_inputs(reals)
    shape = (samples, project.network.n_in)
    return np.random.default_rng(0).integers(of.min_raw, of.max_raw, shape, np.int64, endpoint=True)


def check_samples(project: Project, raw: Ints, labels: Ints | None = None, cache: Path | None = None) -> bytes:
    """The NPZ file of raw `inputs`, (n, n_in), and the csim's `logits`, (n, n_out), `corrected` and `detected`, (n,).

    `guard_logits`, (3, n, n_out), and the layers' flags `guard_corrected` and `guard_detected`, (3, layers), are those
    with one guard bit raised. `labels`, (n,), are there where they are known. Raises MismatchError where the csim is
    not the network.
    """
    csim, silent = CsimSimulator(project, raw, cache), np.zeros(0, FAULT)
    outcome = csim.outcome(silent)
    if not np.array_equal(outcome.logits, forward(project.network, raw)[-1]):
        raise MismatchError(f"{project.folder}: the C-simulation is not what the network computes")
    guards = [csim.run_traced(silent, guard=1 << bit) for bit in range(GUARD_BITS)]
    arrays = {
        "inputs": raw.astype(np.int64),
        "logits": outcome.logits.astype(np.int64),
        "corrected": outcome.corrected,
        "detected": outcome.detected,
        "guard_logits": np.stack([traced.logits for traced in guards]),
        "guard_corrected": np.stack([traced.corrected.any(axis=0) for traced in guards]),
        "guard_detected": np.stack([traced.detected.any(axis=0) for traced in guards]),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, **({} if labels is None else {"labels": labels.astype(np.int64)}))
    return buffer.getvalue()
