"""Graphs of every layer kind: the Network equals hls4ml's csim layer by layer, and QKeras where that is exact."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_raw
from numpy.typing import NDArray

import codesign.train.training as training
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, to_real
from codesign.network import Kind, Network, forward
from codesign.study import load_study
from codesign.train import Quantisation, load_builder
from codesign.train.convert import LayerSettings, model_graph, network_from_keras
from codesign.train.nodes import network_from_graph
from codesign.train.supported import check_layers

# QKeras 0.9 reads its own default quantisers by names that pyparsing has changed.
pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore:'.*' deprecated - use:DeprecationWarning")]
MODELS = Path(__file__).resolve().parent.parent / "models"
SAMPLES = 40


@pytest.fixture(scope="module", autouse=True)
def _tensorflow() -> None:
    """With the settings of the package, which come first or not at all."""
    training.tensorflow()


def bits(width: int = 6, integer: int = 1) -> Any:
    import qkeras

    return qkeras.quantized_bits(width, integer, alpha=1)


def weights(*kinds: str) -> dict[str, Any]:
    """Quantisers of a layer, by default of one with a kernel."""
    return {f"{kind}_quantizer": bits() for kind in (*(kinds or ("kernel",)), "bias")}


def randomised(model: Any, seed: int = 0) -> Any:
    """Weights around 0.7, so that types are used over their whole range and some sums wrap or saturate."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        drawn = []
        for variable, value in zip(layer.weights, layer.get_weights(), strict=True):
            positive = "variance" in variable.name or "gamma" in variable.name
            size = value.shape
            drawn.append(generator.uniform(0.3, 2, size) if positive else generator.normal(0, 0.7, size))
        layer.set_weights([d if v.dtype.kind == "f" else v for d, v in zip(drawn, layer.get_weights(), strict=True)])
    return model


def joined(tensors: list[Any]) -> Any:
    import tensorflow as tf

    while len(tensors) > 1:
        tensors = [tf.keras.layers.Concatenate()(tensors[:2]), *tensors[2:]]
    return tensors[0]


# ---------------------------------------------------------------- models


def images() -> Any:
    """Convolutions of every sort, a shortcut, pools, normalisations and what moves pixels."""
    import qkeras
    import tensorflow as tf

    make, act = tf.keras.layers, qkeras.QActivation
    inputs = tf.keras.Input((6, 6, 2), name="image")
    first = qkeras.QConv2D(4, 3, padding="same", **weights(), name="conv")(inputs)
    relu = act(qkeras.quantized_relu(6, 2), name="relu")(first)
    normal = act(bits(8, 2), name="cast")(qkeras.QBatchNormalization(name="qbn")(relu))
    depthwise = qkeras.QDepthwiseConv2D(3, padding="same", **weights("depthwise"), name="depthwise")(normal)
    separable = qkeras.QSeparableConv2D(4, 3, padding="same", **weights("depthwise", "pointwise"), name="sep")(relu)
    tanh = act(qkeras.quantized_tanh(6), name="hard_tanh")(make.Add(name="add")([depthwise, separable]))
    both = make.Concatenate(name="cat")([tanh, relu])
    pools = [make.MaxPooling2D(2, name="max")(both), make.AveragePooling2D(3, 2, "same", name="mean")(both)]
    padded = make.ZeroPadding2D(((1, 0), (0, 2)), name="pad")(make.UpSampling2D((2, 1), name="up")(joined(pools)))
    folded = qkeras.QConv2DBatchnorm(3, 2, strides=2, **weights(), name="folded")(padded)
    pointwise = qkeras.QDense(4, **weights(), name="last_axis")(folded)
    sigmoid = act(qkeras.quantized_sigmoid(7), name="hard_sigmoid")(pointwise)
    ends = [make.GlobalAveragePooling2D(name="all_mean")(sigmoid), make.GlobalMaxPooling2D(name="all_max")(pointwise)]
    values = act(bits(9, 3), name="narrow")(make.BatchNormalization(name="bn")(joined(ends)))
    return tf.keras.Model(inputs, qkeras.QDense(5, **weights(), name="logits")(values))


