"""`codesign export`: the HLS project of a design, for an IP core or for a board."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign import cli_words
from codesign.cli_common import Json, print_json
from codesign.errors import ConfigError, one_of

if TYPE_CHECKING:
    from codesign.board.boards import Board
    from codesign.fixed import Ints
    from codesign.hls.options import Backend, ProjectOptions
    from codesign.network import Network
    from codesign.protection import ProtectionPlan


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|NETWORK", help="A run folder, as `codesign optimize` writes it, or a saved network (NPZ file)."
        ),
    ],
    design: Annotated[
        int | None, typer.Option(help="Of a run: number of the design [default: the best].", show_default=False)
    ] = None,
    plan_file: Annotated[
        Path | None,
        typer.Option(
            "--plan", help="Of a network: a protection plan (JSON) [default: unprotected].", show_default=False
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            help="A board, such as `pynq-z2`, or the path of a board file (.toml): AXI streams and all that builds a "
            "bitstream.",
            show_default=False,
            autocompletion=cli_words.boards,
        ),
    ] = None,
    axi_bits: Annotated[
        int | None,
        typer.Option(help="Width of the streams, with `--board` [default: the board's].", show_default=False),
    ] = None,
    upset_slots: Annotated[
        int,
        typer.Option(help="With `--board`: how many words of stored weights the host can upset at a time.", min=0),
    ] = 0,
    backend: Annotated[
        str | None,
        typer.Option(
            help="`Vivado`, `Vitis` or `VivadoAccelerator` [default: the board's, or the study's].",
            show_default=False,
            autocompletion=cli_words.backends,
        ),
    ] = None,
    io_type: Annotated[
        str | None,
        typer.Option(
            help="How values travel between layers: `io_parallel` or `io_stream` [default: the study's].",
            show_default=False,
            autocompletion=cli_words.io_types,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--self-test", help="Compile the project, raise its guards and strike every copy.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the project goes [default: RUN/export/DESIGN-BACKEND or -BOARD].", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the HLS project of a design, checked against the design rules."""
    from codesign.board.project import board_options, write_board_project
    from codesign.hls.project import write_project

    given = _given(run, design, plan_file)
    network, plan, hardware, samples = given.network, given.plan, given.hardware, given.samples
    target = _board(board, backend, {"--axi-bits": axi_bits, "--upset-slots": upset_slots or None})
    options = _options(hardware, backend, io_type)
    if target is not None:
        options = board_options(target, options, _backend(backend), axi_bits, upset_slots)
    other = "" if options.io_type == _usual(hardware) else f"-{options.io_type}"
    where = out or given.folder / f"{given.name}-{options.board or options.backend}{other}"
    if target is None:
        project = write_project(network, plan, where, options, samples)
    else:
        project = write_board_project(network, plan, where, target, options, samples)
    if check:
        from codesign.hls.selftest import demand

        demand(project)
    if as_json:
        return print_json(
            {
                "project": str(project.folder),
                "design": given.design,
                "network": network.digest,
                "plan": plan.digest,
                "backend": project.options.backend,
                "board": project.options.board,
                "io_type": project.options.io_type,
                "part": project.options.part,
                "self_test": check,
            }
        )
    print(project.folder)
    return None


@dataclass(frozen=True, eq=False)
class _Given:
    """What is exported; `samples`, raw and of shape (n_samples, n_in), are for the test bench."""

    name: str
    folder: Path
    network: "Network"
    plan: "ProtectionPlan"
    hardware: dict[str, Any]
    samples: "Ints | None" = None
    design: int | None = None


def _given(what: Path, design: int | None, plan: Path | None) -> _Given:
    from codesign.hls.options import ProjectOptions
    from codesign.network import Network
    from codesign.protection import ProtectionPlan
    from codesign.search.folder import RunFolder

    if what.suffix == ".npz" and not what.is_dir():
        if design is not None:
            raise ConfigError(f"--design is for runs: {what} is a network, and --plan says how it is protected")
        network, usual = Network.load(what), ProjectOptions()
        protection = ProtectionPlan.load(plan, network) if plan else ProtectionPlan()
        hardware = {"backend": usual.backend, "clock_ns": usual.clock_ns, "capacity": {"part": usual.part}}
        return _Given(what.stem, Path("runs") / what.stem / "export", network, protection, hardware)
    if plan is not None:
        raise ConfigError(f"--plan goes with a saved network: the designs of {what} have plans of their own")
    folder = RunFolder(what)
    hardware = folder.result()["hardware"]
    chosen = folder.design(design)
    own = folder.load(chosen["network"], chosen["plan"])
    number = int(chosen["id"])
    return _Given(str(number), folder.path / "export", *own, hardware, folder.samples(), number)


def _board(name: str | None, backend: str | None, of_boards: dict[str, int | None]) -> "Board | None":
    """The board that is named; `of_boards` are options that mean nothing without one."""
    from codesign.board.boards import load_board

    if name is None:
        if given := [option for option, value in of_boards.items() if value is not None]:
            raise ConfigError(f"{given[0]} is for a board's project: name the --board, too")
        return None
    if backend == "VivadoAccelerator":
        raise ConfigError(
            "--backend VivadoAccelerator builds for the board with the study's part, without --board; with it, choose "
            "Vivado or Vitis"
        )
    return load_board(name)


def _usual(hardware: dict[str, Any]) -> str:
    return str(hardware.get("io_type", "io_parallel"))


def _backend(name: str | None) -> "Backend | None":
    from codesign.hls.options import BACKENDS

    return None if name is None else one_of("backend", name, BACKENDS)


def _options(hardware: dict[str, Any], backend: str | None, io_type: str | None) -> "ProjectOptions":
    from codesign.hls.options import BACKENDS, IO_TYPES, ProjectOptions

    usual = one_of("backend", hardware["backend"], BACKENDS)
    travel = one_of("io_type", io_type or _usual(hardware), IO_TYPES)
    return ProjectOptions(_backend(backend) or usual, hardware["capacity"]["part"], hardware["clock_ns"], travel)
