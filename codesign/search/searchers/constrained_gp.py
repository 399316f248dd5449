"""Our searcher: constrained Bayesian optimisation in which only what has to be measured is learned.

Cost, latency, capacity and clean accuracy of a design follow from its network and plan at once, so they need no
surrogate where the network is trained. What is left to learn is the accuracy under faults, and most of that is foretold
by the flips that get through (`Known.risk`).
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import islice

import numpy as np

from codesign.search.evaluation import Evaluation, rank
from codesign.search.problem import Problem, quantisation_of
from codesign.search.reliability import Learned
from codesign.search.searchers.belief import Belief, Candidates
from codesign.search.searchers.unseen import Unseen
from codesign.search.space import Point, Space
from codesign.study import Design, Study
from codesign.train.builder import Quantisation

_SAMPLED, _NEIGHBOURS = 100, 60
_PARENTS = 10
_POOL = 24  # designs whose exact figures are looked up, so that all others can be guessed from them
_HOPEFUL, _ROUNDS, _LOOKED_UP = (
    4,
    8,
    2,
)  # exact figures for one ask: so many designs, at most so many times, first the hopeful
_PROMISING = 60  # candidates that are looked at more than once
_ENDS = 2  # starting designs that are always evaluated: none and full protection


class ConstrainedGp:
    """Gaussian processes of what is not known, exact figures of what is, and expected constrained improvement."""

    def __init__(self, study: Study) -> None:
        self._space, self._seed = Space(study.space), study.seed
        self._wanted, self._initial = study.requirements.accuracy_faulty, study.search.initial
        self._learned = Learned()

    def ask(self, history: Sequence[Evaluation], pending: Sequence[Design], problem: Problem) -> Design | None:
        """See `Searcher`."""
        number = len(history) + len(pending)
        unseen = Unseen(self._space, history, pending, problem)
        in_advance = self._space.starting(self._initial, self._seed)
        if number < self._in_advance(history, problem) and (design := unseen.first(in_advance)):
            return design
        generator = np.random.default_rng((self._seed, 2, number))
        if history and self._space.variables:
            belief = Belief(self._space, history, pending, problem, self._wanted, self._learned)
            belief.look_up(self._pool)
            candidates = self._candidates(belief, history, generator)
            candidates = _untried(candidates, _waiting(history, pending))
            if number < self._initial:
                candidates = _untried(
                    candidates, {quantisation_of(d) for d in (*(e.design for e in history), *pending)}
                )
            if design := self._best(belief, candidates, unseen):
                return design
        return unseen.any(generator)

    def _in_advance(self, history: Sequence[Evaluation], problem: Problem) -> int:
        """How many designs are chosen in advance: few where risks foretell what space-filling ones would show."""
        known = problem.known(history[0].design) if history else None
        return min(_ENDS, self._initial) if known is not None and known.risk is not None else self._initial

    @cached_property
    def _pool(self) -> Candidates:
        return Candidates.of(self._space, [self._space.design(p) for p in self._space.starting(_POOL, self._seed)])

    @cached_property
    def _listed(self) -> Candidates | None:
        if self._space.listed is None:
            return None
        return Candidates.of(self._space, [self._space.design(p) for p in self._space.listed])

    def _candidates(self, belief: Belief, history: Sequence[Evaluation], generator: np.random.Generator) -> Candidates:
        """All of a small space; of another one random points, lines through the best one, and neighbours.

        Those are of the best designs, and then of the most promising ones.
        """
        if self._listed is not None:
            return self._listed
        ranked = [self._space.point(e.design) for e in sorted(history, key=rank)[:5]]
        points = [
            *self._space.sample(_SAMPLED, generator),
            *self._near(ranked, generator),
            *self._space.lines(ranked[0]),
        ]
        found = Candidates.of(self._space, [self._space.design(point) for point in points])
        scores = belief.score(found)
        parents = [self._space.point(found.designs[i]) for i in np.argsort(-scores, kind="stable")[:_PARENTS]]
        return found.with_more(self._space, [self._space.design(p) for p in self._near(parents, generator)])

    def _near(self, points: Sequence[Point], generator: np.random.Generator) -> list[Point]:
        return [self._space.near(points[i % len(points)], generator) for i in range(_NEIGHBOURS)]

    def _best(self, belief: Belief, candidates: Candidates, unseen: Unseen) -> Design | None:
        """The new design of the highest score.

        Guesses flatter some: the first ones are looked up, which also corrects what is guessed of those around them,
        until the first one stays first; in the end without the hope that they are better than guessed.
        """
        ordered = _by_score(belief, candidates)
        promising, rest = ordered.chosen(range(len(ordered.designs))[:_PROMISING]), ordered.designs[_PROMISING:]
        for number in range(_ROUNDS):
            promising = _by_score(belief, promising, sober=number >= _HOPEFUL)
            fresh = (i for i, design in enumerate(promising.designs) if design in unseen)
            first = list(islice(fresh, _LOOKED_UP))
            if not first or belief.is_looked_up(promising.designs[first[0]]):
                break
            belief.look_up(promising.chosen(first))
        else:
            promising = _by_score(belief, promising, sober=True)
        return next((design for design in (*promising.designs, *rest) if design in unseen), None)


def _by_score(belief: Belief, candidates: Candidates, *, sober: bool = False) -> Candidates:
    return candidates.chosen(np.argsort(-belief.score(candidates, sober=sober), kind="stable").tolist())


def _waiting(history: Sequence[Evaluation], pending: Sequence[Design]) -> set[Quantisation]:
    """Networks of which a first design is on its way, or has failed as all others would."""
    return {quantisation_of(design) for design in pending} - {quantisation_of(e.design) for e in history}


def _untried(candidates: Candidates, tried: set[Quantisation]) -> Candidates:
    """Those of other networks; all if there are none: only an evaluation makes a network known."""
    keep = [i for i, network in enumerate(candidates.networks) if network not in tried]
    return candidates.chosen(keep) if keep else candidates
