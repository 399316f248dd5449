"""The sequential rule: wrong as seldom as it says however often one looks, and quick in clear cases."""

import math

import numpy as np
import pytest
from clusters import Cluster, Mixture
from hypothesis import given
from hypothesis import strategies as st

from codesign.campaign.requirement import Requirement, Status
from codesign.campaign.sampling import sample_size
from codesign.campaign.sequential import SequentialTest
from codesign.errors import ConfigError

Setting = Cluster | Mixture


def ended(requirement: str, setting: Setting, campaigns: int) -> list[SequentialTest]:
    generator, tests = np.random.default_rng(5), []
    for _ in range(campaigns):
        test = SequentialTest(Requirement.parse(requirement), setting.samples)
        test.update(setting.draw(generator))
        tests.append(test)
    return tests


@pytest.mark.parametrize(
    ("relation", "setting"),
    [
        ("accuracy>={}@0.9", Cluster(0.9, 0.0, 1000, 20)),
        ("accuracy>={}@0.9", Cluster(0.9, 0.3, 1000, 100)),
        ("accuracy>={}@0.9", Cluster(0.99, 0.9, 2000, 10)),
        ("sdc1<={}@0.9", Cluster(1e-3, 0.1, 2000, 100)),
        ("sdc1<={}@0.9", Cluster(0.01, 0.5, 1000, 1)),
        ("sdc1<={}@0.9", Mixture(0.01, 0.9, 0.01, 1000, 100)),
        ("accuracy>={}@0.9", Mixture(0.02, 0.1, 0.97, 1000, 360)),
    ],
    ids=str,
)
def test_wrong_decisions_are_as_seldom_as_promised(relation: str, setting: Setting) -> None:
    """At the bound itself, the hardest truth, looking after every trial; both errors, with 3 deviations of leeway."""
    campaigns = 300
    most = 0.1 + 3 * math.sqrt(0.1 * 0.9 / campaigns)
    kept = [test.status for test in ended(relation.format(setting.rate), setting, campaigns)]
    assert kept.count(Status.VIOLATED) <= most * campaigns  # the bound is met exactly
    beyond = setting.rate * (1 + 1e-9 if ">=" in relation else 1 - 1e-9)
    broken = [test.status for test in ended(relation.format(f"{beyond:.15g}"), setting, campaigns)]
    assert broken.count(Status.MET) <= most * campaigns


def test_looking_often_at_a_fixed_interval_would_not_do() -> None:
    """The test above can fail: a normal interval, looked at after every trial, errs far more often."""
    generator, wrong = np.random.default_rng(5), 0
    for _ in range(200):
        rates = Cluster(0.9, 0.1, 1000, 20).draw(generator) / 20
        n = np.arange(1, 1001)
        mean = np.cumsum(rates) / n
        half = 1.645 * np.sqrt(np.maximum(np.cumsum(rates**2) / n - mean**2, 0) / n)
        wrong += bool(((np.abs(mean - 0.9) > half) & (n >= 30)).any())
    assert wrong > 0.3 * 200


@pytest.mark.parametrize(
    ("requirement", "setting", "status"),
    [
        ("accuracy>=0.95@0.99", Cluster(0.97, 0.02, 2000, 360), Status.MET),
        ("accuracy>=0.95@0.99", Cluster(0.99, 0.1, 2000, 360), Status.MET),
        ("accuracy>=0.95@0.99", Cluster(0.9, 0.1, 2000, 360), Status.VIOLATED),
        ("sdc1<=1e-3@0.95", Cluster(0.01, 0.1, 2000, 100), Status.VIOLATED),
    ],
    ids=str,
)
def test_clear_cases_take_less_than_half_of_the_fixed_size(requirement: str, setting: Setting, status: Status) -> None:
    """Against Leveugle's sample size for a margin of half the distance between truth and bound."""
    parsed = Requirement.parse(requirement)
    fixed = sample_size(abs(setting.rate - parsed.bound) / 2, parsed.confidence, p=parsed.bound)
    tests = ended(requirement, setting, 50)
    assert {test.status for test in tests} == {status}
    needed = [test.decided_at or 0 for test in tests]
    print(f"{requirement}, truth {setting.rate}: median {np.median(needed):.0f}, fixed {fixed}")
    assert np.median(needed) <= fixed / 2


@given(st.lists(st.integers(0, 10), max_size=300), st.data())
def test_batches_do_not_matter_and_a_decision_is_final(events: list[int], data: st.DataObject) -> None:
    requirement = Requirement.parse("accuracy>=0.6@0.8")
    whole, parts = SequentialTest(requirement, 10), SequentialTest(requirement, 10)
    whole.update(events)
    seen = []
    while events:
        count = data.draw(st.integers(1, len(events)))
        seen.append(parts.update(events[:count]))
        events = events[count:]
    assert (whole.status, whole.decided_at, whole.trials) == (parts.status, parts.decided_at, parts.trials)
    decided = [status for status in seen if status is not Status.UNDECIDED]
    assert seen[len(seen) - len(decided) :] == decided and len(set(decided)) <= 1


@given(st.lists(st.integers(0, 16), max_size=100), st.integers(0, 64))
def test_the_mirrored_requirement_says_the_same(events: list[int], parts: int) -> None:
    """At least b right answers are at most 1 - b wrong ones; numbers that binary fractions hold exactly."""
    bound = parts / 64
    right = SequentialTest(Requirement("accuracy", ">=", bound, 0.9), 16)
    wrong = SequentialTest(Requirement("sdc1", "<=", 1 - bound, 0.9), 16)
    assert right.update(events) == wrong.update([16 - n for n in events])


def test_bounds_at_the_ends() -> None:
    assert SequentialTest(Requirement.parse("accuracy>=0"), 10).status is Status.MET
    assert SequentialTest(Requirement.parse("sdc1<=1"), 10).decided_at == 0
    never = SequentialTest(Requirement.parse("sdc1<=0"), 10)
    assert never.update([0] * 1000) is Status.UNDECIDED
    assert never.update([1]) is Status.VIOLATED and never.decided_at == 1001
    assert SequentialTest(Requirement.parse("accuracy>=1"), 10).update([10, 9]) is Status.VIOLATED
    assert SequentialTest(Requirement.parse("accuracy>=0.5"), 10).update([]) is Status.UNDECIDED


@pytest.mark.parametrize("events", [[11], [-1], [float("nan")]])
def test_impossible_counts_are_refused(events: list[float]) -> None:
    with pytest.raises(ConfigError, match="events"):
        SequentialTest(Requirement.parse("accuracy>=0.5"), 10).update(events)
    with pytest.raises(ConfigError, match="samples"):
        SequentialTest(Requirement.parse("accuracy>=0.5"), 0)
