"""The main job: search, choose, compare with the baselines, prove on the csim, and write the run folder."""

import importlib.metadata
import platform
import shutil
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codesign import __version__
from codesign.campaign.store import Store
from codesign.campaign.verify import MISMATCHES, verify
from codesign.errors import MismatchError
from codesign.files import locked, write_atomically
from codesign.fixed import MAX_WIDTH
from codesign.hls.csim import CsimSimulator
from codesign.hls.project import ProjectOptions, write_project
from codesign.network import Network, forward
from codesign.progress import bar, say
from codesign.protection import ProtectionPlan
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Evaluation, rank
from codesign.search.folder import RunFolder, identity
from codesign.search.searchers import searcher_of
from codesign.search.seen import SeenNetworks
from codesign.study import Design, Study
from codesign.vulnerability import bit_vulnerability

VERIFIED_TRIALS = 5
_VERSIONS = ("hls4ml", "numpy", "scikit-optimize", "scikit-learn", "tensorflow", "qkeras")


@dataclass(frozen=True)
class Outcome:
    """The result document and whether the requirements are met."""

    result: dict[str, Any]
    feasible: bool


def optimise(study: Study, folder: RunFolder, evaluations: int | None = None) -> Outcome:
    """Run or continue a search until `evaluations` designs (default: the study's) are evaluated.

    Whatever was finished before in this folder is used and not done again. Raises StoreError when the
    folder belongs to another study.
    """
    start = time.perf_counter()
    budget = evaluations or study.search.evaluations
    hint = "wait for it, or choose another folder with --out"
    with locked(folder.path / ".lock", hint, wait=False), Store(folder.store, identity(study)) as store:
        try:
            _keep_study(study, folder)
            evaluator = Evaluator(study, store)
            history = _search(study, folder, store, evaluator, budget)
            result = _conclude(study, folder, evaluator, history)
        finally:
            seconds = store.spent_seconds(add=time.perf_counter() - start)
    result["seconds"] = seconds
    folder.write_result(result)
    return Outcome(result, result["best"] is not None)


def _keep_study(study: Study, folder: RunFolder) -> None:
    write_atomically(folder.path / "study" / study.path.name, study.source)
    write_atomically(folder.path / "study" / study.model.builder, study.builder_source)
    if study.model.file is not None and study.model_source is not None:
        write_atomically(folder.path / "study" / study.model.file, study.model_source)


def _search(study: Study, folder: RunFolder, store: Store, evaluator: Evaluator, budget: int) -> list[Evaluation]:
    history = [Evaluation.from_json(document) for document in store.evaluations("design")][:budget]
    if history:
        say(f"continuing after {len(history)} of {budget} evaluations in {folder.path}")
    searcher = searcher_of(study)
    with bar("evaluations", budget) as advance:
        while len(history) < budget:
            advance(len(history))
            design = searcher.ask(history, [], SeenNetworks(evaluator, history))
            if design is None:
                say(f"no design is left that is not evaluated ({len(history)})")
                break
            evaluation = evaluator.evaluate(design)
            folder.keep(*evaluator.protected(design))
            store.add_evaluation("design", len(history), evaluation.to_json())
            say(f"design {len(history):3d}  {describe(evaluation)}")
            history.append(evaluation)
    return history


def _built(folder: RunFolder, evaluator: Evaluator, evaluation: Evaluation) -> tuple[Network, ProtectionPlan]:
    """The very network and plan of an evaluation; files that are gone from the folder are made again."""
    if not folder.holds(evaluation.network, evaluation.plan):
        folder.keep(*evaluator.protected(evaluation.design))
    return folder.load(evaluation.network, evaluation.plan)


