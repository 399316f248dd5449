"""What a campaign attacks: a study's network, a saved network or a project, with its data and its faults."""

import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from codesign.campaign.merit import Merit, merit_of
from codesign.campaign.requirement import Requirement
from codesign.campaign.result import CampaignResult
from codesign.campaign.run import run_campaign
from codesign.campaign.samples import check_samples
from codesign.campaign.simulators import SimulatorName
from codesign.campaign.store import STORE_NAME, Store
from codesign.campaign.verify import MISMATCHES, require_csim, verify
from codesign.campaign.watch import Watch
from codesign.campaign.workers import Workers
from codesign.cli_common import default_out, network_of, study_of
from codesign.errors import ConfigError
from codesign.faults import FaultModel, Lifetime, Target
from codesign.files import write_atomically
from codesign.fixed import Ints
from codesign.hls.folder import Project
from codesign.metrics import MetricName, measure
from codesign.network import Network, forward
from codesign.network.graph import UNREADABLE
from codesign.progress import bar, say
from codesign.protection import ProtectionPlan

if TYPE_CHECKING:
    from codesign.study import Study

TRIALS, CONFIDENCE = 1000, 0.95
"""Where no study says otherwise."""
ARRAYS = ("inputs", "labels")


def open_store(folder: Path, study: "Study | None") -> Store:
    """The store in a run folder; a study's own belongs to it."""
    if study is None:
        return Store(folder / STORE_NAME)
    from codesign.search.folder import identity

    return Store(folder / STORE_NAME, identity(study))


@dataclass(frozen=True)
class Faults:
    """What is drawn, as far as it is said; a study says the rest."""

    targets: Sequence[str] = ()
    ber: float | None = None
    n_flips: int | None = None
    lifetime: str | None = None
    seed: int | None = None

    def model(self, usual: FaultModel | None = None) -> FaultModel:
        """The fault model. Raises ConfigError for what does not exist, or is said neither here nor in `usual`."""
        given: dict[str, Any] = {"targets": tuple(self.targets)} if self.targets else {}
        if self.ber is not None or self.n_flips is not None:
            given |= {"ber": self.ber, "n_flips": self.n_flips}
        given |= {"lifetime": self.lifetime} if self.lifetime is not None else {}
        given |= {"seed": self.seed} if self.seed is not None else {}
        if usual is not None:
            return replace(usual, **given)
        if not self.targets:
            raise ConfigError(f"which bits flip? --target, one or more of {', '.join(t.label for t in Target)}")
        if "ber" not in given:
            raise ConfigError("how often do bits flip? --ber 1e-4 (a rate a bit), or --flips 1 (so many a trial)")
        return FaultModel(**{"lifetime": Lifetime.TRANSIENT, **given})


@dataclass(frozen=True, eq=False)
class Subject:
    """Network, plan and faults of a campaign, raw inputs of shape (n_samples, n_in) and labels of (n_samples,).

    `trials` and `confidence` are what is usual. `study` or `project` is where it comes from, if from one of them.
    """

    name: str
    network: Network
    plan: ProtectionPlan
    model: FaultModel
    inputs: Ints
    labels: Ints
    trials: int = TRIALS
    confidence: float = CONFIDENCE
    study: "Study | None" = None
    project: Project | None = None

    @property
    def folder(self) -> Path:
        """The run folder where none is named."""
        return default_out(self.study) if self.study else Path("runs") / self.name

    @property
    def attacked(self) -> tuple[Network, ProtectionPlan, FaultModel, Ints, Ints]:
        """The first arguments of `run_campaign`."""
        return self.network, self.plan, self.model, self.inputs, self.labels

    def store(self, folder: Path) -> Store:
        """The store in a run folder; a study's own belongs to it."""
        return open_store(folder, self.study)

    def attack(
        self,
        requirements: Sequence[Requirement],
        *,
        trials: int | None = None,
        until_decided: bool = False,
        simulator: SimulatorName = "engine",
        workers: Workers | None = None,
        replayed: int = 0,
        folder: Path | None = None,
    ) -> CampaignResult:
        """Run the trials, showing their progress, then replay some of the engine's on the csim.

        With a run `folder` trials are kept in its store. A project's trials are replayed on the project as it is.
        """
        number = replayed if simulator == "engine" else 0
        if number:
            require_csim(writes=self.project is None)
        wanted = trials or self.trials
        with self.store(folder) if folder else nullcontext() as store, bar("trials", wanted) as shown:
            result = run_campaign(
                *self.attacked,
                trials=wanted,
                simulator=simulator,
                confidence=self.confidence,
                requirements=requirements,
                store=store,
                progress=shown,
                watch=Watch(requirements, len(self.inputs), self.confidence, shown.tell),
                stop_when_decided=until_decided,
                workers=workers,
            )
        return self._replay(result, number, (folder or Path()) / MISMATCHES) if number else result

    def check_metric(self, metric: MetricName | None = None) -> MetricName:
        """The metric that is asked for, otherwise the study's. Raises ConfigError if it cannot be measured here."""
        chosen: MetricName = metric or (self.study.model.metric if self.study else "accuracy")
        if chosen != "accuracy":
            measure(chosen, forward(self.network, self.inputs)[-1], self.labels)
        return chosen

    def merit(self, result: CampaignResult, metric: MetricName | None = None) -> Merit:
        """The metric without faults and in the trials of the result."""
        chosen = self.check_metric(metric)
        with bar(chosen, result.trials) as shown:
            return merit_of(chosen, result, *self.attacked, progress=shown)

    def _replay(self, result: CampaignResult, number: int, mismatches: Path) -> CampaignResult:
        csim = None
        if self.project is not None:
            from codesign.hls.csim import CsimSimulator

            csim = CsimSimulator(self.project, self.inputs)
        with bar("replayed on the csim", min(number, result.trials)) as shown:
            result = verify(result, *self.attacked, number, csim=csim, mismatches=mismatches, progress=shown)
        trials = ", ".join(map(str, result.verified))
        say(f"csim equals the engine in {len(result.verified)} replayed trials: {trials}")
        return result


