"""Studies are parsed once; whatever is wrong is one line that says what, where and what was expected."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError
from codesign.faults import Lifetime, Target
from codesign.study import Design, Study, Variable, load_study

MODELS = Path(__file__).resolve().parent.parent / "models"

STUDY = """
name = "small"
seed = 3
[model]
builder = "small.py"
[model.options]
hidden = [4, 4]
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
[space]
weight_bits = [4, 8]
important_fraction = { low = 0.25, high = 1 }
[search]
evaluations = 8
initial = 3
"""


def write(folder: Path, text: str = STUDY, builder: str = "INPUT_TYPE = 'ufixed<5,1>'\n") -> Path:
    (folder / "small.py").write_text(builder)
    path = folder / "small.toml"
    path.write_text(text)
    return path


def load(folder: Path, *changes: tuple[str, str]) -> Study:
    """The small study with pieces of its text replaced."""
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_study(write(folder, text))


def refusal(folder: Path, *changes: tuple[str, str]) -> str:
    """The one line that says why the changed study is refused, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(folder, *changes)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(folder / "small.toml"))
    return message.removeprefix(str(folder / "small.toml")).removeprefix(":").strip()


def test_the_shipped_study() -> None:
    study = load_study(MODELS / "digits_mlp.toml")
    assert study.name == "digits_mlp"
    searched = [variable.name for variable in study.space.searched]
    assert searched == ["weight_bits", "important_fraction", "hardened_bits_important", "hardened_bits_normal"]
    assert study.builder_source == (MODELS / "digits_mlp.py").read_bytes()


