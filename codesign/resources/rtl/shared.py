"""Neurons on a shared adder graph: which neurons of a layer take it, its words, and its modules.

In a layer of strategy `distributed_arithmetic` the neurons that are not hardened are one graph, and those that are
hardened whole are another, of which each copy is a graph of its own. A neuron with hardened and other bits stands
alone, as with strategy `latency` (docs/decisions/0013-distributed-arithmetic.md says why).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, cast
from codesign.network import Kind, Layer
from codesign.protection import LayerPlan, Mechanism
from codesign.resources.policy import EstimatePolicy, Strategy
from codesign.resources.rtl.emit import View
from codesign.resources.rtl.graph import Graph, Term, solved
from codesign.resources.rtl.verilog import Module, Writer
from codesign.resources.rtl.words import Bounds, Constant, Moved, Operand, Word, added, moved, positive, trailing_zeros

GRAPH_KINDS = (Kind.DENSE, Kind.CONV)


@dataclass(frozen=True)
class SharedSums:
    """Sums of some neurons of a layer, and the operands that they read."""

    neurons: tuple[int, ...]
    inputs: tuple[Operand, ...]
    totals: tuple[Word | None, ...]
    copies: int = 1
    guarded: bool = False

    @property
    def level(self) -> int:
        return max((word.level for word in self.totals if word), default=0)

    def module(self, width: int, cycle: int, cycle_of: Callable[[int], int]) -> Module:
        """All sums, `width` bits each, at a cycle. A copy reads every operand through its guard, in the lowest bit."""
        writer = Writer("graph")
        view = View(writer, cycle_of)
        if self.guarded:
            writer.input("guard", 1)
        for operand in self.inputs:
            name, bits = writer.input(operand.port, operand.top), operand.top
            if self.guarded:
                name = writer.guarded(name, bits)
            view.take(operand, name, 0)
        for neuron, total in zip(self.neurons, self.totals, strict=True):
            value = view.bits(total, 0, width, cycle) if total else f"{width}'d0"
            writer.output(f"y{neuron}", width, value)
        return writer.done()


def sums_on_graphs(layer: Layer, source: FixedPoint, plan: LayerPlan, policy: EstimatePolicy) -> list[SharedSums]:
    """The graphs of a layer, or none: with strategy `latency`, and where the layer cannot have any.

    Raises ConfigError naming why if the policy asks this very layer to have one.
    """
    if policy.strategy_of(layer.name) is not Strategy.DISTRIBUTED_ARITHMETIC:
        return []
    if hindrance := _hindrance(layer, source):
        if layer.name not in dict(policy.layer_strategies):
            return []
        raise ConfigError(f"layer '{layer.name}' ({layer.kind}): strategy distributed_arithmetic {hindrance}")
    graph, varies = solved(layer.w.raw, source), _varying(layer, source)
    # What is recomputed has one plain sum here.
    hardened = np.array(plan.hardened_bits) * (plan.mechanism is not Mechanism.RECOMPUTE)
    groups = [
        (~varies | (hardened == 0), 1, False),
        (varies & (hardened == layer.acc.width), plan.mechanism.copies, True),
    ]
    return [
        replace(_sums(layer, source, graph, np.flatnonzero(chosen)), copies=copies, guarded=guarded)
        for chosen, copies, guarded in groups
        if chosen.any()
    ]


def _hindrance(layer: Layer, source: FixedPoint) -> str | None:
    """Why a layer cannot be a graph."""
    if layer.kind not in GRAPH_KINDS:
        return f"is for layers whose neurons share their inputs: {', '.join(GRAPH_KINDS)}"
    if layer.reuse_factor != 1:
        return f"needs constants for weights, reuse factor 1, not {layer.reuse_factor}"
    if layer.saturates:
        return f"needs an accumulator that wraps, not {layer.acc}: saturating additions have an order"
    lost = -_shift(layer, source)
    if lost > 0 and np.any(layer.w.raw & ((1 << lost) - 1)):
        fraction = source.frac + layer.w.type.frac
        return (
            f"needs an accumulator that keeps the products' {fraction} bits of fraction, {layer.acc} has "
            f"{layer.acc.frac}: a shared sum has no products of its own to round"
        )
    return None


def _shift(layer: Layer, source: FixedPoint) -> int:
    return layer.acc.frac - source.frac - layer.w.type.frac


def _varying(layer: Layer, source: FixedPoint) -> NDArray[np.bool_]:
    """Which neurons are more than a constant: some product reaches the accumulator."""
    shift = _shift(layer, source)
    reaching = [[w != 0 and trailing_zeros(w) + shift < layer.acc.width for w in row] for row in layer.w.raw.tolist()]
    found: NDArray[np.bool_] = np.array(reaching, np.bool_).any(axis=0)
    return found


def _sums(layer: Layer, source: FixedPoint, graph: Graph, neurons: Ints) -> SharedSums:
    words = _Words(graph, source, layer.acc, _shift(layer, source), neurons)
    biases = cast(layer.b.raw, layer.b.type, layer.acc)
    totals = tuple(words.total(int(j), int(biases[j])) for j in neurons)
    return SharedSums(tuple(int(j) for j in neurons), words.inputs, totals)


class _Words:
    """The part of a graph that some neurons need as words, without the bits that lie above the accumulator."""

    def __init__(self, graph: Graph, source: FixedPoint, acc: FixedPoint, shift: int, neurons: Ints) -> None:
        self.graph, self.acc, self.shift = graph, acc, shift
        self.coefficients, self.exponents = graph.coefficients
        self.source = Bounds(source.min_raw, source.max_raw)
        self.needed = self._needed(neurons)
        self._words: dict[int, Word] = {}
        for node in np.flatnonzero(self.needed > 0):
            self._words[int(node)] = self._node(int(node))

    @cached_property
    def inputs(self) -> tuple[Operand, ...]:
        """Each once: a sum of which only one operand is within reach of an accumulator is that operand."""
        return tuple({word.port: word for word in self._words.values() if isinstance(word, Operand)}.values())

    def _needed(self, neurons: Ints) -> Ints:
        """How many of each node's bits, from its lowest on, reach an accumulator."""
        needed = np.zeros(len(self.exponents), np.int64)

        def reach(term: Term, bits: int, exponent: int) -> None:
            up = int(self.exponents[term.node]) + term.shift - exponent
            needed[term.node] = max(needed[term.node], bits - up)

        for neuron in neurons:
            if (term := self.graph.outputs[neuron]) is not None:
                reach(term, self.acc.width, -self.shift)
        for node in range(len(needed) - 1, self.graph.inputs - 1, -1):
            if needed[node] > 0:
                for term in self.graph.sums[node - self.graph.inputs]:
                    reach(term, int(needed[node]), int(self.exponents[node]))
        return needed

    def _node(self, node: int) -> Word:
        if node < self.graph.inputs:
            return Operand(self.source, port=f"x{node}")
        limit, exponent = Bounds.of_bits(int(self.needed[node])), int(self.exponents[node])
        first, second = (self._term(t, exponent, int(self.needed[node])) for t in self._terms(node))
        if first is None or second is None:
            found = first or second
            assert found is not None  # the exponent is that of one of them
            return found
        return added(first, second, self._bounds(node), limit)

    def _terms(self, node: int) -> tuple[Term, Term]:
        return self.graph.sums[node - self.graph.inputs]

    def _bounds(self, node: int) -> Bounds:
        """The exact range: of a number of operands, each of any value."""
        row = self.coefficients[node]
        up, down = int(row[row > 0].sum()), int(row[row < 0].sum())
        low, high = self.source.low, self.source.high
        return Bounds(up * low + down * high, up * high + down * low)

    def _term(self, term: Term, exponent: int, bits: int) -> Word | None:
        """A term in units of 2**exponent; None if none of its bits is among the lowest so many."""
        up = int(self.exponents[term.node]) + term.shift - exponent
        if up >= bits or term.node not in self._words:
            return None
        word = self._words[term.node]
        # Only zeros are dropped, so that a shift to the right is exact with either sign.
        shifted = moved(_with_sign(word, False), up)
        return _with_sign(shifted, word.minus != term.minus)

    def total(self, neuron: int, bias: int) -> Word | None:
        """A neuron's sum."""
        limit = Bounds.of_bits(self.acc.width, self.acc.signed)
        term = self.graph.outputs[neuron]
        word = None if term is None else self._term(term, -self.shift, self.acc.width)
        if word is None:
            return Constant.of(bias) if bias else None
        if bias:
            bounds = word.bounds.times(-1) if word.minus else word.bounds
            word = added(word, Constant.of(bias), Bounds(bounds.low + bias, bounds.high + bias), limit)
        return positive(word, limit)


def _with_sign(word: Word, minus: bool) -> Word:
    """The same bits, meant as the negative or not; the word itself stays one, so that it is made once."""
    return word if word.minus == minus else Moved(word.bounds, word.lowest, word.level, minus, word, 0)