def describe(evaluation: Evaluation) -> str:
    """One line on a design for people."""
    design, faulty = evaluation.design, evaluation.accuracy_faulty
    verdict = "feasible" if evaluation.feasible else f"misses {', '.join(evaluation.broken)}"
    hardened = f"{design.hardened_bits_important:2d}/{design.hardened_bits_normal:2d}"
    split = f"{design.important_fraction:4.0%} important, hardened {hardened}"
    return (
        f"{design.weight_bits} bit, "
        f"{f'{design.protection_budget:.1%} of full protection' if design.protection_budget else split}: "
        f"{evaluation.resources.lut:7d} LUT {evaluation.resources.dsp:4d} DSP, accuracy under faults "
        f"{faulty.mean:.4f} [{faulty.low:.4f}, {faulty.high:.4f}]  {verdict}"
    )


def _conclude(study: Study, folder: RunFolder, evaluator: Evaluator, history: list[Evaluation]) -> dict[str, Any]:
    """The result document: the best design, its baselines, its proof, and its curve."""
    named = [{"id": i, **evaluation.to_json()} for i, evaluation in enumerate(history)]
    number, fresh, missed = _choose(folder, evaluator, history)
    chosen = history[number]
    baselines = {name: evaluator.evaluate(_baseline(chosen.design, name)) for name in ("unprotected", "full_tmr")}
    for baseline in baselines.values():
        folder.keep(*evaluator.protected(baseline.design))
    merit = {name: evaluator.merit(*evaluator.protected(one.design)).to_json() for name, one in baselines.items()}
    of_chosen = evaluator.merit(*_built(folder, evaluator, chosen)).to_json()
    best = {**named[number], **of_chosen, "protection_share": _share(chosen, baselines), "fresh_campaign": fresh}
    say("proving the design: HLS project, C-simulation, replayed trials")
    verification = _prove(study, folder, evaluator, chosen)
    return {
        "study": study.name,
        "seed": study.seed,
        "requirements": study.requirements.model_dump(),
        "faults": study.faults.model_dump(mode="json"),
        "hardware": {**study.hardware.model_dump(), "capacity": vars(evaluator.board)},
        "best": best if fresh else None,
        "nearest": None if fresh else {**best, **_missing(evaluator, chosen)},
        "missed_fresh_campaign": missed,
        "baselines": {name: {**evaluation.to_json(), **merit[name]} for name, evaluation in baselines.items()},
        "evaluations": named,
        "verification": verification,
        "curve": _curves(study, folder, evaluator, {"chosen": chosen, **baselines}),
        "layers": _layers(study, evaluator, *_built(folder, evaluator, chosen)),
        "versions": _versions(),
    }


def _missing(evaluator: Evaluator, nearest: Evaluation) -> dict[str, Any]:
    """What the nearest design lacks: the constraints that it breaks, and what the board has too little of."""
    broken = nearest.broken or ["accuracy_faulty in a fresh campaign"]
    return {"broken": broken, "shortfalls": evaluator.board.shortfalls(nearest.resources)}


def _choose(
    folder: RunFolder, evaluator: Evaluator, history: list[Evaluation]
) -> tuple[int, dict[str, Any] | None, list[dict[str, Any]]]:
    """The cheapest design that also holds in a fresh campaign, and those that were cheaper but did not.

    The cheapest of many designs that passed was lucky more often than not. So it has to pass again on
    twice the trials with faults that the search has not seen; otherwise the next one is tried. Without
    such a design the nearest one is given, and no campaign.
    """
    order = sorted(range(len(history)), key=lambda i: rank(history[i]))
    missed: list[dict[str, Any]] = []
    for number in order:
        if not history[number].feasible:
            break
        network, plan = _built(folder, evaluator, history[number])
        fresh = evaluator.fresh_campaign(network, plan)
        document = {**fresh.accuracy.to_json(), "trials": fresh.trials, "seed": fresh.seed}
        wanted = evaluator.study.requirements.accuracy_faulty
        if wanted is None or fresh.accuracy.low >= wanted:
            return number, document, missed
        say(f"design {number} misses {wanted:g} in a fresh campaign ({fresh.accuracy.low:.4f}): the next one is tried")
        missed.append({"id": number, **document})
    return order[0], None, missed


