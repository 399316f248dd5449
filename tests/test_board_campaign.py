"""Fault campaigns on a board: what silicon can strike, the same as in simulation, and what is refused."""

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_raw, small_network
from numpy.typing import NDArray

from codesign.board.package import Package
from codesign.board.runtime import Accelerator, InputError
from codesign.board.runtime import replay as on_accelerator
from codesign.board.runtime.replay import read_trials, to_text
from codesign.board.silicon import outcomes, run_on_board
from codesign.board.virtual import virtual_board, virtual_package
from codesign.campaign.silicon import PARTS, Silicon, refuse
from codesign.cli import run as codesign
from codesign.errors import BoardError, ConfigError
from codesign.faults import FaultModel, FaultSite, Target, fault_array
from codesign.fixed import Ints
from codesign.hls.folder import Project
from codesign.hls.project import ProjectOptions, write_project
from codesign.network import Network
from codesign.outcome import Outcome
from codesign.protection import ProtectionPlan
from codesign.subject import save_samples

SLOTS, SAMPLES = 2, 20


def stored_network() -> Network:
    """The small network with its weights in memories: two passes a layer, and one."""
    small = small_network()
    first, *rest = small.layers
    return replace(small, layers=(replace(first, reuse_factor=2), *rest))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    network = stored_network()
    options = ProjectOptions("Vivado", axi_bits=32, board="pynq-z2", upset_slots=SLOTS)
    return write_project(network, ProtectionPlan(), tmp_path_factory.mktemp("stored") / "project", options)


@pytest.fixture(scope="module")
def raw(project: Project) -> Ints:
    return random_raw(project.network.input_type, (SAMPLES, project.network.n_in), np.random.default_rng(3))


@pytest.fixture(scope="module")
def package(project: Project, raw: Ints, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return virtual_package(project, tmp_path_factory.mktemp("package"), raw)


WEIGHTS = FaultModel((Target.WEIGHT,), n_flips=1, seed=7)


# ---------------------------------------------------------------- what can be struck


def test_bits_of_one_word_share_a_slot_and_struck_twice_is_not_struck() -> None:
    network = stored_network()
    silicon = Silicon(network, ProtectionPlan(), SLOTS)
    bits = [FaultSite(0, Target.WEIGHT, 3, 2, bit=bit).at() for bit in (0, 4, 1, 1)]
    strike = silicon.strike(np.concatenate(bits))
    assert strike.possible and strike.settings.tolist() == [[1, 2 * 5 + 3, 0b10001], [0, 0, 0]]
    assert not silicon.strike(fault_array([])).settings.any()


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (FaultSite(0, Target.ACCUMULATOR, 1).at(0, 0), "target 'accumulator' are struck in simulation only"),
        (FaultSite(0, Target.BIAS, 1).at(), "take --target weight"),
        (FaultSite(2, Target.WEIGHT, 1).at(), "layer 'fc1' has its weights as constants in logic"),
        (np.concatenate([FaultSite(0, Target.WEIGHT, k).at() for k in range(3)]), "3 words at once"),
    ],
)
def test_what_silicon_cannot_strike_is_named_with_the_way_out(faults: Any, message: str) -> None:
    strike = Silicon(stored_network(), ProtectionPlan(), SLOTS).strike(faults)
    assert not strike.possible
    with pytest.raises(ConfigError, match=f"trial 5: .*{message}"):
        refuse(5, strike)


def test_an_accelerator_without_slots_is_refused() -> None:
    with pytest.raises(ConfigError, match="no upset slots.*export it with them"):
        Silicon(stored_network(), ProtectionPlan(), 0)


# ---------------------------------------------------------------- the same as in simulation


@pytest.mark.cxx
def test_the_board_gives_the_engines_logits_and_flags_in_every_trial(
    project: Project, raw: Ints, package: Package
) -> None:
    truth = np.zeros(SAMPLES, np.int64)
    model = replace(WEIGHTS, targets=(Target.WEIGHT,))
    network = project.network
    silicon = Silicon(network, project.plan, SLOTS)
    with virtual_board(), Accelerator.load(package.folder) as board:

        def run(raw: Ints, settings: NDArray[np.uint32]) -> list[Outcome]:
            text = to_text(on_accelerator(board, raw, settings))
            return outcomes({"npz": text}, (len(settings), len(raw), network.n_out))

        # Faults of the layer that has memories only.
        stored = [t for t in range(200) if _possible(project, silicon, model, t)]
        assert len(stored) > 50
        with pytest.raises(ConfigError, match="constants in logic"):
            run_on_board(project, model, raw, truth, 200, run)
        whole = replace(network, layers=network.layers)
        assert whole.digest == network.digest
        struck = _run_trials(project, model, raw, truth, stored[:25], run)
    assert struck == []


def _possible(project: Project, silicon: Silicon, model: FaultModel, trial: int) -> bool:
    return silicon.strike(_drawn(project, model, trial)).possible


def _drawn(project: Project, model: FaultModel, trial: int) -> Any:
    from codesign.faults import FaultSpace

    return FaultSpace(project.network, project.plan, model, SAMPLES).draw(trial)


def _run_trials(project: Project, model: FaultModel, raw: Ints, truth: Ints, trials: list[int], run: Any) -> list[int]:
    """Trials whose outcome on the board is not the engine's."""
    from codesign.campaign.simulators import open_simulator

    silicon = Silicon(project.network, project.plan, SLOTS)
    engine = open_simulator("engine", project.network, project.plan, raw)
    lists = [_drawn(project, model, trial) for trial in trials]
    found = run(raw, np.stack([silicon.strike(faults).settings for faults in lists]))
    wanted = [engine.outcome(faults) for faults in lists]
    assert any(not np.array_equal(one.logits, wanted[0].logits) for one in wanted)  # the faults show
    return [t for t, a, b in zip(trials, found, wanted, strict=True) if not np.array_equal(a.logits, b.logits)]
