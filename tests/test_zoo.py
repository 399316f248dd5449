"""The models that come with the package: their data from files, and what is special about each."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import codesign.train.training as training
from codesign.campaign.run import run_campaign
from codesign.errors import ConfigError
from codesign.faults import FaultModel, Target
from codesign.metrics import measure
from codesign.network import forward
from codesign.protection import ProtectionPlan
from codesign.study import Study, load_study
from codesign.train import Quantisation, data, load_builder
from codesign.train.builder import Builder, Data
from codesign.train.convert import network_from_keras

ROOT = Path(__file__).resolve().parent.parent
STUDIES = sorted(path for path in (ROOT / "models").glob("*.toml") if path.with_suffix(".py").exists())


def study_of(name: str, epochs: int | None = None, **options: Any) -> Study:
    """A study of the zoo; None takes an option out."""
    study = load_study(ROOT / "models" / f"{name}.toml")
    study.model.options.update(options)
    for key in [key for key, value in options.items() if value is None]:
        del study.model.options[key]
    assert study.train is not None
    if epochs is not None:
        object.__setattr__(study, "train", study.train.model_copy(update={"epochs": epochs}))
    return study


def refused(study: Study) -> str:
    with pytest.raises(ConfigError) as caught:
        data(study)
    assert "\n" not in str(caught.value) and str(study.builder_path) in str(caught.value)
    return str(caught.value)


def test_every_study_is_in_the_table() -> None:
    table = (ROOT / "docs" / "models.md").read_text()
    for path in STUDIES:
        study = load_study(path)
        assert study.name == path.stem and f"\n| {study.name} " in table


# ---------------------------------------------------------------- Fashion-MNIST


def idx(array: Any) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def clothes(tmp_path: Path) -> Path:
    """The four files with 12 and 6 images, half of them packed."""
    generator = np.random.default_rng(0)
    for name, samples in (("train", 12), ("t10k", 6)):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(generator.integers(0, 256, (samples, 28, 28))))
        with gzip.open(tmp_path / f"{name}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(idx(np.arange(samples) % 3))
    return tmp_path


def test_clothes_from_a_folder(clothes: Path) -> None:
    found = data(study_of("fashion_cnn", folder=str(clothes), train_samples=10, test_samples=5))
    assert found.train_inputs.shape == (10, 28, 28, 1) and found.test_labels.tolist() == [0, 1, 2, 0, 1]
    raw = np.frombuffer((clothes / "t10k-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    assert (found.test_inputs.ravel() * 256).tolist() == raw[: 5 * 28 * 28].tolist()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no IDX file of bytes in 3 dimensions"),
        (idx(np.zeros(12)), "is no IDX file of bytes in 3 dimensions"),
        (idx(np.zeros((12, 28, 28)))[:-1], "holds 9407 values or more, its header says (12, 28, 28)"),
        (idx(np.zeros((12, 28, 28))) + b"x", "holds 9409 values or more"),
        (idx(np.zeros((12, 28, 27))), "train images of shape (12, 28, 27), 12 labels"),
        (idx(np.zeros((11, 28, 28))), "train images of shape (11, 28, 28), 12 labels"),
    ],
)
def test_files_that_are_no_clothes(clothes: Path, content: bytes, said: str) -> None:
    (clothes / "train-images-idx3-ubyte").write_bytes(content)
    assert said in refused(study_of("fashion_cnn", folder=str(clothes)))


def test_labels_that_are_not_packed(clothes: Path) -> None:
    (clothes / "t10k-labels-idx1-ubyte.gz").write_bytes(b"text")
    assert "BadGzipFile" in refused(study_of("fashion_cnn", folder=str(clothes)))


# ---------------------------------------------------------------- jets


def jets(path: Path, samples: int = 600, **changes: Any) -> Path:
    """Five clouds of 16 features, the second feature constant."""
    generator = np.random.default_rng(4)
    labels = np.arange(samples) % 5
    inputs = 40 * generator.normal(size=(5, 16))[labels] + 10 * generator.normal(size=(samples, 16))
    inputs[:, 1] = 7.0
    np.savez(path, **{"inputs": inputs, "labels": labels, **changes})
    return path


def test_jets_from_a_file(tmp_path: Path) -> None:
    given = jets(tmp_path / "jets.npz")
    found = data(study_of("jets_mlp", file=str(given), train_samples=400, test_samples=100))
    assert found.train_inputs.shape == (400, 16) and found.test_inputs.shape == (100, 16) and found.n_classes == 5
    assert abs(found.train_inputs.mean()) < 0.1 and abs(found.train_inputs[:, 0].std() - 1) < 0.1
    assert not found.train_inputs[:, 1].any()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": np.zeros((600, 15))}, "inputs of shape (600, 15) and labels of (600,), expected (n, 16) and (n,)"),
        ({"labels": np.zeros(599, int)}, "labels of (599,), expected"),
        ({"labels": np.full(600, 5)}, "labels 5..5, expected 0..4"),
        ({"labels": np.array(["g"] * 600)}, "and labels of (600,), expected"),
        ({"inputs": np.full((600, 16), np.nan)}, "inputs hold NaN or infinite values"),
        ({"inputs": np.full((600, 16), None)}, "load_data raised ValueError"),
    ],
)
def test_files_that_are_no_jets(tmp_path: Path, changes: Any, said: str) -> None:
    assert said in refused(study_of("jets_mlp", file=str(jets(tmp_path / "jets.npz", **changes))))


def test_absent_jets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "an NPZ file with `inputs` (n, 16)" in refused(study_of("jets_mlp", file=str(tmp_path / "none.npz")))

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", unreachable)
    message = refused(study_of("jets_mlp"))
    assert "set `file` in [model.options] to an NPZ file" in message and "(no route to host)" in message


@pytest.mark.tf
def test_jets_are_learned(tmp_path: Path) -> None:
    study = study_of("jets_mlp", 20, file=str(jets(tmp_path / "jets.npz", 4000)), hidden=[16])
    builder = load_builder(study)
    given = builder.data()
    model = fitted(study, builder, given)
    network = network_from_keras(model, study.name, builder.input_type, "Vivado")
    assert network.n_out == 5 and training.accuracy(network, given) > 0.8


# ---------------------------------------------------------------- anomalies


@pytest.mark.tf
@pytest.mark.cxx
def test_anomalies_are_found_in_the_network_itself(tmp_path: Path) -> None:
    """Score and threshold are layers: the integer network is Keras's, and the csim of its project is the engine."""
    study = study_of("digits_autoencoder")
    builder = load_builder(study)
    given = builder.data()
    inputs, targets = builder.training_set(given)
    assert inputs is targets and len(inputs) == np.count_nonzero(given.train_labels == 0)
    model = fitted(study, builder, given)
    network = network_from_keras(model, study.name, builder.input_type, "Vivado")
    raw = network.quantise_inputs(given.test_inputs)
    logits = forward(network, raw)[-1]
    keras = model.predict(given.test_inputs.astype(np.float32), verbose=0)
    assert np.array_equal(np.ldexp(keras.astype(np.float64), network.layers[-1].result.frac), logits)
    # The threshold is one number, by the normal training samples alone.
    assert np.ptp(logits[:, 0]) == 0
    train_logits = forward(network, network.quantise_inputs(inputs))[-1]
    alarms = np.mean(train_logits[:, 1] > train_logits[:, 0])
    assert alarms == pytest.approx(study.model.options["false_alarms"], abs=0.02)
    assert measure("auc", logits, given.test_labels) > 0.95 and training.accuracy(network, given) > 0.9
    faults = FaultModel((Target.ACCUMULATOR,), ber=1e-5, seed=1)
    attacked = (network, ProtectionPlan(), faults, raw[:40], given.test_labels[:40])
    assert len(run_campaign(*attacked, trials=4, verify=2).verified) == 2


