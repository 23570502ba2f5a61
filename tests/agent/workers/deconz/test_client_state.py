"""The mirror of a gateway: reads, events, and how they cross."""

from __future__ import annotations

from typing import Any

import pytest
from harness.deconz_gateway import LAMP, SIREN, household, sensor
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.deconz.client_state import MAX_DEVICES, MAX_RECORDED, Mirror
from agent.workers.deconz.wire import Added, Changed, Deleted, SceneCalled, Unknown

DOOR = "00:15:8d:00:02:00:00:12-01-0500"


def full(**more: Any) -> dict[str, Any]:
    lights, sensors = household()
    return {"lights": lights, "sensors": sensors, "groups": {}} | more


def mirror(**more: Any) -> Mirror:
    found = Mirror()
    assert found.read(full(**more))
    return found


def opened(value: object, stamp: str = "none", **more: Any) -> Changed:
    return Changed(r="sensors", id="2", state={"open": value, "lastupdated": stamp} | more)


def is_open(found: Mirror) -> object:
    door = found.get("sensors", "2")
    assert door is not None
    return door.state.get("open")


def test_a_read_and_an_event() -> None:
    found = mirror()
    assert (len(found), found.count("lights"), found.count("sensors")) == (10, 3, 7)
    applied = found.apply(Changed(r="sensors", id="2", uniqueid=DOOR, state={"open": True, "x": [1]}))
    assert applied.verdict == "state"
    assert applied.device is found.get("sensors", "2")
    assert applied.told == {"open": True}
    assert applied.before == {"open": False}
    assert is_open(found) is True


def test_several_parts_in_one_message() -> None:
    found = mirror()
    applied = found.apply(
        Changed(r="sensors", id="2", state={"open": True}, config={"reachable": False}, name="Back door")
    )
    assert applied.verdict == "structure"
    door = found.get("sensors", "2")
    assert door is not None
    assert (door.state["open"], door.reachable, door.name) == (True, False, "Back door")


@pytest.mark.parametrize(
    "event",
    [
        Changed(r="sensors", id="2", attr={"name": "Back door", "lastseen": "2026-01-01T00:00Z"}),
        Changed(r="sensors", id="2", name="Back door"),
    ],
)
def test_renamed_today_and_of_old(event: Changed) -> None:
    found = mirror()
    assert found.apply(event).verdict == "structure"
    assert found.apply(event).verdict == "state"


@pytest.mark.parametrize(
    "event",
    [
        Changed(r="groups", id="1", state={"all_on": True}),
        Changed(r="alarmsystems", id="1", state={"armstate": "disarmed"}),
        Added(r="groups", id="4"),
        Deleted(r="lights", id="99"),
        SceneCalled(gid="1", scid="2"),
        Unknown(raw={"e": "new"}),
        Added(r="lights", id="../x", body={}),
    ],
)
def test_what_concerns_nobody(event: Any) -> None:
    assert mirror().apply(event).verdict == "nothing"


@pytest.mark.parametrize(
    "event",
    [
        Changed(r="sensors", id="99", state={"open": True}),
        Changed(r="sensors", id="2", uniqueid="00:15:8d:00:02:00:00:99-01-0500", state={"open": True}),
        Deleted(r="sensors", id="2", uniqueid="00:15:8d:00:02:00:00:99-01-0500"),
        Added(r="sensors", id="2", uniqueid="00:15:8d:00:02:00:00:99-01-0500", body={}),
        Added(r="sensors", id="12"),
    ],
)
def test_what_does_not_fit_is_read_again(event: Any) -> None:
    found = mirror()
    assert found.apply(event).verdict == "reread"
    assert is_open(found) is False


def test_an_unique_id_in_other_case_or_missing_is_the_same() -> None:
    found = mirror()
    assert found.apply(Changed(r="sensors", id="2", uniqueid=DOOR.upper(), state={})).verdict == "state"
    assert found.apply(Changed(r="sensors", id="2", state={})).verdict == "state"


def test_added_and_deleted() -> None:
    found = mirror()
    body = sensor("ZHAWater", "Cellar", "00:15-9", {"water": None})
    assert found.apply(Added(r="sensors", id="12", uniqueid="00:15-9", body=body)).verdict == "structure"
    assert (len(found), found.count("sensors")) == (11, 8)
    # An id of the envelope serves where the object has none.
    assert found.apply(Added(r="lights", id="12", uniqueid="00:15-8", body={"name": "x"})).device is not None
    lamp = found.get("lights", "12")
    assert lamp is not None
    assert lamp.uniqueid == "00:15-8"
    assert found.apply(Deleted(r="sensors", id="12", uniqueid="00:15-9")).verdict == "structure"
    assert found.get("sensors", "12") is None
    assert (found.count("lights"), found.count("sensors")) == (4, 7)


def test_added_again_keeps_what_is_known() -> None:
    found = mirror()
    found.apply(opened(True))
    body = sensor("ZHAOpenClose", "Door", DOOR, {"open": None, "tampered": True})
    assert found.apply(Added(r="sensors", id="2", uniqueid=DOOR, body=body)).verdict == "structure"
    assert is_open(found) is True


def test_events_that_come_while_a_read_is_under_way_stand_over_it() -> None:
    found = mirror()
    found.begin_read()
    found.apply(opened(True))
    assert is_open(found) is True
    assert found.read(full())
    assert is_open(found) is True
    # Those from before do not.
    found.begin_read()
    assert found.read(full())
    assert is_open(found) is False


def test_a_read_that_is_newer_than_an_event_stands() -> None:
    found = mirror()
    found.begin_read()
    found.apply(opened(True, "2026-01-01T12:00:01.000"))
    state = full()
    state["sensors"]["2"]["state"] = {"open": False, "lastupdated": "2026-01-01T12:00:02.000"}
    assert found.read(state)
    assert is_open(found) is False


def test_a_device_that_came_while_a_read_was_under_way() -> None:
    found = mirror()
    found.begin_read()
    found.apply(Added(r="lights", id="9", body=dict(LAMP)))
    assert found.read(full())
    assert found.get("lights", "9") is not None


def test_too_much_in_a_read_asks_for_another() -> None:
    found = mirror()
    found.begin_read()
    for _ in range(MAX_RECORDED + 5):
        found.apply(opened(True))
    assert not found.read(full())
    assert found.read(full())


def test_too_many_devices_the_first_stay() -> None:
    many = {str(number): SIREN for number in range(1, MAX_DEVICES + 100)}
    found = mirror(lights=many)
    assert len(found) == MAX_DEVICES
    assert found.dropped == 99 + 7
    assert found.get("lights", "2000") is not None
    assert found.apply(Added(r="lights", id="5000", body=dict(LAMP))).verdict == "nothing"


@pytest.mark.parametrize("value", [None, [], "x", 5, {"1": None, "2": [], "x/y": {}, "": {}}])
def test_a_state_that_is_none(value: object) -> None:
    found = mirror(lights=value, sensors=value)
    assert len(found) == 0


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["lights", "sensors", "config"]), ANYTHING | st.dictionaries(
    st.sampled_from(["1", "2", "x"]), st.dictionaries(
        st.sampled_from(["name", "state", "config", "type", "uniqueid"]), ANYTHING))))  # fmt: skip
def test_any_state_can_be_read(state: dict[str, Any]) -> None:
    found = Mirror()
    assert found.read(state)
    assert len(found) <= 6
