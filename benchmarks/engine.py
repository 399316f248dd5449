"""Fault injection: trials a second of the engine and of a NumPy injector, and the share of the core's int8 peak.

All on one thread, in turns, in one run; medians. A trial is one drawn fault list on 360 digits, its right answers and
changed top classes counted. The share of the peak counts the multiply-adds of one full evaluation a trial, done or
not: what needs no computing can bring it above one. csim (of the unprotected project) evaluates fault-free sets.
"""

import json
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from statistics import median
from threading import Thread
from time import perf_counter
from typing import Any

import numpy as np
from adapters import Compiled, Engine, open_engine, plan_for
from digits import Task, digits_cnn, digits_mlp
from peak import Peak
from peer import Peer
from timing import Work, machine, median_ratio, on_one_thread, parser_of, rates, significant, table

from codesign.engine.reference import ReferenceSimulator
from codesign.faults import FaultArray, FaultModel, FaultSpace, Target
from codesign.protection import ProtectionPlan

# The case that two threads are tried on.
THREADED = "MLP, weight BER 1e-3"
# Repetitions, and seconds that each contestant has in one.
FULL, QUICK = (7, 0.3), (3, 0.05)


@dataclass(frozen=True)
class Case:
    """A fault model on a task; `exhaustive` takes every bit that it can strike, one a trial, instead of draws."""

    name: str
    task: Task
    model: FaultModel
    exhaustive: bool = False


def cases() -> list[Case]:
    """The table of fault models. The last accumulator is the sum after a neuron's last addition, as a voter sees it."""
    mlp, cnn = digits_mlp(), digits_cnn()
    found = [
        Case("MLP, one weight flip", mlp, FaultModel((Target.WEIGHT,), n_flips=1)),
        Case("MLP, every weight bit in turn", mlp, FaultModel((Target.WEIGHT,), ber=1.0), exhaustive=True),
        Case(THREADED, mlp, FaultModel((Target.WEIGHT,), ber=1e-3)),
    ]
    for label, target in (("last accumulator", Target.VOTER), ("every adder output", Target.ACCUMULATOR)):
        found += [Case(f"MLP, {label}, BER {ber:.0e}", mlp, FaultModel((target,), ber=ber)) for ber in (1e-5, 1e-3)]
    return [*found, Case("CNN, weight BER 1e-3", cnn, FaultModel((Target.WEIGHT,), ber=1e-3))]


# ---------------------------------------------------------------- exactness


def verify(task: Task) -> None:
    """Refuse to measure where peer or engine differ from the reference in one integer."""
    few = Task(task.network, task.inputs[:8], task.labels[:8])
    peer = Peer(few)
    for target in (Target.WEIGHT, Target.VOTER, Target.ACCUMULATOR):
        for ber in (1e-5, 1e-3):
            model = FaultModel((target,), ber=ber, seed=1)
            plan = plan_for(model, task)
            faults = FaultSpace(task.network, plan, model, len(few.inputs)).draw(0)
            expected = ReferenceSimulator(task.network, plan, few.inputs).run(faults)
            found = {"the NumPy injector": peer.run(peer.strikes_of(faults)), "the engine": _engine_logits(few, faults)}
            for name, logits in found.items():
                if not np.array_equal(logits, expected):
                    raise SystemExit(f"{task.network.name}, {target.label}, BER {ber:g}: {name} is not exact")


def _engine_logits(task: Task, faults: FaultArray) -> Any:
    targets = tuple({Target(t) for t in faults["target"]}) or (Target.WEIGHT,)
    return open_engine(task, plan_for(FaultModel(targets, n_flips=1), task)).run(faults)


# ---------------------------------------------------------------- measurement


def measure(case: Case, peak: Peak, csim: Work | None, repetitions: int, seconds: float) -> dict[str, Any]:
    """One row of the table."""
    task = case.task
    engine, peer = open_engine(task, plan_for(case.model, task)), Peer(task)
    contestants: dict[str, Work] = {"peak": peak.run, **_campaigns(case, engine, peer)}
    if csim:
        contestants["csim"] = csim
    found = rates(contestants, repetitions, seconds)
    peak_rates = [rate * peak.per_round for rate in found["peak"]]
    needed = [rate * task.multiply_adds for rate in found["engine"]]
    row = {
        "name": case.name,
        "engine": engine.name,
        "trials_per_s": median(found["engine"]),
        "peer": peer.name,
        "peer_trials_per_s": median(found["peer"]),
        "ratio": median_ratio(found["engine"], found["peer"]),
        "share_of_peak": median_ratio(needed, peak_rates),
        "peak_multiply_adds_per_s": median(peak_rates),
        "multiply_adds_per_trial": task.multiply_adds,
        "csim_sets_per_s": median(found["csim"]) if csim else None,
        "csim_ratio": median_ratio(found["engine"], found["csim"]) if csim else None,
    }
    if case.exhaustive:
        trials = FaultSpace(task.network, ProtectionPlan(), case.model, len(task.inputs)).size
        row |= {"trials": trials, "seconds": trials / median(found["engine"])}
    return row


