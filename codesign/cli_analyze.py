"""The command `analyze`: which neurons and which bits matter."""

from pathlib import Path
from typing import Annotated

import typer

from codesign import cli_words
from codesign.cli_common import (
    ActivationBits,
    Bits,
    Json,
    OutFolder,
    StudyFile,
    default_out,
    network_of,
    print_json,
    study_of,
)


def analyze(
    study: StudyFile,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="By which importance neurons are listed: `measured`, `flip`, `taylor`, `gradient_activation` or "
            "`hessian` [default: the study's first].",
            show_default=False,
            autocompletion=cli_words.scores,
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Flips for each bit of each neuron.", min=1)] = 30,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Every flip there is instead of draws.")] = False,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Show which neurons and which bits matter: a table, and heat maps of neurons against accumulator bits.

    Neurons by an importance score; bits by single flips in the engine, counting changed answers. Writes
    vulnerability.svg and vulnerability.png.
    """
    from codesign.campaign.batches import available_cores
    from codesign.errors import one_of
    from codesign.progress import bar
    from codesign.protection import Importance
    from codesign.report.plots import plot_vulnerability
    from codesign.report.text import vulnerability_text
    from codesign.vulnerability.analysis import analyse

    loaded = study_of(study)
    chosen = str(loaded.space.importance_score.first) if score is None else score
    one_of("importance score", chosen, tuple(Importance))
    network, data = network_of(loaded, weight_bits, activation_bits)
    with bar("flipping bits", 100) as advance:
        found = analyse(
            network,
            (network.quantise_inputs(data.train_inputs), data.train_labels),
            network.quantise_inputs(data.test_inputs),
            chosen,
            draws=draws,
            exhaustive=exhaustive,
            seed=loaded.seed,
            threads=available_cores(),
            progress=lambda share: advance(int(100 * share)),
        )
    folder: Path = out or default_out(loaded)
    files = plot_vulnerability(found.rates, folder / "vulnerability")
    if as_json:
        return print_json({**found.to_json(), "draws": None if exhaustive else draws, "files": [str(f) for f in files]})
    print(vulnerability_text(found), end="")
    print("\n".join(str(file) for file in files))
    return None
