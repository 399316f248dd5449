"""What a simulator gives under a fault list."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.fixed import Ints


@dataclass(frozen=True)
class Outcome:
    """`logits`, shape (n_samples, n_out), and whether any layer raised a flag, each of shape (n_samples,)."""

    logits: Ints
    corrected: NDArray[np.bool_]
    detected: NDArray[np.bool_]
