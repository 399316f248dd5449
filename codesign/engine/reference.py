"""The golden model under faults: every adder of every neuron in NumPy, one array operation a tree level.

Slow and plain on purpose. The engine and the csim must give its integers.
"""

import numpy as np

from codesign.faults import ALL_SAMPLES, FaultArray, Target
from codesign.fixed import FixedPoint, Ints, cast, flip, wrap
from codesign.network import Kind, Layer, Network, adder_spans, as_leaves, finish, product_type
from codesign.protection import REPLICAS, ProtectionPlan


class ReferenceSimulator:
    """Simulates fault lists on raw inputs of shape (n_samples, n_in)."""

    name = "reference"

    def __init__(self, network: Network, plan: ProtectionPlan, raw_inputs: Ints) -> None:
        self.network = network
        self.plan = plan.check(network)
        self.raw_inputs = raw_inputs

    def run(self, faults: FaultArray) -> Ints:
        """Logits under the faults, shape (n_samples, n_out)."""
        values = self.raw_inputs
        for index, layer in enumerate(self.network.layers):
            source = self.network.input_of(index)
            here = faults[faults["layer"] == index]
            if layer.kind is Kind.DENSE:
                values = self._sums(layer, source, values, here)
            values = finish(layer, source, values)
            for fault in here[here["target"] == Target.ACTIVATION]:
                where = (_samples(fault), fault["neuron"])
                values[where] = flip(values[where], fault["bit"], layer.result)
        return values

    def _sums(self, layer: Layer, source: FixedPoint, values: Ints, faults: FaultArray) -> Ints:
        """Voted accumulators, shape (n_samples, n_out)."""
        weights, biases = _faulty_parameters(layer, faults)
        products = values[:, :, None] * weights
        for fault in faults[faults["target"] == Target.PRODUCT]:
            at = (_samples(fault), fault["position"], fault["neuron"])
            products[at] = flip(products[at], fault["bit"], product_type(layer, source))
        start = np.broadcast_to(cast(biases, layer.b.type, layer.acc), (len(values), 1, layer.n_out))
        leaves = np.concatenate([start, as_leaves(layer, source, products)], axis=1)
        hardened = self.plan.hardened(layer)
        sums = _accumulate(layer, hardened, leaves, faults[faults["target"] == Target.ACCUMULATOR])
        for fault in faults[faults["target"] == Target.VOTER]:
            where = (_samples(fault), fault["neuron"])
            sums[where] = flip(sums[where], fault["bit"], layer.acc)
        return sums


def _samples(fault: np.void) -> int | slice:
    return slice(None) if fault["sample"] == ALL_SAMPLES else int(fault["sample"])


def _faulty_parameters(layer: Layer, faults: FaultArray) -> tuple[Ints, Ints]:
    weights, biases = layer.w.raw.copy(), layer.b.raw.copy()
    for fault in faults:
        where = (fault["position"], fault["neuron"])
        if fault["target"] == Target.WEIGHT:
            weights[where] = flip(weights[where], fault["bit"], layer.w.type)
        elif fault["target"] == Target.BIAS:
            biases[fault["neuron"]] = flip(biases[fault["neuron"]], fault["bit"], layer.b.type)
    return weights, biases


def _accumulate(layer: Layer, hardened: Ints, leaves: Ints, faults: FaultArray) -> Ints:
    """Sum leaves of shape (n_samples, n_in + 1, n_out) through the tree, in three virtual replicas, and vote.

    The replicas of a neuron share the bits below its cut, so a fault there reaches all of them.
    """
    cut = layer.acc.width - hardened
    spans = adder_spans(layer.n_in)
    sums = {(leaf, leaf + 1): np.repeat(leaves[None, :, leaf], REPLICAS, axis=0) for leaf in range(layer.n_in + 1)}
    for position in np.argsort(spans[:, 1] - spans[:, 0], kind="stable"):
        first, end = (int(leaf) for leaf in spans[position])
        total = wrap(sums.pop((first, int(position) + 1)) + sums.pop((int(position) + 1, end)), layer.acc)
        for fault in faults[faults["position"] == position]:
            neuron, bit = fault["neuron"], fault["bit"]
            replicas = slice(None) if bit < cut[neuron] else fault["replica"]
            where = (replicas, _samples(fault), neuron)
            total[where] = flip(total[where], bit, layer.acc)
        sums[first, end] = total
    return vote(sums[0, layer.n_in + 1], cut, layer)


def vote(replicas: Ints, cut: Ints, layer: Layer) -> Ints:
    """Bitwise majority of the bits from `cut` up; below it all replicas agree. Shape (3, ...) -> (...)."""
    a, b, c = replicas
    majority = (a & b) | (a & c) | (b & c)
    low = (np.int64(1) << cut) - 1
    return wrap((majority & ~low) | (a & low), layer.acc)
