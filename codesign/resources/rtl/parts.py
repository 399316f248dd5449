"""The small modules of a datapath: casts, voters, status."""

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.protection import Mechanism
from codesign.resources.rtl.verilog import DSP, Module, Writer

COUNTER_BITS = 16
ZERO = "1'b0"


# ---------------------------------------------------------------- casts


def cast_module(source: FixedPoint, to: FixedPoint, *, relu: bool = False) -> Module:
    """`y` is `x` as another type, and zero where a ReLU finds it negative."""
    writer = Writer("relu" if relu else "cast")
    x = writer.input("x", source.width)
    if relu and source.signed:
        negative = f"{x}[{source.width - 1}]"
        if source.width == 1:
            writer.output("y", to.width, f"{to.width}'d0")
            return writer.done()
        number = f"{x}[{source.width - 2}:0]"
        writer.output("y", to.width, cast_text(writer, number, source.width - 1, False, source.frac, to, negative))
        return writer.done()
    given = x if source == to else cast_text(writer, x, source.width, source.signed, source.frac, to)
    writer.output("y", to.width, given)
    return writer.done()


def cast_text(
    writer: Writer, number: str, width: int, signed: bool, frac: int, to: FixedPoint, negative: str | None = None
) -> str:
    """A number of so many bits, `frac` of them fractional, assigned to a type; zero where `negative`."""
    text, width = _rounded(writer, number, width, signed, frac - to.frac, to.rounding)
    rounded = writer.wire(writer.fresh(), width, text)
    return _fitted(writer, rounded, width, signed, to, negative)


def _rounded(writer: Writer, number: str, width: int, signed: bool, dropped: int, mode: Rounding) -> tuple[str, int]:
    """The number without its lowest bits (with more zeros there if negative), and its width."""
    if dropped <= 0:
        return (f"{{{number}, {-dropped}'d0}}" if dropped else number), width - dropped
    wide = max(width, dropped + 1)
    n = writer.wire(writer.fresh(), wide, extended(writer, number, width, signed, wide))
    sign = f"{n}[{wide - 1}]" if signed else ZERO
    text = _up(n, sign, dropped, mode)
    if text is None:
        return f"{n}[{wide - 1}:{dropped}]", wide - dropped
    up = writer.wire(writer.fresh(), 1, text)
    kept = wide - dropped + 1
    floor = writer.wire(writer.fresh(), kept, f"{{{sign}, {n}[{wide - 1}:{dropped}]}}")
    return f"{floor} + {{{kept - 1}'d0, {up}}}" if kept > 1 else f"{floor} + {up}", kept


def _up(n: str, sign: str, dropped: int, mode: Rounding) -> str | None:
    """When the number without its lowest bits is one too small; None for never."""
    half, rest = f"{n}[{dropped - 1}]", f"(|{n}[{dropped - 2}:0])" if dropped > 1 else ZERO
    match mode:
        case Rounding.TRN:
            return None
        case Rounding.TRN_ZERO:
            return f"{sign} & (|{n}[{dropped - 1}:0])" if sign != ZERO else None
        case Rounding.RND:
            return half
        case Rounding.RND_MIN_INF:
            return f"{half} & {rest}"
        case Rounding.RND_ZERO:
            return f"{half} & ({sign} | {rest})"
        case Rounding.RND_INF:
            return f"{half} & (~{sign} | {rest})"
        case Rounding.RND_CONV:
            return f"{half} & ({n}[{dropped}] | {rest})"


def extended(writer: Writer, number: str, width: int, signed: bool, to: int) -> str:
    """A number with more bits (or with fewer: the lowest ones)."""
    name = writer.wire(writer.fresh(), width, number)
    if to <= width:
        return f"{name}[{to - 1}:0]"
    return f"{{{{{to - width}{{{f'{name}[{width - 1}]' if signed else ZERO}}}}}, {name}}}"


