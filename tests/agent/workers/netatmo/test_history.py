"""getevents: the journal as the vendor would tell it, and pages of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.context import House, MemoryHistory
from harness.netatmo_door import ENDPOINTS, netatmo_door

from agent.bus import EventLog
from agent.model.events import (
    AgentStarted,
    AnyEvent,
    ButtonPressed,
    CallChanged,
    CallState,
    ContactChanged,
    LockChanged,
    NotifyChanged,
    SirenChanged,
)
from agent.model.records import Entry
from agent.workers.netatmo.history import MAX_READ


def call(call_id: str, state: CallState) -> CallChanged:
    return CallChanged(call_id=call_id, endpoint="bell", state=state)


def house_with(folder: Path, *events: AnyEvent) -> House:
    house = House(folder, endpoints=ENDPOINTS)
    for event in events:
        house.log.publish(event)
    return house


async def test_a_call_is_a_parent_with_its_story(tmp_path: Path) -> None:
    house = house_with(
        tmp_path, ButtonPressed(endpoint="bell"), call("c1", "ringing"), ButtonPressed(endpoint="bell"),
        call("c1", "answered"), LockChanged(endpoint="door", state="unlocked"), call("c1", "ended"),
        call("c2", "ringing"), call("c2", "missed"),
    )  # fmt: skip
    async with netatmo_door(tmp_path, house=house) as door:
        missed, answered = await door.events()
        for event in (missed, answered):
            assert (event["type"], event["module_id"]) == ("outdoor", await door.module("bell"))
            assert re.fullmatch("[0-9a-f]{24}", event["id"])
        steps = answered["subevents"]
        assert [step["type"] for step in steps] == ["incoming_call", "accepted_call"]
        assert [step["type"] for step in missed["subevents"]] == ["incoming_call", "missed_call"]
        assert len({step["session_id"] for step in steps}) == 1
        assert missed["subevents"][0]["session_id"] != steps[0]["session_id"]
        assert len({step["id"] for step in (*steps, *missed["subevents"])}) == 4
        assert answered["time"] == steps[0]["time"]


@pytest.mark.parametrize(
    ("event", "kind", "sub_type", "endpoint"),
    [
        (SirenChanged(endpoint="siren", on=True), "siren_sounding", 1, "siren"),
        (SirenChanged(endpoint="siren", on=False), "siren_sounding", 0, "siren"),
        (ContactChanged(endpoint="cover", role="tamper", active=True), "siren_tampered", 1, "siren"),
        (ContactChanged(endpoint="cover", role="tamper", active=False), "siren_tampered", 0, "siren"),
        (NotifyChanged(endpoint="siren", mode="mute"), "off", None, "siren"),
        (NotifyChanged(endpoint="siren", mode="default"), "on", None, "siren"),
        (AgentStarted(version="1", boot_id="b", boot_number=1), "connection", None, ""),
    ],
)
async def test_other_events(
    tmp_path: Path, event: AnyEvent, kind: str, sub_type: int | None, endpoint: str
) -> None:
    async with netatmo_door(tmp_path, house=house_with(tmp_path, event)) as door:
        [told] = await door.events()
        assert (told["type"], told.get("sub_type")) == (kind, sub_type)
        assert told["module_id"] == await door.module(endpoint)
        assert told["message"]


@pytest.mark.parametrize(
    "event",
    [
        LockChanged(endpoint="door", state="unlocked"),
        NotifyChanged(endpoint="bell", mode="mute"),
        ContactChanged(endpoint="cover", role="motion", active=True),
        SirenChanged(endpoint="elsewhere", on=True),
        CallChanged(call_id="c", endpoint="elsewhere", state="ringing"),
    ],
)
async def test_what_is_no_event_of_the_vendors(tmp_path: Path, event: AnyEvent) -> None:
    async with netatmo_door(tmp_path, house=house_with(tmp_path, event)) as door:
        assert await door.events() == []


async def test_pages_backwards_without_holes_and_repeats(tmp_path: Path) -> None:
    events: list[AnyEvent] = []
    for number in range(45):
        events += [call(f"c{number}", "ringing"), SirenChanged(endpoint="siren", on=number % 2 == 0)]
        events += [call(f"c{number}", "answered"), call(f"c{number}", "ended")]
    async with netatmo_door(tmp_path, house=house_with(tmp_path, *events)) as door:
        seen: list[Any] = []
        page = await door.events()
        assert len(page) == 30
        while page:
            seen += page
            page = await door.events(event_id=page[-1]["id"])
        assert len(seen) == len({event["id"] for event in seen}) == 90
        assert seen == sorted(seen, key=lambda event: str(event["id"]), reverse=True)
        # A page that begins in the middle of a call tells the whole of it.
        assert all(len(event["subevents"]) == 2 for event in seen if event["type"] == "outdoor")


async def test_size_offset_and_bounds(tmp_path: Path) -> None:
    events = [SirenChanged(endpoint="siren", on=number % 2 == 0) for number in range(10)]
    async with netatmo_door(tmp_path, house=house_with(tmp_path, *events)) as door:
        everything = await door.events()
        assert await door.events(size=3) == everything[:3]
        assert await door.events(size=3, offset=4) == everything[4:7]
        assert await door.events(size=0) == []
        assert await door.events(size=999_999_999, offset=5) == everything[5:]
        for name, value in (
            ("size", "-1"),
            ("size", "x"),
            ("offset", "1.5"),
            ("size", "9" * 30),
            ("size", "²"),
        ):
            reply = await door.call("POST", "/api/getevents", form={"home_id": door.home_id, name: value})
            assert (reply.status, reply.code, reply.text) == (400, 21, f"Invalid {name}")


async def test_filters(tmp_path: Path) -> None:
    house = house_with(
        tmp_path, AgentStarted(version="1", boot_id="b", boot_number=1), call("c", "ringing"),
        SirenChanged(endpoint="siren", on=True),
    )  # fmt: skip
    async with netatmo_door(tmp_path, house=house) as door:

        async def kinds(**parameters: Any) -> list[str]:
            return [event["type"] for event in await door.events(**parameters)]

        everything = ["siren_sounding", "outdoor", "connection"]
        gateway, siren, bell = await door.module(""), await door.module("siren"), await door.module("bell")
        assert await kinds(device_id=gateway) == everything
        assert await kinds(device_id=gateway.upper()) == everything
        assert await kinds(device_id=siren) == ["siren_sounding"]
        assert await kinds(module_id=bell) == ["outdoor"]
        assert await kinds(module_id=gateway) == ["connection"]
        assert await kinds(device_id=siren, module_id=bell) == []
        assert await kinds(**{"device_types[]": "BNCX"}) == everything
        assert await kinds(device_types="NACamera,BNCX") == everything
        assert await kinds(device_types="NACamera,NOC") == []
        assert await kinds(person_id="91827374") == []
        assert await kinds(locale="it-IT") == everything
        for name in ("device_id", "module_id"):
            reply = await door.call("POST", "/api/getevents", form={"home_id": door.home_id, name: "no"})
            assert (reply.status, reply.code, reply.text) == (400, 21, f"Invalid {name}, no")
        form = {"home_id": door.home_id, "event_id": "no"}
        assert (await door.call("POST", "/api/getevents", form=form)).code == 21


async def test_scopes(tmp_path: Path) -> None:
    house = house_with(tmp_path, call("c", "ringing"), SirenChanged(endpoint="siren", on=True))
    async with netatmo_door(tmp_path, house=house) as door:
        for scope, kind in (("read_mx", "outdoor"), ("read_camera", "siren_sounding")):
            reply = await door.call(
                "POST", "/api/getevents", form={"home_id": door.home_id}, token=await door.issue(scope)
            )
            assert [event["type"] for event in reply.json["body"]["home"]["events"]] == [kind]


async def test_ids_are_the_same_after_a_restart(tmp_path: Path) -> None:
    house = house_with(tmp_path, SirenChanged(endpoint="siren", on=True))
    async with netatmo_door(tmp_path, house=house) as door:
        before = await door.events()
    async with netatmo_door(tmp_path, house=house) as door:
        assert await door.events() == before


async def test_names_are_no_markup(tmp_path: Path) -> None:
    endpoints = tuple(info for info in ENDPOINTS if info.name != "siren")
    house = House(tmp_path, endpoints=endpoints)
    async with netatmo_door(tmp_path, house=house, home_name="<b>") as door:
        house.log.publish(call("c", "ringing"))
        assert "<" not in str((await door.events())[0]["message"])


async def test_without_a_siren_tampering_has_no_word(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=tuple(info for info in ENDPOINTS if info.name != "siren"))
    house.log.publish(ContactChanged(endpoint="cover", role="tamper", active=True))
    async with netatmo_door(tmp_path, house=house) as door:
        assert await door.events() == []


async def test_a_journal_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with netatmo_door(tmp_path) as door:
        monkeypatch.setattr(MemoryHistory, "page", _broken)
        reply = await door.call("POST", "/api/getevents", form={"home_id": door.home_id})
        assert (reply.status, reply.code) == (500, 35)
        assert "journal" not in reply.text


async def _broken(*_: object, **__: object) -> list[Entry]:
    from agent.model.errors import JournalError

    await trio.lowlevel.checkpoint()
    raise JournalError("journal.db cannot be read")


async def test_the_work_of_one_request_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    async def page(_: object, *, before_seq: int | None, types: Sequence[str], limit: int) -> list[Entry]:
        """A journal without end, in which nothing is of use."""
        nonlocal read
        await trio.lowlevel.checkpoint()
        read += limit
        first = (before_seq or 10**9) - 1
        event = NotifyChanged(endpoint="bell", mode="mute")
        return [Entry(boot_id="b", seq=first - n, at_ns=0, event=event) for n in range(limit)]

    async with netatmo_door(tmp_path) as door:
        monkeypatch.setattr(MemoryHistory, "page", page)
        assert await door.events() == []
        assert read == MAX_READ


async def test_a_small_ring_is_no_concern_of_it(tmp_path: Path) -> None:
    log = EventLog(boot_id="boot", next_seq=5000)
    house = House(tmp_path, endpoints=ENDPOINTS, log=log)
    entry = log.publish(SirenChanged(endpoint="siren", on=True))
    async with netatmo_door(tmp_path, house=house) as door:
        [event] = await door.events()
        assert event["id"].endswith(f"{entry.seq:012x}")


async def test_a_page_that_begins_within_a_call_tells_how_it_went_on(tmp_path: Path) -> None:
    events = (call("c", "ringing"), SirenChanged(endpoint="siren", on=True), call("c", "answered"))
    async with netatmo_door(tmp_path, house=house_with(tmp_path, *events)) as door:
        siren, _ = await door.events()
        [told] = await door.events(event_id=siren["id"])
        assert [step["type"] for step in told["subevents"]] == ["incoming_call", "accepted_call"]
