"""The compiled engine's C interface (native/interface.h) by ctypes, which lets other threads run meanwhile."""

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.faults import FAULT, FaultArray
from codesign.fixed import Ints

VERSION = 3
Progress = Callable[[int], None]
# Names another build of the library, such as one with sanitizers.
VARIABLE = "CODESIGN_ENGINE_LIBRARY"
_LIBRARY = Path(__file__).parent / "libcodesign_engine.so"
_TEXT_BYTES = 512


class Campaign(ctypes.Structure):
    """`codesign_campaign` of the C interface."""

    _fields_ = (
        ("space", c_void_p),
        ("n_space", c_size_t),
        ("faults", c_void_p),
        ("offsets", c_void_p),
        ("first_trial", c_int64),
        ("n_trials", c_int64),
        ("labels", c_void_p),
        ("threads", c_int32),
        ("counts", c_void_p),
        ("logits", c_void_p),
        ("finished", c_void_p),
        ("done", c_void_p),
        ("cancel", c_void_p),
    )


class CircuitDescription(ctypes.Structure):
    """`codesign_circuit_description` of the C interface."""

    _fields_ = (
        *((name, c_int64) for name in ("n_sources", "n_registers", "n_values", "n_cycles", "n_samples")),
        *((name, c_void_p) for name in ("data", "initial", "tables", "n_inputs", "inputs", "entering")),
        ("n_entering", c_int64),
        ("waves", c_void_p),
        ("outputs", c_void_p),
        *((name, c_int64) for name in ("n_out", "width", "is_signed")),
        ("ready", c_int32),
        ("flags", c_void_p),
        ("flag_kinds", c_void_p),
        ("n_flags", c_int64),
    )


class UpsetTrials(ctypes.Structure):
    """`codesign_upset_trials` of the C interface."""

    _fields_ = (
        ("upsets", c_void_p),
        ("offsets", c_void_p),
        ("n_trials", c_int64),
        ("labels", c_void_p),
        ("threads", c_int32),
        ("counts", c_void_p),
        ("finished", c_void_p),
        ("done", c_void_p),
        ("cancel", c_void_p),
    )


class Error(ctypes.Structure):
    """`codesign_error`: where a call that fails writes why."""

    _fields_ = (("text", c_char_p), ("size", c_size_t))

    @classmethod
    def empty(cls) -> "Error":
        return cls(ctypes.cast(ctypes.create_string_buffer(_TEXT_BYTES), c_char_p), _TEXT_BYTES)

    def raised(self) -> ConfigError:
        return ConfigError(self.text.decode())


def address(array: NDArray[Any]) -> int:
    """Where a C-contiguous array's values are."""
    assert array.flags.c_contiguous
    return int(array.ctypes.data)


@cache
def library() -> ctypes.CDLL:
    """The library, with the types of its functions. Raises ConfigError where it is absent or of another version."""
    path = Path(os.environ.get(VARIABLE) or _LIBRARY)
    try:
        found = ctypes.CDLL(str(path))
        functions: dict[str, tuple[Any, list[Any]]] = {
            "engine_version": (c_int32, []),
            "engine_open": (c_void_p, [c_void_p, c_size_t, c_void_p, c_int64, c_int32, Error]),
            "engine_close": (None, [c_void_p]),
            "engine_kernels": (c_int32, [c_void_p]),
            "engine_golden": (None, [c_void_p, c_void_p]),
            "engine_run": (c_int, [c_void_p, c_void_p, c_size_t, c_void_p, c_void_p, Error]),
            "engine_campaign": (c_int, [c_void_p, POINTER(Campaign), Error]),
            "engine_draw": (c_void_p, [c_void_p, c_size_t, c_int64, POINTER(c_size_t), Error]),
            "engine_free": (None, [c_void_p]),
            "circuit_open": (c_void_p, [POINTER(CircuitDescription), Error]),
            "circuit_close": (None, [c_void_p]),
            "circuit_golden": (None, [c_void_p, c_void_p, c_void_p]),
            "circuit_run": (c_int, [c_void_p, POINTER(UpsetTrials), Error]),
        }
        for name, (result, arguments) in functions.items():
            function = getattr(found, f"codesign_{name}")
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ConfigError(
            f"the compiled engine cannot be loaded ({error}); install the package again with a C++ compiler at hand"
        ) from None
    if found.codesign_engine_version() != VERSION:
        raise ConfigError(
            f"{path} is of version {found.codesign_engine_version()}, {VERSION} is needed; build it again"
        )
    return found


def draw(space: Ints, trial: int) -> FaultArray:
    """The faults of one trial of a described fault space."""
    count, error = c_size_t(), Error.empty()
    found = library().codesign_engine_draw(address(space), len(space), trial, ctypes.byref(count), error)
    if not found:
        raise error.raised()
    try:
        size = count.value * FAULT.itemsize
        return np.frombuffer(ctypes.string_at(found, size), FAULT).copy()
    finally:
        library().codesign_engine_free(found)


# How often a running campaign looks for interrupts and tells its progress, in seconds.
_POLL = 0.05


def watched(call: Callable[[], int], done: Ints, cancel: NDArray[np.int32], progress: Progress | None) -> int:
    """What `call` gives, made in a thread of its own, so that this one can take an interrupt and pass it on.

    `progress` is told the number in `done`.
    """
    results: list[int] = []
    # Thread.join is not enough: interrupted in it, Python 3.11 takes a thread for ended that still writes counts.
    ended = threading.Event()

    def work() -> None:
        try:
            results.append(call())
        finally:
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while not ended.wait(_POLL):
            if progress:
                progress(int(done[0]))
    finally:
        cancel[0] = 1
        while not ended.is_set():  # another interrupt changes nothing
            with suppress(KeyboardInterrupt):
                ended.wait()
        thread.join()
    if progress:
        progress(int(done[0]))
    return results[0]


def signals() -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The words by which a campaign and its caller speak: trials done, and whether to stop."""
    return np.zeros(1, np.int64), np.zeros(1, np.int32)


def no_bytes(size: int) -> NDArray[np.uint8]:
    """Marks of finished trials, or flags of samples."""
    return np.zeros(size, c_uint8)
