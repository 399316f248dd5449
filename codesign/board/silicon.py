"""Fault campaigns on a board: the trials of a campaign, struck in its accelerator and in simulation, side by side."""

import base64
import binascii
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.board.deploy import FOLDER, Way, home, privileges, run_runtime
from codesign.board.package import package_name
from codesign.board.ssh import Link
from codesign.campaign.requirement import Requirement
from codesign.campaign.result import CampaignResult
from codesign.campaign.silicon import Silicon, refuse
from codesign.campaign.simulators import open_simulator
from codesign.engine.counts import COUNTS, count
from codesign.errors import BoardError, ConfigError
from codesign.faults import FaultModel, FaultSpace
from codesign.fixed import Ints
from codesign.hls.folder import Project
from codesign.network import forward
from codesign.outcome import Outcome

# Trials of one call of the board's runtime: a progress bar that moves, and output of some megabytes.
_TRIALS = 20
_SECONDS_A_TRIAL = 30.0
_TRIALS_FILE = "trials.npz"

Run = Callable[[Ints, NDArray[np.uint32]], list[Outcome]]


@dataclass(frozen=True, eq=False)
class OnBoard:
    """The board's result, the simulated one of the same trials, and the trials whose logits or flags differ."""

    board: CampaignResult
    simulated: CampaignResult
    differing: tuple[int, ...]

    @property
    def verdict(self) -> str:
        """Do the two agree, in one line."""
        if not self.differing:
            return f"the board gives the simulation's logits and flags in all {self.board.trials} trials"
        shown = ", ".join(map(str, self.differing[:10]))
        return f"the board differs from the simulation in {len(self.differing)} of {self.board.trials} trials: {shown}"

    def to_json(self) -> dict[str, Any]:
        whole = self.simulated.to_json()
        simulated = {key: whole[key] for key in ("simulator", "accuracy", "sdc1", "outcomes")}
        joined = {"simulated": simulated, "differing_trials": list(self.differing)}
        return {**self.board.to_json(), **joined, "agree": not self.differing}


def run_on_board(
    project: Project,
    model: FaultModel,
    raw: Ints,
    truth: Ints,
    trials: int,
    run: Run,
    *,
    confidence: float = 0.95,
    requirements: Sequence[Requirement] = (),
    progress: Callable[[int], None] | None = None,
) -> OnBoard:
    """Strike the trials 0 to `trials` - 1 through `run` and on the engine; see `remote` for a `run`.

    Raises ConfigError, before the board is asked for anything, naming the first fault that silicon cannot strike and
    what to do about it.
    """
    network, plan = project.network, project.plan
    silicon = Silicon(network, plan, project.options.upset_slots)
    space = FaultSpace(network, plan, model, len(raw))
    lists = [space.draw(trial) for trial in range(trials)]
    strikes = [silicon.strike(faults) for faults in lists]
    for trial, strike in enumerate(strikes):
        refuse(trial, strike)
    golden, engine = forward(network, raw)[-1], open_simulator("engine", network, plan, raw)
    rows: tuple[list[Any], list[Any]] = ([], [])
    differing = []
    for first in range(0, trials, _TRIALS):
        settings = np.stack([strike.settings for strike in strikes[first : first + _TRIALS]])
        for trial, outcome in enumerate(run(raw, settings), start=first):
            ours = engine.outcome(lists[trial])
            if not _equal(outcome, ours):
                differing.append(trial)
            for kept, one in zip(rows, (outcome, ours), strict=True):
                kept.append(count(one, golden, truth))
        if progress:
            progress(len(rows[0]))
    clean = float((golden.argmax(axis=1) == truth).mean())
    board, simulated = (
        CampaignResult(
            simulator=name,
            seed=model.seed,
            samples=len(raw),
            accuracy_clean=clean,
            counts=np.array(found, COUNTS),
            confidence=confidence,
            requirements=tuple(requirements),
            network=network.digest,
            plan=plan.digest,
            fault_model=model.digest,
        )
        for name, found in zip(("board", "engine"), rows, strict=True)
    )
    return OnBoard(board, simulated, tuple(differing))


def _equal(one: Outcome, other: Outcome) -> bool:
    pairs = ((one.logits, other.logits), (one.corrected, other.corrected), (one.detected, other.detected))
    return all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def remote(project: Project, link: Link, way: Way) -> Run:
    """Runs trials on a board that has the project's package. Raises ConfigError for a project of no board."""
    board = project.options.board
    if board is None:
        raise ConfigError(f"{project.folder} is for no board: export it with --board, build and deploy it")
    installed = f"{home(link)}/{FOLDER}/{package_name(project.network.name, board)}"
    if link.run(["test", "-f", f"{installed}/package.json"]).exit:
        raise BoardError(f"{link.target}: no package {installed}: `codesign deploy` puts it there")
    prefix = privileges(link, way)
    digests = {"network": project.network.digest, "plan": project.plan.digest}

    def run(raw: Ints, settings: NDArray[np.uint32]) -> list[Outcome]:
        with tempfile.TemporaryDirectory(prefix="codesign-") as name:
            np.savez_compressed(Path(name) / _TRIALS_FILE, inputs=raw, settings=settings, **digests)
            staged = link.stage(Path(name), f"{home(link)}/{FOLDER}/trials")
        try:
            arguments = ["replay", "--json", "--inputs", f"{staged}/{_TRIALS_FILE}"]
            seconds = 60 + _SECONDS_A_TRIAL * len(settings)
            _, answer = run_runtime(link, installed, arguments, way, prefix, seconds)
        finally:
            link.remove(staged)
        return outcomes(answer, (len(settings), len(raw), project.network.n_out))

    return run


def outcomes(answer: dict[str, Any], shape: tuple[int, int, int]) -> list[Outcome]:
    """What the runtime's answer holds: logits of this shape (trials, samples, n_out). Raises BoardError."""
    try:
        data = io.BytesIO(base64.b64decode(answer["npz"], validate=True))
        with np.load(data, allow_pickle=False) as found:
            arrays = [found[name] for name in ("logits", "corrected", "detected")]
    except (KeyError, TypeError, ValueError, EOFError, binascii.Error, OSError) as error:
        raise BoardError(f"the board's answer cannot be read: {error}") from None
    if [array.shape for array in arrays] != [shape, shape[:2], shape[:2]]:
        raise BoardError(f"the board answers with {arrays[0].shape} logits, expected {shape}")
    return [Outcome(*one) for one in zip(*arrays, strict=True)]
