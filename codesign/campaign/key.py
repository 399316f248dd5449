"""What identifies the trials of a campaign."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from codesign.campaign.fault_list import model_json, read_model
from codesign.engine.counts import COUNTS
from codesign.errors import ConfigError
from codesign.faults import FaultModel
from codesign.files import digest_of
from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import ProtectionPlan

# Raise it when a trial of the same campaign is drawn or counted otherwise than before: kept trials are then run again.
RECIPE = 1
_TEXTS = ("simulator", "network", "network_name", "plan", "inputs", "labels")


@dataclass(frozen=True)
class CampaignKey:
    """All that decides a trial's counts apart from its number.

    `network`, `plan`, `inputs` (raw) and `labels` are digests; `samples` is the size of the evaluation set, `columns`
    are what is counted (see `codesign.engine.counts`).
    """

    simulator: str
    network: str
    network_name: str
    plan: str
    model: FaultModel
    inputs: str
    labels: str
    samples: int
    columns: tuple[str, ...] = COUNTS.names or ()
    recipe: int = RECIPE

    @classmethod
    def of(
        cls, network: Network, plan: ProtectionPlan, model: FaultModel, raw: Ints, truth: Ints, simulator: str
    ) -> "CampaignKey":
        """`raw` has shape (n_samples, n_in), `truth` (n_samples,)."""
        sets = digest_of(raw.tobytes()), digest_of(truth.tobytes())
        return cls(simulator, network.digest, network.name, plan.digest, model, *sets, len(raw))

    @cached_property
    def text(self) -> str:
        """One line of JSON, always the same for the same key."""
        texts = {name: getattr(self, name) for name in _TEXTS}
        numbers = {"samples": self.samples, "columns": self.columns, "recipe": self.recipe}
        return json.dumps({**texts, **numbers, "fault_model": model_json(self.model)}, sort_keys=True)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return digest_of(self.text)

    @classmethod
    def parse(cls, text: str) -> "CampaignKey":
        """What `text` gave. Raises ConfigError for anything else."""
        try:
            data: dict[str, Any] = json.loads(text)
            given: dict[str, Any] = {name: str(data[name]) for name in _TEXTS}
            given |= {name: int(data[name]) for name in ("samples", "recipe")}
            given["columns"], model = tuple(map(str, data["columns"])), data["fault_model"]
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"not a campaign's key: {error!r}") from None
        return cls(**given, model=read_model("fault_model", model))
