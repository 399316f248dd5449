"""The compiled engine's C interface (native/interface.h) by ctypes, which lets other threads run meanwhile."""

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.faults import FAULT, FaultArray
from codesign.fixed import Ints

VERSION = 2
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
            "version": (c_int32, []),
            "open": (c_void_p, [c_void_p, c_size_t, c_void_p, c_int64, c_int32, Error]),
            "close": (None, [c_void_p]),
            "kernels": (c_int32, [c_void_p]),
            "golden": (None, [c_void_p, c_void_p]),
            "run": (c_int, [c_void_p, c_void_p, c_size_t, c_void_p, c_void_p, Error]),
            "campaign": (c_int, [c_void_p, POINTER(Campaign), Error]),
            "draw": (c_void_p, [c_void_p, c_size_t, c_int64, POINTER(c_size_t), Error]),
            "free": (None, [c_void_p]),
        }
        for name, (result, arguments) in functions.items():
            function = getattr(found, f"codesign_engine_{name}")
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


def signals() -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The words by which a campaign and its caller speak: trials done, and whether to stop."""
    return np.zeros(1, np.int64), np.zeros(1, np.int32)


def no_bytes(size: int) -> NDArray[np.uint8]:
    """Marks of finished trials, or flags of samples."""
    return np.zeros(size, c_uint8)