def _fitted(writer: Writer, r: str, width: int, signed: bool, to: FixedPoint, negative: str | None) -> str:
    """The number `r` in the range of a type by its overflow mode, and zero where `negative`."""
    bits = extended(writer, r, width, signed, to.width)
    saturates = to.overflow is not Overflow.WRAP
    above = to.width - to.signed  # the first bit that a magnitude in the type does not have
    over = f"(|{r}[{width - 1 - signed}:{above}])" if saturates and width - signed > above else None
    sign = f"{r}[{width - 1}]" if signed else None
    if not saturates or not (over or sign):
        return f"{negative} ? {to.width}'d0 : {bits}" if negative else bits
    value = inside = writer.wire(writer.fresh(), to.width, bits)
    if over and not sign:
        value = f"{over} ? {_end(to, upper=True)} : {inside}"
    elif sign:
        high = f"(~{sign} & {over}) ? {_end(to, upper=True)} : " if over else ""
        value = f"{_under(r, width, to, above, sign)} ? {_end(to, upper=False)} : {high}{inside}"
    return f"{negative} ? {to.width}'d0 : ({value})" if negative else value


def _under(r: str, width: int, to: FixedPoint, above: int, sign: str) -> str:
    """When the signed number `r` is below the type."""
    if not to.signed:
        return sign
    below = f"{sign} & ~(&{r}[{width - 2}:{above}])" if width - 1 > above else ZERO
    if to.overflow is Overflow.SAT_SYM and to.width > 1 and width >= to.width:
        lowest = f"{sign} & ~(|{r}[{above - 1}:0])"
        return f"(({below}) | ({lowest}))"
    return f"({below})"


def _end(to: FixedPoint, *, upper: bool) -> str:
    if to.overflow is Overflow.SAT_ZERO:
        value = 0
    elif upper:
        value = to.max_raw
    else:
        symmetric = to.overflow is Overflow.SAT_SYM and to.signed and to.width > 1
        value = -to.max_raw if symmetric else to.min_raw
    return f"{to.width}'d{value & ((1 << to.width) - 1)}"


# ---------------------------------------------------------------- multipliers


def multiplier_module(width: int, signed: bool, factor: int, out: int) -> Module:
    """`y` is the number `x` times a constant, in one DSP, of which `out` bits are used."""
    writer = Writer("product")
    writer.input("x", width)
    extended = "x" if signed else "{1'b0, x}"
    bits = (factor if factor >= 0 else -factor - 1).bit_length() + 1
    whole = width + (not signed) + bits
    constant = f"{bits}'sd{factor & ((1 << bits) - 1)}"
    writer.body.append(f"wire signed [{whole - 1}:0] p = $signed({extended}) * $signed({constant});")
    writer.output("y", out, f"p[{out - 1}:0]")
    return writer.done(attributes=DSP)


# ---------------------------------------------------------------- protection


def voter_module(mechanism: Mechanism, width: int, low: int) -> Module:
    """What `width` hardened bits of several copies, over `low` bits that exist once, stand for; the flag `differ`."""
    writer = Writer("vote")
    copies = [writer.input(f"a{number}", width) for number in range(mechanism.copies)]
    if mechanism is Mechanism.TMR:
        a, b, c = copies
        writer.output("y", width, f"({a} & {b}) | ({a} & {c}) | ({b} & {c})")
        writer.output("differ", 1, f"|(({a} ^ {b}) | ({a} ^ {c}))")
    elif mechanism is Mechanism.DMR:
        a, b = copies
        rest = f"{{{a}, {writer.input('low', low)}}}" if low else a
        writer.output("differ", 1, f"|({a} ^ {b})")
        writer.output("y", width + low, f"differ ? {width + low}'d0 : {rest}")
    else:
        raise ConfigError(f"RTL is there for tmr and dmr, not for {mechanism}")
    return writer.done()


def status_module(sources: int) -> Module:
    """A layer's sticky flag and its counter of samples, which stops at its largest value."""
    writer = Writer("status")
    writer.clock()
    writer.input("clear", 1)
    writer.input("valid", 1)
    writer.input("differ", sources)
    full = f"{COUNTER_BITS}'d{(1 << COUNTER_BITS) - 1}"
    writer.body += [
        "wire raised = valid[0] & (|differ);",
        "reg sticky; always @(posedge clk) sticky <= ~clear[0] & (sticky | raised);",
        f"reg [{COUNTER_BITS - 1}:0] counter; always @(posedge clk) "
        f"counter <= clear[0] ? {COUNTER_BITS}'d0 : counter + {{{COUNTER_BITS - 1}'d0, raised & (counter != {full})}};",
    ]
    writer.output("flag", 1, "sticky")
    writer.output("count", COUNTER_BITS, "counter")
    return writer.done()
