"""What faults inside a layer's neurons do to its sums.

A *row* is one pixel of one simulated sample. An accumulator's fault is a delta of plus or minus 2**bit on the
fault-free sum; its sign is the flipped bit of one partial sum, found from the adder's span.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from codesign.engine.reference import Bools, voted
from codesign.faults import ALL_SAMPLES, ALL_STEPS, UNIT, FaultArray, Target
from codesign.fixed import FixedPoint, Ints, fit, flip, wrap
from codesign.network import Unit, adder_spans, product_type
from codesign.protection import REPLICAS, LayerPlan, Mechanism, Scope

# Leaves gathered at once: bounds the memory, not the result.
_CHUNK_LEAVES = 1 << 22


@dataclass(frozen=True)
class Operands:
    """What a layer multiplies and adds in the simulated samples: layer inputs (n, n_in) and its parameters."""

    unit: Unit
    values: Ints
    weights: Ints | None
    biases: Ints | None

    def leaves(self, rows: Ints, neurons: Ints, count: int) -> Ints:
        """The leaves of each (row, neuron), zeros behind them: shape (len(rows), count)."""
        found = self.unit.leaves_some(self.values, self.weights, self.biases, rows, neurons)
        return np.pad(found, ((0, 0), (0, count - found.shape[1])))

    def partial_sums(self, rows: Ints, neurons: Ints, spans: Ints) -> Ints:
        """Fault-free sum of leaves spans[k, 0] .. spans[k, 1] - 1 of each (row, neuron), not wrapped."""
        step = max(1, _CHUNK_LEAVES // (self.unit.layer.fan_in + 1))
        parts = [np.zeros(0, np.int64)]
        for k in range(0, len(rows), step):
            found = self.unit.leaves_some(
                self.values, self.weights, self.biases, rows[k : k + step], neurons[k : k + step]
            )
            leaf, span = np.arange(found.shape[1]), spans[k : k + step]
            parts.append(np.where((leaf >= span[:, :1]) & (leaf < span[:, 1:]), found, 0).sum(axis=1))
        return np.concatenate(parts)


class LayerFaults:
    """The layer's adders and copies under its plan; applies strikes to its sums."""

    def __init__(self, unit: Unit, plan: LayerPlan) -> None:
        self.unit, self.layer, self.plan = unit, unit.layer, plan
        self.cut = self.layer.acc.width - np.array(plan.hardened_bits, np.int64)
        self.recomputes = plan.mechanism is Mechanism.RECOMPUTE
        self._recomputed = np.flatnonzero(self.cut < self.layer.acc.width)
        layer, chain = self.layer, self.layer.saturates
        self._spans = adder_spans(layer.fan_in, layer.reuse_factor, chain=chain)
        if self.recomputes:
            passes = plan.unit_passes(layer)
            self._again = adder_spans(passes * plan.dot_size, passes)

    def strike(self, operands: Operands, faults: FaultArray, touched: Ints, sums: Ints) -> Ints:
        """Apply faults of products and accumulators to `sums`, shape (len(touched) * pixels, neurons), in place.

        Gives the rows where copies differed in hardened bits.
        """
        parts = []
        on_adders = faults[faults["target"] == Target.ACCUMULATOR]
        on_products = faults[faults["target"] == Target.PRODUCT]
        if len(on_products):
            parts.append(self._on_products(operands, self._placed(on_products, touched)))
        if len(on_adders):
            parts.append(self._on_adders(self._placed(on_adders, touched)))
        if not parts:
            return np.zeros(0, np.int64)
        strikes = _joined(parts)
        strike = self._chain if self.layer.saturates else self._tree
        return strike(operands, strikes, sums)

    def _placed(self, faults: FaultArray, touched: Ints) -> "_Placed":
        """Every single use of a struck multiplier or adder."""
        unit = faults["neuron"] == UNIT
        parts = [self._uses(faults[~unit], touched)] if not unit.all() else []
        for neuron in self._recomputed if unit.any() else ():
            for replica in range(1, REPLICAS):
                single = faults[unit].copy()
                single["neuron"], single["replica"] = neuron, replica
                parts.append(self._uses(single, touched))
        return _joined(parts)

    def _uses(self, faults: FaultArray, touched: Ints) -> "_Placed":
        again = self.recomputes & (faults["replica"] > 0)
        per_pass = np.where(again, self.plan.dot_size, self.layer.per_pass)
        passes = np.where(again, -(-self.layer.fan_in // per_pass), self.layer.reuse_factor)
        which, row, number = _repeated(faults, touched, self.layer.pixels, passes)
        struck = faults[which]
        place = number * per_pass[which] + struck["position"]
        names = ("neuron", "replica", "bit")
        return _Placed(row, place, *(struck[name].astype(np.int64) for name in names))

    def _on_adders(self, at: "_Placed") -> "_Strikes":
        spans = self._spans[np.minimum(at.place, len(self._spans) - 1)]
        if self.recomputes:
            again = self._again[np.minimum(at.place, len(self._again) - 1)]
            spans = np.where((at.replica > 0)[:, None], again, spans)
            hits = at.replica[:, None] == np.arange(REPLICAS)
        else:
            shared = at.bit < self.cut[at.neuron]
            hits = shared[:, None] | (at.replica[:, None] == np.arange(REPLICAS))
        return _Strikes(at.row, at.neuron, spans, at.bit, hits, np.zeros((len(at.row), REPLICAS), np.int64))

    def _on_products(self, operands: Operands, at: "_Placed") -> "_Strikes":
        """All flips of one product together: they do not add up bit by bit where the cast rounds."""
        keys = np.stack([at.row, at.neuron, at.place, at.replica])
        places, which = np.unique(keys, axis=1, return_inverse=True)
        mask: Ints = np.zeros(places.shape[1], np.int64)
        np.bitwise_xor.at(mask, which.reshape(-1), np.int64(1) << at.bit)
        row, neuron, place, replica = places
        product = self._products(operands, row, neuron, place)
        struck = wrap(product ^ mask, product_type(self.layer, self.unit.source))
        before, after = self.unit.as_leaves(product), self.unit.as_leaves(struck)
        span = np.stack([place + 1, place + 2], axis=1)
        nothing = np.zeros((len(row), REPLICAS), np.bool_)
        return _Strikes(row, neuron, span, np.zeros_like(row), nothing, self._deltas(neuron, replica, before, after))

    def _products(self, operands: Operands, row: Ints, neuron: Ints, place: Ints) -> Ints:
        assert operands.weights is not None
        index = np.minimum(place, self.layer.fan_in - 1)  # what fills the shared unit's last pass is zero
        entering = self.unit.gather_some(operands.values, row, neuron)[np.arange(len(row)), index]
        product: Ints = np.where(place < self.layer.fan_in, entering * operands.weights[index, neuron], 0)
        return product

    def _deltas(self, neuron: Ints, replica: Ints, before: Ints, after: Ints) -> Ints:
        """What a struck product adds to each virtual replica, shape (n, REPLICAS)."""
        own = replica[:, None] == np.arange(REPLICAS)
        whole = (after - before)[:, None]
        if self.recomputes:
            return np.where(own, whole, 0)
        if self.plan.scope is Scope.ADDER:
            return np.repeat(whole, REPLICAS, axis=1)
        # Below the cut all copies share the multiplier of replica 0.
        below = (np.int64(1) << self.cut[neuron]) - 1
        low = ((after & below) - (before & below))[:, None]
        deltas: Ints = np.where(own, whole - low, 0) + np.where((replica == 0)[:, None], low, 0)
        return deltas

    def _tree(self, operands: Operands, strikes: "_Strikes", sums: Ints) -> Ints:
        """Sums that wrap: every strike adds a delta, wherever it is in the tree."""
        layer = self.layer
        group = strikes.row * layer.neurons + strikes.neuron
        # A descendant's span is shorter than its ancestor's: this order is one in which the tree works.
        order = np.lexsort((strikes.span[:, 0], strikes.span[:, 1] - strikes.span[:, 0], group))
        group, struck = group[order], strikes[order]
        on_adder = struck.span[:, 1] - struck.span[:, 0] > 1
        start = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        rank = np.arange(len(group)) - np.repeat(start, np.diff(np.append(start, len(group))))
        partial = operands.partial_sums(struck.row, struck.neuron, struck.span)
        deltas = struck.delta.copy()
        for level in range(int(rank.max()) + 1):
            now = np.flatnonzero((rank == level) & on_adder)
            value = np.repeat(partial[now][:, None], REPLICAS, axis=1)
            for back in range(1, level + 1):
                earlier = now - back
                a, b = struck.span[earlier], struck.span[now]
                within = (a[:, 0] >= b[:, 0]) & (a[:, 1] <= b[:, 1])
                value += np.where(within[:, None], deltas[earlier], 0)
            value = wrap(value, layer.acc)
            deltas[now] = np.where(struck.hits[now], flip(value, struck.bit[now][:, None], layer.acc) - value, 0)
        row, neuron = struck.row[start], struck.neuron[start]
        total = np.add.reduceat(deltas, start, axis=0) + sums[row, neuron][:, None]
        sums[row, neuron], differ = voted(self.plan, layer, wrap(total, layer.acc).T, self.cut[neuron])
        rows: Ints = row[differ]
        return rows

    def _chain(self, operands: Operands, strikes: "_Strikes", sums: Ints) -> Ints:
        """Sums that saturate: the struck neurons are added up again, leaf by leaf."""
        layer = self.layer
        group, member = np.unique(strikes.row * layer.neurons + strikes.neuron, return_inverse=True)
        row, neuron = np.divmod(group, layer.neurons)
        leaves = operands.leaves(row, neuron, layer.fan_in + 1)
        copies = np.repeat(leaves[:, :, None], REPLICAS, axis=2)
        on_leaf = strikes.span[:, 1] - strikes.span[:, 0] == 1
        np.add.at(copies, (member[on_leaf], strikes.span[on_leaf, 0]), strikes.delta[on_leaf])
        total = copies[:, 0]
        for leaf in range(1, layer.fan_in + 1):
            total = fit(total + copies[:, leaf], layer.acc)
            for k in np.flatnonzero(~on_leaf & (strikes.span[:, 1] == leaf + 1)):
                word = total[member[k]]
                total[member[k]] = np.where(strikes.hits[k], flip(word, strikes.bit[k], layer.acc), word)
        sums[row, neuron], differ = voted(self.plan, layer, total.T, self.cut[neuron])
        rows: Ints = row[differ]
        return rows


@dataclass(frozen=True)
class _Placed:
    """Single uses of struck units; `place` counts the multipliers or adders of all passes."""

    row: Ints
    place: Ints
    neuron: Ints
    replica: Ints
    bit: Ints


@dataclass(frozen=True)
class _Strikes:
    """Faults inside neurons: where in the tree, and what they do there.

    A struck adder flips `bit` of the replicas that `hits` marks. A struck product is a leaf, with a span of one; it
    adds `delta` to each replica.
    """

    row: Ints
    neuron: Ints
    span: Ints
    bit: Ints
    hits: Bools
    delta: Ints

    def __getitem__(self, at: Ints) -> "_Strikes":
        return _Strikes(*(getattr(self, field.name)[at] for field in fields(self)))


Entries = TypeVar("Entries", _Placed, _Strikes)


def _joined(parts: list[Entries]) -> Entries:
    kind = type(parts[0])
    return kind(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(kind)))


def _repeated(faults: FaultArray, touched: Ints, pixels: int, passes: Ints) -> tuple[Ints, Ints, Ints]:
    """Every single use that faults strike: the fault's index, the row, and the pass."""
    everywhere, always = faults["sample"] == ALL_SAMPLES, faults["step"] == ALL_STEPS
    steps = np.where(always, pixels * passes, 1)
    counts = np.where(everywhere, len(touched), 1) * steps
    which = np.repeat(np.arange(len(faults)), counts)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    sample, step = np.divmod(turn, steps[which])
    sample = np.where(everywhere[which], sample, np.searchsorted(touched, faults["sample"])[which])
    pixel, number = np.divmod(np.where(always[which], step, faults["step"][which]), passes[which])
    return which, sample * pixels + pixel, number


def flip_words(values: Ints, faults: FaultArray, touched: Ints, of: FixedPoint) -> Ints:
    """Words of shape (len(touched) * pixels, neurons) with a list's bits inverted, one listed twice twice."""
    pixels = len(values) // max(len(touched), 1)
    which, row, _ = _repeated(faults, touched, pixels, np.ones(len(faults), np.int64))
    mask = np.zeros_like(values)
    np.bitwise_xor.at(mask, (row, faults["neuron"][which]), np.int64(1) << faults["bit"][which].astype(np.int64))
    return wrap(values ^ mask, of)
