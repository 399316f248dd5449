"""A study: one TOML file with the model, the faults, the requirements and the space to search.

Parsed once into frozen, typed values; whatever is wrong becomes one ConfigError line that names the
file, the key, what was found and what was expected. A design variable given as a single value is
fixed; a list or an inclusive ``{low, high}`` range makes it searched.
"""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from codesign.codes import Code
from codesign.errors import ConfigError, did_you_mean
from codesign.files import digest_of
from codesign.metrics import MetricName
from codesign.protection import DEFAULT_IMPORTANCE, Importance, Mechanism, Scope

Value = int | float | str

# TensorFlow and NumPy take 32-bit seeds.
MAX_SEED = 2**32 - 1
_KNOWN = "known keys:"
# Of a builder or a model: far above what the networks of this field need.
_MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True)
class _Domain:
    """Which values of a design variable exist."""

    kind: Literal["int", "float", "categorical"]
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        if self.kind == "categorical":
            *others, last = map(repr, self.choices)
            return f"one of {', '.join(others)} or {last}"
        return f"{'whole numbers' if self.kind == 'int' else 'numbers'} in {self.low}..{self.high}"

    def check(self, given: object) -> Value:
        """The value in its canonical type, or ValueError."""
        if type(given) is int and self.kind == "int" and self.low <= given <= self.high:
            return given
        if self.kind == "categorical":
            if isinstance(given, str) and given in self.choices:
                return given
        elif isinstance(given, int | float) and not isinstance(given, bool) and self.low <= given <= self.high:
            if self.kind == "float":
                return float(given) + 0.0  # -0.0 and 0.0 are one value and must share a digest
            if isinstance(given, int):
                return given
        raise ValueError(f"found {_short(given)}, expected {self.expected}")


_DOMAINS = {
    "weight_bits": _Domain("int", 2, 16),
    "activation_bits": _Domain("int", 2, 16),
    "accumulator_bits": _Domain("int", 0, 48),
    "truncation": _Domain("categorical", choices=("builder", "common", "layer")),
    "important_fraction": _Domain("float", 0, 1),
    "hardened_bits_important": _Domain("int", 0, 48),
    "hardened_bits_normal": _Domain("int", 0, 48),
    "importance_scope": _Domain("categorical", choices=("network", "layer")),
    "importance_score": _Domain("categorical", choices=tuple(i.value for i in Importance)),
    "protection_budget": _Domain("float", 0, 1),
    "mechanism": _Domain("categorical", choices=tuple(m.value for m in Mechanism)),
    "dot_size": _Domain("int", 0, 4096),
    "hardened_scope": _Domain("categorical", choices=tuple(s.value for s in Scope)),
    "parameters": _Domain("categorical", choices=tuple(c.value for c in Code)),
    "reuse_factor": _Domain("int", 1, 4096),
    "strategy": _Domain("categorical", choices=("Latency", "Resource", "distributed_arithmetic")),
    "dsp_min_bits": _Domain("int", 1, 49),
}


@dataclass(frozen=True)
class Variable:
    """One design variable: either the `values` to choose from, or an inclusive range `low`..`high`."""

    name: str
    kind: Literal["int", "float", "categorical"]
    values: tuple[Value, ...] = ()
    low: int | float | None = None
    high: int | float | None = None

    @property
    def fixed(self) -> bool:
        """True when there is nothing to search."""
        return len(self.values) == 1 or (not self.values and self.low == self.high)

    @property
    def first(self) -> Value:
        """The value of a fixed variable; the first or lowest one of a searched variable."""
        if self.values:
            return self.values[0]
        assert self.low is not None
        return self.low

    def __contains__(self, value: Value) -> bool:
        if self.values:
            return value in self.values
        assert self.low is not None and self.high is not None
        return not isinstance(value, str) and self.low <= value <= self.high


def parse_variable(name: str, given: object) -> Variable:
    """A `[space]` entry: a value, a list of values, or a table {low, high}. Raises ValueError."""
    domain = _DOMAINS[name]
    if isinstance(given, dict):
        return _parse_range(name, domain, given)
    if isinstance(given, list) and not given:
        raise ValueError(f"found an empty list, expected {domain.expected}")
    values = tuple(domain.check(v) for v in given) if isinstance(given, list) else (domain.check(given),)
    if len(set(values)) < len(values):
        raise ValueError(f"found {_short(given)}, expected every value once")
    return Variable(name, domain.kind, values)


