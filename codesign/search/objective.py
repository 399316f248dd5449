"""What the study's objective makes of a design's resources."""

from codesign.board.boards import Board
from codesign.resources.report import ResourceReport
from codesign.study import ObjectiveSection

_ON_BOARD = ("lut", "ff", "dsp", "bram_18k")


def cost_of(report: ResourceReport, objective: ObjectiveSection, board: Board, energy_proxy: float = 0.0) -> float:
    """The sum of the resources by their weights; with `scarcest` the largest share of the board, in its LUTs.

    `energy_proxy`: bit changes an inference (`search.energy`). A report that does not give a figure is taken for one
    without that resource.
    """
    used: dict[str, float] = {name: getattr(report, name) or 0 for name in (*_ON_BOARD, "latency_cycles")}
    weights: dict[str, float] = {name: getattr(objective, name) for name in used}
    if objective.scarcest:
        # Whatever the board does not have makes a design infeasible; here it only has to cost more than anything else.
        there = {name: getattr(board, name) for name in _ON_BOARD}
        share: float = max(used[name] / there[name] if there[name] else float(used[name]) for name in _ON_BOARD)
        return share * board.lut + weights["latency_cycles"] * used["latency_cycles"]
    return float(sum(weights[name] * used[name] for name in used)) + objective.energy * energy_proxy
