"""The commands around fault campaigns: `campaign`, `faults`, `replay`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli_common import (
    UNMET,
    ActivationBits,
    Bits,
    DaskAddress,
    Json,
    OutFolder,
    StudyFile,
    WorkerCount,
    default_out,
    network_of,
    print_json,
    study_of,
    workers_of,
)
from codesign.errors import one_of

if TYPE_CHECKING:
    from codesign.campaign.case import Case, Replay
    from codesign.campaign.requirement import Requirement
    from codesign.campaign.result import CampaignResult
    from codesign.campaign.simulators import SimulatorName
    from codesign.campaign.workers import Workers
    from codesign.faults import FaultModel
    from codesign.network import Network
    from codesign.protection import ProtectionPlan
    from codesign.study import Study
    from codesign.train.builder import Data

VERIFIED_TRIALS = 20

PlanFile = Annotated[
    Path | None, typer.Option("--plan", help="A protection plan (JSON) [default: unprotected].", show_default=False)
]
Ber = Annotated[
    float | None, typer.Option("--ber", help="Another bit error rate than the study's.", show_default=False)
]
Seed = Annotated[int | None, typer.Option("--seed", help="Another seed than the study's.", min=0, show_default=False)]


@dataclass(frozen=True)
class _Setting:
    """What a campaign of a study attacks, and with what."""

    study: "Study"
    network: "Network"
    data: "Data"
    plan: "ProtectionPlan"
    model: "FaultModel"


def campaign(
    study: StudyFile,
    plan: PlanFile = None,
    simulator: Annotated[
        str, typer.Option(help="`engine` (fast), `csim` (the compiled HLS project) or `reference`.")
    ] = "engine",
    trials: Annotated[
        int | None, typer.Option(help="Trials [default: the study's].", min=1, show_default=False)
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(help="A requirement such as 'accuracy>=0.95@0.99'; may be repeated. Unmet: exit 1."),
    ] = None,
    ber: Ber = None,
    seed: Seed = None,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    verify: Annotated[
        int,
        typer.Option(
            help="Trials of the engine that are replayed on the csim, which needs g++; one logit that differs is an "
            "error. 0: none.",
            min=0,
        ),
    ] = VERIFIED_TRIALS,
    junit: Annotated[
        Path | None, typer.Option(help="Write the requirements as a JUnit file.", show_default=False)
    ] = None,
    workers: WorkerCount = None,
    dask: DaskAddress = None,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Attack the study's network with faults and print accuracy and silent data corruption with intervals.

    Finished trials are kept in the run folder's study.sqlite: asking for more trials runs only the new ones.
    Exit 1 if a requirement is violated or undecided.
    """
    from codesign.campaign.junit import junit_text
    from codesign.campaign.requirement import Requirement, Status
    from codesign.campaign.simulators import SIMULATORS
    from codesign.campaign.verify import require_csim
    from codesign.files import write_atomically

    chosen = one_of("simulator", simulator, SIMULATORS)
    requirements = [Requirement.parse(text) for text in require or []]
    with workers_of(workers, dask) as handed:
        setting = _setting(study, plan, ber, seed, weight_bits, activation_bits)
        if verify and chosen == "engine":
            require_csim()
        result = _campaign(setting, chosen, trials or setting.study.faults.trials, requirements, verify, out, handed)
    if junit:
        write_atomically(junit, junit_text(study.stem, result))
    if as_json:
        print_json(result.to_json())
    else:
        _print_campaign(result)
    if any(status is not Status.MET for _, status in result.verdicts()):
        raise typer.Exit(UNMET)


