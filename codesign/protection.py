"""Which neurons are hardened, by how many bits, and how.

A neuron with accumulator width A and h hardened bits is cut at bit ``A - h``: what lies below exists
once, what lies above exists in copies. h = A is classic TMR, h = 0 the plain neuron. Fault-free every h and
every mechanism gives the same number.
"""

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codesign.codes import Code
from codesign.errors import ConfigError, one_of
from codesign.files import digest_of, write_atomically
from codesign.fixed import Rounding
from codesign.network import Kind, Layer, Network
from codesign.notebook import html_table

FORMAT = 1
REPLICAS = 3


class Mechanism(StrEnum):
    """How a hardened neuron is protected.

    `TMR`: three copies of its hardened bits and a bitwise majority voter. `DMR`: two copies; where they differ
    the flag `detected` is raised and the neuron's sum becomes zero. `RECOMPUTE`: one shared unit of `dot_size`
    multipliers a layer computes the neuron twice more, one neuron after another, and the hardened bits are voted.
    """

    TMR = "tmr"
    DMR = "dmr"
    RECOMPUTE = "recompute"

    @property
    def copies(self) -> int:
        return 2 if self is Mechanism.DMR else REPLICAS


class Importance(StrEnum):
    """By which score neurons are chosen; `codesign.vulnerability` computes them, docs/theory.md has their formulas."""

    TAYLOR = "taylor"
    GRADIENT_ACTIVATION = "gradient_activation"
    HESSIAN = "hessian"
    FLIP = "flip"
    MEASURED = "measured"


# On the digits networks the one that comes nearest to the cost of choosing by every flip (docs/theory.md).
DEFAULT_IMPORTANCE = Importance.MEASURED


class Scope(StrEnum):
    """What the copies of TMR and DMR hold: adders on shared products, or adders and multipliers."""

    ADDER = "adder"
    MAC = "mac"


# Their result below the sign depends on the sign: a copy's sign bit would reach the shared low part.
_SIGN_DEPENDENT = (Rounding.TRN_ZERO, Rounding.RND_ZERO, Rounding.RND_INF)


