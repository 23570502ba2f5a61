"""What devices mean to this house, and what its commands are to a gateway."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from harness.deconz_gateway import LAMP, OLD_LOCK, SIREN, household, sensor
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.deconz.client_device import Device, device_from
from agent.workers.deconz.client_translate import (
    MAX_ONTIME,
    Order,
    button_code,
    find_device,
    is_on,
    keypad_word,
    main_fact,
    order_for,
    stamp_ms,
    state_text,
    suits,
    websocket_url,
)
from agent.workers.deconz.config import DeconzEndpoint


def devices() -> list[Device]:
    lights, sensors = household()
    found = [device_from("lights", number, body) for number, body in lights.items()]
    found += [device_from("sensors", number, body) for number, body in sensors.items()]
    return [device for device in found if device is not None]


def one(kind: Any, body: dict[str, Any], **state: Any) -> Device:
    body = copy.deepcopy(body)
    body["state"] |= state
    device = device_from(kind, "7", body)
    assert device is not None
    return device


def endpoint(device: str, acts_as: str, **more: Any) -> DeconzEndpoint:
    return msgspec.convert({"device": device, "acts_as": acts_as, "kind": "deconz"} | more, DeconzEndpoint)


# ----- values -----


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01T00:00:01.5", 1500),
        ("1970-01-01T00:00:01.500", 1500),
        ("1970-01-01T00:00:01.123456Z", 1123),
        ("none", None),
        ("", None),
        (None, None),
        (5, None),
        ("2026-02-30T00:00:00", None),
        ("0000-01-01T00:00:00", None),
        ("２０２６-01-01T00:00:00", None),
        ("2026-01-01T00:00", None),
    ],
)
def test_times(text: object, ms: int | None) -> None:
    assert stamp_ms(text) == ms


@given(st.text() | st.integers() | st.none() | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*)?Z?"))
def test_any_text_is_a_time_or_none(text: object) -> None:
    assert isinstance(stamp_ms(text), int | None)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1000, (1, 0)), (1002, (1, 2)), (27031, (27, 31)), (999, None), (28000, None), (-1002, None),
        (True, None), (None, None), ("1002", None), (1002.0, None), ([], None),
    ],
)  # fmt: skip
def test_button_codes(value: object, code: tuple[int, int] | None) -> None:
    assert button_code(value) == code


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("panic", "panic"), ("", None), ("x" * 33, None), ("a\nb", None), ("é", None), (5, None),
        (None, None),
    ],
)  # fmt: skip
def test_keypad_words(value: object, word: str | None) -> None:
    assert keypad_word(value) == word


@pytest.mark.parametrize(
    ("kind", "state", "field"),
    [
        ("ZHAFire", {}, "fire"), ("CLIPPresence", {}, "presence"), ("ZHAWater", {}, "water"),
        ("ZHAAlarm", {"fire": True}, "alarm"), ("Other", {"tampered": True, "open": None}, "open"),
        ("ZHATemperature", {"temperature": 2100}, None), ("Daylight", {"dark": True}, None),
        ("Other", {"tampered": True}, None),
    ],
)  # fmt: skip
def test_what_a_detector_is_for(kind: str, state: dict[str, Any], field: str | None) -> None:
    assert main_fact(one("sensors", sensor(kind, "x", "y", state))) == field


@pytest.mark.parametrize(
    ("lockstate", "known"),
    [
        ("locked", (False, "")),
        ("unlocked", (True, "")),
        ("not fully locked", (True, "not fully locked")),
        ("undefined", None),
        ("ajar", None),
        (None, None),
        (5, None),
    ],
)
def test_lock_of_today(lockstate: object, known: object) -> None:
    assert is_on(one("sensors", sensor("ZHADoorLock", "x", "y", {"lockstate": lockstate})), "lock") == known


@pytest.mark.parametrize(("on", "known"), [(True, (False, "")), (False, (True, "")), (None, None), (1, None)])
def test_lock_of_old_is_on_when_it_is_locked(on: object, known: object) -> None:
    assert is_on(one("lights", OLD_LOCK, on=on), "lock") == known


def test_lights() -> None:
    assert is_on(one("lights", LAMP, on=True), "light") == (True, "")
    assert is_on(one("lights", LAMP, on=None), "light") is None


def test_how_it_is_in_words() -> None:
    assert state_text(one("sensors", sensor("ZHAFire", "x", "y", {"fire": False}))) == "fire=false"
    assert state_text(one("lights", LAMP, on=True, reachable=False)) == "on=true, unreachable"
    assert state_text(one("lights", SIREN, alert="lselect")) == "alert=lselect"
    assert state_text(one("sensors", sensor("ZHASwitch", "x", "y", {"buttonevent": None}))) == ""


# ----- which device -----


@pytest.mark.parametrize(
    ("name", "acts_as", "identity"),
    [
        ("Bell", "button", "00:15:8d:00:02:00:00:11-01-0006"),
        ("00:15:8D:00:02:00:00:11-01-0006", "button", "00:15:8d:00:02:00:00:11-01-0006"),
        ("Door", "contact", "00:15:8d:00:02:00:00:12-01-0500"),
        ("Lock", "lock", "00:15:8d:00:02:00:00:13-01-0101"),
        ("Garden gate", "lock", "00:15:8d:00:02:00:00:03-01"),
        ("Staircase", "light", "00:15:8d:00:02:00:00:02-01"),
        ("Siren", "siren", "00:15:8d:00:02:00:00:01-01"),
        ("Staircase", "siren", "00:15:8d:00:02:00:00:02-01"),
        # Two sensors in one housing have one name: only one of them is a detector.
        ("Hall", "contact", "00:15:8d:00:02:00:00:16-01-0406"),
    ],
)
def test_found_by_unique_id_or_name(name: str, acts_as: str, identity: str) -> None:
    found = find_device(devices(), endpoint(name, acts_as))
    assert isinstance(found, Device)
    assert found.identity == identity


@pytest.mark.parametrize(
    ("name", "acts_as", "reason"),
    [
        ("bell", "button", "no device 'bell'"),
        ("", "light", "no device"),
        ("Bell", "lock", "'Bell' is no lock but ZHASwitch"),
        ("Siren", "light", "is no light but Warning device"),
        ("Garden gate", "light", "is no light but Door Lock"),
        ("Garden gate", "siren", "is no siren"),
        ("Bell", "contact", "is no contact"),
    ],
)
def test_not_found(name: str, acts_as: str, reason: str) -> None:
    wanted = msgspec.structs.replace(endpoint("x", acts_as), device=name)
    found = find_device(devices(), wanted)
    assert isinstance(found, str)
    assert reason in found


def test_two_of_one_name_need_the_unique_id() -> None:
    twins = [
        device
        for number in ("1", "2")
        if (device := device_from("lights", number, LAMP | {"uniqueid": f"00:15-{number}"})) is not None
    ]
    found = find_device(twins, endpoint("Staircase", "light"))
    assert found == (
        "2 devices are called 'Staircase': configure the unique id, one of 00:15-1, 00:15-2"
    )  # fmt: skip
    assert find_device(twins, endpoint("00:15-2", "light")) is twins[1]


def test_a_tamper_switch_is_of_a_device_that_tells_it() -> None:
    door, bell = devices()[4], devices()[3]
    assert suits(door, endpoint("Door", "contact", tamper=True))
    assert not suits(bell, endpoint("Bell", "contact", tamper=True))


# ----- orders -----


@pytest.mark.parametrize(
    ("device", "acts_as", "on", "duration_s", "order"),
    [
        (one("sensors", household()[1]["3"]), "lock", True, 5.0, ("sensors/7/config", {"lock": False})),
        (one("sensors", household()[1]["3"]), "lock", False, None, ("sensors/7/config", {"lock": True})),
        (one("lights", OLD_LOCK), "lock", True, 5.0, ("lights/7/state", {"on": False})),
        (one("lights", OLD_LOCK), "lock", False, None, ("lights/7/state", {"on": True})),
        (one("lights", LAMP), "light", True, 60.0, ("lights/7/state", {"on": True})),
        (one("lights", LAMP), "light", False, None, ("lights/7/state", {"on": False})),
        (one("lights", SIREN), "siren", True, 60.0, ("lights/7/state", {"alert": "lselect", "ontime": 60})),
        (one("lights", SIREN), "siren", True, 0.2, ("lights/7/state", {"alert": "lselect", "ontime": 1})),
        (
            one("lights", SIREN), "siren", True, 1e9,
            ("lights/7/state", {"alert": "lselect", "ontime": MAX_ONTIME}),
        ),
        (one("lights", SIREN), "siren", False, None, ("lights/7/state", {"alert": "none"})),
        (one("lights", LAMP), "siren", True, 60.0, ("lights/7/state", {"alert": "lselect"})),
        # Another door of ours understands tenths of a second.
        (
            one("lights", SIREN | {"manufacturername": "Portero"}), "siren", True, 60.0,
            ("lights/7/state", {"alert": "lselect", "ontime": 600}),
        ),
    ],
)  # fmt: skip
def test_orders(device: Device, acts_as: str, on: bool, duration_s: float | None, order: Any) -> None:
    assert order_for(device, acts_as, on, duration_s) == Order(path=order[0], body=order[1])


# ----- addresses -----


NO_PORTS: list[object] = [None, True, -1, 70000, 1.5, "", "x", "-3", "999999", [], {}]


@pytest.mark.parametrize(
    ("url", "config", "override", "expected"),
    [
        ("http://192.168.1.5", {"websocketport": 443}, None, "ws://192.168.1.5:443/"),
        ("http://192.168.1.5:8080", {"websocketport": "8088"}, None, "ws://192.168.1.5:8088/"),
        ("http://192.168.1.5:8080", {"websocketport": 0}, None, "ws://192.168.1.5:8080/"),
        ("http://192.168.1.5", {}, None, "ws://192.168.1.5:80/"),
        ("http://192.168.1.5/", {"websocketport": 443}, 9000, "ws://192.168.1.5:9000/"),
        ("https://gw.local", {"websocketport": 80, "websocketport_wss": 8443}, None, "wss://gw.local:8443/"),
        ("https://gw.local:8443", {"websocketport": 80}, None, "wss://gw.local:8443/"),
        ("https://gw.local", {}, None, "wss://gw.local:443/"),
        ("http://[fd00::5]:80", {"websocketport": 8088}, None, "ws://[fd00::5]:8088/"),
        *(("http://h", {"websocketport": value}, None, "ws://h:80/") for value in NO_PORTS),
    ],
)
def test_where_the_websocket_is(url: str, config: Any, override: int | None, expected: str) -> None:
    assert websocket_url(url, config, override) == expected
