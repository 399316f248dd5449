"""The unit that a layer's hardened neurons share to be recomputed."""

from dataclasses import dataclass, replace
from functools import cached_property

from codesign.fixed import FixedPoint
from codesign.network import Layer
from codesign.protection import LayerPlan, Mechanism
from codesign.resources.estimate.figures import Area
from codesign.resources.estimate.logic import mux_luts
from codesign.resources.estimate.multipliers import Multipliers, stored_products
from codesign.resources.estimate.stored import decoding_levels, stored
from codesign.resources.estimate.sums import Copies, Sums
from codesign.resources.estimate.trees import tree
from codesign.resources.estimate.words import Range, Words
from codesign.resources.policy import EstimatePolicy
from codesign.resources.rtl.words import mux_levels


@dataclass(frozen=True)
class SharedUnit:
    """The unit that recomputes the hardened neurons twice, one after the other, with a memory of their weights."""

    layer: Layer
    source: FixedPoint
    plan: LayerPlan
    policy: EstimatePolicy

    @property
    def neurons(self) -> int:
        """How many it recomputes."""
        return sum(h > 0 for h in self.plan.hardened_bits) if self.plan.mechanism is Mechanism.RECOMPUTE else 0

    @property
    def _passes(self) -> int:
        return self.plan.unit_passes(self.layer)

    @property
    def cycles(self) -> int:
        """For one pixel."""
        return 2 * self.neurons * self._passes

    @property
    def _choices(self) -> int:
        """From how many operands each multiplier chooses: its own of every pass, of every channel where they differ."""
        return self._passes * (self.neurons if self.layer.per_channel else 1)

    @cached_property
    def _arithmetic(self) -> tuple[Multipliers, Sums]:
        found = stored_products(self.layer, self.source, self.policy, (self.plan.dot_size, 1))
        leaves = Words.of_type(self.layer.acc, (1, 1)).then(found.words)
        return found.cost, tree(leaves, Copies.none(), Range.of_type(self.layer.acc))

    @property
    def area(self) -> Area:
        layer, size = self.layer, self.plan.dot_size
        cost, sums = self._arithmetic
        operands = size * self.source.width
        parameters = self._parameters
        accumulators = layer.neurons + 2 * self.neurons + 1  # the first results, the second and third, the running sum
        return replace(
            parameters,
            function=0,
            replicas=parameters.function + int(cost.lut.sum()) + sums.lut + operands * mux_luts(self._choices),
            guards=parameters.guards + size,
            dsp=int(cost.dsp.sum()),
            ff=operands + size * layer.w.type.width + accumulators * layer.acc.width,
        )

    @property
    def _parameters(self) -> Area:
        layer, code = self.layer, self.plan.parameters
        weights = stored(self.neurons * self._passes, self.plan.dot_size, layer.w.type, code, self.policy)
        return weights + stored(self.neurons, 1, layer.b.type, code, self.policy)

    @property
    def levels(self) -> tuple[int, int, int]:
        cost, sums = self._arithmetic
        choosing = mux_levels(self._choices) + decoding_levels(self.layer, self.plan)
        products = int(cost.depth.max())
        return choosing, products, sums.levels - products