def vectors() -> Any:
    """Every activation, by table or not, and the softmaxes."""
    import qkeras
    import tensorflow as tf

    make, act = tf.keras.layers, qkeras.QActivation
    inputs = tf.keras.Input((16,), name="vector")
    first = act(bits(10, 4), name="cast")(qkeras.QDense(8, **weights(), name="first")(inputs))
    names = ("relu", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "hard_sigmoid")
    found = [make.Activation(name, name=f"f_{name}")(first) for name in names]
    found += [make.Activation("softmax", name=f"{name}_softmax")(first) for name in ("stable", "latency", "argmax")]
    found += [make.LeakyReLU(0.3, name="leaky")(first), make.ELU(0.7, name="scaled_elu")(first)]
    found += [act(qkeras.quantized_tanh(6, use_real_tanh=True, symmetric=True), name="real_tanh")(first)]
    found += [act(qkeras.quantized_sigmoid(6, use_real_sigmoid=True), name="real_sigmoid")(first)]
    found += [act(qkeras.binary(alpha=1), name="signs")(first)]
    found += [qkeras.QDense(4, **weights(), name="saturating")(first)]
    found += [act(bits(9, 3), name="bn_cast")(make.BatchNormalization(name="bn")(first))]
    values = act(bits(9, 3), name="narrow")(joined(found))
    return tf.keras.Model(inputs, qkeras.QDense(6, **weights(), name="logits")(make.Dropout(0.5)(values)))


VECTOR_SETTINGS: LayerSettings = {
    "latency_softmax": {"Implementation": "latency", "Precision": {"exp_table": "fixed<16,9,RND,SAT>"}},
    "argmax_softmax": {"Implementation": "argmax"},
    "f_tanh": {"TableSize": 256, "Precision": {"table": "fixed<12,4>"}},
    "saturating": {"Precision": {"accum": "fixed<10,6,RND,SAT>", "result": "fixed<9,5,TRN,SAT_SYM>"}},
}


def series() -> Any:
    import qkeras
    import tensorflow as tf

    make, act = tf.keras.layers, qkeras.QActivation
    inputs = tf.keras.Input((12, 3), name="series")
    first = act(bits(7, 2), name="cast")(qkeras.QConv1D(4, 3, padding="same", **weights(), name="conv")(inputs))
    separable = qkeras.QSeparableConv1D(5, 3, **weights("depthwise", "pointwise"), name="sep")(first)
    relu = act(qkeras.quantized_relu(7, 3), name="relu")(separable)
    maxima = make.MaxPooling1D(2, name="max")(relu)
    padded = make.MaxPooling1D(3, 2, "same", name="same_max")(first)
    means = make.ZeroPadding1D((1, 2), name="pad")(make.AveragePooling1D(3, 2, name="mean")(relu))
    dense = qkeras.QDense(3, **weights(), name="last_axis")(make.UpSampling1D(3, name="up")(maxima))
    shaped = make.Reshape((9, 5), name="shaped")(dense)
    saturating = qkeras.QConv1D(2, 2, strides=2, **weights(), name="saturating")(shaped)
    ends = [make.Flatten()(tensor) for tensor in (maxima, means, saturating)]
    ends += [make.GlobalAveragePooling1D(name="all_mean")(relu), make.GlobalMaxPooling1D(name="all_max")(padded)]
    return tf.keras.Model(inputs, qkeras.QDense(6, **weights(), name="logits")(joined(ends)))


SERIES_SETTINGS: LayerSettings = {"saturating": {"Precision": {"accum": "fixed<9,6,TRN,SAT>"}}}


