"""Training, its cache, the builder's contract, and the exactness of the conversion."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import codesign.train.training as training
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, to_real
from codesign.network import Kind, Layer, Network, Parameter, forward
from codesign.study import Study, load_study
from codesign.train import Builder, Data, Quantisation, TrainedNetwork, data, load_builder, train
from codesign.train.convert import model_graph, network_from_keras

MODELS = Path(__file__).resolve().parent.parent / "models"
INPUT = FixedPoint.parse("ufixed<5,1>")
# Held-out accuracy asked of each width.
GOALS = {4: 0.93, 6: 0.94, 8: 0.95}

STUDY = """
name = "small"
seed = 3
[model]
builder = "small.py"
[train]
epochs = 2
batch_size = 16
learning_rate = 1e-2
[faults]
targets = ["accumulator"]
ber = 1e-4
trials = 10
[requirements]
accuracy_clean = 0.9
[search]
evaluations = 8
initial = 3
"""

BUILDER = """
import numpy as np

INPUT_TYPE = "ufixed<5,1>"


def load_data(options):
    inputs = np.random.default_rng(0).integers(0, 17, (64, 3)) / 16
    labels = (inputs[:, 0] > inputs[:, 1]).astype(np.int64)
    return inputs[:48], labels[:48], inputs[48:], labels[48:]


def build_model(quantisation, options):
    import tensorflow as tf
    import qkeras
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu

    def bits():
        return quantized_bits(quantisation.weight_bits, 0, alpha=1)

    values = inputs = tf.keras.Input((3,), name="values")
    values = QDense(4, kernel_quantizer=bits(), bias_quantizer=bits(), name="first")(values)
    values = QActivation(quantized_relu(quantisation.activation_bits, 1), name="relu")(values)
    values = QDense(2, kernel_quantizer=bits(), bias_quantizer=bits(), name="logits")(values)
    return tf.keras.Model(inputs, values)
