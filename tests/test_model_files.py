"""A user's own trained model: what is refused before Keras sees it, and what becomes of one that is taken."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import studies
from hypothesis import given
from hypothesis import strategies as st

import codesign.cli as cli
import codesign.train.files as model_files
import codesign.train.training as training
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import Layer, Network
from codesign.study import Study, load_study
from codesign.train import Quantisation, data, load_builder, train
from codesign.train.convert import network_from_keras
from codesign.train.files import check_file
from codesign.train.taken import check_taken, remarks

H5, KERAS = Path("model.h5"), Path("model.keras")
WEIGHTS = "model.weights.h5"
Change = tuple[str, Any]


def quantiser(bits: int = 4) -> dict[str, Any]:
    return {"module": "qkeras.quantizers", "class_name": "quantized_bits", "config": {"bits": bits, "alpha": 1}}


def layer(kind: str = "QDense", **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "logits", "kernel_quantizer": quantiser(), **config}}


def described(*layers: dict[str, Any], kind: str = "Functional") -> dict[str, Any]:
    """A model's description as Keras writes it, in small."""
    entry = {"class_name": "InputLayer", "config": {"name": "values", "batch_input_shape": [None, 3]}}
    return {"class_name": kind, "config": {"name": "model", "layers": [entry, *(layers or (layer(),))]}}


def hdf5(config: Any = None, fill: Callable[[Any], None] = lambda file: None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_group("model_weights")["kernel"] = np.zeros(4, np.float32)
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        fill(file)
    return buffer.getvalue()


def archive(config: Any, version: str = "2.14.0", **more: bytes) -> bytes:
    buffer = io.BytesIO()
    members = {
        "metadata.json": json.dumps({"keras_version": version}).encode(),
        "config.json": json.dumps(config).encode(),
        WEIGHTS: hdf5(),
        **more,
    }
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            if content:
                file.writestr(name, content)
    return buffer.getvalue()


def refused(path: Path, source: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        check_file(path, source)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))
    return str(caught.value)


# ---------------------------------------------------------------- before anything is deserialised (no TensorFlow)


def test_what_keras_and_qkeras_write_passes() -> None:
    relu = {"class_name": "quantized_relu", "config": {"bits": 4}, "registered_name": "quantized_relu"}
    layers = [
        layer(activation="linear", kernel_initializer={"class_name": "QInitializer", "config": {"quantizer": None}}),
        layer("QActivation", activation="quantized_relu(4,0,negative_slope=0.0)"),
        layer("QActivation", activation=relu),
        layer("Activation", activation="swish"),  # refused once it is loaded, as no code
        layer("Activation", activation={"module": "builtins", "class_name": "function", "config": "relu"}),
    ]
    for kind in ("Functional", "Sequential"):
        check_file(H5, hdf5(described(*layers, kind=kind)))
        check_file(KERAS, archive(described(*layers, kind=kind)))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (described(layer("Lambda", function=["4wEAAAA", None, None])), "layer 'logits' (Lambda) holds code"),
        (described(layer("TFOpLambda")), "layer 'logits' (TFOpLambda) is not supported"),
        (described(layer("MyDense")), "layer 'logits' (MyDense) is not supported"),
        (described(layer("Dense")), "layer 'logits' (Dense) is not supported: it has no quantisers"),
        (described(layer("Functional")), "layer 'logits' (Functional) is not supported"),
        (described({**layer(), "module": "os"}), "(QDense) comes from the module 'os'"),
        (described({**layer(), "module": "qkeras_evil"}), "(QDense) comes from the module 'qkeras_evil'"),
        (described({**layer(), "registered_name": "mine>Other"}), "is registered as 'mine>Other'"),
        (described(layer(kernel_regularizer={"class_name": "Mine", "config": {}})), "kernel_regularizer is 'Mine'"),
        (
            described(layer(kernel_regularizer={"class_name": "L2", "config": {}, "module": "subprocess"})),
            "kernel_regularizer comes from the module 'subprocess'",
        ),
        (described(layer(bias_quantizer={"class_name": "__lambda__", "config": {}})), "bias_quantizer is '__lambda__'"),
        (
            described(layer(initial={"deep": [[{"class_name": "__typespec__", "config": []}]]})),
            "deep is '__typespec__'",
        ),
        (
            described(layer(activation={"class_name": "function", "config": "system", "module": "keras"})),
            "activation is 'system'",
        ),
        (described(layer(kernel_quantizer="exec(print)")), "kernel_quantizer is 'exec(print)'"),
        (described(layer(activation="get_quantizer")), "activation is 'get_quantizer'"),
        (described(kind="Mine"), "the model is a 'Mine'"),
    ],
)
@pytest.mark.parametrize("path", [H5, KERAS], ids=lambda path: path.suffix)
def test_code_is_refused_by_name(path: Path, config: Any, said: str) -> None:
    source = hdf5(config) if path == H5 else archive(config)
    message = refused(path, source)
    assert said in message
    assert "is not supported" in message or message.endswith("unless the study says [model] allow_custom_code = true")
    if "class_name" in config:
        check_file(path, source, allow_custom_code=True)


