"""How samples travel on AXI streams: each value in a lane of whole bytes, each sample in whole beats."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints
from codesign.network import Network

Bytes = NDArray[np.uint8]
_LANES = (8, 16, 32, 64)


@dataclass(frozen=True)
class Lanes:
    """`values` numbers of a type in beats of `bits` bits: one direction of a board project's streams."""

    values: int
    type: FixedPoint
    bits: int

    @property
    def lane_bits(self) -> int:
        """The smallest lane that holds a value."""
        return next(lane for lane in _LANES if lane >= self.type.width)

    @property
    def beats(self) -> int:
        """Beats of a sample; the last one may be padded."""
        return -(-self.values * self.lane_bits // self.bits)

    @property
    def _bytes(self) -> int:
        """Bytes of a sample without padding."""
        return self.values * self.lane_bits // 8

    def to_json(self) -> dict[str, Any]:
        return {
            "values": self.values,
            "lane_bits": self.lane_bits,
            "type": {**asdict(self.type), "rounding": str(self.type.rounding), "overflow": str(self.type.overflow)},
            "beats": self.beats,
        }

    def pack(self, raw: Ints) -> Bytes:
        """Raw integers, shape (n, values), as beats, shape (n * beats, bits / 8); padding is zero."""
        raw = np.asarray(raw)
        if raw.ndim != 2 or raw.shape[1] != self.values:
            raise ConfigError(f"a stream of {self.values} values takes shape (n, {self.values}), got {raw.shape}")
        lanes = np.ascontiguousarray(raw, np.dtype(f"<i{self.lane_bits // 8}"))  # two's complement, little endian
        padded = np.zeros((len(raw), self.beats * self.bits // 8), np.uint8)
        padded[:, : self._bytes] = lanes.view(np.uint8).reshape(len(raw), self._bytes)
        return padded.reshape(len(raw) * self.beats, self.bits // 8)

    def unpack(self, beats: Bytes) -> Ints:
        """The raw integers that stand in beats, shape (n, values); padding is ignored."""
        if beats.shape[1:] != (self.bits // 8,) or len(beats) % self.beats:
            raise ConfigError(f"{beats.shape} bytes are no whole samples of {self.beats} beats of {self.bits} bits")
        rows = np.ascontiguousarray(beats).reshape(len(beats) // self.beats, self.beats * self.bits // 8)
        used = np.ascontiguousarray(rows[:, : self._bytes])
        kind = "i" if self.type.signed else "u"
        return used.view(np.dtype(f"<{kind}{self.lane_bits // 8}")).astype(np.int64)


def input_lanes(network: Network, bits: int) -> Lanes:
    """What goes in."""
    return Lanes(network.n_in, network.input_type, bits)


def output_lanes(network: Network, bits: int) -> Lanes:
    """What comes out."""
    return Lanes(network.n_out, network.layers[-1].result, bits)
