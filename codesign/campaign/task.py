"""What decides a campaign's counts apart from the trials' numbers, in a form that other processes can be sent."""

import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from codesign.campaign.batches import Batches
from codesign.campaign.fault_list import model_json, read_model
from codesign.campaign.key import CampaignKey
from codesign.campaign.simulators import SimulatorName, open_simulator
from codesign.engine.compiled import NativeEngine
from codesign.errors import ConfigError, MismatchError
from codesign.faults import FaultModel, FaultSpace
from codesign.fixed import Ints
from codesign.network import Network
from codesign.network.graph import UNREADABLE
from codesign.protection import ProtectionPlan

_ARRAYS = ("raw", "truth", "golden")


@dataclass(frozen=True, eq=False)
class Task:
    """Network, plan and fault model on an evaluation set.

    `raw` has shape (n_samples, n_in), `truth` (n_samples,), `golden`, the fault-free logits, (n_samples, n_out).
    """

    network: Network
    plan: ProtectionPlan
    model: FaultModel
    raw: Ints
    truth: Ints
    golden: Ints
    simulator: SimulatorName = "engine"

    @cached_property
    def key(self) -> CampaignKey:
        """Identifies a trial's outcome apart from its number."""
        return CampaignKey.of(self.network, self.plan, self.model, self.raw, self.truth, self.simulator)

    def open(self, threads: int | None) -> Batches:
        """Ready to run trials. Raises MismatchError where this machine computes other fault-free logits."""
        runner = open_simulator(self.simulator, self.network, self.plan, self.raw)
        if isinstance(runner, NativeEngine) and not np.array_equal(runner.golden, self.golden):
            raise MismatchError(f"the engine computes other fault-free logits of network '{self.network.name}'")
        space = FaultSpace(self.network, self.plan, self.model, len(self.raw))
        return Batches(runner, space, self.golden, self.truth, threads)

    def to_bytes(self) -> bytes:
        """An NPZ file's content, for another process of this version."""
        meta = {"plan": self.plan.to_json(), "model": model_json(self.model), "simulator": self.simulator}
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        network = np.frombuffer(self.network.to_bytes(), np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, meta=np.array(json.dumps(meta)), network=network, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Task":
        """What `to_bytes` gave. Raises ConfigError for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                meta, network = json.loads(str(found["meta"])), found["network"].tobytes()
                arrays = {name: found[name] for name in _ARRAYS}
                plan, model, simulator = meta["plan"], meta["model"], meta["simulator"]
        except UNREADABLE as error:
            raise ConfigError(f"a campaign's description is damaged ({error})") from None
        return cls(
            Network.from_bytes(network),
            ProtectionPlan.from_json(plan),
            read_model("fault model", model),
            **arrays,
            simulator=simulator,
        )
