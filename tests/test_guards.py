"""Copies survive an optimising compiler behind their guards, and merge without them."""

import re
import subprocess
from pathlib import Path

import pytest

from codesign.assets import asset

pytestmark = pytest.mark.cxx

DATA = Path(__file__).parent / "data" / "guards"
# Straight-line code, as synthesis makes it: everything inlined and unrolled. Vector instructions would do
# several operations in one; everything else is the optimiser's to do.
LIMITS = {
    "max-inline-insns-single": 100_000,
    "max-inline-insns-auto": 100_000,
    "inline-unit-growth": 100_000,
    "large-function-insns": 1_000_000,
    "large-function-growth": 100_000,
    "large-stack-frame-growth": 100_000,
    "max-completely-peeled-insns": 100_000,
    "max-completely-peel-times": 64,
}
FLAGS = ["-std=c++11", "-O3", "-fno-tree-vectorize", "-fno-tree-slp-vectorize", "-fno-exceptions"]
PRODUCTS = 8  # of a neuron: as many adders, with the bias
UNHARDENED = {"HARDENED": 0, "MECHANISM": "TMR", "MAC": 0, "LAYER": "dense", "REUSE": 1, "CODE": "PLAIN"}
GUARDED, UNGUARDED = "guard", "0"


def operations(folder: Path, operator: str, guard: str = GUARDED, **choices: object) -> int:
    """How many of an operation are left in the kernel after optimisation."""
    listing = folder / "kernel.txt"
    macros = {**UNHARDENED, **choices, "GUARD": guard}
    command = ["g++", *FLAGS, *(word for limit in LIMITS.items() for word in ("--param", "{}={}".format(*limit)))]
    command += [f"-D{name}={value}" for name, value in macros.items()]
    command += [f"-I{DATA / 'types'}", f"-I{asset('hls_templates')}", "-Wno-unknown-pragmas"]
    command += ["-c", str(DATA / "kernel.cpp"), "-o", str(folder / "kernel.o"), f"-fdump-tree-optimized={listing}"]
    subprocess.run(command, check=True, capture_output=True)
    kernel = listing.read_text().split(";; Function kernel ")[1]
    return len(re.findall(rf" = \S+ {re.escape(operator)} ", kernel))


@pytest.mark.parametrize("layer", ["dense", "conv"])
def test_a_plain_neuron_is_computed_once(layer: str, tmp_path: Path) -> None:
    pixels = {"dense": 1, "conv": 2}[layer]
    assert operations(tmp_path, "+", LAYER=layer) == pixels * PRODUCTS
    assert operations(tmp_path, "*", LAYER=layer) == pixels * PRODUCTS


def additions_of(hardened: int, copies: int) -> int:
    """A tree of low parts, and of each copy one of high parts; these also add the low part's carry."""
    return PRODUCTS * (copies if hardened == 20 else 1 + 2 * copies)


@pytest.mark.parametrize("layer", ["dense", "conv"])
@pytest.mark.parametrize(("mechanism", "copies"), [("TMR", 3), ("DMR", 2)])
@pytest.mark.parametrize("hardened", [20, 19, 6])
def test_guarded_adders_are_kept(hardened: int, mechanism: str, copies: int, layer: str, tmp_path: Path) -> None:
    pixels = {"dense": 1, "conv": 2}[layer]
    found = operations(tmp_path, "+", HARDENED=hardened, MECHANISM=mechanism, LAYER=layer)
    # Of a single low bit the addition is an exclusive or.
    assert found >= pixels * (additions_of(hardened, copies) - (PRODUCTS if hardened == 19 else 0))


@pytest.mark.parametrize("layer", ["dense", "conv"])
@pytest.mark.parametrize(("mechanism", "copies"), [("TMR", 3), ("DMR", 2)])
@pytest.mark.parametrize("hardened", [20, 6])
def test_guarded_multipliers_are_kept(hardened: int, mechanism: str, copies: int, layer: str, tmp_path: Path) -> None:
    pixels = {"dense": 1, "conv": 2}[layer]
    choices = {"HARDENED": hardened, "MECHANISM": mechanism, "MAC": 1, "LAYER": layer}
    assert operations(tmp_path, "*", **choices) >= pixels * copies * PRODUCTS
    assert operations(tmp_path, "+", **choices) >= pixels * additions_of(hardened, copies)


def test_the_unit_that_recomputes_has_multipliers_of_its_own(tmp_path: Path) -> None:
    """Unrolled, its four multipliers stand here as often as they are used: twice for each product."""
    assert operations(tmp_path, "*", HARDENED=20, MECHANISM="RECOMPUTE") >= 3 * PRODUCTS


def test_guarded_copies_of_parameters_are_kept(tmp_path: Path) -> None:
    """Each of a weight's copies is read, and they are voted on."""
    assert operations(tmp_path, "&", REUSE=2, CODE="TRIPLE") >= 3 * PRODUCTS


# So that the tests above can fail: with a guard that is known to be zero the copies are gone.


@pytest.mark.parametrize("mechanism", ["TMR", "DMR"])
@pytest.mark.parametrize("hardened", [20, 6])
@pytest.mark.parametrize("mac", [0, 1])
def test_without_a_guard_copies_merge(mac: int, hardened: int, mechanism: str, tmp_path: Path) -> None:
    choices = {"HARDENED": hardened, "MECHANISM": mechanism, "MAC": mac}
    assert operations(tmp_path, "*", UNGUARDED, **choices) == PRODUCTS
    assert operations(tmp_path, "+", UNGUARDED, **choices) <= additions_of(hardened, 1)


def test_without_a_guard_the_recomputed_products_merge(tmp_path: Path) -> None:
    assert operations(tmp_path, "*", UNGUARDED, HARDENED=20, MECHANISM="RECOMPUTE") == PRODUCTS


def test_without_a_guard_copies_of_parameters_merge(tmp_path: Path) -> None:
    assert operations(tmp_path, "&", UNGUARDED, REUSE=2, CODE="TRIPLE") < PRODUCTS
