"""The proof that redundancy is there: in the mapped netlist every replica is a piece of hardware of its own.

For each hardened neuron, between what its copies share (the parts of operands and the carries that they read, the
guards) and what they give: no two copies give the same net, no cell works for two of them, and each copy's guard
reaches what it gives. Behind them the voted sum and the flag depend on every copy. Optimisers that merge equal logic
break one of these, however the netlist is arranged.

Where the hierarchy was kept, the instances of copies and voters are counted as well, with their bits.
"""

import itertools
import re
from collections.abc import Iterable, Mapping

from codesign.errors import ReportError
from codesign.protection import ProtectionPlan, Scope
from codesign.resources.mapping import Mapped
from codesign.resources.netlist import WIRE, Netlist
from codesign.resources.rtl import Rtl


def prove(design: Rtl, modules: Mapping[str, Mapped], plan: ProtectionPlan) -> int:
    """How many copies a mapped design has. Raises ReportError where they are not those of the plan, or not apart."""
    count_instances(design, modules, plan)
    return sum(
        check_redundancy(Netlist.of(modules, design.layers[name].name), {name: neurons}, plan, prefix="")
        for name, neurons in design.hardened.items()
    )


def count_instances(design: Rtl, modules: Mapping[str, Mapped], plan: ProtectionPlan) -> None:
    """Raise ReportError where a layer has not exactly the plan's copies and voters, each with its bits."""
    for of_layer in plan.layers:
        name = of_layer.layer
        layer = modules[design.layers[name].name].netlist["cells"]
        found = {instance: cell["type"] for instance, cell in layer.items() if _PART.fullmatch(instance)}
        copies = range(of_layer.mechanism.copies)
        wanted = {
            f"n{neuron}_{part}": of_layer.hardened_bits[neuron]
            for neuron in design.hardened.get(name, ())
            for part in ("voter", *(f"copy{copy}" for copy in copies if neuron not in design.on_graphs.get(name, ())))
        } | {f"n{neuron}_voter": of_layer.hardened_bits[neuron] for neuron in design.recomputed.get(name, ())}
        graphs = {f"graph_copy{copy}" for copy in copies if design.on_graphs.get(name)}
        if wrong := sorted(found.keys() ^ wanted.keys() ^ graphs):
            state = "is missing" if wrong[0] in wanted.keys() | graphs else "is not in the plan"
            raise ReportError(f"layer '{name}': {wrong[0]} {state} in the mapped netlist")
        ports = {(instance, "a0" if instance.endswith("voter") else "y"): bits for instance, bits in wanted.items()}
        for neuron in design.on_graphs.get(name, ()):
            ports |= {(graph, f"y{neuron}"): of_layer.hardened_bits[neuron] for graph in graphs}
        for (instance, port), bits in ports.items():
            if len(modules[found[instance]].netlist["ports"][port]["bits"]) != bits:
                raise ReportError(f"layer '{name}': {instance} has not the plan's {bits} bits in the mapped netlist")


_PART = re.compile(r"n\d+_(copy\d+|voter)|graph_copy\d+")


def check_redundancy(
    netlist: Netlist, hardened: Mapping[str, Iterable[int]], plan: ProtectionPlan, prefix: str = "layer_{}."
) -> int:
    """How many copies the layers' hardened neurons have. Raises ReportError naming the layer, the neuron and what is
    merged or missing. `prefix` is where a layer's nets are, its name in the place of the braces.
    """
    found = 0
    plans = {layer.layer: layer for layer in plan.layers}
    products, carries = _reads(netlist, "h"), _reads(netlist, "c")
    for name, neurons in hardened.items():
        copies, within = plans[name].mechanism.copies, prefix.format(name)
        # Copies with multipliers of their own share the layer's operands, others the products.
        own = plans[name].scope is Scope.MAC
        inputs = {net for port in ("x", "x0", "x1") for net in netlist.nets.get(within + port, ())} if own else set()
        for neuron in neurons:
            path = f"{within}n{neuron}"
            read = products.get(path) or products.get(f"{within}graph", set())
            shared = (inputs if own else read) | carries.get(path, set())
            _Neuron(netlist, path, copies, shared).check(f"layer '{name}' neuron {neuron}")
            found += copies
    return found


def _reads(netlist: Netlist, kind: str) -> dict[str, set[int]]:
    """By a neuron's path what its copies read: high parts of products ("h"), or carries of the low sum ("c")."""
    found: dict[str, set[int]] = {}
    for name, nets in netlist.nets.items():
        path, _, port = name.rpartition("_")
        if port[:1] == kind and port[1:].isdecimal():
            found.setdefault(path, set()).update(nets)
    return found


class _Neuron:
    def __init__(self, netlist: Netlist, path: str, copies: int, shared: set[int]) -> None:
        self.netlist, self.path, self.copies = netlist, path, copies
        self.shared = shared | {self._origin(net) for net in shared}

    def check(self, where: str) -> None:
        """Raise ReportError where two copies have become one, or a copy decides nothing."""
        given = [self._variable(f"{self.path}_y{copy}", where) for copy in range(self.copies)]
        guards = set(self.netlist.nets.get("guard", ()))
        cones = [self._behind(nets, self.shared | guards) for nets in given]
        for first, second in itertools.combinations(range(self.copies), 2):
            # A bit that no copy computes is the shared operand's own.
            if (given[first] & given[second]) - self.shared or cones[first][0] & cones[second][0]:
                raise ReportError(
                    f"{where}: copies {first} and {second} share logic in the mapped netlist: "
                    "the tool has merged them, and the protection is not there"
                )
        for copy, (cells, reached) in enumerate(cones):
            # A copy of wires alone has nothing that could be merged.
            if (cells or given[copy] - self.shared) and not reached & guards:
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
        return {origin for net in self.netlist.nets[name] if (origin := self._origin(net)) > 1}

    def _origin(self, net: int) -> int:
        """Where a net comes from, through wires between ports."""
        while (cell := self.netlist.driver.get(net)) and cell.kind == WIRE:
            (net,) = cell.reads
        return net

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
                if cell.kind != WIRE:
                    cells.add(cell.path)
                waiting.extend(cell.reads)
        return cells, reached
