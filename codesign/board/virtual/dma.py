"""The AXI DMA in simple mode as its registers show it (PG021): reset values, halting, idle, errors, lengths."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.board.virtual.accelerator import Kind, Logic, Trouble, Until
from codesign.board.virtual.memory import Memory
from codesign.errors import BoardError

_RUN, _RESET, _HALTED, _IDLE, _DONE, _FAILED = 1, 1 << 2, 1, 2, 1 << 12, 1 << 14
# Internal, slave and decode error.
_INTERNAL, _SLAVE, _DECODE = 1 << 4, 1 << 5, 1 << 6
_CONTROL_RESET, _STATUS_RESET, _WRITABLE = 0x0001_0002, 0x0001_0001, 0xFFFF_7001
SEND, RECEIVE = 0x00, 0x30


@dataclass
class Channel:
    """The registers of one direction; `asked` is the length under way, 0 where there is none."""

    control: int = _CONTROL_RESET
    status: int = _STATUS_RESET
    address: int = 0
    length: int = 0
    asked: int = 0

    @property
    def halted(self) -> bool:
        return bool(self.status & _HALTED)

    def finish(self, length: int) -> None:
        self.length, self.asked = length, 0
        self.status |= _IDLE | _DONE

    def fail(self, error: int) -> None:
        """An error halts the engine until it is reset."""
        self.control &= ~_RUN
        self.asked = 0
        self.status |= error | _FAILED | _HALTED


class AxiDma:
    """Both channels, the stream between them being the accelerator's."""

    def __init__(self, memory: Memory, length_bits: int, trouble: Callable[[], list[Trouble]]) -> None:
        self._memory, self._mask, self._trouble = memory, (1 << length_bits) - 1, trouble
        self.logic: Logic | None = None
        self._late: list[tuple[NDArray[np.uint8], bool]] = []
        self.transfers = 0
        self.clear()

    def clear(self) -> None:
        """As after reset; beats that nobody took are lost with it."""
        self._channels = {SEND: Channel(), RECEIVE: Channel()}
        self._waiting: list[tuple[NDArray[np.uint8], bool]] = []

    def read(self, offset: int) -> int:
        """A register of 32 bits."""
        start, channel = self._channel(offset)
        match offset - start:
            case 0x00:  # DMACR
                return channel.control | (_RESET if self._is(Kind.STUCK) else 0)
            case 0x04:  # DMASR
                return channel.status
            case 0x18:
                return channel.address & 0xFFFFFFFF
            case 0x1C:
                return channel.address >> 32
            case 0x28:
                return channel.length
        return 0

    def write(self, offset: int, value: int) -> None:
        """A register of 32 bits."""
        start, channel = self._channel(offset)
        match offset - start:
            case 0x00:
                self._control(channel, value)
            case 0x04:
                channel.status &= ~(value & 0x7000)
            case 0x18:
                channel.address = (channel.address & ~0xFFFFFFFF) | value
            case 0x1C:
                channel.address = (channel.address & 0xFFFFFFFF) | value << 32
            case 0x28:
                self._begin(start, channel, value & self._mask)

    def _channel(self, offset: int) -> tuple[int, Channel]:
        start = RECEIVE if offset >= RECEIVE else SEND
        return start, self._channels[start]

    def _control(self, channel: Channel, value: int) -> None:
        if value & _RESET:
            self._mend(Until.RESET)
            self.clear()
            return
        channel.control = (value & _WRITABLE) | 2
        if value & _RUN:
            channel.status &= ~_HALTED
        else:
            channel.status |= _HALTED

    def _begin(self, start: int, channel: Channel, length: int) -> None:
        if channel.halted or channel.asked:  # the write has no effect
            return
        channel.status &= ~_IDLE
        if not length:
            channel.fail(_INTERNAL)
            return
        channel.asked = length
        try:
            self._memory.at(channel.address, length)
        except BoardError:
            channel.fail(_DECODE)
            return
        for kind, error in ((Kind.SLAVE_ERROR, _SLAVE), (Kind.DECODE_ERROR, _DECODE)):
            if self._is(kind):
                self._mend(Until.ONCE)
                channel.fail(error)
                return
        if start == SEND:
            self._send(channel)
        self._receive(self._channels[RECEIVE])

    def _send(self, channel: Channel) -> None:
        if self.logic is None or self._is(Kind.DEAF) or channel.asked % (self.logic.bits // 8):
            return
        data, last = self.logic.feed(self._memory.at(channel.address, channel.asked).copy())
        self.transfers += 1
        channel.finish(channel.asked)
        beats = list(zip(data, last.tolist(), strict=True))
        if self._is(Kind.MUTE):
            beats = []
        elif self._is(Kind.SHORT):
            beats = [(beat, k == len(beats) - 2) for k, (beat, _) in enumerate(beats[:-1])]
        elif self._is(Kind.LONG):
            beats = [*((beat, False) for beat, _ in beats), (data[-1], True)]
        elif self._is(Kind.LATE):
            beats, self._late = self._late, beats
        self._mend(Until.ONCE)
        self._waiting += beats

    def _receive(self, channel: Channel) -> None:
        """Write beats until TLAST, or until more comes than was asked for."""
        if not channel.asked or not self._waiting:
            return
        ends = [k for k, (_, last) in enumerate(self._waiting) if last]
        packet = self._waiting[: ends[0] + 1] if ends else self._waiting
        data = np.concatenate([beat for beat, _ in packet])
        if len(data) > channel.asked:
            channel.fail(_INTERNAL)
        elif ends:
            self._memory.at(channel.address, len(data))[:] = data
            channel.finish(len(data))
        else:
            return
        del self._waiting[: len(packet)]

    def _is(self, kind: Kind) -> bool:
        return any(trouble.kind is kind for trouble in self._trouble())

    def _mend(self, by: Until) -> None:
        trouble = self._trouble()
        trouble[:] = [one for one in trouble if one.until is not by]
