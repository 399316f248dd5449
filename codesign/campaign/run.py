"""Running a campaign: a golden run, trials in batches, and the result with its intervals."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike

from codesign.campaign.requirement import Requirement, Status
from codesign.campaign.statistics import Interval, clustered_wilson
from codesign.campaign.store import Store
from codesign.engine.compiled import NativeEngine, open_engine
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError, MismatchError, one_of
from codesign.faults import FaultArray, FaultModel, FaultSpace
from codesign.files import digest_of
from codesign.fixed import Ints
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan

SimulatorName = Literal["engine", "csim", "reference"]
SIMULATORS: tuple[SimulatorName, ...] = get_args(SimulatorName)
BATCH_TRIALS = 25


class Simulator(Protocol):
    """Gives the logits, shape (n_samples, n_out), of its evaluation set under a fault list."""

    name: str

    def run(self, faults: FaultArray) -> Ints: ...


@dataclass(frozen=True)
class CampaignResult:
    """Counts of each trial and what follows from them. `accuracy` and `sdc1` are rates over samples."""

    simulator: str
    seed: int
    samples: int
    accuracy_clean: float
    correct_per_trial: tuple[int, ...]
    sdc1_per_trial: tuple[int, ...]
    confidence: float
    requirements: tuple[Requirement, ...]
    network: str
    plan: str
    fault_model: str

    @property
    def trials(self) -> int:
        return len(self.correct_per_trial)

    def interval(self, metric: str, confidence: float | None = None) -> Interval:
        """`accuracy`: share of right answers; `sdc1`: share of samples whose top class left the golden run's."""
        events = self.correct_per_trial if metric == "accuracy" else self.sdc1_per_trial
        return clustered_wilson(np.array(events, np.int64), self.samples, confidence or self.confidence)

    @property
    def accuracy(self) -> Interval:
        return self.interval("accuracy")

    @property
    def sdc1(self) -> Interval:
        return self.interval("sdc1")

    def verdicts(self) -> list[tuple[Requirement, Status]]:
        """Each requirement at its own confidence."""
        found = []
        for requirement in self.requirements:
            interval = self.interval(requirement.metric, requirement.confidence)
            found.append((requirement, requirement.status(interval.low, interval.high)))
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "simulator": self.simulator,
            "seed": self.seed,
            "trials": self.trials,
            "samples": self.samples,
            "accuracy_clean": self.accuracy_clean,
            "accuracy": self.accuracy.to_json(),
            "sdc1": self.sdc1.to_json(),
            "correct_per_trial": list(self.correct_per_trial),
            "sdc1_per_trial": list(self.sdc1_per_trial),
            "requirements": [{"text": str(r), "status": status.value} for r, status in self.verdicts()],
            "network": self.network,
            "plan": self.plan,
            "fault_model": self.fault_model,
        }


def run_campaign(
    network: Network,
    plan: ProtectionPlan,
    fault_model: FaultModel,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    trials: int,
    simulator: SimulatorName = "engine",
    confidence: float = 0.95,
    requirements: Sequence[Requirement | str] = (),
    store: Store | None = None,
    progress: Callable[[int], None] | None = None,
) -> CampaignResult:
    """Run `trials` trials on the evaluation set and count right answers and silent data corruptions.

    `inputs` has shape (n_samples, n_in): real numbers, which are quantised to the network's input type,
    or raw integers; `labels` has shape (n_samples,). With a `store`, finished batches are kept and
    trials that are there already are not run again. `progress` is told the number of finished trials.
    Raises ConfigError for arguments that do not fit together.
    """
    raw, truth = check_samples(network, inputs, labels)
    if trials < 1:
        raise ConfigError(f"{trials} trials: at least one is needed")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence {confidence} is outside 0..1")
    wanted = tuple(r if isinstance(r, Requirement) else Requirement.parse(r) for r in requirements)
    golden = forward(network, raw)[-1]
    key = campaign_key(network, plan, fault_model, raw, truth, simulator)
    correct, sdc1 = store.batches(key) if store else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    correct, sdc1 = correct[:trials], sdc1[:trials]
    space = FaultSpace(network, plan, fault_model, len(raw))
    runner: Simulator | None = None
    while len(correct) < trials:
        if progress:
            progress(len(correct))
        runner = runner or open_simulator(simulator, network, plan, raw)
        batch = range(len(correct), min(trials, len(correct) + BATCH_TRIALS))
        counts = _counts(runner, space, batch, golden, truth)
        if store:
            store.add_batch(key, batch.start, counts[:, 0], counts[:, 1])
        correct, sdc1 = np.append(correct, counts[:, 0]), np.append(sdc1, counts[:, 1])
    if progress:
        progress(trials)
    return CampaignResult(
        simulator=simulator,
        seed=fault_model.seed,
        samples=len(raw),
        accuracy_clean=float((golden.argmax(axis=1) == truth).mean()),
        correct_per_trial=tuple(correct.tolist()),
        sdc1_per_trial=tuple(sdc1.tolist()),
        confidence=confidence,
        requirements=wanted,
        network=network.digest,
        plan=plan.digest,
        fault_model=fault_model.digest,
    )


