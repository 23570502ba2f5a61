"""The vendor's "possible actions", as a person of this machine asks for them; each named after its row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.netatmo_cloud import CAMERA, HOME, JOHN, OUTDOOR, SIREN, STAIRS, STATION, NetatmoCloud, failed
from harness.netatmo_home import Home
from trio.testing import MockClock

from agent.model.actions import SwitchLight
from agent.model.errors import CommandError, MalformedMessage


@asynccontextmanager
async def followed(folder: Path, clock: MockClock) -> AsyncIterator[tuple[Home, NetatmoCloud]]:
    home = Home(folder, clock=clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        yield home, cloud
        nursery.cancel_scope.cancel()


def modules(cloud: NetatmoCloud) -> list[dict[str, Any]]:
    return [module for order in cloud.orders for module in order["home"]["modules"]]


@pytest.mark.parametrize("mode", ["on", "off", "auto"])
async def test_floodlight_status(mode: str, tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        answer = await home.ask("cloud_set", module="Giardino", floodlight=mode)
        assert answer == {"cloud": "casa", "module": "Giardino"}
        assert modules(cloud) == [{"id": OUTDOOR, "floodlight": mode}]


@pytest.mark.parametrize("on", [True, False])
async def test_staircase_light_status(on: bool, tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        assert await home.do("stairs", SwitchLight(endpoint="stairs", on=on)) is None
        assert modules(cloud) == [{"id": STAIRS, "bridge": STATION, "on": on}]


@pytest.mark.parametrize("named", [[JOHN], ["John"]])
async def test_setting_persons_away(named: list[str], tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        answer = await home.ask("cloud_set", presence="away", persons=named)
        assert answer == {"cloud": "casa", "presence": "away", "persons": ["John"]}
        assert cloud.calls[-1] == ("setpersonsaway", {"home_id": HOME, "person_id": JOHN})


async def test_setting_persons_away_all_of_them(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        await home.ask("cloud_set", presence="away")
        assert cloud.calls[-1] == ("setpersonsaway", {"home_id": HOME})


async def test_setting_persons_home(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        cloud.away[JOHN] = True
        await home.ask("cloud_set", presence="home", persons=["John"])
        assert cloud.calls[-1] == ("setpersonshome", {"home_id": HOME, "person_ids": [JOHN]})
        assert cloud.away[JOHN] is False


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("Salotto", {"id": CAMERA}),
        ("Sirena", {"id": SIREN, "bridge": CAMERA}),
        (OUTDOOR.upper(), {"id": OUTDOOR}),
    ],
)
async def test_monitoring(
    module: str, expected: dict[str, str], tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        await home.ask("cloud_set", module=module, monitoring="off")
        assert modules(cloud) == [expected | {"monitoring": "off"}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"module": "Nobody", "floodlight": "on"}, "no module 'Nobody' at the cloud; there are"),
        ({"module": "Salotto", "floodlight": "on"}, "has no floodlight"),
        ({"module": "Campanello", "monitoring": "on"}, "no monitoring that can be set"),
        ({"module": "Giardino"}, "say what to set"),
        ({"presence": "home", "persons": ["Paul"]}, "no person 'Paul' at the cloud, which knows John"),
        ({"cloud": "mare", "module": "x"}, "no cloud named 'mare'"),
    ],
)
async def test_what_makes_no_sense(
    arguments: dict[str, Any], said: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        with pytest.raises(CommandError, match=said):
            await home.ask("cloud_set", **arguments)
        assert cloud.orders == []


@pytest.mark.parametrize("arguments", [{}, {"module": "x", "floodlight": "dim"}, {"presence": "here"}])
async def test_arguments_of_another_type(
    arguments: dict[str, Any], tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path, patient_clock) as (home, _):
        with pytest.raises(MalformedMessage):
            await home.ask("cloud_set", **arguments)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (failed(400, 21, "cannot set property"), "cannot set property"),
        (failed(403, 13), "log in again with the scope"),
        ((200, {"status": "ok", "body": {"errors": [{"code": 35, "id": OUTDOOR}]}}), "unable to execute"),
        ((503, "<html>"), "may have acted"),
    ],
)
async def test_what_the_cloud_refuses(
    answer: tuple[int, object], said: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        cloud.answer = lambda method, path, body: answer if path == "/api/setstate" else None
        with pytest.raises(CommandError, match=said):
            await home.ask("cloud_set", module="Giardino", floodlight="on")


async def test_what_is_so_already_is_done(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path, patient_clock) as (home, cloud):
        already = (200, {"status": "ok", "body": {"errors": [{"code": 23, "id": OUTDOOR}]}})
        cloud.answer = lambda method, path, body: already if path == "/api/setstate" else None
        await home.ask("cloud_set", module="Giardino", floodlight="on")


async def test_not_logged_in(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        await home.state("parked")
        with pytest.raises(CommandError, match="portero netatmo login casa"):
            await home.ask("cloud_set", module="Giardino", floodlight="on")
        nursery.cancel_scope.cancel()
