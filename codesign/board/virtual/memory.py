"""The board's memory: the processor's cache and what the DMA sees are two things until they are synced."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import BoardError

_BASE, _PAGE = 0x1000_0000, 4096


class Memory:
    """Hands out PYNQ's buffers. Physical addresses begin at 256 MiB, a page each at least."""

    def __init__(self, size: int = 64 << 20) -> None:
        self._size, self._next = size, _BASE
        # By number of the buffer: physical address, the processor's bytes, the memory's.
        self._buffers: dict[int, tuple[int, NDArray[np.uint8], NDArray[np.uint8]]] = {}

    @property
    def allocated(self) -> int:
        """Buffers that have not been given back."""
        return len(self._buffers)

    def allocate(self, device: object, shape: Any, dtype: Any) -> Any:
        """A PYNQ buffer that has to be flushed and invalidated. Raises MemoryError when there is no room."""
        from pynq.buffer import PynqBuffer

        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pages = -(-max(nbytes, 1) // _PAGE) * _PAGE
        if sum(len(dram) for _, _, dram in self._buffers.values()) + pages > self._size:
            raise MemoryError(f"the virtual board has {self._size >> 20} MiB for buffers")
        cached = np.full(pages, 0xCD, np.uint8)
        number, address = self._next // _PAGE, self._next
        self._buffers[number] = address, cached, np.full(pages, 0xDB, np.uint8)
        self._next += pages + _PAGE
        buffer = PynqBuffer(shape, dtype, buffer=cached, device=device, device_address=address, bo=number)
        buffer.memory, buffer.pointer, buffer.return_to = self, number, self
        buffer.freed = True  # PYNQ would unmap what was given back when the object goes, too
        return buffer

    def return_pointer(self, number: int) -> None:
        """A buffer is given back."""
        self._buffers.pop(number, None)

    def flush(self, number: int, offset: int, nbytes: int) -> None:
        """The processor's bytes go to the memory."""
        _, cached, dram = self._buffers[number]
        dram[offset : offset + nbytes] = cached[offset : offset + nbytes]

    def invalidate(self, number: int, offset: int, nbytes: int) -> None:
        """The processor will read what is in the memory."""
        _, cached, dram = self._buffers[number]
        cached[offset : offset + nbytes] = dram[offset : offset + nbytes]

    def at(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        """The memory's bytes there, to read and to write. Raises BoardError where there is none."""
        for start, _, dram in self._buffers.values():
            if start <= address and address + nbytes <= start + len(dram):
                return dram[address - start : address - start + nbytes]
        raise BoardError(f"no memory of {nbytes} bytes at {address:#x}")
