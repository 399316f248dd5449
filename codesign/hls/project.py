"""Writes a complete HLS project: hls4ml's own, with protected layers and two more ports on the top.

The project is written beside its destination and renamed, so that it is never half there.
"""

import contextlib
import io
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from codesign.assets import asset
from codesign.errors import CodesignError, ConfigError, ToolError
from codesign.files import digest_of
from codesign.fixed import Ints, to_real
from codesign.network import Kind, Layer, Network, Parameter, forward
from codesign.protection import ProtectionPlan

Backend = Literal["Vivado", "Vitis"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
INPUT_NAME = "x"
MANIFEST = "codesign.json"
CSIM_SOURCE = "csim.cpp"
CSIM_SCRIPT = "build_csim.sh"
# One status bit a protected layer, in a 32-bit register.
MAX_PROTECTED_LAYERS = 32


@dataclass(frozen=True)
class ProjectOptions:
    """What the vendor's tools need to know besides the network."""

    backend: Backend = "Vivado"
    part: str = "xczu9eg-ffvb1156-2-e"
    clock_ns: float = 5.0


@dataclass(frozen=True)
class Project:
    """A written project: its folder and what it holds (from its manifest)."""

    folder: Path
    network: Network
    plan: ProtectionPlan
    options: ProjectOptions

    @classmethod
    def open(cls, folder: Path) -> "Project":
        """Read a project's manifest. Raises ConfigError when the folder is not a codesign project."""
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            options = ProjectOptions(**manifest["options"])
            plan = ProtectionPlan.from_json(manifest["plan"], str(folder / MANIFEST))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{folder} is not a codesign project: {MANIFEST}: {error}") from None
        network = Network.load(folder / "network.npz")
        if network.digest != manifest.get("network"):
            raise ConfigError(f"{folder}: network.npz is not the network that {MANIFEST} names")
        return cls(folder, network, plan.check(network), options)


def write_project(
    network: Network,
    plan: ProtectionPlan,
    folder: Path,
    options: ProjectOptions | None = None,
    bench_inputs: Ints | None = None,
) -> Project:
    """Write the HLS project into `folder`, replacing a codesign project that stands there.

    `bench_inputs`, shape (n, n_in), become the test bench's stimuli with the network's logits as
    expected output. Raises ConfigError when the plan does not fit, a layer cannot be expressed, or the
    folder holds something else or cannot be written.
    """
    options = options or ProjectOptions()
    plan.check(network)
    _check(network)
    if folder.exists() and not (folder / MANIFEST).exists() and (folder.is_file() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not a codesign project: remove it or choose another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            staged = Path(name) / "project"
            _write(network, plan, staged, options, bench_inputs)
            if folder.exists():
                shutil.move(folder, Path(name) / "replaced")
            staged.rename(folder)
    except OSError as error:
        # shutil's error lists every file that failed; one reason is enough.
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror or error
        raise ConfigError(f"cannot write the project {folder}: {reason}") from None
    return Project(folder, network, plan, options)


def _check(network: Network) -> None:
    if not network.name.isidentifier() or not network.name.isascii():
        raise ConfigError(f"network name '{network.name}' cannot be the name of a C++ function")
    if len(network.compute_layers()) > MAX_PROTECTED_LAYERS:
        raise ConfigError(f"network '{network.name}': more than {MAX_PROTECTED_LAYERS} layers that compute")
    if INPUT_NAME in (layer.name for layer in network.layers):
        raise ConfigError(f"network '{network.name}': layer name '{INPUT_NAME}' is taken by the input")


def _write(
    network: Network, plan: ProtectionPlan, folder: Path, options: ProjectOptions, bench_inputs: Ints | None
) -> None:
    from codesign.hls.extension import writer  # hls4ml takes over a second to import

    folder.mkdir()
    graph = _graph(network, plan, folder, options)
    with contextlib.redirect_stdout(io.StringIO()):
        writer(options.backend, _tables(network, graph)).write_hls(graph)
    top = _Top(network, graph)
    top.patch(folder)
    _write_glue(network, folder, top)
    if bench_inputs is not None:
        _write_bench(network, folder / "tb_data", bench_inputs)
    network.save(folder / "network.npz")
    manifest = {
        "network": network.digest,
        "plan_digest": plan.digest,
        "plan": plan.to_json(),
        "options": vars(options),
        "top": network.name,
        "ports": top.ports(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _graph(network: Network, plan: ProtectionPlan, folder: Path, options: ProjectOptions) -> Any:
    """hls4ml's ModelGraph of the network, every type given, nothing left to inference."""
    from hls4ml.model.graph import ModelGraph

    from codesign.hls.extension import register

    register()
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "name": INPUT_NAME, "data_format": "channels_last", "input_shape": [network.n_in]}
    ]
    types: dict[str, Any] = {INPUT_NAME: {"Precision": {"result": str(network.input_type)}}}
    flag = 0
    for index, layer in enumerate(network.layers):
        before = layers[-1]["name"]
        if layer.kind is Kind.DENSE:
            layers.append({**_dense(layer, index, flag, plan), "inputs": [before]})
            types[layer.name] = {"Precision": _dense_types(layer), "Strategy": "Latency", "ReuseFactor": 1}
            flag += 1
        else:
            layers.append({**_relu(layer), "inputs": [before]})
            types[layer.name] = {"Precision": {"result": str(layer.result)}}
    config = {
        "Backend": options.backend,
        "OutputDir": str(folder),
        "ProjectName": network.name,
        "Part": options.part,
        "ClockPeriod": options.clock_ns,
        "IOType": "io_parallel",
        "Stamp": "codesign",
        "HLSConfig": {
            "Model": {"Precision": {"default": "fixed<24,12>"}, "ReuseFactor": 1, "Strategy": "Latency"},
            "LayerName": types,
        },
        # No text files: simulation and synthesis read the same headers.
        "WriterConfig": {"Namespace": None, "WriteWeightsTxt": False, "WriteTar": False},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        return ModelGraph.from_layer_list(config, layers, inputs=[INPUT_NAME], outputs=[network.layers[-1].name])


def _dense(layer: Layer, index: int, flag: int, plan: ProtectionPlan) -> dict[str, Any]:
    return {
        "class_name": "ProtectedDense",
        "name": layer.name,
        "n_in": layer.n_in,
        "n_out": layer.n_out,
        "weight_data": to_real(layer.w.raw, layer.w.type),
        "bias_data": to_real(layer.b.raw, layer.b.type),
        "hardened_bits": [int(h) for h in plan.hardened(layer)],
        "fault_layer": index,
        "flag": flag,
    }


def _dense_types(layer: Layer) -> dict[str, str]:
    return {
        "weight": str(layer.w.type),
        "bias": str(layer.b.type),
        "accum": str(layer.acc),
        "result": str(layer.result),
    }


def _relu(layer: Layer) -> dict[str, Any]:
    return {"class_name": "Activation", "activation": "relu", "name": layer.name, "n_in": layer.n_in}


def _tables(network: Network, graph: Any) -> dict[str, Parameter]:
    """Parameters by the names that hls4ml gave their arrays."""
    tables: dict[str, Parameter] = {}
    for node in graph.get_layers():
        if node.class_name == "ProtectedDense":
            layer = network.layer(node.name)
            tables[node.get_weights("weight").name] = layer.w
            tables[node.get_weights("bias").name] = layer.b
    return tables


class _Top:
    """The top function that hls4ml wrote, and the changes that give it `guard` and `status` ports."""

    def __init__(self, network: Network, graph: Any) -> None:
        self.name = network.name
        self.flags = [layer.name for _, layer in network.compute_layers()]
        self.inputs = graph.get_input_variables()[0]
        self.outputs = graph.get_output_variables()[0]
        nodes = {node.name: node for node in graph.get_layers()}
        if missing := [layer.name for layer in network.layers if layer.name not in nodes]:
            raise CodesignError(f"hls4ml dropped the layers {missing}")
        self.registers = {layer.name: nodes[layer.name].get_output_variable() for layer in network.layers}
        ours = [node for node in graph.get_layers() if node.class_name == "ProtectedDense"]
        if [node.name for node in ours] != self.flags:
            raise CodesignError(f"hls4ml kept {[n.name for n in ours]} of the protected layers {self.flags}")

    @property
    def status_type(self) -> str:
        return f"ap_uint<{len(self.flags)}>"

    def ports(self) -> dict[str, Any]:
        return {
            "guard": {"direction": "in", "bits": 3, "meaning": "one bit a replica; zero in operation"},
            "status": {"direction": "out", "bits": len(self.flags), "corrected": self.flags},
        }

    def patch(self, folder: Path) -> None:
        """Add the ports. Raises ToolError when hls4ml's text is not what this version writes."""
        last = f"    {self.outputs.definition_cpp(as_reference=True)}"
        old, new = f"{last}\n)", f"{last},\n    codesign::Guard guard,\n    {self.status_type} &status\n)"
        source, header = folder / f"firmware/{self.name}.cpp", folder / f"firmware/{self.name}.h"
        _replace(header, old, new)
        _replace(header, '#include "defines.h"\n', '#include "defines.h"\n#include "nnet_utils/codesign_vote.h"\n')
        _replace(source, old, new)
        ports = f"#pragma HLS INTERFACE ap_vld port={self.inputs.name},{self.outputs.name} \n"
        extra = "    #pragma HLS INTERFACE ap_none port=guard\n    #pragma HLS INTERFACE ap_vld port=status\n"
        _replace(source, ports, ports + extra)
        for index, (layer, output) in enumerate(self.registers.items()):
            call = f"); // {layer}\n"
            tap = f"codesign::tap_outputs<{output.type.name}, {output.size_cpp()}>({output.name}, {index});\n"
            _replace(source, call, f"{call}    {tap}")
        marker = "    // hls-fpga-machine-learning insert layers\n"
        _replace(source, marker, f"    {self.status_type} corrected = 0;\n\n{marker}")
        body = source.read_text().rstrip()
        if not body.endswith("}"):
            raise ToolError(f"{source}: hls4ml's top function ends in an unexpected way", [])
        source.write_text(f"{body[:-1].rstrip()}\n\n    status = codesign::sticky<{len(self.flags)}>(corrected);\n}}\n")
        bench = folder / f"{self.name}_test.cpp"
        call = f"{self.name}({self.inputs.name},{self.outputs.name});"
        log = "std::ofstream fout(RESULTS_LOG);\n"
        _replace(bench, log, f"{log}    fout.precision(17); // the numbers, not six digits of them\n")
        _replace(bench, call, f"{self.status_type} status;\n            {call[:-2]}, 0, status);", times=2)


def _replace(path: Path, old: str, new: str, times: int = 1) -> None:
    text = path.read_text()
    if text.count(old) != times:
        raise ToolError(f"{path.name}: expected {times} time(s) {old!r} in what hls4ml wrote", [])
    path.write_text(text.replace(old, new))


_GLUE = """// The C interface of this project for simulation: see firmware/nnet_utils/codesign_csim.h.
#include "firmware/{name}.h"
#include "firmware/nnet_utils/codesign_csim.h"

struct Top {{
    void operator()({input_t} *data, {result_t} *result, codesign::Guard guard, uint32_t &flags) const {{
        {status_t} status = 0;
        {name}(data, result, guard, status);
        flags = status.to_uint();
    }}
}};

extern "C" __attribute__((visibility("default"))) void
codesign_run(const int64_t *inputs, int64_t n_samples, const codesign::Fault *faults, int64_t n_faults, uint32_t guard,
             int64_t *outputs, uint32_t *flags, int64_t *hits) {{
    codesign::run_batch<{input_t}, {n_in}, {result_t}, {n_out}, {n_layers}>(
        Top(), inputs, n_samples, faults, n_faults, guard, outputs, flags, hits);
}}
"""

_SCRIPT = """#!/bin/sh
# Builds the C-simulation library of this project: sh build_csim.sh [compiler]
# NDEBUG: the ap_fixed headers read, and then ignore, a bit beyond the source when a cast drops all its bits.
set -e
cd "$(dirname "$0")"
exec "${{1:-g++}}" -std=c++17 -O2 -DNDEBUG -fPIC -shared -fvisibility=hidden -fno-gnu-unique -w -Ifirmware/ap_types \\
    firmware/{name}.cpp csim.cpp -o csim.so
"""


def _write_glue(network: Network, folder: Path, top: _Top) -> None:
    """Our own C interface, where hls4ml would put its bridge."""
    glue = _GLUE.format(
        name=network.name,
        input_t=top.inputs.type.name,
        result_t=top.outputs.type.name,
        status_t=top.status_type,
        n_in=network.n_in,
        n_out=network.n_out,
        n_layers=len(network.layers),
    )
    (folder / "build_lib.sh").unlink()  # builds the bridge that is not there
    (folder / CSIM_SOURCE).write_text(glue)
    (folder / CSIM_SCRIPT).write_text(_SCRIPT.format(name=network.name))
    shutil.copyfile(asset("hls_templates") / "codesign_csim.h", folder / "firmware/nnet_utils/codesign_csim.h")


def _write_bench(network: Network, folder: Path, raw_inputs: Ints) -> None:
    """Stimuli and expected logits as the decimal text that hls4ml's test bench reads."""
    logits = forward(network, raw_inputs)[-1]
    np.savetxt(folder / "tb_input_features.dat", to_real(raw_inputs, network.input_type), fmt="%.17g")
    np.savetxt(folder / "tb_output_predictions.dat", to_real(logits, network.layers[-1].result), fmt="%.17g")


def source_digest(folder: Path) -> str:
    """SHA-256 of everything that decides what the C-simulation computes."""
    files = sorted(p for p in (folder / "firmware").rglob("*") if p.is_file())
    files += [folder / CSIM_SOURCE, folder / CSIM_SCRIPT]
    parts: list[str | bytes] = []
    for path in files:
        parts += [str(path.relative_to(folder)), path.read_bytes()]
    return digest_of(*parts)
