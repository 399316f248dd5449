"""Training inside an accumulator width and with chosen truncation: proven, repeatable, exact in C-simulation."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import small_network
from test_train import BUILDER, small

import codesign.train.training as training
from codesign.assets import asset
from codesign.errors import ConfigError
from codesign.faults import FaultModel, FaultSpace, Target
from codesign.fixed import MAX_WIDTH, FixedPoint, Ints, flip, quantise, to_real, wrap
from codesign.network import Layer, Network, Unit, entering, forward, parameters
from codesign.network.accumulators import accumulator_needs, prove_accumulators
from codesign.protection import ProtectionPlan
from codesign.study import Study, load_study
from codesign.train import Quantisation, data, load_builder, train
from codesign.train.convert import network_from_keras
from codesign.train.faulty import faulty_forward, flip_masks
from codesign.train.recipe import recipe_of
from codesign.train.truncation import SATURATING, cut_positions, integer_bits


def sums_of(network: Network, raw: Ints, *, wide: bool) -> list[Ints]:
    """Every layer's sums, in its accumulator or in one of 48 bits, computed in 64."""
    outputs, found = forward(network, raw), []
    for index, layer in network.compute_layers():
        widest = FixedPoint(MAX_WIDTH, MAX_WIDTH - layer.acc.frac)
        unit = Unit(replace(layer, accumulator=widest) if wide else layer, network.input_types(index))
        found.append(unit.sums(entering(network, index, outputs, raw), *parameters(layer)))
    return found


def assert_no_overflow(network: Network, raw: Ints) -> None:
    for narrow, wide in zip(sums_of(network, raw, wide=False), sums_of(network, raw, wide=True), strict=True):
        assert np.array_equal(narrow, wide)


def with_train(study: Study, **values: object) -> Study:
    return replace(study, train=study.train.model_copy(update=values))


# --- recipes and positions (no TensorFlow) ---


def test_what_starts_from_the_base(tmp_path: Path) -> None:
    study = small(tmp_path)
    base = Quantisation(8, 8)  # the space has this one width
    assert recipe_of(study, base).base is None and recipe_of(study, Quantisation(4, 4)).base is None
    bounded = recipe_of(study, Quantisation(4, 4, accumulator_bits=9))
    assert bounded.base == base and bounded.epochs == 1
    assert recipe_of(study, Quantisation(4, 4, truncation="layer")).base == base
    tuned = with_train(study, fine_tune_epochs=5)
    assert recipe_of(tuned, Quantisation(4, 4)).epochs == 5 and recipe_of(tuned, base).base is None


def test_constraints_are_in_the_key(tmp_path: Path) -> None:
    study = small(tmp_path)
    samples = data(study)
    asked = [Quantisation(4, 4), Quantisation(4, 4, 9), Quantisation(4, 4, 10), Quantisation(4, 4, 9, "layer")]
    keys = {training.network_key(study, one, samples) for one in asked}
    keys.add(training.network_key(with_train(study, fine_tune_epochs=7), asked[1], samples))
    assert len(keys) == 5


@pytest.mark.parametrize(("furthest", "expected"), [(0, 0), (15, 0), (16, 0), (17, 1), (64, 2), (65, 3)])
def test_integer_bits_hold_all_but_a_thousandth(furthest: int, expected: int) -> None:
    outliers = int(2000 * SATURATING) - 1
    values = np.full(2000, -furthest)
    values[:outliers] = 10**6
    assert integer_bits(values, frac=4) == expected


def test_cut_positions_ignore_what_a_relu_drops(tmp_path: Path) -> None:
    study = small(tmp_path)
    wide = FixedPoint(16, 8)
    relus = [Layer.relu(f"relu_{n}", 3, FixedPoint(8, 2, signed=False)) for n in (0, 1)]
    shift = Layer.activation("shift", (3,), "linear", wide)
    network = Network("net", FixedPoint.parse("ufixed<5,1>"), (shift, *relus))
    found = cut_positions(network, data(study), ["relu_0", "relu_1", "shift"], "layer")
    largest = data(study).train_inputs.max()
    assert found == dict.fromkeys(("shift", "relu_0", "relu_1"), int(np.ceil(np.log2(largest))))


def test_masks_are_the_drawn_faults() -> None:
    network = small_network()
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.ACCUMULATOR,), ber=0.05, seed=1), 6)
    faults = space.draw(3)
    masks = flip_masks(network, space, 3, 6)
    raw = np.zeros((6, 1), np.int64)
    for index, layer in network.compute_layers():
        own = faults[faults["layer"] == index]
        for sample, neuron in itertools.product(range(6), range(layer.neurons)):
            struck = raw[sample]
            for fault in own[(own["sample"] == sample) & (own["neuron"] == neuron) & (own["step"] == 0)]:
                struck = flip(struck, fault["bit"], layer.acc)
            mask = masks[index].reshape(6, layer.pixels, layer.neurons)[sample, 0, neuron]
            assert wrap(mask, layer.acc) == struck[0] and layer.acc.min_raw <= mask <= layer.acc.max_raw


# --- training ---


