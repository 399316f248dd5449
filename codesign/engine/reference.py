"""The golden model under faults: every adder of every neuron in NumPy, one array operation a tree level.

Slow and plain on purpose. The engine and the csim must give its integers.
"""

import numpy as np

from codesign.faults import ALL_SAMPLES, FaultArray, Target
from codesign.fixed import Ints, cast, flip, wrap
from codesign.network import Kind, Layer, Network, adder_spans, dense_products, finish
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
            if layer.kind is Kind.DENSE:
                here = faults[faults["layer"] == index]
                weights, biases = _faulty_parameters(layer, here)
                products = dense_products(layer, source, values, weights)
                start = np.broadcast_to(cast(biases, layer.b.type, layer.acc), (len(values), 1, layer.n_out))
                leaves = np.concatenate([start, products], axis=1)
                values = _accumulate(
                    layer, self.plan.hardened(layer), leaves, here[here["target"] == Target.ACCUMULATOR]
                )
            values = finish(layer, source, values)
        return values


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
            samples = slice(None) if fault["sample"] == ALL_SAMPLES else fault["sample"]
            total[replicas, samples, neuron] = flip(total[replicas, samples, neuron], bit, layer.acc)
        sums[first, end] = total
    return vote(sums[0, layer.n_in + 1], cut, layer)


def vote(replicas: Ints, cut: Ints, layer: Layer) -> Ints:
    """Bitwise majority of the bits from `cut` up; below it all replicas agree. Shape (3, ...) -> (...)."""
    a, b, c = replicas
    majority = (a & b) | (a & c) | (b & c)
    low = (np.int64(1) << cut) - 1
    return wrap((majority & ~low) | (a & low), layer.acc)
