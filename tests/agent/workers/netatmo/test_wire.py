"""Answers of the cloud's API: as documented, as seen, and anything at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness.netatmo_cloud import (
    BELL,
    CAMERA,
    HOME,
    JOHN,
    LOCK,
    MODULES,
    SIREN,
    STATION,
    STATUS,
    TAG,
    VPN,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.netatmo.wire import (
    Failure,
    decode_answer,
    decode_events,
    decode_homes,
    decode_status,
    decode_tokens,
    decode_webhooks,
    failure_of,
    part_failures,
    server_time,
)

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
KEYS = st.sampled_from(
    ["id", "type", "name", "homes", "home", "modules", "persons", "events", "errors", "body", "error", "code",
     "message", "status", "subevents", "snapshot", "url", "bridge", "modules_bridged", "rooms", "time",
     "access_token", "refresh_token", "expires_in", "scope", "time_server", "sub_type", "pseudo"]
)  # fmt: skip
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)


def body(**parts: Any) -> dict[str, Any]:
    return {"status": "ok", "body": parts, "time_server": 1700000000}


def home(modules: list[Any], **more: Any) -> Any:
    return decode_homes(body(homes=[{"id": HOME, "name": "Casa", "modules": modules} | more]))[0]


# ----- homesdata -----


def test_a_home_with_one_of_everything() -> None:
    found = home(MODULES, rooms=[{"id": "3688132631", "name": "Ingresso"}],
                 persons=[{"id": JOHN, "pseudo": "John"}, {"id": "x"}])  # fmt: skip
    assert (found.id, found.name) == (HOME, "Casa")
    by_id = {module.id: module for module in found.modules}
    assert len(by_id) == 13
    assert by_id[BELL].bridge == by_id[LOCK].bridge == STATION
    assert by_id[TAG].category == "window"
    assert by_id[STATION].room == "Ingresso"
    assert by_id[STATION].setup_date == 1600000000
    assert [(one.name, one.away) for one in found.persons] == [("John", None), ("", None)]


@pytest.mark.parametrize("key", ["modules_bridged", "module_bridged"])
def test_the_tree_from_the_gateways_side_alone(key: str) -> None:
    found = home([{"id": CAMERA.upper(), "type": "NACamera", key: [SIREN.upper()]}, {"id": SIREN}])
    assert found.modules[1].bridge == CAMERA


def test_the_tree_from_the_childs_side_alone() -> None:
    assert home([{"id": CAMERA}, {"id": SIREN, "bridge": CAMERA.upper()}]).modules[1].bridge == CAMERA


def test_an_unknown_module_type_is_kept() -> None:
    found = home([{"id": "aa", "type": "NXYZ", "surprise": {"a": [1]}}, {"type": "no id"}, None, 7])
    assert [(one.id, one.type) for one in found.modules] == [("aa", "NXYZ")]


@pytest.mark.parametrize(
    "answer", [{"status": "ok"}, body(), body(homes=[]), body(homes=None), body(homes=[{"name": "no id"}])]
)
def test_no_home(answer: dict[str, Any]) -> None:
    assert decode_homes(answer) == ()


# ----- homestatus -----


def test_the_status_of_one_of_everything() -> None:
    found = decode_status(
        body(
            home={
                "id": HOME,
                "modules": STATUS,
                "persons": [{"id": JOHN, "last_seen": 5, "out_of_sight": True}],
            }
        )
    )
    by_id = {module.id: module for module in found.modules}
    assert len(by_id) == len(STATUS)
    assert by_id[CAMERA].values["vpn_url"] == VPN
    assert by_id[SIREN].values["battery_level"] == 5950
    assert (found.persons[0].away, found.persons[0].last_seen) == (True, 5)
    assert found.errors == {}


def test_errors_without_a_home() -> None:
    found = decode_status(body(errors=[{"code": 6, "id": SIREN.upper()}], home={"id": HOME}))
    assert (found.errors, found.modules) == ({SIREN: 6}, ())
    assert decode_status(body(errors=[{"code": 6, "id": "x"}])).errors == {"x": 6}


@pytest.mark.parametrize("value", [True, 1, "yes"])
def test_offload_of_any_type(value: object) -> None:
    row = {"id": STATION, "offload": value, "other": None, "list": [1], "object": {}}
    (module,) = decode_status(body(home={"id": HOME, "modules": [row]})).modules
    assert module.values == {"offload": value}


@pytest.mark.parametrize("answer", [{"status": "ok"}, body(), body(home={}), body(home=[1])])
def test_a_status_of_nothing(answer: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        decode_status(answer)


# ----- getevents -----


def test_a_call_in_the_history() -> None:
    parent = {
        "id": "618a5407021a4776227e8d17",
        "type": "outdoor",
        "time": 1700000100,
        "module_id": BELL,
        "subevents": [
            {"id": "b", "type": "missed_call", "time": 1700000128, "session_id": "b34102c5"},
            {
                "id": "a",
                "type": "incoming_call",
                "time": 1700000100,
                "session_id": "b34102c5",
                "message": "<b>x</b>",
                "snapshot": {"url": "https://example.org/p", "expires_at": 1700100000},
            },
        ],
    }
    (event,) = decode_events(body(home={"id": HOME, "events": [parent]}))
    assert [part.type for part in event.subevents] == ["incoming_call", "missed_call"]
    first = event.subevents[0]
    assert (first.session_id, first.message) == ("b34102c5", "x")
    assert (first.snapshot.url, first.snapshot.expires_at) == ("https://example.org/p", 1700100000)
    assert "example.org" not in repr(event)


def test_older_names() -> None:
    rows = [
        {
            "id": "1",
            "type": "human",
            "camera_id": "AA",
            "event_list": [{"type": "animal", "snapshot": {"filename": "vod/x.jpg"}}],
        },
        {"id": "2", "type": "light_mode", "device_id": "BB", "sub_type": "auto"},
        {
            "id": "3",
            "type": "person",
            "person_id": JOHN,
            "is_arrival": True,
            "video_id": "v",
            "video_status": "deleted",
        },
        {"id": "4"},
        5,
    ]
    first, second, third = decode_events(body(home={"events": rows}))
    assert (first.module_id, first.subevents[0].type) == ("aa", "animal")
    assert first.subevents[0].snapshot.file == "vod/x.jpg"
    assert (second.module_id, second.sub_type) == ("bb", "auto")
    assert (third.person_id, third.is_arrival, third.video_status) == (JOHN, True, "deleted")


# ----- errors -----


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ({"error": {"code": 21, "message": "Invalid id"}}, Failure(code=21, message="Invalid id")),
        ({"error": {"code": "21"}}, Failure(code=21)),
        ({"error": {"code": "WH009", "message": "m"}}, Failure(code="WH009", message="m")),
        ({"error": {}}, Failure(code="")),
        ({"error": "invalid_grant", "error_description": "d"}, Failure(code="invalid_grant", message="d")),
        ({"status": "failed"}, Failure(code="")),
        ({"status": "ok"}, None),
        ({}, None),
        ({"error": None}, None),
        ({"error": ""}, None),
    ],
)
def test_failures(answer: dict[str, Any], failure: Failure | None) -> None:
    assert failure_of(answer) == failure


def test_failures_of_parts() -> None:
    assert part_failures(body(errors=[{"code": 35, "id": "AA", "message": "m"}, {}, 3])) == (
        ("aa", Failure(code=35, message="m")), ("", Failure(code=0)),
    )  # fmt: skip
    assert part_failures({"status": "ok"}) == ()


def test_the_clouds_clock() -> None:
    assert (server_time(body()), server_time({})) == (1700000000, 0)


def test_webhooks() -> None:
    assert decode_webhooks({"body": [{"url": "https://a/"}, {"url": 5}, 7]}) == ("https://a/",)
    assert decode_webhooks({"status": "ok"}) == ()


# ----- tokens -----


def test_tokens_as_documented() -> None:
    found = decode_tokens(
        {
            "scope": ["read_camera", "access_camera"], "access_token": "6192|4cf6", "expires_in": 10800,
            "expire_in": 10800, "refresh_token": "6192|c820", "restricted_access_token": "6192|64c9",
            "restricted_refresh_token": "6192|62ea",
        }
    )  # fmt: skip
    assert (found.access, found.refresh, found.restricted_access) == ("6192|4cf6", "6192|c820", "6192|64c9")
    assert (found.restricted_refresh, found.lasts_s) == ("6192|62ea", 10800)
    assert found.scope == ("read_camera", "access_camera")
    assert "4cf6" not in repr(found)


@pytest.mark.parametrize(
    ("more", "lasts_s"),
    [({"expire_in": 60}, 60), ({}, 10800), ({"expires_in": -1}, 1), ({"expires_in": 10**12}, 2592000)],
)
def test_how_long_tokens_last(more: dict[str, Any], lasts_s: int) -> None:
    answer = {"access_token": "a", "refresh_token": "r", "scope": "read_camera write_camera"} | more
    assert decode_tokens(answer).lasts_s == lasts_s
    assert decode_tokens(answer).scope == ("read_camera", "write_camera")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "a"},
        {"access_token": "a", "refresh_token": ""},
        {"access_token": 1, "refresh_token": "r"},
        {"access_token": "a\r\nX: y", "refresh_token": "r"},
        {"access_token": "é", "refresh_token": "r"},
        {"access_token": "x" * 2000, "refresh_token": "r"},
    ],
)
def test_tokens_that_cannot_be_used(answer: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_tokens(answer)
    assert "X: y" not in str(caught.value)


# ----- anything -----


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    try:
        decode_answer(data, "x")
    except MalformedMessage:
        pass


@pytest.mark.parametrize("data", [b"", b"[]", b"<html>", b"[" * 100, b'{"a":' * 30 + b"1" + b"}" * 30])
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_answer(data, "x")


@settings(max_examples=300)
@given(SHAPES | ANY_JSON, SHAPES)
def test_any_json(value: object, inner: object) -> None:
    for shape in (
        value,
        {"body": value},
        {"body": {"homes": [value, inner]}},
        {"body": {"home": {"id": "h", "modules": [value, inner]}}},
        {"body": {"home": {"id": "h", "events": [value, inner]}, "errors": [value]}},
        {"error": value},
    ):
        answer = json.loads(json.dumps(shape))
        if not isinstance(answer, dict):
            continue
        for decode in (decode_homes, decode_events, failure_of, part_failures, server_time, decode_webhooks):
            decode(answer)
        for strict in (decode_status, decode_tokens):
            try:
                strict(answer)
            except MalformedMessage:
                pass
