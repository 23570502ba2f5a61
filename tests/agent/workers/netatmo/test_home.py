"""Modules, their ids, and what is told of them."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from harness.context import House
from harness.netatmo_door import ENDPOINTS, NetatmoDoor, netatmo_door

from agent import __version__
from agent.model.events import LockChanged
from agent.runtime import EndpointState
from agent.workers.netatmo.home import module_id, revision


async def status_of(door: NetatmoDoor) -> tuple[dict[str, dict[str, Any]], list[Any]]:
    """Rows by type, and errors."""
    reply = await door.call("POST", "/api/homestatus", form={"home_id": door.home_id})
    body = reply.json["body"]
    return {row["type"]: row for row in body["home"]["modules"]}, body.get("errors", [])


async def test_ids_are_in_the_vendors_form_and_outlive_the_agent(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        async with netatmo_door(tmp_path) as door:
            found.append((await door.ask("server_status"))["modules"])
            assert re.fullmatch("[0-9a-f]{24}", door.home_id)
    assert found[0] == found[1]
    gateway, *others = [row["id"] for row in found[0]]
    assert re.fullmatch("02(:[0-9a-f]{2}){5}", gateway)
    tail = gateway.replace(":", "")[6:]
    assert all(re.fullmatch(f"{tail}-[0-9a-f]{{4}}-[0-9a-f]{{12}}", other) for other in others)
    assert len(set(others)) == len(others)
    file = tmp_path / "netatmo" / "home.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_an_endpoint_that_comes_back_is_the_same(tmp_path: Path) -> None:
    assert module_id("00:03:50:c0:00:2f", "door").startswith("c0002f-")
    async with netatmo_door(tmp_path) as door:
        before = await door.module("siren")
    async with netatmo_door(tmp_path, endpoints=ENDPOINTS[2:]) as door:
        assert await door.module("siren") == before


async def test_a_file_that_makes_no_sense_is_kept_and_a_new_home_begun(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        before = door.home_id
    (tmp_path / "netatmo" / "home.json").write_bytes(b"{")
    async with netatmo_door(tmp_path) as door:
        assert door.home_id != before
    assert (tmp_path / "netatmo" / "home.json.corrupt").read_bytes() == b"{"


async def test_states_of_locks_and_lights_are_told_on_demand_only(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    house.states = {"door": EndpointState(state="unlocked"), "stairs": EndpointState(state="on")}
    async with netatmo_door(tmp_path, house=house) as door:
        rows, _ = await status_of(door)
        assert "lock" not in rows["BNDL"]
        assert "on" not in rows["BNSL"]
    async with netatmo_door(tmp_path, house=house, report_state=True) as door:
        rows, _ = await status_of(door)
        assert rows["BNDL"]["lock"] is False
        assert rows["BNSL"]["on"] is True
        assert "last_user_interaction" not in rows["BNDL"]
        entry = house.log.publish(LockChanged(endpoint="door", state="unlocked", by="anna"))
        house.states = {}
        await trio.testing.wait_all_tasks_blocked(0.05)
        rows, _ = await status_of(door)
        assert rows["BNDL"]["lock"] is True
        assert rows["BNSL"]["on"] is False
        assert rows["BNDL"]["last_user_interaction"] == entry.at_ns // 10**9


async def test_types_that_the_configuration_changes(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    house.states = {"door": EndpointState(state="unlocked"), "stairs": EndpointState(state="on")}
    types: dict[str, Any] = {"locks_as": {"door": "BNSL"}, "lights_as": {"stairs": "BNDL"}}
    async with netatmo_door(tmp_path, house=house, report_state=True, alias_lights=True, **types) as door:
        rows, _ = await status_of(door)
        assert rows["BNSL"]["on"] is True
        assert rows["BNDL"]["lock"] is False
        assert rows["BNSL"]["id"] == await door.module("door")
        assert rows["NLP"]["on"] is True


async def test_a_siren(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    house.states["siren"] = EndpointState(state="on")
    house.notifications.modes["siren"] = "mute"
    async with netatmo_door(tmp_path, house=house) as door:
        rows, _ = await status_of(door)
        row = rows["NIS"]
        assert (row["status"], row["monitoring"], row["battery_state"]) == ("sound", "off", "full")
        assert (row["reachable"], row["rf_strength"]) == (True, 60)
        reply = await door.set({"id": row["id"], "monitoring": "on"})
        assert reply.status == 200
        rows, _ = await status_of(door)
        assert rows["NIS"]["monitoring"] == "on"


async def test_a_device_that_does_not_work(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    house.states["door"] = EndpointState(state="locked", problem="the relay is gone")
    async with netatmo_door(tmp_path, house=house) as door:
        rows, errors = await status_of(door)
        assert rows["BNDL"]["reachable"] is False
        assert rows["BNSL"]["reachable"] is True
        assert errors == [{"code": 6, "id": await door.module("door")}]
        assert "relay" not in str(rows)


async def test_the_gateway(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        rows, _ = await status_of(door)
        row = rows["BNCX"]
        assert (row["firmware_name"], row["offload"]) == (__version__, False)
        reply = await door.call("GET", "/api/homestatus", query=f"home_id={door.home_id}&device_types[]=NOC")
        assert reply.json["body"]["home"]["modules"] == []


@pytest.mark.parametrize(("version", "number"), [("1.2.3", 10203), ("0.1.0", 100), ("2.0", 20000), ("x", 0)])
def test_versions_as_numbers(version: str, number: int) -> None:
    assert revision(version) == number
