"""A figure of merit under faults, such as the area under the ROC curve, which needs every logit and not only hits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from codesign.campaign.batches import available_cores
from codesign.campaign.result import CampaignResult
from codesign.campaign.samples import check_samples
from codesign.campaign.simulators import SIMULATORS, SimulatorName, open_simulator
from codesign.campaign.statistics import Interval, mean_interval
from codesign.engine.compiled import NativeEngine
from codesign.errors import one_of
from codesign.faults import FaultModel, FaultSpace
from codesign.metrics import MetricName, measure
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan

# Logits that are held at once.
_BATCH_BYTES = 64 << 20


@dataclass(frozen=True)
class Merit:
    """A figure of merit without faults, and its mean over trials with faults."""

    metric: MetricName
    clean: float
    faulty: Interval

    def to_json(self) -> dict[str, Any]:
        return {"metric": self.metric, "metric_clean": self.clean, "metric_faulty": self.faulty.to_json()}


def merit_under_faults(
    metric: MetricName,
    network: Network,
    plan: ProtectionPlan,
    fault_model: FaultModel,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    trials: int,
    simulator: SimulatorName = "engine",
    confidence: float = 0.95,
    progress: Callable[[int], None] | None = None,
) -> Interval:
    """Mean of the figure over the trials that `run_campaign` runs, simulated once more and not kept.

    `inputs` and `labels` are as there. A trial gives one number in 0..1, so the interval is that of a rate: trials are
    independent, samples of one are not. Raises ConfigError for what `measure` and `run_campaign` refuse.
    """
    raw, truth = check_samples(network, inputs, labels)
    runner = open_simulator(simulator, network, plan, raw)
    space = FaultSpace(network, plan, fault_model, len(raw))
    size = max(1, _BATCH_BYTES // (len(raw) * network.n_out * 8)) if isinstance(runner, NativeEngine) else 1
    found = []
    for start in range(0, trials, size):
        some = range(start, min(start + size, trials))
        if isinstance(runner, NativeEngine):
            logits = runner.run_campaign(space, truth, some, threads=available_cores(), logits=True).logits
            assert logits is not None
        else:
            logits = runner.outcome(space.draw(start)).logits[np.newaxis]
        found.append(measure(metric, logits, truth))
        if progress:
            progress(some.stop)
    return mean_interval(np.concatenate(found), confidence)


def merit_of(
    metric: MetricName,
    result: CampaignResult,
    network: Network,
    plan: ProtectionPlan,
    fault_model: FaultModel,
    inputs: ArrayLike,
    labels: ArrayLike,
    progress: Callable[[int], None] | None = None,
) -> Merit:
    """The metric on what the result is of; whatever is not accuracy simulates its trials once more."""
    if metric == "accuracy":
        return Merit(metric, result.accuracy_clean, result.accuracy)
    raw, truth = check_samples(network, inputs, labels)
    faulty = merit_under_faults(
        *(metric, network, plan, fault_model, raw, truth),
        trials=result.trials,
        simulator=one_of("simulator", result.simulator, SIMULATORS),
        confidence=result.confidence,
        progress=progress,
    )
    return Merit(metric, float(measure(metric, forward(network, raw)[-1], truth)), faulty)
