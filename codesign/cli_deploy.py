"""`codesign deploy`: a package onto a board, checked there."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli_common import UNMET, Json, print_json
from codesign.errors import ConfigError

if TYPE_CHECKING:
    from codesign.board.deploy import Deployed


def deploy(
    package: Annotated[
        Path,
        typer.Argument(metavar="PACKAGE", help="A package (folder or ZIP), or a project or folder that was built."),
    ],
    host: Annotated[str, typer.Option(help="The board: a name or address, or a name of ~/.ssh/config.")],
    user: Annotated[
        str | None, typer.Option(help="Who logs in [default: as ~/.ssh/config says, or you].", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="[default: as ~/.ssh/config says, or 22]", min=1, max=65535, show_default=False)
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="How many of the package's samples are compared [default: all].", min=1, show_default=False),
    ] = None,
    python: Annotated[str, typer.Option(help="Python on the board, its name or path.")] = "python3",
    sudo: Annotated[
        bool | None,
        typer.Option(help="Run as root, which PYNQ needs on Zynq [default: not on a card].", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy a package to a board over SSH, test its guards there and compare samples with the C-simulation.

    The board keeps what it had until the new package has passed. Exit 1 when the board gives other numbers or a guard
    is not seen. Host keys are verified by your known_hosts; keys come from ~/.ssh or an agent.
    """
    from codesign.board.deploy import Way
    from codesign.board.deploy import deploy as install
    from codesign.board.package import open_package
    from codesign.board.ssh import connect

    with open_package(_find(package)) as found:
        way = Way(python, sudo=not _is_card(found.files) if sudo is None else sudo)
        with connect(host, user, port) as link:
            done = install(found, link, way, samples)
        name, digest = found.name, found.digest
    if as_json:
        shown = {"package": name, "digest": digest, "host": host, "remote": done.remote}
        print_json({**shown, "passed": done.remote is not None, "check": done.answer})
    else:
        print("\n".join(_lines(done, name, host)))
    if done.remote is None:
        raise typer.Exit(UNMET)


def _is_card(files: list[str]) -> bool:
    return "design.xclbin" in files


def _find(path: Path) -> Path:
    """The package itself, or the one that a build has left in a project or a build folder."""
    from codesign.board.package import MANIFEST

    if not path.is_dir() or (path / MANIFEST).is_file():
        return path
    path = path.resolve()
    beside = path.parent.glob(f"{path.name}-*/*/{MANIFEST}")  # where `codesign build` puts it
    found = sorted({one.parent for one in (*path.glob(f"*/{MANIFEST}"), *beside)})
    if not found:
        raise ConfigError(f"no package in {path}: `codesign build` makes one")
    if len(found) > 1:
        raise ConfigError(f"{path} has several packages, name one of {', '.join(map(str, found))}")
    return found[0]


def _lines(done: "Deployed", name: str, host: str) -> list[str]:
    """What the board's check said, for people; `--json` has all of it."""
    found = done.answer
    lines = []
    if "samples" in found:
        lines.append(
            f"{found.get('equal')} of {found['samples']} samples equal the C-simulation in every logit, "
            f"{found.get('flags_equal')} in their flags"
        )
    if first := found.get("first_difference"):
        lines.append(f"first difference: {_text(first)}")
    tested = found.get("self_test") or {}
    lines += [f"guard {_text(guard)}" for guard in tested.get("guards", [])]
    lines += [f"self-test: {finding}" for finding in tested.get("findings", [])]
    lines += [f"{key}: {found[key]:,}" for key in ("accuracy", "samples_per_s", "latency_us") if key in found]
    return [*lines, f"{name} is on {host}: {done.remote}" if done.remote else f"{name} was not installed on {host}"]


def _text(found: dict[str, Any]) -> str:
    words = {key: ", ".join(value) or "none" if isinstance(value, list) else value for key, value in found.items()}
    return "; ".join(f"{key} {value}" for key, value in words.items())
