"""Networks: what is refused, what is kept, and sums that equal Python's own integers."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from networks import (
    SEEDS,
    exact_cast,
    exact_overflow,
    fixed_points,
    networks,
    random_raw,
    real,
    small_inputs,
    small_network,
)

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.network import (
    Kind,
    Layer,
    Network,
    Parameter,
    Unit,
    adder_spans,
    entering,
    exact_matmul,
    finish,
    forward,
    parameters,
    passed,
)

W, B, A = FixedPoint(5, 2), FixedPoint(6, 3), FixedPoint(14, 6)


def dense(name: str, n_in: int, n_out: int, accumulator: FixedPoint = A) -> Layer:
    zeros = np.zeros((n_in, n_out), np.int64)
    return Layer.dense(name, Parameter(zeros, W), Parameter(zeros[0], B), accumulator)


# ---------------------------------------------------------------- files


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(networks())
def test_save_and_load_give_the_same_network(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "network.npz"
    network.save(path)
    loaded = Network.load(path)
    assert loaded == network and loaded.digest == network.digest and hash(loaded) == hash(network)
    inputs = random_raw(network.input_type, (3, network.n_in), np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip(forward(network, inputs), forward(loaded, inputs), strict=True))
    assert [str(layer.result) for layer in loaded.layers] == [str(layer.result) for layer in network.layers]


def changed(network: Network, index: int, **fields: object) -> Network:
    layers = list(network.layers)
    layers[index] = replace(layers[index], **fields)  # type: ignore[arg-type]
    return replace(network, layers=tuple(layers))


def test_the_digest_knows_every_weight_bias_type_and_name() -> None:
    network = small_network()
    seen = {network.digest}
    variants: list[Network] = [replace(network, name="other"), replace(network, input_type=FixedPoint(6, 1))]
    for index, layer in enumerate(network.layers):
        variants.append(changed(network, index, name=f"new{index}"))
        variants.append(changed(network, index, result=replace(layer.result, rounding=Rounding.RND_CONV)))
        if not layer.protectable:
            continue
        variants.append(changed(network, index, accumulator=replace(layer.acc, integer=layer.acc.integer + 1)))
        variants.append(changed(network, index, weight=Parameter(layer.w.raw, replace(W, integer=1))))
        variants.append(changed(network, index, bias=Parameter(layer.b.raw, replace(B, integer=2))))
        for field, parameter in (("weight", layer.w), ("bias", layer.b)):
            for where in np.ndindex(parameter.raw.shape):
                raw = parameter.raw.copy()
                raw[where] = -raw[where] - 1
                variants.append(changed(network, index, **{field: Parameter(raw, parameter.type)}))
    variants.append(replace(network, layers=network.layers[:2]))
    for variant in variants:
        assert variant != network
        assert variant.digest not in seen
        seen.add(variant.digest)
    assert small_network().digest == network.digest


def test_the_digest_does_not_depend_on_memory_order() -> None:
    network = small_network()
    layer = network.layers[0]
    transposed = Parameter(np.asfortranarray(layer.w.raw), layer.w.type)
    assert changed(network, 0, weight=transposed).digest == network.digest


def test_parameters_are_copies_that_cannot_be_written() -> None:
    given_array = np.ones((6, 5), np.int64)
    parameter = Parameter(given_array, W)
    given_array[0, 0] = 3
    assert parameter.raw[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        parameter.raw[0, 0] = 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no network file .*absent.npz"):
        Network.load(tmp_path / "absent.npz")


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a network file"):
        Network.load(tmp_path)


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        Network.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x93NUMPY\x01\x00", b"{}", b"\x80\x04N.", bytes(500)],
)
def test_foreign_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    refused(path)


def test_other_npy_and_npz_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    np.savez(tmp_path / "b.npz", values=np.arange(3))
    np.savez(tmp_path / "c.npz", meta=np.arange(3))
    refused(tmp_path / "a.npy")
    refused(tmp_path / "b.npz")
    refused(tmp_path / "c.npz")


class Payload:
    """Would run code when unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (Path("unpickled"),)


def test_pickles_are_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pickled.npz"
    for name in ("meta", "w0"):
        arrays = dict(np.load(saved(tmp_path)))
        arrays[name] = np.array([Payload()], object)
        np.savez(path, **arrays)
        refused(path)
    assert not (tmp_path / "unpickled").exists()


def saved(folder: Path) -> Path:
    path = folder / "small.npz"
    small_network().save(path)
    return path


