"""Every cell of the table in docs/layers.md: written, compiled and struck at every target, or refused."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from networks import random_raw

from codesign.codes import Code
from codesign.engine.reference import ReferenceSimulator
from codesign.errors import ConfigError
from codesign.faults import FaultModel, FaultSpace, Lifetime, Target, fault_array
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.hls.csim import CsimSimulator
from codesign.hls.options import IO_TYPES, ProjectOptions
from codesign.hls.project import write_project
from codesign.network import Layer, Network, Parameter, forward
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

PAGE = Path(__file__).parent.parent / "docs" / "layers.md"
IMAGE, SERIES, VECTOR = (2, 2, 2), (4, 2), (8,)
VALUE = FixedPoint(7, 3, True, Rounding.RND, Overflow.SAT)
SUM, WEIGHT = FixedPoint(16, 8), FixedPoint(4, 1)
SAMPLES = 12
# Layers that a project may hold: one status bit each.
PER_PROJECT = 32

COLUMNS = {
    "plain": (Mechanism.TMR, Scope.ADDER),
    "tmr, adder": (Mechanism.TMR, Scope.ADDER),
    "tmr, mac": (Mechanism.TMR, Scope.MAC),
    "dmr, adder": (Mechanism.DMR, Scope.ADDER),
    "dmr, mac": (Mechanism.DMR, Scope.MAC),
    "recompute": (Mechanism.RECOMPUTE, Scope.ADDER),
}
CODED = "stored parameters: tmr, parity, ecc"
SHAPES = {
    "Dense": VECTOR,
    "Conv1D": SERIES,
    "Conv2D": IMAGE,
    "Pointwise": IMAGE,
    "DepthwiseConv1D": SERIES,
    "DepthwiseConv2D": IMAGE,
    "BatchNorm": IMAGE,
    "Add": IMAGE,
}


def table() -> dict[tuple[str, str], set[str]]:
    """The first table of the page: (layer, column) -> the modes it names."""
    first = re.search(r"(?:^\|.*\|\n)+", PAGE.read_text(), re.M)
    assert first
    rows = [[cell.strip() for cell in row.strip("| ").split("|")] for row in first[0].splitlines()]
    head, body = rows[0], [row for row in rows[2:] if row[0] in SHAPES]
    return {
        (row[0], column): set(cell.split()) - {"-"}
        for row in body
        for column, cell in zip(head[1:], row[1:], strict=True)
    }


def layer(kind: str, name: str, inputs: tuple[str, ...], reuse: int, generator: np.random.Generator) -> Layer:
    """A layer of that row that keeps its shape. With `reuse` it takes all the passes that there are."""

    def p(*shape: int) -> Parameter:
        return Parameter(random_raw(WEIGHT, shape, generator), WEIGHT)

    passes = {"Dense": 4, "Conv1D": 6, "Conv2D": 4, "Pointwise": 2, "DepthwiseConv1D": 3, "DepthwiseConv2D": 2}
    more = {"inputs": inputs[:1], "reuse_factor": passes[kind] if reuse > 1 else 1}
    match kind:
        case "Dense":
            return Layer.dense(name, p(8, 8), p(8), SUM, VALUE, **more)  # type: ignore[arg-type]
        case "Conv1D":
            return Layer.conv(name, SERIES, p(3, 2, 2), p(2), SUM, VALUE, padding="same", **more)  # type: ignore[arg-type]
        case "Conv2D":
            return Layer.conv(name, IMAGE, p(2, 2, 2, 2), p(2), SUM, VALUE, padding="same", **more)  # type: ignore[arg-type]
        case "Pointwise":
            return Layer.conv(name, IMAGE, p(1, 1, 2, 2), p(2), SUM, VALUE, **more)  # type: ignore[arg-type]
        case "DepthwiseConv1D":
            return Layer.depthwise(name, SERIES, p(3, 2), p(2), SUM, VALUE, padding="same", **more)  # type: ignore[arg-type]
        case "DepthwiseConv2D":
            return Layer.depthwise(name, IMAGE, p(2, 2, 2), p(2), SUM, VALUE, padding="same", **more)  # type: ignore[arg-type]
    raise AssertionError(kind)


def any_layer(kind: str, name: str, inputs: tuple[str, ...], reuse: int, generator: np.random.Generator) -> Layer:
    if kind == "BatchNorm":
        scale, shift = (Parameter(random_raw(WEIGHT, (2,), generator), WEIGHT) for _ in range(2))
        return Layer.batchnorm(name, IMAGE, scale, shift, SUM, VALUE, inputs=inputs[:1])
    if kind == "Add":
        return Layer.add(name, IMAGE, SUM, VALUE, inputs=inputs)
    return layer(kind, name, inputs, reuse, generator)


@dataclass(frozen=True)
class Cell:
    kind: str
    column: str
    mode: str
    code: Code = Code.NONE

    def plan(self, of: Layer) -> LayerPlan:
        """Partly hardened neurons, and whole ones."""
        mechanism, scope = COLUMNS.get(self.column, (Mechanism.TMR, Scope.ADDER))
        bits = tuple(0 if self.column == "plain" else (5, of.acc.width)[j % 2] for j in range(of.neurons))
        size = min(3, of.fan_in) if mechanism is Mechanism.RECOMPUTE else 0
        return LayerPlan(of.name, bits, mechanism, scope, size, self.code)


def cells() -> Iterator[Cell]:
    for (kind, column), modes in sorted(table().items()):
        for mode in sorted(modes):
            if column == CODED:
                yield from (Cell(kind, column, mode, code) for code in Code if code is not Code.NONE)
            else:
                yield Cell(kind, column, mode)


def projects() -> list[list[Cell]]:
    every = list(cells())
    return [every[k : k + PER_PROJECT] for k in range(0, len(every), PER_PROJECT)]


def network_of(some: list[Cell]) -> tuple[Network, ProtectionPlan]:
    """One chain that holds each cell's layer once; reshapes lead from shape to shape."""
    generator = np.random.default_rng(5)
    layers: list[Layer] = []
    plans, shape, before = [], IMAGE, ""
    for number, cell in enumerate(sorted(some, key=lambda c: SHAPES[c.kind])):
        if SHAPES[cell.kind] != shape:
            source = layers[-1].result if layers else VALUE
            layers.append(Layer.reshape(f"to{number}", shape, SHAPES[cell.kind], source, inputs=(before,)))
            before, shape = layers[-1].name, SHAPES[cell.kind]
        reuse = 2 if cell.mode == "R" else 1
        layers.append(any_layer(cell.kind, f"layer{number}", (before, before), reuse, generator))
        plans.append(cell.plan(layers[-1]))
        before = layers[-1].name
    return Network("support", VALUE, tuple(layers), IMAGE), ProtectionPlan(tuple(plans))


