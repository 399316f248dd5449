"""The fast exact fault simulator: only what a fault changes is computed again.

Fault-free sums of every layer are kept. A trial touches the samples that a fault strikes and, further
down, those whose values really changed. An accumulator fault is a delta of plus or minus 2**bit on
the fault-free sum; its sign is the flipped bit of one partial sum, found from the adder's span.
"""

from dataclasses import dataclass, fields

import numpy as np

from codesign.engine.reference import vote
from codesign.faults import ALL_SAMPLES, FaultArray, Target
from codesign.fixed import FixedPoint, Ints, cast, flip, wrap
from codesign.network import Kind, Layer, Network, adder_spans, as_leaves, dense_sums, finish, product_type
from codesign.protection import REPLICAS, ProtectionPlan

# Products gathered at once for partial sums: bounds the memory, not the result.
_CHUNK_PRODUCTS = 1 << 22
# The fields that find a neuron's word; a spread list holds row numbers in `sample`.
_WORD = ("sample", "neuron")


@dataclass(frozen=True)
class _Golden:
    """Fault-free input, sums (dense layers only) and output of a layer, shapes (n_samples, ...)."""

    entering: Ints
    sums: Ints | None
    leaving: Ints


class EngineSimulator:
    """Simulates fault lists on raw inputs of shape (n_samples, n_in)."""

    name = "engine"

    def __init__(self, network: Network, plan: ProtectionPlan, raw_inputs: Ints) -> None:
        self.network = network
        self.plan = plan.check(network)
        self._golden: list[_Golden] = []
        self._cuts = {i: layer.acc.width - plan.hardened(layer) for i, layer in network.compute_layers()}
        self._spans = {i: adder_spans(layer.n_in) for i, layer in network.compute_layers()}
        values = raw_inputs
        for index, layer in enumerate(network.layers):
            source = network.input_of(index)
            sums = dense_sums(layer, source, values, layer.w.raw, layer.b.raw) if layer.kind is Kind.DENSE else None
            leaving = finish(layer, source, values if sums is None else sums)
            self._golden.append(_Golden(values, sums, leaving))
            values = leaving

    @property
    def golden(self) -> Ints:
        """Fault-free logits, shape (n_samples, n_out)."""
        return self._golden[-1].leaving

    def run(self, faults: FaultArray) -> Ints:
        """Logits under the faults, shape (n_samples, n_out)."""
        rows = np.zeros(0, np.int64)  # samples that differ from the fault-free run ...
        values = self._golden[0].entering[rows]  # ... and the values that reach the next layer
        for index, layer in enumerate(self.network.layers):
            here = faults[faults["layer"] == index]
            if len(here) or len(rows):
                rows, values = self._layer(index, layer, here, rows, values)
        logits = self.golden.copy()
        if len(rows):
            logits[rows] = values
        return logits

    def _layer(self, index: int, layer: Layer, faults: FaultArray, rows: Ints, values: Ints) -> tuple[Ints, Ints]:
        """Samples whose output of this layer differs from the fault-free one, and that output."""
        golden = self._golden[index]
        on_registers = faults["target"] == Target.ACTIVATION
        registers, inner = faults[on_registers], faults[~on_registers]
        if golden.sums is not None and (len(inner) or len(rows)):
            touched = self._touched(inner, rows, len(golden.leaving))
            entering = _updated(golden.entering[touched], touched, rows, values)
            values = self._sums(index, layer, inner, touched, entering, rows)
            rows = touched
        leaving = finish(layer, self.network.input_of(index), values)
        if len(registers):
            touched = self._touched(registers, rows, len(golden.leaving))
            leaving = _updated(golden.leaving[touched], touched, rows, leaving)
            leaving = _flipped(leaving, _spread(registers, touched), layer.result, *_WORD)
            rows = touched
        changed = (leaving != golden.leaving[rows]).any(axis=1)
        return rows[changed], leaving[changed]

    @staticmethod
    def _touched(faults: FaultArray, rows: Ints, n_samples: int) -> Ints:
        if (faults["sample"] == ALL_SAMPLES).any():
            return np.arange(n_samples, dtype=np.int64)
        return np.union1d(rows, faults["sample"]).astype(np.int64)

    def _sums(self, index: int, layer: Layer, faults: FaultArray, touched: Ints, entering: Ints, changed: Ints) -> Ints:
        """Voted accumulators of the touched samples under changed inputs and all faults but those of registers."""
        golden = self._golden[index]
        assert golden.sums is not None
        source = self.network.input_of(index)
        weights, biases = layer.w.raw, layer.b.raw
        if np.isin(faults["target"], (Target.WEIGHT, Target.BIAS)).any():
            weights, biases = _faulty_parameters(layer, faults)
            sums = dense_sums(layer, source, entering, weights, biases)
        else:
            sums = golden.sums[touched]
            if len(changed):
                at = np.searchsorted(touched, changed)
                sums[at] = dense_sums(layer, source, entering[at], weights, biases)
        operands = _Operands(layer, source, entering, weights, biases)
        adders, products, voters = (
            faults[faults["target"] == target] for target in (Target.ACCUMULATOR, Target.PRODUCT, Target.VOTER)
        )
        strikes = []
        if len(products):
            strikes.append(_on_products(operands, _spread(products, touched)))
        if len(adders):
            strikes.append(_on_adders(_spread(adders, touched), self._spans[index]))
        if strikes:
            _strike(operands, self._cuts[index], _joined(strikes), sums)
        return _flipped(sums, _spread(voters, touched), layer.acc, *_WORD) if len(voters) else sums


