"""Factors of the estimate's terms, and its errors on designs that were not fitted to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.stats import kendalltau

from codesign.errors import ConfigError
from codesign.fixed import MAX_WIDTH
from codesign.progress import bar
from codesign.protection import Mechanism
from codesign.resources.calibration.designs import PRODUCTS, VALUE_BITS, WEIGHT_BITS, Design, random_designs
from codesign.resources.estimate import Estimate, EstimatePolicy, estimate
from codesign.resources.estimate.words import Reals
from codesign.resources.factors import Calibration, Error, Terms
from codesign.resources.mapping import Family, map_modules, tool_version
from codesign.resources.report import ResourceReport
from codesign.resources.rtl import rtl
from codesign.resources.rtl.parts import voter_module
from codesign.resources.rtl.verilog import Module
from codesign.resources.synthesis import synthesise

FIGURES = ("lut", "ff", "latency_cycles")
# Designs that are mapped together, so that what is done is soon in the cache.
_BATCH = 10
_FOLDS = 5
# So much of a design's size, a factor's distance from one counts: terms that are rare in the designs stay near it.
_STIFFNESS = 0.05
# Relative errors below this count as equal; the weights settle in so many rounds.
_SMALL_ERROR, _ROUNDS = 0.01, 20
# Nothing is fitted to DSPs: their number is known, and they take no LUTs of their own.
_LOGIC = EstimatePolicy(dsp_min_bits=MAX_WIDTH + 1)


def calibrate(
    designs: int, seed: int, family: Family = "xc7", *, products: int = PRODUCTS, cache: Path | None = None
) -> Calibration:
    """Map random designs, fit the factors to all of them, and take the errors of five-fold cross-validation.

    What is mapped is kept: interrupted, it goes on from there. Raises ConfigError for fewer than ten designs, ToolError
    when Yosys is missing or fails.
    """
    if designs < 2 * _FOLDS:
        raise ConfigError(f"{designs} designs are too few to calibrate with: {2 * _FOLDS} at least")
    plain = Calibration(
        voters=_voters(family, cache),
        tool=tool_version(),
        family=family,
        designs=designs,
        seed=seed,
        weight_bits=WEIGHT_BITS[1],
        input_bits=VALUE_BITS,
    )
    drawn = list(random_designs(seed, designs, products))
    mapped = measured(drawn, family, cache=cache)
    counts = np.array([_terms(estimated(design, plain)) for design in drawn], np.float64)
    luts = np.array([report.lut for report in mapped], np.float64)
    folds = np.arange(designs) % _FOLDS
    found = list(mapped)
    for fold in range(_FOLDS):
        fitted = replace(plain, terms=_fitted(counts[folds != fold], luts[folds != fold]))
        for number in np.flatnonzero(folds == fold):
            found[number] = estimated(drawn[number], fitted).report
    return replace(plain, terms=_fitted(counts, luts), errors=errors_of(found, mapped))


def estimated(design: Design, calibration: Calibration | None = None) -> Estimate:
    """A design's estimate without DSPs; by default with the shipped calibration."""
    policy = replace(_LOGIC, calibration=calibration) if calibration else _LOGIC
    return estimate(design.network, design.plan, clock_ns=design.clock_ns, policy=policy)


def measured(designs: Sequence[Design], family: Family = "xc7", *, cache: Path | None = None) -> list[ResourceReport]:
    """What the designs occupy when mapped."""
    found = []
    with bar("designs", len(designs)) as show:
        for first in range(0, len(designs), _BATCH):
            some, modules = designs[first : first + _BATCH], dict[str, Module]()
            for design in some:
                per_cycle = _LOGIC.levels_per_cycle(design.clock_ns)
                modules |= rtl(design.network, design.plan, per_cycle, policy=_LOGIC).top.every()
            map_modules(modules, family, cache)
            found += [_mapped(design, family, cache) for design in some]
            show(len(found))
    return found


def _mapped(design: Design, family: Family, cache: Path | None) -> ResourceReport:
    of, plan, clock_ns = design.network, design.plan, design.clock_ns
    return synthesise(of, plan, clock_ns=clock_ns, family=family, policy=_LOGIC, cache=cache).report


def errors_of(found: Sequence[ResourceReport], mapped: Sequence[ResourceReport]) -> dict[str, Error]:
    """Relative errors of estimates, by figure."""
    errors = {}
    for figure in FIGURES:
        ours, theirs = (np.array([getattr(report, figure) for report in reports], float) for reports in (found, mapped))
        relative = np.abs(ours - theirs) / np.maximum(theirs, 1)
        median, p95 = np.quantile(relative, [0.5, 0.95])
        tau = kendalltau(ours, theirs).statistic
        errors[figure] = Error(*(round(float(number), 4) for number in (median, p95, tau)))
    return errors


def _terms(of: Estimate) -> tuple[int, ...]:
    """Counts of the whole design."""
    return tuple(map(sum, zip(*(Terms().counted(layer) for layer in of.layers), strict=True)))


def _fitted(counts: Reals, luts: Reals) -> Terms:
    """Factors >= 0 of least absolute relative errors, by reweighted squares: a few odd designs do not decide.

    A design weighs as its size.
    """
    share = counts / np.maximum(luts, 1)[:, None]
    stiff = _STIFFNESS * np.sqrt(len(luts)) * np.eye(counts.shape[1])
    weights, factors = np.sqrt(luts / luts.mean()), np.ones(counts.shape[1])
    for _ in range(_ROUNDS):
        robust = weights / np.sqrt(np.maximum(np.abs(share @ factors - 1), _SMALL_ERROR) / _SMALL_ERROR)
        rows = np.concatenate([share * robust[:, None], stiff])
        factors, _ = nnls(rows, np.concatenate([robust, np.diag(stiff)]))
    return Terms(*(round(float(factor), 4) for factor in factors))


def _voters(family: Family, cache: Path | None) -> Mapping[str, tuple[int, ...]]:
    """There are few voters, so they are not modelled: each is mapped."""
    made = {
        mechanism: [voter_module(mechanism, bits, 0) for bits in range(1, MAX_WIDTH + 1)]
        for mechanism in (Mechanism.TMR, Mechanism.DMR)
    }
    mapped = map_modules({part.name: part for parts in made.values() for part in parts}, family, cache)
    return {mechanism: tuple(mapped[part.name].lut for part in parts) for mechanism, parts in made.items()}
