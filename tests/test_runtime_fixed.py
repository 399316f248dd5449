"""The runtime's arithmetic and lanes are those of the package."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.board.runtime.errors import InputError, PackageError
from codesign.board.runtime.fixed import FixedType, quantise, to_real
from codesign.board.runtime.lanes import Lanes
from codesign.errors import ConfigError
from codesign.fixed import FixedPoint, Overflow, Rounding
from codesign.fixed import quantise as ours
from codesign.fixed import to_real as our_reals
from codesign.hls import stream

TYPES = st.builds(
    FixedPoint,
    st.integers(1, 48),
    st.integers(0, 20),
    st.booleans(),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
).filter(lambda of: abs(of.frac) <= 48)


def runtimes(of: FixedPoint) -> FixedType:
    return FixedType.of("here", stream.Lanes(1, of, 64).to_json()["type"])


@given(of=TYPES, data=st.data())
def test_quantising_is_that_of_the_package(of: FixedPoint, data: st.DataObject) -> None:
    """Also at ties, at the ends of the range, and far beyond."""
    lsb = 2.0**-of.frac
    steps = st.integers(4 * of.min_raw - 8, 4 * of.max_raw + 8).map(lambda k: k * lsb / 4)
    near = st.floats(-4 * abs(of.min_raw or 1) * lsb, 4 * (of.max_raw + 1) * lsb)
    values = np.array(data.draw(st.lists(st.one_of(steps, near), min_size=1, max_size=20)))
    try:
        wanted = ours(values, of)
    except ConfigError:
        with pytest.raises(InputError):
            quantise(values, runtimes(of))
        return
    found = quantise(values, runtimes(of))
    assert np.array_equal(found, wanted) and found.dtype == np.int64
    assert np.array_equal(to_real(found, runtimes(of)), our_reals(wanted, of))


@given(of=TYPES, values=st.integers(1, 9), bits=st.sampled_from([32, 64, 128, 256, 512]), seed=st.integers(0, 99))
def test_lanes_are_those_of_the_wrapper(of: FixedPoint, values: int, bits: int, seed: int) -> None:
    theirs = stream.Lanes(values, of, bits)
    lanes = Lanes.of("here", theirs.to_json(), bits)
    raw = np.random.default_rng(seed).integers(of.min_raw, of.max_raw, (5, values), endpoint=True)
    packed = lanes.pack(lanes.check(raw))
    assert np.array_equal(packed.reshape(-1, bits // 8), theirs.pack(raw))
    assert np.array_equal(lanes.unpack(packed), raw)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(InputError):
        quantise([bad], FixedType(8, 4, True, "TRN", "WRAP"))
    with pytest.raises(InputError, match="no array of numbers"):
        quantise(["x"], FixedType(8, 4, True, "TRN", "WRAP"))


@pytest.mark.parametrize(
    "given",
    [
        None,
        {"width": 8},
        {"width": 8.0, "integer": 4, "signed": True, "rounding": "TRN", "overflow": "WRAP"},
        {"width": 8, "integer": 4, "signed": 1, "rounding": "TRN", "overflow": "WRAP"},
        {"width": 99, "integer": 4, "signed": True, "rounding": "TRN", "overflow": "WRAP"},
        {"width": 8, "integer": 4, "signed": True, "rounding": "UP", "overflow": "WRAP"},
    ],
)
def test_types_are_read_with_care(given: object) -> None:
    with pytest.raises(PackageError, match="here"):
        FixedType.of("here", given)
