"""Answers of a trial counted by class, against sorting and a chain of ifs."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codesign.campaign.requirement import METRICS, OUTCOMES
from codesign.engine.counts import COUNTS, count
from codesign.outcome import Outcome

Row = tuple[list[int], list[int], bool, bool, int]


def counted(rows: list[Row]) -> np.ndarray:
    """Fault-free logits, logits, whether `corrected` and `detected` were raised, and label, of each sample."""
    golden, logits, corrected, detected, truth = map(np.array, zip(*rows, strict=True))
    return np.array([count(Outcome(logits, corrected, detected), golden, truth)], COUNTS)


def order(logits: list[int]) -> list[int]:
    return sorted(range(len(logits)), key=lambda k: (-logits[k], k))


def outcome_of(row: Row) -> str:
    golden, logits, corrected, detected, _ = row
    if detected:
        return "detected"
    if order(logits)[0] != order(golden)[0]:
        return "silent"
    return "corrected" if corrected else "masked"


@st.composite
def trials(draw: st.DrawFn) -> list[Row]:
    n_out = draw(st.integers(1, 9))
    logits = st.lists(st.integers(-2, 2), min_size=n_out, max_size=n_out)
    row = st.tuples(logits, logits, st.booleans(), st.booleans(), st.integers(0, n_out - 1))
    return draw(st.lists(row, min_size=1, max_size=20))


@given(trials())
def test_every_sample_is_in_its_class(rows: list[Row]) -> None:
    found, classes = counted(rows), Counter(map(outcome_of, rows))
    assert {name: METRICS[name](found, len(rows)).item() for name in OUTCOMES} == {
        name: classes[name] for name in OUTCOMES
    }
    assert METRICS["accuracy"](found, len(rows)).item() == sum(order(row[1])[0] == row[4] for row in rows)
    for name, first in (("sdc1", 1), ("sdc5", 5)):
        lost = sum(order(golden)[0] not in order(logits)[:first] for golden, logits, *_ in rows)
        assert METRICS[name](found, len(rows)).item() == lost


def test_each_class_by_hand() -> None:
    kept, other, last = [9, 8, 7, 6, 5, 4], [8, 9, 7, 6, 5, 4], [1, 9, 8, 7, 6, 5]
    rows: list[Row] = [
        (kept, kept, False, False, 0),  # masked
        (kept, [9, 0, 0, 0, 0, 0], False, False, 1),  # masked: only other logits than the largest changed
        (kept, kept, True, False, 0),  # corrected
        (kept, kept, True, True, 0),  # detected, whatever else
        (kept, other, False, True, 1),  # detected, though the answer is another
        (kept, other, True, False, 1),  # silent: what was corrected was not all
        (kept, last, False, False, 0),  # silent, and not among the first five
    ]
    assert dict(zip(COUNTS.names, counted(rows)[0].item(), strict=True)) == {
        "correct": 5,
        "sdc1": 3,
        "sdc5": 1,
        "detected": 2,
        "corrected": 1,
        "silent": 2,
    }
    # Of equal logits the first comes first: here the last of six is the fault-free top class.
    assert counted([([0, 0, 0, 0, 0, 1], [0] * 6, False, False, 5)])["sdc5"].item() == 1
    assert counted([([0, 0, 0, 0, 1, 0], [0] * 6, False, False, 4)])["sdc5"].item() == 0