@pytest.mark.tf
def test_a_bound_is_kept_proven_and_repeatable(tmp_path: Path) -> None:
    study = small(tmp_path)
    first = train(study, 4, 4, 9, "layer", cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 2  # the base too
    train(study, 8, 8, cache=tmp_path / "other")
    again = train(study, 4, 4, 9, "layer", cache=tmp_path / "other")
    assert again.network == first.network and not again.cached
    prove_accumulators(first.network, 9)
    assert max(layer.acc.width for _, layer in first.network.compute_layers()) <= 9
    assert any(layer.w.raw.any() for _, layer in first.network.compute_layers())
    assert_no_overflow(first.network, first.network.quantise_inputs(data(study).test_inputs))


@pytest.mark.tf
def test_weights_that_were_lost_are_trained_again(tmp_path: Path) -> None:
    study = small(tmp_path)
    base = train(study, 8, 8, cache=tmp_path / "cache")
    next((tmp_path / "cache").glob("*.weights")).write_bytes(b"PK")
    train(study, 4, 4, 9, cache=tmp_path / "cache")
    assert train(study, 8, 8, cache=tmp_path / "cache").network == base.network


@pytest.mark.tf
@pytest.mark.parametrize(
    ("builder", "bits", "message"),
    [
        (BUILDER, 5, "layer 'first': accumulator_bits 5 leaves no weight but zero .*; the narrowest that works is 6"),
        (BUILDER.replace("QDense(4,", "QDense(quantisation.weight_bits,"), 9, "small.py: build_model: weights have"),
    ],
)
def test_what_cannot_be_bound(tmp_path: Path, builder: str, bits: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(small(tmp_path, builder=builder), 4, 4, bits, cache=tmp_path / "cache")


@pytest.mark.tf
def test_truncation_needs_a_quantised_activation(tmp_path: Path) -> None:
    study = small(
        tmp_path,
        ('    values = QActivation(quantized_relu(quantisation.activation_bits, 1), name="relu")(values)\n', ""),
    )
    with pytest.raises(ConfigError, match="truncation 'common': the model has no QActivation"):
        train(study, 4, 4, truncation="common", cache=tmp_path / "cache")


@pytest.mark.tf
def test_training_stops_when_the_loss_no_longer_falls(tmp_path: Path) -> None:
    study = with_train(small(tmp_path), patience=1, epochs=500, learning_rate=1e-12)
    builder = load_builder(study)
    model = training.fit(study, builder, builder.data(), Quantisation(4, 4))
    assert len(model.history.epoch) < 500


@pytest.mark.tf
def test_the_protection_cost_narrows_sums(tmp_path: Path) -> None:
    study = small(tmp_path)
    needs = []
    for weight in (0.0, 20.0):
        asked = with_train(study, protection_cost=weight, fine_tune_epochs=20)
        network = train(asked, 4, 4, 16, cache=tmp_path / "cache").network
        needs.append(accumulator_needs(network)["first"].sum())
    assert needs[1] < needs[0]


@pytest.mark.tf
def test_faults_in_training_strike_sums_and_leave_the_model_as_it_was(tmp_path: Path) -> None:
    study = small(tmp_path)
    builder = load_builder(study)
    samples = builder.data()
    model = training.fit(study, builder, samples, Quantisation(4, 4))
    network = network_from_keras(model, "small", builder.input_type, "Vivado")
    inputs = samples.train_inputs[:16].astype(np.float32)
    first = model.get_layer("first")
    clean = first(inputs).numpy()
    with faulty_forward(model, network, 0.02, 5, 16) as callback:
        callback.on_train_batch_begin(0)
        struck = first(inputs).numpy()
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.ACCUMULATOR,), ber=0.02, seed=5), 16)
    layer = network.layer("first")
    masks = flip_masks(network, space, 0, 16)[0]
    assert masks.any()
    expected = wrap(quantise(clean, layer.acc) ^ masks, layer.acc)
    assert np.array_equal(struck, to_real(expected, layer.acc))
    assert np.array_equal(first(inputs).numpy(), clean)


@pytest.mark.slow
@pytest.mark.tf
@pytest.mark.cxx
@pytest.mark.parametrize(("name", "bits"), [("digits_mlp", 13), ("digits_cnn", 14)])
def test_csim_with_narrowed_accumulators_equals_wide_ones(name: str, bits: int, tmp_path: Path) -> None:
    """On every sample there is."""
    from codesign.hls.csim import CsimSimulator
    from codesign.hls.project import write_project

    study = load_study(asset("models") / f"{name}.toml")
    network = train(study, 6, 6, bits, "layer").network
    samples = data(study)
    raw = network.quantise_inputs(np.concatenate([samples.train_inputs, samples.test_inputs]))
    prove_accumulators(network, bits)
    assert_no_overflow(network, raw)
    csim = CsimSimulator(write_project(network, ProtectionPlan(), tmp_path / "project"), raw)
    logits = sums_of(network, raw, wide=True)[-1]
    result = network.layers[-1]
    assert np.array_equal(to_real(csim.golden, result.result), to_real(logits, result.acc))
