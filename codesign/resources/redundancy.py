"""The proof that redundancy is there: in the mapped netlist every replica is a piece of hardware of its own.

For each hardened neuron, between what its copies share (the parts of operands and the carries that they read, the
guards) and what they give: no two copies give the same net, no cell works for two of them, and each copy's guard
reaches what it gives. Behind them the voted sum and the flag depend on every copy. Optimisers that merge equal logic
break one of these, however the netlist is arranged.
"""

import itertools
from collections.abc import Iterable

from codesign.errors import ReportError
from codesign.protection import ProtectionPlan
from codesign.resources.netlist import Netlist
from codesign.resources.rtl import Rtl


def check_redundancy(netlist: Netlist, design: Rtl, plan: ProtectionPlan) -> int:
    """How many copies there are. Raises ReportError naming the layer, the neuron and what is merged or missing."""
    found = 0
    mechanisms = {layer.layer: layer.mechanism for layer in plan.layers}
    for name, neurons in design.hardened.items():
        for neuron in neurons:
            copies = mechanisms[name].copies
            _Neuron(netlist, f"layer_{name}.n{neuron}", copies).check(f"layer '{name}' neuron {neuron}")
            found += copies
    return found


class _Neuron:
    def __init__(self, netlist: Netlist, path: str, copies: int) -> None:
        self.netlist, self.path, self.copies = netlist, path, copies

    def check(self, where: str) -> None:
        """Raise ReportError where two copies have become one, or a copy decides nothing."""
        given = [self._variable(f"{self.path}_y{copy}", where) for copy in range(self.copies)]
        shared, guards = set(self._shared()), set(self.netlist.nets.get("guard", ()))
        cones = [self._behind(nets, shared | guards) for nets in given]
        for first, second in itertools.combinations(range(self.copies), 2):
            # A bit that no copy computes is the shared operand's own.
            if (given[first] & given[second]) - shared or cones[first][0] & cones[second][0]:
                raise ReportError(
                    f"{where}: copies {first} and {second} share logic in the mapped netlist: "
                    "the tool has merged them, and the protection is not there"
                )
        for copy, (_, reached) in enumerate(cones):
            if not reached & guards:
                raise ReportError(
                    f"{where}: no guard reaches copy {copy} in the mapped netlist: nothing keeps it apart"
                )
        for result, what in (("voted", "voted sum"), ("differ", "flag")):
            reached = self._behind(self.netlist.nets.get(f"{self.path}_{result}", ()), set().union(*given))[1]
            for copy, nets in enumerate(given):
                if not nets <= reached:
                    raise ReportError(f"{where}: its {what} does not depend on copy {copy} in the mapped netlist")

    def _variable(self, name: str, where: str) -> set[int]:
        """The nets of a copy's result that are no constants."""
        if name not in self.netlist.nets:
            raise ReportError(f"{where}: the mapped netlist has no '{name}': the copy is gone")
        return {net for net in self.netlist.nets[name] if net > 1}

    def _shared(self) -> Iterable[int]:
        # Copies of a shared graph read the layer's operands themselves.
        yield from self.netlist.nets.get(f"{self.path.rsplit('.', 1)[0]}.x", ())
        for name, nets in self.netlist.nets.items():
            rest = name.removeprefix(f"{self.path}_")
            if rest != name and rest[0] in "hc" and rest[1:].isdecimal():
                yield from nets

    def _behind(self, nets: Iterable[int], stop: set[int]) -> tuple[set[str], set[int]]:
        """The cells that nets depend on, up to the nets where it stops; and which of these it has reached."""
        cells, reached, seen = set[str](), set[int](), set[int]()
        waiting = list(nets)
        while waiting:
            net = waiting.pop()
            if net in seen or net < 2:
                continue
            seen.add(net)
            if net in stop:
                reached.add(net)
                continue
            if (cell := self.netlist.driver.get(net)) and cell.path not in cells:
                cells.add(cell.path)
                waiting.extend(cell.reads)
        return cells, reached
