"""The bits of a mapped design that radiation can upset: what LUTs hold, and flip-flops; whose they are, and draws."""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from codesign.engine.circuit import NO_BIT, UPSET, UpsetArray
from codesign.errors import ConfigError
from codesign.faults import below, bernoulli, distinct, philox
from codesign.fixed import Ints
from codesign.resources.circuit import MappedCircuit
from codesign.resources.synthesis import cause_of

LUT, FF = "lut", "ff"
# Random streams: which bits, and when a flip-flop is struck; single upsets have a pair for each stratum.
_BITS, _MOMENTS = 0, 1
_SINGLE = 1 << 32
Key = TypeVar("Key")
_NEURON = re.compile(r"n(\d+)_")


class Owner(NamedTuple):
    """Whose a bit is. Between the layers `layer` is empty; `neuron` is None for what no neuron has for itself."""

    layer: str
    neuron: int | None
    cause: str
    kind: str


def owner_of(path: str, kind: str) -> Owner:
    """Of a primitive, by its path: the layer's instance, what stands in it, and what stands in that."""
    layer, *rest = path.split(".")
    if not layer.startswith("layer_"):
        return Owner("", None, "function", kind)
    instance = rest[0] if len(rest) > 1 and not rest[0].startswith("$") else ""
    neuron = _NEURON.match(instance)
    return Owner(layer.removeprefix("layer_"), int(neuron[1]) if neuron else None, cause_of(instance), kind)


@dataclass(frozen=True, eq=False)
class Stratum:
    """Bits of one layer, cause and kind: `first` and `ends`, shape (n_places,), are each place's first number among
    all bits, and what bits of the stratum end there.
    """

    layer: str
    cause: str
    kind: str
    first: Ints
    ends: Ints

    @property
    def size(self) -> int:
        return int(self.ends[-1])

    def numbers(self, within: Ints) -> Ints:
        """Numbers among all bits of the stratum's bits 0 .. size - 1."""
        place = np.searchsorted(self.ends, within, side="right")
        start = np.concatenate([[0], self.ends])[place]
        found: Ints = self.first[place] + within - start
        return found


class UpsetSpace:
    """All bits, by number: LUTs' contents first, then flip-flops. A flip-flop is struck in one moment: a cycle of a
    sample. In a pipeline each register holds one sample a cycle, and a moment is a sample.
    """

    def __init__(self, mapped: MappedCircuit, n_samples: int, seed: int = 0) -> None:
        if not 0 <= seed < 2**63:
            raise ConfigError(f"seed {seed} is outside 0..2**63-1")
        self.seed, self._cycles, self._samples = seed, mapped.cycles, n_samples
        self._places = [*mapped.luts, *mapped.registers]
        if not self._places:
            raise ConfigError("the mapped design has no LUT and no flip-flop: there is nothing to upset")
        self.owners = [
            *(owner_of(place.path, LUT) for place in mapped.luts),
            *(owner_of(place.path, FF) for place in mapped.registers),
        ]
        self._ends = np.cumsum([place.bits for place in self._places], dtype=np.int64)
        self._values = np.array([place.value for place in self._places], np.int32)
        self._luts = len(mapped.luts)
        self.lut_bits = sum(place.bits for place in mapped.luts)

    @property
    def size(self) -> int:
        return int(self._ends[-1])

    def upsets(self, numbers: Ints, moments: Ints) -> UpsetArray:
        """Of these bits; of `moments`, each in 0 .. cycles * samples - 1, flip-flops take theirs."""
        place = np.searchsorted(self._ends, numbers, side="right")
        found = np.zeros(len(numbers), UPSET)
        found["value"] = self._values[place]
        stored = place < self._luts
        first = np.concatenate([[0], self._ends])[place]
        found["bit"] = np.where(stored, numbers - first, NO_BIT)
        cycle, sample = np.divmod(moments, self._samples)
        found["cycle"], found["sample"] = np.where(stored, 0, cycle), np.where(stored, 0, sample)
        return found

    def draw(self, rate: float, trial: int) -> UpsetArray:
        """Every bit with probability `rate`, once in the trial."""
        if not 0.0 <= rate <= 1.0:
            raise ConfigError(f"upset rate {rate} is outside 0..1")
        numbers = bernoulli(philox(self.seed, trial, _BITS), rate, self.size)
        return self.upsets(numbers, self._moments(trial, _MOMENTS, len(numbers)))

    def single(self, stratum: Stratum, number: int, count: int) -> UpsetArray:
        """So many different upsets of a stratum, the space's `number`-th, each set of them equally likely."""
        stream = _SINGLE * (number + 1)
        every = np.arange(stratum.size, dtype=np.int64)
        chosen = every if count >= stratum.size else distinct(philox(self.seed, 0, stream), count, stratum.size)
        return self.upsets(stratum.numbers(chosen), self._moments(0, stream + 1, len(chosen)))

    def _moments(self, trial: int, stream: int, count: int) -> Ints:
        generator, moments = philox(self.seed, trial, stream), self._cycles * self._samples
        return np.array([below(generator, moments) for _ in range(count)], np.int64)

    def strata(self) -> list[Stratum]:
        """Every bit in exactly one, by layer, cause and kind."""
        groups = self._grouped(lambda owner: (owner.layer, owner.cause, owner.kind))
        return [self._stratum(*key, places) for key, places in groups.items()]

    def neurons(self) -> dict[tuple[str, int], Stratum]:
        """For every neuron, by its layer and number, what its own LUTs hold."""
        groups = self._grouped(lambda owner: (owner.layer, owner.neuron, owner.kind))
        return {
            (layer, neuron): self._stratum(layer, "", kind, places)
            for (layer, neuron, kind), places in groups.items()
            if neuron is not None and kind == LUT
        }

    def _grouped(self, key: Callable[[Owner], Key]) -> dict[Key, list[int]]:
        """Numbers of the places of each key."""
        found: dict[Key, list[int]] = defaultdict(list)
        for number, owner in enumerate(self.owners):
            found[key(owner)].append(number)
        return found

    def _stratum(self, layer: str, cause: str, kind: str, places: list[int]) -> Stratum:
        bits = np.array([self._places[number].bits for number in places], np.int64)
        return Stratum(layer, cause, kind, self._ends[places] - bits, np.cumsum(bits))
