"""Weight tables: headers with the words that stand in memory, one after the other, and their way back."""

import re

import numpy as np

from codesign.codes import Code, encode
from codesign.fixed import Ints
from codesign.network import Layer, Parameter

_C_TYPES = ((8, "signed char"), (16, "short"), (32, "int"), (64, "long long"))


def names(layer: Layer) -> tuple[str, str]:
    """C++ names of a layer's weights and biases; each stands in a header of its name."""
    return f"{layer.name}_weights", f"{layer.name}_biases"


def tables(layer: Layer, code: Code) -> dict[str, str]:
    """The headers of a layer's parameters, by name; none for a layer without."""
    if not layer.has_weights:
        return {}
    both = zip(names(layer), (layer.w, layer.b), strict=True)
    return {name: _header(name, parameter, code) for name, parameter in both}


def stored(parameter: Parameter, code: Code) -> Ints:
    """What the memory holds, copy after copy: raw integers, or code words as unsigned numbers."""
    words = parameter.raw if code is Code.NONE else encode(parameter.raw, parameter.type, code)
    return np.tile(words.ravel(), code.copies)


def parse(header: str) -> Ints:
    """The numbers of a table's header. Raises ValueError for any other text."""
    found = re.search(r"\[(\d+)\] = \{([^}]*)\};", header)
    if found is None:
        raise ValueError("no table")
    values = np.array(found[2].split(","), np.int64)
    if len(values) != int(found[1]):
        raise ValueError(f"{len(values)} numbers instead of {found[1]}")
    return values


def _header(name: str, parameter: Parameter, code: Code) -> str:
    # hls4ml's lists of decimal fractions take a compiler milliseconds an entry, ten seconds for a small MLP.
    words = stored(parameter, code)
    unsigned = code is not Code.NONE or not parameter.type.signed
    needed = code.stored_width(parameter.type.width) + unsigned
    c_type = next(text for width, text in _C_TYPES if needed <= width)
    rows = words.reshape(-1, parameter.raw.shape[-1])
    body = ",\n".join("    " + ", ".join(map(str, row)) for row in rows.tolist())
    what = "Raw integers" if code is Code.NONE else f"Stored words ({code})"
    shape = parameter.raw.shape if code.copies == 1 else (code.copies, *parameter.raw.shape)
    return (
        f"// {what} of {parameter.type}, shape {shape}.\n"
        f"#ifndef {name.upper()}_H_\n#define {name.upper()}_H_\n\n"
        f"const {c_type} {name}[{words.size}] = {{\n{body}}};\n\n#endif\n"
    )
