"""A board without a board: packages whose bitstream is the C-simulation, and the device that runs them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.board.check import check_samples
from codesign.board.package import CHECK, MODEL, Package, model_json, package_name, runtime_files, write_package
from codesign.board.virtual.accelerator import Logic
from codesign.board.virtual.bitstream import Content, bit_bytes
from codesign.board.virtual.hwh import hwh_text
from codesign.errors import ConfigError, ToolError
from codesign.fixed import Ints
from codesign.hls.folder import MANIFEST, Project
from codesign.hls.registers import Register, board_registers

if TYPE_CHECKING:
    from codesign.board.virtual.device import VirtualDevice

LENGTH_BITS = 26


def virtual_package(
    project: Project, folder: Path, raw: Ints, labels: Ints | None = None, length_bits: int = LENGTH_BITS
) -> Package:
    """A package of a board project in `folder`, under its own name, to run on the virtual board of this machine.

    `raw`, shape (n, n_in), are the samples that travel with it. The project has to stay where it is.
    """
    options = project.options
    if options.axi_bits is None:
        raise ConfigError(f"{project.folder} has no AXI streams: export it for a board (`codesign export --board`)")
    manifest = json.loads((project.folder / MANIFEST).read_text())
    network, board = project.network, options.board or "virtual"
    layers = [layer.name for _, layer in network.compute_layers()]
    content = Content(manifest["top"], str(project.folder.resolve()), length_bits)
    files: dict[str, Path | bytes] = {
        "design.bit": bit_bytes(content, options.part),
        "design.hwh": hwh_text(content.top, registers_of(project), options.axi_bits, length_bits=length_bits).encode(),
        MODEL: json.dumps(model_json(manifest, network.name, layers), indent=1).encode(),
        CHECK: check_samples(project, raw, labels),
        **runtime_files(),
    }
    about = {
        "network_name": network.name,
        "network": network.digest,
        "plan": project.plan.digest,
        "board": board,
        "part": options.part,
        "clock_ns": options.clock_ns,
        "tool": {"name": "virtual", "version": "1"},
        "seconds": 0.0,
        "resources": {},
        "timing": {},
    }
    return write_package(folder / package_name(network.name, board), files, about)


def registers_of(project: Project) -> tuple[Register, ...]:
    """The registers of a project's top."""
    return board_registers(project.network, project.options.upset_slots)


def csim_logic(content: Content, ahead: int = 0) -> Logic:
    """The accelerator of a bitstream: its project, compiled; `ahead` as in Logic."""
    from codesign.hls.burst import BoardCsim

    project = Project.open(Path(content.project))
    bits = project.options.axi_bits
    if bits is None:
        raise ConfigError(f"{project.folder} has no AXI streams any more")
    csim = BoardCsim(project)
    return Logic(csim, registers_of(project), bits, csim.input.beats, ahead)


@contextmanager
def virtual_board(ahead: int = 0) -> Iterator["VirtualDevice"]:
    """Within, PYNQ's classes find a board that runs virtual packages. Raises ToolError where PYNQ is missing.

    With `ahead`, a register that the host writes counts for samples that are sent after so many others, as on silicon.
    """
    try:
        from codesign.board.virtual.device import VirtualDevice, active
    except ModuleNotFoundError as error:
        raise ToolError(
            f"the virtual board runs PYNQ's own classes, and the module {error.name} is missing: "
            "pip install 'codesign[board]'",
            ["pynq"],
        ) from None
    opened: dict[Content, Logic] = {}

    def opener(content: Content) -> Logic:
        """Compiled once; loading resets it."""
        if content not in opened:
            opened[content] = csim_logic(content, ahead)
        return opened[content]

    with active(VirtualDevice(opener)) as device:
        yield device