def _campaigns(case: Case, engine: Engine, peer: Peer) -> dict[str, Work]:
    if not case.exhaustive:
        return {"engine": partial(engine.campaign, case.model), "peer": partial(peer.campaign, case.model)}
    network, model, n = case.task.network, case.model, len(case.task.inputs)
    every = FaultSpace(network, ProtectionPlan(), model, n).draw(0)
    strikes = [peer.strikes_of(every[k : k + 1]) for k in range(len(every))]
    return {
        "engine": lambda trials: engine.each(every[_spread(trials, len(every))]),
        "peer": lambda trials: peer.each(strikes[k] for k in _spread(trials, len(every))),
    }


def _spread(count: int, size: int) -> Any:
    """So many of `size` numbers in order, evenly apart; all of them, and again, if that is more."""
    return np.arange(count) * size // count if count < size else np.resize(np.arange(size), count)


def csim_of(task: Task) -> Work | None:
    """Fault-free evaluations of the set by the compiled project; None where there is no compiler."""
    if shutil.which("g++") is None:
        return None
    from codesign.campaign.simulators import open_simulator
    from codesign.faults import fault_array

    simulator, nothing = open_simulator("csim", task.network, ProtectionPlan(), task.inputs), fault_array([])
    return lambda sets: [simulator.run(nothing) for _ in range(sets)]


def two_threads(case: Case, peak: Peak, repetitions: int, seconds: float) -> dict[str, float] | None:
    """How much faster two threads are than one, by the clock: the engine, and what the two cores can give at all.

    The latter is the loop of the int8 peak, which shares nothing between its threads. None where there is but one core.
    """
    engine = open_engine(case.task, plan_for(case.model, case.task))
    if not isinstance(engine, Compiled) or machine()["cores"] < 2:
        return None

    def twice(rounds: int) -> None:
        other = Thread(target=peak.run, args=(rounds // 2,))
        other.start()
        peak.run(rounds - rounds // 2)
        other.join()

    works: dict[str, Work] = {f"engine {n}": partial(engine.campaign, case.model, threads=n) for n in (1, 2)}
    found = rates({**works, "peak 1": peak.run, "peak 2": twice}, repetitions, seconds, perf_counter)
    return {name: median_ratio(found[f"{name} 2"], found[f"{name} 1"]) for name in ("engine", "peak")}


# ---------------------------------------------------------------- command


def run(*, quick: bool) -> dict[str, Any]:
    """Everything that `--json` prints."""
    chosen, peak, found, effort = cases(), Peak(), [], QUICK if quick else FULL
    simulators: dict[str, Work | None] = {}
    for task in {case.task.network.name: case.task for case in chosen}.values():
        verify(task)
        simulators[task.network.name] = None if quick else csim_of(task)
    for case in chosen:
        print(f"measuring {case.name}", file=sys.stderr)
        found.append(measure(case, peak, simulators[case.task.network.name], *effort))
    about = {**machine(), "peak_instructions": peak.instructions}
    threads = two_threads(next(case for case in chosen if case.name == THREADED), peak, *effort)
    return {"machine": about, "quick": quick, "two_threads_speedup": threads, "cases": found}


def as_text(document: dict[str, Any]) -> str:
    """The table, for people."""
    rows = [
        ["fault model", "engine trials/s", "NumPy trials/s", "ratio", "share of int8 peak", "csim sets/s", "x csim"]
    ]
    for case in document["cases"]:
        numbers = [case[key] for key in ("trials_per_s", "peer_trials_per_s", "ratio")]
        share, csim = f"{case['share_of_peak']:.1%}", [case["csim_sets_per_s"], case["csim_ratio"]]
        rows.append([case["name"], *map(significant, numbers), share, *map(significant, csim)])
    threads = document["two_threads_speedup"] or {"engine": None, "peak": None}
    return (
        f"{table(rows)}\n\nTwo threads: {significant(threads['engine'])} times as fast as one; of the bare loop that "
        f"measures the int8 peak, which shares nothing, {significant(threads['peak'])} times."
    )


def main() -> None:
    """Measure and print."""
    options = parser_of(__doc__, "short repetitions and no csim").parse_args()
    on_one_thread()
    document = run(quick=options.quick)
    print(json.dumps(document, indent=1) if options.json else as_text(document))


if __name__ == "__main__":
    main()
