"""Cost of a layer whose neurons share adder graphs: counted on the words of the RTL's own graphs.

A graph is solved once a layer and kept, so that only the first estimate of a layer takes da4ml's time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from codesign.fixed import Ints
from codesign.network import Layer, Parameter
from codesign.protection import LayerPlan
from codesign.resources.estimate.figures import Area
from codesign.resources.estimate.sums import Alive
from codesign.resources.estimate.words import Bools
from codesign.resources.rtl.shared import SharedSums
from codesign.resources.rtl.words import Constant, Moved, Sum, Word, made_of


class Datapath(Protocol):
    """What is asked of a layer's arithmetic."""

    @property
    def layer(self) -> Layer: ...
    @property
    def area(self) -> Area: ...
    @property
    def alive(self) -> Alive: ...
    @property
    def voted(self) -> Ints: ...
    @property
    def there(self) -> Bools: ...
    @property
    def levels(self) -> tuple[int, int]: ...
    @property
    def voter_levels(self) -> int: ...
    @property
    def sum_bits(self) -> int: ...


@dataclass(frozen=True)
class GraphDatapath:
    """Graphs, beside them the neurons that stand `alone`, and `apart`, the same layer with nothing shared.

    The sums, their copies and their voters are the same as there.
    """

    graphs: tuple[SharedSums, ...]
    apart: Datapath
    alone: Datapath | None

    @property
    def layer(self) -> Layer:
        return self.apart.layer

    @property
    def voted(self) -> Ints:
        return self.apart.voted

    @property
    def there(self) -> Bools:
        return self.apart.there

    @property
    def voter_levels(self) -> int:
        return self.apart.voter_levels

    @property
    def sum_bits(self) -> int:
        return self.apart.sum_bits

    @cached_property
    def area(self) -> Area:
        luts = [sum(adder_luts(part) for part in made_of(*g.totals) if isinstance(part, Sum)) for g in self.graphs]
        graphs = Area(
            function=sum(luts),
            replicas=sum((g.copies - 1) * lut for g, lut in zip(self.graphs, luts, strict=True)),
            guards=sum(g.copies * len(g.inputs) for g in self.graphs if g.guarded),
        )
        return graphs + self.alone.area if self.alone else graphs

    @property
    def levels(self) -> tuple[int, int]:
        """There are no products."""
        alone = sum(self.alone.levels) if self.alone else 0
        return 0, max(alone, *(graph.level for graph in self.graphs))

    @cached_property
    def alive(self) -> Alive:
        found, until = Alive(), sum(self.levels)
        for graph in self.graphs:
            for since, last, bits in _spans(graph, until):
                found.wait(np.array([bits]), np.array([since]), last, graph.copies)
        if self.alone:
            found.join(self.alone.alive)
        return found


def only(layer: Layer, plan: LayerPlan, neurons: Ints) -> tuple[Layer, LayerPlan]:
    """A layer of some of its neurons."""
    weight, bias = Parameter(layer.w.raw[:, neurons], layer.w.type), Parameter(layer.b.raw[neurons], layer.b.type)
    part = replace(layer, weight=weight, bias=bias, out_shape=(*layer.out_shape[:-1], len(neurons)))
    return part, replace(plan, hardened_bits=tuple(plan.hardened_bits[j] for j in neurons))


def adder_luts(word: Sum) -> int:
    """A LUT for each bit in which both operands count; where only one does, its bits and the carry take none.

    Above the shorter operand a sum's bits are those of the carry chain. With a constant a bit is a wire, or an inverter
    where a one is added or a zero subtracted.
    """
    a, b, at = word.first, word.second, word.start
    if word.wired:
        return 0
    if isinstance(a, Constant) or isinstance(b, Constant):
        constant, other = (a, b) if isinstance(a, Constant) else (b, a)
        count = max(min(word.top, max(other.top, at + 1) if other.signed else other.top) - at, 0)
        ones = (constant.bounds.low >> at & (1 << count) - 1).bit_count()
        return count - ones if word.subtracts else ones
    if word.subtracts:
        top = max(a.top + (b.signed and not a.signed), b.top + (a.signed and not b.signed))
    elif a.signed == b.signed:
        top = max(a.top, b.top) if a.signed else min(a.top, b.top)
    else:
        top = b.top if a.signed else a.top
    if word.subtracts or (a.signed and b.signed):
        top = max(top, at + 1)
    return max(min(word.top, top) - at, 0)


def _spans(graph: SharedSums, levels: int) -> Iterator[tuple[int, int, int]]:
    """Of every word the level at which it is there, the last one at which it is read, and its bits."""
    words: dict[int, Word] = {}
    last: dict[int, int] = {}

    def read(word: Word, level: int) -> None:
        while isinstance(word, Moved):
            word = word.of
        if not isinstance(word, Constant):
            words[id(word)] = word
            last[id(word)] = max(last.get(id(word), 0), level)

    for total in graph.totals:
        if total is not None:
            read(total, levels)
    for part in made_of(*graph.totals):
        if isinstance(part, Sum):
            read(part.first, part.level)
            read(part.second, part.level)
    for key, word in words.items():
        yield word.level, last[key], word.top - word.lowest
