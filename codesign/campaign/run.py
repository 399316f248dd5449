"""Running a campaign: a golden run, trials in batches, and the result with its intervals."""

from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from codesign.campaign.batches import offset
from codesign.campaign.ledger import Ledger
from codesign.campaign.requirement import Requirement
from codesign.campaign.result import CampaignResult
from codesign.campaign.samples import check_samples
from codesign.campaign.sequential import Stopping
from codesign.campaign.simulators import SimulatorName
from codesign.campaign.store import Store
from codesign.campaign.task import Task
from codesign.campaign.verify import MISMATCHES, require_csim
from codesign.campaign.verify import verify as verify_trials
from codesign.campaign.workers import Workers, spread
from codesign.engine.counts import CountArray
from codesign.errors import ConfigError
from codesign.faults import FaultModel
from codesign.fixed import Ints
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan

Watcher = Callable[[CountArray, Stopping | None], None]


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
    watch: Watcher | None = None,
    threads: int | None = None,
    workers: Workers | None = None,
    verify: int = 0,
    stop_when_decided: bool = False,
    golden: Ints | None = None,
) -> CampaignResult:
    """Run `trials` trials on the evaluation set and count right answers and silent data corruptions.

    `inputs` has shape (n_samples, n_in): real numbers, which are quantised to the network's input type,
    or raw integers; `labels` has shape (n_samples,). With a `store`, finished trials are kept, after an interrupt
    too, and those that are there already are not run again. `progress` is told the number of finished trials,
    `watch` is given the counts of new ones in the trials' order, with the tests that may end the campaign.
    The compiled engine takes `threads` threads, by default one for each core; or the trials are handed to `workers`
    (`codesign.campaign.processes.Processes`, `codesign.campaign.dask.DaskCluster`), which changes no count.
    `verify` trials of an engine campaign
    are replayed on the csim, which needs g++ and seconds to compile, so by default none; see `verify.verify`.
    With `stop_when_decided` no more trials are run, nor kept in the result, than `SequentialTest` needs for every
    requirement, and `trials` is the most. The intervals of such a result do not allow for its having ended because of
    what it had seen; the verdicts do.
    `golden`, the network's fault-free logits, shape (n_samples, n_out), saves computing them where they are known.
    Raises ConfigError for arguments that do not fit together, ToolError for `verify` without a compiler, WorkersError
    where workers cannot be reached or cannot run the trials, and MismatchError where engine and csim differ; the case
    is then kept in a folder `mismatches` beside the store, or in the working folder.
    """
    raw, truth = check_samples(network, inputs, labels)
    _check_numbers(trials, confidence, threads, workers)
    wanted = Requirement.parse_all(requirements)
    stopping = Stopping(wanted, len(raw)) if stop_when_decided else None
    if verify and simulator == "engine":
        require_csim()
    golden = forward(network, raw)[-1] if golden is None else golden
    task = Task(network, plan, fault_model, raw, truth, golden, simulator)
    ledger = Ledger()
    for first, rows in store.batches(task.key) if store else ():
        ledger.add(first, rows)
    decided = _decided(ledger.rows[:trials], stopping, watch)
    if missing := [] if decided else ledger.missing(trials):
        there = trials - sum(map(len, missing))
        if progress:
            progress(there)
        told = offset(progress, there)
        batches = spread(workers, task, missing, told) if workers else task.open(threads).run(missing, told)
        for first, rows in batches:
            if store and len(rows):
                store.add_batch(task.key, first, rows)
            room = max(0, trials - ledger.complete)
            if _decided(ledger.add(first, rows)[:room], stopping, watch):
                break
    # The same trials, whatever the batches were and the store had more.
    counts = ledger.rows[:trials][: stopping.trials if stopping else None]
    if progress:
        progress(len(counts))
    result = CampaignResult(
        simulator=simulator,
        seed=fault_model.seed,
        samples=len(raw),
        accuracy_clean=float((golden.argmax(axis=1) == truth).mean()),
        counts=counts,
        confidence=confidence,
        requirements=wanted,
        network=network.digest,
        plan=plan.digest,
        fault_model=fault_model.digest,
        sequential=stop_when_decided,
    )
    folder = store.path.parent / MISMATCHES if store else None
    return verify_trials(result, network, plan, fault_model, raw, truth, verify, mismatches=folder)


def _decided(rows: CountArray, stopping: Stopping | None, watch: Watcher | None) -> bool:
    """Hand on what has become complete; whether that ends the campaign."""
    decided = stopping is not None and stopping.update(rows)
    if watch:
        watch(rows, stopping)
    return decided


def _check_numbers(trials: int, confidence: float, threads: int | None, workers: Workers | None) -> None:
    if trials < 1:
        raise ConfigError(f"{trials} trials: at least one is needed")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence {confidence} is outside 0..1")
    if threads is not None and threads < 1:
        raise ConfigError(f"{threads} threads: at least one is needed")
    if threads is not None and workers is not None:
        raise ConfigError(f"{threads} threads of this process and workers beside it: choose one of the two")
