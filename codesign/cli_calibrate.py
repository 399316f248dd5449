"""The command `calibrate`: the estimate's factors and errors, from mapped designs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from codesign import cli_words
from codesign.cli_common import Json, print_json


def calibrate(
    designs: Annotated[int, typer.Option(help="How many random protected networks are mapped.", min=10)] = 200,
    seed: Annotated[int, typer.Option(help="Of the random networks.", min=0)] = 0,
    family: Annotated[str, typer.Option(help="`xc7` or `xcup`.", autocompletion=cli_words.families)] = "xc7",
    products: Annotated[int, typer.Option(help="Products of a drawn layer, at most.", min=3)] = 60,
    out: Annotated[
        Path | None, typer.Option(help="Where the calibration is written (JSON).", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit the estimate to designs mapped by Yosys, and print its error on designs that it was not fitted to.

    What is mapped is kept in the cache, so that an interrupted calibration goes on where it was.
    """
    from codesign.errors import one_of
    from codesign.files import write_atomically
    from codesign.resources import calibration
    from codesign.resources.mapping import FAMILIES

    found = calibration.calibrate(designs, seed, one_of("family", family, FAMILIES), products=products)
    if out:
        write_atomically(out, json.dumps(found.to_json(), indent=1) + "\n")
    if as_json:
        return print_json(found.to_json())
    print(f"{'figure':<16} {'median':>8} {'p95':>8} {'Kendall tau':>12}")
    for name, error in found.errors.items():
        print(f"{name:<16} {error.median:>8.2%} {error.p95:>8.2%} {error.kendall_tau:>12.3f}")
    for name, factor in found.to_json()["terms"].items():
        print(f"  factor of {name:<10} {factor:.3f}")
    return None
