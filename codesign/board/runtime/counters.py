"""The accelerator's counters, without the samples that were sent only to let a register settle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hardware import Hardware

COUNT = 1 << 32
_EVENTS = 0xFFFF
_SAMPLES = "samples"


class Counters:
    """Samples, and samples with events of each layer; what is left out is known by its register."""

    def __init__(self, hardware: Hardware, layers: list[str]) -> None:
        self._hardware, self._layers = hardware, layers
        self._left_out: dict[str, int] = {}
        self._cleared = False

    def words(self) -> dict[str, int]:
        """As they stand in the registers."""
        found = {_SAMPLES: self._hardware.read(_SAMPLES)}
        for layer in self._layers:
            word = self._hardware.read(f"events_{layer}")
            found[f"corrected {layer}"], found[f"detected {layer}"] = word & _EVENTS, word >> 16
        return found

    def read(self) -> dict[str, Any]:
        """Samples, frames that were cut, and of each layer the samples that it corrected and detected."""
        words = {name: word - self._left_out.get(name, 0) for name, word in self.words().items()}
        found: dict[str, Any] = {_SAMPLES: words[_SAMPLES] % COUNT, "bad_frames": self._hardware.read("bad_frames")}
        for kind in ("corrected", "detected"):
            found[kind] = {layer: words[f"{kind} {layer}"] for layer in self._layers}
        return found

    def leave_out(self, before: dict[str, int], samples: int, clear: bool) -> None:
        """Some samples were sent since `before`; `clear` says what its register was set to for them."""
        out, after = self._left_out, self.words()
        for name in after:
            if name == _SAMPLES:
                out[name] = out.get(name, 0) + samples
            elif clear:
                out[name] = 0
            elif self._cleared:  # until it was lowered there was nothing, nobody knows when that was
                out[name] = after[name]
            else:
                out[name] = out.get(name, 0) + after[name] - before[name]
        self._cleared = clear

    def restart(self) -> None:
        """Count from zero again; what was counted up to now is nobody's."""
        self._left_out, self._cleared = self.words(), False
