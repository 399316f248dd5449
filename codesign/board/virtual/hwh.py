"""A hardware description (.hwh) of the virtual board's block design: the part of Vivado's that PYNQ reads.

Processor, simple DMA and accelerator, with the parameters, address ranges and registers by which PYNQ finds them. The
names of elements and attributes are those that Vivado writes; the wires between the blocks' single pins are left out.
"""

import xml.etree.ElementTree as ET  # it only builds, nothing is parsed
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from codesign.hls.registers import BUNDLE, Register

DMA_BASE, PORT_BASE, RANGE = 0x4040_0000, 0x43C0_0000, 0x1_0000
DMA, DMA_TYPE = "axi_dma_0", "xilinx.com:ip:axi_dma:7.1"
_AXIMM, _AXIS = "xilinx.com:interface:aximm:1.0", "xilinx.com:interface:axis:1.0"
_CLOCKS = 4


@dataclass(frozen=True)
class Processor:
    """How a family's processing system is called, what its master port and its clock parameters are."""

    vlnv: str
    arch: str
    master: str
    enable: str
    divisor: str

    @property
    def kind(self) -> str:
        return self.vlnv.split(":")[2]


PROCESSORS = {
    "zynq7000": Processor(
        "xilinx.com:ip:processing_system7:5.5",
        "zynq",
        "M_AXI_GP0",
        "PCW_FPGA_FCLK{}_ENABLE",
        "PCW_FCLK{}_PERIPHERAL_DIVISOR{}",
    ),
    "zynqmp": Processor(
        "xilinx.com:ip:zynq_ultra_ps_e:3.3",
        "zynquplus",
        "M_AXI_HPM0_FPD",
        "PSU__FPGA_PL{}_ENABLE",
        "PSU__CRL_APB__PL{}_REF_CTRL__DIVISOR{}",
    ),
}
# The DMA's registers in simple mode, by PG021.
DMA_REGISTERS = {
    "MM2S_DMACR": 0x00,
    "MM2S_DMASR": 0x04,
    "MM2S_SA": 0x18,
    "MM2S_SA_MSB": 0x1C,
    "MM2S_LENGTH": 0x28,
    "S2MM_DMACR": 0x30,
    "S2MM_DMASR": 0x34,
    "S2MM_DA": 0x48,
    "S2MM_DA_MSB": 0x4C,
    "S2MM_LENGTH": 0x58,
}


def hwh_text(
    top: str, registers: Iterable[Register], bits: int, family: str = "zynq7000", length_bits: int = 26
) -> str:
    """The file's text, for an accelerator `top` with streams of `bits` bits and a DMA of so many length bits."""
    processor = PROCESSORS[family]
    root = ET.Element("EDKSYSTEM", EDWVERSION="1.2", VIVADOVERSION="virtual")
    ET.SubElement(root, "SYSTEMINFO", ARCH=processor.arch, NAME="design")
    ET.SubElement(root, "EXTERNALPORTS")
    ET.SubElement(root, "EXTERNALINTERFACES")
    modules = ET.SubElement(root, "MODULES")
    _dma(modules, bits, length_bits)
    _accelerator(modules, top, registers)
    _processor(modules, processor, top)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n' + ET.tostring(root, "unicode") + "\n"


def _dma(modules: ET.Element, bits: int, length_bits: int) -> None:
    module = _module(modules, DMA, DMA_TYPE)
    _registers(module, "S_AXI_LITE", ((name, offset, "read-write", name) for name, offset in DMA_REGISTERS.items()))
    channels = {f"c_include_{side}": 1 for side in ("mm2s", "s2mm")}
    no_dre = {f"c_include_{side}_dre": 0 for side in ("mm2s", "s2mm")}
    memory = {f"c_m_axi_{side}_data_width": bits for side in ("mm2s", "s2mm")}
    streams = {"c_m_axis_mm2s_tdata_width": bits, "c_s_axis_s2mm_tdata_width": bits}
    engine = {"c_include_sg": 0, "c_micro_dma": 0, "c_sg_length_width": length_bits, "c_addr_width": 32}
    where = {"C_BASEADDR": f"{DMA_BASE:#010X}", "C_HIGHADDR": f"{DMA_BASE + RANGE - 1:#010X}"}
    _parameters(module, {**engine, **channels, **no_dre, **memory, **streams, **where})
    _interfaces(
        module,
        ("S_AXI_LITE", "SLAVE", _AXIMM, "interconnect_M00_AXI"),
        ("M_AXIS_MM2S", "MASTER", _AXIS, f"{DMA}_M_AXIS_MM2S"),
        ("S_AXIS_S2MM", "SLAVE", _AXIS, "accelerator_stream_out"),
    )