def _parse_range(name: str, domain: _Domain, given: dict[str, object]) -> Variable:
    if domain.kind == "categorical":
        raise ValueError(f"found a range, expected {domain.expected}")
    for key in given:
        if key not in ("low", "high"):
            raise ValueError(f"unknown key {key!r} in a range{did_you_mean(key, ['low', 'high'], _KNOWN)}")
    if len(given) < 2:
        raise ValueError(f"found {_short(given)}, expected a range with both low and high")
    low, high = domain.check(given["low"]), domain.check(given["high"])
    assert not isinstance(low, str) and not isinstance(high, str)
    if low > high:
        raise ValueError(f"found low {low} above high {high}, expected low <= high")
    return Variable(name, domain.kind, (), low, high)


@dataclass(frozen=True)
class Design:
    """One point of the space, every variable decided. Raises ConfigError for values that do not exist."""

    weight_bits: int
    activation_bits: int
    important_fraction: float
    hardened_bits_important: int
    hardened_bits_normal: int
    importance_scope: Literal["network", "layer"] = "network"
    mechanism: str = Mechanism.TMR.value
    dot_size: int = 0
    hardened_scope: str = Scope.ADDER.value
    parameters: str = Code.NONE.value
    reuse_factor: int = 1
    strategy: str = "Latency"
    importance_score: str = DEFAULT_IMPORTANCE.value
    protection_budget: float = 0.0
    dsp_min_bits: int = 10
    accumulator_bits: int = 0
    truncation: str = "builder"

    def __post_init__(self) -> None:
        given = vars(self)
        for name, domain in _DOMAINS.items():
            try:
                if (value := domain.check(given[name])) is not given[name]:
                    object.__setattr__(self, name, value)
            except ValueError as error:
                raise ConfigError(f"design: {name}: {error}") from None
        if self.reuse_factor > 1 and self.strategy != "Resource":
            raise ConfigError(
                f"design: reuse_factor {self.reuse_factor} needs strategy 'Resource', found '{self.strategy}'"
            )

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, name) for name in _DOMAINS))

    def __hash__(self) -> int:
        # A search looks designs up hundreds of thousands of times.
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        # Hashes of text differ between processes.
        return {name: value for name, value in vars(self).items() if name != "_hash"}

    @classmethod
    def _known_good(cls, values: Mapping[str, Any]) -> "Design":
        """Of values that were checked one by one, as those of a space are when it is read."""
        found = object.__new__(cls)
        vars(found).update(values)
        return found

    def with_hardened(self, bits_important: int, bits_normal: int, important_fraction: float) -> "Design":
        """The same design but for how much is hardened, of values from its space."""
        found = self._known_good({name: getattr(self, name) for name in _DOMAINS})
        vars(found).update(
            hardened_bits_important=bits_important,
            hardened_bits_normal=bits_normal,
            important_fraction=float(important_fraction),
        )
        return found

    @property
    def structure(self) -> tuple[str, int]:
        """What decides about the hardware beside network and plan: how adders are made of constants, and DSPs."""
        return "distributed_arithmetic" if self.strategy == "distributed_arithmetic" else "latency", self.dsp_min_bits

    def to_json(self) -> dict[str, Value]:
        # Flat, so that `dataclasses.asdict`, which a search would spend a fifth of its time in, is not needed.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, data: object, where: str = "design") -> "Design":
        """Read what `to_json` gave. Raises ConfigError for anything else."""
        if not isinstance(data, dict):
            raise ConfigError(f"{where}: found {_short(data)}, expected a table of design variables")
        names = [field.name for field in fields(cls)]
        for key in data:
            if key not in names:
                raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(str(key), names, _KNOWN)}")
        for name in names:
            if name not in data:
                raise ConfigError(f"{where}: missing key '{name}'")
        return cls(**data)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return digest_of(json.dumps(self.to_json(), sort_keys=True))


