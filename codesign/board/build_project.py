"""The project that is built: the user's own if it is for the board, otherwise one written from its network and plan."""

import shutil
from pathlib import Path

from codesign.board.boards import Board
from codesign.board.check import bench_inputs
from codesign.errors import ConfigError
from codesign.hls.folder import MANIFEST, Project
from codesign.hls.options import Backend, ProjectOptions
from codesign.progress import say

_BACKENDS: dict[str, Backend] = {"vivado_hls": "Vivado", "vitis": "Vitis"}
_TOOLS: dict[Backend, tuple[str, ...]] = {"Vivado": ("vivado_hls",), "Vitis": ("vitis-run", "vitis_hls")}


def board_project(project: Project, board: Board, folder: Path) -> Project:
    """The project itself if it was exported for the board, or one in `folder`, written unless it is there already.

    Raises ConfigError where a project names the board but was made for another one of that name.
    """
    if project.options.board == board.name:
        _check(project.options, board, project.folder)
        return project
    options = board_options(project, board)
    if (folder / MANIFEST).is_file():
        found = Project.open(folder)
        if (found.network, found.plan, found.options) == (project.network, project.plan, options):
            return found
    say(f"writing the project for {board.name} to {folder}")
    return _write(project, folder, options)


def board_options(project: Project, board: Board) -> ProjectOptions:
    """What a project for a board is written with: the board's part, clock and streams, the rest as in the project."""
    usual = _BACKENDS[board.flow]
    there = [backend for backend, tools in _TOOLS.items() if any(shutil.which(tool) for tool in tools)]
    backend = usual if usual in there or not there else there[0]
    changed = {
        "backend": backend,
        "part": board.part,
        "clock_ns": board.clock_ns,
        "axi_bits": board.axi_bits,
        "board": board.name,
    }
    return ProjectOptions(**{**vars(project.options), **changed})


def _check(options: ProjectOptions, board: Board, folder: Path) -> None:
    if options.part != board.part:
        raise ConfigError(
            f"{folder} is for {board.name} with part {options.part}, this {board.name} has part {board.part}: export "
            "it again"
        )


def _write(project: Project, folder: Path, options: ProjectOptions) -> Project:
    from codesign.hls.project import write_project

    return write_project(project.network, project.plan, folder, options, bench_inputs(project))
