"""The exported top of a board project in simulation: bursts of beats in and out, as a DMA would move them."""

import ctypes
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, MismatchError
from codesign.faults import FAULT, FaultArray
from codesign.fixed import Ints
from codesign.hls.csim import FIRST_RUN, compile_csim
from codesign.hls.folder import Project
from codesign.hls.registers import board_registers
from codesign.hls.stream import Bytes, input_lanes, output_lanes
from codesign.hls.uses import Uses

_TOO_SMALL, _UNREAD = -1, -2
_POINTER = ctypes.c_void_p


@dataclass(frozen=True)
class Burst:
    """What came out: bytes, shape (n_beats, bits / 8); which of them count, same shape; and where TLAST stood.

    `registers` holds those that the host reads, after the last sample; `hits` how often each fault was applied.
    """

    data: Bytes
    keep: NDArray[np.bool_]
    last: NDArray[np.bool_]
    registers: dict[str, int]
    hits: Ints


class BoardCsim:
    """The accelerator of a board project as a board has it: registers keep their content from burst to burst.

    Registers are zero after reset, the constants too: hardware writes all of them when a sample leaves. One thread
    at a time; several accelerators may run side by side.
    """

    def __init__(self, project: Project, cache: Path | None = None) -> None:
        if project.options.axi_bits is None:
            raise ConfigError(f"{project.folder} has no AXI streams: export it for a board (`codesign export --board`)")
        self.project, self.network = project, project.network
        self.input = input_lanes(project.network, project.options.axi_bits)
        self.output = output_lanes(project.network, project.options.axi_bits)
        registers = board_registers(project.network, project.options.upset_slots)
        self._host = {r.name: r.bits for r in registers if r.written_by_host}
        self._read = [r.name for r in registers if not r.written_by_host]
        self._uses = Uses(project.network, project.plan)
        self._library = ctypes.CDLL(str(compile_csim(project, cache)))
        self._library.codesign_board_open.restype = _POINTER
        self._library.codesign_board_feed.restype = ctypes.c_int64
        self._open()
        with FIRST_RUN:
            self.feed(self.input.pack(np.zeros((1, self.network.n_in), np.int64)), np.ones(self.input.beats) > 1)
        self.reset()

    def _open(self) -> None:
        self._handle = _POINTER(self._library.codesign_board_open())
        self._close = weakref.finalize(self, self._library.codesign_board_close, self._handle)

    def reset(self) -> None:
        """Registers as after reset."""
        self._close()
        self._open()

    def feed(
        self,
        data: Bytes,
        last: NDArray[np.bool_],
        host: Mapping[str, int] | None = None,
        faults: FaultArray | None = None,
    ) -> Burst:
        """Send beats, shape (n_beats, bits / 8), with TLAST where `last`, shape (n_beats,), says.

        `host` gives the registers that the host writes, by name; others are zero. Samples of `faults` count from the
        first one of this burst. Raises ConfigError for another shape, an unknown register or fault, or a burst that
        ends within a sample, for which hardware would wait.
        """
        data, last = np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(last, np.bool_)
        if data.shape != (len(last), self.input.bits // 8) or last.ndim != 1:
            raise ConfigError(
                f"a burst of {self.input.bits} bits has shapes (n, {self.input.bits // 8}) and (n,), got {data.shape} "
                f"and {last.shape}"
            )
        samples = self._samples(last)
        faults = np.ascontiguousarray(np.zeros(0, FAULT) if faults is None else faults, FAULT)
        self._uses.expected(faults, max(samples, 1))  # the C side indexes by the faults without looking
        capacity = samples * self.output.beats
        found = np.zeros((capacity, self.output.bits // 8), np.uint8)
        keep, found_last = np.zeros(capacity, np.uint64), np.zeros(capacity, np.uint8)
        read, hits = np.zeros(len(self._read), np.uint32), np.zeros(len(faults), np.int64)
        sent = np.full(len(data), (1 << self.input.bits // 8) - 1, np.uint64)
        written = self._library.codesign_board_feed(
            self._handle,
            *(array.ctypes.data_as(_POINTER) for array in (data, sent, last)),
            ctypes.c_int64(len(data)),
            *(array.ctypes.data_as(_POINTER) for array in (self._registers(host or {}), read, faults)),
            ctypes.c_int64(len(faults)),
            *(array.ctypes.data_as(_POINTER) for array in (hits, found, keep, found_last)),
            ctypes.c_int64(capacity),
        )
        if written != capacity:
            what = {_TOO_SMALL: "too many", _UNREAD: "no"}.get(written, str(written))
            raise MismatchError(f"the wrapper of '{self.network.name}' gave {what} beats instead of {capacity}")
        kept = keep[:, None] >> np.arange(self.output.bits // 8, dtype=np.uint64) & np.uint64(1)
        registers = dict(zip(self._read, read.tolist(), strict=True))
        return Burst(found, kept.astype(np.bool_), found_last.astype(np.bool_), registers, hits)

    def _samples(self, last: NDArray[np.bool_]) -> int:
        """How many samples a burst holds; each takes its beats or ends early with TLAST."""
        samples = begin = 0
        ends = [*np.flatnonzero(last).tolist(), len(last) - 1]
        for end in ends:
            whole, rest = divmod(end + 1 - begin, self.input.beats)
            samples, begin = samples + whole + (rest > 0), end + 1
            if rest and not last[end]:
                raise ConfigError(
                    f"the burst of {len(last)} beats ends within a sample of {self.input.beats}, without TLAST: "
                    "hardware would wait for the rest"
                )
        return samples

    def _registers(self, host: Mapping[str, int]) -> NDArray[np.uint32]:
        for name, value in host.items():
            if name not in self._host:
                raise ConfigError(f"no register '{name}' that the host writes; there are {', '.join(self._host)}")
            if not 0 <= value < 1 << self._host[name]:
                raise ConfigError(f"register {name} has {self._host[name]} bits, {value} does not fit")
        return np.array([host.get(name, 0) for name in self._host], np.uint32)
