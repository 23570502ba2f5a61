from __future__ import annotations

from itertools import pairwise

import pytest

from agent.voice.codec import Level
from agent.voice.vox import Vox

PERIOD_S = 0.02
SPOKEN = Level(-20.0, -10.0, True)
QUIET = Level(-60.0, -50.0, False)


def openings(vox: Vox, *spoken: tuple[Level, int]) -> list[tuple[int, int]]:
    """Feed stretches of (level, periods); the periods at which it opened and closed."""
    found: list[tuple[int, int]] = []
    start = None
    n = 0
    for level, periods in spoken:
        for _ in range(periods):
            is_open = vox.feed(level, PERIOD_S)
            if is_open and start is None:
                start = n
            elif not is_open and start is not None:
                found.append((start, n))
                start = None
            n += 1
    if start is not None:
        found.append((start, -1))
    return found


def test_opens_after_two_periods_of_voice_and_closes_a_second_after_the_last() -> None:
    assert openings(Vox(), (QUIET, 10), (SPOKEN, 100), (QUIET, 100)) == [(11, 159)]


def test_a_single_period_is_a_click() -> None:
    assert openings(Vox(), (SPOKEN, 1), (QUIET, 1), (SPOKEN, 1), (QUIET, 100)) == []


def test_a_pause_within_the_hangover_does_not_close_it() -> None:
    assert openings(Vox(), (SPOKEN, 100), (QUIET, 49), (SPOKEN, 100)) == [(1, -1)]


def test_a_short_word_holds_it_open_for_a_second_and_a_half() -> None:
    found = openings(Vox(hangover_s=0.2), (SPOKEN, 3), (QUIET, 200))
    assert found == [(1, 74)]  # 75 periods, the attack among them


def test_starts_keep_their_distance() -> None:
    vox = Vox(hangover_s=0.1, min_open_s=0.2, min_start_gap_s=1.5)
    found = openings(vox, *[(SPOKEN, 5), (QUIET, 15)] * 20)
    starts = [start for start, _ in found]
    assert len(starts) >= 4
    assert all(later - start >= 74 for start, later in pairwise(starts))


def test_what_is_too_soft_is_no_voice() -> None:
    assert openings(Vox(voice_dbfs=-40.0), (Level(-41.0, -30.0, True), 100)) == []
    assert openings(Vox(voice_dbfs=-40.0), (Level(-39.0, -30.0, True), 100)) == [(1, -1)]


def test_the_period_may_have_any_length() -> None:
    vox = Vox()
    assert [vox.feed(SPOKEN, 0.06), vox.is_open] == [True, True]
    assert not Vox(attack_s=0.1).feed(SPOKEN, 0.04)


def test_reset_closes_and_may_open_at_once() -> None:
    vox = Vox()
    openings(vox, (SPOKEN, 10))
    vox.reset()
    assert not vox.is_open
    assert openings(vox, (SPOKEN, 2)) == [(1, -1)]


def test_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="expected"):
        Vox(hangover_s=-1)
