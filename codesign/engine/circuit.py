"""Netlists of look-up tables and registers, and upsets in their bits: a bit a sample, on the compiled engine."""

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.engine import binding
from codesign.engine.counts import COUNTS
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints

TABLE_INPUTS = 6
CORRECTED, DETECTED = 1, 2
"""Kinds of flags."""

UPSET = np.dtype([(name, np.int32) for name in ("value", "bit", "cycle", "sample")])
"""An entry `bit` of a table, wrong in all samples; with `bit` NO_BIT a value that flips in a cycle of a sample."""
NO_BIT = -1
UpsetArray = NDArray[np.void]

UPSET_COUNTS = np.dtype([*COUNTS.descr, *((name, "<i4") for name in ("changed", "flagged", "lost"))])
"""Numbers of samples of a trial: those of COUNTS, where an answer that `ready` does not announce is no answer.

`changed`: some word of the output is another one, or nothing announces it (`lost`). `flagged`: a flag was raised.
"""
UpsetCounts = NDArray[np.void]


@dataclass(frozen=True, eq=False)
class Circuit:
    """Values by number: sources (0 and 1 are the constants), registers, then tables, each behind what it reads.

    A register has the value `initial` first, then that of its `data` in the cycle before. Bit k of a table is its
    output for inputs that together are the number k, input 0 the lowest; `inputs` has shape (n_tables, 6), of which
    `n_inputs` are used. In the last of its cycles a sample leaves words of the type `word` at `outputs`, shape
    (n_out, width), lowest bit first, announced by `ready`; `flags` are values that tell of upsets, by `flag_kinds`.
    """

    n_sources: int
    data: NDArray[np.int32]
    initial: NDArray[np.uint8]
    tables: NDArray[np.uint64]
    n_inputs: NDArray[np.int32]
    inputs: NDArray[np.int32]
    outputs: NDArray[np.int32]
    word: FixedPoint
    ready: int
    flags: NDArray[np.int32]
    flag_kinds: NDArray[np.uint8]

    @property
    def first_table(self) -> int:
        return self.n_sources + len(self.data)


class Interrupted(KeyboardInterrupt):
    """Trials were interrupted; `counts` are those finished before."""

    def __init__(self, counts: UpsetCounts) -> None:
        super().__init__()
        self.counts = counts


class CircuitSimulator:
    """A circuit on samples. `entering` are the sources that change, `bits` theirs, shape (n_cycles, n, n_samples)."""

    def __init__(self, circuit: Circuit, entering: NDArray[np.int32], bits: NDArray[np.bool_]) -> None:
        self._library, error = binding.library(), binding.Error.empty()
        self.n_cycles, _, self.n_samples = bits.shape
        self._n_out = len(circuit.outputs)
        arrays: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(getattr(circuit, name))
            for name in ("data", "initial", "tables", "n_inputs", "inputs", "outputs", "flags", "flag_kinds")
        }
        arrays |= {"entering": np.ascontiguousarray(entering), "waves": _words(bits)}
        wanted = binding.CircuitDescription(
            n_sources=circuit.n_sources,
            n_registers=len(circuit.data),
            n_values=circuit.first_table + len(circuit.tables),
            n_cycles=self.n_cycles,
            n_samples=self.n_samples,
            n_entering=len(entering),
            n_out=self._n_out,
            width=circuit.word.width,
            is_signed=circuit.word.signed,
            ready=circuit.ready,
            n_flags=len(circuit.flags),
            **{name: binding.address(array) for name, array in arrays.items()},
        )
        self._handle = self._library.codesign_circuit_open(ctypes.byref(wanted), error)
        if not self._handle:
            raise error.raised()
        weakref.finalize(self, self._library.codesign_circuit_close, self._handle)

    def golden(self) -> tuple[Ints, NDArray[np.bool_], NDArray[np.bool_]]:
        """Fault-free words (n_samples, n_out), and of each sample whether they were announced, and a flag raised."""
        words, state = np.empty((self.n_samples, self._n_out), np.int64), binding.no_bytes(self.n_samples)
        self._library.codesign_circuit_golden(self._handle, binding.address(words), binding.address(state))
        return words, (state & 1) != 0, (state & 2) != 0

    def run(
        self,
        trials: Sequence[UpsetArray] | UpsetArray,
        labels: Ints,
        *,
        threads: int = 1,
        progress: binding.Progress | None = None,
    ) -> UpsetCounts:
        """Counts of each list of upsets; a single array is as many lists of one upset.

        An interrupt (Ctrl-C) raises Interrupted after the trials at hand. Raises ConfigError for an upset of what the
        circuit does not have.
        """
        if isinstance(trials, np.ndarray):
            upsets, offsets = np.ascontiguousarray(trials, UPSET), np.arange(len(trials) + 1, dtype=np.int64)
        else:
            upsets = np.ascontiguousarray(np.concatenate([np.zeros(0, UPSET), *trials]), UPSET)
            offsets = np.cumsum([0, *(len(one) for one in trials)], dtype=np.int64)
        truth = np.ascontiguousarray(labels, np.int64)
        if truth.shape != (self.n_samples,):
            raise ConfigError(f"labels must be {self.n_samples} whole numbers, got shape {truth.shape}")
        n_trials = len(offsets) - 1
        rows, finished = np.zeros(n_trials, UPSET_COUNTS), binding.no_bytes(n_trials)
        (done, cancel), error = binding.signals(), binding.Error.empty()
        arrays = {"upsets": upsets, "offsets": offsets, "labels": truth, "counts": rows, "finished": finished}
        arrays |= {"done": done, "cancel": cancel}
        addresses = {name: binding.address(array) for name, array in arrays.items()}
        wanted = ctypes.byref(binding.UpsetTrials(n_trials=n_trials, threads=threads, **addresses))
        call = self._library.codesign_circuit_run
        try:
            failed = binding.watched(lambda: call(self._handle, wanted, error), done, cancel, progress)
        except KeyboardInterrupt as interrupt:
            raise Interrupted(rows[: int(np.argmin(np.append(finished, 0)))]) from interrupt
        if failed:
            raise error.raised()
        return rows


def _words(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Samples along the last axis as bits of 64-bit words, four of them at least."""
    room = -bits.shape[-1] % 256
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, room)])
    return np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little")).view("<u8").astype(np.uint64)
