"""`codesign trials`: what a store holds, as a list and as one row a trial."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import SAMPLES, STUDY, key, numbered

import codesign.cli as cli
from codesign.campaign.export import Kept, export_trials
from codesign.campaign.store import Store
from codesign.engine.counts import COUNTS
from codesign.errors import ConfigError

OLD = np.dtype([("correct", "<i4"), ("sdc1", "<i4")])
BATCHES = {"a": ((0, 300), (300, 5000), (5200, 5300)), "b": ((0, 4), (2, 7))}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with campaigns 'a' (with a gap), 'b', and 'old', which has counted less."""
    with Store(tmp_path / "study.sqlite", STUDY) as store:
        for name, batches in BATCHES.items():
            for first, end in batches:
                store.add_batch(key(name), first, numbered(range(first, end)))
        store.add_batch(key("old", columns=OLD.names), 0, np.array([(4, 1), (5, 2)], OLD))
    return tmp_path


def expected() -> list[dict[str, Any]]:
    """The rows of an export; None where nothing was counted."""
    found: list[dict[str, Any]] = []
    for name, batches in BATCHES.items():
        for trial in sorted({trial for first, end in batches for trial in range(first, end)}):
            counts = dict.fromkeys(COUNTS.names or (), trial)
            found += [{"campaign": key(name).digest, "trial": trial, **counts}]
    for trial, (correct, sdc1) in enumerate([(4, 1), (5, 2)]):
        some = {**dict.fromkeys(COUNTS.names or ()), "correct": correct, "sdc1": sdc1}
        found += [{"campaign": key("old", columns=OLD.names).digest, "trial": trial, **some}]
    return found


def codesign(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli.run(["trials", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli.run(["trials", *map(str, arguments)]) == cli.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_csv_has_every_trial_once(run: Path) -> None:
    with Store(run / "study.sqlite", reading=True) as store:
        assert export_trials(store, run / "trials.csv") == len(expected())
    with (run / "trials.csv").open(newline="") as file:
        rows = [{**row} for row in csv.DictReader(file)]
    assert rows == [{name: "" if v is None else str(v) for name, v in row.items()} for row in expected()]


def test_parquet_has_every_trial_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not there: pip install 'codesign[parquet]'")
    from pyarrow import parquet

    monkeypatch.setattr("codesign.campaign.export._GROUP", 1000)
    with Store(run / "study.sqlite", reading=True) as store:
        assert export_trials(store, run / "trials.parquet") == len(expected())
        keys = store.campaigns()
    table = parquet.read_table(run / "trials.parquet")
    assert table.to_pylist() == expected()
    assert [str(t) for t in table.schema.types] == ["string", "int64", *len(COUNTS) * ["int32"]]
    documents = json.loads(table.schema.metadata[b"codesign"])
    assert documents == {key.digest: json.loads(key.text) for key in keys}
    assert parquet.ParquetFile(run / "trials.parquet").num_row_groups == 2


def test_a_store_without_trials_is_an_empty_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(tmp_path / "study.sqlite").close()
    out = tmp_path / "trials.csv"
    assert codesign(capsys, tmp_path, "--out", out) == f"{tmp_path}/study.sqlite has no trials\n0 rows: {out}\n"
    assert out.read_text() == "campaign,trial\n"


def test_sums_count_every_trial_once(run: Path) -> None:
    with Store(run / "study.sqlite", reading=True) as store:
        kept = Kept.of(store, key("b"))
    assert kept == Kept(key("b"), 7, dict.fromkeys(COUNTS.names or (), sum(range(7))))
    assert kept.rate("silent") == sum(range(7)) / (7 * SAMPLES)


def test_campaigns_are_listed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "study.sqlite").read_bytes()
    lines = codesign(capsys, run).splitlines()
    assert lines[0] == (
        f"{key('a').digest[:16]}  5100 trials of 1000000 samples: correct 0.00255, sdc1 0.00255; engine, "
        "network net a, plan p, weight+accumulator, ber 0.001, transient, seed 7"
    )
    assert [line.split()[1] for line in lines] == ["5100", "7", "2"]
    document = json.loads(codesign(capsys, run, "--json", "--out", run / "t.csv"))
    assert (document["rows"], document["file"]) == (len(expected()), str(run / "t.csv"))
    assert [c["campaign"] for c in document["campaigns"]] == list(dict.fromkeys(row["campaign"] for row in expected()))
    assert document["campaigns"][1]["totals"]["sdc5"] == sum(range(7))
    assert document["campaigns"][2]["columns"] == ["correct", "sdc1"]
    assert document["campaigns"][0]["fault_model"]["ber"] == 1e-3
    assert (run / "study.sqlite").read_bytes() == before


def test_what_cannot_be_written_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "file").write_text("kept")
    assert "name that ends in .parquet or .csv" in refused(capsys, run, "--out", run / "trials.xlsx")
    assert f"cannot write {run / 'file' / 't.csv'}" in refused(capsys, run, "--out", run / "file" / "t.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "the extra 'parquet'" in refused(capsys, run, "--out", run / "trials.parquet")
    assert sorted(path.name for path in run.iterdir()) == ["file", "study.sqlite"]


def test_a_folder_without_a_store_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "none"):
        assert f"{path} keeps no trials" in refused(capsys, path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_batch_leaves_the_file_that_was_there(run: Path) -> None:
    out = run / "trials.csv"
    out.write_text("kept")
    with Store(run / "study.sqlite") as store:
        store._db.rows("update batch set crc = crc + 1 where first = 5200")
        with pytest.raises(Exception, match="is damaged .batch of 100 trials from 5200 "):
            export_trials(store, out)
        with pytest.raises(ConfigError):
            export_trials(store, out.with_suffix(".txt"))
    assert out.read_text() == "kept" and len(list(run.iterdir())) == 2
