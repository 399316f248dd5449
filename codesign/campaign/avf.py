"""Architectural vulnerability: what share of single upsets matters, by target, layer and bit position."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.campaign.batches import available_cores
from codesign.campaign.requirement import METRICS
from codesign.campaign.samples import check_samples
from codesign.campaign.sampling import neyman_allocation, sample_size, stratified_estimate
from codesign.campaign.statistics import Interval
from codesign.campaign.strata import Stratum, strata_of
from codesign.engine.compiled import NativeEngine, open_engine
from codesign.engine.counts import COUNTS, count
from codesign.errors import ConfigError, one_of
from codesign.faults import ALL_SAMPLES, FaultArray, FaultModel, FaultSpace, Lifetime, Target
from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import ProtectionPlan

Floats = NDArray[np.float64]

OUTCOMES = ("sdc1", "sdc5", "detected", "corrected", "silent")
"""Metrics of a campaign that can be a single fault's outcome."""
# Of a group's faults the pilot draws this share, evenly; no stratum gets fewer than so many in either stage.
_PILOT_SHARE, _LEAST = 0.2, 20
_PILOT, _MAIN = 0, 1
_ALL = -1


@dataclass(frozen=True)
class Group:
    """Strata taken together. `bits` are places in the hardware, `population` their single faults, `drawn` of them.

    `layer` and `bit` are None where the group is not of one.
    """

    target: str
    layer: str | None
    bit: int | None
    bits: int
    population: int
    drawn: int
    avf: Interval

    def to_json(self) -> dict[str, Any]:
        """The AVF's mean and ends stand in an object of their own."""
        return {**vars(self), "avf": self.avf.to_json()}


@dataclass(frozen=True, eq=False)
class Vulnerability:
    """What single faults did: `outcomes[k]`, shape (n_drawn,), in 0..1, are those of `strata[k]`.

    A fault of one sample has the outcome 0 or 1, one that lasts for the whole trial the share of samples that it
    struck in that way. `network` and `plan` are digests, `layers` the names of the network's layers; `pilot` further
    faults were run only to see where outcomes vary.
    """

    network: str
    plan: str
    layers: tuple[str, ...]
    strata: tuple[Stratum, ...]
    outcomes: tuple[Floats, ...]
    samples: int
    lifetime: Lifetime
    outcome: str
    margin: float
    confidence: float
    seed: int
    pilot: int

    def groups(self, *, layer: bool = False, bit: bool = False) -> list[Group]:
        """The AVF of every target; of each in every layer, in every bit position, or in both."""
        members: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for number, stratum in enumerate(self.strata):
            members[stratum.target, stratum.layer if layer else _ALL, stratum.bit if bit else _ALL].append(number)
        return [self._group(key, chosen) for key, chosen in sorted(members.items())]

    def _group(self, key: tuple[int, int, int], members: list[int]) -> Group:
        target, layer, bit = key
        chosen = [self.strata[number] for number in members]
        return Group(
            target=Target(target).label,
            layer=None if layer == _ALL else self.layers[layer],
            bit=None if bit == _ALL else bit,
            bits=sum(stratum.bits for stratum in chosen),
            population=sum(stratum.size for stratum in chosen),
            drawn=sum(self.outcomes[number].size for number in members),
            avf=self.interval(members),
        )

    def interval(self, members: Sequence[int]) -> Interval:
        """AVF of the strata with these numbers, every single fault weighing the same."""
        sizes = [self.strata[number].size for number in members]
        return stratified_estimate(sizes, [self.outcomes[number] for number in members], self.confidence).interval

    def to_json(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "plan": self.plan,
            "seed": self.seed,
            "samples": self.samples,
            "lifetime": self.lifetime.value,
            "outcome": self.outcome,
            "margin": self.margin,
            "confidence": self.confidence,
            "faults": sum(found.size for found in self.outcomes),
            "pilot_faults": self.pilot,
            "targets": [group.to_json() for group in self.groups()],
            "layers": [group.to_json() for group in self.groups(layer=True)],
            "bits": [group.to_json() for group in self.groups(bit=True)],
            "cells": [group.to_json() for group in self.groups(layer=True, bit=True)],
        }


