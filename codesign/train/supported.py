"""What of Keras and QKeras can be carried over; the rest is refused before anything is trained.

hls4ml rejects some layers with a bare exception and silently leaves settings of others out.
"""

import warnings
from typing import Any

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network import Layer

# Types hls4ml cannot infer; the widths of every other tensor are inferred or given by a quantiser.
DEFAULT_PRECISION = "fixed<24,12>"
SUPPORTED = (
    "QDense, QConv1D/2D, QDepthwiseConv2D, QSeparableConv1D/2D, QConv2DBatchnorm, (Q)BatchNormalization, QActivation, "
    "Activation, LeakyReLU, ELU, Softmax, (Global)Max/AveragePooling1D/2D, Add, Concatenate, Flatten, Reshape, "
    "ZeroPadding1D/2D, UpSampling1D/2D and Dropout"
)
# The quantisers of every layer that has weights.
_QUANTISERS = {
    **dict.fromkeys(("QDense", "QConv1D", "QConv2D", "QConv2DBatchnorm"), ("kernel", "bias")),
    "QDepthwiseConv2D": ("depthwise", "bias"),
    **dict.fromkeys(("QSeparableConv1D", "QSeparableConv2D"), ("depthwise", "pointwise", "bias")),
}
_POOLS = tuple(f"{of}{kind}Pooling{n}D" for of in ("", "Global") for kind in ("Max", "Average") for n in (1, 2))
_NORMALISATIONS = ("BatchNormalization", "QBatchNormalization")
_OTHERS = (
    "Flatten",
    "Reshape",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "UpSampling1D",
    "UpSampling2D",
    "LeakyReLU",
    "ELU",
    "Dropout",
)
LAYERS = (
    *("InputLayer", "QActivation", "Activation", "Softmax", "Add", "Concatenate"),
    *(*_QUANTISERS, *_POOLS, *_NORMALISATIONS, *_OTHERS),
)
# Keras's own layers with weights, which QKeras has with quantisers.
_PLAIN = ("Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
# Functions that hls4ml computes by comparisons or looks up in tables.
FUNCTIONS = ("relu", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "hard_sigmoid", "softmax")
# Settings that hls4ml passes over, or cannot do: where a layer has one, it has this value.
_SETTINGS: dict[str, tuple[Any, ...]] = {
    "dilation_rate": ((1,), (1, 1)),
    "groups": (1,),
    "depth_multiplier": (1,),
    "data_format": ("channels_last",),
    "keepdims": (False,),
    "interpolation": ("nearest",),
}
# Of activation quantisers.
_QUANTISER_SETTINGS: dict[str, tuple[Any, ...]] = {
    "negative_slope": (0.0,),  # hls4ml clips the negative side elsewhere
    "relu_upper_bound": (None,),
    "use_sigmoid": (0,),
    "use_stochastic_rounding": (False,),
    "keep_negative": (True,),
    "use_01": (False,),
    "alpha": (None, 1, 1.0),
}


def check_layers(model: Any) -> None:
    """Refuse what cannot be carried over integer for integer, in one line that names the layer."""
    if type(model).__name__ not in ("Functional", "Sequential"):
        raise ConfigError(f"model class {type(model).__name__}: expected a functional or sequential Keras model")
    if len(model.inputs or []) != 1 or len(model.outputs or []) != 1:
        raise ConfigError("expected a model with one Input and one output")
    if unknown := [layer for layer in model.layers if type(layer).__name__ not in LAYERS]:
        raise unsupported(unknown[0].name, type(unknown[0]).__name__)
    with warnings.catch_warnings():
        # QKeras describes its quantisers with Keras's word for constraints.
        warnings.filterwarnings("ignore", message="The `keras.constraints.serialize", category=UserWarning)
        described = model.get_config()["layers"]
    uses = {entry.get("name"): len(entry.get("inbound_nodes", ())) for entry in described}
    for layer in model.layers:
        kind = type(layer).__name__
        Layer.relu(layer.name, 1, FixedPoint(1, 1))  # the Network's own rule for names
        if uses.get(layer.name, 0) > 1:
            raise ConfigError(f"layer '{layer.name}' ({kind}) is used more than once, expected one layer for each use")
        _check_settings(layer, kind)
        if kind in ("QActivation", "Activation", *_QUANTISERS):
            _check_activation(layer, kind)
        for what in _QUANTISERS.get(kind, ()):
            _check_quantiser(layer, what)


def _check_settings(layer: Any, kind: str) -> None:
    found = layer.get_config()
    allowed = dict(_SETTINGS)
    if "Conv" in kind or kind in _POOLS:
        allowed["padding"] = ("valid", "same")
    for key, values in allowed.items():
        value = found.get(key, values[0])
        if (tuple(value) if isinstance(value, list) else value) not in values and value is not None:
            raise ConfigError(f"layer '{layer.name}' ({kind}): {key}={value!r} is not supported, {values[0]!r} is")
    if kind in ("Add", "Concatenate"):
        shapes = layer.input_shape
        if len(shapes) != 2 or (kind == "Add" and shapes[0] != shapes[1]):
            raise ConfigError(f"layer '{layer.name}' ({kind}) takes shapes {shapes}, expected two that fit")
    last = len(layer.output_shape) - 1
    if kind in _NORMALISATIONS and list(layer.axis) != [last]:
        raise ConfigError(f"layer '{layer.name}' ({kind}): axis {list(layer.axis)}, expected the last, [{last}]")
    if kind == "QBatchNormalization" and getattr(layer, "inverse_quantizer", None):
        raise ConfigError(f"layer '{layer.name}' ({kind}): inverse_quantizer is not supported")


def _check_activation(layer: Any, kind: str) -> None:
    activation = getattr(layer, "quantizer", None) or getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__)
    if activation is None or name == "linear" or (kind == "Activation" and name in FUNCTIONS):
        return
    where = f"layer '{layer.name}': {name}"
    match name:
        case "quantized_relu":
            _check_fraction(where, activation, activation.integer)
        case "quantized_bits":
            _check_fraction(where, activation, 1 + activation.integer)
        case "quantized_tanh":
            _check_fraction(where, activation, 1)
        case "quantized_sigmoid" | "binary":
            pass
        case "ternary" | "ternary_tanh" | "stochastic_ternary":
            raise ConfigError(
                f"{where} is not supported: hls4ml doubles values until they wrap, or has another threshold"
            )
        case _:
            raise unsupported(layer.name, f"{kind} {name}")
    settings = activation.get_config()
    allowed = dict(_QUANTISER_SETTINGS)
    if name in ("quantized_bits", "quantized_sigmoid"):
        allowed["symmetric"] = (0, False)  # hls4ml keeps the whole range
    for key, values in allowed.items():
        if settings.get(key, values[0]) not in values:
            raise ConfigError(f"{where} with {key}={settings[key]!r} is not supported, {values[0]!r} is")


