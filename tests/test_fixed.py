"""Fixed point: laws, an oracle in exact fractions, and the `ap_fixed` headers themselves."""

import importlib.util
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import exact_cast, exact_overflow, exact_round, fixed_points, raws, real

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding, cast, fit, flip, quantise, rescale, to_real, wrap

TYPES = fixed_points()
INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def typed(draw: st.DrawFn) -> tuple[FixedPoint, int]:
    of = draw(TYPES)
    return of, draw(raws(of))


# ---------------------------------------------------------------- laws


@given(typed(), st.data())
def test_flip_inverts_one_bit_and_twice_is_the_identity(case: tuple[FixedPoint, int], data: st.DataObject) -> None:
    of, raw = case
    bit = data.draw(st.integers(0, of.width - 1))
    flipped = int(flip(raw, bit, of))
    mask = 2**of.width - 1
    assert of.min_raw <= flipped <= of.max_raw
    assert (flipped & mask) ^ (raw & mask) == 2**bit
    assert int(flip(flipped, bit, of)) == raw


@given(INT64, TYPES)
def test_wrap_is_idempotent_and_congruent(value: int, to: FixedPoint) -> None:
    wrapped = int(wrap(value, to))
    assert to.min_raw <= wrapped <= to.max_raw
    assert (wrapped - value) % 2**to.width == 0
    assert int(wrap(wrapped, to)) == wrapped


@given(typed(), st.integers(0, 6), st.integers(0, 6), st.sampled_from(Rounding), st.sampled_from(Overflow))
def test_a_wider_type_holds_every_value_and_gives_it_back(
    case: tuple[FixedPoint, int], more_integer: int, more_frac: int, rounding: Rounding, overflow: Overflow
) -> None:
    of, raw = case
    integer = of.integer + more_integer + 1  # one more, for the sign and for the end that SAT_SYM leaves out
    if (width := integer + of.frac + more_frac) > 48:
        return
    wide = FixedPoint(width, integer, True, rounding, overflow)
    widened = int(cast(raw, of, wide))
    assert real(widened, wide.frac) == real(raw, of.frac)
    same = FixedPoint(of.width, of.integer, of.signed, rounding, Overflow.WRAP)
    assert int(cast(widened, wide, same)) == raw


@given(typed(), TYPES)
def test_cast_is_rounding_then_overflow_of_the_exact_number(case: tuple[FixedPoint, int], to: FixedPoint) -> None:
    source, raw = case
    assert int(cast(raw, source, to)) == (raw if source == to else exact_cast(real(raw, source.frac), to))


@given(typed())
def test_a_cast_to_the_same_type_copies_any_word(case: tuple[FixedPoint, int]) -> None:
    of, raw = case
    assert int(cast(raw, of, of)) == raw
    assert int(cast(of.min_raw, of, of)) == of.min_raw


@given(st.integers(-(2**62), 2**62), st.integers(-20, 40), TYPES)
def test_rescale_takes_integers_far_beyond_the_type(value: int, frac: int, to: FixedPoint) -> None:
    assert int(rescale(value, frac, to)) == exact_cast(real(value, frac), to)


@given(INT64, TYPES)
def test_saturation_clamps(value: int, to: FixedPoint) -> None:
    got = int(fit(value, to))
    assert got == exact_overflow(value, to)
    if to.overflow is Overflow.SAT:
        assert got == min(max(value, to.min_raw), to.max_raw)


@given(st.integers(-(2**40), 2**40), st.integers(1, 12), st.sampled_from(Rounding))
def test_rounding_stays_within_one_unit_and_keeps_order(value: int, shift: int, rounding: Rounding) -> None:
    wide = FixedPoint(48, 48, True, rounding)
    got, following = (int(v) for v in rescale([value, value + 1], shift, wide))
    error = abs(real(got, 0) - real(value, shift))
    assert error < 1
    if rounding.name.startswith("RND"):
        assert error <= Fraction(1, 2)
    assert got <= following
    assert got == exact_round(real(value, shift), rounding)


@given(typed())
def test_quantise_gives_representable_numbers_back(case: tuple[FixedPoint, int]) -> None:
    of, raw = case
    kept = of.overflow is not Overflow.SAT_SYM or raw != of.min_raw or not of.signed
    if kept:
        assert int(quantise(to_real(raw, of), of)) == raw