def _updated(golden: Ints, touched: Ints, rows: Ints, values: Ints) -> Ints:
    """Fault-free values of the touched samples, with those of `rows` put in. Shape (len(touched), ...)."""
    if len(rows):
        golden[np.searchsorted(touched, rows)] = values
    return golden


def _flipped(values: Ints, faults: FaultArray, of: FixedPoint, *index: str) -> Ints:
    """Words with the list's bits inverted, a bit that is listed twice twice; `index` names the faults' fields
    that find a word in `values`.
    """
    mask = np.zeros_like(values)
    np.bitwise_xor.at(mask, tuple(faults[name] for name in index), np.int64(1) << faults["bit"].astype(np.int64))
    return wrap(values ^ mask, of)


def _faulty_parameters(layer: Layer, faults: FaultArray) -> tuple[Ints, Ints]:
    on_weights, on_biases = (faults[faults["target"] == target] for target in (Target.WEIGHT, Target.BIAS))
    weights = _flipped(layer.w.raw, on_weights, layer.w.type, "position", "neuron")
    return weights, _flipped(layer.b.raw, on_biases, layer.b.type, "neuron")


def _spread(faults: FaultArray, touched: Ints) -> FaultArray:
    """Replace samples by row numbers in `touched`; a fault of all samples becomes one a row."""
    everywhere = faults["sample"] == ALL_SAMPLES
    single: FaultArray = faults[~everywhere].copy()
    single["sample"] = np.searchsorted(touched, single["sample"])
    if not everywhere.any():
        return single
    repeated = np.repeat(faults[everywhere], len(touched))
    repeated["sample"] = np.tile(np.arange(len(touched)), int(everywhere.sum()))
    return np.concatenate([single, repeated])


@dataclass(frozen=True)
class _Operands:
    """What a layer multiplies and adds in the touched samples."""

    layer: Layer
    source: FixedPoint
    entering: Ints
    weights: Ints
    biases: Ints

    def partial_sums(self, rows: Ints, neurons: Ints, spans: Ints) -> Ints:
        """Fault-free sum of leaves spans[k, 0] .. spans[k, 1] - 1 of each (row, neuron), not wrapped."""
        step = max(1, _CHUNK_PRODUCTS // self.layer.n_in)
        parts = [
            self._some(rows[k : k + step], neurons[k : k + step], spans[k : k + step])
            for k in range(0, len(rows), step)
        ]
        return np.concatenate(parts)

    def _some(self, rows: Ints, neurons: Ints, spans: Ints) -> Ints:
        layer = self.layer
        products = as_leaves(layer, self.source, self.entering[rows] * self.weights[:, neurons].T)
        leaf = np.arange(1, layer.n_in + 1)
        inside = (leaf >= spans[:, :1]) & (leaf < spans[:, 1:])
        start = cast(self.biases[neurons], layer.b.type, layer.acc)
        total: Ints = np.where(inside, products, 0).sum(axis=1) + np.where(spans[:, 0] == 0, start, 0)
        return total


@dataclass(frozen=True)
class _Strikes:
    """Faults inside neurons, one entry each: where in the tree, and what they do there.

    A struck adder flips `bit` of one replica (of all, below the cut). A struck product is a leaf, with a
    span of one; it adds `delta` to every replica.
    """

    row: Ints
    neuron: Ints
    span: Ints
    bit: Ints
    replica: Ints
    delta: Ints

    def __getitem__(self, at: Ints) -> "_Strikes":
        return _Strikes(*(getattr(self, field.name)[at] for field in fields(self)))


def _joined(parts: list[_Strikes]) -> _Strikes:
    if len(parts) == 1:
        return parts[0]
    return _Strikes(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(_Strikes)))