def _check_fraction(where: str, quantiser: Any, integer_bits: int) -> None:
    if quantiser.bits <= integer_bits:
        # hls4ml 1.3.0 turns such a type into a plain integer, which wraps and truncates where QKeras
        # saturates and rounds: accuracy would be lost without a word.
        raise ConfigError(f"{where} of {quantiser.bits} bits has no fractional bit, expected more than {integer_bits}")


def _check_quantiser(layer: Any, what: str) -> None:
    if what == "bias" and not layer.use_bias:
        return
    quantiser = getattr(layer, f"{what}_quantizer_internal")
    name = type(quantiser).__name__
    if name != "quantized_bits":
        raise ConfigError(f"layer '{layer.name}': {what}_quantizer is {name}, expected quantized_bits with alpha=1")
    if quantiser.alpha not in (None, 1, 1.0):
        raise ConfigError(f"layer '{layer.name}': {what}_quantizer has alpha={quantiser.alpha!r}, expected alpha=1")


def unsupported(name: str, kind: str) -> ConfigError:
    """What is said of a layer that cannot be carried over."""
    if kind in _PLAIN:
        return ConfigError(
            f"layer '{name}' ({kind}) is not supported: it has no quantisers, and hls4ml would cut its weights to "
            f"{DEFAULT_PRECISION}; use Q{kind} with quantized_bits(..., alpha=1)"
        )
    return ConfigError(f"layer '{name}' ({kind}) is not supported; supported are {SUPPORTED}")
