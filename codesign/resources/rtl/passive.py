"""Layers that compute no sums of products, on all of their values at once; see `codesign.network.passive`.

Equal pieces of logic are instances of one module, a *cell*.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codesign.fixed import FixedPoint, cast, rescale
from codesign.network import Kind, Layer, passed
from codesign.resources.rtl import activations
from codesign.resources.rtl.logic import Logic, Value
from codesign.resources.rtl.verilog import Writer

Sources = tuple[FixedPoint, ...]
# Places of values pass through wiring as numbers of this type.
_PLACES = FixedPoint(48, 48)
# Rows of a divider whose operand has at most so many bits are looked up.
_LOOKED_UP_BITS = 7


@dataclass
class PassiveWriter:
    """A layer's module: ports `x<k>` for each input, from `level` on, and `y`."""

    layer: Layer
    sources: Sources
    cycle_of: Callable[[int], int]
    level: int

    def write(self) -> tuple[Writer, int]:
        """The module, and the level behind which its results are there."""
        writer, entering = Writer("layer"), []
        for port, (source, shape) in enumerate(zip(self.sources, self.layer.in_shapes, strict=True)):
            size = int(np.prod(shape))
            net = writer.input(f"x{port}", size * source.width)
            for k in range(size):
                first, last = k * source.width, (k + 1) * source.width - 1
                name = writer.wire(f"x{port}_{k}", source.width, f"{net}[{last}:{first}]")
                entering.append((Value(name, source.width, source.signed, self.level), source))
        self.logic = Logic(writer, self.cycle_of)
        leaving = self._leaving(entering)
        level = max([self.level, *(value.level for value in leaving)])
        nets = [self.logic.at(value, level) for value in reversed(leaving)]
        writer.output("y", self.layer.n_out * self.layer.result.width, f"{{{', '.join(nets)}}}")
        return writer, level

    def cell(self, kind: str, values: Sequence[Value], work: Callable[..., Value]) -> Value:
        """What a piece of logic makes of values."""
        writer = Writer(kind)
        inner = [
            value if value.constant else replace(value, net=writer.input(f"x{k}", value.width))
            for k, value in enumerate(values)
        ]
        made = work(Logic(writer, self.cycle_of), *inner)
        writer.output("y", made.width, made.net)
        net, outer = self.logic.writer.fresh(), self.logic.writer
        outer.body.append(f"wire [{made.width - 1}:0] {net};")
        given = {f"x{k}": value.net for k, value in enumerate(values) if not value.constant}
        outer.instance(writer.done(), f"i_{net}", **given, y=net)
        return replace(made, net=net, constant=False)

    def _leaving(self, entering: list[tuple[Value, FixedPoint]]) -> list[Value]:
        layer, source, values = self.layer, self.sources[0], [value for value, _ in entering]
        match layer.kind:
            case Kind.MAX_POOL | Kind.AVERAGE_POOL:
                return self._pooled(values)
            case Kind.SOFTMAX:
                return self._softmax(values)
            case Kind.ARGMAX:
                return self._argmax(values)
            case Kind.ACTIVATION if (function := layer.settings["function"]) != "linear":
                return [
                    self.cell(function, [value], lambda logic, x: activations.activated(logic, layer, source, x))
                    for value in values
                ]
        return [self._passed(*entering[place]) if place >= 0 else self._constant(0) for place in self._places()]

    def _places(self) -> list[int]:
        """Which value leaves at each place, -1 for none: what the layer makes of the numbers of its inputs."""
        numbers = np.arange(1, self.layer.n_in + 1, dtype=np.int64)[None]
        wiring = replace(self.layer, result=_PLACES)
        found: list[int] = (passed(wiring, (_PLACES,) * len(self.sources), numbers)[0] - 1).tolist()
        return found

    def _passed(self, value: Value, source: FixedPoint) -> Value:
        to = self.layer.result
        if self.layer.kind is Kind.RELU and source.signed:
            return self.cell("relu", [value], lambda logic, x: activations.positive(logic, x, source, to))
        if source == to:
            return value
        return self.cell("cast", [value], lambda logic, x: logic.cast(x, source.frac, to))

    def _constant(self, number: int) -> Value:
        return Value.word(number, self.layer.result)

    # ---------------------------------------------------------------- pooling

    def _pooled(self, values: list[Value]) -> list[Value]:
        window = self.layer.window
        assert window is not None
        channels, found = window.in_shape[2], []
        make = self._largest if self.layer.kind is Kind.MAX_POOL else self._mean
        for places in window.places.tolist():
            inside = [place for place in places if place >= 0]
            found += [make([values[place * channels + channel] for place in inside]) for channel in range(channels)]
        return found

    def _largest(self, values: list[Value]) -> Value:
        source, to = self.sources[0], self.layer.result
        if not values:
            return self._constant(int(cast(source.min_raw, source, to)))
        return self.cell("largest", values, lambda logic, *x: logic.typed(logic.tree(x, larger(logic)), source, to))

    def _mean(self, values: list[Value]) -> Value:
        source, acc, to = self.sources[0], self.layer.acc, self.layer.result

        def mean(logic: Logic, *x: Value) -> Value:
            def add(a: Value, b: Value) -> Value:
                return logic.made([a, b], acc.width, acc.signed, lambda p, q: f"{p} + {q}")

            total = logic.tree([logic.typed(value, source, acc) for value in x], add)
            return logic.typed(divided(logic, total, len(x)), acc, to)

        return self.cell("mean", values, mean) if values else self._constant(0)

    # ---------------------------------------------------------------- vectors

    def _argmax(self, values: list[Value]) -> list[Value]:
        bits, to = max(1, (len(values) - 1).bit_length()), self.layer.result
        index = FixedPoint(bits, bits, signed=False)

        def first(logic: Logic, *x: Value) -> Value:
            best = [(value, Value.word(k, index)) for k, value in enumerate(x)]
            while len(best) > 1:
                best = [_better(logic, best[k : k + 2]) for k in range(0, len(best), 2)]
            return best[0][1]

        place = self.cell("argmax", values, first)
        one, zero = (Value.word(int(rescale(number, 0, to)), to) for number in (1, 0))
        return [
            self.logic.made([place, one, zero], to.width, to.signed, lambda p, a, b, k=k: f"({p} == {k}) ? {a} : {b}")
            for k in range(len(values))
        ]

    def _softmax(self, values: list[Value]) -> list[Value]:
        layer, source, to = self.layer, self.sources[0], self.layer.result
        exponentials, inverses = layer.tables
        norm = FixedPoint.parse(layer.settings["norm_type"]) if layer.settings["norm_type"] else None
        index, bits = FixedPoint.parse(layer.settings["inverse_input_type"]), inverses.raw.size.bit_length() - 1
        largest = [self.cell("largest", values, lambda logic, *x: logic.tree(x, larger(logic)))] if norm else []

        def term(logic: Logic, x: Value, *top: Value) -> Value:
            word = logic.cast(logic.added(top[0], x, minus=True), source.frac, norm) if norm else x
            place = logic.top_bits(word, exponentials.raw.size.bit_length() - 1)
            entry = logic.looked_up(place, exponentials.raw, exponentials.type)
            return logic.typed(entry, exponentials.type, layer.acc)

        def inverse(logic: Logic, *x: Value) -> Value:
            total = logic.tree(x, lambda a, b: logic.cast(logic.added(a, b), layer.acc.frac, layer.acc))
            place = logic.top_bits(logic.typed(total, layer.acc, index), bits)
            return logic.looked_up(place, inverses.raw, inverses.type)

        def share(logic: Logic, x: Value, y: Value) -> Value:
            return logic.cast(logic.product(x, y), layer.acc.frac + inverses.type.frac, to)

        terms = [self.cell("exponential", [value, *largest], term) for value in values]
        whole = self.cell("inverse", terms, inverse)
        return [self.cell("share", [value, whole], share) for value in terms]


