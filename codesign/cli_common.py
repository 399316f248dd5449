"""What the commands share: options, and the way from a study file to its networks."""

import csv
import io
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign import cli_words
from codesign.errors import ConfigError

if TYPE_CHECKING:
    from codesign.campaign.workers import Workers
    from codesign.network import Network
    from codesign.study import Study
    from codesign.train.builder import Data
    from codesign.train.training import TrainedNetwork

UNMET, BAD_INPUT, INTERRUPTED = 1, 2, 130

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

Ber = Annotated[
    float | None, typer.Option("--ber", help="Another bit error rate than the study's.", show_default=False)
]
Seed = Annotated[int | None, typer.Option("--seed", help="Another seed than the study's.", min=0, show_default=False)]
DESIGN_HELP = "A study, a run (RUN, RUN:3, RUN:unprotected), a project, a saved network (NPZ) or a plan (JSON)."
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="A study, or a run: data and faults for projects and networks, and the network of plans.",
        show_default=False,
    ),
]
DataFile = Annotated[
    Path | None,
    typer.Option("--data", help="`inputs` and `labels` of a project or a saved network (NPZ).", show_default=False),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        help="Other bits than the study's, such as `accumulator`; may be repeated.",
        show_default=False,
        autocompletion=cli_words.targets,
    ),
]
LifetimeName = Annotated[
    str | None,
    typer.Option(
        "--lifetime",
        help="`transient` or `persistent` [default: the study's, or transient].",
        show_default=False,
        autocompletion=cli_words.lifetimes,
    ),
]


WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Processes of this machine that share the trials [default: one, with a thread for each core].",
        min=1,
        show_default=False,
    ),
]
DaskAddress = Annotated[
    str | None,
    typer.Option(
        "--dask",
        help="Hand the trials to a Dask cluster: its scheduler's address, tcp://host:port, or scheduler file.",
        show_default=False,
    ),
]


def workers_of(count: int | None, address: str | None) -> "AbstractContextManager[Workers | None]":
    """What `--workers` and `--dask` name; None for this process alone."""
    if count is not None and address is not None:
        raise ConfigError("--workers are processes of this machine, --dask is a cluster: choose one of the two")
    if address is not None:
        from codesign.campaign.dask import DaskCluster

        return DaskCluster(address)
    if count is not None:
        from codesign.campaign.processes import Processes

        return Processes(count)
    return nullcontext()


def study_of(path: Path) -> "Study":
    """The study of a file."""
    from codesign.study import load_study

    return load_study(path)


def default_out(study: "Study") -> Path:
    """The run folder of a study where none is named."""
    return Path("runs") / study.name


def widths_of(study: "Study") -> list[int]:
    """Weight widths in the study's space, ascending."""
    variable = study.space.weight_bits
    if variable.values:
        return sorted(int(v) for v in variable.values)
    assert variable.low is not None and variable.high is not None
    return list(range(int(variable.low), int(variable.high) + 1))


def width_of(study: "Study", wanted: int | None) -> int:
    """The width asked for, or the widest. Raises ConfigError for one that the study does not have."""
    widths = widths_of(study)
    if wanted is not None and wanted not in widths:
        raise ConfigError(f"--weight-bits {wanted}: the study has {', '.join(map(str, widths))}")
    return widths[-1] if wanted is None else wanted


def trained_of(study: "Study", bits: int, activation_bits: int | None) -> "TrainedNetwork":
    """The study's network of these widths, from the cache or trained."""
    from codesign.train.training import train as train_network

    variable = study.space.activation_bits
    if activation_bits is not None and activation_bits not in (variable or (bits,)):
        raise ConfigError(f"--activation-bits {activation_bits}: the study's space does not have it")
    default = int(variable.first) if variable else bits
    activations = default if activation_bits is None else activation_bits
    space = study.space
    return train_network(study, bits, activations, int(space.accumulator_bits.first), str(space.truncation.first))


def merit_of(study: "Study", trained: "TrainedNetwork", given: "Data") -> dict[str, Any]:
    """The study's metric, and the network's figure on the test set."""
    from codesign.metrics import measure
    from codesign.network import forward

    metric, network = study.model.metric, trained.network
    if metric == "accuracy":
        return {"metric": metric, "metric_clean": trained.accuracy_clean}
    logits = forward(network, network.quantise_inputs(given.test_inputs))[-1]
    return {"metric": metric, "metric_clean": float(measure(metric, logits, given.test_labels))}


def network_of(study: "Study", weight_bits: int | None, activation_bits: int | None) -> "tuple[Network, Data]":
    """The study's network of these widths, and its data."""
    from codesign.train.builder import data

    return trained_of(study, width_of(study, weight_bits), activation_bits).network, data(study)


def print_json(document: Any) -> None:
    """The one document of `--json`."""
    print(json.dumps(document, indent=1, sort_keys=True))


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same keys as CSV with a header; None becomes an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
