"""What a layer that computes no sums must hold, and the shape that it makes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.network.kind import Kind
from codesign.network.window import Shape, Window

if TYPE_CHECKING:
    from codesign.network.layer import Layer

# Functions of ACTIVATION, and of each of its tables whether it is a single number: a look-up table is not.
TABLES_OF: dict[str, tuple[bool, ...]] = {
    "linear": (),
    "binary_tanh": (),
    "ternary_tanh": (),
    "leaky_relu": (True,),  # the slope of negative values
    "hard_sigmoid": (True, True),  # slope, shift
    "hard_tanh": (True, True),
    "sigmoid": (False,),
    "tanh": (False,),
    "softplus": (False,),
    "softsign": (False,),
    "selu": (False,),
    "elu": (False, True),  # the factor of the looked-up value
}


def windowed(shape: Shape, window: Window, *, whole: bool = False) -> Shape:
    """Shape of one value for each place of a window, without the axes of the image if it covers the whole."""
    return (shape[-1],) if whole else (*window.out_hw[3 - len(shape) :], shape[-1])


def joined(name: str, shapes: tuple[Shape, ...], axis: int) -> Shape:
    """Shape of tensors side by side along one axis."""
    if len({len(shape) for shape in shapes}) > 1 or any(
        len(set(sizes)) > 1 for n, sizes in enumerate(zip(*shapes, strict=True)) if n != axis
    ):
        raise ConfigError(f"layer '{name}': shapes {shapes} cannot be joined along axis {axis}")
    return tuple(sum(sizes) if n == axis else sizes[0] for n, sizes in enumerate(zip(*shapes, strict=True)))


def enlarged(name: str, shape: Shape, factors: Sequence[int]) -> Shape:
    """Shape of an image whose pixels are repeated along each axis but the channels."""
    if not factors or len(factors) != len(shape) - 1 or min(factors) < 1:
        raise ConfigError(f"layer '{name}': factors {factors} do not fit inputs of shape {shape}")
    return (*(size * factor for size, factor in zip(shape, factors, strict=False)), shape[-1])


def check(layer: "Layer") -> None:
    """Refuse a layer whose parts do not fit together."""
    expected = _passive_shape(layer)
    if layer.out_shape != expected:
        raise ConfigError(
            f"layer '{layer.name}': a {layer.kind} layer makes {expected} of {layer.in_shapes}, got {layer.out_shape}"
        )
    match layer.kind:
        case Kind.ACTIVATION:
            _check_activation(layer)
        case Kind.AVERAGE_POOL if layer.accumulator is None or layer.saturates:
            raise ConfigError(f"layer '{layer.name}': average pooling needs an accumulator that wraps")
        case Kind.SOFTMAX:
            _check_softmax(layer)


def _passive_shape(layer: "Layer") -> Shape:
    shape = layer.in_shapes[0]
    match layer.kind:
        case Kind.RESHAPE:
            return layer.out_shape if layer.n_in == layer.n_out else (layer.n_in,)
        case Kind.CONCATENATE:
            return joined(layer.name, layer.in_shapes, layer.settings["axis"])
        case Kind.UPSAMPLE:
            return enlarged(layer.name, shape, layer.settings["factors"])
        case Kind.PAD | Kind.MAX_POOL | Kind.AVERAGE_POOL:
            if layer.window is None:
                raise ConfigError(f"layer '{layer.name}': a {layer.kind} layer needs a window")
            return windowed(shape, layer.window, whole=layer.settings.get("global", False))
    return shape


def _check_activation(layer: "Layer") -> None:
    function = layer.settings["function"]
    if function not in TABLES_OF:
        raise ConfigError(f"layer '{layer.name}': unknown activation '{function}', known are {list(TABLES_OF)}")
    sizes = [table.raw.size for table in layer.tables]
    if [size == 1 for size in sizes] != list(TABLES_OF[function]) or 0 in sizes:
        raise ConfigError(f"layer '{layer.name}': '{function}' takes other tables than of sizes {sizes}")
    if function == "binary_tanh" and layer.result.width == 1:
        raise ConfigError(f"layer '{layer.name}': one bit holds no -1 and 1, and in hls4ml means xnor arithmetic")


def _check_softmax(layer: "Layer") -> None:
    if layer.accumulator is None or len(layer.tables) != 2 or len(layer.in_shapes[0]) != 1:
        raise ConfigError(f"layer '{layer.name}': a softmax takes a vector, two tables and an accumulator")
    implementation, norm = layer.settings["implementation"], layer.settings["norm_type"]
    if implementation not in ("stable", "latency") or (implementation == "stable") != (norm is not None):
        raise ConfigError(f"layer '{layer.name}': softmax '{implementation}' (norm {norm}), expected stable or latency")
    for table, index in zip(layer.tables, (norm, layer.settings["inverse_input_type"]), strict=True):
        size = table.raw.size
        if size < 2 or size & (size - 1) or (index and size > 1 << FixedPoint.parse(index).width):
            raise ConfigError(f"layer '{layer.name}': a table of {size} entries cannot be indexed by bits of {index}")
