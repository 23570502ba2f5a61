"""A device of a gateway: bounded, whatever the gateway sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.deconz.client_device import (
    MAX_NAME_CHARS,
    MAX_STATE_KEYS,
    MAX_VALUE_CHARS,
    Device,
    clean,
    device_from,
    plain_values,
    unique_id,
)


def test_what_is_kept() -> None:
    device = device_from(
        "sensors",
        "2",
        {
            "name": " Front\tdoor\x07 ",
            "type": "ZHAOpenClose",
            "uniqueid": "00:15:8D:00:02:00:00:12-01-0500",
            "manufacturername": "LUMI",
            "state": {"open": False, "lastupdated": "none", "xy": [1, 2], "deep": {"a": 1}},
            "config": {"reachable": False, "battery": 7},
        },
    )
    assert device == Device(
        resource="sensors",
        id="2",
        uniqueid="00:15:8d:00:02:00:00:12-01-0500",
        name="Front door",
        type="ZHAOpenClose",
        manufacturer="LUMI",
        state={"open": False, "lastupdated": "none"},
        reachable=False,
    )
    assert device.path == "sensors/2"
    assert device.identity == device.uniqueid


@pytest.mark.parametrize("body", [None, [], "x", 5, True])
def test_what_is_no_device(body: object) -> None:
    assert device_from("lights", "1", body) is None


@pytest.mark.parametrize("number", ["", "../config", "1/state", "½", "1 ", "1" * 65, "%31"])
def test_an_id_that_could_not_stand_in_a_path(number: str) -> None:
    assert device_from("lights", number, {}) is None


def test_without_a_unique_id_it_is_known_by_its_number() -> None:
    values: tuple[object, ...] = (None, 5, [], "", "\x00", "x" * 65)
    for value in values:
        device = device_from("lights", "9", {"uniqueid": value})
        assert device is not None
        assert device.identity == "lights/9"


def test_null_in_an_event_leaves_what_is_known() -> None:
    device = Device(resource="sensors", id="1", state={"open": True, "tampered": None})
    device.take_state({"open": None, "tampered": None, "alarm": None, "reachable": None})
    assert device.state == {"open": True, "tampered": None, "alarm": None, "reachable": None}
    assert device.reachable
    device.take_state({"alarm": True, "reachable": False})
    assert device.state["alarm"] is True
    assert not device.reachable


def test_a_name_that_changes() -> None:
    device = Device(resource="lights", id="1", name="Lamp")
    names: tuple[object, ...] = ("Lamp", None, 5, [], "Hall ", "Hall")
    assert [device.take_name(name) for name in names] == [False, False, False, False, True, False]
    assert device.name == "Hall"


def test_the_number_and_length_of_values_is_bounded() -> None:
    values: dict[str, Any] = {f"k{number}": number for number in range(5000)}
    assert len(plain_values(values)) == MAX_STATE_KEYS
    device = Device(resource="lights", id="1", state={"on": True})
    device.take_state(values)
    device.take_state({"on": False} | {f"x{number}": 1 for number in range(5000)})
    assert len(device.state) == MAX_STATE_KEYS
    assert device.state["on"] is False
    assert plain_values({"a": "x" * (MAX_VALUE_CHARS + 1), "b" * 65: 1, "c": 1.5}) == {"c": 1.5}


@given(st.text())
def test_names_are_clean(text: str) -> None:
    cleaned = clean(text, MAX_NAME_CHARS)
    assert len(cleaned) <= MAX_NAME_CHARS
    assert cleaned.isprintable()
    assert len(unique_id(text)) <= 64 or not text.isascii()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.sampled_from(["lights", "sensors"]),
    st.text(max_size=5),
    st.dictionaries(
        st.sampled_from(["name", "type", "uniqueid", "state", "config", "manufacturername"]), ANYTHING
    )
    | ANYTHING,
)
def test_any_body_is_a_device_or_none(kind: Any, number: str, body: object) -> None:
    device = device_from(kind, number, body)
    if device is not None:
        assert all(
            value is None or isinstance(value, bool | int | float | str) for value in device.state.values()
        )