@given(st.floats(-(2.0**28), 2.0**28), TYPES)
def test_quantise_is_exact(value: float, to: FixedPoint) -> None:
    assert int(quantise(value, to)) == exact_cast(Fraction(value), to)


@given(typed(), st.sampled_from([-1, 1]), TYPES)
def test_quantise_decides_ties_and_their_neighbours(case: tuple[FixedPoint, int], way: int, to: FixedPoint) -> None:
    """Half a unit, and the next doubles on both sides of it, are where rounding modes part."""
    tie = float(real(2 * (case[1] % 2**24) + 1, to.frac + 1)) * way
    for value in (tie, np.nextafter(tie, -np.inf), np.nextafter(tie, np.inf)):
        assert int(quantise(value, to)) == exact_cast(Fraction(float(value)), to)


@given(TYPES)
def test_text_round_trip(of: FixedPoint) -> None:
    assert FixedPoint.parse(str(of)) == of
    assert FixedPoint.parse(of.cpp()) == of


def test_shapes_are_kept() -> None:
    of = FixedPoint(4, 4)
    assert cast(np.zeros((2, 0, 3), np.int64), of, FixedPoint(6, 3)).shape == (2, 0, 3)
    assert flip([[1], [2]], [0, 1], of).tolist() == [[0, 3], [3, 0]]


# ---------------------------------------------------------------- texts and errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fixed<16,6>", FixedPoint(16, 6)),
        ("ap_fixed<16, 6, AP_RND_CONV, AP_SAT_SYM, 0>", FixedPoint(16, 6, True, Rounding.RND_CONV, Overflow.SAT_SYM)),
        ("ufixed<8,0,RND>", FixedPoint(8, 0, False, Rounding.RND)),
        ("fixed<4,-2>", FixedPoint(4, -2)),
        ("ap_uint<3>", FixedPoint(3, 3, False)),
        ("int<7>", FixedPoint(7, 7)),
    ],
)
def test_parse(text: str, expected: FixedPoint) -> None:
    assert FixedPoint.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "float",
        "fixed<>",
        "fixed<8,3",
        "fixed<8,3,UP>",
        "fixed<8,3,TRN,WRAP_SM>",
        "fixed<8,3,TRN,SAT,3>",
        "int<8,3>",
        "fixed<0,0>",
        "fixed<49,8>",
        "fixed<8,90>",
        "fixed<8,3>x",
        "fixed<-8,3>",
        "fixed<8,3>\n",
    ],
)
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        FixedPoint.parse(text)
    assert "\n" not in str(refused.value).replace(repr(text)[1:-1], "").replace(text, "")


def test_modes_given_as_text_are_modes() -> None:
    """A plain string compares equal to a mode; it must also act like it."""
    assert int(fit(9, FixedPoint(4, 4, True, "TRN", "WRAP"))) == -7  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="UP"):
        FixedPoint(4, 4, True, "UP")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -1.7e308, 2.0**52])
def test_what_cannot_be_quantised_is_refused(value: float) -> None:
    with pytest.raises(ConfigError):
        quantise([0.0, value], FixedPoint(48, 20))


@pytest.mark.parametrize(("frac", "to"), [(70, FixedPoint(8, 8)), (-60, FixedPoint(48, 0))])
def test_a_shift_beyond_int64_is_refused(frac: int, to: FixedPoint) -> None:
    with pytest.raises(ConfigError, match="64-bit"):
        rescale(1, frac, to)


# ---------------------------------------------------------------- the headers

# (width, integer, signed) of source and target. Every bit of a source counts, so sources stay small.
PAIRS = [
    ((8, 3, True), (5, 2, True)),  # fewer fractional and integer bits
    ((8, 3, False), (5, 2, False)),
    ((8, 3, True), (5, 2, False)),  # signed to unsigned
    ((8, 3, False), (5, 2, True)),  # unsigned to signed
    ((8, 3, True), (6, 3, True)),  # rounding may carry into saturation
    ((8, 4, False), (4, 4, False)),
    ((8, 3, True), (12, 5, False)),  # a wider fraction
    ((8, 3, True), (9, 2, True)),  # a wider fraction, fewer integer bits
    ((8, 8, True), (4, 6, True)),  # negative fraction bits
    ((6, 8, True), (5, 6, True)),
    ((8, 3, True), (8, 3, True)),  # the same grid
    ((7, 3, True), (1, 1, True)),  # a lone sign bit
    ((4, -2, True), (4, 2, True)),  # every bit of the source is below the target's last
    ((3, 3, False), (6, -1, True)),  # every bit of the source is above the target's first
]
DOUBLE_TYPES = [(6, 3, True), (6, 3, False), (12, 15, True), (1, 1, True)]
MODES = [(r, o) for r in Rounding for o in Overflow]

