"""Mapped designs under upsets: what single ones do, and how accuracy falls with their rate."""

import base64
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.campaign.batches import Pace, available_cores, offset
from codesign.campaign.ledger import Ledger
from codesign.campaign.result import CampaignResult
from codesign.campaign.samples import check_samples
from codesign.campaign.sampling import stratified_estimate
from codesign.campaign.statistics import Interval
from codesign.campaign.store import Store
from codesign.engine.circuit import UPSET_COUNTS, Interrupted, UpsetArray, UpsetCounts
from codesign.engine.counts import COUNTS
from codesign.errors import ConfigError
from codesign.files import digest_of
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan
from codesign.resources.circuit import check_circuit
from codesign.resources.equivalence import mapped_circuit, verify
from codesign.resources.synthesis import Synthesis
from codesign.resources.upset_space import Stratum, UpsetSpace

# Raise it when the same upsets are drawn or counted otherwise than before: kept ones are then run again.
RECIPE = 1
CLASSES = ("silent", "detected", "tolerated", "corrected", "masked")
"""What a single upset does, the first that is true of it.

`silent`: some sample has another top class, or is not announced, and no flag `detected`. `detected`: that flag is
raised. `tolerated`: some word of the output is another one, the top class nowhere. `corrected`: a flag `corrected` is
raised, and every word is right. `masked`: nothing of that, in any sample.
"""
# A stratum gets no fewer draws, unless it has not so many bits.
_LEAST = 100

Progress = Callable[[int], None]


@dataclass(frozen=True)
class UpsetGroup:
    """Bits taken together; `layer`, `cause` and `kind` are None where the group is not of one.

    `classes` are shares of single upsets, `essential` those that change some word of the output in some sample, and
    `answers` is the share of samples with another top class, averaged over the upsets.
    """

    layer: str | None
    cause: str | None
    kind: str | None
    bits: int
    drawn: int
    essential: Interval
    classes: dict[str, Interval]
    answers: Interval

    def to_json(self) -> dict[str, Any]:
        classes = {name: share.to_json() for name, share in self.classes.items()}
        changed = {"essential": self.essential.to_json(), "classes": classes, "answers": self.answers.to_json()}
        return {**vars(self), **changed}


@dataclass(frozen=True, eq=False)
class SingleUpsets:
    """Counts of the single upsets that were drawn from each stratum, on so many samples."""

    strata: tuple[Stratum, ...]
    rows: tuple[UpsetCounts, ...]
    samples: int
    confidence: float

    def groups(self, *, layer: bool = False, cause: bool = False, kind: bool = False) -> list[UpsetGroup]:
        """Of all bits, or one a layer, a cause, a kind, or a combination of them."""
        members: dict[tuple[str | None, str | None, str | None], list[int]] = defaultdict(list)
        for number, one in enumerate(self.strata):
            key = (one.layer if layer else None, one.cause if cause else None, one.kind if kind else None)
            members[key].append(number)
        return [self._group(*key, chosen) for key, chosen in members.items()]

    def _group(self, layer: str | None, cause: str | None, kind: str | None, members: list[int]) -> UpsetGroup:
        sizes = [self.strata[k].size for k in members]
        rows = [self.rows[k] for k in members]
        classes = [classes_of(found) for found in rows]

        def share(outcomes: list[NDArray[Any]]) -> Interval:
            return stratified_estimate(sizes, outcomes, self.confidence).interval

        return UpsetGroup(
            layer=layer,
            cause=cause,
            kind=kind,
            bits=sum(sizes),
            drawn=sum(map(len, rows)),
            essential=share([found["changed"] > 0 for found in rows]),
            classes={name: share([found == k for found in classes]) for k, name in enumerate(CLASSES)},
            answers=share([found["sdc1"] / self.samples for found in rows]),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "drawn": sum(map(len, self.rows)),
            "samples": self.samples,
            "confidence": self.confidence,
            "all": self.groups()[0].to_json(),
            "kinds": [group.to_json() for group in self.groups(kind=True)],
            "causes": [group.to_json() for group in self.groups(cause=True)],
            "layers": [group.to_json() for group in self.groups(layer=True)],
            "cells": [group.to_json() for group in self.groups(layer=True, cause=True, kind=True)],
        }


def classes_of(rows: UpsetCounts) -> NDArray[np.int64]:
    """The number of each upset's class, shape (n_upsets,)."""
    true = [rows["silent"] > 0, rows["detected"] > 0, rows["changed"] > 0, rows["flagged"] > 0]
    return np.select(true, range(len(true)), len(true)).astype(np.int64)


