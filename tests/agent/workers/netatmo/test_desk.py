"""What `portero netatmo` hears."""

from __future__ import annotations

from pathlib import Path

import msgspec
from harness.context import House
from harness.netatmo_door import ENDPOINTS, netatmo_door, sinks

from agent.runtime import EndpointState


async def test_the_status(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    house.states["siren"] = EndpointState(state="on")
    async with netatmo_door(tmp_path, house=house) as door, sinks() as [sink]:
        await door.call("POST", "/webhooks/v1", plain={"url": sink.url})
        await sink.wait(1)
        status = await door.ask("server_status")
        msgspec.json.encode(status)
        assert (status["url"], status["home_id"]) == (house.ready["netatmo"], door.home_id)
        rows = {row["endpoint"]: row for row in status["modules"]}
        assert set(rows) == {"", "bell", "door", "stairs", "siren"}
        assert rows["siren"]["state"].startswith("reachable=True status=sound monitoring=on")
        [webhook] = status["webhooks"]
        assert "secret" not in str(status)
        assert (webhook["to"], webhook["state"]) == (sink.url.split("/hook")[0], "ok")
        [token] = status["tokens"]
        assert (token["name"], token["lasting"], token["client"]) == ("made by hand", True, "")
        assert token["scopes"] == ["read_mx", "write_mx", "read_camera", "write_camera"]
        assert token["id"] in {key.id for key in house.keys.listed("smart-home")}


async def test_a_token_and_its_name(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        await door.ask("token", scope="read_mx", name="  Node-RED  " + "x" * 80)
        names = [row["name"] for row in (await door.ask("server_status"))["tokens"]]
        assert names[1].startswith("Node-RED  x")
        assert len(names[1]) == 48
