"""Gaussian-process surrogates and the constrained expected improvement."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.special import log_ndtr, ndtr

Floats = NDArray[np.float64]
_HOPELESS = -1e9  # below any logarithm of a probability


@dataclass(frozen=True)
class Observed:
    """One quantity at every evaluated point: values and the variance of their measurement, shape (n,)."""

    values: Floats
    variance: Floats


class Surrogate:
    """A Gaussian process (scikit-optimize's) on standardised values, with the observations' own noise.

    With `residual_scale` the values are what a trend has left over: away from all points zero is expected instead of
    their mean, give or take at least so much, however well the trend fits the few values that there are. With `like`
    length scales are taken over from another surrogate instead of being found: that is nearly all of the time.
    """

    def __init__(
        self,
        points: Floats,
        observed: Observed,
        seed: int,
        residual_scale: float | None = None,
        like: "Surrogate | None" = None,
    ) -> None:
        from skopt.learning import GaussianProcessRegressor  # over a second to import
        from skopt.learning.gaussian_process.kernels import ConstantKernel, Matern

        self._mean = float(observed.values.mean()) if residual_scale is None else 0.0
        spread = float(np.sqrt(np.mean((observed.values - self._mean) ** 2)))
        self._scale = max(spread, residual_scale or 0.0)
        self._model: Any = None
        if self._scale < 1e-12:  # a constant: nothing to learn, and nothing to divide by
            return
        kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(
            length_scale=np.ones(points.shape[1]), length_scale_bounds=[(0.05, 20.0)] * points.shape[1], nu=2.5
        )
        settled = None if like is None or like._model is None else like._model.kernel_
        self._model = GaussianProcessRegressor(
            kernel=settled or kernel,
            optimizer=None if settled else "fmin_l_bfgs_b",
            alpha=observed.variance / self._scale**2 + 1e-6,
            n_restarts_optimizer=1,
            random_state=seed,
        )
        with warnings.catch_warnings():
            # A length scale at its bound says that a variable does not matter; that is an answer.
            warnings.simplefilter("ignore")
            self._model.fit(points, (observed.values - self._mean) / self._scale)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation, each of shape (n,)."""
        if self._model is None:
            return np.full(len(points), self._mean), np.zeros(len(points))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mean, deviation = self._model.predict(points, return_std=True)
        return mean * self._scale + self._mean, np.maximum(deviation, 1e-9) * self._scale

    def joint(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean, shape (n,), and covariance of the function at all points together, shape (n, n)."""
        if self._model is None:
            return np.full(len(points), self._mean), np.zeros((len(points), len(points)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mean, covariance = self._model.predict(points, return_cov=True)
        return mean * self._scale + self._mean, covariance * self._scale**2

    def skill(self) -> float:
        """Share of the values' variance that is foretold for each point by the others; 0 or less is no better than
        their mean. Left out one by one with the kernel kept (Rasmussen and Williams, 2006, section 5.4.2).
        """
        if self._model is None:
            return 0.0
        model = self._model
        inverse = cho_solve((model.L_, True), np.eye(len(model.L_)))
        left_over = model.alpha_ / np.diag(inverse)
        return float(1 - np.sum(left_over**2) / np.sum((model.y_train_ - model.y_train_.mean()) ** 2))


def log_probability_feasible(constraints: list[tuple[Floats, Floats]]) -> Floats:
    """Logarithm of the probability that all constraints (mean, deviation; feasible at >= 0) hold."""
    total: Floats = np.zeros(len(constraints[0][0]))
    for mean, deviation in constraints:
        certain = deviation <= 0
        score = np.where(certain, np.where(mean >= 0, 40.0, -40.0), mean / np.where(certain, 1.0, deviation))
        total += log_ndtr(score)
    return total


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Expected decrease below `best` of a normal quantity (Jones, Schonlau and Welch, 1998)."""
    certain = deviation <= 0
    score = (best - mean) / np.where(certain, 1.0, deviation)
    density = np.exp(-0.5 * score**2) / np.sqrt(2 * np.pi)
    improvement: Floats = np.where(certain, np.maximum(best - mean, 0.0), deviation * (score * ndtr(score) + density))
    return improvement


def constrained_improvement(
    objective: tuple[Floats, Floats], constraints: list[tuple[Floats, Floats]], best: float
) -> Floats:
    """Logarithm of expected improvement below `best` times probability of feasibility.

    What cannot improve comes after all that can, however unlikely, and is the worse the more it costs. Source: Gardner
    et al., "Bayesian optimization with inequality constraints", ICML 2014.
    """
    score = log_probability_feasible(constraints) if constraints else np.zeros(len(objective[0]))
    improvement = expected_improvement(*objective, best)
    hopeless = improvement <= 0
    loss = _HOPELESS * (1 + np.maximum(objective[0] - best, 0.0))
    score += np.where(hopeless, loss, np.log(np.where(hopeless, 1.0, improvement)))
    return score
