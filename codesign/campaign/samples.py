"""The evaluation set of a campaign, checked."""

import numpy as np
from numpy.typing import ArrayLike

from codesign.errors import ConfigError
from codesign.fixed import Ints, Overflow, to_real
from codesign.network import Network


def check_samples(network: Network, inputs: ArrayLike, labels: ArrayLike) -> tuple[Ints, Ints]:
    """Raw inputs and labels as int64, or ConfigError naming what does not fit."""
    try:
        raw = network.quantise_inputs(inputs)
    except ConfigError as error:
        raise ConfigError(f"{error}{_not_finite(inputs)}") from None
    _check_range(network, inputs, raw)
    try:
        truth = np.asarray(labels)
    except ValueError:
        raise ConfigError(f"labels must be {len(raw)} whole numbers, got lists of different lengths") from None
    if truth.shape != (len(raw),) or truth.dtype.kind not in "iu":
        raise ConfigError(f"labels must be {len(raw)} whole numbers, got shape {truth.shape} of {truth.dtype}")
    if not len(raw):
        raise ConfigError("the evaluation set is empty")
    if truth.min() < 0 or truth.max() >= network.n_out:
        wrong = int(np.flatnonzero((truth < 0) | (truth >= network.n_out))[0])
        raise ConfigError(
            f"labels {truth.min()}..{truth.max()} lie outside the {network.n_out} classes, first the {truth[wrong]} "
            f"of sample {wrong}"
        )
    return raw, truth.astype(np.int64)


def _not_finite(inputs: ArrayLike) -> str:
    """Where the first NaN or infinite value stands; nothing where there is none."""
    try:
        given = np.asarray(inputs, np.float64)
    except (ValueError, TypeError):
        return ""
    places = np.argwhere(~np.isfinite(given))
    return f", first in inputs{places[0].tolist()}" if places.size else ""


def _check_range(network: Network, inputs: ArrayLike, raw: Ints) -> None:
    """Refuse real inputs that would wrap: another number would enter than the one that is meant."""
    of = network.input_type
    given = np.asarray(inputs)
    if given.dtype.kind != "f" or of.overflow is not Overflow.WRAP:
        return
    reals = given.reshape(raw.shape).astype(np.float64)
    wrong = np.argwhere(np.abs(reals - to_real(raw, of)) >= 2.0**-of.frac)
    if wrong.size:
        sample, number = wrong[0].tolist()
        raise ConfigError(
            f"input {number} of sample {sample} is {reals[sample, number]:g}, outside {of}: "
            f"{to_real(of.min_raw, of):g}..{to_real(of.max_raw, of):g}"
        )