def streams() -> Any:
    """What hls4ml computes in io_stream too: pools without padding or overlap."""
    import qkeras
    import tensorflow as tf

    make, act = tf.keras.layers, qkeras.QActivation
    inputs = tf.keras.Input((5, 6, 2), name="image")
    first = qkeras.QConv2D(4, 3, padding="same", **weights(), name="conv")(inputs)
    relu = act(qkeras.quantized_relu(6, 2), name="relu")(first)
    second = act(bits(6, 2), name="cast")(qkeras.QConv2D(4, 3, padding="same", **weights(), name="inner")(relu))
    both = make.Concatenate(name="cat")([make.Add(name="add")([second, relu]), second])
    pools = [make.MaxPooling2D(2, name="max")(both), make.AveragePooling2D(2, name="mean")(both)]
    enlarged = make.UpSampling2D(2, name="up")(joined(pools))
    last = qkeras.QConv2D(4, 2, strides=2, **weights(), name="last")(make.ZeroPadding2D(1, name="pad")(enlarged))
    signed = act(bits(8, 3), name="signed")(last)
    ends = [make.GlobalMaxPooling2D(name="all_max")(signed), make.GlobalAveragePooling2D(name="all_mean")(signed)]
    values = joined([*ends, make.Flatten(name="flat")(make.Activation("tanh", name="tanh")(signed))])
    values = act(bits(7, 3), name="narrow")(values)
    return tf.keras.Model(
        inputs, make.Activation("softmax", name="top")(qkeras.QDense(5, **weights(), name="logits")(values))
    )


def autoencoder() -> Any:
    import qkeras
    import tensorflow as tf

    make, act = tf.keras.layers, qkeras.QActivation
    inputs = tf.keras.Input((8, 8, 1), name="pixels")
    values = qkeras.QConv2D(4, 3, strides=2, padding="same", **weights(), name="encode")(inputs)
    values = qkeras.QConv2D(2, 3, strides=2, padding="same", **weights(), name="code")(
        act(qkeras.quantized_relu(6, 2), name="relu_encode")(values)
    )
    values = make.UpSampling2D(2, name="up_code")(act(bits(7, 3), name="cast_code")(values))
    values = qkeras.QConv2D(4, 3, padding="same", **weights(), name="decode")(values)
    values = make.UpSampling2D(2, name="up_decode")(act(qkeras.quantized_relu(6, 2), name="relu_decode")(values))
    values = qkeras.QConv2D(1, 3, padding="same", **weights(), name="image")(values)
    return tf.keras.Model(inputs, act(qkeras.quantized_sigmoid(6), name="reconstruction")(values))


# ---------------------------------------------------------------- the comparison


@dataclass(frozen=True)
class Compared:
    """Outputs of every layer as real numbers, by the name of the layer."""

    network: Network
    ours: dict[str, NDArray[np.float64]]
    simulated: dict[str, NDArray[np.float64]]
    keras: dict[str, NDArray[np.float64]]


def compared(
    model: Any,
    input_type: FixedPoint,
    folder: Path,
    *,
    backend: str = "Vivado",
    io_type: str = "io_parallel",
    settings: LayerSettings | None = None,
    inputs: NDArray[np.float64] | None = None,
) -> Compared:
    import tensorflow as tf

    check_layers(model)
    network = network_from_graph(model_graph(model, input_type, backend, settings=settings), "compared", input_type)
    if inputs is None:
        raw = random_raw(input_type, (SAMPLES, *network.input_shape), np.random.default_rng(1))
        inputs = to_real(raw, input_type)
    graph = model_graph(model, input_type, backend, str(folder), io_type=io_type, settings=settings)
    for node in graph.get_layers():
        node.set_attr("trace", node.name in [layer.name for layer in network.layers if layer.kind is not Kind.RESHAPE])
    last, traced = graph.trace(np.ascontiguousarray(inputs))
    outputs = forward(network, network.quantise_inputs(inputs))
    ours = {layer.name: to_real(out, layer.result) for layer, out in zip(network.layers, outputs, strict=True)}
    every = tf.keras.Model(model.input, [layer.output for layer in model.layers])
    found = zip(model.layers, every(inputs.astype(np.float32)), strict=True)
    keras = {layer.name: np.asarray(out, np.float64).reshape(len(inputs), -1) for layer, out in found}
    simulated = {name: np.asarray(out, np.float64).reshape(len(inputs), -1) for name, out in traced.items()}
    assert np.array_equal(last.reshape(len(inputs), -1), ours[network.layers[-1].name])
    return Compared(network, ours, simulated, keras)


