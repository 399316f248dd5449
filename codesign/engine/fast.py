"""The fast exact fault simulator: only what a fault changes is computed again.

Fault-free sums of every layer are kept. A trial touches the samples that a fault strikes and, further
down, those whose values really changed. An accumulator fault is a delta of plus or minus 2**bit on
the fault-free sum; its sign is the flipped bit of one partial sum, found from the adder's span.
"""

from dataclasses import dataclass

import numpy as np

from codesign.engine.reference import vote
from codesign.faults import ALL_SAMPLES, FaultArray, Target
from codesign.fixed import Ints, cast, flip, rescale, wrap
from codesign.network import Kind, Layer, Network, adder_spans, dense_sums, finish
from codesign.protection import REPLICAS, ProtectionPlan

# Products gathered at once for partial sums: bounds the memory, not the result.
_CHUNK_PRODUCTS = 1 << 22


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
        source = self.network.input_of(index)
        if golden.sums is not None:
            touched = self._touched(faults, rows, len(golden.leaving))
            entering = golden.entering[touched]
            if len(rows):
                entering[np.searchsorted(touched, rows)] = values
            values = self._sums(index, layer, faults, touched, entering, rows)
            rows = touched
        leaving = finish(layer, source, values)
        changed = (leaving != golden.leaving[rows]).any(axis=1)
        return rows[changed], leaving[changed]

    @staticmethod
    def _touched(faults: FaultArray, rows: Ints, n_samples: int) -> Ints:
        if (faults["sample"] == ALL_SAMPLES).any():
            return np.arange(n_samples, dtype=np.int64)
        return np.union1d(rows, faults["sample"]).astype(np.int64)

    def _sums(self, index: int, layer: Layer, faults: FaultArray, touched: Ints, entering: Ints, changed: Ints) -> Ints:
        """Accumulators of the touched samples under changed inputs, parameters and adders."""
        golden = self._golden[index]
        assert golden.sums is not None
        source = self.network.input_of(index)
        adders = faults[faults["target"] == Target.ACCUMULATOR]
        weights, biases = layer.w.raw, layer.b.raw
        if len(adders) < len(faults):
            weights, biases = _faulty_parameters(layer, faults)
            sums = dense_sums(layer, source, entering, weights, biases)
        else:
            sums = golden.sums[touched]
            if len(changed):
                at = np.searchsorted(touched, changed)
                sums[at] = dense_sums(layer, source, entering[at], weights, biases)
        if len(adders):
            struck = _spread(adders, touched)
            products = _Partials(layer, source.frac, entering, weights, biases)
            _strike(layer, self._cuts[index], self._spans[index], products, struck, sums)
        return sums


def _faulty_parameters(layer: Layer, faults: FaultArray) -> tuple[Ints, Ints]:
    """Parameters with the flips of the list; a bit that is listed twice flips twice."""
    weights, biases = layer.w.raw.copy(), layer.b.raw.copy()
    on_weights = faults[faults["target"] == Target.WEIGHT]
    mask = np.zeros_like(weights)
    np.bitwise_xor.at(
        mask, (on_weights["position"], on_weights["neuron"]), np.int64(1) << on_weights["bit"].astype(np.int64)
    )
    on_biases = faults[faults["target"] == Target.BIAS]
    bias_mask = np.zeros_like(biases)
    np.bitwise_xor.at(bias_mask, on_biases["neuron"], np.int64(1) << on_biases["bit"].astype(np.int64))
    return wrap(weights ^ mask, layer.w.type), wrap(biases ^ bias_mask, layer.b.type)


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
class _Partials:
    """Fault-free partial sums of single neurons, computed on demand."""

    layer: Layer
    source_frac: int
    entering: Ints
    weights: Ints
    biases: Ints

    def sums(self, rows: Ints, neurons: Ints, spans: Ints) -> Ints:
        """Sum of leaves spans[k, 0] .. spans[k, 1] - 1 of each (row, neuron), not wrapped."""
        step = max(1, _CHUNK_PRODUCTS // self.layer.n_in)
        parts = [
            self._some(rows[k : k + step], neurons[k : k + step], spans[k : k + step])
            for k in range(0, len(rows), step)
        ]
        return np.concatenate(parts)

    def _some(self, rows: Ints, neurons: Ints, spans: Ints) -> Ints:
        layer = self.layer
        product_frac = self.source_frac + layer.w.type.frac
        products = rescale(self.entering[rows] * self.weights[:, neurons].T, product_frac, layer.acc)
        leaf = np.arange(1, layer.n_in + 1)
        inside = (leaf >= spans[:, :1]) & (leaf < spans[:, 1:])
        start = cast(self.biases[neurons], layer.b.type, layer.acc)
        total: Ints = np.where(inside, products, 0).sum(axis=1) + np.where(spans[:, 0] == 0, start, 0)
        return total


def _strike(layer: Layer, cut: Ints, spans: Ints, partials: _Partials, faults: FaultArray, sums: Ints) -> None:
    """Apply accumulator faults (`sample` holds row numbers) to `sums`, shape (rows, n_out), in place."""
    row, neuron = faults["sample"].astype(np.int64), faults["neuron"].astype(np.int64)
    position, bit = faults["position"].astype(np.int64), faults["bit"].astype(np.int64)
    span = spans[position]
    group = row * layer.n_out + neuron
    # A descendant's span is shorter than its ancestor's: this order is one in which the adders work.
    order = np.lexsort((position, span[:, 1] - span[:, 0], group))
    row, neuron, span, bit, group = row[order], neuron[order], span[order], bit[order], group[order]
    shared = bit < cut[neuron]
    hits = shared[:, None] | (faults["replica"][order][:, None] == np.arange(REPLICAS))
    first = np.concatenate([[True], group[1:] != group[:-1]])
    start = np.flatnonzero(first)
    rank = np.arange(len(group)) - np.repeat(start, np.diff(np.append(start, len(group))))

    partial = partials.sums(row, neuron, span)
    deltas = np.zeros((len(group), REPLICAS), np.int64)
    for level in range(int(rank.max()) + 1):
        now = np.flatnonzero(rank == level)
        value = np.repeat(partial[now][:, None], REPLICAS, axis=1)
        for back in range(1, level + 1):
            earlier = now - back
            within = (span[earlier, 0] >= span[now, 0]) & (span[earlier, 1] <= span[now, 1])
            value += np.where(within[:, None], deltas[earlier], 0)
        value = wrap(value, layer.acc)
        deltas[now] = np.where(hits[now], flip(value, bit[now][:, None], layer.acc) - value, 0)

    struck_row, struck_neuron = row[start], neuron[start]
    total = np.add.reduceat(deltas, start, axis=0) + sums[struck_row, struck_neuron][:, None]
    sums[struck_row, struck_neuron] = vote(wrap(total, layer.acc).T, cut[struck_neuron], layer)