"""


def small(folder: Path, *changes: tuple[str, str], builder: str = BUILDER) -> Study:
    """A study of three inputs and two classes, with pieces of its builder replaced."""
    for old, new in changes:
        assert old in builder
        builder = builder.replace(old, new)
    (folder / "small.py").write_text(builder)
    (folder / "small.toml").write_text(STUDY)
    return load_study(folder / "small.toml")


def one_line(caught: pytest.ExceptionInfo[ConfigError]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- the builder's contract (no TensorFlow) ---


def test_digits_data() -> None:
    digits = data(load_study(MODELS / "digits_mlp.toml"))
    assert digits.train_inputs.shape == (1437, 64) and digits.test_inputs.shape == (360, 64)
    assert digits.n_classes == 10 and digits.input_type == INPUT
    assert np.bincount(digits.test_labels).min() >= 34  # stratified
    assert not digits.test_inputs.flags.writeable and not digits.test_labels.flags.writeable
    assert digits.digest == data(load_study(MODELS / "digits_mlp.toml")).digest


def test_importing_and_loading_data_loads_no_heavy_library() -> None:
    code = (
        "import sys; from pathlib import Path; from codesign.study import load_study; import codesign.train as train; "
        "assert 'sklearn' not in sys.modules; "
        f"train.data(load_study(Path({str(MODELS / 'digits_mlp.toml')!r}))); "
        "assert not {'tensorflow', 'qkeras', 'hls4ml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "import numpy as np\n",
            "import numpy as np\nimport no_such_module\n",
            "small.py:3: the builder raised Module",
        ),
        ("import numpy as np\n", "import numpy as np\nx = = 3\n", "small.py:3: the builder raised SyntaxError"),
        (
            "import numpy as np\n",
            "import numpy as np\nraise SystemExit(0)\n",
            "small.py:3: the builder raised SystemExit",
        ),
        (
            "    inputs = np",
            "    1 / 0\n    inputs = np",
            "small.py:8: load_data raised ZeroDivisionError: division by",
        ),
        ("    inputs = np", "    raise ValueError('a\\nb')\n    inputs = np", "load_data raised ValueError: a b"),
        ("def load_data", "def load_date", "small.py: no function load_data(...)"),
        (
            "def build_model(quantisation, options)",
            "build_model = 3\ndef other(quantisation)",
            "no function build_model",
        ),
        ('INPUT_TYPE = "ufixed<5,1>"', "", "small.py: INPUT_TYPE is None, expected a fixed-point type"),
        ('"ufixed<5,1>"', '"float"', "small.py: INPUT_TYPE: 'float' is not a fixed-point type"),
        ("inputs[48:], labels[48:]\n", "inputs[48:]\n", "load_data gave tuple of 3, expected a tuple of train inputs"),
        ("return inputs[:48]", "return list(inputs[:48])", "train inputs are a list of 48, expected a NumPy array"),
        ("return inputs[:48]", "return inputs[:48, 0]", "train inputs have shape (48,), expected (n_samples, ...)"),
        ("inputs[48:], labels[48:]", "inputs[:0], labels[:0]", "test inputs have shape (0, 3), expected"),
        ("return inputs[:48]", "return inputs[:48, :2]", "a train input has shape (2,), a test input (3,)"),
        ("return inputs[:48]", "return inputs[:48].astype(str)", "train inputs are <U32, expected numbers"),
        ("return inputs", "inputs[5, 1] = np.nan\n    return inputs", "train inputs hold 1 NaN or infinite values"),
        ("return inputs", "inputs[60, 1] = np.inf\n    return inputs", "test inputs hold 1 NaN or infinite values"),
        (
            "return inputs",
            "inputs[5, 1] = 0.1\n    return inputs",
            "0.1 is not exact in INPUT_TYPE ufixed<5,1,TRN,WRAP>",
        ),
        ("return inputs", "inputs[5, 1] = 2\n    return inputs", "2.0 is not exact in INPUT_TYPE ufixed<5,1,TRN,WRAP>"),
        ("labels[:48], ", "labels[:47], ", "train labels have shape (47,), expected (48,)"),
        ("labels[:48], ", "labels[:48] * 1.0, ", "train labels are float64, expected whole numbers"),
        ("labels[:48], ", "labels[:48] - 1, ", "train labels: found -1, expected classes from 0"),
        ("labels[:48], ", "labels[:48] * 0, ", "train labels hold only class 0, expected at least two"),
        ("labels[48:]\n", "labels[48:] + 1\n", "test labels go up to 2, train labels only to 1"),
    ],
)
def test_builders_that_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        data(small(tmp_path, (old, new)))
    assert message in one_line(caught)
    assert str(tmp_path / "small.py") in one_line(caught)


def test_the_bytes_that_were_digested_are_run(tmp_path: Path) -> None:
    study = small(tmp_path)
    (tmp_path / "small.py").write_text("raise ValueError")
    assert data(study).n_classes == 2


def test_a_builder_cannot_change_the_study(tmp_path: Path) -> None:
    study = small(tmp_path, ("    inputs = np", "    options['x'] = 1\n    inputs = np"))
    data(study)
    assert study.model.options == {}


# --- the cache (training itself is replaced) ---


def tiny() -> Network:
    weight = Parameter(np.ones((3, 2), np.int64), FixedPoint(4, 1))
    bias = Parameter(np.zeros(2, np.int64), FixedPoint(4, 1))
    return Network("small", INPUT, (Layer.dense("logits", weight, bias, FixedPoint(12, 5)),))


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Quantisation]:
    """What was trained, with training replaced by something slow enough to collide."""
    done: list[Quantisation] = []

    def fit(study: Study, builder: Builder, data: Data, quantisation: Quantisation, start: object) -> SimpleNamespace:
        done.append(quantisation)
        time.sleep(0.2)
        return SimpleNamespace(get_weights=list)

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(training, "finished", lambda study, builder, data, model: model)
    monkeypatch.setattr(training, "tensorflow", lambda: None)
    monkeypatch.setattr(training, "network_from_keras", lambda *_: tiny())
    return done


def test_nothing_is_trained_twice(tmp_path: Path, trainings: list[Quantisation]) -> None:
    study = small(tmp_path)
    first = train(study, 4, 4, cache=tmp_path / "cache")
    again = train(study, 4, 4, cache=tmp_path / "cache")
    assert not first.cached and again.cached
    assert again.network == first.network and again.accuracy_clean == first.accuracy_clean
    assert again.seconds == first.seconds
    train(study, 8, 4, cache=tmp_path / "cache")
    assert trainings == [Quantisation(4, 4), Quantisation(8, 4)]


def test_whatever_decides_the_network_is_in_the_key(tmp_path: Path) -> None:
    def key(study: Study, weight_bits: int = 4, activation_bits: int = 4) -> str:
        return training.network_key(study, Quantisation(weight_bits, activation_bits), data(study))

    study = small(tmp_path)
    changed_train = replace(study, train=study.train.model_copy(update={"epochs": 3}))
    changed_options = replace(study, model=study.model.model_copy(update={"options": {"x": 1}}))
    changed_data = ("default_rng(0)", "default_rng(1)")
    keys = [key(study), key(changed_train), key(changed_options), key(replace(study, seed=4))]
    keys += [key(study, 4, 5), key(study, 5, 4), key(small(tmp_path, changed_data))]
    assert len(set(keys)) == len(keys)
    assert key(small(tmp_path)) == keys[0]


def test_workers_that_want_the_same_network_train_it_once(tmp_path: Path, trainings: list[Quantisation]) -> None:
    study = small(tmp_path)
    results: list[TrainedNetwork] = []
    workers = [
        threading.Thread(target=lambda: results.append(train(study, 4, 4, cache=tmp_path / "cache"))) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(trainings) == 1
    assert sorted(result.cached for result in results) == [False, True, True, True]


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"{"), Path.unlink], ids=["broken", "absent"])
def test_a_damaged_cache_is_trained_again(
    tmp_path: Path, trainings: list[Quantisation], suffix: str, damage: Callable[[Path], None]
) -> None:
    study = small(tmp_path)
    train(study, 4, 4, cache=tmp_path / "cache")
    damage(next((tmp_path / "cache").glob(f"*{suffix}")))
    assert not train(study, 4, 4, cache=tmp_path / "cache").cached
    assert train(study, 4, 4, cache=tmp_path / "cache").cached


def test_a_cache_that_cannot_be_written_stops_before_training(tmp_path: Path, trainings: list[Quantisation]) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ConfigError, match=r"cannot write .*CODESIGN_CACHE"):
        train(small(tmp_path), 4, 4, cache=tmp_path / "cache")
    assert trainings == []


# --- training and conversion ---


@pytest.fixture(scope="module")
def digits() -> tuple[Study, Builder, Data]:
    study = load_study(MODELS / "digits_mlp.toml")
    builder = load_builder(study)
    return study, builder, builder.data()


@pytest.fixture(scope="module", params=sorted(GOALS))
def trained(request: pytest.FixtureRequest, digits: tuple[Study, Builder, Data]) -> tuple[int, Any, Network]:
    """Width, trained Keras model and its Network."""
    study, builder, samples = digits
    bits = request.param
    model = training.fit(study, builder, samples, Quantisation(bits, bits))
    return bits, model, network_from_keras(model, study.name, INPUT, "Vivado")


@pytest.mark.tf
def test_accuracy_and_qkeras_outputs(trained: tuple[int, Any, Network], digits: tuple[Study, Builder, Data]) -> None:
    """Up to 8 bits every sum fits float32's 24 bits, so QKeras is exact too and nothing may differ."""
    bits, model, network = trained
    samples = digits[2]
    logits = to_real(forward(network, network.quantise_inputs(samples.test_inputs))[-1], network.layers[-1].result)
    assert np.array_equal(model.predict(samples.test_inputs.astype(np.float32), verbose=0), logits)
    assert training.accuracy(network, samples) >= GOALS[bits]


