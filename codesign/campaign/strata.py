"""All single faults of a fault space in strata: the places of one bit in one replica of one layer's target."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codesign.faults import FaultArray, FaultSpace, Segment, Target
from codesign.fixed import Ints


@dataclass(frozen=True, eq=False)
class Stratum:
    """The faults of a segment in one bit, which only `neurons`, shape (n,), have; bit 0 is the least significant."""

    segment: Segment
    bit: int
    neurons: Ints

    @property
    def target(self) -> Target:
        return self.segment.target

    @property
    def layer(self) -> int:
        return self.segment.layer

    @property
    def bits(self) -> int:
        """Places in the hardware where this bit stands."""
        return len(self.neurons) * self.segment.positions

    @property
    def size(self) -> int:
        """Single faults: a place can be struck in each of its uses, or once for the whole trial."""
        return self.bits * self.segment.samples * max(self.segment.steps, 1)

    def faults(self, numbers: Ints) -> FaultArray:
        """The faults of these numbers, each in 0 .. size - 1."""
        segment = self.segment
        time, place = np.divmod(numbers, self.bits)
        owner, position = np.divmod(place, segment.positions)
        neuron = self.neurons[owner]
        within = position * segment.bits[neuron] + self.bit - segment.lowest[neuron]
        return segment.decode(time * segment.starts[-1] + segment.starts[neuron] + within)


def strata_of(space: FaultSpace) -> list[Stratum]:
    """Every fault of the space in exactly one stratum, by target, layer, replica and bit."""
    return [stratum for segment in space.segments for stratum in _of_segment(segment)]


def _of_segment(segment: Segment) -> Iterator[Stratum]:
    ends = segment.lowest + segment.bits
    for bit in range(int(segment.lowest.min()), int(ends.max())):
        neurons = np.flatnonzero((segment.lowest <= bit) & (bit < ends))
        if len(neurons):
            yield Stratum(segment, bit, neurons)
