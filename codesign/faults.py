"""Faults: where they can strike, how a trial draws them, and lists of them.

A *trial* is one drawn fault set, evaluated on the whole evaluation set. The draw is counter-based
(Philox 4x64-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) keyed by
(seed, trial), so a trial is the same on one core or a hundred machines.
"""

import json
import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.files import digest_of
from codesign.fixed import Ints
from codesign.network import Network, product_type
from codesign.protection import REPLICAS, ProtectionPlan

ALL_SAMPLES = -1


class Target(IntEnum):
    """Where a fault strikes; the numbers are part of the C interface and of the draw."""

    WEIGHT = 0
    BIAS = 1
    PRODUCT = 2
    ACCUMULATOR = 3
    ACTIVATION = 4
    VOTER = 5

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def stored(self) -> bool:
        """A parameter's bit: wrong for the whole trial."""
        return self in (Target.WEIGHT, Target.BIAS)


class Lifetime(StrEnum):
    """`TRANSIENT`: one operation of one sample. `PERSISTENT`: that unit, in every sample.

    Stored parameters (weight, bias) are hit for the whole trial either way.
    """

    TRANSIENT = "transient"
    PERSISTENT = "persistent"


# The fields of a FaultSite, and the sample it strikes (ALL_SAMPLES for the whole trial).
FIELDS = ("layer", "target", "neuron", "position", "replica", "bit", "sample")
FAULT = np.dtype([(name, np.int32) for name in FIELDS])
FaultArray = NDArray[np.void]


@dataclass(frozen=True)
class FaultSite:
    """One bit. `layer` is an index into `Network.layers`, bit 0 the least significant.

    `position` is the input of a weight or a product, or the adder of an accumulator (see
    `network.adder_spans`). A product's bits are those of `network.product_type`, an activation's those of
    the layer's result, a voter's the hardened ones of its accumulator.
    `replica` counts the copies of hardened bits; what exists once has replica 0.
    """

    layer: int
    target: Target
    neuron: int
    position: int = 0
    replica: int = 0
    bit: int = 0

    def at(self, sample: int = ALL_SAMPLES) -> FaultArray:
        """A fault list with this one fault."""
        return fault_array([(self.layer, self.target, self.neuron, self.position, self.replica, self.bit, sample)])


def fault_array(rows: list[tuple[int, ...]]) -> FaultArray:
    """A fault list from tuples in the order of FIELDS."""
    return np.array([tuple(int(v) for v in row) for row in rows], FAULT)


@dataclass(frozen=True)
class FaultModel:
    """What a trial draws: every bit of the targets flips with probability `ber`, or exactly `n_flips` do.

    BER is per bit and operation for transient faults, and per bit for stored and persistent ones.
    """

    targets: tuple[Target, ...]
    ber: float | None = None
    n_flips: int | None = None
    lifetime: Lifetime = Lifetime.TRANSIENT
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(sorted({_target(t) for t in self.targets})))
        try:  # a lifetime given as text compares equal to the member but is not identical to it
            object.__setattr__(self, "lifetime", Lifetime(self.lifetime))
        except ValueError:
            raise ConfigError(
                f"unknown lifetime '{self.lifetime}'; choose from {[x.value for x in Lifetime]}"
            ) from None
        if not self.targets:
            raise ConfigError(f"fault model without targets; choose from {[t.label for t in Target]}")
        if (self.ber is None) == (self.n_flips is None):
            raise ConfigError("a fault model takes either ber or n_flips")
        if self.ber is not None:
            object.__setattr__(self, "ber", float(self.ber))  # 1 and 1.0 are one model and must share a digest
            if not 0.0 <= self.ber <= 1.0:
                raise ConfigError(f"bit error rate {self.ber} is outside 0..1")
        if self.n_flips is not None and (int(self.n_flips) != self.n_flips or self.n_flips < 1):
            raise ConfigError(f"n_flips {self.n_flips}: expected a whole number of at least one")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed {self.seed} is outside 0..2**63-1")

    @cached_property
    def digest(self) -> str:
        names = [t.label for t in self.targets]
        return digest_of(json.dumps([names, self.ber, self.n_flips, self.lifetime, self.seed]))