def test_defaults(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert (study.hardware.board, study.hardware.backend, study.hardware.clock_ns) == ("zcu102", "Vivado", 5.0)
    assert (study.objective.lut, study.objective.dsp) == (1.0, 100.0)
    assert (study.faults.lifetime, study.faults.confidence, study.faults.curve) == ("transient", 0.95, ())
    assert study.space.activation_bits is None
    assert study.space.hardened_bits_normal == Variable("hardened_bits_normal", "int", (0,))
    assert study.requirements.accuracy_faulty is None


def test_targets_and_lifetimes_are_those_of_the_fault_model(tmp_path: Path) -> None:
    labels = ", ".join(f'"{target.label}"' for target in Target)
    study = load(tmp_path, ('["accumulator"]', f"[{labels}]"))
    assert set(study.faults.targets) == {target.label for target in Target}
    for lifetime in Lifetime:
        assert load(tmp_path, ("trials", f'lifetime = "{lifetime}"\ntrials')).faults.lifetime == lifetime


def test_variables(tmp_path: Path) -> None:
    space = load(
        tmp_path, ("[4, 8]", "[4, 8]\nhardened_bits_normal = 2\nimportance_scope = ['layer', 'network']")
    ).space
    assert space.weight_bits == Variable("weight_bits", "int", (4, 8))
    assert space.important_fraction == Variable("important_fraction", "float", (), 0.25, 1.0)
    assert [v.name for v in space.searched] == ["weight_bits", "important_fraction", "importance_scope"]
    assert 4 in space.weight_bits and 6 not in space.weight_bits
    assert 0.5 in space.important_fraction and 0.1 not in space.important_fraction


def test_a_range_of_one_value_is_fixed(tmp_path: Path) -> None:
    space = load(tmp_path, ("[4, 8]", "{ low = 6, high = 6 }")).space
    assert space.weight_bits.fixed
    assert space.design({"important_fraction": 1.0}).weight_bits == 6


def test_designs_of_a_space(tmp_path: Path) -> None:
    space = load(tmp_path).space
    design = space.design({"weight_bits": np.int64(4), "important_fraction": np.float64(0.5)})
    assert design == Design(4, 4, 0.5, 0, 0)
    assert type(design.weight_bits) is int and type(design.important_fraction) is float
    with pytest.raises(ConfigError, match="no value for important_fraction"):
        space.design({"weight_bits": 4})
    for name, value in (("weight_bits", 6), ("important_fraction", 0.1), ("hardened_bits_normal", 3), ("nonsense", 1)):
        with pytest.raises(ConfigError, match=f"{name} = {value} lies outside"):
            space.design({"weight_bits": 4, "important_fraction": 0.5, name: value})


def test_activation_bits_may_be_searched_on_their_own(tmp_path: Path) -> None:
    space = load(tmp_path, ("[4, 8]", "8\nactivation_bits = [4, 6]")).space
    assert space.design({"activation_bits": 6, "important_fraction": 1}).activation_bits == 6


def test_settings(tmp_path: Path) -> None:
    """Every key by its name, defaults included; layout and comments are none."""
    found = load(tmp_path).settings
    assert found["space.weight_bits"] == [4, 8] and found["space.activation_bits"] is None
    assert found["space.important_fraction"] == {"low": 0.25, "high": 1.0}
    assert found["hardware.io_type"] == "io_parallel" and "model.options" not in found
    assert json.loads(json.dumps(found)) == found
    assert load(tmp_path, ("seed = 3", "seed   = 3  # a comment")).settings == found
    assert load(tmp_path, ("seed = 3", "seed = 4")).settings == {**found, "seed": 4}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight_bits", "weigth_bits", "[space] unknown key 'weigth_bits'; did you mean 'weight_bits'?"),
        ("seed", "sead", "unknown key 'sead'; did you mean 'seed'?"),
        ("[train]", "[trian]", "unknown key 'trian'; did you mean 'train'?"),
        ("epochs", "zzzz", "[train] unknown key 'zzzz'; known keys: epochs, batch_size, learning_rate"),
        ("epochs = 2", "", "[train] missing key 'epochs'"),
        ("seed = 3", "", "missing key 'seed'"),
        ("[search]\nevaluations = 8\ninitial = 3", "", "missing section [search]"),
        ("seed = 3", "seed = 3\nspace = 4", "is not TOML"),
        ("[train]\nepochs = 2\nbatch_size = 16\nlearning_rate = 1e-2", "", "missing section [train]"),
        ("seed = 3", "seed = 3\nhardware = 4", "[hardware] found 4, expected a table"),
        ("seed = 3", "seed = -1", "seed: found -1, expected at least 0"),
        ("seed = 3", "seed = true", "seed: found True, expected a whole number"),
        ("seed = 3", "seed = 4294967296", "seed: found 4294967296, expected at most 4294967295"),
        ('"small"', '"so so"', "name: found 'so so', expected letters, digits and _"),
        ("epochs = 2", "epochs = 2.5", "[train] epochs: found 2.5, expected a whole number"),
        ("epochs = 2", 'epochs = "two"', "[train] epochs: found 'two', expected a whole number"),
        ("1e-2", "nan", "[train] learning_rate: found nan, expected"),
        ("1e-2", "inf", "[train] learning_rate: found inf, expected"),
        ('["accumulator"]', '["adder"]', "[faults] targets: found 'adder', expected one of 'weight', 'bias',"),
        ('["accumulator"]', "[]", "[faults] targets: found (), expected at least one entry"),
        ('["accumulator"]', '"accumulator"', "[faults] targets: found 'accumulator', expected a list"),
        ('["accumulator"]', '["bias", "bias"]', "[faults] targets: found ['bias', 'bias'], expected every entry once"),
        ("ber = 1e-4", "", "[faults] found neither of 'ber' and 'n_flips', expected exactly one"),
        ("ber = 1e-4", "ber = 1e-4\nn_flips = 1", "[faults] found both of 'ber' and 'n_flips', expected exactly one"),
        ("ber = 1e-4", "ber = 1.5", "[faults] ber: found 1.5, expected at most 1"),
        ("ber = 1e-4", "ber = 1e-4\nconfidence = 1.0", "[faults] confidence: found 1.0, expected less than 1"),
        ("ber = 1e-4", "ber = 1e-4\ncurve = [2.0]", "[faults] curve: found 2.0, expected at most 1"),
        ("trials = 10", "trials = 1", "[faults] trials: found 1, expected at least 2"),
        ("accuracy_clean = 0.9", "", "[requirements] found no requirement, expected at least one of accuracy_clean"),
        ("accuracy_clean = 0.9", "accuracy_clean = 95", "[requirements] accuracy_clean: found 95, expected at most 1"),
        ("[search]", "[objective]\nlut = 0\ndsp = 0\n[search]", "[objective] found lut = 0 and dsp = 0"),
        ("[search]", "[objective]\nlut = -1\n[search]", "[objective] lut: found -1, expected at least 0"),
        ("[search]", "[objective]\nlutt = 1\n[search]", "[objective] unknown key 'lutt'; did you mean 'lut'?"),
        ("[search]", "[objective]\nenergi = 1\n[search]", "unknown key 'energi'; did you mean 'energy'?"),
        ("[search]", "[objective]\nenergy = -1\n[search]", "[objective] energy: found -1, expected at least 0"),
        ("[search]", "[objective]\nscarcest = true\nenergy = 1\n[search]", "beside a weight of energy"),
        ("[search]", "[objective]\nuram = 1\n[search]", "[objective] unknown key 'uram'"),
        ("[search]", "[objective]\nscarcest = true\nff = 1\n[search]", "found scarcest = true beside a weight of ff"),
        (
            "[search]",
            "[hardware]\nbackend = 'Quartus'\n[search]",
            "found 'Quartus', expected one of 'Vivado', 'Vitis' or 'VivadoAccelerator'",
        ),
        ("[4, 8]", "1", "[space] weight_bits: found 1, expected whole numbers in 2..16"),
        ("[4, 8]", "[4, 8.0]", "[space] weight_bits: found 8.0, expected whole numbers in 2..16"),
        ("[4, 8]", "[4, true]", "[space] weight_bits: found True, expected whole numbers in 2..16"),
        ("[4, 8]", "[]", "[space] weight_bits: found an empty list, expected whole numbers in 2..16"),
        ("[4, 8]", "[4, 4]", "[space] weight_bits: found [4, 4], expected every value once"),
        ("[4, 8]", "{ low = 8, high = 4 }", "[space] weight_bits: found low 8 above high 4, expected low <= high"),
        ("[4, 8]", "{ low = 4 }", "[space] weight_bits: found {'low': 4}, expected a range with both low and high"),
        ("[4, 8]", "{ lo = 4, high = 8 }", "unknown key 'lo' in a range; did you mean 'low'?"),
        ("[4, 8]", "{ low = 4, high = 17 }", "[space] weight_bits: found 17, expected whole numbers in 2..16"),
        ("[4, 8]", "4\nmechanism = 'qmr'", "mechanism: found 'qmr', expected one of 'tmr', 'dmr' or 'recompute'"),
        ("[4, 8]", "4\nhardened_scope = 'all'", "hardened_scope: found 'all', expected one of 'adder' or 'mac'"),
        ("[4, 8]", "4\nreuse_factor = 0", "reuse_factor: found 0, expected whole numbers in 1..4096"),
        ("[4, 8]", "4\nstrategy = 'Area'", "strategy: found 'Area', expected one of 'Latency', 'Resource' or"),
        ("[4, 8]", "4\ndsp_min_bits = 0", "dsp_min_bits: found 0, expected whole numbers in 1..49"),
        ("[4, 8]", "4\nparameters = 'ecc'", "parameters: with reuse_factor 1 weights are constants in logic"),
        ("[4, 8]", "4\nparameters = 'ecc'\nreuse_factor = [1, 2]", "expected reuse_factor of at least 2 beside it"),
        ("[4, 8]", "4\nstrategy = { low = 1, high = 2 }", "strategy: found a range, expected one of 'Latency'"),
        ("initial = 3", "initial = 9", "[search] found initial 9, expected at most evaluations (8)"),
        ("hidden = [4, 4]", "when = 2026-11-22", "[model] options: when: found datetime.date(2026, 11, 22), expected"),
        ('"small.py"', '"../small.py"', "[model] builder: found '../small.py', expected a .py file given relative"),
        ('"small.py"', '"/small.py"', "[model] builder: found '/small.py', expected a .py file given relative"),
        ('"small.py"', '"none.py"', "[model] builder: no file"),
        ('"small.py"', "3", "[model] builder: found 3, expected text"),
    ],
)
def test_refusals(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in refusal(tmp_path, (old, new))


def test_an_unknown_key_goes_before_the_missing_one_it_causes(tmp_path: Path) -> None:
    assert "did you mean 'epochs'?" in refusal(tmp_path, ("epochs", "epoch"))


def test_files_that_are_no_studies(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no study file .*nothing\.toml"):
        load_study(tmp_path / "nothing.toml")
    with pytest.raises(ConfigError, match=r"cannot read study .*: Is a directory"):
        load_study(tmp_path)
    with pytest.raises(ConfigError, match=r"is not TOML: .*line 1"):
        load_study(write(tmp_path, "name == 3"))
    path = tmp_path / "binary.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match="byte 8 is not UTF-8"):
        load_study(path)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "seed = " + "9" * 5000])
