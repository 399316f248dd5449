"""Faults: draws that do not depend on anything but seed and trial, and that have the right statistics.

All statistical tests have fixed seeds: they give the same answer each time. Their thresholds are the
1e-4 tails of the right distribution, so a wrong generator fails and a right one was not lucky.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import mixed_network, mixed_plan, networks, plans, small_network
from scipy import stats

from codesign.codes import Code
from codesign.errors import ConfigError
from codesign.faults import (
    ALL_SAMPLES,
    ALL_STEPS,
    FAULT,
    FIELDS,
    UNIT,
    FaultArray,
    FaultModel,
    FaultSite,
    FaultSpace,
    Lifetime,
    Target,
    below,
    fault_array,
    log_reproducible,
    philox,
)
from codesign.network import Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan

EVERYTHING = tuple(Target)
TAIL = 1e-4
SAMPLES = 4


def space(model: FaultModel, plan: ProtectionPlan | None = None, samples: int = SAMPLES) -> FaultSpace:
    return FaultSpace(small_network(), plan or ProtectionPlan(), model, samples)


def rows(faults: FaultArray) -> list[tuple[int, ...]]:
    return [tuple(int(v) for v in fault) for fault in faults]


STORED = (Target.WEIGHT, Target.BIAS)
# Wiring moves values and holds none; the rest has a register behind it.
WIRING = ("concatenate", "reshape", "pad", "upsample")


def stored_bits(code: str, width: int) -> int:
    """Bits of a stored word: one of parity, or Hamming's 2**r >= data + r + 1 and the parity of all."""
    if code != "ecc":
        return width + (code == "parity")
    checks = 2
    while 2**checks < width + checks + 1:
        checks += 1
    return width + checks + 1


def of_one_replica(
    network: Network, index: int, plan: LayerPlan, target: Target, replica: int, neuron: int
) -> tuple[int, int, range]:
    """Places, uses in one sample, and bits of one neuron's replica; no bits where there is no such thing."""
    layer, nothing = network.layers[index], (0, 0, range(0))
    if target is Target.ACTIVATION:
        return (1, layer.pixels, range(layer.result.width)) if layer.kind not in WIRING and not replica else nothing
    if layer.kind not in ("dense", "conv", "depthwise", "batchnorm", "add"):
        return nothing
    if layer.kind == "add" and target not in (Target.ACCUMULATOR, Target.VOTER):
        return nothing
    if target in STORED:
        exists = not replica or plan.parameters == "tmr"
        of, places = (layer.w.type, layer.fan_in) if target is Target.WEIGHT else (layer.b.type, 1)
        return (places, 1, range(stored_bits(plan.parameters, of.width))) if exists else nothing
    hardened, width = plan.hardened_bits[neuron], layer.acc.width
    if target is Target.VOTER:
        return (1, layer.pixels, range(width - hardened, width)) if not replica else nothing
    if replica and (not hardened or (replica == 2 and plan.mechanism == "dmr")):
        return nothing
    return of_operation(network, index, plan, target, replica, hardened)


