"""`codesign build`: from a project to a package with a bitstream."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign import cli_words
from codesign.cli_common import UNMET, Json, print_json
from codesign.errors import ConfigError

if TYPE_CHECKING:
    from codesign.board.boards import Board
    from codesign.board.build import Built, Samples
    from codesign.hls.folder import Project


def build(
    project: Annotated[
        Path, typer.Argument(metavar="PROJECT", help="An HLS project of codesign, or a run folder for its best one.")
    ],
    board: Annotated[
        str,
        typer.Option(
            help="A board, such as `pynq-z2`, or the path of a board file (.toml).", autocompletion=cli_words.boards
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where package, logs and state go [default: PROJECT-BOARD].", show_default=False),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="How many samples travel along, to compare the board with the C-simulation.", min=1)
    ] = 64,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Their `inputs` and `labels` (NPZ) [default: those of the project's test bench].", show_default=False
        ),
    ] = None,
    collect: Annotated[
        bool, typer.Option("--collect", help="Run no tools: pack what build.sh has made in the project.")
    ] = False,
    any_size: Annotated[
        bool, typer.Option("--any-size", help="Build even if the estimate says that it does not fit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build a project for a board with the vendor's tools and pack everything that the board needs.

    Finished stages are kept: interrupted or failed, the same command goes on where it stopped. Exit 1 when the design
    does not fit on the board, before anything runs, or does not meet its timing; 2 when a tool is missing or fails.
    """
    from codesign.board.boards import load_board
    from codesign.board.build import build as run
    from codesign.board.build import misfits
    from codesign.board.build_project import board_project

    target, given = load_board(board), _open(project)
    folder = out or given.folder.with_name(f"{given.folder.name}-{target.name}")
    chosen = board_project(given, target, folder / "project")
    if not any_size and not collect and (lines := misfits(chosen, target)):
        return _refuse(lines, target, as_json)
    built = run(chosen, target, folder, _samples(chosen, samples, data), collect=collect)
    if as_json:
        print_json(_document(built, target, folder))
    else:
        print("\n".join(_lines(built)))
    if built.package is None:
        raise typer.Exit(UNMET)
    return None


def _open(path: Path) -> "Project":
    from codesign.hls.folder import Project
    from codesign.search.folder import RunFolder

    if not path.exists():
        raise ConfigError(f"no project {path}")
    best = RunFolder(path).project
    return Project.open((best if best.exists() else path).resolve())


def _samples(project: "Project", count: int, data: Path | None) -> "Samples":
    from codesign.board.build import Samples
    from codesign.board.check import bench_inputs
    from codesign.subject import load_samples

    if data is None:
        return Samples(bench_inputs(project, count))
    raw, labels = load_samples(data, project.network)
    return Samples(raw[:count], labels[:count])


def _refuse(lines: list[str], board: "Board", as_json: bool) -> None:
    if as_json:
        print_json({"board": board.name, "package": None, "problem": "does not fit", "shortfalls": lines})
    else:
        print("\n".join([f"the design does not fit on {board.name}, by the estimate of the network alone:", *lines]))
        print("nothing was built; --any-size builds all the same")
    raise typer.Exit(UNMET)


def _document(built: "Built", board: "Board", folder: Path) -> dict[str, Any]:
    from dataclasses import asdict

    package = built.package
    return {
        "board": board.name,
        "out": str(folder),
        "package": str(package.folder) if package else None,
        "zip": f"{package.folder}.zip" if package else None,
        "digest": package.digest if package else None,
        "resources": built.resources.to_json(),
        "timing": asdict(built.timing),
        "seconds": built.seconds,
        "problem": built.problem,
        "shortfalls": [],
    }


def _lines(built: "Built") -> list[str]:
    used = built.resources
    counts = {"LUT": used.lut, "FF": used.ff, "DSP": used.dsp, "BRAM_18K": used.bram_18k}
    figures = "  ".join(f"{name} {'?' if count is None else f'{count:,}'}" for name, count in counts.items())
    lines = [f"{figures}  ({used.stage}, vivado {used.tool_version})"]
    if built.package is None:
        return [*lines, f"{built.problem}; no package was made"]
    return [*lines, f"worst slack {built.timing.wns_ns:+.3f} ns", f"package: {built.package.folder}(.zip)"]