def faults(
    study: StudyFile,
    trial: Annotated[int, typer.Option(help="Number of the trial, from 0.", min=0)],
    plan: PlanFile = None,
    ber: Ber = None,
    seed: Seed = None,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The case's folder [default: cases/ in the run folder].", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one trial of a campaign as a case: network, plan, inputs and fault list in a folder.

    The fault list is faults.json, one fault a line. `codesign replay` runs the case without the study.
    """
    from codesign.campaign.case import FAULTS, Case
    from codesign.campaign.fault_list import FaultList

    setting = _setting(study, plan, ber, seed, weight_bits, activation_bits)
    network, model = setting.network, setting.model
    raw = network.quantise_inputs(setting.data.test_inputs)
    listed = FaultList.drawn(network, setting.plan, model, len(raw), trial)
    folder = out or default_out(setting.study) / "cases" / listed.name
    Case(network, setting.plan, raw, listed).save(folder, f"Trial {trial} of the study {setting.study.name}.")
    if as_json:
        digests = {"network": listed.network, "plan": listed.plan, "fault_model": model.digest}
        counts = {"trial": trial, "samples": listed.samples, "faults": len(listed.faults)}
        return print_json({"folder": str(folder), "file": str(folder / FAULTS), **counts, **digests})
    print(f"{len(listed.faults)} faults on {listed.samples} samples: {folder / FAULTS}")
    return None


def replay(
    folder: Annotated[
        Path, typer.Argument(metavar="CASE", help="A case: a folder that `codesign faults` or a failed check wrote.")
    ],
    faults: Annotated[Path | None, typer.Option(help="Another fault list than the case's.", show_default=False)] = None,
    simulator: Annotated[
        list[str] | None,
        typer.Option(
            help="`engine`, `csim` (needs g++) or `reference`; two or more by repeating it [default: all].",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run one fault list on several simulators and compare every logit.

    Exit 1 if they differ; the first logit that does is shown.
    """
    from codesign.campaign.case import Case
    from codesign.campaign.simulators import SIMULATORS
    from codesign.progress import bar

    names = [one_of("simulator", name, SIMULATORS) for name in simulator or SIMULATORS]
    case = Case.load(folder, faults)
    with bar("simulators", len(names)) as advance:
        found = case.replay(names, advance)
    if as_json:
        print_json(_replay_json(case, found))
    else:
        _print_replay(case, found)
    if found.differs:
        raise typer.Exit(UNMET)


def _setting(
    path: Path,
    plan: Path | None,
    ber: float | None,
    seed: int | None,
    weight_bits: int | None,
    activation_bits: int | None,
) -> _Setting:
    from codesign.protection import ProtectionPlan
    from codesign.search.evaluate import fault_model

    study = study_of(path)
    model = fault_model(study, ber)
    model = model if seed is None else replace(model, seed=seed)
    network, data = network_of(study, weight_bits, activation_bits)
    return _Setting(study, network, data, ProtectionPlan.load(plan, network) if plan else ProtectionPlan(), model)


def _campaign(
    of: _Setting,
    simulator: "SimulatorName",
    trials: int,
    requirements: "list[Requirement]",
    number: int,
    out: Path | None,
    workers: "Workers | None",
) -> "CampaignResult":
    """Run the trials, then replay some of them."""
    from codesign.campaign.run import run_campaign
    from codesign.campaign.store import Store
    from codesign.campaign.verify import MISMATCHES, verify
    from codesign.progress import bar, say
    from codesign.search.folder import identity

    folder = out or default_out(of.study)
    attacked = (of.network, of.plan, of.model, of.data.test_inputs, of.data.test_labels)
    with Store(folder / "study.sqlite", identity(of.study)) as store, bar("trials", trials) as advance:
        result = run_campaign(
            *attacked,
            trials=trials,
            simulator=simulator,
            confidence=of.study.faults.confidence,
            requirements=requirements,
            store=store,
            progress=advance,
            workers=workers,
        )
    if not number or simulator != "engine":
        return result
    with bar("replayed on the csim", min(number, trials)) as advance:
        result = verify(result, *attacked, number, mismatches=folder / MISMATCHES, progress=advance)
    say(f"csim equals the engine in {len(result.verified)} replayed trials: {', '.join(map(str, result.verified))}")
    return result


def _print_campaign(result: "CampaignResult") -> None:
    print(f"{result.simulator}: {result.trials} trials of {result.samples} samples, seed {result.seed}")
    print(f"accuracy without faults {result.accuracy_clean:.4f}")
    for name, interval in (("accuracy", result.accuracy), ("sdc1", result.sdc1)):
        span = f"[{interval.low:.5f}, {interval.high:.5f}] at {interval.confidence:.0%}"
        print(f"{name + ' under faults':<23} {interval.mean:.5f}  {span}")
    for requirement, status in result.verdicts():
        print(f"requirement {requirement}: {status.value}")


def _replay_json(case: "Case", found: "Replay") -> dict[str, object]:
    listed = case.faults
    return {
        "simulators": list(found.simulators),
        "agree": found.differs is None,
        "differs": found.differs,
        "first_difference": found.first.to_json() if found.first else None,
        "samples": listed.samples,
        "faults": len(listed.faults),
        "network": listed.network,
        "plan": listed.plan,
        "trial": listed.trial,
    }


def _print_replay(case: "Case", found: "Replay") -> None:
    print(f"{len(case.faults.faults)} faults on {case.faults.samples} samples of network '{case.network.name}'")
    print(found.differs or f"{', '.join(found.simulators)} agree on every logit")
