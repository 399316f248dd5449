"""What the runtime uses of PYNQ, in Python 3.8 and NumPy: Overlay, MMIO and allocate over one simple DMA.

The bitstream is a JSON document: `top`, `registers` (name to offset), `constants`, `bits` of the streams,
`input` and `output` as [values, lane_bits, width], and the `weights` of one matrix product that wraps. A raised guard
is outvoted in every layer. `hangs`, where it is true, takes no input.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np

DMA, PORT, RANGE = 0x40400000, 0x43C00000, 0x10000
_MEMORY = {}
_ADDRESSES = itertools.count(0x10000000, 0x1000000)
_BOARD = {}


class Overlay:
    """Loads a bitstream: the board is as after power-on."""

    def __init__(self, bitfile_name):
        design = json.loads(Path(bitfile_name).read_text(encoding="utf-8"))
        _BOARD.clear()
        _BOARD.update(design=design, values=dict.fromkeys(design["registers"], 0), dma={})
        lengths = {"c_sg_length_width": "14", "c_m_axi_mm2s_data_width": "32", "c_m_axi_s2mm_data_width": "32"}
        self.ip_dict = {
            "axi_dma_0": {
                "type": "xilinx.com:ip:axi_dma:7.1",
                "phys_addr": DMA,
                "addr_range": RANGE,
                "parameters": lengths,
            },
            "accelerator": {
                "type": "xilinx.com:hls:{}:1.0".format(design["top"]),
                "phys_addr": PORT,
                "addr_range": RANGE,
            },
        }


class MMIO:
    """Registers at an address, as words of 32 bits."""

    def __init__(self, base_addr, length=4):
        assert length == RANGE
        self._read, self._write = {DMA: (_read_dma, _write_dma), PORT: (_read_port, _write_port)}[base_addr]

    def read(self, offset=0):
        assert offset % 4 == 0
        return self._read(offset)

    def write(self, offset, data):
        assert offset % 4 == 0
        assert 0 <= data < 1 << 32
        self._write(offset, data)


class Buffer(np.ndarray):
    """Memory that the DMA reaches."""

    physical_address = 0

    def flush(self):
        """The memory has no cache."""

    def invalidate(self):
        """The memory has no cache."""

    def freebuffer(self):
        del _MEMORY[self.physical_address]


def allocate(shape, dtype="u4"):
    buffer = np.zeros(shape, dtype).view(Buffer)
    buffer.physical_address = next(_ADDRESSES)
    _MEMORY[buffer.physical_address] = buffer
    return buffer


def _read_dma(offset):
    return _BOARD["dma"].get(offset, 0)


def _write_dma(offset, data):
    dma = _BOARD["dma"]
    dma[offset] = data
    if offset in (0x00, 0x30):  # control of a channel: running, or halted; a reset has ended at once
        if data & 4:
            dma.clear()
        dma[0x04 if offset == 0 else 0x34] = 2 if data & 1 else 1
    elif offset == 0x28:  # length of what is sent: all has come back at once
        if _BOARD["design"].get("hangs"):
            dma[0x04] = dma[0x34] = 0
            return
        given = _feed(np.asarray(_MEMORY[dma[0x18]]).reshape(-1).view(np.uint8)[:data])
        _MEMORY[dma[0x48]][: len(given)] = given
        dma[0x58] = len(given)


def _feed(sent):
    design, values = _BOARD["design"], _BOARD["values"]
    beat = design["bits"] // 8
    n_in, lane_in, _ = design["input"]
    n_out, lane_out, width = design["output"]
    size_in, size_out = (-(-n * lane // 8 // beat) * beat for n, lane in ((n_in, lane_in), (n_out, lane_out)))
    samples = -(-len(sent) // size_in)
    cut = bool(len(sent) % size_in)
    padded = np.zeros(samples * size_in, np.uint8)
    padded[: len(sent)] = sent
    lanes = np.ascontiguousarray(padded.reshape(samples, size_in)[:, : n_in * lane_in // 8])
    raw = lanes.view(f"<i{lane_in // 8}").astype(np.int64)
    half = 1 << (width - 1)
    logits = (raw @ np.array(design["weights"], np.int64) + half) % (2 * half) - half
    found = np.zeros((samples, size_out), np.uint8)
    narrow = np.ascontiguousarray(logits.astype(f"<i{lane_out // 8}"))
    found[:, : n_out * lane_out // 8] = narrow.view(np.uint8).reshape(samples, -1)
    _report(samples, cut, values, design)
    return found.reshape(-1)


def _report(samples, cut, values, design):
    values.update(design["constants"])
    values["samples"] += samples
    values["bad_frames"] += cut
    events = [name for name in values if name.startswith("events_")]
    for layer, name in enumerate(events):
        for _ in range(samples):
            if values["clear"]:
                values[name] = 0
                values["status_corrected"] &= ~(1 << layer)
            if values["guard"]:
                values[name] += 1
                values["status_corrected"] |= 1 << layer


def _read_port(offset):
    return next(_BOARD["values"][name] for name, at in _BOARD["design"]["registers"].items() if at == offset)


def _write_port(offset, data):
    name = next(name for name, at in _BOARD["design"]["registers"].items() if at == offset)
    assert name in ("guard", "clear")
    _BOARD["values"][name] = data
