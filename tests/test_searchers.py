"""What every searcher keeps to, and that ours finds the optimum of a space that is small enough to know it."""

import importlib.util
import math
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_search_parts import FULL

from codesign.campaign.statistics import Interval
from codesign.errors import ConfigError
from codesign.resources.report import ResourceReport
from codesign.search.evaluation import Evaluation
from codesign.search.problem import Known
from codesign.search.reliability import Line, Measured, log_odds
from codesign.search.searchers import SEARCHERS, searcher_of
from codesign.search.searchers.guess import Guess
from codesign.search.space import Space
from codesign.search.surrogate import Observed
from codesign.study import Design, SearchSection, SpaceSection, Study, load_study

STUDY = Path(__file__).resolve().parent.parent / "models" / "digits_mlp.toml"
WANTED = 0.95
CONDITIONAL = {
    "mechanism": ["tmr", "recompute"],
    "dot_size": [2, 4, 8],
    "protection_budget": [0.0, 0.2, 0.4],
    "hardened_bits_important": [0, 8, 16],
    "hardened_bits_normal": [0, 8],
    "important_fraction": [0.25, 0.5],
}
SMALL = {"weight_bits": [4, 6], "hardened_bits_important": [0, 8, 16], "hardened_bits_normal": [0, 8]}
SPACES = {
    "several": FULL,
    "conditional": CONDITIONAL,
    "one variable": {"hardened_bits_important": {"low": 0, "high": 24}, "important_fraction": 0.3},
    "categorical": {"importance_scope": ["layer", "network"], "mechanism": ["dmr", "tmr"], "weight_bits": [4, 8]},
}


def needed(name: str) -> Any:
    """A searcher's name, skipped where its packages are missing."""
    packages = {"tpe": ["optuna"], "nsga2": ["optuna"], "optuna_gp": ["optuna", "torch"]}.get(name, [])
    missing = [one for one in packages if importlib.util.find_spec(one) is None]
    hint = f"{' and '.join(missing)} not installed: pip install 'codesign[search]' torch"
    marks = [pytest.mark.skipif(bool(missing), reason=hint), *([pytest.mark.slow] if name == "optuna_gp" else [])]
    return pytest.param(name, marks=marks)


EVERY = [needed(name) for name in SEARCHERS]


@dataclass(frozen=True)
class World:
    """Smooth stand-ins for networks, faults and hardware. `harm` scales what faults do."""

    foretells: str = "well"
    trained: bool = True
    harm: float = 1.0

    def removed(self, design: Design) -> float:
        """Share of the harm that protection takes away."""
        if design.protection_budget > 0:
            return 1 - 0.05 ** (3 * design.protection_budget)
        kinds = (
            (design.important_fraction**0.6, design.hardened_bits_important),
            (1 - design.important_fraction**0.6, design.hardened_bits_normal),
        )
        return sum(share * (1 - 0.7**bits) for share, bits in kinds)

    def wrong(self, design: Design) -> float:
        worse = 0.3 if design.mechanism == "dmr" else 0.0
        return min(0.9, 0.01 + self.harm * (0.01 * design.weight_bits * (1 - self.removed(design)) + worse * 0.01))

    def cost(self, design: Design) -> float:
        bits = design.important_fraction * design.hardened_bits_important
        bits += (1 - design.important_fraction) * design.hardened_bits_normal + 24 * design.protection_budget
        return 1000.0 * design.weight_bits + 50 * bits * design.weight_bits + 7 * design.dot_size

    def signature(self, design: Design) -> Hashable:
        return round(self.cost(design), 3), round(self.wrong(design), 9), design.mechanism

    def known(self, design: Design) -> Known | None:
        if not self.trained:
            return None
        misled = 0.5 * math.sin(40 * self.cost(design)) ** 2
        risk = {"well": 1.3 * self.wrong(design), "badly": misled, "not": None}[self.foretells]
        return Known(self.cost(design), {"capacity": 1 - self.cost(design) / 30_000}, risk)

    def evaluate(self, design: Design) -> Evaluation:
        accuracy = 1 - self.wrong(design)
        low = accuracy - 0.002
        margins = {"accuracy_faulty": low - WANTED, "capacity": 1 - self.cost(design) / 30_000}
        return Evaluation(
            design=design,
            network=str(design.weight_bits),
            plan=design.digest,
            accuracy_clean=0.99,
            accuracy_faulty=Interval(accuracy, low, accuracy + 0.002, 0.95),
            sdc1=Interval(0.0, 0.0, 0.01, 0.95),
            trials=100,
            resources=ResourceReport(int(self.cost(design)), 0, 0, 0, 5, 1, 5.0, "estimate", "test"),
            lut_by_cause={},
            cost=self.cost(design),
            margins=margins,
            seconds=0.0,
        )


