"""From a design's variables to the protection plan of its network."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from codesign.codes import Code
from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope, selective_plan
from codesign.study import Design
from codesign.train.builder import Data
from codesign.vulnerability import BudgetSelection, Scores, bit_scores, neuron_scores


def hardened_alike(design: Design, bits: int) -> Design:
    """The design's own network with so many hardened bits in every neuron; with MAX_WIDTH all of them."""
    plain = replace(design, important_fraction=1.0, protection_budget=0.0)
    return replace(plain, hardened_bits_important=bits, hardened_bits_normal=bits)


@dataclass(frozen=True, eq=False)
class Protector:
    """Chooses important neurons, or the bits worth most for a budget, by a score on the training set.

    `cost` is what a plan costs. Scores and selections are kept.
    """

    data: Data
    seed: int
    cost: Callable[[Network, ProtectionPlan], float]
    _scores: dict[tuple[str, str], Scores] = field(default_factory=dict)
    _selections: dict[tuple[str, str, LayerPlan], BudgetSelection] = field(default_factory=dict)

    def plan(self, network: Network, design: Design) -> ProtectionPlan:
        """The design's protection of its network."""
        like = LayerPlan(
            layer="",
            hardened_bits=(),
            mechanism=Mechanism(design.mechanism),
            scope=Scope(design.hardened_scope),
            dot_size=design.dot_size,
            parameters=Code(design.parameters),
        )
        if design.protection_budget > 0:
            selection = self._selection(network, design.importance_score, like)
            return selection.plan(design.protection_budget * selection.full_cost, design.importance_scope)
        return selective_plan(
            network,
            self._neuron_scores(network, design.importance_score),
            design.important_fraction,
            design.hardened_bits_important,
            design.hardened_bits_normal,
            design.importance_scope,
            like,
        )

    def _neuron_scores(self, network: Network, score: str) -> Scores:
        key = network.digest, score
        if key not in self._scores:
            self._scores[key] = neuron_scores(network, *self._calibration(network), score, self.seed)
        return self._scores[key]

    def _selection(self, network: Network, score: str, like: LayerPlan) -> BudgetSelection:
        key = network.digest, score, like
        if key not in self._selections:
            rates = bit_scores(network, *self._calibration(network), score, self.seed)
            self._selections[key] = BudgetSelection(network, rates, lambda plan: self.cost(network, plan), like)
        return self._selections[key]

    def _calibration(self, network: Network) -> tuple[Ints, Ints]:
        """Raw inputs and labels of the training set."""
        return network.quantise_inputs(self.data.train_inputs), self.data.train_labels
