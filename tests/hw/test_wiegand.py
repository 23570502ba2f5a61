"""Lines of a Wiegand converter."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.readings import KeyPress, TagRead
from hw.wiegand import FORMATS, MAX_LINE, Wiegand, decode, line

# Facility 123 (01111011), card 45678 (1011001001101110): by hand, 12 bits 011110111011 have 9 ones, so the
# even parity is 1; 001001101110 have 6, so the odd one is 1.
KNOWN = b"W26:1" + b"011110111011001001101110" + b"1\r\n"


def told(data: bytes, at: float = 0.0) -> list[object]:
    return list(Wiegand().feed(data, at))


def test_a_known_card() -> None:
    assert told(KNOWN) == [TagRead(f"{123 << 16 | 45678:06X}", "wiegand", 26)]
    assert line(123 << 16 | 45678, 26) == KNOWN


@pytest.mark.parametrize("bits", FORMATS)
def test_each_format(bits: int) -> None:
    number = 0x1A2B3C % (1 << bits - 2)
    assert decode(line(number, bits).rstrip(b"\n")) == TagRead(f"{number:06X}", "wiegand", bits)


@given(st.sampled_from(sorted(FORMATS)), st.integers(1, 2**24 - 1))
def test_hexadecimal_is_the_same(bits: int, number: int) -> None:
    whole = int(line(number, bits)[4:].strip(), 2)
    for digits in (f"{whole:0{(bits + 3) // 4}X}", f"{whole:0{(bits + 3) // 4}x}"):
        assert decode(f"{bits},{digits}".encode()) == TagRead(f"{number:06X}", "wiegand", bits)


def test_the_known_card_in_hexadecimal() -> None:
    """1 011110111011001001101110 1 in fours from the right: 10 1111 0111 0110 0100 1101 1101."""
    assert told(b"26,2F764DD\r\n") == told(KNOWN)
    assert told(b"4,5\n8,A5\n") == [KeyPress("5"), KeyPress("5")]


@given(st.sampled_from(sorted(FORMATS)), st.integers(1, 2**24 - 1))
def test_wires_that_are_crossed_and_bits_in_the_wrong_order_are_no_card(bits: int, number: int) -> None:
    data = line(number, bits)[4:].strip()
    crossed = data.translate(bytes.maketrans(b"01", b"10"))
    for wrong in (data[::-1], crossed, data[:-1], data + b"0"):
        assert decode(b"W%d:%b" % (len(wrong), wrong)) is None


def test_keys() -> None:
    assert told(b"W4:0001\nW4:1010\nW4:1011\n") == [KeyPress("1"), KeyPress("*"), KeyPress("#")]
    assert told(b"W8:11010010\n") == [KeyPress("2")]


@pytest.mark.parametrize(
    "data",
    [
        b"W26:0011110111011001001101110" + b"11", KNOWN.strip()[:-1] + b"0", b"W25:" + b"0" * 25, b"W4:1111",
        b"W8:11010011", b"W:1", b"26:01", b"W26", b"W26:" + b"2" * 26, b"W-4:0001", b"W004:0001",
        b"W26:" + b"0" * 25 + b"1", "W٤:0001".encode(), b"W4:0001 ", b" W4:0001",
        b"26,", b"26,2F764D", b"26,2F764DDD", b"26,6F764DD", b"26,2F764DC", b"4,F", b"8,A6", b"4,-5",
        b"0,", b"0,0", b"26,0x764DD", b"26, F764DD", b"4,+5", b"4,_5",
    ],
)  # fmt: skip
def test_what_is_refused(data: bytes) -> None:
    framer = Wiegand()
    assert framer.feed(data + b"\n", 0) == []
    assert framer.refused == 1


def test_a_card_that_is_held_there() -> None:
    framer = Wiegand(away_s=1)
    assert [len(framer.feed(KNOWN, at)) for at in (0, 0.5, 1.2, 3)] == [1, 0, 0, 1]


def test_a_key_that_is_pressed_twice_is_two() -> None:
    assert told(b"W4:0001\nW4:0001\n") == [KeyPress("1")] * 2


def test_a_line_without_end_has_a_bound() -> None:
    framer = Wiegand()
    framer.feed(b"0" * 100_000, 0)
    assert len(framer._line) <= MAX_LINE
    assert framer.feed(b"\n" + KNOWN, 0) != []


@given(st.sampled_from(sorted(FORMATS)), st.integers(1, 2**24 - 1), st.data())
def test_one_flipped_bit_gives_no_card(bits: int, number: int, draw: st.DataObject) -> None:
    data = bytearray(line(number, bits))
    place = draw.draw(st.integers(4, 3 + bits))
    data[place] ^= 1
    assert decode(bytes(data).rstrip(b"\n")) is None


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_at_any_split(data: bytes, cut: int) -> None:
    whole, split = Wiegand(), Wiegand()
    assert split.feed(data[:cut], 0) + split.feed(data[cut:], 0) == whole.feed(data, 0)


def test_random_bytes_are_no_card() -> None:
    framer = Wiegand()
    rng = random.Random(7)
    assert [x for _ in range(300) for x in framer.feed(rng.randbytes(10_000), 0)] == []
    letters = b"W0123456789:\n"
    soup = [x for _ in range(100) for x in framer.feed(bytes(rng.choices(letters, k=10_000)), 0)]
    assert all(isinstance(x, KeyPress) for x in soup), "four bits have no parity: a key may come of chance"
