"""One design in, its figures out: train (or take from the cache), protect, cost, attack in stages."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from codesign.board.boards import Board, load_board
from codesign.campaign.merit import Merit, merit_of
from codesign.campaign.result import CampaignResult
from codesign.campaign.run import run_campaign
from codesign.campaign.statistics import Interval
from codesign.campaign.store import Store
from codesign.campaign.workers import Workers
from codesign.errors import ConfigError
from codesign.faults import FaultModel, Lifetime, Target
from codesign.fixed import Ints
from codesign.network import Network, forward
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import Estimate, EstimatePolicy, estimate
from codesign.resources.report import ResourceReport
from codesign.search.energy import ENERGY_SAMPLES, Energy
from codesign.search.evaluation import Evaluation
from codesign.search.objective import cost_of
from codesign.search.problem import Known, quantisation_of
from codesign.search.protect import Protector
from codesign.search.risk import Foresight
from codesign.search.stages import Look, Staged, looks, measure
from codesign.study import Design, Study
from codesign.train.builder import Data, Quantisation, data
from codesign.train.training import TrainedNetwork, train

# Studies' seeds have 32 bits, so no study shares a fresh campaign's faults with another's evaluations.
_FRESH_SEED = 2**32
# A fresh campaign has up to so many times the study's trials, and is looked at from half of that on.
FRESH_TIMES = 4


class Evaluator:
    """Evaluates designs of a study; networks, scores and finished trial batches are kept.

    `threads` and `workers` are those of `run_campaign`.
    """

    def __init__(
        self, study: Study, store: Store, *, threads: int | None = None, workers: Workers | None = None
    ) -> None:
        self.study = study
        self.store = store
        self.board: Board = load_board(study.hardware.board)
        self.data: Data = data(study)
        self._threads, self._workers = threads, workers
        self._protector = Protector(self.data, study.seed, self._plan_cost)
        self._golden: dict[str, Ints] = {}
        self._trained: dict[Quantisation, TrainedNetwork | ConfigError] = {}
        self._networks: dict[tuple[Quantisation, int], Network] = {}
        self._signatures: dict[Design, tuple[str, str, str, int]] = {}
        self._known: dict[str, Known] = {}
        self._estimates: dict[tuple[str, str, str, int], Estimate] = {}
        self._energy = Energy()
        self._foresight = Foresight.of(self.fault_model(), study.seed)

    def trained(self, design: Design) -> TrainedNetwork:
        """The design's network, trained at most once. Raises ConfigError where that is not possible, at once again."""
        asked = quantisation_of(design)
        if asked not in self._trained:
            try:
                self._trained[asked] = train(self.study, **vars(asked))
            except ConfigError as error:
                self._trained[asked] = error
        if isinstance(found := self._trained[asked], ConfigError):
            raise found
        return found

    def network(self, design: Design) -> Network:
        """The design's network, trained at most once, with its reuse factor."""
        key = quantisation_of(design), design.reuse_factor
        if key not in self._networks:
            self._networks[key] = self.trained(design).network.with_reuse(design.reuse_factor)
        return self._networks[key]

    def plan(self, network: Network, design: Design) -> ProtectionPlan:
        """The design's protection."""
        return self._protector.plan(network, design)

    def _plan_cost(self, network: Network, plan: ProtectionPlan) -> float:
        return self.cost(estimate(network, plan, clock_ns=self.study.hardware.clock_ns).report, network, plan)

    def cost(self, report: ResourceReport, network: Network, plan: ProtectionPlan) -> float:
        """What the study's objective makes of an estimate."""
        return cost_of(report, self.study.objective, self.board, self._energy_proxy(network, plan) or 0.0)

    def _energy_proxy(self, network: Network, plan: ProtectionPlan) -> float | None:
        """Bit changes an inference on the test set; None where the objective does not weigh them."""
        if not self.study.objective.energy:
            return None
        samples = partial(network.quantise_inputs, self.data.test_inputs[:ENERGY_SAMPLES])
        return self._energy.proxy(network, plan, samples)

    def protected(self, design: Design) -> tuple[Network, ProtectionPlan]:
        """What the design becomes."""
        network = self.network(design)
        return network, self.plan(network, design)

    def signature(self, design: Design) -> tuple[str, str, str, int]:
        """Digests and structure: two designs of the same signature are the same accelerator."""
        if design not in self._signatures:
            network, plan = self.protected(design)
            self._signatures[design] = network.digest, plan.digest, *design.structure
        return self._signatures[design]

    def known(self, design: Design) -> Known:
        """What is exact of a design, and the risk that is foretold; its network is trained if it has to be."""
        if design.digest not in self._known:
            network, plan = self.protected(design)
            clean, report = self.trained(design).accuracy_clean, self._estimate(design, network, plan).report
            inputs = partial(network.quantise_inputs, self.data.train_inputs)
            risk = self._foresight.risk(network, plan, inputs, clean) if self._foresight is not None else None
            self._known[design.digest] = Known(
                self.cost(report, network, plan), self._exact_margins(clean, report), risk
            )
        return self._known[design.digest]

    def fault_model(self, ber: float | None = None) -> FaultModel:
        """The study's faults, or the same at another bit error rate."""
        return fault_model(self.study, ber)

    @property
    def fresh_seed(self) -> int:
        """The seed of fresh campaigns."""
        return self.study.seed + _FRESH_SEED

    def fresh_campaign(self, network: Network, plan: ProtectionPlan, confidence: float) -> Staged[CampaignResult]:
        """Several times the study's trials, with faults that no evaluation has seen (another seed)."""
        fresh = replace(self.fault_model(), seed=self.fresh_seed)
        trials = FRESH_TIMES * self.study.faults.trials
        return self._staged(network, plan, fresh, looks(trials, confidence, least=trials // 2), confidence)

    def campaign(
        self,
        network: Network,
        plan: ProtectionPlan,
        model: FaultModel,
        progress: Callable[[int], None] | None = None,
        trials: int | None = None,
    ) -> CampaignResult:
        """The study's number of trials on its test set; finished batches come from the store."""
        return run_campaign(
            network,
            plan,
            model,
            self.data.test_inputs,
            self.data.test_labels,
            trials=trials or self.study.faults.trials,
            confidence=self.study.faults.confidence,
            store=self.store,
            progress=progress,
            threads=self._threads,
            workers=self._workers,
            golden=self._logits(network),
        )

    def _logits(self, network: Network) -> Ints:
        """Fault-free ones of the test set, shape (n_samples, n_out): the same for every plan."""
        if network.digest not in self._golden:
            self._golden[network.digest] = forward(network, network.quantise_inputs(self.data.test_inputs))[-1]
        return self._golden[network.digest]

    def _staged(
        self,
        network: Network,
        plan: ProtectionPlan,
        model: FaultModel,
        views: tuple[Look, ...],
        confidence: float,
        progress: Callable[[int], None] | None = None,
    ) -> Staged[CampaignResult]:
        def attack(trials: int) -> CampaignResult:
            return self.campaign(network, plan, model, progress, trials)

        return measure(attack, self.study.requirements.accuracy_faulty, confidence, views)

    def merit(self, network: Network, plan: ProtectionPlan) -> Merit:
        """The study's metric without faults and under its faults."""
        model = self.fault_model()
        result = self.campaign(network, plan, model)
        samples = self.data.test_inputs, self.data.test_labels
        return merit_of(self.study.model.metric, result, network, plan, model, *samples)

    def evaluate(
        self, design: Design, progress: Callable[[int], None] | None = None, *, every_trial: bool = False
    ) -> Evaluation:
        """All figures of one design.

        The campaign is short where another constraint is broken, and otherwise ends as soon as it says whether the
        requirement is met; with `every_trial` it has all of the study's trials.
        """
        spent: dict[str, float] = {}
        with _timed(spent, "training"):
            clean = self.trained(design).accuracy_clean
        with _timed(spent, "estimate"):
            network, plan = self.protected(design)
            cost = self._estimate(design, network, plan)
            report = cost.report
            margins = self._exact_margins(clean, report)
        with _timed(spent, "campaigns"):
            faults = self.study.faults
            views = looks(faults.trials, faults.confidence)
            if every_trial:
                views = views[-1:]
            elif min(margins.values()) < 0:
                views = views[:1]
            found = self._staged(network, plan, self.fault_model(), views, faults.confidence, progress)
        faulty = found.interval("accuracy")
        return Evaluation(
            design=design,
            network=network.digest,
            plan=plan.digest,
            accuracy_clean=clean,
            accuracy_faulty=faulty,
            sdc1=found.interval("sdc1"),
            trials=found.measured.trials,
            resources=report,
            lut_by_cause=cost.lut_by_cause,
            cost=self.cost(report, network, plan),
            energy_proxy=self._energy_proxy(network, plan),
            margins=self._margins(margins, faulty),
            seconds=sum(spent.values()),
            stages=found.stages,
            seconds_by_stage=spent,
        )

    def _estimate(self, design: Design, network: Network, plan: ProtectionPlan) -> Estimate:
        key = network.digest, plan.digest, *design.structure
        if key not in self._estimates:
            policy = EstimatePolicy.of(*design.structure)
            self._estimates[key] = estimate(network, plan, clock_ns=self.study.hardware.clock_ns, policy=policy)
        return self._estimates[key]

    def _exact_margins(self, clean: float, report: ResourceReport) -> dict[str, float]:
        """Of every constraint that needs no campaign."""
        wanted = self.study.requirements
        margins: dict[str, float] = {}
        if wanted.accuracy_clean is not None:
            margins["accuracy_clean"] = clean - wanted.accuracy_clean
        if wanted.latency_cycles is not None:
            assert report.latency_cycles is not None
            margins["latency_cycles"] = 1.0 - report.latency_cycles / wanted.latency_cycles
        there = {name: getattr(self.board, name) for name in ("lut", "ff", "dsp", "bram_18k")}
        used = {name: getattr(report, name) or 0 for name in there}
        margins["capacity"] = min(
            1.0 - used[name] / there[name] if there[name] else math.copysign(1.0, -used[name]) for name in there
        )
        return margins

    def _margins(self, exact: dict[str, float], faulty: Interval) -> dict[str, float]:
        margins, wanted = dict(exact), self.study.requirements.accuracy_faulty
        if wanted is not None:
            margins["accuracy_faulty"] = faulty.low - wanted
        # In the order that JSON gives them back: a search that goes on sums and lists them alike.
        return dict(sorted(margins.items()))


@contextmanager
def _timed(spent: dict[str, float], stage: str) -> Iterator[None]:
    """Add what the block takes, in seconds."""
    start = time.perf_counter()
    try:
        yield
    finally:
        spent[stage] = spent.get(stage, 0.0) + time.perf_counter() - start


def fault_model(study: Study, ber: float | None = None) -> FaultModel:
    """A study's faults, or the same at another bit error rate."""
    faults = study.faults
    return FaultModel(
        targets=tuple(Target[name.upper()] for name in faults.targets),
        ber=faults.ber if ber is None else ber,
        n_flips=faults.n_flips if ber is None else None,
        lifetime=Lifetime(faults.lifetime),
        seed=study.seed,
    )