@pytest.mark.tf
def test_types_come_from_hls4ml(trained: tuple[int, Any, Network]) -> None:
    bits, _, network = trained
    assert [layer.name for layer in network.layers] == ["dense_0", "relu_0", "dense_1", "relu_1", "logits"]
    for index, layer in network.compute_layers():
        # n products of weight and input, and the bias: one more bit each, nothing below is cut.
        assert layer.w.type == FixedPoint(bits, 1)
        assert layer.acc.frac == layer.w.type.frac + network.input_of(index).frac
        assert layer.acc.integer == 9
        assert layer.result == layer.acc
    for layer in network.layers:
        if layer.kind is Kind.RELU:
            assert layer.result == FixedPoint.parse(f"ufixed<{bits},2,RND_CONV,SAT>")


@pytest.mark.tf
def test_network_equals_the_csim_of_hls4ml(
    trained: tuple[int, Any, Network], digits: tuple[Study, Builder, Data], tmp_path: Path
) -> None:
    """Integer for integer, on all 360 test samples."""
    bits, model, network = trained
    inputs = digits[2].test_inputs
    graph = model_graph(model, INPUT, "Vitis" if bits == 6 else "Vivado", str(tmp_path / "project"))
    graph.compile()
    simulated = graph.predict(np.ascontiguousarray(inputs, np.float32)).reshape(len(inputs), -1)
    logits = forward(network, network.quantise_inputs(inputs))[-1]
    assert np.array_equal(simulated, to_real(logits, network.layers[-1].result))


