"""All designs of a discretised space, each evaluated by engine and estimate: the truth that searches are measured by.

Finished figures are kept in codesign's cache folder, so that an interrupted run goes on and the next one only reads.
"""

import json
import os
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, product
from pathlib import Path
from typing import Any

from digits import Task, digits_cnn, digits_mlp

from codesign.campaign.run import run_campaign
from codesign.campaign.statistics import Interval
from codesign.errors import StoreError
from codesign.faults import FaultModel, Target
from codesign.files import cache_folder, digest_of, write_atomically
from codesign.fixed import FixedPoint, Overflow, Rounding, quantise, to_real
from codesign.network import Network, Parameter, forward
from codesign.progress import bar
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, selective_plan
from codesign.resources.estimate import estimate
from codesign.resources.report import ResourceReport
from codesign.search.evaluation import Evaluation
from codesign.search.problem import Known
from codesign.search.risk import Foresight
from codesign.search.space import Space
from codesign.study import Design, SpaceSection, Study, load_study
from codesign.vulnerability import BudgetSelection, Scores, bit_vulnerability, by_neuron

FORMAT = 1
DRAWS = 100
KEPT_EVERY = 50
STUDY = Path(__file__).resolve().parent.parent / "models" / "digits_mlp.toml"
SHARES = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
BITS = {"hardened_bits_important": [*range(0, 24, 2)], "hardened_bits_normal": [*range(0, 18, 2)]}


@dataclass(frozen=True)
class Case:
    """A space of a benchmark network. `wanted`: least accuracy under faults, lower bound."""

    name: str
    ber: float
    wanted: float
    space: dict[str, Any]

    @property
    def task(self) -> Task:
        return digits_cnn() if "cnn" in self.name else digits_mlp((32, 32))


CASES = {
    case.name: case
    for case in (
        Case(
            "digits_mlp",
            3e-5,
            0.92,
            {
                "weight_bits": [4, 5, 6, 8],
                "important_fraction": SHARES,
                **BITS,
                "importance_scope": ["network", "layer"],
            },
        ),
        Case(
            "digits_cnn",
            1e-5,
            0.86,
            {"weight_bits": [5, 6, 8], "important_fraction": SHARES, **BITS, "mechanism": ["tmr", "dmr"]}
            | {"importance_scope": ["network", "layer"]},
        ),
        Case(
            "digits_mlp_budget",
            1e-4,
            0.90,
            {"weight_bits": [4, 5, 6, 8], "important_fraction": SHARES, **BITS}
            | {"importance_scope": ["network", "layer"], "protection_budget": [0.0, *(i / 40 for i in range(1, 25))]},
        ),
        Case(
            "quick",
            1e-4,
            0.90,
            {"weight_bits": [5, 8], "important_fraction": [0.2, 0.6], "hardened_bits_important": [0, 6, 12, 18]}
            | {"hardened_bits_normal": [0, 8]},
        ),
    )
}


@dataclass(frozen=True)
class Row:
    """Figures of one accelerator."""

    lut: int
    dsp: int
    latency_cycles: int
    clean: float
    accuracy: Interval
    risk: float

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "Row":
        return cls(**{**given, "accuracy": Interval(**given["accuracy"])})

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "accuracy": self.accuracy.to_json()}


