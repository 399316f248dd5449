"""`codesign init`: what it reads, the files it writes, and that a search can begin with them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from codesign import cli
from codesign.begin.samples import Samples, covering_type, exact_type
from codesign.begin.write import _render, _text
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding, quantise, to_real
from codesign.study import load_study
from codesign.train import data

INPUTS, LABELS = np.arange(12.0).reshape(6, 2) / 4, np.array([0, 1, 0, 1, 0, 1])


def saved(path: Path, **given: Any) -> Path:
    np.savez(path, **given)
    return path


# ---------------------------------------------------------------- samples


@pytest.mark.parametrize(
    ("names", "divided"),
    [(("inputs", "labels"), False), (("x_train", "y_train", "x_test", "y_test"), True), (("X", "y"), False)],
)
def test_arrays_are_found_by_their_names(names: tuple[str, ...], divided: bool, tmp_path: Path) -> None:
    given = {name: LABELS if k % 2 else INPUTS for k, name in enumerate(names)}
    found = Samples.read(saved(tmp_path / "data.npz", **given, other=np.zeros(3)))
    assert found.names == names and found.divided is divided
    assert len(found.inputs) == 6 * (1 + divided)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"images": INPUTS}, "has the arrays images, expected one of these sets"),
        ({}, "(none)"),
        ({"inputs": INPUTS[0], "labels": LABELS}, "expected numbers of shape (n_samples, ...)"),
        ({"inputs": INPUTS.astype(str), "labels": LABELS}, "expected numbers"),
        ({"inputs": INPUTS * np.nan, "labels": LABELS}, "NaN or infinite"),
        ({"x_train": INPUTS, "y_train": LABELS, "x_test": INPUTS[:, :1], "y_test": LABELS}, "different shapes"),
        ({"inputs": np.array([None, 1]), "labels": LABELS}, "no NPZ file of arrays"),
    ],
)
def test_files_that_cannot_be_used_are_refused(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="data.npz") as caught:
        Samples.read(saved(tmp_path / "data.npz", **given))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no archive", b"\x93NUMPY"])
def test_files_that_are_no_archives_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(ConfigError, match="no NPZ file"):
        Samples.read(tmp_path / "data.npz")


@given(arrays.arrays(np.int64, (3, 2), elements=st.integers(-(2**15), 2**15 - 1)), st.integers(0, 24))
def test_the_exact_type_is_the_narrowest_one(raw: Any, frac: int) -> None:
    values = np.ldexp(raw.astype(np.float64), -frac)
    of = exact_type(values)
    assert of is not None and np.array_equal(to_real(quantise(values, of), of), values)
    if of.width == 1:
        return
    for smaller in (replace(of, width=of.width - 1), replace(of, width=of.width - 1, integer=of.integer - 1)):
        assert not np.array_equal(to_real(quantise(values, smaller), smaller), values)


@given(arrays.arrays(np.float64, (3, 2), elements=st.floats(-1e6, 1e6, width=32)), st.integers(2, 16))
def test_the_covering_type_holds_the_range(values: Any, bits: int) -> None:
    of = covering_type(values, bits)
    ends = to_real(np.array([of.min_raw, of.max_raw]), of)
    step = 2.0**-of.frac
    assert of.width == bits and ends[0] <= values.min() and values.max() < ends[1] + step


@given(st.floats(-9, 9, width=32), st.integers(2, 12), st.integers(-2, 6), st.booleans())
def test_the_written_file_rounds_as_the_type_does(value: float, width: int, integer: int, signed: bool) -> None:
    of = FixedPoint(width, integer, signed, Rounding.RND, Overflow.SAT)
    written: dict[str, Any] = {}
    exec(_render("data.py.j2", data="data.npz", names=("x", "y"), type=of, text=_text(of)), written)
    assert written["exact"](np.array([value])).tolist() == to_real(quantise(np.array([value]), of), of).tolist()
    assert FixedPoint.parse(written["INPUT_TYPE"]) == FixedPoint(width, integer, signed)


@pytest.mark.parametrize("labels", [LABELS, LABELS.astype(float), LABELS[:, None], np.eye(2)[LABELS]])
def test_labels_of_several_forms_are_class_numbers(labels: Any) -> None:
    written: dict[str, Any] = {}
    exec(_render("data.py.j2", data="d", names=("x", "y"), type=FixedPoint(4, 1), text="fixed<4,1>"), written)
    assert written["classes"](labels).tolist() == LABELS.tolist()


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "MODEL is missing"),
        (["model.h5"], "--data is missing"),
        (["none.h5", "--data", "data.npz"], "no model file none.h5"),
        (["data.npz", "--data", "data.npz"], "ends in .h5 or .keras"),
        (["model.h5", "--data", "none.npz"], "no data file none.npz"),
        (["model.h5", "--data", "data.npz", "--board", "pinq-z2"], "did you mean 'pynq-z2'"),
        (["model.h5", "--data", "data.npz", "--name", "a/b"], "cannot name a study"),
        (["model.h5", "--data", "data.npz", "--out", "full"], "is not empty"),
        (["model.h5", "--data", "data.npz"], "model.h5"),  # which is no model
    ],
)
def test_bad_input_is_one_line_and_nothing_is_left(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "data.npz", inputs=INPUTS, labels=LABELS)
    (tmp_path / "model.h5").write_bytes(b"no HDF5 file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/kept").write_text("")
    assert cli.run(["init", *arguments]) == cli.BAD_INPUT
    shown = capsys.readouterr()
    assert said in shown.err and shown.err.count("\n") == 1 and shown.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "full", "model.h5"]


def trained(folder: Path) -> tuple[Path, Path]:
    """A QKeras model of scikit-learn's digits, and the samples."""
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu
    from sklearn.datasets import load_digits

    import codesign.train.training as training

    images, labels = load_digits(return_X_y=True)
    tf, inputs = training.tensorflow(), images / 16
    with training._seeded(1):
        bits = {"kernel_quantizer": quantized_bits(5, 0, alpha=1), "bias_quantizer": quantized_bits(6, 1, alpha=1)}
        values = begin = tf.keras.Input((64,), name="pixels")
        values = QActivation(quantized_relu(5, 2), name="relu")(QDense(16, name="hidden", **bits)(values))
        model = tf.keras.Model(begin, QDense(10, name="logits", **bits)(values))
        model.compile(tf.keras.optimizers.Adam(5e-3), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(inputs[:1437].astype(np.float32), labels[:1437], epochs=15, verbose=0)
        model.save(folder / "digits.h5")
    parts = {"x_train": inputs[:1437], "y_train": labels[:1437], "x_test": inputs[1437:], "y_test": labels[1437:]}
    return folder / "digits.h5", saved(folder / "digits.npz", **parts)


@pytest.mark.tf
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_search_can_begin_with_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model, samples = trained(tmp_path)
    assert cli.run(["init", str(model), "--data", str(samples), "--out", "mine", "--json"]) == 0
    begun = json.loads(capsys.readouterr().out)
    study = load_study(Path(begun["study"]))
    assert study.requirements.accuracy_faulty == begun["accuracy_faulty"] <= begun["accuracy_clean"]
    assert study.faults.ber == begun["ber"] and study.model.file == f"model{model.suffix}"
    given = data(study)
    assert len(given.train_inputs) and len(given.test_inputs)
    # The unprotected network misses what the study asks for, and the study is understood by the other commands.
    wanted = f"accuracy>={begun['accuracy_faulty']}"
    assert cli.run(["campaign", begun["study"], "--trials", "60", "--require", wanted]) == cli.UNMET
