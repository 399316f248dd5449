"""The accelerator as Python sees it: predictions, flags, counters, self-test, figures and upsets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import numpy as np

from .counters import COUNT, Counters
from .errors import InputError, LostError, OverlayError, TransferError
from .fixed import quantise, to_real
from .hardware import Hardware
from .package import Package, open_package

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .fixed import Ints

TIMEOUT_S = 5.0
# Bytes that a batch takes of the memory that the DMA reaches, in each direction; and its most samples, so that the
# deadline of a transfer is one of slow accelerators, too: 5 ms a sample by default.
_BATCH_BYTES, _BATCH_SAMPLES = 1 << 22, 1000
_BEHIND_S = 0.1
GUARD_BITS = 3
# A value that the host writes is certain only for samples that come after so many others: the accelerator runs freely
# and takes its registers in advance, at most as many times as it has stages. A network has 32 layers at most.
_SETTLING = 64


class Flags(NamedTuple):
    """Which layers have corrected an upset, or found one that they could not correct, since they were cleared."""

    corrected: dict[str, bool]
    detected: dict[str, bool]


class Traced(NamedTuple):
    """Logits, shape (n, n_out), and the flags of each sample and layer that computes, shape (n, layers)."""

    logits: Ints
    corrected: NDArray[np.bool_]
    detected: NDArray[np.bool_]


class Figures(NamedTuple):
    """Measured with the clock of the board's processor, DMA and Python included."""

    samples: int
    samples_per_s: float
    latency_us: float
    latency_us_max: float