def one_of_each(network: Network, plan: ProtectionPlan) -> list[tuple[int, ...]]:
    """A fault of every layer, target, lifetime and replica."""
    generator = np.random.default_rng(9)
    found = []
    for target in Target:
        for lifetime in Lifetime:
            space = FaultSpace(network, plan, FaultModel((target,), ber=0.0, lifetime=lifetime), SAMPLES)
            drawn = [segment.decode(generator.integers(0, segment.size, 1))[0] for segment in space.segments]
            found += [tuple(int(value) for value in fault) for fault in drawn]
    return found


def test_the_table_names_every_layer_and_column() -> None:
    assert {kind for kind, _ in table()} == set(SHAPES)
    assert {column for _, column in table()} == {*COLUMNS, CODED}


@pytest.mark.slow
@pytest.mark.cxx
@pytest.mark.parametrize("io_type", IO_TYPES)
@pytest.mark.parametrize("number", range(len(projects())))
def test_every_cell_is_exact_under_faults_at_every_target(number: int, io_type: str, tmp_path: Path) -> None:
    network, plan = network_of(projects()[number])
    raw = random_raw(network.input_type, (SAMPLES, network.n_in), np.random.default_rng(1))
    project = write_project(network, plan, tmp_path / "project", ProjectOptions(io_type=io_type))  # type: ignore[arg-type]
    csim, reference = CsimSimulator(project, raw), ReferenceSimulator(network, plan, raw)
    assert csim.golden.tolist() == forward(network, raw)[-1].tolist()
    for fault in one_of_each(network, plan):
        # A tap that is not hit as often as its unit is used makes the csim raise MismatchError.
        assert csim.run(fault_array([fault])).tolist() == reference.run(fault_array([fault])).tolist(), fault


def unsupported() -> list[Cell]:
    """What the table does not name: mechanisms that a layer cannot have, and codes where nothing is stored."""
    found = []
    for (kind, column), modes in sorted(table().items()):
        for mode in sorted({"1", "R"} - modes):
            if column == CODED:
                found += [Cell(kind, column, mode, code) for code in Code if code is not Code.NONE]
            else:
                found.append(Cell(kind, column, mode))
    return found


@pytest.mark.parametrize("cell", unsupported(), ids=lambda c: f"{c.kind}-{c.column}-{c.mode}-{c.code}")
def test_what_is_not_in_the_table_is_refused_by_name(cell: Cell) -> None:
    generator = np.random.default_rng(0)
    if cell.mode == "R" and cell.kind in ("BatchNorm", "Add"):
        made = any_layer(cell.kind, "it", ("", ""), 1, generator)
        values = {name: getattr(made, name) for name in made.__dataclass_fields__}
        with pytest.raises(ConfigError, match="'it': reuse factor 2 does not divide"):
            Layer(**{**values, "reuse_factor": 2})
        return
    made = any_layer(cell.kind, "it", ("", ""), 1, generator)
    network = Network("one", VALUE, (made,), SHAPES[cell.kind])
    with pytest.raises(ConfigError, match="'it'"):
        ProtectionPlan((cell.plan(made),)).check(network)
