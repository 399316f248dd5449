"""The run folder: where everything that a search finds is kept."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.errors import ConfigError, StoreError
from codesign.files import write_atomically
from codesign.network import Network
from codesign.protection import ProtectionPlan

_NEEDED = ("best", "nearest", "baselines", "evaluations", "hardware")


@dataclass(frozen=True)
class RunFolder:
    """Paths and documents of one run."""

    path: Path

    @property
    def store(self) -> Path:
        return self.path / "study.sqlite"

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

    def plan_path(self, digest: str) -> Path:
        return self.path / "plans" / f"{digest[:16]}.json"

    def keep(self, network: Network, plan: ProtectionPlan) -> None:
        """Write a network and a plan, unless they are there."""
        if not self.network_path(network.digest).exists():
            network.save(self.network_path(network.digest))
        if not self.plan_path(plan.digest).exists():
            plan.save(self.plan_path(plan.digest))

    def load(self, network: str, plan: str) -> tuple[Network, ProtectionPlan]:
        """What `keep` wrote, by digests."""
        found = Network.load(self.network_path(network))
        return found, ProtectionPlan.load(self.plan_path(plan)).check(found)

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
