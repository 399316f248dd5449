"""What a layer's unit multiplies and adds: the gathered operands, the leaves of its sums, and their order.

A *row* is one pixel of one sample: row = sample * pixels + pixel. So a convolution is a dense layer on rows.
"""

from dataclasses import dataclass

import numpy as np

from codesign.errors import ConfigError
from codesign.fixed import MAX_WIDTH, FixedPoint, Ints, cast, fit, rescale, wrap
from codesign.network.layer import Kind, Layer

# Values gathered at once: bounds the memory, not the result.
_CHUNK_VALUES = 1 << 23


def exact_matmul(left: Ints, right: Ints) -> Ints:
    """Integer matrix product modulo 2**64; by float64 BLAS where that is exact (sums below 2**53)."""
    bound = float(np.abs(left).max(initial=0)) * float(np.abs(right).max(initial=0)) * left.shape[-1]
    if bound < 2.0**53:
        product: Ints = (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
        return product
    return left @ right


def adder_spans(fan_in: int, reuse_factor: int = 1, *, chain: bool = False) -> Ints:
    """Which leaves each addition of a neuron sums, shape (fan_in, 2): first, past the last.

    Leaves are the bias (0) and the products (1..fan_in). A pass adds the running sum and its own products
    in a balanced tree: a subtree of N leaves splits at the largest power of two below N. Adder k stands
    between leaf k and leaf k + 1 of the pass: the one that brings product k in. Row `pass * per_pass + adder`.
    In a chain every adder adds one leaf to the running sum.
    """
    per_pass = fan_in // reuse_factor
    tree = np.stack([np.zeros(per_pass, np.int64), np.arange(per_pass) + 2], axis=1) if chain else _tree(per_pass)
    starts = np.repeat(np.arange(reuse_factor) * per_pass, per_pass)[:, None]
    spans = np.tile(tree, (reuse_factor, 1))
    # Leaf 0 of a later pass is the sum of all before it, so a span that begins there begins at the bias.
    placed: Ints = spans + np.where(spans == 0, 0, starts)
    return placed


def _tree(n_products: int) -> Ints:
    spans = np.zeros((n_products, 2), np.int64)
    pending = [(0, n_products + 1)]
    while pending:
        first, end = pending.pop()
        if end - first < 2:
            continue
        middle = first + (1 << ((end - first - 1).bit_length() - 1))
        spans[middle - 1] = first, end
        pending += [(first, middle), (middle, end)]
    return spans


def product_type(layer: Layer, source: FixedPoint) -> FixedPoint:
    """The multiplier's output: what C++ gives for the product of an input and a weight, nothing lost.

    Raises ConfigError for products that no FixedPoint holds: they can be computed, but not struck.
    """
    weight = layer.w.type
    if source.width + weight.width > MAX_WIDTH:
        raise ConfigError(
            f"layer '{layer.name}': products of {source} and {weight} have {source.width + weight.width} bits; "
            f"faults in products are there for up to {MAX_WIDTH}"
        )
    return FixedPoint(source.width + weight.width, source.integer + weight.integer, source.signed or weight.signed)


@dataclass(frozen=True)
class Unit:
    """The arithmetic of a layer that computes, on the types that enter it."""

    layer: Layer
    sources: tuple[FixedPoint, ...]

    @property
    def source(self) -> FixedPoint:
        return self.sources[0]

    def gather(self, values: Ints) -> Ints:
        """Operands of the products from layer inputs (n, n_in): shape (n * pixels, fan_in, channels or 1).

        Of an addition, both operands: (n * pixels, 2, channels).
        """
        layer, n = self.layer, len(values)
        if layer.kind is Kind.ADD:
            return values.reshape(n, 2, layer.pixels, layer.neurons).swapaxes(1, 2).reshape(-1, 2, layer.neurons)
        if layer.kind is Kind.BATCHNORM:
            return values.reshape(-1, 1, layer.neurons)
        if layer.window is None:
            return values[:, :, None]
        channels = layer.window.in_shape[2]
        images = values.reshape(n, -1, channels)
        images = np.concatenate([images, np.zeros((n, 1, channels), np.int64)], axis=1)  # -1 finds a zero
        windows = images[:, layer.window.places]  # n, pixels, places, channels
        if layer.per_channel:
            return windows.reshape(n * layer.pixels, -1, channels)
        return windows.reshape(n * layer.pixels, layer.fan_in, 1)

    def gather_some(self, values: Ints, rows: Ints, neurons: Ints) -> Ints:
        """Operands of one neuron's products in each of some rows, shape (len(rows), fan_in); of an addition both."""
        layer = self.layer
        sample, pixel = np.divmod(rows, layer.pixels)
        if layer.kind is Kind.ADD:
            return values.reshape(len(values), 2, layer.pixels, layer.neurons)[sample, :, pixel, neurons]
        if layer.window is None:
            return values.reshape(-1, 1, layer.neurons)[rows, :, neurons] if layer.per_channel else values[rows]
        channels = layer.window.in_shape[2]
        places = layer.window.places[pixel]
        wanted = neurons[:, None, None] if layer.per_channel else np.arange(channels)
        found = values.reshape(len(values), -1, channels)[sample[:, None, None], places[..., None], wanted]
        return np.where(places[..., None] < 0, 0, found).reshape(len(rows), -1)

    def leaves_some(self, values: Ints, weights: Ints | None, biases: Ints | None, rows: Ints, neurons: Ints) -> Ints:
        """Every leaf of one neuron in each of some rows, shape (len(rows), fan_in + 1)."""
        operands = self.gather_some(values, rows, neurons)
        if weights is None or biases is None:
            return np.stack([cast(operands[:, k], x, self.layer.acc) for k, x in enumerate(self.sources)], axis=1)
        start = self.start(biases)[neurons, None]
        return np.concatenate([start, self.as_leaves(operands * weights[:, neurons].T)], axis=1)

    @property
    def exact(self) -> bool:
        """Casting a product to the accumulator drops no bits and additions wrap, so that sums may be regrouped."""
        frac = self.source.frac + (self.layer.w.type.frac if self.layer.has_weights else 0)
        return self.layer.acc.frac >= frac and not self.layer.saturates

    def start(self, biases: Ints) -> Ints:
        """Biases as they enter the sums."""
        return cast(biases, self.layer.b.type, self.layer.acc)

    def as_leaves(self, products: Ints) -> Ints:
        """Products, of any shape, cast to the accumulator type."""
        return rescale(products, self.source.frac + self.layer.w.type.frac, self.layer.acc)

    def operands(self, gathered: Ints) -> Ints:
        """An addition's two leaves, cast to the accumulator: shape (rows, 2, channels)."""
        return np.stack([cast(gathered[:, k], source, self.layer.acc) for k, source in enumerate(self.sources)], axis=1)

    def leaves(self, gathered: Ints, weights: Ints | None, biases: Ints | None) -> Ints:
        """Every leaf of every sum, shape (rows, fan_in + 1, neurons)."""
        if weights is None or biases is None:
            return self.operands(gathered)
        start = np.broadcast_to(self.start(biases), (len(gathered), 1, self.layer.neurons))
        return np.concatenate([start, self.as_leaves(gathered * weights)], axis=1)

    def sums(self, values: Ints, weights: Ints | None, biases: Ints | None) -> Ints:
        """Accumulators after the last addition: layer inputs (n, n_in) -> (n * pixels, neurons)."""
        layer = self.layer
        a_sample = layer.pixels * max(layer.fan_in, 2) * (layer.neurons if layer.per_channel else 1)
        step = max(1, _CHUNK_VALUES // a_sample)
        parts = [self._sums(self.gather(values[k : k + step]), weights, biases) for k in range(0, len(values), step)]
        return np.concatenate(parts) if parts else np.zeros((0, layer.neurons), np.int64)

    def _sums(self, gathered: Ints, weights: Ints | None, biases: Ints | None) -> Ints:
        layer = self.layer
        if weights is None or biases is None:
            return fit(self.operands(gathered).sum(axis=1), layer.acc)
        start = self.start(biases)
        if self.exact:
            shift = layer.acc.frac - self.source.frac - layer.w.type.frac
            products = (
                (gathered * weights).sum(axis=1) if layer.per_channel else exact_matmul(gathered[..., 0], weights)
            )
            return wrap((products << shift) + start, layer.acc)
        total = np.broadcast_to(start, (len(gathered), layer.neurons)).copy()
        for k in range(layer.fan_in):
            total = fit(total + self.as_leaves(gathered[:, k] * weights[k]), layer.acc)
        return total