@pytest.mark.tf
def test_both_backends_give_the_same_network(trained: tuple[int, Any, Network]) -> None:
    _, model, network = trained
    assert network_from_keras(model, network.name, INPUT, "Vitis") == network


@pytest.mark.tf
def test_hls4ml_is_kept_quiet(trained: tuple[int, Any, Network], capfd: pytest.CaptureFixture[str]) -> None:
    _, model, _ = trained
    network_from_keras(model, "quiet", INPUT, "Vivado")
    assert capfd.readouterr() == ("", "")


@pytest.mark.tf
def test_training_repeats_in_any_order_and_process(digits: tuple[Study, Builder, Data], tmp_path: Path) -> None:
    study, builder, samples = digits
    network = network_from_keras(
        training.fit(study, builder, samples, Quantisation(4, 4)), study.name, INPUT, study.hardware.backend
    )
    code = (
        "from pathlib import Path; from codesign.study import load_study; from codesign.train import train; "
        f"print(train(load_study(Path({str(study.path)!r})), 4, 4, cache=Path({str(tmp_path)!r})).network.digest)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [network.digest]


@pytest.mark.tf
def test_training_leaves_the_random_state_of_others_alone(tmp_path: Path) -> None:
    before = random.getstate(), str(np.random.get_state(legacy=False))  # noqa: NPY002, the global state is meant
    train(small(tmp_path), 4, 4, cache=tmp_path / "cache")
    assert (random.getstate(), str(np.random.get_state(legacy=False))) == before  # noqa: NPY002


@pytest.mark.tf
def test_sums_beyond_float32_are_where_qkeras_differs(tmp_path: Path) -> None:
    """At 16 bits a product has 31 bits: QKeras rounds in float32, the integer network does not."""
    study = small(tmp_path)
    builder = load_builder(study)
    samples = builder.data()
    model = training.fit(study, builder, samples, Quantisation(16, 16))
    network = network_from_keras(model, study.name, INPUT, "Vivado")
    exact = to_real(forward(network, network.quantise_inputs(samples.test_inputs))[-1], network.layers[-1].result)
    assert not np.array_equal(exact.astype(np.float32), exact)
    given = model.predict(samples.test_inputs.astype(np.float32), verbose=0)
    assert np.abs(given - exact).max() < 1e-5


LOGITS = 'values = QDense(2, kernel_quantizer=bits(), bias_quantizer=bits(), name="logits")(values)'


@pytest.mark.tf
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return tf.keras.Model(inputs, values)", "return 3", "small.py: build_model gave int, expected a Keras model"),
        (
            "    import tensorflow as tf",
            "    import tensorflow as tf\n    1 / 0",
            "small.py:15: build_model raised ZeroD",
        ),
        ("tf.keras.Input((3,)", "tf.keras.Input((4,)", "the model takes inputs of shape (4,), the data has (3,)"),
        ("QDense(2,", "QDense(1,", "the model's output has shape (1,), the labels go from 0 to 1"),
        ("Model(inputs, values)", "Model(inputs, [values, values])", "expected a model with one Input and one output"),
        ("return tf.keras.Model(inputs, values)", "return tf.keras.Sequential()", "expected a model with one Input"),
        ('name="first"', 'name="input"', "layer name 'input'"),
        (
            LOGITS,
            f"{LOGITS}\n    values = tf.keras.layers.PReLU(name='top')(values)",
            "layer 'top' (PReLU) is not su",
        ),
        (
            LOGITS,
            LOGITS.replace("QDense(2,", "QDense(2, activation='softmax',"),
            "'logits' (QDense softmax) is not supp",
        ),
        (LOGITS, "values = tf.keras.layers.Dense(2, name='logits')(values)", "layer 'logits' (Dense) is not supported"),
        (
            LOGITS,
            f"values = tf.keras.layers.Lambda(abs, name='f')(values)\n    {LOGITS}",
            "layer 'f' (Lambda) is not su",
        ),
        (
            LOGITS,
            f"values = tf.keras.layers.Multiply(name='a')([values, values])\n    {LOGITS}",
            "layer 'a' (Multiply) is not sup",
        ),
        (LOGITS, f"values = tf.keras.layers.ReLU(name='r')(values)\n    {LOGITS}", "layer 'r' (ReLU) is not supported"),
        (
            "QActivation(quantized_relu(quantisation.activation_bits, 1)",
            "QActivation(qkeras.ternary(4)",
            "ternary is not supported",
        ),
        (
            "activation_bits, 1)",
            "activation_bits, 1, negative_slope=0.25)",
            "quantized_relu with negative_slope=0.25 is not",
        ),
        ("activation_bits, 1)", "activation_bits, 4)", "layer 'relu': quantized_relu of 4 bits has no fractional bit"),
        (
            "weight_bits, 0, alpha=1)",
            "weight_bits, 0, alpha='auto')",
            "kernel_quantizer has alpha='auto', expected alpha=1",
        ),
        (LOGITS, LOGITS.replace(" bias_quantizer=bits(),", ""), "bias_quantizer is NoneType, expected quantized_bits"),
    ],
)
def test_models_that_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train(small(tmp_path, (old, new)), 4, 4, cache=tmp_path / "cache")
    assert message in one_line(caught)