def test_absurd_files(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        load_study(write(tmp_path, text))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "study"
    inside.mkdir()
    (tmp_path / "outside.py").write_text("")
    (inside / "small.py").symlink_to(tmp_path / "outside.py")
    path = inside / "small.toml"
    path.write_text(STUDY)
    with pytest.raises(ConfigError, match="leads outside the study's folder"):
        load_study(path)


KNOWN = {"weight_bits", "activation_bits", "important_fraction", "hardened_bits_important", "hardened_bits_normal"}
KNOWN |= {"importance_scope", "mechanism", "dot_size", "hardened_scope", "parameters", "reuse_factor", "strategy"}
KNOWN |= {"importance_score", "protection_budget"}
KNOWN |= {"dsp_min_bits"}

designs = st.builds(
    Design,
    weight_bits=st.integers(2, 16),
    activation_bits=st.integers(2, 16),
    important_fraction=st.floats(0, 1),
    hardened_bits_important=st.integers(0, 48),
    hardened_bits_normal=st.integers(0, 48),
    importance_scope=st.sampled_from(["network", "layer"]),
    importance_score=st.sampled_from(["taylor", "measured"]),
    protection_budget=st.floats(0, 1),
)


@given(designs)
def test_designs_survive_json(design: Design) -> None:
    again = Design.from_json(design.to_json())
    assert again == design
    assert again.digest == design.digest


@given(designs, designs)
def test_designs_are_equal_exactly_when_their_digests_are(one: Design, other: Design) -> None:
    assert (one == other) == (one.digest == other.digest)


def test_signs_of_zero_and_whole_fractions_do_not_count() -> None:
    assert Design(4, 4, -0.0, 0, 0).digest == Design(4, 4, 0, 0, 0).digest
    assert Design(4, 4, 1, 0, 0).digest == Design(4, 4, 1.0, 0, 0).digest


@given(designs, st.text(max_size=12).filter(lambda key: key not in KNOWN))
def test_designs_with_unknown_keys_are_refused(design: Design, key: str) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        Design.from_json({**design.to_json(), key: 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_bits": "8"}, "weight_bits: found '8', expected whole numbers in 2..16"),
        ({"important_fraction": float("nan")}, "important_fraction: found nan, expected numbers in 0..1"),
        ({"mechanism": "qmr"}, "mechanism: found 'qmr', expected one of 'tmr', 'dmr' or 'recompute'"),
        ({"reuse_factor": 2}, "reuse_factor 2 needs strategy 'Resource', found 'Latency'"),
    ],
)
def test_designs_with_wrong_values_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("..", r"\.\.")):
        Design.from_json({**Design(8, 8, 1.0, 0, 0).to_json(), **change})


