"""Immutable integer networks and their NumPy reference inference (the golden model).

Arrays hold raw integers (see `codesign.fixed`). Every layer keeps the exact types that hls4ml settled on, so
nothing is guessed later.
"""

from codesign.network.graph import FROM_INPUT, Network
from codesign.network.inference import entering, finish, forward, parameters, passed
from codesign.network.layer import INPUT, Kind, Layer, Parameter, Shape, Window
from codesign.network.unit import Unit, adder_spans, exact_matmul, product_type

__all__ = [
    "FROM_INPUT",
    "INPUT",
    "Kind",
    "Layer",
    "Network",
    "Parameter",
    "Shape",
    "Unit",
    "Window",
    "adder_spans",
    "entering",
    "exact_matmul",
    "finish",
    "forward",
    "parameters",
    "passed",
    "product_type",
]
