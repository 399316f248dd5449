"""Curves, comparisons and AVF from the command line, and what they are allowed to be given."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
from hypothesis import given
from hypothesis import strategies as st

import codesign.campaign.task as task_module
import codesign.cli as cli
from codesign.campaign.compare import compare_results
from codesign.campaign.curve import measure_curve, parse_rates
from codesign.campaign.requirement import METRICS
from codesign.campaign.run import run_campaign
from codesign.campaign.statistics import mean_interval
from codesign.campaign.store import Store
from codesign.errors import ConfigError
from codesign.faults import FaultModel, Target
from codesign.hls.project import write_project
from codesign.protection import ProtectionPlan
from codesign.study import load_study
from codesign.train.builder import data

Captured = pytest.CaptureFixture[str]
NETWORK = studies.tiny_network("tiny", studies.WIDTHS[-1])
PLAN = ProtectionPlan.uniform(NETWORK, 6)
MODEL = FaultModel((Target.ACCUMULATOR,), ber=1e-3, seed=5)
FAULTS = ("--target", "accumulator", "--seed", "5")
EXAMPLE = Path(__file__).resolve().parent.parent / "models" / "fit_example.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, its widest network, two plans for it, a project, and the study's test set."""
    made = tmp_path_factory.mktemp("curve")
    samples = data(load_study(studies.write_study(made)))
    NETWORK.save(made / "net.npz")
    PLAN.save(made / "plan.json", NETWORK)
    ProtectionPlan.full(NETWORK).save(made / "full.json", NETWORK)
    np.savez(made / "data.npz", inputs=samples.test_inputs, labels=samples.test_labels)
    write_project(NETWORK, PLAN, made / "project")
    return made


def samples_of(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    found = np.load(folder / "data.npz")
    return found["inputs"], found["labels"]


def shown(captured: Captured, *arguments: str | Path) -> str:
    assert cli.run([*map(str, arguments)]) == 0
    out, err = captured.readouterr()
    assert err == ""
    return out


def document(captured: Captured, *arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shown(captured, *arguments, "--json"))
    return found


# ---------------------------------------------------------------- rates


@given(st.floats(1e-9, 1e-3), st.floats(1.1, 1e3), st.integers(2, 40))
def test_a_range_is_even_on_a_logarithmic_axis(low: float, factor: float, points: int) -> None:
    rates = parse_rates(f"{low!r}:{low * factor!r}:{points}")
    assert (rates[0], rates[-1]) == pytest.approx((low, low * factor), rel=1e-5)
    assert list(rates) == sorted(set(rates)) and len(rates) <= points
    if len(rates) == points:
        steps = np.diff(np.log(rates))
        assert steps == pytest.approx(math.log(factor) / (points - 1), abs=1e-5)


def test_rates_by_name() -> None:
    assert parse_rates("1e-6:1e-4:5") == (1e-6, 3.16228e-6, 1e-5, 3.16228e-5, 1e-4)
    assert parse_rates(" 1e-3, 1e-5,0,1e-3 ") == (0.0, 1e-5, 1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("often", "'often' is no number"),
        ("1e-6:1e-3", "'1e-6:1e-3' is no number; write a range as"),
        ("1e-3:1e-6:5", "expected 0 < low < high"),
        ("0:1e-3:5", "expected 0 < low < high"),
        ("1e-6:1e-3:1", "2 to 1000 points"),
        ("1e-6:2:3", "2 is outside 0..1"),
        ("1e-6,nan", "nan is outside 0..1"),
        ("1e-6,,1e-5", "'' is no number"),
    ],
)
def test_bad_rates_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="--ber") as error:
        parse_rates(text)
    assert said in str(error.value)


# ---------------------------------------------------------------- curves


def test_a_curve_is_campaigns_of_the_same_seed(folder: Path, tmp_path: Path) -> None:
    inputs, labels = samples_of(folder)
    told: list[int] = []
    with Store(tmp_path / "a.sqlite") as store:
        curve = measure_curve(
            *("tiny", NETWORK, PLAN, MODEL, inputs, labels, (1e-4, 1e-3)), trials=20, store=store, progress=told.append
        )
    assert told == sorted(told) and told[-1] == 40
    alone = run_campaign(NETWORK, PLAN, MODEL, inputs, labels, trials=20)
    assert curve.results[1] == alone
    assert curve.results[0].accuracy.mean > curve.results[1].accuracy.mean
    rows = curve.table()
    assert len(rows) == 2 * len(METRICS) and rows[len(METRICS)]["mean"] == alone.accuracy.mean