@dataclass(frozen=True)
class LayerPlan:
    """Protection of one layer: hardened most significant accumulator bits of each neuron, and how.

    `dot_size` is for `RECOMPUTE` only, which has multipliers of its own in any case and no `scope`; `parameters`
    protects stored weights and biases.
    """

    layer: str
    hardened_bits: tuple[int, ...]
    mechanism: Mechanism = Mechanism.TMR
    scope: Scope = Scope.ADDER
    dot_size: int = 0
    parameters: Code = Code.NONE

    def __post_init__(self) -> None:
        if self.mechanism is Mechanism.RECOMPUTE:  # equal plans must share a digest
            object.__setattr__(self, "scope", Scope.ADDER)

    @property
    def active(self) -> bool:
        return any(self.hardened_bits) or self.parameters is not Code.NONE

    def partly(self, layer: Layer) -> bool:
        """Some neuron has hardened and other bits."""
        return any(0 < h < layer.acc.width for h in self.hardened_bits)

    def unit_passes(self, layer: Layer) -> int:
        """Passes in which the shared unit of `RECOMPUTE` computes one neuron."""
        return -(-layer.fan_in // self.dot_size)

    def check(self, layer: Layer) -> None:
        """Raise ConfigError naming what the layer cannot have."""
        where = f"plan: layer '{layer.name}'"
        if not layer.protectable:
            raise ConfigError(f"{where} ({layer.kind}) does not compute and cannot be protected")
        if len(self.hardened_bits) != layer.neurons:
            raise ConfigError(f"{where} has {layer.neurons} neurons, the plan names {len(self.hardened_bits)}")
        for neuron, bits in enumerate(self.hardened_bits):
            if not 0 <= bits <= layer.acc.width:
                raise ConfigError(
                    f"{where} neuron {neuron}: {bits} hardened bits, the accumulator has {layer.acc.width}"
                )
            if layer.saturates and bits not in (0, layer.acc.width):
                raise ConfigError(
                    f"{where} neuron {neuron}: a saturating accumulator ({layer.acc}) is hardened whole or not at "
                    f"all, got {bits} bits"
                )
        self._check_mechanism(layer, where)
        self._check_parameters(layer, where)

    def _check_mechanism(self, layer: Layer, where: str) -> None:
        if layer.kind is Kind.ADD and (self.mechanism is Mechanism.RECOMPUTE or self.scope is Scope.MAC):
            raise ConfigError(f"{where} adds two tensors and has no multipliers: it takes tmr or dmr of scope adder")
        if self.mechanism is Mechanism.RECOMPUTE:
            if layer.saturates:
                raise ConfigError(f"{where}: a saturating accumulator takes tmr or dmr, not recompute")
            if not 1 <= self.dot_size <= layer.fan_in:
                raise ConfigError(
                    f"{where}: recompute needs a dot_size of 1..{layer.fan_in} (the products of a neuron), "
                    f"got {self.dot_size}"
                )
        elif self.dot_size:
            raise ConfigError(f"{where}: dot_size is for mechanism recompute, not {self.mechanism}")
        if self.scope is Scope.MAC and self.partly(layer) and layer.acc.rounding in _SIGN_DEPENDENT:
            raise ConfigError(
                f"{where}: scope mac with some of the bits hardened needs an accumulator that rounds without "
                f"regard to the sign, got {layer.acc}; harden all {layer.acc.width} bits or use scope adder"
            )

    def _check_parameters(self, layer: Layer, where: str) -> None:
        if self.parameters is Code.NONE:
            return
        if not layer.has_weights:
            raise ConfigError(f"{where} ({layer.kind}) stores no parameters that {self.parameters} could protect")
        if layer.reuse_factor < 2:
            raise ConfigError(
                f"{where}: with reuse factor 1 its weights are constants in logic and stored nowhere; "
                f"parameters = '{self.parameters}' needs a reuse factor of 2 or more"
            )


@dataclass(frozen=True)
class ProtectionPlan:
    """Layers that are not named stay unprotected."""

    layers: tuple[LayerPlan, ...] = ()

    @classmethod
    def uniform(cls, network: Network, hardened_bits: int, like: LayerPlan | None = None) -> "ProtectionPlan":
        """The same number of hardened bits everywhere, clipped to each accumulator."""
        bits = {layer.name: np.full(layer.neurons, hardened_bits) for _, layer in network.compute_layers()}
        return cls.of(network, bits, like)

    @classmethod
    def full(cls, network: Network) -> "ProtectionPlan":
        """Classic TMR of every neuron."""
        return cls.uniform(network, max((layer.acc.width for _, layer in network.compute_layers()), default=0))

    @classmethod
    def of(
        cls, network: Network, bits: dict[str, NDArray[np.int64]], like: LayerPlan | None = None
    ) -> "ProtectionPlan":
        """From one array a layer, clipped to each accumulator's width, with the settings of `like`.

        What a layer cannot have is brought to the nearest that it can: a saturating accumulator is hardened whole, a
        dot product unit is no longer than the neuron, TMR stands in where nothing can be recomputed, adders where
        multipliers cannot be copied, and parameters that are constants in logic have no code.
        """
        return cls(tuple(_fitted(network.layer(name), wanted, like) for name, wanted in bits.items()))

    def of_layer(self, layer: Layer) -> LayerPlan:
        """The layer's plan; one without protection if none is named."""
        for plan in self.layers:
            if plan.layer == layer.name:
                return plan
        return LayerPlan(layer.name, (0,) * layer.neurons)

    def hardened(self, layer: Layer) -> NDArray[np.int64]:
        """Hardened bits of each neuron, shape (neurons,)."""
        return np.array(self.of_layer(layer).hardened_bits, np.int64)

    def check(self, network: Network) -> "ProtectionPlan":
        """Return the plan, or raise ConfigError naming what does not fit the network."""
        for plan in self.layers:
            plan.check(network.layer(plan.layer))
        if len({plan.layer for plan in self.layers}) < len(self.layers):
            raise ConfigError("plan: a layer is named twice")
        return self

    def _repr_html_(self) -> str:
        hardened = [sum(h > 0 for h in p.hardened_bits) for p in self.layers]
        rows = [
            (p.layer, p.mechanism, p.scope, f"{count} of {len(p.hardened_bits)}", max(p.hardened_bits, default=0))
            for p, count in zip(self.layers, hardened, strict=True)
        ]
        head = ("layer", "mechanism", "scope", "hardened neurons", "most bits")
        return html_table("protection plan" if rows else "no protection", head, rows) + self._figure()

    def _figure(self) -> str:
        from codesign.notebook.figures import heat_maps

        if not any(plan.active for plan in self.layers):
            return ""
        top = max(max(plan.hardened_bits, default=0) for plan in self.layers)
        # A row of one neuron each, hardened bits from the most significant one down.
        maps = {p.layer: np.arange(top) >= top - np.array(p.hardened_bits)[:, None] for p in self.layers if p.active}
        words = "hardened bits (blue), left the most significant one", "neuron", ""
        return heat_maps(f"hardened bits of each neuron, plan {self.digest[:8]}", maps, *words, 1.0)

    @cached_property
    def digest(self) -> str:
        """SHA-256; plans that protect the same bits share it, however they are written down."""
        active = sorted((p.layer, json.dumps(_entry(p), sort_keys=True)) for p in self.layers if p.active)
        return digest_of(json.dumps(active))

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "layers": [_entry(p) for p in self.layers]}

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
            return cls(tuple(_layer_plan(entry, where) for entry in data["layers"]))
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
        try:
            return plan.check(network)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def _fitted(layer: Layer, wanted: NDArray[np.int64], like: LayerPlan | None) -> LayerPlan:
    bits = np.clip(wanted, 0, layer.acc.width)
    if layer.saturates:
        bits = np.where(bits > 0, layer.acc.width, 0)
    plan = replace(like or LayerPlan("", ()), layer=layer.name, hardened_bits=tuple(int(h) for h in bits))
    if plan.mechanism is Mechanism.RECOMPUTE and (layer.kind is Kind.ADD or layer.saturates):
        plan = replace(plan, mechanism=Mechanism.TMR, dot_size=0)
    if layer.kind is Kind.ADD or (layer.acc.rounding in _SIGN_DEPENDENT and plan.partly(layer)):
        plan = replace(plan, scope=Scope.ADDER)
    code = plan.parameters if layer.reuse_factor > 1 else Code.NONE
    return replace(plan, dot_size=min(plan.dot_size, layer.fan_in), parameters=code)


