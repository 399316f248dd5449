"""The main job: search, choose, compare with the baselines, prove on the csim, and write the run folder."""

import importlib.metadata
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from codesign import __version__
from codesign.campaign.store import Store
from codesign.campaign.workers import Workers
from codesign.errors import ConfigError
from codesign.files import locked, write_atomically
from codesign.fixed import MAX_WIDTH
from codesign.notebook import html_table
from codesign.progress import bar, say
from codesign.search import proof, summary
from codesign.search.attempt import workplace_of
from codesign.search.choice import Choice, choose
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Evaluation, Failure, Outcome
from codesign.search.explain import explanation
from codesign.search.folder import RunFolder, identity
from codesign.search.front import front
from codesign.search.loop import Loop
from codesign.search.protect import hardened_alike
from codesign.search.searchers import searcher_of
from codesign.search.seen import SeenNetworks
from codesign.search.stages import Staged
from codesign.study import Design, Study

_VERSIONS = ("hls4ml", "numpy", "scikit-optimize", "scikit-learn", "tensorflow", "qkeras")
# The chosen design's own network with so many hardened bits in every neuron.
_BASELINES = {"unprotected": 0, "full_tmr": MAX_WIDTH}
# What the store calls them.
_KINDS: dict[str, type[Evaluation] | type[Failure]] = {"design": Evaluation, "failed": Failure}


@dataclass(frozen=True)
class Result:
    """The result document and whether the requirements are met."""

    result: dict[str, Any]
    feasible: bool

    def _repr_html_(self) -> str:
        from codesign.notebook.figures import scatter

        chosen = self.result["best"] or self.result["nearest"]
        name = "best" if self.feasible else "nearest; no design meets the requirements"
        rows = [_row(of, found) for of, found in {name: chosen, **self.result["baselines"]}.items()]
        every = self.result["evaluations"]
        groups = {
            "meets all": [_point(found) for found in every if found["feasible"]],
            "misses one": [_point(found) for found in every if not found["feasible"]],
            **{of: [_point(found)] for of, found in {"chosen": chosen, **self.result["baselines"]}.items()},
        }
        caption = f"{len(every)} designs, seed {self.result['seed']}"
        shown = scatter(f"cost and accuracy of {caption}", groups, "LUT (estimate)", "accuracy under faults")
        return html_table(caption, ("", "LUT", "DSP", "cycles", "accuracy", "under faults"), rows) + shown


def _row(name: str, found: dict[str, Any]) -> tuple[object, ...]:
    used, faulty = found["resources"], found["accuracy_faulty"]
    under_faults = f"{faulty['mean']:.4f} [{faulty['low']:.4f}, {faulty['high']:.4f}]"
    clean = f"{found['accuracy_clean']:.4f}"
    return name, used["lut"], used["dsp"], used["latency_cycles"], clean, under_faults


def _point(found: dict[str, Any]) -> tuple[float, float]:
    return found["resources"]["lut"], found["accuracy_faulty"]["mean"]


@dataclass(frozen=True)
class Means:
    """What a search may use: so many processes that evaluate designs, or `cluster` for the trials of each design.

    With `synthesise` the winner is mapped by Yosys.
    """

    workers: int = 1
    cluster: Workers | None = None
    synthesise: bool = False


_ALONE = Means()


@dataclass
class _Run:
    """One session of a search in its folder."""

    study: Study
    folder: RunFolder
    store: Store
    evaluator: Evaluator
    means: Means
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = time.perf_counter() - start


def optimise(study: Study, folder: RunFolder, evaluations: int | None = None, means: Means = _ALONE) -> Result:
    """Run or continue a search until `evaluations` designs (default: the study's) are evaluated.

    Whatever was finished before in this folder is used and not done again. Raises StoreError when the
    folder belongs to another study, ConfigError where one design after the other cannot be evaluated.
    """
    start = time.perf_counter()
    budget = evaluations or study.search.evaluations
    hint = "wait for it, or choose another folder with --out"
    with locked(folder.path / ".lock", hint, wait=False), Store(folder.store, identity(study)) as store:
        try:
            _keep_study(study, folder)
            run = _Run(study, folder, store, Evaluator(study, store, workers=means.cluster), means)
            result = _conclude(run, _search(run, budget))
        finally:
            seconds = store.spent_seconds(add=time.perf_counter() - start)
    result["seconds"] = seconds
    folder.write_result(result)
    return Result(result, result["best"] is not None)


