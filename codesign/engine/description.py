"""A network with its plan, and a fault space, as flat 64-bit integers: what the compiled engine reads."""

import math
import struct

import numpy as np

from codesign.codes import Code
from codesign.faults import FaultSpace, Segment
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.network import Kind, Layer, Network, Parameter
from codesign.network.kind import WIRING
from codesign.network.passive import check_sources
from codesign.network.rules import TABLES_OF
from codesign.network.tables import SELU_FACTOR
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

FORMAT = 1
_KINDS, _FUNCTIONS = list(Kind), list(TABLES_OF)
_ROUNDINGS, _OVERFLOWS, _MECHANISMS, _CODES = list(Rounding), list(Overflow), list(Mechanism), list(Code)
# Stands where a layer has no such type.
_NO_TYPE = FixedPoint(1, 1)

Words = list[int]


def describe(network: Network, plan: ProtectionPlan) -> Ints:
    """Everything that decides the logits under faults."""
    plan.check(network)
    parts = [np.array([FORMAT, *_type(network.input_type), network.n_in, len(network.layers)], np.int64)]
    for index, layer in enumerate(network.layers):
        parts += _layer(network, index, plan.of_layer(layer))
    return np.concatenate(parts)


def describe_space(space: FaultSpace) -> Ints:
    """Everything that decides what a trial draws."""
    model = space.model
    ber = 0.0 if model.ber is None else model.ber
    head = [model.seed, model.n_flips or 0, struct.unpack("<q", struct.pack("<d", ber))[0], len(space.segments)]
    return np.concatenate([np.array(head, np.int64), *(_segment(segment) for segment in space.segments)])


def _segment(segment: Segment) -> Ints:
    head = [segment.layer, int(segment.target), segment.replica, int(segment.of_unit)]
    head += [segment.samples, segment.steps, segment.positions, len(segment.bits)]
    neurons = np.stack([segment.lowest, segment.bits], axis=1).astype(np.int64)
    return np.concatenate([np.array(head, np.int64), neurons.reshape(-1)])


def _type(of: FixedPoint) -> Words:
    return [of.width, of.frac, int(of.signed), _ROUNDINGS.index(of.rounding), _OVERFLOWS.index(of.overflow)]


def _layer(network: Network, index: int, plan: LayerPlan) -> list[Ints]:
    layer, sources = network.layers[index], network.sources(index)
    if not layer.protectable:
        check_sources(layer, network.input_types(index))
    head = [_KINDS.index(layer.kind), len(sources), *sources, *_type(layer.result), layer.pixels, layer.neurons]
    head += [1, *_type(layer.acc)] if layer.accumulator else [0]
    parts = [np.array(head, np.int64), _window(layer)]
    if layer.protectable:
        parts += _unit(layer, plan)
    tables = list(layer.tables)
    if layer.settings.get("function") == "selu":
        tables.append(SELU_FACTOR)
    parts.append(np.array([_FUNCTIONS.index(layer.settings.get("function", "linear")), len(tables)], np.int64))
    for table in tables:
        parts += [np.array([table.raw.size], np.int64), _parameter(table)]
    wiring = _wiring(network, index) if layer.kind in WIRING else np.zeros(0, np.int64)
    norm, inverse = (layer.settings.get(name) for name in ("norm_type", "inverse_input_type"))
    types = [word for text in (norm, inverse) for word in _type(FixedPoint.parse(text) if text else _NO_TYPE)]
    return [*parts, np.array([len(wiring)], np.int64), wiring, np.array([int(bool(norm)), *types], np.int64)]


def _window(layer: Layer) -> Ints:
    if layer.window is None:
        return np.zeros(1, np.int64)
    places = layer.window.places
    return np.concatenate([np.array([places.shape[1], layer.window.in_shape[2]], np.int64), places.reshape(-1)])


def _unit(layer: Layer, plan: LayerPlan) -> list[Ints]:
    parts = [np.array([layer.fan_in, layer.reuse_factor], np.int64)]
    if layer.has_weights:
        parts += [_parameter(layer.w), _parameter(layer.b)]
    mechanism, code = _MECHANISMS.index(plan.mechanism), _CODES.index(plan.parameters)
    cut = layer.acc.width - np.array(plan.hardened_bits, np.int64)
    return [*parts, np.array([mechanism, int(plan.scope is Scope.MAC), plan.dot_size, code], np.int64), cut]


def _parameter(parameter: Parameter) -> Ints:
    return np.concatenate([np.array(_type(parameter.type), np.int64), parameter.raw.reshape(-1)])


def _wiring(network: Network, index: int) -> Ints:
    """For each value that leaves the number of the one that it is, or -1 for zero."""
    layer = network.layers[index]
    shape = layer.in_shapes[0]
    numbers = np.arange(layer.n_in, dtype=np.int64)
    first = numbers[: math.prod(shape)].reshape(shape)
    if layer.kind is Kind.CONCATENATE:
        second = numbers[first.size :].reshape(layer.in_shapes[1])
        first = np.concatenate([first, second], axis=layer.settings["axis"])
    elif layer.kind is Kind.UPSAMPLE:
        for axis, factor in enumerate(layer.settings["factors"]):
            first = first.repeat(factor, axis=axis)
    elif layer.kind is Kind.PAD and layer.window is not None:
        places = layer.window.places
        first = np.where(places < 0, -1, places * shape[-1] + np.arange(shape[-1]))
    return first.reshape(-1)