def _target(value: "Target | str | int") -> Target:
    for target in Target:
        if value in (target, target.label):
            return target
    raise ConfigError(f"unknown fault target '{value}'; choose from {[t.label for t in Target]}")


@dataclass(frozen=True)
class Segment:
    """Fault bits of one layer, target and replica, numbered sample by sample, neuron by neuron.

    `bits[j]` bits from `lowest[j]` up exist at each of `positions` places of neuron j.
    """

    layer: int
    target: Target
    replica: int
    samples: int
    positions: int
    lowest: Ints
    bits: Ints

    @cached_property
    def starts(self) -> Ints:
        """First bit number of each neuron within a sample, and the total, shape (n_out + 1,)."""
        starts: Ints = np.concatenate([[0], np.cumsum(self.bits * self.positions)]).astype(np.int64)
        return starts

    @property
    def size(self) -> int:
        return int(self.starts[-1]) * self.samples

    @property
    def stream(self) -> int:
        """Number of the random stream; unaffected by the plan, so that plans share their draws."""
        return (int(self.target) << 32) | (self.layer << 8) | self.replica

    def decode(self, numbers: Ints, sample_wide: bool) -> FaultArray:
        """Turn bit numbers within this segment into faults."""
        sample, rest = np.divmod(numbers, self.starts[-1])
        neuron = np.searchsorted(self.starts, rest, side="right") - 1
        position, bit = np.divmod(rest - self.starts[neuron], self.bits[neuron])
        faults = np.zeros(len(numbers), FAULT)
        faults["layer"], faults["target"], faults["replica"] = self.layer, int(self.target), self.replica
        faults["neuron"], faults["position"] = neuron, position
        faults["bit"] = bit + self.lowest[neuron]
        faults["sample"] = ALL_SAMPLES if sample_wide else sample
        return faults


class FaultSpace:
    """All bits that a fault model can strike in a protected network, and the draws from them."""

    def __init__(self, network: Network, plan: ProtectionPlan, model: FaultModel, n_samples: int) -> None:
        plan.check(network)
        self.model = model
        self.segments = [
            segment
            for target in model.targets
            for index, layer in enumerate(network.layers)
            if layer.protectable or target is Target.ACTIVATION
            for segment in _segments(network, index, target, plan.hardened(layer), model.lifetime, n_samples)
            if segment.size
        ]

    @property
    def size(self) -> int:
        """Bits that exist."""
        return sum(segment.size for segment in self.segments)

    def draw(self, trial: int) -> FaultArray:
        """The faults of one trial, shape (n_faults,)."""
        if self.model.n_flips is not None:
            return self._decode_all(self._exactly(self.model.n_flips, trial))
        assert self.model.ber is not None
        parts = []
        for segment in self.segments:
            generator = _philox(self.model.seed, trial, segment.stream)
            parts.append(self._decode(segment, _bernoulli(generator, self.model.ber, segment.size)))
        return np.concatenate(parts) if parts else np.zeros(0, FAULT)

    def _decode(self, segment: Segment, numbers: Ints) -> FaultArray:
        return segment.decode(numbers, segment.target.stored or self.model.lifetime is Lifetime.PERSISTENT)

    def _decode_all(self, numbers: Ints) -> FaultArray:
        ends = np.cumsum([segment.size for segment in self.segments])
        owner = np.searchsorted(ends, numbers, side="right")
        parts = [
            self._decode(segment, numbers[owner == i] - (ends[i] - segment.size))
            for i, segment in enumerate(self.segments)
        ]
        return np.concatenate(parts)

    def _exactly(self, count: int, trial: int) -> Ints:
        """`count` different bit numbers, each set equally likely, sorted."""
        if count > self.size:
            raise ConfigError(f"n_flips {count}: the network has only {self.size} bits for these targets")
        generator = _philox(self.model.seed, trial, (1 << 64) - 1)
        chosen: dict[int, None] = {}
        while len(chosen) < count:
            chosen[_below(generator, self.size)] = None
        return np.array(sorted(chosen), np.int64)


