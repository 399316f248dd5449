"""Resources of a design by arithmetic alone, for the inner loop of a search.

The architecture costed is the one of the protected kernels with io_parallel: each layer that computes is a unit of
`neurons` x `per_pass` multipliers, used for every pixel in `reuse_factor` passes; layers that do not compute work on
all of their values at once. The model is worked out from the arithmetic and not fitted to a synthesis tool;
`tool_version` of the report names it.

Model (`MODEL`), figures in 6-input LUTs unless said otherwise:

- *Products by constants* (reuse factor 1): weights are recoded to canonical signed digits (Reitwiesner, "Binary
  arithmetic", Advances in Computers 1, 1960); d nonzero digits cost d - 1 adders, in a balanced tree. A zero weight
  costs nothing.
- *Products by stored weights* (reuse factor above 1): the wider operand and-ed with each bit of the narrower, added by
  a balanced tree; ands are in the adders' LUTs but for the lowest bit of each pair of rows.
- *DSP*: a multiplication whose operands both have at least `dsp_min_bits` bits takes DSPs, and LUTs only to add what
  several of them give (`codesign.resources.dsp`).
- *Shared graphs* (strategy distributed_arithmetic): the adders of da4ml's graph as the RTL has them, and no products; a
  copy of neurons hardened whole is a graph of its own, with a guard for each operand. See `shared`.
- *Sums*: a balanced binary tree over [bias or running sum, product 0, product 1, ...], the tree of
  `network.adder_spans`; an operand that is always zero needs no adder. With strategy latency neurons share nothing. A
  saturating accumulator has a chain, with overflow detection and a choice a bit after each adder that can leave the
  range. The choice between bias and running sum is in the LUTs of an adder.
- *Adder*: one LUT a bit. Its bits run from the higher of its operands' lowest bits (below it, one operand
  passes through) to the top of the sum's range, found by interval arithmetic from the input's type and the
  weights (stored ones: their type), at most the accumulator's width. A subtraction costs as much as an addition: of two
  operands of different sign either can be the one subtracted, and the sum's sign is left to the next adder.
- *Operands*: a unit for several pixels has window registers, each bit chosen from the pixels that its place of the
  window meets; a unit of several passes chooses each operand from its passes'. Four inputs a LUT, 16 with the F7 and F8
  multiplexers. Counters of pixels and passes and the enables of result registers are not counted.
- *Stored parameters*: a memory of `reuse_factor` lines, LUTs up to `lutram_depth` lines, block RAM beyond. A bias is a
  constant unless it is coded.
- *Hardened neuron* (h bits, cut c = A - h): bits of an adder below c exist once, those from c on in each copy. Where
  values can be negative each copy carries the sign, so the high part has at least one bit. Products exist once, and
  their high parts fan out to the copies; with scope mac each copy has multipliers of its own.
- *Voter*: h LUTs of majority; a LUT for the mismatch of every two bits, or-reduced; an or over the
  layer's hardened neurons with its sticky flag. DMR: a LUT for the mismatch of every three bits, or-reduced, and one
  for each bit of the sum that it makes zero.
- *Guard*: a LUT for each operand and copy that reads it. Conservative: mapping can absorb it into the adder.
- *Recomputation*: a unit of `dot_size` multipliers by stored weights with its adders, a memory of the recomputed
  neurons' parameters, the choice of its operands, registers of operands, running sum and results, and the voters.
- *Codes of parameters*: copies or check bits in the memory, and a decoder for each parameter that is read at once.
- *Status*: for each flag that a layer can raise a sticky bit and a 16-bit counter, once a layer.
- *Casts and ReLU*: an adder where the type rounds; overflow detection and one mux LUT a result bit where
  it saturates; the same mux LUT zeroes negative values in a ReLU. Other layers: see `passive`.
- *Latency*: levels of logic of the deepest neuron, `levels_per_cycle` in a cycle. A computing layer and the others
  behind it share cycles; each such stage ends in a register, so it takes at least one cycle. A layer of P pixels and R
  passes takes P * R - 1 cycles more, and recomputation 2 * (neurons recomputed) * ceil(fan_in / dot_size) for each
  pixel; that many cycles, plus one, is also its II. The running sum's way through the adders is taken to fit a cycle.
- *FF*: at every cut between two cycles the bits alive there (see `schedule`), constants excluded.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.resources.estimate.figures import CAUSES, Area, LayerEstimate
from codesign.resources.estimate.passive import passive_cost
from codesign.resources.estimate.schedule import timed
from codesign.resources.estimate.unit import unit_cost
from codesign.resources.policy import EstimatePolicy
from codesign.resources.report import ResourceReport

__all__ = ["CAUSES", "MODEL", "Estimate", "EstimatePolicy", "LayerEstimate", "estimate"]

MODEL = "codesign-estimate-2"


@dataclass(frozen=True)
class Estimate:
    """The report, and where its figures come from."""

    report: ResourceReport
    layers: tuple[LayerEstimate, ...]

    @property
    def total(self) -> Area:
        """All layers together."""
        return sum(self.layers, Area())

    @property
    def lut_by_cause(self) -> dict[str, int]:
        """LUTs of the whole design for each of `CAUSES`."""
        total = self.total
        return {cause: getattr(total, cause) for cause in CAUSES}

    @property
    def function(self) -> int:
        """LUTs of the unprotected design."""
        return self.total.function

    @property
    def replicas(self) -> int:
        """LUTs of further copies, or of units that recompute."""
        return self.total.replicas

    @property
    def voters(self) -> int:
        """LUTs of majority, mismatch detection and flags."""
        return self.total.voters

    @property
    def guards(self) -> int:
        """LUTs that keep the copies apart."""
        return self.total.guards

    def to_json(self) -> dict[str, Any]:
        """The report's fields, the LUTs by cause, and the layers."""
        layers = [{**asdict(layer), "lut": layer.lut, "levels": layer.levels} for layer in self.layers]
        return {**self.report.to_json(), "lut_by_cause": self.lut_by_cause, "layers": layers}


_DEFAULT = EstimatePolicy()


def estimate(
    network: Network, plan: ProtectionPlan, *, clock_ns: float = 5.0, policy: EstimatePolicy = _DEFAULT
) -> Estimate:
    """Cost of the network under the plan. Raises ConfigError when the plan does not fit the network."""
    plan.check(network)
    per_cycle = policy.levels_per_cycle(clock_ns)
    costs = []
    for index, layer in enumerate(network.layers):
        types = network.input_types(index)
        if layer.protectable:
            costs.append(unit_cost(layer, types, plan.of_layer(layer), policy))
        else:
            sources = network.sources(index)
            widths = [costs[s].widths if s >= 0 else _input_widths(network) for s in sources]
            costs.append(passive_cost(layer, types, widths, policy))
    layers = tuple(timed(network, costs, per_cycle))
    report = ResourceReport(
        lut=sum(layer.lut for layer in layers),
        ff=sum(layer.ff for layer in layers),
        dsp=sum(layer.dsp for layer in layers),
        bram_18k=sum(layer.bram_18k for layer in layers),
        latency_cycles=sum(layer.latency_cycles for layer in layers),
        ii=max(layer.ii for layer in layers),
        clock_ns=float(clock_ns),
        source="estimate",
        tool_version=MODEL,
    )
    return Estimate(report, layers)


def _input_widths(network: Network) -> Ints:
    return np.full(network.n_in, network.input_type.width, np.int64)
