"""Optuna's samplers behind our interface: TPE, NSGA-II and a Gaussian process, all told of the constraints."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from codesign.errors import ConfigError
from codesign.search.evaluation import Evaluation
from codesign.search.problem import Problem
from codesign.search.searchers.unseen import Unseen
from codesign.search.space import Point, Space
from codesign.study import Design, Study, Value, Variable

# Asks for a design that is new before chance decides; the Gaussian process is slow and seldom changes its mind.
_TRIES = {"tpe": 10, "nsga2": 10, "optuna_gp": 2}
_POPULATION = 12  # of NSGA-II: its default of 50 is most of a search's budget


class OptunaSearcher:
    """Made anew for every ask and told all that was found, so that it keeps nothing that a killed search would lack.

    Minimises the cost; each constraint is one of Optuna's, which holds where it is not positive. Designs that are being
    evaluated stay running trials. Conditional variables keep the value that `Space` gives to what has no meaning.
    """

    def __init__(self, study: Study) -> None:
        self._optuna = _optuna(study.search.searcher)
        self._name, self._space, self._seed = study.search.searcher, Space(study.space), study.seed
        self._initial = study.search.initial
        self._distributions = {v.name: self._distribution(v) for v in self._space.variables}

    def ask(self, history: Sequence[Evaluation], pending: Sequence[Design], problem: Problem) -> Design | None:
        """See `Searcher`."""
        number = len(history) + len(pending)
        unseen = Unseen(self._space, history, pending, problem)
        if number < self._initial and (design := unseen.first(self._space.starting(self._initial, self._seed))):
            return design
        generator = np.random.default_rng((self._seed, 4, number))
        if history and self._distributions and (design := self._asked(history, pending, unseen, generator)):
            return design
        return unseen.any(generator)

    def _asked(
        self, history: Sequence[Evaluation], pending: Sequence[Design], unseen: Unseen, generator: np.random.Generator
    ) -> Design | None:
        """What the sampler wants that is new, within some tries."""
        study = self._optuna.create_study(sampler=self._sampler(int(generator.integers(2**31))))
        for evaluation in history:
            self._tell(study, evaluation)
        for design in pending:
            study.enqueue_trial(self._params(design))
            self._trial(study)
        for _ in range(_TRIES[self._name]):
            trial = self._trial(study)
            if found := unseen.first([self._point(trial.params)]):
                return found
            study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return None

    def _tell(self, study: Any, evaluation: Evaluation) -> None:
        """One finished trial. NSGA-II counts generations when it is asked, so it is asked for each of them again."""
        params, cost = self._params(evaluation.design), float(np.log(max(evaluation.cost, 1.0)))
        constraints = {name: -float(margin) for name, margin in evaluation.margins.items()}
        if self._name == "nsga2":
            study.enqueue_trial(params)
            trial = self._trial(study)
            for name, value in constraints.items():
                trial.set_constraint(name, value)
            study.tell(trial, cost)
            return
        made = {"params": params, "distributions": self._distributions, "value": cost, "constraints": constraints}
        study.add_trial(self._optuna.trial.create_trial(**made))

    def _trial(self, study: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of histories in which nothing is feasible, and of what is experimental
            return study.ask(self._distributions)

    def _sampler(self, seed: int) -> Any:
        samplers = self._optuna.samplers
        match self._name:
            case "tpe":
                return samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True)
            case "nsga2":
                return samplers.NSGAIISampler(seed=seed, population_size=_POPULATION)
            case _:
                return samplers.GPSampler(seed=seed, n_startup_trials=1)

    def _distribution(self, variable: Variable) -> Any:
        distributions = self._optuna.distributions
        if variable.kind == "categorical":
            return distributions.CategoricalDistribution(list(variable.values))
        if variable.values:  # by their place in the order, which a categorical variable would hide
            return distributions.IntDistribution(0, len(variable.values) - 1)
        kind = distributions.IntDistribution if variable.kind == "int" else distributions.FloatDistribution
        return kind(variable.low, variable.high)

    def _params(self, design: Design) -> dict[str, Any]:
        point = self._space.point(design)
        return {v.name: _order(v).index(point[v.name]) if _places(v) else point[v.name] for v in self._space.variables}

    def _point(self, params: dict[str, Any]) -> Point:
        return {v.name: _order(v)[params[v.name]] if _places(v) else params[v.name] for v in self._space.variables}


def _places(variable: Variable) -> bool:
    return bool(variable.values) and variable.kind != "categorical"


def _order(variable: Variable) -> list[Value]:
    return sorted(variable.values, key=float)


def _optuna(searcher: str) -> Any:
    """The package, silent. Raises ConfigError where it, or what its Gaussian process needs, is missing."""
    try:
        import optuna

        if searcher == "optuna_gp":
            import torch  # noqa: F401 - Optuna imports it when it is asked
    except ImportError as error:
        package = "torch" if error.name == "torch" else "'codesign[search]'"
        raise ConfigError(f"[search] searcher '{searcher}' needs {error.name}: pip install {package}") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
