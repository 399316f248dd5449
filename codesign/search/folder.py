"""The run folder: where everything that a search finds is kept."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.campaign.case import load_inputs, save_inputs
from codesign.campaign.store import FILE_DIGEST, STORE_NAME
from codesign.errors import ConfigError, StoreError
from codesign.files import digest_of, write_atomically
from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.study import Study

# Raise it when designs, their plans or their figures come out otherwise than before: old runs cannot be continued.
RECIPE = 6
_NOT_COUNTED = ("search.evaluations", "faults.curve", "model.metric", "model.allow_custom_code")
# Keys that runs of earlier versions did not have; where they change nothing the run stays the same.
_LATER = {"objective.energy": 0.0}
_NEEDED = ("best", "nearest", "baselines", "evaluations", "hardware")


@dataclass(frozen=True)
class RunFolder:
    """Paths and documents of one run."""

    path: Path

    @property
    def store(self) -> Path:
        return self.path / STORE_NAME

    @property
    def result_path(self) -> Path:
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def project(self) -> Path:
        return self.path / "best" / "project"

    def network_path(self, digest: str) -> Path:
        return self.path / "networks" / f"{digest[:16]}.npz"

    def plan_path(self, network: str, plan: str) -> Path:
        return self.path / "plans" / f"{network[:16]}-{plan[:16]}.json"

    @property
    def samples_path(self) -> Path:
        return self.path / "samples.npz"

    def keep(self, network: Network, plan: ProtectionPlan) -> None:
        """Write a network and a plan, unless they are there."""
        if not self.network_path(network.digest).exists():
            network.save(self.network_path(network.digest))
        path = self.plan_path(network.digest, plan.digest)
        if not path.exists():
            plan.save(path, network)

    def holds(self, network: str, plan: str) -> bool:
        """Whether `keep` wrote both and they are still there."""
        return self.network_path(network).exists() and self.plan_path(network, plan).exists()

    def load(self, network: str, plan: str) -> tuple[Network, ProtectionPlan]:
        """What `keep` wrote, by digests."""
        found = Network.load(self.network_path(network))
        return found, ProtectionPlan.load(self.plan_path(network, plan), found)

    def keep_samples(self, raw_inputs: Ints) -> None:
        """Write the test set, which becomes the stimuli of exported projects."""
        save_inputs(self.samples_path, raw_inputs)

    def samples(self) -> Ints | None:
        """What `keep_samples` wrote; None where it is gone."""
        if not self.samples_path.exists():
            return None
        try:
            return load_inputs(self.samples_path)
        except ConfigError as error:
            raise StoreError(f"{self.samples_path}: {error}") from None

    def write_result(self, result: dict[str, Any]) -> None:
        write_atomically(self.result_path, json.dumps(result, indent=1, sort_keys=True) + "\n")

    def result(self) -> dict[str, Any]:
        """The result document. Raises ConfigError when the folder is no run, StoreError when it is damaged."""
        try:
            found = json.loads(self.result_path.read_text())
        except FileNotFoundError:
            state = (
                "has no result yet: let `codesign optimize` finish" if self.store.exists() else "is not a run folder"
            )
            raise ConfigError(f"{self.path} {state} (no {self.result_path.name})") from None
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.result_path} cannot be read: {error}") from None
        if not isinstance(found, dict) or (missing := [key for key in _NEEDED if key not in found]):
            lacks = f": it has no {', '.join(missing)}" if isinstance(found, dict) else ""
            raise StoreError(f"{self.result_path} is not a codesign result{lacks}")
        return found

    def design(self, number: int | None) -> dict[str, Any]:
        """The evaluation of that number, or the best one. Raises ConfigError naming what there is."""
        result = self.result()
        if number is None:
            chosen: dict[str, Any] | None = result["best"] or result["nearest"]
            assert chosen is not None  # a finished run has one or the other
            return chosen
        for evaluation in result["evaluations"]:
            if evaluation["id"] == number:
                return dict(evaluation)
        raise ConfigError(f"{self.path}: no design {number}; there are 0..{len(result['evaluations']) - 1}")


def identity(study: Study) -> dict[str, Any]:
    """What a run folder belongs to, setting by setting.

    A larger budget continues the same search, so it does not count; nor does the curve, which has its own campaigns,
    nor what no network or evaluation depends on.
    """
    counted = {name: value for name, value in study.settings.items() if name not in _NOT_COUNTED}
    kept = {name: value for name, value in counted.items() if name not in _LATER or value != _LATER[name]}
    return {
        **kept,
        f"model file {study.model.builder}": FILE_DIGEST + digest_of(study.builder_source),
        **(
            {f"model file {study.model.file}": FILE_DIGEST + digest_of(study.model_source)}
            if study.model_source
            else {}
        ),
        "this codesign's recipe for designs": RECIPE,
    }
