"""The commands that set campaigns side by side: `curve` over error rates, `compare` over designs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli_common import (
    DESIGN_HELP,
    ActivationBits,
    Ber,
    Bits,
    DataFile,
    Json,
    LifetimeName,
    On,
    Seed,
    Targets,
    csv_text,
    print_json,
)

if TYPE_CHECKING:
    from codesign.campaign.compare import Comparison
    from codesign.campaign.curve import Curve
    from codesign.campaign.result import CampaignResult
    from codesign.cli_subjects import Setting

Designs = Annotated[
    list[str],
    typer.Argument(
        metavar="DESIGN...",
        help=DESIGN_HELP,
    ),
]
Trials = Annotated[
    int | None, typer.Option("--trials", help="Trials [default: the study's, or 1000].", min=1, show_default=False)
]
Verify = Annotated[
    int, typer.Option("--verify", help="Trials of each campaign that are replayed on the csim (needs g++).", min=0)
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out", help="The run folder [default: RUN, or runs/ and the name of what is attacked].", show_default=False
    ),
]
_DEFAULT_RATES = "1e-6:1e-2:9"


def curve(
    designs: Designs,
    ber: Annotated[
        str | None,
        typer.Option(
            help="Bit error rates: LOW:HIGH:POINTS on a logarithmic axis, or a list such as 1e-6,1e-5 [default: the "
            f"study's curve, or {_DEFAULT_RATES}].",
            show_default=False,
        ),
    ] = None,
    trials: Trials = None,
    on: On = None,
    data: DataFile = None,
    target: Targets = None,
    lifetime: LifetimeName = None,
    seed: Seed = None,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    verify: Verify = 0,
    out: Folder = None,
    as_json: Json = False,
) -> None:
    """Measure accuracy and silent data corruption against the bit error rate, with bands.

    Writes curve.csv, curve.json, curve.svg and curve.png into the run folder, whose study.sqlite keeps finished trials:
    interrupted, the same command goes on. All rates and designs share their random numbers.
    """
    from codesign.campaign.batches import offset
    from codesign.campaign.curve import measure_curve, parse_rates
    from codesign.cli_subjects import open_setting
    from codesign.files import write_atomically
    from codesign.progress import bar
    from codesign.report.plots import plot_curves
    from codesign.subject import Faults

    given = parse_rates(ber) if ber is not None else None
    usual = parse_rates(_DEFAULT_RATES)
    faults = Faults(target or (), (given or usual)[0], None, lifetime, seed)
    widths = {"weight_bits": weight_bits, "activation_bits": activation_bits}
    setting = open_setting(designs, faults, data=data, on=on, out=out, **widths)
    rates = given or (setting.study.faults.curve if setting.study else ()) or usual
    wanted = trials or setting.trials
    curves: list[Curve] = []
    with setting.store() as store, bar("trials", len(designs) * len(rates) * wanted) as advance:
        for done, subject in enumerate(setting.subjects):
            attacked = (subject.name, subject.network, subject.plan, setting.model, setting.inputs, setting.labels)
            curves.append(
                measure_curve(
                    *attacked,
                    rates,
                    trials=wanted,
                    confidence=setting.confidence,
                    store=store,
                    verify=verify,
                    progress=offset(advance, done * len(rates) * wanted),
                )
            )
    document = _curves_json(curves, setting)
    stem = setting.folder / "curve"
    write_atomically(stem.with_suffix(".csv"), csv_text([row for one in curves for row in one.table()]))
    write_atomically(stem.with_suffix(".json"), json.dumps(document, indent=1, sort_keys=True) + "\n")
    plots = plot_curves(curves, stem)
    if as_json:
        return print_json(document)
    for one in curves:
        _print_curve(one)
    print(f"written: {', '.join(map(str, (stem.with_suffix('.csv'), stem.with_suffix('.json'), *plots)))}")
    return None


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A design: a study, a run (RUN, RUN:3, RUN:unprotected), a project, a saved network or a plan.",
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other design.")],
    trials: Trials = None,
    on: On = None,
    data: DataFile = None,
    target: Targets = None,
    ber: Ber = None,
    lifetime: LifetimeName = None,
    seed: Seed = None,
    verify: Verify = 0,
    out: Folder = None,
    as_json: Json = False,
) -> None:
    """Attack two designs with the same faults and print the differences of their rates, B - A, with intervals.

    What both suffer alike cancels, so small differences show after few trials. Finished trials are kept.
    """
    from codesign.campaign.compare import compare_results
    from codesign.cli_subjects import open_setting
    from codesign.subject import Faults

    setting = open_setting([a, b], Faults(target or (), ber, None, lifetime, seed), data=data, on=on, out=out)
    found = compare_results(*_campaigns(setting, trials or setting.trials, verify))
    names = [subject.name for subject in setting.subjects]
    if as_json:
        document = found.to_json()
        for key, name in zip("ab", names, strict=True):
            document[key]["name"] = name
        return print_json(document)
    _print_comparison(found, names)
    return None


def _campaigns(setting: "Setting", trials: int, verify: int) -> "list[CampaignResult]":
    """One for each subject, from the store as far as it is there."""
    from codesign.campaign.batches import offset
    from codesign.campaign.run import run_campaign
    from codesign.progress import bar

    results = []
    with setting.store() as store, bar("trials", len(setting.subjects) * trials) as advance:
        for done, subject in enumerate(setting.subjects):
            results.append(
                run_campaign(
                    *(subject.network, subject.plan, setting.model, setting.inputs, setting.labels),
                    trials=trials,
                    confidence=setting.confidence,
                    store=store,
                    verify=verify,
                    progress=offset(advance, done * trials),
                )
            )
    return results


def _curves_json(curves: "list[Curve]", setting: "Setting") -> dict[str, object]:
    first, model = curves[0].results[0], setting.model
    return {
        "ber": list(curves[0].rates),
        "targets": [target.label for target in model.targets],
        "lifetime": model.lifetime.value,
        "seed": model.seed,
        "trials": first.trials,
        "samples": first.samples,
        "confidence": first.confidence,
        "curves": [one.to_json() for one in curves],
    }


def _print_curve(curve: "Curve") -> None:
    from codesign.campaign.verdict import bounds

    first = curve.results[0]
    trials = f"{first.trials} trials of {first.samples} samples at each rate, seed {first.seed}"
    print(f"{curve.name}: {trials}; intervals at {100 * first.confidence:.6g}%")
    print(f"accuracy without faults {first.accuracy_clean:.4f}")
    print(f"{'BER':>10}  {'accuracy':<27}  sdc1")
    for rate, result in zip(curve.rates, curve.results, strict=True):
        print(f"{rate:>10.6g}  {bounds(result.accuracy):<27}  {bounds(result.sdc1)}")


def _print_comparison(found: "Comparison", names: list[str]) -> None:
    from codesign.campaign.verdict import bounds

    first, second = found.first, found.second
    trials = f"{first.trials} trials of {first.samples} samples, seed {first.seed}"
    print(f"A: {names[0]}; B: {names[1]}; {trials}; intervals at {100 * first.confidence:.6g}%")
    print(f"accuracy without faults: A {first.accuracy_clean:.4f}, B {second.accuracy_clean:.4f}")
    print(f"{'':<10}{'A':<27}  {'B':<27}  B - A")
    for metric, difference in found.differences.items():
        print(
            f"{metric:<10}{bounds(first.interval(metric)):<27}  {bounds(second.interval(metric)):<27}  "
            f"{difference.mean:+.5f} [{difference.low:+.5f}, {difference.high:+.5f}]"
        )