def linked(file: Any) -> None:
    file["model_weights/out"] = h5py.ExternalLink("/etc/passwd", "/")


def soft(file: Any) -> None:
    file["around"] = h5py.SoftLink("/model_weights")


def elsewhere(file: Any) -> None:
    file.create_dataset("out", (100,), "u1", external=[("/etc/passwd", 0, 100)])


def bomb(file: Any) -> None:
    file.create_dataset("bomb", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "is not an HDF5 file (it is empty)"),
        (b"import os", "is not an HDF5 file"),
        (archive(described()), "is not an HDF5 file (it looks like a .keras file or another zip archive)"),
        (hdf5(described())[:900], "is not an HDF5 file (it looks like an .h5 file)"),
        (hdf5(), "holds weights without a model (no model_config)"),
        (hdf5("{"), "model_config is not JSON"),
        (hdf5("[1]"), "its description is no model's"),
        (hdf5('{"class_name": "Functional", "config": {"layers": 3}}'), "its description lists no layers"),
        (hdf5("[" * 50_000), "nested too deeply"),
        (hdf5(described(), linked), "'model_weights/out' is a link, which is refused"),
        (hdf5(described(), soft), "'around' is a link, which is refused"),
        (hdf5(described(), elsewhere), "'out' is kept in another file, which is refused"),
        (hdf5(described(), bomb), "unpacks to more than 268435456 bytes, which is refused"),
    ],
)
def test_hdf5_files(source: bytes, said: str) -> None:
    assert said in refused(H5, source)


def test_attributes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesign.train.containers._MAX_TEXT", 4)
    assert "'model_config' has more than 4 bytes, which is refused" in refused(H5, hdf5(described()))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "is not a .keras file (it is empty)"),
        (hdf5(described()), "is not a .keras file (it looks like an .h5 file)"),
        (archive(described())[:-40], "is not a .keras file (it looks like a .keras file or another zip archive)"),
        (archive(described(), **{"../../x": b"y"}), "holds '../../x', expected metadata.json, config.json"),
        (archive(described(), **{"/etc/x": b"y"}), "holds '/etc/x', expected"),
        (archive(described(), **{"assets/x.pkl": b"y"}), "holds 'assets/x.pkl', expected"),
        (archive(described(), **{WEIGHTS: b""}), f"holds no {WEIGHTS}"),
        (archive(described(), **{WEIGHTS: b"text"}), f"{WEIGHTS} in it is not an HDF5 file"),
        (archive(described(), **{WEIGHTS: hdf5(None, linked)}), f"{WEIGHTS} in it: 'model_weights/out' is a link"),
        (archive(described(), **{"config.json": b" " * (17 << 20)}), "config.json unpacks to 17825792 bytes"),
        (archive(described(), **{"config.json": b"{"}), "is not a .keras file"),
        (archive(described(), "3.1.0"), "saved by Keras 3.1.0, which Keras 2 cannot read"),
    ],
)
def test_keras_archives(source: bytes, said: str) -> None:
    assert said in refused(KERAS, source)


@given(st.data())
def test_a_damaged_file_is_refused_or_passes(drawn: st.DataObject) -> None:
    """Whatever byte is wrong: no other error than ConfigError. (Of an .h5 file HDF5's library might crash.)"""
    source = bytearray(archive(described()))
    for _ in range(drawn.draw(st.integers(1, 4))):
        source[drawn.draw(st.integers(0, len(source) - 1))] = drawn.draw(st.integers(0, 255))
    with suppress(ConfigError):
        check_file(KERAS, bytes(source))


def test_a_crash_of_the_hdf5_library_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(taken(tmp_path, kept=False))
    monkeypatch.setattr(model_files, "_CHILD", "import os; os.abort()")
    with pytest.raises(ConfigError, match=r"model.h5 is damaged: reading it ends with -6$"):
        model_files.load(study, {})