def differing(compared: Compared, others: dict[str, NDArray[np.float64]]) -> set[str]:
    both = compared.ours.keys() & others.keys()
    return {name for name in both if not np.array_equal(compared.ours[name], others[name])}


def check_simulated(case: Compared) -> None:
    """Every layer but those that hls4ml makes no code for was traced, varies, and is equal."""
    assert differing(case, case.simulated) == set()
    untraced = [layer.kind for layer in case.network.layers if layer.name not in case.simulated]
    assert set(untraced) <= {Kind.RESHAPE}
    assert [name for name, values in case.ours.items() if np.ptp(values) == 0] == []


@pytest.mark.cxx
@pytest.mark.parametrize(("backend"), ["Vivado", pytest.param("Vitis", marks=pytest.mark.slow)])
def test_images(tmp_path: Path, backend: str) -> None:
    case = compared(randomised(images()), FixedPoint.parse("ufixed<5,1>"), tmp_path, backend=backend)
    check_simulated(case)
    kinds = {layer.kind for layer in case.network.layers}
    assert kinds >= set(Kind) - {Kind.DENSE, Kind.RESHAPE, Kind.SOFTMAX, Kind.ARGMAX}
    # Scales of a batch normalisation are rounded to 12 fractional bits, and means to the type that is averaged.
    inexact = {"qbn", "mean", "folded", "last_axis", "hard_sigmoid", "all_mean", "all_max", "bn", "narrow", "logits"}
    assert differing(case, case.keras) <= {*inexact, "up", "pad", "cast", *(n for n in case.ours if "concat" in n)}
    assert np.abs(case.ours["qbn"] - case.keras["qbn"]).max() < 1e-3
    assert np.abs(case.ours["mean"] - case.keras["mean"]).max() < 1 / 16


@pytest.mark.cxx
def test_vectors(tmp_path: Path) -> None:
    case = compared(
        randomised(vectors()), FixedPoint.parse("fixed<8,4>"), tmp_path, backend="Vitis", settings=VECTOR_SETTINGS
    )
    check_simulated(case)
    exact = {"first", "cast", "f_relu", "signs"}
    assert not exact & differing(case, case.keras)
    saturating = case.network.layer("saturating")
    assert saturating.saturates and (np.abs(case.ours["saturating"]) > 15).any()
    assert case.network.layer("argmax_softmax").kind is Kind.ARGMAX
    assert [table.raw.size for table in case.network.layer("f_tanh").tables] == [256]
    for name in ("f_sigmoid", "f_elu", "f_selu", "leaky", "scaled_elu", "f_hard_sigmoid"):
        assert np.abs(case.ours[name] - case.keras[name]).max() < 0.03


@pytest.mark.cxx
def test_series(tmp_path: Path) -> None:
    case = compared(randomised(series()), FixedPoint.parse("fixed<6,2>"), tmp_path, settings=SERIES_SETTINGS)
    check_simulated(case)
    exact = {"conv", "cast", "relu", "max", "same_max", "up", "last_axis", "all_max", "shaped"}
    assert not exact & differing(case, case.keras)
    assert case.network.layer("saturating").saturates


@pytest.mark.cxx
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["Vivado", "Vitis"])
def test_streams_compute_the_same(tmp_path: Path, backend: str) -> None:
    model = randomised(streams())
    case = compared(model, FixedPoint.parse("ufixed<5,1>"), tmp_path, backend=backend, io_type="io_stream")
    assert differing(case, case.simulated) == set()


@pytest.mark.cxx
@pytest.mark.slow
def test_autoencoder(tmp_path: Path) -> None:
    case = compared(randomised(autoencoder()), FixedPoint.parse("ufixed<5,1>"), tmp_path, backend="Vitis")
    check_simulated(case)
    assert case.network.layers[-1].out_shape == (8, 8, 1)
    assert differing(case, case.keras) == set()


# ---------------------------------------------------------------- the models of the package


