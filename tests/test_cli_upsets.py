"""The command `upsets`, and `resources --verify`: what they print and keep, and what they refuse."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies

import codesign.cli as cli
from codesign.engine.circuit import CircuitSimulator, Interrupted
from codesign.network import Layer, Network
from codesign.protection import Code, LayerPlan, ProtectionPlan
from codesign.resources import equivalence
from codesign.resources.upsets import CLASSES
from codesign.study import load_study
from codesign.train.builder import data

pytest.importorskip("pyosys", reason="Yosys is not installed: pip install 'codesign[yosys]'")
Captured = pytest.CaptureFixture[str]
AMOUNT = ("--singles", "1500", "--rate", "1e-4", "--rate", "1e-3", "--trials", "30", "--confidence", "0.9")


def narrow(reuse_factor: int = 1) -> Network:
    """A network that maps fast: the last layer of the tiny one."""
    network = studies.tiny_network("narrow", studies.WIDTHS[0])
    last = network.layers[-1]
    layer = Layer.dense("fc", last.weight, last.bias, last.acc, reuse_factor=reuse_factor)
    return Network("narrow", studies.INPUT, (layer,), (5,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved network, its plan, and samples."""
    made, network = tmp_path_factory.mktemp("upsets"), narrow()
    network.save(made / "narrow.npz")
    ProtectionPlan.full(network).save(made / "full.json", network)
    inputs = np.random.default_rng(0).integers(0, 32, (70, 5)) / 16
    np.savez(made / "data.npz", inputs=inputs, labels=np.arange(70) % 3)
    return made


def document(captured: Captured, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    assert cli.run([*map(str, arguments), "--json"]) == code
    out, err = captured.readouterr()
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    return found


def attacked(captured: Captured, folder: Path, out: Path, *more: str) -> dict[str, Any]:
    named = (folder / "narrow.npz", folder / "full.json", "--on", folder / "narrow.npz", "--data", folder / "data.npz")
    return document(captured, "upsets", *named, "--out", out, "--seed", "3", *AMOUNT, *more)


def test_figures_of_two_designs(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    found = attacked(capsys, folder, tmp_path)
    assert found == json.loads((tmp_path / "upsets.json").read_text())
    assert (found["seed"], found["confidence"], found["family"]) == (3, 0.9, "xc7")
    plain, full = found["designs"]
    for design in (plain, full):
        assert (design["samples"], design["cycles"]) == (70, 1)
        assert sum(design["singles"]["all"]["classes"][name]["mean"] for name in CLASSES) == pytest.approx(1)
        assert [point["trials"] for point in design["rates"]] == [30, 30]
    assert plain["singles"]["all"]["classes"]["corrected"]["mean"] == 0.0
    assert full["singles"]["all"]["classes"]["corrected"]["mean"] > 0.1
    assert full["singles"]["all"]["essential"]["high"] < plain["singles"]["all"]["essential"]["low"]
    rows = list(csv.DictReader((tmp_path / "upsets.csv").read_text().splitlines()))
    assert {row["cause"] for row in rows if row["design"] == "full"} >= {"function", "replicas", "voters", "status"}
    assert {row["kind"] for row in rows} == {"lut", "ff"}


def test_what_is_printed(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    named = (folder / "narrow.npz", "--data", folder / "data.npz", "--out", tmp_path, "--samples", "64")
    assert cli.run([*map(str, ("upsets", *named, *AMOUNT))]) == 0
    out, _ = capsys.readouterr()
    assert "netlist equals the network on 256 random inputs and 64 samples" in out
    assert "accuracy without upsets" in out and "intervals at 90%" in out


def test_interrupted_it_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    wanted = attacked(capsys, folder, tmp_path / "whole")
    run, struck = CircuitSimulator.run, []

    def interrupted(self: CircuitSimulator, trials: Any, *arguments: Any, **options: Any) -> Any:
        struck.append(len(trials))
        if len(struck) == 2:
            raise Interrupted(run(self, trials[: len(trials) // 2], *arguments, **options))
        return run(self, trials, *arguments, **options)

    monkeypatch.setattr(CircuitSimulator, "run", interrupted)
    named = (folder / "narrow.npz", folder / "full.json", "--on", folder / "narrow.npz", "--data", folder / "data.npz")
    assert cli.run([*map(str, ("upsets", *named, "--out", tmp_path / "cut", "--seed", "3", *AMOUNT))]) == 130
    capsys.readouterr()
    before = sum(struck)
    assert attacked(capsys, folder, tmp_path / "cut") == wanted
    total = sum(design["singles"]["drawn"] + 60 for design in wanted["designs"])
    assert sum(struck[2:]) == total - (before - struck[1]) - struck[1] // 2


def test_a_netlist_that_is_another_one_is_not_attacked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    circuit_of = equivalence.circuit_of

    def other(*arguments: Any, **options: Any) -> Any:
        mapped = circuit_of(*arguments, **options)
        circuit = mapped.circuit
        return replace(mapped, circuit=replace(circuit, outputs=circuit.outputs[:, ::-1].copy()))

    monkeypatch.setattr(equivalence, "circuit_of", other)
    for command in (
        ("upsets", folder / "narrow.npz", "--data", folder / "data.npz", "--out", tmp_path),
        ("resources", folder / "narrow.npz", "--source", "yosys", "--verify", "256"),
    ):
        assert cli.run([*map(str, command)]) == 2
        out, err = capsys.readouterr()
        assert "in the mapped netlist" in studies.refusal(err)
        assert out == ""


def test_resources_verified(folder: Path, capsys: Captured) -> None:
    of = ("resources", folder / "narrow.npz", "--source", "yosys")
    assert document(capsys, *of)["verified"] == 0
    assert document(capsys, *of, "--verify", "300")["verified"] == 300
    assert cli.run([*map(str, of), "--verify", "300"]) == 0
    assert "netlist equals the network on 300 input vectors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rate", "2"), "upset rate 2.0 is outside 0..1"),
        (("--family", "ice40"), "unknown family 'ice40', choose from xc7, xcup"),
        (("--seed", str(2**63)), "seed"),
        (("--confidence", "1.5"), "confidence"),
    ],
)
def test_what_cannot_be(arguments: tuple[str, str], said: str, folder: Path, tmp_path: Path, capsys: Captured) -> None:
    named = (folder / "narrow.npz", "--data", folder / "data.npz", "--out", tmp_path, "--singles", "500")
    assert cli.run([*map(str, ("upsets", *named, *arguments))]) == 2
    assert said in studies.refusal(capsys.readouterr().err)


def test_a_design_without_rtl_is_refused(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    network, code = narrow(reuse_factor=5), Code.PARITY
    network.save(tmp_path / "passes.npz")
    ProtectionPlan((LayerPlan("fc", (0, 0, 0), parameters=code),)).save(tmp_path / "parity.json", network)
    named = (tmp_path / "parity.json", "--on", tmp_path / "passes.npz", "--data", folder / "data.npz")
    assert cli.run([*map(str, ("upsets", *named, "--out", tmp_path))]) == 2
    assert "without a code" in studies.refusal(capsys.readouterr().err)


def test_of_a_study_the_board_says_the_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    study = studies.write_study(tmp_path)
    assert len(data(load_study(study)).test_labels) == 120
    found = document(capsys, "upsets", study, "--weight-bits", "4", "--out", tmp_path, *AMOUNT)
    assert (found["family"], found["seed"], found["designs"][0]["samples"]) == ("xcup", 5, 120)
