from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.deconz_door import ARMED, BELL, GATE, STAIRS, Door, deconz_door

from agent.model.errors import CommandError


class Asks:
    """A person with a command of this machine, and its arguments."""

    account = "local:fernanda"

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments

    def get(self, name: str, kind: Any, default: Any = None) -> Any:
        return self.arguments.get(name, default)


async def ask(door: Door, verb: str, **arguments: Any) -> Any:
    return await door.house.answers[verb](Asks(**arguments))


async def test_link_opens_the_window(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, link_s=45) as door:
        assert await ask(door, "link") == {"seconds": 45, "url": door.url}
        assert 40 < (await ask(door, "server_status"))["link_s_left"] <= 45
        assert (await door.http.post("/api", json={"devicetype": "x"})).status_code == 200


async def test_a_key_at_once(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, user="panel", role="installer") as door:
        key = (await ask(door, "link_key", name="wall  panel"))["key"]
        assert door.house.keys.issued[key][1].name == "wall panel"
        assert door.house.authenticator.accounts["panel"][1] == "installer"
        assert await door.get("/lights", key=key)
        unnamed = (await ask(door, "link_key"))["key"]
        assert door.house.keys.issued[unnamed][1].name
        # It needs no window, and opens none.
        assert (await ask(door, "server_status"))["link_s_left"] == 0


async def test_a_key_that_cannot_be_stored(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        door.house.keys.broken = True
        with pytest.raises(CommandError, match="disk"):
            await ask(door, "link_key")


async def test_the_status(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        await door.listen()
        status = await ask(door, "server_status")
        config = await door.get("/config")
        assert status["url"] == door.url
        assert status["ws_url"] == door.ws_url
        assert status["bridgeid"] == config["bridgeid"]
        assert status["clients"] == 1
        assert [(row["id"], row["name"]) for row in status["keys"]] == [("00000001", "test")]
        assert door.key not in str(status)


async def test_the_devices(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, endpoints=(BELL, GATE, STAIRS), alarm=ARMED) as door:
        rows = await ask(door, "server_devices")
        told = [(row["resource"], row["id"], row["type"], row["state"], row["endpoint"]) for row in rows]
        assert told == [
            ("lights", "1", "On/Off light", "on=false", "stairs"),
            ("sensors", "1", "ZHASwitch", "", "bell"),
            ("sensors", "2", "ZHADoorLock", "lockstate=locked", "gate"),
            (
                "sensors", "3", "ZHAAncillaryControl",
                "action=disarmed, panel=disarmed, seconds_remaining=0", "",
            ),
            ("groups", "1", "LightGroup", "all_on=false, any_on=false", ""),
            ("alarmsystems", "1", "Alarm system", "armstate=disarmed", ""),
        ]  # fmt: skip
        assert all(set(row) == {
            "resource", "id", "uniqueid", "name", "type", "state", "endpoint",
        } for row in rows)  # fmt: skip