def _segments(
    network: Network, index: int, target: Target, hardened: Ints, lifetime: Lifetime, n_samples: int
) -> list[Segment]:
    layer = network.layers[index]
    samples = 1 if target.stored or lifetime is Lifetime.PERSISTENT else n_samples
    every = np.zeros(layer.n_out, np.int64)

    def segment(positions: int, lowest: Ints, bits: Ints, replica: int = 0) -> Segment:
        return Segment(index, target, replica, samples, positions, lowest, bits)

    match target:
        case Target.WEIGHT:
            return [segment(layer.n_in, every, every + layer.w.type.width)]
        case Target.BIAS:
            return [segment(1, every, every + layer.b.type.width)]
        case Target.PRODUCT:
            return [segment(layer.n_in, every, every + product_type(layer, network.input_of(index)).width)]
        case Target.ACTIVATION:
            return [segment(1, every, every + layer.result.width)]
        case Target.VOTER:
            return [segment(1, layer.acc.width - hardened, hardened)]
        case Target.ACCUMULATOR:
            first = segment(layer.n_in, every, every + layer.acc.width)
            cut = layer.acc.width - hardened
            return [first, *(segment(layer.n_in, cut, hardened, replica) for replica in range(1, REPLICAS))]


def _philox(seed: int, trial: int, stream: int) -> np.random.Philox:
    """One stream: key (seed, trial); counter word 0 counts blocks from one, word 1 is the stream."""
    return np.random.Philox(key=np.array([seed, trial], np.uint64), counter=np.array([0, stream, 0, 0], np.uint64))


def _below(generator: np.random.Philox, bound: int) -> int:
    """A uniform integer below `bound`: Lemire's multiply-and-reject, without bias."""
    while True:
        product = int(generator.random_raw()) * bound
        if product & (2**64 - 1) >= (2**64 - bound) % bound:
            return product >> 64


def _bernoulli(generator: np.random.Philox, probability: float, size: int) -> Ints:
    """Sorted numbers below `size`, each present with `probability`, drawn by geometric gaps."""
    if probability <= 0.0:
        return np.zeros(0, np.int64)
    if probability >= 1.0:
        return np.arange(size, dtype=np.int64)
    scale = 1.0 / _log_complement(probability)
    found: list[Ints] = []
    last = -1
    while last < size:
        remaining = (size - last) * probability
        raw = generator.random_raw(int(remaining + 4.0 * math.sqrt(remaining)) + 4)
        uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        gaps = np.minimum(np.floor(log_reproducible(uniform) * scale), float(size)).astype(np.int64) + 1
        numbers = last + np.cumsum(gaps)
        found.append(numbers)
        last = int(numbers[-1])
    drawn = np.concatenate(found)
    return drawn[drawn < size]


def log_reproducible(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm from IEEE additions, multiplications and divisions only.

    Libraries' `log` differ in the last bit between machines, which would move a drawn fault once in a
    while. Here x = m * 2**e with m near 1 and ln m = 2 artanh z, z = (m - 1) / (m + 1); the series is cut
    after z**15, an error below 1e-13.
    """
    mantissa, exponent = np.frexp(x)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    exponent = exponent - small
    z = (mantissa - 1.0) / (mantissa + 1.0)
    square = z * z
    series = np.zeros_like(z)
    for power in (15, 13, 11, 9, 7, 5, 3, 1):
        series = series * square + 1.0 / power
    return exponent * 0.6931471805599453 + 2.0 * z * series


def _log_complement(p: float) -> float:
    """ln(1 - p), reproducible and without cancellation at small p."""
    if p > 0.01:
        return float(log_reproducible(np.array([1.0 - p]))[0])
    series = 0.0
    for power in range(10, 0, -1):
        series = series * p + 1.0 / power
    return -series * p
