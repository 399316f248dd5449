"""The command line. Results go to standard output, progress and errors to standard error.

Exit codes: 0 success, 1 a requirement is not met, 2 bad input or a missing tool, 130 interrupted (what
was finished is kept).
"""

import sys
from typing import Annotated

import typer

from codesign.cli_ablate import ablate
from codesign.cli_analyze import analyze
from codesign.cli_avf import avf
from codesign.cli_build import build
from codesign.cli_calibrate import calibrate
from codesign.cli_campaign import campaign, faults, replay
from codesign.cli_common import (
    BAD_INPUT,
    INTERRUPTED,
    UNMET,
    ActivationBits,
    Bits,
    DaskAddress,
    Json,
    OutFolder,
    RunPath,
    StudyFile,
    default_out,
    merit_of,
    print_json,
    study_of,
    trained_of,
    width_of,
    widths_of,
    workers_of,
)
from codesign.cli_curve import compare, curve
from codesign.cli_deploy import deploy
from codesign.cli_doctor import doctor
from codesign.cli_export import export
from codesign.cli_help import SETTINGS, Group, Quiet, completion, finished
from codesign.cli_init import init
from codesign.cli_resources import resources
from codesign.cli_store import trials
from codesign.cli_upsets import upsets
from codesign.errors import CodesignError, ConfigError

# What an interrupted command leaves, for the one line that says so.
_TRIALS = "trials in the run folder's study.sqlite, from which the same command goes on"
KEPT = {
    "train": "networks in the cache, from which the same command goes on",
    "analyze": "trained networks in the cache; the flips are counted anew",
    **dict.fromkeys(("campaign", "curve", "compare", "upsets"), _TRIALS),
    "avf": "trained networks in the cache; the faults are drawn anew",
    **dict.fromkeys(("optimize", "ablate"), "evaluations in the run folder, from which the same command goes on"),
    **dict.fromkeys(("resources", "calibrate"), "mapped modules in the cache, from which the same command goes on"),
    "build": "stages in the output folder, from which the same command goes on",
    "deploy": "the board has what it had, unless the check had passed",
}

