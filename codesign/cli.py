"""The command line. Results go to standard output, progress and errors to standard error.

Exit codes: 0 success, 1 a requirement is not met, 2 bad input or a missing tool, 130 interrupted (what
was finished is kept).
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.errors import CodesignError, ConfigError, one_of

if TYPE_CHECKING:
    from codesign.campaign.run import CampaignResult
    from codesign.network import Network
    from codesign.study import Study
    from codesign.train.builder import Data
    from codesign.train.training import TrainedNetwork

UNMET, BAD_INPUT, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="codesign",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Quantised neural networks on FPGAs that survive soft errors, at the least hardware cost.\n\n"
        "Start with `codesign optimize models/digits_mlp.toml`: it trains, protects, attacks and costs designs "
        "until the cheapest one that meets the study's requirements stands there as an HLS project.\n\n"
        "Exit codes: 0 success, 1 a requirement is not met, 2 bad input, 130 interrupted (finished work is kept)."
    ),
)

StudyFile = Annotated[
    Path, typer.Argument(metavar="STUDY", help="A study: one TOML file, such as models/digits_mlp.toml.")
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as `codesign optimize` writes it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Bits = Annotated[
    int | None,
    typer.Option("--weight-bits", help="Which of the study's networks [default: the widest].", show_default=False),
]
ActivationBits = Annotated[
    int | None,
    typer.Option(
        "--activation-bits",
        help="The network's activation width [default: the study's first, or as the weights].",
        show_default=False,
    ),
]
OutFolder = Annotated[
    Path | None, typer.Option("--out", help="The run folder [default: runs/ and the study's name].", show_default=False)
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from codesign import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")] = False,
    # Eager: it stands alone, without a command.
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    from codesign.progress import console

    del version
    console.quiet = quiet


@app.command()
def train(
    study: StudyFile,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Train the study's networks (or the one of the given width) and write them as NPZ files."""
    from codesign.progress import bar

    loaded = _study(study)
    folder = (out or _default_out(loaded)) / "networks"
    widths = _widths(loaded) if weight_bits is None else [_width(loaded, weight_bits)]
    rows = []
    with bar("training", len(widths)) as advance:
        for done, bits in enumerate(widths):
            advance(done)
            trained = _trained(loaded, bits, activation_bits)
            path = folder / f"{trained.network.digest[:16]}.npz"
            trained.network.save(path)
            row = {"weight_bits": bits, "accuracy_clean": trained.accuracy_clean, "network": trained.network.digest}
            rows.append({**row, "file": str(path), "cached": trained.cached})
    if as_json:
        return _print_json({"networks": rows})
    for row in rows:
        print(f"{row['weight_bits']:2d} bit  accuracy {row['accuracy_clean']:.4f}  {row['file']}")
    return None


@app.command()
def analyze(
    study: StudyFile,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    draws: Annotated[int, typer.Option(help="Flips for each bit of each neuron.", min=1)] = 30,
    as_json: Json = False,
) -> None:
    """Show which neurons and which accumulator bits matter: a table and a heat map.

    Neurons by first-order Taylor score; bits by single flips in the engine, counting changed answers.
    """
    from codesign.progress import bar
    from codesign.report.text import vulnerability_text
    from codesign.vulnerability import bit_vulnerability, taylor_scores

    loaded = _study(study)
    network, data = _network(loaded, weight_bits, activation_bits)
    scores = taylor_scores(network, network.quantise_inputs(data.train_inputs), data.train_labels)
    with bar("flipping bits", 100) as advance:
        raw = network.quantise_inputs(data.test_inputs)
        rates = bit_vulnerability(network, raw, draws, loaded.seed, lambda share: advance(int(100 * share)))
    if as_json:
        layers = [
            {"layer": name, "taylor": scores[name].tolist(), "sdc1_by_neuron_and_bit": rates[name].tolist()}
            for name in scores
        ]
        return _print_json({"network": network.digest, "draws": draws, "layers": layers})
    print(vulnerability_text(scores, rates), end="")
    return None


