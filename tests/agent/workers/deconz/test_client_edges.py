"""A ring is never invented and never rung twice: which reports of a button are new."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.deconz.client_device import Device, device_from
from agent.workers.deconz.client_edges import Edges, edge_field
from agent.workers.deconz.client_translate import stamp_ms

T1, T2, T3 = "2026-01-01T12:00:01.000", "2026-01-01T12:00:02.000", "2026-01-01T12:00:03.000"
UTC = stamp_ms("2026-01-01T13:00:00")


def switch(**state: Any) -> Device:
    body = {
        "uniqueid": "00:15:8d:00:02:00:00:11-01-0006",
        "type": "ZHASwitch",
        "state": {"buttonevent": 1002, "lastupdated": T1} | state,
    }
    device = device_from("sensors", "1", body)
    assert device is not None
    return device


def heard(edges: Edges, device: Device, now_s: float, **told: Any) -> str:
    """What an event's state is, as the mirror would take it."""
    before = {key: device.state[key] for key in told if key in device.state}
    device.take_state(told)
    return edges.judge(device, told, before, now_s)


def read(device: Device, *, utc_ms: int | None = UTC, live: bool = False) -> Edges:
    edges = Edges()
    edges.baseline([device], utc_ms, live=live)
    return edges


def test_a_button_event_in_a_read_is_old() -> None:
    device = switch()
    edges = read(device)
    assert heard(edges, device, 1.0, buttonevent=1002, lastupdated=T1) == "old"
    assert heard(edges, device, 2.0, buttonevent=1002, lastupdated=T2) == "edge"
    assert heard(edges, device, 3.0, buttonevent=1002, lastupdated=T2) == "old"
    assert heard(edges, device, 4.0, buttonevent=1002, lastupdated=T3) == "edge"


@pytest.mark.parametrize("stamp", ["none", None, 5, "", "yesterday", "2026-13-01T00:00:00", [], "2026-01-01"])
def test_a_time_that_is_none_is_no_ring(stamp: Any) -> None:
    device = switch()
    assert heard(read(device), device, 1.0, buttonevent=1002, lastupdated=stamp) == "old"


@pytest.mark.parametrize("code", [None])
def test_null_is_no_ring(code: Any) -> None:
    device = switch()
    assert heard(read(device), device, 1.0, buttonevent=code, lastupdated=T2) == "old"


def test_the_first_press_ever() -> None:
    device = switch(buttonevent=None, lastupdated="none")
    assert heard(read(device), device, 1.0, buttonevent=1002, lastupdated=T1) == "edge"


def test_an_unknown_sensor_rings_by_its_time() -> None:
    device = switch()
    assert heard(Edges(), device, 1.0, buttonevent=1002, lastupdated=T1) == "edge"


def test_two_codes_in_one_second_of_an_old_gateway() -> None:
    device = switch(lastupdated="2026-01-01T12:00:00")
    edges = read(device)
    assert heard(edges, device, 1.0, buttonevent=1000, lastupdated="2026-01-01T12:00:01") == "edge"
    assert heard(edges, device, 1.1, buttonevent=1002, lastupdated="2026-01-01T12:00:01") == "edge"
    assert heard(edges, device, 1.2, buttonevent=1002, lastupdated="2026-01-01T12:00:01") == "old"


def test_something_else_of_the_sensor_changed() -> None:
    # With notify-all the old code comes along, here even with a new time.
    device = switch(tampered=False)
    edges = read(device)
    assert heard(edges, device, 1.0, buttonevent=1002, lastupdated=T2, tampered=True) == "old"
    assert heard(edges, device, 2.0, buttonevent=1002, lastupdated=T3, tampered=True) == "edge"
    # How long this press was is of the press.
    device = switch(eventduration=3)
    assert heard(read(device), device, 1.0, buttonevent=1002, lastupdated=T2, eventduration=8) == "edge"


def test_without_a_time_only_alone_and_not_twice_in_a_moment() -> None:
    device = switch()
    edges = read(device)
    assert heard(edges, device, 1.0, buttonevent=1002, tampered=False) == "old"
    assert heard(edges, device, 1.0, buttonevent=1002) == "edge"
    assert heard(edges, device, 1.1, buttonevent=1002) == "old"
    assert heard(edges, device, 1.15, buttonevent=1001) == "edge"
    assert heard(edges, device, 9.0, buttonevent=1001) == "edge"
    # The same again, now with its time: it has rung already.
    assert heard(edges, device, 9.1, buttonevent=1001, lastupdated=T2) == "old"
    assert heard(edges, device, 9.2, buttonevent=1001, lastupdated=T3) == "edge"