def open_subject(
    path: Path,
    *,
    data: Path | None = None,
    plan: Path | None = None,
    faults: Faults | None = None,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    stores: bool = False,
    folder: Path | None = None,
) -> Subject:
    """A project's folder, a saved network (.npz) or a study (any other file); neither of the first needs TensorFlow.

    A study has its own data and widths, a project its own plan. Raises ConfigError for what does not fit, naming it,
    and with `stores` StoreError before a study's network is trained if its run `folder` holds another study's store.
    """
    faults = faults or Faults()
    if not path.is_dir() and path.suffix != ".npz":
        _refuse("a study", path, {"--data": data})
        return of_study(path, plan, faults, weight_bits, activation_bits, stores=stores, folder=folder)
    what = "a project" if path.is_dir() else "a saved network"
    _refuse(what, path, {"--weight-bits": weight_bits, "--activation-bits": activation_bits})
    if path.is_dir():
        _refuse(what, path, {"--plan": plan})
        project = Project.open(path)
        network, protection = project.network, project.plan
    else:
        project, network = None, Network.load(path)
        protection = ProtectionPlan.load(plan, network) if plan else ProtectionPlan()
    model = faults.model()
    if data is None:
        raise ConfigError(f"{path} has no data of its own: --data, an NPZ file with the arrays {' and '.join(ARRAYS)}")
    name = path.resolve().name if path.is_dir() else path.stem
    return Subject(name, network, protection, model, *load_samples(data, network), project=project)


def of_study(
    path: Path,
    plan: Path | None,
    faults: Faults,
    weight_bits: int | None,
    activation_bits: int | None,
    *,
    stores: bool = False,
    folder: Path | None = None,
) -> Subject:
    """One of a study's networks, by default the widest and unprotected, on the study's test set."""
    from codesign.search.evaluate import fault_model
    from codesign.search.folder import RunFolder, identity

    study = study_of(path)
    if stores and (store := RunFolder(folder or default_out(study)).store).exists():
        Store(store, identity(study)).close()
    model = faults.model(fault_model(study))
    network, data = network_of(study, weight_bits, activation_bits)
    protection = ProtectionPlan.load(plan, network) if plan else ProtectionPlan()
    samples = check_samples(network, data.test_inputs, data.test_labels)
    usual = study.faults.trials, study.faults.confidence
    return Subject(path.stem, network, protection, model, *samples, *usual, study=study)


def load_samples(path: Path, network: Network) -> tuple[Ints, Ints]:
    """Raw `inputs` and `labels` of an NPZ file; real inputs are quantised. Raises ConfigError naming the file."""
    arrays = read_samples(path)
    try:
        return check_samples(network, *arrays)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def read_samples(path: Path) -> tuple[ArrayLike, ArrayLike]:
    """The arrays `inputs` and `labels` of an NPZ file. Raises ConfigError naming the file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
            inputs, labels = (np.asarray(found[name]) for name in ARRAYS)
    except FileNotFoundError:
        raise ConfigError(f"no data file {path}") from None
    except UNREADABLE as error:
        raise ConfigError(f"{path} is no NPZ file with the arrays {' and '.join(ARRAYS)}: {error}") from None
    return inputs, labels


def save_samples(path: Path, inputs: ArrayLike, labels: ArrayLike) -> None:
    """Write what `load_samples` reads: inputs of shape (n_samples, ...), labels of shape (n_samples,)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(zip(ARRAYS, map(np.asarray, (inputs, labels)), strict=True)))
    write_atomically(path, buffer.getvalue())


def _refuse(what: str, path: Path, options: Mapping[str, object]) -> None:
    for name, given in options.items():
        if given is not None:
            raise ConfigError(f"{name} does not go with {what}: {path} says that itself")
