"""What the vendor's tools need to know besides the network."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from codesign.errors import ConfigError, one_of
from codesign.network import Network

Backend = Literal["Vivado", "Vitis", "VivadoAccelerator"]
IoType = Literal["io_parallel", "io_stream"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
# How products by constants become adders.
STRATEGIES = ("latency", "distributed_arithmetic")
# Bits that a single-precision number holds exactly; double precision holds every FixedPoint.
_FLOAT_BITS = 24
IO_TYPES: tuple[IoType, ...] = get_args(IoType)
# Widths of a stream that the wrapper is written for, in bits.
AXI_BITS = (32, 64, 128, 256, 512)
# Each compares and masks every weight that is read in a cycle.
MAX_UPSET_SLOTS = 8
# Parts and their boards, of which hls4ml has a block design that we know how to wire the registers in.
ACCELERATOR_BOARDS = {"xc7z020clg400-1": "pynq-z2", "xczu9eg-ffvb1156-2-e": "zcu102"}


@dataclass(frozen=True)
class ProjectOptions:
    """Backend, FPGA part and clock, and how values travel between layers.

    With `axi_bits` the exported top is our wrapper on AXI streams of that width (backend Vivado or Vitis); `board` says
    for which board the project is, and `upset_slots` how many words of stored weights its host can upset at a time.
    `VivadoAccelerator` builds with hls4ml's wrapper for the board that carries the part. `strategy` and `dsp_min_bits`
    are what the estimate and the open synthesis go by; the HLS sources are of strategy Latency, and the tool decides
    about DSPs.
    """

    backend: Backend = "Vivado"
    part: str = "xczu9eg-ffvb1156-2-e"
    clock_ns: float = 5.0
    io_type: IoType = "io_parallel"
    strategy: str = STRATEGIES[0]
    dsp_min_bits: int = 10
    axi_bits: int | None = None
    board: str | None = None
    upset_slots: int = 0

    def __post_init__(self) -> None:
        one_of("strategy", self.strategy, STRATEGIES)
        if self.dsp_min_bits < 1:
            raise ConfigError(f"dsp_min_bits is {self.dsp_min_bits}, expected at least 1")
        one_of("backend", self.backend, BACKENDS)
        one_of("io_type", self.io_type, IO_TYPES)
        if self.backend == "VivadoAccelerator" and self.part not in ACCELERATOR_BOARDS:
            known = ", ".join(f"{part} ({board})" for part, board in ACCELERATOR_BOARDS.items())
            raise ConfigError(f"backend VivadoAccelerator has no board with part '{self.part}'; it has {known}")
        self._check_streams()

    def _check_streams(self) -> None:
        if not 0 <= self.upset_slots <= MAX_UPSET_SLOTS:
            raise ConfigError(f"upset_slots is {self.upset_slots}, expected 0 to {MAX_UPSET_SLOTS}")
        if self.axi_bits is None:
            if self.board is not None or self.upset_slots:
                raise ConfigError(
                    "a project for a board, or with upset slots, needs axi_bits, the width of its streams"
                )
            return
        if self.axi_bits not in AXI_BITS:
            raise ConfigError(f"axi_bits is {self.axi_bits}, expected one of {', '.join(map(str, AXI_BITS))}")
        if self.backend == "VivadoAccelerator":
            raise ConfigError("backend VivadoAccelerator has hls4ml's streams; axi_bits is for Vivado and Vitis")

    @property
    def wrapped(self) -> bool:
        """Is the exported top `<network>_axi`, around the network's own function?"""
        return self.axi_bits is not None or self.backend == "VivadoAccelerator"

    def stream_type(self, network: Network) -> str:
        """The C type in which an accelerator's DMA carries values: wide enough for ours, so that it is exact."""
        widest = max(network.input_type.width, network.layers[-1].result.width)
        return "float" if widest <= _FLOAT_BITS else "double"

    def accelerator(self, network: Network) -> dict[str, Any]:
        """hls4ml's settings of an accelerator; none for the other backends."""
        if self.backend != "VivadoAccelerator":
            return {}
        carried = self.stream_type(network)
        precision = {"Input": carried, "Output": carried}
        settings = {"Board": ACCELERATOR_BOARDS[self.part], "Interface": "axi_stream", "Driver": "python"}
        return {"AcceleratorConfig": {**settings, "Precision": precision}}
