"""Replaying a random sample of an engine campaign's trials on the C-simulation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from codesign.campaign.case import Case, differing_counts, first_difference
from codesign.campaign.fault_list import FaultList
from codesign.campaign.result import CampaignResult
from codesign.campaign.samples import check_samples
from codesign.campaign.simulators import Simulator, open_simulator, require_compiler, require_writer
from codesign.errors import ConfigError, MismatchError
from codesign.faults import FaultModel
from codesign.fixed import Ints
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan

# Beside the store, or in the working folder: where cases are kept on which the simulators differ.
MISMATCHES = "mismatches"
_OTHERWISE = "replay nothing (--verify 0, in Python verify=0)"


def require_csim(*, writes: bool = True) -> None:
    """Raise ToolError, before any trial is run, where trials could not be replayed, on a project yet to be written."""
    require_compiler("replaying trials", _OTHERWISE)
    if writes:
        require_writer()


def chosen_trials(seed: int, trials: int, number: int) -> list[int]:
    """Up to `number` of the trials, ascending; the choice depends on the seed and not on any outcome."""
    generator = np.random.default_rng((seed, 3))
    return sorted(generator.choice(trials, min(number, trials), replace=False).tolist())


def verify(
    result: CampaignResult,
    network: Network,
    plan: ProtectionPlan,
    model: FaultModel,
    inputs: ArrayLike,
    labels: ArrayLike,
    number: int,
    *,
    csim: Simulator | None = None,
    mismatches: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> CampaignResult:
    """The result with `number` of its trials verified: the same logits on csim, and the counts that follow from them.

    Without a `csim` a project is written and compiled. `progress` is told the number of trials that are done. What
    another simulator than the engine counted is given back as it is. At the first difference the trial is kept as a
    case in the folder `mismatches` and MismatchError raised.
    """
    if number < 0:
        raise ConfigError(f"verify {number}: expected a number of trials, or 0")
    if not number or result.simulator != "engine":
        return result
    raw, truth = check_samples(network, inputs, labels)
    golden = forward(network, raw)[-1]
    engine = open_simulator("engine", network, plan, raw)
    theirs = csim or _opened(network, plan, raw)
    trials = chosen_trials(model.seed, result.trials, number)
    for done, trial in enumerate(trials):
        if progress:
            progress(done)
        case = Case(network, plan, raw, FaultList.drawn(network, plan, model, len(raw), trial))
        recorded = result.counts[trial].item()
        if differs := _difference(case, engine, theirs, recorded, golden, truth):
            _keep(case, differs, mismatches or Path(MISMATCHES))
    if progress:
        progress(len(trials))
    return replace(result, verified=tuple(trials))


def _opened(network: Network, plan: ProtectionPlan, raw: Ints) -> Simulator:
    require_csim()
    try:
        return open_simulator("csim", network, plan, raw)
    except ConfigError as error:
        raise ConfigError(f"{error}; to {_OTHERWISE} leaves the csim out") from None


def _difference(
    case: Case, engine: Simulator, csim: Simulator, recorded: tuple[int, ...], golden: Ints, truth: Ints
) -> str | None:
    """What the two do not agree on, as one line."""
    try:
        made = case.made(engine, "engine", golden, truth) | case.made(csim, "csim", golden, truth)
    except MismatchError as error:
        return str(error)
    if first := first_difference(made):
        return str(first)
    return differing_counts({"the result": recorded} | {name: one.counts for name, one in made.items()})


def _keep(case: Case, differs: str, mismatches: Path) -> None:
    folder = mismatches / case.faults.name
    line = f"trial {case.faults.trial}, {differs}"
    case.save(folder, f"The engine and the C-simulation differ. {line}")
    raise MismatchError(f"{line}; `codesign replay {folder}` repeats it")
