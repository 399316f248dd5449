"""How the accuracy under faults is learned: in log-odds, around what the flips that get through foretell."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from codesign.search.evaluation import Evaluation
from codesign.search.surrogate import Floats, Observed, Surrogate

_FLOOR = 1e-4
# Beliefs about the line from foretold to measured log-odds: no offset, a slope of one, give or take.
_OFFSET_DEVIATION, _SLOPE_DEVIATION = 0.5, 0.3
_MODEL_DEVIATION = 0.15  # of measured log-odds around the line
# What no model knows: with it a design that should miss by a little is tried, however sure the Gaussian process is.
_LEFT_DEVIATION = 0.05


def log_odds(p: Floats) -> Floats:
    """Of probabilities, which are kept off zero and one."""
    clipped = np.clip(p, _FLOOR, 1 - _FLOOR)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds


@dataclass(frozen=True)
class Line:
    """Measured log-odds by foretold ones: ``offset + slope * foretold``, both above the log-odds that are asked for."""

    offset: float
    slope: float

    @classmethod
    def fitted(cls, foretold: Floats, observed: Observed) -> "Line":
        """Posterior mean of a Bayesian linear regression; points near the border count most.

        Where a design is far from the requirement flips meet, and saturation bends the line; what it leaves over is
        the Gaussian process' to learn.
        """
        design = np.stack([np.ones_like(foretold), foretold], axis=1)
        weights = 1 / ((observed.variance + _MODEL_DEVIATION**2) * (1 + observed.values**2))
        belief = np.diag([_OFFSET_DEVIATION**-2.0, _SLOPE_DEVIATION**-2.0])
        precision = design.T @ (weights[:, None] * design) + belief
        found = np.linalg.solve(precision, design.T @ (weights * observed.values) + belief @ [0.0, 1.0])
        return cls(float(found[0]), float(max(found[1], 0.0)))

    def at(self, foretold: Floats) -> Floats:
        """The line's values, shape (n,)."""
        return self.offset + self.slope * foretold


class Reliability:
    """Log-odds above the requirement of what a campaign will measure; length scales are those of `like` if given."""

    def __init__(self, measured: "Measured", like: "Reliability | None" = None) -> None:
        self._wanted, self._line = measured.wanted, None
        points, observed, scale = measured.points, measured.observed, None
        if measured.foretold is not None:
            above = self._above(measured.foretold)
            self._line = Line.fitted(above, observed)
            observed = Observed(observed.values - self._line.at(above), observed.variance)
            points, scale = _with(points, above), _MODEL_DEVIATION
        self.noise = _noise_at_border(measured.observed)
        self._surrogate: Surrogate = Surrogate(
            points, observed, len(points), scale, None if like is None else like._surrogate
        )

    def predict(self, points: Floats, foretold: Floats | None, guessed: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Mean and standard deviation, a measurement's noise included, shape (n,) each.

        `points` has shape (n, d); `foretold`, the log-odds that risks foretell, shape (n,), counts if the model has
        learned from such; `guessed` is its standard deviation.
        """
        if self._line is None or foretold is None:
            mean, deviation = self._surrogate.predict(points)
        else:
            above = self._above(foretold)
            mean, deviation = self._surrogate.predict(_with(points, above))
            mean = mean + self._line.at(above)
            deviation = np.hypot(deviation, self._line.slope * guessed)
        return mean, np.sqrt(deviation**2 + self.noise + _LEFT_DEVIATION**2)

    def _above(self, foretold: Floats) -> Floats:
        return foretold - log_odds(np.array(self._wanted))


@dataclass(frozen=True, eq=False)
class Measured:
    """What campaigns found at points of shape (n, d), and if it was, what was foretold, log-odds of shape (n,)."""

    points: Floats
    foretold: Floats | None
    observed: Observed
    wanted: float

    @classmethod
    def of(cls, points: Floats, foretold: Floats | None, history: Sequence[Evaluation], wanted: float) -> "Measured":
        """Log-odds of the accuracy's lower confidence bound, above the log-odds that are asked for.

        Accuracies crowd below one; their log-odds are smooth in the number of hardened bits. The variance is that of
        the mean, carried over by the derivative 1 / (p (1 - p)).
        """
        low = np.clip([e.accuracy_faulty.low for e in history], _FLOOR, 1 - _FLOOR)
        half_width = np.array([e.accuracy_faulty.high - e.accuracy_faulty.low for e in history]) / 2
        sigmas = float(ndtri(0.5 + history[0].accuracy_faulty.confidence / 2))
        above = log_odds(low) - log_odds(np.array(wanted))
        return cls(points, foretold, Observed(above, (half_width / sigmas / (low * (1 - low))) ** 2), wanted)

    def with_more(self, points: Floats, foretold: Floats | None, values: Floats, variance: float) -> "Measured":
        """The same with further values at these points, all of one variance."""
        both = None if self.foretold is None or foretold is None else np.concatenate([self.foretold, foretold])
        more = Observed(
            np.concatenate([self.observed.values, values]),
            np.concatenate([self.observed.variance, np.full(len(values), variance)]),
        )
        return Measured(np.concatenate([self.points, points]), both, more, self.wanted)

    def first(self, count: int) -> "Measured":
        """So many of them."""
        observed = Observed(self.observed.values[:count], self.observed.variance[:count])
        return Measured(
            self.points[:count], None if self.foretold is None else self.foretold[:count], observed, self.wanted
        )

    def model(self, like: Reliability | None = None) -> Reliability:
        """What is learned from all of it."""
        return Reliability(self, like)


@dataclass(frozen=True)
class Learned:
    """Models of what was measured, whose length scales are found anew whenever there are half as many values more.

    In between those of fewer values serve. It does not matter when it was asked for which: they follow from the values
    alone, so that a search that goes on asks for the same designs.
    """

    _settled: dict[tuple[bytes, bytes, bytes], Reliability] = field(default_factory=dict)

    def model(self, measured: Measured, since: int) -> Reliability:
        """Of all values; the first `since` of them may settle length scales."""
        settling = measured.first(_settling(since))
        foretold = b"" if settling.foretold is None else settling.foretold.tobytes()
        key = settling.points.tobytes(), settling.observed.values.tobytes(), foretold
        if key not in self._settled:
            self._settled[key] = settling.model()
        settled = self._settled[key]
        return settled if len(settling.points) == len(measured.points) else measured.model(settled)


def _settling(count: int) -> int:
    """The largest of 1, 2, 3, 4, 6, 9, 13, 19, ... up to a number."""
    found = 1
    while (following := max(found + 1, found * 3 // 2)) <= count:
        found = following
    return found


def _with(points: Floats, above: Floats) -> Floats:
    """The foretold value as one more coordinate, brought to about 0..1."""
    return np.column_stack([points, np.arctan(above) / np.pi + 0.5])


def _noise_at_border(observed: Observed) -> float:
    """Variance of a measurement where it decides: of those nearest to the requirement."""
    nearest = np.argsort(np.abs(observed.values), kind="stable")[:5]
    return float(np.median(observed.variance[nearest]))
