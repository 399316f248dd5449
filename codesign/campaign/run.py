"""Running a campaign: a golden run, trials in batches, and the result with its intervals."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from codesign.campaign.batches import Batches
from codesign.campaign.requirement import Requirement
from codesign.campaign.result import CampaignResult
from codesign.campaign.samples import check_samples
from codesign.campaign.sequential import Stopping
from codesign.campaign.simulators import SimulatorName, open_simulator
from codesign.campaign.store import Store
from codesign.campaign.verify import MISMATCHES, require_csim
from codesign.campaign.verify import verify as verify_trials
from codesign.errors import ConfigError
from codesign.faults import FaultModel, FaultSpace
from codesign.files import digest_of
from codesign.fixed import Ints
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan


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
    threads: int | None = None,
    verify: int = 0,
    stop_when_decided: bool = False,
) -> CampaignResult:
    """Run `trials` trials on the evaluation set and count right answers and silent data corruptions.

    `inputs` has shape (n_samples, n_in): real numbers, which are quantised to the network's input type,
    or raw integers; `labels` has shape (n_samples,). With a `store`, finished trials are kept, after an interrupt
    too, and those that are there already are not run again. `progress` is told the number of finished trials.
    The compiled engine takes `threads` threads, by default one for each core. `verify` trials of an engine campaign
    are replayed on the csim, which needs g++ and seconds to compile, so by default none; see `verify.verify`.
    With `stop_when_decided` no more trials are run, nor kept in the result, than `SequentialTest` needs for every
    requirement, and `trials` is the most. The intervals of such a result do not allow for its having ended because of
    what it had seen; the verdicts do.
    Raises ConfigError for arguments that do not fit together, ToolError for `verify` without a compiler, and
    MismatchError where engine and csim differ; the case is then kept in a folder `mismatches` beside the store, or
    in the working folder.
    """
    raw, truth = check_samples(network, inputs, labels)
    _check_numbers(trials, confidence, threads)
    wanted = tuple(r if isinstance(r, Requirement) else Requirement.parse(r) for r in requirements)
    stopping = Stopping(wanted, len(raw)) if stop_when_decided else None
    if verify and simulator == "engine":
        require_csim()
    golden = forward(network, raw)[-1]
    key = campaign_key(network, plan, fault_model, raw, truth, simulator)
    correct, sdc1 = store.batches(key) if store else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    correct, sdc1 = correct[:trials], sdc1[:trials]
    space = FaultSpace(network, plan, fault_model, len(raw))
    decided = stopping is not None and stopping.update(correct, sdc1)
    if not decided and (missing := range(len(correct), trials)):
        if progress:
            progress(missing.start)
        batches = Batches(open_simulator(simulator, network, plan, raw), space, golden, truth, threads)
        for counts in batches.run(missing, progress):
            if store and len(counts.correct):
                store.add_batch(key, len(correct), counts.correct, counts.sdc1)
            correct, sdc1 = np.append(correct, counts.correct), np.append(sdc1, counts.sdc1)
            if stopping is not None and stopping.update(counts.correct, counts.sdc1):
                break
    if stopping is not None:  # the same trials, whatever the batches and the store had more
        correct, sdc1 = correct[: stopping.trials], sdc1[: stopping.trials]
    if progress:
        progress(len(correct))
    result = CampaignResult(
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
        sequential=stop_when_decided,
    )
    folder = store.path.parent / MISMATCHES if store else None
    return verify_trials(result, network, plan, fault_model, raw, truth, verify, mismatches=folder)


def _check_numbers(trials: int, confidence: float, threads: int | None) -> None:
    if trials < 1:
        raise ConfigError(f"{trials} trials: at least one is needed")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence {confidence} is outside 0..1")
    if threads is not None and threads < 1:
        raise ConfigError(f"{threads} threads: at least one is needed")


def campaign_key(
    network: Network, plan: ProtectionPlan, model: FaultModel, raw: Ints, truth: Ints, simulator: str
) -> str:
    """What identifies a trial's outcome apart from its number."""
    return digest_of(network.digest, plan.digest, model.digest, raw.tobytes(), truth.tobytes(), simulator)
