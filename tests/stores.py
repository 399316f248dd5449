"""What the tests of stores share: campaigns of no network, with counts that tell their trial."""

from typing import Any

import numpy as np

from codesign.campaign.key import CampaignKey
from codesign.campaign.ledger import Ledger
from codesign.campaign.store import Store
from codesign.engine.counts import COUNTS, CountArray
from codesign.faults import FaultModel, Target

SAMPLES = 10**6
"""More than any test has trials, so that `numbered` counts are possible ones."""


def key(network: str = "k", **others: Any) -> CampaignKey:
    model = FaultModel((Target.WEIGHT, Target.ACCUMULATOR), ber=1e-3, seed=7)
    given = {"simulator": "engine", "network_name": "net", "plan": "p", "inputs": "i", "labels": "l", **others}
    return CampaignKey(network=network, **{"model": model, "samples": SAMPLES, **given})


def numbered(trials: range) -> CountArray:
    """Counts that tell their trial."""
    rows = np.zeros(len(trials), COUNTS)
    for name in COUNTS.names or ():
        rows[name] = trials
    return rows


def kept(store: Store, campaign: CampaignKey | None = None) -> CountArray:
    """What a store has of a campaign, up to the first gap."""
    ledger = Ledger()
    for first, rows in store.batches(campaign or key()):
        ledger.add(first, rows)
    return ledger.rows