@pytest.mark.cxx
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"),
    [("digits_cnn", "Vivado"), ("digits_residual", "Vitis"), ("fashion_cnn", "Vivado")],
)
def test_models_equal_csim_and_qkeras(name: str, backend: str, tmp_path: Path) -> None:
    """At the initial weights; of all layers only means are rounded in hardware first, and after the next ReLU equal."""
    study = load_study(MODELS / f"{name}.toml")
    if name == "fashion_cnn" and not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("no Fashion-MNIST: apt-get install dataset-fashion-mnist")
    builder = load_builder(study)
    data = builder.data()
    model = randomised(builder.model(Quantisation(6, 6)))
    case = compared(model, builder.input_type, tmp_path, backend=backend, inputs=data.test_inputs[:SAMPLES])
    check_simulated(case)
    assert differing(case, case.keras) <= ({"pool"} if name == "digits_residual" else set())
    assert case.network == network_from_keras(model, "compared", builder.input_type, "Vivado")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "goal"), [("digits_cnn", 0.95), ("digits_residual", 0.93)])
def test_models_learn(name: str, goal: float) -> None:
    study = load_study(MODELS / f"{name}.toml")
    builder = load_builder(study)
    data = builder.data()
    model = training.fit(study, builder, data, Quantisation(6, 6))
    network = network_from_keras(model, name, builder.input_type, study.hardware.backend)
    assert training.accuracy(network, data) >= goal


def test_an_absent_dataset_is_named_with_its_package(tmp_path: Path) -> None:
    study = load_study(MODELS / "fashion_cnn.toml")
    study.model.options["folder"] = str(tmp_path)
    with pytest.raises(ConfigError, match="apt-get install dataset-fashion-mnist") as caught:
        load_builder(study).data()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- conversion leaves no traces


def test_conversion_changes_neither_model_nor_hls4ml() -> None:
    from hls4ml.model.optimizer import get_optimizer

    model = randomised(images())
    before = [value.copy() for value in model.get_weights()]
    first = network_from_keras(model, "images", FixedPoint.parse("ufixed<5,1>"), "Vivado")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    for name in ("merge_linear_activation", "fuse_batch_normalization"):
        assert "match" not in vars(get_optimizer(name))
    assert network_from_keras(model, "images", FixedPoint.parse("ufixed<5,1>"), "Vitis") == first


def test_reuse_factors_are_taken_over() -> None:
    import qkeras
    import tensorflow as tf

    inputs = tf.keras.Input((6,), name="vector")
    model = tf.keras.Model(inputs, qkeras.QDense(3, **weights(), name="logits")(inputs))
    input_type = FixedPoint.parse("fixed<6,2>")
    network = network_from_graph(model_graph(model, input_type, "Vivado", reuse_factor=3), "reused", input_type)
    assert network.layers[0].reuse_factor == 3
    with pytest.raises(ConfigError, match="reuse factor 4 does not divide"):
        network_from_graph(model_graph(model, input_type, "Vivado", reuse_factor=4), "reused", input_type)
    resource = {"logits": {"Strategy": "Resource"}}
    with pytest.raises(ConfigError, match="strategy resource, expected Latency"):
        network_from_graph(model_graph(model, input_type, "Vivado", settings=resource), "reused", input_type)


# ---------------------------------------------------------------- refusals


def ending(change: Callable[[Any, Any, Any], Any], shape: tuple[int, ...] = (6, 6, 2)) -> Any:
    """A model of a convolution and whatever `change` makes of it."""
    import qkeras
    import tensorflow as tf

    inputs = tf.keras.Input(shape, name="image")
    first = qkeras.QConv2D if len(shape) == 3 else qkeras.QConv1D
    return tf.keras.Model(inputs, change(first(4, 3, **weights(), name="first")(inputs), tf.keras.layers, qkeras))


