"""What the house hears of a cloud, by push and by poll: every ring once, every event, and no forgery."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.netatmo_bodies import DOCUMENTED, PICTURE
from harness.netatmo_cloud import (
    BELL,
    CAMERA,
    CO,
    DOORBELL,
    HOME,
    SIREN,
    SMOKE,
    STATION,
    TAG,
    NetatmoCloud,
)
from harness.netatmo_home import Home, press, told
from trio.testing import MockClock

from agent.model.actions import SoundSiren
from agent.model.events import (
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    SirenChanged,
)
from agent.workers.netatmo.catalogue import EVENTS, SUB_TYPES

HOOK = "https://door.example.org/hooks/netatmo/"


async def hooked(home: Home, cloud: NetatmoCloud, nursery: trio.Nursery, **config: Any) -> None:
    await home.followed(cloud, nursery, **({"webhook_url": HOOK} | config))
    await home.until(lambda: "/hooks/netatmo" in home.mounted)
    await home.until(lambda: home.page.get("cloud.casa.webhook") == "working")


def rings(home: Home) -> list[str]:
    return [event.endpoint for event in home.events(ButtonPressed)]


async def settle() -> None:
    await trio.sleep(0.5)


# ----- rings -----


async def test_a_press_rings_once(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        for _ in range(8):
            assert await home.push(press()) == 200
            await trio.sleep(4)
        await home.push(told("BNCX-incoming_call", session_id="s-1", device_id=STATION, event_id="e1"))
        await home.push(told("BNCX-missed_call", session_id="s-1", device_id=STATION, event_id="e1"))
        await settle()
        assert rings(home) == ["bell"]
        assert len(home.events(ButtonReleased)) == 1
        assert [event.kind for event in home.reports()] == ["rtc", "incoming_call", "missed_call"]
        assert home.reports()[0].module == "Pulsantiera"
        assert home.reports()[0].device == "Classe 300 EOS"
        assert home.reports()[0].meaning == "ringing"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("pushes", "expected"),
    [
        # BDIY and others: no signalling.
        ([told("BNCX-incoming_call", session_id="s", device_id=STATION, module_id=BELL)], ["bell"]),
        ([told("NDB-incoming_call", session_id="s", device_id=DOORBELL, event_id="e")], ["doorbell"]),
        # Nobody says which door station: the one of this gateway.
        ([told("BNCX-incoming_call", session_id="s", device_id=STATION)], ["bell"]),
        ([press(), told("BNCX-incoming_call", session_id="s-1", device_id=STATION)], ["bell"]),
        ([press(session_id="a"), press(session_id="b")], ["bell", "bell"]),
        ([press(module_id="c0002f-ffff-ffffffffffff")], []),
        ([press(data={"type": "terminate"})], []),
        ([press(home_id="somebody-elses")], []),
        ([told("BNCX-missed_call", session_id="s", device_id=STATION, module_id=BELL)], []),
        ([press(session_id=None), press(session_id=None)], ["bell"]),
        ([press(timestamp=-30)], ["bell"]),
        ([press(timestamp=-90)], []),
        ([press(timestamp=-90_000)], []),
        # An end that overtook its beginning.
        ([press(data={"type": "rescind"}), press()], []),
    ],
)
async def test_who_rings(
    pushes: list[dict[str, Any]], expected: list[str], tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        for push in pushes:
            ago = push.get("timestamp", 0)  # seconds, or milliseconds, before the test
            now = int(time.time()) * (1000 if ago < -1000 else 1)
            assert await home.push(push | ({"timestamp": now + ago} if ago else {})) == 200
        await settle()
        assert rings(home) == expected
        nursery.cancel_scope.cancel()


async def test_clocks_that_are_minutes_apart(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.clock_s = -600
        await hooked(home, cloud, nursery)
        await home.push(press(timestamp=cloud.now_s()))
        await settle()
        assert rings(home) == ["bell"]
        await home.push(press(session_id="old", timestamp=cloud.now_s() - 120))
        await settle()
        assert rings(home) == ["bell"]
        nursery.cancel_scope.cancel()


async def test_a_replay_an_hour_later_rings_nobody(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        await home.push(press())
        await trio.sleep(3600)
        await home.push(press())
        await home.push(told("BNCX-incoming_call", session_id="s-1", device_id=STATION, event_id="late"))
        await settle()
        assert rings(home) == ["bell"]
        nursery.cancel_scope.cancel()


async def test_a_call_that_nobody_ends(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        await home.push(press())
        await trio.sleep(61)
        assert [(one.kind, one.meaning) for one in home.reports()][1:] == [("call_ended", "unknown outcome")]
        nursery.cancel_scope.cancel()


async def test_a_ring_needs_no_token(tmp_path: Path, patient_clock: MockClock) -> None:
    """Parked, because the log-in is over: the webhook is heard all the same."""
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        cloud.access, cloud.refresh = set(), "nobody-knows"
        await home.state("parked")
        await home.push(press())
        await settle()
        assert rings(home) == ["bell"]
        nursery.cancel_scope.cancel()


# ----- webhooks -----


@pytest.mark.parametrize("name", DOCUMENTED)
async def test_every_documented_body_is_an_event(name: str, tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        body = {key: value for key, value in DOCUMENTED[name].items() if key not in ("home_id", "homeid")}
        for _ in range(2):  # a retransmission is no second event
            assert await home.push(body) == 200
        await settle()
        (report,) = home.reports()
        prefix, _, event = body["push_type"].partition("-")
        assert (report.source, report.product, report.kind) == ("casa", prefix, event)
        assert report.meaning
        assert PICTURE not in repr(report)
        nursery.cancel_scope.cancel()


async def test_every_event_type_and_subtype_is_an_event(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    rows = [
        (product, kind, sub_type)
        for kind, event in EVENTS.items()
        for product in event.products
        for sub_type in ("", *SUB_TYPES.get(kind, {}))
    ]
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        for number, (product, kind, sub_type) in enumerate(rows):
            await home.push(
                told(f"{product}-{kind}", sub_type=sub_type, event_id=f"e{number}", device_id="aa:bb")
            )
            await trio.sleep(0.1)
        await trio.sleep(5)
        found = [(one.product, one.kind, one.sub_type) for one in home.reports() if one.kind != "call_ended"]
        assert found == rows
        assert len(rows) > 100
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"x":1}', b"[" * 5000, b"\xff", b'{"push_type":{}}'])
async def test_what_cannot_be_understood_is_counted(
    data: bytes, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        assert await home.push(data) == 200
        await home.until(lambda: home.page.get("cloud.casa.malformed") == 1)
        assert home.reports() == []
        nursery.cancel_scope.cancel()


async def test_forged_and_unsigned_ones(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        assert await home.push(press(), signed=False) == 403
        assert await home.push(press(), headers={"x-netatmo-secret": "0" * 64}) == 403
        assert await home.push(press(), secret="guessed") == 404
        await settle()
        assert rings(home) == []
        (row,) = await home.ask("cloud_status")
        assert row["refused"] == 2
        nursery.cancel_scope.cancel()


async def test_unsigned_ones_where_they_are_allowed(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery, unsigned_webhooks=True)
        assert await home.push(press(), signed=False) == 200
        await settle()
        assert rings(home) == ["bell"]
        nursery.cancel_scope.cancel()


async def test_a_flood_of_webhooks_does_not_silence_the_bell(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        for number in range(800):
            await home.push(told("NACamera-movement", event_id=f"e{number}", device_id=CAMERA))
        await home.push(press())
        await settle()
        assert rings(home) == ["bell"]
        assert len(home.reports()) < 80  # paced
        await trio.sleep(60)
        assert home.reports()[-1].kind in ("rtc", "call_ended")
        nursery.cancel_scope.cancel()


# ----- contacts and sirens -----


@pytest.mark.parametrize(
    ("push", "endpoint", "active"),
    [
        (told("NSD-smoke", device_id=SMOKE, sub_type=1), "smoke", True),
        (told("NSD-tampered", device_id=SMOKE, sub_type=1), "smoke_tamper", True),
        (told("NCO-co_detected", device_id=CO, sub_type=1), "co", True),
        (told("NCO-co_detected", device_id=CO, sub_type=2), "co", True),
        (told("NACamera-tag_open", device_id=CAMERA, module_id=TAG), "window", True),
        (
            told("NACamera-siren_tampered", device_id=CAMERA, module_id=SIREN, sub_type=1),
            "siren_tamper",
            True,
        ),
        (told("NIS-siren_tampered", device_id=CAMERA, module_id=SIREN, sub_type=1), "siren_tamper", True),
    ],
)
async def test_contacts(
    push: dict[str, Any], endpoint: str, active: bool, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        await home.push(push | {"event_id": "e1"})
        await settle()
        assert [(one.endpoint, one.active) for one in home.events(ContactChanged)] == [(endpoint, active)]
        if "sub_type" in push:
            await home.push(push | {"event_id": "e2", "sub_type": 0})
            await settle()
            assert home.events(ContactChanged)[-1].active is False
        nursery.cancel_scope.cancel()


async def test_a_siren_is_told_and_never_sounded(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        cloud.row(SIREN)["status"] = "sound"
        push = told("NACamera-siren_sounding", device_id=CAMERA, module_id=SIREN, sub_type=1, event_id="e")
        await home.push(push)
        await settle()
        assert [one.on for one in home.events(SirenChanged)] == [True]
        assert "never sounded" in str(await home.do("siren", SoundSiren(endpoint="siren")))
        assert cloud.orders == []
        cloud.row(SIREN)["status"] = "no_sound"
        await trio.sleep(200)
        assert [one.on for one in home.events(SirenChanged)] == [True, False]
        nursery.cancel_scope.cancel()


async def test_a_window_is_read(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        cloud.row(TAG)["status"] = "open"
        await trio.sleep(130)
        cloud.row(TAG)["status"] = "closed"
        await trio.sleep(130)
        assert [one.active for one in home.events(ContactChanged)] == [True, False]
        nursery.cancel_scope.cancel()


async def test_states_told_by_a_device_event(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        cloud.row(TAG)["status"] = "open"
        rows = [{"id": TAG, "type": "NACamDoorTag", "status": "open", "rf_status": 88}]
        await home.push({"push_type": "device_event", "home_id": HOME, "extra_params": {"modules": rows}})
        await settle()
        assert [one.active for one in home.events(ContactChanged)] == [True]
        (row,) = await home.ask("cloud_status")
        (tag,) = [one for one in row["modules"] if one["id"] == TAG]
        assert tag["rf_strength"] == 88
        nursery.cancel_scope.cancel()


# ----- polling -----


def call(at: int, *, session: str = "s-9", event_id: str = "p1") -> dict[str, Any]:
    return {
        "id": event_id, "type": "outdoor", "time": at, "module_id": BELL,
        "subevents": [{"id": f"{event_id}-a", "type": "incoming_call", "time": at, "session_id": session}],
    }  # fmt: skip


async def test_without_a_webhook_a_young_call_in_the_history_rings(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.events = [call(cloud.now_s() - 10, session="before", event_id="p0")]
        await home.followed(cloud, nursery, poll_events_s=60)
        await settle()
        assert rings(home) == []  # it was there before the door began to listen
        cloud.events.insert(0, call(cloud.now_s() - 20))
        cloud.events.insert(1, call(cloud.now_s() - 300, session="s-8", event_id="p2"))
        await trio.sleep(130)
        assert rings(home) == ["bell"]
        assert [one.session_id for one in home.reports() if one.kind != "call_ended"] == ["s-8", "s-9"]
        nursery.cancel_scope.cancel()


async def test_what_a_push_told_the_history_does_not_tell_again(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        await home.push(told("BNCX-incoming_call", session_id="s-9", device_id=STATION, event_id="p1"))
        await home.push(told("NSD-smoke", device_id=SMOKE, sub_type=0, event_id="p3"))
        cloud.events = [
            call(cloud.now_s()),
            {"id": "p3", "type": "smoke", "sub_type": 0, "time": cloud.now_s(), "module_id": SMOKE},
        ]
        await trio.sleep(700)
        assert rings(home) == ["bell"]
        assert [one.kind for one in home.reports()] == ["incoming_call", "smoke", "call_ended"]
        nursery.cancel_scope.cancel()