def _as_tuple(given: object) -> object:
    # Strict mode takes no list for a tuple, and TOML has only lists.
    return tuple(given) if isinstance(given, list) else given


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class ModelSection(_Section):
    """`[model]`: the Python file that makes data and model, and what it is told.

    `file` is a trained model that is taken as it is; loading runs code only if `allow_custom_code`.
    """

    builder: str
    file: str | None = None
    allow_custom_code: bool = False
    metric: MetricName = "accuracy"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("builder")
    @classmethod
    def _builder_inside(cls, given: str) -> str:
        return _inside_the_folder(given, ".py")

    @field_validator("file")
    @classmethod
    def _file_inside(cls, given: str) -> str:
        return _inside_the_folder(given, ".h5", ".keras")

    @field_validator("options")
    @classmethod
    def _plain_values(cls, given: dict[str, Any]) -> dict[str, Any]:
        for key, value in given.items():
            if not all(_is_plain(item) for item in (value if isinstance(value, list) else [value])):
                raise ValueError(
                    f"{key}: found {_short(value)}, expected finite numbers, text, true or false, or a list"
                )
        return given


def _inside_the_folder(given: str, *suffixes: str) -> str:
    path = PurePosixPath(given)
    if path.is_absolute() or ".." in path.parts or path.suffix not in suffixes or "\\" in given or "\0" in given:
        kind = " or ".join(suffixes)
        raise ValueError(f"found {given!r}, expected a {kind} file given relative to the study and inside its folder")
    return str(path)


class TrainSection(_Section):
    """`[train]`: how the model is trained (Adam, cross-entropy).

    `patience`: training ends when the loss has not fallen for so many epochs. `fine_tune_epochs`: those of a
    configuration that starts from the study's base network. `protection_cost`: weight of the hardening's cost in the
    loss, a thousand LUTs being one. `fault_ber`: bit error rate of faults in the forward pass.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    fine_tune_epochs: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    protection_cost: float = Field(default=0.0, ge=0)
    fault_ber: float = Field(default=0.0, ge=0, le=1)


class HardwareSection(_Section):
    """`[hardware]`: what the accelerator is made for."""

    board: str = Field(default="zcu102", min_length=1)
    backend: Literal["Vivado", "Vitis", "VivadoAccelerator"] = "Vivado"
    io_type: Literal["io_parallel", "io_stream"] = "io_parallel"
    clock_ns: float = Field(default=5.0, gt=0)


TargetName = Literal["weight", "bias", "product", "accumulator", "activation", "voter"]


class FaultsSection(_Section):
    """`[faults]`: what a campaign draws. `curve` holds the BERs of the report's accuracy curve, ascending."""

    targets: Annotated[tuple[TargetName, ...], BeforeValidator(_as_tuple)] = Field(min_length=1)
    ber: float | None = Field(default=None, ge=0, le=1)
    n_flips: int | None = Field(default=None, ge=1)
    lifetime: Literal["transient", "persistent"] = "transient"
    trials: int = Field(ge=2)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    curve: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], BeforeValidator(_as_tuple)] = ()

    @field_validator("targets", "curve")
    @classmethod
    def _once_and_sorted(cls, given: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(given)) < len(given):
            raise ValueError(f"found {_short(list(given))}, expected every entry once")
        return tuple(sorted(given))

    @model_validator(mode="after")
    def _one_rate(self) -> "FaultsSection":
        if (self.ber is None) == (self.n_flips is None):
            found = "neither" if self.ber is None else "both"
            raise ValueError(f"found {found} of 'ber' and 'n_flips', expected exactly one")
        return self


class RequirementsSection(_Section):
    """`[requirements]`: what the accelerator must reach; None where nothing is asked."""

    accuracy_clean: float | None = Field(default=None, ge=0, le=1)
    accuracy_faulty: float | None = Field(default=None, ge=0, le=1)
    latency_cycles: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _something_is_asked(self) -> "RequirementsSection":
        if self.accuracy_clean is None and self.accuracy_faulty is None and self.latency_cycles is None:
            raise ValueError(
                "found no requirement, expected at least one of accuracy_clean, accuracy_faulty, latency_cycles"
            )
        return self


