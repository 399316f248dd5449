"""Random search: the starting designs, then uniform points. What every other searcher has to beat."""

from collections.abc import Sequence

import numpy as np

from codesign.search.evaluation import Evaluation
from codesign.search.problem import Problem
from codesign.search.searchers.unseen import Unseen
from codesign.search.space import Space
from codesign.study import Design, Study


class RandomSearcher:
    """Every point of the space is as likely as any other."""

    def __init__(self, study: Study) -> None:
        self._space, self._seed, self._initial = Space(study.space), study.seed, study.search.initial

    def ask(self, history: Sequence[Evaluation], pending: Sequence[Design], problem: Problem) -> Design | None:
        """See `Searcher`."""
        number = len(history) + len(pending)
        unseen = Unseen(self._space, history, pending, problem)
        if number < self._initial and (design := unseen.first(self._space.starting(self._initial, self._seed))):
            return design
        return unseen.any(np.random.default_rng((self._seed, 3, number)))
