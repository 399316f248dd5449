"""No single fault within the hardened bits of one copy leaves its neuron: every site of several networks, counted.

Every site is struck in a sample of its own, with inputs of its own, so that thousands are simulated in one run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from networks import mixed_network, mixed_plan, random_raw

from codesign.codes import Code
from codesign.engine.fast import EngineSimulator
from codesign.engine.reference import ReferenceSimulator
from codesign.faults import ALL_SAMPLES, FaultArray, FaultModel, FaultSpace, Target
from codesign.fixed import FixedPoint, Ints, Overflow, Rounding
from codesign.network import Layer, Network, Parameter
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

# Sites struck in one run: bounds the memory.
BATCH = 4096


@dataclass(frozen=True)
class Case:
    name: str
    network: Network
    plan: ProtectionPlan


def digits_network(*, saturating: bool = False, sign_dependent: bool = False) -> Network:
    """A small network for digits: 8x8 images, a convolution, pooling, and ten classes."""
    generator = np.random.default_rng(7)
    weights, biases, inputs = FixedPoint(5, 2), FixedPoint(6, 3), FixedPoint(4, 0, signed=False)
    hidden = FixedPoint(6, 3, False, Rounding.RND, Overflow.SAT)
    rounding = Rounding.RND_ZERO if sign_dependent else Rounding.RND
    accumulator = FixedPoint(12, 5, True, rounding, Overflow.SAT if saturating else Overflow.WRAP)

    def parameter(of: FixedPoint, *sizes: int) -> Parameter:
        return Parameter(random_raw(of, sizes, generator), of)

    layers = (
        Layer.conv(
            "conv", (8, 8, 1), parameter(weights, 3, 3, 1, 4), parameter(biases, 4), accumulator, reuse_factor=3
        ),
        Layer.relu("relu", (6, 6, 4), hidden),
        Layer.max_pool("pool", (6, 6, 4), (2, 2), hidden),
        Layer.dense("fc", parameter(weights, 36, 10), parameter(biases, 10), FixedPoint(15, 8), reuse_factor=4),
    )
    return Network("digits", inputs, layers)


TMR, RECOMPUTE = Mechanism.TMR, Mechanism.RECOMPUTE


def digits_plan(
    conv: tuple[int, ...],
    fc: int,
    mechanism: Mechanism = TMR,
    scope: Scope = Scope.ADDER,
    sizes: tuple[int, int] = (0, 0),
) -> ProtectionPlan:
    first = LayerPlan("conv", conv, mechanism, scope, sizes[0])
    return ProtectionPlan((first, LayerPlan("fc", (fc,) * 10, mechanism, scope, sizes[1])))


CASES = [
    Case("graph, adders", mixed_network(), mixed_plan(TMR)),
    Case("graph, multipliers too", mixed_network(), mixed_plan(TMR, scope=Scope.MAC)),
    Case("graph, computed again", mixed_network(), mixed_plan(RECOMPUTE)),
    Case("digits, all adders", digits_network(), digits_plan((12,) * 4, 15)),
    Case("digits, some multipliers", digits_network(), digits_plan((12, 4, 0, 7), 6, TMR, Scope.MAC)),
    Case("digits, computed again", digits_network(), digits_plan((12, 4, 0, 7), 6, RECOMPUTE, sizes=(4, 11))),
    Case("digits, saturating", digits_network(saturating=True), digits_plan((12, 0, 12, 12), 3, TMR, Scope.MAC)),
    Case("digits, rounding by sign", digits_network(sign_dependent=True), digits_plan((12,) * 4, 0, TMR, Scope.MAC)),
]


def every(case: Case, target: Target) -> FaultArray:
    """All bits of a target that one sample can be struck in."""
    return FaultSpace(case.network, case.plan, FaultModel((target,), ber=1.0), 1).draw(0)


def cuts(case: Case, index: int) -> Ints:
    layer = case.network.layers[index]
    return layer.acc.width - np.array(case.plan.of_layer(layer).hardened_bits, np.int64)


def hardened(case: Case) -> FaultArray:
    """Bits of adders from the cut up, and of the products that lead to them and only to one copy."""
    found = []
    for index, layer in case.network.compute_layers():
        place, cut = case.plan.of_layer(layer), cuts(case, index)
        again = place.mechanism is RECOMPUTE
        adders = every(case, Target.ACCUMULATOR)
        adders = adders[adders["layer"] == index]
        found.append(adders[(adders["bit"] >= cut[adders["neuron"]]) | (again & (adders["replica"] > 0))])
        if layer.has_weights and (again or place.scope is Scope.MAC):
            products = every(case, Target.PRODUCT)
            products = products[products["layer"] == index]
            own = cut[products["neuron"]]
            dropped = case.network.input_of(index).frac + layer.w.type.frac - layer.acc.frac
            above = (own == 0) | ((products["bit"] >= own + dropped) & (own < layer.acc.width))
            found.append(products[above | (products["replica"] > 0)])
    return np.concatenate(found)


def batches(sites: FaultArray) -> Iterator[FaultArray]:
    """Pieces in which site i strikes sample i."""
    for begin in range(0, len(sites), BATCH):
        piece = sites[begin : begin + BATCH].copy()
        piece["sample"] = np.arange(len(piece))
        yield piece


def inputs_of(network: Network, count: int) -> Ints:
    return random_raw(network.input_type, (count, network.n_in), np.random.default_rng(21))


def changing(case: Case, plan: ProtectionPlan, sites: FaultArray) -> FaultArray:
    """The sites whose fault changes the logits."""
    opened = EngineSimulator(case.network, plan, inputs_of(case.network, BATCH))
    found = [piece[(opened.run(piece) != opened.golden).any(axis=1)[: len(piece)]] for piece in batches(sites)]
    return np.concatenate(found)


# ---------------------------------------------------------------- transients


def test_no_single_fault_in_hardened_bits_escapes() -> None:
    """Exhaustive: every bit, copy, adder, multiplier, pass and pixel of eight networks with their plans."""
    counted = 0
    for case in CASES:
        sites = hardened(case)
        assert not len(escaped := changing(case, case.plan, sites)), (case.name, escaped[:3])
        counted += len(sites)
    print(f"{counted} sites, no escape")
    assert counted == 416_510  # another number means that other bits exist, or count as hardened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_faults_in_the_unprotected_network_change_outputs(case: Case) -> None:
    """In every layer and target many do, so the test above can fail."""
    sites = hardened(case)
    sites = sites[sites["replica"] == 0]
    found = changing(case, ProtectionPlan(), sites)
    for index, target in {(int(site["layer"]), int(site["target"])) for site in sites}:
        struck, changed = (((x["layer"] == index) & (x["target"] == target)).sum() for x in (sites, found))
        assert changed > struck / 6, (index, target)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_reference_lets_none_escape_either(case: Case) -> None:
    """A sample of the sites, in one run of the slow simulator."""
    sites = hardened(case)
    sites = next(batches(sites[np.random.default_rng(3).permutation(len(sites))[:300]]))
    opened = ReferenceSimulator(case.network, case.plan, inputs_of(case.network, len(sites)))
    flagged, golden = opened.run_flagged(sites), opened.run(sites[:0])
    assert flagged.logits.tolist() == golden.tolist()
    assert not flagged.detected.any() and flagged.corrected.any()


@pytest.mark.parametrize("name", ["graph, adders", "digits, all adders"])
def test_the_same_bit_in_two_copies_escapes(name: str) -> None:
    """Two faults are beyond a vote of three."""
    case = next(case for case in CASES if case.name == name)
    sites = hardened(case)
    first = next(batches(sites[sites["replica"] == 0][::7]))
    second = first.copy()
    second["replica"] = 2
    opened = EngineSimulator(case.network, case.plan, inputs_of(case.network, len(first)))
    alone = EngineSimulator(case.network, ProtectionPlan(), inputs_of(case.network, len(first)))
    struck = opened.run(np.concatenate([first, second]))
    assert struck.tolist() == alone.run(first).tolist()
    assert (struck != opened.golden).any(axis=1).mean() > 0.2


# ---------------------------------------------------------------- two copies


def test_no_single_fault_in_two_copies_is_silent() -> None:
    """Every hardened bit of a graph whose neurons have two copies: a changed output comes with a flag."""
    case = Case("graph, two copies", mixed_network(), mixed_plan(Mechanism.DMR, scope=Scope.MAC))
    sites, counted, silent, changed = hardened(case), 0, 0, 0
    for piece in batches(sites):
        opened = ReferenceSimulator(case.network, case.plan, inputs_of(case.network, len(piece)))
        golden, flagged = opened.run(piece[:0]), opened.run_flagged(piece)
        differs = (flagged.logits != golden).any(axis=1)
        changed += int(differs.sum())
        silent += int((differs & ~flagged.detected.any(axis=1)).sum())
        counted += len(piece)
    print(f"{counted} sites, {changed} change outputs, {silent} silently")
    assert (counted > 10_000, changed > 1000, silent) == (True, True, 0)


# ---------------------------------------------------------------- stored parameters


@pytest.mark.parametrize("code", [Code.TMR, Code.ECC])
def test_no_single_fault_in_stored_parameters_escapes(code: Code) -> None:
    """Every bit of every stored word of weights and biases, check bits included."""
    case = Case("stored", mixed_network(), mixed_plan(TMR, code))
    opened = EngineSimulator(case.network, case.plan, inputs_of(case.network, 3))
    coded = [i for i, x in case.network.compute_layers() if case.plan.of_layer(x).parameters is code]
    sites = np.concatenate([every(case, target) for target in (Target.WEIGHT, Target.BIAS)])
    sites = sites[np.isin(sites["layer"], coded)]
    assert (sites["sample"] == ALL_SAMPLES).all() and len(sites) > 900
    escaped = [k for k in range(len(sites)) if (opened.run(sites[k : k + 1]) != opened.golden).any()]
    assert not escaped, sites[escaped[:3]]
    plain = EngineSimulator(case.network, ProtectionPlan(), inputs_of(case.network, 3))
    data = sites[(sites["replica"] == 0) & (sites["bit"] < 5)][::5]
    assert np.mean([(plain.run(data[k : k + 1]) != plain.golden).any() for k in range(len(data))]) > 0.5