def _columns(faults: FaultArray, *names: str) -> list[Ints]:
    return [faults[name].astype(np.int64) for name in names]


def _on_adders(faults: FaultArray, spans: Ints) -> _Strikes:
    row, neuron, position, bit, replica = _columns(faults, "sample", "neuron", "position", "bit", "replica")
    return _Strikes(row, neuron, spans[position], bit, replica, np.zeros_like(row))


def _on_products(operands: _Operands, faults: FaultArray) -> _Strikes:
    """All flips of one product together: they do not add up bit by bit where the cast rounds."""
    layer = operands.layer
    row, neuron, position, bit = _columns(faults, "sample", "neuron", "position", "bit")
    places, which = np.unique(np.stack([row, neuron, position]), axis=1, return_inverse=True)
    mask = np.zeros(places.shape[1], np.int64)
    np.bitwise_xor.at(mask, which.reshape(-1), np.int64(1) << bit)
    row, neuron, position = places
    product = operands.entering[row, position] * operands.weights[position, neuron]
    struck = wrap(product ^ mask, product_type(layer, operands.source))
    delta = as_leaves(layer, operands.source, struck) - as_leaves(layer, operands.source, product)
    nothing = np.zeros_like(row)
    return _Strikes(row, neuron, np.stack([position + 1, position + 2], axis=1), nothing, nothing, delta)


def _strike(operands: _Operands, cut: Ints, strikes: _Strikes, sums: Ints) -> None:
    """Apply strikes to `sums`, shape (rows, n_out), in place, and vote."""
    layer = operands.layer
    group = strikes.row * layer.n_out + strikes.neuron
    # A descendant's span is shorter than its ancestor's: this order is one in which the tree works.
    order = np.lexsort((strikes.span[:, 0], strikes.span[:, 1] - strikes.span[:, 0], group))
    group, struck = group[order], strikes[order]
    shared = struck.bit < cut[struck.neuron]
    hits = shared[:, None] | (struck.replica[:, None] == np.arange(REPLICAS))
    is_leaf = struck.span[:, 1] - struck.span[:, 0] == 1
    start = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    rank = np.arange(len(group)) - np.repeat(start, np.diff(np.append(start, len(group))))

    partial = operands.partial_sums(struck.row, struck.neuron, struck.span)
    deltas = np.repeat(struck.delta[:, None], REPLICAS, axis=1)
    for level in range(int(rank.max()) + 1):
        now = np.flatnonzero((rank == level) & ~is_leaf)
        value = np.repeat(partial[now][:, None], REPLICAS, axis=1)
        for back in range(1, level + 1):
            earlier = now - back
            within = (struck.span[earlier, 0] >= struck.span[now, 0]) & (struck.span[earlier, 1] <= struck.span[now, 1])
            value += np.where(within[:, None], deltas[earlier], 0)
        value = wrap(value, layer.acc)
        deltas[now] = np.where(hits[now], flip(value, struck.bit[now][:, None], layer.acc) - value, 0)

    row, neuron = struck.row[start], struck.neuron[start]
    total = np.add.reduceat(deltas, start, axis=0) + sums[row, neuron][:, None]
    sums[row, neuron] = vote(wrap(total, layer.acc).T, cut[neuron], layer)
