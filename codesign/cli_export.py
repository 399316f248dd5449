"""`codesign export`: the HLS project of a design, for an IP core or for a board."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli_common import RunPath
from codesign.errors import ConfigError, one_of

if TYPE_CHECKING:
    from codesign.board.boards import Board
    from codesign.hls.options import Backend, ProjectOptions


def export(
    run: RunPath,
    design: Annotated[
        int | None, typer.Option(help="Number of the design [default: the best].", show_default=False)
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            help="A board, such as `pynq-z2`, or the path of a board file (.toml): AXI streams and all that builds a "
            "bitstream.",
            show_default=False,
        ),
    ] = None,
    axi_bits: Annotated[
        int | None,
        typer.Option(help="Width of the streams, with `--board` [default: the board's].", show_default=False),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="`Vivado`, `Vitis` or `VivadoAccelerator` [default: the board's, or the study's].", show_default=False
        ),
    ] = None,
    io_type: Annotated[
        str | None,
        typer.Option(
            help="How values travel between layers: `io_parallel` or `io_stream` [default: the study's].",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--self-test", help="Compile the project, raise its guards and strike every copy.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the project goes [default: RUN/export/DESIGN-BACKEND or -BOARD].", show_default=False),
    ] = None,
) -> None:
    """Write the HLS project of a design, checked against the design rules."""
    from codesign.board.project import write_board_project
    from codesign.hls.project import write_project
    from codesign.search.folder import RunFolder

    folder = RunFolder(run)
    hardware = folder.result()["hardware"]
    target = _board(board, axi_bits, backend)
    options = _options(hardware, target, axi_bits, backend, io_type)
    chosen = folder.design(design)
    network, plan = folder.load(chosen["network"], chosen["plan"])
    other = "" if options.io_type == _usual(hardware) else f"-{options.io_type}"
    where = out or folder.path / "export" / f"{chosen['id']}-{options.board or options.backend}{other}"
    if target is None:
        project = write_project(network, plan, where, options, folder.samples())
    else:
        project = write_board_project(network, plan, where, target, options, folder.samples())
    if check:
        from codesign.hls.selftest import demand

        demand(project)
    print(project.folder)


def _board(name: str | None, axi_bits: int | None, backend: str | None) -> "Board | None":
    from codesign.board.boards import load_board

    if name is None:
        if axi_bits is not None:
            raise ConfigError("--axi-bits is the width of a board's streams: name the --board, too")
        return None
    if backend == "VivadoAccelerator":
        raise ConfigError(
            "--backend VivadoAccelerator builds for the board with the study's part, without --board; with it, choose "
            "Vivado or Vitis"
        )
    return load_board(name)


def _usual(hardware: dict[str, Any]) -> str:
    return str(hardware.get("io_type", "io_parallel"))


def _options(
    hardware: dict[str, Any], board: "Board | None", axi_bits: int | None, backend: str | None, io_type: str | None
) -> "ProjectOptions":
    from codesign.board.project import board_options
    from codesign.hls.options import BACKENDS, IO_TYPES, ProjectOptions

    travel = one_of("io_type", io_type or _usual(hardware), IO_TYPES)
    chosen: Backend | None = None if backend is None else one_of("backend", backend, BACKENDS)
    if board is not None:
        return board_options(board, ProjectOptions(io_type=travel), chosen, axi_bits)
    usual = one_of("backend", hardware["backend"], BACKENDS)
    return ProjectOptions(chosen or usual, hardware["capacity"]["part"], hardware["clock_ns"], travel)
