"""What is counted of each trial."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.fixed import Ints

# Numbers of samples: right answers; answers that left the fault-free run's (silent data corruption of the top class).
COUNTS = np.dtype([("correct", "<i4"), ("sdc1", "<i4")])
CountArray = NDArray[np.void]
"""Of dtype COUNTS, one entry a trial."""


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
