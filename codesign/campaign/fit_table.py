"""Raw failure rates of a part and a place as a TOML file, and what comes of them with a measured AVF."""

import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.campaign.avf import Vulnerability
from codesign.campaign.fit import Bounded, FailureRate, failure_rate
from codesign.errors import ConfigError, did_you_mean
from codesign.faults import Target

_SECTION = "fit_per_bit"
_TARGETS = [target.label for target in Target]


@dataclass(frozen=True)
class FitTable:
    """Upsets of one bit in 1e9 hours, by target, and the `source` of these figures."""

    path: Path
    source: str
    fit_per_bit: dict[str, float]

    @classmethod
    def load(cls, path: Path) -> "FitTable":
        """Read `source`, a text, and `[fit_per_bit]`, a number a target. Raises ConfigError naming file and key."""
        try:
            data = tomllib.loads(path.read_bytes().decode())
        except OSError as error:
            raise ConfigError(f"cannot read FIT table {path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not TOML: {error}") from None
        _refuse_unknown(str(path), data, ["source", _SECTION])
        source, table = data.get("source"), data.get(_SECTION)
        if not isinstance(source, str) or not source.strip():
            raise ConfigError(f"{path}: source: expected a text that says where the figures are from")
        if not isinstance(table, dict) or not table:
            raise ConfigError(f"{path}: expected a section [{_SECTION}] with one of {', '.join(_TARGETS)}, or more")
        _refuse_unknown(f"{path}: [{_SECTION}]", table, _TARGETS)
        for target, rate in table.items():
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < math.inf:
                raise ConfigError(f"{path}: [{_SECTION}] {target}: found {rate!r}, expected a number of at least 0")
        return cls(path, source.strip(), {target: float(rate) for target, rate in table.items()})

    def check(self, targets: tuple[Target, ...]) -> None:
        """Raises ConfigError where a target has no figure."""
        if missing := [target.label for target in targets if target.label not in self.fit_per_bit]:
            raise ConfigError(
                f"{self.path}: [{_SECTION}] has no {', '.join(missing)}: give its raw FIT a bit, 0 if its upsets do "
                "not count, or leave it out with --target"
            )


@dataclass(frozen=True)
class Failures:
    """Failures in the field: all together, and those of each target and of each layer."""

    table: FitTable
    confidence: float
    total: FailureRate
    targets: dict[str, FailureRate]
    layers: dict[str, FailureRate]

    def to_json(self) -> dict[str, Any]:
        """Rates in FIT; a time without end is null."""
        return {
            "source": self.table.source,
            "fit_per_bit": self.table.fit_per_bit,
            "confidence": self.confidence,
            "fit": vars(self.total.fit),
            "fit_by_target": {name: vars(rate.fit) for name, rate in self.targets.items()},
            "fit_by_layer": {name: vars(rate.fit) for name, rate in self.layers.items()},
            "mttf_hours": _finite(self.total.mttf_hours),
        }


def failures(found: Vulnerability, table: FitTable) -> Failures:
    """What the measured AVF makes of the raw rates. Raises ConfigError where a target has none."""
    of_targets: dict[Target, list[int]] = defaultdict(list)
    of_layers: dict[int, list[int]] = defaultdict(list)
    for number, stratum in enumerate(found.strata):
        of_targets[stratum.target].append(number)
        of_layers[stratum.layer].append(number)
    table.check(tuple(of_targets))
    return Failures(
        table,
        found.confidence,
        _rate(found, table, range(len(found.strata))),
        {target.label: _rate(found, table, members) for target, members in sorted(of_targets.items())},
        {found.layers[layer]: _rate(found, table, members) for layer, members in sorted(of_layers.items())},
    )


def _rate(found: Vulnerability, table: FitTable, members: Iterable[int]) -> FailureRate:
    """Of these strata. Places of one replica in one layer are used equally often: each such part has one AVF."""
    parts: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for number in members:
        stratum = found.strata[number]
        parts[stratum.target, stratum.layer, stratum.segment.replica].append(number)
    named = {f"{Target(part[0]).label} of layer {part[1]}, copy {part[2]}": part for part in parts}
    return failure_rate(
        {name: sum(found.strata[number].bits for number in parts[part]) for name, part in named.items()},
        {name: table.fit_per_bit[Target(part[0]).label] for name, part in named.items()},
        {name: found.interval(parts[part]) for name, part in named.items()},
    )


def _finite(of: Bounded) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in vars(of).items()}


def _refuse_unknown(where: str, given: dict[str, Any], known: list[str]) -> None:
    for key in given:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, known, 'known keys:')}")
