"""A campaign's trials count once and come out in order, in whatever order and pieces they come in."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codesign.campaign.ledger import Ledger
from codesign.engine.counts import COUNTS, CountArray

Pieces = list[tuple[int, int]]


def rows(first: int, end: int) -> CountArray:
    return np.array([tuple(n * k for k in range(1, len(COUNTS) + 1)) for n in range(first, end)], COUNTS)


pieces = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])), max_size=30)


@given(pieces, st.integers(0, 60))
def test_pieces_in_any_order(given_pieces: Pieces, trials: int) -> None:
    ledger, there, out = Ledger(), set[int](), []
    for first, end in given_pieces:
        out.append(ledger.add(first, rows(first, end)))
        there |= set(range(first, end))
        complete = next(n for n in range(100) if n not in there)
        assert ledger.complete == complete
        assert np.array_equal(np.concatenate(out), rows(0, complete))
        assert np.array_equal(ledger.rows, rows(0, complete))
    missing = ledger.missing(trials)
    assert sorted(set(range(trials)) - there) == [n for gap in missing for n in gap]
    assert all(a.stop < b.start for a, b in itertools.pairwise(missing))


@given(pieces, st.integers(0, 60))
def test_what_was_missing_completes_it(given_pieces: Pieces, trials: int) -> None:
    ledger = Ledger()
    for first, end in given_pieces:
        ledger.add(first, rows(first, end))
    for gap in reversed(ledger.missing(trials)):
        ledger.add(gap.start, rows(gap.start, gap.stop))
    assert ledger.missing(trials) == [] and ledger.complete >= trials
    assert np.array_equal(ledger.rows[:trials], rows(0, trials))
