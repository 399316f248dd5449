"""The accelerator's registers on AXI-lite: added ports of the top function and their addresses."""

from dataclasses import dataclass
from typing import Any

from codesign.network import Layer, Network

# One bit a layer in a sticky status word.
MAX_LAYERS = 32
BUNDLE = "control"
# One bit a copy.
GUARD_BITS = 3
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
        (
            "guard",
            "codesign::Guard",
            GUARD_BITS,
            "one bit a copy; zero in operation, raised it corrupts that copy (self-test)",
        ),
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


def stored_layers(network: Network) -> tuple[Layer, ...]:
    """Those whose weights stand in a memory; upset slots count them from 1."""
    return tuple(layer for layer in network.layers if layer.has_weights and layer.reuse_factor > 1)


def upset_number(network: Network, layer: Layer) -> int:
    """What a slot calls a layer; 0 for one that stores no weights."""
    names = [stored.name for stored in stored_layers(network)]
    return names.index(layer.name) + 1 if layer.name in names else 0


def inner_registers(network: Network, slots: int = 0) -> tuple[Register, ...]:
    """Those that are ports of the network's own function, in their order there."""
    return (*register_map(network), *(board_registers(network, slots)[-3 * slots :] if slots else ()))


def board_registers(network: Network, slots: int = 0) -> tuple[Register, ...]:
    """Those of a project with our AXI wrapper: the ones of every project, what the wrapper knows, the upset slots."""
    inner = register_map(network)
    rows = [
        ("id_network", "constant: the first 32 bits of the network's digest"),
        ("id_plan", "constant: the first 32 bits of the protection plan's digest"),
        ("samples", "samples since reset; wraps"),
        ("bad_frames", "samples that TLAST cut short, since reset; wraps"),
    ]
    first = inner[-1].offset + _STRIDE
    own = [
        Register(name, "ap_uint<32>", 32, first + _STRIDE * k, False, meaning) for k, (name, meaning) in enumerate(rows)
    ]
    stored = ", ".join(f"{number}: {layer.name}" for number, layer in enumerate(stored_layers(network), start=1))
    for k in range(slots):
        for name, c_type, bits, meaning in (
            ("layer", "ap_uint<8>", 8, f"which layer's weights are upset, 0: none; {stored}"),
            ("word", "ap_uint<32>", 32, "index of the stored word: (copy * products + product) * neurons + neuron"),
            ("mask", "ap_uint<32>", 32, "bits of the word that are inverted as it is read"),
        ):
            own.append(Register(f"upset{k}_{name}", c_type, bits, own[-1].offset + _STRIDE, True, meaning))
    return (*inner, *own)


def status_words(network: Network) -> tuple[Register, ...]:
    """Those that the host reads."""
    return tuple(r for r in register_map(network) if not r.written_by_host)
