"""The faults that the compiled engine draws: the right statistics, seeds and trials that know nothing of each other.

Fixed seeds and 1e-4 tails, as in test_faults.py; that the lists are Python's own is tested beside, here and in
test_native.py.
"""

from collections.abc import Iterable

import numpy as np
import pytest
from byte_networks import digits_like
from networks import Ints, mixed_network, mixed_plan
from scipy import stats

from codesign.codes import Code
from codesign.engine import binding
from codesign.engine.compiled import KERNELS, NativeEngine
from codesign.engine.description import describe_space
from codesign.faults import FAULT, FIELDS, FaultArray, FaultModel, FaultSpace, Lifetime, Target
from codesign.protection import Mechanism, ProtectionPlan

TAIL = 1e-4
SEEDS = (0, 1, 2**62 + 7, 2**63 - 1)


def space(lifetime: Lifetime = Lifetime.TRANSIENT, **amount: float) -> FaultSpace:
    """All targets of a graph with every kind that computes, hardened and with coded words."""
    plan = mixed_plan(Mechanism.RECOMPUTE, Code.ECC)
    model = FaultModel(tuple(Target), lifetime=lifetime, **amount)  # type: ignore[arg-type]
    return FaultSpace(mixed_network(), plan, model, 1)


def drawn(of: FaultSpace, trials: Iterable[int]) -> list[FaultArray]:
    words = describe_space(of)
    return [binding.draw(words, trial) for trial in trials]


def sites(of: FaultSpace) -> FaultArray:
    """Every bit of a space once, in order."""
    every = binding.draw(describe_space(space(of.model.lifetime, ber=1.0)), 0)
    assert len(every) == len(np.unique(every)) == of.size
    return every


def struck(lists: list[FaultArray], every: FaultArray) -> Ints:
    """Whether each list strikes each site, shape (lists, sites)."""
    order = np.argsort(every, order=FIELDS)
    found = np.zeros((len(lists), len(every)), np.int64)
    for row, faults in zip(found, lists, strict=True):
        row[order[np.searchsorted(every[order], faults)]] = 1
        assert row.sum() == len(faults)
    return found


# Above and below the rate from which another series gives the logarithm; few flips, and many.
AMOUNTS = ({"ber": 0.02}, {"ber": 0.005}, {"n_flips": 9}, {"n_flips": 60})


@pytest.mark.parametrize("lifetime", Lifetime)
@pytest.mark.parametrize("amount", AMOUNTS, ids=str)
def test_every_site_and_every_bit_are_as_likely_as_any_other(amount: dict[str, float], lifetime: Lifetime) -> None:
    of = space(lifetime, **amount, seed=17)
    every = sites(of)
    expected = of.size * amount["ber"] if "ber" in amount else amount["n_flips"]
    trials = int(10 * of.size / expected) + 1
    faults = np.concatenate(drawn(of, range(trials)))
    numbers, seen = np.unique(faults, return_counts=True)
    counts = np.zeros(of.size, np.int64)
    counts[: len(seen)] = seen  # sites that were never struck count as zero
    assert len(numbers) <= of.size and stats.chisquare(counts).pvalue > TAIL
    for field in FIELDS:
        values, weights = np.unique(every[field], return_counts=True)
        if len(values) > 1:
            of_value = np.array([(faults[field] == value).sum() for value in values])
            assert stats.chisquare(of_value, weights / weights.sum() * len(faults)).pvalue > TAIL, field


@pytest.mark.parametrize("seeds", [(1, 2), (0, 2**63 - 1), (2**62, 2**62 + 1)])
def test_seeds_are_independent(seeds: tuple[int, int]) -> None:
    """Chi-square of what two seeds strike, site by site, in the same trials and one trial apart."""
    first, second = (space(ber=0.1, seed=seed) for seed in seeds)
    every = sites(first)
    one, other = struck(drawn(first, range(20)), every), struck(drawn(second, range(20)), every)
    for a, b in ((one, other), (one[1:], other[:-1]), (one[1:], one[:-1])):
        table = np.histogram2d(a.ravel(), b.ravel(), bins=2)[0]
        assert stats.chi2_contingency(table, correction=False).pvalue > TAIL


@pytest.mark.parametrize("lifetime", Lifetime)
@pytest.mark.parametrize("amount", AMOUNTS, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_lists_are_those_of_python(amount: dict[str, float], lifetime: Lifetime, seed: int) -> None:
    of = space(lifetime, **amount, seed=seed)
    trials = (0, 1, 12345, 2**40)
    for trial, ours in zip(trials, drawn(of, trials), strict=True):
        assert ours.dtype == FAULT and np.array_equal(ours, of.draw(trial))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("amount", [{"ber": 1e-3}, {"n_flips": 3}], ids=str)
def test_a_trial_depends_on_no_other_and_on_no_thread(kernel: str, amount: dict[str, float]) -> None:
    """On any number of threads, alone or among others, a trial gives the logits of its own list."""
    network, inputs = digits_like()
    few, labels = inputs[:6], np.zeros(6, np.int64)
    model = FaultModel((Target.WEIGHT, Target.ACCUMULATOR), **amount, seed=5)  # type: ignore[arg-type]
    of = FaultSpace(network, ProtectionPlan(), model, len(few))
    engine = NativeEngine(network, ProtectionPlan(), few, kernel)
    expected = [engine.run(faults).tolist() for faults in drawn(of, range(30))]
    assert len({str(logits) for logits in expected}) > 10
    for threads in (1, 2, 3, 8):
        for trials in (range(30), range(11, 29), range(7, 8)):
            found = engine.run_campaign(of, labels, trials, threads=threads, logits=True)
            assert found.logits is not None
            assert found.logits.tolist() == expected[trials.start : trials.stop]