class ObjectiveSection(_Section):
    """`[objective]`: the cost to minimise, a sum of resources and cycles by weight, or the share of the scarcest one.

    A DSP counts as 100 LUTs unless told otherwise: the zcu102's part has 274,080 LUTs and 2,520 DSPs,
    109 LUTs for each DSP, so both run out together. With `scarcest` the cost is the largest share of the board that
    LUTs, FFs, DSPs or block RAMs take, in LUTs of the board; then only `latency_cycles` may have a weight.
    `energy` is the weight of the bits that change in an inference, a proxy.
    """

    lut: float = Field(default=1.0, ge=0)
    dsp: float = Field(default=100.0, ge=0)
    ff: float = Field(default=0.0, ge=0)
    bram_18k: float = Field(default=0.0, ge=0)
    latency_cycles: float = Field(default=0.0, ge=0)
    energy: float = Field(default=0.0, ge=0)
    scarcest: bool = False

    @model_validator(mode="after")
    def _something_costs(self) -> "ObjectiveSection":
        weights = {name: getattr(self, name) for name in ("lut", "dsp", "ff", "bram_18k", "latency_cycles", "energy")}
        weighed = [name for name in weights if name in self.model_fields_set and name != "latency_cycles"]
        if self.scarcest and weighed:
            raise ValueError(
                f"found scarcest = true beside a weight of {weighed[0]}, expected one of the two: the share of the "
                "scarcest resource, or a sum by weight"
            )
        if not self.scarcest and not any(weights.values()):
            found = " and ".join(f"{name} = 0" for name in ("lut", "dsp"))
            raise ValueError(f"found {found}, expected at least one weight above 0")
        return self


def _default(name: str, value: Value) -> Variable:
    return parse_variable(name, value)


class SpaceSection(_Section):
    """`[space]`: the design variables. `activation_bits` None means: as wide as `weight_bits`."""

    weight_bits: Variable = _default("weight_bits", 8)
    activation_bits: Variable | None = None
    important_fraction: Variable = _default("important_fraction", 1.0)
    hardened_bits_important: Variable = _default("hardened_bits_important", 0)
    hardened_bits_normal: Variable = _default("hardened_bits_normal", 0)
    importance_scope: Variable = _default("importance_scope", "network")
    mechanism: Variable = _default("mechanism", Mechanism.TMR.value)
    dot_size: Variable = _default("dot_size", 8)
    hardened_scope: Variable = _default("hardened_scope", Scope.ADDER.value)
    parameters: Variable = _default("parameters", Code.NONE.value)
    reuse_factor: Variable = _default("reuse_factor", 1)
    strategy: Variable = _default("strategy", "Latency")
    importance_score: Variable = _default("importance_score", DEFAULT_IMPORTANCE.value)
    protection_budget: Variable = _default("protection_budget", 0.0)
    dsp_min_bits: Variable = _default("dsp_min_bits", 10)
    accumulator_bits: Variable = _default("accumulator_bits", 0)
    truncation: Variable = _default("truncation", "builder")

    @field_validator("*", mode="plain")
    @classmethod
    def _parse(cls, given: object, info: ValidationInfo) -> Variable:
        assert info.field_name is not None
        return parse_variable(info.field_name, given)

    @model_validator(mode="after")
    def _parameters_are_stored(self) -> "SpaceSection":
        if self.parameters != _default("parameters", Code.NONE.value) and 1 in self.reuse_factor:
            raise ValueError(
                "parameters: with reuse_factor 1 weights are constants in logic and stored nowhere, "
                "expected reuse_factor of at least 2 beside it"
            )
        return self

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """All variables of their own, in the order of the fields."""
        found = (getattr(self, name) for name in type(self).model_fields)
        return tuple(variable for variable in found if variable is not None)

    @property
    def searched(self) -> tuple[Variable, ...]:
        """The variables a search decides."""
        return tuple(variable for variable in self.variables if not variable.fixed)

    # A search makes tens of thousands of designs.
    @cached_property
    def _own(self) -> dict[str, Variable]:
        return {variable.name: variable for variable in self.variables}

    @cached_property
    def _decided(self) -> dict[str, Any]:
        return {name: variable.first for name, variable in self._own.items() if variable.fixed}

    def design(self, values: Mapping[str, Any]) -> Design:
        """The design with these values of the searched variables; NumPy scalars become plain numbers.

        Raises ConfigError for a missing or unknown variable, or a value outside the space.
        """
        own, chosen = self._own, dict(self._decided)
        for name, value in values.items():
            plain = value.item() if hasattr(value, "item") else value
            if name not in own or plain not in own[name]:
                raise ConfigError(f"design: {name} = {_short(plain)} lies outside the study's space")
            chosen[name] = plain
        if len(chosen) < len(own):
            missing = [name for name in own if name not in chosen]
            raise ConfigError(f"design: no value for {', '.join(missing)}")
        chosen.setdefault("activation_bits", chosen["weight_bits"])
        return Design._known_good(_as_meant(chosen))


