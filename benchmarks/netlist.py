"""Upsets in the mapped netlist of the digits MLP: how many a minute, and how well faults of the network predict them.

The unprotected, a selectively protected and the full TMR design of `models/digits_mlp.toml`, mapped by Yosys (minutes
the first time), on all 360 digits.

- Speed: single upsets a minute, one thread, by the clock, with all samples classified.
- Rank: neurons of the unprotected design by the share of answers that an upset in a LUT of the neuron's own module
  changes, against the share that faults of the network do, and against the Taylor score; Spearman's correlation, with
  its interval by drawing neurons again.
- Designs: accuracy at equal upsets a bit. Beside it the engine's prediction: stuck bits of products, accumulators and
  voters, at the rate at which the unprotected design changes as many answers as its netlist does.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from timing import machine, on_one_thread, significant, table

from codesign.assets import asset
from codesign.campaign.bootstrap import bootstrap
from codesign.campaign.curve import measure_curve
from codesign.campaign.statistics import Interval
from codesign.campaign.strata import Stratum, strata_of
from codesign.cli_common import network_of
from codesign.engine.circuit import NO_BIT
from codesign.engine.compiled import NativeEngine
from codesign.faults import ALL_SAMPLES, FaultModel, FaultSpace, Lifetime, Target
from codesign.protection import ProtectionPlan, selective_plan
from codesign.resources.synthesis import synthesise
from codesign.resources.upsets import UpsetTarget
from codesign.study import load_study
from codesign.vulnerability import taylor_scores

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
RATE = 1e-4
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


class Digits:
    """The study's network, its samples and three designs."""

    def __init__(self) -> None:
        study = load_study(Path(asset("models")) / "digits_mlp.toml")
        self.network, data = network_of(study, None, None)
        self.inputs, self.labels = self.network.quantise_inputs(data.test_inputs), data.test_labels
        trained = self.network.quantise_inputs(data.train_inputs)
        self.taylor = taylor_scores(self.network, trained, data.train_labels)
        self.plans = {
            "unprotected": ProtectionPlan(),
            "selective": selective_plan(self.network, self.taylor, 0.5, 12, 6),
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


def upset_rates(target: UpsetTarget, neurons: list[tuple[str, int]], amount: int) -> Floats:
    """Share of answers that an upset in each neuron's LUTs changes, shape (n_neurons,)."""
    own = target.space.neurons()
    drawn = [target.space.single(own[neuron], number, amount) for number, neuron in enumerate(neurons)]
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
    again = upset_rates_again(target, neurons, amount.neuron)
    models = {
        "product and accumulator, one operation": FaultModel(STUCK[:2], n_flips=1),
        "product and accumulator, stuck": FaultModel(STUCK[:2], n_flips=1, lifetime=Lifetime.PERSISTENT),
        "weight and bias": FaultModel((Target.WEIGHT, Target.BIAS), n_flips=1),
    }
    predictions = {name: fault_rates(digits, neurons, model, amount.faults) for name, model in models.items()}
    predictions["Taylor score"] = np.array([digits.taylor[name][j] for name, j in neurons])
    predictions["netlist, other upsets"] = again
    return [
        {"prediction": name, "neurons": len(neurons), "spearman": _spearman(measured, values).to_json()}
        for name, values in predictions.items()
    ]


def upset_rates_again(target: UpsetTarget, neurons: list[tuple[str, int]], amount: int) -> Floats:
    """The same from other draws: no prediction can be expected to agree better than this."""
    own, generator, rates = target.space.neurons(), np.random.default_rng(7), []
    for neuron in neurons:
        numbers = own[neuron].numbers(generator.integers(0, own[neuron].size, amount))
        rows = target.run(target.space.upsets(numbers, np.zeros(amount, np.int64)))
        rates.append(rows["sdc1"].mean() / target.samples)
    return np.array(rates)


def _spearman(first: Floats, second: Floats) -> Interval:
    def of(rows: Floats) -> float:
        return float(spearmanr(rows[:, 0], rows[:, 1]).statistic)

    return bootstrap(np.stack([first, second], axis=1), of, CONFIDENCE, seed=0, method="percentile")


# ---------------------------------------------------------------- designs


def designs(digits: Digits, targets: dict[str, UpsetTarget], trials: int) -> list[dict[str, Any]]:
    """Accuracy and changed answers of every design in the netlist, and what the engine predicts."""
    results = {name: target.at_rate(RATE, trials, CONFIDENCE) for name, target in targets.items()}
    model = FaultModel(STUCK, ber=RATES[0], lifetime=Lifetime.PERSISTENT, seed=1)

    def changed(name: str, rates: tuple[float, ...]) -> list[Interval]:
        attacked = (name, digits.network, digits.plans[name], model, digits.inputs, digits.labels)
        return [result.sdc1 for result in measure_curve(*attacked, rates, trials=trials).results]

    wanted = np.log(results["unprotected"].sdc1.mean)
    seen = np.array([max(one.mean, 1e-9) for one in changed("unprotected", RATES)])
    rate = float(f"{np.exp(np.interp(wanted, np.log(seen), np.log(RATES))):.3g}")
    rows = []
    for name, result in results.items():
        size = targets[name].space.size
        rows.append(
            {
                "design": name,
                "bits": size,
                "upsets_per_trial": RATE * size,
                "accuracy": result.accuracy.to_json(),
                "sdc1": result.sdc1.to_json(),
                "predicted_sdc1": changed(name, (rate,))[0].to_json(),
                "predicted_at_ber": rate,
            }
        )
    return rows


def as_text(found: dict[str, Any]) -> str:
    """The three tables, for people."""
    fast = [["design", "LUT bits", "flip-flops", "LUT upsets/minute", "flip-flop upsets/minute"]]
    for row in found["speed"]:
        numbers = [row["lut_bits"], row["ff"], row["lut_per_minute"], row["ff_per_minute"]]
        fast.append([row["design"], *(significant(number) for number in numbers)])
    order = [["neurons by", "Spearman's correlation"]]
    order += [[row["prediction"], _bounds(row["spearman"], 2)] for row in found["ranks"]]
    under = [["design", "upsets a trial", "accuracy", "changed answers", "predicted"]]
    for row in found["designs"]:
        rates = [_bounds(row[key], 4) for key in ("accuracy", "sdc1", "predicted_sdc1")]
        under.append([row["design"], significant(row["upsets_per_trial"]), *rates])
    head = f"{found['samples']} samples; accuracy without upsets {found['accuracy_clean']:.4f}"
    ber = found["designs"][0]["predicted_at_ber"]
    tail = f"{RATE:g} upsets a bit; predicted at BER {ber:g}, chosen for the unprotected design"
    return "\n\n".join([head, table(fast), table(order), table(under), tail])


def _bounds(of: dict[str, float], digits: int) -> str:
    return f"{of['mean']:.{digits}f} [{of['low']:.{digits}f}, {of['high']:.{digits}f}]"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--quick", action="store_true", help="few upsets: a look, not a result")
    options = parser.parse_args()
    on_one_thread()
    amount, digits = QUICK if options.quick else Amount(), Digits()
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
