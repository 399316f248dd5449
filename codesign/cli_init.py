"""The command `init`: a study for a trained model of one's own."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from codesign import cli_words
from codesign.cli_common import Json, print_json
from codesign.errors import ConfigError


def init(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL", help="A QKeras model as `model.save` writes it: .h5 or .keras.", show_default=False
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="An NPZ file with `inputs` and `labels`, or with `x_train`, `y_train`, `x_test`, `y_test`.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder, new [default: the name].", show_default=False)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the study and the top function [default: the model file's].", show_default=False),
    ] = None,
    board: Annotated[
        str, typer.Option(help="A board by its name, or a board file.", autocompletion=cli_words.boards)
    ] = "pynq-z2",
    ber: Annotated[
        float | None,
        typer.Option(
            help="Bit error rate [default: the lowest one tried at which the unprotected network misses the accuracy].",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(
            help="Least accuracy under faults [default: a point less than without faults].",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    input_bits: Annotated[
        int, typer.Option(help="Of the accelerator's inputs, where they are not exact in 16 bits.", min=1, max=16)
    ] = 8,
    as_json: Json = False,
) -> None:
    """Write a commented study for a trained model and its data: the first step with a network of your own.

    What is not given is asked for, on a terminal. The model is converted and measured once, so that a layer that
    cannot be carried over, or data that do not fit, show here and not in the middle of a search.
    """
    from codesign.begin import Wishes, begin

    model = model or Path(_asked("Model (.h5 or .keras)", "MODEL"))
    data = data or Path(_asked("Data (NPZ)", "--data"))
    called = name or re.sub(r"\W", "_", model.stem, flags=re.ASCII)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", called):
        raise ConfigError(f"'{called}' cannot name a study: --name gives another of letters, digits and _")
    folder = out or Path(called)
    begun = begin(model, data, Wishes(called, board, ber, accuracy, input_bits), folder)
    network = begun.network
    if as_json:
        return print_json(
            {
                "study": str(begun.study),
                "network": network.digest,
                "layers": [layer.name for _, layer in network.compute_layers()],
                "accuracy_clean": begun.accuracy_clean,
                "accuracy_faulty": begun.accuracy,
                "ber": begun.ber,
                "remarks": list(begun.remarks),
            }
        )
    layers = ", ".join(f"{layer.name} ({layer.neurons})" for _, layer in network.compute_layers())
    print(f"{begun.study}: {called}, neurons by layer: {layers}")
    print(f"accuracy without faults {begun.accuracy_clean:.4f}, wanted at a BER of {begun.ber:g}: {begun.accuracy}")
    for remark in begun.remarks:
        print(f"note: {remark}")
    print(f"next: codesign optimize {begun.study}")
    return None


def _asked(what: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigError(f"{option} is missing (on a terminal it would be asked for)")
    print(f"{what}: ", end="", file=sys.stderr, flush=True)
    if answer := sys.stdin.readline().strip():
        return answer
    raise ConfigError(f"{option} is missing")
