"""A stand-in for PYNQ where only numpy is at hand: an overlay with a DMA and an accelerator that adds up its inputs.

Its one network takes 4 values of 8 bits in beats of 32 bits and gives their sum and its negative in lanes of 16 bits.
Python 3.8, as the runtime itself. `TROUBLE` names a file; while it exists, the accelerator gives no output.
"""

import json
import os
from pathlib import Path

import numpy as np

DMA_AT, PORT_AT = 0x40400000, 0x43C00000
_MEMORY = {}
_STATE = {"next": 0x10000000}


class Overlay:
    def __init__(self, path):
        self._model = json.loads((Path(path).parent / "model.json").read_text())
        _STATE.update(
            model=self._model,
            words={},
            channels={0: [1, 0, 0], 0x30: [1, 0, 0]},  # status, address, length
        )
        parameters = {"C_INCLUDE_SG": "0", "C_SG_LENGTH_WIDTH": "14"}  # PYNQ 2.7 has them in capitals
        top = self._model["network_name"] + "_axi"
        self.ip_dict = {
            "axi_dma_0": _block("xilinx.com:ip:axi_dma:7.1", DMA_AT, parameters),
            top + "_0": _block("xilinx.com:hls:" + top + ":1.0", PORT_AT, {}),
        }


def _block(kind, base, parameters):
    return {"type": kind, "phys_addr": base, "addr_range": 0x10000, "parameters": parameters}


class Buffer(np.ndarray):
    physical_address = 0

    def flush(self):
        pass

    def invalidate(self):
        pass

    def freebuffer(self):
        _MEMORY.pop(self.physical_address, None)


def allocate(shape, dtype="u4"):
    buffer = np.zeros(shape, dtype).view(Buffer)
    buffer.physical_address = _STATE["next"]
    _STATE["next"] += buffer.nbytes + 64 - buffer.nbytes % 64
    _MEMORY[buffer.physical_address] = buffer
    return buffer


class MMIO:
    def __init__(self, base, length):
        self._base = base

    def read(self, offset):
        if self._base == PORT_AT:
            return _STATE["words"].get(offset, 0)
        start = 0x30 if offset >= 0x30 else 0
        return {0: 0, 4: _STATE["channels"][start][0], 0x28: _STATE["channels"][start][2]}.get(offset - start, 0)

    def write(self, offset, value):
        if self._base == PORT_AT:
            _STATE["words"][offset] = value
            return
        start = 0x30 if offset >= 0x30 else 0
        channel = _STATE["channels"][start]
        if offset - start == 0:
            channel[0] = 0 if value & 1 else 1
        elif offset - start == 0x18:
            channel[1] = value
        elif offset - start == 0x28:
            channel[0], channel[2] = 0, value
            if start == 0:
                _run()


def _run():
    send, receive = _STATE["channels"][0], _STATE["channels"][0x30]
    send[0] = 2
    if "TROUBLE" in os.environ and Path(os.environ["TROUBLE"]).is_file():
        return
    given = np.array(_MEMORY[send[1]][: send[2]]).view(np.int8).reshape(-1, 4).astype(np.int64)
    sums = given.sum(axis=1)
    packed = np.stack([sums, -sums], axis=1).astype("<i2").view(np.uint8).reshape(-1)
    _MEMORY[receive[1]][: len(packed)] = packed
    receive[0], receive[2] = 2, len(packed)
    at = {row["name"]: row["offset"] for row in _STATE["model"]["registers"]}
    words = _STATE["words"]
    words[at["samples"]] = words.get(at["samples"], 0) + len(given)
    words[at["id_network"]] = int(_STATE["model"]["network"][:8], 16)
    words[at["id_plan"]] = int(_STATE["model"]["plan"][:8], 16)
