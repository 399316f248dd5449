"""What the accumulator bound saves: protection LUT of bounded networks against unbounded ones of the same widths.

For each seed a study's network is trained without a bound and with each asked one. All of a seed's networks meet the
same requirement: accuracy under the study's faults (lower end of its interval) of the unbounded network's clean
accuracy less what faults may cost. Protection LUT is the estimate of the cheapest design that meets it, bits chosen by
the default score for what they remove for their cost, less that of the same network unprotected. Of a seed counts the
narrowest bound whose clean accuracy is at most half a point below the unbounded one.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from timing import table
from vulnerability import ALLOWED_LOSS, Case, cost_by_bits

from codesign.network import Network
from codesign.protection import DEFAULT_IMPORTANCE, ProtectionPlan
from codesign.search.evaluate import fault_model
from codesign.study import Study, load_study
from codesign.train import Data, TrainedNetwork, data, train
from codesign.vulnerability import bit_scores

EQUAL = 0.005
MODELS = Path(__file__).resolve().parent.parent / "models"


def case_of(study: Study, samples: Data, network: Network, bound: float, trials: int) -> Case:
    """Scores on the training set, faults on the test set."""
    return Case(
        name=study.name,
        network=network,
        calibration=(network.quantise_inputs(samples.train_inputs), samples.train_labels),
        inputs=network.quantise_inputs(samples.test_inputs),
        labels=samples.test_labels,
        model=fault_model(study),
        bound=bound,
        trials=trials,
    )


def row(study: Study, samples: Data, bits: int, trained: TrainedNetwork, bound: float, trials: int) -> dict[str, Any]:
    """Figures of one network; `bound` is the accuracy under faults that is asked."""
    case = case_of(study, samples, trained.network, bound, trials)
    rates = bit_scores(case.network, *case.calibration, DEFAULT_IMPORTANCE, study.seed)
    return {
        "study": study.name,
        "seed": study.seed,
        "accumulator_bits": bits,
        "widths": [layer.acc.width for _, layer in case.network.compute_layers()],
        "accuracy_clean": trained.accuracy_clean,
        "lut": case.cost(ProtectionPlan()),
        "protection_lut": cost_by_bits(case, rates),
        "train_seconds": trained.seconds,
    }


def measure(study: Study, weight_bits: int, bounds: list[int], trials: int, loss: float) -> list[dict[str, Any]]:
    """Rows of one seed, the unbounded network first."""
    samples, rows = data(study), list[dict[str, Any]]()
    clean = train(study, weight_bits, weight_bits).accuracy_clean
    for bits in [0, *sorted(bounds, reverse=True)]:
        trained = train(study, weight_bits, weight_bits, bits)
        equal = trained.accuracy_clean >= clean - EQUAL
        rows.append({**row(study, samples, bits, trained, clean - loss, trials), "equal": equal})
    return rows


def saved(rows: list[dict[str, Any]]) -> float | None:
    """Share of the unbounded network's protection LUT that the narrowest equal one of the seed saves."""
    free, last = (one["protection_lut"] for one in (rows[0], [r for r in rows if r["equal"]][-1]))
    return 1 - last / free if free and last is not None else None


def main() -> None:
    """Print the table, and over the seeds the share saved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=MODELS / "digits_mlp.toml", help="[models/digits_mlp.toml]")
    parser.add_argument("--weight-bits", type=int, default=6)
    parser.add_argument("--bounds", type=int, nargs="+", default=[16, 15, 14, 13])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, help="a campaign [the study's]")
    parser.add_argument("--fine-tune-epochs", type=int, help="of every network but the base [the study's]")
    parser.add_argument("--ber", type=float, help="of the faults [the study's]")
    parser.add_argument("--loss", type=float, default=ALLOWED_LOSS, help="accuracy that faults may cost [0.03]")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quick", action="store_true", help="one seed and bound, few trials")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.bounds, options.trials = 1, [14], 40
    study = load_study(options.study)
    if options.ber is not None:
        study = replace(study, faults=study.faults.model_copy(update={"ber": options.ber}))
    if options.fine_tune_epochs is not None:
        study = replace(study, train=study.train.model_copy(update={"fine_tune_epochs": options.fine_tune_epochs}))
    trials = options.trials or study.faults.trials
    seeds = [
        measure(replace(study, seed=seed), options.weight_bits, options.bounds, trials, options.loss)
        for seed in range(1, options.seeds + 1)
    ]
    shares = [share for rows in seeds if (share := saved(rows)) is not None]
    if options.json:
        return print(json.dumps({"rows": [one for rows in seeds for one in rows], "saved": shares}, indent=1))
    rows = [one for found in seeds for one in found]
    cells = [[f"{value:.4f}" if isinstance(value, float) else str(value) for value in one.values()] for one in rows]
    print(table([list(rows[0]), *cells]))
    if len(shares) > 1:
        print(f"saved: mean {mean(shares):.1%}, standard deviation {stdev(shares):.1%}, least {min(shares):.1%}")
    return None


if __name__ == "__main__":
    main()
