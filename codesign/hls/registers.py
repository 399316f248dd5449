"""The accelerator's registers on AXI-lite: added ports of the top function and their addresses."""

from dataclasses import dataclass
from typing import Any

from codesign.network import Network

# One bit a layer in a sticky status word.
MAX_LAYERS = 32
BUNDLE = "control"
# Below lie the tools' own control registers. A port takes its 32 bits and a word for its handshake; newer tools put
# in a reserved one.
_FIRST, _STRIDE = 0x10, 0x10


@dataclass(frozen=True)
class Register:
    """A port: its C++ name and type, bits, byte offset, and what it means."""

    name: str
    c_type: str
    bits: int
    offset: int
    written_by_host: bool
    meaning: str

    def to_json(self) -> dict[str, Any]:
        access = "read-write" if self.written_by_host else "read-only"
        return {
            "name": self.name,
            "offset": self.offset,
            "bits": self.bits,
            "access": access,
            "meaning": self.meaning,
        }

    @property
    def port(self) -> str:
        """Its declaration in a parameter list."""
        return f"{self.c_type} {'' if self.written_by_host else '&'}{self.name}"

    @property
    def pragma(self) -> str:
        return f"#pragma HLS INTERFACE s_axilite port={self.name} bundle={BUNDLE} offset={self.offset:#x}"


def register_map(network: Network) -> tuple[Register, ...]:
    """All registers: two that the host writes, then the status words in the order of `codesign::report`.

    Every status word is a port of its own: an array would be a memory, and a pipelined accelerator would wait for
    the memory's only port.
    """
    layers = [layer.name for _, layer in network.compute_layers()]
    names = ", ".join(f"bit {bit}: {name}" for bit, name in enumerate(layers))
    rows = [
        ("guard", "codesign::Guard", 3, "one bit a copy; zero in operation, raised it corrupts that copy (self-test)"),
        ("clear", "bool", 1, "while raised, the status registers are cleared before a sample's events are counted"),
        ("status_corrected", "ap_uint<32>", 32, f"sticky: the layer corrected an upset; {names}"),
        ("status_detected", "ap_uint<32>", 32, f"sticky: the layer found an upset it could not correct; {names}"),
    ]
    rows += [
        (f"events_{name}", "ap_uint<32>", 32, f"{name}: samples corrected (bits 15..0) and detected (bits 31..16)")
        for name in layers
    ]
    return tuple(
        Register(name, c_type, bits, _FIRST + _STRIDE * k, k < 2, meaning)
        for k, (name, c_type, bits, meaning) in enumerate(rows)
    )


def board_registers(network: Network) -> tuple[Register, ...]:
    """Those of a project with our AXI wrapper: the ones of every project, then what the wrapper knows."""
    inner = register_map(network)
    rows = [
        ("id_network", "constant: the first 32 bits of the network's digest"),
        ("id_plan", "constant: the first 32 bits of the protection plan's digest"),
        ("samples", "samples since reset; wraps"),
        ("bad_frames", "samples that TLAST cut short, since reset; wraps"),
    ]
    first = inner[-1].offset + _STRIDE
    own = (
        Register(name, "ap_uint<32>", 32, first + _STRIDE * k, False, meaning) for k, (name, meaning) in enumerate(rows)
    )
    return (*inner, *own)


def status_words(network: Network) -> tuple[Register, ...]:
    """Those that the host reads."""
    return tuple(r for r in register_map(network) if not r.written_by_host)
