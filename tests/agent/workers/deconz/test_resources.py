"""Every kind of resource against what clients were seen to need (attributes of pydeconz 115 and 120)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agent import __version__
from agent.runtime import EndpointInfo, EndpointState
from agent.workers.deconz.resources import Resource
from agent.workers.deconz.translate import FORMS, Kind, shown
from agent.workers.deconz.wire import encode_event

AT_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
COMMON = {
    "etag", "lastannounced", "lastseen", "manufacturername", "modelid", "name", "swversion", "type",
    "uniqueid", "state",
}  # fmt: skip
STATES = {
    "siren": {"alert", "reachable"},
    "light": {"alert", "on", "reachable"},
    "old_lock": {"alert", "on", "reachable"},
    "button": {"buttonevent", "lastupdated"},
    "lock": {"lockstate", "lastupdated"},
    "door": {"open", "tampered", "lastupdated"},
    "generic": {"open", "tampered", "lastupdated"},
    "smoke": {"fire", "test", "lastupdated"},
    "co": {"carbonmonoxide", "lastupdated"},
    "motion": {"presence", "lastupdated"},
    "tamper": {"alarm", "tampered", "lastupdated"},
}  # fmt: skip
REST = {"siren": "off", "light": "off", "lock": "locked", "old_lock": "locked", "door": "locked"}


def resource(kind: Kind, now: EndpointState | None = None) -> Resource:
    made = Resource(
        kind,
        number="3",
        address="02:aa:bb:cc:dd:ee:00:07",
        key="it",
        name="It",
        info=EndpointInfo(name="it", label="It", kind="button"),
        seen="2026-01-01T00:00Z",
    )
    made.begin(shown(kind, now or EndpointState(state=REST.get(kind, "calm"), door="closed")))
    return made


def plain(changes: list[Any]) -> list[dict[str, Any]]:
    import json

    return [json.loads(encode_event(change)) for change in changes]


@pytest.mark.parametrize("kind", STATES)
def test_a_resource_has_all_that_clients_need(kind: Kind) -> None:
    body = resource(kind).body("f" * 32)
    more = {"siren": {"hascolor", "capabilities", "config"}, "button": {"ep", "config", "mode"}}
    light = FORMS[kind].r == "lights"
    assert set(body) == COMMON | more.get(kind, {"hascolor"} if light else {"ep", "config"})
    assert set(body["state"]) == STATES[kind]
    assert body["uniqueid"].count(":") == 7
    assert re.fullmatch(r"([0-9a-f]{2}:){7}[0-9a-f]{2}-\d\d(-[0-9a-f]{4})?", body["uniqueid"])
    assert (body["uniqueid"].count("-") == 1) is light
    assert (body["manufacturername"], body["swversion"]) == ("Portero", __version__)
    assert body["etag"] == "f" * 32
    if light:
        assert isinstance(body["state"]["reachable"], bool)
    else:
        assert body["config"]["on"] is True
        assert body["config"]["reachable"] is True
        assert body["ep"] == int(body["uniqueid"].split("-")[1], 16)
        assert body["state"]["lastupdated"] == "none"


def test_a_siren_says_what_it_can_and_has_no_on() -> None:
    body = resource("siren").body("")
    assert body["capabilities"] == {"alerts": ["none", "select", "lselect"]}
    assert body["config"] == {"groups": []}
    assert "on" not in body["state"]


def test_a_change_is_told_once_and_whole() -> None:
    siren = resource("siren")
    change = {"alert": "lselect", "reachable": True}
    assert plain(siren.set_state(change, AT_NS, notify_all=True)) == [
        {
            "t": "event",
            "e": "changed",
            "r": "lights",
            "id": "3",
            "uniqueid": "02:aa:bb:cc:dd:ee:00:07-01",
            "state": {"alert": "lselect", "reachable": True},
        }
    ]
    assert siren.set_state(change, AT_NS, notify_all=True) == []


def test_a_change_is_told_alone_when_clients_want_that() -> None:
    lock = resource("lock")
    (config,) = plain(lock.set_config({"lock": False, "on": True}, notify_all=False))
    assert config["config"] == {"lock": False}
    (state,) = plain(lock.set_state({"lockstate": "unlocked"}, AT_NS, notify_all=False))
    assert state["state"] == {"lockstate": "unlocked", "lastupdated": "2026-01-01T00:00:00.000"}
    fire = resource("smoke")
    (state,) = plain(fire.set_state({"fire": True, "test": False}, AT_NS, notify_all=False))
    assert set(state["state"]) == {"fire", "lastupdated"}
    (state,) = plain(fire.set_state({"fire": False, "test": False}, AT_NS, notify_all=True))
    assert set(state["state"]) == {"fire", "test", "lastupdated"}


def test_the_same_press_twice_is_told_twice_at_other_times() -> None:
    bell = resource("button")
    stamps = []
    for _ in range(3):
        (told,) = plain(bell.set_state({"buttonevent": 1000}, AT_NS, notify_all=False, always=True))
        assert told["state"]["buttonevent"] == 1000
        stamps.append(told["state"]["lastupdated"])
    assert stamps == ["2026-01-01T00:00:00.000", "2026-01-01T00:00:00.001", "2026-01-01T00:00:00.002"]


def test_a_clock_that_was_set_back_is_followed() -> None:
    bell = resource("button")
    bell.set_state({"buttonevent": 1000}, AT_NS, notify_all=True, always=True)
    hour_ns = 3_600_000_000_000
    (told,) = plain(bell.set_state({"buttonevent": 1002}, AT_NS - hour_ns, notify_all=True, always=True))
    assert told["state"]["lastupdated"] == "2025-12-31T23:00:00.000"


def test_a_name_is_alone_in_its_message() -> None:
    bell = resource("button")
    (told,) = plain([bell.named("Doorbell")])
    assert told["name"] == "Doorbell"
    assert not {"state", "config", "attr"} & set(told)
    assert bell.body("")["name"] == "Doorbell"


@pytest.mark.parametrize("kind", STATES)
def test_who_connects_is_told_one_part_a_message_and_of_buttons_no_state(kind: Kind) -> None:
    told = plain(resource(kind).now())
    parts = [set(message) & {"state", "config", "attr", "name"} for message in told]
    if kind == "button":
        assert parts == [{"config"}]
    elif FORMS[kind].r == "lights":
        assert parts == [{"state"}]
    else:
        assert parts == [{"config"}, {"state"}]
        assert set(told[1]["state"]) == STATES[kind]


def test_who_connects_hears_of_a_keypad_what_it_shows_and_not_what_was_pressed() -> None:
    keypad = resource("keypad")
    keypad.state.update({"action": "armed_away", "panel": "armed_away", "seconds_remaining": 0})
    assert set(plain(keypad.now())[1]["state"]) == {"panel", "seconds_remaining", "lastupdated"}
