"""One protected layer, gate by gate in Python's own integers: an oracle for the simulators.

It knows neither NumPy nor virtual replicas, spans or deltas. A word is a bit pattern; a hardened sum is one low word
and some high words, and every adder hands the carry of the low word to each of them; multipliers, the shared unit of
a recomputing layer and stored words exist as often as the hardware has them, and are struck where they are.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from networks import exact_cast, exact_overflow, real

from codesign.codes import Code
from codesign.faults import UNIT, Target
from codesign.fixed import FixedPoint, Overflow
from codesign.network import Kind, Layer
from codesign.protection import LayerPlan, Mechanism, Scope

Row = tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """Raw outputs of each sample, pixel by pixel, and the flags that each sample raised."""

    outputs: list[list[int]]
    corrected: list[bool]
    detected: list[bool]


# ---------------------------------------------------------------- words


def pattern(value: int, width: int) -> int:
    return value % 2**width


def number(word: int, of: FixedPoint) -> int:
    return word - 2**of.width if of.signed and word >= 2 ** (of.width - 1) else word


@cache
def leaf(value: int, frac: int, to: FixedPoint) -> int:
    """The pattern that a number with `frac` fractional bits becomes in a type."""
    return pattern(exact_cast(real(value, frac), to), to.width)


def assigned(value: int, source: FixedPoint, to: FixedPoint) -> int:
    """The pattern that a number of one type becomes in another; from a type to itself it is copied."""
    return pattern(value, to.width) if source == to else leaf(value, source.frac, to)


@dataclass(frozen=True)
class Sum:
    """`cut` bits that exist once, and what lies above them in each copy."""

    low: int
    high: tuple[int, ...]


def split(words: list[int], cut: int) -> Sum:
    """From one whole word a copy: the low part is the first one's."""
    return Sum(words[0] % 2**cut, tuple(word >> cut for word in words))


# ---------------------------------------------------------------- stored words


def code_positions(width: int) -> list[int]:
    """Where the bits of an ECC word stand in Hamming's numbering: data, then checks; zero is the parity of all."""
    checks = 2
    while 2**checks < width + checks + 1:
        checks += 1
    data = [place for place in range(1, 2**checks) if place.bit_count() > 1][:width]
    return [*data, *(2**i for i in range(checks)), 0]


def stored(value: int, width: int, code: Code) -> int:
    """The word in memory, by the definition of each code."""
    data = pattern(value, width)
    if code is Code.PARITY:
        return data + 2**width * (data.bit_count() % 2)
    if code is not Code.ECC:
        return data
    positions, word = code_positions(width), data
    syndrome = 0
    for bit in range(width):
        syndrome ^= positions[bit] if data >> bit & 1 else 0
    for bit, place in enumerate(positions[width:-1], start=width):
        word += 2**bit if syndrome & place else 0
    return word + 2 ** (len(positions) - 1) * (word.bit_count() % 2)


def read(words: list[int], of: FixedPoint, code: Code) -> tuple[int, bool, bool]:
    """Value, corrected and detected."""
    word, data = words[0], words[0] % 2**of.width
    if code is Code.TMR:
        majority = sum(2**b for b in range(of.width) if sum(copy >> b & 1 for copy in words) >= 2)
        return number(majority, of), len(set(words)) > 1, False
    if code is Code.PARITY:
        wrong = word.bit_count() % 2 == 1
        return (0 if wrong else number(data, of)), False, wrong
    if code is Code.ECC:
        return read_ecc(word, data, of)
    return number(data, of), False, False


def read_ecc(word: int, data: int, of: FixedPoint) -> tuple[int, bool, bool]:
    positions = code_positions(of.width)
    syndrome = 0
    for bit, place in enumerate(positions):
        syndrome ^= place if word >> bit & 1 else 0
    if word.bit_count() % 2 == 0:
        return (0 if syndrome else number(data, of)), False, syndrome != 0
    if syndrome not in positions:
        return 0, False, True
    return number((word ^ 2 ** positions.index(syndrome)) % 2**of.width, of), True, False


# ---------------------------------------------------------------- the layer


@dataclass(frozen=True)
class Use:
    """Which of its results a neuron computes."""

    sample: int
    pixel: int
    neuron: int


@dataclass(frozen=True)
class Unit:
    """`per_pass` multipliers and adders used `passes` times; `copies` are the replicas of the high words."""

    cut: int
    copies: tuple[int, ...]
    per_pass: int
    passes: int


