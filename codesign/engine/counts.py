"""What is counted of each trial."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.fixed import Ints
from codesign.outcome import Outcome

COUNTS = np.dtype([(name, "<i4") for name in ("correct", "sdc1", "sdc5", "detected", "corrected", "silent")])
"""Numbers of samples of a trial.

`correct`: right answers. `sdc1`: the top class left the fault-free run's (silent data corruption); `sdc5`: the
fault-free top class is not among the first five (Li et al., SC 2017). `detected`: some layer raised that flag.
`corrected`: a layer raised that flag, none `detected`, and the top class is the fault-free one. `silent`: another top
class, and nothing detected. A sample that is none of the last three is masked.
"""
CountArray = NDArray[np.void]
"""Of dtype COUNTS, one entry a trial."""
# Classes that SDC-5 looks at.
_FIRST = 5


@dataclass(frozen=True)
class Counts:
    """`rows`, shape (n_trials,), dtype COUNTS; `logits`, (n_trials, n_samples, n_out), where they were asked for.

    After an interrupt only the trials up to the first unfinished one are kept.
    """

    rows: CountArray
    logits: Ints | None = None


class Interrupted(KeyboardInterrupt):
    """A campaign was interrupted; `counts` holds what was finished before."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts


def count(outcome: Outcome, golden: Ints, truth: Ints) -> tuple[int, ...]:
    """A trial's entry of COUNTS, given the fault-free logits; the first of equal logits is the larger one."""
    before, top = golden.argmax(axis=1), outcome.logits.argmax(axis=1)
    changed, detected = top != before, outcome.detected
    found: dict[str, NDArray[Any]] = {
        "correct": top == truth,
        "sdc1": changed,
        "sdc5": _rank(outcome.logits, before) >= _FIRST,
        "detected": detected,
        "corrected": outcome.corrected & ~detected & ~changed,
        "silent": changed & ~detected,
    }
    return tuple(int(found[name].sum()) for name in COUNTS.names or ())


def _rank(logits: Ints, of: Ints) -> Ints:
    """How many logits come before one of each sample."""
    value = logits[np.arange(len(logits)), of][:, None]
    first = np.arange(logits.shape[1]) < of[:, None]
    rank: Ints = ((logits > value) | ((logits == value) & first)).sum(axis=1)
    return rank
