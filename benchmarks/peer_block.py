"""The arithmetic of the NumPy injector: a layer's sums by BLAS, or by its adder trees where faults strike them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from codesign.faults import Target
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding, cast
from codesign.network import Kind, Layer

Floats = NDArray[np.float32]
Whole = NDArray[np.int32]
# Leaves of adder trees that are added at once: they and their masks fit a common second-level cache.
_LEAVES = 100_000


@dataclass(frozen=True)
class Strikes:
    """Inverted bits of one block, `at` ascending.

    WEIGHT: at position * neurons + neuron. ACCUMULATOR: at (neuron * fan_in + position) * rows + row. VOTER, which
    stands for the accumulator after the last addition: at row * neurons + neuron.
    """

    target: Target
    at: Ints
    bit: Ints

    def masks(self) -> tuple[Ints, Whole]:
        """The struck words and what inverts their bits, each word once."""
        first = np.flatnonzero(np.concatenate([[True], self.at[1:] != self.at[:-1]]))
        return self.at[first], np.add.reduceat(np.left_shift(1, self.bit), first, dtype=np.int32)


class Block:
    """A layer that computes, with the ReLU and the pooling behind it, for a set of `n_samples`."""

    def __init__(self, layer: Layer, source: FixedPoint, n_samples: int) -> None:
        self.layer = layer
        require(layer.kind in (Kind.DENSE, Kind.CONV) and layer.reuse_factor == 1, layer)
        require(layer.w.type.width == 8 and layer.w.type.signed and source.width <= 8, layer)
        # Types as hls4ml infers them: nothing is rounded or wraps before a fault, and float32 holds every sum.
        bits = source.width + layer.w.type.width + int(np.ceil(np.log2(layer.fan_in + 1)))
        require(bits <= layer.acc.width <= 24 and layer.acc == layer.result, layer)
        require(layer.acc.frac == source.frac + layer.w.type.frac and not layer.saturates, layer)
        self.words = layer.w.raw.astype(np.int8)
        self._columns = np.ascontiguousarray(self.words.T, np.int32)
        self._start = cast(layer.b.raw, layer.b.type, layer.acc).astype(np.int32)
        self._starts = np.tile(self._start.astype(np.float32), (n_samples * layer.pixels, 1))
        self.rows = len(self._starts)
        self.relu: FixedPoint | None = None
        self.pooled = False

    def follow(self, layer: Layer) -> None:
        """Take the next layer as the end of this block."""
        if layer.kind is Kind.RELU:
            to = layer.result
            require(to.rounding is Rounding.RND_CONV and to.overflow is Overflow.SAT and not to.signed, layer)
            self.relu = to
            # Whole arrays: NumPy compares two arrays several times faster than an array and a number.
            self._zeros, self._limits = np.zeros_like(self._starts), np.full_like(self._starts, to.max_raw)
        else:
            require(layer.kind is Kind.MAX_POOL and layer.window is not None and layer.result == self.relu, layer)
            assert layer.window is not None
            require(layer.window.kernel == layer.window.strides == (2, 2), layer)
            self.pooled = True

    def operands(self, values: Floats) -> Floats:
        """What the products take, from (n, n_in): shape (n * pixels, fan_in)."""
        layer = self.layer
        if layer.window is None:
            return values
        channels = layer.window.in_shape[2]
        images = values.reshape(len(values), -1, channels)
        images = np.concatenate([images, np.zeros((len(values), 1, channels), np.float32)], axis=1)  # -1 finds a zero
        return images.take(layer.window.places.reshape(-1), axis=1).reshape(-1, layer.fan_in)

    def sums(self, operands: Floats, words: NDArray[np.int8]) -> Floats:
        """Sums without faults in adders, shape (rows, neurons)."""
        found = operands @ words.astype(np.float32)
        return np.add(found, self._starts[: len(found)], out=found)

    def leave(self, sums: Floats) -> Floats:
        """What the next block takes, from sums (n * pixels, neurons), which are overwritten."""
        n = len(sums) // self.layer.pixels
        if self.pooled:  # before the ReLU, on which its order has no influence
            width, neurons = self.layer.out_shape[-2:]
            columns = sums.reshape(-1, width // 2, 2, neurons)
            rows = np.maximum(columns[:, :, 0], columns[:, :, 1]).reshape(-1, 2, width // 2, neurons)
            sums = np.maximum(rows[:, 0], rows[:, 1]).reshape(-1, neurons)
        if self.relu is not None:
            sums *= np.float32(2.0 ** (self.relu.frac - self.layer.acc.frac))
            np.rint(sums, out=sums)  # halves to even, as RND_CONV
            np.maximum(sums, self._zeros[: len(sums)], out=sums)
            np.minimum(sums, self._limits[: len(sums)], out=sums)
        return sums.reshape(n, -1)

    # ---------------------------------------------------------------- faults in adders

    def struck_sums(self, operands: Floats, strikes: "Strikes") -> Floats:
        """Sums (rows, neurons) where adders, numbered (neuron * fan_in + position) * rows + row, have bits inverted."""
        layer, rows = self.layer, len(operands)
        entering = np.ascontiguousarray(operands.T, np.int32)
        found = np.empty((layer.neurons, rows), np.float32)
        step = max(1, _LEAVES // (layer.fan_in * rows))
        cell, masks = strikes.masks()
        cuts = np.searchsorted(cell, np.arange(0, layer.neurons + step, step) * (layer.fan_in * rows))
        for k, (first, end) in enumerate(pairwise(cuts)):
            neurons = slice(k * step, (k + 1) * step)
            inside = cell[first:end] - k * step * layer.fan_in * rows
            found[neurons] = self._added(entering, neurons, inside, masks[first:end])
        return np.ascontiguousarray(found.T)

    def _added(self, entering: Whole, neurons: slice, cell: Ints, mask: Whole) -> Whole:
        """Sums of some neurons, shape (neurons, rows), by the balanced tree: adder m between leaves m and m + 1."""
        columns, rows = self._columns[neurons], entering.shape[1]
        leaves = np.empty((len(columns), len(entering) + 1, rows), np.int32)
        leaves[:, 0] = self._start[neurons, None]
        np.multiply(entering, columns[:, :, None], out=leaves[:, 1:])
        masks = np.zeros((len(columns), len(entering), rows), np.int32)
        masks.reshape(-1)[cell] = mask
        half = 1
        while half <= len(entering):  # every sum takes the place of its first leaf
            sums = leaves[:, : -half : 2 * half]
            sums += leaves[:, half :: 2 * half]
            sums ^= masks[:, half - 1 :: 2 * half]
            half *= 2
        spare = 32 - self.layer.acc.width  # bits above the accumulator have no influence below: one wrap at the end
        return (leaves[:, 0] << spare) >> spare


def inverted(sums: Floats, strikes: "Strikes", width: int) -> Floats:
    """Sums of `width` bits, any shape, with bits inverted at flat indices; in place."""
    index, masks = strikes.masks()
    flat, spare = sums.reshape(-1), 32 - width
    flat[index] = ((flat[index].astype(np.int32) ^ masks) << spare) >> spare
    return sums


def require(condition: bool, layer: Layer) -> None:
    """Refuse what would not be exact here."""
    if not condition:
        raise ValueError(f"the NumPy peer is not made for layer '{layer.name}'")
