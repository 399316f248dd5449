"""The command `avf`: architectural vulnerability, and failures in the field."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign import cli_words
from codesign.cli_common import (
    DESIGN_HELP,
    ActivationBits,
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
    from codesign.campaign.avf import Group, Vulnerability
    from codesign.campaign.fit import Bounded
    from codesign.campaign.fit_table import Failures

_HOURS_A_YEAR = 24 * 365.25


def avf(
    design: Annotated[
        str,
        typer.Argument(
            metavar="DESIGN",
            help=DESIGN_HELP,
        ),
    ],
    margin: Annotated[
        float, typer.Option(help="How well the AVF of each layer and target is to be known, as +-.")
    ] = 0.01,
    confidence: Annotated[
        float | None, typer.Option(help="Of the intervals [default: the study's, or 0.95].", show_default=False)
    ] = None,
    outcome: Annotated[
        str,
        typer.Option(
            help="What counts: `sdc1`, `sdc5`, `silent`, `detected` or `corrected`.", autocompletion=cli_words.outcomes
        ),
    ] = "sdc1",
    fit: Annotated[
        Path | None,
        typer.Option(help="Raw FIT a bit of each target (TOML): prints failures in the field.", show_default=False),
    ] = None,
    on: On = None,
    data: DataFile = None,
    target: Targets = None,
    lifetime: LifetimeName = None,
    seed: Seed = None,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the files go [default: RUN, or runs/ and the name of what is attacked].", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure which share of single upsets matters: AVF of every target, layer and bit position, with intervals.

    Single faults are drawn from each layer, replica and bit, first a few, then where outcomes vary (Neyman), as many as
    the margin asks for (Leveugle). Writes avf.csv, avf.json, avf.svg and avf.png.
    """
    from codesign.campaign.avf import measure_avf
    from codesign.campaign.fit_table import FitTable, failures
    from codesign.cli_subjects import open_setting
    from codesign.files import write_atomically
    from codesign.progress import bar
    from codesign.report.plots import plot_avf
    from codesign.subject import Faults

    table = FitTable.load(fit) if fit else None
    widths = {"weight_bits": weight_bits, "activation_bits": activation_bits}
    faults = Faults(target or (), None, 1, lifetime, seed)
    setting = open_setting([design], faults, data=data, on=on, out=out, **widths)
    subject, model = setting.subjects[0], setting.model
    if table:
        table.check(model.targets)
    with bar("single faults", 100) as advance:
        found = measure_avf(
            *(subject.network, subject.plan, model.targets, setting.inputs, setting.labels),
            lifetime=model.lifetime,
            outcome=outcome,
            margin=margin,
            confidence=setting.confidence if confidence is None else confidence,
            seed=model.seed,
            progress=lambda done, total: advance(100 * done // total),
        )
    rates = failures(found, table) if table else None
    document = {"name": subject.name, **found.to_json(), "failures": rates.to_json() if rates else None}
    stem = setting.folder / "avf"
    cells = found.groups(layer=True, bit=True)
    write_atomically(stem.with_suffix(".csv"), csv_text([_row(cell) for cell in cells]))
    write_atomically(stem.with_suffix(".json"), json.dumps(document, indent=1, sort_keys=True) + "\n")
    plots = plot_avf(cells, stem)
    if as_json:
        return print_json(document)
    _print_avf(subject.name, found)
    if rates:
        _print_failures(rates)
    print(f"written: {', '.join(map(str, (stem.with_suffix('.csv'), stem.with_suffix('.json'), *plots)))}")
    return None


def _row(cell: "Group") -> dict[str, object]:
    """Flat, for CSV."""
    found = cell.to_json()
    return {**{key: found[key] for key in found if key != "avf"}, **found["avf"]}


def _print_avf(name: str, found: "Vulnerability") -> None:
    from codesign.campaign.verdict import bounds

    drawn = sum(outcomes.size for outcomes in found.outcomes)
    print(f"{name}: {drawn} single {found.lifetime.value} faults on {found.samples} samples, seed {found.seed}")
    print(f"AVF: share of upsets that end as {found.outcome}; intervals at {100 * found.confidence:.6g}%")
    for title, groups in (
        ("target", found.groups()),
        ("target and layer", found.groups(layer=True)),
        ("target and bit position", found.groups(bit=True)),
    ):
        print(f"\n{title:<30}{'bits':>9}{'drawn':>8}  AVF")
        for group in groups:
            label = " ".join(str(part) for part in (group.target, group.layer, group.bit) if part is not None)
            print(f"{label:<30}{group.bits:>9}{group.drawn:>8}  {bounds(group.avf)}")


def _print_failures(found: "Failures") -> None:
    from codesign.campaign.fit import Bounded

    print(f"\nraw rates: {found.table.source}")
    print("failures in 1e9 hours (FIT)")
    layers = {f"layer {name}": rate for name, rate in found.layers.items()}
    for name, rate in {**found.targets, **layers, "all": found.total}.items():
        print(f"{name:<30}{_numbers(rate.fit)}")
    years = Bounded(*(hours / _HOURS_A_YEAR for hours in vars(found.total.mttf_hours).values()))
    print(f"{'mean time to failure, years':<30}{_numbers(years)}")


def _numbers(of: "Bounded") -> str:
    return f"{of.mean:.4g} [{of.low:.4g}, {of.high:.4g}]"
