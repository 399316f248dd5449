"""Resources of a design by arithmetic alone, for the inner loop of a search.

The architecture costed is the one of the protected kernels with io_parallel: each layer that computes is a unit of
`neurons` x `per_pass` multipliers, used for every pixel in `reuse_factor` passes; layers that do not compute work on
all of their values at once. Counts are of the project's own RTL as Yosys maps it (see `adders`, which knows what a bit
of an adder takes, and `sums`, which follows words through trees, cuts and copies); `calibration` has the few factors
that are fitted, the errors, and what they hold for. `tool_version` of the report names the model (`MODEL`).

What is counted, part by part, is in docs/theory.md; in short, in 6-input LUTs:

- Products by constants are recoded to canonical signed digits and added in a balanced tree; products by stored weights
  (reuse factor above 1) are rows of ands. Wide ones take DSPs (see `codesign.resources.dsp`).
- Shared graphs (strategy distributed_arithmetic) are da4ml's adders as the RTL has them, and no products; see `shared`.
- Sums are balanced trees, chains where the accumulator saturates. With strategy latency neurons share nothing.
- A hardened neuron (h bits, cut c = A - h) has bits below c once, those from c on in each copy, with its sign. Products
  exist once but for scope mac. Guards and carries between the parts are the cause `guards`.
- Units for several pixels or passes have window registers, choices of operands, and memories of parameters.
- Levels of logic make the latency, `levels_per_cycle` in a cycle; registers hold what is alive at every cut between two
  cycles (see `schedule`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from codesign.network import Network
from codesign.notebook import html_table
from codesign.protection import ProtectionPlan
from codesign.resources.estimate.figures import CAUSES, Area, LayerEstimate
from codesign.resources.estimate.passive import passive_cost
from codesign.resources.estimate.schedule import timed
from codesign.resources.estimate.unit import unit_cost
from codesign.resources.factors import Error
from codesign.resources.policy import EstimatePolicy
from codesign.resources.report import ResourceReport

__all__ = ["CAUSES", "MODEL", "Estimate", "EstimatePolicy", "LayerEstimate", "estimate"]

MODEL = "codesign-estimate-3"


@dataclass(frozen=True)
class Estimate:
    """The report, and where its figures come from.

    `errors` are those to expect of the report's figures, by name; empty where something of the design, which
    `outside` names, is not what the estimate was calibrated with.
    """

    report: ResourceReport
    layers: tuple[LayerEstimate, ...]
    errors: Mapping[str, Error]
    outside: tuple[str, ...]

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

    def _repr_html_(self) -> str:
        causes = [(layer.name, layer.lut, *(getattr(layer, cause) for cause in CAUSES)) for layer in self.layers]
        caption = f"{self.report.lut:,} LUT, {self.report.dsp} DSP, {self.report.latency_cycles} cycles (estimate)"
        return html_table(caption, ("layer", "LUT", *CAUSES), causes) + self._figure()

    def _figure(self) -> str:
        from codesign.notebook.figures import stacked

        rows = {layer.name: {cause: getattr(layer, cause) for cause in CAUSES} for layer in self.layers if layer.lut}
        return stacked(f"LUTs by layer and cause, {self.report.lut} in all", rows, "LUT (estimate)")

    def to_json(self) -> dict[str, Any]:
        """The report's fields, the LUTs by cause, the layers, and the expected errors (null if not calibrated)."""
        layers = [{**asdict(layer), "lut": layer.lut, "levels": layer.levels} for layer in self.layers]
        errors = {name: asdict(error) for name, error in self.errors.items()}
        expected = {"calibrated": not self.outside, "error": errors or None, "outside": list(self.outside)}
        return {**self.report.to_json(), "lut_by_cause": self.lut_by_cause, **expected, "layers": layers}


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
            costs.append(unit_cost(layer, types, plan.of_layer(layer), policy, per_cycle))
        else:
            costs.append(passive_cost(layer, types, policy))
    layers = tuple(policy.calibration.applied(layer) for layer in timed(network, costs, per_cycle))
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
    shared = [layer.name for layer, cost in zip(network.layers, costs, strict=True) if cost.shared]
    outside = policy.calibration.outside(network, plan, report.dsp or 0, shared)
    return Estimate(report, layers, {} if outside else policy.calibration.errors, outside)
