"""The variants of an ablation: one study, of which only some layers may decide.

A variant is the study with a restricted space. Whatever a layer that takes no part would decide has the reference's
value: the network is trained without constraints, and hardening is of all neurons alike, or of all of a neuron's bits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from codesign.errors import ConfigError
from codesign.fixed import MAX_WIDTH
from codesign.study import SpaceSection, Study, Value, Variable, parse_variable

ALGORITHM, ARCHITECTURE, CIRCUIT = "algorithm", "architecture", "circuit"
# What each layer decides; `protection_budget` chooses neurons and bits at once, so it needs two of them.
DECIDES = {
    ALGORITHM: ("weight_bits", "activation_bits", "accumulator_bits", "truncation"),
    ARCHITECTURE: (
        *("important_fraction", "importance_scope", "importance_score"),
        *("mechanism", "dot_size", "parameters", "reuse_factor", "strategy"),
    ),
    CIRCUIT: ("hardened_bits_important", "hardened_bits_normal", "hardened_scope", "dsp_min_bits"),
}
# Without a choice of one of these a layer decides nothing that an ablation could show.
_NEEDED = {
    ALGORITHM: DECIDES[ALGORITHM],
    ARCHITECTURE: ("important_fraction",),
    CIRCUIT: ("hardened_bits_important",),
}
_UNCONSTRAINED: dict[str, Value] = {"accumulator_bits": 0, "truncation": "builder"}

UNPROTECTED, FULL_TMR, CROSS_LAYER = "unprotected", "full_tmr", "cross_layer"
LAYERS_OF: dict[str, tuple[str, ...]] = {
    UNPROTECTED: (),
    FULL_TMR: (),
    "algorithm_only": (ALGORITHM,),
    "architecture_only": (ARCHITECTURE,),
    "circuit_only": (CIRCUIT,),
    "algorithm_architecture": (ALGORITHM, ARCHITECTURE),
    "algorithm_circuit": (ALGORITHM, CIRCUIT),
    "architecture_circuit": (ARCHITECTURE, CIRCUIT),
    CROSS_LAYER: (ALGORITHM, ARCHITECTURE, CIRCUIT),
}
VARIANTS = tuple(LAYERS_OF)
SELECTIVE = ("architecture_only", "circuit_only")
"""Variants of one layer that do not harden everything."""

Widths = Mapping[str, Value]


def check_space(study: Study) -> None:
    """Raise ConfigError where a layer of the study's space has nothing to decide, so that variants would be equal."""
    for layer, names in _NEEDED.items():
        variables = [getattr(study.space, name) for name in names]
        if not any(variable is not None and not variable.fixed for variable in variables):
            raise ConfigError(
                f"{study.path}: [space] leaves the {layer} layer nothing to decide: "
                f"give a list or range for {' or '.join(names)}"
            )


def unconstrained(study: Study) -> Iterator[dict[str, Value]]:
    """The algorithm layer's values of networks that are only quantised: any widths, no bound, the builder's cuts."""
    space = study.space
    choices: dict[str, list[Value]] = {"weight_bits": _values(space.weight_bits)}
    if space.activation_bits is not None:
        choices["activation_bits"] = _values(space.activation_bits)
    for name, value in _UNCONSTRAINED.items():
        variable: Variable = getattr(space, name)
        choices[name] = [value if value in variable else _values(variable)[-1]]
    for values in product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def variant(study: Study, name: str, reference: Widths) -> Study:
    """The study in which only the variant's layers decide.

    `reference`: the algorithm layer's values of the network of all variants that do not choose one.
    """
    layers = LAYERS_OF[name]
    fixed: dict[str, Value] = {}
    for layer, names in DECIDES.items():
        if layer not in layers:
            fixed |= {n: v.first for n in names if (v := getattr(study.space, n)) is not None}
    if ALGORITHM not in layers:
        fixed |= reference
    if not {ARCHITECTURE, CIRCUIT} <= set(layers):
        fixed["protection_budget"] = 0.0
        fixed |= _hardening(name, layers)
    return replace(study, space=_with(study.space, fixed))


def _hardening(name: str, layers: tuple[str, ...]) -> dict[str, Value]:
    """What is hardened where the neurons, or their bits, are not chosen."""
    if ARCHITECTURE in layers:
        return {"hardened_bits_important": MAX_WIDTH, "hardened_bits_normal": 0}
    alike: dict[str, Value] = {"important_fraction": 1.0, "hardened_bits_normal": 0}
    if CIRCUIT in layers:
        return alike
    return {**alike, "hardened_bits_important": 0 if name == UNPROTECTED else MAX_WIDTH}


def _with(space: SpaceSection, fixed: Mapping[str, Value]) -> SpaceSection:
    return space.model_copy(update={name: parse_variable(name, value) for name, value in fixed.items()})


def _values(variable: Variable) -> list[Value]:
    """All values of a list or a range of whole numbers, ascending."""
    if variable.values:
        return sorted(variable.values, key=lambda value: (str(type(value)), value))
    assert variable.low is not None and variable.high is not None
    return list(range(int(variable.low), int(variable.high) + 1))
