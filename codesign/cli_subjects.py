"""From what a user names to what is attacked: studies, designs of runs, projects, saved networks and plans."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from codesign.campaign.samples import check_samples
from codesign.campaign.store import Store
from codesign.cli_common import default_out, network_of, study_of
from codesign.errors import ConfigError
from codesign.faults import FaultModel
from codesign.hls.folder import MANIFEST, Project
from codesign.hls.options import ProjectOptions
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.subject import ARRAYS, CONFIDENCE, TRIALS, Faults, open_store, read_samples

if TYPE_CHECKING:
    from codesign.study import Study

# Of a saved network, which says nothing of it (200 MHz, the period of most boards here).
DEFAULT_CLOCK_NS = 5.0
_BASELINES = ("unprotected", "full_tmr")


@dataclass(frozen=True)
class Design:
    """A design with a name for people."""

    name: str
    network: Network
    plan: ProtectionPlan


@dataclass(frozen=True)
class Costed(Design):
    """A design, and what its figures depend on; None where nothing says for which part it is.

    `structure` is the strategy by which products become adders, and the bits of factors from which they become DSPs.
    """

    clock_ns: float
    part: str | None
    structure: tuple[str, int]


@dataclass(frozen=True, eq=False)
class Setting:
    """Designs that are attacked alike: evaluation set, fault model, and what is usual.

    `inputs` are real numbers of shape (n_samples, ...) or raw ones, `labels` have shape (n_samples,). `folder` is the
    run folder, whose store is that of `study` if there is one.
    """

    subjects: tuple[Design, ...]
    inputs: ArrayLike
    labels: ArrayLike
    model: FaultModel
    trials: int
    confidence: float
    folder: Path
    study: "Study | None" = None

    def store(self) -> Store:
        """Where finished trials are kept."""
        return open_store(self.folder, self.study)


@dataclass(frozen=True)
class _Named:
    """What the user named. `design` is what stands behind the colon of RUN:DESIGN."""

    text: str
    path: Path
    kind: Literal["study", "run", "project", "network", "plan"]
    design: str | None = None

    @classmethod
    def parse(cls, text: str) -> "_Named":
        path = Path(text)
        if not path.exists() and ":" in text:
            folder, _, design = text.rpartition(":")
            if Path(folder).is_dir():
                return cls(text, Path(folder), "run", design)
        if path.is_dir():
            return cls(text, path, "project" if (path / MANIFEST).exists() else "run")
        if not path.exists():
            raise ConfigError(f"no study, run, project, network or plan '{text}'")
        match path.suffix:
            case ".npz":
                return cls(text, path, "network")
            case ".json":
                return cls(text, path, "plan")
        return cls(text, path, "study")

    @property
    def name(self) -> str:
        if self.kind in ("run", "project"):
            folder = self.path.resolve().name
            return folder if self.design is None else f"{folder}:{self.design}"
        return self.path.stem


def open_setting(
    texts: Sequence[str],
    faults: Faults,
    *,
    data: Path | None = None,
    on: str | None = None,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    out: Path | None = None,
) -> Setting:
    """What `texts` name, to be attacked alike.

    Data, faults and run folder are those of the first study or run among them, or in `on`; plans are for the first
    network. Raises ConfigError, naming it, for what does not exist, does not fit, or is said nowhere.
    """
    named = [_Named.parse(text) for text in texts]
    bases = [_Named.parse(on)] if on is not None else []
    studies = {one.path: _study(one) for one in (*named, *bases) if one.kind in ("study", "run")}
    widths = (weight_bits, activation_bits)
    if any(width is not None for width in widths) and not any(one.kind == "study" for one in (*named, *bases)):
        raise ConfigError("--weight-bits and --activation-bits choose a study's network, and no study is named")
    opened = {one: _open(one, studies, widths) for one in (*named, *bases) if one.kind != "plan"}
    first = next((opened[one] for one in (*bases, *named) if one in opened), None)
    subjects = tuple(opened[one] if one in opened else _planned(one, first) for one in named)
    if len({subject.name for subject in subjects}) < len(subjects):
        subjects = tuple(replace(subject, name=text) for subject, text in zip(subjects, texts, strict=True))
    study, model = _faults(studies, faults)
    inputs, labels = _samples(studies, data, named[0])
    for subject in subjects:
        _check(subject, inputs, labels, data)
    folder = out or _folder((*named, *bases), study)
    usual = (study.faults.trials, study.faults.confidence) if study else (TRIALS, CONFIDENCE)
    return Setting(subjects, inputs, labels, model, *usual, folder, study)


def open_costed(text: str, weight_bits: int | None = None, activation_bits: int | None = None) -> Costed:
    """A study's network, a run's design, a project or a saved network, with the clock and the part that it is for.

    Raises ConfigError naming what does not exist or is nothing of these.
    """
    named = _Named.parse(text)
    if named.kind == "plan":
        raise ConfigError(f"{named.path} is a plan: name a project, a run's design or a study, which have networks")
    studies = {named.path: _study(named)} if named.kind == "study" else {}
    design = _open(named, studies, (weight_bits, activation_bits))
    clock_ns, part = DEFAULT_CLOCK_NS, None
    structure = (options := ProjectOptions()).strategy, options.dsp_min_bits
    if named.kind == "study":
        from codesign.board.boards import load_board

        hardware = studies[named.path].hardware
        clock_ns, part = hardware.clock_ns, load_board(hardware.board).part
    elif named.kind == "project":
        options = Project.open(named.path).options
        clock_ns, part = options.clock_ns, options.part
        structure = options.strategy, options.dsp_min_bits
    elif named.kind == "run":
        from codesign.search.folder import RunFolder

        of_run = RunFolder(named.path).result()["hardware"]
        clock_ns, part = float(of_run["clock_ns"]), of_run["capacity"]["part"]
        structure = _structure(_found(named))
    return Costed(design.name, design.network, design.plan, clock_ns, part, structure)


def _study(named: _Named) -> "Study":
    if named.kind == "study":
        return study_of(named.path)
    files = sorted((named.path / "study").glob("*.toml"))
    if len(files) != 1:
        raise ConfigError(f"{named.path} is neither a project nor a run folder with its study")
    return study_of(files[0])


def _open(named: _Named, studies: "dict[Path, Study]", widths: tuple[int | None, int | None]) -> Design:
    match named.kind:
        case "study":
            return Design(named.name, network_of(studies[named.path], *widths)[0], ProtectionPlan())
        case "run":
            from codesign.search.folder import RunFolder

            found = _found(named)
            return Design(named.name, *RunFolder(named.path).load(found["network"], found["plan"]))
        case "project":
            project = Project.open(named.path)
            return Design(named.name, project.network, project.plan)
        case _:
            return Design(named.name, Network.load(named.path), ProtectionPlan())


def _found(named: _Named) -> dict[str, Any]:
    """A design of a run by its number or the name of a baseline, by default the best."""
    from codesign.search.folder import RunFolder

    folder, wanted = RunFolder(named.path), named.design
    if wanted in _BASELINES:
        baseline: dict[str, Any] = folder.result()["baselines"][wanted]
        return baseline
    if wanted is None or wanted == "best":
        return folder.design(None)
    if wanted.isdecimal():
        return folder.design(int(wanted))
    raise ConfigError(f"'{named.text}': expected a design's number, best, {' or '.join(_BASELINES)} after the colon")


def _structure(found: dict[str, Any]) -> tuple[str, int]:
    from codesign.study import Design as Point

    return Point(**found["design"]).structure


def _planned(named: _Named, first: Design | None) -> Design:
    if first is None:
        raise ConfigError(f"{named.path} is a plan: name the study, project or network that it is for with --on")
    return Design(named.name, first.network, ProtectionPlan.load(named.path, first.network))


def _faults(studies: "dict[Path, Study]", faults: Faults) -> "tuple[Study | None, FaultModel]":
    """The first study and its faults. The others' have to be the same."""
    if not studies:
        return None, faults.model()
    from codesign.search.evaluate import fault_model

    found = [(path, study, faults.model(fault_model(study))) for path, study in studies.items()]
    path, study, model = found[0]
    for other, _, theirs in found[1:]:
        if theirs != model:
            raise ConfigError(
                f"{path} and {other} have other faults, and designs are compared under the same ones: give --target, "
                "--ber, --lifetime and --seed"
            )
    return study, model


