"""Layers that compute no sums: numbers by hand, and oracles in exact fractions that follow hls4ml's kernels."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import SEEDS, exact_cast, exact_overflow, fixed_points, random_raw, real

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.network import Layer, Network, Parameter, forward, passed
from codesign.network.passive import check_sources, refused_in_streams
from codesign.network.tables import SPANS, activation_table, exponential_table, inverse_table

F = FixedPoint.parse
WIDE = F("fixed<24,12>")
TABLE = F("fixed<18,8>")


def applied(layer: Layer, source: FixedPoint, values: object) -> list[int]:
    """The layer's outputs for one sample of raw values."""
    found: list[int] = passed(layer, (source,), np.array([values], np.int64))[0].tolist()
    return found


def towards_zero(x: Fraction) -> int:
    return math.trunc(x)


# ---------------------------------------------------------------- activations

ONE = Parameter(np.array([1]), F("ufixed<1,1>"))


def constant(text: str, raw: int) -> Parameter:
    return Parameter(np.array([raw]), F(text))


def activation(function: str, result: FixedPoint, size: int = 1, *tables: Parameter) -> Layer:
    return Layer.activation("a", (size,), function, result, tables=tables)


def test_a_cast_rounds_and_saturates() -> None:
    layer = activation("linear", F("fixed<4,2,RND_CONV,SAT>"), 5)
    assert applied(layer, F("fixed<8,4>"), [2, 6, 10, 127, -128]) == [0, 2, 2, 7, -8]


def test_leaky_relu_scales_what_is_not_positive() -> None:
    slope = constant("ufixed<8,-1>", 154)  # 0.3 as hls4ml holds it
    layer = activation("leaky_relu", F("fixed<16,6>"), 4, slope)
    assert applied(layer, F("fixed<8,4>"), [16, -16, 0, -1]) == [1024, math.floor(-1024 * 154 / 512), 0, -20]


@pytest.mark.parametrize(
    ("function", "expected"), [("hard_sigmoid", [0, 0, 8, 9, 15]), ("hard_tanh", [-8, -8, 0, 1, 7])]
)
def test_hard_functions_of_qkeras(function: str, expected: list[int]) -> None:
    """Half a value and a half, held in 0..1; saturation keeps the result below one."""
    half = constant("ufixed<2,0>", 2)
    result = F("ufixed<4,0,RND_CONV,SAT>" if function == "hard_sigmoid" else "fixed<4,1,RND_CONV,SAT>")
    source = F("fixed<8,5>")
    assert applied(activation(function, result, 5, half, half), source, [-128, -8, 0, 1, 8]) == expected


def test_signs_and_thresholds() -> None:
    source, two = F("fixed<6,3>"), F("fixed<2,2>")
    assert applied(activation("binary_tanh", two, 3), source, [-1, 0, 5]) == [-1, 1, 1]
    # Doubled: -1, -0.875, 1, 1.25; and 2.5 wraps to -3.
    assert applied(activation("ternary_tanh", two, 5), source, [-4, -3, 4, 5, 20]) == [-1, 0, 0, 1, -1]


@given(
    st.sampled_from(sorted(SPANS)),
    fixed_points((2, 24), (-2, 14)),
    fixed_points((2, 24), (-2, 14)),
    st.sampled_from([64, 100, 1024]),
    SEEDS,
)
def test_looked_up_functions(function: str, source: FixedPoint, to: FixedPoint, size: int, seed: int) -> None:
    """The index by exact fractions; and the table's entry is near the function where the value is in its span."""
    table = activation_table(function, size, TABLE)
    extra = (ONE,) if function == "elu" else ()
    values = random_raw(source, (6,), np.random.default_rng(seed))
    ours = applied(activation(function, to, 6, table, *extra), source, values)
    span = SPANS[function]
    for value, found in zip(values, ours, strict=True):
        x = real(value, source.frac)
        if span < 0 and x >= 0:
            factor = Fraction(34429, 2**15) if function == "selu" else 1
            assert found == exact_cast(x * factor, to)
            continue
        place = towards_zero(x * size / span) if span < 0 else towards_zero(x * size / (2 * span)) + size // 2
        entry = real(table.raw[min(max(place, 0), size - 1)], TABLE.frac)
        assert found == exact_cast(entry, to)


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "softplus": lambda x: math.log1p(math.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "elu": math.expm1,
    "selu": lambda x: 1.0507009873554805 * 1.6732632423543772 * math.expm1(x),
}


