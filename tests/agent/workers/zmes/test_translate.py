from __future__ import annotations

from typing import get_args

import pytest

from agent.model.events import (
    AnyEvent,
    ButtonHeld,
    ButtonPressed,
    CallChanged,
    CameraAlarm,
    ContactChanged,
    ContactRole,
    DoorChanged,
    LightChanged,
    LockChanged,
    SirenChanged,
)
from agent.workers.zmes.config import AlarmKind, CauseKey
from agent.workers.zmes.translate import CAUSES, Announcement, Monitor, alarm_item, announce, event_id

ALL: tuple[AlarmKind, ...] = get_args(AlarmKind)
MONITOR = Monitor(id="4", endpoint="bell", name="Haustür")

TABLE: list[tuple[AnyEvent, Announcement | None]] = [
    (ButtonPressed(endpoint="bell"), Announcement(kind="ring", endpoint="bell", cause="ring")),
    (ButtonHeld(endpoint="bell", held_ms=900), None),
    (CallChanged(call_id="c", endpoint="bell", state="ringing"), None),
    (CallChanged(call_id="c", endpoint="bell", state="answered"), None),
    (CallChanged(call_id="c", endpoint="bell", state="ended"), Announcement(kind="ring", endpoint="bell")),
    (CallChanged(call_id="c", endpoint="bell", state="missed"), Announcement(kind="ring", endpoint="bell")),
    (DoorChanged(endpoint="door", state="open"), None),
    (DoorChanged(endpoint="door", state="forced"),
     Announcement(kind="door", endpoint="door", cause="forced")),
    (DoorChanged(endpoint="door", state="left_open"),
     Announcement(kind="door", endpoint="door", cause="left_open")),
    (DoorChanged(endpoint="door", state="closed"), Announcement(kind="door", endpoint="door")),
    (SirenChanged(endpoint="s", on=True),
     Announcement(kind="siren", endpoint="s", cause="siren", once=True)),
    (SirenChanged(endpoint="s", on=False), Announcement(kind="siren", endpoint="s", once=True)),
    (LockChanged(endpoint="door", state="unlocked"),
     Announcement(kind="lock", endpoint="door", cause="unlocked", once=True)),
    (LockChanged(endpoint="door", state="locked"), Announcement(kind="lock", endpoint="door", once=True)),
    (LightChanged(endpoint="lamp", on=True), None),
    (CameraAlarm(source="zm", monitor_id="1", monitor="Hof", cause="Motion", event_id="9"), None),
]  # fmt: skip


@pytest.mark.parametrize(("event", "expected"), TABLE, ids=[repr(event)[:70] for event, _ in TABLE])
def test_what_events_mean(event: AnyEvent, expected: Announcement | None) -> None:
    assert announce(event, ALL) == expected


@pytest.mark.parametrize("role", get_args(ContactRole))
def test_every_contact_role_has_a_cause_and_an_end(role: ContactRole) -> None:
    start = announce(ContactChanged(endpoint="c", role=role, active=True), ALL)
    end = announce(ContactChanged(endpoint="c", role=role, active=False), ALL)
    assert start == Announcement(kind="contact", endpoint="c", cause=role)
    assert end == Announcement(kind="contact", endpoint="c")
    assert end.ended
    assert role in CAUSES


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (ButtonPressed(endpoint="bell"), False),
        (ContactChanged(endpoint="c", role="motion", active=True), False),
        (ContactChanged(endpoint="c", role="smoke", active=True), True),
        (ContactChanged(endpoint="c", role="co", active=True), True),
        (LockChanged(endpoint="door", state="unlocked"), False),
    ],
)
def test_fire_is_told_whatever_is_configured(event: AnyEvent, told: bool) -> None:
    assert (announce(event, ()) is not None) is told


def test_every_cause_has_words() -> None:
    assert set(CAUSES) == set(get_args(CauseKey))
    assert all(CAUSES.values())


def test_event_ids_are_never_given_twice() -> None:
    assert event_id(7, 12) == "700000012"
    assert event_id(7, 100_000_012) == "700000012"
    # A power cut took entries 10..12, and the next boot numbers from 10 again.
    assert event_id(8, 10) != event_id(7, 10)
    assert int(event_id(4_000_000, 99_999_999)) < 2**53


def test_an_alarm() -> None:
    item = alarm_item("ring", MONITOR, "71", {})
    assert (item.event_id, item.monitor_id, item.name, item.cause) == ("71", "4", "Haustür", "Ring")
    assert (item.monitor_name, item.picture, item.detection, item.rules) == ("Haustür", "", [], {})


def test_an_end_has_one_prefix_and_other_words_apply() -> None:
    item = alarm_item("ring", MONITOR, "71", {"ring": "Es klingelt"}, ended=True)
    assert item.cause == "End:Es klingelt"


@pytest.mark.parametrize("cause", ["smoke", "co"])
def test_detectors_are_critical(cause: CauseKey) -> None:
    assert alarm_item(cause, MONITOR, "71", {}).rules == {"notification_type": "critical"}


def test_the_picture_has_the_events_id() -> None:
    item = alarm_item("ring", MONITOR, "71", {}, picture_url="https://p.example/?eid=EVENTID")
    assert item.picture == "https://p.example/?eid=71"
