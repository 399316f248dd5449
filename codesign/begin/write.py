"""Writes the folder of a study for a trained model: model, data, the file that reads the data, and the study."""

import math
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codesign.assets import rendered
from codesign.begin.samples import Samples
from codesign.board.boards import Board, load_board
from codesign.campaign.run import run_campaign
from codesign.errors import ConfigError
from codesign.faults import FaultModel, Target
from codesign.fixed import FixedPoint
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.study import Study, load_study
from codesign.train.builder import Data
from codesign.train.training import taken

STUDY, BUILDER, DATA = "study.toml", "data.py", "data.npz"
# Rates that are tried for the first at which faults matter; trials for each.
_RATES = [f * 10.0**e for e in range(-8, -2) for f in (1, 3)]
_TRIALS = 50
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Wishes:
    """What a user asks for. Where `ber` or `accuracy` are None, figures are chosen that make a first search worth it.

    `input_bits` is for inputs that no type of few bits holds exactly.
    """

    name: str
    board: str = "pynq-z2"
    ber: float | None = None
    accuracy: float | None = None
    input_bits: int = 8


@dataclass(frozen=True)
class Begun:
    """What was written, and what the model is: its accuracy without faults, and what is worth knowing of it."""

    study: Path
    network: Network
    accuracy_clean: float
    accuracy: float
    ber: float
    remarks: tuple[str, ...]


def begin(model: Path, data: Path, wishes: Wishes, folder: Path) -> Begun:
    """Write the folder, which must not exist or be empty. Raises ConfigError for what cannot be used, and why."""
    samples, board = Samples.read(data), load_board(wishes.board)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not empty: choose another folder with --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            staged = Path(name) / "study"
            staged.mkdir(mode=0o755)
            begun = _write(staged, _copied(model, data, staged), samples, wishes, board)
            if folder.exists():
                folder.rmdir()
            staged.rename(folder)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror or error}") from None
    return replace(begun, study=folder / STUDY)


def _copied(model: Path, data: Path, folder: Path) -> str:
    """The model's file beside the study."""
    if model.suffix not in (".h5", ".keras"):
        raise ConfigError(f"{model}: expected a model that Keras has saved, a file that ends in .h5 or .keras")
    if not model.is_file():
        raise ConfigError(f"no model file {model}")
    name = f"model{model.suffix}"
    shutil.copyfile(model, folder / name)
    shutil.copyfile(data, folder / DATA)
    return name


@dataclass(frozen=True)
class _Figures:
    """What the study says of the model; as they stand, of one that is not known yet."""

    weight_bits: int = 16
    activation_bits: int = 16
    widest: int = 1
    accuracy_clean: float = 0.0
    accuracy: float = 0.0
    ber: float = 1e-6

    @property
    def curve(self) -> list[float]:
        """Rates of the report's curve, from a tenth to ten times the study's."""
        return [float(f"{self.ber * factor:.3g}") for factor in (0.1, 0.3, 1.0, 3.0, 10.0) if self.ber * factor <= 1]


def _write(folder: Path, model: str, samples: Samples, wishes: Wishes, board: Board) -> Begun:
    input_type = samples.input_type(wishes.input_bits)
    text = _render("data.py.j2", data=DATA, names=samples.names, type=input_type, text=_text(input_type))
    (folder / BUILDER).write_text(text)

    def study(figures: _Figures) -> Study:
        about = {"wishes": wishes, "board": board, "model": model, "builder": BUILDER, "figures": figures}
        (folder / STUDY).write_text(_render("study.toml.j2", **about))
        return load_study(folder / STUDY)

    found = taken(study(_Figures()))
    accuracy = _below(found.accuracy_clean) if wishes.accuracy is None else wishes.accuracy
    figures = _Figures(
        found.quantisation.weight_bits,
        found.quantisation.activation_bits,
        max(layer.acc.width for _, layer in found.network.compute_layers()),
        found.accuracy_clean,
        accuracy,
        _rate_that_matters(found.network, found.data, accuracy) if wishes.ber is None else wishes.ber,
    )
    study(figures)
    return Begun(folder / STUDY, found.network, found.accuracy_clean, accuracy, figures.ber, tuple(found.remarks))


def _below(accuracy: float) -> float:
    """A point less, in thousandths."""
    return max(math.floor(accuracy * 1000 - 10) / 1000, 0.0)


def _rate_that_matters(network: Network, data: Data, accuracy: float) -> float:
    """The lowest rate tried at which the network without protection is surely less accurate than that."""
    for ber in _RATES:
        model = FaultModel((Target.ACCUMULATOR,), ber=ber, seed=1)
        found = run_campaign(
            network, ProtectionPlan(), model, data.test_inputs, data.test_labels, trials=_TRIALS, confidence=_CONFIDENCE
        )
        if found.interval("accuracy").high < accuracy:
            return ber
    return _RATES[-1]


def _text(of: FixedPoint) -> str:
    """As a builder declares it."""
    return f"{'' if of.signed else 'u'}fixed<{of.width},{of.integer}>"


def _render(template: str, **values: Any) -> str:
    return rendered(Path(__file__).parent / template, **values)