# ---------------------------------------------------------------- the study

TAKEN: tuple[tuple[str, str], ...] = (
    ('builder = "tiny.py"', 'builder = "tiny.py"\nfile = "model.h5"'),
    ("[train]\nepochs = 1\nbatch_size = 16\nlearning_rate = 1e-2\n", ""),
    ("weight_bits = [4, 6]", "weight_bits = 6"),
)


def taken(folder: Path, *changes: tuple[str, str], source: bytes | None = None, **options: Any) -> Path:
    """The study of `studies`, with a model's file instead of training."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.h5").write_bytes(hdf5(described()) if source is None else source)
    return studies.write_study(folder, *TAKEN, *changes, **options)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("weight_bits = 6", "weight_bits = [4, 6]"), "[space] weight_bits: [model] file has widths of its own"),
        (
            ("weight_bits = 6", "weight_bits = 6\nactivation_bits = { low = 4, high = 6 }"),
            "[space] activation_bits: [model] file has widths of its own, expected one number",
        ),
        (
            ("[faults]", "[train]\nepochs = 1\nbatch_size = 1\nlearning_rate = 1.0\n[faults]"),
            "[train] has no effect with [model] file",
        ),
        (('"model.h5"', '"model.h5.zip"'), "[model] file: found 'model.h5.zip', expected a .h5 or .keras file given"),
        (('"model.h5"', '"../model.h5"'), "[model] file: found '../model.h5', expected a .h5 or .keras file given"),
        (('"model.h5"', '"/model.h5"'), "[model] file: found '/model.h5', expected a .h5 or .keras file given"),
        (('"model.h5"', '"other.keras"'), "[model] file: no file"),
        (('"model.h5"', '"link.h5"'), "leads outside the study's folder"),
        (('"model.h5"', '"pipe.h5"'), "is not a file"),
        (('file = "model.h5"', "allow_custom_code = true"), "missing section [train]"),
        (('"model.h5"', '"model.h5"\nallow_custom_code = 1'), "[model] allow_custom_code: found 1, expected"),
        (('"model.h5"', '"model.h5"\nmetric = "f1"'), "[model] metric: found 'f1', expected one of 'accuracy'"),
    ],
)
def test_studies_that_are_refused(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (tmp_path / "outside.h5").write_bytes(b"")
    (folder / "link.h5").symlink_to(tmp_path / "outside.h5")
    os.mkfifo(folder / "pipe.h5")
    with pytest.raises(ConfigError) as caught:
        load_study(taken(folder, change, kept=False))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_allowing_code_needs_a_file(tmp_path: Path) -> None:
    change = ('builder = "tiny.py"', 'builder = "tiny.py"\nallow_custom_code = true')
    with pytest.raises(ConfigError, match="allow_custom_code: it is for .model. file"):
        load_study(studies.write_study(tmp_path, change, kept=False))


def test_the_builder_needs_no_build_model(tmp_path: Path) -> None:
    path = taken(tmp_path, kept=False)
    builder = path.with_name("tiny.py")
    builder.write_text(builder.read_text().replace("def build_model", "def other"))
    assert data(load_study(path)).n_classes == 3


def test_the_files_bytes_are_part_of_the_key_and_of_the_run(tmp_path: Path) -> None:
    def key(study: Study) -> str:
        return training.network_key(study, Quantisation(6, 6), data(study))

    study = load_study(taken(tmp_path, kept=False))
    other = load_study(taken(tmp_path, source=hdf5(described(layer("QConv1D"))), kept=False))
    trained = load_study(studies.write_study(tmp_path, kept=False))
    assert len({key(study), key(other), key(trained)}) == 3


@pytest.mark.parametrize(
    ("command", "source", "said"),
    [
        ("train", b"", "is not an HDF5 file (it is empty)"),
        ("campaign", archive(described()), "it looks like a .keras file"),
        ("optimize", hdf5(described(layer("Lambda"))), "layer 'logits' (Lambda) holds code"),
    ],
)
def test_commands_refuse_in_one_line(
    command: str, source: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before TensorFlow is loaded."""
    path = taken(tmp_path, source=source, kept=False)
    assert cli.run(["--quiet", command, str(path), "--out", str(tmp_path / "run")]) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    line = studies.refusal(err)
    assert out == "" and said in line and str(tmp_path / "model.h5") in line