def rewritten(folder: Path, edit: Callable[[Any], object], **arrays: object) -> Path:
    """The small network's file with its description edited, or arrays replaced."""
    held = {**np.load(saved(folder)), **arrays}
    meta = json.loads(str(held["meta"]))
    edit(meta)
    path = folder / "edited.npz"
    np.savez(path, **{**held, "meta": np.array(json.dumps(meta))})
    return path


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("layers",), None),
        (("layers",), []),
        (("layers",), 3),
        (("layers",), [1]),
        (("input",), "float"),
        (("input",), 5),
        (("layers", 0, "kind"), "conv"),
        (("layers", 0, "name"), 4),
        (("layers", 0, "name"), "a b"),
        (("layers", 0, "accumulator"), None),
        (("layers", 1, "in_shapes"), [["x"]]),
        (("layers", 1, "in_shapes"), []),
        (("layers", 1, "in_shapes"), [[7]]),
        (("layers", 1, "out_shape"), [7]),
        (("layers", 1, "inputs"), ["fc1"]),
        (("layers", 1, "kind"), "max_pool"),
        (("layers", 1, "kind"), "activation"),
        (("layers", 1, "kind"), "softmax"),
        (("layers", 2, "weight"), "fixed<2,2>"),
    ],
)
def test_edited_descriptions_are_refused(tmp_path: Path, where: tuple[Any, ...], value: object) -> None:
    def edit(meta: Any) -> None:
        for key in where[:-1]:
            meta = meta[key]
        assert meta[where[-1]] != value
        meta[where[-1]] = value

    with pytest.raises(ConfigError):
        Network.load(rewritten(tmp_path, edit))


def test_another_format_is_named(tmp_path: Path) -> None:
    path = rewritten(tmp_path, lambda meta: meta.update(format=99))
    assert "format 99" in refused(path)


def test_a_list_in_the_place_of_the_description_is_refused(tmp_path: Path) -> None:
    held = dict(np.load(saved(tmp_path)))
    np.savez(tmp_path / "list.npz", **{**held, "meta": np.array("[1]")})
    refused(tmp_path / "list.npz")


@pytest.mark.parametrize(
    "weights", [np.zeros((6, 4), np.int64), np.full((6, 5), 16), np.full((6, 5), 0.5), np.zeros(6, int)]
)
def test_foreign_weights_are_refused(tmp_path: Path, weights: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        Network.load(rewritten(tmp_path, lambda meta: None, w0=weights))


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    content = saved(tmp_path).read_bytes()
    path = tmp_path / "half.npz"
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


def test_every_damaged_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    """Time stamps and the like may change; a network that loads is the one that was saved."""
    network, path = small_network(), saved(tmp_path)
    content = path.read_bytes()
    refusals = 0
    for at in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[at] ^= 1 << (at % 8)
        path.write_bytes(bytes(damaged))
        try:
            assert Network.load(path) == network
        except ConfigError:
            refusals += 1
    assert refusals > len(content) / 6


# ---------------------------------------------------------------- what does not fit together


@pytest.mark.parametrize("name", ["", "a b", "1st", "input", "class", "é", "a-b", "x\n"])
def test_names_that_cannot_stand_in_cpp_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="layer name"):
        Layer.relu(name, 3, A)


MISFITS: dict[str, Callable[[], object]] = {
    "no_layers": lambda: Network("n", B, ()),
    "a_name_twice": lambda: Network("n", B, (dense("a", 2, 3), dense("a", 3, 2))),
    "sizes_do_not_meet": lambda: Network("n", B, (dense("a", 2, 3), dense("b", 2, 2))),
    "weights_of_one_axis": lambda: Layer.dense("a", Parameter(np.zeros(3, int), W), Parameter(np.zeros(3, int), B), A),
    "a_bias_short": lambda: Layer.dense("a", Parameter(np.zeros((2, 3), int), W), Parameter(np.zeros(2, int), B), A),
    "no_inputs": lambda: Layer.dense("a", Parameter(np.zeros((0, 3), int), W), Parameter(np.zeros(3, int), B), A),
    "no_neurons": lambda: Layer.dense("a", Parameter(np.zeros((3, 0), int), W), Parameter(np.zeros(0, int), B), A),
    "empty_relu": lambda: Layer.relu("a", 0, A),
    "relu_that_grows": lambda: replace(Layer.relu("a", 3, A), out_shape=(4,)),
    "no_weight": lambda: replace(dense("a", 2, 3), weight=None),
    "weight_too_large": lambda: Parameter(np.array([16]), W),
    "weight_too_small": lambda: Parameter(np.array([-17]), W),
    "fraction": lambda: Parameter(np.array([0.5]), W),
    "nan": lambda: Parameter(np.array([np.nan]), W),
    "text": lambda: Parameter(np.array(["1"]), W),
    "uint64": lambda: Parameter(np.array([2**64 - 1], np.uint64), W),
    "beyond_int64": lambda: Parameter([2**70], W),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("build", MISFITS.values(), ids=MISFITS)
def test_parts_that_do_not_fit_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigError) as error:
        build()
    assert "\n" not in str(error.value)


