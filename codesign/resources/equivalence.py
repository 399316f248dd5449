"""Whether a mapped design is the network: its netlist simulated on inputs of every kind, integer for integer."""

import numpy as np

from codesign.errors import ConfigError
from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.resources.circuit import MappedCircuit, check_circuit, circuit_of
from codesign.resources.netlist import Netlist
from codesign.resources.synthesis import Synthesis

VECTORS = 256


def mapped_circuit(
    synthesis: Synthesis, network: Network, plan: ProtectionPlan, *, by_cycle: bool = False
) -> MappedCircuit:
    """The circuit of a mapped design. Raises ReportError for a primitive that is not simulated."""
    netlist = Netlist.of(synthesis.modules, synthesis.design.top.name)
    return circuit_of(netlist, synthesis.design, network, plan, by_cycle=by_cycle)


def vectors(network: Network, count: int = VECTORS, seed: int = 0) -> Ints:
    """Raw inputs, shape (count, n_in): all at an end of the type, or 0, or -1, or next to them; then any."""
    if count < 1:
        raise ConfigError(f"{count} vectors: at least one is needed")
    of = network.input_type
    ends = [value for value in (of.min_raw, of.max_raw, 0, -1, 1) if of.min_raw <= value <= of.max_raw]
    found: Ints = np.random.default_rng(seed).integers(of.min_raw, of.max_raw + 1, (count, network.n_in))
    for row, value in zip(found, ends, strict=False):
        row[:] = value
    return found


def verify(mapped: MappedCircuit, network: Network, count: int = VECTORS) -> None:
    """Simulate so many vectors. Raises MismatchError, with the first output that is not the network's."""
    check_circuit(mapped, network, vectors(network, count), f"network '{network.name}', vectors of seed 0")