WORLDS = {
    "foretold": World(),
    "misled": World(foretells="badly"),
    "without risk": World(foretells="not"),
    "untrained": World(trained=False),
    "nothing feasible": World(harm=1e6),
}


def study(space: dict[str, Any], searcher: str, initial: int = 4, seed: int = 1) -> Study:
    section = SearchSection(evaluations=60, initial=initial, searcher=searcher)
    made = load_study(STUDY)
    wanted = made.requirements.model_copy(update={"accuracy_faulty": WANTED})
    return replace(made, seed=seed, space=SpaceSection(**space), search=section, requirements=wanted)


def searched(world: World, of: Study, count: int) -> list[Evaluation]:
    searcher, history = searcher_of(of), []
    while len(history) < count and (design := searcher.ask(history, [], world)) is not None:
        history.append(world.evaluate(design))
    return history


def check(world: World, of: Study, history: Sequence[Evaluation]) -> None:
    space = Space(of.space)
    for evaluation in history:  # inside the space, and what has no meaning has its one value
        assert space.design(space.point(evaluation.design)) == evaluation.design
    assert len({world.signature(e.design) for e in history}) == len(history)


# ---------------------------------------------------------------- conformance


@pytest.mark.parametrize("searcher", EVERY)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_designs_are_new_and_of_the_space(searcher: str, space: dict[str, Any]) -> None:
    of = study(space, searcher)
    history = searched(World(), of, 8)
    check(World(), of, history)
    assert len(history) >= 3


@pytest.mark.parametrize("searcher", EVERY)
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_a_search_that_goes_on_asks_for_the_same(searcher: str, world: World) -> None:
    of = study(FULL, searcher)
    history = searched(world, of, 9)
    check(world, of, history)
    for cut in (0, 3, 5, 8):
        assert searcher_of(of).ask(history[:cut], [], world) == history[cut].design
    used = searcher_of(of)
    assert used.ask(history[:8], [], world) == history[8].design
    assert used.ask(history[:5], [], world) == history[5].design  # it remembers nothing of what came later


@pytest.mark.parametrize("searcher", EVERY)
def test_another_seed_is_another_search(searcher: str) -> None:
    one, other = (searched(World(), study(FULL, searcher, seed=s), 8) for s in (1, 2))
    assert [e.design for e in one] != [e.design for e in other]


@pytest.mark.parametrize("searcher", EVERY)
def test_what_is_on_its_way_is_not_asked_for_again(searcher: str) -> None:
    of, world = study(FULL, searcher), World()
    history, pending = searched(world, of, 6), []
    for _ in range(4):
        design = searcher_of(of).ask(history, pending, world)
        assert design is not None and design == searcher_of(of).ask(history, list(pending), world)
        pending.append(design)
    taken = [*(e.design for e in history), *pending]
    assert len({world.signature(design) for design in taken}) == len(taken)
    assert searcher_of(of).ask([], pending, world) not in pending


@pytest.mark.parametrize("searcher", EVERY)
def test_a_small_space_is_searched_to_its_end(searcher: str) -> None:
    of, world = study(SMALL, searcher, initial=2), World()
    every = {world.signature(Space(of.space).design(p)) for p in Space(of.space).listed or []}
    history = searched(world, of, 40)
    assert {world.signature(e.design) for e in history} == every and len(history) == len(every)
    last = history.pop().design
    assert searcher_of(of).ask(history, [last], world) is None


@pytest.mark.parametrize("searcher", EVERY)
def test_nothing_to_search_is_one_design(searcher: str) -> None:
    assert len(searched(World(), study({"weight_bits": 8}, searcher), 5)) == 1


@pytest.mark.parametrize("searcher", EVERY)
def test_equal_figures_are_no_obstacle(searcher: str) -> None:
    of = study({"hardened_bits_important": {"low": 0, "high": 24}, "importance_scope": ["layer", "network"]}, searcher)

    class Flat(World):
        def wrong(self, design: Design) -> float:
            return 0.02

        def cost(self, design: Design) -> float:
            return 5000.0

        def signature(self, design: Design) -> Hashable:
            return design.digest

    check(Flat(), of, searched(Flat(), of, 9))


