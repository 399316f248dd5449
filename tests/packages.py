"""Packages whose bitstream is none, for what is done with packages."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from networks import small_network

from codesign.board.package import CHECK, MODEL, Package, model_json, write_package
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan

# A runtime that says only what it was asked for.
RUNTIME = "VERSION = 1\n"


def check_bytes(network: Network, samples: int = 8) -> bytes:
    low, high = network.input_type.min_raw, network.input_type.max_raw
    inputs = np.random.default_rng(0).integers(low, high, (samples, network.n_in), endpoint=True)
    silent = np.zeros(samples, np.bool_)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, inputs=inputs, logits=forward(network, inputs)[-1], corrected=silent, detected=silent)
    return buffer.getvalue()


def about(network: Network, board: str = "pynq-z2") -> dict[str, Any]:
    return {
        "network_name": network.name,
        "network": network.digest,
        "plan": ProtectionPlan().digest,
        "board": board,
        "part": "xc7z020clg400-1",
        "clock_ns": 10.0,
        "tool": {"name": "vivado", "version": "2020.1"},
        "seconds": 1.5,
        "resources": {"lut": 1},
        "timing": {"wns_ns": 0.5},
    }


def content(network: Network, runtime: Mapping[str, bytes] | None = None) -> dict[str, Path | bytes]:
    codesign_json = {
        "network": network.digest,
        "plan_digest": ProtectionPlan().digest,
        "stream": {"bits": 64},
        "registers": [],
        "upset_slots": 0,
    }
    layers = [layer.name for _, layer in network.compute_layers()]
    return {
        "design.bit": b"\x00bits" * 100,
        "design.hwh": b"<xml/>",
        MODEL: json.dumps(model_json(codesign_json, network.name, layers)).encode(),
        CHECK: check_bytes(network),
        "reports/timing.rpt": b"met",
        "logs/vivado.log": b"done\n",
        **(runtime or {"codesign_runtime/__init__.py": RUNTIME.encode()}),
    }


def write(folder: Path, runtime: Mapping[str, bytes] | None = None, **other: object) -> Package:
    """A package in `folder`, under its own name."""
    network = small_network()
    described = {**about(network), **other}
    return write_package(folder / f"{network.name}-{described['board']}", content(network, runtime), described)
