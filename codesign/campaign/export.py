"""What a store holds, for other programs: sums of each campaign, and one row a trial as Parquet or CSV."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from codesign.campaign.key import CampaignKey
from codesign.campaign.store import Store
from codesign.engine.counts import CountArray
from codesign.errors import ConfigError
from codesign.files import replacing

# Trials that are read before they are written: the rows of a Parquet row group, but for the batch that exceeds it.
_GROUP = 1 << 17


@dataclass(frozen=True)
class Kept:
    """What a store has of a campaign: its trials, and the sums over them of what was counted, by column."""

    key: CampaignKey
    trials: int
    totals: dict[str, int]

    @classmethod
    def of(cls, store: Store, key: CampaignKey) -> "Kept":
        trials, totals = 0, dict.fromkeys(key.columns, 0)
        for _, rows in store.batches(key):
            trials += len(rows)
            for name in key.columns:
                totals[name] += int(rows[name].sum(dtype=np.int64))
        return cls(key, trials, totals)

    def rate(self, column: str) -> float:
        """Share of all samples of all trials."""
        return self.totals[column] / (self.trials * self.key.samples)

    def to_json(self) -> dict[str, Any]:
        document = json.loads(self.key.text)
        return {"campaign": self.key.digest, **document, "trials": self.trials, "totals": self.totals}


@dataclass(frozen=True)
class _Piece:
    """Trials first .. first + len - 1 of a campaign."""

    campaign: str
    first: int
    rows: CountArray

    @property
    def trials(self) -> range:
        return range(self.first, self.first + len(self.rows))


def export_trials(store: Store, path: Path) -> int:
    """Write a file with one row a trial, in place of what stands there; gives the number of rows.

    Its columns are `campaign` (the digest), `trial`, and all that the store's campaigns counted; a campaign that did
    not count something has nothing there. Parquet or CSV, as the name ends. A Parquet file has the campaigns' documents
    in its metadata, under `codesign`. Raises ConfigError for another name, a file that cannot be written, or where
    Parquet is wanted and pyarrow is not there.
    """
    write = _writer(path)
    keys = store.campaigns()
    columns = list(dict.fromkeys(name for key in keys for name in key.columns))
    rows = 0

    def pieces() -> Iterator[_Piece]:
        nonlocal rows
        for key in keys:
            for first, counts in store.batches(key):
                rows += len(counts)
                yield _Piece(key.digest, first, counts)

    with replacing(path) as file:
        write(file, keys, columns, pieces())
    return rows


_Writer = Callable[[IO[bytes], list[CampaignKey], list[str], Iterator[_Piece]], None]


def _writer(path: Path) -> _Writer:
    if path.suffix == ".csv":
        return _write_csv
    if path.suffix != ".parquet":
        raise ConfigError(f"cannot write {path}: expected a name that ends in .parquet or .csv")
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"cannot write {path}: Parquet needs pyarrow ({error}), which the extra 'parquet' brings "
            "(pip install 'codesign[parquet]'); .csv needs nothing"
        ) from None
    return _write_parquet


def _write_csv(file: IO[bytes], keys: list[CampaignKey], columns: list[str], pieces: Iterator[_Piece]) -> None:
    del keys
    file.write(",".join(["campaign", "trial", *columns]).encode() + b"\n")
    for piece in pieces:
        text, nothing = io.StringIO(), [""] * len(piece.rows)
        names = piece.rows.dtype.names or ()
        counts = [piece.rows[name].tolist() if name in names else nothing for name in columns]
        rows = zip([piece.campaign] * len(piece.rows), piece.trials, *counts, strict=True)
        csv.writer(text, lineterminator="\n").writerows(rows)
        file.write(text.getvalue().encode())


def _write_parquet(file: IO[bytes], keys: list[CampaignKey], columns: list[str], pieces: Iterator[_Piece]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    counted = [(name, pa.int32()) for name in columns]
    documents = json.dumps({key.digest: json.loads(key.text) for key in keys})
    schema = pa.schema([("campaign", pa.string()), ("trial", pa.int64()), *counted], {"codesign": documents})

    def table(piece: _Piece) -> Any:
        size, names = len(piece.rows), piece.rows.dtype.names or ()
        counts = [pa.array(piece.rows[n]) if n in names else pa.nulls(size, pa.int32()) for n in columns]
        return pa.table([pa.repeat(piece.campaign, size), pa.array(np.arange(size) + piece.first), *counts], schema)

    with ParquetWriter(file, schema) as writer:
        for group in _grouped(pieces):
            writer.write_table(pa.concat_tables(map(table, group)))


def _grouped(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    group: list[_Piece] = []
    rows = 0
    for piece in pieces:
        group.append(piece)
        rows += len(piece.rows)
        if rows >= _GROUP:
            yield group
            group, rows = [], 0
    if group:
        yield group
