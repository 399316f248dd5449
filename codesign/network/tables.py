"""The look-up tables that hls4ml's C++ fills when it starts, as integers.

hls4ml 1.3.0 computes every entry in single precision with the C library's functions and assigns it to the table's
type. The same functions of the same library are called here, since NumPy's differ in the last bit.
"""

import ctypes
import ctypes.util
import math
from collections.abc import Callable
from functools import cache

import numpy as np

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, Overflow, quantise
from codesign.network.layer import Parameter

# Look-up functions, and the span of the inputs that their tables cover: from -span to span, or to 0 for negative ones.
SPANS = {"sigmoid": 8, "tanh": 4, "softplus": 8, "softsign": 8, "elu": -8, "selu": -8}
# The factor of selu's positive half is held in ap_ufixed<16, 1>.
SELU_FACTOR = Parameter(quantise([1.0507009873554805], FixedPoint(16, 1, signed=False)), FixedPoint(16, 1, False))


@cache
def _libm(name: str) -> Callable[[float], float]:
    library = ctypes.util.find_library("m")
    if library is None:
        raise ConfigError("the C library's libm was not found; tables of activations are computed with it")
    function = getattr(ctypes.CDLL(library), name)
    function.argtypes, function.restype = [ctypes.c_float], ctypes.c_float
    return lambda value: float(function(value))


def _single(value: float) -> float:
    return float(np.float32(value))


def _value(function: str, x: float) -> float:
    """An entry for a single-precision `x`, in C++'s mixture of single and double precision."""
    match function:
        case "sigmoid":
            return _single(1.0 / _single(1.0 + _libm("expf")(-x)))
        case "tanh":
            return _libm("tanhf")(x)
        case "softplus":
            return _single(math.log(_libm("expf")(x) + 1.0))
        case "softsign":
            return _single(x / (abs(x) + 1.0))
        case "elu":
            return _single(_libm("expf")(x) - 1.0)
        case "selu":
            return _single(1.0507009873554804934 * (1.6732632423543772848 * (_libm("expf")(x) - 1.0)))
    raise ConfigError(f"'{function}' has no table; tables exist for {list(SPANS)}")


def activation_table(function: str, size: int, to: FixedPoint) -> Parameter:
    """The table of one of `SPANS` with `size` entries of type `to`."""
    span = SPANS.get(function, 0)
    if span < 0:
        inputs = [_single(span * i / size) for i in range(size)]
    else:
        inputs = [_single(2.0 * span * (i - _single(size / 2)) / size) for i in range(size)]
    return Parameter(quantise([_value(function, x) for x in inputs], to), to)


def exponential_table(size: int, index: FixedPoint, to: FixedPoint, *, negative: bool) -> Parameter:
    """exp(x), or exp(-x), where x has the top bits of type `index` that number the entry."""
    sign = -1.0 if negative else 1.0
    return Parameter(_saturated([_libm("expf")(sign * x) for x in _tops(size, index)], to), to)


def inverse_table(size: int, index: FixedPoint, to: FixedPoint) -> Parameter:
    """1/x, where x has the top bits of type `index` that number the entry."""
    return Parameter(_saturated([_single(1.0 / x) if x else math.inf for x in _tops(size, index)], to), to)


def _tops(size: int, index: FixedPoint) -> list[float]:
    """The real numbers of type `index` with all but the top log2(size) bits zero."""
    words = np.arange(size, dtype=np.int64) << (index.width - (size.bit_length() - 1))
    if index.signed:
        words = np.where(words > index.max_raw, words - (1 << index.width), words)
    return [_single(math.ldexp(int(word), -index.frac)) for word in words]


def _saturated(values: list[float], to: FixedPoint) -> Ints:
    """Infinity counts as a number beyond the range; in a type that wraps it becomes zero, as ap_fixed has it."""
    if to.overflow is Overflow.WRAP:
        return quantise([0.0 if math.isinf(value) else value for value in values], to)
    return quantise(np.clip(values, -(2.0 ** (to.integer + 1)), 2.0 ** (to.integer + 1)), to)
