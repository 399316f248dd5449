"""What is believed of designs: exact figures where they were looked up, guesses between those, surrogates elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from codesign.search.evaluation import Evaluation
from codesign.search.problem import Known, Problem, quantisation_of
from codesign.search.reliability import Learned, Measured, Reliability, log_odds
from codesign.search.searchers.guess import Guess
from codesign.search.space import Space
from codesign.search.surrogate import Floats, Observed, Surrogate, constrained_improvement
from codesign.study import Design
from codesign.train.builder import Quantisation


@dataclass(frozen=True, eq=False)
class Candidates:
    """Designs to choose from, with their coordinates, shape (n, d)."""

    designs: list[Design]
    points: Floats
    networks: list[Quantisation]

    @classmethod
    def of(cls, space: Space, designs: Sequence[Design]) -> "Candidates":
        """Each design once."""
        distinct = list(dict.fromkeys(designs))
        points = space.encode([space.point(design) for design in distinct])
        return cls(distinct, points, [quantisation_of(design) for design in distinct])

    def with_more(self, space: Space, designs: Sequence[Design]) -> "Candidates":
        """And others behind them."""
        known = set(self.designs)
        more = [design for design in designs if design not in known]
        if not more:
            return self
        others = Candidates.of(space, more)
        points = np.concatenate([self.points, others.points])
        return Candidates([*self.designs, *others.designs], points, [*self.networks, *others.networks])

    def chosen(self, keep: Sequence[int]) -> "Candidates":
        """Those of these places."""
        return Candidates([self.designs[i] for i in keep], self.points[list(keep)], [self.networks[i] for i in keep])


class Belief:
    """Of one ask: made of the history and of what is looked up since. Costs are compared as logarithms."""

    def __init__(
        self,
        space: Space,
        history: Sequence[Evaluation],
        pending: Sequence[Design],
        problem: Problem,
        wanted: float | None,
        learned: Learned,
    ) -> None:
        self._problem, self._history, self._learned = problem, history, learned
        self._looked_up: dict[Design, Known | None] = {}
        self._coordinates: dict[Design, Floats] = {}
        self._probed: dict[Quantisation, bool] = {}
        self._rows: dict[Design, Floats] = {}
        self._guess: Guess | None = None
        seen = Candidates.of(space, [e.design for e in history])
        self._points = seen.points
        self.look_up(seen)
        self._seed = len(history)
        self._costs = np.log(np.maximum([e.cost for e in history], 1.0))
        self._measured = None if wanted is None else Measured.of(seen.points, self._foretold(seen), history, wanted)
        feasible = [cost for cost, e in zip(self._costs, history, strict=True) if e.feasible]
        # Without a feasible design every saving counts, and being feasible more than any.
        self._best = min(feasible) if feasible else float(self._costs.max()) + np.log(2.0)
        if pending:
            self._believe(Candidates.of(space, pending))

    def score(self, candidates: Candidates, *, sober: bool = False) -> Floats:
        """Logarithm of expected constrained improvement, shape (n,).

        A design may be better than guessed, which counts; unless `sober`, which takes guesses for exact.
        """
        for network in dict.fromkeys(candidates.networks):
            if network not in self._probed:
                self.look_up(candidates.chosen([candidates.networks.index(network)]))
        trained = np.array([self._probed[network] for network in candidates.networks])
        total = np.empty(len(trained))
        if trained.any():
            total[trained] = self._score_of_trained(candidates.chosen(np.flatnonzero(trained).tolist()), sober=sober)
        if not trained.all():
            total[~trained] = self._score_of_others(candidates.points[~trained])
        return total

    # ---------------------------------------------------------------- exact figures, and guesses between them

    def look_up(self, candidates: Candidates) -> None:
        """Ask for the exact figures of these designs."""
        for i, design in enumerate(candidates.designs):
            if design not in self._looked_up:
                known = self._problem.known(design)
                self._looked_up[design] = known
                self._coordinates[design] = candidates.points[i]
                self._probed[candidates.networks[i]] = known is not None

    def is_looked_up(self, design: Design) -> bool:
        """Whether its figures are exact already."""
        return design in self._looked_up

    def _figures(self, candidates: Candidates) -> tuple[Floats, Floats]:
        """Rows of `_row` and their standard deviations, zero where they are exact, shape (n, k) each."""
        guess = self._current_guess()
        rows, deviations = guess.predict(candidates.points)
        for i, design in enumerate(candidates.designs):
            if design in self._rows:
                rows[i], deviations[i] = self._rows[design], 0.0
        return rows, deviations

    def _current_guess(self) -> Guess:
        """From all that is looked up by now."""
        new = {d: _row(k) for d, k in self._looked_up.items() if k is not None and d not in self._rows}
        if new or self._guess is None:
            self._rows |= new
            points = np.array([self._coordinates[design] for design in self._rows])
            self._guess = Guess(points, np.array(list(self._rows.values())), self._guess)
        return self._guess

    def _score_of_trained(self, candidates: Candidates, *, sober: bool) -> Floats:
        rows, deviations = self._figures(candidates)
        if sober:
            deviations = np.zeros_like(deviations)
        constraints = list(zip(rows[:, 2:].T, deviations[:, 2:].T, strict=True))
        if self._reliability is not None:
            constraints.append(self._reliability.predict(candidates.points, rows[:, 1], deviations[:, 1]))
        return constrained_improvement((rows[:, 0], deviations[:, 0]), constraints, self._best)

    # ---------------------------------------------------------------- what has to be learned

    def _score_of_others(self, points: Floats) -> Floats:
        """Of designs whose network is not trained: everything is learned from the coordinates."""
        constraints = [surrogate.predict(points) for surrogate in self._learned_margins]
        if self._blind_reliability is not None:
            constraints.append(self._blind_reliability.predict(points, None))
        return constrained_improvement(self._learned_cost.predict(points), constraints, self._best)

    @cached_property
    def _learned_cost(self) -> Surrogate:
        return Surrogate(self._points, Observed(self._costs, np.zeros(len(self._costs))), self._seed)

    @cached_property
    def _learned_margins(self) -> list[Surrogate]:
        """Of constraints that were missed at least once and need no campaign."""
        found = []
        for name in self._history[0].margins:
            margins = np.array([e.margins[name] for e in self._history])
            if name != "accuracy_faulty" and (margins < 0).any():
                found.append(Surrogate(self._points, Observed(margins, np.zeros(len(margins))), self._seed))
        return found

    @cached_property
    def _reliability(self) -> Reliability | None:
        return None if self._measured is None else self._model(self._measured)

    @cached_property
    def _blind_reliability(self) -> Reliability | None:
        return None if self._measured is None else self._model(replace(self._measured, foretold=None))

    def _model(self, measured: Measured) -> Reliability:
        return self._learned.model(measured, len(self._history))

    def _foretold(self, candidates: Candidates) -> Floats | None:
        """Log-odds of right answers that their risks foretell, shape (n,), if all of them have one."""
        known = [self._looked_up[design] for design in candidates.designs]
        risks = [figures.risk for figures in known if figures is not None and figures.risk is not None]
        return log_odds(1 - np.array(risks, np.float64)) if len(risks) == len(known) else None

    def _believe(self, pending: Candidates) -> None:
        """Take designs on their way for measured as expected, so that the next one is not beside them.

        This is the kriging believer of Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize
        optimization" (2010). Designs of which nothing is known yet are left out.
        """
        self.look_up(pending)
        known = [self._looked_up[design] for design in pending.designs]
        pending = pending.chosen([i for i, figures in enumerate(known) if figures is not None])
        if not pending.designs or self._measured is None:
            return
        foretold = None if self._measured.foretold is None else self._foretold(pending)
        model = self._model(self._measured if foretold is not None else replace(self._measured, foretold=None))
        mean, _ = model.predict(pending.points, foretold)
        for figures, above in zip((f for f in known if f is not None), mean, strict=True):
            if above >= 0 and min(figures.margins.values(), default=0.0) >= 0:
                self._best = min(self._best, float(np.log(max(figures.cost, 1.0))))
        self._measured = self._measured.with_more(pending.points, foretold, mean, model.noise)


def _row(known: Known) -> Floats:
    """Logarithm of the cost, foretold log-odds of right answers (zero if unknown), margins by name."""
    foretold = log_odds(np.array(1 - known.risk)) if known.risk is not None else 0.0
    return np.array([np.log(max(known.cost, 1.0)), foretold, *(known.margins[name] for name in sorted(known.margins))])
