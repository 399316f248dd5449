"""Fault lists on silicon: upset slots are set for each trial, all samples are run, and the outcome is told."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .accelerator import Accelerator

PARTS = ("layer", "word", "mask")


class Replayed(NamedTuple):
    """Logits, shape (trials, n, n_out), and whether any layer raised a flag, (trials, n)."""

    logits: NDArray[np.int64]
    corrected: NDArray[np.bool_]
    detected: NDArray[np.bool_]


def replay(accelerator: Accelerator, raw: ArrayLike, settings: ArrayLike) -> Replayed:
    """Run the samples, raw of shape (n, n_in), under each trial's settings, shape (trials, slots, 3).

    The columns are PARTS; a layer of 0 leaves a slot alone. Raises InputError where the accelerator has no such slots.
    """
    given, wanted = accelerator.model.input.check(raw), np.asarray(settings)
    slots = accelerator.model.upset_slots
    if not slots:
        raise InputError("this accelerator has no upset slots: export it with them, build and deploy it again")
    if wanted.ndim != 3 or wanted.shape[1:] != (slots, len(PARTS)) or wanted.dtype.kind not in "iu":
        raise InputError(f"settings of shape {wanted.shape}, expected (trials, {slots}, {len(PARTS)}) whole numbers")
    flags = np.zeros((2, len(wanted), len(given)), np.bool_)
    logits = np.zeros((len(wanted), len(given), accelerator.model.output.values), np.int64)
    try:
        for trial, setting in enumerate(wanted.tolist()):
            accelerator.clear()
            _set(accelerator, setting)
            logits[trial] = accelerator.predict_raw(given)
            if any(any(layers.values()) for layers in accelerator.flags()):  # of which samples?
                traced = accelerator.trace_raw(given)
                flags[0, trial], flags[1, trial] = traced.corrected.any(axis=1), traced.detected.any(axis=1)
                if not np.array_equal(traced.logits, logits[trial]):
                    raise InputError(f"trial {trial} gives other logits when it is run again: the board is not stable")
    finally:
        _set(accelerator, [[0] * len(PARTS)] * slots)
    return Replayed(logits, flags[0], flags[1])


def _set(accelerator: Accelerator, setting: list[list[int]]) -> None:
    for slot, values in enumerate(setting):
        for part, value in zip(PARTS, values):
            accelerator.set_register(f"upset{slot}_{part}", value)


def to_text(found: Replayed) -> str:
    """As an NPZ file in base 64."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **found._asdict())
    return base64.b64encode(buffer.getvalue()).decode()


def read_trials(path: str, model: Any) -> tuple[Any, Any]:
    """Inputs and settings of an NPZ file that was made for this network and plan. Raises InputError."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in ("inputs", "settings", "network", "plan")}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path} holds no trials: {error}") from None
    for key, expected in (("network", model.network), ("plan", model.plan)):
        if str(arrays[key]) != expected:
            raise InputError(
                f"the trials are for another {key} ({str(arrays[key])[:16]}) than the package on the board "
                f"({expected[:16]}): deploy the project's package"
            )
    return arrays["inputs"], arrays["settings"]
