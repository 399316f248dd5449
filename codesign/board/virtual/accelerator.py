"""The accelerator in the programmable logic: streams and AXI-lite port around the C-simulation, and what goes wrong."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.hls.registers import Register

Bytes = NDArray[np.uint8]


class Given(Protocol):
    """What comes out of a burst; see `codesign.hls.burst.Burst`."""

    @property
    def data(self) -> Bytes: ...
    @property
    def last(self) -> NDArray[np.bool_]: ...
    @property
    def registers(self) -> dict[str, int]: ...


class Streamed(Protocol):
    """An accelerator that is fed beats: `codesign.hls.burst.BoardCsim`, or anything else that does this."""

    def feed(self, data: Bytes, last: NDArray[np.bool_], host: Mapping[str, int], faults: Any = None) -> Given: ...

    def reset(self) -> None: ...


class Kind(StrEnum):
    """What goes wrong."""

    DEAF = "takes no input"
    MUTE = "gives no output"
    SHORT = "gives the last beat too early"
    LONG = "gives more than was asked for"
    LATE = "gives its output a packet too late"
    SLAVE_ERROR = "the memory refuses the DMA"
    DECODE_ERROR = "the DMA finds no memory"
    STUCK = "the DMA does not come out of reset"
    DROPPED = "registers read as zero"


class Until(StrEnum):
    """What mends it."""

    ONCE = "one transfer"
    RESET = "a reset of the DMA"
    LOAD = "loading the bitstream"
    NEVER = "nothing"


@dataclass(frozen=True)
class Trouble:
    """A fault of the board, and what mends it."""

    kind: Kind
    until: Until = Until.RESET


@dataclass
class Logic:
    """What a bitstream holds: streams of `bits` bits, registers, and what is between them.

    A sample takes `beats` beats. The registers that the host writes are taken `ahead` samples before they are needed,
    as a freely running accelerator does.
    """

    streamed: Streamed
    registers: tuple[Register, ...]
    bits: int
    beats: int = 1
    ahead: int = 0

    def __post_init__(self) -> None:
        self._words: dict[str, int] = {}
        self._taken: deque[dict[str, int]] = deque()
        self.power_on()

    def power_on(self) -> None:
        """As after its bitstream was loaded."""
        self.streamed.reset()
        self._words = {register.name: 0 for register in self.registers}
        self._taken = deque([self._host] * self.ahead)

    @property
    def _host(self) -> dict[str, int]:
        return {register.name: self._words[register.name] for register in self.registers if register.written_by_host}

    def feed(self, data: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
        """A packet of whole beats in; beats out, and where TLAST stands."""
        beats = data.reshape(-1, self.bits // 8)
        last = np.arange(len(beats)) == len(beats) - 1
        parts = []
        for begin, end, host in self._runs(len(beats)):
            found = self.streamed.feed(beats[begin:end], last[begin:end], host)
            self._words.update(found.registers)
            parts.append((found.data, found.last))
        return np.concatenate([data for data, _ in parts]), np.concatenate([ends for _, ends in parts])

    def _runs(self, beats: int) -> list[tuple[int, int, dict[str, int]]]:
        """Begin and end of samples in a row for which the registers are the same, and what they are."""
        runs: list[tuple[int, int, dict[str, int]]] = []
        now = self._host
        for begin in range(0, beats, self.beats):
            self._taken.append(now)
            host, end = self._taken.popleft(), min(begin + self.beats, beats)
            if runs and runs[-1][2] == host:
                runs[-1] = runs[-1][0], end, host
            else:
                runs.append((begin, end, host))
        return runs

    def read(self, offset: int) -> int:
        """A word of the AXI-lite port; zero where there is no register."""
        return next((self._words[register.name] for register in self.registers if register.offset == offset), 0)

    def write(self, offset: int, value: int) -> None:
        """A word that the host writes; what it only reads stays what it is."""
        for register in self.registers:
            if register.offset == offset and register.written_by_host:
                self._words[register.name] = value & ((1 << register.bits) - 1)
