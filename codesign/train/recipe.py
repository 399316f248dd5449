"""How one configuration of a study is trained: from the start, or from the study's base network.

The base is the network of the widest widths without constraints. It is part of a configuration's definition, not what
happens to be in the cache, so the integers do not depend on the order in which configurations are trained.
"""

from dataclasses import dataclass

from codesign.study import Study, Variable
from codesign.train.builder import Quantisation


@dataclass(frozen=True)
class Recipe:
    """What decides the training beside builder, data and seed. `base` None: from the builder's first weights."""

    quantisation: Quantisation
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None
    protection_cost: float
    fault_ber: float
    base: Quantisation | None


def recipe_of(study: Study, quantisation: Quantisation) -> Recipe:
    """Constrained configurations start from the base, and all but the base if `[train] fine_tune_epochs` is given.

    With a protection cost or faults in training every configuration is constrained; the base never is.
    """
    given = study.train
    if given is None:  # the model comes from a file
        return Recipe(quantisation, 0, 0, 0.0, None, 0.0, 0.0, None)
    base = _base(study)
    warm = quantisation.is_constrained or (given.fine_tune_epochs is not None and quantisation != base)
    if given.protection_cost or given.fault_ber:
        warm = True
    return _recipe(study, quantisation, base if warm else None)


def scratch_recipe(study: Study, quantisation: Quantisation) -> Recipe:
    """From the builder's first weights, as the base is trained."""
    return _recipe(study, quantisation, None)


def _recipe(study: Study, quantisation: Quantisation, base: Quantisation | None) -> Recipe:
    given = study.train
    assert given is not None  # without it, the study names a trained model
    epochs = (given.fine_tune_epochs or max(1, given.epochs // 3)) if base else given.epochs
    extra = (given.protection_cost, given.fault_ber) if base else (0.0, 0.0)
    rest = (given.batch_size, given.learning_rate, given.patience)
    return Recipe(quantisation, epochs, *rest, *extra, base)


def _base(study: Study) -> Quantisation:
    space = study.space
    bits = _widest(space.weight_bits)
    return Quantisation(bits, _widest(space.activation_bits) if space.activation_bits else bits)


def _widest(variable: Variable) -> int:
    return int(max(variable.values)) if variable.values else int(variable.high or 0)
