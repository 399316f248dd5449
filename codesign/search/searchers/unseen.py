"""Which designs are left: what every searcher has to respect."""

from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from codesign.search.evaluation import Evaluation
from codesign.search.problem import Problem
from codesign.search.space import Point, Space
from codesign.study import Design

_ENDLESS = 20_000  # points that are drawn in a space too large to list before it counts as exhausted


class Unseen:
    """Tells designs that were evaluated or are on their way, by their accelerators, from new ones."""

    def __init__(
        self, space: Space, history: Sequence[Evaluation], pending: Sequence[Design], problem: Problem
    ) -> None:
        self._space, self._problem = space, problem
        self._seen: set[Hashable] = {problem.signature(evaluation.design) for evaluation in history}
        self._seen |= {problem.signature(design) for design in pending}
        self._designs = {evaluation.design for evaluation in history} | set(pending)

    def __contains__(self, design: Design) -> bool:
        """Whether the design is another accelerator than all before."""
        return design not in self._designs and self._problem.signature(design) not in self._seen

    def first(self, points: Iterable[Point]) -> Design | None:
        """The first new design of these points."""
        return next((design for design in map(self._space.design, points) if design in self), None)

    def any(self, generator: np.random.Generator) -> Design | None:
        """Some new design by chance; None when a space that can be listed has none left."""
        return self.first(self._all(generator))

    def _all(self, generator: np.random.Generator) -> Iterator[Point]:
        if self._space.listed is not None:
            yield from (self._space.listed[i] for i in generator.permutation(len(self._space.listed)))
            return
        for _ in range(_ENDLESS):
            yield from self._space.sample(1, generator)