def _as_meant(chosen: dict[str, Any]) -> dict[str, Any]:
    """What other variables leave without a meaning gets one value, so that equal designs are written alike."""
    recomputes = chosen["mechanism"] == Mechanism.RECOMPUTE
    by_budget = {"important_fraction": 1.0, "hardened_bits_important": 0, "hardened_bits_normal": 0}
    return {
        **chosen,
        **(by_budget if chosen["protection_budget"] > 0 else {}),
        "dot_size": chosen["dot_size"] if recomputes else 0,
        "hardened_scope": Scope.ADDER.value if recomputes else chosen["hardened_scope"],
        "strategy": "Resource" if chosen["reuse_factor"] > 1 else chosen["strategy"],
    }


SearcherName = Literal["gp", "random", "tpe", "nsga2", "optuna_gp"]
SEARCHERS: tuple[SearcherName, ...] = get_args(SearcherName)


class SearchSection(_Section):
    """`[search]`: how many designs are evaluated, how many of them at most are chosen in advance, and who asks."""

    evaluations: int = Field(ge=1)
    initial: int = Field(ge=1)
    searcher: SearcherName = "gp"

    @model_validator(mode="after")
    def _initial_fits(self) -> "SearchSection":
        if self.initial > self.evaluations:
            raise ValueError(f"found initial {self.initial}, expected at most evaluations ({self.evaluations})")
        return self


class _File(_Section):
    """The whole TOML file."""

    name: str = Field(pattern=r"\A[A-Za-z][A-Za-z0-9_]{0,63}\z")
    seed: int = Field(ge=0, le=MAX_SEED)
    model: ModelSection
    train: TrainSection | None = None
    hardware: HardwareSection = HardwareSection()
    faults: FaultsSection
    requirements: RequirementsSection
    objective: ObjectiveSection = ObjectiveSection()
    space: SpaceSection = SpaceSection()
    search: SearchSection

    @model_validator(mode="after")
    def _trained_or_taken(self) -> "_File":
        """Whatever would have no effect on a model that is taken as it is, is refused."""
        if self.model.file is None:
            if self.train is None:
                raise ValueError("missing section [train], without which only [model] file needs no training")
            if self.model.allow_custom_code:
                raise ValueError("[model] allow_custom_code: it is for [model] file, and there is none")
            return self
        if self.train is not None:
            raise ValueError("[train] has no effect with [model] file, which is not trained again: take it out")
        for variable in (self.space.weight_bits, self.space.activation_bits):
            if variable is not None and not variable.fixed:
                raise ValueError(f"[space] {variable.name}: [model] file has widths of its own, expected one number")
        for variable, usual in ((self.space.accumulator_bits, 0), (self.space.truncation, "builder")):
            if variable.values != (usual,):
                raise ValueError(f"[space] {variable.name} constrains training, and [model] file is not trained again")
        return self


@dataclass(frozen=True)
class Study:
    """A parsed study. `source` is the TOML text, `builder_source` and `model_source` the files' bytes, all as read.

    `train` and `model_source`: a study has one of the two.
    """

    path: Path
    builder_path: Path
    source: str
    builder_source: bytes
    name: str
    seed: int
    model: ModelSection
    train: TrainSection | None
    hardware: HardwareSection
    faults: FaultsSection
    requirements: RequirementsSection
    objective: ObjectiveSection
    space: SpaceSection
    search: SearchSection
    model_source: bytes | None = None

    @property
    def model_path(self) -> Path | None:
        """The trained model that is taken as it is, if there is one."""
        return self.path.parent / self.model.file if self.model.file is not None else None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Every key's value as JSON has it, by a name such as `faults.ber`; null where nothing is set."""
        found: dict[str, Any] = {}
        for name in _File.model_fields:
            part = getattr(self, name)
            if isinstance(part, _Section):
                found.update({f"{name}.{key}": _as_json(value) for key, value in part})
            else:
                found[name] = part
        options = found.pop("model.options")
        return {**found, **{f"model.options.{key}": value for key, value in options.items()}}


