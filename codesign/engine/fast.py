"""The fast exact fault simulator: only what a fault changes is computed again.

Fault-free sums of every layer are kept. A trial touches the samples that a fault strikes and, further
down, those whose values really changed.
"""

from dataclasses import dataclass

import numpy as np

from codesign.codes import Code, decode, encode
from codesign.engine.reference import Bools
from codesign.engine.strikes import LayerFaults, Operands, flip_words
from codesign.faults import ALL_SAMPLES, FaultArray, Target
from codesign.fixed import Ints
from codesign.network import (
    FROM_INPUT,
    Layer,
    Network,
    Parameter,
    Unit,
    entering,
    finish,
    parameters,
    passed,
)
from codesign.outcome import Outcome
from codesign.protection import Mechanism, ProtectionPlan


@dataclass(frozen=True)
class _Changed:
    """Samples that differ from the fault-free run, ascending, and their values there, (len(rows), n_out)."""

    rows: Ints
    values: Ints


class _Flags:
    """Which of so many samples raise a flag in some layer."""

    def __init__(self, n_samples: int) -> None:
        self.corrected, self.detected = np.zeros((2, n_samples), np.bool_)


class EngineSimulator:
    """Simulates fault lists on raw inputs of shape (n_samples, n_in)."""

    name = "engine"

    def __init__(self, network: Network, plan: ProtectionPlan, raw_inputs: Ints) -> None:
        self.network = network
        self.plan = plan.check(network)
        self._inputs = raw_inputs
        self._outputs: list[Ints] = []
        self._sums: dict[int, Ints] = {}
        self._faults: dict[int, LayerFaults] = {}
        for index, layer in enumerate(network.layers):
            values = entering(network, index, self._outputs, raw_inputs)
            if layer.protectable:
                unit = Unit(layer, network.input_types(index))
                self._faults[index] = LayerFaults(unit, plan.of_layer(layer))
                self._sums[index] = unit.sums(values, *parameters(layer))
                self._outputs.append(finish(layer, self._sums[index], len(values)))
            else:
                self._outputs.append(passed(layer, network.input_types(index), values))

    @property
    def golden(self) -> Ints:
        """Fault-free logits, shape (n_samples, n_out)."""
        return self._outputs[-1]

    def run(self, faults: FaultArray) -> Ints:
        """Logits under the faults, shape (n_samples, n_out)."""
        return self.outcome(faults).logits

    def outcome(self, faults: FaultArray) -> Outcome:
        """Logits under the faults, and the flags that the protection raises."""
        changed: dict[int, _Changed] = {}
        flags = _Flags(len(self._inputs))
        for index, layer in enumerate(self.network.layers):
            here = faults[faults["layer"] == index]
            sources = {s: changed[s] for s in self.network.sources(index) if s in changed}
            if (len(here) or sources) and (found := self._layer(index, layer, here, sources, flags)):
                changed[index] = found
        logits = self.golden.copy()
        if last := changed.get(len(self.network.layers) - 1):
            logits[last.rows] = last.values
        return Outcome(logits, flags.corrected, flags.detected)

    def _layer(
        self, index: int, layer: Layer, faults: FaultArray, sources: dict[int, _Changed], flags: _Flags
    ) -> _Changed | None:
        """What differs from the fault-free output of this layer, if anything; its flags are raised."""
        golden = self._outputs[index]
        touched = _touched(faults, sources, len(golden))
        values = self._entering(index, touched, sources)
        if layer.protectable:
            changed = np.unique(np.concatenate([np.zeros(0, np.int64), *(c.rows for c in sources.values())]))
            sums = self._under_faults(index, faults, touched, values, changed, flags)
            leaving = finish(layer, sums, len(touched))
        else:
            leaving = passed(layer, self.network.input_types(index), values)
        registers = faults[faults["target"] == Target.ACTIVATION]
        if len(registers):
            words = leaving.reshape(len(touched) * layer.pixels, layer.neurons)
            leaving = flip_words(words, registers, touched, layer.result).reshape(leaving.shape)
        differs = (leaving != golden[touched]).any(axis=1)
        return _Changed(touched[differs], leaving[differs]) if differs.any() else None

    def _entering(self, index: int, touched: Ints, sources: dict[int, _Changed]) -> Ints:
        """Layer inputs of the touched samples, shape (len(touched), n_in)."""
        parts = []
        for source in self.network.sources(index):
            golden = self._inputs if source == FROM_INPUT else self._outputs[source]
            values = golden[touched]  # a copy
            if source in sources:
                values[np.searchsorted(touched, sources[source].rows)] = sources[source].values
            parts.append(values)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _under_faults(
        self, index: int, faults: FaultArray, touched: Ints, values: Ints, changed: Ints, flags: _Flags
    ) -> Ints:
        """Voted sums of the touched samples, shape (len(touched) * pixels, neurons)."""
        layer, struck = self.network.layers[index], self._faults[index]
        weights, biases = parameters(layer)
        if np.isin(faults["target"], (Target.WEIGHT, Target.BIAS)).any():
            code = struck.plan.parameters
            on_weights, on_biases = (faults[faults["target"] == target] for target in (Target.WEIGHT, Target.BIAS))
            weights, *of_weights = _read(layer.w, code, on_weights, ("position", "neuron"))
            biases, *of_biases = _read(layer.b, code, on_biases, ("neuron",))
            for raised, *read in zip((flags.corrected, flags.detected), of_weights, of_biases, strict=True):
                raised |= any(words.any() for words in read)  # in every sample, since each reads them
            sums = struck.unit.sums(values, weights, biases)
        else:
            golden = self._sums[index].reshape(-1, layer.pixels, layer.neurons)
            sums = golden[touched]
            if len(changed):
                at = np.searchsorted(touched, changed)
                again = struck.unit.sums(values[at], weights, biases)
                sums[at] = again.reshape(len(at), layer.pixels, layer.neurons)
            sums = sums.reshape(-1, layer.neurons)
        differ = struck.strike(Operands(struck.unit, values, weights, biases), faults, touched, sums)
        raised = flags.detected if struck.plan.mechanism is Mechanism.DMR else flags.corrected
        raised[touched[differ // layer.pixels]] = True
        voters = faults[faults["target"] == Target.VOTER]
        return flip_words(sums, voters, touched, layer.acc) if len(voters) else sums


def _touched(faults: FaultArray, sources: dict[int, _Changed], n_samples: int) -> Ints:
    if (faults["sample"] == ALL_SAMPLES).any():
        return np.arange(n_samples, dtype=np.int64)
    rows: Ints = np.unique(np.concatenate([faults["sample"].astype(np.int64), *(c.rows for c in sources.values())]))
    return rows


def _read(parameter: Parameter, code: Code, faults: FaultArray, place: tuple[str, ...]) -> tuple[Ints, Bools, Bools]:
    """A stored parameter as it is read when bits of its words are inverted, and where that corrects and detects."""
    copies = np.repeat(encode(parameter.raw, parameter.type, code)[None], code.copies, axis=0)
    places = tuple(faults[name] for name in ("replica", *place))
    np.bitwise_xor.at(copies, places, np.int64(1) << faults["bit"].astype(np.int64))
    return decode(copies, parameter.type, code)
