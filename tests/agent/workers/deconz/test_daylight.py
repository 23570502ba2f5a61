from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.deconz.daylight import LATE_S, LOOK_AGAIN_S, Daylight

STATUS = {100, 110, 120, 130, 140, 150, 160, 170, 180, 190, 200, 210, 220, 230}


def ns(text: str) -> int:
    return round(datetime.datetime.fromisoformat(text + "+00:00").timestamp() * 1e9)


def lisbon(text: str) -> dict[str, Any]:
    return Daylight(38.72, -9.14).shown(ns(text)).state


def test_a_day_in_lisbon() -> None:
    # Source of the times: the tables of the Observatório Astronómico de Lisboa, within a minute.
    day = lisbon("2026-06-21T12:00:00")
    assert day["sunrise"].startswith("2026-06-21T05:1")
    assert day["sunset"].startswith("2026-06-21T20:0")
    assert (day["dark"], day["daylight"], day["status"]) == (False, True, 160)
    night = lisbon("2026-06-21T01:30:00")
    assert (night["dark"], night["daylight"], night["status"]) == (True, False, 100)
    dusk = lisbon("2026-06-21T20:20:00")
    assert (dusk["dark"], dusk["daylight"], dusk["status"]) == (False, False, 200)


def test_the_phases_come_in_order() -> None:
    seen: list[int] = []
    for minute in range(0, 24 * 60, 2):
        at = datetime.datetime(2026, 3, 21, tzinfo=datetime.UTC) + datetime.timedelta(minutes=minute)
        status = Daylight(38.72, -9.14).shown(round(at.timestamp() * 1e9)).state["status"]
        if not seen or seen[-1] != status:
            seen.append(status)
    assert seen[0] == seen[-1] == 230
    assert seen[1:-1] == sorted(STATUS - {230})


@pytest.mark.parametrize(("month", "light"), [(6, True), (12, False)])
def test_where_the_sun_does_not_set_or_rise(month: int, light: bool) -> None:
    state = Daylight(78.2, 15.6).shown(ns(f"2026-{month:02d}-21T12:00:00")).state
    assert (state["daylight"], state["dark"]) == (light, not light)
    assert (state["sunrise"], state["sunset"]) == (None, None)
    assert state["status"] in STATUS


def test_the_config_has_no_reachable() -> None:
    config = Daylight(0, 0).shown(ns("2026-01-01T00:00:00")).config
    assert config == {"configured": True, "on": True, "sunriseoffset": 0, "sunsetoffset": 0}


def test_the_next_look_is_just_after_the_next_change() -> None:
    sun = Daylight(38.72, -9.14)
    before = ns("2026-06-21T05:05:00")  # sunrise begins at 05:11:53
    wait_s = sun.next_s(before)
    assert 6 * 60 < wait_s < 8 * 60
    assert sun.shown(before).state["daylight"] is False
    assert sun.shown(before + round(wait_s * 1e9)).state["daylight"] is True
    assert sun.next_s(ns("2026-06-21T09:00:00")) == LOOK_AGAIN_S


@given(
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.integers(1_500_000_000_000_000_000, 2_500_000_000_000_000_000),
)
def test_everywhere_and_always(latitude: float, longitude: float, at_ns: int) -> None:
    sun = Daylight(latitude, longitude)
    state = sun.shown(at_ns).state
    assert state["status"] in STATUS
    assert not (state["dark"] and state["daylight"])
    assert 0 < sun.next_s(at_ns) <= LOOK_AGAIN_S
    assert LATE_S < LOOK_AGAIN_S
