"""Which faults can be struck in an FPGA, and how: stored weights through the upset slots of an exported accelerator.

A slot flips bits of one word whenever the accelerator reads it: `upset<k>_layer` names the layer among those that store
their weights, from 1 (0: off), `upset<k>_word` the word, (copy * products + product) * neurons + neuron, and
`upset<k>_mask` the bits.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.faults import FaultArray, Target
from codesign.hls.registers import upset_number
from codesign.network import Network
from codesign.protection import ProtectionPlan

MASK_BITS = 32
PARTS = ("layer", "word", "mask")


@dataclass(frozen=True, eq=False)
class Strike:
    """What the slots are set to, shape (slots, 3) with the columns PARTS, or why a fault list cannot be struck."""

    settings: NDArray[np.uint32]
    reasons: Counter[str]

    @property
    def possible(self) -> bool:
        return not self.reasons


class Silicon:
    """The slots of an accelerator. Raises ConfigError where it has none."""

    def __init__(self, network: Network, plan: ProtectionPlan, slots: int) -> None:
        if not slots:
            raise ConfigError(
                f"the accelerator of network '{network.name}' has no upset slots, so that no fault can be struck on "
                "silicon: export it with them (`codesign export --upset-slots 2`), build and deploy it again"
            )
        self._network, self._plan, self.slots = network, plan, slots
        self._numbers = {index: upset_number(network, layer) for index, layer in enumerate(network.layers)}

    def strike(self, faults: FaultArray) -> Strike:
        """How a fault list is set. Bits of one word share a slot; a bit that is struck twice is not struck."""
        masks: dict[tuple[int, int], int] = {}
        reasons: Counter[str] = Counter()
        for fault in faults:
            if reason := self._refusal(fault):
                reasons[reason] += 1
                continue
            place = self._numbers[int(fault["layer"])], self.word(fault)
            masks[place] = masks.get(place, 0) ^ (1 << int(fault["bit"]))
        struck = [(layer, word, mask) for (layer, word), mask in sorted(masks.items()) if mask]
        if len(struck) > self.slots:
            reasons[
                f"{len(struck)} words at once, and the accelerator has {self.slots} upset slots: strike fewer "
                f"(--flips {self.slots}), or export more slots"
            ] += len(struck)
        rows = struck[: self.slots]
        return Strike(np.array([*rows, *[(0, 0, 0)] * (self.slots - len(rows))], np.uint32), reasons)

    def word(self, fault: np.void) -> int:
        """The number of the word that a fault in a weight strikes."""
        layer = self._network.layers[int(fault["layer"])]
        product = int(fault["replica"]) * layer.fan_in + int(fault["position"])
        return product * layer.neurons + int(fault["neuron"])

    def _refusal(self, fault: np.void) -> str | None:
        target, layer = Target(int(fault["target"])), self._network.layers[int(fault["layer"])]
        if target is not Target.WEIGHT:
            return (
                f"faults in target '{target.label}' are struck in simulation only, silicon gives no access to them: "
                "take --target weight"
            )
        if not self._numbers[int(fault["layer"])]:
            return (
                f"layer '{layer.name}' has its weights as constants in logic (reuse factor 1): only those in "
                "memories can be struck; give it a reuse factor above 1"
            )
        if int(fault["bit"]) >= MASK_BITS:
            return f"layer '{layer.name}' has words of more than {MASK_BITS} bits: a slot reaches the lower ones"
        return None


def refuse(trial: int, strike: Strike) -> None:
    """Raise ConfigError naming the first reason for which a trial cannot be struck, and how many faults it is of."""
    if reasons := strike.reasons.most_common():
        reason, number = reasons[0]
        raise ConfigError(f"trial {trial}: {number} of its faults cannot be struck on the board: {reason}")