def test_a_run_keeps_the_model_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search with a model that is in the cache; what it leaves behind is a study like any other."""
    metric = ('file = "model.h5"', 'file = "model.h5"\nmetric = "balanced_accuracy"')
    path, run = taken(tmp_path, metric), tmp_path / "run"
    assert cli.run(["optimize", str(path), "--evaluations", "5", "--out", str(run)]) == 0
    assert "\nbalanced_accuracy of the chosen design 1.0000, under faults 0." in capsys.readouterr().out
    assert (run / "study" / "model.h5").read_bytes() == (tmp_path / "model.h5").read_bytes()
    result = json.loads((run / "result.json").read_text())
    assert {evaluation["design"]["weight_bits"] for evaluation in result["evaluations"]} == {6}
    for design in (result["best"], *result["baselines"].values()):
        assert design["metric"] == "balanced_accuracy" and design["metric_clean"] == 1.0
        assert 0 < design["metric_faulty"]["low"] <= design["metric_faulty"]["mean"] <= 1
    capsys.readouterr()
    assert cli.run(["train", str(run / "study" / "tiny.toml"), "--out", str(run)]) == 0
    assert capsys.readouterr().out.endswith("  taken from model.h5, not trained\n")
    taken(tmp_path)  # another metric: the search goes on where it is
    assert cli.run(["optimize", str(path), "--evaluations", "5", "--out", str(run)]) == 0
    assert "balanced" not in capsys.readouterr().out
    taken(tmp_path, source=hdf5(described(layer("QConv1D"))))
    assert cli.run(["optimize", str(path), "--evaluations", "5", "--out", str(run)]) == cli.BAD_INPUT
    assert "belongs to another study" in capsys.readouterr().err


class Predicts:
    """Stands for a Keras model whose answers are always class 0."""

    def predict(self, inputs: Any, verbose: int) -> Any:
        return np.eye(3)[np.zeros(len(inputs), int)]


def test_widths_have_to_be_the_models_own(tmp_path: Path) -> None:
    study = load_study(taken(tmp_path))
    network, samples = studies.tiny_network("tiny", 6), data(study)
    with pytest.raises(ConfigError) as caught:
        check_taken(study, Predicts(), network, samples, Quantisation(6, 6))
    assert "write weight_bits = 6 and activation_bits = 14" in str(caught.value)
    check_taken(study, Predicts(), network, samples, Quantisation(6, 14))


def test_what_a_model_lacks_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = load_study(taken(tmp_path))
    samples, narrow = data(study), studies.tiny_network("tiny", 6)
    first, logits = narrow.layers[0], narrow.layers[2]
    first = Layer.dense("first", first.w, first.b, FixedPoint(20, 6))
    logits = Layer.dense("logits", logits.w, logits.b, FixedPoint(28, 10), inputs=("first",))
    wide = Network("tiny", narrow.input_type, (first, logits))
    changed, unquantised = remarks(Predicts(), wide, samples)
    assert "of 120 test samples otherwise than Keras" in changed
    assert "layer 'logits' multiplies the 20 bits of 'first', which no QActivation has cut" in unquantised
    check_taken(study, Predicts(), wide, samples, Quantisation(6, 6))
    assert unquantised in capsys.readouterr().err


# ---------------------------------------------------------------- with Keras

STUDY = """
name = "small"
seed = 3
[model]
builder = "small.py"
file = "model.h5"
[faults]
targets = ["accumulator"]
ber = 1e-4
trials = 10
[requirements]
accuracy_clean = 0.1
[space]
weight_bits = 4
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
"""


@pytest.fixture(scope="module")
def small() -> Any:
    """An untrained model of three inputs and two classes, its weights drawn."""
    tf = training.tensorflow()
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu

    def bits() -> Any:
        return quantized_bits(4, 0, alpha=1)

    inputs = tf.keras.Input((3,), name="values")
    values = QDense(4, kernel_quantizer=bits(), bias_quantizer=bits(), name="first")(inputs)
    values = QActivation(quantized_relu(4, 1), name="relu")(values)
    values = QActivation("quantized_relu(4,1)", name="again")(values)
    values = QDense(2, kernel_quantizer=bits(), bias_quantizer=bits(), name="logits")(values)
    model = tf.keras.Model(inputs, values)
    generator = np.random.default_rng(1)
    model.set_weights([generator.uniform(-1, 1, weights.shape) for weights in model.get_weights()])
    return model


def study_of(folder: Path, model: Any, *changes: tuple[str, str], suffix: str = ".h5") -> Study:
    model.save(folder / f"model{suffix}")
    text = STUDY.replace("model.h5", f"model{suffix}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    if not (folder / "small.py").exists():
        (folder / "small.py").write_text(BUILDER)
    (folder / "small.toml").write_text(text)
    return load_study(folder / "small.toml")


pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:'\w+' deprecated - use"),  # QKeras, at every quantiser that is a text
]


@pytest.mark.tf
def test_a_saved_model_is_the_same_network(tmp_path: Path, small: Any) -> None:
    """From either file, what the model itself becomes; and it is loaded once."""
    expected = network_from_keras(small, "small", load_builder(study_of(tmp_path, small)).input_type, "Vivado")
    for suffix in (".h5", ".keras"):
        study = study_of(tmp_path, small, suffix=suffix)
        found = train(study, 4, 4, cache=tmp_path / "cache")
        assert found.network == expected and not found.cached
        assert train(study, 4, 4, cache=tmp_path / "cache").cached


@pytest.mark.tf
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_code_in_a_file_is_not_run(tmp_path: Path, suffix: str) -> None:
    tf = training.tensorflow()
    ran = tmp_path / "ran"
    code = f"lambda x: (__import__('pathlib').Path({str(ran)!r}).touch(), x)[1]"
    values = inputs = tf.keras.Input((3,), name="values")
    model = tf.keras.Model(inputs, tf.keras.layers.Lambda(eval(code), name="code")(values))
    ran.unlink()
    study = study_of(tmp_path, model, suffix=suffix)
    with pytest.raises(ConfigError, match=r"layer 'code' \(Lambda\) holds code.*allow_custom_code"):
        train(study, 4, 4, cache=tmp_path / "cache")
    assert not ran.exists()
    allowed = study_of(tmp_path, model, ("[faults]", "allow_custom_code = true\n[faults]"), suffix=suffix)
    with pytest.raises(ConfigError, match=r"layer 'code' \(Lambda\) is not supported"):
        train(allowed, 4, 4, cache=tmp_path / "cache")
    assert ran.exists()


REGULARISER = """
import tensorflow as tf


