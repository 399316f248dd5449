"""A campaign that grows only while its interval still holds the requirement, without losing confidence by looking.

Each look has an interval of its own, and the chances of all of them to miss add up to what the study allows: an
interval that ends a campaign holds with the study's confidence, whichever look it was (alpha spending with Bonferroni's
inequality). Sources: Pocock, Biometrika 64 (1977); Lan and DeMets, "Discrete sequential boundaries for clinical
trials", Biometrika 70 (1983). Why not `SequentialTest`, which may look after every trial: docs/choosing.md.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

from codesign.campaign.requirement import Requirement, Status
from codesign.campaign.statistics import Interval

_LEAST_TRIALS = 20  # of a look; with fewer the interval seldom decides
_MOST_LOOKS = 4
_LAST_SHARE = 0.7  # of what may be missed; the earlier looks are for clear cases and have equal parts of the rest


class Measured(Protocol):
    """The trials of a campaign so far."""

    def interval(self, metric: str, confidence: float | None = None) -> Interval: ...


M = TypeVar("M", bound=Measured)


@dataclass(frozen=True)
class Look:
    """After so many trials, and the confidence of its two-sided interval."""

    trials: int
    confidence: float


@dataclass(frozen=True)
class Stage:
    """What a look saw: the accuracy under faults and whether that decides."""

    trials: int
    low: float
    high: float
    status: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Staged(Generic[M]):
    """The longest campaign that was needed, and all looks at it; `confidence` is that of the last look's interval."""

    measured: M
    stages: tuple[Stage, ...]
    confidence: float
    asked: float

    def interval(self, metric: str) -> Interval:
        """It holds with the confidence asked for, however many looks there were."""
        own = self.measured.interval(metric, self.confidence)
        return Interval(own.mean, own.low, own.high, self.asked)


def looks(trials: int, confidence: float, least: int = _LEAST_TRIALS) -> tuple[Look, ...]:
    """Looks at `trials` and at halves of it down to `least`, four at most; their chances to miss sum to one less
    `confidence`.
    """
    sizes = [trials]
    while len(sizes) < _MOST_LOOKS and (half := -(-sizes[0] // 2)) >= least and half < sizes[0]:
        sizes.insert(0, half)
    early = (1 - _LAST_SHARE) / (len(sizes) - 1) if len(sizes) > 1 else 0.0
    shares = [*[early] * (len(sizes) - 1), 1 - early * (len(sizes) - 1)]
    return tuple(Look(n, 1 - (1 - confidence) * share) for n, share in zip(sizes, shares, strict=True))


def measure(attack: Callable[[int], M], wanted: float | None, confidence: float, plan: tuple[Look, ...]) -> Staged[M]:
    """Run `attack` (so many trials, of which those before are part) until a look says where accuracy lies to `wanted`.

    Without `wanted` there is nothing to decide and the first look is the only one. A single look has all of the
    confidence.
    """
    taken = plan if wanted is not None else plan[:1]
    only = taken if len(taken) > 1 else (Look(taken[0].trials, confidence),)
    stages: list[Stage] = []
    for look in only:
        measured = attack(look.trials)
        seen = measured.interval("accuracy", look.confidence)
        status = Status.UNDECIDED
        if wanted is not None:
            status = Requirement("accuracy", ">=", wanted, confidence).status(seen.low, seen.high)
        stages.append(Stage(look.trials, seen.low, seen.high, status.value))
        if status is not Status.UNDECIDED:
            break
    return Staged(measured, tuple(stages), look.confidence, confidence)
