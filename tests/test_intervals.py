"""Intervals of rates: they cover the truth as often as they say, and follow the laws of what they are made of."""

import numpy as np
import pytest
from clusters import Cluster, Mixture
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from codesign.campaign.statistics import rate_interval, unseen_share, upper_bound
from codesign.errors import ConfigError

Setting = Cluster | Mixture
CAMPAIGNS = st.tuples(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.sampled_from([0.5, 0.8, 0.95, 0.999]))

QUICK: list[Setting] = [
    Cluster(0.95, 0.0, 20, 50),  # samples that fail independently
    Cluster(0.95, 0.02, 30, 100),
    Cluster(0.9, 0.1, 2, 360),  # few trials
    Cluster(0.97, 0.1, 200, 360),
    Cluster(0.999, 0.1, 100, 100),  # most trials harmless, a few catastrophic
    Cluster(0.99, 0.3, 50, 360),
    Mixture(0.02, 0.9, 0.0, 100, 360),
]

SLOW: list[Setting] = [
    *(Cluster(rate, 0.0, trials, samples) for rate, trials, samples in [
        (1e-4, 20, 1000), (1e-4, 5000, 1), (1e-3, 100, 1000), (0.01, 100, 10), (0.03, 100, 1), (0.5, 30, 1),
        (0.5, 20, 1000), (0.97, 50, 360), (0.999, 500, 100),
    ]),
    *(Cluster(rate, correlation, trials, samples) for rate, correlation, trials, samples in [
        (1e-4, 0.01, 500, 1000), (1e-4, 0.1, 1000, 100), (1e-3, 0.1, 500, 1000), (4e-3, 0.01, 20, 1000),
        (0.01, 0.3, 500, 100), (0.03, 0.1, 50, 360), (0.04, 0.1, 20, 1000), (0.3, 0.01, 50, 100),
        (0.5, 0.9, 100, 100), (0.99, 0.3, 50, 360), (0.999, 0.02, 20, 360), (0.999, 0.1, 100, 360),
        (0.999, 0.9, 5000, 10),
    ]),
    *(Mixture(*mixture) for mixture in [
        (1e-3, 0.9, 0.0, 1000, 100),  # one catastrophe expected, nothing else
        (0.02, 0.9, 0.0, 20, 360), (0.02, 0.9, 0.0, 1000, 360), (0.1, 0.3, 0.0, 100, 10), (0.05, 0.3, 1e-3, 100, 100),
        (0.05, 0.9, 0.01, 200, 1000), (0.3, 0.9, 1e-3, 20, 100), (0.05, 0.1, 0.97, 200, 360), (0.02, 0.1, 1.0, 50, 360),
    ]),
]  # fmt: skip


def effective_events(setting: Setting) -> float:
    """As many independent events, or failures to have one, would leave the mean as uncertain."""
    rare = min(setting.rate, 1 - setting.rate)
    return rare * setting.rate * (1 - setting.rate) * setting.trials / setting.variance


def misses(setting: Setting, campaigns: int, confidence: float = 0.95) -> tuple[float, float]:
    """Shares of campaigns whose interval lies below the truth and above it."""
    generator, below, above = np.random.default_rng(1), 0, 0
    for _ in range(campaigns):
        interval = rate_interval(setting.draw(generator), setting.samples, confidence)
        below += interval.high < setting.rate
        above += interval.low > setting.rate
    return below / campaigns, above / campaigns


@pytest.mark.parametrize("setting", QUICK, ids=str)
def test_intervals_cover(setting: Setting) -> None:
    assert 1 - sum(misses(setting, 500)) >= 0.92


@pytest.mark.slow
def test_coverage_table() -> None:
    """Over 5,000 campaigns each; `pytest -s` prints the table of docs/theory.md."""
    rows = [(setting, effective_events(setting), *misses(setting, 5000)) for setting in SLOW]
    for setting, effective, below, above in rows:
        print(f"{setting}: {effective:.1f} events, {below:.4f} {above:.4f}, coverage {1 - below - above:.4f}")
    for setting, effective, below, above in rows:
        assert below + above <= 0.065, setting
        assert effective <= 10 or below + above >= 0.025, setting


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_other_confidences_cover(confidence: float) -> None:
    covered = 1 - sum(misses(Cluster(0.9, 0.05, 60, 100), 1000, confidence))
    assert confidence - 0.015 <= covered <= confidence + 0.06


def test_intervals_that_ignore_clusters_would_not_cover() -> None:
    """The tests above can fail: pooling all samples covers far too seldom."""
    generator, setting, covered = np.random.default_rng(1), Cluster(0.97, 0.1, 200, 360), 0
    for _ in range(500):
        pooled = setting.draw(generator).sum()
        low, high = stats.binomtest(int(pooled), 200 * 360).proportion_ci()
        covered += low <= 0.97 <= high
    assert covered < 250


