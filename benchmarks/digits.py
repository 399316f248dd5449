"""The digits networks that the benchmarks run, as integers, without TensorFlow.

Real images (scikit-learn's 8x8 digits, 360 of them for evaluation) and the types that hls4ml gives a QKeras model of
eight bits: weights in fixed<8,1>, biases in fixed<9,2>, activations in ufixed<8,3,RND_CONV,SAT>, accumulators that hold
every sum.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from codesign.fixed import FixedPoint, Ints, Overflow, Rounding, quantise, to_real
from codesign.network import Layer, Network, Parameter, forward

INPUT = FixedPoint(5, 1, signed=False)
WEIGHT = FixedPoint(8, 1, rounding=Rounding.RND, overflow=Overflow.SAT)
BIAS = FixedPoint(9, 2, rounding=Rounding.RND, overflow=Overflow.SAT)
ACTIVATION = FixedPoint(8, 3, signed=False, rounding=Rounding.RND_CONV, overflow=Overflow.SAT)
HIDDEN = (64, 32, 32)
FILTERS = (8, 16)
CLASSES = 10

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A network and its evaluation set: raw inputs (n_samples, n_in) and labels (n_samples,)."""

    network: Network
    inputs: Ints
    labels: Ints

    @property
    def multiply_adds(self) -> int:
        """Of one evaluation of the whole set."""
        layers = [layer for _, layer in self.network.compute_layers()]
        return len(self.inputs) * sum(layer.n_out * layer.fan_in for layer in layers)


def digits_mlp(hidden: tuple[int, ...] = HIDDEN) -> Task:
    """The 64-64-32-32-10 perceptron (or with other hidden layers), trained in floating point and rounded."""
    train, test, train_labels, test_labels = _images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # good enough long before it converges
        model = MLPClassifier(hidden, max_iter=40, random_state=0).fit(train / 16, train_labels)
    layers: list[Layer] = []
    for index, (weights, biases) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        source = layers[-1].result if layers else INPUT
        layers.append(dense(f"dense_{index}", source, weights, biases))
        if index < len(hidden):
            layers.append(Layer.relu(f"relu_{index}", weights.shape[1], ACTIVATION))
    return Task(Network("digits_mlp", INPUT, tuple(layers)), test, test_labels)


def digits_cnn() -> Task:
    """Two 3x3 convolutions with fixed random filters, pooled, and a linear classifier trained on what they give."""
    train, test, train_labels, test_labels = _images()
    generator = np.random.default_rng(0)
    layers: list[Layer] = []
    shape: tuple[int, ...] = (8, 8, 1)
    for index, filters in enumerate(FILTERS):
        source = layers[-1].result if layers else INPUT
        fan_in = 9 * shape[-1]
        kernel = generator.normal(0, np.sqrt(2 / fan_in), (3, 3, shape[-1], filters))
        weight, bias = parameters(kernel, np.zeros(filters))
        accumulator = sum_type(source, fan_in)
        conv = Layer.conv(f"conv_{index}", shape, weight, bias, accumulator, padding="same")
        relu = Layer.relu(f"relu_{index}", conv.out_shape, ACTIVATION)
        layers += [conv, relu, Layer.max_pool(f"pool_{index}", relu.out_shape, (2, 2), ACTIVATION)]
        shape = layers[-1].out_shape
    body = Network("features", INPUT, tuple(layers), (8, 8, 1))
    features = to_real(forward(body, train)[-1], ACTIVATION)
    readout = RidgeClassifier().fit(features, train_labels)
    layers.append(dense("logits", ACTIVATION, readout.coef_.T, readout.intercept_))
    return Task(Network("digits_cnn", INPUT, tuple(layers), (8, 8, 1)), test, test_labels)


def _images() -> tuple[Ints, Ints, Ints, Ints]:
    """Train and test pixels (0..16), train and test labels; the split of models/digits_mlp.py."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images, labels, test_size=360, random_state=0, stratify=labels)
    train, test, train_labels, test_labels = (np.asarray(part, np.int64) for part in split)
    return train, test, train_labels, test_labels


def dense(name: str, source: FixedPoint, weights: Reals, biases: Reals) -> Layer:
    """A dense layer of real weights (n_in, n_out), whose sums are exact."""
    return Layer.dense(name, *parameters(weights, biases), sum_type(source, len(weights)))


def parameters(weights: Reals, biases: Reals) -> tuple[Parameter, Parameter]:
    """Rounded to the types of the benchmarks' networks."""
    return Parameter(quantise(weights, WEIGHT), WEIGHT), Parameter(quantise(biases, BIAS), BIAS)


def sum_type(source: FixedPoint, fan_in: int) -> FixedPoint:
    """The type hls4ml infers: every product exact, and as many bits more as the additions may need."""
    grown = int(np.ceil(np.log2(fan_in + 1)))
    return FixedPoint(source.width + WEIGHT.width + grown, source.integer + WEIGHT.integer + grown)
