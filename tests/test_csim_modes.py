"""C-simulation of graph networks: every kind of layer in both io types and all backends, also under faults."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from networks import random_raw

from codesign.codes import Code
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import MismatchError
from codesign.faults import UNIT, FaultModel, FaultSite, FaultSpace, Lifetime, Target, fault_array
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.hls.csim import CsimSimulator
from codesign.hls.options import BACKENDS, IO_TYPES
from codesign.hls.project import ProjectOptions, write_project
from codesign.hls.selftest import self_test
from codesign.network import INPUT, Layer, Network, Parameter, Shape, forward
from codesign.network.tables import activation_table, exponential_table, inverse_table
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

pytestmark = pytest.mark.cxx

SAMPLES = 12
WEIGHT, BIAS = FixedPoint(5, 2), FixedPoint(6, 2)
SUM, VALUE = FixedPoint(16, 7), FixedPoint(8, 3, True, Rounding.RND, Overflow.SAT)
POSITIVE = FixedPoint(7, 2, False, Rounding.RND, Overflow.SAT)


class Builder:
    """Layers by name, with random parameters; each takes the layer before unless it names others."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self.layers: list[Layer] = []

    def parameter(self, of: FixedPoint, *shape: int) -> Parameter:
        return Parameter(random_raw(of, shape, self._generator), of)

    def shape(self, name: str) -> Shape:
        return next(layer.out_shape for layer in self.layers if layer.name == name)

    def add(self, layer: Layer) -> None:
        self.layers.append(layer)

    def dense(self, name: str, size: int, n_out: int, reuse: int = 1, **more: object) -> None:
        pair = self.parameter(WEIGHT, size, n_out), self.parameter(BIAS, n_out)
        self.add(Layer.dense(name, *pair, SUM, VALUE, reuse_factor=reuse, **more))  # type: ignore[arg-type]

    def conv(self, name: str, shape: Shape, kernel: Shape, filters: int, **more: object) -> None:
        pair = self.parameter(WEIGHT, *kernel, shape[-1], filters), self.parameter(BIAS, filters)
        self.add(Layer.conv(name, shape, *pair, SUM, VALUE, **more))  # type: ignore[arg-type]

    def depthwise(self, name: str, shape: Shape, kernel: Shape, **more: object) -> None:
        pair = self.parameter(WEIGHT, *kernel, shape[-1]), self.parameter(BIAS, shape[-1])
        self.add(Layer.depthwise(name, shape, *pair, SUM, VALUE, **more))  # type: ignore[arg-type]

    def batchnorm(self, name: str, shape: Shape, **more: object) -> None:
        pair = self.parameter(WEIGHT, shape[-1]), self.parameter(BIAS, shape[-1])
        self.add(Layer.batchnorm(name, shape, *pair, SUM, VALUE, **more))  # type: ignore[arg-type]