@pytest.mark.slow
def test_catastrophes_that_no_trial_shows_among_noisy_ones_are_not_covered() -> None:
    """The limit that docs/limits.md states: campaigns without one look exactly as if there were none."""
    setting = Mixture(0.01, 0.9, 0.01, 100, 1000)
    assert 1 - sum(misses(setting, 2000)) == pytest.approx(1 - 0.99**100, abs=0.05)


def test_zero_events_give_the_rule_of_three_on_trials() -> None:
    """Clopper and Pearson's bound; the saddlepoint is a little above it, never below."""
    for trials in (1, 5, 30, 1000):
        interval = rate_interval(np.zeros(trials, np.int64), 100, 0.95)
        exact = unseen_share(trials, 0.975)
        assert interval.low == interval.mean == 0 and exact <= interval.high <= exact * 1.006
    assert unseen_share(1000, 0.95) == pytest.approx(3 / 1000, rel=5e-3)


def test_trials_that_all_agree_count_as_trials_and_not_as_samples() -> None:
    """Fully masked trials repeat the fault-free rate; a catastrophe may still be among those not drawn."""
    interval = rate_interval(np.full(200, 97), 100, 0.95)
    assert interval.mean == 0.97
    assert 0.97 * (1 - 1.006 * unseen_share(200, 0.975)) <= interval.low <= 0.97 * (1 - unseen_share(200, 0.975))


@given(st.integers(4, 300), st.data())
def test_single_samples_give_a_beta_quantile(trials: int, data: st.DataObject) -> None:
    """With one sample a trial and enough events, Clopper and Pearson's lower bound and a shade less above."""
    k = data.draw(st.integers(min(5, trials), trials))
    interval = rate_interval(np.repeat([1, 0], [k, trials - k]), 1, 0.95)
    if 5 <= k < trials - 5:
        assert interval.high == pytest.approx(stats.beta.ppf(0.975, k + 0.7, trials - k), rel=2e-3)
        assert interval.low == pytest.approx(1 - stats.beta.ppf(0.975, trials - k + 0.7, k), rel=2e-3)


def test_the_quantile_agrees_with_drawn_weights() -> None:
    """Saddlepoint against Monte Carlo; the unseen trial has rate 0.3 + 0.7 and weight 1 for so few events."""
    rates, counts = np.array([0.0, 0.01, 0.3]), np.array([80, 10, 1])
    weights = np.random.default_rng(0).dirichlet([*counts, 1.0], 200_000)
    drawn = weights @ [*rates, 1.0]
    for tail in (0.1, 0.025, 0.005):
        assert upper_bound(rates, counts, tail) == pytest.approx(np.quantile(drawn, 1 - tail), rel=0.03)


@given(CAMPAIGNS)
def test_intervals_mirror_and_hold_their_mean(campaign: tuple[list[int], float]) -> None:
    events, confidence = np.array(campaign[0]), campaign[1]
    interval, mirrored = rate_interval(events, 20, confidence), rate_interval(20 - events, 20, confidence)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    assert interval.mean == pytest.approx(events.mean() / 20)
    assert mirrored.low == pytest.approx(1 - interval.high, abs=1e-9)
    assert mirrored.high == pytest.approx(1 - interval.low, abs=1e-9)
    shuffled = np.random.default_rng(0).permutation(events)
    assert rate_interval(shuffled, 20, confidence) == interval


@given(CAMPAIGNS)
def test_more_confidence_is_never_narrower(campaign: tuple[list[int], float]) -> None:
    widths = [(i.high - i.low) for i in (rate_interval(np.array(campaign[0]), 20, c) for c in (0.5, 0.9, 0.999))]
    assert widths == sorted(widths)


def test_more_trials_narrow_the_interval() -> None:
    events = np.random.default_rng(0).binomial(100, 0.9, 400)
    widths = [(i.high - i.low) for i in (rate_interval(events[:n], 100, 0.95) for n in (5, 50, 400))]
    assert widths == sorted(widths, reverse=True)


def test_independent_samples_are_not_punished() -> None:
    """A thousand noisy but equal trials: the interval is within a tenth of the one for independent samples."""
    events = np.random.default_rng(2).binomial(1000, 0.01, 1000)
    interval = rate_interval(events, 1000, 0.95)
    assert interval.high - interval.low < 1.1 * 2 * 1.96 * np.sqrt(0.01 * 0.99 / 1e6)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_impossible_confidences_are_refused(confidence: float) -> None:
    with pytest.raises(ConfigError, match="confidence"):
        rate_interval(np.array([1, 2]), 10, confidence)
    with pytest.raises(ConfigError, match="confidence"):
        unseen_share(10, confidence)
