"""Does the board give what the C-simulation gives? Samples, flags and guards, as a report that goes into JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .accelerator import GUARD_BITS, Accelerator, Traced
from .errors import InputError
from .package import Check, read_check

if TYPE_CHECKING:
    from .fixed import Ints


def check(accelerator: Accelerator, samples: int | None = None) -> dict[str, Any]:
    """Compare the package's samples (the first of them) with what travels with them, and test the guards.

    `passed` says whether all of it is right.
    """
    known = read_check(accelerator.package)
    count = len(known.inputs) if samples is None else min(samples, len(known.inputs))
    if count < 1:
        raise InputError(f"samples is {samples}, expected at least 1")
    inputs, logits = known.inputs[:count], known.logits[:count]
    found = accelerator.predict_raw(inputs)
    traced = accelerator.trace_raw(inputs)
    same = (found == logits).all(axis=1) & (traced.logits == logits).all(axis=1)
    flagged = _flags_agree(traced, known, count)
    tested = self_test(accelerator, inputs, known)
    report: dict[str, Any] = {
        "network": accelerator.model.network_name,
        "board": accelerator.package.board,
        "samples": count,
        "equal": int(same.sum()),
        "flags_equal": int(flagged.sum()),
    }
    if not same.all():
        report["first_difference"] = _first(found, traced.logits, logits)
    if known.labels is not None and len(known.labels) >= count:
        report["accuracy"] = float((found.argmax(axis=1) == known.labels[:count]).mean())
    figures = accelerator.measure(inputs, 0.2)
    report["samples_per_s"], report["latency_us"] = round(figures.samples_per_s, 1), round(figures.latency_us, 1)
    report["self_test"] = tested
    report["passed"] = bool(same.all() and flagged.all() and tested["passed"])
    return report


def _flags_agree(traced: Traced, known: Check, count: int) -> Any:
    pairs = ((traced.corrected, known.corrected), (traced.detected, known.detected))
    return np.logical_and(*(ours.any(axis=1) == theirs[:count] for ours, theirs in pairs))


def _first(found: Ints, single: Ints, logits: Ints) -> dict[str, int]:
    board = np.where((found != logits).any(axis=1)[:, None], found, single)
    sample, logit = np.argwhere(board != logits)[0].tolist()
    return {"sample": sample, "logit": logit, "board": int(board[sample, logit]), "csim": int(logits[sample, logit])}


def self_test(accelerator: Accelerator, raw: Any, known: Check | None = None) -> dict[str, Any]:
    """Raise each guard bit in turn: logits stay what they are, or a layer says that it cannot correct them.

    Where the package's samples say what a raised guard does in C-simulation, the board must do exactly that. Each of
    `guards` names the layers that corrected and detected; `findings` says what is not right, in sentences.
    """
    given = accelerator.model.input.check(raw)
    if not len(given):
        raise InputError("the self-test needs samples")
    findings: list[str] = []
    guards: list[dict[str, Any]] = []
    accelerator.guard = 0
    accelerator.clear()
    golden = accelerator.predict_raw(given)
    if any(any(layers.values()) for layers in accelerator.flags()):
        findings.append("a flag is raised although no guard is")
    try:
        for bit in range(GUARD_BITS):
            accelerator.clear()
            accelerator.guard = 1 << bit
            logits = accelerator.predict_raw(given)
            accelerator.guard = 0
            corrected, detected = ([n for n, up in flags.items() if up] for flags in accelerator.flags())
            equal = bool(np.array_equal(logits, golden))
            guards.append({"bit": bit, "logits_equal": equal, "corrected": corrected, "detected": detected})
            if not equal and not detected:
                findings.append(f"guard bit {bit} is neither outvoted nor detected: the logits differ")
            findings += _unlike_csim(accelerator, bit, logits, guards[-1], known)
    finally:
        accelerator.guard = 0
        accelerator.clear()
    if not np.array_equal(accelerator.predict_raw(given), golden):
        findings.append("the logits do not come back after the guards were lowered")
    seen = any(guard["corrected"] or guard["detected"] for guard in guards)
    return {"passed": not findings, "seen": seen, "guards": guards, "findings": findings}


def _unlike_csim(
    accelerator: Accelerator, bit: int, logits: Ints, guard: dict[str, Any], known: Check | None
) -> list[str]:
    if known is None or known.guard_logits is None or known.guard_corrected is None or known.guard_detected is None:
        return []
    found = []
    if not np.array_equal(logits, known.guard_logits[bit][: len(logits)]):
        found.append(f"guard bit {bit}: other logits than in C-simulation")
    if len(logits) < len(known.inputs):
        return found  # flags of all samples cannot be compared with those of some
    for kind, rows in (("corrected", known.guard_corrected), ("detected", known.guard_detected)):
        expected = [name for name, up in zip(accelerator.model.layers, rows[bit]) if up]
        if guard[kind] != expected:
            found.append(f"guard bit {bit}: {kind} in {_listed(guard[kind])}, in C-simulation in {_listed(expected)}")
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "no layer"
