"""Locks and lights at a cloud that says `ok` to everything and never tells how they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.netatmo_cloud import HTML, LOCK, OUTDOOR, STAIRS, STATION, NetatmoCloud
from harness.netatmo_home import Home
from trio.testing import MockClock

from agent.model.actions import Lock, SwitchLight, Unlock
from agent.model.events import LightChanged, LockChanged

ENDPOINTS: dict[str, dict[str, Any]] = {
    "door": {"module": LOCK, "acts_as": "lock", "default_s": 3},
    "second": {"module": STAIRS, "acts_as": "lock", "default_s": 3},
    "stairs": {"module": "Luce scale", "acts_as": "light", "default_s": 0},
    "garden": {"module": OUTDOOR, "acts_as": "light"},
}


@asynccontextmanager
async def followed(folder: Path, clock: MockClock) -> AsyncIterator[tuple[Home, NetatmoCloud]]:
    home = Home(folder, clock=clock, endpoints=ENDPOINTS)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        yield home, cloud
        nursery.cancel_scope.cancel()


def orders(cloud: NetatmoCloud) -> list[dict[str, Any]]:
    return [order["home"]["modules"][0] for order in cloud.orders]


def changes(home: Home, kind: type = LockChanged) -> list[str]:
    return [str(getattr(one, "state", getattr(one, "on", ""))) for one in home.events(kind)]


async def test_a_hold_is_our_own(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        assert await home.do("door", Unlock(endpoint="door", hold_s=10)) is None
        await trio.sleep(9)
        assert changes(home) == ["unlocked"]
        await trio.sleep(2)
        assert changes(home) == ["unlocked", "locked"]
        assert orders(cloud) == [{"id": LOCK, "bridge": STATION, "lock": False}]


async def test_another_unlocking_extends_it(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        assert await home.do("door", Unlock(endpoint="door")) is None
        await trio.sleep(2)
        assert await home.do("door", Unlock(endpoint="door")) is None
        await trio.sleep(2)
        assert changes(home)[-1] == "unlocked"
        await trio.sleep(2)
        assert changes(home)[-1] == "locked"
        assert len(cloud.orders) == 2


async def test_locking_ends_the_hold_and_asks_nobody(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        assert await home.do("door", Unlock(endpoint="door")) is None
        assert await home.do("door", Lock(endpoint="door")) is None
        assert changes(home) == ["unlocked", "locked"]
        assert len(cloud.orders) == 1
        await trio.sleep(10)
        assert len(changes(home)) == 2


async def test_a_second_door_that_is_wired_as_staircase_light(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        assert await home.do("second", Unlock(endpoint="second")) is None
        await trio.sleep(5)
        assert [order["on"] for order in orders(cloud)] == [True, False]
        assert changes(home) == ["unlocked", "locked"]


async def test_a_light_without_an_end(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        assert await home.do("stairs", SwitchLight(endpoint="stairs", on=True)) is None
        await trio.sleep(3600)
        assert [order["on"] for order in orders(cloud)] == [True]
        assert await home.do("stairs", SwitchLight(endpoint="stairs", on=False)) is None
        assert [order["on"] for order in orders(cloud)] == [True, False]


async def test_a_light_that_cannot_be_switched_off_is_tried_again(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        assert await home.do("stairs", SwitchLight(endpoint="stairs", on=True, duration_s=10)) is None
        cloud.answer = lambda method, path, body: (502, HTML) if path == "/api/setstate" else None
        await trio.sleep(60)
        assert changes(home, LightChanged) == ["True"]
        cloud.answer = lambda method, path, body: None
        await trio.sleep(20)
        assert changes(home, LightChanged) == ["True", "False"]
        assert orders(cloud)[-1]["on"] is False


async def test_a_light_that_may_shine_is_switched_off_all_the_same(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        cloud.answer = lambda method, path, body: (502, HTML) if path == "/api/setstate" else None
        reason = await home.do("stairs", SwitchLight(endpoint="stairs", on=True, duration_s=10))
        assert "may have acted" in str(reason)
        cloud.answer = lambda method, path, body: None
        await trio.sleep(15)
        assert [order["on"] for order in orders(cloud)] == [False]
        assert changes(home, LightChanged) == []


async def test_a_floodlight_is_read_as_well(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        cloud.row(OUTDOOR)["floodlight"] = "on"
        await trio.sleep(130)
        cloud.row(OUTDOOR)["floodlight"] = "auto"
        await trio.sleep(130)
        cloud.row(OUTDOOR)["floodlight"] = "off"
        await trio.sleep(130)
        assert changes(home, LightChanged) == ["True", "False"]


async def test_cancelled_in_the_middle_of_an_unlocking(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock, endpoints=ENDPOINTS)
    async with NetatmoCloud().running() as cloud:
        async with trio.open_nursery() as nursery:
            await home.followed(cloud, nursery)
            cloud.slow_s = 3.0
            command = home.begin("door", Unlock(endpoint="door"))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert "may have acted" in str(await command.failure())
        assert changes(home) == []


async def test_a_hold_that_runs_when_the_worker_stops(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock, endpoints=ENDPOINTS)
    async with NetatmoCloud().running() as cloud:
        async with trio.open_nursery() as nursery:
            await home.followed(cloud, nursery)
            assert await home.do("door", Unlock(endpoint="door")) is None
            nursery.cancel_scope.cancel()
        assert changes(home) == ["unlocked", "locked"]
        assert len(cloud.orders) == 1


async def test_stopping_does_not_wait_for_a_cloud_that_is_mute(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock, endpoints=ENDPOINTS)
    async with NetatmoCloud().running() as cloud:
        async with trio.open_nursery() as nursery:
            await home.followed(cloud, nursery)
            assert await home.do("stairs", SwitchLight(endpoint="stairs", on=True, duration_s=100)) is None
            cloud.mute = True
            begun = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - begun < 2.5


@pytest.mark.parametrize("home_is", ["down", "not logged in"])
async def test_a_cloud_that_is_not_there(home_is: str, tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock, endpoints=ENDPOINTS)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        if home_is == "down":
            await cloud.stop()
        await home.followed(cloud, nursery, logged_in=home_is == "down", wait=False)
        await home.state("retrying" if home_is == "down" else "parked")
        reason = str(await home.do("door", Unlock(endpoint="door")))
        assert ("not connected" if home_is == "down" else "portero netatmo login casa") in reason
        nursery.cancel_scope.cancel()


async def test_what_the_cloud_tells_is_never_asked_of_it_again(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    """A light that somebody switched at the vendor's app changes here, and no order goes back."""
    async with followed(tmp_path, patient_clock) as (home, cloud):
        for mode in ("on", "off", "on"):
            cloud.row(OUTDOOR)["floodlight"] = mode
            seen = len(home.events(LightChanged))
            await home.until(lambda seen=seen: len(home.events(LightChanged)) > seen)  # type: ignore[misc]
        assert changes(home, LightChanged) == ["True", "False", "True"]
        assert [one.by for one in home.events(LightChanged)] == ["", "", ""]
        await trio.sleep(600)
        assert orders(cloud) == []