def image_network(*, streams: bool) -> Network:
    """Two dimensions; hls4ml's streams pool without padding, by windows side by side."""
    b = Builder(1)
    b.conv("same", (6, 5, 2), (3, 3), 3, padding="same", reuse_factor=6)
    b.add(Layer.relu("relu", (6, 5, 3), POSITIVE))
    b.batchnorm("norm", (6, 5, 3), inputs=("relu",))
    b.depthwise("deep", (6, 5, 3), (3, 2), padding="same", reuse_factor=2)
    b.conv("point", (6, 5, 3), (1, 1), 3, inputs=("relu",))
    b.add(Layer.add("sum", (6, 5, 3), SUM, VALUE, inputs=("deep", "point")))
    b.add(Layer.concatenate("beside", ((6, 5, 3),) * 2, VALUE, inputs=("sum", "relu")))
    b.add(Layer.max_pool("largest", (6, 5, 6), (2, 2), VALUE))
    if streams:
        b.add(Layer.average_pool("mean", (6, 5, 6), (2, 2), SUM, VALUE, inputs=("beside",)))
    else:
        pool = {"strides": (2, 2), "padding": ((1, 0), (0, 1))}
        b.add(Layer.average_pool("mean", (6, 5, 6), (3, 3), SUM, VALUE, inputs=("beside",), **pool))  # type: ignore[arg-type]
    small = b.shape("mean")
    b.add(Layer.concatenate("pooled", (b.shape("largest"), small), VALUE, inputs=("largest", "mean")))
    b.add(Layer.upsample("grown", b.shape("pooled"), (2, 1), VALUE))
    b.add(Layer.pad("framed", b.shape("grown"), ((1, 0), (0, 2)), VALUE))
    b.conv("valid", b.shape("framed"), (2, 2), 4, strides=(2, 1), reuse_factor=4)
    b.add(Layer.average_pool("middle", b.shape("valid"), None, SUM, VALUE))
    b.add(Layer.max_pool("top", b.shape("valid"), None, VALUE, inputs=("valid",)))
    b.add(Layer.concatenate("both", ((4,), (4,)), VALUE, inputs=("middle", "top")))
    b.batchnorm("scaled", (8,))
    b.dense("logits", 8, 4, 2)
    exponentials = exponential_table(64, FixedPoint(8, 3), FixedPoint(18, 8), negative=False)
    inverses = inverse_table(64, FixedPoint(18, 8), FixedPoint(18, 8))
    pair = (exponentials, inverses)
    b.add(Layer.softmax("chances", 4, "latency", pair, FixedPoint(18, 8), FixedPoint(18, 8), FixedPoint(12, 2)))
    return Network("image", FixedPoint(5, 1, signed=False), tuple(b.layers))


def series_network(*, streams: bool) -> Network:
    """One dimension, with flattenings, repacking by factors that do not divide, and the input read twice."""
    del streams
    b = Builder(2)
    b.conv("same", (12, 3), (3,), 4, padding="same")
    b.conv("strided", (12, 3), (2,), 4, strides=(2,), inputs=(INPUT,), reuse_factor=3)
    b.depthwise("deep", (12, 4), (3,), strides=(2,), padding="same", inputs=("same",))
    b.add(Layer.add("sum", (6, 4), SUM, VALUE, inputs=("deep", "strided")))
    b.add(Layer.max_pool("largest", (6, 4), (2,), VALUE))
    b.add(Layer.average_pool("mean", (6, 4), (3,), SUM, VALUE, inputs=("sum",)))
    b.add(Layer.upsample("grown", (3, 4), (2,), VALUE, inputs=("largest",)))
    b.add(Layer.pad("framed", (2, 4), ((3, 1),), VALUE, inputs=("mean",)))
    b.add(Layer.concatenate("longer", ((6, 4), (6, 4)), VALUE, inputs=("grown", "framed"), axis=0))
    b.add(Layer.reshape("other", (12, 4), (8, 6), VALUE))
    b.conv("wide", (8, 6), (1,), 2)
    b.add(Layer.reshape("flat", (8, 2), (16,), VALUE))
    b.dense("head", 16, 5, 4)
    b.batchnorm("norm", (5,))
    b.add(Layer.relu("out", 5, POSITIVE))
    return Network("series", FixedPoint(6, 2), tuple(b.layers))