PROGRAM = """
#include <cstdint>
#include <cstdio>
#include "ap_fixed.h"
template <class T, int W, bool S> void emit(const T &t) {
  int64_t raw = t.range().to_uint64();
  if (S && (raw >> (W - 1))) raw -= int64_t(1) << W;
  std::fwrite(&raw, sizeof raw, 1, stdout);
}
template <class SOURCE, int SW, class T, int W, bool S> void every() {
  for (int64_t i = 0; i < (int64_t(1) << SW); i++) {
    SOURCE source;
    source.range() = ap_uint<SW>(i);
    T t = source;
    emit<T, W, S>(t);
  }
}
static double value[100000];
static size_t values;
template <class T, int W, bool S> void doubles() {
  for (size_t i = 0; i < values; i++) emit<T, W, S>(T(value[i]));
}
int main() {
  values = std::fread(value, sizeof *value, 100000, stdin);
BODY
}
"""


def ap_headers() -> Path:
    spec = importlib.util.find_spec("hls4ml")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "templates" / "vivado" / "ap_types"


def tricky_doubles() -> list[float]:
    """Ties of every type, their neighbours, ends of ranges, and numbers that vanish."""
    found = {0.0, 5e-324, 2.3e-308, 1e-30, 2.0**-60, 2.0**40}
    for width, integer, signed in DOUBLE_TYPES:
        of = FixedPoint(width, integer, signed)
        top = 2 ** (min(width, 6) + 1)
        marks = [*range(top), 4 * of.max_raw, 4 * of.max_raw + 1, 4 * of.max_raw + 2, 4 * of.max_raw + 3]
        marks += [-4 * of.min_raw + k for k in range(-3, 4)]
        found |= {float(real(mark, of.frac + 2)) for mark in marks}
    near = [float(np.nextafter(v, way)) for v in found for way in (-np.inf, np.inf)]
    both = {v for x in [*found, *near] for v in (x, -x)}
    return sorted(both)


@pytest.mark.cxx
def test_every_mode_equals_the_headers(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    assert compiler is not None, "install g++"
    calls = []
    for (sw, si, ss), (width, integer, signed) in PAIRS:
        source = FixedPoint(sw, si, ss).cpp()
        for r, o in MODES:
            target = FixedPoint(width, integer, signed, r, o).cpp()
            calls.append(f"  every<{source}, {sw}, {target}, {width}, {str(signed).lower()}>();")
    for width, integer, signed in DOUBLE_TYPES:
        for r, o in MODES:
            target = FixedPoint(width, integer, signed, r, o).cpp()
            calls.append(f"  doubles<{target}, {width}, {str(signed).lower()}>();")
    code, program = tmp_path / "modes.cpp", tmp_path / "modes"
    code.write_text(PROGRAM.replace("BODY", "\n".join(calls)))
    subprocess.run(
        [compiler, "-std=c++14", "-O0", "-w", "-isystem", str(ap_headers()), str(code), "-o", str(program)], check=True
    )
    values = np.array(tricky_doubles())
    done = subprocess.run([str(program)], input=values.tobytes(), capture_output=True, check=True)
    theirs = np.frombuffer(done.stdout, np.int64)
    at = 0
    for (sw, si, ss), (width, integer, signed) in PAIRS:
        source = FixedPoint(sw, si, ss)
        raw = wrap(np.arange(2**sw), source)
        for r, o in MODES:
            to = FixedPoint(width, integer, signed, r, o)
            differs = [
                x for x in zip(raw, cast(raw, source, to), theirs[at : at + len(raw)], strict=True) if x[1] != x[2]
            ]
            assert not differs, f"{source} -> {to}: (raw, ours, header) {differs[:5]}"
            at += len(raw)
    for width, integer, signed in DOUBLE_TYPES:
        for r, o in MODES:
            to = FixedPoint(width, integer, signed, r, o)
            pairs = zip(values, quantise(values, to), theirs[at : at + len(values)], strict=True)
            differs = [x for x in pairs if x[1] != x[2]]
            assert not differs, f"double -> {to}: (value, ours, header) {differs[:5]}"
            at += len(values)
    assert at == len(theirs)
