"""The golden model under faults: every adder of every neuron in NumPy, one array operation an addition.

Slow and plain on purpose. The engine and the csim must give its integers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.codes import decode, encode
from codesign.faults import ALL_SAMPLES, ALL_STEPS, UNIT, FaultArray, Target
from codesign.fixed import Ints, fit, flip, wrap
from codesign.network import Layer, Network, Parameter, Unit, adder_spans, entering, finish, passed, product_type
from codesign.outcome import Outcome
from codesign.protection import REPLICAS, LayerPlan, Mechanism, ProtectionPlan, Scope

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Flagged:
    """Logits (n_samples, n_out), and for each computing layer the flags it raised, (n_samples, n_layers)."""

    logits: Ints
    corrected: Bools
    detected: Bools


class ReferenceSimulator:
    """Simulates fault lists on raw inputs of shape (n_samples, n_in)."""

    name = "reference"

    def __init__(self, network: Network, plan: ProtectionPlan, raw_inputs: Ints) -> None:
        self.network = network
        self.plan = plan.check(network)
        self.raw_inputs = raw_inputs

    def run(self, faults: FaultArray) -> Ints:
        """Logits under the faults, shape (n_samples, n_out)."""
        return self.run_flagged(faults).logits

    def outcome(self, faults: FaultArray) -> Outcome:
        """Logits under the faults, and whether any layer raised a flag."""
        flagged = self.run_flagged(faults)
        return Outcome(flagged.logits, flagged.corrected.any(axis=1), flagged.detected.any(axis=1))

    def run_flagged(self, faults: FaultArray) -> Flagged:
        """Logits under the faults, and the flags that the protection raises."""
        outputs: list[Ints] = []
        flags = []
        for index, layer in enumerate(self.network.layers):
            values = entering(self.network, index, outputs, self.raw_inputs)
            here = faults[faults["layer"] == index]
            if layer.protectable:
                unit = Unit(layer, self.network.input_types(index))
                simulated = _FaultyLayer(unit, self.plan.of_layer(layer), here).run(values)
                values = finish(layer, simulated[0], len(values))
                flags.append(simulated[1:])
            else:
                values = passed(layer, self.network.input_types(index), values)
            values = values.copy()
            for fault in here[here["target"] == Target.ACTIVATION]:
                tensor = values.reshape(len(values), layer.pixels, layer.neurons)
                where = (_samples(fault), _steps(fault), fault["neuron"])
                tensor[where] = flip(tensor[where], fault["bit"], layer.result)
            outputs.append(values)
        shape = (len(flags), len(self.raw_inputs))
        corrected, detected = (np.array([flag[kind] for flag in flags], np.bool_).reshape(shape).T for kind in (0, 1))
        return Flagged(outputs[-1], corrected, detected)


def _samples(fault: np.void) -> int | slice:
    return slice(None) if fault["sample"] == ALL_SAMPLES else int(fault["sample"])


def _steps(fault: np.void) -> int | slice:
    return slice(None) if fault["step"] == ALL_STEPS else int(fault["step"])


class _FaultyLayer:
    """One layer that computes, under its plan and its faults."""

    def __init__(self, unit: Unit, plan: LayerPlan, faults: FaultArray) -> None:
        self.unit, self.layer, self.plan, self.faults = unit, unit.layer, plan, faults
        self.cut = self.layer.acc.width - np.array(plan.hardened_bits, np.int64)
        self.hardened = np.array(plan.hardened_bits, np.int64) > 0
        self.recomputes = plan.mechanism is Mechanism.RECOMPUTE

    def run(self, values: Ints) -> tuple[Ints, Bools, Bools]:
        """Voted sums (n * pixels, neurons), and the flags of each sample, (n,)."""
        n = len(values)
        weights, biases, corrected, detected = self._parameters()
        gathered = self.unit.gather(values)
        copies = [self._sums(gathered, weights, biases, copy) for copy in range(REPLICAS)]
        sums, differ = voted(self.plan, self.layer, np.stack(copies), self.cut)
        mine = differ.reshape(n, -1).any(axis=1)
        if self.plan.mechanism is Mechanism.DMR:
            detected = detected | mine
        else:
            corrected = corrected | mine
        tensor = sums.reshape(n, self.layer.pixels, -1)
        for fault in self._struck(Target.VOTER):
            where = (_samples(fault), _steps(fault), fault["neuron"])
            tensor[where] = flip(tensor[where], fault["bit"], self.layer.acc)
        return sums, corrected | np.zeros(n, np.bool_), detected | np.zeros(n, np.bool_)

    def _struck(self, target: Target) -> FaultArray:
        found: FaultArray = self.faults[self.faults["target"] == target]
        return found

    def _parameters(self) -> tuple[Ints | None, Ints | None, np.bool_, np.bool_]:
        """Weights and biases as they are read, and whether reading corrected or detected something."""
        if not self.layer.has_weights:
            return None, None, np.False_, np.False_
        weights, *weight_flags = self._stored(self.layer.w, Target.WEIGHT)
        biases, *bias_flags = self._stored(self.layer.b, Target.BIAS)
        corrected, detected = (a.any() | b.any() for a, b in zip(weight_flags, bias_flags, strict=True))
        return weights, biases, corrected, detected

    def _stored(self, parameter: Parameter, target: Target) -> tuple[Ints, Bools, Bools]:
        code = self.plan.parameters
        copies = np.repeat(encode(parameter.raw, parameter.type, code)[None], code.copies, axis=0)
        for fault in self._struck(target):
            place = (fault["position"], fault["neuron"]) if target is Target.WEIGHT else (fault["neuron"],)
            copies[(fault["replica"], *place)] ^= np.int64(1) << np.int64(fault["bit"])
        return decode(copies, parameter.type, code)

    def _sums(self, gathered: Ints, weights: Ints | None, biases: Ints | None, copy: int) -> Ints:
        """One virtual replica's accumulators, before the vote: (rows, neurons).

        The replicas of a neuron share the bits below its cut, so a fault there reaches all of them; but a copy that
        is computed again shares nothing.
        """
        again = self.recomputes and copy > 0
        per_pass = self.plan.dot_size if again else self.layer.per_pass
        passes = -(-self.layer.fan_in // per_pass)
        leaves = self._leaves(gathered, weights, biases, copy, per_pass, passes)
        spans = adder_spans(per_pass, chain=self.layer.saturates)
        total = leaves[:, 0]
        for number in range(passes):
            of_pass = leaves[:, 1 + number * per_pass : 1 + (number + 1) * per_pass]
            words = {(k, k + 1): word for k, word in enumerate([total, *of_pass.swapaxes(0, 1)])}
            for position in np.argsort(spans[:, 1] - spans[:, 0], kind="stable"):
                first, end = (int(leaf) for leaf in spans[position])
                # The two parts meet between leaf `position` and the next one.
                left, right = words.pop((first, int(position) + 1)), words.pop((int(position) + 1, end))
                words[first, end] = self._added(fit(left + right, self.layer.acc), int(position), number, passes, copy)
            total = words[0, per_pass + 1]
        return total

    def _leaves(
        self, gathered: Ints, weights: Ints | None, biases: Ints | None, copy: int, per_pass: int, passes: int
    ) -> Ints:
        """Bias and products, faults included, zeros at the end: (rows, 1 + passes * per_pass, neurons)."""
        if weights is None or biases is None:
            return self.unit.operands(gathered)
        own = self._products(gathered, weights, copy, per_pass, passes)
        if not self.recomputes and copy and self.plan.scope is Scope.MAC:
            # Below the cut there is one multiplier, that of replica 0.
            low = (np.int64(1) << self.cut) - 1
            shared = self._products(gathered, weights, 0, per_pass, passes)
            own = wrap((own & ~low) | (shared & low), self.layer.acc)
        start = np.broadcast_to(self.unit.start(biases), (len(own), 1, self.layer.neurons))
        return np.concatenate([start, own], axis=1)

    def _products(self, gathered: Ints, weights: Ints, copy: int, per_pass: int, passes: int) -> Ints:
        products = np.zeros((len(gathered), passes * per_pass, self.layer.neurons), np.int64)
        products[:, : self.layer.fan_in] = gathered * weights
        # The second axis counts the steps: pixel * passes + pass.
        n = len(gathered) // self.layer.pixels
        tensor = products.reshape(n, self.layer.pixels * passes, per_pass, self.layer.neurons)
        for fault in self._products_of(copy):
            where = (_samples(fault), _steps(fault), fault["position"], self._neurons(fault))
            tensor[where] = flip(tensor[where], fault["bit"], product_type(self.layer, self.unit.source))
        return self.unit.as_leaves(tensor.reshape(products.shape))

    def _products_of(self, copy: int) -> FaultArray:
        """Faults of the multipliers whose products this copy adds."""
        faults = self._struck(Target.PRODUCT)
        if not self.recomputes and self.plan.scope is Scope.ADDER:
            return faults
        found: FaultArray = faults[(faults["replica"] == copy) | ((faults["neuron"] == UNIT) & (copy > 0))]
        return found

    def _neurons(self, fault: np.void) -> int | Bools:
        return self.hardened if fault["neuron"] == UNIT else int(fault["neuron"])

    def _added(self, total: Ints, position: int, number: int, passes: int, copy: int) -> Ints:
        """An adder's output in pass `number`, (rows, neurons), with what strikes it."""
        faults = self._struck(Target.ACCUMULATOR)
        for fault in faults[faults["position"] == position]:
            elsewhere = fault["step"] != ALL_STEPS and fault["step"] % passes != number
            if elsewhere or not self._reaches(fault, copy):
                continue
            pixels = slice(None) if fault["step"] == ALL_STEPS else int(fault["step"]) // passes
            tensor = total.reshape(-1, self.layer.pixels, self.layer.neurons)
            where = (_samples(fault), pixels, self._neurons(fault))
            tensor[where] = flip(tensor[where], fault["bit"], self.layer.acc)
        return total

    def _reaches(self, fault: np.void, copy: int) -> bool:
        """Whether an accumulator's fault is in this virtual replica."""
        if self.recomputes:
            return bool(fault["replica"] == copy) or (fault["neuron"] == UNIT and copy > 0)
        return bool(fault["bit"] < self.cut[fault["neuron"]]) or bool(fault["replica"] == copy)


def voted(plan: LayerPlan, layer: Layer, copies: Ints, cut: Ints) -> tuple[Ints, Bools]:
    """What three virtual replicas of sums give, and where hardened bits differ: (3, ...) -> (...), (...).

    Bits from `cut` up are hardened. Of them the bitwise majority counts, below it the first replica; DMR has
    two replicas and gives zero where they differ.
    """
    a, b, c = copies
    low = (np.int64(1) << cut) - 1
    if plan.mechanism is Mechanism.DMR:
        differ = ((a ^ b) & ~low) != 0
        return np.where(differ & (cut < layer.acc.width), 0, a), differ & (cut < layer.acc.width)
    differ = (((a ^ b) | (a ^ c)) & ~low) != 0
    majority = (a & b) | (a & c) | (b & c)
    return wrap((majority & ~low) | (a & low), layer.acc), differ & (cut < layer.acc.width)