@app.command()
def campaign(
    study: StudyFile,
    plan: Annotated[
        Path | None, typer.Option(help="A protection plan (JSON) [default: unprotected].", show_default=False)
    ] = None,
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
    ber: Annotated[
        float | None, typer.Option(help="Another bit error rate than the study's.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the study's.", min=0, show_default=False)] = None,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    verify: Annotated[
        int,
        typer.Option(
            help="Trials of the engine that are replayed on the csim; one logit that differs is an error.", min=0
        ),
    ] = 0,
    junit: Annotated[
        Path | None, typer.Option(help="Write the requirements as a JUnit file.", show_default=False)
    ] = None,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Attack the study's network with faults and print accuracy and silent data corruption with intervals.

    Finished batches are kept in the run folder's study.sqlite: asking for more trials runs only the new ones.
    Exit 1 if a requirement is violated or undecided.
    """
    from codesign.campaign.junit import junit_text
    from codesign.campaign.requirement import Status
    from codesign.files import write_atomically

    result = _campaign(
        study, plan, simulator, trials, require or [], ber, seed, (weight_bits, activation_bits), verify, out
    )
    if junit:
        write_atomically(junit, junit_text(study.stem, result))
    if as_json:
        _print_json(result.to_json())
    else:
        _print_campaign(result)
    if any(status is not Status.MET for _, status in result.verdicts()):
        raise typer.Exit(UNMET)


@app.command()
def optimize(
    study: StudyFile,
    evaluations: Annotated[
        int | None,
        typer.Option(help="How many designs are evaluated [default: the study's].", min=1, show_default=False),
    ] = None,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Search the cheapest design that meets the requirements; write its HLS project and the report.

    Everything finished is kept in the run folder: interrupted or killed, the same command goes on.
    Exit 1 when no design meets the requirements; the nearest one is shown.
    """
    from codesign.report.page import write_report
    from codesign.search.folder import RunFolder
    from codesign.search.optimise import optimise

    loaded = _study(study)
    folder = RunFolder(out or _default_out(loaded))
    outcome = optimise(loaded, folder, evaluations)
    report = write_report(folder)
    if as_json:
        _print_json(outcome.result)
    else:
        from codesign.report.text import outcome_text

        print(outcome_text(outcome.result), end="")
        print(f"project: {folder.project}")
        print(f"report:  {report}")
    if not outcome.feasible:
        raise typer.Exit(UNMET)


@app.command()
def export(
    run: RunPath,
    design: Annotated[
        int | None, typer.Option(help="Number of the design [default: the best].", show_default=False)
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="`Vivado`, `Vitis` or `VivadoAccelerator` [default: the study's].", show_default=False),
    ] = None,
    io_type: Annotated[
        str | None,
        typer.Option(
            help="How values travel between layers: `io_parallel` or `io_stream` [default: the study's].",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--self-test", help="Compile the project, raise its guards and strike every copy.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the project goes [default: RUN/export/DESIGN-BACKEND].", show_default=False),
    ] = None,
) -> None:
    """Write the HLS project of a design, checked against the design rules."""
    from codesign.hls.project import BACKENDS, IO_TYPES, ProjectOptions, write_project
    from codesign.search.folder import RunFolder

    folder = RunFolder(run)
    chosen, hardware = folder.design(design), folder.result()["hardware"]
    network, plan = folder.load(chosen["network"], chosen["plan"])
    wanted = one_of("backend", backend or hardware["backend"], BACKENDS)
    usual = hardware.get("io_type", "io_parallel")
    travel = one_of("io_type", io_type or usual, IO_TYPES)
    other = "" if travel == usual else f"-{travel}"
    target = out or folder.path / "export" / f"{chosen['id']}-{wanted}{other}"
    options = ProjectOptions(wanted, hardware["capacity"]["part"], hardware["clock_ns"], travel)
    project = write_project(network, plan, target, options, folder.samples())
    if check:
        from codesign.hls.selftest import demand

        demand(project)
    print(project.folder)


@app.command()
def resources(
    what: Annotated[
        Path, typer.Argument(metavar="PROJECT_OR_RUN", help="An HLS project, a run folder, or a csynth report.")
    ],
    source: Annotated[
        str, typer.Option(help="`estimate`, or `vivado` / `vitis` to read the tool's csynth report.")
    ] = "estimate",
    as_json: Json = False,
) -> None:
    """Print what a design occupies, and where the figures come from."""
    from codesign.report.text import resources_text

    report = _resources(what, source)
    if as_json:
        return _print_json(report)
    print(resources_text(report), end="")
    return None


@app.command()
def report(run: RunPath) -> None:
    """Write the run's report again: one self-contained HTML page."""
    from codesign.report.page import write_report
    from codesign.search.folder import RunFolder

    print(write_report(RunFolder(run)))


@app.command()
def doctor(as_json: Json = False) -> None:
    """List the tools that are there, and what each missing one would enable."""
    from codesign.doctor import examine

    tools = examine()
    if as_json:
        return _print_json({"tools": tools})
    for tool in tools:
        state = tool["version"] or "found" if tool["found"] else "missing"
        print(f"{tool['name']:<16} {state:<16} {tool['enables']}")
    return None


def _study(path: Path) -> "Study":
    from codesign.study import load_study

    return load_study(path)


def _default_out(study: "Study") -> Path:
    return Path("runs") / study.name


def _widths(study: "Study") -> list[int]:
    """Weight widths in the study's space, ascending."""
    variable = study.space.weight_bits
    if variable.values:
        return sorted(int(v) for v in variable.values)
    assert variable.low is not None and variable.high is not None
    return list(range(int(variable.low), int(variable.high) + 1))


def _width(study: "Study", wanted: int | None) -> int:
    """The width asked for, or the widest. Raises ConfigError for one that the study does not have."""
    widths = _widths(study)
    if wanted is not None and wanted not in widths:
        raise ConfigError(f"--weight-bits {wanted}: the study has {', '.join(map(str, widths))}")
    return widths[-1] if wanted is None else wanted


def _trained(study: "Study", bits: int, activation_bits: int | None) -> "TrainedNetwork":
    from codesign.train.training import train as train_network

    variable = study.space.activation_bits
    if activation_bits is not None and activation_bits not in (variable or (bits,)):
        raise ConfigError(f"--activation-bits {activation_bits}: the study's space does not have it")
    default = int(variable.first) if variable else bits
    return train_network(study, bits, default if activation_bits is None else activation_bits)


def _network(study: "Study", weight_bits: int | None, activation_bits: int | None) -> "tuple[Network, Data]":
    from codesign.train.builder import data

    return _trained(study, _width(study, weight_bits), activation_bits).network, data(study)


def _campaign(
    study: Path,
    plan: Path | None,
    simulator: str,
    trials: int | None,
    require: list[str],
    ber: float | None,
    seed: int | None,
    widths: tuple[int | None, int | None],
    verify: int,
    out: Path | None,
) -> "CampaignResult":
    from dataclasses import replace

    from codesign.campaign.requirement import Requirement
    from codesign.campaign.run import SIMULATORS, replay, run_campaign
    from codesign.campaign.store import Store
    from codesign.progress import bar, say
    from codesign.protection import ProtectionPlan
    from codesign.search.evaluate import fault_model
    from codesign.search.folder import identity

    loaded = _study(study)
    chosen = one_of("simulator", simulator, SIMULATORS)
    requirements = [Requirement.parse(text) for text in require]
    model = fault_model(loaded, ber)
    model = model if seed is None else replace(model, seed=seed)
    network, data = _network(loaded, *widths)
    protection = ProtectionPlan.load(plan, network) if plan else ProtectionPlan()
    count = trials or loaded.faults.trials
    samples = (data.test_inputs, data.test_labels)
    with (
        Store((out or _default_out(loaded)) / "study.sqlite", identity(loaded)) as store,
        bar("trials", count) as advance,
    ):
        result = run_campaign(
            network,
            protection,
            model,
            *samples,
            trials=count,
            simulator=chosen,
            confidence=loaded.faults.confidence,
            requirements=requirements,
            store=store,
            progress=advance,
        )
    if verify:
        replayed = replay(network, protection, model, data.test_inputs, trials=count, replays=verify)
        say(f"csim equals the engine in {len(replayed)} replayed trials: {', '.join(map(str, replayed))}")
    return result


def _print_campaign(result: "CampaignResult") -> None:
    print(f"{result.simulator}: {result.trials} trials of {result.samples} samples, seed {result.seed}")
    print(f"accuracy without faults {result.accuracy_clean:.4f}")
    for name, interval in (("accuracy", result.accuracy), ("sdc1", result.sdc1)):
        span = f"[{interval.low:.5f}, {interval.high:.5f}] at {interval.confidence:.0%}"
        print(f"{name + ' under faults':<23} {interval.mean:.5f}  {span}")
    for requirement, status in result.verdicts():
        print(f"requirement {requirement}: {status.value}")


def _resources(what: Path, source: str) -> dict[str, Any]:
    from codesign.hls.project import MANIFEST, Project
    from codesign.resources.estimate import estimate
    from codesign.resources.vendor import read_report
    from codesign.search.folder import RunFolder

    one_of("source", source, ("estimate", "vivado", "vitis"))
    if not what.exists():
        raise ConfigError(f"no project, run or report {what}")
    best = RunFolder(what).project
    folder = best if best.exists() else what
    if source == "estimate":
        project = Project.open(folder)
        return estimate(project.network, project.plan, clock_ns=project.options.clock_ns).to_json()
    top = Project.open(folder).network.name if (folder / MANIFEST).exists() else None
    found = read_report(folder, top)
    if found.source != source:
        raise ConfigError(f"{folder}: the report is of {found.source} {found.tool_version}, not of {source}")
    return found.to_json()


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=1, sort_keys=True))


def run(arguments: list[str]) -> int:
    """Run a command and give its exit code; every expected error is one line on standard error."""
    try:
        app(arguments, prog_name="codesign")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
        return _fail("interrupted; everything that was finished is kept", code) if code == INTERRUPTED else code
    except CodesignError as error:
        return _fail(str(error), BAD_INPUT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", BAD_INPUT)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"codesign: {' '.join(message.splitlines())}", file=sys.stderr)
    return code


def main() -> None:
    """Entry point of the `codesign` command."""
    sys.exit(run(sys.argv[1:]))