def test_a_searcher_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"\[search\] searcher 'tpe' needs optuna: pip install 'codesign\[search\]'"):
        searcher_of(study(SMALL, "tpe", initial=2))


# ---------------------------------------------------------------- ours


@pytest.mark.parametrize(
    "world", [World(), World(foretells="badly"), World(foretells="not")], ids=lambda w: w.foretells
)
def test_the_optimum_is_found_in_a_small_part_of_a_space(world: World) -> None:
    space = {
        "weight_bits": [4, 6, 8],
        "important_fraction": [i / 10 for i in range(1, 11)],
        "hardened_bits_important": list(range(0, 24, 2)),
        "hardened_bits_normal": list(range(0, 12, 2)),
    }
    of = study(space, "gp")
    every = [world.evaluate(Space(of.space).design(p)) for p in Space(of.space).listed or []]
    best = min(e.cost for e in every if e.feasible)
    found = [e.cost for e in searched(world, of, 24) if e.feasible]
    assert len(every) > 1000 and min(found) <= 1.03 * best


def test_foretelling_well_needs_no_space_filling() -> None:
    history = searched(World(), study(FULL, "gp", initial=10), 10)
    blind = searched(World(foretells="not"), study(FULL, "gp", initial=10), 10)
    assert min(e.cost for e in history if e.feasible) < min(e.cost for e in blind if e.feasible)


def test_every_network_is_tried_early() -> None:
    assert {e.design.weight_bits for e in searched(World(), study(FULL, "gp", initial=5), 5)} == {4, 6, 8}


# ---------------------------------------------------------------- its parts


@settings(max_examples=30)
@given(st.floats(-1, 1), st.floats(0.2, 2), st.integers(0, 2**32 - 1))
def test_the_line_is_the_measured_one_when_there_is_much_to_see(offset: float, slope: float, seed: int) -> None:
    foretold = np.random.default_rng(seed).uniform(-2, 2, 1000)
    values = offset + slope * foretold
    line = Line.fitted(foretold, Observed(values, np.full(1000, 0.01)))
    assert line.offset == pytest.approx(offset, abs=0.03) and line.slope == pytest.approx(slope, abs=0.03)


def test_the_line_is_the_foretold_one_when_there_is_nothing_to_see() -> None:
    line = Line.fitted(np.array([0.0]), Observed(np.array([0.0]), np.array([100.0])))
    assert (line.offset, line.slope) == (0.0, 1.0)


@given(st.lists(st.floats(1e-3, 1 - 1e-3), min_size=1, max_size=5))
def test_log_odds_turn_back(p: list[float]) -> None:
    assert 1 / (1 + np.exp(-log_odds(np.array(p)))) == pytest.approx(p)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_guesses_are_exact_where_figures_are_and_uncertain_elsewhere(seed: int) -> None:
    generator = np.random.default_rng(seed)
    points, asked = generator.random((20, 3)), generator.random((10, 3))
    rows = np.column_stack([points[:, 0] * points[:, 1], np.full(20, 3.0)])
    guess = Guess(points, rows)
    assert guess.predict(points)[0] == pytest.approx(rows, abs=0.01)
    mean, deviation = guess.predict(asked)
    assert mean[:, 0] == pytest.approx(asked[:, 0] * asked[:, 1], abs=0.05)
    assert mean[:, 1].tolist() == [3.0] * 10 and (deviation[:, 1] == 0).all() and (deviation[:, 0] > 0).all()


def test_more_that_was_measured_makes_more_certain() -> None:
    points = np.linspace(0, 1, 6)[:, None]
    foretold = np.linspace(-1, 1, 6)
    one = Measured(points, foretold, Observed(foretold + 0.3, np.full(6, 0.01)), 0.5)
    more = one.with_more(np.array([[0.5]]), np.array([0.0]), np.array([0.3]), 0.01)
    at = np.array([[0.5]]), np.array([0.0])
    assert more.model().predict(*at)[1] <= one.model().predict(*at)[1]
    assert one.model().predict(*at)[0] == pytest.approx([0.3], abs=0.1)
    guessed = one.model().predict(*at, np.array([0.5]))[1]
    assert guessed > one.model().predict(*at)[1]
