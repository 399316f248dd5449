"""One SQLite file, opened with care: what is wrong with it becomes one line, and it is left as it is."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codesign import __version__
from codesign.errors import StoreError
from codesign.files import lock_holders

VERSION = 2
# How long another process may lock the file: when it is opened, and while it is open and trials are at stake.
OPENING_SECONDS, WORKING_SECONDS = 5.0, 60.0
_SCHEMA = """
create table meta (key text primary key, value text not null);
create table campaign (number integer primary key, digest text not null unique, document text not null);
create table batch (
    campaign integer not null, first integer not null, count integer not null,
    counts blob not null, crc integer not null, primary key (campaign, first)
) without rowid;
create table evaluation (
    kind text not null, number integer not null, document text not null, crc integer not null,
    primary key (kind, number)
);
"""
_ELSEWHERE = "choose another folder with --out"

Row = tuple[Any, ...]


class Database:
    """The tables of a store, made where there is no file, or none yet in it.

    Raises StoreError for a file that is not a store, is damaged or of another version, is locked, or cannot be
    written; such a file is never changed. With `reading` the file has to be there and nothing is made.
    """

    def __init__(self, path: Path, *, reading: bool = False) -> None:
        self.path = path
        self._db = self._connected(reading)
        try:
            if not reading:
                self._create()
            self._check()
            if not reading and not os.access(path, os.W_OK):
                raise StoreError(f"store {path}: the file is read-only; allow writing it, or {_ELSEWHERE}")
            self.rows(f"pragma busy_timeout = {int(1000 * WORKING_SECONDS)}")
        except BaseException:
            self.close()
            raise

    def _connected(self, reading: bool) -> sqlite3.Connection:
        try:
            if self.path.is_dir():
                raise StoreError(f"cannot open the store {self.path}: it is a folder; {_ELSEWHERE}")
            if reading and not self.path.exists():
                raise StoreError(f"no store {self.path}")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Where the file is write-protected, SQLite opens it for reading.
            address = f"{self.path.absolute().as_uri()}?mode={'rw' if reading else 'rwc'}"
            return sqlite3.connect(
                address, uri=True, timeout=OPENING_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open the store {self.path}: {error}") from None

    def _create(self) -> None:
        """Make the tables, unless there are some. Not the file's size but SQLite knows: a process that was
        killed right here leaves a file that SQLite makes empty again when it is opened.
        """
        if self.holds("sqlite_master"):
            return
        with self.transaction():
            if self.holds("sqlite_master"):  # another process was faster
                return
            for statement in _SCHEMA.split(";"):
                self.rows(statement)
            self.rows("insert into meta values ('version', ?), ('codesign', ?)", str(VERSION), __version__)

    def _check(self) -> None:
        tables = {name for (name,) in self.rows("select name from sqlite_master where type = 'table'")}
        if "meta" not in tables:
            raise StoreError(f"{self.path} is a database, but no codesign store; {_ELSEWHERE}")
        if (version := self.meta("version")) != str(VERSION):
            writer = self.meta("codesign")
            by = f"codesign {writer}" if writer else "the codesign that wrote it"
            raise StoreError(
                f"{self.path} has store version {version}, this codesign ({__version__}) reads {VERSION}: "
                f"use {by}, or {_ELSEWHERE}"
            )
        # A store of a million trials has some thousand pages: this takes milliseconds.
        [(found,)] = self.rows("pragma quick_check(1)")
        if found != "ok":
            raise self.damaged(str(found))

    def damaged(self, what: str) -> StoreError:
        """The error for a file whose content cannot be right."""
        return StoreError(f"store {self.path} is damaged ({' '.join(what.split())}): restore a copy, or {_ELSEWHERE}")

    def rows(self, query: str, *values: object) -> list[Row]:
        """All rows of the answer. Raises StoreError."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from None

    def holds(self, table: str) -> bool:
        """Whether a table has a row."""
        return bool(self.rows(f"select 1 from {table} limit 1"))  # noqa: S608, our own names

    def meta(self, key: str) -> str | None:
        """A fact about the store."""
        found = self.rows("select value from meta where key = ?", key)
        return str(found[0][0]) if found else None

    def set_meta(self, key: str, value: str) -> None:
        """Keep a fact about the store."""
        self.rows("insert or replace into meta values (?, ?)", key, value)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within it stays, or nothing; another process waits until it has ended."""
        self.rows("begin immediate")
        try:
            yield
            self.rows("commit")
        except BaseException:
            if self._db.in_transaction:  # SQLite ends it itself where the disk is full
                self._db.rollback()
            raise

    def _explained(self, error: sqlite3.Error) -> StoreError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            holders = ", ".join(map(str, lock_holders(self.path)))
            by = f"process {holders}" if holders else "another process"
            return StoreError(f"store {self.path} is locked by {by}: wait until it lets go or end it, and start again")
        if name.startswith("SQLITE_READONLY"):
            return StoreError(f"store {self.path}: the file or its folder is read-only; {_ELSEWHERE}")
        if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
            return StoreError(f"store {self.path}: {error}; what was finished is kept: see to the disk and start again")
        if name == "SQLITE_NOTADB":
            return StoreError(f"{self.path} is no codesign store ({error}); {_ELSEWHERE}")
        if name.startswith("SQLITE_CORRUPT") or "malformed" in str(error) or "no such" in str(error):
            return self.damaged(str(error))
        return StoreError(f"store {self.path}: {error}")

    def close(self) -> None:
        self._db.close()
