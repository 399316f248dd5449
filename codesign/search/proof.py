"""What a finished search shows of its winner: the proof on the csim, curves, layers, and the figures of Yosys."""

import shutil
from typing import Any

import numpy as np

from codesign.campaign.verify import MISMATCHES, verify
from codesign.errors import ConfigError, MismatchError, ToolError
from codesign.hls.csim import CsimSimulator
from codesign.hls.project import ProjectOptions, write_project
from codesign.network import Network, forward
from codesign.progress import bar
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import EstimatePolicy
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Evaluation
from codesign.search.folder import RunFolder
from codesign.vulnerability import bit_vulnerability

VERIFIED_TRIALS = 5


def built(folder: RunFolder, evaluator: Evaluator, evaluation: Evaluation) -> tuple[Network, ProtectionPlan]:
    """The very network and plan of an evaluation; files that are gone from the folder are made again."""
    if not folder.holds(evaluation.network, evaluation.plan):
        folder.keep(*evaluator.protected(evaluation.design))
    return folder.load(evaluation.network, evaluation.plan)


def prove(folder: RunFolder, evaluator: Evaluator, chosen: Evaluation) -> dict[str, Any]:
    """Write the project, compile it, and demand its integers: fault-free on all samples, and under trials."""
    study = evaluator.study
    network, plan = built(folder, evaluator, chosen)
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


def curves(folder: RunFolder, evaluator: Evaluator, designs: dict[str, Evaluation]) -> dict[str, Any]:
    """Accuracy with its interval at each BER of the study's `curve`, for the chosen design and the baselines."""
    rates = evaluator.study.faults.curve
    if not rates:
        return {}
    found: dict[str, Any] = {"ber": list(rates)}
    with bar("accuracy against BER", len(designs) * len(rates)) as advance:
        for done, (name, evaluation) in enumerate(designs.items()):
            network, plan = built(folder, evaluator, evaluation)
            points = []
            for step, ber in enumerate(rates):
                advance(done * len(rates) + step)
                result = evaluator.campaign(network, plan, evaluator.fault_model(ber))
                points.append(result.accuracy.to_json())
            found[name] = points
    return found


def layers(evaluator: Evaluator, network: Network, plan: ProtectionPlan) -> list[dict[str, Any]]:
    """Protection of each computing layer: what the plan hardens in it, and what a flip of each bit does without it."""
    rates = bit_vulnerability(network, network.quantise_inputs(evaluator.data.test_inputs), seed=evaluator.study.seed)
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


def mapped(evaluator: Evaluator, chosen: Evaluation, network: Network, plan: ProtectionPlan) -> dict[str, Any]:
    """The design mapped by Yosys, as `codesign resources --source yosys` shows it; or why it cannot be."""
    from codesign.resources.mapping import family_of
    from codesign.resources.synthesis import synthesise

    policy, clock_ns = EstimatePolicy.of(*chosen.design.structure), evaluator.study.hardware.clock_ns
    try:
        found = synthesise(network, plan, clock_ns=clock_ns, family=family_of(evaluator.board.part), policy=policy)
    except (ConfigError, ToolError) as error:  # a layer without RTL, or no Yosys: the search is not lost for that
        return {"unavailable": str(error)}
    return found.to_json()
