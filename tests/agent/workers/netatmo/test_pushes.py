"""What is pushed when something happens at the door, and in which order."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.context import House
from harness.netatmo_door import ENDPOINTS, NetatmoDoor, Sink, netatmo_door, sinks

from agent.bus import EventLog
from agent.model.events import (
    AgentStarted,
    AnyEvent,
    ButtonPressed,
    ButtonReleased,
    CallChanged,
    CallState,
    ContactChanged,
    LightChanged,
    LockChanged,
    NotifyChanged,
    SirenChanged,
)
from agent.runtime import EndpointState
from agent.workers.netatmo.config import ClientConfig


def call(state: CallState, call_id: str = "c1") -> CallChanged:
    return CallChanged(call_id=call_id, endpoint="bell", state=state)


@asynccontextmanager
async def heard(
    folder: Path, *, house: House | None = None, scope: str = "read_mx read_camera", **config: Any
) -> AsyncIterator[tuple[NetatmoDoor, Sink]]:
    """A door and one webhook that has heard of its activation."""
    async with netatmo_door(folder, house=house, **config) as door, sinks() as [sink]:
        token = await door.issue(scope)
        assert (await door.call("POST", "/webhooks/v1", plain={"url": sink.url}, token=token)).status == 200
        await sink.wait(1)
        yield door, sink


async def tell(door: NetatmoDoor, sink: Sink, *events: AnyEvent) -> list[dict[str, Any]]:
    """What is pushed of these, up to a mark that is pushed in any case."""
    mark = f"mark {len(sink.got)}"
    before = len(sink.got)
    for event in events:
        door.house.log.publish(event)
    door.house.log.publish(call("ringing", mark))
    with trio.fail_after(5):
        while len(sink.got) < before + 2 or sink.types()[-2:] != ["BNCX-rtc", "BNCX-incoming_call"]:
            await trio.sleep(0.005)
    return [body for _, _, body, _ in sink.got[before:-2]]


async def test_a_ring_is_signalling_first_and_then_a_call(tmp_path: Path) -> None:
    async with heard(tmp_path, home_name="Casa") as (door, sink):
        entry = door.house.log.publish(call("ringing"))
        await sink.wait(3)
        rtc, incoming = [body for _, _, body, _ in sink.got[1:]]
        gateway, bell = await door.module(""), await door.module("bell")
        assert set(rtc) == {"user_id", "session_id", "data", "device_id", "home_id", "module_id", "push_type"}
        assert (rtc["push_type"], rtc["data"]) == ("BNCX-rtc", {"type": "offer"})
        assert (rtc["device_id"], rtc["module_id"], rtc["home_id"]) == (gateway, bell, door.home_id)
        assert (incoming["push_type"], incoming["event_type"]) == ("BNCX-incoming_call", "incoming_call")
        assert incoming["session_id"] == rtc["session_id"]
        assert (incoming["device_id"], incoming["camera_id"]) == (gateway, gateway)
        assert (incoming["module_id"], incoming["home_name"]) == (bell, "Casa")
        # The same ids as in the history.
        [event] = await door.events()
        assert (event["id"], event["subevents"][0]["id"]) == (incoming["event_id"], incoming["subevent_id"])
        assert event["id"].endswith(f"{entry.seq:012x}")


@pytest.mark.parametrize(
    ("states", "types"),
    [
        (("answered", "ended"), ["accepted_call", "rtc rescind", "rtc terminate"]),
        (("missed",), ["missed_call", "rtc terminate"]),
        (("ended",), ["rtc terminate"]),
    ],
)
async def test_how_a_call_goes_on(tmp_path: Path, states: tuple[CallState, ...], types: list[str]) -> None:
    async with heard(tmp_path) as (door, sink):
        bodies = await tell(door, sink, call("ringing"), *[call(state) for state in states])
        told = [
            body["push_type"].removeprefix("BNCX-") + (f" {body['data']['type']}" if "data" in body else "")
            for body in bodies
        ]
        assert told == ["rtc offer", "incoming_call", *types]
        assert len({body["session_id"] for body in bodies}) == 1
        events = {body["event_id"] for body in bodies if "event_id" in body}
        assert len(events) == 1
        steps = [body["subevent_id"] for body in bodies if "subevent_id" in body]
        assert len(set(steps)) == len(steps)


@pytest.mark.parametrize("prefix", ["BNCX", "NACamera"])
@pytest.mark.parametrize(
    ("on", "off", "kind"),
    [
        (SirenChanged(endpoint="siren", on=True), SirenChanged(endpoint="siren", on=False), "siren_sounding"),
        (
            ContactChanged(endpoint="cover", role="tamper", active=True),
            ContactChanged(endpoint="cover", role="tamper", active=False),
            "siren_tampered",
        ),
    ],
)
async def test_sirens(tmp_path: Path, prefix: str, on: AnyEvent, off: AnyEvent, kind: str) -> None:
    async with heard(tmp_path, siren_prefix=prefix) as (door, sink):
        bodies = await tell(door, sink, on, on, off, off)
        assert [(body["push_type"], body["sub_type"]) for body in bodies] == [
            (f"{prefix}-{kind}", 1), (f"{prefix}-{kind}", 0),
        ]  # fmt: skip
        body = bodies[0]
        assert body["event_type"] == kind
        assert body["module_id"] == await door.module("siren")
        assert body["device_id"] == body["camera_id"] == await door.module("")


async def test_monitoring(tmp_path: Path) -> None:
    async with heard(tmp_path) as (door, sink):
        siren = await door.module("siren")
        bodies = await tell(
            door, sink, NotifyChanged(endpoint="siren", mode="mute"),
            NotifyChanged(endpoint="bell", mode="mute"),
            NotifyChanged(endpoint="siren", mode="force"), NotifyChanged(endpoint="siren", mode="default"),
        )  # fmt: skip
        assert [body["push_type"] for body in bodies] == ["BNCX-off", "BNCX-on"]
        for body in bodies:
            assert body["camera_id"] == body["module_id"] == siren
            assert body["event_type"] in ("on", "off")


async def test_a_siren_that_is_not_watched_is_not_told_of(tmp_path: Path) -> None:
    async with heard(tmp_path) as (door, sink):
        door.house.notifications.modes["siren"] = "mute"
        on, off = SirenChanged(endpoint="siren", on=True), SirenChanged(endpoint="siren", on=False)
        assert await tell(door, sink, on, off) == []
        door.house.notifications.modes["siren"] = "default"
        assert len(await tell(door, sink, on)) == 1
        # What was told of has its end told as well.
        door.house.notifications.modes["siren"] = "mute"
        assert len(await tell(door, sink, off)) == 1
        assert "siren_sounding" in [event["type"] for event in await door.events()]


async def test_at_quiet_hours_a_siren_is_told_of_and_a_bell_is_not(tmp_path: Path) -> None:
    async with heard(tmp_path) as (door, sink):
        door.house.notifications.quiet = True
        door.house.log.publish(call("ringing", "quiet"))
        door.house.log.publish(SirenChanged(endpoint="siren", on=True))
        await sink.wait(2)
        assert sink.types()[1:] == ["BNCX-siren_sounding"]


async def test_a_second_press_within_a_call_pushes_nothing(tmp_path: Path) -> None:
    async with heard(tmp_path) as (door, sink):
        presses: list[AnyEvent] = [
            ButtonPressed(endpoint="bell"),
            ButtonReleased(endpoint="bell", held_ms=50),
        ] * 2
        assert await tell(door, sink, *presses) == []


async def test_a_bell_that_is_muted_is_not_told_of(tmp_path: Path) -> None:
    async with heard(tmp_path) as (door, sink):
        modes = door.house.notifications.modes
        modes["bell"] = "mute"
        for state in ("ringing", "answered", "ended"):
            door.house.log.publish(call(state))
        await trio.testing.wait_all_tasks_blocked(0.02)
        del modes["bell"]
        assert await tell(door, sink) == []
        assert [step["type"] for step in (await door.events())[-1]["subevents"]] == [
            "incoming_call", "accepted_call",
        ]  # fmt: skip


async def test_a_door_that_opens_is_told_of_on_demand_only(tmp_path: Path) -> None:
    events = (
        LockChanged(endpoint="door", state="unlocked"), LockChanged(endpoint="door", state="unlocked"),
        LockChanged(endpoint="door", state="locked"), LightChanged(endpoint="stairs", on=True),
    )  # fmt: skip
    async with heard(tmp_path) as (door, sink):
        assert await tell(door, sink, *events) == []
    async with heard(tmp_path, report_state=True, alias_lights=True) as (door, sink):
        bodies = await tell(door, sink, *events)
        assert {body["push_type"] for body in bodies} == {"device_event"}
        assert [body["extra_params"]["modules"] for body in bodies] == [
            [{"id": await door.module("door"), "type": "BNDL", "lock": False}],
            [{"id": await door.module("door"), "type": "BNDL", "lock": True}],
            [{"id": await door.module("stairs", "BNSL"), "type": "BNSL", "on": True}],
            [{"id": await door.module("stairs", "NLP"), "type": "NLP", "on": True}],
        ]


async def test_scopes(tmp_path: Path) -> None:
    async with heard(tmp_path, scope="read_camera") as (door, sink):
        door.house.log.publish(call("ringing"))
        door.house.log.publish(SirenChanged(endpoint="siren", on=True))
        await sink.wait(2)
        assert sink.types()[1:] == ["BNCX-siren_sounding"]


async def test_a_start_of_the_agent_is_told_once(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    async with sinks() as [sink]:
        async with netatmo_door(tmp_path, house=house) as door:
            await door.call("POST", "/webhooks/v1", plain={"url": sink.url})
            await sink.wait(1)
        started = House(tmp_path, endpoints=ENDPOINTS, boot_number=8, log=EventLog(boot_id="b", next_seq=90))
        started.authenticator, started.keys = house.authenticator, house.keys
        entry = started.log.publish(AgentStarted(version="1", boot_id="b", boot_number=8))
        started.log.publish(call("ringing"))
        for _ in range(2):  # the second time it is the worker alone that starts
            async with netatmo_door(tmp_path, house=started) as door:
                await sink.wait(4)
                started.log.publish(SirenChanged(endpoint="siren", on=True))
                started.log.publish(SirenChanged(endpoint="siren", on=False))
                await trio.testing.wait_all_tasks_blocked(0.05)
                events = await door.events()
        assert sink.types()[:4] == ["webhook_activation", "BNCX-connection", "BNCX-rtc", "BNCX-incoming_call"]
        assert sink.types()[4:] == ["BNCX-siren_sounding"] * 4
        body = sink.got[1][2]
        assert (body["event_type"], body["event_id"]) == ("connection", events[-1]["id"])
        assert body["event_id"].endswith(f"{entry.seq:012x}")


async def test_a_restart_of_the_worker_knows_what_sounds_already(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    house.states["siren"] = EndpointState(state="on")
    async with heard(tmp_path, house=house) as (door, sink):
        bodies = await tell(
            door, sink, SirenChanged(endpoint="siren", on=True), SirenChanged(endpoint="siren", on=False)
        )
        assert [body["sub_type"] for body in bodies] == [0]


async def test_what_was_overwritten_before_it_was_told(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS, log=EventLog(boot_id="b", size=8))
    async with heard(tmp_path, house=house) as (door, sink):
        house.states["siren"] = EndpointState(state="on")
        lost: list[AnyEvent] = [SirenChanged(endpoint="siren", on=True), call("ringing", "lost")]
        bodies = await tell(door, sink, *lost, *[LightChanged(endpoint="stairs", on=True)] * 9)
        # How it is now, and no ring of long ago.
        assert [body["push_type"] for body in bodies] == ["BNCX-siren_sounding"]


async def test_signatures_over_the_bytes_that_were_sent(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("clé de l'application\n")
    secret.chmod(0o600)
    clients = (ClientConfig(id="ha", secret_file=str(secret)),)
    async with netatmo_door(tmp_path, clients=clients) as door, sinks(2) as (signed, plain):
        for sink, token in (
            (signed, await door.issue(client="ha")), (plain, await door.issue()),
        ):  # fmt: skip
            await door.call("POST", "/webhooks/v1", plain={"url": sink.url}, token=token)
            await sink.wait(1)
        door.house.log.publish(call("ringing"))
        await signed.wait(3)
        await plain.wait(3)
        for raw, (_, headers, _, _) in zip(signed.raw, signed.got, strict=True):
            expected = hmac.new("clé de l'application".encode(), raw, sha256).hexdigest()
            assert headers["x-netatmo-secret"] == expected
        assert all("x-netatmo-secret" not in headers for _, headers, _, _ in plain.got)
        # Made once for all.
        assert signed.raw[1:] == plain.raw[1:]
        assert json.loads(signed.raw[1])["push_type"] == "BNCX-rtc"