def _versions() -> dict[str, str]:
    libraries = {name: importlib.metadata.version(name) for name in _VERSIONS}
    return {"codesign": __version__, "python": platform.python_version(), **libraries}


def _baseline(design: Design, name: str) -> Design:
    """The chosen design's own network without protection, or with every bit of every neuron hardened."""
    bits = {"unprotected": 0, "full_tmr": MAX_WIDTH}[name]
    plain = replace(design, important_fraction=1.0, protection_budget=0.0)
    return replace(plain, hardened_bits_important=bits, hardened_bits_normal=bits)


def _share(chosen: Evaluation, baselines: dict[str, Evaluation]) -> float | None:
    """LUTs that the protection adds, as a share of what full TMR of the same network adds."""
    plain, full = baselines["unprotected"].resources.lut, baselines["full_tmr"].resources.lut
    assert plain is not None and full is not None and chosen.resources.lut is not None
    return (chosen.resources.lut - plain) / (full - plain) if full > plain else None


def _prove(study: Study, folder: RunFolder, evaluator: Evaluator, chosen: Evaluation) -> dict[str, Any]:
    """Write the project, compile it, and demand its integers: fault-free on all samples, and under trials."""
    network, plan = _built(folder, evaluator, chosen)
    raw = network.quantise_inputs(evaluator.data.test_inputs)
    options = ProjectOptions(
        study.hardware.backend,
        evaluator.board.part,
        study.hardware.clock_ns,
        study.hardware.io_type,
        *chosen.design.structure,
    )
    plan.save(folder.path / "best" / "plan.json", network)
    folder.keep_samples(raw)
    for left_behind in folder.project.parent.glob(f".{folder.project.name}.*"):  # by a process that was killed
        shutil.rmtree(left_behind, ignore_errors=True)
    project = write_project(network, plan, folder.project, options, bench_inputs=raw)
    csim = CsimSimulator(project, raw)
    if not np.array_equal(csim.golden, forward(network, raw)[-1]):
        raise MismatchError(f"the C-simulation of {folder.project} and the network differ without any fault")
    model = evaluator.fault_model()
    found = evaluator.campaign(network, plan, model)
    labels = evaluator.data.test_labels
    with bar("replayed trials", VERIFIED_TRIALS) as advance:
        found = verify(
            *(found, network, plan, model, raw, labels, VERIFIED_TRIALS),
            csim=csim,
            mismatches=folder.path / MISMATCHES,
            progress=advance,
        )
    return {"simulators": ["engine", "csim"], "samples": len(raw), "trials": list(found.verified), "equal": True}


def _curves(study: Study, folder: RunFolder, evaluator: Evaluator, designs: dict[str, Evaluation]) -> dict[str, Any]:
    """Accuracy with its interval at each BER of the study's `curve`, for the chosen design and the baselines."""
    rates = study.faults.curve
    if not rates:
        return {}
    curves: dict[str, Any] = {"ber": list(rates)}
    with bar("accuracy against BER", len(designs) * len(rates)) as advance:
        for done, (name, evaluation) in enumerate(designs.items()):
            network, plan = _built(folder, evaluator, evaluation)
            points = []
            for step, ber in enumerate(rates):
                advance(done * len(rates) + step)
                result = evaluator.campaign(network, plan, evaluator.fault_model(ber))
                points.append(result.accuracy.to_json())
            curves[name] = points
    return curves


def _layers(study: Study, evaluator: Evaluator, network: Network, plan: ProtectionPlan) -> list[dict[str, Any]]:
    """Protection of each computing layer: what the plan hardens in it, and what a flip of each bit does without it."""
    rates = bit_vulnerability(network, network.quantise_inputs(evaluator.data.test_inputs), seed=study.seed)
    return [
        {
            "name": layer.name,
            "shape": [layer.n_in, layer.n_out],
            "accumulator_bits": layer.acc.width,
            "hardened_bits": plan.hardened(layer).tolist(),
            "sdc1_by_neuron_and_bit": rates[layer.name].round(4).tolist(),
        }
        for _, layer in network.compute_layers()
    ]