@pytest.mark.parametrize("function", SPANS)
def test_tables_hold_the_function(function: str) -> None:
    span, size = SPANS[function], 512
    for place, raw in enumerate(activation_table(function, size, F("fixed<30,8>")).raw):
        x = span * place / size if span < 0 else 2 * span * (place - size / 2) / size
        assert abs(raw / 2.0**22 - FUNCTIONS[function](x)) < 1e-5


# ---------------------------------------------------------------- images


def test_the_largest_of_each_window() -> None:
    source = F("fixed<6,3>")
    values = np.arange(-8, 10).reshape(3, 3, 2)
    layer = Layer.max_pool("p", (3, 3, 2), (2, 2), source, strides=(1, 1))
    assert applied(layer, source, values.ravel()) == [0, 1, 2, 3, 6, 7, 8, 9]
    padded = Layer.max_pool("p", (3, 3, 2), (2, 2), source, padding="same")
    assert applied(padded, source, values.ravel() - 12) == [-12, -11, -10, -9, -6, -5, -4, -3]
    whole = Layer.max_pool("p", (3, 3, 2), None, F("fixed<5,3>"))
    assert whole.out_shape == (2,) and applied(whole, source, values.ravel()) == [4, 4]


def test_means_round_towards_zero_and_leave_the_padding_out() -> None:
    source, accumulator = F("fixed<6,6>"), F("fixed<8,8>")
    layer = Layer.average_pool("p", (5, 1), (2,), accumulator, source, padding="same")
    assert applied(layer, source, [1, 2, -1, -2, -7]) == [1, -1, -7]
    exact = Layer.average_pool("p", (5, 1), None, F("fixed<14,9>"), F("fixed<9,6>"))
    assert applied(exact, source, [1, 2, -1, -2, -7]) == [-11]  # -7 / 5 = -44.8 / 32 becomes -44 / 32, not -45 / 32
    wrapping = Layer.average_pool("p", (4, 1), None, F("fixed<6,6>"), source)
    assert applied(wrapping, source, [31, 31, 31, 31]) == [-1]  # 124 wraps to -4


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), SEEDS)
def test_pools_equal_fractions(height: int, width: int, kernel: int, stride: int, seed: int) -> None:
    source, to, channels = F("fixed<7,3>"), F("fixed<9,4,RND_CONV,SAT>"), 2
    values = random_raw(source, (height, width, channels), np.random.default_rng(seed))
    slide = {"strides": (stride, stride), "padding": "same"}
    shape, window = values.shape, (kernel, kernel)
    largest = Layer.max_pool("p", shape, window, to, **slide)
    mean = Layer.average_pool("p", shape, window, F("fixed<15,7>"), to, **slide)
    ours = [np.reshape(applied(layer, source, values.ravel()), layer.out_shape) for layer in (largest, mean)]
    before = [max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) // 2 for n in shape[:2]]
    for y, x, channel in np.ndindex(largest.out_shape):
        rows = range(max(y * stride - before[0], 0), min(y * stride - before[0] + kernel, height))
        columns = range(max(x * stride - before[1], 0), min(x * stride - before[1] + kernel, width))
        seen = [int(values[row, column, channel]) for row in rows for column in columns]
        assert ours[0][y, x, channel] == exact_cast(real(max(seen), source.frac), to)
        total = towards_zero(Fraction(sum(seen) * 2**4, len(seen)))  # the accumulator has four bits more
        assert ours[1][y, x, channel] == exact_cast(real(total, 8), to)


def test_wiring() -> None:
    source = F("fixed<6,3>")
    image = np.arange(1, 9).reshape(2, 2, 2)
    enlarged = Layer.upsample("u", (2, 2, 2), (1, 2), source)
    assert np.array_equal(np.reshape(applied(enlarged, source, image.ravel()), (2, 4, 2)), image.repeat(2, axis=1))
    framed = Layer.pad("z", (2, 2, 2), ((1, 0), (0, 2)), source)
    frame = np.pad(image, ((1, 0), (0, 2), (0, 0)))
    assert np.array_equal(np.reshape(applied(framed, source, image.ravel()), (3, 4, 2)), frame)
    assert applied(Layer.reshape("r", (2, 2, 2), (8,), source), source, image.ravel()) == list(range(1, 9))
    for axis in (0, 1, 2, -1):
        layer = Layer.concatenate("c", ((2, 2, 2), (2, 2, 2)), F("fixed<7,3>"), inputs=("a", "b"), axis=axis)
        halves = np.stack([image.ravel(), -image.ravel()])
        found = passed(layer, (source, F("fixed<7,3>")), halves.reshape(1, -1))[0]
        expected = np.concatenate([2 * image, -image], axis=axis)
        assert np.array_equal(found.reshape(layer.out_shape), expected)


# ---------------------------------------------------------------- softmax


