"""The package's models and an autoencoder as protected projects, fault-free and under faults."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_convert_graph import MODELS, autoencoder, randomised

import codesign.train.training as training
from codesign.engine.fast import EngineSimulator
from codesign.engine.reference import ReferenceSimulator
from codesign.faults import FaultModel, FaultSpace, Lifetime, Target
from codesign.fixed import FixedPoint, Ints
from codesign.hls.csim import CsimSimulator
from codesign.hls.options import ProjectOptions
from codesign.hls.project import write_project
from codesign.network import Network, forward
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope
from codesign.study import load_study
from codesign.train import Quantisation, load_builder
from codesign.train.convert import network_from_keras

pytestmark = [
    pytest.mark.tf,
    pytest.mark.cxx,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:'.*' deprecated - use:DeprecationWarning"),
]
FASHION = Path("/usr/share/datasets/fashion-mnist")
SAMPLES = 12


def shipped(name: str) -> tuple[Network, Ints]:
    """A model of the package with random weights, and some of its inputs."""
    builder = load_builder(load_study(MODELS / f"{name}.toml"))
    network = network_from_keras(randomised(builder.model(Quantisation(6, 6))), name, builder.input_type, "Vivado")
    return network, network.quantise_inputs(builder.data().test_inputs[:SAMPLES])


def auto() -> tuple[Network, Ints]:
    network = network_from_keras(randomised(autoencoder()), "coder", FixedPoint.parse("ufixed<5,1>"), "Vivado")
    return network, np.random.default_rng(0).integers(0, 32, (SAMPLES, network.n_in))


def mixed(network: Network) -> ProtectionPlan:
    """Each neuron with bits of its own, and the mechanisms in turn."""
    generator = np.random.default_rng(1)
    settings: list[dict[str, Any]] = [
        {},
        {"scope": Scope.MAC},
        {"mechanism": Mechanism.DMR},
        {"mechanism": Mechanism.RECOMPUTE, "dot_size": 4},
    ]
    found: list[LayerPlan] = []
    for number, (_, layer) in enumerate(network.compute_layers()):
        bits = generator.integers(0, layer.acc.width + 1, layer.neurons)
        like = replace(LayerPlan("", ()), **settings[number % len(settings)])
        found += ProtectionPlan.of(network, {layer.name: bits}, like).layers
    return ProtectionPlan(tuple(found))


@pytest.mark.parametrize("reuse", [1, 4])
@pytest.mark.parametrize(
    ("name", "io_type", "backend"),
    [
        ("digits_mlp", "io_stream", "Vivado"),
        ("digits_cnn", "io_parallel", "Vivado"),
        ("digits_cnn", "io_stream", "Vitis"),
        ("digits_residual", "io_stream", "Vivado"),
        ("digits_residual", "io_parallel", "VivadoAccelerator"),
        ("fashion_cnn", "io_stream", "Vivado"),
        ("autoencoder", "io_parallel", "Vitis"),
    ],
)
def test_models_are_exact_under_faults(name: str, io_type: Any, backend: Any, reuse: int, tmp_path: Path) -> None:
    if name == "fashion_cnn" and not FASHION.is_dir():
        pytest.skip(f"no {FASHION}: apt-get install dataset-fashion-mnist")
    training.tensorflow()
    network, raw = auto() if name == "autoencoder" else shipped(name)
    network = network.with_reuse(reuse)
    plan = mixed(network).check(network)
    project = write_project(network, plan, tmp_path / "project", ProjectOptions(backend=backend, io_type=io_type))
    csim, reference = CsimSimulator(project, raw), ReferenceSimulator(network, plan, raw)
    assert csim.golden.tolist() == forward(network, raw)[-1].tolist()
    assert np.ptp(csim.golden, axis=0).max() > 0
    struck = 0
    for lifetime in Lifetime:
        size = FaultSpace(network, plan, FaultModel(tuple(Target), ber=0.0, lifetime=lifetime), len(raw)).size
        model = FaultModel(tuple(Target), ber=min(1.0, 60 / size), lifetime=lifetime, seed=4)
        space = FaultSpace(network, plan, model, len(raw))
        for trial in range(3):
            faults = space.draw(trial)
            logits = csim.run(faults)
            assert logits.tolist() == reference.run(faults).tolist()
            assert logits.tolist() == EngineSimulator(network, plan, raw).run(faults).tolist()
            struck += int((logits != csim.golden).any())
    assert struck > 0
