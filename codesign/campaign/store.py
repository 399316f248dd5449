"""The run folder's SQLite store: every batch of trials and every evaluation, written as it finishes."""

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from codesign.campaign.batch_table import BatchTable
from codesign.campaign.database import Database
from codesign.campaign.key import CampaignKey
from codesign.engine.counts import CountArray
from codesign.errors import ConfigError, StoreError

# In a run folder.
STORE_NAME = "study.sqlite"
# A message names so many of a study's changes.
_SHOWN = 8
FILE_DIGEST = "sha256:"
"""Begins the value of a study's setting that stands for a file's content."""


class Store:
    """One SQLite file, which campaigns and processes may share. A process that is killed loses at most what it had
    not finished.

    `study` holds the settings of the study that the store is for, by name. Raises StoreError for a file that is not a
    store, is damaged, locked or of another version, belongs to another study, or cannot be written; such a file is
    never changed. A store that holds nothing yet belongs to nobody: a study that failed at once can be corrected.
    With `reading` the file has to be there, and may be write-protected.
    """

    def __init__(self, path: Path, study: Mapping[str, Any] | None = None, *, reading: bool = False) -> None:
        self.path = path
        self._db = Database(path, reading=reading)
        try:
            self.campaigns()  # none may be damaged
            if study is not None:
                self._claim(json.loads(json.dumps(study)))
        except BaseException:
            self.close()
            raise

    def _claim(self, study: dict[str, Any]) -> None:
        """Check that the store is this study's; one that nobody has used yet becomes it."""
        if self._owner() == study:
            return
        with self._db.transaction():
            owner = self._owner()  # another process may have been faster
            if free := owner is None or not (self._db.holds("batch") or self._db.holds("evaluation")):
                self._db.set_meta("study", json.dumps(study, sort_keys=True))
        if not free and (changes := _changes(owner or {}, study)):
            raise StoreError(
                f"{self.path} belongs to another study, or this one was changed since: {changes}; "
                "undo that, or choose another folder with --out"
            )

    def _owner(self) -> dict[str, Any] | None:
        text = self._db.meta("study")
        try:
            found = None if text is None else json.loads(text)
        except ValueError as error:
            raise self._db.damaged(f"the study's settings: {error}") from None
        if found is None or isinstance(found, dict):
            return found
        raise self._db.damaged("the study's settings")

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------- trials

    def add_batch(self, key: CampaignKey, first: int, rows: CountArray) -> None:
        """Keep trials first .. first + len - 1 of a campaign; one transaction.

        Its time does not depend on what is there. Batches are joined with neighbours that are not longer, so that
        also batches of one trial end in few long rows, and each trial is written again some ten times at most.
        """
        with self._db.transaction():
            self._db.rows("insert or ignore into campaign (digest, document) values (?, ?)", key.digest, key.text)
            batches = BatchTable(self._db, key)
            if batches.add(first, rows):
                batches.join(first, rows)

    def batches(self, key: CampaignKey) -> Iterator[tuple[int, CountArray]]:
        """First trial and counts, a piece at a time, in the trials' order and each trial once.

        Nothing is locked between two pieces: other processes may add batches meanwhile.
        """
        if not self._db.rows("select 1 from campaign where digest = ?", key.digest):
            return
        batches = BatchTable(self._db, key)
        trial: int | None = 0
        while trial is not None:
            if (found := batches.at(trial)) is None:
                trial = batches.next_after(trial)
            else:
                first, rows = found
                yield trial, rows[trial - first :]
                trial = first + len(rows)

    def campaigns(self) -> list[CampaignKey]:
        """The campaigns that have trials, in the order in which they began."""
        found = []
        for digest, document in self._db.rows("select digest, document from campaign order by number"):
            try:
                key = CampaignKey.parse(document)
            except ConfigError as error:
                raise self._db.damaged(f"campaign {digest}: {error}") from None
            if key.digest != digest:
                raise self._db.damaged(f"campaign {digest}")
            found.append(key)
        if self._db.rows("select 1 from batch where campaign not in (select number from campaign) limit 1"):
            raise self._db.damaged("a batch without a campaign")
        return found

    # ---------------------------------------------------------------- evaluations

    def add_evaluation(self, kind: str, number: int, document: dict[str, Any]) -> None:
        """Keep one finished evaluation as JSON."""
        text = json.dumps(document, sort_keys=True)
        values = (kind, number, text, _evaluation_crc(kind, number, text))
        self._db.rows("insert or replace into evaluation values (?, ?, ?, ?)", *values)

    def evaluations(self, kind: str) -> list[dict[str, Any]]:
        """Finished evaluations of a kind, in their order."""
        query = "select number, document, crc from evaluation where kind = ? order by number"
        found = []
        for number, text, crc in self._db.rows(query, kind):
            if not isinstance(text, str) or _evaluation_crc(kind, number, text) != crc:
                raise self._db.damaged(f"evaluation {kind} {number}")
            found.append(json.loads(text))
        return found

    def spent_seconds(self, add: float = 0.0) -> float:
        """Working time of all sessions on this store, after adding `add`."""
        try:
            total = float(self._db.meta("seconds") or 0.0)
        except ValueError as error:
            raise self._db.damaged(f"working time: {error}") from None
        if add:
            total += add
            self._db.set_meta("seconds", repr(total))
        return total


def _evaluation_crc(kind: str, number: int, text: str) -> int:
    return zlib.crc32(f"{kind} {number} {text}".encode())


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between the settings of two studies, in words. A setting that only one of them knows is not set."""
    found = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            is_file = FILE_DIGEST in f"{old} {new}"
            found.append(f"{name} changed" if is_file else f"{name} was {_shown(old)}, is {_shown(new)}")
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return "; ".join(found[:_SHOWN] + more)


def _shown(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