class Workshop:
    """Builds and evaluates designs of a case; one in each process."""

    def __init__(self, case: Case, trials: int, seed: int) -> None:
        self.case, self.trials, self.seed = case, trials, seed
        task = case.task
        half = len(task.inputs) // 2
        self.calibration, self.inputs, self.labels = task.inputs[:half], task.inputs[half:], task.labels[half:]
        self.foresight = Foresight(case.ber, seed)
        widths = case.space["weight_bits"]
        self.networks = {bits: narrowed(task.network, bits) for bits in widths}
        self._rates: dict[int, Scores] = {}
        self._selections: dict[tuple[int, str], BudgetSelection] = {}

    def rates(self, bits: int) -> Scores:
        if bits not in self._rates:
            self._rates[bits] = bit_vulnerability(self.networks[bits], self.calibration, DRAWS, self.seed)
        return self._rates[bits]

    def plan(self, design: Design) -> ProtectionPlan:
        """As `codesign optimize` makes it."""
        bits, network = design.weight_bits, self.networks[design.weight_bits]
        like = LayerPlan("", (), Mechanism(design.mechanism))
        if design.protection_budget > 0:
            key = bits, design.mechanism
            if key not in self._selections:
                self._selections[key] = BudgetSelection(network, self.rates(bits), lambda p: lut_of(network, p), like)
            selection = self._selections[key]
            return selection.plan(design.protection_budget * selection.full_cost, design.importance_scope)
        scores = by_neuron(network, self.rates(bits))
        shape = design.important_fraction, design.hardened_bits_important, design.hardened_bits_normal
        return selective_plan(network, scores, *shape, design.importance_scope, like)

    def signature(self, design: Design) -> str:
        return f"{design.weight_bits}-{self.plan(design).digest}"

    def row(self, design: Design) -> Row:
        network, plan = self.networks[design.weight_bits], self.plan(design)
        report = estimate(network, plan).report
        model = FaultModel((Target.ACCUMULATOR,), ber=self.case.ber, seed=self.seed)
        found = run_campaign(network, plan, model, self.inputs, self.labels, trials=self.trials)
        clean = float((forward(network, self.inputs)[-1].argmax(axis=1) == self.labels).mean())
        assert report.lut is not None and report.dsp is not None and report.latency_cycles is not None
        risk = self.foresight.risk(network, plan, lambda: self.calibration, clean)
        return Row(report.lut, report.dsp, report.latency_cycles, clean, found.accuracy, risk)


def narrowed(network: Network, bits: int) -> Network:
    """The network with weights rounded to fewer bits, and as much narrower accumulators."""
    width = FixedPoint(bits, 1, rounding=Rounding.RND, overflow=Overflow.SAT)
    layers = []
    for layer in network.layers:
        if layer.has_weights:
            weight = Parameter(quantise(to_real(layer.w.raw, layer.w.type), width), width)
            acc = replace(layer.acc, width=layer.acc.width - (layer.w.type.width - bits))
            assert layer.result == layer.acc
            layer = replace(layer, weight=weight, accumulator=acc, result=acc)
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def lut_of(network: Network, plan: ProtectionPlan) -> float:
    """By the estimate."""
    lut = estimate(network, plan).report.lut
    assert lut is not None
    return lut


class Seen:
    """A searcher's `Problem`: the part of a table that the networks in a history open up."""

    def __init__(self, table: "Table", history: Sequence[Evaluation]) -> None:
        self._table, self._networks = table, {evaluation.design.weight_bits for evaluation in history}

    def signature(self, design: Design) -> Hashable:
        return self._table.signature(design) if design.weight_bits in self._networks else design.digest

    def known(self, design: Design) -> Known | None:
        return self._table.known(design) if design.weight_bits in self._networks else None


