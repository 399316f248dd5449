"""What random cases contain, in tables: how many of them reach each layer kind, mode, protection and fault.

A case is a network with a plan under one fault list. It counts once in a cell, however often it has what that names.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from codesign.codes import Code
from codesign.engine.counts import COUNTS, count
from codesign.faults import ALL_SAMPLES, UNIT, FaultArray, Lifetime, Target
from codesign.fixed import Ints, Overflow, Rounding
from codesign.network import Kind, Layer, Network
from codesign.network.kind import COMPUTING, WIRING, WITH_WEIGHTS
from codesign.network.rules import TABLES_OF
from codesign.outcome import Outcome
from codesign.protection import Mechanism, ProtectionPlan, Scope

# Title, row and column.
Cell = tuple[str, str, str]


def _everything(row: str, column: str) -> bool:
    return True


@dataclass(frozen=True)
class Table:
    """`possible` tells of a row and a column whether any case can reach it."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    possible: Callable[[str, str], bool] = _everything

    def cells(self) -> list[Cell]:
        return [(self.title, row, column) for row in self.rows for column in self.columns if self.possible(row, column)]


def _struck(kind: str, target: str) -> bool:
    """Registers exist behind all layers but wiring, units where sums are computed."""
    match target:
        case "cases":
            return True
        case "weight" | "bias" | "product":
            return kind in WITH_WEIGHTS
        case "accumulator" | "voter":
            return kind in COMPUTING
    return kind not in WIRING


def _lives(target: str, column: str) -> bool:
    """Stored bits are wrong for the whole trial; a register and a voter's output exist once."""
    if target in ("weight", "bias"):
        return column != Lifetime.TRANSIENT
    return target in ("product", "accumulator") or column in (*Lifetime, "replica 0")


def _protects(row: str, column: str) -> bool:
    """Only what is hardened has a voter, and only a recomputing layer a unit that its neurons share."""
    if column == "shared unit":
        return row == Mechanism.RECOMPUTE
    return row != PLAIN or column not in ("voter", "all bits", "some bits")


PLAIN = "not hardened"
TARGETS = tuple(target.label for target in Target)
PROTECTIONS = (PLAIN, *(f"{m} {s}" for m in (Mechanism.TMR, Mechanism.DMR) for s in Scope), str(Mechanism.RECOMPUTE))
FUNCTIONS = (*TABLES_OF, "softmax stable", "softmax latency")
MODES = (tuple(map(str, Rounding)), tuple(map(str, Overflow)))
TABLES = (
    Table("layers, and faults in them", tuple(map(str, Kind)), ("cases", *TARGETS), _struck),
    Table("functions", FUNCTIONS, ("cases",)),
    Table("accumulators of layers that compute", *MODES),
    Table("results", *MODES),
    Table("neurons, and faults in them", PROTECTIONS, ("some bits", "all bits", *TARGETS, "shared unit"), _protects),
    Table("faults", TARGETS, (*map(str, Lifetime), "replica 0", "replica 1", "replica 2"), _lives),
    Table("stored parameters, and faults in them", tuple(map(str, Code)), ("cases", "weight", "bias")),
    Table("passes of a multiplier", ("reuse factor",), ("1", "more")),
)


# What a fault list makes the protection tell; "unchanged" where a flagged sample has its fault-free logits.
FLAGS = Table("flags", ("corrected", "detected"), ("some samples", "every sample", "unchanged"))
OUTCOMES = Table("samples that are", ("masked", "corrected", "detected", "silent", "sdc1", "sdc5"), ("cases",))


@dataclass
class Coverage:
    """Counts of cases; `more` are tables beside the ones that all have."""

    more: tuple[Table, ...] = ()
    counts: Counter[Cell] = field(default_factory=Counter)
    cases: int = 0

    def add(self, cells: Iterable[Cell]) -> None:
        """One case."""
        self.counts.update(set(cells))
        self.cases += 1

    def empty(self) -> list[Cell]:
        """What could be reached and was not."""
        return [cell for table in (*TABLES, *self.more) for cell in table.cells() if not self.counts[cell]]

    def __str__(self) -> str:
        tables = (self._printed(table) for table in (*TABLES, *self.more))
        return "\n\n".join((f"{self.cases} cases, of which each cell counts those that reach it", *tables))

    def _printed(self, table: Table) -> str:
        first, width = max(map(len, table.rows)) + 2, max(7, *map(len, table.columns)) + 2
        lines = [table.title, " " * first + "".join(f"{column:>{width}}" for column in table.columns)]
        for row in table.rows:
            known = [(self.counts[table.title, row, c] if table.possible(row, c) else "-") for c in table.columns]
            lines.append(f"{row:{first}}" + "".join(f"{value:>{width}}" for value in known))
        return "\n".join(lines)