def _keep_study(study: Study, folder: RunFolder) -> None:
    write_atomically(folder.path / "study" / study.path.name, study.source)
    write_atomically(folder.path / "study" / study.model.builder, study.builder_source)
    if study.model.file is not None and study.model_source is not None:
        write_atomically(folder.path / "study" / study.model.file, study.model_source)


def _search(run: _Run, budget: int) -> dict[int, Outcome]:
    finished = {
        document["id"]: kind.from_json(document)
        for name, kind in _KINDS.items()
        for document in run.store.evaluations(name)
        if document["id"] < budget
    }
    if finished:
        say(f"continuing after {len(finished)} of {budget} evaluations in {run.folder.path}")
    places = workplace_of(run.evaluator, run.folder, run.means.workers, run.study)
    with bar("evaluations", budget) as advance, places as workplace:
        journal = _Journal(run.store, dict(finished))
        advance(len(finished))

        def keep(number: int, outcome: Outcome) -> None:
            journal.keep(number, outcome)
            say(f"design {number:3d}  {describe(outcome)}")
            advance(len(journal.outcomes))

        loop = Loop(searcher_of(run.study), partial(SeenNetworks, run.evaluator), workplace, keep)
        found = loop.run(budget, finished)
    if len(found) < budget:
        say(f"no design is left that is not evaluated ({len(found)})")
    return found


@dataclass(frozen=True)
class _Journal:
    """Outcomes of a search, in the store from the first evaluation on.

    Until then failures are not kept: a store that holds nothing belongs to nobody, and who has to mend the builder can
    go on in the same folder.
    """

    store: Store
    outcomes: dict[int, Outcome]

    def keep(self, number: int, outcome: Outcome) -> None:
        begun = any(isinstance(other, Evaluation) for other in self.outcomes.values())
        self.outcomes[number] = outcome
        if begun:
            self._write(number)
        elif isinstance(outcome, Evaluation):
            for each in sorted(self.outcomes):
                self._write(each)

    def _write(self, number: int) -> None:
        outcome = self.outcomes[number]
        kind = next(name for name, type_ in _KINDS.items() if isinstance(outcome, type_))
        self.store.add_evaluation(kind, number, {"id": number, **outcome.to_json()})


def describe(outcome: Outcome) -> str:
    """One line on a design for people."""
    if isinstance(outcome, Failure):
        return f"failed: {outcome.reason}"
    design, faulty = outcome.design, outcome.accuracy_faulty
    verdict = "feasible" if outcome.feasible else f"misses {', '.join(outcome.broken)}"
    hardened = f"{design.hardened_bits_important:2d}/{design.hardened_bits_normal:2d}"
    split = f"{design.important_fraction:4.0%} important, hardened {hardened}"
    return (
        f"{design.weight_bits} bit, "
        f"{f'{design.protection_budget:.1%} of full protection' if design.protection_budget else split}: "
        f"{outcome.resources.lut:7d} LUT {outcome.resources.dsp:4d} DSP, accuracy under faults "
        f"{faulty.mean:.4f} [{faulty.low:.4f}, {faulty.high:.4f}]  {verdict}"
    )


