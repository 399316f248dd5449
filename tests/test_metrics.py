"""Figures of merit: laws of the metrics, and what a campaign measures of them."""

import json
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import studies
from hypothesis import given
from hypothesis import strategies as st

import codesign.cli as cli
from codesign.campaign.merit import merit_under_faults
from codesign.campaign.run import run_campaign
from codesign.errors import ConfigError
from codesign.faults import FaultModel, Target
from codesign.fixed import FixedPoint, Ints
from codesign.metrics import measure
from codesign.network import Layer, Network, Parameter, forward
from codesign.protection import ProtectionPlan

MODEL = FaultModel((Target.ACCUMULATOR,), ber=3e-3, seed=2)


@st.composite
def scored(draw: st.DrawFn) -> tuple[Ints, Ints]:
    """Logits of shape (trials, samples, 2), often equal ones, and labels of both classes."""
    trials, samples = draw(st.integers(1, 3)), draw(st.integers(2, 12))
    logits = draw(hnp.arrays(np.int64, (trials, samples, 2), elements=st.integers(-3, 3)))
    labels = np.array(draw(st.permutations([0, 1, *draw(st.lists(st.integers(0, 1), min_size=10))[: samples - 2]])))
    return logits, labels[:samples] if {0, 1} <= set(labels[:samples].tolist()) else np.arange(samples) % 2


@given(scored())
def test_auc_is_the_share_of_pairs_in_the_right_order(case: tuple[Ints, Ints]) -> None:
    logits, labels = case
    scores = logits[..., 1] - logits[..., 0]
    for row, found in zip(scores, measure("auc", logits, labels), strict=True):
        pairs = [(a > b) + (a == b) / 2 for a in row[labels == 1] for b in row[labels == 0]]
        assert found == pytest.approx(np.mean(pairs), abs=1e-12)
    assert measure("auc", logits, 1 - labels) == pytest.approx(1 - measure("auc", logits, labels), abs=1e-12)


@given(scored())
def test_accuracies(case: tuple[Ints, Ints]) -> None:
    logits, labels = case
    hits = logits.argmax(axis=-1) == labels
    assert measure("accuracy", logits, labels).tolist() == hits.mean(axis=1).tolist()
    classes = [hits[:, labels == label].mean(axis=1) for label in (0, 1)]
    assert measure("balanced_accuracy", logits, labels) == pytest.approx((classes[0] + classes[1]) / 2, abs=1e-12)
    # One figure for each set of logits, whatever is in front.
    assert measure("auc", logits[:, np.newaxis], labels).shape == (len(logits), 1)


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        (np.zeros((4, 3), int), [0, 1, 0, 1], "metric 'auc' is for two classes of which both occur, found 3 outputs"),
        (np.zeros((4, 2), int), [1, 1, 1, 1], "found 2 outputs and labels 1"),
    ],
)
def test_no_auc(logits: Ints, labels: list[int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        measure("auc", logits, labels)


# ---------------------------------------------------------------- under faults


def detector() -> tuple[Network, Ints, Ints]:
    """Two logits from four inputs; labels by a threshold, some of them wrong."""
    weight = Parameter(np.array([[0, 3], [0, 2], [0, -3], [0, 1]]), FixedPoint(4, 1))
    bias = Parameter(np.array([20, 0]), FixedPoint(8, 5))
    network = Network(
        "detector", FixedPoint(4, 4, signed=False), (Layer.dense("score", weight, bias, FixedPoint(16, 10)),)
    )
    raw = np.random.default_rng(3).integers(0, 16, (80, 4))
    logits = forward(network, raw)[-1]
    labels = (logits[:, 1] > logits[:, 0]).astype(np.int64)
    labels[::9] ^= 1
    return network, raw, labels


def test_without_faults_the_figure_is_the_clean_one() -> None:
    network, raw, labels = detector()
    clean = float(measure("auc", forward(network, raw)[-1], labels))
    none = FaultModel((Target.ACCUMULATOR,), ber=0.0, seed=2)
    found = merit_under_faults("auc", network, ProtectionPlan(), none, raw, labels, trials=5)
    assert 0.5 < clean < 1.0 and found.mean == clean


def test_every_simulator_measures_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """And batches change nothing; of hits, it is what the campaign counts."""
    network, raw, labels = detector()
    given: Any = (network, ProtectionPlan(), MODEL, raw, labels)
    engine = merit_under_faults("auc", *given, trials=12)
    assert merit_under_faults("auc", *given, trials=12, simulator="reference") == engine
    monkeypatch.setattr("codesign.campaign.merit._BATCH_BYTES", 80 * 2 * 8 * 5)
    told: list[int] = []
    assert merit_under_faults("auc", *given, trials=12, progress=told.append) == engine and told == [5, 10, 12]
    counted = run_campaign(*given, trials=12).accuracy
    assert merit_under_faults("accuracy", *given, trials=12).mean == pytest.approx(counted.mean, abs=1e-12)
    assert engine.low < engine.mean < engine.high


def test_a_campaign_prints_the_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = ('builder = "tiny.py"', 'builder = "tiny.py"\nmetric = "balanced_accuracy"')
    path, run = studies.write_study(tmp_path, change), str(tmp_path / "run")
    command = ["campaign", str(path), "--trials", "10", "--verify", "0", "--out", run]
    assert cli.run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == "balanced_accuracy"
    assert found["metric_faulty"]["low"] <= found["metric_faulty"]["mean"] <= found["metric_clean"] == 1.0
    assert found["accuracy"]["mean"] != found["metric_faulty"]["mean"]
    assert cli.run([*command, "--json", "--metric", "accuracy"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["metric_clean"], found["metric_faulty"]) == (found["accuracy_clean"], found["accuracy"])
    assert cli.run(command) == 0
    assert "balanced_accuracy under faults" in capsys.readouterr().out
    assert cli.run([*command, "--metric", "auc"]) == cli.BAD_INPUT
    assert "metric 'auc' is for two classes" in capsys.readouterr().err
    assert cli.run([*command, "--metric", "f1"]) == cli.BAD_INPUT
    assert "unknown metric 'f1', choose from accuracy, balanced_accuracy, auc" in capsys.readouterr().err
    assert cli.run(["train", str(path), "--out", run, "--json"]) == 0
    for row in json.loads(capsys.readouterr().out)["networks"]:
        assert row["metric"] == "balanced_accuracy" and row["taken_from"] is None
        assert 0 < row["metric_clean"] <= 1 and set(row) >= {
            "weight_bits",
            "accuracy_clean",
            "network",
            "file",
            "cached",
        }
