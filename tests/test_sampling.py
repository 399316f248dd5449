"""Sample sizes and stratified samples."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.campaign.sampling import neyman_allocation, sample_size, stratified_estimate
from codesign.errors import ConfigError

STRATA = st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=5)


def variance(sizes: np.ndarray, deviations: np.ndarray, drawn: np.ndarray) -> float:
    """Of the stratified mean, drawn without repetition."""
    shares = sizes / sizes.sum()
    return float((shares**2 * deviations**2 * (1 / drawn - 1 / sizes)).sum())


@pytest.mark.parametrize(
    ("margin", "confidence", "population", "size"),
    [
        (0.05, 0.95, math.inf, 385),  # the classical table
        (0.01, 0.99, math.inf, 16588),
        (0.05, 0.95, 1000, 278),
        (0.01, 0.95, 1, 1),
    ],
)
def test_sample_sizes(margin: float, confidence: float, population: float, size: int) -> None:
    assert sample_size(margin, confidence, population) == size


@given(st.floats(1e-3, 0.5), st.sampled_from([0.9, 0.99]), st.integers(1, 10**9), st.floats(0.01, 0.99))
def test_a_sample_size_reaches_its_margin_and_one_less_does_not(
    margin: float, confidence: float, population: int, p: float
) -> None:
    z = {0.9: 1.6448536269514722, 0.99: 2.5758293035489004}[confidence]

    def reached(n: int) -> float:
        return z * math.sqrt(p * (1 - p) / n * (population - n) / max(1, population - 1))

    n = sample_size(margin, confidence, population, p)
    assert 1 <= n <= population and reached(n) <= margin * (1 + 1e-9)
    assert n == 1 or reached(n - 1) >= margin * (1 - 1e-9)


@pytest.mark.parametrize("wrong", [{"margin": 0.0}, {"p": 1.0}, {"population": 0}, {"confidence": 1.0}])
def test_impossible_sample_sizes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"margin|confidence"):
        sample_size(**{"margin": 0.1, "confidence": 0.9, **wrong})


@given(STRATA, st.data())
def test_no_other_allocation_has_a_smaller_variance(strata: list[tuple[int, float]], data: st.DataObject) -> None:
    sizes, deviations = np.array([n for n, _ in strata]), np.array([s for _, s in strata])
    total = data.draw(st.integers(int(np.minimum(sizes, 2).sum()), int(sizes.sum())))
    drawn = neyman_allocation(sizes, deviations, total)
    assert drawn.sum() == total and (drawn <= sizes).all() and (drawn >= np.minimum(sizes, 2)).all()
    best = variance(sizes, deviations, drawn)
    for one, other in itertools.permutations(range(len(sizes)), 2):  # convex: no single move helps, so none does
        moved = drawn.copy()
        moved[one], moved[other] = moved[one] + 1, moved[other] - 1
        if moved[one] <= sizes[one] and moved[other] >= min(2, sizes[other]):
            assert variance(sizes, deviations, moved) >= best * (1 - 1e-9) - 1e-15


@given(st.lists(st.tuples(st.integers(2, 30), st.floats(0, 1)), min_size=1, max_size=5), st.integers(1, 5))
def test_strata_are_never_worse_than_a_simple_random_sample(strata: list[tuple[int, float]], times: int) -> None:
    """Outcomes are 0 or 1 with each stratum's rate, from populations too large to run out; the same total is drawn."""
    shares, rates = np.array([n for n, _ in strata]), np.array([p for _, p in strata])
    sizes, total = shares * 10**7, int(shares.sum()) * times
    deviations = np.sqrt(rates * (1 - rates))
    mean = float(shares @ rates / shares.sum())
    simple = mean * (1 - mean) / total
    assert variance(sizes, deviations, neyman_allocation(sizes, deviations, total)) <= simple * (1 + 1e-9) + 1e-15


def test_neyman_draws_where_outcomes_vary() -> None:
    assert neyman_allocation([1000, 1000, 1000], [0.5, 0.1, 0.0], 122).tolist() == [100, 20, 2]
    assert neyman_allocation([3, 1000], [0.5, 0.01], 50).tolist() == [3, 47]


def test_the_stratified_estimate_is_unbiased_and_knows_its_variance() -> None:
    generator = np.random.default_rng(3)
    population = [(generator.random(n) < p).astype(float) for n, p in ((4000, 0.02), (500, 0.5), (40, 0.9))]
    sizes = [len(stratum) for stratum in population]
    truth = float(np.concatenate(population).mean())
    drawn = neyman_allocation(sizes, [stratum.std() for stratum in population], 300)
    strata = list(zip(population, drawn, strict=True))
    found = [
        stratified_estimate(sizes, [generator.choice(s, n, replace=False) for s, n in strata]) for _ in range(1500)
    ]
    means = np.array([estimate.mean for estimate in found])
    assert abs(means.mean() - truth) < 4 * means.std() / math.sqrt(1500)
    assert np.mean([estimate.variance for estimate in found]) == pytest.approx(means.var(), rel=0.12)
    covered = np.mean([e.interval.low <= truth <= e.interval.high for e in found])
    assert 0.93 <= covered <= 0.98
    simple = truth * (1 - truth) / 300
    assert means.var() < 0.75 * simple


def test_strata_without_events_and_strata_known_in_full() -> None:
    none = stratified_estimate([900, 100], [np.zeros(90), np.zeros(5)])
    assert none.interval.low == 0 and none.interval.high == pytest.approx(1 - 0.025 ** (1 / 50), rel=1e-9)
    known = stratified_estimate([3, 1], [[1, 0, 0], [1]])
    assert known.mean == known.interval.low == known.interval.high == 0.5 and known.variance == 0


def test_bad_strata_are_refused() -> None:
    for sizes, deviations, total in (([5, 5], [0.1], 4), ([5, 0], [0.1, 0.1], 4), ([5, 5], [0.1, -1], 4)):
        with pytest.raises(ConfigError, match="strata need"):
            neyman_allocation(sizes, deviations, total)
    for total in (3, 11):
        with pytest.raises(ConfigError, match="between 4 and 10"):
            neyman_allocation([5, 5], [0.1, 0.1], total)
    for outcomes in ([[0.0], [0.0, 1.0]], [[0.0] * 6, [0.0] * 2], [[0.0, 1.0]]):
        with pytest.raises(ConfigError, match="strata"):
            stratified_estimate([5, 5], outcomes)