def test_products_beyond_int64_are_refused() -> None:
    wide = FixedPoint(40, 20)
    layer = Layer.dense("a", Parameter(np.zeros((2, 2), int), wide), Parameter(np.zeros(2, int), B), A)
    with pytest.raises(ConfigError, match="64-bit"):
        Network("n", wide, (layer,))


def test_an_unknown_layer_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'fc9'.*fc0.*relu0.*fc1"):
        small_network().layer("fc9")


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros(6),
        np.zeros((2, 5)),
        np.zeros((2, 2, 4)),
        np.full((2, 6), "0"),
        np.full((2, 6), True),
        np.full((2, 6), np.nan),
        np.full((2, 6), np.inf),
        np.full((2, 6), 64),
        np.full((2, 6), -1),
        np.full((2, 6), 2**63, np.uint64),
        [[0.0] * 6, [0.0] * 5],
        7.0,
        None,
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: object) -> None:
    with pytest.raises(ConfigError):
        small_network().quantise_inputs(inputs)  # type: ignore[arg-type]


def test_inputs_are_flattened_and_raw_integers_kept() -> None:
    network = small_network()
    raw = small_inputs(4)
    assert np.array_equal(network.quantise_inputs(raw.reshape(4, 2, 3).astype(np.uint8)), raw)
    assert np.array_equal(network.quantise_inputs(raw / 2.0**5), raw)
    assert network.quantise_inputs(np.zeros((0, 6))).shape == (0, 6)


# ---------------------------------------------------------------- sums


@st.composite
def layers_and_inputs(draw: st.DrawFn) -> tuple[Layer, FixedPoint, np.ndarray]:
    """Types up to 24 bits a factor, accumulators from 1 to 48 bits at any scale."""
    plain = {"rounding": st.just(Rounding.TRN), "overflow": st.just(Overflow.WRAP)}
    source = draw(fixed_points((1, 24), (-4, 20), **plain))
    weight = draw(fixed_points((1, 24), (-4, 20), **plain))
    bias = draw(fixed_points((1, 24), (-4, 24), **plain))
    accumulator = draw(
        fixed_points((1, 6), (-4, 24), overflow=st.just(Overflow.WRAP))
        | fixed_points((6, 48), (-4, 44), overflow=st.just(Overflow.WRAP))
    )
    n_in, n_out = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    result = draw(fixed_points((1, 20), (-4, 20)))
    generator = np.random.default_rng(draw(SEEDS))
    layer = Layer.dense(
        "a",
        Parameter(random_raw(weight, (n_in, n_out), generator), weight),
        Parameter(random_raw(bias, (n_out,), generator), bias),
        accumulator,
        result,
    )
    return layer, source, random_raw(source, (3, n_in), generator)


@settings(max_examples=200)
@given(layers_and_inputs())
def test_dense_sums_equal_pythons_integers(case: tuple[Layer, FixedPoint, np.ndarray]) -> None:
    layer, source, inputs = case
    ours = Unit(layer, (source,)).sums(inputs, *parameters(layer))
    results = finish(layer, ours, len(inputs))
    for sample, neuron in np.ndindex(ours.shape):
        total = exact_cast(real(layer.b.raw[neuron], layer.b.type.frac), layer.acc)
        for i in range(layer.n_in):
            product = real(inputs[sample, i], source.frac) * real(layer.w.raw[i, neuron], layer.w.type.frac)
            total = exact_overflow(total + exact_cast(product, layer.acc), layer.acc)
        assert ours[sample, neuron] == total
        assert results[sample, neuron] == exact_cast(real(total, layer.acc.frac), layer.result)


def test_a_coarse_accumulator_casts_each_product_by_itself() -> None:
    """Three products of 3/4 make 9/4; cast to whole numbers one by one they make 0 or 3."""
    weights, source = Parameter(np.ones((3, 1), int), FixedPoint(4, 2)), FixedPoint(4, 4)
    inputs = np.full((1, 3), 3)
    for rounding, expected in ((Rounding.TRN, 0), (Rounding.RND, 3)):
        layer = Layer.dense("a", weights, Parameter(np.zeros(1, int), B), FixedPoint(6, 6, True, rounding))
        assert Unit(layer, (source,)).sums(inputs, *parameters(layer)).tolist() == [[expected]]


