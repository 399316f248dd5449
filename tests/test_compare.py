"""Differences of designs, the bootstrap, and failure rates in the field."""

import math

import numpy as np
import pytest
from clusters import Cluster
from hypothesis import given
from hypothesis import strategies as st

from codesign.campaign.bootstrap import bootstrap
from codesign.campaign.compare import independent_difference, paired_difference
from codesign.campaign.fit import avf, failure_rate
from codesign.campaign.statistics import Interval, mean_interval, rate_interval
from codesign.errors import ConfigError


def two_designs(generator: np.random.Generator, trials: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """The same faults strike both; the second design is right on 0.02 less of the samples. 100 samples a trial."""
    own = generator.beta(18, 2, trials)
    return generator.binomial(100, own), generator.binomial(100, own - 0.02 * own / 0.9)


def test_paired_differences_cover_and_are_narrower_than_unpaired_ones() -> None:
    generator, covered, independent = np.random.default_rng(4), 0, 0
    for _ in range(500):
        a, b = two_designs(generator)
        paired = paired_difference(a, b, 100)
        apart = independent_difference(rate_interval(a, 100, 0.95), rate_interval(b, 100, 0.95))
        assert paired.mean == pytest.approx(apart.mean, abs=1e-12)
        assert paired.high - paired.low < 0.8 * (apart.high - apart.low)
        covered += paired.low <= 0.02 <= paired.high
        other = two_designs(generator)[1]
        apart = independent_difference(rate_interval(a, 100, 0.95), rate_interval(other, 100, 0.95))
        independent += apart.low <= 0.02 <= apart.high
    assert 0.93 <= covered / 500 <= 0.985 and 0.93 <= independent / 500 <= 0.99


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=50))
def test_a_difference_turns_its_sign_with_the_designs(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    one, other = paired_difference(a, b, 20), paired_difference(b, a, 20)
    assert -1 <= one.low <= one.mean <= one.high <= 1
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    assert one.mean == pytest.approx((a.mean() - b.mean()) / 20, abs=1e-12)


def test_differences_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="same trials"):
        paired_difference([1, 2], [1, 2, 3], 10)
    with pytest.raises(ConfigError, match="cannot be subtracted"):
        independent_difference(Interval(0.5, 0.4, 0.6, 0.95), Interval(0.5, 0.4, 0.6, 0.9))


# ---------------------------------------------------------------- bootstrap


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_bootstrap_of_a_mean_agrees_with_the_interval_of_rates(method: str) -> None:
    events = Cluster(0.9, 0.1, 200, 100).draw(np.random.default_rng(2))
    wanted = rate_interval(events, 100, 0.95)
    found = bootstrap(events, lambda rows: float(rows.mean()) / 100, seed=1, method=method)  # type: ignore[arg-type]
    assert found.mean == pytest.approx(wanted.mean)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.2 * (wanted.high - wanted.low))


def test_bca_covers_a_ratio_of_counts_better_than_its_centre_suggests() -> None:
    """Share of silent errors among all that changed an answer: a ratio of two columns of the trials."""
    generator, covered = np.random.default_rng(6), 0
    for _ in range(150):
        changed = generator.binomial(50, generator.beta(1, 9, 80))
        rows = np.stack([generator.binomial(changed, 0.3), changed], axis=1)
        found = bootstrap(rows, lambda r: float(r[:, 0].sum() / r[:, 1].sum()), seed=7, resamples=400)
        covered += found.low <= 0.3 <= found.high
    assert covered / 150 >= 0.89


def test_bootstrap_follows_its_seed_and_takes_a_constant() -> None:
    rows = np.arange(30.0)

    def mean(drawn: np.ndarray) -> float:
        return float(drawn.mean())

    assert bootstrap(rows, mean, seed=1, resamples=100) == bootstrap(rows, mean, seed=1, resamples=100)
    assert bootstrap(rows, mean, seed=1, resamples=100) != bootstrap(rows, mean, seed=2, resamples=100)
    flat = bootstrap(np.ones(5), mean, seed=1, resamples=100)
    assert flat.low == flat.mean == flat.high == 1
    with pytest.raises(ConfigError, match="at least two"):
        bootstrap(np.ones(1), mean, seed=1)


# ---------------------------------------------------------------- failure rates


def test_failure_rates_add_up() -> None:
    derating = {"weight": Interval(0.1, 0.07, 0.14, 0.95), "activation": Interval(0.02, 0.01, 0.05, 0.95)}
    found = failure_rate({"weight": 10_000, "activation": 2_000}, {"weight": 1e-4, "activation": 5e-4}, derating)
    assert found.by_target["weight"].mean == pytest.approx(0.1)
    assert found.fit.mean == pytest.approx(0.12)
    assert found.fit.low == pytest.approx(0.12 - math.hypot(0.03, 0.01))
    assert found.fit.high == pytest.approx(0.12 + math.hypot(0.04, 0.03))
    assert found.mttf_hours.mean == pytest.approx(1e9 / 0.12)
    assert found.mttf_hours.low == pytest.approx(1e9 / found.fit.high)
    assert found.mttf_hours.low < found.mttf_hours.mean < found.mttf_hours.high


def test_no_failures_seen_bound_the_time_from_below_only() -> None:
    found = failure_rate({"weight": 1000}, {"weight": 0.01}, {"weight": Interval(0.0, 0.0, 0.01, 0.95)})
    assert found.mttf_hours.mean == found.mttf_hours.high == math.inf and found.mttf_hours.low == pytest.approx(1e10)


def test_intervals_of_failure_rates_cover() -> None:
    generator, truth, covered = np.random.default_rng(8), {"weight": 0.05, "bias": 0.3, "voter": 0.5}, 0
    raw, bits = {"weight": 1e-4, "bias": 1e-4, "voter": 2e-4}, {"weight": 9000, "bias": 1000, "voter": 300}
    wanted = sum(bits[t] * raw[t] * truth[t] for t in truth)
    for _ in range(500):
        seen = {t: mean_interval((generator.random(200) < p).astype(float), 0.95) for t, p in truth.items()}
        found = failure_rate(bits, raw, seen).fit
        covered += found.low <= wanted <= found.high
    assert 0.93 <= covered / 500 <= 0.99


def test_failure_rates_without_sense_are_refused() -> None:
    sure = {"weight": Interval(0.1, 0.1, 0.1, 0.95)}
    with pytest.raises(ConfigError, match="same targets"):
        failure_rate({"weight": 1}, {"bias": 1.0}, sure)
    for bits, raw in ((-1, 1.0), (1, -1.0), (1, math.nan)):
        with pytest.raises(ConfigError, match="target weight"):
            failure_rate({"weight": bits}, {"weight": raw}, sure)


def test_avf_groups_faults_by_layer_and_bit() -> None:
    outcomes, layer, bit = np.array([1, 0, 1, 1, 0, 0.5]), np.array([0, 0, 0, 1, 1, 1]), np.array([3, 3, 2, 3, 3, 3])
    found = avf(outcomes, layer, bit)
    assert list(found) == [(0, 2), (0, 3), (1, 3)]
    assert [interval.mean for interval in found.values()] == [1.0, 0.5, 0.5]
    assert avf(outcomes, bit)[3,] == mean_interval(outcomes[bit == 3], 0.95)
    with pytest.raises(ConfigError, match="keys"):
        avf(outcomes, layer[:-1])
    with pytest.raises(ConfigError, match="keys"):
        avf(outcomes)
