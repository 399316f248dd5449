"""The AXI DMA in simple mode (PG021), driven by its registers with a deadline on every wait.

PYNQ's own driver waits without end, and a channel of it stays unusable after an error; here each failure is one
exception, after which `reset` makes the engine usable again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import numpy as np

from .errors import OverlayError, TransferError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

# Offsets of the channels' registers: memory to stream, and stream to memory.
SEND, RECEIVE = 0x00, 0x30
CONTROL, STATUS, ADDRESS, ADDRESS_HIGH, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
RUN, RESET = 1 << 0, 1 << 2
HALTED, IDLE = 1 << 0, 1 << 1
# Bits of the status register that tell of an error, with what they mean in simple mode.
ERRORS = {
    1 << 4: "DMA internal error (the accelerator gave more than was asked for, or a length of 0)",
    1 << 5: "DMA slave error (the memory refused an access)",
    1 << 6: "DMA decode error (an address that is no memory's)",
}
_NAMES = {SEND: "sending", RECEIVE: "receiving"}
_RESET_S = 1.0


class Limits(NamedTuple):
    """What the DMA in the block design can do: bytes of a transfer, and the alignment of addresses in bytes."""

    max_bytes: int
    align: int

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> Limits:
        """From the hardware description's parameters. Raises OverlayError for a DMA that cannot be used."""
        given = {str(key).lower(): value for key, value in parameters.items()}
        try:
            engine = {key: int(given.get(key, 0)) for key in ("c_include_sg", "c_micro_dma")}
            channels = [int(given.get(key, 1)) for key in ("c_include_mm2s", "c_include_s2mm")]
            length_bits = int(given.get("c_sg_length_width", 14))
            widths = [int(given.get(f"c_m_axi_{side}_data_width", 32)) for side in ("mm2s", "s2mm")]
        except (TypeError, ValueError) as error:
            raise OverlayError(f"the hardware description has a DMA whose parameters make no sense: {error}") from None
        if any(engine.values()) or not all(channels):
            raise OverlayError("the DMA of this bitstream is not a simple one with both channels: it is not codesign's")
        return cls((1 << length_bits) - 1, max(widths) // 8)


class StreamDma:
    """Moves whole bursts: sends one buffer and receives another at the same time."""

    def __init__(self, mmio: Any, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._mmio, self.limits, self._clock = mmio, limits, clock

    def reset(self) -> None:
        """Give up what is under way and make both channels ready. Raises TransferError if there is no answer."""
        self._mmio.write(SEND + CONTROL, RESET)
        self._until(lambda: not self._mmio.read(SEND + CONTROL) & RESET, _RESET_S, "the DMA does not come out of reset")
        for channel in (RECEIVE, SEND):
            self._mmio.write(channel + CONTROL, RUN)
            self._until(
                lambda at=channel: not self._mmio.read(at + STATUS) & HALTED,  # type: ignore[misc]
                _RESET_S,
                f"the DMA's channel for {_NAMES[channel]} does not start",
            )

    def transfer(self, source: Any, send_bytes: int, target: Any, receive_bytes: int, timeout_s: float) -> None:
        """Send the first bytes of one PYNQ buffer and receive so many into another.

        Raises TransferError on the engine's errors, on a stream that ends early, and when it takes `timeout_s`.
        """
        for size in (send_bytes, receive_bytes):
            if not 0 < size <= self.limits.max_bytes:
                raise TransferError(f"a transfer of {size} bytes: the DMA takes 1 to {self.limits.max_bytes}")
        source.flush()
        target.flush()  # so that no line of the cache is written over what arrives
        self._start(RECEIVE, target, receive_bytes)
        self._start(SEND, source, send_bytes)
        self._wait(timeout_s, send_bytes, receive_bytes)
        received = int(self._mmio.read(RECEIVE + LENGTH))
        if received != receive_bytes:
            raise TransferError(
                f"short transfer: the accelerator gave {received} bytes instead of {receive_bytes}; "
                "the bitstream is not the package's, or samples were lost"
            )
        target.invalidate()

    def _start(self, channel: int, buffer: Any, size: int) -> None:
        address = int(buffer.physical_address)
        if address % self.limits.align:
            raise TransferError(f"a buffer at {address:#x}: the DMA takes multiples of {self.limits.align}")
        self._mmio.write(channel + ADDRESS, address & 0xFFFFFFFF)
        self._mmio.write(channel + ADDRESS_HIGH, address >> 32)
        self._mmio.write(channel + LENGTH, size)

    def _wait(self, timeout_s: float, send_bytes: int, receive_bytes: int) -> None:
        end = self._clock() + timeout_s
        while True:
            late = self._clock() > end  # asked before the status: a slow machine is no hung accelerator
            states = self._states()
            if all(status & IDLE for status in states):
                return
            if late:
                raise TransferError(
                    f"DMA time-out after {timeout_s:g} s: {self._stuck(states)} "
                    f"({send_bytes} bytes to send, {receive_bytes} to receive)"
                )

    def _states(self) -> tuple[int, int]:
        found = []
        for channel in (SEND, RECEIVE):
            status = int(self._mmio.read(channel + STATUS))
            for bit, meaning in ERRORS.items():
                if status & bit:
                    raise TransferError(f"{meaning} while {_NAMES[channel]} (status {status:#x})")
            if status & HALTED:
                raise TransferError(f"the DMA's channel for {_NAMES[channel]} has halted (status {status:#x})")
            found.append(status)
        return found[0], found[1]

    def _stuck(self, states: tuple[int, int]) -> str:
        if not states[0] & IDLE:
            return "the accelerator does not take its input"
        return "the accelerator takes its input and gives no output"

    def _until(self, reached: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
        end = self._clock() + timeout_s
        while not reached():
            if self._clock() > end:
                raise TransferError(f"{otherwise} within {timeout_s:g} s")