def measure_avf(
    network: Network,
    plan: ProtectionPlan,
    targets: Sequence[Target],
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    lifetime: Lifetime = Lifetime.TRANSIENT,
    outcome: str = "sdc1",
    margin: float = 0.01,
    confidence: float = 0.95,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Vulnerability:
    """Draw single faults of every target in every layer, as many as Leveugle's formula asks for `margin`, and run them.

    In two stages: a pilot shows where outcomes vary, and Neyman's allocation draws the faults of each layer and target
    from its replicas and bits accordingly. Estimates are from the second stage alone: with the pilot's outcomes, which
    decided how many more are drawn, they would lean towards zero. `inputs` and `labels` are as in `run_campaign`;
    `progress` is told how many faults are done, of how many. Raises ConfigError for arguments that do not fit.
    """
    raw, truth = check_samples(network, inputs, labels)
    one_of("outcome", outcome, OUTCOMES)
    space = FaultSpace(network, plan, FaultModel(tuple(targets), n_flips=1, lifetime=lifetime, seed=seed), len(raw))
    strata = strata_of(space)
    if not strata:
        names = ", ".join(target.label for target in space.model.targets)
        raise ConfigError(f"network '{network.name}' has no bits of {names} under this plan")
    drawing = _Drawing(strata, seed, margin, confidence)
    pilot = drawing.pilot()
    first = int(pilot.sum())

    def shown(done: int, rest: int) -> None:
        if progress:
            progress(done, first + rest)

    runner = _Runner(network, plan, raw, truth, outcome, threads)
    seen = runner.outcomes(drawing.faults(pilot, _PILOT), lambda done: shown(done, drawing.expected))
    main = drawing.main(seen)
    found = runner.outcomes(drawing.faults(main, _MAIN), lambda done: shown(first + done, int(main.sum())))
    return Vulnerability(
        network=network.digest,
        plan=plan.digest,
        layers=tuple(layer.name for layer in network.layers),
        strata=tuple(strata),
        outcomes=tuple(found),
        samples=len(raw),
        lifetime=space.model.lifetime,
        outcome=outcome,
        margin=margin,
        confidence=confidence,
        seed=seed,
        pilot=first,
    )


class _Drawing:
    """How many faults each stratum gives, and which."""

    def __init__(self, strata: Sequence[Stratum], seed: int, margin: float, confidence: float) -> None:
        self._strata, self._seed = strata, seed
        self._sizes = np.array([stratum.size for stratum in strata], np.int64)
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, stratum in enumerate(strata):
            groups[stratum.target, stratum.layer].append(number)
        self._groups = list(groups.values())
        self._totals = [self._enough(members, margin, confidence) for members in self._groups]

    @property
    def expected(self) -> int:
        """Faults of the second stage, before anything is known; there can be some more."""
        return sum(self._totals)

    def _enough(self, members: list[int], margin: float, confidence: float) -> int:
        sizes = self._sizes[members]
        least = int(np.minimum(sizes, _LEAST).sum())
        return max(least, sample_size(margin, confidence, int(sizes.sum())))

    def pilot(self) -> Ints:
        """Draws of each stratum, shape (n_strata,)."""
        drawn = np.zeros(len(self._strata), np.int64)
        for members, total in zip(self._groups, self._totals, strict=True):
            drawn[members] = max(_LEAST, int(_PILOT_SHARE * total / len(members)))
        return np.minimum(drawn, self._sizes)

    def main(self, seen: Sequence[Floats]) -> Ints:
        """Draws of each stratum by Neyman's allocation, shape (n_strata,), given the outcomes of the pilot."""
        # As if one more fault had changed nothing and one everything: what a short pilot did not show may exist.
        deviations = np.array([np.append(found, (0.0, 1.0)).std() for found in seen])
        drawn = np.zeros(len(self._strata), np.int64)
        for members, total in zip(self._groups, self._totals, strict=True):
            drawn[members] = neyman_allocation(self._sizes[members], deviations[members], total, _LEAST)
        # The few that would be left out of a small stratum could be the ones that matter, and cost next to nothing.
        return np.where(2 * drawn >= self._sizes, self._sizes, drawn)

    def faults(self, drawn: Ints, stage: int) -> list[FaultArray]:
        """As many different faults of each stratum, each set equally likely."""
        found = []
        for stratum, number in zip(self._strata, drawn, strict=True):
            key = (self._seed, stratum.segment.stream, stratum.bit, stage)
            numbers = np.random.default_rng(key).choice(stratum.size, number, replace=False, shuffle=False)
            found.append(stratum.faults(np.sort(numbers)))
        return found


class _Runner:
    """Single faults on the engine, and what became of the samples that they struck."""

    def __init__(
        self,
        network: Network,
        plan: ProtectionPlan,
        raw: Ints,
        truth: Ints,
        outcome: str,
        threads: int | None,
    ) -> None:
        self._engine = open_engine(network, plan, raw)
        self._truth, self._outcome = truth, outcome
        self._threads = available_cores() if threads is None else threads

    def outcomes(self, faults: Sequence[FaultArray], progress: Callable[[int], None]) -> list[Floats]:
        """For each array of single faults their outcomes, in 0..1, of the same shape."""
        every = np.concatenate(faults)
        struck = np.where(every["sample"] == ALL_SAMPLES, len(self._truth), 1)
        shares = METRICS[self._outcome](self._counts(every, progress), len(self._truth)) / struck
        return np.split(shares, np.cumsum([len(part) for part in faults])[:-1])

    def _counts(self, faults: FaultArray, progress: Callable[[int], None]) -> NDArray[np.void]:
        engine = self._engine
        if isinstance(engine, NativeEngine):
            return engine.run_lists(faults, self._truth, threads=self._threads, progress=progress).rows
        rows = np.zeros(len(faults), COUNTS)
        for number in range(len(faults)):
            rows[number] = count(engine.outcome(faults[number : number + 1]), engine.golden, self._truth)
            progress(number + 1)
        return rows