def larger(logic: Logic) -> Callable[[Value, Value], Value]:
    """The larger of two values."""
    return lambda a, b: logic.chosen(logic.less(a, b), b, a)


def _better(logic: Logic, pair: list[tuple[Value, Value]]) -> tuple[Value, Value]:
    """The larger value with its index, the first of equal ones."""
    if len(pair) == 1:
        return pair[0]
    (a, i), (b, j) = pair
    later = logic.less(a, b)
    return logic.chosen(later, b, a), logic.chosen(later, j, i)


def divided(logic: Logic, value: Value, by: int) -> Value:
    """A value divided by a number, rounded towards zero: a shift, or an array of rows that subtract or keep."""
    if by & (by - 1) == 0:
        return logic.towards_zero(value, by.bit_length() - 1)
    width = value.width
    negative = logic.negative(value)
    magnitude = value
    if value.signed:
        magnitude = logic.made([value], width, False, lambda x: f"{x}[{width - 1}] ? -{x} : {x}")
    rest, digits = Value.of(0), []
    for bit in reversed(range(width)):
        taken = logic.made([magnitude], 1, False, lambda x, bit=bit: f"{x}[{bit}]", levels=0)
        digit, rest = _row(logic, rest, taken, by)
        digits.append(digit)
    quotient = logic.made(digits, width, False, lambda *x: f"{{{', '.join(x)}}}", levels=0)
    if not value.signed:
        return quotient
    return logic.made([negative, quotient], width, True, lambda s, x: f"{s} ? -{x} : {x}")


def _row(logic: Logic, rest: Value, bit: Value, by: int) -> tuple[Value, Value]:
    """A digit of the quotient and what is left."""
    width = rest.width + 1
    number = logic.made([rest, bit], width, False, lambda r, b: f"{{{r}, {b}}}", levels=0)
    left = min(width, (by - 1).bit_length())
    if width <= _LOOKED_UP_BITS:
        table = [(n // by) << left | n % by if n < 2 * by else 0 for n in range(1 << width)]
        row = logic.looked_up(number, table, FixedPoint(left + 1, left + 1, signed=False))
        digit = logic.made([row], 1, False, lambda x: f"{x}[{left}]", levels=0)
        return digit, logic.made([row], left, False, lambda x: f"{x}[{left - 1}:0]", levels=0)
    difference = logic.added(number, Value.of(by), minus=True)
    keeps = logic.negative(difference)
    kept = logic.chosen(keeps, number, difference)
    digit = logic.made([keeps], 1, False, lambda x: f"~{x}", levels=0)
    return digit, logic.made([kept], left, False, lambda x: f"{x}[{left - 1}:0]", levels=0)
