"""The command `ablate`: what each layer of a study contributes, at equal requirements."""

from typing import Annotated

import typer

from codesign.cli_common import UNMET, Json, OutFolder, StudyFile, default_out, print_json, study_of


def ablate(
    study: StudyFile,
    ber: Annotated[
        list[float] | None,
        typer.Option("--ber", help="A bit error rate [default: the study's]; may be repeated.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(help="So many seeds, from the study's on.", min=1)] = 1,
    evaluations: Annotated[
        int | None,
        typer.Option(help="Designs of each variant, at most [default: the study's].", min=1, show_default=False),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(help="Processes of this machine that each evaluate a design; 1: one after the other.", min=1),
    ] = 1,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Compare unprotected, full TMR, each layer alone, each pair, and all layers together, at equal requirements.

    Every variant is searched alike with as many evaluations; its best design is attacked by a fresh campaign.
    Interrupted, the same command goes on. Exit 1 when the design of all layers misses a requirement.
    """
    from codesign.report.ablation import ablation_text, plot_ablation
    from codesign.search.ablate import Conditions, met
    from codesign.search.ablate import ablate as run
    from codesign.search.folder import RunFolder

    loaded = study_of(study)
    conditions = Conditions.of(loaded, ber or (), seeds, evaluations)
    folder = RunFolder(out or default_out(loaded))
    document = run(loaded, folder, conditions, workers)
    files = plot_ablation(document, folder.path / "ablation")
    if as_json:
        print_json(document)
    else:
        print(ablation_text(document), end="")
        print(f"figures: {' '.join(map(str, files))}")
    if not met(document["rows"]):
        raise typer.Exit(UNMET)
