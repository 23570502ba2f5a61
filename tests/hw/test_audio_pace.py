"""hw/audio_pace.py: deadlines that follow from one another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hw.audio_pace import CapturePace, PlaybackPace

PERIOD_S = 0.02
LATENESS = st.lists(st.floats(0, 0.1), max_size=100)


@given(LATENESS, st.integers(2, 8))
def test_a_microphone_is_never_early_and_lateness_does_not_add_up(late_s: list[float], periods: int) -> None:
    pace, now, lost = CapturePace(0.0, PERIOD_S, periods), 0.0, 0.0
    for count, delay_s in enumerate(late_s, 1):
        before, xruns = pace.due(now, PERIOD_S), pace.xruns
        now = max(now, before) + delay_s
        due = pace.due(now, PERIOD_S)
        if pace.xruns > xruns:
            lost += due - before
        assert due <= now
        assert now - due <= periods * PERIOD_S
        assert abs(due - (count * PERIOD_S + lost)) < 1e-9 or pace.xruns
        pace.took(PERIOD_S)


@given(LATENESS, st.integers(2, 8))
def test_a_speaker_never_holds_more_than_its_ring(late_s: list[float], periods: int) -> None:
    pace, now = PlaybackPace(periods), 0.0
    for delay_s in late_s:
        now = max(now, pace.due(now, PERIOD_S))
        pace.put(PERIOD_S)
        assert 0 < pace.delay_s(now) <= periods * PERIOD_S + 1e-9
        now += delay_s
    assert pace.delay_s(now + periods * PERIOD_S) < 1e-9


def test_being_late_within_the_ring_costs_nothing() -> None:
    capture, playback = CapturePace(0.0, PERIOD_S, 3), PlaybackPace(3)
    assert playback.due(0.0, PERIOD_S) == 0
    playback.put(PERIOD_S)
    assert capture.due(0.075, PERIOD_S) == PERIOD_S
    assert playback.due(0.055, PERIOD_S) < 0.055
    assert (capture.xruns, playback.xruns) == (0, 0)
    assert capture.due(0.081, PERIOD_S) == 0.081
    playback.due(0.061, PERIOD_S)
    assert (capture.xruns, playback.xruns) == (1, 1)
