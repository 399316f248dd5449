"""Figures of merit: what logits are worth, given the labels.

Requirements and the search count right answers, a yes or no of each sample. These figures are reported besides.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.errors import ConfigError
from codesign.fixed import Ints

MetricName = Literal["accuracy", "balanced_accuracy", "auc"]
METRICS: tuple[MetricName, ...] = get_args(MetricName)

Floats = NDArray[np.float64]


def measure(metric: MetricName, logits: Ints, labels: ArrayLike) -> Floats:
    """One figure in 0..1 for each set of logits; raw logits of shape (..., n_samples, n_out), labels (n_samples,).

    Raises ConfigError where the metric does not exist for such a network or such labels.
    """
    truth = np.asarray(labels)
    if metric == "auc":
        return _auc(logits, truth)
    hits: Floats = (logits.argmax(axis=-1) == truth).astype(np.float64)
    if metric == "accuracy":
        return np.asarray(hits.mean(axis=-1))
    return np.asarray(np.mean([hits[..., truth == label].mean(axis=-1) for label in np.unique(truth)], axis=0))


def _auc(logits: Ints, truth: NDArray[np.int64]) -> Floats:
    """Area under the ROC curve of the score that is the second logit less the first.

    That is the share of pairs, one sample of either class, in which class 1 has the higher score; equal scores count a
    half. Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143 (1982).
    """
    from scipy.stats import rankdata

    if logits.shape[-1] != 2 or set(np.unique(truth).tolist()) != {0, 1}:
        raise ConfigError(
            f"metric 'auc' is for two classes of which both occur, found {logits.shape[-1]} outputs and labels "
            f"{', '.join(map(str, np.unique(truth)[:12]))}"
        )
    positive = int(truth.sum())
    pairs = positive * (len(truth) - positive)
    ranks = rankdata(logits[..., 1] - logits[..., 0], axis=-1)
    return np.asarray((ranks[..., truth == 1].sum(axis=-1) - positive * (positive + 1) / 2) / pairs)
