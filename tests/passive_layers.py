"""Random layers that compute no sums of products: activations, pooling, softmax, argmax and upsampling."""

import numpy as np
from hypothesis import strategies as st
from networks import fixed_points, results

from codesign.fixed import FixedPoint, Overflow
from codesign.network import Kind, Layer, Parameter, Shape
from codesign.network.rules import TABLES_OF
from codesign.network.tables import SPANS, activation_table, exponential_table, inverse_table

# Tables are indexed by what has at most so many integer bits.
_MAX_INTEGER = 20


@st.composite
def passive(draw: st.DrawFn, name: str, last: str, shape: Shape, source: FixedPoint) -> Layer:
    """A layer on a tensor of a name, shape and type; `networks(more=passive)` are networks of every kind."""
    if draw(st.booleans()):
        return draw(_activation(name, shape, source, (last,)))
    kinds = [Kind.SOFTMAX, Kind.ARGMAX] if len(shape) == 1 else [Kind.MAX_POOL, Kind.AVERAGE_POOL, Kind.UPSAMPLE]
    match draw(st.sampled_from(kinds)):
        case Kind.SOFTMAX:
            return draw(_softmax(name, shape, source, (last,)))
        case Kind.ARGMAX:
            return Layer.argmax(name, *shape, draw(fixed_points((2, 6), (-1, 3))), inputs=(last,))
        case Kind.UPSAMPLE:
            factors = tuple(draw(st.integers(1, 2)) for _ in shape[:-1])
            return Layer.upsample(name, shape, factors, source, inputs=(last,))
        case kind:
            return draw(_pool(name, kind, shape, source, (last,)))


@st.composite
def _activation(draw: st.DrawFn, name: str, shape: Shape, source: FixedPoint, inputs: tuple[str, ...]) -> Layer:
    functions = [f for f in TABLES_OF if f not in SPANS or source.integer <= _MAX_INTEGER]
    function, tables = draw(st.sampled_from(functions)), []
    for single in TABLES_OF[function]:
        of = draw(fixed_points((2, 8), (0, 6)) if single else fixed_points((4, 14), (0, 10)))
        if single:
            tables.append(Parameter(np.array([draw(st.integers(of.min_raw, of.max_raw))]), of))
        else:
            tables.append(activation_table(function, draw(st.sampled_from([64, 100])), of))
    to = draw(results(source.frac) | fixed_points((2, 8), (0, 6)))
    return Layer.activation(name, shape, function, to, tables=tuple(tables), inputs=inputs)


@st.composite
def _pool(draw: st.DrawFn, name: str, kind: Kind, shape: Shape, source: FixedPoint, inputs: tuple[str, ...]) -> Layer:
    kernel = draw(st.none() | st.tuples(*(st.integers(1, min(3, size)) for size in shape[:-1])))
    strides = None if kernel is None else draw(st.none() | st.tuples(*(st.integers(1, 2) for _ in kernel)))
    paddings = ["valid", "same"] if source.signed or kind is Kind.AVERAGE_POOL else ["valid"]
    slide = {"strides": strides, "padding": draw(st.sampled_from(paddings)), "inputs": inputs}
    if kind is Kind.MAX_POOL:
        return Layer.max_pool(name, shape, kernel, draw(st.just(source) | results(source.frac)), **slide)
    frac = source.frac + draw(st.integers(0, 3))
    accumulator = draw(fixed_points((4, 20), (frac, frac), overflow=st.just(Overflow.WRAP)))
    return Layer.average_pool(name, shape, kernel, accumulator, draw(results(frac)), **slide)


@st.composite
def _softmax(draw: st.DrawFn, name: str, shape: Shape, source: FixedPoint, inputs: tuple[str, ...]) -> Layer:
    """Tables of at most 64 entries, as few as their index has bits for."""
    norm = draw(st.none() | fixed_points((3, 9), (0, 5)))
    # Exponentials grow beyond every type; a table of them saturates.
    limits = st.sampled_from([mode for mode in Overflow if mode is not Overflow.WRAP])
    table, index = draw(fixed_points((6, 18), (2, 10), overflow=limits)), draw(fixed_points((4, 12), (0, 8)))
    of = norm or source
    pair = (
        exponential_table(2 ** min(6, of.width), of, table, negative=norm is not None),
        inverse_table(2 ** min(6, index.width), index, table),
    )
    types = (draw(fixed_points((8, 20), (2, 10))), index, draw(fixed_points((2, 12), (0, 8))))
    implementation = "stable" if norm else "latency"
    return Layer.softmax(name, *shape, implementation, pair, *types, norm=norm, inputs=inputs)