def _conclude(run: _Run, outcomes: dict[int, Outcome]) -> dict[str, Any]:
    """The result document: the best design, its baselines, its proof, and its curve."""
    study, folder, evaluator = run.study, run.folder, run.evaluator
    found = {number: outcome for number, outcome in outcomes.items() if isinstance(outcome, Evaluation)}
    failed = {number: outcome for number, outcome in outcomes.items() if isinstance(outcome, Failure)}
    if not found:
        raise ConfigError(f"none of {len(failed)} designs could be evaluated: {next(iter(failed.values())).reason}")
    numbers, history = list(found), list(found.values())
    with run.timed("choice"):
        choice = _choose(run, history)
    chosen, number = choice.evaluation, numbers[choice.index]
    with run.timed("baselines"):
        baselines = {name: _evaluated(run, hardened_alike(chosen.design, bits)) for name, bits in _BASELINES.items()}
        merit = {name: evaluator.merit(*evaluator.protected(one.design)).to_json() for name, one in baselines.items()}
        of_chosen = evaluator.merit(*proof.built(folder, evaluator, chosen)).to_json()
    best = {"id": number, **chosen.to_json(), **of_chosen}
    fresh = {**choice.fresh, "seed": evaluator.fresh_seed} if choice.fresh else None
    best |= {"protection_share": _share(chosen, baselines), "fresh_campaign": fresh}
    say("proving the design: HLS project, C-simulation, replayed trials")
    with run.timed("proof"):
        verification = proof.prove(folder, evaluator, chosen)
    with run.timed("curve"):
        curve = proof.curves(folder, evaluator, {"chosen": chosen, **baselines})
        layers = proof.layers(evaluator, *proof.built(folder, evaluator, chosen))
    missed = [{"id": numbers[miss.pop("index")], **miss} for miss in choice.missed]
    with run.timed("explanation"):
        explained = explanation(study, found, failed, number if choice.fresh else None, missed)
    return {
        "study": study.name,
        "seed": study.seed,
        "requirements": study.requirements.model_dump(),
        "faults": study.faults.model_dump(mode="json"),
        "hardware": {**study.hardware.model_dump(), "capacity": vars(evaluator.board)},
        "best": best if choice.fresh else None,
        "nearest": None if choice.fresh else {**best, **_missing(evaluator, chosen, found)},
        "missed_fresh_campaign": missed,
        "baselines": {name: {**evaluation.to_json(), **merit[name]} for name, evaluation in baselines.items()},
        "evaluations": [{"id": number, **evaluation.to_json()} for number, evaluation in found.items()],
        "failed": [{"id": number, **failure.to_json()} for number, failure in failed.items()],
        "constraints": summary.constraints(history),
        "front": front(found),
        "explanation": explained,
        "trials": summary.trials(history, study.faults.trials),
        "verification": verification,
        "curve": curve,
        "layers": layers,
        **_mapped(run, chosen),
        "seconds_by_stage": {**summary.seconds(history), **run.seconds},
        "versions": _versions(),
    }


def _mapped(run: _Run, chosen: Evaluation) -> dict[str, Any]:
    if not run.means.synthesise:
        return {}
    with run.timed("synthesis"):
        return {"mapped": proof.mapped(run.evaluator, chosen, *proof.built(run.folder, run.evaluator, chosen))}


def _choose(run: _Run, history: list[Evaluation]) -> Choice:
    def long(candidate: Evaluation) -> Evaluation:
        return _evaluated(run, candidate.design)

    def fresh(candidate: Evaluation, confidence: float) -> Staged[Any]:
        return run.evaluator.fresh_campaign(*proof.built(run.folder, run.evaluator, candidate), confidence)

    return choose(history, run.study.requirements.accuracy_faulty, run.study.faults.confidence, long, fresh)


def _evaluated(run: _Run, design: Design) -> Evaluation:
    """With all of the study's trials."""
    found = run.evaluator.evaluate(design, every_trial=True)
    run.folder.keep(*run.evaluator.protected(design))
    return found


def _missing(evaluator: Evaluator, chosen: Evaluation, found: dict[int, Evaluation]) -> dict[str, Any]:
    """What the nearest design lacks, what the board has too little of, which constraint binds, and who is near too."""
    return {
        "broken": chosen.broken or ["accuracy_faulty in a fresh campaign"],
        "shortfalls": evaluator.board.shortfalls(chosen.resources),
        "binding": summary.binding(list(found.values())),
        "next": summary.nearest(found),
    }


def _versions() -> dict[str, str]:
    libraries = {name: importlib.metadata.version(name) for name in _VERSIONS}
    return {"codesign": __version__, "python": platform.python_version(), **libraries}


def _share(chosen: Evaluation, baselines: dict[str, Evaluation]) -> float | None:
    """LUTs that the protection adds, as a share of what full TMR of the same network adds."""
    plain, full = baselines["unprotected"].resources.lut, baselines["full_tmr"].resources.lut
    assert plain is not None and full is not None and chosen.resources.lut is not None
    return (chosen.resources.lut - plain) / (full - plain) if full > plain else None