@pytest.mark.parametrize(
    ("space", "meant"),
    [
        ("reuse_factor = 4", {"reuse_factor": 4, "strategy": "Resource"}),
        ("reuse_factor = 4\nstrategy = 'distributed_arithmetic'", {"strategy": "Resource"}),
        ("mechanism = 'recompute'\nhardened_scope = 'mac'", {"dot_size": 8, "hardened_scope": "adder"}),
        ("mechanism = 'dmr'\ndot_size = 3", {"dot_size": 0, "hardened_scope": "adder"}),
        ("reuse_factor = 2\nparameters = 'ecc'", {"parameters": "ecc"}),
    ],
)
def test_what_has_no_meaning_beside_the_others_gets_one_value(
    tmp_path: Path, space: str, meant: dict[str, Any]
) -> None:
    section = load(tmp_path, ("[4, 8]", f"4\n{space}")).space
    design = section.design({variable.name: variable.first for variable in section.searched})
    assert {key: getattr(design, key) for key in meant} == meant


def test_what_is_no_design() -> None:
    with pytest.raises(ConfigError, match="expected a table"):
        Design.from_json([1])
    with pytest.raises(ConfigError, match="missing key 'weight_bits'"):
        Design.from_json({})


@given(st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(lambda key: key not in KNOWN))
def test_unknown_keys_of_the_space_are_refused(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    folder = tmp_path_factory.mktemp("study")
    assert f"[space] unknown key '{key}'" in refusal(folder, ("[space]", f"[space]\n{key} = 1"))
