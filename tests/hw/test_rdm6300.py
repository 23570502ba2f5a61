"""Frames of 125 kHz readers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.rdm6300 import MAX_FRAME, Rdm6300, frame
from hw.readings import TagRead

# Source: worked out by hand: 62^E3^08^6C^ED = 08.
KNOWN = b"\x0262E3086CED08\x03"
NUMBER = "62E3086CED"
tags = st.integers(1, 2**40 - 1).map(lambda number: f"{number:010X}")


def numbers(framer: Rdm6300, data: bytes, at: float = 0.0) -> list[str]:
    return [told.number for told in framer.feed(data, at) if isinstance(told, TagRead)]


def test_a_known_frame() -> None:
    assert Rdm6300().feed(KNOWN, 0) == [TagRead(NUMBER, "em4100", 40)]
    assert frame(NUMBER) == KNOWN
    assert numbers(Rdm6300(), b"\x0262E3086CED08\r\n\x03") == [NUMBER]
    assert numbers(Rdm6300(), KNOWN.lower()) == [NUMBER]


def test_a_tag_that_lies_there_is_told_once() -> None:
    framer = Rdm6300(away_s=1)
    assert [len(numbers(framer, KNOWN, at * 0.065)) for at in range(40)] == [1] + [0] * 39
    assert numbers(framer, KNOWN, 39 * 0.065 + 0.9) == []
    assert numbers(framer, KNOWN, 10) == [NUMBER]


def test_two_tags_in_turn_are_two() -> None:
    framer = Rdm6300()
    assert numbers(framer, KNOWN + frame("0000000001") + KNOWN) == [NUMBER, "0000000001", NUMBER]


@pytest.mark.parametrize(
    "data",
    [
        b"\x0262E3086CED09\x03", b"\x0262E3086CE08\x03", b"\x0262E3086CED088\x03", b"\x0262E3086CEG08\x03",
        b"\x02\x03", b"\x02000000000000\x03", b"\x02 2E3086CED08\x03",
    ],
)  # fmt: skip
def test_what_is_refused(data: bytes) -> None:
    framer = Rdm6300()
    assert framer.feed(data, 0) == []
    assert framer.refused == 1


def test_noise_and_half_frames() -> None:
    framer = Rdm6300()
    assert numbers(framer, b"xx\x03" + KNOWN[:7] + KNOWN) == [NUMBER]
    assert framer.noise == 3 + 7
    assert numbers(framer, b"\x02" + b"A" * 5000) == []
    assert framer._frame is None or len(framer._frame) <= MAX_FRAME


@given(st.binary(max_size=200), tags)
def test_a_frame_after_any_noise_is_read_at_its_second_repetition(noise: bytes, number: str) -> None:
    framer = Rdm6300()
    told = numbers(framer, noise + frame(number) + frame(number))
    assert told[-1] == number


@given(tags, st.integers(1, 12), st.integers(1, 255))
def test_one_changed_byte_gives_no_tag(number: str, place: int, change: int) -> None:
    data = bytearray(frame(number))
    data[place] ^= change
    told = numbers(Rdm6300(), bytes(data))
    assert told in ([], [number])  # a hexadecimal digit in the other case is the same digit


@given(st.lists(st.binary(max_size=20) | tags.map(frame), max_size=20), st.data())
def test_any_split_gives_the_same(parts: list[bytes], draw: st.DataObject) -> None:
    data = b"".join(parts)
    whole, split = Rdm6300(), Rdm6300()
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    told = []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        told += split.feed(data[begin:end], 0)
    assert told == whole.feed(data, 0)


def test_random_bytes_are_no_tag() -> None:
    """Three megabytes: a frame of chance has one in 2**26 to begin, and digits and checksum beyond that."""
    framer = Rdm6300()
    rng = random.Random(7)
    assert [told for _ in range(300) for told in framer.feed(rng.randbytes(10_000), 0)] == []
