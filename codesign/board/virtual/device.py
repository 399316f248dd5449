"""The virtual board as a PYNQ device: its classes Overlay, MMIO, allocate and DMA work on it as they do on a board."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynq.pl_server.device import Device

from codesign.board.virtual.accelerator import Kind, Logic, Trouble, Until
from codesign.board.virtual.bitstream import Content, read_bit
from codesign.board.virtual.dma import AxiDma
from codesign.board.virtual.hwh import DMA_BASE, PORT_BASE, RANGE
from codesign.board.virtual.memory import Memory
from codesign.errors import BoardError

Opener = Callable[[Content], Logic]


class VirtualDevice(Device):  # type: ignore[misc]
    """Programmable logic, memory and bus. `trouble` is what goes wrong from now on; loading mends what it can."""

    capabilities = {"REGISTER_RW": True, "MEMORY_MAPPED": False, "CALLABLE": False}  # noqa: RUF012 - PYNQ's own name

    def __init__(self, opener: Opener) -> None:
        super().__init__("codesign_virtual")
        self.name = "virtual"
        self.memory, self.trouble = Memory(), list[Trouble]()
        self.loads = 0
        self._opener = opener
        self._dma = AxiDma(self.memory, 26, lambda: self.trouble)

    @property
    def dma(self) -> AxiDma:
        """The loaded bitstream's DMA."""
        return self._dma

    # ------------------------------------------------------------ what PYNQ calls

    @property
    def default_memory(self) -> "VirtualDevice":
        return self

    def allocate(self, shape: Any, dtype: Any, **_: Any) -> Any:
        """A buffer of the board's memory."""
        return self.memory.allocate(self, shape, dtype)

    def flush(self, bo: int, offset: int, _address: int, nbytes: int) -> None:
        self.memory.flush(bo, offset, nbytes)

    def invalidate(self, bo: int, offset: int, _address: int, nbytes: int) -> None:
        self.memory.invalidate(bo, offset, nbytes)

    def read_registers(self, address: int, length: int) -> bytes:
        """Words from the bus. Raises BoardError where nothing answers."""
        words = (self._word(address + offset) for offset in range(0, length, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Words to the bus."""
        for offset in range(0, len(data), 4):
            word = int.from_bytes(bytes(data[offset : offset + 4]), "little")
            if DMA_BASE <= address + offset < DMA_BASE + RANGE:
                self._dma.write(address + offset - DMA_BASE, word)
            elif not self._dropped:
                self._port(address + offset).write(address + offset - PORT_BASE, word)

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """The description beside a bitstream, by PYNQ's own parser."""
        from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
        from pynqmetadata.frontends import Metadata

        del partial  # a virtual bitstream is whole
        return RuntimeMetadataParser(Metadata(input=Path(bitfile_name).with_suffix(".hwh")))

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Load a bitstream: logic and DMA are as after power-on."""
        content = read_bit(Path(bitstream.bitfile_name))
        logic = self._opener(content)
        self.trouble[:] = [trouble for trouble in self.trouble if trouble.until is Until.NEVER]
        self._dma = AxiDma(self.memory, content.length_bits, lambda: self.trouble)
        self._dma.logic = logic
        logic.power_on()
        self.loads += 1
        super().post_download(bitstream, parser)

    # ------------------------------------------------------------

    @property
    def _dropped(self) -> bool:
        return any(trouble.kind is Kind.DROPPED for trouble in self.trouble)

    def _word(self, address: int) -> int:
        if DMA_BASE <= address < DMA_BASE + RANGE:
            return self._dma.read(address - DMA_BASE)
        return 0 if self._dropped else self._port(address).read(address - PORT_BASE)

    def _port(self, address: int) -> Logic:
        if self._dma.logic is None or not PORT_BASE <= address < PORT_BASE + RANGE:
            raise BoardError(f"bus error: nothing answers at {address:#x}")
        return self._dma.logic


class _Clocks:
    """In place of the processor's clock registers."""

    def set_pl_clk(self, *_: object) -> None:
        """The simulation knows no time."""


@contextmanager
def active(device: VirtualDevice) -> Iterator[VirtualDevice]:
    """Within, PYNQ's default device is this one."""
    from pynq.ps import Clocks

    places = ((Device.__class__, "_active_device", Device), (Clocks.__class__, "_real_instance", Clocks))
    saved = [vars(owner).get(name) for _, name, owner in places]
    Device._active_device, Clocks._real_instance = device, _Clocks()
    try:
        yield device
    finally:
        for (_, name, owner), before in zip(places, saved, strict=True):
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
