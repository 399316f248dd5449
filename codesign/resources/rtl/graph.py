"""Adder graphs that several neurons share, as da4ml finds them for a layer's weights (distributed arithmetic).

A graph computes the sums of inputs times constants, exactly; widths, signs and wrapping are left to `shared`. It is
solved once a layer, with the options of hls4ml's strategy `distributed_arithmetic`, and kept by its weights' digest:
a group of neurons takes from it what it needs.
"""

import gzip
import importlib.metadata
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import ToolError
from codesign.files import cache_folder, digest_of, write_atomically
from codesign.fixed import FixedPoint, Ints
from codesign.progress import say

# As hls4ml calls it: two levels of adders more than the shallowest graph, an adder's cost its width, its delay a level.
_OPTIONS = {"hard_dc": 2, "adder_size": 1, "carry_size": -1}
_INPUT, _ADD, _SUBTRACT = -1, 0, 1


@dataclass(frozen=True)
class Term:
    """What a node gives, times 2**shift, or minus that."""

    node: int
    shift: int = 0
    minus: bool = False

    def times(self, shift: int, minus: bool) -> "Term":
        return Term(self.node, self.shift + shift, self.minus != minus)


@dataclass(frozen=True)
class Graph:
    """Nodes 0 .. inputs - 1 are the inputs; each further one adds two terms of nodes before it.

    `outputs` are the neurons' sums of products; None is zero. Values inside can have fractions, outputs are integers.
    """

    inputs: int
    sums: tuple[tuple[Term, Term], ...]
    outputs: tuple[Term | None, ...]

    @cached_property
    def coefficients(self) -> tuple[Ints, Ints]:
        """Of every node: shape (nodes, inputs), and the powers of two they are counted in, shape (nodes,)."""
        found, exponents = [*np.eye(self.inputs, dtype=np.int64)], [0] * self.inputs
        for terms in self.sums:
            exponent = min(exponents[t.node] + t.shift for t in terms)
            parts = [
                found[t.node] * ((-1 if t.minus else 1) << (exponents[t.node] + t.shift - exponent)) for t in terms
            ]
            found.append(parts[0] + parts[1])
            exponents.append(exponent)
        return np.array(found), np.array(exponents, np.int64)

    def check(self, weights: Ints) -> "Graph":
        """Raise ToolError unless the outputs are the weights' columns."""
        coefficients, exponents = self.coefficients
        for column, term in zip(weights.T, self.outputs, strict=True):
            found = np.zeros_like(column, dtype=np.float64)
            if term is not None:
                scale = 2.0 ** (int(exponents[term.node]) + term.shift)
                found = coefficients[term.node] * (-scale if term.minus else scale)
            if not np.array_equal(found, column):
                raise ToolError("da4ml's adder graph does not compute the layer's products", ["da4ml"])
        return self


def solved(weights: Ints, source: FixedPoint, cache: Path | None = None) -> Graph:
    """The graph of weights of shape (inputs, neurons), from the cache or from da4ml, whose first call ever takes
    minutes. Raises ToolError where da4ml is missing.
    """
    table = np.ascontiguousarray(weights, np.int64)
    return _kept(table.tobytes(), table.shape, source.min_raw, source.max_raw, cache or cache_folder())


@lru_cache(maxsize=64)
def _kept(weights: bytes, shape: tuple[int, int], low: int, high: int, cache: Path) -> Graph:
    about = json.dumps([shape, low, high, _version(), _OPTIONS])
    path = cache / "adder_graphs" / f"{digest_of(about, weights)[:32]}.json.gz"
    table = np.frombuffer(weights, np.int64).reshape(shape)
    try:
        return _read(json.loads(gzip.decompress(path.read_bytes()))).check(table)
    except (OSError, EOFError, ValueError, LookupError, TypeError, zlib.error, ToolError):  # not there, or damaged
        graph = _flattened(_pipeline(table, low, high), shape[0]).check(table)
        write_atomically(path, gzip.compress(json.dumps(_written(graph)).encode(), 1))
        return graph


def _version() -> str:
    try:
        return importlib.metadata.version("da4ml")
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(
            "da4ml is not installed: pip install 'codesign[yosys]', or use strategy latency", ["da4ml"]
        ) from None


def _pipeline(weights: Ints, low: int, high: int) -> Any:
    from da4ml.cmvm import solve  # type: ignore[import-untyped]
    from da4ml.cmvm.types import QInterval  # type: ignore[import-untyped]

    say(f"da4ml shares the adders of {weights.shape[1]} neurons with {weights.shape[0]} inputs")
    ranges = [QInterval(float(low), float(high), 1.0)] * len(weights)
    return solve(weights.astype(np.float64), qintervals=ranges, latencies=[0.0] * len(weights), **_OPTIONS)


def _flattened(pipeline: Any, inputs: int) -> Graph:
    """da4ml's two matrices, one behind the other, as one graph."""
    sums: list[tuple[Term, Term]] = []
    entering: list[Term | None] = [Term(k) for k in range(inputs)]
    for stage in pipeline.solutions:
        values: list[Term | None] = []
        for op in stage.ops:
            if op.opcode == _INPUT:
                values.append(_scaled(entering[op.id0], int(stage.inp_shifts[op.id0])))
            elif op.opcode in (_ADD, _SUBTRACT):
                pair = (values[op.id0], _scaled(values[op.id1], int(op.data), op.opcode == _SUBTRACT))
                values.append(_together(pair, inputs, sums))
            else:
                raise ToolError(f"da4ml's adder graph has an operation {op.opcode}, which is not known", ["da4ml"])
        outputs = zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True)
        entering = [_scaled(values[at], int(shift), bool(minus)) if at >= 0 else None for at, shift, minus in outputs]
    return Graph(inputs, tuple(sums), tuple(entering))


def _scaled(term: Term | None, shift: int, minus: bool = False) -> Term | None:
    return None if term is None else term.times(shift, minus)


def _together(pair: tuple[Term | None, Term | None], inputs: int, sums: list[tuple[Term, Term]]) -> Term | None:
    """A sum; of a term and zero the term."""
    first, second = pair
    if first is None or second is None:
        return first or second
    sums.append((first, second))
    return Term(inputs + len(sums) - 1)


def _written(graph: Graph) -> Any:
    def term(of: Term | None) -> list[int] | None:
        return None if of is None else [of.node, of.shift, int(of.minus)]

    return {
        "inputs": graph.inputs,
        "sums": [[term(t) for t in pair] for pair in graph.sums],
        "outputs": [term(t) for t in graph.outputs],
    }


def _read(given: Any) -> Graph:
    def term(of: Iterable[int]) -> Term:
        node, shift, minus = of
        return Term(node, shift, bool(minus))

    sums = tuple((term(first), term(second)) for first, second in given["sums"])
    return Graph(given["inputs"], sums, tuple(None if t is None else term(t) for t in given["outputs"]))
