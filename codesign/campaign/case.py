"""A case: network, plan, inputs and one fault list in a folder, and what the simulators make of it."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.campaign.fault_list import FaultList
from codesign.campaign.simulators import Simulator, SimulatorName, open_simulator, require_compiler
from codesign.engine.compiled import NativeEngine
from codesign.engine.counts import COUNTS, count
from codesign.errors import ConfigError, MismatchError
from codesign.faults import FaultSpace
from codesign.files import write_atomically
from codesign.fixed import Ints
from codesign.network import Network, forward
from codesign.network.graph import UNREADABLE
from codesign.protection import ProtectionPlan

NETWORK, PLAN, INPUTS, FAULTS, README = "network.npz", "plan.json", "inputs.npz", "faults.json", "README.txt"
_ARRAY = "raw_inputs"


@dataclass(frozen=True)
class Difference:
    """The first logit on which simulators do not agree, and what each gives."""

    sample: int
    logit: int
    values: dict[str, int]

    def __str__(self) -> str:
        given = ", ".join(f"{name} gives {value}" for name, value in self.values.items())
        return f"sample {self.sample}, logit {self.logit}: {given}"

    def to_json(self) -> dict[str, Any]:
        return vars(self)


@dataclass(frozen=True, eq=False)
class Made:
    """What a simulator makes of a fault list: `logits`, shape (n_samples, n_out), and `counts`, an entry of COUNTS."""

    logits: Ints
    counts: tuple[int, ...]


def first_difference(made: dict[str, Made]) -> Difference | None:
    """Where logits differ first; None where they nowhere do."""
    every = np.stack([one.logits for one in made.values()])
    places = np.argwhere((every != every[0]).any(axis=0))
    if not places.size:
        return None
    sample, logit = places[0].tolist()
    return Difference(sample, logit, {name: int(one.logits[sample, logit]) for name, one in made.items()})


def differing_counts(counts: dict[str, tuple[int, ...]]) -> str | None:
    """The first column of COUNTS that is not the same in all entries, by simulator, as one line."""
    for column, values in zip(COUNTS.names or (), zip(*counts.values(), strict=True), strict=True):
        if len(set(values)) > 1:
            given = ", ".join(f"{name} gives {value}" for name, value in zip(counts, values, strict=True))
            return f"number of samples counted as {column}: {given}"
    return None


@dataclass(frozen=True)
class Replay:
    """What a replay found. `differs` is one line, None where all simulators gave the same logits and flags.

    `first` is None too where only counts differ, which follow from the flags, and where the csim did not apply the
    faults as planned: it then gave no logits to compare.
    """

    simulators: tuple[str, ...]
    differs: str | None = None
    first: Difference | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """Everything that decides the logits and flags of one trial. `inputs` are raw, shape (n_samples, n_in)."""

    network: Network
    plan: ProtectionPlan
    inputs: Ints
    faults: FaultList

    def save(self, folder: Path, why: str) -> None:
        """Write the folder, with `why` it was written in its README."""
        self.network.save(folder / NETWORK)
        self.plan.save(folder / PLAN, self.network)
        save_inputs(folder / INPUTS, self.inputs)
        self.faults.save(folder / FAULTS, self.network)
        write_atomically(folder / README, _readme(folder, why))

    @classmethod
    def load(cls, folder: Path, faults: Path | None = None) -> "Case":
        """Read a folder, with another fault list than its own if one is named.

        Raises ConfigError naming the file that is absent, damaged, or does not belong to the others.
        """
        if not folder.is_dir():
            raise ConfigError(f"no case folder {folder}; `codesign faults` writes one")
        network = Network.load(folder / NETWORK)
        plan = ProtectionPlan.load(folder / PLAN, network)
        path = folder / INPUTS
        try:
            inputs = network.quantise_inputs(load_inputs(path))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        path = faults or folder / FAULTS
        listed = FaultList.load(path, network, plan)
        if listed.samples != len(inputs):
            raise ConfigError(f"{path} is for {listed.samples} samples, {folder / INPUTS} holds {len(inputs)}")
        return cls(network, plan, inputs, listed)

    def replay(self, simulators: Sequence[SimulatorName], progress: Callable[[int], None] | None = None) -> Replay:
        """Run the fault list on two or more simulators; `progress` is told how many are done."""
        names = tuple(dict.fromkeys(simulators))
        if len(names) < 2:
            raise ConfigError(f"a replay compares simulators: name two or more, got {', '.join(names) or 'none'}")
        if "csim" in names:
            require_compiler("a replay", "choose the others: --simulator engine --simulator reference")
        made: dict[str, Made] = {}
        golden, no_labels = forward(self.network, self.inputs)[-1], np.zeros(len(self.inputs), np.int64)
        for done, name in enumerate(names, start=1):
            try:
                simulator = open_simulator(name, self.network, self.plan, self.inputs)
                made |= self.made(simulator, name, golden, no_labels)
            except MismatchError as error:
                return Replay(names, str(error))
            if progress:
                progress(done)
        first, counts = first_difference(made), differing_counts({name: one.counts for name, one in made.items()})
        return Replay(names, str(first) if first else counts, first)

    def made(self, simulator: Simulator, name: str, golden: Ints, truth: Ints) -> dict[str, Made]:
        """What a simulator makes of the fault list, by its name, given the fault-free logits and the labels.

        A compiled campaign draws its faults itself and goes its own way through the engine; so where the list is that
        of a trial, what a campaign makes of the trial is there too.
        """
        outcome, listed = simulator.outcome(self.faults.faults), self.faults
        found = {name: Made(outcome.logits, count(outcome, golden, truth))}
        if isinstance(simulator, NativeEngine) and listed.model is not None and listed.trial is not None:
            space = FaultSpace(self.network, self.plan, listed.model, listed.samples)
            if np.array_equal(space.draw(listed.trial), listed.faults):
                trial = range(listed.trial, listed.trial + 1)
                counts = simulator.run_campaign(space, truth, trial, logits=True)
                assert counts.logits is not None
                found[f"{name}'s campaign"] = Made(counts.logits[0], counts.rows[0].item())
        return found


def save_inputs(path: Path, raw_inputs: Ints) -> None:
    """Write raw inputs as an NPZ file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{_ARRAY: raw_inputs})
    write_atomically(path, buffer.getvalue())


def load_inputs(path: Path) -> Ints:
    """What `save_inputs` wrote. Raises ConfigError for anything else."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
            found = np.asarray(data[_ARRAY])
    except UNREADABLE as error:
        raise ConfigError(f"raw inputs cannot be read: {error}") from None
    if found.dtype.kind not in "iu":
        raise ConfigError(f"raw inputs are {found.dtype}, expected whole numbers")
    return found.astype(np.int64)


def _readme(folder: Path, why: str) -> str:
    return f"""{why}

One trial of a fault campaign, to be repeated without the study that it is from:

    codesign replay {folder.name}

{NETWORK}  the network; {PLAN}  its protection; {INPUTS}  raw inputs, shape (n_samples, n_in)
{FAULTS}  the fault list: {", ".join(("layer", "target", "neuron", "position", "replica", "bit", "sample", "step"))}
"""
