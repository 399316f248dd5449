"""The command `analyze`: which neurons and which bits matter."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign import cli_words
from codesign.cli_common import (
    ActivationBits,
    Bits,
    DataFile,
    Json,
    OutFolder,
    default_out,
    network_of,
    print_json,
    study_of,
)
from codesign.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from codesign.fixed import Ints
    from codesign.network import Network


def analyze(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY|PROJECT|NETWORK",
            help="A study (TOML file), a project's folder, or a saved network (NPZ file).",
        ),
    ],
    data: DataFile = None,
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

    if score is not None:
        one_of("importance score", score, tuple(Importance))
    given = _given(what, data, weight_bits, activation_bits)
    network, chosen = given.network, score or given.score
    with bar("flipping bits", 100) as advance:
        found = analyse(
            network,
            (given.train_inputs, given.train_labels),
            given.test_inputs,
            chosen,
            draws=draws,
            exhaustive=exhaustive,
            seed=given.seed,
            threads=available_cores(),
            progress=lambda share: advance(int(100 * share)),
        )
    folder: Path = out or given.folder
    files = plot_vulnerability(found.rates, folder / "vulnerability")
    if as_json:
        return print_json({**found.to_json(), "draws": None if exhaustive else draws, "files": [str(f) for f in files]})
    print(vulnerability_text(found), end="")
    print("\n".join(str(file) for file in files))
    return None


@dataclass(frozen=True)
class _Given:
    """Network and samples, raw inputs of shape (n_samples, n_in); scores by the train set, flips on the test set."""

    network: "Network"
    train_inputs: "Ints"
    train_labels: "NDArray[np.int64]"
    test_inputs: "Ints"
    score: str
    seed: int
    folder: Path


def _given(what: Path, data: Path | None, weight_bits: int | None, activation_bits: int | None) -> _Given:
    """Of a study its own sets; a network or a project has one, in --data, for both."""
    from codesign.protection import DEFAULT_IMPORTANCE
    from codesign.subject import Faults, open_subject

    if what.is_dir() or what.suffix == ".npz":
        faults = Faults(targets=("accumulator",), ber=0.0)  # which flips are counted, is not drawn
        found = open_subject(what, data=data, faults=faults, weight_bits=weight_bits, activation_bits=activation_bits)
        samples = found.inputs, found.labels, found.inputs
        return _Given(found.network, *samples, str(DEFAULT_IMPORTANCE), 0, found.folder)
    if data is not None:
        raise ConfigError(f"--data does not go with a study: {what} says that itself")
    loaded = study_of(what)
    network, sets = network_of(loaded, weight_bits, activation_bits)
    train, test = network.quantise_inputs(sets.train_inputs), network.quantise_inputs(sets.test_inputs)
    score = str(loaded.space.importance_score.first)
    return _Given(network, train, sets.train_labels, test, score, loaded.seed, default_out(loaded))
