"""Metrics against the bit error rate: one campaign a rate, the same random numbers in all of them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import ArrayLike

from codesign.campaign.batches import offset
from codesign.campaign.requirement import METRICS
from codesign.campaign.result import CampaignResult
from codesign.campaign.run import run_campaign
from codesign.campaign.store import Store
from codesign.errors import ConfigError
from codesign.faults import FaultModel
from codesign.network import Network
from codesign.notebook import html_table
from codesign.protection import ProtectionPlan

_MAX_POINTS = 1000
_RANGE = re.compile(r"^([^:,]+):([^:,]+):(\d{1,9})$")
_FORM = "write a range as 1e-6:1e-3:7 (low, high, points; evenly on a logarithmic axis) or a list as 1e-6,1e-5,3e-5"


@dataclass(frozen=True)
class Curve:
    """One design at ascending bit error rates, a campaign each. Bands hold for each rate on its own."""

    name: str
    rates: tuple[float, ...]
    results: tuple[CampaignResult, ...]

    def to_json(self) -> dict[str, Any]:
        first = self.results[0]
        return {
            "name": self.name,
            "network": first.network,
            "plan": first.plan,
            "accuracy_clean": first.accuracy_clean,
            "points": [
                {
                    "ber": rate,
                    "fault_model": result.fault_model,
                    "trials": result.trials,
                    "verified": list(result.verified),
                    **{metric: result.interval(metric).to_json() for metric in METRICS},
                }
                for rate, result in zip(self.rates, self.results, strict=True)
            ],
        }

    def _repr_html_(self) -> str:
        from codesign.notebook.figures import bands

        shown = {metric: [result.interval(metric) for result in self.results] for metric in ("accuracy", "sdc1")}
        spans = {metric: [(i.mean, i.low, i.high) for i in found] for metric, found in shown.items()}
        texts = [
            [f"{rate:g}", *(f"{mean:.4f} [{low:.4f}, {high:.4f}]" for mean, low, high in of_rate)]
            for rate, *of_rate in zip(self.rates, *spans.values(), strict=True)
        ]
        first = self.results[0]
        caption = f"{self.name}: {first.trials} trials at each rate, {first.confidence:.0%} confidence"
        drawn = bands(f"{caption}, {first.plan[:8]}", self.rates, spans, "bit error rate") if any(self.rates) else ""
        return html_table(caption, ("bit error rate", *spans), texts) + drawn

    def table(self) -> list[dict[str, Any]]:
        """A row for every rate and metric."""
        return [
            {
                "design": self.name,
                "network": result.network,
                "plan": result.plan,
                "ber": rate,
                "trials": result.trials,
                "samples": result.samples,
                "metric": metric,
                **result.interval(metric).to_json(),
            }
            for rate, result in zip(self.rates, self.results, strict=True)
            for metric in METRICS
        ]


def parse_rates(text: str) -> tuple[float, ...]:
    """Ascending bit error rates of a range or a list. Raises ConfigError that shows the right form.

    The points of a range are rounded to six digits: 1e-5 in a range is the 1e-5 of a campaign, whose trials are kept.
    """
    match = _RANGE.match(text.strip())
    if match is None:
        return tuple(sorted({_rate(text, part) for part in text.split(",")}))
    low, high, points = _rate(text, match[1]), _rate(text, match[2]), int(match[3])
    if not 0 < low < high or not 2 <= points <= _MAX_POINTS:
        raise ConfigError(f"--ber '{text}': expected 0 < low < high and 2 to {_MAX_POINTS} points; {_FORM}")
    step = math.log10(high / low) / (points - 1)
    return tuple(sorted({float(f"{low * 10 ** (step * k):.6g}") for k in range(points)}))


def _rate(text: str, part: str) -> float:
    try:
        rate = float(part)
    except ValueError:
        raise ConfigError(f"--ber '{text}': '{part.strip()}' is no number; {_FORM}") from None
    if not 0.0 <= rate <= 1.0:
        raise ConfigError(f"--ber '{text}': {part.strip()} is outside 0..1")
    return rate


def measure_curve(
    name: str,
    network: Network,
    plan: ProtectionPlan,
    model: FaultModel,
    inputs: ArrayLike,
    labels: ArrayLike,
    rates: Sequence[float],
    *,
    trials: int,
    confidence: float = 0.95,
    store: Store | None = None,
    verify: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Curve:
    """`trials` trials of the model's faults at each of the ascending `rates` instead of its own.

    Everything else is as in `run_campaign`; `progress` is told the finished trials of all rates together.
    """
    results = []
    for number, rate in enumerate(rates):
        results.append(
            run_campaign(
                network,
                plan,
                replace(model, ber=rate, n_flips=None),
                inputs,
                labels,
                trials=trials,
                confidence=confidence,
                store=store,
                verify=verify,
                progress=offset(progress, number * trials),
            )
        )
    return Curve(name, tuple(rates), tuple(results))
