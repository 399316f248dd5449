"""Keras weights of the base network, from which others start, kept as plain arrays."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.network import Network
from codesign.network.graph import UNREADABLE

# Suffix of the file beside the network's own.
WEIGHTS = ".weights"
Weights = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Start:
    """The base network that a configuration starts from, and its Keras weights."""

    network: Network
    weights: Weights

    def begin(self, model: Any, builder: Path) -> None:
        """Give a model of the builder file these weights. Raises ConfigError where they do not fit."""
        if [w.shape for w in model.get_weights()] != [w.shape for w in self.weights]:
            raise ConfigError(f"{builder}: build_model: weights have other shapes at the base network's widths")
        model.set_weights(self.weights)


def packed(weights: Weights) -> bytes:
    """An NPZ file's content."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{f"w{n}": array for n, array in enumerate(weights)})
    return buffer.getvalue()


def load_weights(path: Path) -> Weights | None:
    """What `packed` gave; None when it is absent or damaged, since it can be trained again."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
            return [found[f"w{n}"] for n in range(len(found.files))]
    except UNREADABLE:
        return None