class Hardware:
    """A layer with its plan and the rows of a fault list that name it."""

    def __init__(self, layer: Layer, sources: tuple[FixedPoint, ...], plan: LayerPlan, rows: Iterable[Row]) -> None:
        self.layer, self.sources, self.plan = layer, sources, plan
        self.width = layer.acc.width
        self.struck: dict[Row, list[Row]] = defaultdict(list)
        for _, target, neuron, position, replica, bit, sample, step in rows:
            self.struck[target, neuron, position, replica].append((bit, sample, step))
        self.corrected = self.detected = False
        if layer.has_weights:
            k, c = layer.w.raw.shape
            self.weights = [[self.parameter(Target.WEIGHT, i, j) for j in range(c)] for i in range(k)]
            self.biases = [self.parameter(Target.BIAS, 0, j) for j in range(c)]
        self.flags_of_storage = (self.corrected, self.detected)

    def run(self, samples: list[list[list[int]]]) -> Answer:
        """`samples` holds for each sample the raw values of each input tensor, flat."""
        answer = Answer([], [], [])
        for sample, tensors in enumerate(samples):
            self.corrected, self.detected = self.flags_of_storage
            places = itertools.product(range(self.layer.pixels), range(self.layer.neurons))
            answer.outputs.append([self.output(tensors, Use(sample, pixel, neuron)) for pixel, neuron in places])
            answer.corrected.append(self.corrected)
            answer.detected.append(self.detected)
        return answer

    def struck_bits(self, where: Row, sample: int, step: int) -> int:
        """The mask of the bits that are inverted in one use of one unit."""
        mask = 0
        for bit, of_sample, of_step in self.struck.get(where, ()):
            if of_sample in (-1, sample) and of_step in (-1, step):
                mask ^= 2**bit
        return mask

    def parameter(self, target: Target, position: int, neuron: int) -> int:
        parameter = self.layer.w if target is Target.WEIGHT else self.layer.b
        value = int(parameter.raw[position, neuron] if target is Target.WEIGHT else parameter.raw[neuron])
        word = stored(value, parameter.type.width, self.plan.parameters)
        copies = 3 if self.plan.parameters is Code.TMR else 1
        words = [word ^ self.struck_bits((target, neuron, position, copy), -1, -1) for copy in range(copies)]
        value, corrected, detected = read(words, parameter.type, self.plan.parameters)
        self.corrected |= corrected
        self.detected |= detected
        return value

    def output(self, tensors: list[list[int]], use: Use) -> int:
        """The register behind one neuron at one pixel."""
        layer, register = self.layer, (use.sample, use.pixel)
        total = self.neuron_sum(self.operands(tensors, use), use)
        total ^= self.struck_bits((Target.VOTER, use.neuron, 0, 0), *register)
        result = assigned(number(total, layer.acc), layer.acc, layer.result)
        result ^= self.struck_bits((Target.ACTIVATION, use.neuron, 0, 0), *register)
        return number(result, layer.result)

    def neuron_sum(self, operands: list[int], use: Use) -> int:
        """The pattern that leaves the voter."""
        hardened, layer = self.plan.hardened_bits[use.neuron], self.layer
        cut = self.width - hardened
        plain = Unit(self.width, (0,), layer.fan_in // layer.reuse_factor, layer.reuse_factor)
        if not hardened:
            return self.accumulated(operands, use, plain).low
        if self.plan.mechanism is Mechanism.RECOMPUTE:
            size = self.plan.dot_size
            passes = (layer.fan_in + size - 1) // size
            first = self.accumulated(operands, use, plain).low
            again = [self.accumulated(operands, use, Unit(0, (copy,), size, passes)).high[0] for copy in (1, 2)]
            return self.voted([word >> cut for word in [first, *again]]) * 2**cut + first % 2**cut
        if self.plan.mechanism is Mechanism.TMR:
            total = self.accumulated(operands, use, replace(plain, cut=cut, copies=(0, 1, 2)))
            return self.voted(total.high) * 2**cut + total.low
        total = self.accumulated(operands, use, replace(plain, cut=cut, copies=(0, 1)))
        if total.high[0] != total.high[1]:
            self.detected = True
            return 0
        return total.high[0] * 2**cut + total.low

    def voted(self, words: Sequence[int]) -> int:
        """The bitwise majority of three."""
        self.corrected |= len(set(words)) > 1
        return sum(2**bit for bit in range(self.width) if sum(word >> bit & 1 for word in words) >= 2)

    # ------------------------------------------------------------ operands

    def operands(self, tensors: list[list[int]], use: Use) -> list[int]:
        """Data of the products; of an addition both operands."""
        layer, mine = self.layer, use.pixel * self.layer.neurons + use.neuron
        if layer.kind in (Kind.ADD, Kind.BATCHNORM):
            return [tensor[mine] for tensor in tensors]
        if layer.kind is Kind.DENSE:
            return tensors[0]
        assert layer.window is not None
        height, width, depth = layer.window.in_shape
        (top, _), (left, _) = layer.window.pads
        row, column = divmod(use.pixel, layer.window.out_hw[1])
        found = []
        for ky in range(layer.window.kernel[0]):
            for kx in range(layer.window.kernel[1]):
                y, x = row * layer.window.strides[0] + ky - top, column * layer.window.strides[1] + kx - left
                inside = 0 <= y < height and 0 <= x < width
                pixel = tensors[0][(y * width + x) * depth :][:depth] if inside else [0] * depth
                found += [pixel[use.neuron]] if layer.kind is Kind.DEPTHWISE else pixel
        return found

    # ------------------------------------------------------------ sums

    def accumulated(self, operands: list[int], use: Use, unit: Unit) -> Sum:
        """All passes of a unit."""
        if self.layer.kind is Kind.ADD:
            first, second = (
                split([assigned(x, source, self.layer.acc)] * len(unit.copies), unit.cut)
                for x, source in zip(operands, self.sources, strict=True)
            )
            return self.of_pass([first, second], use, unit, use.pixel)
        bias = assigned(self.biases[use.neuron], self.layer.b.type, self.layer.acc)
        total = split([bias] * len(unit.copies), unit.cut)
        for number_of_pass in range(unit.passes):
            step, begin = use.pixel * unit.passes + number_of_pass, number_of_pass * unit.per_pass
            leaves = [self.products(operands, begin + m, m, use, unit, step) for m in range(unit.per_pass)]
            total = self.of_pass([total, *leaves], use, unit, step)
        return total

    def products(self, operands: list[int], k: int, multiplier: int, use: Use, unit: Unit, step: int) -> Sum:
        """What the multipliers of all copies give for product k; zeros fill the last pass."""
        data, weight = (operands[k], self.weights[k][use.neuron]) if k < len(operands) else (0, 0)
        own = self.plan.mechanism is Mechanism.RECOMPUTE or self.plan.scope is Scope.MAC
        source, of = self.sources[0], self.layer.w.type
        width, frac = source.width + of.width, source.frac + of.frac
        words = []
        for copy in unit.copies if own else [0] * len(unit.copies):
            word = pattern(data * weight, width) ^ self.struck_unit(Target.PRODUCT, multiplier, copy, use, step)
            signed = source.signed or of.signed
            value = word - 2**width if signed and word >= 2 ** (width - 1) else word
            words.append(leaf(value, frac, self.layer.acc))
        return split(words, unit.cut)

    def struck_unit(self, target: Target, position: int, copy: int, use: Use, step: int) -> int:
        """The mask of what strikes a multiplier or an adder; those of copies computed again are one shared unit's."""
        mask = self.struck_bits((target, use.neuron, position, copy), use.sample, step)
        if copy and self.plan.mechanism is Mechanism.RECOMPUTE:
            mask ^= self.struck_bits((target, UNIT, position, 1), use.sample, step)
        return mask

    def struck_adder(self, total: Sum, position: int, use: Use, unit: Unit, step: int) -> Sum:
        masks = [self.struck_unit(Target.ACCUMULATOR, position, copy, use, step) for copy in unit.copies]
        high = tuple(word ^ mask >> unit.cut for word, mask in zip(total.high, masks, strict=True))
        return Sum(total.low ^ masks[0] % 2**unit.cut, high)  # what exists once counts as the first copy's

    def of_pass(self, leaves: list[Sum], use: Use, unit: Unit, step: int) -> Sum:
        """A chain where the type saturates; otherwise a tree that splits at the largest power of two."""

        def adder(position: int, left: Sum, right: Sum) -> Sum:
            return self.struck_adder(self.added(left, right, unit.cut), position, use, unit, step)

        if self.layer.acc.overflow is not Overflow.WRAP:
            total = leaves[0]
            for position, word in enumerate(leaves[1:]):
                total = adder(position, total, word)
            return total

        def subtree(first: int, end: int) -> Sum:
            if end - first == 1:
                return leaves[first]
            half = 1
            while 2 * half < end - first:
                half *= 2
            return adder(first + half - 1, subtree(first, first + half), subtree(first + half, end))

        return subtree(0, len(leaves))

    def added(self, left: Sum, right: Sum, cut: int) -> Sum:
        """One adder: the low words once, their carry into each copy of the high ones."""
        if self.layer.acc.overflow is not Overflow.WRAP:
            assert cut in (0, self.width), "a saturating adder has one word"
            if cut:
                return Sum(self.saturated(left.low, right.low), left.high)
            return Sum(0, tuple(self.saturated(a, b) for a, b in zip(left.high, right.high, strict=True)))
        low = left.low + right.low
        carry = low >> cut
        high = [(a + b + carry) % 2 ** (self.width - cut) for a, b in zip(left.high, right.high, strict=True)]
        return Sum(low % 2**cut, tuple(high))

    def saturated(self, left: int, right: int) -> int:
        acc = self.layer.acc
        return pattern(exact_overflow(number(left, acc) + number(right, acc), acc), acc.width)


def relu(value: int, source: FixedPoint, to: FixedPoint) -> int:
    """The passive layer in front of an addition's second operand."""
    return exact_cast(max(real(value, source.frac), Fraction(0)), to)
