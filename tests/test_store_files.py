"""Files that are no good as a store: one line says what is wrong and what to do, and the file stays as it is."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stores import OTHER, STUDY, filled, kept, key, numbered, refused

import codesign.cli as cli
from codesign.campaign import database
from codesign.campaign.store import Store
from codesign.errors import StoreError


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


@pytest.mark.parametrize("version", ["0", "1", "3", "x"])
def test_another_version_is_refused_and_kept(tmp_path: Path, version: str) -> None:
    path = filled(tmp_path / "study.sqlite")
    with sqlite3.connect(path) as db:
        db.execute("update meta set value = ? where key = 'version'", (version,))
    db.close()
    assert f"version {version}" in refused(path, STUDY)


# As codesign 0.1.0 wrote it before stores told which campaigns they hold.
_FIRST_VERSION = """
create table meta (key text primary key, value text not null);
create table batch (
    campaign text not null, first integer not null, count integer not null,
    correct blob not null, sdc1 blob not null, primary key (campaign, first)
);
create table evaluation (
    kind text not null, number integer not null, document text not null, primary key (kind, number)
);
insert into meta values ('version', '1'), ('study', '5feceb66');
insert into batch values ('6b86b273', 0, 1, x'01000000', x'00000000');
"""


def test_the_first_version_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(_FIRST_VERSION)
    db.close()
    assert "store version 1, this codesign" in refused(path, STUDY) and "reads 2" in refused(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95])
def test_a_truncated_store_is_refused_and_kept(tmp_path: Path, share: float) -> None:
    path = filled(tmp_path / "study.sqlite")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, STUDY)


@pytest.mark.parametrize(
    "damage",
    [
        "update batch set counts = x'000000'",
        "update batch set counts = 'text'",
        "update batch set crc = crc + 1",
        "update batch set count = count - 1",
        "update batch set first = first + 1",
        "update batch set campaign = 2",
        "update campaign set document = replace(document, '\"seed\": 7', '\"seed\": 8')",
        "update campaign set document = '{'",
        "update campaign set digest = 'x'",
        "delete from campaign",
        "update meta set value = '{' where key = 'study'",
        "update meta set value = '[]' where key = 'study'",
        "update meta set value = 'x' where key = 'seconds'",
        "drop table batch",
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
        [(pages,)] = store._db.rows("pragma page_count")
        store._db.rows(f"pragma max_page_count = {pages}")
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


_TOO_LONG = """
import resource, sys
from pathlib import Path
from stores import STUDY, key, numbered
from codesign.campaign.store import Store
from codesign.errors import StoreError
with Store(Path(sys.argv[1]), STUDY) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        store.add_batch(key(), 5000, numbered(range(5000, 90_000)))
    except StoreError as error:
        sys.exit(f"{error}")
"""


def test_a_file_that_may_not_grow_stays_as_it_is(tmp_path: Path) -> None:
    """The system refuses to write, in the middle of a batch."""
    path = filled(tmp_path / "study.sqlite")
    before = path.read_bytes()
    command = [sys.executable, "-c", _TOO_LONG, path, str(len(before) + 4096)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(f"store {path}: ") and done.stderr.count("\n") == 1
    with Store(path, STUDY) as store:
        assert len(kept(store)) == 5000
        store.add_batch(key(), 5000, numbered(range(5000, 5100)))  # space again
        assert len(kept(store)) == 5100


# ---------------------------------------------------------------- locks

_HOLDS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute(f"begin {sys.argv[2]}")
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path, lock: str) -> Iterator[int]:
    """Another process, by its number, has the lock."""
    command = [sys.executable, "-c", _HOLDS, path, lock]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline()
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OPENING_SECONDS", 0.1)
    monkeypatch.setattr(database, "WORKING_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_locked_store_is_told_with_who_holds_it(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.sqlite")
    with held(path, "exclusive") as process:
        assert f"is locked by process {process}: " in refused(path, STUDY)
    with Store(path, STUDY) as store:  # nothing has to be repaired
        assert len(kept(store)) == 5000


@pytest.mark.usefixtures("impatient")
def test_a_lock_that_comes_later_loses_that_batch_only(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.sqlite")
    with Store(path, STUDY) as store:
        with held(path, "immediate") as process, pytest.raises(StoreError, match=f"locked by process {process}"):
            store.add_batch(key(), 5000, numbered(range(5000, 5001)))
        assert len(kept(store)) == 5000
        store.add_batch(key(), 5000, numbered(range(5000, 5002)))
        assert len(kept(store)) == 5002


@pytest.mark.usefixtures("impatient")
def test_a_locked_store_ends_a_command_with_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = filled(tmp_path / "study.sqlite")
    with held(path, "exclusive") as process:
        assert cli.run(["trials", str(tmp_path)]) == cli.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith(f"codesign: store {path} is locked by process {process}: ")
