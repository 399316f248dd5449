"""The table of batches in a store: a campaign's counts in compressed, checked rows."""

import zlib

import numpy as np

from codesign.campaign.database import Database
from codesign.campaign.key import CampaignKey
from codesign.engine.counts import CountArray

# Neighbouring batches are joined up to so many trials; larger ones are kept as they come.
_JOINED = 4096
_ROW = "select first, count, counts, crc from batch where campaign = ? and"


class BatchTable:
    """The batches of one campaign, which is in the table of campaigns.

    A batch is one row: the counts column by column as 32-bit integers, lowest byte first, compressed by zlib; and a
    checksum over them, the campaign's digest and the trials' numbers.
    """

    def __init__(self, db: Database, key: CampaignKey) -> None:
        self._db, self._key = db, key
        [(self._number,)] = db.rows("select number from campaign where digest = ?", key.digest)
        self._dtype = np.dtype([(name, "<i4") for name in key.columns])

    def add(self, first: int, rows: CountArray) -> bool:
        """Write a batch, unless there is a longer one that begins with the same trial; true where it was written."""
        query = "select 1 from batch where campaign = ? and first = ? and count > ?"
        if self._db.rows(query, self._number, first, len(rows)):
            return False
        values = (self._number, first, len(rows), *self._packed(first, rows))
        self._db.rows("insert or replace into batch values (?, ?, ?, ?, ?)", *values)
        return True

    def join(self, first: int, rows: CountArray) -> None:
        """Make one batch of these trials, just added, and of neighbours that are not longer."""
        firsts = [first]
        while (found := self._neighbour(first, len(rows))) is not None:
            start, other = found
            rows = np.concatenate([other, rows] if start < first else [rows, other])
            first = min(first, start)
            firsts.append(start)
        if len(firsts) == 1:
            return
        for gone in firsts:
            if gone != first:
                self._db.rows("delete from batch where campaign = ? and first = ?", self._number, gone)
        query = "update batch set count = ?, counts = ?, crc = ? where campaign = ? and first = ?"
        self._db.rows(query, len(rows), *self._packed(first, rows), self._number, first)

    def _neighbour(self, first: int, count: int) -> tuple[int, CountArray] | None:
        """The batch that ends where these trials begin, or begins where they end, if it is to be joined with them."""
        before = self._db.rows(f"{_ROW} first < ? order by first desc limit 1", self._number, first)
        touching = [row for row in before if row[0] + row[1] == first]
        touching += self._db.rows(f"{_ROW} first = ?", self._number, first + count)
        for row in touching:
            if row[1] <= min(count, _JOINED - count):
                return row[0], self._rows(*row)
        return None

    def at(self, trial: int) -> tuple[int, CountArray] | None:
        """First trial and counts of a batch that has this trial."""
        query = f"{_ROW} first <= ? and first + count > ? order by first desc limit 1"
        found = self._db.rows(query, self._number, trial, trial)
        return (found[0][0], self._rows(*found[0])) if found else None

    def next_after(self, trial: int) -> int | None:
        """The next trial with which a batch begins."""
        query = "select min(first) from batch where campaign = ? and first > ?"
        [(found,)] = self._db.rows(query, self._number, trial)
        return None if found is None else int(found)

    def _packed(self, first: int, rows: CountArray) -> tuple[bytes, int]:
        table = np.stack([rows[name] for name in self._key.columns]).astype("<i4")
        counts = zlib.compress(table.tobytes(), 1)
        return counts, self._crc(first, len(rows), counts)

    def _rows(self, first: int, count: int, counts: object, crc: object) -> CountArray:
        try:
            if not isinstance(counts, bytes) or self._crc(first, count, counts) != crc:
                raise ValueError("checksum")
            table = np.frombuffer(zlib.decompress(counts), "<i4").reshape(len(self._key.columns), count)
        except (ValueError, zlib.error) as error:
            where = f"batch of {count} trials from {first} of campaign {self._key.digest[:16]}"
            raise self._db.damaged(f"{where}: {error}") from None
        rows = np.empty(count, self._dtype)
        for name, column in zip(self._key.columns, table, strict=True):
            rows[name] = column
        return rows

    def _crc(self, first: int, count: int, counts: bytes) -> int:
        return zlib.crc32(counts, zlib.crc32(f"{self._key.digest} {first} {count} ".encode()))
