"""Which variables a search's results depend on, with what a few evaluations leave unknown.

A Gaussian process is fitted to all evaluations, the kind that searchers use. Its draws are functions that agree with
what was measured; each gives a partial dependence of every variable and a first-order Sobol index: the share of the
function's variance over the space that the variable's partial dependence makes up alone. What the draws disagree on is
the uncertainty. Sources: Friedman, Annals of Statistics 29 (2001); Sobol, Mathematics and Computers in Simulation 55
(2001); Le Gratiet, Cannamela and Iooss, SIAM/ASA J. Uncertainty Quantification 2 (2014), for the draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from codesign.search.evaluation import Evaluation
from codesign.search.space import Point, Space
from codesign.search.surrogate import Floats, Observed, Surrogate
from codesign.study import Value

LEAST_EVALUATIONS = 5
CONFIDENCE = 0.95
_POINTS = 1024  # at which the draws are looked at together; their covariance is that large in both directions
_LEAST_PLACES = 16  # random points that a partial dependence is the mean of, at least
_DRAWS = 400
_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class _Plan:
    """Where the draws are looked at: `places` random points, and each again for every value of every variable.

    `points` (n_rows, d) holds the places first. `effects` are (variable, values, first row of its means).
    """

    points: Floats
    places: int
    effects: tuple[tuple[str, tuple[Value, ...], int], ...]
    groups: int

    def averaged(self, mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
        """Of the places (n) and of the partial dependences (`groups`), after the places: shape (n + groups,)."""
        n = self.places
        average = np.zeros((n + self.groups, len(mean)))
        average[:n, :n] = np.eye(n)
        for group in range(self.groups):
            average[n + group, n * (group + 1) : n * (group + 2)] = 1 / n
        return average @ mean, average @ covariance @ average.T


def sensitivity(space: Space, evaluations: Sequence[Evaluation], seed: int) -> dict[str, Any]:
    """Of cost and accuracy under faults: shares and partial dependences of every searched variable, as a document.

    `unavailable` says why there is nothing, where the evaluations are too few or nothing is searched.
    """
    document: dict[str, Any] = {"evaluations": len(evaluations), "confidence": CONFIDENCE}
    if not space.variables:
        return {**document, "unavailable": "no variable is searched", "quantities": {}}
    if len(evaluations) < LEAST_EVALUATIONS:
        few = f"{len(evaluations)} evaluations, and at least {LEAST_EVALUATIONS} are needed"
        return {**document, "unavailable": few, "quantities": {}}
    coordinates = space.encode([space.point(evaluation.design) for evaluation in evaluations])
    plan = _plan(space, np.random.default_rng((seed, 2)))
    costs: Floats = np.array([evaluation.cost for evaluation in evaluations], dtype=np.float64)
    logarithmic = bool(np.all(costs > 0))
    exact = Observed(np.log(costs) if logarithmic else costs, np.zeros(len(costs)))
    quantities = {
        "cost": _effects(plan, coordinates, exact, seed, logarithmic),
        "accuracy_faulty": _effects(plan, coordinates, _accuracy(evaluations), seed, within=(0.0, 1.0)),
    }
    return {**document, "unavailable": None, "quantities": quantities}


def _accuracy(evaluations: Sequence[Evaluation]) -> Observed:
    """Measured means, and their variance by the width of their intervals."""
    measured = [evaluation.accuracy_faulty for evaluation in evaluations]
    deviations: Floats = np.array(
        [(m.high - m.low) / 2 / NormalDist().inv_cdf((1 + m.confidence) / 2) for m in measured]
    )
    return Observed(np.array([m.mean for m in measured]), np.square(deviations))


def _plan(space: Space, generator: np.random.Generator) -> _Plan:
    grids = [(variable.name, space.along(variable)) for variable in space.variables]
    groups = sum(len(values) for _, values in grids)
    places = max(_LEAST_PLACES, _POINTS // (groups + 1))
    base = space.sample(places, generator)
    rows, effects, first = list(base), [], 0
    for name, values in grids:
        effects.append((name, values, first))
        first += len(values)
        for value in values:
            rows += [{**point, name: value} for point in base]
    # As the design means it: where a variable has no meaning, moving it moves nothing.
    meant: list[Point] = [space.point(space.design(point)) for point in rows]
    return _Plan(space.encode(meant), places, tuple(effects), groups)


def _effects(
    plan: _Plan,
    coordinates: Floats,
    observed: Observed,
    seed: int,
    logarithmic: bool = False,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> dict[str, Any]:
    """Shares and partial dependences of one quantity, whose `observed` values may be logarithms."""
    if np.ptp(observed.values) < 1e-12:
        return {"skill": None, "unavailable": "the same in every evaluation", "variables": []}
    model = Surrogate(coordinates, observed, seed)
    mean, covariance = plan.averaged(*model.joint(plan.points))
    draws = _draws(mean, covariance, np.random.default_rng((seed, 3)))
    everywhere = draws[:, : plan.places].var(axis=1)
    variables: list[dict[str, Any]] = []
    for name, values, first in plan.effects:
        rows = slice(plan.places + first, plan.places + first + len(values))
        shares = np.minimum(1.0, draws[:, rows].var(axis=1) / np.maximum(everywhere, 1e-300))
        low, middle, high = _quantiles(shares)
        variables.append(
            {
                "name": name,
                "share": {"median": float(middle), "low": float(low), "high": float(high)},
                "dependence": _dependence(values, draws[:, rows], logarithmic, within),
            }
        )
    variables.sort(key=lambda one: -one["share"]["median"])
    return {"skill": model.skill(), "unavailable": None, "variables": variables}


def _draws(mean: Floats, covariance: Floats, generator: np.random.Generator) -> Floats:
    """Of a normal distribution whose covariance may be singular, shape (_DRAWS, n)."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    spread = vectors * np.sqrt(np.maximum(values, 0.0))
    drawn: Floats = mean + generator.standard_normal((_DRAWS, len(mean))) @ spread.T
    return drawn


def _quantiles(draws: Floats) -> Floats:
    """Lower end, median and upper end over the draws, the first axis."""
    found: Floats = np.quantile(draws, (_TAILS[0], 0.5, _TAILS[1]), axis=0)
    return found


def _dependence(
    values: Sequence[Value], draws: Floats, logarithmic: bool, within: tuple[float, float]
) -> list[dict[str, Any]]:
    """Median and interval at each value; what cannot be, such as an accuracy above one, is cut off."""
    shown = np.exp(draws) if logarithmic else np.clip(draws, *within)
    low, middle, high = _quantiles(shown)
    return [
        {"value": value, "median": float(m), "low": float(a), "high": float(b)}
        for value, m, a, b in zip(values, middle, low, high, strict=True)
    ]
