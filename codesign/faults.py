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
from codesign.network import Layer, Network, product_type
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

ALL_SAMPLES = -1
ALL_STEPS = -1
# As a neuron: the shared unit of a layer that recomputes, in whatever it computes.
UNIT = -1


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


# The fields of a FaultSite, the sample that it strikes (ALL_SAMPLES for the whole trial), and which use of the
# struck unit within the sample (ALL_STEPS for every one).
FIELDS = ("layer", "target", "neuron", "position", "replica", "bit", "sample", "step")
FAULT = np.dtype([(name, np.int32) for name in FIELDS])
FaultArray = NDArray[np.void]


@dataclass(frozen=True)
class FaultSite:
    """One bit. `layer` is an index into `Network.layers`, bit 0 the least significant.

    `neuron` is the output channel. `position` is the input of a weight, or the multiplier of a product, or the adder
    of an accumulator among those that a neuron has (see `network.adder_spans`). A product's bits are those of
    `network.product_type`, an activation's those of the layer's result, a voter's the hardened ones of its
    accumulator, a parameter's those of its stored word. `replica` counts the copies of what is hardened; what exists
    once has replica 0. Replicas 1 and 2 of a neuron that is recomputed are computed by the layer's shared unit:
    `position` counts its multipliers and adders, and the neuron UNIT stands for the unit itself.
    """

    layer: int
    target: Target
    neuron: int
    position: int = 0
    replica: int = 0
    bit: int = 0

    def at(self, sample: int = ALL_SAMPLES, step: int = ALL_STEPS) -> FaultArray:
        """A fault list with this one fault.

        `step` is the use of the unit within the sample: pixel * reuse_factor + pass for products and
        accumulators (of a shared unit pixel * passes + pass), the pixel for activations and voters.
        """
        site = (self.layer, self.target, self.neuron, self.position, self.replica, self.bit)
        return fault_array([(*site, sample, step)])


def fault_array(rows: list[tuple[int, ...]]) -> FaultArray:
    """A fault list from tuples in the order of FIELDS; without its last one a fault strikes every step."""
    return np.array([(*map(int, row), ALL_STEPS)[: len(FIELDS)] for row in rows], FAULT)


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
    """Fault bits of one layer, target and replica, numbered sample by sample, step by step, neuron by neuron.

    `bits[j]` bits from `lowest[j]` up exist at each of `positions` places of neuron j. `steps` is 0 for what is
    struck for the whole trial.
    """

    layer: int
    target: Target
    replica: int
    samples: int
    steps: int
    positions: int
    lowest: Ints
    bits: Ints
    of_unit: bool = False

    @cached_property
    def starts(self) -> Ints:
        """First bit number of each neuron within a step, and the total, shape (neurons + 1,)."""
        starts: Ints = np.concatenate([[0], np.cumsum(self.bits * self.positions)]).astype(np.int64)
        return starts

    @property
    def size(self) -> int:
        return int(self.starts[-1]) * self.samples * max(self.steps, 1)

    @property
    def stream(self) -> int:
        """Number of the random stream; unaffected by the plan, so that plans share their draws."""
        return (int(self.target) << 32) | (self.layer << 8) | self.replica

    def decode(self, numbers: Ints) -> FaultArray:
        """Turn bit numbers within this segment into faults."""
        time, rest = np.divmod(numbers, self.starts[-1])
        neuron = np.searchsorted(self.starts, rest, side="right") - 1
        position, bit = np.divmod(rest - self.starts[neuron], self.bits[neuron])
        faults = np.zeros(len(numbers), FAULT)
        faults["layer"], faults["target"], faults["replica"] = self.layer, int(self.target), self.replica
        faults["neuron"], faults["position"] = UNIT if self.of_unit else neuron, position
        faults["bit"] = bit + self.lowest[neuron]
        if self.steps:
            faults["sample"], faults["step"] = np.divmod(time, self.steps)
        else:
            faults["sample"], faults["step"] = ALL_SAMPLES, ALL_STEPS
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
            for segment in _Sites(network, index, plan.of_layer(layer)).segments(target, model.lifetime, n_samples)
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
            generator = philox(self.model.seed, trial, segment.stream)
            parts.append(segment.decode(bernoulli(generator, self.model.ber, segment.size)))
        return np.concatenate(parts) if parts else np.zeros(0, FAULT)

    def _decode_all(self, numbers: Ints) -> FaultArray:
        ends = np.cumsum([segment.size for segment in self.segments])
        owner = np.searchsorted(ends, numbers, side="right")
        parts = [
            segment.decode(numbers[owner == i] - (ends[i] - segment.size)) for i, segment in enumerate(self.segments)
        ]
        return np.concatenate(parts)

    def _exactly(self, count: int, trial: int) -> Ints:
        """`count` different bit numbers, each set equally likely, sorted."""
        if count > self.size:
            raise ConfigError(f"n_flips {count}: the network has only {self.size} bits for these targets")
        return distinct(philox(self.model.seed, trial, (1 << 64) - 1), count, self.size)


