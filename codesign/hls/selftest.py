"""The design rules of a project by its behaviour: every guard is outvoted and seen, and so is a strike on every copy.

Runs the project's C-simulation. What it finds missing would not be there in hardware either.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.codes import Code
from codesign.errors import MismatchError
from codesign.faults import ALL_SAMPLES, ALL_STEPS, FAULT, Target, fault_array
from codesign.fixed import Ints
from codesign.hls.csim import CsimSimulator, Traced
from codesign.hls.folder import Project
from codesign.hls.registers import GUARD_BITS
from codesign.network import Layer
from codesign.protection import LayerPlan, Mechanism, Scope

_GUARD_SAMPLES = 64


@dataclass(frozen=True)
class _Strike:
    """A fault row without its sample and step, the layer's number among those that compute, and what must happen.

    That the fault is applied; and if `flag` is named, that this layer alone raises it, and if it is `corrected` that
    the logits stay right.
    """

    row: tuple[int, ...]
    step: int
    layer: int
    flag: str

    def __str__(self) -> str:
        index, target, neuron, position, replica, bit = self.row
        return f"{Target(target).label} of layer {index}, neuron {neuron}, copy {replica}, place {position}, bit {bit}"


def demand(project: Project) -> None:
    """Raise MismatchError when the project breaks a rule."""
    if found := self_test(project):
        more = f" ({len(found)} such findings)" if len(found) > 1 else ""
        raise MismatchError(f"{project.folder}: self-test: {found[0]}{more}")


def self_test(project: Project, cache: Path | None = None) -> list[str]:
    """Every rule that the simulated project breaks, one line each."""
    generator = np.random.default_rng(0)
    of = project.network.input_type
    shape = (_GUARD_SAMPLES, project.network.n_in)
    raw: Ints = generator.integers(of.min_raw, of.max_raw, shape, np.int64, endpoint=True)
    csim = CsimSimulator(project, raw, cache)
    found = [text for bit in range(GUARD_BITS) for text in _raise_guard(csim, bit)]
    strikes = [s for number in range(len(project.network.compute_layers())) for s in _strikes(project, number)]
    return [*found, *_strike(csim, strikes)]


def _raise_guard(csim: CsimSimulator, bit: int) -> Iterator[str]:
    traced = csim.run_traced(np.zeros(0, FAULT), 1 << bit)
    outvoted = True
    for number, (_, layer) in enumerate(csim.network.compute_layers()):
        plan = csim.plan.of_layer(layer)
        detects = plan.mechanism is Mechanism.DMR and any(plan.hardened_bits) and bit < 2
        outvoted &= not detects
        for what, flags, expected in (
            ("detected", traced.detected, detects and _shows(layer, plan)),
            ("corrected", traced.corrected, not detects and _corrects(layer, plan)),
        ):
            if expected and not flags[:, number].any():
                yield f"layer '{layer.name}': guard bit {bit} is raised and no sample is {what}"
    if outvoted and not np.array_equal(traced.logits, csim.golden):
        yield f"guard bit {bit} is raised and not outvoted: the logits differ"


def _corrects(layer: Layer, plan: LayerPlan) -> bool:
    redundant = plan.mechanism is not Mechanism.DMR and any(plan.hardened_bits) and _shows(layer, plan)
    return redundant or plan.parameters is Code.TMR


def _shows(layer: Layer, plan: LayerPlan) -> bool:
    """Does a raised guard reach the compared bits for sure?

    Of copies with multipliers of their own it is the data's lowest bit, which may stay below the hardened ones.
    And a neuron of zeros has no operand that could pass a guard.
    """
    hardened = np.array(plan.hardened_bits) > 0
    if not layer.has_weights:
        return bool(hardened.any())
    if plan.mechanism is Mechanism.RECOMPUTE or plan.scope is Scope.MAC:
        return False
    fed = (layer.w.raw != 0).any(axis=0) | (layer.b.raw != 0)
    return bool((hardened & fed).any())


def _strikes(project: Project, number: int) -> Iterator[_Strike]:
    """The top bit of the last adder of every copy of every hardened neuron, and a bit of every stored copy."""
    index, layer = project.network.compute_layers()[number]
    plan = project.plan.of_layer(layer)
    flag = "detected" if plan.mechanism is Mechanism.DMR else "corrected"
    own_multipliers = layer.has_weights and (plan.scope is Scope.MAC or plan.mechanism is Mechanism.RECOMPUTE)
    for neuron, hardened in enumerate(plan.hardened_bits):
        for copy in range(plan.mechanism.copies if hardened else 0):
            again = plan.mechanism is Mechanism.RECOMPUTE and copy > 0
            adders, passes = (plan.dot_size, plan.unit_passes(layer)) if again else (layer.per_pass, layer.reuse_factor)
            row = (index, int(Target.ACCUMULATOR), neuron, adders - 1, copy, layer.acc.width - 1)
            yield _Strike(row, passes - 1, number, flag)
            if own_multipliers:  # a product's bit need not reach the hardened ones
                row = (index, int(Target.PRODUCT), neuron, adders - 1, copy, 0)
                yield _Strike(row, passes - 1, number, "")
    if plan.parameters is Code.NONE:
        return
    for copy in range(plan.parameters.copies):
        for target, positions in ((Target.WEIGHT, layer.fan_in), (Target.BIAS, 1)):
            for neuron in range(layer.neurons):
                row = (index, int(target), neuron, positions - 1, copy, 0)
                flag = "detected" if plan.parameters is Code.PARITY else "corrected"
                yield _Strike(row, ALL_STEPS, number, flag)


def _strike(csim: CsimSimulator, strikes: list[_Strike]) -> Iterator[str]:
    """Transients in one batch, a sample each; what is stored is wrong for a whole batch, so each takes one."""
    stored = [s for s in strikes if s.step == ALL_STEPS]
    passing = [s for s in strikes if s.step != ALL_STEPS]
    batch = csim.on(csim.raw_inputs[np.arange(len(passing)) % len(csim.raw_inputs)])
    faults = fault_array([(*s.row, sample, s.step) for sample, s in enumerate(passing)])
    traced, expected = batch.run_traced(faults), batch.expected_hits(faults)
    for sample, strike in enumerate(passing):
        hits = int(traced.hits[sample]), int(expected[sample])
        yield from _judge(strike, hits, _sample(traced, sample), batch.golden[sample])
    single = csim.on(csim.raw_inputs[:1])
    for strike in stored:
        faults = fault_array([(*strike.row, ALL_SAMPLES, ALL_STEPS)])
        traced, expected = single.run_traced(faults), single.expected_hits(faults)
        yield from _judge(strike, (int(traced.hits[0]), int(expected[0])), _sample(traced, 0), single.golden[0])


def _sample(traced: Traced, sample: int) -> Traced:
    rows = slice(sample, sample + 1)
    return Traced(traced.logits[rows], traced.corrected[rows], traced.detected[rows], traced.hits)


def _judge(strike: _Strike, hits: tuple[int, int], traced: Traced, golden: Ints) -> Iterator[str]:
    """`traced` is of the struck sample."""
    if hits[0] != hits[1]:
        yield f"{strike}: applied {hits[0]} times instead of {hits[1]}"
    if not strike.flag:
        return
    raised = {"corrected": np.flatnonzero(traced.corrected), "detected": np.flatnonzero(traced.detected)}
    alone = [strike.layer] == raised.pop(strike.flag).tolist() and not any(len(layers) for layers in raised.values())
    if not alone:
        yield f"{strike}: not {strike.flag}, or by another layer"
    elif strike.flag == "corrected" and not np.array_equal(traced.logits[0], golden):
        yield f"{strike}: corrected, and yet the logits differ"
