"""How samples travel on the AXI streams: each value in a lane of whole bytes, each sample in whole beats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

import numpy as np

from .errors import InputError, PackageError
from .fixed import FixedType

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .fixed import Ints

    Bytes = NDArray[np.uint8]

_WIDTHS = (32, 64, 128, 256, 512)
_LANES = (8, 16, 32, 64)


class Lanes(NamedTuple):
    """`values` numbers of a type in lanes of `lane_bits`, a sample in `beats` beats of `bits` bits."""

    values: int
    lane_bits: int
    type: FixedType
    beats: int
    bits: int

    @classmethod
    def of(cls, where: str, given: Any, bits: int) -> Lanes:
        """From JSON. Raises PackageError that begins with `where`."""
        if not isinstance(given, Mapping) or not {"values", "lane_bits", "type", "beats"} <= set(given):
            raise PackageError(f"{where}: expected values, lane_bits, type and beats, got {given!r}")
        found = cls(
            given["values"], given["lane_bits"], FixedType.of(f"{where}.type", given["type"]), given["beats"], bits
        )
        if type(given["values"]) is not int or found.values < 1 or found.lane_bits not in _LANES:
            raise PackageError(f"{where}: {found.values!r} values in lanes of {found.lane_bits!r} bits")
        if found.type.width > found.lane_bits or found.beats != -(-found.values * found.lane_bits // bits):
            raise PackageError(f"{where}: {found.values} values of {found.type} do not stand in {found.beats!r} beats")
        return found

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample with its padding."""
        return self.beats * self.bits // 8

    @property
    def _used(self) -> int:
        return self.values * self.lane_bits // 8

    def check(self, raw: ArrayLike) -> Ints:
        """Raw integers of shape (n, values). Raises InputError for another shape, or what the type does not hold."""
        given = np.asarray(raw)
        if given.ndim != 2 or given.shape[1] != self.values:
            raise InputError(f"the accelerator takes inputs of shape (n, {self.values}), got {given.shape}")
        if given.dtype.kind not in "iu":
            raise InputError(f"raw inputs are {given.dtype}, expected integers (predict takes real numbers)")
        if given.size and (int(given.min()) < self.type.min_raw or int(given.max()) > self.type.max_raw):
            raise InputError(
                f"raw inputs are outside {self.type.min_raw}..{self.type.max_raw}, the range of {self.type}"
            )
        return given.astype(np.int64)

    def pack(self, raw: Ints) -> Bytes:
        """Raw integers, shape (n, values), as bytes, shape (n, sample_bytes); padding is zero."""
        lanes = np.ascontiguousarray(raw.astype(np.dtype(f"<i{self.lane_bits // 8}")))
        packed = np.zeros((len(raw), self.sample_bytes), np.uint8)
        packed[:, : self._used] = lanes.view(np.uint8).reshape(len(raw), self._used)
        return packed

    def unpack(self, data: Bytes) -> Ints:
        """The raw integers in bytes of shape (n, sample_bytes), shape (n, values)."""
        used = np.ascontiguousarray(data[:, : self._used])
        kind = "i" if self.type.signed else "u"
        values: Ints = used.view(np.dtype(f"<{kind}{self.lane_bits // 8}")).astype(np.int64)
        return values


def check_width(where: str, bits: Any) -> int:
    """A stream's width. Raises PackageError."""
    if bits not in _WIDTHS:
        raise PackageError(f"{where}: streams of {bits!r} bits, expected one of {', '.join(map(str, _WIDTHS))}")
    return int(bits)
