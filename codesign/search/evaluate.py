"""One design in, its figures out: train (or take from the cache), protect, cost, attack."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from codesign.board.boards import Board, load_board
from codesign.campaign.merit import Merit, merit_of
from codesign.campaign.result import CampaignResult
from codesign.campaign.run import run_campaign
from codesign.campaign.statistics import Interval
from codesign.campaign.store import Store
from codesign.codes import Code
from codesign.faults import FaultModel, Lifetime, Target
from codesign.fixed import Ints
from codesign.network import Network
from codesign.protection import LayerPlan, Mechanism, ProtectionPlan, Scope, selective_plan
from codesign.resources.estimate import Estimate, EstimatePolicy, estimate
from codesign.resources.report import ResourceReport
from codesign.search.evaluation import Evaluation
from codesign.search.problem import Known
from codesign.search.risk import Foresight
from codesign.study import Design, Study
from codesign.train.builder import Data, Quantisation, data
from codesign.train.training import TrainedNetwork, train
from codesign.vulnerability import BudgetSelection, Scores, bit_scores, neuron_scores

# Studies' seeds have 32 bits, so no study shares a fresh campaign's faults with another's evaluations.
_FRESH_SEED = 2**32


class Evaluator:
    """Evaluates designs of a study; networks, scores and finished trial batches are kept."""

    def __init__(self, study: Study, store: Store) -> None:
        self.study = study
        self.store = store
        self.board: Board = load_board(study.hardware.board)
        self.data: Data = data(study)
        self._scores: dict[tuple[str, str], Scores] = {}
        self._selections: dict[tuple[str, str, LayerPlan], BudgetSelection] = {}
        self._trained: dict[Quantisation, TrainedNetwork] = {}
        self._known: dict[str, Known] = {}
        self._estimates: dict[tuple[str, str, str, int], Estimate] = {}
        self._foresight = Foresight.of(self.fault_model(), study.seed)

    def trained(self, design: Design) -> TrainedNetwork:
        """The design's network, trained at most once."""
        asked = quantisation_of(design)
        if asked not in self._trained:
            self._trained[asked] = train(self.study, **vars(asked))
        return self._trained[asked]

    def network(self, design: Design) -> Network:
        """The design's network, trained at most once, with its reuse factor."""
        return self.trained(design).network.with_reuse(design.reuse_factor)

    def plan(self, network: Network, design: Design) -> ProtectionPlan:
        """The design's protection: important neurons, or the bits worth most for its budget.

        Both are chosen by the design's score on the training set.
        """
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
            self._scores[key] = neuron_scores(network, *self._calibration(network), score, self.study.seed)
        return self._scores[key]

    def _selection(self, network: Network, score: str, like: LayerPlan) -> BudgetSelection:
        key = network.digest, score, like
        if key not in self._selections:
            rates = bit_scores(network, *self._calibration(network), score, self.study.seed)
            cost = partial(self._plan_cost, network)
            self._selections[key] = BudgetSelection(network, rates, cost, like)
        return self._selections[key]

    def _calibration(self, network: Network) -> tuple[Ints, Ints]:
        """Raw inputs and labels of the training set."""
        return network.quantise_inputs(self.data.train_inputs), self.data.train_labels

    def _plan_cost(self, network: Network, plan: ProtectionPlan) -> float:
        return self._cost(estimate(network, plan, clock_ns=self.study.hardware.clock_ns).report)

    def _cost(self, report: ResourceReport) -> float:
        """What the study's objective makes of an estimate."""
        assert report.lut is not None and report.dsp is not None  # the estimate always says
        return self.study.objective.lut * report.lut + self.study.objective.dsp * report.dsp

    def protected(self, design: Design) -> tuple[Network, ProtectionPlan]:
        """What the design becomes."""
        network = self.network(design)
        return network, self.plan(network, design)

    def signature(self, design: Design) -> tuple[str, str, str, int]:
        """Digests and structure: two designs of the same signature are the same accelerator."""
        network, plan = self.protected(design)
        return network.digest, plan.digest, *design.structure

    def known(self, design: Design) -> Known:
        """What is exact of a design, and the risk that is foretold; its network is trained if it has to be."""
        if design.digest not in self._known:
            network, plan = self.protected(design)
            clean, report = self.trained(design).accuracy_clean, self._estimate(design, network, plan).report
            inputs = self._calibration(network)[0]
            risk = self._foresight.risk(network, plan, inputs, clean) if self._foresight is not None else None
            self._known[design.digest] = Known(self._cost(report), self._exact_margins(clean, report), risk)
        return self._known[design.digest]

    def fault_model(self, ber: float | None = None) -> FaultModel:
        """The study's faults, or the same at another bit error rate."""
        return fault_model(self.study, ber)

    def fresh_campaign(self, network: Network, plan: ProtectionPlan) -> CampaignResult:
        """Twice the study's trials with faults that no evaluation has seen (another seed)."""
        model = self.fault_model()
        fresh = replace(model, seed=model.seed + _FRESH_SEED)
        return self.campaign(network, plan, fresh, trials=2 * self.study.faults.trials)

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
        )

    def merit(self, network: Network, plan: ProtectionPlan) -> Merit:
        """The study's metric without faults and under its faults."""
        model = self.fault_model()
        result = self.campaign(network, plan, model)
        samples = self.data.test_inputs, self.data.test_labels
        return merit_of(self.study.model.metric, result, network, plan, model, *samples)

    def evaluate(self, design: Design, progress: Callable[[int], None] | None = None) -> Evaluation:
        """All figures of one design."""
        start = time.perf_counter()
        clean = self.trained(design).accuracy_clean
        network, plan = self.protected(design)
        cost = self._estimate(design, network, plan)
        result = self.campaign(network, plan, self.fault_model(), progress)
        report = cost.report
        return Evaluation(
            design=design,
            network=network.digest,
            plan=plan.digest,
            accuracy_clean=clean,
            accuracy_faulty=result.accuracy,
            sdc1=result.sdc1,
            trials=result.trials,
            resources=report,
            lut_by_cause=cost.lut_by_cause,
            cost=self._cost(report),
            margins=self._margins(clean, result.accuracy, report),
            seconds=time.perf_counter() - start,
        )

    def _estimate(self, design: Design, network: Network, plan: ProtectionPlan) -> Estimate:
        key = network.digest, plan.digest, *design.structure
        if key not in self._estimates:
            policy = EstimatePolicy.of(*design.structure)
            self._estimates[key] = estimate(network, plan, clock_ns=self.study.hardware.clock_ns, policy=policy)
        return self._estimates[key]

    def _margins(self, clean: float, faulty: Interval, report: ResourceReport) -> dict[str, float]:
        margins = self._exact_margins(clean, report)
        if (wanted := self.study.requirements.accuracy_faulty) is not None:
            margins["accuracy_faulty"] = faulty.low - wanted
        # In the order that JSON gives them back: a search that goes on sums and lists them alike.
        return dict(sorted(margins.items()))

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


def quantisation_of(design: Design) -> Quantisation:
    """What decides which network a design trains."""
    return Quantisation(design.weight_bits, design.activation_bits, design.accumulator_bits, design.truncation)


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
