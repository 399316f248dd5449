"""Gradients against the layers themselves: with types that round nothing, one step of an input is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SEEDS

from codesign.fixed import FixedPoint, Ints
from codesign.network import INPUT, Layer, Network, Parameter, forward
from codesign.network.gradient import gradient_through

WIDE, SOURCE, WEIGHT = FixedPoint(40, 40), FixedPoint(12, 12), FixedPoint(5, 5)


def parameter(generator: np.random.Generator, *shape: int) -> Parameter:
    return Parameter(generator.integers(-16, 16, shape), WEIGHT)


def some_layers(generator: np.random.Generator) -> dict[str, tuple[Layer, tuple[int, ...]]]:
    def p(*shape: int) -> Parameter:
        return parameter(generator, *shape)

    image = (4, 3, 2)
    return {
        "dense": (Layer.dense("x", p(5, 3), p(3), WIDE), (5,)),
        "conv": (Layer.conv("x", image, p(3, 2, 2, 3), p(3), WIDE, padding="same", strides=(2, 1)), image),
        "series": (Layer.conv("x", (5, 2), p(3, 2, 2), p(2), WIDE), (5, 2)),
        "depthwise": (Layer.depthwise("x", image, p(2, 2, 2), p(2), WIDE, padding="same"), image),
        "batchnorm": (Layer.batchnorm("x", image, p(2), p(2), WIDE), image),
        "add": (Layer.add("x", image, WIDE, inputs=(INPUT, INPUT)), image),
        "concatenate": (Layer.concatenate("x", (image, image), WIDE, inputs=(INPUT, INPUT)), image),
        "pad": (Layer.pad("x", image, ((1, 0), (0, 2)), SOURCE), image),
        "reshape": (Layer.reshape("x", image, (24,), SOURCE), image),
        "relu": (Layer.relu("x", image, WIDE), image),
    }


def jacobian(layer: Layer, shape: tuple[int, ...], values: Ints) -> Ints:
    """What one step of each input changes, by running the layer: shape (n_in, n_out)."""
    network = Network("one", SOURCE, (layer,), shape)
    base = forward(network, values)[-1]
    steps = np.eye(values.shape[1], dtype=np.int64)
    return forward(network, values + steps)[-1] - base


@pytest.mark.parametrize("kind", sorted(some_layers(np.random.default_rng(0))))
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, samples=st.integers(1, 3))
def test_the_gradient_is_the_transposed_jacobian(kind: str, seed: int, samples: int) -> None:
    generator = np.random.default_rng(seed)
    layer, shape = some_layers(generator)[kind]
    size = int(np.prod(shape))
    values = generator.integers(-1000, 1000, (samples, size))
    values[values == -1] = 7  # a ReLU bends between -1 and 0
    values[values == 0] = 7
    gradient = generator.integers(-50, 50, (samples, layer.n_out)).astype(np.float64)
    twice = np.concatenate([values] * len(layer.in_shapes), axis=1)
    leaving = forward(Network("one", SOURCE, (layer,), shape), values)[-1]
    found = gradient_through(layer, (SOURCE,) * len(layer.in_shapes), twice, leaving, gradient)
    # Both inputs of a merging layer are the network's: their gradients add up.
    found = found.reshape(samples, len(layer.in_shapes), size).sum(axis=1)
    for sample in range(samples):
        assert (
            found[sample].tolist() == (jacobian(layer, shape, values[sample : sample + 1]) @ gradient[sample]).tolist()
        )