class UpsetTarget:
    """A mapped design on an evaluation set: inputs and labels as in `run_campaign`.

    Raises MismatchError unless the netlist gives the network's integers without faults, on VECTORS random inputs and on
    all samples.
    """

    def __init__(
        self,
        synthesis: Synthesis,
        network: Network,
        plan: ProtectionPlan,
        inputs: ArrayLike,
        labels: ArrayLike,
        *,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.network, self.plan = network, plan
        raw, self.labels = check_samples(network, inputs, labels)
        self._mapped = mapped_circuit(synthesis, network, plan)
        verify(self._mapped, network)
        self.simulator = check_circuit(self._mapped, network, raw, f"network '{network.name}'")
        self.space = UpsetSpace(self._mapped, len(raw), seed)
        self._threads = available_cores() if threads is None else threads
        self.accuracy_clean = float((forward(network, raw)[-1].argmax(axis=1) == self.labels).mean())
        self._samples_digest = digest_of(raw.tobytes(), self.labels.tobytes())

    @property
    def samples(self) -> int:
        return len(self.labels)

    @property
    def cycles(self) -> int:
        """Through which a sample is followed; 1 where the design is a pipeline."""
        return self._mapped.cycles

    @cached_property
    def digest(self) -> str:
        """Of what decides a trial's counts, but its upsets."""
        circuit = self._mapped.circuit
        arrays = (circuit.tables, circuit.inputs, circuit.data, circuit.outputs, circuit.flags)
        parts = [array.tobytes() for array in arrays]
        return digest_of(*parts, self._samples_digest, str((self.space.seed, self._mapped.cycles, RECIPE)))

    def run(self, upsets: Sequence[UpsetArray] | UpsetArray, progress: Progress | None = None) -> UpsetCounts:
        """Counts of lists of upsets, or of single ones."""
        return self.simulator.run(upsets, self.labels, threads=self._threads, progress=progress)

    def drawn(self, count: int) -> list[int]:
        """Of about so many single upsets those of each stratum: by its bits, some of each, none twice."""
        if count < 1:
            raise ConfigError(f"{count} single upsets: at least one is needed")
        share = min(1.0, count / self.space.size)
        return [min(one.size, max(_LEAST, round(share * one.size))) for one in self.space.strata()]

    def singles(
        self,
        count: int,
        confidence: float = 0.95,
        *,
        store: Store | None = None,
        progress: Progress | None = None,
    ) -> SingleUpsets:
        """About `count` single upsets (see `drawn`), or all that there are."""
        strata, drawn = self.space.strata(), self.drawn(count)
        lists = [self.space.single(one, k, n) for k, (one, n) in enumerate(zip(strata, drawn, strict=True))]
        upsets = np.concatenate(lists)

        def part_of(part: range) -> UpsetArray:
            return upsets[part.start : part.stop]

        rows = self._kept(f"single upsets {drawn}", len(upsets), part_of, store, progress)
        parts = np.split(rows, np.cumsum(drawn)[:-1])
        return SingleUpsets(tuple(strata), tuple(parts), self.samples, confidence)

    def at_rate(
        self,
        rate: float,
        trials: int,
        confidence: float = 0.95,
        *,
        store: Store | None = None,
        progress: Progress | None = None,
    ) -> CampaignResult:
        """Trials in each of which every bit is upset with probability `rate`: a LUT's for all samples, a flip-flop's in
        one moment. With a `store` finished trials are kept, after an interrupt too.
        """
        if trials < 1:
            raise ConfigError(f"{trials} trials: at least one is needed")
        name = f"upset rate {rate!r}"
        rows = self._kept(name, trials, lambda part: [self.space.draw(rate, trial) for trial in part], store, progress)
        counts = np.zeros(trials, COUNTS)
        for column in COUNTS.names or ():
            counts[column] = rows[column]
        return CampaignResult(
            simulator="netlist",
            seed=self.space.seed,
            samples=self.samples,
            accuracy_clean=self.accuracy_clean,
            counts=counts,
            confidence=confidence,
            requirements=(),
            network=self.network.digest,
            plan=self.plan.digest,
            fault_model=digest_of(name, self.digest),
        )

    def _kept(
        self,
        name: str,
        trials: int,
        upsets: Callable[[range], Sequence[UpsetArray] | UpsetArray],
        store: Store | None,
        progress: Progress | None,
    ) -> UpsetCounts:
        """Trials 0 .. trials - 1, from the store as far as they are there; batches are kept as they finish."""
        kind = f"upsets {digest_of(self.digest, name)}"
        ledger = Ledger(UPSET_COUNTS)
        for document in store.evaluations(kind) if store else ():
            ledger.add(document["first"], _unpacked(document["rows"]))
        pace = Pace()
        for part in ledger.missing(trials):
            while part:
                begin = time.perf_counter()
                interrupt = None
                try:
                    rows = self.run(upsets(part[: pace.size]), offset(progress, part.start))
                except Interrupted as interrupted:
                    rows, interrupt = interrupted.counts, interrupted
                if store and len(rows):
                    store.add_evaluation(kind, part.start, {"first": part.start, "rows": _packed(rows)})
                if interrupt:
                    raise interrupt
                ledger.add(part.start, rows)
                pace.took(len(rows), time.perf_counter() - begin)
                part = part[len(rows) :]
        if progress:
            progress(trials)
        return ledger.rows[:trials]


def _packed(rows: UpsetCounts) -> str:
    return base64.b64encode(zlib.compress(rows.tobytes())).decode()


def _unpacked(text: str) -> UpsetCounts:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), UPSET_COUNTS)
