"""How often a token may ask, and an address be wrong."""

from __future__ import annotations

from agent.workers.netatmo.limits import LONG_S, MAX_KNOWN, WRONG_AT_ONCE, Guesses, Usage


def test_so_many_within_ten_seconds() -> None:
    usage = Usage(3, 100)
    assert [usage.take("a", now) for now in (0, 1, 2, 3, 9.9)] == [True, True, True, False, False]
    # What was refused does not count: the first is out of the window, and one more fits.
    assert [usage.take("a", now) for now in (10, 10.5, 11)] == [True, False, True]
    assert usage.take("b", 10)


def test_so_many_within_an_hour() -> None:
    usage = Usage(50, 5)
    assert [usage.take("a", 20.0 * number) for number in range(6)] == [True] * 5 + [False]
    assert not usage.take("a", LONG_S - 1)
    assert usage.take("a", LONG_S)


def test_as_the_vendor_has_it() -> None:
    usage = Usage(50, 500)
    assert sum(usage.take("a", 0) for _ in range(100)) == 50
    assert sum(usage.take("a", 10.0 * number) for number in range(1, 300)) == 299
    assert sum(usage.take("a", 3000 + 0.1 * number) for number in range(200)) <= 151


def test_tokens_that_are_remembered_have_a_bound() -> None:
    usage = Usage(1, 1)
    for number in range(MAX_KNOWN + 1):
        assert usage.take(str(number), 0)
    assert usage.take("0", 0)
    assert not usage.take(str(MAX_KNOWN), 0)


def test_wrong_ones() -> None:
    guesses = Guesses()
    most = int(WRONG_AT_ONCE)
    assert [guesses.wrong("a", 0) for _ in range(most + 1)] == [True] * most + [False]
    assert guesses.blocked("a", 1)
    assert not guesses.blocked("b", 1)
    assert not guesses.blocked("a", 7)
    assert guesses.wrong("a", 7)
    assert not guesses.wrong("a", 7)
    assert guesses.blocked("a", 7)


def test_addresses_that_are_remembered_have_a_bound() -> None:
    guesses = Guesses()
    for number in range(3 * MAX_KNOWN):
        for _ in range(12):
            guesses.wrong(str(number), 0)
    assert len(guesses._blocked) <= MAX_KNOWN
