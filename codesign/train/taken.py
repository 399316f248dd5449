"""A trained model that is taken as it is: whether the study says its widths, and what it lacks."""

from typing import Any

import numpy as np

from codesign.errors import ConfigError
from codesign.network import Kind, Network, forward
from codesign.progress import say
from codesign.study import Study
from codesign.train.builder import Data, Quantisation

# The widths that a study can name.
_NARROWEST, _WIDEST = 2, 16
_WEIGHTED = (Kind.DENSE, Kind.CONV, Kind.DEPTHWISE)
_ACTIVATIONS = (Kind.RELU, Kind.ACTIVATION)


def check_taken(study: Study, model: Any, network: Network, data: Data, quantisation: Quantisation) -> None:
    """Raise ConfigError for a study that says other widths than the model's; say what the model lacks, a line each."""
    _check_widths(study, network, quantisation)
    for remark in remarks(model, network, data):
        say(f"{study.model_path}: {remark}")


def widths(network: Network, otherwise: Quantisation) -> Quantisation:
    """The widest weights and activations; those of `otherwise` where it has none."""
    weights = _widest(layer.w.type.width for layer in network.layers if layer.kind in _WEIGHTED)
    activations = _widest(layer.result.width for layer in network.layers if layer.kind in _ACTIVATIONS)
    return Quantisation(weights or otherwise.weight_bits, activations or otherwise.activation_bits)


def _check_widths(study: Study, network: Network, said: Quantisation) -> None:
    """A design's widths are written into results, so they have to be the model's own."""
    found = widths(network, said)
    if found != said:
        raise ConfigError(
            f"{study.path}: [space] says weight_bits = {said.weight_bits} and activation_bits = "
            f"{said.activation_bits}, the widest of {study.model_path} are {found.weight_bits} and "
            f"{found.activation_bits}: write weight_bits = {found.weight_bits} and activation_bits = "
            f"{found.activation_bits}"
        )


def _widest(widths: Any) -> int | None:
    found = max(widths, default=None)
    return None if found is None else min(max(found, _NARROWEST), _WIDEST)


def remarks(model: Any, network: Network, data: Data) -> list[str]:
    """Where the integer network answers otherwise than Keras, and sums that go on without a quantiser."""
    found = []
    given = model.predict(data.test_inputs.astype(np.float32), verbose=0).argmax(axis=1)
    answers = forward(network, network.quantise_inputs(data.test_inputs))[-1].argmax(axis=1)
    if other := int(np.count_nonzero(given != answers)):
        was, now = (float(np.mean(top == data.test_labels)) for top in (given, answers))
        found.append(
            f"the integer network answers {other} of {len(answers)} test samples otherwise than Keras, whose sums are "
            f"rounded (accuracy {now:.4f}, there {was:.4f})"
        )
    types = {layer.name: layer.result for layer in network.layers}
    for layer in network.layers:
        wide = [name for name in layer.inputs if name in types and types[name].width > _WIDEST]
        if layer.kind in _WEIGHTED and wide:
            found.append(
                f"layer '{layer.name}' multiplies the {types[wide[0]].width} bits of '{wide[0]}', which no QActivation "
                "has cut: its products are as wide"
            )
    return found