def softmax(size: int, source: FixedPoint, implementation: str = "stable", entries: int = 64) -> Layer:
    table = F("fixed<18,8,RND,SAT>")
    norm = FixedPoint(source.width - 1, source.integer - 1, False) if implementation == "stable" else None
    tables = (
        exponential_table(entries, norm or source, table, negative=norm is not None),
        inverse_table(entries, table, table),
    )
    return Layer.softmax("s", size, implementation, tables, table, table, WIDE, norm=norm)


def test_softmax_by_hand() -> None:
    """Steps of 1/4 in 0..16 make e**0, e**-0.5 and e**-3; the sum's top six bits are those of 1."""
    layer = softmax(3, F("fixed<7,5>"))
    exponentials = [1024, 621, 51]
    assert layer.tables[0].raw[[0, 2, 12]].tolist() == exponentials
    # 1.656 -> the step of 4 below, which is 0: hls4ml's inverse saturates.
    inverse = int(layer.tables[1].raw[0])
    assert inverse == (1 << 17) - 1
    expected = [exact_cast(real(e * inverse, 20), WIDE) for e in exponentials]
    assert applied(layer, F("fixed<7,5>"), [10, 8, -2]) == expected


@given(st.integers(1, 9), st.sampled_from(["stable", "latency"]), SEEDS)
def test_softmax_equals_its_kernel(size: int, implementation: str, seed: int) -> None:
    source, table = F("fixed<9,4>"), F("fixed<18,8,RND,SAT>")
    layer = softmax(size, source, implementation, 256)
    values = [int(v) for v in random_raw(source, (size,), np.random.default_rng(seed))]

    def tree(terms: list[int]) -> int:
        if len(terms) == 1:
            return terms[0]
        left = 2 ** math.floor(math.log2(len(terms) - 1)) if len(terms) > 2 else 1
        return exact_overflow(tree(terms[:left]) + tree(terms[left:]), table)

    # Eight bits of the distance, which has no sign; or the upper eight of nine.
    stable = implementation == "stable"
    places = [(max(values) - v) % 256 if stable else v % 512 >> 1 for v in values]
    terms = [int(layer.tables[0].raw[place]) for place in places]
    inverse = int(layer.tables[1].raw[(tree(terms) % 2**18) >> 10])
    expected = [exact_cast(real(term * inverse, 20), WIDE) for term in terms]
    assert applied(layer, source, values) == expected


def test_the_first_largest_value_is_one() -> None:
    source = F("fixed<4,4>")
    layer = Layer.argmax("m", 4, F("fixed<8,4>"))
    assert applied(layer, source, [-3, 2, 2, 1]) == [0, 16, 0, 0]
    assert applied(layer, source, [-3, -3, -3, -3]) == [16, 0, 0, 0]


def test_tables_at_the_edges_of_their_types() -> None:
    wrapping, saturating = F("fixed<18,8>"), F("fixed<18,8,RND,SAT>")
    index = F("fixed<18,8>")
    assert inverse_table(4, index, saturating).raw.tolist() == [2**17 - 1, 16, -8, -16]
    assert inverse_table(4, index, wrapping).raw[0] == 0
    grown = exponential_table(8, F("fixed<10,10>"), saturating, negative=False)
    assert grown.raw.tolist() == [1024, 2**17 - 1, 2**17 - 1, 2**17 - 1, 0, 0, 0, 0]


# ---------------------------------------------------------------- networks, refusals


def test_settings_and_tables_are_kept(tmp_path: Path) -> None:
    source = F("fixed<9,4>")
    layers = (
        activation("sigmoid", source, 4, activation_table("sigmoid", 64, TABLE)),
        Layer.upsample("u", (2, 2), (2,), source),
        Layer.average_pool("p", (4, 2), None, F("fixed<13,6>"), source),
        softmax(2, source),
    )
    network = Network("n", source, (layers[0], Layer.reshape("r", (4,), (2, 2), source), *layers[1:]), (4,))
    network.save(tmp_path / "n.npz")
    loaded = Network.load(tmp_path / "n.npz")
    inputs = random_raw(source, (5, 4), np.random.default_rng(0))
    assert loaded == network
    assert all(np.array_equal(a, b) for a, b in zip(forward(network, inputs), forward(loaded, inputs), strict=True))
    other = activation("sigmoid", source, 4, activation_table("tanh", 64, TABLE))
    assert Network("n", source, (other,)) != Network("n", source, layers[:1])