app = typer.Typer(
    name="codesign",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes longer to import than the help to be made
    cls=Group,
    context_settings=SETTINGS,
    help=(
        "Quantised neural networks on FPGAs that survive soft errors, at the least hardware cost.\n\n"
        "Start with `codesign optimize models/digits_mlp.toml`: it trains, protects, attacks and costs designs "
        "until the cheapest one that meets the study's requirements stands there as an HLS project.\n\n"
        "Exit codes: 0 success, 1 a requirement is not met, 2 bad input, 130 interrupted (finished work is kept)."
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from codesign import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    quiet: Quiet = False,
    # Eager: it stands alone, without a command.
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    from codesign.progress import console

    del version
    console.quiet = quiet


app.command()(init)


@app.command()
def train(
    study: StudyFile,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Train the study's networks (or the one of the given width) and write them, and the test set, as NPZ files."""
    from codesign.progress import bar
    from codesign.subject import save_samples
    from codesign.train.builder import data

    loaded = study_of(study)
    run_folder = out or default_out(loaded)
    folder, samples = run_folder / "networks", run_folder / "data.npz"
    widths = widths_of(loaded) if weight_bits is None else [width_of(loaded, weight_bits)]
    given, rows = data(loaded), []
    with bar("training", len(widths)) as advance:
        for done, bits in enumerate(widths):
            advance(done)
            trained = trained_of(loaded, bits, activation_bits)
            path = folder / f"{trained.network.digest[:16]}.npz"
            trained.network.save(path)
            row = {"weight_bits": bits, "accuracy_clean": trained.accuracy_clean, "network": trained.network.digest}
            row |= {"file": str(path), "cached": trained.cached, "taken_from": loaded.model.file}
            rows.append({**row, **merit_of(loaded, trained, given)})
    save_samples(samples, given.test_inputs, given.test_labels)
    if as_json:
        return print_json({"networks": rows, "data": str(samples)})
    for row in rows:
        other = "" if row["metric"] == "accuracy" else f"{row['metric']} {row['metric_clean']:.4f}  "
        taken = "" if row["taken_from"] is None else f"  taken from {row['taken_from']}, not trained"
        print(f"{row['weight_bits']:2d} bit  accuracy {row['accuracy_clean']:.4f}  {other}{row['file']}{taken}")
    return None


app.command()(analyze)
app.command()(campaign)
app.command()(faults)
app.command()(replay)
app.command()(trials)
app.command()(curve)
app.command()(compare)
app.command()(avf)
app.command()(calibrate)
app.command()(upsets)
app.command()(ablate)


@app.command()
def optimize(
    study: StudyFile,
    evaluations: Annotated[
        int | None,
        typer.Option(help="How many designs are evaluated [default: the study's].", min=1, show_default=False),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes of this machine that each evaluate a design [default: one after the other].",
            min=1,
            show_default=False,
        ),
    ] = None,
    dask: DaskAddress = None,
    synthesise: Annotated[
        bool, typer.Option("--synthesise", help="Map the chosen design with Yosys and keep its figures, too.")
    ] = False,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Search the cheapest design that meets the requirements; write its HLS project and the report.

    Everything finished is kept in the run folder: interrupted or killed, the same command goes on.
    Exit 1 when no design meets the requirements; the nearest one is shown.
    """
    from codesign.report.page import write_report
    from codesign.search.folder import RunFolder
    from codesign.search.optimise import Means, optimise

    if workers is not None and dask is not None:
        raise ConfigError("--workers evaluate designs on this machine, --dask runs trials on a cluster: choose one")
    loaded = study_of(study)
    folder = RunFolder(out or default_out(loaded))
    with workers_of(None, dask) as cluster:
        outcome = optimise(loaded, folder, evaluations, Means(workers or 1, cluster, synthesise))
    report = write_report(folder)
    if as_json:
        print_json(outcome.result)
    else:
        from codesign.report.text import outcome_text

        print(outcome_text(outcome.result), end="")
        print(f"project: {folder.project}")
        print(f"report:  {report}")
    if not outcome.feasible:
        raise typer.Exit(UNMET)


app.command()(export)
app.command()(resources)
app.command()(build)
app.command()(deploy)


@app.command()
def report(run: RunPath, as_json: Json = False) -> None:
    """Write the run's report again: one self-contained HTML page."""
    from codesign.report.page import write_report
    from codesign.search.folder import RunFolder

    path = write_report(RunFolder(run))
    if as_json:
        return print_json({"report": str(path)})
    print(path)
    return None


app.command()(doctor)


finished(app)


def run(arguments: list[str]) -> int:
    """Run a command and give its exit code; every expected error is one line on standard error."""
    try:
        if not completion(arguments):
            app(arguments, prog_name="codesign")
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
        return _interrupted(arguments) if code == INTERRUPTED else code
    except CodesignError as error:
        return _fail(str(error), BAD_INPUT)
    except ModuleNotFoundError as error:
        from codesign.extras import explanation

        if (error.name or "").partition(".")[0] in ("", "codesign"):
            raise
        return _fail(explanation(error), BAD_INPUT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", BAD_INPUT)
    return 0


def _interrupted(arguments: list[str]) -> int:
    command = next((word for word in arguments if not word.startswith("-")), "")
    what = f": {KEPT[command]}" if command in KEPT else ""
    return _fail(f"interrupted; everything that was finished is kept{what}", INTERRUPTED)


def _fail(message: str, code: int) -> int:
    print(f"codesign: {' '.join(message.splitlines())}", file=sys.stderr)
    return code


def main() -> None:
    """Entry point of the `codesign` command."""
    sys.exit(run(sys.argv[1:]))
