"""What can be said of a design once some are evaluated, and nothing that only this session happens to know."""

from collections.abc import Hashable, Sequence

from codesign.errors import ConfigError
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Evaluation
from codesign.search.problem import Known, quantisation_of
from codesign.study import Design


class SeenNetworks:
    """The study's problem as far as the networks in `history` tell.

    A network that lies in the cache because the search was killed, or because another process has trained it, is not
    known before its first evaluation is: otherwise a search that goes on would choose otherwise.
    """

    def __init__(self, evaluator: Evaluator, history: Sequence[Evaluation]) -> None:
        self._evaluator = evaluator
        self._seen = {quantisation_of(evaluation.design) for evaluation in history}

    def signature(self, design: Design) -> Hashable:
        """Tells accelerators apart; of an unknown network, designs."""
        if quantisation_of(design) in self._seen:
            try:
                return self._evaluator.signature(design)
            except ConfigError:
                pass  # its evaluation will fail, too, and say why
        return design.digest

    def known(self, design: Design) -> Known | None:
        """Cost and exact margins; None for an unknown network, and for a design that cannot be built."""
        if quantisation_of(design) not in self._seen:
            return None
        try:
            return self._evaluator.known(design)
        except ConfigError:
            return None
