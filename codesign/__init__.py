"""Co-design of quantised neural networks and fault-tolerant FPGA accelerators.

What a notebook or script needs can be imported from here. A name is loaded when it is first used, so that importing the
package takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codesign.board.boards import Board as Board
    from codesign.board.boards import board_names as board_names
    from codesign.board.boards import load_board as load_board
    from codesign.board.project import write_board_project as write_board_project
    from codesign.campaign.curve import Curve as Curve
    from codesign.campaign.curve import measure_curve as measure_curve
    from codesign.campaign.result import CampaignResult as CampaignResult
    from codesign.campaign.run import run_campaign as run_campaign
    from codesign.errors import CodesignError as CodesignError
    from codesign.errors import ConfigError as ConfigError
    from codesign.errors import MissingExtraError as MissingExtraError
    from codesign.errors import ToolError as ToolError
    from codesign.faults import FaultModel as FaultModel
    from codesign.faults import Lifetime as Lifetime
    from codesign.faults import Target as Target
    from codesign.fixed import FixedPoint as FixedPoint
    from codesign.fixed import Overflow as Overflow
    from codesign.fixed import Rounding as Rounding
    from codesign.fixed import quantise as quantise
    from codesign.fixed import to_real as to_real
    from codesign.hls.options import ProjectOptions as ProjectOptions
    from codesign.hls.project import write_project as write_project
    from codesign.network import Layer as Layer
    from codesign.network import Network as Network
    from codesign.network import Parameter as Parameter
    from codesign.network import forward as forward
    from codesign.protection import LayerPlan as LayerPlan
    from codesign.protection import Mechanism as Mechanism
    from codesign.protection import ProtectionPlan as ProtectionPlan
    from codesign.protection import selective_plan as selective_plan
    from codesign.report.page import write_report as write_report
    from codesign.resources.estimate import Estimate as Estimate
    from codesign.resources.estimate import estimate as estimate
    from codesign.resources.report import ResourceReport as ResourceReport
    from codesign.resources.synthesis import Synthesis as Synthesis
    from codesign.resources.synthesis import synthesise as synthesise
    from codesign.search.folder import RunFolder as RunFolder
    from codesign.search.optimise import Means as Means
    from codesign.search.optimise import optimise as optimise
    from codesign.steps import study_data as study_data
    from codesign.steps import study_faults as study_faults
    from codesign.steps import train_network as train_network
    from codesign.study import Study as Study
    from codesign.study import load_study as load_study
    from codesign.train.builder import Data as Data
    from codesign.train.convert import network_from_keras as network_from_keras
    from codesign.train.training import TrainedNetwork as TrainedNetwork
    from codesign.vulnerability import bit_vulnerability as bit_vulnerability
    from codesign.vulnerability import neuron_scores as neuron_scores
    from codesign.vulnerability.analysis import Analysis as Analysis
    from codesign.vulnerability.analysis import analyse as analyse

__version__ = "0.1.0"

_HOMES = {
    "codesign.board.boards": ("Board", "board_names", "load_board"),
    "codesign.board.project": ("write_board_project",),
    "codesign.campaign.curve": ("Curve", "measure_curve"),
    "codesign.campaign.result": ("CampaignResult",),
    "codesign.campaign.run": ("run_campaign",),
    "codesign.errors": ("CodesignError", "ConfigError", "MissingExtraError", "ToolError"),
    "codesign.faults": ("FaultModel", "Lifetime", "Target"),
    "codesign.fixed": ("FixedPoint", "Overflow", "Rounding", "quantise", "to_real"),
    "codesign.hls.options": ("ProjectOptions",),
    "codesign.hls.project": ("write_project",),
    "codesign.network": ("Layer", "Network", "Parameter", "forward"),
    "codesign.protection": ("LayerPlan", "Mechanism", "ProtectionPlan", "selective_plan"),
    "codesign.report.page": ("write_report",),
    "codesign.resources.estimate": ("Estimate", "estimate"),
    "codesign.resources.report": ("ResourceReport",),
    "codesign.resources.synthesis": ("Synthesis", "synthesise"),
    "codesign.search.folder": ("RunFolder",),
    "codesign.search.optimise": ("Means", "optimise"),
    "codesign.steps": ("study_data", "study_faults", "train_network"),
    "codesign.study": ("Study", "load_study"),
    "codesign.train.builder": ("Data",),
    "codesign.train.convert": ("network_from_keras",),
    "codesign.train.training": ("TrainedNetwork",),
    "codesign.vulnerability": ("bit_vulnerability", "neuron_scores"),
    "codesign.vulnerability.analysis": ("Analysis", "analyse"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'codesign' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
