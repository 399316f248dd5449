"""Fault lists as files: one trial that every simulator can replay, written so that a person can read it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import ConfigError, one_of
from codesign.faults import (
    ALL_SAMPLES,
    FAULT,
    FIELDS,
    UNIT,
    FaultArray,
    FaultModel,
    FaultSpace,
    Target,
)
from codesign.files import write_atomically
from codesign.hls.uses import Uses
from codesign.network import Network
from codesign.protection import ProtectionPlan

FORMAT = 1
_KEYS = ("format", "network", "plan", "fault_model", "trial", "samples", "columns", "faults")
# Words for what the arrays mark by -1.
_WORDS = {"neuron": "unit", "sample": "all", "step": "all"}
assert UNIT == ALL_SAMPLES == -1
_TARGETS = tuple(target.label for target in Target)


@dataclass(frozen=True, eq=False)
class FaultList:
    """The faults of one trial, the digests of the network and the plan that they strike, and where they come from.

    `samples` is the size of the evaluation set. `model` and `trial` are None for a list that was not drawn.
    """

    network: str
    plan: str
    samples: int
    faults: FaultArray
    model: FaultModel | None = None
    trial: int | None = None

    @classmethod
    def drawn(cls, network: Network, plan: ProtectionPlan, model: FaultModel, samples: int, trial: int) -> "FaultList":
        """What trial number `trial` of a campaign draws."""
        if not 0 <= trial < 2**63:
            raise ConfigError(f"trial {trial} is outside 0..2**63-1")
        faults = FaultSpace(network, plan, model, samples).draw(trial)
        return cls(network.digest, plan.digest, samples, faults, model, trial)

    @property
    def name(self) -> str:
        """For files: the beginnings of the digests, and the trial."""
        of = [self.network, self.plan, self.model.digest if self.model else ""]
        return "-".join([*(digest[:8] or "given" for digest in of), str(self.trial)])

    def save(self, path: Path, network: Network) -> None:
        """Write JSON, a fault a line; `network` is the one that the faults strike."""
        self._check(str(path), network)
        head = {
            "format": FORMAT,
            "network": self.network,
            "plan": self.plan,
            "fault_model": None if self.model is None else model_json(self.model),
            "trial": self.trial,
            "samples": self.samples,
            "columns": FIELDS,
        }
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        names = [layer.name for layer in network.layers]
        rows = ",\n".join(f"  {json.dumps(_named(row, names))}" for row in self.faults.tolist())
        lines.append(f' "faults": [\n{rows}\n ]')
        write_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n")

    @classmethod
    def load(cls, path: Path, network: Network, plan: ProtectionPlan) -> "FaultList":
        """Read a list for this network and plan.

        Raises ConfigError, naming the file and the place in it, for a list of another network or plan, faults in bits
        that do not exist, and anything that is not a fault list.
        """
        data = _document(path)
        model = data["fault_model"]
        found = cls(
            str(data["network"]),
            str(data["plan"]),
            _whole(f"{path}: samples", data["samples"], 1),
            np.zeros(0, FAULT),
            None if model is None else read_model(f"{path}: fault_model", model),
            None if data["trial"] is None else _whole(f"{path}: trial", data["trial"], 0, below=2**63),
        )
        found._check(str(path), network, plan)
        reader = _Rows(str(path), [layer.name for layer in network.layers])
        found = cls(found.network, found.plan, found.samples, reader.read(data), found.model, found.trial)
        try:
            Uses(network, plan).expected(found.faults, found.samples)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        return found

    def _check(self, where: str, network: Network, plan: ProtectionPlan | None = None) -> None:
        for what, mine, given in (
            (f"network '{network.name}'", self.network, network.digest),
            ("plan", self.plan, plan.digest if plan else self.plan),
        ):
            if mine != given:
                kind = what.split()[0]
                raise ConfigError(
                    f"{where} is a fault list for another {kind} ({mine[:16]}) than the given {what} ({given[:16]})"
                )


def _document(path: Path) -> dict[str, Any]:
    """The file as JSON with the right keys."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read fault list {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    if not isinstance(data, dict) or "format" not in data:
        raise ConfigError(f"{path} is not a fault list: it has no format")
    if data["format"] != FORMAT:
        raise ConfigError(f"{path}: fault list format {data['format']}, this version reads {FORMAT}")
    for key in data:
        one_of(f"key of {path}:", key, _KEYS)
    if missing := [key for key in _KEYS if key not in data]:
        raise ConfigError(f"{path} is not a fault list: it has no {', '.join(missing)}")
    if data["columns"] != list(FIELDS):
        raise ConfigError(f"{path}: columns {data['columns']}, expected {list(FIELDS)}")
    return data


@dataclass(frozen=True)
class _Rows:
    """Reads faults as they stand in the file."""

    where: str
    layers: list[str]

    def read(self, data: dict[str, Any]) -> FaultArray:
        if not isinstance(data["faults"], list):
            raise ConfigError(f"{self.where}: faults: expected a list of faults")
        return np.array([self._row(n, row) for n, row in enumerate(data["faults"])], FAULT)

    def _row(self, number: int, row: Any) -> tuple[int, ...]:
        where = f"{self.where}: fault {number}"
        if not isinstance(row, list) or len(row) != len(FIELDS):
            raise ConfigError(f"{where}: expected a list of {len(FIELDS)} values: {', '.join(FIELDS)}")
        layer = one_of(f"layer in {where}:", str(row[0]), tuple(self.layers))
        target = one_of(f"target in {where}:", str(row[1]), _TARGETS)
        rest = (
            -1 if name in _WORDS and value == _WORDS[name] else _whole(f"{where}: {name}", value, 0, _WORDS.get(name))
            for name, value in zip(FIELDS[2:], row[2:], strict=True)
        )
        return self.layers.index(layer), _TARGETS.index(target), *rest


def _named(row: tuple[int, ...], layers: list[str]) -> list[str | int]:
    rest = [_WORDS[n] if n in _WORDS and v == -1 else v for n, v in zip(FIELDS[2:], row[2:], strict=True)]
    return [layers[row[0]], _TARGETS[row[1]], *rest]


def _whole(where: str, value: Any, least: int, word: str | None = None, below: int = 2**31) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value < below:
        return value
    raise ConfigError(f"{where} is {value!r}, expected a whole number from {least}{f' or {word!r}' if word else ''}")


def model_json(model: FaultModel) -> dict[str, Any]:
    """A fault model as JSON."""
    return {
        "targets": [target.label for target in model.targets],
        "ber": model.ber,
        "n_flips": model.n_flips,
        "lifetime": model.lifetime.value,
        "seed": model.seed,
    }


def read_model(where: str, data: Any) -> FaultModel:
    """What `model_json` gave. Raises ConfigError that begins with `where` for anything else."""
    known: dict[str, Callable[[Any], bool]] = {
        "targets": lambda v: isinstance(v, list),
        "ber": lambda v: v is None or isinstance(v, int | float),
        "n_flips": lambda v: v is None or isinstance(v, int),
        "lifetime": lambda v: isinstance(v, str),
        "seed": lambda v: isinstance(v, int),
    }
    if not isinstance(data, dict) or set(data) != set(known):
        raise ConfigError(f"{where}: expected {', '.join(known)}, or null")
    for name, good in known.items():
        if not good(data[name]):
            raise ConfigError(f"{where}: {name} is {data[name]!r}")
    try:
        return FaultModel(**{**data, "targets": tuple(data["targets"])})
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
