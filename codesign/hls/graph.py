"""From the network to hls4ml's ModelGraph: every type given, nothing left to inference or to an optimiser."""

import contextlib
import io
import math
from pathlib import Path
from typing import Any

from codesign.errors import CodesignError
from codesign.fixed import FixedPoint
from codesign.hls import extension, kernels, nodes
from codesign.hls.options import ProjectOptions
from codesign.hls.registers import upset_number
from codesign.network import FROM_INPUT, Kind, Network, Shape
from codesign.protection import ProtectionPlan

INPUT_NAME = "x"
_WITHOUT_CALL = ("Input", "Reshape")


def model_graph(network: Network, plan: ProtectionPlan, folder: Path, options: ProjectOptions) -> Any:
    """hls4ml's graph of the network, ready to be written into `folder`."""
    from hls4ml.model.graph import ModelGraph

    extension.register()
    listed = _LayerList(network, plan, options)
    config = {
        "Backend": options.backend,
        "OutputDir": str(folder),
        "ProjectName": network.name,
        "Part": options.part,
        "ClockPeriod": options.clock_ns,
        "IOType": options.io_type,
        "Stamp": "codesign",
        **options.accelerator(network),
        "HLSConfig": {
            "Model": {
                # Never used: every layer has types of its own.
                "Precision": {"default": "fixed<1,1>"},
                "ReuseFactor": 1,
                "Strategy": "Latency",
                "PipelineStyle": "pipeline" if options.io_type == "io_parallel" else "dataflow",
            },
            "LayerName": listed.types,
            "Flows": [extension.FLOW],
        },
        # No text files: simulation and synthesis read the same headers.
        "WriterConfig": {"Namespace": None, "WriteWeightsTxt": False, "WriteTar": False},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        graph = ModelGraph.from_layer_list(
            config, listed.layers, inputs=[INPUT_NAME], outputs=[network.layers[-1].name]
        )
    _check_complete(network, graph)
    return graph


def _check_complete(network: Network, graph: Any) -> None:
    """Nothing may have been dropped, replaced or moved on the way through hls4ml."""
    kept = [node.name for node in graph.get_layers()]
    if missing := [x.name for x in network.layers if x.name not in kept]:
        raise CodesignError(f"hls4ml dropped the layers {missing}")
    # Reshaping in place is all that takes no call.
    idle = [x.name for x in graph.get_layers() if not x.get_attr("function_cpp") and x.class_name not in _WITHOUT_CALL]
    if idle:
        raise CodesignError(f"hls4ml has no kernel for the layers {idle}")
    ours = [node.name for node in graph.get_layers() if node.class_name == extension.CLASS]
    if ours != (wanted := [layer.name for _, layer in network.compute_layers()]):
        raise CodesignError(f"hls4ml kept {ours} of the layers that compute, {wanted}")


class _LayerList:
    """The network's layers as hls4ml's, with reshaping put in where a layer takes another shape than it is given."""

    def __init__(self, network: Network, plan: ProtectionPlan, options: ProjectOptions) -> None:
        self._network, self._streams = network, options.io_type == "io_stream"
        self.types: dict[str, Any] = {}
        shape = list(network.input_shape)
        self.layers: list[dict[str, Any]] = []
        self._append(INPUT_NAME, [], _result(network.input_type), class_name="InputLayer", input_shape=shape)
        self.layers[0]["data_format"] = "channels_last"
        for index, layer in enumerate(network.layers):
            inputs = [self._given(index, which) for which in range(len(layer.in_shapes))]
            if layer.protectable:
                struct = kernels.config(layer, index, plan.of_layer(layer))
                number, slots = upset_number(network, layer), options.upset_slots
                attributes = {"class_name": extension.CLASS, "unit": layer, "config_cpp": struct}
                attributes |= {"upset_number": number, "upset_slots": slots if number else 0}
                self._append(layer.name, inputs, _result(layer.result), **attributes)
            elif layer.kind is Kind.RESHAPE:
                self._reshape(layer.name, inputs, layer.in_shapes[0], layer.out_shape, layer.result, index)
            else:
                node = nodes.passive_node(layer, network.input_of(index))
                self._append(layer.name, inputs, nodes.precisions(layer), **node)

    def _append(self, name: str, inputs: list[str], precisions: dict[str, str], **attributes: Any) -> None:
        self.layers.append({**attributes, "name": name, "inputs": inputs})
        self.types[name] = {"Precision": precisions}

    def _given(self, index: int, which: int) -> str:
        """The node whose values enter, in the shape in which the layer takes them."""
        network, layer = self._network, self._network.layers[index]
        source = network.sources(index)[which]
        shape = network.input_shape if source == FROM_INPUT else network.layers[source].out_shape
        name = INPUT_NAME if source == FROM_INPUT else network.layers[source].name
        # A dense layer reads its values one after the other, in whatever shape.
        if shape == layer.in_shapes[which] or layer.kind is Kind.DENSE:
            return name
        flat = f"{layer.name}_in{which}"
        self._repack(flat, [name], shape, layer.in_shapes[which], network.input_types(index)[which])
        return flat

    def _reshape(
        self, name: str, inputs: list[str], shape: Shape, wanted: Shape, result: FixedPoint, index: int
    ) -> None:
        readers = [x for i, x in enumerate(self._network.layers) if index in self._network.sources(i)]
        # A flat stream has its values in a single pack; a dense layer alone needs none and spares the wide buffer.
        if len(readers) == 1 and readers[0].kind is Kind.DENSE and len(wanted) == 1:
            self._append(name, inputs, _result(result), class_name="Reshape", target_shape=list(wanted))
        else:
            self._repack(name, inputs, shape, wanted, result)

    def _repack(self, name: str, inputs: list[str], shape: Shape, wanted: Shape, result: FixedPoint) -> None:
        """Bring values into another shape; in a stream that is another pack size."""
        kind = "Repack" if self._streams else "Reshape"
        small, large = sorted((shape[-1], wanted[-1]))
        if self._streams and large % small:  # hls4ml repacks by whole factors only
            single = [math.prod(shape), 1]
            self._append(f"{name}_single", inputs, _result(result), class_name=kind, target_shape=single)
            inputs = [f"{name}_single"]
        self._append(name, inputs, _result(result), class_name=kind, target_shape=list(wanted))


def _result(of: FixedPoint) -> dict[str, str]:
    return {"result": str(of)}


def dataflow(network: Network, options: ProjectOptions) -> str:
    """How the layers of the top function work together: HLS's `PIPELINE`, `DATAFLOW`, or neither.

    Arrays that two layers read are no legal channels of a dataflow region, so such layers run one after another.
    """
    if options.io_type == "io_stream":
        return "DATAFLOW"
    if all(layer.steps == 1 for _, layer in network.compute_layers()):
        return "PIPELINE"
    sources = [source for index in range(len(network.layers)) for source in network.sources(index)]
    return "DATAFLOW" if len(set(sources)) == len(sources) else ""