def _accelerator(modules: ET.Element, top: str, registers: Iterable[Register]) -> None:
    module = _module(modules, f"{top}_0", f"xilinx.com:hls:{top}:1.0")
    port = f"s_axi_{BUNDLE}"
    rows = ((r.name, r.offset, "read-write" if r.written_by_host else "read-only", r.meaning) for r in registers)
    _registers(module, port, rows)
    where = {"BASEADDR": f"{PORT_BASE:#010X}", "HIGHADDR": f"{PORT_BASE + RANGE - 1:#010X}"}
    _parameters(module, {f"C_{port.upper()}_{name}": value for name, value in where.items()})
    _interfaces(
        module,
        (port, "SLAVE", _AXIMM, "interconnect_M01_AXI"),
        ("stream_in", "SLAVE", _AXIS, f"{DMA}_M_AXIS_MM2S"),
        ("stream_out", "MASTER", _AXIS, "accelerator_stream_out"),
    )


def _processor(modules: ET.Element, processor: Processor, top: str) -> None:
    module = _module(modules, f"{processor.kind}_0", processor.vlnv, is_pl=False)
    clocks: dict[str, object] = {processor.enable.format(clock): int(clock == 0) for clock in range(_CLOCKS)}
    clocks |= {processor.divisor.format(clock, k): (10, 1)[k] for clock in range(_CLOCKS) for k in range(2)}
    _parameters(module, clocks)
    _interfaces(module, (processor.master, "MASTER", _AXIMM, "processor_master"))
    memory = ET.SubElement(module, "MEMORYMAP")
    for instance, port, base in ((DMA, "S_AXI_LITE", DMA_BASE), (f"{top}_0", f"s_axi_{BUNDLE}", PORT_BASE)):
        ET.SubElement(
            memory,
            "MEMRANGE",
            ADDRESSBLOCK="Reg",
            BASENAME="C_BASEADDR",
            BASEVALUE=f"0x{base:08X}",
            HIGHNAME="C_HIGHADDR",
            HIGHVALUE=f"0x{base + RANGE - 1:08X}",
            INSTANCE=instance,
            IS_DATA="TRUE",
            IS_INSTRUCTION="TRUE",
            MASTERBUSINTERFACE=processor.master,
            MEMTYPE="REGISTER",
            SLAVEBUSINTERFACE=port,
        )


def _module(modules: ET.Element, instance: str, vlnv: str, is_pl: bool = True) -> ET.Element:
    kind, version = vlnv.split(":")[2:]
    module = ET.SubElement(modules, "MODULE", FULLNAME=f"/{instance}", INSTANCE=instance, MODTYPE=kind, VLNV=vlnv)
    module.attrib |= {"HWVERSION": version, "IPTYPE": "PERIPHERAL", "IS_ENABLE": "1", "MODCLASS": "PERIPHERAL"}
    if not is_pl:
        module.set("IS_PL", "FALSE")
    return module


def _registers(module: ET.Element, port: str, rows: Iterable[tuple[str, int, str, str]]) -> None:
    blocks = ET.SubElement(module, "ADDRESSBLOCKS")
    block = ET.SubElement(
        blocks, "ADDRESSBLOCK", ACCESS="read-write", INTERFACE=port, NAME="Reg", RANGE=str(RANGE), USAGE="register"
    )
    parent = ET.SubElement(block, "REGISTERS")
    for name, offset, access, meaning in rows:
        register = ET.SubElement(parent, "REGISTER", NAME=name)
        properties = {
            "DESCRIPTION": meaning,
            "ADDRESS_OFFSET": f"{offset:#x}",
            "SIZE": "32",
            "ACCESS": access,
            "IS_ENABLED": "true",
            "RESET_VALUE": "0x0",
        }
        for key, value in properties.items():
            ET.SubElement(register, "PROPERTY", NAME=key, VALUE=value)
        ET.SubElement(register, "FIELDS")


def _parameters(module: ET.Element, values: Mapping[str, object]) -> None:
    parent = ET.SubElement(module, "PARAMETERS")
    for name, value in values.items():
        ET.SubElement(parent, "PARAMETER", NAME=name, VALUE=str(value))


def _interfaces(module: ET.Element, *rows: tuple[str, str, str, str]) -> None:
    ET.SubElement(module, "PORTS")
    parent = ET.SubElement(module, "BUSINTERFACES")
    for name, kind, vlnv, bus in rows:
        interface = ET.SubElement(parent, "BUSINTERFACE", BUSNAME=bus, NAME=name, TYPE=kind, VLNV=vlnv)
        ET.SubElement(interface, "PORTMAPS")
