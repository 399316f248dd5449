"""What the estimate was fitted to: factors of its terms, the LUTs of voters, its errors, and what it holds for.

The estimate counts; `codesign calibrate` compares its counts with mapped designs and writes this file.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.errors import ConfigError
from codesign.fixed import MAX_WIDTH, Rounding
from codesign.network import Kind, Layer, Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope

if TYPE_CHECKING:
    from codesign.resources.estimate.figures import LayerEstimate

SHIPPED = Path(__file__).parent / "estimate" / "calibration.json"
_KINDS = (Kind.DENSE, Kind.BATCHNORM, Kind.RELU, Kind.RESHAPE, Kind.CONCATENATE, Kind.ACTIVATION)


@dataclass(frozen=True)
class Terms:
    """Factors of what is counted; `casts` are part of a layer's `function`."""

    function: float = 1.0
    casts: float = 1.0
    replicas: float = 1.0
    voters: float = 1.0
    guards: float = 1.0
    status: float = 1.0

    def counted(self, layer: "LayerEstimate") -> tuple[int, ...]:
        """The layer's counts, in the order of the factors."""
        return (layer.function - layer.casts, layer.casts, layer.replicas, layer.voters, layer.guards, layer.status)


@dataclass(frozen=True)
class Error:
    """Relative error of a figure over designs that were not fitted to, and how well their order is kept."""

    median: float
    p95: float
    kendall_tau: float


@dataclass(frozen=True)
class Calibration:
    """`voters` are, for each mechanism, the LUTs of a voter of 1, 2, ... bits; `errors` are by figure of the report.

    `tool`, `family`, `designs` and `seed` say what was mapped; `weight_bits` and `input_bits` how wide it was.
    """

    terms: Terms = field(default_factory=Terms)
    voters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    errors: Mapping[str, Error] = field(default_factory=dict)
    tool: str = ""
    family: str = ""
    designs: int = 0
    seed: int = 0
    weight_bits: int = MAX_WIDTH
    input_bits: int = MAX_WIDTH

    def applied(self, layer: "LayerEstimate") -> "LayerEstimate":
        """The layer's LUTs as the factors have them."""
        terms = self.terms
        function, casts, replicas, voters, guards, status = (
            round(factor * count) for factor, count in zip(asdict(terms).values(), terms.counted(layer), strict=True)
        )
        return replace(
            layer,
            function=function + casts,
            casts=casts,
            replicas=replicas,
            voters=voters,
            guards=guards,
            status=status,
        )

    def vote_luts(self, mechanism: Mechanism, hardened_bits: int, sum_bits: int) -> int:
        """LUTs of one voter; that of two copies also makes the bits zero that exist once."""
        if mechanism is Mechanism.DMR:
            return self.voters[mechanism][hardened_bits - 1] + sum_bits - hardened_bits
        return self.voters[Mechanism.TMR][hardened_bits - 1]

    def outside(self, network: Network, plan: ProtectionPlan, dsp: int, shared: Iterable[str] = ()) -> tuple[str, ...]:
        """What of a design was never mapped, so that nothing is known of the estimate's error; empty for nothing.

        `shared` are the layers whose neurons share adders.
        """
        found = [
            f"layer '{layer.name}' ({reason})"
            for index, layer in enumerate(network.layers)
            if (reason := self._beyond(layer, plan.of_layer(layer), network.input_types(index)[0].width))
        ]
        graphs = (f"layer '{name}' (shared adders)" for name in shared)
        return (*found, *graphs, *([f"{dsp} DSPs"] if dsp else []))

    def _beyond(self, layer: Layer, plan: LayerPlan, input_bits: int) -> str:
        if layer.kind not in _KINDS or layer.settings.get("function", "linear") != "linear":
            return str(layer.settings.get("function", layer.kind))
        if layer.pixels > 1 and layer.protectable:
            return f"{layer.pixels} pixels"
        if layer.reuse_factor > 1:
            return f"reuse factor {layer.reuse_factor}"
        if not layer.protectable:
            return ""
        if layer.saturates or layer.acc.rounding is not Rounding.TRN:
            return f"accumulator {layer.acc}"
        if any(plan.hardened_bits) and (plan.mechanism is Mechanism.RECOMPUTE or plan.scope is Scope.MAC):
            return "recompute" if plan.mechanism is Mechanism.RECOMPUTE else "scope mac"
        if layer.w.type.width > self.weight_bits or input_bits > self.input_bits:
            return f"{input_bits}-bit inputs, {layer.w.type.width}-bit weights"
        return ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """What `codesign calibrate` wrote. Raises ConfigError for anything else."""
        names = [one.name for one in fields(cls)]
        try:
            data = json.loads(path.read_text())
            if set(data) != set(names):
                raise ValueError(f"expected the keys {', '.join(names)}")
            parts = {
                "terms": Terms(**data["terms"]),
                "voters": {Mechanism(name): tuple(luts) for name, luts in data["voters"].items()},
                "errors": {name: Error(**error) for name, error in data["errors"].items()},
            }
            return cls(**(data | parts))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f"{path} is no calibration of the estimate: {error}") from None


@cache
def shipped() -> Calibration:
    """The calibration that comes with the package."""
    return Calibration.load(SHIPPED)
