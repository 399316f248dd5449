"""Fault lists as files: what is written is what is read, every simulator takes it, and no other network does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import Case, cases, mixed_network, mixed_plan, small_network

from codesign.campaign.fault_list import FaultList
from codesign.campaign.simulators import open_simulator
from codesign.errors import ConfigError
from codesign.faults import FAULT, FaultModel, FaultSpace, Lifetime, Target, fault_array
from codesign.network import Network
from codesign.protection import Mechanism, ProtectionPlan

NETWORK = small_network()
PLAN = ProtectionPlan.uniform(NETWORK, 4)
MODEL = FaultModel((Target.ACCUMULATOR, Target.WEIGHT), ber=2e-3, seed=9)


models = st.builds(
    FaultModel,
    st.lists(st.sampled_from(Target), min_size=1).map(tuple),
    st.none(),
    st.integers(1, 3),
    st.sampled_from(Lifetime),
    st.integers(0, 2**63 - 1),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cases(), st.none() | models, st.none() | st.integers(0, 2**63 - 1))
def test_what_is_written_is_read_and_replayed(
    tmp_path: Path, case: Case, model: FaultModel | None, trial: int | None
) -> None:
    """The same list, and the same logits from it on engine and reference."""
    written = FaultList(case.network.digest, case.plan.digest, len(case.inputs), case.faults, model, trial)
    written.save(tmp_path / "faults.json", case.network)
    read = FaultList.load(tmp_path / "faults.json", case.network, case.plan)
    assert read.faults.dtype == FAULT and np.array_equal(read.faults, written.faults)
    assert (read.network, read.plan, read.samples) == (written.network, written.plan, written.samples)
    assert (read.model, read.trial) == (model, trial)
    engine, reference = (
        open_simulator(name, case.network, case.plan, case.inputs).run(read.faults)  # type: ignore[arg-type]
        for name in ("engine", "reference")
    )
    assert np.array_equal(engine, reference)


@pytest.mark.parametrize("lifetime", Lifetime)
@pytest.mark.parametrize("mechanism", Mechanism)
def test_drawn_trials_of_every_mechanism_are_read_again(
    mechanism: Mechanism, lifetime: Lifetime, tmp_path: Path
) -> None:
    """Shared units, whole trials and single operations."""
    network, plan = mixed_network(), mixed_plan(mechanism)
    model = FaultModel(tuple(Target), ber=2e-3, lifetime=lifetime, seed=4)
    for trial in range(3):
        drawn = FaultList.drawn(network, plan, model, 5, trial)
        assert np.array_equal(drawn.faults, FaultSpace(network, plan, model, 5).draw(trial))
        drawn.save(tmp_path / "faults.json", network)
        read = FaultList.load(tmp_path / "faults.json", network, plan)
        assert np.array_equal(read.faults, drawn.faults) and (read.model, read.trial) == (model, trial)


def test_a_person_can_read_it(tmp_path: Path) -> None:
    """One fault a line, layers and targets by their names."""
    rows = fault_array([(2, Target.ACCUMULATOR, 1, 3, 0, 7, 4, 0), (0, Target.WEIGHT, 2, 1, 0, 0, -1, -1)])
    FaultList(NETWORK.digest, PLAN.digest, 5, rows, MODEL, 3).save(tmp_path / "faults.json", NETWORK)
    text = (tmp_path / "faults.json").read_text()
    names = [layer.name for layer in NETWORK.layers]
    assert f'\n  ["{names[2]}", "accumulator", 1, 3, 0, 7, 4, 0],\n' in text
    assert f'\n  ["{names[0]}", "weight", 2, 1, 0, 0, "all", "all"]\n' in text
    data = json.loads(text)
    assert (data["network"], data["plan"], data["trial"], data["samples"]) == (NETWORK.digest, PLAN.digest, 3, 5)
    assert data["fault_model"] == {
        "targets": ["weight", "accumulator"],
        "ber": 0.002,
        "n_flips": None,
        "lifetime": "transient",
        "seed": 9,
    }


# ---------------------------------------------------------------- what is refused


def refused(path: Path, network: Network = NETWORK, plan: ProtectionPlan = PLAN) -> str:
    with pytest.raises(ConfigError) as error:
        FaultList.load(path, network, plan)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    FaultList.drawn(NETWORK, PLAN, MODEL, 5, 0).save(tmp_path / "faults.json", NETWORK)
    return tmp_path / "faults.json"


def test_a_list_of_another_network_or_plan_is_refused_by_both_digests(written: Path) -> None:
    other = small_network(seed=8)
    line = refused(written, network=other)
    assert "another network" in line and NETWORK.digest[:16] in line and other.digest[:16] in line
    line = refused(written, plan=ProtectionPlan())
    assert "another plan" in line and PLAN.digest[:16] in line and ProtectionPlan().digest[:16] in line
    with pytest.raises(ConfigError, match="another network"):
        FaultList.drawn(NETWORK, PLAN, MODEL, 5, 0).save(written, other)


def changed(**keys: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(keys)


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(key)


def row(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """The second fault with other values."""

    def change(data: dict[str, Any]) -> None:
        names = data["columns"]
        data["faults"][1] = [fields.get(name, value) for name, value in zip(names, data["faults"][1], strict=True)]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed(format=2), "fault list format 2, this version reads 1"),
        (without("format"), "it has no format"),
        (without("samples"), "it has no samples"),
        (changed(sample=3), "'sample', choose from format, network"),
        (changed(columns=["layer"]), "columns ['layer'], expected"),
        (changed(samples=0), "samples is 0, expected a whole number from 1"),
        (changed(samples="5"), "samples is '5', expected a whole number from 1"),
        (changed(samples=True), "samples is True"),
        (changed(trial=-1), "trial is -1, expected a whole number from 0"),
        (changed(faults={}), "faults: expected a list"),
        (changed(faults=[7]), "fault 0: expected a list of 8 values: layer, target"),
        (changed(faults=[[1, 2]]), "fault 0: expected a list of 8 values"),
        (row(layer="fc9"), "unknown layer in"),
        (row(layer=["fc0"]), "fault 1: '['fc0']', choose from"),
        (row(target="adder"), "fault 1: 'adder', choose from weight, bias"),
        (row(bit=1.5), "fault 1: bit is 1.5, expected a whole number from 0"),
        (row(bit="all"), "fault 1: bit is 'all', expected a whole number from 0"),
        (row(sample="every"), "fault 1: sample is 'every', expected a whole number from 0 or 'all'"),
        (row(neuron=-1), "fault 1: neuron is -1, expected a whole number from 0 or 'unit'"),
        (row(bit=2**40), "fault 1: bit is"),
        (row(bit=60), "bit 60"),
        (row(sample=5), "no such sample there"),
        (row(neuron="unit"), "nothing there can be struck"),
        (changed(fault_model=3), "fault_model: expected targets, ber"),
        (changed(fault_model={"targets": []}), "fault_model: expected targets, ber, n_flips, lifetime, seed, or null"),
        (
            changed(fault_model={"targets": ["weight"], "ber": 2, "n_flips": None, "lifetime": "transient", "seed": 1}),
            "fault_model: bit error rate 2.0 is outside 0..1",
        ),
        (
            changed(fault_model={"targets": "weight", "ber": 1, "n_flips": None, "lifetime": "transient", "seed": 1}),
            "fault_model: targets is 'weight'",
        ),
    ],
)
def test_malformed_lists_are_refused_with_the_place(
    change: Callable[[dict[str, Any]], None], said: str, written: Path
) -> None:
    data = json.loads(written.read_text())
    change(data)
    written.write_text(json.dumps(data))
    assert said in refused(written)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff\xfe", b'{"format": 1', b"[" * 100000])
def test_foreign_files_are_refused(content: bytes, written: Path) -> None:
    written.write_bytes(content)
    refused(written)


def test_absent_files_and_trials_that_cannot_be(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.json").endswith("No such file or directory")
    with pytest.raises(ConfigError, match="trial -1 is outside"):
        FaultList.drawn(NETWORK, PLAN, MODEL, 5, -1)
