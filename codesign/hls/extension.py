"""What codesign adds to hls4ml: one layer class for all that is protected, and a flow that leaves layers alone."""

from functools import cache
from pathlib import Path
from typing import Any

from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate
from hls4ml.model.flow import register_flow
from hls4ml.model.flow.flow import get_flow
from hls4ml.model.layers import Layer as Hls4mlLayer
from hls4ml.model.layers import register_layer

from codesign.assets import asset
from codesign.hls import kernels
from codesign.network import Layer

CLASS = "ProtectedUnit"
FLOW = "vivado:codesign"
# The simulation's header is not among them: it is no part of the accelerator.
HEADERS = (
    *("codesign_taps.h", "codesign_vote.h", "codesign_codes.h", "codesign_neuron.h"),
    *("codesign_recompute.h", "codesign_upsets.h", "codesign_layers.h", "codesign_status.h"),
)
# The passes that give a project its form. hls4ml's optimisers are not among them: the network has every type, and
# nothing in it may be fused, moved or dropped.
_PASSES = (
    *("inplace_stream_flatten", "clone_output", "inplace_parallel_reshape"),
    *("transform_types", "generate_conv_streaming_instructions", "set_pipeline_style"),
)


class ProtectedUnit(Hls4mlLayer):
    """A layer of the network that computes: its attribute `unit`. Its parameters stand in tables of ours."""

    def initialize(self) -> None:
        self.add_output_variable(list(self.get_attr("unit").out_shape))


class ProtectedUnitCall(FunctionCallTemplate):
    """The call in the top function."""

    def __init__(self) -> None:
        super().__init__(ProtectedUnit, include_header=[f"nnet_utils/{header}" for header in kernels.HEADERS])

    def transform(self, model: Any, node: Any) -> bool:
        super().transform(model, node)
        tables = [f"weights/{name}.h" for name in kernels.tables_of(node.get_attr("unit"))]
        node.set_attr("include_header", [*self.include_header, *tables])
        return False

    def format(self, node: Any) -> str:
        layer: Layer = node.get_attr("unit")
        variables = [*(node.get_input_variable(name) for name in node.inputs), node.get_output_variable()]
        slots = kernels.slots(node.get_attr("upset_number"), node.get_attr("upset_slots"))
        return kernels.call(layer, [v.type.name for v in variables], [v.name for v in variables], slots)


@cache
def register() -> None:
    """Make the layer class and the flow known to hls4ml; once a process."""
    register_layer(CLASS, ProtectedUnit)
    vivado = get_backend("Vivado")
    # The other two backends of the family use Vivado's templates.
    vivado.register_template(ProtectedUnitCall)
    passes = [
        *get_flow("vivado:init_layers").optimizers,
        *(f"vivado:{name}" for name in _PASSES),
        *get_flow("vivado:apply_templates").optimizers,
    ]
    register_flow("codesign", passes, requires=[], backend="Vivado")
    folder = asset("hls_templates")
    for backend in ("Vivado", "Vitis", "VivadoAccelerator"):
        for header in HEADERS:
            get_backend(backend).register_source(Path(folder / header).resolve())
