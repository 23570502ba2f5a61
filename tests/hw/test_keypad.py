"""Keys as bytes."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from hw.keypad import DEAF_S, MAX_HZ, QUIET_S, Keypad
from hw.readings import KeypadStuck, KeyPress


def test_keys() -> None:
    assert Keypad().feed(b"1\r\n2*#AD", 0) == [KeyPress(key) for key in "12*#AD"]


def test_noise_clears_and_makes_deaf_for_a_moment() -> None:
    keypad = Keypad()
    assert keypad.feed(b"47x1\xff1#", 0) == [KeyPress("4"), KeyPress("7"), KeyPress("*")]
    assert (keypad.noise, keypad.refused) == (2, 3)
    assert keypad.feed(b"1", DEAF_S - 0.01) == []
    assert keypad.feed(b"1", DEAF_S) == [KeyPress("1")]


def test_an_hour_of_noise_types_no_code() -> None:
    """41 MB, as fast as the fastest line: digits without noise between them never become four."""
    keypad, rng, total = Keypad(), random.Random(7), 0
    digits = longest = 0
    while total < 41_472_000:
        data = rng.randbytes(65_536)
        total += len(data)
        for told in keypad.feed(data, total / 11_520):
            if isinstance(told, KeyPress):
                digits = digits + 1 if told.key.isdigit() else 0
                longest = max(longest, digits)
    assert longest < 4


def test_a_key_that_sticks_is_told_once_and_ignored_until_it_is_quiet() -> None:
    keypad = Keypad()
    told = [one for at in range(200) for one in keypad.feed(b"5", at * 0.03)]
    assert told == [KeyPress("5")] * MAX_HZ + [KeypadStuck(True)]
    last = 199 * 0.03
    assert keypad.feed(b"1", last + QUIET_S - 0.1) == []
    assert keypad.feed(b"1", last + 2 * QUIET_S) == [KeypadStuck(False), KeyPress("1")]


def test_a_key_that_is_held_and_repeats_slowly() -> None:
    keypad = Keypad()
    told = [one for at in range(100) for one in keypad.feed(b"#", at * 0.5)]
    assert told == [KeyPress("#")] * 21 + [KeypadStuck(True)]
    assert keypad.feed(b"#", 99 * 0.5 + QUIET_S) == [KeypadStuck(False), KeyPress("#")]


def test_slow_fingers_are_no_stuck_key() -> None:
    keypad = Keypad()
    told = [one for at in range(60) for one in keypad.feed(b"7", at * 0.7)]
    told += [one for at in range(60) for one in keypad.feed(b"12"[at % 2 : at % 2 + 1], 100 + at * 0.3)]
    assert told == [KeyPress("7")] * 60 + [KeyPress("1"), KeyPress("2")] * 30


def test_fast_fingers_are_no_stuck_key() -> None:
    keypad = Keypad()
    assert len([one for at in range(60) for one in keypad.feed(b"7", at * 0.1)]) == 60


def test_nothing_of_a_code_is_in_a_log_line() -> None:
    assert "7" not in repr(KeyPress("7"))


@given(st.lists(st.tuples(st.binary(max_size=20), st.floats(0, 5))))
def test_any_bytes(parts: list[tuple[bytes, float]]) -> None:
    keypad, now = Keypad(), 0.0
    for data, later in parts:
        now += later
        for told in keypad.feed(data, now):
            assert isinstance(told, KeypadStuck) or told.key in "0123456789*#ABCD"  # type: ignore[union-attr]
    assert len(keypad._times) <= MAX_HZ