def test_an_older_time_is_a_replay_or_a_clock_that_went_back() -> None:
    device = switch(lastupdated=T3)
    edges = read(device)
    assert heard(edges, device, 1.0, buttonevent=1002, lastupdated=T2) == "clock"
    # A gateway that lost power has its clock of an hour ago until it finds a better one.
    edges.baseline([device], stamp_ms("2026-01-01T11:00:00"), live=True)
    assert heard(edges, device, 2.0, buttonevent=1002, lastupdated="2026-01-01T11:00:07.000") == "edge"
    # But one within the slack of its own whole seconds has not.
    device = switch(lastupdated=T3)
    edges = read(device)
    edges.baseline([device], stamp_ms(T1), live=True)
    assert heard(edges, device, 1.0, buttonevent=1002, lastupdated=T2) == "clock"


def test_what_was_pressed_while_nobody_listened_does_not_ring_later() -> None:
    device = switch(lastupdated=T1)
    edges = read(device)
    edges.baseline([switch(lastupdated=T2)], UTC, live=False)
    assert heard(edges, device, 1.0, buttonevent=1002, lastupdated=T2) == "old"
    assert heard(edges, device, 2.0, buttonevent=1002, lastupdated=T3) == "edge"


def test_a_read_that_overtakes_the_event_does_not_swallow_the_ring() -> None:
    device = switch(lastupdated=T1)
    edges = read(device)
    edges.baseline([switch(lastupdated=T2)], stamp_ms(T2), live=True)
    assert heard(edges, device, 1.0, buttonevent=1002, lastupdated=T2) == "edge"
    # Unless it is so old that its event is not on its way any more.
    edges.baseline([switch(lastupdated=T3)], UTC, live=True)
    assert heard(edges, device, 2.0, buttonevent=1002, lastupdated=T3) == "old"


def test_a_keypad_repeats_its_action_while_it_counts() -> None:
    body = {
        "type": "ZHAAncillaryControl",
        "state": {
            "action": "armed_away",
            "panel": "exit_delay",
            "seconds_remaining": 9,
            "lastupdated": T1,
        },
    }
    device = device_from("sensors", "5", body)
    assert device is not None
    assert edge_field(device) == "action"
    edges = read(device)
    told: dict[str, Any] = {"action": "armed_away", "panel": "exit_delay"}
    assert heard(edges, device, 1.0, lastupdated=T2, seconds_remaining=8, **told) == "old"
    assert heard(edges, device, 2.0, lastupdated=T3, seconds_remaining=8, **told) == "edge"
    assert heard(edges, device, 3.0, action="panic", lastupdated="2026-01-01T12:00:09") == "edge"


def test_what_has_no_button() -> None:
    device = device_from("sensors", "2", {"type": "ZHAOpenClose", "state": {"open": True, "lastupdated": T1}})
    assert device is not None
    edges = read(device)
    assert heard(edges, device, 1.0, open=False, lastupdated=T2) == "old"
    lamp = device_from("lights", "2", {"state": {"buttonevent": 1002}})
    assert lamp is not None
    assert edge_field(lamp) is None


def test_the_number_of_sensors_is_bounded() -> None:
    edges = Edges()
    for number in range(5000):
        device = device_from("sensors", str(number), {"state": {"buttonevent": None}})
        assert device is not None
        edges.baseline([device], UTC, live=False)
    assert len(edges._known) == 4000


STAMPS = st.sampled_from([T1, T2, T3, "none", None, 7])
CODES = st.sampled_from([1000, 1002, 1003, None])


@given(st.lists(st.tuples(CODES, STAMPS, st.booleans()), max_size=20))
def test_a_time_rings_once_per_code(steps: list[tuple[Any, Any, bool]]) -> None:
    device, rung = switch(buttonevent=None, lastupdated="none"), []
    edges = read(device)
    for now_s, (code, stamp, live) in enumerate(steps):
        if live:
            edges.baseline([device], UTC, live=True)
        if heard(edges, device, float(now_s), buttonevent=code, lastupdated=stamp) == "edge":
            rung.append((code, stamp))
    for (code, stamp), (next_code, next_stamp) in pairwise(rung):
        assert (code, stamp) != (next_code, next_stamp)
        assert stamp <= next_stamp
