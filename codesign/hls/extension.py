"""What codesign adds to hls4ml: the protected dense layer, its templates and headers."""

from functools import cache
from pathlib import Path
from typing import Any

from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.backends.vivado.passes.core_templates import (
    DenseConfigTemplate,
    DenseFunctionTemplate,
    dense_config_template,
)
from hls4ml.model.layers import Dense, register_layer
from hls4ml.writer.vitis_writer import VitisWriter
from hls4ml.writer.vivado_writer import VivadoWriter

from codesign.assets import asset
from codesign.network import Parameter

HEADERS = ("codesign_taps.h", "codesign_vote.h", "codesign_dense.h")
_CONFIG_END = "    template<class data_T, class res_T, class CONFIG_T>\n    using kernel"


class ProtectedDense(Dense):
    """A Dense layer with `hardened_bits` (one number a neuron), `fault_layer` and `flag` (its status bit)."""


class ProtectedDenseConfig(DenseConfigTemplate):
    """hls4ml's dense configuration and the members that `codesign_dense.h` asks for."""

    def __init__(self) -> None:
        LayerConfigTemplate.__init__(self, ProtectedDense)
        self.template = dense_config_template

    def format(self, node: Any) -> str:
        text = super().format(node)
        bits = ", ".join(str(h) for h in node.get_attr("hardened_bits"))
        members = (
            f"    static const int layer_id = {node.get_attr('fault_layer')};\n"
            f"    static constexpr unsigned char hardened_bits[n_out] = {{{bits}}};\n"
        )
        head, end, tail = text.partition(_CONFIG_END)
        if not end:
            raise RuntimeError(f"hls4ml's dense configuration has no kernel: {text}")
        return str(head + members + end + tail)


class ProtectedDenseFunction(DenseFunctionTemplate):
    """The call in the top function; it puts the layer's flag into `corrected`."""

    def __init__(self) -> None:
        FunctionCallTemplate.__init__(self, ProtectedDense, include_header=["nnet_utils/codesign_dense.h"])
        self.template = (
            "corrected[{flag}] = nnet::protected_dense<{input_t}, {output_t}, {config}>"
            "({input}, {output}, {w}, {b}, guard);"
        )

    def format(self, node: Any) -> str:
        params = self._default_function_params(node)
        params["w"] = node.get_weights("weight").name
        params["b"] = node.get_weights("bias").name
        params["flag"] = node.get_attr("flag")
        return str(self.template.format(**params))


@cache
def register() -> None:
    """Make the layer known to hls4ml's Vivado family; once a process."""
    register_layer("ProtectedDense", ProtectedDense)
    # Vitis inherits Vivado's templates; the headers are copied by each backend's own writer.
    get_backend("Vivado").register_template(ProtectedDenseConfig)
    get_backend("Vivado").register_template(ProtectedDenseFunction)
    folder = asset("hls_templates")
    for backend in _WRITERS:
        for header in HEADERS:
            get_backend(backend).register_source(Path(folder / header).resolve())


class _OwnGlue:
    """hls4ml's writer with our weight tables, and without what cannot serve here.

    Left out are the bridge, which does not know our ports, and the YAML, which needs Keras; csim.cpp and
    codesign.json stand for them.
    """

    def __init__(self, tables: dict[str, Parameter]) -> None:
        super().__init__()
        self._tables = tables

    def print_array_to_cpp(
        self, var: Any, odir: str, namespace: str | None = None, write_txt_file: bool = True
    ) -> None:
        # hls4ml's lists of decimal fractions take a compiler milliseconds an entry, ten seconds for a small MLP.
        del namespace, write_txt_file
        path = Path(odir) / "firmware" / "weights" / f"{var.name}.h"
        path.write_text(weight_table(var.name, self._tables[var.name]))

    def write_bridge(self, model: Any) -> None:
        pass

    def write_yml(self, model: Any) -> None:
        pass


class _VivadoProject(_OwnGlue, VivadoWriter):
    pass


class _VitisProject(_OwnGlue, VitisWriter):
    pass


_WRITERS = {"Vivado": _VivadoProject, "Vitis": _VitisProject}


def writer(backend: str, tables: dict[str, Parameter]) -> Any:
    """hls4ml's project writer of that backend; `tables` holds the parameters by their C++ names."""
    return _WRITERS[backend](tables)


_C_TYPES = ((8, "signed char"), (16, "short"), (32, "int"), (64, "long long"))


def weight_table(name: str, parameter: Parameter) -> str:
    """A header with raw integers, row by row, in the smallest C type that holds them."""
    needed = parameter.type.width + (not parameter.type.signed)
    c_type = next(text for width, text in _C_TYPES if needed <= width)
    rows = parameter.raw.reshape(len(parameter.raw), -1)
    body = ",\n".join("    " + ", ".join(str(v) for v in row) for row in rows.tolist())
    return (
        f"// Raw integers of {parameter.type}, shape {parameter.raw.shape}.\n"
        f"#ifndef {name.upper()}_H_\n#define {name.upper()}_H_\n\n"
        f"const {c_type} {name}[{parameter.raw.size}] = {{\n{body}}};\n\n#endif\n"
    )
