"""The store: what it is given it gives back, however it was cut, shared, interrupted or damaged."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import kept, key, numbered

from codesign.campaign.store import Store
from codesign.engine.counts import COUNTS
from codesign.errors import StoreError

STUDY, OTHER = {"name": "a", "faults.ber": 3e-05}, {"name": "a", "faults.ber": 1e-04}


def test_batches_that_overlap_count_once(tmp_path: Path) -> None:
    """Two processes on one campaign cut it differently."""
    with Store(tmp_path / "study.sqlite") as store:
        for first, end in ((0, 5), (3, 9), (4, 7), (9, 10), (12, 20)):
            store.add_batch(key(), first, numbered(range(first, end)))
        assert kept(store)["correct"].tolist() == list(range(10))


def test_batches_and_evaluations_are_given_back(tmp_path: Path) -> None:
    with Store(tmp_path / "study.sqlite", STUDY) as store:
        assert list(store.batches(key())) == []
        store.add_batch(key(), 0, np.array([(3, 0), (1, 2)], COUNTS))
        store.add_batch(key(), 2, np.array([(4, 5)], COUNTS))
        store.add_batch(key("other"), 0, np.array([(9, 9)], COUNTS))
        store.add_evaluation("search", 1, {"b": 0.1, "a": [1, None]})
        store.add_evaluation("search", 0, {"c": "é"})
        store.add_evaluation("baseline", 0, {})
    with Store(tmp_path / "study.sqlite", STUDY) as store:
        assert kept(store).tolist() == [(3, 0), (1, 2), (4, 5)]
        assert store.evaluations("search") == [{"c": "é"}, {"b": 0.1, "a": [1, None]}]
        assert store.evaluations("none") == []


def test_seconds_add_up(tmp_path: Path) -> None:
    with Store(tmp_path / "study.sqlite") as store:
        assert (store.spent_seconds(), store.spent_seconds(1.5), store.spent_seconds(2.0)) == (0.0, 1.5, 3.5)
    with Store(tmp_path / "study.sqlite") as store:
        assert store.spent_seconds() == 3.5


def filled(path: Path) -> Path:
    """A store with many batches, as study 'a' left it."""
    with Store(path, STUDY) as store:
        store._db.execute("begin")  # one transaction, for speed alone
        for number in range(200):
            store.add_batch(key(), 25 * number, numbered(range(25)))
            store.add_evaluation("search", number, {"n": number})
        store._db.execute("commit")
    return path


def read_all(path: Path, study: dict[str, Any] | None) -> None:
    with Store(path, study) as store:
        list(store.batches(key()))
        store.evaluations("search")


def refused(path: Path, study: dict[str, Any] | None = None) -> str:
    """The one line with which a file is refused; the folder stays as it was."""
    before = {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}
    with pytest.raises(StoreError) as error:
        read_all(path, study)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()} == before
    return str(error.value)


@pytest.mark.parametrize("content", [b"not a database\n", b"SQLite format 3\0", b"\0" * 5000, b"PK\x03\x04" * 300])
def test_a_foreign_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.sqlite"
    path.write_bytes(content)
    refused(path)


def test_another_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("create table photos (name text)")
    db.close()
    refused(path)


def test_another_study_is_refused_and_kept(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.sqlite")
    assert "another study" in refused(path, OTHER)
    with Store(path, STUDY) as store:
        assert len(store.evaluations("search")) == 200


@pytest.mark.parametrize("version", ["0", "2", "x"])
def test_another_version_is_refused_and_kept(tmp_path: Path, version: str) -> None:
    path = filled(tmp_path / "study.sqlite")
    with sqlite3.connect(path) as db:
        db.execute("update meta set value = ? where key = 'version'", (version,))
    db.close()
    assert f"version {version}" in refused(path, STUDY)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95])
def test_a_truncated_store_is_refused_and_kept(tmp_path: Path, share: float) -> None:
    path = filled(tmp_path / "study.sqlite")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, STUDY)


@pytest.mark.parametrize(
    "damage",
    [
        "update batch set correct = x'000000'",
        "update batch set sdc1 = x'00000000'",
        "update batch set correct = 'text'",
        "update batch set count = 24",
        "update evaluation set document = '{' where number = 3",
        "update evaluation set document = x'ff'",
    ],
)
def test_damaged_rows_are_refused_and_kept(tmp_path: Path, damage: str) -> None:
    path = filled(tmp_path / "study.sqlite")
    with sqlite3.connect(path) as db:
        db.execute(damage)
    db.close()
    refused(path, STUDY)


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    """A process that is killed while it makes the store leaves one."""
    path = tmp_path / "study.sqlite"
    path.touch()
    with Store(path, STUDY) as store:
        store.add_evaluation("search", 0, {})
    assert "another study" in refused(path, OTHER)


def test_a_store_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A folder below a regular file cannot be made by anyone, root included."""
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path / "file" / "study.sqlite", tmp_path / "file" / "run" / "study.sqlite", tmp_path):
        with pytest.raises(StoreError) as error:
            Store(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert (tmp_path / "file").read_text() == "kept"


def fill(store: Store) -> None:
    for number in range(200, 2000):
        store.add_evaluation("search", number, {"n": number, "text": "x" * 300})


def test_a_full_disk_keeps_what_was_finished(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.sqlite")
    with Store(path, STUDY) as store:
        pages = store._db.execute("pragma page_count").fetchone()[0]
        store._db.execute(f"pragma max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            fill(store)
        finished = len(store.evaluations("search"))
    assert 200 <= finished < 2000
    with Store(path, STUDY) as store:
        assert [e["n"] for e in store.evaluations("search")] == list(range(finished))
        assert len(kept(store)) == 5000


def test_a_disk_that_is_full_from_the_start_leaves_no_half_made_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def small(*arguments: Any, **keywords: Any) -> sqlite3.Connection:
        db = connect(*arguments, **keywords)
        db.execute("pragma max_page_count = 2")
        return db

    path = tmp_path / "study.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", small)
        with pytest.raises(StoreError, match="full"):
            Store(path, STUDY)
    with Store(path, OTHER) as store:  # space again: the file is as good as new
        store.add_evaluation("search", 0, {})