class Table:
    """Every design of a case and its figures."""

    def __init__(self, case: Case, study: Study, signatures: dict[str, str], rows: dict[str, Row]) -> None:
        self.case, self.study, self._signatures, self.rows = case, study, signatures, rows

    def signature(self, design: Design) -> str:
        return self._signatures[design.digest]

    def known(self, design: Design) -> Known:
        row = self.rows[self.signature(design)]
        return Known(self._cost(row), self._margins(row), row.risk)

    def seen(self, history: Sequence[Evaluation]) -> Seen:
        """What can be said of designs after these evaluations."""
        return Seen(self, history)

    def evaluate(self, design: Design) -> Evaluation:
        signature = self.signature(design)
        row = self.rows[signature]
        network, plan = signature.split("-")
        margins = {**self._margins(row), "accuracy_faulty": row.accuracy.low - self.case.wanted}
        return Evaluation(
            design=design,
            network=network,
            plan=plan,
            accuracy_clean=row.clean,
            accuracy_faulty=row.accuracy,
            sdc1=row.accuracy,
            trials=0,
            resources=ResourceReport(row.lut, None, row.dsp, None, row.latency_cycles, None, None, "estimate", ""),
            lut_by_cause={},
            cost=self._cost(row),
            margins=dict(sorted(margins.items())),
            seconds=0.0,
        )

    @property
    def designs(self) -> int:
        """Of which several may come to one accelerator."""
        return len(self._signatures)

    @cached_property
    def optimum(self) -> float:
        """Cost of the cheapest design that meets the requirements."""
        rows = self.rows.values()
        return min(
            self._cost(r) for r in rows if r.accuracy.low >= self.case.wanted and min(self._margins(r).values()) >= 0
        )

    @cached_property
    def points(self) -> list[tuple[float, float]]:
        """Cost and accuracy under faults of every accelerator."""
        return [(self._cost(row), row.accuracy.mean) for row in self.rows.values()]

    def _cost(self, row: Row) -> float:
        return self.study.objective.lut * row.lut + self.study.objective.dsp * row.dsp

    def _margins(self, row: Row) -> dict[str, float]:
        # Capacity of the zcu102, as `codesign optimize` has it.
        return {"accuracy_clean": row.clean - self.case.wanted, "capacity": 1 - row.lut / 274_080}


def study_of(case: Case, seed: int) -> Study:
    """The study of a search in the case's space; its model is never trained."""
    study = load_study(STUDY)
    wanted = study.requirements.model_copy(update={"accuracy_faulty": case.wanted, "accuracy_clean": case.wanted})
    return replace(study, name=case.name, seed=seed, space=SpaceSection(**case.space), requirements=wanted)


def designs_of(space: Space) -> list[Design]:
    """Every design of a space of lists, once."""
    found: dict[str, Design] = {}
    for values in product(*(variable.values for variable in space.variables)):
        design = space.design(dict(zip((v.name for v in space.variables), values, strict=True)))
        found.setdefault(design.digest, design)
    return list(found.values())


def table_of(case: Case, trials: int, seed: int, processes: int) -> Table:
    """The whole table; what is missing is evaluated in so many processes."""
    study = study_of(case, seed)
    designs = designs_of(Space(study.space))
    identity = digest_of(json.dumps([FORMAT, case.name, case.ber, case.space, trials, seed, DRAWS]))
    path = cache_folder() / "benchmarks" / f"search-{case.name}-{identity[:16]}.json"
    signatures, rows = _kept(path)
    missing = [design for design in designs if design.digest not in signatures]
    with bar(f"{case.name}: designs", len(designs)) as advance:
        for done, (digest, signature, row) in enumerate(_made(case, trials, seed, missing, processes), 1):
            signatures[digest] = signature
            rows.setdefault(signature, row)
            if done % KEPT_EVERY == 0 or done == len(missing):
                _keep(path, signatures, rows)
                advance(len(signatures))
    return Table(case, study, signatures, rows)


def _kept(path: Path) -> tuple[dict[str, str], dict[str, Row]]:
    if not path.exists():
        return {}, {}
    try:
        found = json.loads(path.read_text())
        return found["signatures"], {name: Row.from_json(row) for name, row in found["rows"].items()}
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error!r}): delete it, and it is made again") from None


def _keep(path: Path, signatures: dict[str, str], rows: dict[str, Row]) -> None:
    document = {"signatures": signatures, "rows": {name: row.to_json() for name, row in rows.items()}}
    write_atomically(path, json.dumps(document))


def _made(
    case: Case, trials: int, seed: int, designs: Sequence[Design], processes: int
) -> Iterator[tuple[str, str, Row]]:
    if not designs:
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(processes, initializer=_open, initargs=(case, trials, seed)) as pool:
        waiting = iter(designs)
        # A few at a time, so that an interrupt does not wait for all.
        while batch := list(islice(waiting, 16 * processes)):
            yield from pool.map(_row, batch, chunksize=4)


def _open(case: Case, trials: int, seed: int) -> None:
    global _workshop
    _workshop = Workshop(case, trials, seed)


def _row(design: Design) -> tuple[str, str, Row]:
    return design.digest, _workshop.signature(design), _workshop.row(design)