def _entry(plan: LayerPlan) -> dict[str, Any]:
    """A layer's plan as JSON; what has its default is left out."""
    entry: dict[str, Any] = {"layer": plan.layer, "mechanism": plan.mechanism.value}
    if plan.scope is not Scope.ADDER:
        entry["hardened_scope"] = plan.scope.value
    if plan.dot_size:
        entry["dot_size"] = plan.dot_size
    if plan.parameters is not Code.NONE:
        entry["parameters"] = plan.parameters.value
    return {**entry, "hardened_bits": list(plan.hardened_bits)}


def _layer_plan(entry: dict[str, Any], file: str) -> LayerPlan:
    where = f"layer '{entry['layer']}' of {file}"
    known = ("layer", "mechanism", "hardened_bits", "hardened_scope", "dot_size", "parameters")
    for key in entry:
        one_of(f"key of {where}:", key, known)
    numbers = [*entry["hardened_bits"], entry.get("dot_size", 0)]
    if not all(isinstance(h, int) and not isinstance(h, bool) for h in numbers):
        raise ValueError(f"hardened_bits of '{entry['layer']}' must be whole numbers")
    return LayerPlan(
        str(entry["layer"]),
        tuple(entry["hardened_bits"]),
        one_of(f"mechanism of {where}:", str(entry["mechanism"]), tuple(Mechanism)),
        one_of(f"hardened_scope of {where}:", str(entry.get("hardened_scope", "adder")), tuple(Scope)),
        entry.get("dot_size", 0),
        one_of(f"parameters of {where}:", str(entry.get("parameters", "none")), tuple(Code)),
    )


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
    like: LayerPlan | None = None,
) -> ProtectionPlan:
    """The design's plan: so many hardened bits for important neurons, so many for the others.

    Important neurons are never hardened less than the others: they get the larger of the two numbers.
    """
    important = select_important(scores, important_fraction, scope)
    most = max(hardened_bits_important, hardened_bits_normal)
    bits = {name: np.where(m, most, hardened_bits_normal) for name, m in important.items()}
    return ProtectionPlan.of(network, bits, like)
