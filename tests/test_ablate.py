"""The ablation: what each variant may decide, and the command that compares them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
from hypothesis import given, settings
from hypothesis import strategies as st

import codesign.cli as cli
from codesign.campaign.store import Store
from codesign.protection import ProtectionPlan
from codesign.report.ablation import ablation_text, plot_ablation
from codesign.search.ablate import claims, reference_widths
from codesign.search.evaluate import Evaluator
from codesign.search.space import Space
from codesign.search.variants import (
    ALGORITHM,
    ARCHITECTURE,
    CIRCUIT,
    DECIDES,
    LAYERS_OF,
    VARIANTS,
    check_space,
    unconstrained,
    variant,
)
from codesign.study import Study, load_study

BUDGET = ("[search]\n", "protection_budget = { low = 0.0, high = 0.6 }\n[search]\n")
WIDE = {"weight_bits": 6, "accumulator_bits": 0, "truncation": "builder"}
UNIFORM = st.lists(st.floats(0, 1), min_size=5, max_size=5)
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return studies.write_study(tmp_path_factory.mktemp("ablate"), BUDGET)


@pytest.fixture(scope="module")
def study(path: Path) -> Study:
    return load_study(path)


@pytest.fixture(scope="module")
def evaluator(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Store(tmp_path_factory.mktemp("store") / "study.sqlite") as store:
        yield Evaluator(study, store)


def ablate(path: Path, out: Path, *more: str) -> tuple[str, ...]:
    return ("--quiet", "ablate", str(path), "--evaluations", "4", "--out", str(out), *more)


@pytest.fixture(scope="module")
def document(path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two rates give, undisturbed."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert cli.run([*ablate(path, out, "--ber", "1e-3", "--ber", "3e-3")]) in (0, cli.UNMET)
    found = json.loads((out / "ablation.json").read_text())
    assert isinstance(found, dict)
    return found


# ---------------------------------------------------------------- variants


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_decides_what_its_layers_decide_and_nothing_else(study: Study, name: str) -> None:
    restricted = variant(study, name, WIDE)
    may = {key for layer in LAYERS_OF[name] for key in DECIDES[layer]}
    if {ARCHITECTURE, CIRCUIT} <= set(LAYERS_OF[name]):
        may.add("protection_budget")
    for variable in restricted.space.searched:
        assert variable.name in may and variable == getattr(study.space, variable.name)
    for key in WIDE.keys() - may:
        assert getattr(restricted.space, key).values == (WIDE[key],)
    if ALGORITHM in LAYERS_OF[name]:
        assert restricted.space.weight_bits == study.space.weight_bits


def test_all_layers_together_have_the_whole_space_and_each_pair_has_what_one_of_them_has(study: Study) -> None:
    assert variant(study, "cross_layer", WIDE).space == study.space
    searched = {name: {v.name for v in variant(study, name, WIDE).space.searched} for name in VARIANTS}
    assert searched["algorithm_circuit"] >= searched["algorithm_only"] | searched["circuit_only"]
    assert searched["algorithm_architecture"] >= searched["algorithm_only"] | searched["architecture_only"]
    assert not searched["unprotected"] and not searched["full_tmr"]
    assert all(searched[name] for name in VARIANTS[2:])


@settings(max_examples=10)
@given(unit=UNIFORM)
def test_plans_are_of_the_variants_kind(study: Study, evaluator: Evaluator, unit: list[float]) -> None:
    for name in VARIANTS:
        space = Space(variant(study, name, WIDE).space)
        design = space.design(space.decode(np.array(unit[: len(space.variables)])))
        assert design.weight_bits == 6 or ALGORITHM in LAYERS_OF[name]
        network, plan = evaluator.protected(design)
        for _, layer in network.compute_layers():
            bits, width = plan.hardened(layer), layer.acc.width
            if CIRCUIT not in LAYERS_OF[name]:
                assert set(bits.tolist()) <= {0, width}
            if ARCHITECTURE not in LAYERS_OF[name]:
                assert len(set(bits.tolist())) == 1
        if name == "unprotected":
            assert not any(layer.active for layer in plan.layers)
        if name in ("full_tmr", "algorithm_only"):
            assert plan.digest == ProtectionPlan.full(network).digest


def test_the_reference_is_the_cheapest_network_that_is_accurate_enough(tmp_path: Path) -> None:
    for wanted, bits in (("accuracy_clean = 0.9", 6), ("accuracy_clean = 0.1", 4)):
        path = studies.write_study(tmp_path / str(bits), ("accuracy_clean = 0.9", wanted))
        with Store(tmp_path / str(bits) / "study.sqlite") as store:
            found = reference_widths(Evaluator(load_study(path), store))
        assert found == {"weight_bits": bits, "accumulator_bits": 0, "truncation": "builder"}


def test_unconstrained_networks_have_every_width_and_the_loosest_bound(tmp_path: Path) -> None:
    change = ("[search]\n", "accumulator_bits = [12, 14]\nactivation_bits = [3, 5]\n[search]\n")
    found = list(unconstrained(load_study(studies.write_study(tmp_path, change, kept=False))))
    assert len(found) == 4
    assert {(f["weight_bits"], f["activation_bits"]) for f in found} == {(4, 3), (4, 5), (6, 3), (6, 5)}
    assert {f["accumulator_bits"] for f in found} == {14}


# ---------------------------------------------------------------- the command


def test_rows_have_the_contracts_keys_and_shares_of_the_reference(document: dict[str, Any]) -> None:
    rows = document["rows"]
    assert [(r["ber"], r["variant"]) for r in rows] == [(ber, name) for ber in (1e-3, 3e-3) for name in VARIANTS]
    for row in rows:
        assert {"variant", "ber", "seed", "feasible", "lut", "dsp", "protection_share", "accuracy_faulty"} <= set(row)
        assert {"mean", "low", "high", "confidence", "trials"} <= set(row["accuracy_faulty"])
        assert row["accuracy_faulty"]["trials"] == 100 and row["accuracy_faulty"]["seed"] != row["seed"]
        assert row["evaluations"] <= 4
        assert row["feasible"] == (not row["broken"])
        of = {r["variant"]: r for r in rows if r["ber"] == row["ber"]}
        plain, full = of["unprotected"]["lut"], of["full_tmr"]["lut"]
        assert row["protection_share"] == (row["lut"] - plain) / (full - plain)
        if row["design"]["weight_bits"] == of["unprotected"]["design"]["weight_bits"]:
            assert row["own_share"] == row["protection_share"]
    assert [r["protection_share"] for r in rows if r["variant"] in ("unprotected", "full_tmr")] == [0.0, 1.0] * 2
    assert not any(r["feasible"] for r in rows if r["variant"] == "unprotected")


def test_interrupted_it_goes_on_and_comes_to_the_same(
    path: Path, tmp_path: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    evaluate, calls = Evaluator.evaluate, []

    def tired(self: Evaluator, *given: Any, **options: Any) -> Any:
        if not options:  # those of the search; finalists have options
            calls.append(given)
            if len(calls) % 5 == 0:
                raise KeyboardInterrupt
        return evaluate(self, *given, **options)

    monkeypatch.setattr(Evaluator, "evaluate", tired)
    arguments = ablate(path, tmp_path, "--ber", "1e-3", "--json")
    codes = []
    while not codes or codes[-1] == cli.INTERRUPTED:
        codes.append(cli.run([*arguments]))
        assert len(codes) < 30
    assert len(codes) > 3
    found = json.loads(capsys.readouterr().out)
    wanted = [row for row in document["rows"] if row["ber"] == 1e-3]
    assert studies.without_seconds(found["rows"]) == studies.without_seconds(wanted)
    finished = sum(row["evaluations"] for row in found["rows"])
    assert len(calls) == finished + len(codes) - 1  # nothing that was finished is done again


@pytest.mark.slow
def test_workers_give_a_sequence_of_their_own_that_a_kill_does_not_change(path: Path, tmp_path: Path) -> None:
    """Evaluated side by side in whatever order, and cut off after each variant's first designs: the same in the end."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for out, evaluations in ((whole, "4"), (parts, "2"), (parts, "4")):
        options = ("--ber", "1e-3", "--workers", "2", "--evaluations", evaluations)
        assert cli.run([*ablate(path, out), *options]) in (0, cli.UNMET)
    found = [json.loads((out / "ablation.json").read_text()) for out in (whole, parts)]
    for one in found:
        for row in one["rows"]:
            row.pop("seconds")
    assert found[0] == found[1]


