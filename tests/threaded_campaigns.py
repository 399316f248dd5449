"""Campaigns and circuits on several threads; test_sanitizers.py runs this where races are reported.

A program of its own, since a test runner under the thread sanitizer takes minutes.
"""

import numpy as np
from byte_networks import digits_like
from networks import Ints, mixed_network, mixed_plan, random_raw

from codesign.engine.circuit import TABLE_INPUTS, UPSET, Circuit, CircuitSimulator
from codesign.engine.circuit import Interrupted as UpsetsInterrupted
from codesign.engine.compiled import KERNELS, Interrupted, NativeEngine
from codesign.faults import FaultModel, FaultSpace, Lifetime, Target
from codesign.fixed import FixedPoint
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


def upsets() -> None:
    """Of random tables: on several threads what one thread counts, and interrupted."""
    generator, tables, samples = np.random.default_rng(2), 200, 300
    circuit = Circuit(
        n_sources=10,
        data=np.array([20], np.int32),
        initial=np.zeros(1, np.uint8),
        tables=generator.integers(0, 1 << 62, tables, dtype=np.uint64),
        n_inputs=np.full(tables, TABLE_INPUTS, np.int32),
        inputs=np.stack([generator.integers(0, 11 + k, TABLE_INPUTS) for k in range(tables)]).astype(np.int32),
        outputs=np.arange(171, 211, dtype=np.int32).reshape(10, 4),
        word=FixedPoint(4, 4),
        ready=1,
        flags=np.zeros(0, np.int32),
        flag_kinds=np.zeros(0, np.uint8),
    )
    bits = generator.integers(0, 2, (3, 8, samples)).astype(np.bool_)
    simulator, labels = CircuitSimulator(circuit, np.arange(2, 10, dtype=np.int32), bits), np.zeros(samples, np.int64)
    struck = np.array([(11 + k % tables, k % 64, 0, 0) for k in range(2000)], UPSET)
    wanted = simulator.run(struck, labels, threads=1)
    assert np.array_equal(simulator.run(struck, labels, threads=THREADS), wanted)
    try:
        simulator.run(np.tile(struck, 100), labels, threads=THREADS, progress=stop)
    except UpsetsInterrupted as interrupt:
        kept = interrupt.counts[:2000]
        assert np.array_equal(kept, wanted[: len(kept)])


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
    upsets()
    print(f"{done} campaigns on {THREADS} threads")


if __name__ == "__main__":
    main()
