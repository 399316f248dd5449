"""The commands around fault campaigns: `campaign`, `faults`, `replay`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign import cli_words
from codesign.cli_common import (
    UNMET,
    ActivationBits,
    Ber,
    Bits,
    DaskAddress,
    DataFile,
    Json,
    LifetimeName,
    OutFolder,
    Seed,
    StudyFile,
    Targets,
    WorkerCount,
    print_json,
    workers_of,
)
from codesign.errors import ConfigError, one_of

if TYPE_CHECKING:
    from codesign.campaign.case import Case, Replay
    from codesign.campaign.merit import Merit
    from codesign.campaign.result import CampaignResult

VERIFIED_TRIALS = 20

PlanFile = Annotated[
    Path | None, typer.Option("--plan", help="A protection plan (JSON) [default: unprotected].", show_default=False)
]


def campaign(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY|PROJECT|NETWORK",
            help="A study (TOML file), a project's folder, or a saved network (NPZ file).",
        ),
    ],
    data: DataFile = None,
    plan: PlanFile = None,
    simulator: Annotated[
        str,
        typer.Option(
            help="`engine` (fast), `csim` (the compiled HLS project), `reference`, or `board` (a project's accelerator "
            "on --host, whose upset slots strike stored weights).",
            autocompletion=cli_words.simulators_and_board,
        ),
    ] = "engine",
    trials: Annotated[
        int | None, typer.Option(help="Trials [default: the study's, or 1000].", min=1, show_default=False)
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(help="A requirement such as 'accuracy>=0.95@0.99'; may be repeated. Unmet: exit 1."),
    ] = None,
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="End as soon as every requirement is decided; --trials are the most."),
    ] = False,
    target: Targets = None,
    ber: Ber = None,
    flips: Annotated[
        int | None,
        typer.Option(help="Instead of a rate: so many flips a trial.", min=1, show_default=False),
    ] = None,
    lifetime: LifetimeName = None,
    seed: Seed = None,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="A figure besides: `accuracy`, `balanced_accuracy` or `auc` [default: the study's, or accuracy].",
            show_default=False,
            autocompletion=cli_words.metrics,
        ),
    ] = None,
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
    host: Annotated[
        str | None, typer.Option(help="With --simulator board: the board's name or address.", show_default=False)
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="With --host: who logs in [default: as ~/.ssh/config says].", show_default=False)
    ] = None,
    port: Annotated[int | None, typer.Option(help="With --host [default: 22].", show_default=False)] = None,
    python: Annotated[str, typer.Option(help="With --host: Python on the board.")] = "python3",
    sudo: Annotated[bool, typer.Option(help="With --host: run as root, which PYNQ needs on Zynq.")] = True,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Attack the study's network with faults, or a project or a saved network, and print what they do, with intervals.

    Finished trials are kept in the run folder's study.sqlite: asking for more trials runs only the new ones.
    Exit 1 if a requirement is violated or undecided.
    """
    from codesign.campaign.junit import junit_text
    from codesign.campaign.requirement import Requirement
    from codesign.campaign.simulators import SIMULATORS
    from codesign.cli_silicon import BOARD, Silicon
    from codesign.files import write_atomically
    from codesign.metrics import METRICS
    from codesign.subject import Faults, open_subject

    name = one_of("simulator", simulator, (*SIMULATORS, BOARD))
    silicon = Silicon(name, host, user, port, python, sudo)
    silicon.check({"--workers": workers, "--dask": dask, "--until-decided": until_decided or None, "--metric": metric})
    chosen = one_of("simulator", "engine" if silicon.chosen else simulator, SIMULATORS)
    figure = None if metric is None else one_of("metric", metric, METRICS)
    requirements = Requirement.parse_all(require or [])
    if until_decided and not requirements:
        raise ConfigError("--until-decided: there is nothing to decide without --require 'accuracy>=0.95@0.99'")
    with workers_of(workers, dask) as handed:
        subject = open_subject(
            what,
            data=data,
            plan=plan,
            faults=Faults(target or (), ber, flips, lifetime, seed),
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            stores=True,
            folder=out,
        )
        subject.check_metric(figure)
        joined = silicon.attack(subject, requirements, trials) if silicon.chosen else None
        result = (
            joined.board
            if joined
            else subject.attack(
                requirements,
                trials=trials,
                until_decided=until_decided,
                simulator=chosen,
                workers=handed,
                replayed=verify,
                folder=out or subject.folder,
            )
        )
    if junit:
        write_atomically(junit, junit_text(subject.name, result))
    merit = subject.merit(result, figure)
    if as_json:
        print_json({**(joined or result).to_json(), **merit.to_json()})
    else:
        _print_campaign(result, merit)
        if joined:
            print(joined.verdict)
    if not result.met or (joined and joined.differing):
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
    from codesign.subject import Faults, of_study

    subject = of_study(study, plan, Faults(ber=ber, seed=seed), weight_bits, activation_bits)
    network, protection, model, raw, _ = subject.attacked
    listed = FaultList.drawn(network, protection, model, len(raw), trial)
    folder = out or subject.folder / "cases" / listed.name
    Case(network, protection, raw, listed).save(folder, f"Trial {trial} of the study {subject.name}.")
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
            autocompletion=cli_words.simulators,
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


def _print_campaign(result: "CampaignResult", merit: "Merit") -> None:
    from codesign.campaign.requirement import METRICS, OUTCOMES
    from codesign.campaign.verdict import span

    print(f"{result.simulator}: {result.trials} trials of {result.samples} samples, seed {result.seed}")
    print(f"accuracy without faults {result.accuracy_clean:.4f}")
    if merit.metric != "accuracy":
        print(f"{merit.metric} without faults {merit.clean:.4f}")
        print(f"{f'{merit.metric} under faults':<23} {span(merit.faulty)}")
    for name in METRICS:
        label = name if name in OUTCOMES else f"{name} under faults"
        print(f"{label:<23} {span(result.interval(name))}")
    for verdict in result.findings():
        print(f"requirement {verdict}")


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
    print(found.differs or f"{', '.join(found.simulators)} agree on every logit and count")