def _counts(runner: Simulator, space: FaultSpace, batch: range, golden: Ints, truth: Ints) -> Ints:
    """Right answers and changed top classes of each trial, shape (len(batch), 2)."""
    if isinstance(runner, NativeEngine):
        counts = runner.run_campaign(space, truth, batch)
        return np.stack([counts.correct, counts.sdc1], axis=1)
    return np.array([_count(runner.run(space.draw(t)), golden, truth) for t in batch], np.int64)


def _count(logits: Ints, golden: Ints, truth: Ints) -> tuple[int, int]:
    """Right answers and samples whose top class changed; the first of equal logits wins."""
    top = logits.argmax(axis=1)
    return int((top == truth).sum()), int((top != golden.argmax(axis=1)).sum())


def check_samples(network: Network, inputs: ArrayLike, labels: ArrayLike) -> tuple[Ints, Ints]:
    """Raw inputs and labels as int64, or ConfigError naming what does not fit."""
    raw = network.quantise_inputs(inputs)
    try:
        truth = np.asarray(labels)
    except ValueError:
        raise ConfigError(f"labels must be {len(raw)} whole numbers, got lists of different lengths") from None
    if truth.shape != (len(raw),) or truth.dtype.kind not in "iu":
        raise ConfigError(f"labels must be {len(raw)} whole numbers, got shape {truth.shape} of {truth.dtype}")
    if not len(raw):
        raise ConfigError("the evaluation set is empty")
    if truth.min() < 0 or truth.max() >= network.n_out:
        raise ConfigError(f"labels {truth.min()}..{truth.max()} lie outside the {network.n_out} classes")
    return raw, truth.astype(np.int64)


def campaign_key(
    network: Network, plan: ProtectionPlan, model: FaultModel, raw: Ints, truth: Ints, simulator: str
) -> str:
    """What identifies a trial's outcome apart from its number."""
    return digest_of(network.digest, plan.digest, model.digest, raw.tobytes(), truth.tobytes(), simulator)


def open_simulator(name: SimulatorName, network: Network, plan: ProtectionPlan, raw: Ints) -> Simulator:
    """The simulator of that name; `csim` writes and compiles a project of its own (cached)."""
    if one_of("simulator", name, SIMULATORS) == "engine":
        return open_engine(network, plan, raw)
    if name == "reference":
        return ReferenceSimulator(network, plan, raw)
    from codesign.hls.csim import CsimSimulator  # imports hls4ml, which takes seconds
    from codesign.hls.project import write_project

    with tempfile.TemporaryDirectory(prefix="codesign-") as folder:
        return CsimSimulator(write_project(network, plan, Path(folder) / "project"), raw)


def replay(
    network: Network,
    plan: ProtectionPlan,
    model: FaultModel,
    inputs: ArrayLike,
    trials: int,
    replays: int,
    csim: Simulator | None = None,
) -> list[int]:
    """Run some trials (chosen by the model's seed) on engine and csim; the numbers of those that were run.

    Raises MismatchError at the first logit that differs.
    """
    raw = network.quantise_inputs(inputs)
    generator = np.random.default_rng((model.seed, 3))
    chosen: list[int] = np.sort(generator.permutation(trials)[:replays]).tolist()
    space = FaultSpace(network, plan, model, len(raw))
    engine, csim = open_engine(network, plan, raw), csim or open_simulator("csim", network, plan, raw)
    for trial in chosen:
        faults = space.draw(trial)
        ours, theirs = engine.run(faults), csim.run(faults)
        if (differs := np.argwhere(ours != theirs)).size:
            sample, logit = differs[0]
            raise MismatchError(
                f"trial {trial}, sample {sample}, logit {logit}: engine gives {ours[sample, logit]}, "
                f"csim gives {theirs[sample, logit]}"
            )
    return chosen
