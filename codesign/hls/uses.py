"""How often each fault of a list is applied in a batch, and whether its bit exists at all."""

from functools import cached_property

import numpy as np

from codesign.errors import ConfigError
from codesign.faults import ALL_SAMPLES, ALL_STEPS, UNIT, FaultArray, FaultModel, FaultSpace, Lifetime, Segment, Target
from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import Mechanism, ProtectionPlan

Key = tuple[int, int, int, bool]


class Uses:
    """The bits of an accelerator, and how often a sample passes each of them."""

    def __init__(self, network: Network, plan: ProtectionPlan) -> None:
        self._network, self._plan = network, plan

    @cached_property
    def _segments(self) -> dict[Key, Segment]:
        """By layer, target, replica, and whether it is a shared unit's."""
        found: dict[Key, Segment] = {}
        for lifetime in (Lifetime.PERSISTENT, Lifetime.TRANSIENT):
            model = FaultModel(tuple(Target), ber=0.0, lifetime=lifetime)
            for segment in FaultSpace(self._network, self._plan, model, 1).segments:
                found[segment.layer, int(segment.target), segment.replica, segment.of_unit] = segment
        return found

    def expected(self, faults: FaultArray, n_samples: int) -> Ints:
        """Hits of each fault on `n_samples` samples, shape (len(faults),).

        Raises ConfigError naming the first fault whose bit does not exist.
        """
        hits = np.zeros(len(faults), np.int64)
        if not len(faults):
            return hits
        unit = faults["neuron"] == UNIT
        keys = np.stack([*(faults[name].astype(np.int64) for name in ("layer", "target", "replica")), unit])
        for key in np.unique(keys, axis=1).T.tolist():
            chosen = np.equal(keys.T, key).all(axis=1)
            hits[chosen] = self._of_segment((key[0], key[1], key[2], bool(key[3])), faults[chosen], n_samples)
        return hits

    def _of_segment(self, key: Key, faults: FaultArray, n_samples: int) -> Ints:
        segment = self._segments.get(key)
        if segment is None:
            raise ConfigError(f"fault list: {describe(faults[0])}: nothing there can be struck")
        neuron = np.zeros(len(faults), np.int64) if segment.of_unit else faults["neuron"].astype(np.int64)
        # What is stored or shared is wrong for the whole trial.
        samples, steps = (0, 0) if segment.of_unit or segment.target.stored else (n_samples, segment.steps)
        known = (neuron >= 0) & (neuron < len(segment.bits))
        bit = faults["bit"] - segment.lowest[neuron * known]
        for what, good in {
            "neuron": known,
            "position": (faults["position"] >= 0) & (faults["position"] < segment.positions),
            "bit": (bit >= 0) & (bit < segment.bits[neuron * known]),
            "sample": (faults["sample"] >= ALL_SAMPLES) & (faults["sample"] < samples),
            "step": (faults["step"] >= ALL_STEPS) & (faults["step"] < steps),
        }.items():
            if wrong := np.flatnonzero(~good).tolist():
                raise ConfigError(f"fault list: {describe(faults[wrong[0]])}: no such {what} there")
        struck = np.where(faults["sample"] == ALL_SAMPLES, n_samples, 1)
        hits: Ints = struck * np.where(faults["step"] == ALL_STEPS, self._a_sample(segment, neuron), 1)
        return hits

    def _a_sample(self, segment: Segment, neuron: Ints) -> Ints:
        """Uses in one sample."""
        layer = self._network.layers[segment.layer]
        plan = self._plan.of_layer(layer)
        hardened = np.array(plan.hardened_bits, np.int64) > 0
        if segment.of_unit:  # both recomputations of every hardened neuron
            return np.full(len(neuron), 2 * hardened.sum() * layer.pixels * plan.unit_passes(layer))
        if segment.target.stored:  # read by the neuron, and by its recomputations
            again = 2 * hardened[neuron] if plan.mechanism is Mechanism.RECOMPUTE else 0 * neuron
            return layer.pixels * (1 + again)
        return np.full(len(neuron), segment.steps)


def describe(fault: np.void) -> str:
    """A fault in words."""
    names = [t.label for t in Target]
    target = int(fault["target"])
    label = names[target] if 0 <= target < len(names) else f"target {target}"
    rest = ", ".join(f"{name} {fault[name]}" for name in ("neuron", "position", "replica", "bit", "sample", "step"))
    return f"{label} of layer {fault['layer']}, {rest}"
