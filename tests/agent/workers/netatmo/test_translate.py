"""What the cloud tells, in the door's own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness.netatmo_bodies import DOCUMENTED, body

from agent.model.events import CloudReported, ContactRole
from agent.workers.netatmo.push_wire import decode_push
from agent.workers.netatmo.translate import (
    contact_events,
    contact_read,
    contact_told,
    light_read,
    reported_event,
    reported_push,
    siren_read,
    step_of,
    step_of_event,
)
from agent.workers.netatmo.wire import StoredEvent


def reported(name: str, **changes: Any) -> CloudReported:
    return reported_push(
        decode_push(body(name, **changes)),
        source="casa",
        product="",
        device="Dev",
        unique_id="id",
        module="Mod",
        persons={"e2bf7xxxxxxxxxxxxea3": "Benoit"},
    )


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_documented_body(name: str) -> None:
    event = reported(name)
    prefix, _, kind = DOCUMENTED[name]["push_type"].partition("-")
    assert (event.product, event.kind) == (prefix, kind)
    assert event.event_id == DOCUMENTED[name].get("event_id", "")
    assert event.session_id == DOCUMENTED[name].get("session_id", "")
    assert event.meaning
    assert "blob.core" not in repr(event)


@pytest.mark.parametrize(
    ("name", "sub_type", "meaning"),
    [
        ("Smoke alarm hushed", 0, "detection active"),
        ("An abnormal CO level has been detected (pre-alarm)", 1, "pre-alarm"),
        ("A dangerous level of CO has been detected (alarm)", 2, "alarm"),
        ("Someone pressed the BTicino Classe300EOS external unit button", "offer", "ringing"),
        ("Someone pressed the Netatmo Smart Doorbell", "", "somebody rings"),
        ("Indoor camera is connected", "", "it is connected to its cloud"),
    ],
)
def test_what_it_means(name: str, sub_type: int | str, meaning: str) -> None:
    event = reported(name)
    assert (event.sub_type, event.meaning) == (sub_type, meaning)


def test_people_by_name() -> None:
    assert reported("Indoor camera has detected a specific person").persons == ("Benoit",)
    more = [{"id": f"p{number}"} for number in range(60)]
    assert len(reported("Indoor camera has detected a specific person", persons=more).persons) == 20


def test_when_it_happened() -> None:
    assert reported("Indoor camera set to ON", timestamp=1700000000).at_s == 1700000000
    assert reported("Indoor camera set to ON").at_s == 0


def test_a_part_of_a_stored_event() -> None:
    part = StoredEvent(id="part", type="human")
    parent = StoredEvent(id="parent", type="outdoor", time=7, session_id="s", subevents=(part,))
    event = reported_event(
        part, source="casa", product="NOC", device="d", unique_id="u", module="", persons={}, parent=parent
    )
    assert (event.kind, event.event_id, event.session_id, event.at_s) == ("human", "parent", "s", 7)


@pytest.mark.parametrize(
    ("push", "step"),
    [
        ({"push_type": "BNCX-rtc", "data": {"type": "offer"}}, "ring"),
        ({"push_type": "NDB-rtc", "data": {"type": "offer"}}, "ring"),
        ({"push_type": "BNCX-rtc", "data": {"type": "rescind"}}, "over"),
        ({"push_type": "BNCX-rtc", "data": {"type": "terminate"}}, "over"),
        ({"push_type": "BNCX-rtc", "data": {"type": "candidate"}}, None),
        ({"push_type": "BNCX-rtc"}, None),
        ({"push_type": "NDB-incoming_call"}, "ring"),
        ({"push_type": "BFII-incoming_call"}, "ring"),
        ({"push_type": "BDIY-accepted_call"}, "answered"),
        ({"push_type": "BNCX-missed_call"}, "missed"),
        ({"push_type": "NSD-smoke"}, None),
    ],
)
def test_steps_of_a_call(push: dict[str, Any], step: str | None) -> None:
    assert step_of(decode_push(json.dumps(push).encode())) == step


def test_steps_in_the_history() -> None:
    kinds = ("incoming_call", "accepted_call", "missed_call", "outdoor")
    assert [step_of_event(StoredEvent(id="", type=kind)) for kind in kinds] == [
        "ring", "answered", "missed", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "sub_type", "product", "role", "active"),
    [
        ("smoke", 1, "NSD", "smoke", True), ("smoke", 0, "NSD", "smoke", False),
        ("smoke", 9, "NSD", "smoke", None), ("smoke", "", "NSD", "smoke", None),
        ("hush", 1, "NSD", "smoke", None), ("smoke", 1, "NSD", "tamper", None),
        ("tampered", 1, "NSD", "tamper", True), ("tampered", 0, "NCO", "tamper", False),
        ("co_detected", 1, "NCO", "co", True), ("co_detected", 2, "NCO", "co", True),
        ("co_detected", 0, "NCO", "co", False), ("smoke", 1, "NCO", "co", None),
        ("siren_sounding", 1, "NIS", "generic", True), ("siren_sounding", 0, "NOC", "generic", False),
        ("siren_tampered", 1, "NIS", "tamper", True), ("tag_open", "", "NACamDoorTag", "generic", True),
        ("smoke", 1, "NXYZ", "smoke", True), ("smoke", 1, "NACamera", "smoke", None),
    ],
)  # fmt: skip
def test_contacts(
    kind: str, sub_type: int | str, product: str, role: ContactRole, active: bool | None
) -> None:
    assert contact_told(kind, sub_type, product, role) is active
    assert active is None or kind in contact_events(product, role)


@pytest.mark.parametrize(
    ("status", "active"),
    [("open", True), ("closed", False), ("no_news", None), ("calibrating", None), ("undefined", None),
     ("weak_signal", None), ("maintenance", None), ("calibration_failed", None), (5, None)],
)  # fmt: skip
def test_a_door_tag(status: Any, active: bool | None) -> None:
    assert contact_read({"status": status}, "NACamDoorTag", "generic") is active
    assert contact_read({"status": status}, "NACamDoorTag", "tamper") is None


@pytest.mark.parametrize(
    ("status", "sounds"),
    [("sound", True), ("no_sound", False), ("warning", True), ("playing_record_0", True), ("no_news", None)],
)
def test_a_siren(status: str, sounds: bool | None) -> None:
    assert siren_read({"status": status}, "NIS") is sounds
    assert siren_read({"siren_status": status}, "NOC") is sounds
    assert siren_read({}, "NOC") is None


@pytest.mark.parametrize(("told", "shines"), [("on", True), ("off", False), ("auto", None), (1, None)])
def test_a_floodlight(told: Any, shines: bool | None) -> None:
    assert light_read({"floodlight": told}) is shines
    assert light_read({}) is None
