"""Cycles and registers: runs of logic, cut into cycles of equal depth."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from codesign.network import FROM_INPUT, Network
from codesign.resources.estimate.figures import Costed, LayerEstimate

Stage = list[int]


def timed(network: Network, costs: Sequence[Costed], per_cycle: int) -> list[LayerEstimate]:
    """The layers with their cycles and registers, `per_cycle` levels of logic in a cycle.

    Stages follow each other, those of parallel branches too. A value that waits for another branch is kept in one
    more set of registers for each sample that enters meanwhile; those of the network's input count as the first
    layer's.
    """
    found: dict[int, LayerEstimate] = {}
    ends, now = {FROM_INPUT: 0}, 0
    waits = dict.fromkeys(range(FROM_INPUT, len(costs)), 0)
    for stage in _stages(network, costs):
        for source in network.sources(stage[0]):
            waits[source] = max(waits[source], now - ends[source])
        found.update(zip(stage, _timed(network, stage, costs, per_cycle), strict=True))
        now += sum(found[index].latency_cycles for index in stage)
        ends |= dict.fromkeys(stage, now)
    interval = max(layer.ii for layer in found.values())
    for source, cycles in waits.items():
        bits = network.n_in * network.input_type.width if source == FROM_INPUT else costs[source].bits
        at = max(source, 0)
        found[at] = replace(found[at], ff=found[at].ff + -(-cycles // interval) * bits)
    return [found[index] for index in range(len(costs))]


def _stages(network: Network, costs: Sequence[Costed]) -> Iterator[Stage]:
    """A layer that computes and the others behind it that nothing else stands between: one run of logic.

    A layer that takes several cycles for an input ends in registers that hold all of its values, so it is alone.
    """
    consumers = np.zeros(len(costs), np.int64)
    for index in range(len(costs)):
        for source in network.sources(index):
            if source != FROM_INPUT:
                consumers[source] += 1
    stage: Stage = []
    for index, layer in enumerate(network.layers):
        follows = bool(stage) and network.sources(index) == (index - 1,) and consumers[index - 1] == 1
        if stage and not (follows and not layer.protectable and costs[index - 1].layer.ii == 1):
            yield stage
            stage = []
        stage.append(index)
    yield stage


def _timed(network: Network, stage: Stage, costs: Sequence[Costed], per_cycle: int) -> Iterator[LayerEstimate]:
    """Each layer of a stage with the cycles and registers that fall into it.

    A cut after t levels holds the bits of the last boundary at or before t. Boundaries are the stage's
    inputs, the products, the words after each level of the adders (those of hardened neurons with
    their copies), the voted sums and the results.
    """
    ends = list(accumulate(costs[index].layer.levels for index in stage))
    starts = [0, *ends[:-1]]
    boundaries = [
        (s + b.level, b.bits) for s, index in zip(starts, stage, strict=True) for b in costs[index].boundaries
    ]
    inner = max(0, -(-ends[-1] // per_cycle) - 1)
    last = _registered(network, stage, costs)
    done = 0
    for index, end in zip(stage, ends, strict=True):
        reached = min(inner, end // per_cycle)
        levels = [cut * per_cycle for cut in range(done + 1, reached + 1)]
        # Beside the values every register holds whether there is a sample.
        registers = sum([bits for at, bits in boundaries if at <= level][-1] + 1 for level in levels)
        layer = costs[index].layer
        cycles, done = reached - done + layer.ii - 1, reached
        if index == last:
            registers, cycles = registers + costs[index].bits + 1, cycles + 1
        yield replace(layer, ff=layer.ff + registers, latency_cycles=cycles)


def _registered(network: Network, stage: Stage, costs: Sequence[Costed]) -> int | None:
    """The last layer of a stage that is not mere wiring: its results are registered. None if all of it is."""
    solid = [i for i in stage if network.layers[i].has_registers or costs[i].layer.levels]
    return solid[-1] if solid else None