class Sparse(tf.keras.regularizers.Regularizer):
    def __call__(self, weights):
        return tf.reduce_sum(tf.abs(weights))

    def get_config(self):
        return {}


CUSTOM_OBJECTS = {"Sparse": Sparse}
"""


@pytest.mark.tf
def test_allowed_code_comes_from_the_builder(tmp_path: Path, small: Any) -> None:
    tf = training.tensorflow()
    builder = BUILDER + REGULARISER
    (tmp_path / "small.py").write_text(builder)
    namespace: dict[str, Any] = {}
    exec(builder, namespace)
    from qkeras import QDense, quantized_bits

    bits = {name: quantized_bits(4, 0, alpha=1) for name in ("kernel_quantizer", "bias_quantizer")}
    inputs = tf.keras.Input((3,), name="values")
    model = tf.keras.Model(inputs, QDense(2, kernel_regularizer=namespace["Sparse"](), name="logits", **bits)(inputs))
    with pytest.raises(ConfigError, match="kernel_regularizer is 'Sparse': loading it could run code"):
        train(study_of(tmp_path, model), 4, 4, cache=tmp_path / "cache")
    allowed = study_of(tmp_path, model, ("[faults]", "allow_custom_code = true\n[faults]"))
    assert train(allowed, 4, 4, cache=tmp_path / "cache").network.n_out == 2


@pytest.mark.tf
def test_models_that_do_not_fit(tmp_path: Path, small: Any) -> None:
    tf = training.tensorflow()
    other = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Flatten(name="flat")])
    for model, said in ((other, r"model.h5: the model takes inputs of shape \(4,\), the data has \(3,\)"),):
        with pytest.raises(ConfigError, match=said):
            train(study_of(tmp_path, model), 4, 4, cache=tmp_path / "cache")
    with pytest.raises(ConfigError, match="the widest of .*model.h5 are 4 and 4: write weight_bits = 4 and"):
        train(study_of(tmp_path, small, ("weight_bits = 4", "weight_bits = 8")), 8, 8, cache=tmp_path / "cache")
    broken = replace(study_of(tmp_path, small), model_source=hdf5(described()))
    with pytest.raises(ConfigError, match=r"model.h5: Keras cannot load it: \w+: ") as caught:
        model_files.load(broken, {})
    assert "\n" not in str(caught.value)
