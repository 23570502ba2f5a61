"""Webhook bodies, every documented one and any bytes at all."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from harness.netatmo_bodies import DOCUMENTED, PICTURE, body
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.netatmo.push_wire import Push, decode_push, is_signed, looks_like_call, signature

MAC, MODULE = "00:03:50:c0:00:2f", "c0002f-aa6f-c73e6db3f186"
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
MEMBERS = st.sampled_from(
    [
        "push_type", "event_type", "eventtype", "sub_type", "subtype", "home_id", "homeid", "device_id",
        "deviceid", "module_id", "persons", "message", "data", "extra_params", "timestamp", "modules",
        "event_id", "session_id", "snapshot_url", "person_id", "camera_id",
    ]
)  # fmt: skip


def read(value: object) -> Push:
    return decode_push(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("name", "product", "kind", "sub_type", "event_id", "is_call"),
    [
        ("Smoke alarm hushed", "NSD", "hush", 0, "5bbdaxxxxxxxxxxxxxx", False),
        ("Indoor camera set to OFF", "NACamera", "off", "", "5bbcaxxxxxxxxx", False),
        ("Indoor camera set to ON", "NACamera", "on", "", "5d1a01c68b23458b6a61cb62", False),
        ("Indoor camera has detected a movement", "NACamera", "movement", "", "5d19baae369359e896380341",
         False),
        ("Indoor camera is connected", "NACamera", "connection", "", "", False),
        ("Indoor camera has detected a specific person", "NACamera", "person", "", "5d19bxxxxxxxxcca88",
         False),
        ("Outdoor camera has detected a human", "NOC", "human", "", "5dxxxxxxx3", False),
        ("Someone pressed the Netatmo Smart Doorbell", "NDB", "incoming_call", "", "618xxxxxxxxxxxxxxxxxx",
         True),
        ("Someone pressed the BTicino Classe300EOS external unit button", "BNCX", "rtc", "", "", True),
        ("An abnormal CO level has been detected (pre-alarm)", "NCO", "co_detected", 1,
         "618a5407021a4776227e8d17", False),
        ("A dangerous level of CO has been detected (alarm)", "NCO", "co_detected", 2,
         "618a54ca021a4776227e8d18", False),
    ],
)  # fmt: skip
def test_every_documented_body(
    name: str, product: str, kind: str, sub_type: int | str, event_id: str, is_call: bool
) -> None:
    push = decode_push(body(name))
    told = DOCUMENTED[name]
    assert (push.product, push.kind, push.sub_type, push.event_id) == (product, kind, sub_type, event_id)
    assert push.is_call is is_call
    assert looks_like_call(body(name)) is is_call
    assert push.user_id == (told.get("user_id") or told["userid"])
    assert push.home_id == (told.get("home_id") or told["homeid"])
    assert push.home_name == (told.get("home_name") or told.get("homename", ""))
    assert push.gateway == (told.get("device_id") or told["deviceid"])
    assert push.camera_id == (told.get("camera_id") or told.get("cameraid", ""))
    assert push.module_id == told.get("module_id", "")
    assert push.session_id == told.get("session_id", "")
    assert push.subevent_id == told.get("subevent_id", "")
    assert push.snapshot_url == told.get("snapshot_url", "")
    assert push.vignette_url == told.get("vignette_url", "")
    assert push.message == told.get("message", "").strip()
    assert [person.id for person in push.persons] == [one["id"] for one in told.get("persons", [])]


def test_the_documented_bodies_are_all_of_them() -> None:
    assert len(DOCUMENTED) == 11


def test_the_press_of_a_door_station() -> None:
    push = decode_push(body("Someone pressed the BTicino Classe300EOS external unit button"))
    assert (push.call, push.device_id, push.module_id) == ("offer", MAC, MODULE)


def test_a_known_face() -> None:
    push = decode_push(body("Indoor camera has detected a specific person"))
    assert push.persons[0].is_known is True


@pytest.mark.parametrize(
    ("push_type", "product", "kind"),
    [
        ("NACamera-siren_sounding", "NACamera", "siren_sounding"),
        ("NIS-siren_tampered", "NIS", "siren_tampered"),
        ("BNCX-some-new-thing", "BNCX", "some-new-thing"),
        ("webhook_activation", "", "webhook_activation"),
        ("disconnection", "", "disconnection"),
        ("NBD-incoming_call", "NDB", "incoming_call"),
        ("-", "", "-"),
        ("NSD-", "NSD", "NSD"),
    ],
)
def test_the_prefix_ends_at_the_first_dash(push_type: str, product: str, kind: str) -> None:
    push = read({"push_type": push_type})
    if push_type != "-":
        assert (push.product, push.kind) == (product, kind)
    assert push.push_type == push_type


def test_event_type_counts_for_the_event() -> None:
    push = read({"push_type": "NACamera-x", "event_type": "person"})
    assert (push.product, push.kind) == ("NACamera", "person")


def test_both_spellings_and_the_underscored_one_wins() -> None:
    push = read(
        {
            "push_type": "NSD-smoke", "homeid": "wrong", "home_id": "right", "moduleid": "aa:BB",
            "eventid": "e",
            "sessionid": "s", "subtype": 1, "deviceid": "AA:bb",
        }
    )  # fmt: skip
    assert (push.home_id, push.module_id, push.event_id) == ("right", "aa:bb", "e")
    assert (push.session_id, push.sub_type, push.device_id) == ("s", 1, "aa:bb")


def test_null_does_not_win_over_the_other_spelling() -> None:
    assert read({"push_type": "NSD-smoke", "home_id": None, "homeid": "h"}).home_id == "h"


def test_an_event_nested_in_extra_params() -> None:
    inner = {"event_type": "smoke", "sub_type": 1, "device_id": "70:EE:50:11:22:77", "eventid": "e1"}
    push = read({"push_type": "NSD-smoke", "home_id": "h", "extra_params": inner})
    assert (push.kind, push.sub_type, push.device_id, push.event_id) == (
        "smoke", 1, "70:ee:50:11:22:77", "e1",
    )  # fmt: skip
    assert read({"push_type": "a-b", "sub_type": 2, "extra_params": {"sub_type": 1}}).sub_type == 2


def test_states_told_by_a_device_event() -> None:
    push = read(
        {
            "push_type": "device_event", "device_id": MAC, "home_id": "h",
            "extra_params": {
                "source": "device", "sequence_id": 4,
                "modules": [{"id": MAC.upper(), "type": "BNCX", "wifi_status": 60, "firmware": 10204,
                             "x": [1]}],
            },
        }
    )  # fmt: skip
    (change,) = push.changes
    assert (change.id, change.type) == (MAC, "BNCX")
    assert change.values == {"wifi_strength": 60, "firmware_revision": 10204}


@pytest.mark.parametrize(
    ("told", "seconds"),
    [(1_700_000_000, 1_700_000_000), (1_700_000_000_123, 1_700_000_000), ("x", 0), (-5, 0)],
)
def test_timestamps(told: object, seconds: int) -> None:
    assert read({"push_type": "NSD-smoke", "timestamp": told}).timestamp == seconds


def test_no_picture_and_no_text_in_what_is_logged_of_it() -> None:
    push = decode_push(body("Outdoor camera has detected a human"))
    assert push.snapshot_url == PICTURE
    assert repr(push) == str(push) == "Push(NOC-human)"


def test_markup_and_control_characters_are_taken_out() -> None:
    push = read({"push_type": "a-b", "message": "<b>Ana</b>\nhas\x1b[31m come", "home_name": "x" * 1000})
    assert push.message == "Ana has [31m come"
    assert len(push.home_name) == 64


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"1", b'"x"', b"{", b"{}", b'{"push_type":""}', b'{"push_type":7.5}', b"\xff",
     b'{"push_type":"a-b","x":' + b"[" * 40 + b"]" * 40 + b"}", b'{"push_type":"' + b"x" * 70_000 + b'"}'],
)  # fmt: skip
def test_what_cannot_be_understood(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_push(data)


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    try:
        decode_push(data)
    except MalformedMessage:
        pass


@settings(max_examples=300)
@given(st.dictionaries(MEMBERS, ANY_JSON, max_size=12), ANY_JSON)
def test_any_json(members: dict[str, Any], modules: object) -> None:
    members = {"push_type": "NSD-smoke"} | members
    for value in (members, {"extra_params": members}, {"push_type": "device_event", "modules": modules}):
        try:
            push = read(value)
        except MalformedMessage:
            continue
        assert push.push_type
        assert len(push.message) <= 512


# ----- signature -----


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_right_signature(name: str) -> None:
    data = body(name)
    expected = hmac.new(b"example-client-secret", data, hashlib.sha256).hexdigest()
    assert signature("example-client-secret", data) == expected
    assert is_signed("example-client-secret", data, expected)
    assert is_signed("example-client-secret", data, f"  {expected.upper()} ")


def test_a_signature_that_was_computed_elsewhere() -> None:
    # printf '{"a":1}' | openssl dgst -sha256 -hmac key
    assert signature("key", b'{"a":1}') == hmac.digest(b"key", b'{"a":1}', "sha256").hex()


@pytest.mark.parametrize("header", ["", "0" * 64, "é", "sha256=", "\ud800", "x" * 10_000])
def test_a_wrong_signature(header: str) -> None:
    assert not is_signed("secret", b"{}", header)


def test_a_signature_of_another_body_or_with_another_secret() -> None:
    right = signature("secret", b"{}")
    assert not is_signed("secret", b"{} ", right)
    assert not is_signed("Secret", b"{}", right)
