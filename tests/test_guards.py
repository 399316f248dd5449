"""Copies survive an optimising compiler behind their guards, and merge without them."""

import re
import subprocess
from pathlib import Path

import pytest

from codesign.assets import asset

DATA = Path(__file__).parent / "data" / "guards"
# Vector instructions would do several additions in one; everything else is the optimiser's to do.
FLAGS = ["-std=c++11", "-O3", "-fno-tree-vectorize", "-fno-tree-slp-vectorize", "-fno-exceptions"]
ADDERS = 8  # eight products and a bias


def additions(folder: Path, hardened: int, guard: str) -> int:
    """Additions that are left of a neuron after optimisation; the kernel is straight-line code then."""
    listing = folder / f"{hardened}-{guard}.txt"
    command = ["g++", *FLAGS, f"-DHARDENED={hardened}", f"-DGUARD={guard}", f"-I{DATA / 'types'}"]
    command += [f"-I{asset('hls_templates')}", "-Wno-unknown-pragmas", "-c", str(DATA / "kernel.cpp")]
    command += ["-o", str(folder / "kernel.o"), f"-fdump-tree-optimized={listing}"]
    subprocess.run(command, check=True, capture_output=True)
    kernel = listing.read_text().split(";; Function kernel ")[1]
    return len(re.findall(r" = \S+ \+ ", kernel))


@pytest.mark.cxx
def test_a_plain_neuron_has_one_tree(tmp_path: Path) -> None:
    assert additions(tmp_path, 0, "guard") == ADDERS


@pytest.mark.cxx
@pytest.mark.parametrize(("hardened", "trees"), [(20, 3), (19, 3), (6, 1 + 3), (1, 1 + 3)])
def test_guarded_copies_are_kept(tmp_path: Path, hardened: int, trees: int) -> None:
    """Classic TMR has three trees; a cut neuron one of low parts (of one bit: no additions) and three of high ones."""
    assert additions(tmp_path, hardened, "guard") >= trees * ADDERS


@pytest.mark.cxx
@pytest.mark.parametrize(("hardened", "trees"), [(20, 1), (6, 1 + 1)])
def test_without_a_guard_they_merge(tmp_path: Path, hardened: int, trees: int) -> None:
    """So the test above can fail: with a guard that is known to be zero the copies are gone."""
    assert additions(tmp_path, hardened, "0") <= trees * ADDERS
