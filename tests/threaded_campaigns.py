"""Campaigns of the compiled engine on several threads; test_sanitizers.py runs this where races are reported.

A program of its own, since a test runner under the thread sanitizer takes minutes.
"""

import numpy as np
from byte_networks import digits_like
from networks import Ints, mixed_network, mixed_plan, random_raw

from codesign.engine.compiled import KERNELS, Interrupted, NativeEngine
from codesign.faults import FaultModel, FaultSpace, Lifetime, Target
from codesign.network import Network
from codesign.protection import Mechanism, ProtectionPlan

THREADS = 4
MODELS = (
    FaultModel((Target.WEIGHT,), n_flips=3),
    FaultModel((Target.WEIGHT, Target.BIAS), ber=1e-3),
    FaultModel((Target.ACCUMULATOR, Target.ACTIVATION), ber=1e-4),
    FaultModel((Target.PRODUCT, Target.VOTER), n_flips=2, lifetime=Lifetime.PERSISTENT),
)


def campaigns(network: Network, plan: ProtectionPlan, inputs: Ints, kernel: str) -> int:
    """Every model's: drawn, by lists, interrupted. Gives their number."""
    engine, labels = NativeEngine(network, plan, inputs, kernel), np.zeros(len(inputs), np.int64)
    for model in MODELS:
        space = FaultSpace(network, plan, model, len(inputs))
        drawn = engine.run_campaign(space, labels, range(40), threads=THREADS, logits=True)
        lists = [space.draw(trial) for trial in range(40)]
        listed = engine.run_lists(lists, labels, threads=THREADS)
        assert np.array_equal(drawn.rows, listed.rows)
        try:
            engine.run_campaign(space, labels, range(10**6), threads=THREADS, progress=stop)
        except Interrupted as interrupt:
            kept = interrupt.counts.rows[:40]
            assert np.array_equal(kept, drawn.rows[: len(kept)])
    return 3 * len(MODELS)


def stop(done: int) -> None:
    if done:
        raise KeyboardInterrupt


def main() -> None:
    network, inputs = digits_like()
    plan, done = ProtectionPlan.uniform(network, 8), 0
    for kernel in KERNELS:
        done += campaigns(network, plan, inputs[:100], kernel)
    mixed = mixed_network()
    inputs = random_raw(mixed.input_type, (20, mixed.n_in), np.random.default_rng(1))
    done += campaigns(mixed, mixed_plan(Mechanism.RECOMPUTE), inputs, "generic")
    print(f"{done} campaigns on {THREADS} threads")


if __name__ == "__main__":
    main()