S, U = F("fixed<8,4>"), F("ufixed<8,4>")
MISFITS: dict[str, Callable[[], object]] = {
    "an_unknown_function": lambda: activation("gelu", S),
    "no_table": lambda: activation("sigmoid", S),
    "a_table_too_many": lambda: activation("linear", S, 1, ONE),
    "a_table_in_the_place_of_a_number": lambda: activation("leaky_relu", S, 1, activation_table("tanh", 8, TABLE)),
    "xnor": lambda: activation("binary_tanh", F("ufixed<1,1>")),
    "a_kernel_too_large": lambda: Layer.max_pool("p", (3, 1), (4,), S),
    "a_pool_of_a_vector": lambda: Layer.max_pool("p", (3,), None, S),
    "a_mean_that_saturates": lambda: Layer.average_pool("p", (3, 1), (2,), F("fixed<8,4,TRN,SAT>"), S),
    "factors_short": lambda: Layer.upsample("u", (3, 3, 1), (2,), S),
    "factor_zero": lambda: Layer.upsample("u", (3, 1), (0,), S),
    "shapes_that_do_not_join": lambda: Layer.concatenate("c", ((2, 3), (3, 3)), S, inputs=("a", "b")),
    "ranks_that_do_not_join": lambda: Layer.concatenate("c", ((2, 3), (3,)), S, inputs=("a", "b")),
    "softmax_of_a_size_between": lambda: softmax(3, S, entries=48),
    "softmax_without_bits": lambda: softmax(3, F("fixed<5,3>")),
    "softmax_unknown": lambda: softmax(3, S, "legacy"),
    "an_unknown_table": lambda: activation_table("gelu", 8, TABLE),
}


@pytest.mark.parametrize("build", MISFITS.values(), ids=MISFITS)
def test_parts_that_do_not_fit_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigError) as error:
        build()
    assert "\n" not in str(error.value)


def table_on(source: FixedPoint) -> tuple[Layer, FixedPoint]:
    return activation("tanh", S, 1, activation_table("tanh", 8, TABLE)), source


WRONG_SOURCES: dict[str, tuple[Layer, FixedPoint]] = {
    "padding_of_unsigned_maxima": (Layer.max_pool("p", (3, 1), (2,), U, padding="same"), U),
    "a_coarse_mean": (Layer.average_pool("p", (4, 1), (2,), F("fixed<8,6>"), S), S),
    "a_resize_that_casts": (Layer.upsample("u", (3, 1), (2,), S), U),
    "a_reshape_that_casts": (Layer.reshape("r", (3, 1), (3,), S), U),
    "a_large_resize": (Layer.upsample("u", (9000, 1), (3,), S), S),
    "an_index_beyond_int": table_on(F("fixed<40,30>")),
    "softmax_of_few_bits": (softmax(3, S, "latency", 256), F("fixed<4,4>")),
}


@pytest.mark.parametrize(("layer", "source"), WRONG_SOURCES.values(), ids=WRONG_SOURCES)
def test_types_on_which_the_kernels_go_wrong_are_refused(layer: Layer, source: FixedPoint) -> None:
    with pytest.raises(ConfigError, match=f"layer '{layer.name}'"):
        check_sources(layer, (source,))


def test_padding_that_no_window_reaches_is_none() -> None:
    check_sources(Layer.max_pool("p", (4, 1), (2,), U, padding="same"), (U,))


def test_what_streams_compute_otherwise() -> None:
    selu = activation("selu", S, 1, activation_table("selu", 8, TABLE))
    slid = Layer.max_pool("p", (4, 4, 1), (2, 2), S, strides=(1, 1))
    padded = Layer.average_pool("p", (3, 1), (2,), F("fixed<9,5>"), S, padding="same")
    for layer in (activation("ternary_tanh", S), selu, slid, padded):
        assert refused_in_streams(layer)
    series = Layer.max_pool("p", (4, 1), (2,), S, strides=(1,))
    for layer in (activation("linear", S), Layer.max_pool("p", (4, 4, 1), None, S), series, Layer.relu("r", 3, S)):
        assert refused_in_streams(layer) is None


def test_rounding_modes_of_results_hold() -> None:
    """A result type rounds and saturates behind every kind, as C++'s assignment does."""
    to = FixedPoint(4, 2, True, Rounding.RND_INF, Overflow.SAT_SYM)
    values: Ints = np.arange(-32, 32)
    source = F("fixed<6,3>")
    expected = [exact_cast(real(v, 3), to) for v in values]
    for layer in (
        activation("linear", to, 64),
        Layer.max_pool("p", (64, 1), (1,), to),
        Layer.average_pool("p", (64, 1), (1,), source, to),
        Layer.pad("z", (64, 1), ((0, 0),), to),
    ):
        assert applied(layer, source, values) == expected
