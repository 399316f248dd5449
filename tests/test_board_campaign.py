"""Fault campaigns on a board: what silicon can strike, the same as in simulation, and what is refused."""

import json
import os
import sys
from collections.abc import Iterator
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
from codesign.board.silicon import Run, outcomes, run_on_board
from codesign.board.virtual import virtual_board, virtual_package
from codesign.campaign.silicon import Silicon, refuse
from codesign.cli import run as codesign
from codesign.codes import Code
from codesign.errors import BoardError, ConfigError
from codesign.faults import FaultModel, FaultSite, Target, fault_array
from codesign.fixed import Ints
from codesign.hls.folder import Project
from codesign.hls.project import ProjectOptions, write_project
from codesign.network import Network, forward
from codesign.outcome import Outcome
from codesign.protection import LayerPlan, ProtectionPlan
from codesign.subject import save_samples

SLOTS, SAMPLES = 2, 20


def stored_network(last: int = 5) -> Network:
    """The small network with its weights in memories; with 1 as `last`, those of the last layer are not."""
    small = small_network()
    first, middle, second = small.layers
    return replace(small, layers=(replace(first, reuse_factor=2), middle, replace(second, reuse_factor=last)))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    network = stored_network()
    options = ProjectOptions("Vivado", axi_bits=32, board="pynq-z2", upset_slots=SLOTS)
    plan = ProtectionPlan((LayerPlan("fc1", (0,) * 3, parameters=Code.ECC),))  # so that some upsets are corrected
    return write_project(network, plan, tmp_path_factory.mktemp("stored") / "project", options)


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
    strike = Silicon(stored_network(1), ProtectionPlan(), SLOTS).strike(faults)
    assert not strike.possible
    with pytest.raises(ConfigError, match=f"trial 5: .*{message}"):
        refuse(5, strike)


def test_an_accelerator_without_slots_is_refused() -> None:
    with pytest.raises(ConfigError, match="no upset slots.*export it with them"):
        Silicon(stored_network(), ProtectionPlan(), 0)


# ---------------------------------------------------------------- the same as in simulation


def local(board: Accelerator, project: Project) -> Run:
    """Trials on a board that is not behind SSH, their outcome by way of the text that comes back over it."""

    def run(raw: Ints, settings: NDArray[np.uint32]) -> list[Outcome]:
        text = to_text(on_accelerator(board, raw, settings))
        return outcomes({"npz": text}, (len(settings), len(raw), project.network.n_out))

    return run


@pytest.mark.cxx
@pytest.mark.parametrize("ahead", [0, 40])
def test_the_board_gives_the_engines_logits_and_flags_in_every_trial(
    project: Project, raw: Ints, package: Package, ahead: int
) -> None:
    truth = forward(project.network, raw)[-1].argmax(axis=1)
    two = replace(WEIGHTS, n_flips=SLOTS)
    with virtual_board(ahead), Accelerator.load(package.folder) as board:
        done: list[int] = []
        found = run_on_board(project, two, raw, truth, 25, local(board, project), progress=done.append)
        assert found.differing == () and done == [20, 25]
        assert np.array_equal(found.board.counts, found.simulated.counts)
        assert found.board.counts["sdc1"].any() and found.board.counts["corrected"].any()
        shown = found.to_json()
        assert shown["simulator"] == "board" and shown["simulated"]["simulator"] == "engine" and shown["agree"]
        # Afterwards the slots are off.
        assert np.array_equal(board.predict_raw(raw), forward(project.network, raw)[-1])

        def wrong(raw: Ints, settings: NDArray[np.uint32]) -> list[Outcome]:
            """A board that raises a flag too many in trial 3."""
            found = local(board, project)(raw, settings)
            found[3] = replace(found[3], detected=~found[3].detected)
            return found

        found = run_on_board(project, two, raw, truth, 6, wrong)
        assert found.differing == (3,) and not found.to_json()["agree"] and "in 1 of 6 trials: 3" in found.verdict
        with pytest.raises(ConfigError, match="trial 0: 3 of its faults cannot be struck.*3 words at once"):
            run_on_board(project, replace(WEIGHTS, n_flips=3), raw, truth, 6, wrong)
        with pytest.raises(InputError, match="expected \\(trials, 2, 3\\)"):
            on_accelerator(board, raw, np.zeros((1, 3, 3), np.uint32))


