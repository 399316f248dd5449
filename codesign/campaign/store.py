"""The run folder's SQLite store: every batch of trials and every evaluation, written as it finishes."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.engine.counts import COUNTS, CountArray
from codesign.errors import StoreError

VERSION = 2
_COLUMNS = COUNTS.names or ()
_SCHEMA = f"""
create table meta (key text primary key, value text not null);
create table batch (
    campaign text not null, first integer not null, count integer not null,
    {", ".join(f"{name} blob not null" for name in _COLUMNS)}, primary key (campaign, first)
);
create table evaluation (
    kind text not null, number integer not null, document text not null, primary key (kind, number)
);
"""


class Store:
    """One SQLite file. A process that is killed loses at most what it had not finished.

    Raises StoreError for a file that is not a store, is damaged, belongs to another study, or cannot be
    written; such a file is never changed. A store that holds nothing yet belongs to nobody: a study that
    failed at once can be corrected.
    """

    def __init__(self, path: Path, study: str = "") -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open the store {path}: {error}") from None
        try:
            with self._guarded():
                self._create(study)
            self._check(study)
        except StoreError:
            self.close()
            raise

    def _create(self, study: str) -> None:
        """Make the tables, unless there are some. Not the file's size but SQLite knows: a process that was
        killed right here leaves a file that SQLite makes empty again when it is opened.
        """
        if not self._empty("sqlite_master"):
            return
        self._db.execute("begin immediate")
        if self._empty("sqlite_master"):  # another process may have been faster
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute("insert into meta values ('version', ?), ('study', ?)", (str(VERSION), study))
        self._db.execute("commit")

    def _empty(self, table: str) -> bool:
        return self._db.execute(f"select 1 from {table} limit 1").fetchone() is None  # noqa: S608, our own names

    def _check(self, study: str) -> None:
        with self._guarded():
            meta = dict(self._db.execute("select key, value from meta"))
        if meta.get("version") != str(VERSION):
            raise StoreError(f"{self.path} has store version {meta.get('version')}, this codesign reads {VERSION}")
        if study and meta.get("study") != study and not self._taken_over(study):
            raise StoreError(
                f"{self.path} belongs to another study (or this one was changed since): "
                "choose another folder with --out, or remove this one"
            )

    def _taken_over(self, study: str) -> bool:
        """Give a store that holds nothing yet to this study."""
        with self._guarded():
            if free := self._empty("batch") and self._empty("evaluation"):
                self._db.execute("update meta set value = ? where key = 'study'", (study,))
        return free

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"store {self.path}: {error}") from None

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_batch(self, campaign: str, first: int, rows: CountArray) -> None:
        """Keep trials first .. first + len - 1 of a campaign; one transaction."""
        kept = (campaign, first, len(rows), *(rows[name].tobytes() for name in _COLUMNS))
        with self._guarded():
            places = ", ".join("?" * len(kept))
            self._db.execute(f"insert or replace into batch values ({places})", kept)  # noqa: S608, our own names

    def batches(self, campaign: str) -> Iterator[tuple[int, CountArray]]:
        """First trial and counts of every batch, by their first; they overlap where two processes ran one campaign."""
        with self._guarded():
            query = f"select first, count, {', '.join(_COLUMNS)} from batch where campaign = ? order by first"  # noqa: S608
            for first, count, *kept in self._db.execute(query, (campaign,)):
                rows = np.empty(count, COUNTS)
                for name, blob in zip(_COLUMNS, kept, strict=True):
                    rows[name] = self._counts(blob, count)
                yield first, rows

    def _counts(self, blob: object, count: int) -> NDArray[np.int32]:
        if not isinstance(blob, bytes) or len(blob) != 4 * count:
            raise StoreError(f"store {self.path}: a batch of {count} trials is damaged")
        return np.frombuffer(blob, "<i4")

    def add_evaluation(self, kind: str, number: int, document: dict[str, Any]) -> None:
        """Keep one finished evaluation as JSON."""
        text = json.dumps(document, sort_keys=True)
        with self._guarded():
            self._db.execute("insert or replace into evaluation values (?, ?, ?)", (kind, number, text))

    def evaluations(self, kind: str) -> list[dict[str, Any]]:
        """Finished evaluations of a kind, in their order."""
        with self._guarded():
            query = "select document from evaluation where kind = ? order by number"
            texts = [text for (text,) in self._db.execute(query, (kind,))]
        try:
            return [json.loads(text) for text in texts]
        except (ValueError, TypeError) as error:
            raise StoreError(f"store {self.path}: evaluation {kind} is damaged: {error}") from None

    def spent_seconds(self, add: float = 0.0) -> float:
        """Working time of all sessions on this store, after adding `add`."""
        with self._guarded():
            row = self._db.execute("select value from meta where key = 'seconds'").fetchone()
            total = float(row[0]) if row else 0.0
            if add:
                total += add
                self._db.execute("insert or replace into meta values ('seconds', ?)", (repr(total),))
        return total
