"""Codes of stored parameters: what is encoded is read back, and damage is corrected or found as promised."""

import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from hardware import read, stored
from hypothesis import given
from hypothesis import strategies as st
from networks import SEEDS, random_raw

from codesign.codes import Code, decode, encode
from codesign.fixed import FixedPoint, Ints

WIDTHS = range(1, 49)


def types(width: int) -> list[FixedPoint]:
    return [FixedPoint(width, width // 2, signed) for signed in (True, False)]


def some_raw(of: FixedPoint) -> Ints:
    """The ends, zero, a checkerboard and random numbers."""
    random = random_raw(of, (20,), np.random.default_rng(of.width))
    return np.array([of.min_raw, of.max_raw, 0, of.max_raw // 3, *random], np.int64)


def struck(words: Ints, sets: Iterable[tuple[int, ...]]) -> Ints:
    """Every word with each set of its bits inverted, as one copy: shape (1, sets, words)."""
    masks = np.array([sum(1 << bit for bit in bits) for bits in sets], np.int64)
    return (words ^ masks[:, None])[None]


# ---------------------------------------------------------------- undamaged


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("code", Code)
def test_what_is_encoded_is_read_back_without_a_flag(code: Code, width: int) -> None:
    for of in types(width):
        raw = some_raw(of)
        words = encode(raw, of, code)
        assert words.min() >= 0 and words.max() < 1 << code.stored_width(width)
        assert (words & (1 << width) - 1).tolist() == (raw & (1 << width) - 1).tolist()  # the data, in the low bits
        values, corrected, detected = decode(np.repeat(words[None], code.copies, axis=0), of, code)
        assert values.tolist() == raw.tolist() and not corrected.any() and not detected.any()


@pytest.mark.parametrize(
    ("code", "widths"),
    [
        (Code.NONE, {1: 1, 8: 8, 48: 48}),
        (Code.TMR, {1: 1, 8: 8, 48: 48}),
        (Code.PARITY, {1: 2, 8: 9, 48: 49}),
        # The shortest extended Hamming codes; (8, 4), (13, 8), (22, 16) and (39, 32) are those of memories.
        (Code.ECC, {1: 4, 2: 6, 4: 8, 5: 10, 8: 13, 11: 16, 12: 18, 16: 22, 26: 32, 27: 34, 32: 39, 48: 55}),
    ],
)
def test_widths_of_stored_words(code: Code, widths: dict[int, int]) -> None:
    assert {width: code.stored_width(width) for width in widths} == widths


@pytest.mark.parametrize(
    ("code", "width", "raw", "word"),
    [
        (Code.PARITY, 4, 0b0111, 0b1_0111),
        (Code.PARITY, 4, 0b0101, 0b0_0101),
        (Code.PARITY, 1, -1, 0b1_1),
        (Code.PARITY, 8, -128, 0b1_1000_0000),
        (Code.TMR, 8, -2, 0b1111_1110),
        # Data bits stand at positions 3, 5, 6, 7, 9 ...; a check bit says whether the sum (exclusive or) of the
        # positions of ones has its bit; the last makes the number of ones even.
        (Code.ECC, 1, -1, 0b1_11_1),  # 3
        (Code.ECC, 4, 0b0001, 0b1_011_0001),  # 3
        (Code.ECC, 4, -8, 0b0_111_1000),  # 7
        (Code.ECC, 4, -1, 0b1_111_1111),  # 3 ^ 5 ^ 6 ^ 7 = 7
        (Code.ECC, 8, 0x01, 0b1_0011_0000_0001),  # 3
        (Code.ECC, 8, -128, 0b1_1100_1000_0000),  # 12
        (Code.ECC, 8, 0x55, 0b1_0111_0101_0101),  # 3 ^ 6 ^ 9 ^ 11 = 7
        (Code.ECC, 8, -1, 0b0_0011_1111_1111),  # 3 ^ 5 ^ 6 ^ 7 ^ 9 ^ 10 ^ 11 ^ 12 = 3
        (Code.ECC, 16, 1 << 14, 0b1_10100_0100_0000_0000_0000),  # 20
    ],
)
def test_golden_words(code: Code, width: int, raw: int, word: int) -> None:
    """The generated hardware is filled with these words: the layout must never move."""
    assert encode(np.array([raw]), FixedPoint(width, width), code).tolist() == [word]


# ---------------------------------------------------------------- damaged


@pytest.mark.parametrize("width", WIDTHS)
def test_ecc_corrects_every_single_flip(width: int) -> None:
    for of in types(width):
        raw = some_raw(of)
        words = encode(raw, of, Code.ECC)
        single = itertools.combinations(range(Code.ECC.stored_width(width)), 1)
        values, corrected, detected = decode(struck(words, single), of, Code.ECC)
        assert (values == raw).all() and corrected.all() and not detected.any()


@pytest.mark.parametrize("width", WIDTHS)
def test_ecc_finds_every_double_flip_and_reads_zero(width: int) -> None:
    of = types(width)[width % 2]
    words = encode(some_raw(of), of, Code.ECC)
    pairs = itertools.combinations(range(Code.ECC.stored_width(width)), 2)
    values, corrected, detected = decode(struck(words, pairs), of, Code.ECC)
    assert not values.any() and detected.all() and not corrected.any()


@pytest.mark.parametrize("width", [1, 4, 7, 11, 16])
def test_three_flips_in_an_ecc_word_are_never_silent(width: int) -> None:
    """They may be taken for one, and "corrected" to a wrong value; but a flag is raised."""
    of = types(width)[0]
    words = encode(some_raw(of), of, Code.ECC)
    triples = itertools.combinations(range(Code.ECC.stored_width(width)), 3)
    _, corrected, detected = decode(struck(words, triples), of, Code.ECC)
    assert (corrected ^ detected).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_parity_finds_odd_numbers_of_flips_and_reads_zero(width: int) -> None:
    of, generator = types(width)[width % 2], np.random.default_rng(width)
    raw = some_raw(of)
    words = encode(raw, of, Code.PARITY)
    singles = [(bit,) for bit in range(width + 1)]
    triples = [tuple(generator.permutation(width + 1)[:3].tolist()) for _ in range(20 if width > 1 else 0)]
    values, corrected, detected = decode(struck(words, singles + triples), of, Code.PARITY)
    assert not values.any() and detected.all() and not corrected.any()
    _, corrected, detected = decode(struck(words, [(0, width)]), of, Code.PARITY)
    assert not corrected.any() and not detected.any()  # an even number is beyond it


@pytest.mark.parametrize("width", WIDTHS)
def test_three_copies_outvote_whatever_happens_to_one(width: int) -> None:
    for of in types(width):
        raw, generator = some_raw(of), np.random.default_rng(width)
        damage = generator.integers(1, 1 << width, len(raw), np.int64)
        for copy in range(3):
            copies = np.repeat(encode(raw, of, Code.TMR)[None], 3, axis=0)
            copies[copy] ^= damage
            values, corrected, detected = decode(copies, of, Code.TMR)
            assert values.tolist() == raw.tolist() and corrected.all() and not detected.any()


def test_two_copies_that_agree_on_a_wrong_bit_win() -> None:
    of = FixedPoint(8, 8)
    copies = np.array([[0b0011], [0b0101], [0b1001]], np.int64)  # each wrong in other bits, but all agree on the last
    assert [part.tolist() for part in decode(copies, of, Code.TMR)] == [[1], [True], [False]]
    copies[1] |= 0b0010
    assert [part.tolist() for part in decode(copies, of, Code.TMR)] == [[3], [True], [False]]


# ---------------------------------------------------------------- another implementation


@given(st.sampled_from(list(WIDTHS)), st.booleans(), st.sampled_from(Code), SEEDS)
def test_any_words_are_read_as_by_definition(width: int, signed: bool, code: Code, seed: int) -> None:
    """Words with any damage, against codes written down bit by bit on numbered positions."""
    of, generator = FixedPoint(width, width, signed), np.random.default_rng(seed)
    raw = random_raw(of, (12,), generator)
    words = encode(raw, of, code)
    assert words.tolist() == [stored(value, width, code) for value in raw.tolist()]
    copies = np.repeat(words[None], code.copies, axis=0)
    total = code.stored_width(width)
    copies[:, :8] ^= generator.integers(0, 1 << total, (code.copies, 8), np.int64) & generator.integers(
        0, 1 << total, (code.copies, 8), np.int64
    )
    expected = [read(word, of, code) for word in copies.T.tolist()]
    found = zip(*(part.tolist() for part in decode(copies, of, code)), strict=True)
    assert list(found) == expected
