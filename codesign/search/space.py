"""Points of a study's space, their coordinates for the surrogate, and starting designs."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from codesign.errors import ConfigError
from codesign.study import Design, SpaceSection, Value, Variable

Point = dict[str, Value]
_ALONG = [i / 16 for i in range(17)]
_SHOWN = 9
_LISTED = 20_000  # points of a space that is looked at as a whole


class Space:
    """The searched variables of a study. A point gives each of them a value."""

    def __init__(self, section: SpaceSection) -> None:
        self.section = section
        self.variables = section.searched

    def design(self, point: Point) -> Design:
        """The design of a point, fixed variables filled in.

        Points that mean the same become one design: important neurons are never hardened less than the
        others, and where both have the same number of bits it does not matter how many are important.
        """
        design = self.section.design(point)
        most = max(design.hardened_bits_important, design.hardened_bits_normal)
        if most == design.hardened_bits_normal:
            return design.with_hardened(most, most, _ends(self.section.important_fraction)[1])
        return design

    def point(self, design: Design) -> Point:
        """A point that `design` turns into this design."""
        values = {v.name: (v, getattr(design, v.name)) for v in self.variables}
        return {name: value if value in v else _not_above(v, value) for name, (v, value) in values.items()}

    def distinct(self, points: Iterable[Point]) -> list[Point]:
        """One point for each design, in their order."""
        found = {design: self.point(design) for design in map(self.design, points)}
        return list(found.values())

    @cached_property
    def listed(self) -> list[Point] | None:
        """One point for each design, where the space has so few that all can be looked at; None otherwise."""
        choices = [_choices(variable) for variable in self.variables]
        if any(c is None for c in choices) or math.prod(len(c) for c in choices if c) > _LISTED:
            return None
        every = product(*(c for c in choices if c))
        return self.distinct({v.name: x for v, x in zip(self.variables, one, strict=True)} for one in every)

    def encode(self, points: Sequence[Point]) -> NDArray[np.float64]:
        """Coordinates in 0..1, shape (n, d): numbers by their size, categories one-hot."""
        return np.concatenate([_encode(v, [p[v.name] for p in points]) for v in self.variables], axis=1)

    def decode(self, unit: NDArray[np.float64]) -> Point:
        """The point at uniform numbers in 0..1, one a variable: shape (n_variables,)."""
        return {v.name: _at(v, float(u)) for v, u in zip(self.variables, unit, strict=True)}

    def sample(self, count: int, generator: np.random.Generator) -> list[Point]:
        """Independent uniform points."""
        return [self.decode(u) for u in generator.random((count, len(self.variables)))]

    def near(self, point: Point, generator: np.random.Generator) -> Point:
        """A neighbour: one or two variables moved, numbers by about a tenth of their range."""
        moved = dict(point)
        names = generator.permutation(len(self.variables))[: int(generator.integers(1, 3))]
        for index in names:
            variable = self.variables[index]
            moved[variable.name] = _moved(variable, point[variable.name], generator)
        return moved

    def lines(self, point: Point) -> Iterable[Point]:
        """Points along each numeric variable, the others kept."""
        for variable in self.variables:
            for unit in _ALONG if variable.kind != "categorical" else ():
                yield {**point, variable.name: _at(variable, unit)}

    def along(self, variable: Variable) -> tuple[Value, ...]:
        """Values from one end of a variable to the other: all of them, or nine where there are more."""
        choices = _choices(variable)
        if choices is not None and len(choices) <= _SHOWN:
            return tuple(choices)
        if choices is not None:
            places = np.rint(np.linspace(0, len(choices) - 1, _SHOWN)).astype(int)
            return tuple(choices[int(place)] for place in places)
        low, high = _ends(variable)
        return tuple(min(low + (high - low) * i / (_SHOWN - 1), high) for i in range(_SHOWN))

    def starting(self, count: int, seed: int) -> list[Point]:
        """Designs to begin with: none, all, and single-layer protection, then points that fill the space."""
        found: list[Point] = []
        for point in [*self._families(), *self._filling(count, seed)]:
            if point not in found:
                found.append(point)
        return found[:count]

    def _families(self) -> Iterable[Point]:
        """Unprotected and full TMR at the widest network, then one hardening for all, and whole neurons."""
        widest = {v.name: max(_ends(v)) if v.kind != "categorical" else v.first for v in self.variables}
        hardened = ("hardened_bits_important", "hardened_bits_normal")
        low = {v.name: min(_ends(v)) for v in self.variables if v.name in hardened}
        high = {v.name: max(_ends(v)) for v in self.variables if v.name in hardened}
        if "protection_budget" in widest:  # with one, hardened bits have no meaning
            widest["protection_budget"] = _ends(self.section.protection_budget)[0]
        yield {**widest, **low}
        yield {**widest, **high}
        yield {**widest, **{n: self._middle(n) for n in low}}
        if hardened[1] in low and "important_fraction" in widest:
            yield {
                **widest,
                **high,
                hardened[1]: low[hardened[1]],
                "important_fraction": self._middle("important_fraction"),
            }

    def _middle(self, name: str) -> Value:
        return next(_at(v, 0.5) for v in self.variables if v.name == name)

    def _filling(self, count: int, seed: int) -> list[Point]:
        if not self.variables:
            return [{}]
        points = qmc.Halton(d=len(self.variables), seed=np.random.default_rng((seed, 1))).random(count)
        return [self.decode(u) for u in points]


def _choices(variable: Variable) -> Sequence[Value] | None:
    """All values, where they can be counted."""
    if variable.values:
        return variable.values
    if variable.kind == "int":
        low, high = _ends(variable)
        return range(int(low), int(high) + 1)
    return None


def _ends(variable: Variable) -> tuple[float, float]:
    numbers = [v for v in variable.values if not isinstance(v, str)]
    if numbers:
        return min(numbers), max(numbers)
    if variable.low is None or variable.high is None:
        raise ConfigError(f"variable '{variable.name}' has no range")
    return variable.low, variable.high


def _not_above(variable: Variable, value: Value) -> Value:
    """The variable's largest value up to one that lies outside, where `design` raised the number of bits."""
    if variable.values:
        numbers = [v for v in variable.values if not isinstance(v, str)]
        return max((v for v in numbers if not isinstance(value, str) and v <= value), default=variable.first)
    assert variable.high is not None
    return variable.high


def _encode(variable: Variable, values: Sequence[Value]) -> NDArray[np.float64]:
    """Shape (n, coordinates of this variable)."""
    if variable.kind == "categorical":
        return np.array([[value == choice for choice in variable.values] for value in values], np.float64)
    low, high = _ends(variable)
    return ((np.array(values, np.float64) - low) / (high - low))[:, None]


def _at(variable: Variable, unit: float) -> Value:
    """The value at a uniform number in 0..1."""
    if variable.values:
        return variable.values[min(int(unit * len(variable.values)), len(variable.values) - 1)]
    low, high = _ends(variable)
    if variable.kind == "int":
        return min(int(low + unit * (high - low + 1)), int(high))
    return min(low + unit * (high - low), high)  # rounding may go past the end


def _moved(variable: Variable, value: Value, generator: np.random.Generator) -> Value:
    if variable.values:
        return variable.values[int(generator.integers(len(variable.values)))]
    assert not isinstance(value, str)
    low, high = _ends(variable)
    step = generator.normal(0.0, 0.1 * (high - low))
    if variable.kind == "int":
        step = np.sign(step) * max(1.0, round(abs(step)))
        return int(np.clip(value + step, low, high))
    return float(np.clip(value + step, low, high))