@pytest.mark.parametrize("answer", [{}, {"npz": 3}, {"npz": "!"}, {"npz": "AAAA"}])
def test_an_answer_that_cannot_be_read_is_one_error(answer: dict[str, Any]) -> None:
    with pytest.raises(BoardError, match="answer cannot be read"):
        outcomes(answer, (1, 2, 3))


# ---------------------------------------------------------------- the commands, over SSH


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A board on loopback whose Python has the virtual board's device."""
    pytest.importorskip("paramiko", reason="needs paramiko: pip install 'codesign[board]'")
    import ssh_server

    kept = ("PATH", "CODESIGN_CACHE", "OMP_NUM_THREADS")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    serving = ssh_server.serve_known(tmp_path, monkeypatch, environment)
    python = tmp_path / "python"
    root = Path(__file__).resolve().parent.parent
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{root}" exec {sys.executable} -W ignore -m codesign.board.virtual "$@"\n'
    )
    python.chmod(0o755)
    yield ["--host", ssh_server.HOST, "--port", str(serving.port), "--user", "x", "--python", str(python), "--no-sudo"]
    serving.stop()


@pytest.mark.cxx
def test_deploy_and_campaign_on_the_virtual_board_over_ssh(
    project: Project, raw: Ints, package: Package, server: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = forward(project.network, raw)[-1].argmax(axis=1)
    save_samples(tmp_path / "data.npz", raw, truth)
    given = [
        "campaign",
        str(project.folder),
        "--data",
        str(tmp_path / "data.npz"),
        "--target",
        "weight",
        "--flips",
        "1",
    ]
    asked = [*given, "--trials", "8", "--simulator", "board", *server]
    assert codesign([*asked, "--json"]) == 2
    assert "`codesign deploy` puts it there" in capsys.readouterr().err

    assert codesign(["deploy", str(package.folder), *server, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["passed"] and shown["check"]["equal"] == SAMPLES and shown["check"]["self_test"]["passed"]

    assert codesign([*asked, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["simulator"] == "board" and shown["agree"] and shown["trials"] == 8
    assert codesign([*given, "--trials", "8", "--verify", "0", "--json", "--out", str(tmp_path / "run")]) == 0
    simulated = json.loads(capsys.readouterr().out)
    for key in ("correct_per_trial", "sdc1_per_trial", "corrected_per_trial", "network", "plan", "fault_model"):
        assert shown[key] == simulated[key]
    assert codesign(asked) == 0
    assert "the board gives the simulation's logits and flags in all 8 trials" in capsys.readouterr().out
    staged = [path.name for path in (tmp_path / "board" / "codesign").iterdir()]
    assert staged == [package.name]  # nothing is left behind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--simulator", "board"], "which one? --host NAME"),
        (["--host", "somewhere"], "--host goes with --simulator board"),
        (["--simulator", "board", "--host", "somewhere", "--workers", "2"], "--workers does not go with"),
        (["--simulator", "board", "--host", "somewhere", "--metric", "auc"], "--metric does not go with"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert codesign(["campaign", "nothing.toml", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_network_is_no_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = stored_network()
    network.save(tmp_path / "network.npz")
    save_samples(tmp_path / "data.npz", np.zeros((2, network.n_in), np.int64), np.zeros(2, np.int64))
    arguments = ["campaign", str(tmp_path / "network.npz"), "--data", str(tmp_path / "data.npz"), "--flips", "1"]
    assert codesign([*arguments, "--target", "weight", "--simulator", "board", "--host", "nowhere"]) == 2
    assert "takes a project's folder, not network: codesign export" in capsys.readouterr().err


def test_trials_of_another_network_are_refused(tmp_path: Path) -> None:
    class Model:
        network, plan = "a" * 64, "b" * 64

    arrays: dict[str, Any] = {"inputs": np.zeros((1, 1)), "settings": np.zeros((1, 1, 3))}
    np.savez(tmp_path / "trials.npz", network="a" * 64, plan="c" * 64, **arrays)
    with pytest.raises(InputError, match="another plan"):
        read_trials(str(tmp_path / "trials.npz"), Model())
