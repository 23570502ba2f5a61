"""Every row of the vendor's tables, from the cloud's JSON to what a person reads, each by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.netatmo_cloud import (
    ADVANCE,
    BELL,
    CAMERA,
    CO,
    DOORBELL,
    IP,
    JOHN,
    LOCK,
    OUTDOOR,
    SIREN,
    SMOKE,
    STAIRS,
    STATION,
    TAG,
    VPN,
    NetatmoCloud,
)
from harness.netatmo_home import Home
from trio.testing import MockClock

from agent.workers.netatmo.client_rows import module_row
from agent.workers.netatmo.client_state import Module


@asynccontextmanager
async def read(folder: Path, clock: MockClock, cloud: NetatmoCloud | None = None) -> AsyncIterator[Home]:
    home = Home(folder, clock=clock)
    async with (cloud or NetatmoCloud()).running() as running, trio.open_nursery() as nursery:
        await home.followed(running, nursery)
        yield home
        nursery.cancel_scope.cancel()


# (row of the document, field of the status, value by module)
ROWS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "Software version",
        "software",
        {
            CAMERA: "1051000",
            OUTDOOR: "3.2.0",
            DOORBELL: "2.18.0",
            ADVANCE: "1000",
            SIREN: "209",
            TAG: "58",
            SMOKE: "1150",
            CO: "1100",
            STATION: "1.2.3",
            IP: "1",
            BELL: "",
        },
    ),
    ("VPN URL", "vpn", {CAMERA: True, OUTDOOR: True, DOORBELL: True, ADVANCE: True, SMOKE: False}),
    ("VPN URL, its host", "vpn_host", {CAMERA: "prodvpn-eu-2.netatmo.net", SMOKE: ""}),
    ("Local mode", "is_local", {CAMERA: True, OUTDOOR: False, DOORBELL: False, ADVANCE: None}),
    ("Monitoring status", "monitoring", {CAMERA: "on", SIREN: "on", OUTDOOR: "on", DOORBELL: None}),
    ("Floodlight status", "floodlight", {OUTDOOR: "auto", CAMERA: None}),
    ("Floodlight mode", "floodlight", {OUTDOOR: "auto"}),
    ("Window/DoorTag category", "category", {TAG: "window", CAMERA: ""}),
    ("Last setup date", "setup_date", {CAMERA: 1544828430, BELL: 1600000001, SMOKE: 1590000000}),
    (
        "Last seen date",
        "last_seen",
        {
            SIREN: 1700000000,
            TAG: 1700000000,
            CO: 1700000000,
            SMOKE: 1700000000,
            STATION: 1700000000,
            IP: 1700000000,
        },
    ),
    ("Last activity date", "last_activity", {TAG: 1699990000, SIREN: None}),
    (
        "Wifi status",
        "wifi_strength",
        {CAMERA: 52, OUTDOOR: 68, ADVANCE: 86, CO: 46, SMOKE: 50, DOORBELL: 66, STATION: 65, IP: 60},
    ),
    (
        "Wifi status, in a word",
        "wifi",
        {CAMERA: "full", OUTDOOR: "high", ADVANCE: "bad", CO: "good", DOORBELL: "average", STATION: "medium"},
    ),
    ("Radio status", "rf_strength", {SIREN: 60, TAG: 70}),
    ("Radio status, in a word", "radio", {SIREN: "full", TAG: "high"}),
    (
        "Device reachability",
        "reachable",
        {SIREN: True, TAG: True, STATION: True, BELL: True, LOCK: True, STAIRS: True, IP: True},
    ),
    ("SD Card Status", "sd", {CAMERA: "working", OUTDOOR: "working", DOORBELL: "full", ADVANCE: "working"}),
    (
        "Alimentation status",
        "alim",
        {
            CAMERA: "correct power adapter",
            DOORBELL: "incorrect power adapter",
            ADVANCE: "correct power adapter",
        },
    ),
    ("Battery level", "battery_level_mv", {SIREN: 5950, TAG: 5200}),
    ("Battery level, in a word", "battery", {SIREN: "full", TAG: "high"}),
    ("Battery level, in percent", "battery_percent", {SIREN: 90, TAG: 75, CAMERA: None}),
    ("Siren status", "siren", {SIREN: "no_sound", OUTDOOR: "no_sound", CAMERA: None}),
    ("Door/Window status", "door", {TAG: "closed", SIREN: None}),
    ("Offload status", "offload", {STATION: False, IP: 1, CAMERA: None}),
]


@pytest.mark.parametrize(("row", "field", "expected"), ROWS, ids=[row[0] for row in ROWS])
async def test_row(
    row: str, field: str, expected: dict[str, Any], tmp_path: Path, patient_clock: MockClock
) -> None:
    async with read(tmp_path, patient_clock) as home:
        (cloud,) = await home.ask("cloud_status")
        modules = {module["id"]: module for module in cloud["modules"]}
        assert {one: modules[one][field] for one in expected} == expected


async def test_row_persons_of_a_home(tmp_path: Path, patient_clock: MockClock) -> None:
    async with read(tmp_path, patient_clock) as home:
        (cloud,) = await home.ask("cloud_status")
        assert [(one["id"], one["name"]) for one in cloud["persons"]] == [(JOHN, "John"), ("4a3b", "")]


async def test_row_last_events_of_all_persons_of_a_home(tmp_path: Path, patient_clock: MockClock) -> None:
    async with read(tmp_path, patient_clock) as home:
        (cloud,) = await home.ask("cloud_status")
        assert (cloud["persons"][0]["last_seen"], cloud["persons"][0]["away"]) == (1700000000, False)


def stored(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"e{number:02}",
        "type": "movement",
        "time": 1700000000 - number,
        "module_id": CAMERA,
    } | more


async def test_row_30_last_events_of_a_home(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.events = [stored(number) for number in range(40)]
    async with read(tmp_path, patient_clock, cloud) as home:
        rows = await home.ask("cloud_events")
        assert [row["id"] for row in rows] == [f"e{number:02}" for number in range(30)]
        assert (rows[0]["module"], rows[0]["meaning"]) == ("Salotto", "motion was seen")


async def test_row_30_last_events_related_to_a_specific_gateway(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    cloud = NetatmoCloud()
    cloud.events = [stored(1, device_id=CAMERA), stored(2, device_id=STATION)]
    async with read(tmp_path, patient_clock, cloud) as home:
        assert [row["id"] for row in await home.ask("cloud_events", device_id=STATION)] == ["e02"]


async def test_row_last_detection_of_a_person(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.events = [stored(1), stored(2, type="person", person_id=JOHN)]
    async with read(tmp_path, patient_clock, cloud) as home:
        (row,) = await home.ask("cloud_events", person_id=JOHN)
        assert (row["id"], row["person"]) == ("e02", "John")


async def test_row_the_events_that_preceded_a_specific_event(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    cloud = NetatmoCloud()
    cloud.events = [stored(number) for number in range(5)]
    async with read(tmp_path, patient_clock, cloud) as home:
        rows = await home.ask("cloud_events", event_id="e02")
        assert [row["id"] for row in rows] == ["e02", "e03", "e04"]


async def test_what_is_asked_of_a_cloud_that_is_away(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    async with read(tmp_path, patient_clock, cloud) as home:
        cloud.hang_up = True
        with pytest.raises(Exception, match="try again later"):
            await home.ask("cloud_events")


def test_no_address_of_a_camera_in_its_row() -> None:
    row = module_row(Module(id=CAMERA, type="NACamera", values={"vpn_url": VPN}))
    assert "0123456789abcdef" not in repr(row)
    assert row["vpn_host"] == "prodvpn-eu-2.netatmo.net"


@pytest.mark.parametrize("strange", ["https://[", "x", "", 5, True])
def test_a_strange_address(strange: Any) -> None:
    assert module_row(Module(id="x", values={"vpn_url": strange, "sd_status": True}))["vpn_host"] == ""


async def test_what_is_shown_of_the_cloud_itself(tmp_path: Path, patient_clock: MockClock) -> None:
    async with read(tmp_path, patient_clock) as home:
        (cloud,) = await home.ask("cloud_status")
        assert (cloud["name"], cloud["state"], cloud["home"], cloud["webhook"]) == (
            "casa", "following", "Casa", "none",
        )  # fmt: skip
        assert 10_700 < cloud["token_expires_s"] <= 10_800
        assert cloud["modules"][0]["id"] == IP