class _Sites:
    """The bits that exist in one layer under its plan."""

    def __init__(self, network: Network, index: int, plan: LayerPlan) -> None:
        self._index, self._plan = index, plan
        self._layer: Layer = network.layers[index]
        self._source = network.input_of(index)

    def segments(self, target: Target, lifetime: Lifetime, n_samples: int) -> list[Segment]:
        whole_trial = target.stored or lifetime is Lifetime.PERSISTENT
        samples = 1 if whole_trial else n_samples
        found = []
        for replica, positions, steps, lowest, bits in self._places(target):
            of_unit = whole_trial and replica > 0 and self._recomputes and not target.stored
            if of_unit:  # one unit, whatever it computes; its second use is no second unit
                exists = replica == 1 and bool(bits.any())
                lowest, bits = np.zeros(1, np.int64), bits.max(initial=0, keepdims=True) * exists
            steps = 0 if whole_trial else steps
            found.append(Segment(self._index, target, replica, samples, steps, positions, lowest, bits, of_unit))
        return found

    @property
    def _recomputes(self) -> bool:
        return self._plan.mechanism is Mechanism.RECOMPUTE

    def _places(self, target: Target) -> list[tuple[int, int, int, Ints, Ints]]:
        """Replica, positions, steps, lowest bits and numbers of bits."""
        layer, plan = self._layer, self._plan
        every = np.zeros(layer.neurons, np.int64)
        if target is Target.ACTIVATION:
            return [(0, 1, layer.pixels, every, every + layer.result.width)] if layer.has_registers else []
        if not layer.protectable:
            return []
        hardened = np.array(plan.hardened_bits, np.int64)
        cut = layer.acc.width - hardened
        if target is Target.VOTER:
            return [(0, 1, layer.pixels, cut, hardened)]
        if target is Target.ACCUMULATOR:
            copies = (cut, hardened) if not self._recomputes else (every, (hardened > 0) * layer.acc.width)
            return [(0, layer.per_pass, layer.steps, every, every + layer.acc.width), *self._copies(*copies)]
        if not layer.has_weights:
            return []
        if target is Target.PRODUCT:
            width = product_type(layer, self._source).width
            own = self._recomputes or plan.scope is Scope.MAC
            first = (0, layer.per_pass, layer.steps, every, every + width)
            return [first, *self._copies(every, (hardened > 0) * width)] if own else [first]
        parameter, positions = (layer.w, layer.fan_in) if target is Target.WEIGHT else (layer.b, 1)
        bits = every + plan.parameters.stored_width(parameter.type.width)
        return [(copy, positions, 1, every, bits) for copy in range(plan.parameters.copies)]

    def _copies(self, lowest: Ints, bits: Ints) -> list[tuple[int, int, int, Ints, Ints]]:
        """The same bits of all copies but the first."""
        layer = self._layer
        positions, steps = layer.per_pass, layer.steps
        if self._recomputes and bits.any():
            positions, steps = self._plan.dot_size, layer.pixels * self._plan.unit_passes(layer)
        return [(copy, positions, steps, lowest, bits) for copy in range(1, self._plan.mechanism.copies)]


def philox(seed: int, trial: int, stream: int) -> np.random.Philox:
    """One stream: key (seed, trial); counter word 0 counts blocks from one, word 1 is the stream."""
    return np.random.Philox(key=np.array([seed, trial], np.uint64), counter=np.array([0, stream, 0, 0], np.uint64))


def below(generator: np.random.Philox, bound: int) -> int:
    """A uniform integer below `bound`: Lemire's multiply-and-reject, without bias."""
    while True:
        product = int(generator.random_raw()) * bound
        if product & (2**64 - 1) >= (2**64 - bound) % bound:
            return product >> 64


def distinct(generator: np.random.Philox, count: int, size: int) -> Ints:
    """`count` different numbers below `size`, each set equally likely, sorted."""
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        chosen[below(generator, size)] = None
    return np.array(sorted(chosen), np.int64)


def bernoulli(generator: np.random.Philox, probability: float, size: int) -> Ints:
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
