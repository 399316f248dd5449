"""Which neurons are hardened, and by how many bits.

A neuron with accumulator width A and h hardened bits is cut at bit ``A - h``: what lies below exists
once, what lies above exists three times behind a majority voter. h = A is classic TMR, h = 0 the plain
neuron. Fault-free every h gives the same number.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.files import digest_of, write_atomically
from codesign.network import Layer, Network

FORMAT = 1
REPLICAS = 3


class Mechanism(StrEnum):
    """How an important neuron is protected; `TMR` is three copies and a bitwise majority voter."""

    TMR = "tmr"


@dataclass(frozen=True)
class LayerPlan:
    """Protection of one layer: hardened most significant accumulator bits of each neuron."""

    layer: str
    hardened_bits: tuple[int, ...]
    mechanism: Mechanism = Mechanism.TMR


@dataclass(frozen=True)
class ProtectionPlan:
    """Layers that are not named stay unprotected."""

    layers: tuple[LayerPlan, ...] = ()

    @classmethod
    def uniform(cls, network: Network, hardened_bits: int) -> "ProtectionPlan":
        """The same number of hardened bits everywhere, clipped to each accumulator."""
        return cls.of(
            network, {layer.name: np.full(layer.n_out, hardened_bits) for _, layer in network.compute_layers()}
        )

    @classmethod
    def full(cls, network: Network) -> "ProtectionPlan":
        """Classic TMR of every neuron."""
        return cls.uniform(network, max((layer.acc.width for _, layer in network.compute_layers()), default=0))

    @classmethod
    def of(cls, network: Network, bits: dict[str, NDArray[np.int64]]) -> "ProtectionPlan":
        """From one array a layer, clipped to each accumulator's width."""
        plans = []
        for name, wanted in bits.items():
            clipped = np.clip(wanted, 0, network.layer(name).acc.width)
            plans.append(LayerPlan(name, tuple(int(h) for h in clipped)))
        return cls(tuple(plans))

    def hardened(self, layer: Layer) -> NDArray[np.int64]:
        """Hardened bits of each neuron, shape (n_out,)."""
        for plan in self.layers:
            if plan.layer == layer.name:
                return np.array(plan.hardened_bits, np.int64)
        return np.zeros(layer.n_out, np.int64)

    def check(self, network: Network) -> "ProtectionPlan":
        """Return the plan, or raise ConfigError naming what does not fit the network."""
        for plan in self.layers:
            layer = network.layer(plan.layer)
            if not layer.protectable:
                raise ConfigError(f"plan: layer '{plan.layer}' ({layer.kind}) does not compute and cannot be protected")
            if len(plan.hardened_bits) != layer.n_out:
                raise ConfigError(
                    f"plan: layer '{plan.layer}' has {layer.n_out} neurons, the plan names {len(plan.hardened_bits)}"
                )
            for neuron, bits in enumerate(plan.hardened_bits):
                if not 0 <= bits <= layer.acc.width:
                    raise ConfigError(
                        f"plan: layer '{plan.layer}' neuron {neuron}: {bits} hardened bits, "
                        f"the accumulator has {layer.acc.width}"
                    )
        if len({plan.layer for plan in self.layers}) < len(self.layers):
            raise ConfigError("plan: a layer is named twice")
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256; plans that protect the same bits share it, however they are written down."""
        active = sorted((p.layer, p.mechanism.value, p.hardened_bits) for p in self.layers if any(p.hardened_bits))
        return digest_of(json.dumps(active))

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "layers": [
                {"layer": p.layer, "mechanism": p.mechanism.value, "hardened_bits": list(p.hardened_bits)}
                for p in self.layers
            ],
        }

    def save(self, path: Path, network: Network) -> None:
        """Write the plan, and the digest of the network it is for."""
        document = {**self.to_json(), "network": network.digest}
        write_atomically(path, json.dumps(document, indent=1) + "\n")

    @classmethod
    def from_json(cls, data: Any, where: str = "plan") -> "ProtectionPlan":
        """Read what `to_json` gave. Raises ConfigError for anything else."""
        try:
            if data["format"] != FORMAT:
                raise ConfigError(f"{where}: plan format {data['format']}, this version reads {FORMAT}")
            return cls(tuple(_layer_plan(entry) for entry in data["layers"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{where} is not a protection plan: {error!r}") from None

    @classmethod
    def load(cls, path: Path, network: Network) -> "ProtectionPlan":
        """Read a plan for this network; one that names no network, as people write them, has to fit only.

        Raises ConfigError for a plan of another network, one that does not fit, and anything else.
        """
        try:
            data = json.loads(path.read_text())
        except OSError as error:
            raise ConfigError(f"cannot read plan {path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not JSON: {error}") from None
        plan = cls.from_json(data, str(path))
        if data.get("network", network.digest) != network.digest:
            raise ConfigError(
                f"{path} is a plan for another network ({str(data['network'])[:16]}) than '{network.name}' as it is "
                f"now ({network.digest[:16]}); --weight-bits and --activation-bits choose among a study's networks"
            )
        return plan.check(network)


def _layer_plan(entry: dict[str, Any]) -> LayerPlan:
    bits = entry["hardened_bits"]
    if not all(isinstance(h, int) and not isinstance(h, bool) for h in bits):
        raise ValueError(f"hardened_bits of '{entry['layer']}' must be whole numbers")
    return LayerPlan(str(entry["layer"]), tuple(bits), Mechanism(entry["mechanism"]))


def select_important(
    scores: dict[str, NDArray[np.float64]], fraction: float, scope: Literal["network", "layer"]
) -> dict[str, NDArray[np.bool_]]:
    """Mark the most important `fraction` of neurons: one threshold for the network, or one a layer.

    Ties are broken by position, so that exactly ``round(fraction * n)`` neurons are marked.
    """
    if not 0.0 <= fraction <= 1.0:
        raise ConfigError(f"important_fraction {fraction} is outside 0..1")
    if scope == "layer":
        return {name: _top(values, fraction) for name, values in scores.items()}
    marked = _top(np.concatenate(list(scores.values())), fraction)
    cuts = np.cumsum([len(values) for values in scores.values()])[:-1]
    return dict(zip(scores, np.split(marked, cuts), strict=True))


def _top(values: NDArray[np.float64], fraction: float) -> NDArray[np.bool_]:
    marked = np.zeros(len(values), np.bool_)
    marked[np.argsort(-values, kind="stable")[: round(fraction * len(values))]] = True
    return marked


def selective_plan(
    network: Network,
    scores: dict[str, NDArray[np.float64]],
    important_fraction: float,
    hardened_bits_important: int,
    hardened_bits_normal: int,
    scope: Literal["network", "layer"] = "network",
) -> ProtectionPlan:
    """The design's plan: so many hardened bits for important neurons, so many for the others.

    Important neurons are never hardened less than the others: they get the larger of the two numbers.
    """
    important = select_important(scores, important_fraction, scope)
    most = max(hardened_bits_important, hardened_bits_normal)
    bits = {name: np.where(m, most, hardened_bits_normal) for name, m in important.items()}
    return ProtectionPlan.of(network, bits)
