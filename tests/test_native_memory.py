"""The compiled engine takes little memory and gives all of it back: engines that come and go, campaigns, draws."""

import ctypes
import gc
from collections.abc import Callable

import numpy as np
import pytest
from byte_networks import digits_like
from networks import mixed_network, mixed_plan, random_raw

from codesign.codes import Code
from codesign.engine import binding
from codesign.engine.compiled import KERNELS, NativeEngine
from codesign.engine.description import describe_space
from codesign.engine.fast import EngineSimulator
from codesign.errors import ConfigError
from codesign.faults import FaultModel, FaultSite, FaultSpace, Lifetime, Target
from codesign.protection import Mechanism, ProtectionPlan

# Python's own tables may grow by some; a worker or a layer that is kept each time is a thousand times as much.
SLACK_BYTES = 128 << 10


class Allocated(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


def allocated() -> int:
    """Bytes that malloc has handed out, in all its arenas."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("counting what is allocated needs mallinfo2: run on Linux with glibc 2.33 or later")
    mallinfo.restype = Allocated
    gc.collect()
    now = mallinfo()
    return int(now.uordblks + now.hblkhd)


def keeps(repeated: Callable[[], object], times: int) -> int:
    """How much more is allocated after many calls; the first ones fill what is kept on purpose."""
    for _ in range(5):
        repeated()
    before = allocated()
    for _ in range(times):
        repeated()
    return allocated() - before


def engines_come_and_go() -> None:
    network, inputs = digits_like()
    for kernel in KERNELS:
        engine = NativeEngine(network, ProtectionPlan.uniform(network, 8), inputs, kernel)
        space = FaultSpace(network, engine.plan, FaultModel((Target.ACCUMULATOR,), ber=1e-5), len(inputs))
        engine.run(space.draw(0))


def a_mixed_engine() -> None:
    network = mixed_network()
    inputs = random_raw(network.input_type, (7, network.n_in), np.random.default_rng(1))
    for mechanism in Mechanism:
        plan = mixed_plan(mechanism, Code.ECC)
        model = FaultModel(tuple(Target), ber=1e-3, lifetime=Lifetime.PERSISTENT)
        space, labels = FaultSpace(network, plan, model, 7), np.zeros(7, np.int64)
        NativeEngine(network, plan, inputs).run_campaign(space, labels, range(4), threads=2)


def refusals() -> None:
    network, inputs = digits_like()
    engine = NativeEngine(network, ProtectionPlan(), inputs[:3])
    with pytest.raises(ConfigError):
        engine.run(FaultSite(0, Target.WEIGHT, 10**6).at())
    with pytest.raises(ConfigError):
        NativeEngine(network, ProtectionPlan(), inputs + 1000)
    space = FaultSpace(network, ProtectionPlan(), FaultModel((Target.BIAS,), n_flips=10**6), 1)
    with pytest.raises(ConfigError):
        binding.draw(describe_space(space), 0)


def drawn_lists() -> None:
    network, _ = digits_like()
    space = FaultSpace(network, ProtectionPlan(), FaultModel(tuple(Target), ber=1e-4), 3)
    binding.draw(describe_space(space), 0)


@pytest.mark.parametrize(
    ("repeated", "times"), [(engines_come_and_go, 20), (a_mixed_engine, 60), (refusals, 60), (drawn_lists, 100)]
)
def test_nothing_is_kept(repeated: Callable[[], object], times: int) -> None:
    assert keeps(repeated, times) < SLACK_BYTES


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_long_campaign_keeps_nothing(kernel: str) -> None:
    """Thousands of trials in one engine, on two threads that are started anew for every campaign."""
    network, inputs = digits_like()
    few, labels = inputs[:20], np.zeros(20, np.int64)
    engine = NativeEngine(network, ProtectionPlan(), few, kernel)
    model = FaultModel((Target.WEIGHT, Target.ACCUMULATOR), ber=1e-4)
    space = FaultSpace(network, ProtectionPlan(), model, len(few))
    assert keeps(lambda: engine.run_campaign(space, labels, range(100), threads=2), 40) < SLACK_BYTES


def test_what_is_kept_would_be_seen() -> None:
    kept: list[object] = []
    assert keeps(lambda: kept.append(np.zeros(1000, np.int64)), 60) > SLACK_BYTES


@pytest.mark.parametrize(("kernel", "samples"), [("generic", 120_000), ("avx512", 60_000), ("avx512", 120_000)])
def test_it_takes_the_activations_and_64_mib(kernel: str, samples: int) -> None:
    """Of many samples it keeps no more sums than a budget allows."""
    network, inputs = digits_like()
    many = np.resize(inputs, (samples, network.n_in))
    words = [network.input_type.width] * network.n_in
    words += [layer.result.width for layer in network.layers for _ in range(layer.n_out)]
    activations = len(many) * sum(-(-width // 8) for width in words)
    before = allocated()
    engine = NativeEngine(network, ProtectionPlan(), many, kernel)
    assert allocated() - before < activations + (64 << 20)
    expected, plan = EngineSimulator(network, ProtectionPlan(), many), ProtectionPlan()
    for amount in ({"n_flips": 1}, {"n_flips": 2}, {"ber": 1e-3}):
        faults = FaultSpace(network, plan, FaultModel((Target.WEIGHT,), **amount), len(many)).draw(0)
        assert np.array_equal(engine.run(faults), expected.run(faults))
    few = FaultSpace(network, plan, FaultModel((Target.ACCUMULATOR, Target.ACTIVATION), n_flips=50), len(many))
    assert np.array_equal(engine.run(few.draw(0)), expected.run(few.draw(0)))