def of_operation(
    network: Network, index: int, plan: LayerPlan, target: Target, replica: int, hardened: int
) -> tuple[int, int, range]:
    """The same of multipliers and adders, where the neuron has this replica."""
    layer = network.layers[index]
    width = layer.acc.width
    own = (layer.fan_in // layer.reuse_factor, layer.pixels * layer.reuse_factor)
    if target is Target.PRODUCT:
        width = network.input_types(index)[0].width + layer.w.type.width
    if not replica:
        return *own, range(width)
    if plan.mechanism == "recompute":
        return plan.dot_size, layer.pixels * math.ceil(layer.fan_in / plan.dot_size), range(width)
    if target is Target.ACCUMULATOR:
        return *own, range(width - hardened, width)
    return (*own, range(width)) if plan.scope == "mac" else (0, 0, range(0))


def of_segment(
    network: Network, index: int, plan: LayerPlan, target: Target, replica: int, lifetime: Lifetime, samples: int
) -> list[tuple[int, ...]]:
    """Every bit of a layer's target and replica in the order of their numbers, by loops in plain sight."""
    whole_trial = target in STORED or lifetime is Lifetime.PERSISTENT
    neurons = range(network.layers[index].neurons)
    found = {n: of_one_replica(network, index, plan, target, replica, n) for n in neurons}
    if whole_trial and replica and plan.mechanism == "recompute" and target not in STORED:
        # One shared unit for all neurons and for both times: it breaks once.
        found = {UNIT: next((v for v in found.values() if v[2]), (0, 0, range(0)))} if replica == 1 else {}
    uses = max((steps for _, steps, _ in found.values()), default=0)
    times = [(-1, -1)] if whole_trial else list(itertools.product(range(samples), range(uses)))
    return [
        (index, target, neuron, position, replica, bit, sample, step)
        for sample, step in times
        for neuron, (positions, _, bits) in found.items()
        for position in range(positions)
        for bit in bits
    ]


def segments(
    network: Network, plan: ProtectionPlan, model: FaultModel, samples: int
) -> Iterator[tuple[int, list[tuple[int, ...]]]]:
    """The bits of each random stream: targets, then layers, then replicas."""
    for target in model.targets:
        for index, layer in enumerate(network.layers):
            for replica in range(3):
                stream = int(target) << 32 | index << 8 | replica
                yield (
                    stream,
                    of_segment(network, index, plan.of_layer(layer), target, replica, model.lifetime, samples),
                )


def existing(network: Network, plan: ProtectionPlan, model: FaultModel, samples: int) -> list[tuple[int, ...]]:
    """Every bit that a fault model can strike."""
    return [row for _, found in segments(network, plan, model, samples) for row in found]


@st.composite
def spaces(draw: st.DrawFn) -> tuple[Network, ProtectionPlan, FaultModel, int]:
    network = draw(networks(max_layers=3))
    targets = draw(st.sets(st.sampled_from(Target), min_size=1))
    model = FaultModel(
        tuple(targets), ber=1.0, lifetime=draw(st.sampled_from(Lifetime)), seed=draw(st.integers(0, 2**63 - 1))
    )
    return network, draw(plans(network)), model, draw(st.integers(1, 2))


# ---------------------------------------------------------------- which bits exist


@settings(max_examples=30)
@given(spaces())
def test_at_ber_1_every_bit_that_exists_is_struck_once(case: tuple[Network, ProtectionPlan, FaultModel, int]) -> None:
    network, plan, model, samples = case
    drawn_from = FaultSpace(network, plan, model, samples)
    struck = rows(drawn_from.draw(0))
    assert len(struck) == len(set(struck)) == drawn_from.size
    assert struck == existing(network, plan, model, samples)


@settings(max_examples=30)
@given(spaces())
def test_at_ber_0_nothing_is_struck(case: tuple[Network, ProtectionPlan, FaultModel, int]) -> None:
    network, plan, model, samples = case
    silent = FaultModel(model.targets, ber=0.0, lifetime=model.lifetime, seed=model.seed)
    drawn = FaultSpace(network, plan, silent, samples).draw(0)
    assert drawn.shape == (0,) and drawn.dtype == FAULT


@settings(max_examples=30)
@given(spaces(), st.data())
def test_n_flips_strikes_that_many_different_existing_bits(
    case: tuple[Network, ProtectionPlan, FaultModel, int], data: st.DataObject
) -> None:
    network, plan, model, samples = case
    available = set(existing(network, plan, model, samples))
    assume(available)
    count = data.draw(st.integers(1, min(40, len(available))))
    exact = FaultModel(model.targets, n_flips=count, lifetime=model.lifetime, seed=model.seed)
    struck = rows(FaultSpace(network, plan, exact, samples).draw(data.draw(st.integers(0, 2**40))))
    assert len(struck) == len(set(struck)) == count
    assert set(struck) <= available


def test_n_flips_of_all_bits_is_all_bits() -> None:
    total = space(FaultModel((Target.BIAS,), ber=0.5)).size
    drawn = space(FaultModel((Target.BIAS,), n_flips=total)).draw(3)
    assert set(rows(drawn)) == set(rows(space(FaultModel((Target.BIAS,), ber=1.0)).draw(3)))
    with pytest.raises(ConfigError, match=f"only {total} bits"):
        space(FaultModel((Target.BIAS,), n_flips=total + 1)).draw(0)


def test_persistent_faults_strike_all_samples_and_transient_ones_a_single_one() -> None:
    for lifetime in Lifetime:
        drawn = space(FaultModel(EVERYTHING, ber=0.05, lifetime=lifetime)).draw(0)
        stored = np.isin(drawn["target"], STORED)
        assert stored.any() and not stored.all()
        assert (drawn["sample"][stored] == ALL_SAMPLES).all() and (drawn["step"][stored] == ALL_STEPS).all()
        if lifetime is Lifetime.PERSISTENT:
            assert (drawn["sample"] == ALL_SAMPLES).all() and (drawn["step"] == ALL_STEPS).all()
        else:
            assert set(drawn["sample"][~stored]) == set(range(SAMPLES)) and set(drawn["step"][~stored]) == {0}


# ---------------------------------------------------------------- seeds and trials


@pytest.mark.parametrize("amount", [{"ber": 0.01}, {"n_flips": 9}], ids=["ber", "n_flips"])
def test_a_trial_does_not_depend_on_what_was_drawn_before(amount: dict[str, float]) -> None:
    model = FaultModel(EVERYTHING, **amount, seed=5)  # type: ignore[arg-type]
    one, other = space(model), space(model)
    forwards = [rows(one.draw(trial)) for trial in range(20)]
    backwards = [rows(other.draw(trial)) for trial in reversed(range(20))][::-1]
    assert forwards == backwards == [rows(space(model).draw(trial)) for trial in range(20)]
    assert len({tuple(trial) for trial in forwards}) == 20


@pytest.mark.parametrize("amount", [{"ber": 0.01}, {"n_flips": 9}], ids=["ber", "n_flips"])
def test_seeds_differ(amount: dict[str, float]) -> None:
    drawn = {tuple(rows(space(FaultModel(EVERYTHING, **amount, seed=s)).draw(0))) for s in (*range(20), 2**63 - 1)}  # type: ignore[arg-type]
    assert len(drawn) == 21


def test_targets_and_layers_are_drawn_from_different_streams() -> None:
    """Otherwise the same bit numbers would be struck in each of them."""
    drawn = space(FaultModel(EVERYTHING, ber=0.02), ProtectionPlan.full(small_network()), 50)
    faults = drawn.draw(0)
    streams = {
        tuple(faults[(faults["layer"] == i) & (faults["target"] == t) & (faults["replica"] == r)]["bit"][:12])
        for i, t, r in itertools.product((0, 2), (Target.ACCUMULATOR,), range(3))
    }
    assert len(streams) == 6


@settings(max_examples=30)
@given(spaces(), st.floats(0.01, 0.3))
def test_what_exists_once_is_struck_alike_whatever_the_plan(
    case: tuple[Network, ProtectionPlan, FaultModel, int], ber: float
) -> None:
    """Common random numbers: plans are compared under the same faults, and more copies only add some."""
    network, plan, model, samples = case
    # A code adds bits to the stored words themselves.
    plan = ProtectionPlan(tuple(replace(layer, parameters=Code.NONE) for layer in plan.layers))
    model = FaultModel(model.targets, ber=ber, lifetime=model.lifetime, seed=model.seed)
    shared = []
    for chosen in (ProtectionPlan(), plan, ProtectionPlan.full(network)):
        drawn = FaultSpace(network, chosen, model, samples).draw(1)
        # Voters are there only where the plan has some.
        shared.append(rows(drawn[(drawn["replica"] == 0) & (drawn["target"] != Target.VOTER)]))
    assert shared[0] == shared[1] == shared[2]


def test_samples_that_come_first_do_not_depend_on_how_many_follow() -> None:
    model = FaultModel((Target.ACCUMULATOR,), ber=0.01, seed=2)
    few, many = space(model, samples=5).draw(0), space(model, samples=50).draw(0)
    assert len(few) and rows(few) == rows(many[many["sample"] < 5])


# ---------------------------------------------------------------- statistics


def pooled(model: FaultModel, trials: int, plan: ProtectionPlan | None = None) -> FaultArray:
    drawn_from = space(model, plan)
    return np.concatenate([drawn_from.draw(trial) for trial in range(trials)])


@pytest.mark.parametrize("amount", [{"ber": 0.02}, {"n_flips": 60}], ids=["ber", "n_flips"])
@pytest.mark.parametrize("field", ["neuron", "position", "replica", "bit", "sample", "layer"])
def test_every_bit_is_as_likely_as_any_other(amount: dict[str, float], field: str) -> None:
    """Chi-square of each coordinate, and of whole sites, against the number of bits that share it."""
    plan = ProtectionPlan.uniform(small_network(), 6)
    model = FaultModel((Target.ACCUMULATOR, Target.WEIGHT), **amount, seed=31)  # type: ignore[arg-type]
    struck = pooled(model, 150, plan)
    bits = space(FaultModel(model.targets, ber=1.0), plan).draw(0)
    values, weights = np.unique(bits[field], return_counts=True)
    seen = np.array([(struck[field] == v).sum() for v in values])
    assert seen.sum() == len(struck) > 3000
    assert stats.chisquare(seen, weights / weights.sum() * len(struck)).pvalue > TAIL


@pytest.mark.parametrize("lifetime", Lifetime)
def test_every_bit_of_a_graph_is_as_likely_as_any_other(lifetime: Lifetime) -> None:
    """The same where units are used in several steps, shared or not, and words are stored with a code."""
    network, plan = mixed_network(), mixed_plan(Mechanism.RECOMPUTE, Code.ECC)
    model = FaultModel(EVERYTHING, ber=0.02, lifetime=lifetime, seed=32)
    drawn_from = FaultSpace(network, plan, model, 1)
    struck = np.concatenate([drawn_from.draw(trial) for trial in range(40 if lifetime is Lifetime.TRANSIENT else 200)])
    bits = FaultSpace(network, plan, FaultModel(EVERYTHING, ber=1.0, lifetime=lifetime), 1).draw(0)
    for field in FIELDS:
        values, weights = np.unique(bits[field], return_counts=True)
        seen = np.array([(struck[field] == v).sum() for v in values])
        assert seen.sum() == len(struck) > 3000
        if len(values) > 1:
            assert stats.chisquare(seen, weights / weights.sum() * len(struck)).pvalue > TAIL


def test_every_single_site_is_as_likely_as_any_other() -> None:
    model = FaultModel((Target.WEIGHT, Target.BIAS), n_flips=1, seed=8)
    sites = dict.fromkeys(rows(space(FaultModel(model.targets, ber=1.0)).draw(0)), 0)
    drawn_from = space(model)
    for trial in range(10 * len(sites)):
        sites[rows(drawn_from.draw(trial))[0]] += 1
    assert stats.chisquare(list(sites.values())).pvalue > TAIL


@pytest.mark.parametrize("ber", [0.3, 0.01, 3e-3, 1e-4])
def test_the_number_of_faults_is_binomial(ber: float) -> None:
    trials, drawn_from = 1000, space(FaultModel((Target.ACCUMULATOR,), ber=ber, seed=4), samples=10)
    counts = np.array([len(drawn_from.draw(trial)) for trial in range(trials)])
    n, expected = drawn_from.size, drawn_from.size * ber
    assert n == 10 * (6 * 5 * 14 + 5 * 3 * 15)
    low, high = stats.binom.ppf([TAIL / 2, 1 - TAIL / 2], n * trials, ber)
    assert low <= counts.sum() <= high
    # The variance: index of dispersion against chi-square (binomials this wide are near enough to normal,
    # or, when rare, to Poisson with a mean of several).
    dispersion = ((counts - expected) ** 2).sum() / (expected * (1 - ber))
    low, high = stats.chi2.ppf([TAIL / 2, 1 - TAIL / 2], trials) if expected > 5 else (0.8 * trials, 1.3 * trials)
    assert low <= dispersion <= high


def test_gaps_are_geometric() -> None:
    """Neighbouring bits are struck independently: the gap of zero, one, two ... bits follows the law."""
    ber, drawn_from = 0.2, space(FaultModel((Target.ACCUMULATOR,), ber=0.2, seed=12), samples=40)
    order = {
        row: number
        for number, row in enumerate(rows(space(FaultModel((Target.ACCUMULATOR,), ber=1.0), samples=40).draw(0)))
    }
    gaps: list[int] = []
    for trial in range(5):
        first_layer = [order[row] for row in rows(drawn_from.draw(trial)) if row[0] == 0]
        gaps += np.diff(first_layer).tolist()
    seen = np.bincount(np.minimum(gaps, 20), minlength=21)[1:]
    law = [ber * (1 - ber) ** k for k in range(19)] + [(1 - ber) ** 19]
    assert stats.chisquare(seen, np.array(law) * len(gaps)).pvalue > TAIL


# ---------------------------------------------------------------- another implementation of the draw

MASK = 2**64 - 1


def philox_4x64(counter: list[int], key: list[int]) -> list[int]:
    """Ten rounds of Philox 4x64 (Salmon et al., SC 2011), in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(second >> 64) ^ c[1] ^ k[0], second & MASK, (first >> 64) ^ c[3] ^ k[1], first & MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return c


def words(seed: int, trial: int, stream: int) -> Iterator[int]:
    """The stream of a segment: blocks are counted from one in counter word 0, the stream is word 1."""
    for block in itertools.count(1):
        yield from philox_4x64([block, stream, 0, 0], [seed, trial])


def test_philox_gives_the_published_vectors() -> None:
    """Known answers of the reference implementation (Random123, kat_vectors)."""
    zero = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox_4x64([0] * 4, [0] * 2) == zero
    ones = [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]
    assert philox_4x64([MASK] * 4, [MASK] * 2) == ones


def plain_log(x: float) -> float:
    """`log_reproducible` on one number, by the same IEEE operations."""
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa, exponent = mantissa * 2.0, exponent - 1
    z = (mantissa - 1.0) / (mantissa + 1.0)
    square, series = z * z, 0.0
    for power in (15, 13, 11, 9, 7, 5, 3, 1):
        series = series * square + 1.0 / power
    return exponent * 0.6931471805599453 + 2.0 * z * series


def plain_log_complement(p: float) -> float:
    if p > 0.01:
        return plain_log(1.0 - p)
    series = 0.0
    for power in range(10, 0, -1):
        series = series * p + 1.0 / power
    return -series * p


def plain_bernoulli(source: Iterator[int], p: float, size: int) -> Iterator[int]:
    """Numbers below `size` by geometric gaps, a word each."""
    scale, last = 1.0 / plain_log_complement(p), -1
    while True:
        uniform = ((next(source) >> 11) + 0.5) * 2.0**-53
        last += int(min(math.floor(plain_log(uniform) * scale), size)) + 1
        if last >= size:
            return
        yield last


def plain_draw(
    network: Network, plan: ProtectionPlan, model: FaultModel, samples: int, trial: int
) -> list[tuple[int, ...]]:
    """A trial of a BER model in plain Python: targets, layers, replicas, samples, steps, neurons, positions, bits."""
    found = []
    assert model.ber is not None
    for stream, bits in segments(network, plan, model, samples):
        if bits:
            found += [bits[n] for n in plain_bernoulli(words(model.seed, trial, stream), model.ber, len(bits))]
    return found


@pytest.mark.parametrize("lifetime", Lifetime)
@pytest.mark.parametrize("ber", [0.5, 0.02, 1e-3])
@pytest.mark.parametrize(("seed", "trial"), [(0, 0), (1, 77), (2**63 - 1, 2**31)])
def test_the_draw_can_be_reproduced_from_its_description(lifetime: Lifetime, ber: float, seed: int, trial: int) -> None:
    plan = ProtectionPlan.of(small_network(), {"fc0": np.array([0, 14, 3, 0, 7]), "fc1": np.array([2, 0, 15])})
    model = FaultModel(EVERYTHING, ber=ber, lifetime=lifetime, seed=seed)
    ours = rows(space(model, plan).draw(trial))
    assert ours == plain_draw(small_network(), plan, model, SAMPLES, trial)
    assert len(ours) > 0 or ber < 0.01


@pytest.mark.parametrize("lifetime", Lifetime)
@pytest.mark.parametrize("mechanism", Mechanism)
def test_the_draw_of_a_graph_can_be_reproduced_from_its_description(lifetime: Lifetime, mechanism: Mechanism) -> None:
    """Steps, shared units and stored words are numbered as the enumeration above numbers them."""
    network, model = mixed_network(), FaultModel(EVERYTHING, ber=0.05, lifetime=lifetime, seed=3)
    plan = mixed_plan(mechanism, Code.TMR)
    ours = rows(FaultSpace(network, plan, model, 2).draw(5))
    assert ours == plain_draw(network, plan, model, 2, 5)
    assert {row[1] for row in ours} == set(Target)
    assert any(row[2] == UNIT for row in ours) == (lifetime is Lifetime.PERSISTENT and mechanism is Mechanism.RECOMPUTE)


def test_n_flips_can_be_reproduced_from_its_description() -> None:
    model = FaultModel(EVERYTHING, n_flips=25, seed=6)
    drawn_from = space(model)
    source, chosen = words(6, 3, MASK), set()
    while len(chosen) < 25:
        product = next(source) * drawn_from.size
        if product & MASK >= 2**64 % drawn_from.size:
            chosen.add(product >> 64)
    every = rows(space(FaultModel(EVERYTHING, ber=1.0)).draw(0))
    assert rows(drawn_from.draw(3)) == [every[number] for number in sorted(chosen)]


def test_bit_numbers_are_unbiased_up_to_the_largest_bound() -> None:
    """Two thirds of 2**64: without rejection every second number would be twice as likely."""
    bound, generator, source = 2**65 // 3, philox(1, 2, 3), words(1, 2, 3)
    drawn, seen = [below(generator, bound) for _ in range(3000)], []
    while len(seen) < 3000:
        product = next(source) * bound
        if product & MASK >= 2**64 % bound:
            seen.append(product >> 64)
    assert drawn == seen
    assert stats.kstest(np.array(drawn) / bound, "uniform").pvalue > TAIL


def test_the_golden_fault_lists() -> None:
    """Any change of the draw changes published results: these lists must never move."""
    plan = ProtectionPlan.uniform(small_network(), 4)
    targets = ("weight", "bias", "accumulator")
    assert rows(space(FaultModel(targets, ber=4e-3, seed=2024), plan).draw(1)) == GOLDEN_BER
    assert rows(space(FaultModel(targets, n_flips=5, seed=2024), plan).draw(1)) == GOLDEN_FLIPS


GOLDEN_BER = [  # layer, target, neuron, position, replica, bit, sample, step
    (2, 0, 1, 2, 0, 0, -1, -1),
    (0, 3, 3, 0, 0, 4, 0, 0),
    (0, 3, 2, 4, 0, 9, 1, 0),
    (0, 3, 3, 5, 0, 12, 1, 0),
    (0, 3, 3, 3, 0, 4, 2, 0),
    (0, 3, 1, 4, 0, 0, 3, 0),
    (0, 3, 1, 5, 0, 1, 3, 0),
    (0, 3, 2, 4, 0, 2, 3, 0),
    (0, 3, 2, 5, 0, 8, 3, 0),
    (0, 3, 1, 5, 1, 11, 1, 0),
    (0, 3, 3, 4, 1, 12, 2, 0),
    (0, 3, 3, 1, 1, 12, 3, 0),
    (2, 3, 2, 2, 0, 13, 1, 0),
    (2, 3, 1, 3, 0, 9, 2, 0),
    (2, 3, 2, 0, 0, 12, 3, 0),
    (2, 3, 0, 2, 1, 13, 1, 0),
    (2, 3, 0, 0, 2, 13, 0, 0),
]
GOLDEN_FLIPS = [  # layer, target, neuron, position, replica, bit, sample, step
    (0, 3, 2, 2, 0, 0, 0, 0),
    (0, 3, 4, 1, 0, 12, 1, 0),
    (0, 3, 1, 4, 0, 8, 2, 0),
    (0, 3, 3, 3, 0, 11, 3, 0),
    (0, 3, 4, 5, 0, 11, 3, 0),
]


# ---------------------------------------------------------------- the logarithm


def test_the_logarithm_is_a_logarithm() -> None:
    generator = np.random.default_rng(0)
    spread = np.exp2(-generator.uniform(0, 54, 20000))
    near_one = 1.0 - generator.uniform(0, 1e-3, 2000)
    edges = np.array(
        [2.0**-54, 2.0**-53, 0.5, np.nextafter(0.5, 1), 1 - 2.0**-53, 0.7071067811865475, 0.7071067811865476]
    )
    for x in np.concatenate([spread, near_one, edges]).tolist():
        assert abs(float(log_reproducible(np.array([x]))[0]) - math.log(x)) <= 1e-13 * abs(math.log(x))
    assert log_reproducible(np.array([1.0])).tolist() == [0.0]


@given(st.floats(2.0**-60, 1.0))
def test_the_logarithm_is_the_same_operations_one_by_one(x: float) -> None:
    assert float(log_reproducible(np.array([x]))[0]) == plain_log(x)


# ---------------------------------------------------------------- models and sites


@pytest.mark.parametrize(
    "arguments",
    [
        {"targets": (), "ber": 0.1},
        {"targets": ("weights",), "ber": 0.1},
        {"targets": (6,), "ber": 0.1},
        {"targets": ("weight",)},
        {"targets": ("weight",), "ber": 0.1, "n_flips": 1},
        {"targets": ("weight",), "ber": -0.1},
        {"targets": ("weight",), "ber": 1.1},
        {"targets": ("weight",), "ber": math.nan},
        {"targets": ("weight",), "n_flips": 0},
        {"targets": ("weight",), "n_flips": 1.5},
        {"targets": ("weight",), "ber": 0.1, "seed": -1},
        {"targets": ("weight",), "ber": 0.1, "seed": 2**63},
        {"targets": ("weight",), "ber": 0.1, "lifetime": "forever"},
    ],
)
def test_models_that_say_nothing_sensible_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as error:
        FaultModel(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_text_means_what_it_says() -> None:
    spelt = FaultModel(("accumulator", "weight", "weight"), ber=0.5, lifetime="persistent")  # type: ignore[arg-type]
    assert spelt == FaultModel((Target.WEIGHT, Target.ACCUMULATOR), ber=0.5, lifetime=Lifetime.PERSISTENT)
    assert (space(spelt).draw(0)["sample"] == ALL_SAMPLES).all()


def test_the_digest_knows_every_field() -> None:
    models = [
        FaultModel(("weight",), ber=0.5),  # type: ignore[arg-type]
        FaultModel(("weight", "bias"), ber=0.5),  # type: ignore[arg-type]
        FaultModel(("weight",), ber=0.25),  # type: ignore[arg-type]
        FaultModel(("weight",), n_flips=1),  # type: ignore[arg-type]
        FaultModel(("weight",), ber=0.5, lifetime=Lifetime.PERSISTENT),  # type: ignore[arg-type]
        FaultModel(("weight",), ber=0.5, seed=1),  # type: ignore[arg-type]
    ]
    assert len({model.digest for model in models}) == len(models)
    assert FaultModel(("weight",), ber=1).digest == FaultModel(("weight",), ber=1.0).digest  # type: ignore[arg-type]


def test_a_plan_of_another_network_is_refused() -> None:
    other = ProtectionPlan.of(small_network(), {"fc1": np.ones(2, np.int64)})
    with pytest.raises(ConfigError, match="fc1"):
        space(FaultModel((Target.WEIGHT,), ber=0.1), other)


def test_sites_become_lists() -> None:
    site = FaultSite(2, Target.ACCUMULATOR, 1, position=4, replica=2, bit=9)
    assert rows(site.at(3)) == [(2, 3, 1, 4, 2, 9, 3, ALL_STEPS)]
    assert rows(site.at(3, 7)) == [(2, 3, 1, 4, 2, 9, 3, 7)]
    assert rows(site.at()) == [(2, 3, 1, 4, 2, 9, ALL_SAMPLES, ALL_STEPS)]
    assert rows(fault_array([(2, 3, 1, 4, 2, 9, 3)])) == rows(site.at(3))
    assert fault_array([]).shape == (0,) and fault_array([]).dtype.names == FIELDS
