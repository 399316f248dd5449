"""Circuits of tables and registers, with upsets, give what a plain simulation of each sample gives."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SEEDS

from codesign.engine.circuit import (
    CORRECTED,
    DETECTED,
    NO_BIT,
    TABLE_INPUTS,
    UPSET,
    UPSET_COUNTS,
    Circuit,
    CircuitSimulator,
    UpsetArray,
)
from codesign.engine.counts import count
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.outcome import Outcome

SOURCES, ENTERING = 8, np.arange(2, 8, dtype=np.int32)


@dataclass(frozen=True)
class Case:
    """`bits` has shape (n_cycles, n_entering, n_samples)."""

    circuit: Circuit
    bits: np.ndarray
    upsets: UpsetArray
    labels: np.ndarray

    def values(self, sample: int, upsets: UpsetArray) -> list[int]:
        """Of the last cycle: one sample, one value after the other."""
        circuit, (cycles, _, _) = self.circuit, self.bits.shape
        values: list[int] = []
        for cycle in range(cycles):
            before, values = values, [0, 1, *self.bits[cycle, :, sample].astype(int).tolist()]
            flips = [u["value"] for u in upsets if u["bit"] == NO_BIT and (u["cycle"], u["sample"]) == (cycle, sample)]
            for k, data in enumerate(circuit.data):
                values.append(int(before[data]) if cycle else int(circuit.initial[k]))
                values[-1] ^= flips.count(len(values) - 1) & 1
            for k, (table, used) in enumerate(zip(circuit.tables.tolist(), circuit.n_inputs, strict=True)):
                entry = sum(values[source] << place for place, source in enumerate(circuit.inputs[k, :used]))
                wrong = sum(u["value"] == circuit.first_table + k and u["bit"] == entry for u in upsets)
                values.append((table >> entry ^ int(wrong)) & 1)
                values[-1] ^= flips.count(len(values) - 1) & 1
        return values

    def read(self, upsets: UpsetArray) -> tuple[Outcome, np.ndarray]:
        """Words and flags of all samples, and which are announced."""
        sign = 1 << (self.circuit.word.width - 1) if self.circuit.word.signed else 0
        words, flags, ready = [], [], []
        for sample in range(self.bits.shape[2]):
            values = self.values(sample, upsets)
            raw = [sum(values[v] << bit for bit, v in enumerate(word)) for word in self.circuit.outputs]
            words.append([(word ^ sign) - sign for word in raw])
            flags.append(
                sum({int(k) for v, k in zip(self.circuit.flags, self.circuit.flag_kinds, strict=True) if values[v]})
            )
            ready.append(values[self.circuit.ready])
        found = np.array(flags)
        return Outcome(np.array(words), (found & CORRECTED) != 0, (found & DETECTED) != 0), np.array(ready, bool)

    def counts(self) -> tuple[int, ...]:
        """Where every sample is announced without upsets."""
        (golden, _), (outcome, ready) = self.read(self.upsets[:0]), self.read(self.upsets)
        # No answer: five more classes, which come first there and last elsewhere.
        none = np.full((len(ready), 5), -(1 << 40))
        before = np.concatenate([golden.logits, none], axis=1)
        logits = np.concatenate([outcome.logits, np.where(ready[:, None], none, -none)], axis=1)
        changed = (outcome.logits != golden.logits).any(axis=1) | ~ready
        flagged = outcome.corrected | outcome.detected
        found = count(replace(outcome, logits=logits), before, self.labels)
        return (*found, int(changed.sum()), int(flagged.sum()), int((~ready).sum()))


@st.composite
def circuits(draw: st.DrawFn) -> Case:
    """Any tables and registers, some tables no more than wires, with any upsets."""
    rng = np.random.default_rng(draw(SEEDS))
    registers, tables = draw(st.integers(0, 6)), draw(st.integers(1, 50))
    cycles, samples = draw(st.integers(1, 4)), draw(st.sampled_from([1, 64, 65, 257]))
    first = SOURCES + registers
    used = rng.integers(1, TABLE_INPUTS + 1, tables)
    inputs = np.stack([rng.integers(0, first + k, TABLE_INPUTS) for k in range(tables)]).astype(np.int32)
    entries = rng.integers(0, 1 << 63, tables, dtype=np.uint64) * np.uint64(2)
    word = FixedPoint(draw(st.integers(1, 9)), 0, draw(st.booleans()))
    total, n_flags = first + tables, draw(st.integers(0, 3))
    circuit = Circuit(
        n_sources=SOURCES,
        data=rng.integers(0, total, registers).astype(np.int32),
        initial=rng.integers(0, 2, registers).astype(np.uint8),
        tables=entries,
        n_inputs=used.astype(np.int32),
        inputs=inputs,
        outputs=rng.integers(0, total, (draw(st.integers(1, 7)), word.width)).astype(np.int32),
        word=word,
        ready=draw(st.sampled_from([1, 1, total - 1])),
        flags=rng.integers(2, total, n_flags).astype(np.int32),
        flag_kinds=rng.integers(1, 3, n_flags).astype(np.uint8),
    )
    upsets = []
    for _ in range(draw(st.integers(0, 6))):
        value = int(rng.integers(SOURCES, total))
        stored = value >= first and rng.integers(2)
        bit = rng.integers(0, 1 << used[value - first]) if stored else NO_BIT
        upsets.append((value, bit, rng.integers(cycles), rng.integers(samples)))
    bits = rng.integers(0, 2, (cycles, len(ENTERING), samples)).astype(bool)
    return Case(circuit, bits, np.unique(np.array(upsets, UPSET)), rng.integers(0, len(circuit.outputs), samples))


@settings(max_examples=25)
@given(circuits())
def test_any_circuit_is_simulated_as_one_does_it_by_hand(case: Case) -> None:
    simulator = CircuitSimulator(case.circuit, ENTERING, case.bits)
    golden, ready = case.read(case.upsets[:0])
    words, announced, flagged = simulator.golden()
    assert words.tolist() == golden.logits.tolist()
    assert announced.tolist() == ready.tolist()
    assert flagged.tolist() == (golden.corrected | golden.detected).tolist()


@settings(max_examples=25)
@given(circuits())
def test_upsets_do_what_they_do_by_hand(case: Case) -> None:
    """Twice, with nothing between: what a trial changes is gone afterwards."""
    _, ready = case.read(case.upsets[:0])
    simulator = CircuitSimulator(case.circuit, ENTERING, case.bits)
    nothing = case.upsets[:0]
    rows = simulator.run([case.upsets, nothing, case.upsets], case.labels)
    quiet = Case(case.circuit, case.bits, nothing, case.labels)
    assert rows.dtype == UPSET_COUNTS
    if ready.all():
        assert [tuple(row) for row in rows.tolist()] == [case.counts(), quiet.counts(), case.counts()]
    assert rows[0] == rows[2]


def _two_tables() -> CircuitSimulator:
    """An inverter behind a wire, behind a register."""
    circuit = Circuit(
        n_sources=3,
        data=np.array([2], np.int32),
        initial=np.zeros(1, np.uint8),
        tables=np.array([0b10, 0b01], np.uint64),
        n_inputs=np.ones(2, np.int32),
        inputs=np.array([[3, 0, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0]], np.int32),
        outputs=np.array([[5], [2]], np.int32),
        word=FixedPoint(1, 1, signed=False),
        ready=1,
        flags=np.zeros(0, np.int32),
        flag_kinds=np.zeros(0, np.uint8),
    )
    return CircuitSimulator(circuit, np.array([2], np.int32), np.zeros((2, 1, 3), np.bool_))


@pytest.mark.parametrize(
    ("upset", "error"),
    [
        ((2, NO_BIT, 0, 0), "no table and no register"),
        ((6, 0, 0, 0), "no table and no register"),
        ((3, 0, 0, 0), "a bit that its table does not have"),
        ((4, 2, 0, 0), "a bit that its table does not have"),
        ((3, NO_BIT, 2, 0), "a sample or a cycle"),
        ((3, NO_BIT, 0, 3), "a sample or a cycle"),
    ],
)
def test_upsets_of_what_is_not_there_are_refused(upset: tuple[int, ...], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        _two_tables().run([np.array([upset], UPSET)], np.zeros(3, np.int64))


def test_a_register_struck_before_the_last_cycle_is_right_again() -> None:
    labels = np.zeros(3, np.int64)
    upsets = np.array([(3, NO_BIT, 0, 1), (3, NO_BIT, 1, 1)], UPSET)
    rows = _two_tables().run(upsets, labels)
    assert rows["changed"].tolist() == [0, 1]
