"""Events and results: tables of (message, bytes), round trips, and any bytes at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.workers.deconz.wire import (
    MAX_BODY_BYTES,
    MAX_EVENT_BYTES,
    MAX_ID_CHARS,
    MAX_RESULTS,
    Added,
    Changed,
    Deleted,
    Error,
    Event,
    SceneCalled,
    Success,
    Unknown,
    decode_event,
    decode_object,
    decode_results,
    encode_event,
    encode_results,
)

UNIQUE = "00:0b:57:ff:fe:9a:46:ab-01"

# (message, bytes), both ways: the shapes that we send.
BOTH_WAYS: list[tuple[Any, str]] = [
    (
        Changed(r="lights", id="1", uniqueid=UNIQUE, state={"bri": 1, "on": True, "xy": [0.9961, 0.9961]}),
        '{"e":"changed","id":"1","r":"lights","state":{"bri":1,"on":true,"xy":[0.9961,0.9961]},"t":"event",'
        f'"uniqueid":"{UNIQUE}"}}',
    ),
    (
        Changed(r="groups", id="1", state={"all_on": True, "any_on": True}),
        '{"e":"changed","id":"1","r":"groups","state":{"all_on":true,"any_on":true},"t":"event"}',
    ),
    (
        Changed(r="sensors", id="5", state={"buttonevent": 2002, "lastupdated": "2019-03-15T20:16:30"}),
        '{"e":"changed","id":"5","r":"sensors","state":{"buttonevent":2002,'
        '"lastupdated":"2019-03-15T20:16:30"},"t":"event"}',
    ),
    (
        Changed(r="sensors", id="10", name="Pulse 2"),
        '{"e":"changed","id":"10","name":"Pulse 2","r":"sensors","t":"event"}',
    ),
    (
        Changed(r="alarmsystems", id="1", config={"armmode": "disarmed"}),
        '{"config":{"armmode":"disarmed"},"e":"changed","id":"1","r":"alarmsystems","t":"event"}',
    ),
    (
        Added(r="sensors", id="10", uniqueid=UNIQUE, body={"state": {"buttonevent": None}}),
        '{"e":"added","id":"10","r":"sensors","sensor":{"state":{"buttonevent":null}},"t":"event",'
        f'"uniqueid":"{UNIQUE}"}}',
    ),
    (Deleted(r="lights", id="3"), '{"e":"deleted","id":"3","r":"lights","t":"event"}'),
    (
        SceneCalled(gid="0", scid="2"),
        '{"e":"scene-called","gid":"0","r":"scenes","scid":"2","t":"event"}',
    ),
]

# What gateways send and we do not.
INBOUND: list[tuple[str, Event]] = [
    ('{"e":"changed","id":7,"r":"sensors"}', Changed(r="sensors", id="7")),
    (
        '{"e":"changed","id":"1","r":"lights","state":{"on":true},"config":{"a":1},"attr":{"name":"x"}}',
        Changed(r="lights", id="1", state={"on": True}, config={"a": 1}, attr={"name": "x"}),
    ),
    ('{"e":"changed","id":"1","r":"lights","state":null,"name":null}', Changed(r="lights", id="1")),
    ('{"e":"changed","id":"1","r":"lights","uniqueid":5}', Changed(r="lights", id="1")),
    ('{"e":"added","id":"4","r":"groups","t":"event"}', Added(r="groups", id="4")),
    ('{"e":"renamed","id":"4","r":"groups"}', Unknown(raw={"e": "renamed", "id": "4", "r": "groups"})),
    ('{"e":"changed","id":"4","r":"rules"}', Unknown(raw={"e": "changed", "id": "4", "r": "rules"})),
    ('{"e":"changed","id":"4","r":[]}', Unknown(raw={"e": "changed", "id": "4", "r": []})),
    ('{"e":{},"id":"4","r":{"a":1}}', Unknown(raw={"e": {}, "id": "4", "r": {"a": 1}})),
    ('{"t":"hello"}', Unknown(raw={"t": "hello"})),
    ("{}", Unknown(raw={})),
]

NO_EVENTS = [
    "", "null", "[]", '"changed"', "7", "{", "<html>", '{"e":"changed","r":"lights"}',
    '{"e":"changed","r":"lights","id":null}', '{"e":"changed","r":"lights","id":""}',
    '{"e":"changed","r":"lights","id":true}', '{"e":"changed","r":"lights","id":-1}',
    '{"e":"changed","r":"lights","id":"1","state":[]}', '{"e":"changed","r":"lights","id":"1","attr":"x"}',
    '{"e":"added","r":"lights","id":"1","light":3}', '{"e":"scene-called","r":"scenes","gid":"1"}',
    json.dumps({"e": "changed", "r": "lights", "id": "1" * (MAX_ID_CHARS + 1)}),
    "[" * 100 + "]" * 100, '{"e":"changed","r":"lights","id":"1","x":' + "[" * 50 + "]" * 50 + "}",
    '{"e":"changed","x":"' + "y" * MAX_EVENT_BYTES + '"}', "\ud800",
]  # fmt: skip


@pytest.mark.parametrize(("message", "text"), BOTH_WAYS)
def test_both_ways(message: Any, text: str) -> None:
    assert encode_event(message) == text.encode()
    assert decode_event(text) == message
    assert decode_event(text.encode()) == message


@pytest.mark.parametrize(("text", "message"), INBOUND)
def test_what_gateways_send(text: str, message: Event) -> None:
    assert decode_event(text) == message


@pytest.mark.parametrize("text", NO_EVENTS)
def test_what_is_no_event(text: str) -> None:
    with pytest.raises(MalformedMessage):
        decode_event(text)


def test_long_texts_are_cut() -> None:
    event = decode_event(json.dumps({"e": "changed", "r": "lights", "id": "1", "name": "x" * 5000}))
    assert isinstance(event, Changed)
    assert event.name == "x" * 200


@pytest.mark.parametrize(
    "message",
    [
        Added(r="groups", id="4"),
        Added(r="alarmsystems", id="4", body={}),
        Changed(r="lights", id="1"),
        Changed(r="lights", id="1", state={}, config={}),
        Changed(r="lights", id="x", state={}),
        Deleted(r="lights", id="½"),
        Deleted(r="lights", id=""),
    ],
)
def test_what_clients_would_choke_on_is_not_sent(message: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encode_event(message)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_event_or_malformed(data: bytes) -> None:
    _event_or_malformed(data)


NUMBERS = st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "t": st.sampled_from(["event", "x"]) | JSON,
        "e": st.sampled_from(["changed", "added", "deleted", "scene-called"]) | JSON,
        "r": st.sampled_from(["lights", "sensors", "groups", "scenes", "alarmsystems"]) | JSON,
        "id": st.sampled_from(["1", 1, None]) | JSON,
        "gid": JSON, "scid": JSON, "uniqueid": JSON, "name": JSON, "light": JSON, "sensor": JSON,
        "state": JSON, "config": JSON, "attr": JSON, "capabilities": JSON,
    },
)  # fmt: skip


@given(FIELDS)
def test_any_object_is_an_event_or_malformed(plain: dict[str, Any]) -> None:
    event = _event_or_malformed(msgspec.json.encode(plain))
    if isinstance(event, Changed):
        assert event.r in ("lights", "sensors", "groups", "scenes", "alarmsystems")
        assert 0 < len(event.id) <= MAX_ID_CHARS


@given(
    st.sampled_from(["lights", "sensors", "groups", "alarmsystems"]),
    st.integers(0, 10**9).map(str),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.dictionaries(st.text(max_size=6), st.integers(-9999, 9999) | st.none() | st.booleans(), max_size=4),
)
def test_round_trip(resource: Any, number: str, uniqueid: str, state: dict[str, Any]) -> None:
    message = Changed(r=resource, id=number, uniqueid=uniqueid, state=state)
    assert decode_event(encode_event(message)) == message


# ----- results -----

RESULTS: list[tuple[str, tuple[Any, ...]]] = [
    ('[{"success":{"/lights/1/state/on":true}}]', (Success(what={"/lights/1/state/on": True}),)),
    ('[{"success":"/config/whitelist/a deleted."}]', (Success(what="/config/whitelist/a deleted."),)),
    (
        '[{"error":{"address":"/","description":"link button not pressed","type":101}}]',
        (Error(type=101, address="/", description="link button not pressed"),),
    ),
    (
        '[{"success":{"/a":1}},{"error":{"address":"/b","description":"","type":8}}]',
        (Success(what={"/a": 1}), Error(type=8, address="/b")),
    ),
]


@pytest.mark.parametrize(("text", "results"), RESULTS)
def test_results_both_ways(text: str, results: tuple[Any, ...]) -> None:
    assert decode_results(text.encode()) == results
    assert encode_results(results) == text.encode()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('[{"error":{}}]', 901),
        ('[{"error":{"type":"7"}}]', 901),
        ('[{"error":{"type":true}}]', 901),
        ('[{"error":{"type":7,"address":null,"description":3}}]', 7),
    ],
)
def test_an_error_is_an_error_whatever_it_holds(text: str, kind: int) -> None:
    assert decode_results(text.encode()) == (Error(type=kind),)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "[1]", "[{}]", '[{"success":1}]', "<html></html>", '{"error":{"type":1}}', "null"],
)
def test_what_is_no_result(text: str) -> None:
    with pytest.raises(MalformedMessage):
        decode_results(text.encode())
    with pytest.raises(MalformedMessage):
        decode_results(b"[" + b'{"success":""},' * MAX_RESULTS + b'{"success":""}]')


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_any_bytes_are_results_or_malformed(data: bytes) -> None:
    try:
        assert 0 < len(decode_results(data)) <= MAX_RESULTS
    except MalformedMessage:
        pass


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_any_bytes_are_an_object_or_malformed(data: bytes) -> None:
    try:
        assert isinstance(decode_object(data, "state"), dict)
    except MalformedMessage:
        pass


@pytest.mark.parametrize("data", [b"[" * 1_000_000, b'{"a":' * 400_000, b" " * (MAX_BODY_BYTES + 1), b"\xff"])
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_object(data, "state")


def _event_or_malformed(data: bytes) -> Event | None:
    try:
        event = decode_event(data)
    except MalformedMessage:
        return None
    assert isinstance(event, Changed | Added | Deleted | SceneCalled | Unknown)
    return event
