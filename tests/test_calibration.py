"""The estimate against mapped designs, and the command that fits it to them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from codesign.cli import run
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import Layer, Network, Parameter
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope
from codesign.resources.calibration import errors_of, estimated, measured, random_designs
from codesign.resources.estimate import EstimatePolicy, estimate
from codesign.resources.factors import SHIPPED, Calibration, Terms, shipped
from codesign.resources.mapping import Family


def test_designs_are_the_seed_s() -> None:
    first, again, other = (list(random_designs(seed, 4)) for seed in (3, 3, 4))
    assert first == again
    assert [d.network for d in first] != [d.network for d in other]
    # A longer draw begins as a shorter one, so that a calibration can be made larger.
    assert list(random_designs(3, 6))[:4] == first


def test_designs_are_what_the_calibration_holds_for() -> None:
    for design in random_designs(0, 60):
        design.plan.check(design.network)
        assert shipped().outside(design.network, design.plan, 0) == ()


def test_mapped_designs_are_estimated_well() -> None:
    designs = list(random_designs(77, 4, products=12))
    mapped = measured(designs)
    found = [estimated(design).report for design in designs]
    luts, theirs = (sum(report.lut or 0 for report in reports) for reports in (found, mapped))
    assert abs(luts - theirs) <= 0.1 * theirs
    assert [report.latency_cycles for report in found] == [report.latency_cycles for report in mapped]


@pytest.mark.slow
def test_both_families_take_the_same_luts_and_registers() -> None:
    designs = list(random_designs(77, 4, products=12))
    older, newer = ([(report.lut, report.ff) for report in measured(designs, family)] for family in get_args(Family))
    assert older == newer


@pytest.mark.slow
def test_the_errors_of_unseen_designs_are_those_that_are_promised() -> None:
    designs = list(random_designs(2026, 200, products=10))
    errors = errors_of([estimated(design).report for design in designs], measured(designs))
    assert errors["lut"].median <= 0.05
    assert errors["lut"].p95 <= 0.12
    assert errors["lut"].kendall_tau >= 0.95
    assert errors["ff"].median <= 0.05
    assert errors["latency_cycles"].median == 0


def test_the_shipped_errors_are_those_that_are_asked_for() -> None:
    errors = shipped().errors["lut"]
    assert (errors.median <= 0.05, errors.p95 <= 0.12, errors.kendall_tau >= 0.95) == (True, True, True)


def test_a_calibration_is_written_as_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "again.json").write_text(json.dumps(shipped().to_json()))
    assert Calibration.load(tmp_path / "again.json") == shipped()


@pytest.mark.parametrize("change", [{}, {"terms": {"casts": 1}}, {"terms": None}, {"voters": {"xmr": []}}])
def test_a_damaged_calibration_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    data = json.loads(SHIPPED.read_text()) | change if change else {"terms": {}}
    if change == {"terms": {"casts": 1}}:
        data = data | {"more": 1}
    (tmp_path / "bad.json").write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=r"bad\.json is no calibration of the estimate"):
        Calibration.load(tmp_path / "bad.json")


def test_factors_scale_their_terms() -> None:
    design = next(d for d in random_designs(5, 40) if d.plan.layers)
    plain, twice = (
        estimated(design, replace(shipped(), terms=terms)).total
        for terms in (Terms(), Terms(2.0, 2.0, 2.0, 2.0, 2.0, 2.0))
    )
    assert twice.lut == 2 * plain.lut > 0
    assert (twice.ff, twice.dsp) == (plain.ff, plain.dsp)


def dense(**given: object) -> Network:
    kind = FixedPoint(4, 4)
    ones, zeros = Parameter(np.ones((2, 3), np.int64), kind), Parameter(np.zeros(3, np.int64), kind)
    accumulator = given.pop("acc", FixedPoint(12, 12))
    layer = Layer.dense("l", ones, zeros, accumulator, **given)  # type: ignore[arg-type]
    return Network("net", kind, (layer,), (2,))


@pytest.mark.parametrize(
    ("network", "plan", "outside"),
    [
        (dense(), LayerPlan("l", (12, 0, 3)), ()),
        (dense(reuse_factor=2), LayerPlan("l", (0, 0, 0)), ("layer 'l' (reuse factor 2)",)),
        (dense(), LayerPlan("l", (12, 0, 0), Mechanism.RECOMPUTE, dot_size=1), ("layer 'l' (recompute)",)),
        (dense(), LayerPlan("l", (12, 0, 0), scope=Scope.MAC), ("layer 'l' (scope mac)",)),
    ],
)
def test_what_was_never_mapped_has_no_error(network: Network, plan: LayerPlan, outside: tuple[str, ...]) -> None:
    found = estimate(network, ProtectionPlan((plan,)))
    assert found.outside == outside
    as_json = found.to_json()
    assert as_json["calibrated"] == (not outside)
    assert (as_json["error"] is None) == bool(outside)
    if not outside:
        assert as_json["error"]["lut"] == {"median": found.errors["lut"].median} | as_json["error"]["lut"]


def test_dsps_are_outside() -> None:
    network = dense()
    found = estimate(network, ProtectionPlan(), policy=EstimatePolicy(dsp_min_bits=1))
    assert found.report.dsp == 0 and found.outside == ()
    assert shipped().outside(network, ProtectionPlan(), 3) == ("3 DSPs",)


def test_layers_side_by_side_add_up() -> None:
    """A layer of twice the neurons costs twice as much, whatever their plan."""
    for design in random_designs(9, 12):
        layer = design.network.layers[0]
        if not layer.has_weights:
            continue
        hardened = design.plan.of_layer(layer).hardened_bits
        both = Layer.dense(
            layer.name,
            Parameter(np.tile(layer.w.raw, 2), layer.w.type),
            Parameter(np.tile(layer.b.raw, 2), layer.b.type),
            layer.acc,
            layer.result,
        )
        mechanism = design.plan.of_layer(layer).mechanism
        once, twice = (
            estimate(
                Network("n", design.network.input_type, (one,), (one.n_in,)),
                ProtectionPlan((LayerPlan(one.name, bits, mechanism),)),
                policy=EstimatePolicy(calibration=replace(shipped(), terms=Terms()), dsp_min_bits=49),
            ).total
            for one, bits in ((layer, hardened), (both, hardened * 2))
        )
        for cause in ("function", "voters"):
            assert getattr(twice, cause) == 2 * getattr(once, cause)
        assert abs(twice.replicas + twice.guards - 2 * (once.replicas + once.guards)) <= 12  # single bits are rounded


def test_too_few_designs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "--designs", "3"]) == 2
    assert "10" in capsys.readouterr().err
