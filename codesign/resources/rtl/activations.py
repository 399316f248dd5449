"""Functions of one value: by comparison, by constants, by table; see `codesign.network.passive`."""

from codesign.fixed import FixedPoint, Overflow, rescale
from codesign.network import Layer, Parameter
from codesign.network.tables import SELU_FACTOR, SPANS
from codesign.resources.rtl.logic import Logic, Value
from codesign.resources.rtl.parts import cast_text


def activated(logic: Logic, layer: Layer, source: FixedPoint, x: Value) -> Value:
    """What an activation layer makes of a value of type `source`."""
    to, function = layer.result, layer.settings["function"]
    below = logic.negative(x)
    match function:
        case "binary_tanh":
            return logic.chosen(below, _number(-1, to), _number(1, to))
        case "ternary_tanh":
            return _ternary(logic, source, to, x)
        case "hard_sigmoid" | "hard_tanh":
            return _hard(logic, layer, source, x)
        case "leaky_relu":
            return logic.chosen(below, _scaled(logic, x, source, layer.tables[0], to), logic.typed(x, source, to))
    table = layer.tables[0]
    found = logic.looked_up(_place(logic, x, source, table.raw.size, SPANS[function]), table.raw, table.type)
    match function:
        case "elu":
            negative = _scaled(logic, found, table.type, layer.tables[1], to)
            return logic.chosen(below, negative, logic.typed(x, source, to))
        case "selu":
            positive_half = _scaled(logic, x, source, SELU_FACTOR, to)
            return logic.chosen(below, logic.typed(found, table.type, to), positive_half)
    return logic.typed(found, table.type, to)


def positive(logic: Logic, x: Value, source: FixedPoint, to: FixedPoint) -> Value:
    """A signed value of a type, assigned to another one, and zero where it is negative."""

    def text(net: str) -> str:
        if source.width == 1:
            return f"{to.width}'d0"
        size = source.width - 1
        return cast_text(logic.writer, f"{net}[{size - 1}:0]", size, False, source.frac, to, f"{net}[{size}]")

    return logic.made([x], to.width, to.signed, text)


def _number(real: int, to: FixedPoint) -> Value:
    return Value.word(int(rescale(real, 0, to)), to)


def _scaled(logic: Logic, x: Value, source: FixedPoint, factor: Parameter, to: FixedPoint) -> Value:
    return logic.cast(logic.times(x, factor.raw.item()), source.frac + factor.type.frac, to)


def _ternary(logic: Logic, source: FixedPoint, to: FixedPoint, x: Value) -> Value:
    """The doubled value, in its own type, against 1 and -1; of a coarser type both lie between two numbers."""
    doubled = logic.cast(logic.shifted(x, 1), source.frac, source)
    one, minus_one = (1 << source.frac, -(1 << source.frac)) if source.frac >= 0 else (0, -1)
    above, between = (logic.less(Value.of(end), doubled) for end in (one, minus_one))
    return logic.chosen(above, _number(1, to), logic.chosen(between, _number(0, to), _number(-1, to)))


def _hard(logic: Logic, layer: Layer, source: FixedPoint, x: Value) -> Value:
    """Slope times value plus shift, held between 0 and 1; for the hyperbolic tangent doubled, less one."""
    slope, shift = layer.tables
    frac = max(source.frac + slope.type.frac, shift.type.frac, 0)
    product = logic.shifted(logic.times(x, slope.raw.item()), frac - source.frac - slope.type.frac)
    line = logic.added(product, Value.of(shift.raw.item() << frac - shift.type.frac))
    one = Value.of(1 << frac)
    held = logic.chosen(logic.negative(line), Value.of(0), logic.chosen(logic.less(line, one), line, one))
    if layer.settings["function"] == "hard_tanh":
        held = logic.added(logic.shifted(held, 1), one, minus=True)
    return logic.cast(held, frac, layer.result)


def _place(logic: Logic, x: Value, source: FixedPoint, size: int, span: int) -> Value:
    """The entry of a table of so many, which covers -span to span, or a negative span to 0; spans are powers of two."""
    covered = 2 * span if span > 0 else -span
    numerator = logic.shifted(logic.times(x, size), max(-source.frac, 0))
    place = logic.towards_zero(numerator, covered.bit_length() - 1 + max(source.frac, 0))
    place = logic.added(place, Value.of(size // 2)) if span > 0 else logic.added(Value.of(0), place, minus=True)
    bits = max(1, (size - 1).bit_length())
    held = logic.cast(place, 0, FixedPoint(bits, bits, signed=False, overflow=Overflow.SAT))
    if size == 1 << bits:
        return held
    last = Value.of(size - 1)
    return logic.made([logic.less(held, last), held], bits, False, lambda s, h: f"{s} ? {h} : {last.net}")