def vector_network(*, streams: bool) -> Network:
    """Every activation. Two of them differ in hls4ml's streams and are left out there."""
    b = Builder(3)
    b.dense("first", 6, 4)
    b.dense("second", 6, 4, inputs=(INPUT,))
    factor = Parameter(np.array([3]), FixedPoint(6, 2))
    alone: dict[str, tuple[Parameter, ...]] = {
        **{name: (activation_table(name, 128, FixedPoint(12, 4)),) for name in ("sigmoid", "tanh", "softplus")},
        "softsign": (activation_table("softsign", 64, FixedPoint(10, 2)),),
        "elu": (activation_table("elu", 64, FixedPoint(10, 2)), factor),
        "leaky_relu": (factor,),
        "hard_sigmoid": (factor, factor),
        "hard_tanh": (factor, factor),
        "binary_tanh": (),
        "linear": (),
    }
    if not streams:
        alone |= {"selu": (activation_table("selu", 64, FixedPoint(10, 2)),), "ternary_tanh": ()}
    before, size = "", 0
    for number, (name, tables) in enumerate(alone.items()):
        hub = ("first", "second")[number % 2]
        b.add(Layer.activation(f"{name}0", (4,), name, VALUE, tables=tables, inputs=(hub,)))
        if before:
            shapes = ((size,), (4,))
            b.add(Layer.concatenate(f"up_to_{name}", shapes, VALUE, inputs=(before, f"{name}0")))
        before, size = b.layers[-1].name, size + 4
    b.dense("last", size, 4)
    index = FixedPoint(8, 4, signed=False)
    pair = (
        exponential_table(64, index, FixedPoint(18, 8), negative=True),
        inverse_table(64, FixedPoint(18, 8), FixedPoint(18, 8)),
    )
    types = (FixedPoint(18, 8), FixedPoint(18, 8), FixedPoint(12, 2))
    b.add(Layer.softmax("chances", 4, "stable", pair, *types, norm=index))
    b.add(Layer.argmax("best", 4, FixedPoint(2, 2)))
    b.dense("one", 4, 3)
    return Network("vector", FixedPoint(6, 2), tuple(b.layers))


NETWORKS: dict[str, Callable[..., Network]] = {
    "image": image_network,
    "series": series_network,
    "vector": vector_network,
}


