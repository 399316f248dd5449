"""The trials of a campaign as they come in: in any order, from the store, from batches, from many workers."""

import heapq

import numpy as np

from codesign.engine.counts import COUNTS, CountArray

_Piece = tuple[int, int, CountArray]  # first trial, a number that orders equal ones, counts


class Ledger:
    """Counts each trial once, however often it comes in: a trial has the same counts wherever it was run."""

    def __init__(self, columns: np.dtype[np.void] = COUNTS) -> None:
        self._none = np.zeros(0, columns)
        self._rows: list[CountArray] = []
        self._waiting: list[_Piece] = []
        self._pieces = 0
        self.complete = 0
        """Trials 0 .. complete - 1 are here."""

    def add(self, first: int, rows: CountArray) -> CountArray:
        """Take trials first .. first + len - 1; gives what is complete now and was not before, in order."""
        if len(rows):
            heapq.heappush(self._waiting, (first, self._pieces, rows))
            self._pieces += 1
        before = len(self._rows)
        while self._waiting and self._waiting[0][0] <= self.complete:
            start, _, piece = heapq.heappop(self._waiting)
            new = piece[self.complete - start :]
            if len(new):
                self._rows.append(new)
                self.complete += len(new)
        return self._joined(self._rows[before:])

    @property
    def rows(self) -> CountArray:
        """Counts of trials 0 .. complete - 1."""
        self._rows = [self._joined(self._rows)]
        return self._rows[0]

    def missing(self, trials: int) -> list[range]:
        """Which of trials 0 .. trials - 1 are not here, as ranges in order."""
        gaps, end = [], self.complete
        for first, _, rows in sorted(self._waiting):
            if first > end:
                gaps.append(range(end, min(first, trials)))
            end = max(end, first + len(rows))
        gaps.append(range(end, trials))
        return [gap for gap in gaps if gap]

    def _joined(self, pieces: list[CountArray]) -> CountArray:
        return np.concatenate(pieces) if pieces else self._none