@pytest.mark.tf
def test_diverged_training_is_refused(tmp_path: Path) -> None:
    broken = "model = tf.keras.Model(inputs, values)\n    model.layers[1].bias.assign([np.nan] * 4)\n    return model"
    with pytest.raises(ConfigError, match=r"training diverged .* lower \[train\] learning_rate"):
        train(small(tmp_path, ("return tf.keras.Model(inputs, values)", broken)), 4, 4, cache=tmp_path / "cache")


@pytest.mark.tf
@pytest.mark.parametrize(
    "top", [LOGITS, f"{LOGITS}\n    values = tf.keras.layers.Activation('linear', name='top')(values)"]
)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_tops_inline_activations_and_absent_biases(tmp_path: Path, top: str, bias: bool) -> None:
    """Whatever way the same network is written down, its integers equal QKeras's."""
    inline = ('name="first")(values)', 'name="first", activation=quantized_relu(4, 1))(values)')
    without = ('    values = QActivation(quantized_relu(quantisation.activation_bits, 1), name="relu")(values)\n', "")
    study = small(tmp_path, inline, without, (LOGITS, top.replace("QDense(2,", f"QDense(2, use_bias={bias},")))
    builder = load_builder(study)
    samples = builder.data()
    model = training.fit(study, builder, samples, Quantisation(4, 4))
    network = network_from_keras(model, study.name, INPUT, "Vivado")
    assert [layer.kind for layer in network.layers] == [Kind.DENSE, Kind.RELU, Kind.DENSE]
    logits = to_real(forward(network, network.quantise_inputs(samples.test_inputs))[-1], network.layers[-1].result)
    assert np.array_equal(model.predict(samples.test_inputs.astype(np.float32), verbose=0), logits)
