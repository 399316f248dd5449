"""Upsets in mapped netlists: the netlist is the network, copies are masked, trials are the seed's, and kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from networks import random_raw, small_network
from test_rtl import Design, designs_of, drawn
from test_rtl_sequence import designs as sequences

from codesign.campaign.store import Store
from codesign.engine.circuit import NO_BIT, UPSET
from codesign.errors import ConfigError, MismatchError, ReportError
from codesign.fixed import FixedPoint, Ints
from codesign.network import Layer, Network, Parameter, forward
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan
from codesign.resources.circuit import MappedCircuit, check_circuit, circuit_of
from codesign.resources.equivalence import VECTORS, mapped_circuit, vectors, verify
from codesign.resources.estimate import EstimatePolicy
from codesign.resources.mapping import FAMILIES, Family, map_modules
from codesign.resources.netlist import Cell, Netlist
from codesign.resources.rtl import Rtl
from codesign.resources.rtl.verilog import Writer
from codesign.resources.synthesis import Synthesis, synthesise
from codesign.resources.upset_space import UpsetSpace, owner_of
from codesign.resources.upsets import CLASSES, UpsetTarget

pytest.importorskip("pyosys", reason="Yosys is not installed: pip install 'codesign[yosys]'")


# DSPs are not simulated.
LOGIC = EstimatePolicy(dsp_min_bits=49)


@dataclass(frozen=True)
class Mapped:
    network: Network
    plan: ProtectionPlan
    synthesis: Synthesis

    @classmethod
    def of(cls, network: Network, plan: ProtectionPlan, family: Family = "xc7") -> "Mapped":
        return cls(network, plan, synthesise(network, plan, policy=LOGIC, family=family))

    def circuit(self, *, by_cycle: bool = False) -> MappedCircuit:
        return mapped_circuit(self.synthesis, self.network, self.plan, by_cycle=by_cycle)

    def inputs(self, count: int = 300) -> Ints:
        return random_raw(self.network.input_type, (count, self.network.n_in), np.random.default_rng(3))

    def target(self, **options: int) -> UpsetTarget:
        inputs = self.inputs()
        labels = forward(self.network, inputs)[-1].argmax(axis=1)
        return UpsetTarget(self.synthesis, self.network, self.plan, inputs, labels, **options)


def _perceptron() -> tuple[Network, ProtectionPlan]:
    """Two layers, the first in three copies, of the second some bits of one neuron in two."""
    network = small_network()
    names = [layer for _, layer in network.compute_layers()]
    first = LayerPlan(names[0].name, (names[0].acc.width,) * names[0].neurons)
    bits = (5, *(0,) * (names[1].neurons - 1))
    return network, ProtectionPlan((first, LayerPlan(names[1].name, bits, Mechanism.DMR)))


@pytest.fixture(scope="module")
def small() -> Mapped:
    return Mapped.of(*_perceptron())


# ---------------------------------------------------------------- the netlist is the network


def _equal(designs: Sequence[Design]) -> None:
    for number, (network, plan, _) in enumerate(designs):
        mapped = Mapped.of(network, plan, FAMILIES[number % 2])
        for by_cycle in (False, True):
            verify(mapped.circuit(by_cycle=by_cycle), network)


def test_some_mapped_designs_have_the_networks_integers() -> None:
    _equal(drawn(3))


@pytest.mark.slow
def test_many_mapped_designs_have_the_networks_integers() -> None:
    _equal(drawn(10)[3:])


@pytest.mark.slow
def test_many_mapped_sequences_have_the_networks_integers() -> None:
    """Convolutions, units in passes and units that recompute, cycle by cycle."""
    for strategy in (sequences(), sequences(reuse=True), sequences((Mechanism.RECOMPUTE,), reuse=True)):
        _equal(designs_of(strategy, 3))


def test_a_netlist_that_is_not_the_network_is_refused(small: Mapped) -> None:
    mapped = small.circuit()
    circuit, (output, *_) = mapped.circuit, mapped.circuit.outputs[:, 0]
    tables = circuit.tables.copy()
    tables[output - circuit.first_table] ^= np.uint64((1 << 64) - 1)
    wrong = replace(mapped, circuit=replace(circuit, tables=tables))
    with pytest.raises(MismatchError, match="here: output 0 of sample 0 is .* in the mapped netlist, "):
        check_circuit(wrong, small.network, small.inputs(), "here")


def test_vectors_have_the_ends_of_the_type_and_all_between() -> None:
    network = small_network()
    found = vectors(network)
    assert found.shape == (VECTORS, network.n_in)
    of = network.input_type
    assert found[:2].tolist() == [[end] * network.n_in for end in (of.min_raw, of.max_raw)]
    assert len(np.unique(found)) > min(100, (of.max_raw - of.min_raw) // 2)
    with pytest.raises(ConfigError, match="0 vectors"):
        vectors(network, 0)


@pytest.mark.parametrize("mechanism", [Mechanism.DMR, Mechanism.RECOMPUTE])
def test_units_used_several_times_are_followed_and_struck(mechanism: Mechanism) -> None:
    """What an upset does there shows in the same way: copies are voted or tell, the rest changes words."""
    generator, of = np.random.default_rng(3), FixedPoint(3, 1)
    weights, biases = (Parameter(random_raw(of, shape, generator), of) for shape in ((4, 2), (2,)))
    reuse, dot_size = (2, 0) if mechanism is Mechanism.DMR else (1, 2)
    layer = Layer.dense("fc", weights, biases, FixedPoint(8, 4), reuse_factor=reuse)
    network = Network("n", FixedPoint(3, 1), (layer,), (4,))
    plan = ProtectionPlan((LayerPlan("fc", (8, 8), mechanism, dot_size=dot_size),))
    mapped = Mapped.of(network, plan)
    target = mapped.target()
    assert target.cycles == mapped.synthesis.design.latency + 1
    (found,) = target.singles(2500).groups()
    told = found.classes["detected" if mechanism is Mechanism.DMR else "corrected"]
    assert told.mean > 0.02
    assert found.essential.mean > 0.05


def test_a_primitive_that_is_not_simulated_is_refused_by_its_path(small: Mapped) -> None:
    netlist = Netlist.of(small.synthesis.modules, small.synthesis.design.top.name)
    netlist.cells.append(Cell("layer_fc.n0.dsp", "DSP48E1", {"A": (0,)}, {"P": (1,)}))
    with pytest.raises(ReportError, match=r"'layer_fc\.n0\.dsp' is a DSP48E1, which is not simulated"):
        circuit_of(netlist, small.synthesis.design, small.network, small.plan)


def test_a_state_machine_is_followed_cycle_by_cycle() -> None:
    """x0 + x1 + x0 with one adder, which a counter feeds."""
    writer = Writer("top")
    writer.clock()
    for name, width in (("clear", 1), ("valid", 1), ("guard", 3), ("x", 8)):
        writer.input(name, width)
    writer.body += [
        "reg [1:0] step; reg [5:0] sum;",
        "wire [3:0] term = step == 2'd1 ? x[7:4] : x[3:0];",
        "always @(posedge clk) if (valid[0]) begin step <= 2'd1; sum <= {2'd0, x[3:0]}; end",
        "  else if (step != 2'd0 && step != 2'd3) begin step <= step + 2'd1; sum <= sum + {2'd0, term}; end",
    ]
    writer.output("y", 6, "sum")
    writer.output("ready", 1, "step == 2'd3")
    design = Rtl(writer.done("serial_top"), 3, 4, {}, {}, {}, {})
    four, six = FixedPoint(4, 4, signed=False), FixedPoint(6, 6, signed=False)
    weight = Parameter(np.array([[2], [1]]), FixedPoint(3, 3, signed=False))
    network = Network("serial", four, (Layer.dense("fc", weight, Parameter(np.zeros(1, int), four), six),), (2,))
    netlist = Netlist.of(map_modules(design.top.every()), design.top.name)
    mapped = circuit_of(netlist, design, network, ProtectionPlan())
    assert (mapped.cycles, len(mapped.circuit.data)) == (4, 8)
    every = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 2)
    simulator = check_circuit(mapped, network, every, "serial")
    # The counter struck in its second step: it stops without an answer, or a term is missing in it.
    upsets = np.array([(place.value, NO_BIT, 2, 7) for place in mapped.registers], UPSET)
    rows = simulator.run(upsets, np.zeros(len(every), np.int64))
    assert rows["lost"].sum() == 1
    assert (rows["changed"] == 1).all()


# ---------------------------------------------------------------- upsets


def test_an_upset_does_the_same_in_a_pipeline_and_cycle_by_cycle(small: Mapped) -> None:
    """A register of a pipeline holds a sample in one cycle; struck in another, it does the sample nothing."""
    inputs, labels = small.inputs(70), np.zeros(70, np.int64)
    stream, by_cycle = small.circuit(), small.circuit(by_cycle=True)
    assert (stream.cycles, by_cycle.cycles) == (1, small.synthesis.design.latency + 1)
    fast, slow = stream.simulator(inputs), by_cycle.simulator(inputs)
    generator, columns = np.random.default_rng(0), ["changed", "sdc1", "correct"]
    for kind in ("luts", "registers"):
        places = [
            p for p in zip(getattr(stream, kind), getattr(by_cycle, kind), strict=True) if "status" not in p[0].path
        ]
        for k in generator.choice(len(places), 150):
            here, there = places[k]
            assert here.path == there.path
            bit = int(generator.integers(here.bits)) if kind == "luts" else NO_BIT
            sample = int(generator.integers(70)) if kind == "registers" else 0
            moments = range(by_cycle.cycles) if kind == "registers" else range(1)
            wanted = fast.run(np.array([(here.value, bit, 0, sample)], UPSET), labels)[columns]
            rows = slow.run(np.array([(there.value, bit, cycle, sample) for cycle in moments], UPSET), labels)[columns]
            quiet = slow.run([np.zeros(0, UPSET)], labels)[columns]
            assert sum(row != quiet[0] for row in rows) == int(wanted[0] != quiet[0]), here.path
            assert wanted[0] in rows


def test_upsets_in_copies_change_no_answer(small: Mapped) -> None:
    target = small.target()
    found = target.singles(target.space.size)
    groups = {(g.layer, g.cause, g.kind): g for g in found.groups(layer=True, cause=True, kind=True)}
    first, second = (layer.name for _, layer in small.network.compute_layers())
    for kind in ("lut", "ff"):
        copies = groups[first, "replicas", kind]
        assert copies.drawn == copies.bits
        assert copies.essential.mean == copies.essential.high == 0.0
        assert copies.classes["corrected"].mean > 0.3
    assert groups[second, "replicas", "lut"].classes["detected"].mean > 0.1
    assert groups[second, "function", "lut"].classes["silent"].mean > 0.01
    (everything,) = found.groups()
    assert everything.bits == everything.drawn == target.space.size
    assert sum(everything.classes[name].mean for name in CLASSES) == pytest.approx(1)


def test_some_upsets_tell_what_all_of_them_do(small: Mapped) -> None:
    target = small.target(seed=5)
    (every,), (some,) = target.singles(target.space.size).groups(), target.singles(1500, 0.999).groups()
    assert some.drawn < every.drawn
    assert some.essential.low <= every.essential.mean <= some.essential.high
    for name in CLASSES:
        assert some.classes[name].low <= every.classes[name].mean <= some.classes[name].high


def test_every_bit_is_in_one_stratum_and_has_one_upset(small: Mapped) -> None:
    mapped = small.circuit()
    space = UpsetSpace(mapped, 300)
    strata = space.strata()
    numbers = np.sort(np.concatenate([one.numbers(np.arange(one.size)) for one in strata]))
    assert numbers.tolist() == list(range(space.size))
    upsets = space.upsets(numbers, numbers * 0 + 7)
    assert len(np.unique(upsets)) == space.size
    stored = upsets["bit"] != NO_BIT
    assert stored.sum() == space.lut_bits == sum(place.bits for place in mapped.luts)
    assert (upsets["sample"] == np.where(stored, 0, 7)).all()
    layer = small.network.layers[0]
    assert {key for key in space.neurons() if key[0] == layer.name} == {(layer.name, j) for j in range(layer.neurons)}


def test_a_design_of_wires_has_nothing_to_upset() -> None:
    of = FixedPoint(3, 3)
    layer = Layer.dense("fc", Parameter(np.zeros((1, 1), int), of), Parameter(np.zeros(1, int), of), of)
    nothing = Network("nothing", of, (layer,), (1,))
    with pytest.raises(ConfigError, match="nothing to upset"):
        Mapped.of(nothing, ProtectionPlan()).target()


def test_owners() -> None:
    assert owner_of("layer_fc.n3_copy1.$abc$12$auto$x.cc:1", "lut") == ("fc", 3, "replicas", "lut")
    assert owner_of("layer_fc.n3_copy0.$abc$12$auto$x.cc:1", "lut") == ("fc", 3, "function", "lut")
    assert owner_of("layer_fc.n12_voter.$abc$1", "lut") == ("fc", 12, "voters", "lut")
    assert owner_of("layer_fc.$auto$ff.cc:2_status", "ff") == ("fc", None, "function", "ff")
    assert owner_of("layer_fc.status.$auto$ff.cc:2", "ff") == ("fc", None, "status", "ff")
    assert owner_of("$auto$ff.cc:2", "ff") == ("", None, "function", "ff")


def test_trials_are_those_of_the_seed(small: Mapped) -> None:
    space, other = (UpsetSpace(small.circuit(), 300, seed) for seed in (1, 2))
    drawn_, again = space.draw(1e-2, 4), UpsetSpace(small.circuit(), 300, 1).draw(1e-2, 4)
    assert drawn_.tolist() == again.tolist()
    assert drawn_.tolist() != space.draw(1e-2, 5).tolist() != other.draw(1e-2, 5).tolist()
    expected, spread = 1e-2 * space.size, np.sqrt(1e-2 * space.size)
    sizes = [len(space.draw(1e-2, trial)) for trial in range(40)]
    assert abs(np.mean(sizes) - expected) < 5 * spread / np.sqrt(40)
    assert len(space.draw(0.0, 0)) == 0
    assert len(space.draw(1.0, 0)) == space.size


def test_finished_trials_are_kept(small: Mapped, tmp_path: Path) -> None:
    plain = small.target().at_rate(1e-3, 60)
    with Store(tmp_path / "study.sqlite") as store:
        assert small.target().at_rate(1e-3, 25, store=store).counts.tolist() == plain.counts[:25].tolist()
        target, told = small.target(), []
        target.run = None  # type: ignore[assignment, method-assign]
        assert target.at_rate(1e-3, 25, store=store, progress=told.append).counts.tolist() == plain.counts[:25].tolist()
        assert told == [25]
        assert small.target().at_rate(1e-3, 60, store=store).counts.tolist() == plain.counts.tolist()
        other = small.target(seed=1).at_rate(1e-3, 60, store=store)
    assert other.counts.tolist() != plain.counts.tolist()
    assert plain.accuracy.mean < plain.accuracy_clean == 1.0


@pytest.mark.parametrize(("rate", "trials", "error"), [(-0.1, 1, "upset rate -0.1"), (0.1, 0, "0 trials")])
def test_rates_and_trials_that_cannot_be(small: Mapped, rate: float, trials: int, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        small.target().at_rate(rate, trials)