REFUSED: dict[str, tuple[Callable[[Any, Any, Any], Any], str]] = {
    "dilation": (lambda x, k, q: q.QConv2D(2, 2, dilation_rate=2, **weights(), name="x")(x), "dilation_rate"),
    "depth_multiplier": (
        lambda x, k, q: q.QDepthwiseConv2D(2, depth_multiplier=2, **weights("depthwise"), name="x")(x),
        "depth_multiplier",
    ),
    "bilinear": (lambda x, k, q: k.UpSampling2D(2, interpolation="bilinear", name="x")(x), "interpolation"),
    "keepdims": (lambda x, k, q: k.GlobalMaxPooling2D(keepdims=True, name="x")(x), "keepdims"),
    "axis": (lambda x, k, q: k.BatchNormalization(axis=1, name="x")(x), "axis"),
    "three_operands": (lambda x, k, q: k.Add(name="x")([x, x, x]), "expected two"),
    "another_merge": (lambda x, k, q: k.Multiply(name="x")([x, x]), r"\(Multiply\) is not supported"),
    "plain_convolution": (lambda x, k, q: k.Conv2D(2, 2, name="x")(x), r"\(Conv2D\) is not supported"),
    "relu_that_hls4ml_bends": (lambda x, k, q: k.ReLU(6, name="x")(x), r"\(ReLU\) is not supported"),
    "ternary": (lambda x, k, q: q.QActivation(q.ternary(alpha=1), name="x")(x), "ternary is not supported"),
    "po2": (lambda x, k, q: q.QActivation(q.quantized_relu_po2(4), name="x")(x), "quantized_relu_po2"),
    "slope": (
        lambda x, k, q: q.QActivation(q.quantized_relu(6, 2, negative_slope=0.25), name="x")(x),
        "negative_slope",
    ),
    "symmetric": (lambda x, k, q: q.QActivation(q.quantized_bits(6, 2, symmetric=1), name="x")(x), "symmetric"),
    "no_fraction": (lambda x, k, q: q.QActivation(q.quantized_bits(4, 3), name="x")(x), "no fractional bit"),
    "scaled_binary": (lambda x, k, q: q.QActivation(q.binary(alpha=2.0), name="x")(x), "alpha"),
    "unquantised_depthwise": (
        lambda x, k, q: q.QDepthwiseConv2D(2, bias_quantizer=bits(), name="x")(x),
        "depthwise_quantizer is NoneType",
    ),
    "used_twice": (lambda x, k, q: (lambda layer: layer(layer(x)))(k.ZeroPadding2D(name="x")), "used more than once"),
    "causal": (
        lambda x, k, q: q.QConv1D(2, 2, padding="causal", **weights(), name="x")(k.Reshape((16, 4))(x)),
        "causal",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_layers_that_are_refused(change: Callable[[Any, Any, Any], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_layers(ending(change))
    assert "layer 'x'" in str(caught.value) and "\n" not in str(caught.value)


CONVERTED: dict[str, tuple[Callable[[Any, Any, Any], Any], str]] = {
    "padded_maximum_of_unsigned": (
        lambda x, k, q: k.MaxPooling2D(3, padding="same", name="x")(q.QActivation(q.quantized_relu(6, 2), name="r")(x)),
        "hls4ml pads unsigned values",
    ),
    "softmax_of_an_image": (lambda x, k, q: k.Activation("softmax", name="x")(x), "takes a vector"),
    "too_wide": (
        lambda x, k, q: k.BatchNormalization(name="x")(
            q.QDense(9, **wide(), name="y")(q.QDense(9, **wide(), name="z")(x))
        ),
        "is outside 1..48",
    ),
    "binary_behind_a_normalisation": (
        lambda x, k, q: q.QActivation(q.binary(alpha=1), name="x")(k.BatchNormalization(name="y")(x)),
        "BatchNormalizationQuantizedTanh in hls4ml, which is not supported",
    ),
}


def wide() -> dict[str, Any]:
    return {"kernel_quantizer": bits(16, 1), "bias_quantizer": bits(16, 1)}


@pytest.mark.parametrize(("change", "message"), CONVERTED.values(), ids=CONVERTED)
def test_graphs_that_are_refused(change: Callable[[Any, Any, Any], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        network_from_keras(ending(change), "refused", FixedPoint.parse("ufixed<5,1>"), "Vivado")
    assert "layer '" in str(caught.value) and "\n" not in str(caught.value)
