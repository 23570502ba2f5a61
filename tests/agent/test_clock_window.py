from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock_window import ClockWindow, local_minute

MINUTES = range(24 * 60)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("22:00-06:30", ["22:00", "23:59", "00:00", "06:29"], ["06:30", "21:59", "12:00"]),
        ("08:00-17:00", ["08:00", "16:59"], ["17:00", "07:59", "00:00"]),
        ("00:00-00:00", ["00:00", "12:00", "23:59"], []),
        ("12:34-12:34", ["12:34", "00:00"], []),
        ("23:59-00:00", ["23:59"], ["00:00", "23:58"]),
    ],
)
def test_windows(text: str, inside: list[str], outside: list[str]) -> None:
    window = ClockWindow.parse(text)
    for wanted, times in ((True, inside), (False, outside)):
        for clock in times:
            hours, minutes = clock.split(":")
            assert window.contains(int(hours) * 60 + int(minutes)) is wanted, clock


@pytest.mark.parametrize(
    "text",
    ["", "22-6", "24:00-06:00", "22:60-06:00", "22:00", "22:00-06:00 ", "22:00-06:00\n", "2:00-06:00", "-"],
)
def test_other_forms_are_refused_with_the_right_one(text: str) -> None:
    with pytest.raises(ValueError, match="HH:MM-HH:MM"):
        ClockWindow.parse(text)


@given(st.text(max_size=200))
def test_any_text_is_a_window_or_a_value_error(text: str) -> None:
    try:
        window = ClockWindow.parse(text)
    except ValueError:
        return
    assert window.begin_min in MINUTES
    assert window.end_min in MINUTES


@given(st.integers(0, 1439), st.integers(0, 1439))
def test_a_window_and_its_opposite_are_the_whole_day(begin: int, end: int) -> None:
    here = ClockWindow(begin_min=begin, end_min=end)
    there = ClockWindow(begin_min=end, end_min=begin)
    both = [here.contains(minute) + there.contains(minute) for minute in MINUTES]
    assert set(both) == ({2} if begin == end else {1})


def test_the_minute_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    noon_ns = 1_700_049_600 * 10**9  # 2023-11-15 12:00 UTC
    for zone, minute in (
        ("UTC", 720),
        ("CET-1CEST,M3.5.0,M10.5.0/3", 780),
        ("EST5", 420),
        ("IST-5:30", 1050),
    ):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert local_minute(noon_ns) == minute
        assert local_minute(noon_ns + 59 * 10**9) == minute
        assert local_minute(noon_ns + 60 * 10**9) == minute + 1
    monkeypatch.undo()
    time.tzset()
