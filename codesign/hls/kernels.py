"""The protected layers as the C++ of `hls_templates/codesign_layers.h`: configuration structs and calls."""

import math
import re

from codesign.codes import Code
from codesign.hls.tables import names
from codesign.network import Kind, Layer
from codesign.protection import LayerPlan, Scope

HEADERS = ("nnet_mult.h", "codesign_layers.h")
# Registers of an upset slot, as they are called in the sources: upset<k>_layer and so on.
UPSET_PORTS = ("layer", "word", "mask")
_ENTRIES = {
    Kind.DENSE: "protected_dense",
    Kind.CONV: "protected_conv",
    Kind.DEPTHWISE: "protected_depthwise",
    Kind.BATCHNORM: "protected_depthwise",
    Kind.ADD: "protected_add",
}
_CODES = {Code.NONE: "PLAIN", Code.TMR: "TRIPLE", Code.PARITY: "PARITY", Code.ECC: "ECC"}


def config_name(layer: Layer) -> str:
    """The struct that configures a layer."""
    return f"{layer.name}_config"


def flags_name(layer: Layer) -> str:
    """The variable that carries a layer's flags to the status registers."""
    return f"{layer.name}_flags"


def entry(layer: Layer) -> str:
    """The function that computes this kind of layer."""
    return f"nnet::{_ENTRIES[layer.kind]}"


def tables_of(layer: Layer) -> tuple[str, ...]:
    """The layer's tables, each in a header of its name."""
    return names(layer) if layer.has_weights else ()


def config(layer: Layer, index: int, plan: LayerPlan) -> str:
    """The struct CONFIG_T of a layer that computes; `index` is its number in fault lists."""
    members = {"layer_id": index, **_geometry(layer)} if layer.has_weights else {"layer_id": index, **_output(layer)}
    text = [f"static const int {name} = {value};" for name, value in members.items()]
    text.append(f"typedef {layer.acc.cpp()} accum_t;")
    if layer.has_weights:
        text.append(f"typedef {layer.w.type.cpp()} weight_t;")
        text.append(f"typedef {layer.b.type.cpp()} bias_t;")
        text.append("template <class x_T, class w_T> using product = nnet::product::mult<x_T, w_T>;")
    text += protection(layer, plan)
    body = "\n".join(f"    {line}" for line in text)
    return f"struct {config_name(layer)} {{\n{body}\n}};\n"


def protection(layer: Layer, plan: LayerPlan) -> list[str]:
    """The members of CONFIG_T that say how the layer is protected; the design-rule check looks for them."""
    bits = ", ".join(map(str, plan.hardened_bits))
    text = [
        f"static constexpr unsigned char hardened_bits[{layer.neurons}] = {{{bits}}};",
        f"static const codesign::Mechanism mechanism = codesign::Mechanism::{plan.mechanism.name};",
    ]
    if not layer.has_weights:
        return text
    return [
        *text,
        f"static const bool harden_multipliers = {str(plan.scope is Scope.MAC).lower()};",
        f"static const unsigned dot_size = {max(plan.dot_size, 1)};",
        f"static const codesign::Code parameter_code = codesign::Code::{_CODES[plan.parameters]};",
    ]


def slots(number: int, count: int) -> str:
    """The argument that lets `count` upset slots reach a layer: its number among those that store their weights.

    Empty where there are no slots.
    """
    ports = (f"{k}, {number}, {', '.join(f'upset{k}_{what}' for what in UPSET_PORTS)}" for k in range(count))
    return f"codesign::Upsets<{count}>(){''.join(f'.set({port})' for port in ports)}" if count else ""


def call(layer: Layer, types: list[str], variables: list[str], slots: str = "") -> str:
    """The layer's line in the top function; `types` and `variables` are those of its inputs and its output."""
    arguments = [*variables, *tables_of(layer), "guard", flags_name(layer), *([slots] if slots else [])]
    return f"{entry(layer)}<{', '.join(types)}, {config_name(layer)}>({', '.join(arguments)});"


def calls(layer: Layer, slots: str = "") -> re.Pattern[str]:
    """Finds the layer's call in a source text."""
    parameters = [*tables_of(layer), "guard", flags_name(layer), *([slots] if slots else [])]
    ending = r",\s*".join(map(re.escape, parameters))
    return re.compile(rf"{re.escape(entry(layer))}<[^;]*\b{config_name(layer)}>\([^;]*,\s*{ending}\);")


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Any shape as height, width, channels."""
    if len(shape) <= 3:
        return (1, 1, 1, *shape)[-3:]  # type: ignore[return-value]
    return 1, math.prod(shape[:-1]), shape[-1]


def _output(layer: Layer) -> dict[str, int]:
    return dict(zip(("out_height", "out_width", "n_filt"), _image(layer.out_shape), strict=True))


def _geometry(layer: Layer) -> dict[str, int]:
    window = layer.window
    if window is not None:
        in_shape, kernel, strides, pads = window.in_shape, window.kernel, window.strides, window.pads
    else:  # a dense layer sees a single pixel, a batch normalisation one after the other
        in_shape = _image((layer.n_in,) if layer.kind is Kind.DENSE else layer.in_shapes[0])
        kernel, strides, pads = (1, 1), (1, 1), ((0, 0), (0, 0))
    members = {
        **dict(zip(("in_height", "in_width", "n_chan"), in_shape, strict=True)),
        **dict(zip(("filt_height", "filt_width"), kernel, strict=True)),
        **dict(zip(("stride_height", "stride_width"), strides, strict=True)),
        **dict(zip(("pad_top", "pad_bottom", "pad_left", "pad_right"), (*pads[0], *pads[1]), strict=True)),
        **_output(layer),
    }
    return {**members, "reuse_factor": layer.reuse_factor}
