"""The engines that can be measured, through their Python API."""

from typing import Protocol

import numpy as np
from digits import Task

from codesign.engine.fast import EngineSimulator
from codesign.errors import CodesignError
from codesign.faults import FaultArray, FaultModel, FaultSpace, Target
from codesign.fixed import Ints
from codesign.protection import ProtectionPlan


class Engine(Protocol):
    """Runs campaigns on one task and gives the right answers and changed top classes of each trial, (trials, 2)."""

    name: str

    def run(self, faults: FaultArray) -> Ints: ...

    def campaign(self, model: FaultModel, trials: int) -> Ints: ...

    def each(self, faults: FaultArray) -> Ints:
        """One trial a fault."""
        ...


def open_engine(task: Task, plan: ProtectionPlan) -> Engine:
    """The compiled engine, or where it is not built the one in NumPy."""
    try:
        return Compiled(task, plan)
    except (ImportError, CodesignError):
        return Interpreted(task, plan)


def plan_for(model: FaultModel, task: Task) -> ProtectionPlan:
    """None, but for voters' outputs: only a hardened neuron has a voter. There they are its final sums."""
    return ProtectionPlan.full(task.network) if Target.VOTER in model.targets else ProtectionPlan()


class Compiled:
    """The C++ engine: a campaign is one call, on one thread unless told otherwise."""

    name = "compiled"

    def __init__(self, task: Task, plan: ProtectionPlan) -> None:
        from codesign.engine.compiled import NativeEngine

        self._task, self._plan = task, plan
        self._engine = NativeEngine(task.network, plan, task.inputs)
        self.name = f"compiled ({self._engine.kernels})"

    def run(self, faults: FaultArray) -> Ints:
        return self._engine.run(faults)

    def campaign(self, model: FaultModel, trials: int, threads: int = 1) -> Ints:
        space = FaultSpace(self._task.network, self._plan, model, len(self._task.inputs))
        counts = self._engine.run_campaign(space, self._task.labels, range(trials), threads=threads)
        return np.stack([counts.rows["correct"], counts.rows["sdc1"]], axis=1)

    def each(self, faults: FaultArray) -> Ints:
        counts = self._engine.run_lists(faults, self._task.labels)
        return np.stack([counts.rows["correct"], counts.rows["sdc1"]], axis=1)


class Interpreted:
    """The engine in NumPy, which runs trial by trial."""

    name = "NumPy"

    def __init__(self, task: Task, plan: ProtectionPlan) -> None:
        self._task, self._plan = task, plan
        self._engine = EngineSimulator(task.network, plan, task.inputs)
        self._top = self._engine.golden.argmax(axis=1)

    def run(self, faults: FaultArray) -> Ints:
        return self._engine.run(faults)

    def campaign(self, model: FaultModel, trials: int) -> Ints:
        space = FaultSpace(self._task.network, self._plan, model, len(self._task.inputs))
        return np.array([self._count(space.draw(trial)) for trial in range(trials)])

    def each(self, faults: FaultArray) -> Ints:
        return np.array([self._count(faults[k : k + 1]) for k in range(len(faults))])

    def _count(self, faults: FaultArray) -> tuple[int, int]:
        top = self._engine.run(faults).argmax(axis=1)
        return int((top == self._task.labels).sum()), int((top != self._top).sum())