def _samples(studies: "dict[Path, Study]", data: Path | None, named: _Named) -> tuple[ArrayLike, ArrayLike]:
    """The evaluation set of the studies, or of the file."""
    from codesign.train.builder import data as data_of

    if data is not None:
        if studies:
            raise ConfigError(f"--data: {next(iter(studies))} has data of its own")
        return read_samples(data)
    if not studies:
        raise ConfigError(
            f"{named.path} has no data of its own: --data, an NPZ file with the arrays {' and '.join(ARRAYS)}, or "
            "--on with a study"
        )
    sets = {path: data_of(study) for path, study in studies.items()}
    (path, first), *others = sets.items()
    for other, found in others:
        if not np.array_equal(first.test_inputs, found.test_inputs) or not np.array_equal(
            first.test_labels, found.test_labels
        ):
            raise ConfigError(f"{path} and {other} have other test sets: designs are compared on the same samples")
    return first.test_inputs, first.test_labels


def _check(subject: Design, inputs: ArrayLike, labels: ArrayLike, data: Path | None) -> None:
    try:
        check_samples(subject.network, inputs, labels)
    except ConfigError as error:
        raise ConfigError(f"{data or 'the test set'}, for {subject.name}: {error}") from None


def _folder(named: Sequence[_Named], study: "Study | None") -> Path:
    base = next((one for one in named if one.kind in ("study", "run")), None)
    if base is None or study is None:
        return Path("runs") / named[0].name
    return base.path if base.kind == "run" else default_out(study)
