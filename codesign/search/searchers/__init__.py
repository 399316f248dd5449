"""Who asks for the next design: one interface, several strategies, chosen by a study's `[search] searcher`."""

from codesign.search.problem import Searcher
from codesign.search.searchers.chance import RandomSearcher
from codesign.search.searchers.constrained_gp import ConstrainedGp
from codesign.search.searchers.through_optuna import OptunaSearcher
from codesign.study import SEARCHERS, Study

__all__ = ["SEARCHERS", "searcher_of"]


def searcher_of(study: Study) -> Searcher:
    """The study's searcher. Raises ConfigError when it needs a package that is not installed."""
    match study.search.searcher:
        case "gp":
            return ConstrainedGp(study)
        case "random":
            return RandomSearcher(study)
        case _:
            return OptunaSearcher(study)
