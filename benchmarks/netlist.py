"""Upsets in the mapped netlist of the digits MLP: how many a minute, and how well faults of the network predict them.

The unprotected, a selectively protected and the full TMR design of `models/digits_mlp.toml`, mapped by Yosys (minutes
the first time), on all 360 digits.

- Speed: single upsets a minute, one thread, by the clock, with all samples classified.
- Rank: neurons of the unprotected design by the share of answers that an upset in a LUT of the neuron's own module
  changes, against the shares that faults of the network do, and against scores; Spearman's correlation, over all
  neurons and within the layers.
- Designs: accuracy at equal upsets a bit, and with equally many upsets in each. Beside the former the engine's
  prediction: stuck bits of products, accumulators and voters, at the rate at which the unprotected design changes as
  many answers as its netlist does.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from digits import digits_mlp
from numpy.typing import NDArray
from timing import machine, on_one_thread, parser_of, significant, table

from codesign.assets import asset
from codesign.campaign.curve import measure_curve
from codesign.campaign.result import CampaignResult
from codesign.campaign.strata import Stratum, strata_of
from codesign.cli_common import network_of
from codesign.engine.circuit import NO_BIT
from codesign.engine.compiled import NativeEngine
from codesign.faults import ALL_SAMPLES, FaultModel, FaultSpace, Lifetime, Target
from codesign.protection import Importance, ProtectionPlan, selective_plan
from codesign.resources.synthesis import synthesise
from codesign.resources.upsets import UpsetTarget
from codesign.study import load_study
from codesign.vulnerability.ranking import spearman
from codesign.vulnerability.scores import neuron_scores

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
RATE, UPSETS = 1e-4, 30
STUCK = (Target.PRODUCT, Target.ACCUMULATOR, Target.VOTER)
RATES = tuple(float(f"{rate:.3g}") for rate in np.logspace(-7, -3, 9))


@dataclass(frozen=True)
class Amount:
    """Upsets whose speed is measured, upsets and faults of each neuron, trials at each rate."""

    timed: int = 20_000
    neuron: int = 2_000
    faults: int = 4_000
    trials: int = 1_000


QUICK = Amount(timed=300, neuron=30, faults=50, trials=20)
SMALL = 4  # hidden neurons of a quick run


class Digits:
    """A network, its samples and three designs: the study's, or a small one."""

    def __init__(self, *, small: bool) -> None:
        if small:
            task = digits_mlp((SMALL,))
            self.network, self.inputs, self.labels = task.network, task.inputs, task.labels
            trained = task.inputs, task.labels
        else:
            study = load_study(Path(asset("models")) / "digits_mlp.toml")
            self.network, data = network_of(study, None, None)
            self.inputs, self.labels = self.network.quantise_inputs(data.test_inputs), data.test_labels
            trained = self.network.quantise_inputs(data.train_inputs), data.train_labels
        wanted = (Importance.MEASURED, Importance.TAYLOR)
        self.scores = {score: neuron_scores(self.network, *trained, score) for score in wanted}
        self.plans = {
            "unprotected": ProtectionPlan(),
            "selective": selective_plan(self.network, self.scores[Importance.MEASURED], 0.5, 12, 6),
            "full TMR": ProtectionPlan.full(self.network),
        }

    def target(self, plan: ProtectionPlan) -> UpsetTarget:
        synthesis = synthesise(self.network, plan)
        return UpsetTarget(synthesis, self.network, plan, self.inputs, self.labels, seed=1, threads=1)


# ---------------------------------------------------------------- speed


def speed(target: UpsetTarget, amount: int) -> dict[str, float]:
    """Upsets a minute in LUTs and in flip-flops."""
    space, generator = target.space, np.random.default_rng(0)
    found: dict[str, float] = {"lut_bits": space.lut_bits, "ff": space.size - space.lut_bits}
    for kind, low, high in (("lut", 0, space.lut_bits), ("ff", space.lut_bits, space.size)):
        upsets = space.upsets(generator.integers(low, high, amount), generator.integers(0, target.samples, amount))
        assert ((upsets["bit"] == NO_BIT) == (kind == "ff")).all()
        begin = perf_counter()
        target.run(upsets)
        found[f"{kind}_per_minute"] = 60 * amount / (perf_counter() - begin)
    return found


