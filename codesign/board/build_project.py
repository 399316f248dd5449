"""The project that is built: the user's own if it is for the board, otherwise one written from its network and plan."""

import shutil
from dataclasses import replace
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
    if (folder / MANIFEST).is_file():
        found = Project.open(folder)
        same = (found.network, found.plan) == (project.network, project.plan)
        if same and found.options in [_options(project, board, backend) for backend in _backends(board)]:
            return found
    options = _options(project, board, _backends(board)[0])
    say(f"writing the project for {board.name} to {folder}")
    return _write(project, folder, options)


def _backends(board: Board) -> list[Backend]:
    """Those that the installed tools build, the board's own first; without any tool all, so that nothing is undone."""
    usual = _BACKENDS[board.flow]
    known = [usual, *(backend for backend in _TOOLS if backend != usual)]
    return [backend for backend in known if any(shutil.which(tool) for tool in _TOOLS[backend])] or known


def _options(project: Project, board: Board, backend: Backend) -> ProjectOptions:
    """What a project for a board is written with: the board's part, clock and streams, the rest as in the project."""
    return replace(
        project.options,
        backend=backend,
        part=board.part,
        clock_ns=board.clock_ns,
        axi_bits=board.axi_bits,
        board=board.name,
    )


def _check(options: ProjectOptions, board: Board, folder: Path) -> None:
    if options.part != board.part:
        raise ConfigError(
            f"{folder} is for {board.name} with part {options.part}, this {board.name} has part {board.part}: export "
            "it again"
        )


def _write(project: Project, folder: Path, options: ProjectOptions) -> Project:
    from codesign.hls.project import write_project

    return write_project(project.network, project.plan, folder, options, bench_inputs(project))
