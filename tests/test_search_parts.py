"""Parts of the search: coordinates, neighbours, starting designs, surrogates, and expected improvement."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import SEEDS
from scipy import integrate, stats

from codesign.search.space import Space
from codesign.search.surrogate import (
    Observed,
    Surrogate,
    constrained_improvement,
    expected_improvement,
    log_probability_feasible,
)
from codesign.study import SpaceSection

FULL = {
    "weight_bits": [4, 6, 8],
    "important_fraction": {"low": 0.0, "high": 1.0},
    "hardened_bits_important": {"low": 0, "high": 24},
    "hardened_bits_normal": {"low": 0, "high": 24},
    "importance_scope": ["network", "layer"],
}


def space(**entries: Any) -> Space:
    return Space(SpaceSection(**entries))


def ranges(low: int, high: int) -> st.SearchStrategy[Any]:
    """A single value, a list without order, or a range of whole numbers."""
    number = st.integers(low, high)
    pair = st.tuples(number, number).map(lambda p: {"low": min(p), "high": max(p)})
    return number | st.lists(number, min_size=1, max_size=4, unique=True) | pair


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    share = st.floats(0, 1).map(lambda x: round(x, 3))
    fractions = st.tuples(share, share).map(lambda p: {"low": min(p), "high": max(p)})
    return space(
        weight_bits=draw(ranges(2, 16)),
        important_fraction=draw(share | st.lists(share, min_size=1, max_size=3, unique=True) | fractions),
        hardened_bits_important=draw(ranges(0, 48)),
        hardened_bits_normal=draw(ranges(0, 48)),
        importance_scope=draw(st.sampled_from(["layer", "network", ["network", "layer"]])),
        importance_score=draw(st.sampled_from(["flip", "measured", ["taylor", "measured"]])),
        protection_budget=draw(st.just(0.0) | share | st.just([0.0, 0.25]) | fractions),
    )


def check_inside(of: Space, point: dict[str, Any]) -> None:
    assert [v.name for v in of.variables] == list(point)
    for variable in of.variables:
        value = point[variable.name]
        assert value in variable
        assert type(value) is {"int": int, "float": float, "categorical": str}[variable.kind]
    given_design, design = of.section.design(point), of.design(point)  # the first refuses what lies outside
    if design.protection_budget > 0:  # bits are chosen by it, so numbers of bits have no meaning
        assert (design.hardened_bits_important, design.hardened_bits_normal) == (0, 0)
        assert design.protection_budget == of.section.design(point).protection_budget
    elif given_design.hardened_bits_important > given_design.hardened_bits_normal:
        assert design == given_design and of.point(design) == point
    else:  # important neurons are never hardened less than the others, and then it does not matter which they are
        most = given_design.hardened_bits_normal
        lifted = replace(given_design, hardened_bits_important=most, important_fraction=design.important_fraction)
        assert design == lifted and design.important_fraction in of.section.important_fraction
    assert of.design(of.point(design)) == design


# ---------------------------------------------------------------- space


@given(spaces(), st.data())
def test_every_number_decodes_to_a_point_of_the_space(of: Space, data: st.DataObject) -> None:
    unit = st.floats(0, 1) | st.sampled_from([0.0, 1.0])
    check_inside(of, of.decode(np.array([data.draw(unit) for _ in of.variables])))


@given(spaces(), SEEDS)
def test_distinct_points_are_one_for_each_design(of: Space, seed: int) -> None:
    points = of.sample(20, np.random.default_rng(seed))
    distinct = of.distinct(points + points)
    assert [of.design(p) for p in distinct] == list(dict.fromkeys(map(of.design, points)))
    assert of.distinct(distinct) == distinct


@given(spaces(), SEEDS)
def test_coordinates_lie_in_the_unit_cube_and_tell_points_apart(of: Space, seed: int) -> None:
    assume(of.variables)
    points = of.sample(20, np.random.default_rng(seed))
    coordinates = of.encode(points)
    width = sum(len(v.values) if v.kind == "categorical" else 1 for v in of.variables)
    assert coordinates.shape == (20, width)
    assert ((coordinates >= 0) & (coordinates <= 1)).all()
    for i in range(20):
        for j in range(i):
            assert (points[i] == points[j]) == np.array_equal(coordinates[i], coordinates[j])


def test_coordinates_are_sizes_and_categories_are_one_hot() -> None:
    point = {
        "weight_bits": 6,
        "important_fraction": 0.25,
        "hardened_bits_important": 24,
        "hardened_bits_normal": 6,
        "importance_scope": "layer",
    }
    assert space(**FULL).encode([point]).tolist() == [[0.5, 0.25, 1.0, 0.25, 0.0, 1.0]]


def test_the_size_of_a_list_entry_counts_and_not_its_place() -> None:
    of = space(weight_bits=[8, 2, 6])
    assert of.encode([{"weight_bits": w} for w in (2, 6, 8)])[:, 0].tolist() == pytest.approx([0, 2 / 3, 1])


@pytest.mark.parametrize("entry", [{"low": 3, "high": 9}, [3, 4, 5, 6, 7, 8, 9], [9, 3, 8, 4, 6, 5, 7]])
def test_every_value_is_as_likely_as_any_other(entry: Any) -> None:
    values = [p["weight_bits"] for p in space(weight_bits=entry).sample(7000, np.random.default_rng(5))]
    counts = np.bincount(values, minlength=10)[3:]
    assert counts.sum() == 7000 and stats.chisquare(counts).pvalue > 1e-4


@given(spaces(), SEEDS)
def test_neighbours_stay_inside_and_move_one_or_two_variables(of: Space, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for point in of.sample(5, generator):
        before = dict(point)
        near = of.near(point, generator)
        check_inside(of, near)
        assert point == before
        assert sum(near[name] != point[name] for name in point) <= 2


def test_neighbours_reach_everything_around() -> None:
    of, generator = space(**FULL), np.random.default_rng(0)
    point = of.decode(np.full(5, 0.5))
    found = [of.near(point, generator) for _ in range(400)]
    assert {p["weight_bits"] for p in found} == {4, 6, 8}
    assert {p["importance_scope"] for p in found} == {"network", "layer"}
    steps = [abs(p["hardened_bits_normal"] - point["hardened_bits_normal"]) for p in found]
    assert {0, 1, 2} <= set(steps) and max(steps) <= 12


@settings(max_examples=50)
@given(spaces(), st.integers(1, 20), SEEDS)
def test_starting_designs_are_different_points_of_the_space(of: Space, count: int, seed: int) -> None:
    points = of.starting(count, seed)
    assert 1 <= len(points) <= count
    for number, point in enumerate(points):
        assert point not in points[:number]
        if of.variables:
            check_inside(of, point)
    assert of.starting(count, seed) == points


@settings(max_examples=50)
@given(spaces())
def test_starting_designs_begin_with_the_least_and_the_most_protection(of: Space) -> None:
    names = ("hardened_bits_important", "hardened_bits_normal")
    budget = of.section.protection_budget
    assume(0.0 in (budget.values or (budget.low,)))  # with one always there is no such design
    ends = {
        v.name: (min(v.values or (v.low,)), max(v.values or (v.high,))) for v in of.section.variables if v.name in names
    }
    widths = of.section.weight_bits
    designs = [of.section.design(p) for p in of.starting(2, 0)]
    assert [getattr(designs[0], n) for n in names] == [ends[n][0] for n in names]
    assert designs[0].weight_bits == max(widths.values or (widths.high,))
    if any(low < high for low, high in ends.values()):
        assert [getattr(designs[1], n) for n in names] == [ends[n][1] for n in names]
        assert designs[1].weight_bits == designs[0].weight_bits


def test_the_demos_space_starts_with_none_and_all() -> None:
    designs = [space(**FULL).design(p) for p in space(**FULL).starting(12, 1)]
    assert len(designs) == 12
    hardened = [(d.hardened_bits_important, d.hardened_bits_normal) for d in designs]
    assert hardened[:2] == [(0, 0), (24, 24)]
    assert any(important > normal for important, normal in hardened)


def test_the_filling_depends_on_the_seed_alone() -> None:
    of = space(**FULL)
    assert of.starting(12, 1) == space(**FULL).starting(12, 1) != of.starting(12, 2)
    assert of.starting(12, 1)[:8] == of.starting(8, 1)


def test_a_space_with_nothing_to_search_has_one_point() -> None:
    of = space(weight_bits=8)
    assert of.variables == () and of.starting(5, 0) == [{}] and of.decode(np.zeros(0)) == {}
    assert of.design({}).weight_bits == 8


# ---------------------------------------------------------------- surrogate


def surface(points: np.ndarray) -> np.ndarray:
    return 30 + 5 * np.sin(3 * points[:, 0]) + 4 * points[:, 1] ** 2


@pytest.fixture(scope="module")
def known() -> np.ndarray:
    return np.random.default_rng(2).random((25, 2))


def test_noise_free_observations_are_interpolated(known: np.ndarray) -> None:
    values = surface(known)
    surrogate = Surrogate(known, Observed(values, np.zeros(25)), seed=0)
    mean, deviation = surrogate.predict(known)
    assert mean == pytest.approx(values, abs=0.05)
    assert (deviation < 0.05).all()
    asked = np.random.default_rng(3).random((50, 2))
    mean, deviation = surrogate.predict(asked)
    assert np.abs(mean - surface(asked)).max() < 0.5 < np.ptp(values) / 8
    far, _ = surrogate.predict(np.array([[0.5, 0.5]])), None
    assert far[1] < surrogate.predict(np.array([[3.0, 3.0]]))[1]


def test_noisy_observations_are_smoothed(known: np.ndarray) -> None:
    noise = np.random.default_rng(4).normal(0, 2.0, 25)
    surrogate = Surrogate(known, Observed(surface(known) + noise, np.full(25, 4.0)), seed=0)
    mean, deviation = surrogate.predict(known)
    assert np.abs(mean - surface(known)).mean() < 0.8 * np.abs(noise).mean()
    assert (deviation > 0.1).all()


def test_units_do_not_matter(known: np.ndarray) -> None:
    one = Surrogate(known, Observed(surface(known), np.full(25, 0.01)), seed=0).predict(known[:5] + 0.05)
    scaled = Surrogate(known, Observed(1000 * surface(known) - 7e5, np.full(25, 1e4)), seed=0).predict(known[:5] + 0.05)
    assert scaled[0] == pytest.approx(1000 * one[0] - 7e5, rel=1e-5)
    assert scaled[1] == pytest.approx(1000 * one[1], rel=1e-3)


@pytest.mark.parametrize("count", [1, 5])
def test_constant_observations_are_predicted_with_certainty(count: int) -> None:
    points = np.random.default_rng(0).random((count, 3))
    mean, deviation = Surrogate(points, Observed(np.full(count, -2.5), np.zeros(count)), 0).predict(np.ones((4, 3)))
    assert mean.tolist() == [-2.5] * 4 and deviation.tolist() == [0.0] * 4


def test_the_same_seed_gives_the_same_surrogate(known: np.ndarray) -> None:
    asked = np.random.default_rng(1).random((10, 2))
    first, second = (Surrogate(known, Observed(surface(known), np.zeros(25)), 7).predict(asked) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


# ---------------------------------------------------------------- improvement


@settings(max_examples=60)
@given(st.floats(-5, 5), st.floats(0.05, 5), st.floats(-5, 5))
def test_expected_improvement_is_its_integral(mean: float, deviation: float, best: float) -> None:
    ours = expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
    low = min(best, mean) - 12 * deviation

    def gain(y: float) -> float:
        return (best - y) * float(stats.norm.pdf(y, mean, deviation))

    integral = integrate.quad(gain, low, best, points=sorted({min(mean, best)}), epsabs=1e-12, limit=200)[0]
    assert ours == pytest.approx(integral, rel=1e-6, abs=1e-9)
    assert ours >= 0


def test_a_certain_quantity_improves_by_its_difference() -> None:
    means = np.array([1.0, 3.0, 2.0])
    assert expected_improvement(means, np.zeros(3), 2.0).tolist() == [1.0, 0.0, 0.0]


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0.1, 2)), min_size=1, max_size=4))
def test_feasibility_is_the_product_of_normal_probabilities(constraints: list[tuple[float, float]]) -> None:
    given_constraints = [(np.array([m]), np.array([d])) for m, d in constraints]
    expected = np.prod([stats.norm.sf(0, m, d) for m, d in constraints])
    assert np.exp(log_probability_feasible(given_constraints)[0]) == pytest.approx(expected, rel=1e-9)


def test_certain_constraints_decide() -> None:
    score = log_probability_feasible([(np.array([0.0, 1e-9, -1e-9]), np.zeros(3))])
    assert score[0] == score[1] == pytest.approx(0.0) and score[2] < -100


@given(st.floats(0.1, 5), st.floats(-30, 30), st.floats(0, 5), st.floats(-30, 30))
def test_what_cannot_improve_comes_after_all_that_can(gain: float, doubt: float, loss: float, hope: float) -> None:
    objective = (np.array([1.0 - gain, 1.0 + loss]), np.zeros(2))
    constraint = (np.array([doubt, hope]), np.ones(2))
    better, worse = constrained_improvement(objective, [constraint], 1.0)
    assert better > worse and np.isfinite([better, worse]).all()
    assert better == pytest.approx(np.log(gain) + stats.norm.logsf(-doubt), rel=1e-9)


def test_with_a_feasible_point_improvement_and_feasibility_multiply() -> None:
    objective = (np.array([1.0, 2.0, 9.0]), np.array([0.5, 0.5, 0.5]))
    constraint = (np.array([0.3, 0.5, 2.0]), np.array([1.0, 0.4, 0.1]))
    score = constrained_improvement(objective, [constraint, constraint], 3.0)
    gain = expected_improvement(*objective, 3.0)
    assert np.exp(score[:2]) == pytest.approx(gain[:2] * stats.norm.sf(0, constraint[0][:2], constraint[1][:2]) ** 2)
    assert score.argmin() == 2 and np.isfinite(score).all()


def test_without_constraints_improvement_decides() -> None:
    objective = (np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    assert np.exp(constrained_improvement(objective, [], 3.0)) == pytest.approx(expected_improvement(*objective, 3.0))
