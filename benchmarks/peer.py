"""What the engine is measured against: exact fault injection as one writes it by hand in NumPy.

Integers are carried as float32, where every sum is below 2**24, so that BLAS multiplies them exactly. The fault-free
run is kept; a trial computes the struck samples from the struck layer on; draws are vectorised; the adder trees of
struck layers are added level by level with the flips as masks. Made for chains of dense, convolution, ReLU and max
pooling layers without protection.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from digits import Task
from peer_block import Block, Floats, Strikes, inverted, require

from codesign.faults import FaultArray, FaultModel, Target
from codesign.fixed import Ints


class Peer:
    """Campaigns on one task."""

    name = "exact NumPy"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.blocks = _blocks(task)
        self._entering = [task.inputs.astype(np.float32)]
        self._operands: list[Floats] = []
        self._sums: list[Floats] = []
        for block in self.blocks:
            self._operands.append(block.operands(self._entering[-1]))
            self._sums.append(block.sums(self._operands[-1], block.words))
            self._entering.append(block.leave(self._sums[-1].copy()))
        self.golden = self._entering[-1]
        self._top = self.golden.argmax(axis=1)

    def campaign(self, model: FaultModel, trials: int) -> Ints:
        """Right answers and changed top classes of each trial, shape (trials, 2)."""
        return self.each(self._draws(model, trials))

    def each(self, trials: Iterable[dict[int, Strikes]]) -> Ints:
        """The same for given trials, strikes by the index of their block."""
        return np.array([self._count(self.run(strikes)) for strikes in trials])

    def _count(self, logits: Floats) -> tuple[int, int]:
        top = logits.argmax(axis=1)
        return int(np.count_nonzero(top == self.task.labels)), int(np.count_nonzero(top != self._top))

    # ---------------------------------------------------------------- one trial

    def run(self, strikes: dict[int, Strikes]) -> Floats:
        """Logits (n_samples, n_out) under strikes of blocks, by the blocks' index."""
        touched, values = np.zeros(0, np.int64), None
        for index in range(min(strikes, default=len(self.blocks)), len(self.blocks)):
            here = strikes.get(index)
            before, touched = touched, self._reached(index, here, touched)
            values = self.blocks[index].leave(self._block(index, here, touched, before, values))
        if values is None or len(touched) == len(self.golden):
            return self.golden if values is None else values
        logits = self.golden.copy()
        logits[touched] = values
        return logits

    def _reached(self, index: int, here: Strikes | None, before: Ints) -> Ints:
        """The samples that differ, as far as one knows without computing, behind block `index`."""
        if here is None or len(before) == len(self.golden):
            return before
        if here.target is Target.WEIGHT:
            return np.arange(len(self.golden))
        block, struck = self.blocks[index], np.zeros(len(self.golden), np.bool_)
        row = here.at // block.layer.neurons if here.target is Target.VOTER else here.at % block.rows
        struck[before] = True
        struck[row // block.layer.pixels] = True
        return np.flatnonzero(struck)

    def _block(self, index: int, here: Strikes | None, touched: Ints, before: Ints, values: Floats | None) -> Floats:
        """Sums of the touched samples, of which `values` enter in those touched before."""
        block, layer = self.blocks[index], self.blocks[index].layer
        whole = len(touched) == len(self.golden)
        if values is None and here is not None and here.target is Target.VOTER:
            kept = self._sums[index].reshape(-1, layer.n_out)
            sums = (kept.copy() if whole else kept[touched]).reshape(-1, layer.neurons)
            return inverted(sums, self._renumbered(block, here, touched), layer.acc.width)
        if values is None and whole:
            operands = self._operands[index]
        else:
            operands = block.operands(self._values(index, touched, before, values))
        if here is None:
            return block.sums(operands, block.words)
        if here.target is Target.WEIGHT:
            words, (at, masks) = block.words.copy(), here.masks()
            words.reshape(-1)[at] ^= masks.astype(np.uint8).view(np.int8)
            return block.sums(operands, words)
        here = self._renumbered(block, here, touched)
        if here.target is Target.VOTER:
            return inverted(block.sums(operands, block.words), here, layer.acc.width)
        return block.struck_sums(operands, here)

    def _values(self, index: int, touched: Ints, before: Ints, values: Floats | None) -> Floats:
        """What enters a block in the touched samples."""
        if values is not None and len(before) == len(touched):
            return values
        entering = self._entering[index][touched]
        if values is not None:
            entering[np.searchsorted(touched, before)] = values
        return entering

    def _renumbered(self, block: Block, here: Strikes, touched: Ints) -> Strikes:
        """Strikes with rows counted among the touched samples."""
        if len(touched) == len(self.golden):
            return here
        layer, rows = block.layer, len(touched) * block.layer.pixels
        if here.target is Target.VOTER:
            row, neuron = np.divmod(here.at, layer.neurons)
        else:
            place, row = np.divmod(here.at, block.rows)
        sample, pixel = np.divmod(row, layer.pixels)
        row = np.searchsorted(touched, sample) * layer.pixels + pixel
        at = row * layer.neurons + neuron if here.target is Target.VOTER else place * rows + row
        return Strikes(here.target, at, here.bit)

    # ---------------------------------------------------------------- draws

    def _draws(self, model: FaultModel, trials: int) -> Iterator[dict[int, Strikes]]:
        (target,) = model.targets
        generator = np.random.default_rng(model.seed)
        starts = np.cumsum([0, *(_words(block, target) * _width(block, target) for block in self.blocks)])
        if model.n_flips is not None:
            numbers: Iterator[Ints] = iter(generator.integers(starts[-1], size=(trials, model.n_flips)))
        else:
            assert model.ber is not None
            numbers = (bernoulli(generator, model.ber, int(starts[-1])) for _ in range(trials))
        for drawn in numbers:
            cuts = np.searchsorted(drawn, starts)
            yield {
                index: _strikes(block, target, drawn[cuts[index] : cuts[index + 1]] - starts[index])
                for index, block in enumerate(self.blocks)
                if cuts[index] < cuts[index + 1]
            }

    def strikes_of(self, faults: FaultArray) -> dict[int, Strikes]:
        """A fault list of one target as strikes, to compare with other simulators."""
        found = {}
        places = [index for index, _ in self.task.network.compute_layers()]
        for number, (index, block) in enumerate(zip(places, self.blocks, strict=True)):
            here = faults[faults["layer"] == index]
            if len(here) == 0:
                continue
            names = ("neuron", "position", "sample", "step", "bit")
            neuron, position, sample, step, bit = (here[name].astype(np.int64) for name in names)
            row, layer = sample * block.layer.pixels + step, block.layer
            target = Target(here["target"][0])
            at = {
                Target.WEIGHT: position * layer.neurons + neuron,
                Target.ACCUMULATOR: (neuron * layer.fan_in + position) * block.rows + row,
                Target.VOTER: row * layer.neurons + neuron,
            }[target]
            order = np.argsort(at, kind="stable")
            found[number] = Strikes(target, at[order], bit[order])
        return found


def _words(block: Block, target: Target) -> int:
    """Words a block has of a target."""
    if target is Target.VOTER:
        return block.rows * block.layer.neurons
    return block.words.size * (block.rows if target is Target.ACCUMULATOR else 1)


def _width(block: Block, target: Target) -> int:
    return block.layer.w.type.width if target is Target.WEIGHT else block.layer.acc.width


def _strikes(block: Block, target: Target, numbers: Ints) -> Strikes:
    width = _width(block, target)
    at = numbers // width
    return Strikes(target, at, numbers - at * width)


def bernoulli(generator: np.random.Generator, probability: float, size: int) -> Ints:
    """Sorted numbers below `size`, each present with `probability`: gaps are geometric, floored exponentials."""
    expected = size * probability
    scale = -1.0 / np.log1p(-probability)
    numbers, last = [], -1
    while last < size:
        gaps = generator.standard_exponential(int(expected + 5 * np.sqrt(expected)) + 5) * scale
        numbers.append(np.cumsum(gaps.astype(np.int64) + 1) + last)
        last = int(numbers[-1][-1])
    drawn = numbers[0] if len(numbers) == 1 else np.concatenate(numbers)
    inside: Ints = drawn[: np.searchsorted(drawn, size)]
    return inside


def _blocks(task: Task) -> list[Block]:
    network, blocks = task.network, list[Block]()
    for index, layer in enumerate(network.layers):
        require(network.sources(index) == (index - 1,), layer)
        if layer.protectable:
            blocks.append(Block(layer, network.input_of(index), len(task.inputs)))
        else:
            blocks[-1].follow(layer)
    return blocks
