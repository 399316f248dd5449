"""The benchmarks run, are exact (they check that themselves) and keep what they print for machines."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def printed(script: str) -> dict[str, Any]:
    command = [sys.executable, str(FOLDER / script), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.cxx
@pytest.mark.slow
def test_engine_contract() -> None:
    cases = printed("engine.py")["cases"]
    assert [case["name"].split(",")[0] for case in cases] == 7 * ["MLP"] + ["CNN"]
    for case in cases:
        assert {"name", "trials_per_s", "peer", "peer_trials_per_s", "ratio", "share_of_peak"} <= case.keys()
        assert min(case["trials_per_s"], case["peer_trials_per_s"], case["ratio"], case["share_of_peak"]) > 0
        assert case["share_of_peak"] * case["peak_multiply_adds_per_s"] == pytest.approx(
            case["trials_per_s"] * case["multiply_adds_per_trial"], rel=0.5
        )


@pytest.mark.cxx
@pytest.mark.slow
@pytest.mark.tf
def test_csim_contract() -> None:
    projects = printed("csim.py")["projects"]
    assert [project["name"] for project in projects] == ["plain hls4ml", "unprotected", "six hardened bits", "full TMR"]
    assert all(project[key] > 0 for project in projects for key in ("compile_s", "samples_per_s", "samples_ratio"))


def test_growth_contract() -> None:
    rows = printed("growth.py")["rows"]
    assert [row["samples"] for row in rows] == [200, 100]
    for row in rows:
        assert min(row["open_s"], row["trials_s"], row["memory_bytes"]) > 0
        assert 0 < row["trials_with_changes"] <= row["trials"]


@pytest.mark.slow
def test_startup_contract() -> None:
    found = printed("startup.py")
    rows = {row["name"]: row for row in found["times"]}
    assert {"codesign --help", "codesign campaign --help", "codesign doctor", "import numpy"} <= set(rows)
    assert rows["import numpy"]["ratio"] == 1.0 and all(row["seconds"] > 0 for row in rows.values())
    sizes = {row["name"]: row for row in found["sizes"]}
    assert sizes["the wheel"]["bytes"] < sizes["the wheel, installed"]["bytes"] < sizes["what it depends on"]["bytes"]
    assert all(sizes[f"extra `{extra}`"]["packages"] for extra in ("train", "yosys", "dask", "search", "board", "docs"))


def test_store_contract() -> None:
    found = printed("store.py")
    names = ("append_first_s", "append_last_s", "open_s", "summary_s", "resume_s")
    assert all(found[name] > 0 for name in names)
    assert found["trials"] < found["bytes"] < 24 * found["trials"]


@pytest.mark.slow
def test_synthesis_contract() -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install pyosys")
    rows = printed("synthesis.py")["rows"]
    assert [row["copies"] for row in rows] == [0, 0, 6, 30]
    assert rows[0]["lut"] == rows[1]["lut"] < rows[2]["lut"] < rows[3]["lut"] and all(
        row["seconds"] > 0 and row["processor_s"] > 0 for row in rows
    )


def test_published_contract() -> None:
    found = printed("published.py")
    assert {row["design"].split(",")[0] for row in found["designs"]} == {"conv1d", "mlp", "dnd"}
    for row in found["designs"]:
        assert row["estimate_lut"] > 1000 and (row["dsp"] > 0) == (row["products_in"] == "DSPs")
        assert row["vivado"]["lut"] > 10_000 and row["mapped_lut"] is None


@pytest.mark.slow
def test_netlist_contract() -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install pyosys")
    found = printed("netlist.py")
    names = ["unprotected", "selective", "full TMR"]
    assert [row["design"] for row in found["speed"]] == [row["design"] for row in found["designs"]] == names
    assert all(row[name] > 0 for row in found["speed"] for name in ("lut_per_minute", "ff_per_minute"))
    for row in found["ranks"]:
        assert {"dense_0", "dense_1"} < row.keys()
        assert -1 <= row["all"]["low"] <= row["all"]["value"] <= row["all"]["high"] <= 1
    plain, _, full = found["designs"]
    assert plain["bits"] < full["bits"]
    assert full["number_sdc1"]["mean"] < plain["number_sdc1"]["mean"]


def test_imports_contract() -> None:
    """It also checks that no framework is imported."""
    rows = printed("imports.py")["rows"]
    assert [row["name"].split(" of ")[0] for row in rows] == ["Python itself", "imports", "gate", "gate"]
    assert all(row["seconds"] > 0 for row in rows)


@pytest.mark.slow
def test_sequential_contract() -> None:
    rows = printed("sequential.py")["rows"]
    assert {row["kind"] for row in rows} == {"clear", "close"}
    for row in rows:
        assert row["wrong"] <= 0.2 and row["saved"] == row["leveugle"] / row["sequential"]
        assert row["sequential_p90"] >= row["sequential"] and row["interval_once"] > 0
    assert min(row["saved"] for row in rows if row["kind"] == "clear") >= 2


def test_noisy_search_contract() -> None:
    rows = printed("noisy_search.py")["rows"]
    assert len(rows) == 2 * 2 * 3 and {row["problem"] for row in rows} == {"steep", "flat"}
    for row in rows:
        assert row["searches"] == 2 and row["missing"] <= row["returned"] <= 2
        assert (row["worst_points"] > 0) == (row["missing"] > 0) and 0 < row["trials_share"] <= 1
        if row["rule"] == "fresh":
            assert row["worst_points"] < 1


@pytest.mark.slow
def test_workers_contract() -> None:
    rows = printed("workers.py")["rows"]
    assert len(rows) == 2
    assert all(row[name] > 0 for row in rows for name in ("trials_per_s", "two_over_one", "possible"))


@pytest.mark.slow
def test_vulnerability_contract() -> None:
    rows = printed("vulnerability.py")["rows"]
    assert [row["score"] for row in rows][:2] == ["every flip", "final sums"] and rows[-1]["score"] == "random"
    costs = {row["score"]: row["ratio_by_neurons"] for row in rows}
    assert costs["every flip"] == 1 < costs["random"] and costs["measured"] <= 1.15
    for row in rows:
        assert set(row["correlations"]) == {"every flip", "final sums", "weights"}
        assert all(-1 <= c["low"] <= c["value"] <= c["high"] <= 1 for c in row["correlations"].values())


@pytest.mark.slow
@pytest.mark.tf
def test_training_contract() -> None:
    found = printed("training.py")
    free, bound = found["rows"]
    assert free["accumulator_bits"] == 0 and bound["accumulator_bits"] == 14
    assert max(bound["widths"]) <= 14 < max(free["widths"]) and bound["lut"] < free["lut"]
    assert found["saved"] == [1 - bound["protection_lut"] / free["protection_lut"]] and found["saved"][0] >= 0.3


@pytest.mark.slow
def test_search_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path))
    first = printed("search.py")["rows"]
    assert [row["searcher"] for row in first] == ["gp", "random"]
    for row in first:
        assert row["designs"] == 24 and row["excess"] >= 0 and 0 <= row["close"] <= row["seeds"] == 2
        assert row["adrs"] >= 0 and 0 < row["hypervolume"] <= 1
    kept = list((tmp_path / "benchmarks").iterdir())
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    again = printed("search.py")["rows"]  # from what was kept
    assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in first]
    assert kept[0].stat().st_mtime_ns == before