# ---------------------------------------------------------------- neurons


def upset_rates(target: UpsetTarget, neurons: list[tuple[str, int]], amount: int, stream: int = 0) -> Floats:
    """Share of answers that an upset in each neuron's LUTs changes, shape (n_neurons,); another `stream`, others.

    No prediction can be expected to agree better than two of these do.
    """
    own = target.space.neurons()
    drawn = [target.space.single(own[neuron], stream + number, amount) for number, neuron in enumerate(neurons)]
    rows = np.split(target.run(np.concatenate(drawn)), np.cumsum([len(part) for part in drawn])[:-1])
    return np.array([part["sdc1"].mean() / target.samples for part in rows])


def fault_rates(digits: Digits, neurons: list[tuple[str, int]], model: FaultModel, amount: int) -> Floats:
    """Share of struck samples whose answer a single fault of each neuron changes, shape (n_neurons,)."""
    network, samples = digits.network, len(digits.labels)
    engine = NativeEngine(network, ProtectionPlan(), digits.inputs)
    strata = strata_of(FaultSpace(network, ProtectionPlan(), model, samples))
    found = []
    for number, (name, neuron) in enumerate(neurons):
        own = [one for one in strata if network.layers[one.layer].name == name and neuron in one.neurons]
        generator = np.random.default_rng(number)
        sizes = np.array([one.size // len(one.neurons) for one in own])
        counts = generator.multinomial(amount, sizes / sizes.sum())
        faults = np.concatenate([_of_neuron(one, neuron, n, generator) for one, n in zip(own, counts, strict=True)])
        struck = np.where(faults["sample"] == ALL_SAMPLES, samples, 1)
        found.append(float((engine.run_lists(faults, digits.labels).rows["sdc1"] / struck).mean()))
    return np.array(found)


def _of_neuron(stratum: Stratum, neuron: int, count: int, generator: np.random.Generator) -> NDArray[np.void]:
    """Faults of a stratum in one of its neurons."""
    segment, owner = stratum.segment, int(np.flatnonzero(stratum.neurons == neuron)[0])
    time = generator.integers(0, segment.samples * max(segment.steps, 1), count)
    position = generator.integers(0, segment.positions, count)
    return stratum.faults(time * stratum.bits + owner * segment.positions + position)


def ranks(digits: Digits, target: UpsetTarget, amount: Amount) -> list[dict[str, Any]]:
    """Spearman's correlation of the netlist's order of neurons with that of each prediction."""
    neurons = [(layer.name, j) for _, layer in digits.network.compute_layers() for j in range(layer.neurons)]
    measured = upset_rates(target, neurons, amount.neuron)
    models = {
        "product and accumulator, one operation": FaultModel(STUCK[:2], n_flips=1),
        "product and accumulator, stuck": FaultModel(STUCK[:2], n_flips=1, lifetime=Lifetime.PERSISTENT),
        "weight and bias": FaultModel((Target.WEIGHT, Target.BIAS), n_flips=1),
    }
    predictions = {name: fault_rates(digits, neurons, model, amount.faults) for name, model in models.items()}
    for score, values in digits.scores.items():
        predictions[f"score {score}"] = np.array([values[name][j] for name, j in neurons])
    predictions["netlist, other upsets"] = upset_rates(target, neurons, amount.neuron, stream=len(neurons))
    layers = np.array([name for name, _ in neurons])
    found = []
    for name, values in predictions.items():
        row = {"prediction": name, "all": vars(spearman(measured, values, CONFIDENCE))}
        for layer in dict.fromkeys(layers):
            row[str(layer)] = vars(spearman(measured[layers == layer], values[layers == layer], CONFIDENCE))
        found.append(row)
    return found


# ---------------------------------------------------------------- designs


def designs(digits: Digits, targets: dict[str, UpsetTarget], trials: int) -> list[dict[str, Any]]:
    """Accuracy and changed answers of every design in the netlist, and what the engine predicts."""
    equal_rate = {name: target.at_rate(RATE, trials, CONFIDENCE) for name, target in targets.items()}
    equal_number = {
        name: target.at_rate(UPSETS / target.space.size, trials, CONFIDENCE) for name, target in targets.items()
    }
    model = FaultModel(STUCK, ber=RATES[0], lifetime=Lifetime.PERSISTENT, seed=1)

    def predicted(name: str, rates: tuple[float, ...]) -> tuple[CampaignResult, ...]:
        attacked = (name, digits.network, digits.plans[name], model, digits.inputs, digits.labels)
        return tuple(measure_curve(*attacked, rates, trials=trials).results)

    wanted = np.log(equal_rate["unprotected"].sdc1.mean)
    seen = np.array([max(one.sdc1.mean, 1e-9) for one in predicted("unprotected", RATES)])
    rate = float(f"{np.exp(np.interp(wanted, np.log(seen), np.log(RATES))):.3g}")
    rows = []
    for name, target in targets.items():
        results = {"netlist": equal_rate[name], "predicted": predicted(name, (rate,))[0], "number": equal_number[name]}
        row = {"design": name, "bits": target.space.size, "upsets_per_trial": RATE * target.space.size}
        for of, result in results.items():
            row |= {f"{of}_{what}": getattr(result, what).to_json() for what in ("accuracy", "sdc1")}
        rows.append({**row, "predicted_at_ber": rate})
    return rows


def as_text(found: dict[str, Any]) -> str:
    """The tables, for people."""
    fast = [["design", "LUT bits", "flip-flops", "LUT upsets/minute", "flip-flop upsets/minute"]]
    for row in found["speed"]:
        numbers = [row["lut_bits"], row["ff"], row["lut_per_minute"], row["ff_per_minute"]]
        fast.append([row["design"], *(significant(number) for number in numbers)])
    groups = [name for name in found["ranks"][0] if name != "prediction"]
    order = [["neurons by", *groups]]
    order += [[row["prediction"], *(_bounds(row[group], 2, "value") for group in groups)] for row in found["ranks"]]
    head = f"{found['samples']} samples; accuracy without upsets {found['accuracy_clean']:.4f}"
    ber = found["designs"][0]["predicted_at_ber"]
    tail = f"predicted at BER {ber:g}, chosen for the unprotected design"
    same = f"{RATE:g} upsets a bit; {tail}"
    return "\n\n".join(
        [
            head,
            table(fast),
            table(order),
            same,
            _under(found["designs"], "netlist", "predicted"),
            f"{UPSETS} upsets a trial in each design",
            _under(found["designs"], "number"),
        ]
    )


def _under(designs: list[dict[str, Any]], *results: str) -> str:
    rows = [["design", "upsets a trial", *(f"{what}, {of}" for of in results for what in ("accuracy", "changed"))]]
    for row in designs:
        upsets = significant(UPSETS if results == ("number",) else row["upsets_per_trial"])
        bounds = [_bounds(row[f"{of}_{what}"], 4) for of in results for what in ("accuracy", "sdc1")]
        rows.append([row["design"], upsets, *bounds])
    return table(rows)


def _bounds(of: dict[str, float], digits: int, key: str = "mean") -> str:
    return f"{of[key]:.{digits}f} [{of['low']:.{digits}f}, {of['high']:.{digits}f}]"


def main() -> None:
    """Measure and print."""
    options = parser_of(__doc__, "few upsets of a small network").parse_args()
    on_one_thread()
    amount, digits = QUICK if options.quick else Amount(), Digits(small=options.quick)
    targets = {name: digits.target(plan) for name, plan in digits.plans.items()}
    found = {
        "machine": machine(),
        "samples": len(digits.labels),
        "accuracy_clean": targets["unprotected"].accuracy_clean,
        "speed": [{"design": name, **speed(target, amount.timed)} for name, target in targets.items()],
        "ranks": ranks(digits, targets["unprotected"], amount),
        "designs": designs(digits, targets, amount.trials),
    }
    print(json.dumps(found, indent=1) if options.json else as_text(found))


if __name__ == "__main__":
    main()
