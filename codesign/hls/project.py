"""Writes a complete HLS project: hls4ml's own, with protected layers and status registers.

The project is written and checked beside its destination and renamed, so that it is never half there.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesign.errors import CodesignError, ConfigError
from codesign.fixed import Ints
from codesign.hls.check import check_project
from codesign.hls.folder import MANIFEST, Project, source_digest
from codesign.hls.glue import write_bench, write_glue
from codesign.hls.options import BACKENDS, IO_TYPES, ProjectOptions
from codesign.hls.registers import BUNDLE, MAX_LAYERS, board_registers, register_map, stored_layers
from codesign.hls.stream import input_lanes, output_lanes
from codesign.network import FROM_INPUT, Network
from codesign.network.passive import refused_in_streams
from codesign.protection import ProtectionPlan

__all__ = ["BACKENDS", "IO_TYPES", "MANIFEST", "Project", "ProjectOptions", "source_digest", "write_project"]

# Names that the generated C++ gives to other things.
_TAKEN = ("x", "guard", "clear", "codesign", "nnet", "hls", "std", "main")
_TAKEN_BY_STREAMS = (
    *("stream_in", "stream_out", "stream_config", "beat_t", "frames"),
    *("id_network", "id_plan", "samples", "bad_frames"),
)
_KEYWORDS = (
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr continue "
    "decltype default delete do double else enum explicit export extern false float for friend goto if inline int long "
    "mutable namespace new noexcept not nullptr operator or private protected public register return short signed "
    "sizeof static struct switch template this throw true try typedef typeid typename union unsigned using virtual "
    "void volatile while xor"
)
_MAX_READERS = 7


def write_project(
    network: Network,
    plan: ProtectionPlan,
    folder: Path,
    options: ProjectOptions | None = None,
    bench_inputs: Ints | None = None,
    complete: Callable[[Project], None] | None = None,
) -> Project:
    """Write the HLS project into `folder`, replacing a codesign project that stands there.

    `bench_inputs`, shape (n, n_in), become the test bench's stimuli with the network's logits as
    expected output. `complete` may add files before the project takes its place. Raises ConfigError when the plan
    does not fit, a layer cannot be expressed, or the folder holds something else or cannot be written.
    """
    options = options or ProjectOptions()
    plan.check(network)
    _check(network, options)
    if folder.exists() and not (folder / MANIFEST).exists() and (folder.is_file() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not a codesign project: remove it or choose another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            staged = Project(Path(name) / "project", network, plan, options)
            _write(staged, bench_inputs)
            if complete is not None:
                complete(staged)
            if found := check_project(staged):
                raise CodesignError(f"{folder}: the written project breaks a design rule: {found[0]}")
            if folder.exists():
                shutil.move(folder, Path(name) / "replaced")
            staged.folder.rename(folder)
    except OSError as error:
        # shutil's error lists every file that failed; one reason is enough.
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror or error
        raise ConfigError(f"cannot write the project {folder}: {reason}") from None
    return Project(folder, network, plan, options)


def _check(network: Network, options: ProjectOptions) -> None:
    where = f"network '{network.name}'"
    taken = (*_TAKEN, *_KEYWORDS.split(), *(_TAKEN_BY_STREAMS if options.axi_bits else ()))
    if not re.fullmatch("[A-Za-z]\\w*", network.name, re.ASCII) or network.name in taken:
        raise ConfigError(f"{where}: its name cannot be the name of a C++ function")
    computing = [layer.name for _, layer in network.compute_layers()]
    if not 1 <= len(computing) <= MAX_LAYERS:
        raise ConfigError(f"{where}: {len(computing)} layers compute; an accelerator has 1 to {MAX_LAYERS} of them")
    names: dict[str, str] = {}
    for layer in network.layers:
        if layer.name in _TAKEN:
            raise ConfigError(f"{where}: layer name '{layer.name}' is taken by the input or a port")
        # hls4ml keeps its settings by names in small letters.
        if (other := names.setdefault(layer.name.lower(), layer.name)) != layer.name:
            raise ConfigError(f"{where}: layer names '{other}' and '{layer.name}' differ in case only")
    if options.upset_slots and not stored_layers(network):
        raise ConfigError(f"{where}: upset slots need stored weights, and no layer has a reuse factor above 1")
    if options.io_type == "io_stream":
        for layer in network.layers:
            if reason := refused_in_streams(layer):
                raise ConfigError(f"{where}, layer '{layer.name}': {reason}; use io_type 'io_parallel'")
        _check_readers(network)


def _check_readers(network: Network) -> None:
    sources = [source for index in range(len(network.layers)) for source in network.sources(index)]
    for source in set(sources):
        if (readers := sources.count(source)) > _MAX_READERS:
            what = "the input" if source == FROM_INPUT else f"layer '{network.layers[source].name}'"
            raise ConfigError(
                f"network '{network.name}': {readers} layers read {what}; hls4ml copies a stream {_MAX_READERS} times "
                "at most: use io_type 'io_parallel'"
            )


def _write(project: Project, bench_inputs: Ints | None) -> None:
    # hls4ml takes over a second to import, and a project is opened without it.
    from codesign.hls.graph import model_graph
    from codesign.hls.top import Top
    from codesign.hls.writers import write_hls4ml_project, write_wrapper

    network, plan, folder, options = project.network, project.plan, project.folder, project.options
    folder.mkdir()
    top = Top(network, options, model_graph(network, plan, folder, options))
    write_hls4ml_project(top, plan, folder)
    write_glue(top, folder)
    if options.axi_bits is not None:
        write_wrapper(top, plan, folder)
    if bench_inputs is not None:
        write_bench(network, folder / "tb_data", bench_inputs)
    network.save(folder / "network.npz")
    (folder / MANIFEST).write_text(json.dumps(_manifest(network, plan, options), indent=1) + "\n")


def _manifest(network: Network, plan: ProtectionPlan, options: ProjectOptions) -> dict[str, Any]:
    registers = register_map(network)
    if options.axi_bits is not None:
        registers = board_registers(network, options.upset_slots)
    streams = None
    if options.axi_bits is not None:
        given, result = input_lanes(network, options.axi_bits), output_lanes(network, options.axi_bits)
        streams = {"bits": options.axi_bits, "input": given.to_json(), "output": result.to_json()}
    return {
        "network": network.digest,
        "plan_digest": plan.digest,
        "plan": plan.to_json(),
        "options": vars(options),
        "top": f"{network.name}_axi" if options.wrapped else network.name,
        "interface": f"s_axi_{BUNDLE}",
        "registers": [register.to_json() for register in registers],
        "board": options.board,
        "stream": streams,
        "upset_slots": options.upset_slots,
    }
