"""The virtual board's parts: the hardware description by PYNQ's own parser, the DMA's registers, memory, bitstreams."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import small_network
from numpy.typing import NDArray

pytest.importorskip("pynq", reason="needs pynq: pip install 'codesign[board]'")

from codesign.assets import asset
from codesign.board.virtual.accelerator import Bytes, Kind, Logic, Trouble, Until
from codesign.board.virtual.bitstream import Content, bit_bytes, read_bit
from codesign.board.virtual.dma import AxiDma
from codesign.board.virtual.hwh import DMA_BASE, DMA_REGISTERS, PORT_BASE, RANGE, hwh_text
from codesign.board.virtual.memory import Memory
from codesign.errors import BoardError, ConfigError
from codesign.hls.registers import board_registers

REGISTERS = board_registers(small_network(), 2)
RUN, HALTED, IDLE = 1, 1, 2


# ---------------------------------------------------------------- hardware description


def parsed(tmp_path: Path, **options: Any) -> Any:
    from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
    from pynqmetadata.frontends import Metadata

    path = tmp_path / "design.hwh"
    path.write_text(hwh_text("small_axi", REGISTERS, 64, **options))
    return RuntimeMetadataParser(Metadata(input=path))


@pytest.mark.parametrize("family", ["zynq7000", "zynqmp"])
def test_pynqs_parser_finds_dma_and_accelerator_where_the_register_map_says(tmp_path: Path, family: str) -> None:
    found = parsed(tmp_path, family=family, length_bits=23)
    dma, port = found.ip_dict["axi_dma_0"], found.ip_dict["small_axi_0"]
    assert (dma["phys_addr"], dma["addr_range"], dma["type"]) == (DMA_BASE, RANGE, "xilinx.com:ip:axi_dma:7.1")
    assert dma["parameters"]["c_sg_length_width"] == "23" and dma["parameters"]["c_m_axi_mm2s_data_width"] == "64"
    assert {name: row["address_offset"] for name, row in dma["registers"].items()} == DMA_REGISTERS
    assert (port["phys_addr"], port["type"]) == (PORT_BASE, "xilinx.com:hls:small_axi:1.0")
    told = {name: (row["address_offset"], row["access"]) for name, row in port["registers"].items()}
    assert told == {r.name: (r.offset, "read-write" if r.written_by_host else "read-only") for r in REGISTERS}
    assert [clock["enable"] for clock in found.clock_dict.values()] == [1, 0, 0, 0]


def test_it_is_written_as_vivado_writes() -> None:
    """Every element, and every attribute of it, is there in a description by Vivado 2019.2 that pynqmetadata has."""
    import pynqmetadata

    real = ET.parse(Path(pynqmetadata.__file__).parent / "tests" / "hwhs" / "resizer.hwh").getroot()
    known: dict[tuple[str, str], set[str]] = {}
    for path, element in walk(real):
        known.setdefault((path, element.tag), set()).update(element.attrib)
    ours = ET.fromstring(hwh_text("small_axi", REGISTERS, 64).split("\n", 1)[1])
    for path, element in walk(ours):
        assert (path, element.tag) in known, (path, element.tag)
        assert set(element.attrib) <= known[path, element.tag], element.tag


def test_its_dma_is_the_one_of_the_boards_block_design(tmp_path: Path) -> None:
    text = (asset("hls_templates") / "boards" / "build_design.tcl.j2").read_text()
    asked = dict(re.findall(r"CONFIG\.(c_\w+) (\S.*?) *\\$", text, re.MULTILINE))
    asked = {key: value.replace("{{ bits }}", "64") for key, value in asked.items()}
    asked = {key: value for key, value in asked.items() if "{" not in value}
    told = parsed(tmp_path).ip_dict["axi_dma_0"]["parameters"]
    shared = asked.keys() & told.keys()
    assert {"c_include_sg", "c_sg_length_width", "c_m_axi_mm2s_data_width"} <= shared
    assert {key: asked[key] for key in shared} == {key: told[key] for key in shared}
    assert "{{ top }}_0" in text and "axi_dma_0" in text


def walk(element: ET.Element, path: str = "") -> Any:
    yield path, element
    for child in element:
        yield from walk(child, f"{path}/{element.tag}")


# ---------------------------------------------------------------- DMA


@dataclass(frozen=True)
class Answer:
    data: Bytes
    last: NDArray[np.bool_]
    registers: dict[str, int]


class Echo:
    """Gives every beat back, inverted; counts packets and resets."""

    packets = resets = 0

    def feed(self, data: Bytes, last: NDArray[np.bool_], host: Mapping[str, int], faults: Any = None) -> Answer:
        self.packets += 1
        return Answer(~data, last, {"samples": self.packets, "bad_frames": host["guard"]})

    def reset(self) -> None:
        self.resets += 1


class Board:
    """A DMA with an echo behind it and two buffers of 64 bytes."""

    def __init__(self, *trouble: Trouble, length_bits: int = 14) -> None:
        self.memory, self.trouble = Memory(1 << 20), [*trouble]
        self.dma = AxiDma(self.memory, length_bits, lambda: self.trouble)
        self.dma.logic = Logic(Echo(), REGISTERS, 32)
        self.source, self.target = (self.memory.allocate(self, (64,), "u1") for _ in range(2))
        self.source[:] = np.arange(64)
        self.memory.flush(self.source.bo, 0, 64)

    def start(self) -> None:
        for base in (0x30, 0):
            self.dma.write(base, RUN)

    def move(self, sent: int = 64, wanted: int = 64) -> tuple[int, int]:
        for base, buffer, size in ((0x30, self.target, wanted), (0, self.source, sent)):
            self.dma.write(base + 0x18, buffer.physical_address)
            self.dma.write(base + 0x1C, 0)
            self.dma.write(base + 0x28, size)
        return self.dma.read(0x04), self.dma.read(0x34)

    def flush(self, *_: object) -> None: ...

    invalidate = flush


def test_registers_after_reset_and_a_transfer() -> None:
    board = Board()
    assert [board.dma.read(offset) for offset in (0x00, 0x04, 0x30, 0x34)] == [0x10002, 0x10001] * 2
    assert board.move() == (0x10001, 0x10001)  # halted: a length has no effect
    board.start()
    assert [board.dma.read(offset) & (HALTED | IDLE) for offset in (0x04, 0x34)] == [0, 0]
    sent, received = board.move()
    assert sent & received & IDLE and sent & received & 0x1000 and not (sent | received) & HALTED
    assert board.dma.read(0x28) == board.dma.read(0x58) == 64
    assert np.array_equal(board.target, np.full(64, 0xCD))  # not yet invalidated
    board.memory.invalidate(board.target.bo, 0, 64)
    assert np.array_equal(board.target, ~np.arange(64, dtype=np.uint8))
    board.dma.write(0x34, 0x1000)
    assert not board.dma.read(0x34) & 0x1000  # written to be cleared


@pytest.mark.parametrize(
    ("sent", "wanted", "status"),
    [
        (32, 64, (0x11002, 0x11002)),  # TLAST before the buffer is full: done, and the length says so
        (64, 32, (0x11002, 0x14011)),  # more than the buffer: internal error, halted
        (0, 64, (0x14011, 0x10000)),  # a length of zero
        (30, 64, (0x10000, 0x10000)),  # no whole beats: it waits for ever
    ],
)
def test_lengths(sent: int, wanted: int, status: tuple[int, int]) -> None:
    board = Board()
    board.start()
    assert board.move(sent, wanted) == status
    if sent == 32:
        assert board.dma.read(0x58) == 32
    board.dma.write(0x00, 4)
    board.start()
    assert board.move() == (0x11002, 0x11002)  # a reset mends it


def test_an_address_that_is_no_memory_and_a_length_beyond_its_bits() -> None:
    board = Board(length_bits=8)
    board.start()
    board.dma.write(0x18, 0x40)
    board.dma.write(0x28, 64)
    assert board.dma.read(0x04) == 0x14041
    board.dma.write(0x00, 4)
    board.start()
    board.move(64, 256 + 64)
    assert board.dma.read(0x58) == 64  # the upper bits are not there


@pytest.mark.parametrize(("until", "left"), [(Until.RESET, 0), (Until.NEVER, 1)])
def test_what_mends_a_trouble(until: Until, left: int) -> None:
    board = Board(Trouble(Kind.MUTE, until))
    board.start()
    assert board.move() == (0x11002, 0x10000)
    board.dma.write(0x30, 4)
    assert len(board.trouble) == left


def test_the_port_keeps_what_the_host_writes_and_nothing_else() -> None:
    logic = Logic(Echo(), REGISTERS, 32)
    by_name = {register.name: register.offset for register in REGISTERS}
    logic.write(by_name["guard"], 0xFFFFFFFF)
    logic.write(by_name["samples"], 5)
    assert logic.read(by_name["guard"]) == 0b111 and logic.read(by_name["samples"]) == 0 == logic.read(0x4)
    logic.feed(np.zeros(8, np.uint8))
    assert logic.read(by_name["samples"]) == 1 and logic.read(by_name["bad_frames"]) == 0b111
    logic.power_on()
    assert logic.read(by_name["guard"]) == logic.read(by_name["samples"]) == 0


# ---------------------------------------------------------------- memory and bitstreams


def test_memory_ends_and_is_given_back() -> None:
    board = Board()
    with pytest.raises(MemoryError, match="1 MiB"):
        board.memory.allocate(board, (1 << 20,), "u1")
    with pytest.raises(BoardError, match="no memory"):
        board.memory.at(board.source.physical_address, 5000)
    board.source.freebuffer()
    board.source.freebuffer()
    assert board.memory.allocated == 1


def test_bitstreams_are_read_back(tmp_path: Path) -> None:
    content = Content("small_axi", "/where/it/is", 20)
    path = tmp_path / "design.bit"
    path.write_bytes(bit_bytes(content, "xc7z020clg400-1"))
    assert read_bit(path) == content
    from pynq.pl_server.embedded_device import bit2bin

    assert len(bit2bin(path.read_bytes())) % 4 == 0
    for data in (b"", b"noise" * 10, path.read_bytes()[:-3]):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="is no bitstream of the virtual board"):
            read_bit(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_bit(tmp_path / "none.bit")
