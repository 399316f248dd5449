"""Which design to evaluate next: constrained Bayesian optimisation over what is known so far.

A proposal depends on the study, its number and the finished evaluations only. So a search that was
killed goes on as if nothing had happened, and the same seed gives the same search.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from scipy.special import ndtri

from codesign.search.evaluation import Evaluation, rank
from codesign.search.space import Point, Space
from codesign.search.surrogate import Floats, Observed, Surrogate, constrained_improvement
from codesign.study import Design, Study

_CANDIDATES = 1500
_NEIGHBOURS = 500


class Proposer:
    """Asks for designs of a study's space."""

    def __init__(self, study: Study) -> None:
        self.space = Space(study.space)
        self.seed = study.seed
        self.bound = study.requirements.accuracy_faulty
        self.initial = study.search.initial
        self._starting = self.space.starting(study.search.initial, study.seed)

    def propose(
        self, history: list[Evaluation], pending: Sequence[Design], signature: Callable[[Design], Hashable]
    ) -> Design | None:
        """The most promising design that becomes another accelerator than all before and those `pending`, or None.

        `signature` tells accelerators apart: many points of the space mean the same hardware.
        """
        seen: set[Hashable] = {(e.network, e.plan, *e.design.structure) for e in history}
        seen |= {signature(design) for design in pending}
        for point in self._ordered(history, len(history) + len(pending)):
            design = self.space.design(point)
            if signature(design) not in seen:
                return design
        return None

    def _ordered(self, history: list[Evaluation], number: int) -> Iterator[Point]:
        """Starting designs while they last, then candidates by their score."""
        if number < self.initial:
            yield from self._starting
        if not history:
            return
        known = [self.space.point(e.design) for e in history]
        candidates = self._candidates(history, number, known)
        if candidates:
            score = self._score(history, known, candidates, number)
            yield from (candidates[i] for i in np.argsort(-score, kind="stable"))

    def _candidates(self, history: list[Evaluation], number: int, known: list[Point]) -> list[Point]:
        """Random points and neighbours of the best ones, without those that are known."""
        if not self.space.variables:
            return []
        generator = np.random.default_rng((self.seed, 2, number))
        found = self.space.sample(_CANDIDATES, generator)
        ranked = sorted(range(len(history)), key=lambda i: rank(history[i]))[:5]
        found += [self.space.near(known[ranked[i % len(ranked)]], generator) for i in range(_NEIGHBOURS)]
        return [point for point in self.space.distinct(found) if point not in known]

    def _score(self, history: list[Evaluation], known: list[Point], candidates: list[Point], number: int) -> Floats:
        points, asked = self.space.encode(known), self.space.encode(candidates)
        costs = np.log(np.maximum([e.cost for e in history], 1.0))
        objective = Surrogate(points, Observed(costs, np.zeros(len(costs))), number).predict(asked)
        constraints = [Surrogate(points, o, number).predict(asked) for o in self._constraints(history)]
        feasible = [cost for cost, e in zip(costs, history, strict=True) if e.feasible]
        return constrained_improvement(objective, constraints, min(feasible) if feasible else None)

    def _constraints(self, history: list[Evaluation]) -> list[Observed]:
        """What the surrogates learn of each constraint; those that always held are left out."""
        found = []
        for name in history[0].margins:
            margins = np.array([e.margins[name] for e in history], np.float64)
            if (margins >= 0).all():
                continue
            measured = name == "accuracy_faulty"
            found.append(self._reliability(history) if measured else Observed(margins, np.zeros(len(margins))))
        return found

    def _reliability(self, history: list[Evaluation]) -> Observed:
        """Log-odds of the accuracy's lower confidence bound, above the log-odds that are asked for.

        Accuracies crowd below one; their log-odds are smooth in the number of hardened bits. The variance
        is that of the mean, carried over by the derivative 1 / (p (1 - p)).
        """
        assert self.bound is not None
        floor = 1e-4
        low = np.clip([e.accuracy_faulty.low for e in history], floor, 1 - floor)
        half_width = np.array([e.accuracy_faulty.high - e.accuracy_faulty.low for e in history]) / 2
        wanted = min(max(self.bound, floor), 1 - floor)
        sigmas = float(ndtri(0.5 + history[0].accuracy_faulty.confidence / 2))
        return Observed(_log_odds(low) - _log_odds(np.array(wanted)), (half_width / sigmas / (low * (1 - low))) ** 2)


def _log_odds(p: Floats) -> Floats:
    odds: Floats = np.log(p / (1 - p))
    return odds