def load_study(path: Path) -> Study:
    """Read a study and its builder file. Raises ConfigError, one line, for anything that is wrong."""
    source = _read_text(path)
    try:
        data = tomllib.loads(source)
    except (ValueError, RecursionError) as error:  # ValueError: TOMLDecodeError, and numbers of absurd length
        raise ConfigError(f"{path} is not TOML: {error}") from None
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None
    builder_path, given = path.parent / file.model.builder, file.model.file
    return Study(
        path=path,
        builder_path=builder_path,
        source=source,
        builder_source=_read_beside(path, "builder", builder_path),
        name=file.name,
        seed=file.seed,
        model=file.model,
        train=file.train,
        hardware=file.hardware,
        faults=file.faults,
        requirements=file.requirements,
        objective=file.objective,
        space=file.space,
        search=file.search,
        model_source=None if given is None else _read_beside(path, "file", path.parent / given),
    )


def _as_json(value: Any) -> Any:
    if isinstance(value, Variable):
        return {"low": value.low, "high": value.high} if value.low is not None else list(value.values)
    return list(value) if isinstance(value, tuple) else value


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise ConfigError(f"no study file {path}") from None
    except OSError as error:
        raise ConfigError(f"cannot read study {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a study: byte {error.start} is not UTF-8 text") from None


def _read_beside(study: Path, key: str, file: Path) -> bytes:
    where = f"{study}: [model] {key}"
    try:
        # A symbolic link may lead outside although the text of the path does not.
        if not file.resolve().is_relative_to(study.parent.resolve()):
            raise ConfigError(f"{where}: '{file}' leads outside the study's folder")
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise ConfigError(f"{where}: '{file}' is not a file")
        if (size := file.stat().st_size) > _MAX_FILE_BYTES:
            raise ConfigError(f"{where}: '{file}' has {size} bytes, expected at most {_MAX_FILE_BYTES}")
        return file.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{where}: no file '{file}'") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: symbolic links in a circle
        raise ConfigError(f"{where}: cannot read '{file}': {getattr(error, 'strerror', error)}") from None


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _explain(error: ValidationError) -> str:
    """One line for the first problem; an unknown key goes first, since it often causes the others."""
    problems = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    first = problems[0]
    path = [str(part) for part in first["loc"] if not isinstance(part, int)]
    match first["type"]:
        case "extra_forbidden":
            known = list(_section_at(path[:-1]).model_fields)
            return f"{_where(path[:-1])}unknown key {path[-1]!r}{did_you_mean(path[-1], known, _KNOWN)}"
        case "missing" if len(path) == 1 and _is_section(path[0]):
            return f"missing section [{path[0]}]"
        case "missing":
            return f"{_where(path[:-1])}missing key '{path[-1]}'"
        case "value_error":
            return f"{_where(path)}{first['ctx']['error']}"
        case _:
            return f"{_where(path)}found {_short(first['input'])}, expected {_expected(first)}"


def _where(path: list[str]) -> str:
    """``[section] key: `` for a path into the file; a trailing section stands alone."""
    if not path:
        return ""
    if not _is_section(path[0]):
        return f"{path[0]}: "
    section, keys = path[0], path[1:]
    return f"[{section}] {'.'.join(keys)}: " if keys else f"[{section}] "


def _is_section(name: str) -> bool:
    return name in _File.model_fields and _section_kind(name) is not None


def _section_at(path: list[str]) -> type[_Section]:
    kind = _section_kind(path[0]) if path else _File
    assert kind is not None
    return kind


def _section_kind(name: str) -> type[_Section] | None:
    """The class of a section, one that may be left out, too; None for a key of the file itself."""
    kind = _File.model_fields[name].annotation
    found = (one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, _Section))
    return next(found, None)


_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "string_pattern_mismatch": "letters, digits and _, beginning with a letter, at most 64",
    "string_too_short": "text that is not empty",
    "too_short": "at least one entry",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "more than {gt}",
    "less_than": "less than {lt}",
    "literal_error": "one of {expected}",
}


def _expected(problem: ErrorDetails) -> str:
    template = _EXPECTED.get(problem["type"])
    return template.format(**problem.get("ctx", {})) if template else problem["msg"]
