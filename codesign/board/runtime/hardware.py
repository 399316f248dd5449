"""The bitstream on the board: loading it, finding the DMA and the accelerator in it, and loading it again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Callable

from .dma import Limits, StreamDma
from .errors import LostError, OverlayError, TransferError

if TYPE_CHECKING:
    from .package import Package

_DMA = "xilinx.com:ip:axi_dma"
_OURS = ":hls:"


class Hardware:
    """DMA, accelerator port and buffers of a loaded bitstream."""

    def __init__(self, package: Package) -> None:
        self._package, self._model = package, package.model
        self._buffers: dict[str, Any] = {}
        self.load()

    def load(self) -> None:
        """Load the bitstream, which puts the accelerator into its state after power-on. Raises OverlayError."""
        pynq = _pynq()
        self.free()
        path = self._package.bitstream
        try:
            overlay = pynq.Overlay(str(path))
        except Exception as error:  # noqa: BLE001 - PYNQ raises what it likes, and its users want one line
            raise OverlayError(f"cannot load {path}: {_line(error)}{_hint(error)}") from None
        blocks = overlay.ip_dict
        dma = _only("DMA", [name for name, ip in blocks.items() if _type(ip).startswith(_DMA)], path)
        port = _port(blocks, self._model.top, path)
        self._overlay = overlay
        self._port = self._mmio(blocks[port])
        self.dma = StreamDma(self._mmio(blocks[dma]), Limits.of(blocks[dma].get("parameters") or {}))
        self._check_range(blocks[port])
        self.dma.reset()

    def _check_range(self, block: dict[str, Any]) -> None:
        end = max(register.offset for register in self._model.registers.values()) + 4
        if int(block["addr_range"]) < end:
            raise OverlayError(f"the accelerator's port has {block['addr_range']} bytes, its registers need {end}")

    def _mmio(self, block: dict[str, Any]) -> Any:
        return _pynq().MMIO(int(block["phys_addr"]), int(block["addr_range"]))

    def read(self, name: str) -> int:
        """A register of the accelerator."""
        register = self._model.registers[name]
        return int(self._port.read(register.offset)) & ((1 << register.bits) - 1)

    def write(self, name: str, value: int) -> None:
        """A register that the host writes."""
        self._port.write(self._model.registers[name].offset, int(value))

    def buffer(self, name: str, size: int) -> Any:
        """Memory of at least so many bytes that the DMA reaches; kept until `free`."""
        have: Any | None = self._buffers.get(name)
        if have is None or have.nbytes < size:
            if have is not None:
                self._buffers.pop(name).freebuffer()
            try:
                have = _pynq().allocate(shape=(size,), dtype="u1")
            except (MemoryError, RuntimeError, OSError) as error:
                raise OverlayError(
                    f"no memory of {size} bytes for the DMA: {_line(error)}; send smaller batches"
                ) from None
            self._buffers[name] = have
        return have

    def close(self) -> None:
        """Stop the DMA, which an interrupted transfer has left running, then give the memory back."""
        with contextlib.suppress(TransferError):
            self.dma.reset()
        self.free()

    def free(self) -> None:
        """Give the memory back."""
        while self._buffers:
            self._buffers.popitem()[1].freebuffer()

    def recover(self, probe: Callable[[], None]) -> str:
        """Make the board usable after a failed transfer; `probe` sends a sample and raises if it does not come back.

        Gives what was done. The DMA is reset; where the accelerator does not answer then, the bitstream is loaded
        again. Raises LostError when that does not help.
        """
        try:
            self.dma.reset()
            probe()
        except (TransferError, OverlayError):
            pass
        else:
            return "the DMA was reset"
        try:
            self.load()
            probe()
        except (TransferError, OverlayError) as error:
            raise LostError(
                f"the accelerator is lost, also after its bitstream was loaded again ({error}); "
                "switch the board off and on"
            ) from None
        return "the bitstream was loaded again"


def _pynq() -> Any:
    try:
        import pynq
    except ImportError as error:
        raise OverlayError(
            f"PYNQ cannot be imported ({_line(error)}): run this on the board, with the Python of its PYNQ image"
        ) from None
    return pynq


def _type(block: dict[str, Any]) -> str:
    return str(block.get("type") or "")


def _only(what: str, names: list[str], path: Any) -> str:
    if len(names) != 1:
        raise OverlayError(f"{path} is a wrong bitstream: it has {len(names)} blocks of kind {what}, expected one")
    return names[0]


def _port(blocks: dict[str, Any], top: str, path: Any) -> str:
    names = [name for name, block in blocks.items() if top in _type(block).split(":")]
    if not names:
        others = sorted(_type(block).split(":")[2] for block in blocks.values() if _OURS in _type(block))
        raise OverlayError(
            f"{path} is a wrong bitstream: it has no accelerator {top}"
            f"{', but ' + ', '.join(others) if others else ''}; copy the package again"
        )
    return _only(top, names, path)


def _hint(error: Exception) -> str:
    """What to do about the errors of PYNQ that everybody meets once."""
    text = str(error)
    if isinstance(error, PermissionError) or "oot permission" in text:
        return "; PYNQ needs root: sudo"
    if "No Devices Found" in text:
        return "; as root, in a login shell (sudo -i), which sets XILINX_XRT"
    return ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