# ---------------------------------------------------------------- what a case reaches


def cells_of(network: Network, plan: ProtectionPlan) -> set[Cell]:
    """Of any case with this network and this plan."""
    found: set[Cell] = set()
    for layer in network.layers:
        found.add(("layers, and faults in them", layer.kind, "cases"))
        found |= _of_function(layer)
        if layer.kind not in WIRING and layer.kind is not Kind.ARGMAX:  # which only hold what enters, or constants
            found.add(("results", layer.result.rounding, layer.result.overflow))
    for _, layer in network.compute_layers():
        found.add(("accumulators of layers that compute", layer.acc.rounding, layer.acc.overflow))
        for neuron, hardened in enumerate(plan.of_layer(layer).hardened_bits):
            bits = "all bits" if hardened == layer.acc.width else "some bits"
            if hardened:
                found.add(("neurons, and faults in them", _protection(plan, layer, neuron), bits))
        if layer.has_weights:
            code = plan.of_layer(layer).parameters
            found.add(("stored parameters, and faults in them", code, "cases"))
            found.add(("passes of a multiplier", "reuse factor", "1" if layer.reuse_factor == 1 else "more"))
    return found


def cells_of_faults(network: Network, plan: ProtectionPlan, faults: FaultArray) -> set[Cell]:
    """Of a fault list."""
    found: set[Cell] = set()
    struck = zip(*(faults[name].tolist() for name in ("layer", "target", "neuron", "replica", "sample")), strict=True)
    for index, number, neuron, replica, sample in set(struck):
        layer, target = network.layers[index], Target(number)
        lifetime = Lifetime.PERSISTENT if sample == ALL_SAMPLES else Lifetime.TRANSIENT
        found.add(("layers, and faults in them", layer.kind, target.label))
        found |= {("faults", target.label, lifetime), ("faults", target.label, f"replica {replica}")}
        if neuron == UNIT:
            found.add(("neurons, and faults in them", Mechanism.RECOMPUTE, "shared unit"))
        elif layer.protectable:
            found.add(("neurons, and faults in them", _protection(plan, layer, neuron), target.label))
        if target.stored:
            found.add(("stored parameters, and faults in them", plan.of_layer(layer).parameters, target.label))
    return found


def cells_of_outcome(outcome: Outcome, golden: Ints) -> set[Cell]:
    """Of what a simulator gives, and of the fault-free logits."""
    found: set[Cell] = set()
    unchanged = (outcome.logits == golden).all(axis=1)
    for row in FLAGS.rows:
        raised = getattr(outcome, row)
        reached = (raised.any() and not raised.all(), raised.all(), (raised & unchanged).any())
        found |= {(FLAGS.title, row, column) for column, is_so in zip(FLAGS.columns, reached, strict=True) if is_so}
    counts = dict(zip(COUNTS.names or (), count(outcome, golden, golden.argmax(axis=1)), strict=True))
    counts["masked"] = len(golden) - counts["corrected"] - counts["detected"] - counts["silent"]
    return found | {(OUTCOMES.title, row, "cases") for row in OUTCOMES.rows if counts[row]}


def _of_function(layer: Layer) -> set[Cell]:
    if layer.kind is Kind.ACTIVATION:
        return {("functions", layer.settings["function"], "cases")}
    if layer.kind is Kind.SOFTMAX:
        return {("functions", f"softmax {layer.settings['implementation']}", "cases")}
    return set()


def _protection(plan: ProtectionPlan, layer: Layer, neuron: int) -> str:
    """A row of the table of neurons."""
    of_layer = plan.of_layer(layer)
    if not of_layer.hardened_bits[neuron]:
        return PLAIN
    again = of_layer.mechanism is Mechanism.RECOMPUTE
    return str(of_layer.mechanism) if again else f"{of_layer.mechanism} {of_layer.scope}"
