"""The server as a whole: on the door's HTTPS listener, its start and its end."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
from harness.context import House
from harness.netatmo_door import ENDPOINTS, NetatmoDoor, netatmo_door, sinks

from agent.model.actions import Unlock
from agent.model.errors import ConfigError, PeerError
from agent.model.events import CallChanged
from agent.net.http_client import HttpClient
from agent.net.http_site import HttpConfig, HttpSite
from agent.workers.netatmo.config import ClientConfig, ServerConfig
from agent.workers.netatmo.server import serve


async def test_over_https_as_a_client_comes(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    context = house.context("netatmo")
    site = HttpSite(
        HttpConfig(host="127.0.0.1"),
        house.tls,  # type: ignore[arg-type]
        guard=context.guard,
        any_port=True,
    )
    context = msgspec.structs.replace(context, mount=site.mount)
    async with (
        sinks() as [sink],
        HttpClient(ssl_context=house.tls.client_context()) as client,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(site.run)
        await nursery.start(serve, ServerConfig(), context)
        door = NetatmoDoor(house)
        url = house.ready["netatmo"]
        assert url.endswith("/netatmo/")
        headers = {"authorization": f"Bearer {await door.issue()}"}
        form = headers | {"content-type": "application/x-www-form-urlencoded"}
        plain = headers | {"content-type": "application/json"}
        answer = await client.request("POST", f"{url}api/homesdata", body=b"", headers=form)
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        [home] = json.loads(answer.body)["body"]["homes"]
        answer = await client.request(
            "POST", f"{url}api/homestatus", body=b"home_id=" + home["id"].encode(), headers=form
        )
        assert json.loads(answer.body)["body"]["home"]["modules"][0]["local_ipv4"] == "127.0.0.1"
        answer = await client.request(
            "POST", f"{url}webhooks/v1", body=json.dumps({"url": sink.url}).encode(), headers=plain
        )
        assert answer.status == 200
        wish = {"home": {"id": home["id"], "modules": [{"id": await door.module("door"), "lock": False}]}}
        answer = await client.request(
            "POST", f"{url}api/setstate", body=json.dumps(wish).encode(), headers=plain
        )
        assert answer.status == 200
        [(action, principal)] = house.submitted
        assert (action, principal.peer) == (Unlock(endpoint="door"), "127.0.0.1")
        house.log.publish(CallChanged(call_id="c", endpoint="bell", state="ringing"))
        await sink.wait(3)
        for method in ("HEAD", "OPTIONS", "GET"):
            answer = await client.request(method, f"{url}api/setstate", headers=headers)
            assert answer.status == 404
        nursery.cancel_scope.cancel()


async def test_a_listener_that_cannot_be_bound(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)

    async def mount(path: str, app: object) -> str:
        await trio.lowlevel.checkpoint()
        raise PeerError("the door's HTTPS listener is not there")

    context = msgspec.structs.replace(house.context("netatmo"), mount=mount)
    with pytest.raises(ExceptionGroup) as caught:
        await serve(ServerConfig(), context)
    assert caught.group_contains(PeerError)


async def test_a_secret_that_is_missing_or_open_to_others(tmp_path: Path) -> None:
    open_file = tmp_path / "secret"
    open_file.write_text("x")
    open_file.chmod(0o644)
    context = House(tmp_path, endpoints=ENDPOINTS).context("netatmo")
    for path in (open_file, tmp_path / "none"):
        config = ServerConfig(clients=(ClientConfig(id="ha", secret_file=str(path)),))
        with pytest.raises(ConfigError, match=r"clients\[0\]"):
            await serve(config, context)


async def test_a_state_directory_that_cannot_be_used(tmp_path: Path) -> None:
    context = House(tmp_path, endpoints=ENDPOINTS).context("netatmo")
    (context.state_dir / "home.json.new").mkdir()
    with pytest.raises(PeerError):
        await serve(ServerConfig(), context)


async def test_a_door_without_endpoints(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path, endpoints=()) as door:
        reply = await door.call("POST", "/api/homesdata", form={})
        assert [row["type"] for row in reply.json["body"]["homes"][0]["modules"]] == ["BNCX"]
        reply = await door.call("POST", "/api/homesdata", form={}, token=await door.issue("read_camera"))
        assert reply.json["body"]["homes"][0]["modules"] == []


async def test_cancelled_at_any_moment_of_its_start(tmp_path: Path) -> None:
    for step in range(0, 60, 3):
        house = House(tmp_path, endpoints=ENDPOINTS)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(serve, ServerConfig(), house.context("netatmo")))
                for _ in range(step):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
    async with netatmo_door(tmp_path) as door:
        assert (await door.call("POST", "/api/homesdata", form={})).status == 200
