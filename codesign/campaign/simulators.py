"""The simulators of fault lists, by name."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, Protocol, get_args

from codesign.engine.compiled import open_engine
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ToolError, one_of
from codesign.faults import FaultArray
from codesign.fixed import Ints
from codesign.network import Network
from codesign.outcome import Outcome
from codesign.protection import ProtectionPlan

SimulatorName = Literal["engine", "csim", "reference"]
SIMULATORS: tuple[SimulatorName, ...] = get_args(SimulatorName)


class Simulator(Protocol):
    """Gives the logits of its evaluation set under a fault list, shape (n_samples, n_out), or the flags, too."""

    name: str

    def run(self, faults: FaultArray) -> Ints: ...

    def outcome(self, faults: FaultArray) -> Outcome: ...


def open_simulator(name: SimulatorName, network: Network, plan: ProtectionPlan, raw: Ints) -> Simulator:
    """The simulator of that name; `csim` writes and compiles a project of its own (cached)."""
    if one_of("simulator", name, SIMULATORS) == "engine":
        return open_engine(network, plan, raw)
    if name == "reference":
        return ReferenceSimulator(network, plan, raw)
    require_writer()
    from codesign.hls.csim import CsimSimulator
    from codesign.hls.project import write_project

    with tempfile.TemporaryDirectory(prefix="codesign-") as folder:
        return CsimSimulator(write_project(network, plan, Path(folder) / "project"), raw)


def require_compiler(what: str, otherwise: str) -> None:
    """Raise ToolError, before any work is done, where the csim that `what` needs cannot be compiled."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ToolError(
            f"{what} needs g++ for the csim, and there is no C++ compiler '{compiler}': install g++ "
            f"(Debian: apt-get install g++), set CXX, or {otherwise}",
            [compiler],
        )


def require_writer() -> None:
    """Raise ToolError where the project of a csim cannot be written. Imports hls4ml, which takes a while."""
    try:
        import codesign.hls.project  # noqa: F401
    except ModuleNotFoundError as error:
        raise ToolError(
            f"the csim's project is written by hls4ml, and the module {error.name} is missing: install hls4ml, "
            "or leave the csim out (--simulator engine --verify 0)",
            ["hls4ml"],
        ) from None