def fitted(study: Study, builder: Builder, given: Data) -> Any:
    return training.finished(study, builder, given, training.fit(study, builder, given, Quantisation(6, 6)))


def changed(folder: Path, old: str, new: str) -> Study:
    """The autoencoder's study with a piece of its builder replaced, for one epoch."""
    text = (ROOT / "models" / "digits_autoencoder.py").read_text()
    assert old in text
    (folder / "digits_autoencoder.py").write_text(text.replace(old, new))
    study = ROOT / "models" / "digits_autoencoder.toml"
    (folder / study.name).write_text(study.read_text().replace("epochs = 100", "epochs = 1"))
    return load_study(folder / study.name)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('LOSS = "mse"', "LOSS = 3", "LOSS is 3, expected the name of a loss"),
        ('LOSS = "mse"', "CUSTOM_OBJECTS = 3", "CUSTOM_OBJECTS is int, expected classes and functions by name"),
        ("return normal, normal", "return normal", "training_set gave ndarray, expected a tuple"),
        ("return normal, normal", "return normal[:, :3], normal", "training_set gave inputs of shape (288, 3)"),
        ("return normal, normal", "return normal, normal[:5]", "targets of (5, 64), expected inputs of shape (n, 64)"),
        ("return normal, normal", "return normal, normal * np.nan", "training_set: targets are float64, expected fin"),
        ("return normal, normal", "1 / 0", "training_set raised ZeroDivisionError"),
    ],
)
def test_hooks_that_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    builder = load_builder(changed(tmp_path, old, new))
    with pytest.raises(ConfigError) as caught:
        builder.training_set(builder.data()), builder.loss, builder.custom_objects
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.tf
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    return finished\n", "    return tf.keras.Model(model.input, pairs[0])\n", "the model's output has shape"),
        ("    whole = ", "    1 / 0\n    whole = ", "finish raised ZeroDivisionError"),
    ],
)
def test_finished_models_that_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    study = changed(tmp_path, old, new)
    builder = load_builder(study)
    with pytest.raises(ConfigError, match="digits_autoencoder.py(:[0-9]+)?: finish") as caught:
        fitted(study, builder, builder.data())
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.tf
@pytest.mark.slow
def test_the_table_is_measured(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "zoo.py"), "--json", str(ROOT / "models" / "digits_mlp.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)["networks"]
    assert [row["weight_bits"] for row in rows] == [4, 6, 8]
    for row in rows:
        assert row["parameters"] == 64 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10 and row["samples"] == 360
        assert row["accuracy"] > 0.9 and row["lut"] > 0 and row["seconds"] > 0
