"""The project that is built: the user's own if it is for the board, otherwise one written from its network and plan."""

import shutil
from pathlib import Path

from codesign.board.boards import Board
from codesign.board.check import bench_inputs
from codesign.board.project import BACKEND_OF_FLOW, board_options, write_board_project
from codesign.errors import ConfigError
from codesign.hls.folder import MANIFEST, Project
from codesign.hls.options import Backend, ProjectOptions
from codesign.progress import say

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
    return write_board_project(project.network, project.plan, folder, board, options, bench_inputs(project))


def _backends(board: Board) -> list[Backend]:
    """Those that the installed tools build, the board's own first; without any tool all, so that nothing is undone."""
    if board.family == "alveo":
        return ["Vitis"]
    usual = BACKEND_OF_FLOW[board.flow]
    known = [usual, *(backend for backend in _TOOLS if backend != usual)]
    return [backend for backend in known if any(shutil.which(tool) for tool in _TOOLS[backend])] or known


def _options(project: Project, board: Board, backend: Backend) -> ProjectOptions:
    """What a project for a board is written with: the board's part, clock and streams, the rest as in the project."""
    return board_options(board, project.options, backend)


def _check(options: ProjectOptions, board: Board, folder: Path) -> None:
    if options.part != board.part:
        raise ConfigError(
            f"{folder} is for {board.name} with part {options.part}, this {board.name} has part {board.part}: export "
            "it again"
        )