def varied_plan(network: Network, shift: int = 0) -> ProtectionPlan:
    """All mechanisms and codes in turn, each layer with plain, partly and wholly hardened neurons."""
    found = []
    for number, (_, layer) in enumerate(network.compute_layers(), start=shift):
        bits = tuple(int(h) for h in np.resize([3, 0, layer.acc.width, 7, layer.acc.width - 1], layer.neurons))
        mechanism = list(Mechanism)[number % 3]
        if not layer.has_weights:
            found.append(LayerPlan(layer.name, bits, list(Mechanism)[number % 2]))
            continue
        scope = list(Scope)[number // 3 % 2]
        size = max(1, layer.fan_in // 2) if mechanism is Mechanism.RECOMPUTE else 0
        code = list(Code)[number % 4] if layer.reuse_factor > 1 else Code.NONE
        found.append(LayerPlan(layer.name, bits, mechanism, scope, size, code))
    return ProtectionPlan(tuple(found))


def samples(network: Network, count: int = SAMPLES) -> Ints:
    return random_raw(network.input_type, (count, network.n_in), np.random.default_rng(1))


def assert_exact(csim: CsimSimulator) -> None:
    """Against the golden model, fault-free and under drawn faults of all targets and both lifetimes."""
    network, plan, raw = csim.network, csim.plan, csim.raw_inputs
    reference = ReferenceSimulator(network, plan, raw)
    assert np.array_equal(csim.golden, forward(network, raw)[-1])
    struck = set()
    for lifetime in Lifetime:
        size = FaultSpace(network, plan, FaultModel(tuple(Target), ber=0.0, lifetime=lifetime), len(raw)).size
        model = FaultModel(tuple(Target), ber=min(0.1, 500 / size), lifetime=lifetime, seed=4)
        space = FaultSpace(network, plan, model, len(raw))
        one_of_each = [segment.decode(np.array([segment.size // 2])) for segment in space.segments]
        faults = np.concatenate([space.draw(0), *one_of_each])
        struck |= set(faults["layer"])
        expected = reference.run_flagged(faults)
        assert np.array_equal(csim.run(faults), expected.logits)  # and every fault was hit as often as it should
        traced = csim.run_traced(faults)
        assert np.array_equal(traced.corrected, expected.corrected)
        assert np.array_equal(traced.detected, expected.detected)
    assert struck == {i for i, layer in enumerate(network.layers) if layer.has_registers}


def modes(rows: list[str], quick: set[tuple[str, str]]) -> pytest.MarkDecorator:
    """Each row in both io types; of what takes half a minute together the rest is slow."""
    cells = [(row, io_type) for row in rows for io_type in IO_TYPES]
    marked = [pytest.param(*cell, marks=() if cell in quick else pytest.mark.slow) for cell in cells]
    return pytest.mark.parametrize(("row", "io_type"), marked)


@modes(
    list(NETWORKS),
    {("image", "io_parallel"), ("image", "io_stream"), ("series", "io_stream"), ("vector", "io_parallel")},
)
def test_every_kind_of_layer_is_exact_under_faults(row: str, io_type: str, tmp_path: Path) -> None:
    network = NETWORKS[row](streams=io_type == "io_stream")
    options = ProjectOptions("Vitis" if row == "image" else "Vivado", io_type=io_type)  # type: ignore[arg-type]
    project = write_project(network, varied_plan(network), tmp_path / "project", options)
    assert_exact(CsimSimulator(project, samples(network)))
    assert self_test(project) == []


def residual_network() -> Network:
    """Small, with a shortcut: a convolution in passes, an addition, a flattening, a dense layer in passes."""
    b = Builder(7)
    b.conv("conv", (4, 3, 2), (2, 2), 2, padding="same", reuse_factor=2)
    b.batchnorm("norm", (4, 3, 2), inputs=(INPUT,))
    b.add(Layer.add("sum", (4, 3, 2), SUM, VALUE, inputs=("conv", "norm")))
    b.add(Layer.relu("relu", (4, 3, 2), POSITIVE))
    b.dense("logits", 24, 3, 6)
    return Network("residual", FixedPoint(6, 2), tuple(b.layers))


@modes(
    list(BACKENDS),
    {("Vitis", "io_stream"), ("VivadoAccelerator", "io_parallel"), ("VivadoAccelerator", "io_stream")},
)
def test_every_backend_is_exact_under_faults(row: str, io_type: str, tmp_path: Path) -> None:
    network = residual_network()
    options = ProjectOptions(row, io_type=io_type)  # type: ignore[arg-type]
    project = write_project(network, varied_plan(network, 2), tmp_path / "project", options)
    assert_exact(CsimSimulator(project, samples(network)))
    assert self_test(project) == []


def test_an_accelerator_of_wide_numbers_carries_doubles(tmp_path: Path) -> None:
    """A single-precision number would round these."""
    wide = FixedPoint(40, 20)
    b = Builder(5)
    scale, shift = b.parameter(FixedPoint(4, 2), 3), b.parameter(wide, 3)
    b.add(Layer.batchnorm("norm", (3,), scale, shift, FixedPoint(46, 24), wide))
    network = Network("wide", wide, tuple(b.layers))
    options = ProjectOptions("VivadoAccelerator", "xc7z020clg400-1")
    project = write_project(network, ProtectionPlan.full(network), tmp_path / "project", options)
    assert "typedef double T_in;" in (project.folder / "firmware/wide_axi.h").read_text()
    assert_exact(CsimSimulator(project, samples(network)))


def test_detected_upsets_are_told_apart_and_counted(tmp_path: Path) -> None:
    """DMR in one layer, parity in another: zero and a flag where they find an upset."""
    network = residual_network()
    width = SUM.width
    plan = ProtectionPlan(
        (
            LayerPlan("conv", (0, 0), parameters=Code.PARITY),
            LayerPlan("sum", (width, 0), Mechanism.DMR),
            LayerPlan("logits", (width, 5, 0)),
        )
    )
    raw = samples(network)
    csim = CsimSimulator(write_project(network, plan, tmp_path / "project"), raw)
    rows = [
        (2, Target.ACCUMULATOR, 0, 0, 1, width - 1, 3, 5),
        (2, Target.ACCUMULATOR, 0, 0, 0, 0, 7, 0),
        (4, Target.ACCUMULATOR, 1, 0, 2, width - 1, 7, 0),
        (0, Target.WEIGHT, 1, 2, 0, 1, -1, -1),
    ]
    faults = fault_array([tuple(map(int, row)) for row in rows])
    traced = csim.run_traced(faults)
    expected = ReferenceSimulator(network, plan, raw).run_flagged(faults)
    assert np.array_equal(traced.logits, expected.logits)
    assert np.array_equal(traced.detected, expected.detected)
    assert np.flatnonzero(traced.detected[:, 2]).tolist() == [3, 7]
    assert traced.detected.sum(axis=0).tolist() == [SAMPLES, 0, 2, 0]
    assert np.argwhere(traced.corrected).tolist() == [[7, 3]]
    counted = csim.run_counted(faults)
    assert counted.samples_detected.tolist() == [SAMPLES, 0, 2, 0]
    assert counted.samples_corrected.tolist() == [0, 0, 0, 1]
    assert counted.sticky_detected.tolist() == [1, 0, 1, 0]
    # A stored word is read at each of the 12 pixels.
    assert traced.hits.tolist() == [1, 1, 1, SAMPLES * 12]


def test_a_stuck_shared_unit_is_hit_by_every_recomputation(tmp_path: Path) -> None:
    network = residual_network()
    plan = ProtectionPlan((LayerPlan("conv", (16, 3), Mechanism.RECOMPUTE, dot_size=3),))
    csim = CsimSimulator(write_project(network, plan, tmp_path / "project"), samples(network))
    stuck = FaultSite(0, Target.PRODUCT, UNIT, position=2, replica=1, bit=4).at()
    # Samples, pixels, passes of three products out of eight, neurons, and each of them twice.
    assert csim.run_traced(stuck).hits.tolist() == [SAMPLES * 12 * 3 * 2 * 2]
    assert np.array_equal(csim.run(stuck), ReferenceSimulator(network, plan, csim.raw_inputs).run(stuck))
    weight = FaultSite(0, Target.WEIGHT, 1, position=2, bit=0).at()
    assert csim.run_traced(weight).hits.tolist() == [SAMPLES * 12 * 3]
    assert np.array_equal(csim.run(weight), ReferenceSimulator(network, plan, csim.raw_inputs).run(weight))


def test_a_stream_that_is_left_unread_is_an_error(tmp_path: Path) -> None:
    """Hardware would stall: a layer that takes fewer pixels than it is given."""
    b = Builder(6)
    b.conv("conv", (4, 3, 2), (1, 1), 2)
    network = Network("pixels", FixedPoint(6, 2), tuple(b.layers))
    project = write_project(network, ProtectionPlan(), tmp_path / "project", ProjectOptions(io_type="io_stream"))
    header = project.folder / "firmware/parameters.h"
    text = header.read_text()
    assert text.count("_height = 4;") == 2
    header.write_text(text.replace("_height = 4;", "_height = 3;"))
    with pytest.raises(MismatchError, match="'pixels' left input unread"):
        CsimSimulator(project, samples(network))


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        # What a tool would do to copies that it finds identical.
        (("leaves[r] = ", "leaves[r] = r ? leaves[0] : "), "product of layer 0, neuron 0, copy 1"),
        # Voters whose flag goes nowhere.
        (("flags.corrected |=", "const bool corrected ="), "guard bit 0 is raised and no sample is corrected"),
    ],
)
def test_the_self_test_finds_what_the_text_does_not_show(change: tuple[str, str], finding: str, tmp_path: Path) -> None:
    network = residual_network()
    plan = ProtectionPlan((LayerPlan("conv", (16, 3), scope=Scope.MAC), LayerPlan("logits", (16, 0, 4))))
    project = write_project(network, plan, tmp_path / "project")
    assert self_test(project) == []
    headers = {path: path.read_text() for path in (project.folder / "firmware/nnet_utils").glob("codesign_*.h")}
    assert any(change[0] in text for text in headers.values())
    for path, text in headers.items():
        path.write_text(text.replace(*change))
    assert any(finding in text for text in self_test(project))