def test_each_seed_has_networks_and_rows_of_its_own_and_it_ends_with_1_if_all_layers_miss(
    tmp_path: Path, capsys: Captured
) -> None:
    hard = studies.write_study(tmp_path, BUDGET, ("accuracy_faulty = 0.9", "accuracy_faulty = 1.0"))
    studies.keep_networks(replace(load_study(hard), seed=6))
    options = ("--ber", "0.05", "--seeds", "2")
    assert cli.run([*ablate(hard, tmp_path / "run", *options), "--evaluations", "1"]) == cli.UNMET
    shown = capsys.readouterr().out
    assert "seed 6: no design of all layers meets the requirements" in shown and "ablation.svg" in shown
    assert {file.suffix for file in (tmp_path / "run").glob("ablation.*")} == {".json", ".svg", ".png"}
    rows = json.loads((tmp_path / "run" / "ablation.json").read_text())["rows"]
    assert [row["seed"] for row in rows] == [5] * len(VARIANTS) + [6] * len(VARIANTS)
    of = {row["seed"]: row["accuracy_faulty"]["seed"] for row in rows}
    assert of[5] + 1 == of[6]


def test_a_rate_that_needs_no_protection_is_told(path: Path, tmp_path: Path, capsys: Captured) -> None:
    assert cli.run([*ablate(path, tmp_path, "--ber", "1e-9"), "--evaluations", "1"]) == 0
    shown = capsys.readouterr().out
    assert "the rate is too low for a comparison" in shown and "- of circuit_only" in shown