@given(fixed_points((1, 20)), fixed_points((1, 20)), st.lists(st.integers(-(2**19), 2**19 - 1), min_size=1, max_size=5))
def test_relu_casts_what_is_not_negative(source: FixedPoint, to: FixedPoint, values: list[int]) -> None:
    kept = [exact_overflow(v, replace(source, overflow=Overflow.WRAP)) for v in values]
    expected = [exact_cast(max(real(v, source.frac), Fraction(0)), to) for v in kept]
    assert passed(Layer.relu("a", len(kept), to), (source,), np.array([kept])).tolist() == [expected]


@example(2**31 - 1, 2**31 - 1, 7)
@example(2**27, 2**26, 1)
@example(2**47, 2**47, 3)
@given(st.integers(0, 2**47), st.integers(0, 2**47), st.integers(1, 9))
def test_exact_matmul_equals_pythons_integers_beyond_2_to_53(left_bound: int, right_bound: int, n: int) -> None:
    """Modulo 2**64, which every accumulator of at most 48 bits divides."""
    generator = np.random.default_rng([left_bound, right_bound, n])
    left = generator.integers(-left_bound, left_bound, (2, n), endpoint=True)
    right = generator.integers(-right_bound, right_bound, (n, 3), endpoint=True)
    left[0], right[:, 0] = left_bound, right_bound
    with np.errstate(all="ignore"):
        ours = exact_matmul(left, right)
    for i, j in np.ndindex(ours.shape):
        exact = sum(int(a) * int(b) for a, b in zip(left[i], right[:, j], strict=True))
        assert (int(ours[i, j]) - exact) % 2**64 == 0


def test_layers_pass_their_results_on() -> None:
    network, inputs = small_network(), small_inputs(5)
    outputs = forward(network, inputs)
    for index, layer in enumerate(network.layers):
        values = entering(network, index, outputs, inputs)
        assert np.array_equal(values, outputs[index - 1] if index else inputs)
        if layer.kind is Kind.RELU:
            ours = passed(layer, network.input_types(index), values)
        else:
            ours = finish(layer, Unit(layer, network.input_types(index)).sums(values, *parameters(layer)), 5)
        assert np.array_equal(outputs[index], ours)
    assert (outputs[1] >= 0).all() and outputs[1].any()
    assert network.input_of(0) == network.input_type and network.input_of(2) == network.layers[1].result


# ---------------------------------------------------------------- the adder tree


@pytest.mark.parametrize("n_in", [*range(1, 71), 127, 128, 129, 783])
def test_adders_form_a_balanced_binary_tree(n_in: int) -> None:
    spans = [tuple(int(x) for x in span) for span in adder_spans(n_in)]
    assert len(spans) == n_in and len(set(spans)) == n_in
    nodes = {*spans, *((leaf, leaf + 1) for leaf in range(n_in + 1))}
    depth = dict.fromkeys(((leaf, leaf + 1) for leaf in range(n_in + 1)), 0)
    for position in sorted(range(n_in), key=lambda p: spans[p][1] - spans[p][0]):
        first, end = spans[position]
        left, right = (first, position + 1), (position + 1, end)  # adder k stands between leaf k and leaf k + 1
        assert left in nodes and right in nodes
        left_leaves, leaves = position + 1 - first, end - first
        assert left_leaves & (left_leaves - 1) == 0 and left_leaves < leaves <= 2 * left_leaves
        depth[first, end] = 1 + max(depth[left], depth[right])
    assert (0, n_in + 1) in spans
    assert depth[0, n_in + 1] == math.ceil(math.log2(n_in + 1))


def test_one_product_meets_the_bias_in_one_adder() -> None:
    assert adder_spans(1).tolist() == [[0, 2]]
    assert adder_spans(4).tolist() == [[0, 2], [0, 4], [2, 4], [0, 5]]


def test_the_network_by_hand_has_no_dead_neuron_and_no_absent_class() -> None:
    """Other tests rely on it: a fault in a dead neuron proves nothing."""
    hidden, logits = forward(small_network(), small_inputs(40))[1:]
    assert ((hidden > 0).mean(axis=0) > 0.2).all()
    assert (np.bincount(logits.argmax(axis=1), minlength=3) > 8).all()
