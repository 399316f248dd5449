"""How samples lie in beats: laws of the packing, and the bytes themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import SEEDS, fixed_points, random_raw

from codesign.errors import ConfigError
from codesign.fixed import FixedPoint
from codesign.hls.options import AXI_BITS, ProjectOptions
from codesign.hls.stream import Lanes

WIDTHS = st.sampled_from(AXI_BITS)


@given(of=fixed_points(), values=st.integers(1, 40), bits=WIDTHS, samples=st.integers(0, 5), seed=SEEDS)
def test_what_is_packed_is_unpacked_the_same(of: FixedPoint, values: int, bits: int, samples: int, seed: int) -> None:
    lanes = Lanes(values, of, bits)
    raw = random_raw(of, (samples, values), np.random.default_rng(seed))
    beats = lanes.pack(raw)
    assert beats.shape == (samples * lanes.beats, bits // 8)
    assert np.array_equal(lanes.unpack(beats), raw)


@given(of=fixed_points(), values=st.integers(1, 40), bits=WIDTHS, seed=SEEDS)
def test_a_sample_is_the_byte_string_of_its_values(of: FixedPoint, values: int, bits: int, seed: int) -> None:
    lanes = Lanes(values, of, bits)
    raw = random_raw(of, (1, values), np.random.default_rng(seed))
    text = b"".join(int(v).to_bytes(lanes.lane_bits // 8, "little", signed=of.signed) for v in raw[0])
    sent = lanes.pack(raw).tobytes()
    assert sent[: len(text)] == text
    assert not any(sent[len(text) :])
    assert len(text) <= len(sent) < len(text) + bits // 8


@given(of=fixed_points(), values=st.integers(1, 40), bits=WIDTHS, seed=SEEDS)
def test_padding_is_ignored(of: FixedPoint, values: int, bits: int, seed: int) -> None:
    lanes = Lanes(values, of, bits)
    generator = np.random.default_rng(seed)
    raw = random_raw(of, (3, values), generator)
    flat = lanes.pack(raw).reshape(3, -1)
    flat[:, values * lanes.lane_bits // 8 :] = generator.integers(0, 256)
    assert np.array_equal(lanes.unpack(flat.reshape(-1, bits // 8)), raw)


def test_the_bytes_of_two_small_samples() -> None:
    lanes = Lanes(3, FixedPoint(9, 4), 32)
    assert (lanes.lane_bits, lanes.beats) == (16, 2)
    beats = lanes.pack(np.array([[1, -1, 255], [-256, 2, 3]]))
    assert beats.tolist() == [[1, 0, 255, 255], [255, 0, 0, 0], [0, 255, 2, 0], [3, 0, 0, 0]]
    assert lanes.to_json() == {
        "values": 3,
        "lane_bits": 16,
        "type": {"width": 9, "integer": 4, "signed": True, "rounding": "TRN", "overflow": "WRAP"},
        "beats": 2,
    }


@pytest.mark.parametrize(("width", "lane"), [(1, 8), (8, 8), (9, 16), (17, 32), (32, 32), (33, 64), (48, 64)])
def test_a_lane_is_the_smallest_that_holds_a_value(width: int, lane: int) -> None:
    assert Lanes(1, FixedPoint(width, 0), 64).lane_bits == lane


def test_other_shapes_are_refused() -> None:
    lanes = Lanes(3, FixedPoint(8, 4), 32)
    with pytest.raises(ConfigError, match=r"takes shape \(n, 3\), got \(3, 2\)"):
        lanes.pack(np.zeros((3, 2), np.int64))
    with pytest.raises(ConfigError, match="no whole samples of 1 beats of 32 bits"):
        lanes.unpack(np.zeros((3, 8), np.uint8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axi_bits": 48}, "axi_bits is 48, expected one of 32, 64, 128, 256, 512"),
        ({"axi_bits": 64, "backend": "VivadoAccelerator"}, "axi_bits is for Vivado and Vitis"),
        ({"board": "pynq-z2"}, "needs axi_bits"),
        ({"upset_slots": 1}, "needs axi_bits"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProjectOptions(**options)  # type: ignore[arg-type]