def test_the_command_writes_table_json_csv_and_plots(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    arguments = ("curve", folder / "tiny.toml", "--ber", "1e-4:1e-2:3", "--trials", "30", "--out", tmp_path / "run")
    found = document(capsys, *arguments)
    assert found == json.loads((tmp_path / "run" / "curve.json").read_text())
    assert found["ber"] == [1e-4, 1e-3, 1e-2] and found["trials"] == 30 and found["seed"] == 5
    [one] = found["curves"]
    assert one["network"] == NETWORK.digest and one["plan"] == ProtectionPlan().digest
    assert [point["ber"] for point in one["points"]] == found["ber"]
    assert all(set(METRICS) <= set(point) for point in one["points"])
    means = [point["accuracy"]["mean"] for point in one["points"]]
    assert means == sorted(means, reverse=True)
    rows = list(csv.DictReader((tmp_path / "run" / "curve.csv").read_text().splitlines()))
    assert len(rows) == 3 * len(METRICS)
    by_key = {(float(row["ber"]), row["metric"]): float(row["mean"]) for row in rows}
    assert [by_key[rate, "accuracy"] for rate in found["ber"]] == means
    svg, png = ((tmp_path / "run" / f"curve.{kind}").read_bytes() for kind in ("svg", "png"))
    assert b"bit error rate" in svg and png.startswith(b"\x89PNG")
    text = shown(capsys, *arguments)
    assert f"{1e-3:>10.6g}  {means[1]:.5f} [" in text and str(tmp_path / "run" / "curve.png") in text
    assert (tmp_path / "run" / "curve.svg").read_bytes() == svg  # the same figure, the same bytes


def test_finished_trials_are_not_run_again(
    folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (folder / "tiny.toml", "--trials", "20", "--out", tmp_path)
    first = document(capsys, "curve", *arguments)
    assert first["ber"] == [1e-4, 1e-3]  # the study's curve
    monkeypatch.setattr(task_module, "open_simulator", None)
    assert document(capsys, "curve", *arguments) == first
    again = document(capsys, "campaign", *arguments, "--verify", "0")  # at the study's 1e-3
    assert again["accuracy"] == first["curves"][0]["points"][1]["accuracy"]


def test_an_interrupted_curve_goes_on(
    folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (folder / "tiny.toml", "--ber", "1e-4,1e-3,1e-2", "--trials", "20", "--out", tmp_path / "a")
    with monkeypatch.context() as patch:
        opened = task_module.open_simulator

        def stops(*given: Any) -> Any:
            if len(calls) == 2:
                raise KeyboardInterrupt
            calls.append(given)
            return opened(*given)

        calls: list[Any] = []
        patch.setattr(task_module, "open_simulator", stops)
        assert cli.run(["curve", *map(str, arguments)]) == cli.INTERRUPTED
        capsys.readouterr()
        calls.clear()
        found = document(capsys, "curve", *arguments)
        assert len(calls) == 1  # only the last rate was missing
    assert found == document(capsys, "curve", *arguments[:-1], tmp_path / "b")


def test_designs_of_a_run_in_one_figure(finished_run: Path, tmp_path: Path, capsys: Captured) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    names = [f"{finished_run}:unprotected", str(finished_run), f"{finished_run}:0"]
    found = document(capsys, "curve", *names, "--out", tmp_path)
    assert [one["name"] for one in found["curves"]] == ["run:unprotected", "run", "run:0"]
    expected = [result["baselines"]["unprotected"], result["best"], result["evaluations"][0]]
    assert [(one["network"], one["plan"]) for one in found["curves"]] == [(e["network"], e["plan"]) for e in expected]
    assert found["ber"] == result["curve"]["ber"]
    for one, of in zip(found["curves"], ("unprotected", "chosen"), strict=False):
        assert [point["accuracy"] for point in one["points"]] == result["curve"][of]


def test_a_rate_of_zero_has_no_plot(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    found = document(capsys, "curve", folder / "tiny.toml", "--ber", "0", "--trials", "2", "--out", tmp_path)
    point = found["curves"][0]["points"][0]
    assert point["accuracy"]["mean"] == found["curves"][0]["accuracy_clean"]
    assert not (tmp_path / "curve.svg").exists() and (tmp_path / "curve.csv").exists()


# ---------------------------------------------------------------- comparisons


def test_a_paired_comparison_of_two_designs(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    inputs, labels = samples_of(folder)
    found = document(capsys, "compare", folder / "tiny.toml", folder / "plan.json", "--out", tmp_path)
    plain, protected = (
        run_campaign(NETWORK, plan, MODEL, inputs, labels, trials=50) for plan in (ProtectionPlan(), PLAN)
    )
    assert found["a"]["name"] == "tiny" and found["b"]["plan"] == PLAN.digest
    assert found["b"]["accuracy"] == protected.accuracy.to_json()
    gain = (protected.counts["correct"] - plain.counts["correct"]) / 120
    halved = mean_interval((gain + 1) / 2, 0.95)
    difference = found["difference"]["accuracy"]
    assert difference["mean"] == pytest.approx(gain.mean()) and difference["low"] > 0
    assert (difference["low"], difference["high"]) == pytest.approx((2 * halved.low - 1, 2 * halved.high - 1))
    assert set(found["difference"]) == set(METRICS)
    # The same faults: narrower than the two intervals are.
    assert difference["high"] - difference["low"] < found["a"]["accuracy"]["high"] - found["a"]["accuracy"]["low"] + (
        found["b"]["accuracy"]["high"] - found["b"]["accuracy"]["low"]
    )
    text = shown(capsys, "compare", folder / "tiny.toml", folder / "plan.json", "--out", tmp_path)
    assert f"{difference['mean']:+.5f} [{difference['low']:+.5f}, {difference['high']:+.5f}]" in text


def test_a_design_does_not_differ_from_itself_however_it_is_named(
    folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    on, more = ("--on", folder / "tiny.toml"), ("--out", tmp_path, "--trials", "20")
    for a, b in (("plan.json", "project"), ("project", "plan.json"), ("tiny.toml", "net.npz")):
        found = document(capsys, "compare", folder / a, folder / b, *on, *more)
        assert all(interval["mean"] == 0 for interval in found["difference"].values())
        assert found["a"]["plan"] == found["b"]["plan"] and found["a"]["network"] == NETWORK.digest
    saved = ("--data", folder / "data.npz", *FAULTS, "--ber", "1e-3", *more)
    alone = document(capsys, "compare", folder / "net.npz", folder / "full.json", *saved)
    assert alone["difference"]["accuracy"]["low"] > 0 and alone["seed"] == 5


def test_campaigns_of_other_faults_cannot_be_compared(folder: Path) -> None:
    inputs, labels = samples_of(folder)
    one = run_campaign(NETWORK, PLAN, MODEL, inputs, labels, trials=3)
    other = run_campaign(NETWORK, PLAN, FaultModel(MODEL.targets, ber=1e-4, seed=5), inputs, labels, trials=3)
    with pytest.raises(ConfigError, match="needs the same fault_model"):
        compare_results(one, other)
    with pytest.raises(ConfigError, match="needs the same trials: 3 and 2"):
        compare_results(one, run_campaign(NETWORK, PLAN, MODEL, inputs, labels, trials=2))


# ---------------------------------------------------------------- avf


def test_avf_of_a_study_and_of_the_project_alone(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    options = ("--target", "bias", "--target", "activation", "--margin", "0.1", "--fit", EXAMPLE)
    study = document(capsys, "avf", folder / "tiny.toml", *options, "--out", tmp_path / "a")
    assert study == json.loads((tmp_path / "a" / "avf.json").read_text())
    assert [group["target"] for group in study["targets"]] == ["bias", "activation"]
    assert {group["layer"] for group in study["layers"]} == {"first", "relu", "logits"}
    assert study["failures"]["fit"]["low"] <= study["failures"]["fit"]["mean"] <= study["failures"]["fit"]["high"]
    assert "NOT figures of any part" in study["failures"]["source"]
    rows = list(csv.DictReader((tmp_path / "a" / "avf.csv").read_text().splitlines()))
    assert len(rows) == len(study["cells"])
    assert [float(row["mean"]) for row in rows] == [cell["avf"]["mean"] for cell in study["cells"]]
    svg = (tmp_path / "a" / "avf.svg").read_bytes()
    assert b"bit position" in svg and (tmp_path / "a" / "avf.png").exists()
    text = shown(capsys, "avf", folder / "tiny.toml", *options, "--out", tmp_path / "a")
    assert "mean time to failure, years" in text and "activation relu" in text
    assert (tmp_path / "a" / "avf.svg").read_bytes() == svg
    seeded = (*options, "--seed", "5", "--data", folder / "data.npz", "--out", tmp_path / "b")
    project = document(capsys, "avf", folder / "project", *seeded)
    assert project["plan"] == PLAN.digest
    saved = document(capsys, "avf", folder / "net.npz", *seeded)
    assert {**saved, "name": "tiny"} == study


# ---------------------------------------------------------------- without the frameworks

WITHOUT = """
import sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "qkeras", "tensorflow_model_optimization"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuses())
from codesign.cli import main
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("curve", "project", "--ber", "1e-3", "--trials", "5"),
        ("compare", "project", "net.npz", "--ber", "1e-3", "--trials", "5"),
        ("avf", "net.npz", "--margin", "0.2"),
    ],
)
def test_without_tensorflow(arguments: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, *arguments, *FAULTS, "--data", "data.npz", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("curve", "none.toml"), "no study, run, project, network or plan 'none.toml'"),
        (("curve", "tiny.toml", "--ber", "often"), "'often' is no number"),
        (("curve", "net.npz", *FAULTS), "net.npz has no data of its own: --data"),
        (("curve", "net.npz", "--data", "data.npz"), "which bits flip? --target"),
        (("curve", "tiny.toml", "--data", "data.npz"), "--data: tiny.toml has data of its own"),
        (("curve", "net.npz", "--data", "plan.json", *FAULTS), "plan.json is no NPZ file with the arrays"),
        (("curve", "net.npz", "--data", "none.npz", *FAULTS), "no data file none.npz"),
        (("curve", "net.npz", "--data", "short.npz", *FAULTS), "short.npz, for net: labels must be 120 whole numbers"),
        (("curve", "empty"), "empty is neither a project nor a run folder"),
        (("curve", "empty:3"), "empty is neither a project nor a run folder"),
        (("curve", "plan.json", "--data", "data.npz", *FAULTS), "plan.json is a plan: name the study"),
        (("curve", "data.npz", "--data", "data.npz", *FAULTS), "data.npz is not a network file"),
        (("curve", "project", "--weight-bits", "4", *FAULTS), "--weight-bits and --activation-bits choose a study's"),
        (("compare", "net.npz", "full.json", "--data", "data.npz", *FAULTS), "how often do bits flip? --ber"),
        (("compare", "tiny.toml", "other/tiny.toml"), "have other faults"),
        (("compare", "tiny.toml", "full.json", "--on", "other.npz"), "a plan for another network"),
        (("avf", "tiny.toml", "--target", "wieght"), "unknown fault target 'wieght'"),
        (("avf", "tiny.toml", "--target", "voter"), "has no bits of voter under this plan"),
        (("avf", "tiny.toml", "--margin", "2"), "margin 2"),
        (("avf", "tiny.toml", "--outcome", "accuracy"), "unknown outcome 'accuracy'"),
        (("avf", "tiny.toml", "--fit", "none.toml"), "cannot read FIT table none.toml"),
        (("avf", "tiny.toml", "--fit", "weights.toml"), "weights.toml: [fit_per_bit] has no accumulator"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    np.savez("short.npz", inputs=samples_of(folder)[0], labels=np.zeros(7, int))
    studies.tiny_network("tiny", studies.WIDTHS[0]).save(Path("other.npz"))
    studies.write_study(folder / "other", ("ber = 1e-3", "ber = 1e-4"))
    Path("weights.toml").write_text("source = 'a test'\n[fit_per_bit]\nweight = 1e-4\n")
    assert cli.run([*arguments]) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == "" and said in studies.refusal(err)
    assert not (folder / "runs").exists()


def test_designs_of_a_run_that_do_not_exist(finished_run: Path, capsys: Captured) -> None:
    for name, said in (("99", "no design 99; there are 0.."), ("worst", "expected a design's number, best,")):
        assert cli.run(["compare", f"{finished_run}:{name}", str(finished_run)]) == cli.BAD_INPUT
        assert said in studies.refusal(capsys.readouterr().err)
