"""A study step by step, for notebooks: what the commands do between a study file and a network that can be attacked."""

from dataclasses import replace
from typing import Any

from codesign.cli_common import trained_of, width_of
from codesign.errors import ConfigError
from codesign.faults import FaultModel
from codesign.study import Study
from codesign.train.builder import Data, data
from codesign.train.training import TrainedNetwork


def study_data(study: Study) -> Data:
    """The study's train and test sets: inputs of shape (n_samples, ...), labels of shape (n_samples,).

    Raises ConfigError, naming file and line, for a builder that gives something else.
    """
    return data(study)


def train_network(study: Study, weight_bits: int | None = None, activation_bits: int | None = None) -> TrainedNetwork:
    """The study's network of these widths in bits, by default its widest: from the cache, or trained or converted now.

    Raises ConfigError for widths that are not in the study's space and for a model that cannot be carried over,
    MissingExtraError without the extra `train`.
    """
    return trained_of(study, width_of(study, weight_bits), activation_bits)


def study_faults(study: Study, **changes: Any) -> FaultModel:
    """The study's fault model; `changes` are fields of FaultModel, such as ``ber=1e-4`` or ``n_flips=1``.

    A rate replaces a number of flips and the other way round. Raises ConfigError for a field that does not exist.
    """
    from codesign.search.evaluate import fault_model

    if unknown := set(changes) - set(FaultModel.__dataclass_fields__):
        raise ConfigError(f"a fault model has no {', '.join(sorted(unknown))}")
    if ("ber" in changes) != ("n_flips" in changes):
        changes.setdefault("ber", None)
        changes.setdefault("n_flips", None)
    return replace(fault_model(study), **changes)