class Accelerator:
    """A loaded accelerator. One thread at a time; `with` gives its memory back at the end."""

    def __init__(self, package: Package, timeout_s: float = TIMEOUT_S) -> None:
        if not timeout_s > 0:
            raise InputError(f"timeout_s is {timeout_s}, expected seconds > 0")
        self.package, self.model, self.timeout_s = package, package.model, timeout_s
        self._hardware = Hardware(package)
        # What was written to the registers that the host writes.
        self._host = {name: 0 for name, register in self.model.registers.items() if register.written_by_host}
        self._lost, self._settled = False, True
        self._counters = Counters(self._hardware, self.model.layers)
        # What a fresh accelerator gives for `_samples`.
        self._known: list[Ints] = []
        self._start()

    @classmethod
    def load(cls, folder: Any, timeout_s: float = TIMEOUT_S) -> Accelerator:
        """Check a package's files, load its bitstream, and check that it is the one the package is of.

        Raises PackageError or OverlayError. `timeout_s` is the most that a transfer may take.
        """
        return cls(open_package(folder), timeout_s)

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back; the bitstream stays where it is."""
        self._hardware.close()

    # ------------------------------------------------------------ predictions

    def predict(self, inputs: ArrayLike) -> NDArray[np.float64]:
        """Outputs of real inputs, shape (n, ...) with n_in values a sample, quantised to the network's input type."""
        return to_real(self.predict_raw(self.quantise(inputs)), self.model.output.type)

    def quantise(self, inputs: ArrayLike) -> Ints:
        """Real inputs, shape (n, ...), as raw integers, shape (n, n_in)."""
        raw = quantise(inputs, self.model.input.type)
        if raw.ndim < 1 or raw.size != len(raw) * self.model.input.values:
            raise InputError(f"the accelerator takes {self.model.input.values} values a sample, got shape {raw.shape}")
        return raw.reshape(len(raw), self.model.input.values)

    def predict_raw(self, raw: ArrayLike) -> Ints:
        """Raw outputs, shape (n, n_out), of raw inputs, shape (n, n_in). It is usable after a TransferError, too."""
        given = self.model.input.check(raw)
        found = np.zeros((len(given), self.model.output.values), np.int64)
        for start in range(0, len(given), self.batch):
            part = slice(start, start + self.batch)
            found[part] = self._guarded(given[part])
        return found

    def trace_raw(self, raw: ArrayLike) -> Traced:
        """The same, sample by sample, with the flags of each: slow, and the sticky flags are then those of the last."""
        given, layers = self.model.input.check(raw), np.arange(len(self.model.layers), dtype=np.int64)
        logits = np.zeros((len(given), self.model.output.values), np.int64)
        flags = np.zeros((2, len(given), len(layers)), np.bool_)
        self._write("clear", 1)
        try:
            for sample in range(len(given)):
                logits[sample] = self._guarded(given[sample : sample + 1])[0]
                for row, name in zip(flags, ("status_corrected", "status_detected")):
                    row[sample] = self._hardware.read(name) >> layers & 1
        finally:
            self._write("clear", 0)
        return Traced(logits, flags[0], flags[1])

    @property
    def batch(self) -> int:
        """Samples of one transfer, by the DMA's longest and the memory that is taken for it."""
        longest = min(self._hardware.dma.limits.max_bytes, _BATCH_BYTES)
        fits = longest // max(self.model.input.sample_bytes, self.model.output.sample_bytes)
        if not fits:
            raise OverlayError(f"a sample does not fit a transfer of {longest} bytes: build with a longer DMA length")
        return min(fits, _BATCH_SAMPLES)

    # ------------------------------------------------------------ registers

    def flags(self) -> Flags:
        """The sticky flags, by layer."""
        words = [self._hardware.read(name) for name in ("status_corrected", "status_detected")]
        return Flags(*({name: bool(word >> k & 1) for k, name in enumerate(self.model.layers)} for word in words))

    def counters(self) -> dict[str, Any]:
        """Samples with events of each layer (both stop at 65535), and samples and cut frames since the bitstream.

        Samples that were sent only to let a register settle are left out. They begin anew after a TransferError.
        """
        return self._counters.read()

    def clear(self) -> None:
        """Clear flags and counters of events; takes samples (zeros), without guards and upsets."""
        before = dict(self._host)
        for name in before:
            self._write(name, 0)
        self._write("clear", 1)
        self._guarded(np.zeros((1, self.model.input.values), np.int64))
        for name, value in before.items():
            self._write(name, value)

    def set_register(self, name: str, value: int) -> None:
        """Write a register of the host's: `guard`, or those of an upset slot. Raises InputError."""
        if name not in self._host:
            raise InputError(f"no register {name!r} to write; there are {', '.join(sorted(self._host))}")
        if not 0 <= value < 1 << self.model.registers[name].bits:
            raise InputError(f"register {name} has {self.model.registers[name].bits} bits, {value} does not fit")
        self._write(name, value)

    def _write(self, name: str, value: int) -> None:
        self._settled &= self._host[name] == value
        self._host[name] = value
        self._hardware.write(name, value)

    # ------------------------------------------------------------ measurements

    def measure(self, raw: ArrayLike, seconds: float = 1.0, clock: Callable[[], float] = time.perf_counter) -> Figures:
        """Samples a second in batches, and the median and longest time of one sample alone."""
        given = self.model.input.check(raw)
        if not len(given):
            raise InputError("there is nothing to measure with: no samples")
        batch = _repeated(given, min(self.batch, max(len(given), _BATCH_SAMPLES)))
        self._guarded(batch)  # what happens once only is not measured
        done, begin = 0, clock()
        while not done or clock() - begin < seconds:
            self._guarded(batch)
            done += len(batch)
        rate = done / max(clock() - begin, 1e-9)
        times: list[float] = []
        for sample in range(min(len(given), 100)):
            begin = clock()
            self._guarded(given[sample : sample + 1])
            times.append(1e6 * (clock() - begin))
        return Figures(done, rate, float(np.median(times)), max(times))

    # ------------------------------------------------------------ transfers

    def _guarded(self, raw: Ints) -> Ints:
        """A transfer after whose failure the board is usable."""
        if not len(raw):
            return np.zeros((0, self.model.output.values), np.int64)
        if self._lost:
            self._recover("it was lost")
        try:
            if not self._settled:
                self._settle(raw)
            return self._burst(raw)
        except TransferError as error:
            done = self._recover(str(error))
            raise type(error)(f"{error}; {done}, so the board can be used again") from None

    def _recover(self, why: str) -> str:
        """Registers that the host writes are zero afterwards."""
        self._host = dict.fromkeys(self._host, 0)
        self._lost = True
        try:
            done = self._hardware.recover(self._probe)
        except LostError as lost:
            raise LostError(f"{why}; {lost}") from None
        self._counters.restart()
        self._lost, self._settled = False, True
        return done

    def _settle(self, raw: Ints) -> None:
        """Let what was written count, by samples whose outputs are thrown away.

        They are those that come next, so that the sticky flags are not of others; what they count is noted.
        """
        before = self._counters.words()
        self._discard(raw)
        self._counters.leave_out(before, _SETTLING, bool(self._host["clear"]))
        self._settled = True

    def _discard(self, raw: Ints) -> None:
        for start in range(0, _SETTLING, self.batch):
            self._burst(_repeated(raw, min(self.batch, _SETTLING - start)))

    def _burst(self, raw: Ints) -> Ints:
        lanes, out = self.model.input, self.model.output
        before = self._hardware.read("samples")
        sent, wanted = len(raw) * lanes.sample_bytes, len(raw) * out.sample_bytes
        source, target = self._hardware.buffer("input", sent), self._hardware.buffer("output", wanted)
        source[:sent] = lanes.pack(raw).reshape(-1)
        self._hardware.dma.transfer(source, sent, target, wanted, self.timeout_s)
        self._await((before + len(raw)) % COUNT)
        return out.unpack(np.array(target[:wanted]).reshape(len(raw), out.sample_bytes))

    def _await(self, expected: int) -> None:
        """The registers are of the last sample: they may be a few cycles behind the stream."""
        end = time.monotonic() + _BEHIND_S
        while True:
            late = time.monotonic() > end
            count = self._hardware.read("samples")
            if count == expected:
                return
            if late:
                raise TransferError(f"the accelerator has counted {count} samples instead of {expected}")

    def _probe(self) -> None:
        """Let go of a sample that was cut, then send samples whose outputs are known: none may be an earlier one's."""
        for name in self._host:
            self._hardware.write(name, 0)
        lanes, out = self.model.input, self.model.output
        source = self._hardware.buffer("input", lanes.sample_bytes)
        target = self._hardware.buffer("output", out.sample_bytes)
        source[: lanes.sample_bytes] = 0
        self._hardware.dma.transfer(source, lanes.bits // 8, target, out.sample_bytes, self.timeout_s)
        self._discard(np.zeros((1, lanes.values), np.int64))  # under what the registers were before
        for sample, known in zip(self._samples, self._known):
            if not np.array_equal(self._burst(sample)[0], known):
                raise TransferError("the accelerator answers with the outputs of other samples")
        self._check_ids()

    def _start(self) -> None:
        """The first samples: the constants are written when one leaves."""
        for name in self._host:
            self._hardware.write(name, 0)
        try:
            self._known = [self._burst(sample)[0] for sample in self._samples]
        except TransferError as error:
            if all(self._hardware.read(name) for name in self.model.ids):
                self._check_ids()  # another accelerator answers in other lengths: that is the reason to give
            self._recover(str(error))
            self._known = [self._burst(sample)[0] for sample in self._samples]
        self._check_ids()

    @property
    def _samples(self) -> list[Ints]:
        """Some inputs, each of shape (1, n_in): one after the other, lowest to highest value, and zeros."""
        values, of = self.model.input.values, self.model.input.type
        steps = np.linspace(of.min_raw, of.max_raw, values).astype(np.int64)
        return [row.reshape(1, values) for row in (steps, steps[::-1], np.zeros(values, np.int64))]

    def _check_ids(self) -> None:
        for name, expected in self.model.ids.items():
            if (found := self._hardware.read(name)) != expected:
                what = name.split("_")[1]
                raise OverlayError(
                    f"{self.package.bitstream} is a wrong bitstream: its {what} begins with {found:08x}, the package "
                    f"is of {expected:08x}; build the package again"
                )

    @property
    def guard(self) -> int:
        """The guard bits, zero in operation: a raised bit k corrupts copy k of everything that is hardened."""
        return self._host["guard"]

    @guard.setter
    def guard(self, bits: int) -> None:
        self.set_register("guard", bits)


def _repeated(raw: Ints, count: int) -> Ints:
    """So many samples, again and again from the first."""
    found: Ints = raw[np.arange(count, dtype=np.int64) % len(raw)]
    return found