def without(*lines: str) -> list[tuple[str, str]]:
    return [(line, "") for line in lines]


@pytest.mark.parametrize(
    ("changes", "more", "told"),
    [
        (without("accuracy_faulty = 0.9"), [], "[requirements] has no accuracy_faulty"),
        ([("ber = 1e-3", "n_flips = 3")], [], "[faults] has no ber: give --ber"),
        ([("weight_bits = [4, 6]", "weight_bits = 6")], [], "leaves the algorithm layer nothing to decide"),
        (without("important_fraction = { low = 0.0, high = 1.0 }"), [], "leaves the architecture layer nothing"),
        (without("hardened_bits_important = { low = 0, high = 16 }"), [], "leaves the circuit layer nothing"),
        ([], ["--ber", "0"], "--ber 0: expected a bit error rate above 0"),
        ([], ["--ber", "1.5"], "--ber 1.5: expected"),
        ([], ["--ber", "nan"], "--ber nan: expected"),
        ([("seed = 5", "seed = 4294967295")], ["--seeds", "2"], "--seeds 2: from the study's seed 4294967295"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: Captured, changes: list[tuple[str, str]], more: list[str], told: str
) -> None:
    path = studies.write_study(tmp_path, *changes, kept=False)
    assert cli.run(["ablate", str(path), "--out", str(tmp_path / "run"), *more]) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == "" and told in studies.refusal(err)
    assert not (tmp_path / "run").exists()


def test_a_whole_space_is_accepted(study: Study) -> None:
    check_space(study)


def test_the_bound_is_the_cheapest_design_that_meets_the_requirements(path: Path) -> None:
    script = Path(__file__).resolve().parent.parent / "benchmarks" / "ablation_bound.py"
    command = [sys.executable, str(script), str(path), "--levels", "5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["accuracy_faulty"]["low"] >= 0.9 and 0 < found["protection_lut"] < found["lut"]
    assert 1 < found["attacked"] < found["designs"] <= 2 * (1 + 16 + 5)


# ---------------------------------------------------------------- what is shown


def made_row(name: str, lut: int, own: int, feasible: bool = True, seed: int = 1) -> dict[str, Any]:
    accuracy = {"mean": 0.96, "low": 0.95, "high": 0.97}
    share, own_share = (lut - 1000) / 1000, own / 1000
    figures = {"dsp": 0, "latency_cycles": 9, "accuracy_clean": 0.97, "accuracy_faulty": accuracy, "lut": lut}
    named = {"variant": name, "ber": 1e-4, "seed": seed, "feasible": feasible}
    return {**named, **figures, "protection_share": share, "own_share": own_share}


ROWS = [
    made_row("unprotected", 1000, 0, feasible=False),
    made_row("full_tmr", 2000, 1000),
    made_row("architecture_only", 1100, 100, feasible=False),
    made_row("circuit_only", 1200, 200),
    made_row("cross_layer", 1050, 150),
]


def test_claims_compare_with_full_tmr_and_with_the_best_single_layer_that_holds() -> None:
    (claim,) = claims(ROWS)
    assert claim["unprotected_fails"] and claim["feasible"] and claim["best_single_layer"] == "circuit_only"
    assert claim["to_full_tmr"] == 0.05 and claim["own_to_full_tmr"] == 0.15
    assert claim["to_single_layer"] == 0.25 and claim["own_to_single_layer"] == pytest.approx(0.75)
    (failed,) = claims([{**row, "feasible": False} for row in ROWS])
    assert failed["best_single_layer"] is None and failed["to_full_tmr"] is None


def test_text_and_figure_tell_of_every_variant_and_are_repeatable(tmp_path: Path) -> None:
    rows = [*ROWS, *({**row, "seed": 2, "lut": row["lut"] + 100} for row in ROWS)]
    shown = {"rows": rows, "claims": claims(rows), "faults": {"ber": [1e-4]}, "requirements": {"accuracy_faulty": 0.95}}
    told = ablation_text(shown)
    assert "cross_layer" in told and "1100 (1050..1150)" in told and "2/2" in told
    assert "all layers cost 5.0% of full TMR and 25% of circuit_only; over the own network 15.0% and 75%" in told
    first = [file.read_bytes() for file in plot_ablation(shown, tmp_path / "one")]
    assert first == [file.read_bytes() for file in plot_ablation(shown, tmp_path / "two")]
    assert all(name.replace("_", " ").encode() in first[0] for name in ("full_tmr", "cross_layer"))
