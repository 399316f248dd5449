"""Random protected networks, such as the estimate is calibrated with."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import Layer, Network, Parameter
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan

INPUTS = (3, 64)
WEIGHT_BITS = (2, 10)
INPUT_BITS = (1, 10)
LAYERS = (1, 3)
# Of what enters any layer.
VALUE_BITS = 14
# Weights of a dense layer, at most: keeps a mapping short.
PRODUCTS = 60


@dataclass(frozen=True)
class Design:
    """A network, its plan and a clock."""

    network: Network
    plan: ProtectionPlan
    clock_ns: float


def random_designs(seed: int, count: int, products: int = PRODUCTS) -> Iterator[Design]:
    """Dense layers of at most so many products, with ReLUs, casts and batch normalisations, under TMR and DMR.

    Drawn are layers, neurons, widths, the share of zero weights, signs, biases, accumulators (ample, or so narrow that
    they wrap or truncate), what the casts do, and for each layer its mechanism and for each neuron its hardened bits.
    The same seed gives the same designs.
    """
    for number in range(count):
        yield _Drawing(np.random.default_rng([seed, number]), products).design(f"random{number}")


class _Drawing:
    def __init__(self, rng: np.random.Generator, products: int) -> None:
        self.rng, self.products = rng, products

    def _between(self, ends: tuple[int, int]) -> int:
        return int(self.rng.integers(ends[0], ends[1], endpoint=True))

    def _spread(self, ends: tuple[int, int]) -> int:
        """Small numbers as often as large ones."""
        return round(math.exp(self.rng.uniform(math.log(ends[0]), math.log(ends[1]))))

    def _one_in(self, n: int) -> bool:
        return not self.rng.integers(n)

    def design(self, name: str) -> Design:
        size, width = self._spread((INPUTS[0], min(INPUTS[1], self.products))), self._between(INPUT_BITS)
        source = first = FixedPoint(width, 1, not self._one_in(3))
        layers: list[Layer] = []
        weight_width = self._between(WEIGHT_BITS)
        for number in range(self._between(LAYERS)):
            dense = self._dense(f"dense{number}", size, source, weight_width)
            layers.append(dense)
            size, source = dense.neurons, dense.result
            if self._one_in(6):
                layers.append(self._normalised(f"norm{number}", size, source))
                source = layers[-1].result
            if not self._one_in(4):
                layers.append(Layer.relu(f"relu{number}", size, self._result(source, signed=self._one_in(4))))
                source = layers[-1].result
        network = Network(name, first, tuple(layers), (layers[0].n_in,))
        plans = [self._plan(layer) for _, layer in network.compute_layers() if not self._one_in(4)]
        return Design(network, ProtectionPlan(tuple(plans)), float(self.rng.choice([3.0, 5.0, 5.0, 8.0])))

    def _dense(self, name: str, size: int, source: FixedPoint, width: int) -> Layer:
        neurons, weight = self._spread((1, max(1, self.products // size))), FixedPoint(width, 1)
        deviation = weight.max_raw / self.rng.choice([1.5, 3.0, 5.0])
        raw = np.clip(self.rng.normal(0, deviation, (size, neurons)).round(), weight.min_raw, weight.max_raw)
        raw = raw * (self.rng.random(raw.shape) >= self.rng.choice([0.0, 0.0, 0.3, 0.7]))
        bias = self.rng.integers(weight.min_raw, weight.max_raw + 1, neurons) * (not self._one_in(4))
        accumulator = self._accumulator(source.frac + weight.frac, source.width + width, size)
        # Sums that enter the next layer as they are would make it a wide one.
        result = self._result(accumulator, signed=True) if accumulator.width > VALUE_BITS or self._one_in(4) else None
        return Layer.dense(name, Parameter(raw.astype(np.int64), weight), Parameter(bias, weight), accumulator, result)

    def _normalised(self, name: str, size: int, source: FixedPoint) -> Layer:
        weight = FixedPoint(self._between((3, 8)), 2)
        scale, offset = (
            Parameter(self.rng.integers(weight.min_raw, weight.max_raw + 1, size), weight) for _ in range(2)
        )
        accumulator = self._accumulator(source.frac + weight.frac, source.width + weight.width, 1)
        return Layer.batchnorm(name, (size,), scale, offset, accumulator, self._result(accumulator, signed=True))

    def _accumulator(self, frac: int, product_bits: int, size: int) -> FixedPoint:
        """As wide as the sum can be, or a few bits less, at either end."""
        width = product_bits + math.ceil(math.log2(size + 1))
        if self._one_in(4):
            dropped = min(self._between((1, 3)), frac)
            width, frac = width - dropped, frac - dropped
        if self._one_in(3):
            width = max(width - self._between((1, 5)), 3)
        return FixedPoint(width, width - frac)

    def _result(self, source: FixedPoint, *, signed: bool) -> FixedPoint:
        width = self._between((2, 9))
        rounding = self.rng.choice([Rounding.TRN, Rounding.RND, Rounding.RND, Rounding.RND_CONV])
        overflow = self.rng.choice([Overflow.WRAP, Overflow.SAT, Overflow.SAT])
        integer = self._between((max(source.integer - 6, 0), max(source.integer, 1)))
        return FixedPoint(width, min(integer, width + 1), signed, Rounding(rounding), Overflow(overflow))

    def _plan(self, layer: Layer) -> LayerPlan:
        width = layer.acc.width
        match self.rng.integers(4):
            case 0:
                hardened = np.full(layer.neurons, width)
            case 1:
                hardened = np.full(layer.neurons, self._between((1, width)))
            case _:
                hardened = self.rng.integers(0, width + 1, layer.neurons)
        return LayerPlan(layer.name, tuple(hardened.tolist()), Mechanism.DMR if self._one_in(3) else Mechanism.TMR)
