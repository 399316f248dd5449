"""The compiled engine: fault lists and whole campaigns, the same integers as the NumPy engine's."""

import weakref
from collections.abc import Callable, Sequence

import numpy as np

from codesign.engine import binding
from codesign.engine.counts import COUNTS, Counts, Interrupted
from codesign.engine.description import describe, describe_space
from codesign.engine.fast import EngineSimulator
from codesign.errors import ConfigError, one_of
from codesign.faults import FAULT, FaultArray, FaultSpace
from codesign.fixed import Ints
from codesign.network import Network
from codesign.outcome import Outcome
from codesign.protection import ProtectionPlan

# By rising speed; a processor that lacks one takes the one before.
KERNELS = ("generic", "plain", "avx2", "avx512")
# In the compiled engine's words of flags.
_CORRECTED, _DETECTED = 1, 2


class NativeEngine:
    """Simulates fault lists on raw inputs of shape (n_samples, n_in)."""

    name = "native"

    def __init__(self, network: Network, plan: ProtectionPlan, raw_inputs: Ints, kernels: str = KERNELS[-1]) -> None:
        self.network, self.plan = network, plan
        description = describe(network, plan)
        inputs = np.ascontiguousarray(raw_inputs, np.int64)
        if inputs.ndim != 2 or inputs.shape[1] != network.n_in or not len(inputs):
            raise ConfigError(f"network '{network.name}' takes shape (n_samples, {network.n_in}), got {inputs.shape}")
        self._n_samples = len(inputs)
        self._library, error = binding.library(), binding.Error.empty()
        level = KERNELS.index(one_of("kernels", kernels, KERNELS))
        self._handle = self._library.codesign_engine_open(
            binding.address(description), len(description), binding.address(inputs), len(inputs), level, error
        )
        if not self._handle:
            raise error.raised()
        weakref.finalize(self, self._library.codesign_engine_close, self._handle)
        self.kernels = KERNELS[self._library.codesign_engine_kernels(self._handle)]

    @property
    def golden(self) -> Ints:
        """Fault-free logits, shape (n_samples, n_out)."""
        logits = np.empty((self._n_samples, self.network.n_out), np.int64)
        self._library.codesign_engine_golden(self._handle, binding.address(logits))
        return logits

    def run(self, faults: FaultArray) -> Ints:
        """Logits under the faults, shape (n_samples, n_out)."""
        return self.outcome(faults).logits

    def outcome(self, faults: FaultArray) -> Outcome:
        """Logits under the faults, and the flags that the protection raises."""
        listed = np.ascontiguousarray(faults, FAULT)
        logits, error = np.empty((self._n_samples, self.network.n_out), np.int64), binding.Error.empty()
        flags = binding.no_bytes(self._n_samples)
        if self._library.codesign_engine_run(
            self._handle,
            binding.address(listed),
            len(listed),
            binding.address(logits),
            binding.address(flags),
            error,
        ):
            raise error.raised()
        return Outcome(logits, (flags & _CORRECTED) != 0, (flags & _DETECTED) != 0)

    def run_campaign(
        self,
        space: FaultSpace,
        labels: Ints,
        trials: range,
        *,
        threads: int = 1,
        logits: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Counts:
        """Draw and simulate trials; `progress` is told the number of finished ones.

        An interrupt (Ctrl-C) raises Interrupted after the trials at hand, with what is finished.
        """
        if trials.step != 1 or trials.start < 0:
            raise ConfigError(f"trials {trials}: expected numbers in a row, from 0 up")
        described = describe_space(space)
        wanted = binding.Campaign(space=binding.address(described), n_space=len(described), first_trial=trials.start)
        return self._campaign(wanted, len(trials), labels, threads, logits, progress, (described,))

    def run_lists(
        self,
        lists: Sequence[FaultArray] | FaultArray,
        labels: Ints,
        *,
        threads: int = 1,
        logits: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Counts:
        """Simulate fault lists, one a trial; a single array is as many lists of one fault."""
        if isinstance(lists, np.ndarray):
            faults, offsets = np.ascontiguousarray(lists, FAULT), np.arange(len(lists) + 1, dtype=np.int64)
        else:
            faults = np.ascontiguousarray(np.concatenate([np.zeros(0, FAULT), *lists]), FAULT)
            offsets = np.cumsum([0, *(len(one) for one in lists)], dtype=np.int64)
        wanted = binding.Campaign(faults=binding.address(faults), offsets=binding.address(offsets))
        return self._campaign(wanted, len(offsets) - 1, labels, threads, logits, progress, (faults, offsets))

    def _campaign(
        self,
        wanted: binding.Campaign,
        trials: int,
        labels: Ints,
        threads: int,
        logits: bool,
        progress: Callable[[int], None] | None,
        kept: tuple[object, ...],
    ) -> Counts:
        """Run what `wanted` describes; `kept` are the arrays that it points to."""
        truth = np.ascontiguousarray(labels, np.int64)
        if truth.shape != (self._n_samples,):
            raise ConfigError(f"labels must be {self._n_samples} whole numbers, got shape {truth.shape}")
        if truth.min() < 0 or truth.max() >= self.network.n_out:
            raise ConfigError(f"labels {truth.min()}..{truth.max()} lie outside the {self.network.n_out} classes")
        if threads < 1:
            raise ConfigError(f"{threads} threads: at least one is needed")
        rows = np.zeros(trials, COUNTS)
        finished, (done, cancel) = binding.no_bytes(trials), binding.signals()
        values = np.empty((trials, self._n_samples, self.network.n_out), np.int64) if logits else None
        wanted.n_trials, wanted.threads, wanted.labels = trials, threads, binding.address(truth)
        wanted.counts = binding.address(rows)
        wanted.logits = None if values is None else binding.address(values)
        wanted.finished = binding.address(finished)
        wanted.done, wanted.cancel = binding.address(done), binding.address(cancel)
        error = binding.Error.empty()
        try:
            call = self._library.codesign_engine_campaign
            failed = binding.watched(lambda: call(self._handle, wanted, error), done, cancel, progress)
        except KeyboardInterrupt as interrupt:
            complete = int(np.argmin(np.append(finished, 0)))
            counts = Counts(rows[:complete], None if values is None else values[:complete])
            raise Interrupted(counts) from interrupt
        del kept
        if failed:
            raise error.raised()
        return Counts(rows, values)


def open_engine(network: Network, plan: ProtectionPlan, raw_inputs: Ints) -> NativeEngine | EngineSimulator:
    """The compiled engine, or the one in NumPy where it was not built; `codesign doctor` tells which."""
    try:
        binding.library()
    except ConfigError:
        return EngineSimulator(network, plan, raw_inputs)
    return NativeEngine(network, plan, raw_inputs)
