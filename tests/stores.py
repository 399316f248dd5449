"""What the tests of stores share: campaigns of no network, with counts that tell their trial."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.campaign.key import CampaignKey
from codesign.campaign.ledger import Ledger
from codesign.campaign.store import Store
from codesign.engine.counts import COUNTS, CountArray
from codesign.errors import StoreError
from codesign.faults import FaultModel, Target

SAMPLES = 10**6
"""More than any test has trials, so that `numbered` counts are possible ones."""

STUDY, OTHER = {"name": "a", "faults.ber": 3e-05}, {"name": "a", "faults.ber": 1e-04}


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


def filled(path: Path) -> Path:
    """A store with many batches, as study 'a' left it."""
    with Store(path, STUDY) as store:
        store._db.rows("pragma synchronous = off")  # for speed alone
        for number in range(200):
            store.add_batch(key(), 25 * number, numbered(range(25)))
            store.add_evaluation("search", number, {"n": number})
        store.spent_seconds(1.0)
    return path


def read_all(path: Path, study: dict[str, Any] | None) -> None:
    with Store(path, study) as store:
        list(store.batches(key()))
        store.evaluations("search")
        store.spent_seconds()


def refused(path: Path, study: dict[str, Any] | None = None) -> str:
    """The one line with which a file is refused; the folder stays as it was."""
    before = {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}
    with pytest.raises(StoreError) as error:
        read_all(path, study)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()} == before
    return str(error.value)


def stored(path: Path) -> int:
    """Trials in a store, which others may be writing; none where there is no file yet."""
    if not path.exists():
        return 0
    with Store(path, reading=True) as store:
        return sum(len(rows) for key in store.campaigns() for _, rows in store.batches(key))
