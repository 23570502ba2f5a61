"""Registering webhooks, on both surfaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from harness.context import House
from harness.netatmo_door import ENDPOINTS, Names, NetatmoDoor, Reply, netatmo_door, sinks

from agent.model.events import AccountChanged, SirenChanged

ON = SirenChanged(endpoint="siren", on=True)
OFF = SirenChanged(endpoint="siren", on=False)


async def register(door: NetatmoDoor, url: object, token: str | None = None) -> Reply:
    return await door.call("POST", "/webhooks/v1", plain={"url": url}, token=token)


async def test_the_current_surface_as_pyatmo_uses_it(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door, sinks() as [sink]:
        assert (await door.call("GET", "/webhooks/v1")).json["body"] == []
        reply = await register(door, sink.url)
        assert (reply.status, reply.json["status"]) == (200, "ok")
        await sink.wait(1)
        assert sink.types() == ["webhook_activation"]
        assert (await door.call("GET", "/webhooks/v1")).json["body"] == [{"url": sink.url}]
        reply = await register(door, sink.url)
        assert (reply.status, reply.code) == (409, "WH009")
        assert (await door.call("DELETE", "/webhooks/v1")).status == 200
        await sink.wait(2)
        assert sink.types()[-1] == "webhook_deactivation"
        assert (await register(door, sink.url)).status == 200
        await sink.wait(3)
        assert sink.types()[-1] == "webhook_activation"
        assert (await door.call("DELETE", "/webhooks/v1")).status == 200
        assert (await door.call("DELETE", "/webhooks/v1")).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_legacy_surface(tmp_path: Path, method: str) -> None:
    async with netatmo_door(tmp_path) as door, sinks() as [sink]:
        url = sink.url.split("?")[0]
        reply = await door.call(method, "/api/dropwebhook", query="app_types=app_security")
        assert (reply.status, reply.code) == (406, 7)
        for count in (1, 2):  # again is fine here, and takes the place of the one before
            reply = await door.call(method, "/api/addwebhook", query=f"url={url}")
            assert reply.status == 200
            await sink.wait(count)
        assert sink.types() == ["webhook_activation"] * 2
        assert (await door.call(method, "/api/dropwebhook")).status == 200
        assert (await door.call(method, "/api/addwebhook")).code == 10


@pytest.mark.parametrize(
    "url",
    ["", "ftp://127.0.0.1/", "http://8.8.8.8/", "http://u:p@127.0.0.1/", "http://169.254.169.254/latest",
     "http://[::ffff:8.8.8.8]/", "http://127.0.0.1:0/", "http://0.0.0.0/", 5, None, ["http://127.0.0.1/"]],
)  # fmt: skip
async def test_urls_that_are_refused(tmp_path: Path, url: object) -> None:
    async with netatmo_door(tmp_path) as door:
        reply = await register(door, url)
        assert (reply.status, reply.code) == (400, 10 if url is None else 21)
        assert (await door.ask("server_status"))["webhooks"] == []


async def test_a_name_with_one_public_address_is_refused(tmp_path: Path) -> None:
    trio.socket.set_custom_hostname_resolver(Names(["127.0.0.1", "8.8.8.8"]))
    async with netatmo_door(tmp_path) as door:
        reply = await register(door, "http://ha.example/")
        assert (reply.status, reply.code, reply.text) == (400, 21, "Invalid url parameter")


async def test_no_json_and_no_scope(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        assert (await door.call("POST", "/webhooks/v1", body=b"{")).code == 40
        assert (await door.call("POST", "/webhooks/v1", plain=[])).code == 10
        reply = await register(door, "http://127.0.0.1/", token=await door.issue("write_mx"))
        assert (reply.status, reply.code) == (403, 13)
        assert (await door.call("GET", "/webhooks/v1", token="")).code == 1


async def test_one_for_each_token_and_a_most(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path, max_webhooks=2) as door, sinks(3) as (one, two, three):
        tokens = [await door.issue() for _ in range(3)]
        assert (await register(door, one.url, tokens[0])).status == 200
        assert (await register(door, two.url, tokens[1])).status == 200
        reply = await register(door, three.url, tokens[2])
        assert (reply.status, reply.code) == (409, "WH009")
        assert (await door.call("GET", "/webhooks/v1", token=tokens[1])).json["body"] == [{"url": two.url}]


async def test_webhooks_outlive_the_agent(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    async with sinks() as [sink]:
        async with netatmo_door(tmp_path, house=house) as door:
            await register(door, sink.url)
            await sink.wait(1)
        async with netatmo_door(tmp_path, house=house) as door:
            house.log.publish(ON)
            await sink.wait(2)
            assert sink.types()[-1] == "BNCX-siren_sounding"
            # The secret part of an address is shown to nobody.
            [row] = (await door.ask("server_status"))["webhooks"]
            assert row["to"] == sink.url.split("/hook")[0]
            assert (row["state"], row["failures"], row["banned_until_ns"]) == ("ok", 0, None)


async def test_a_webhook_ends_with_its_token(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door, sinks(2) as (one, two):
        await register(door, one.url)
        token = await door.issue(name="gone")
        await register(door, two.url, token)
        await two.wait(1)
        [row] = [row for row in (await door.ask("server_status"))["tokens"] if row["name"] == "gone"]
        await door.house.keys.revoke(row["id"], user="smart-home", by="local:anna")
        # At once, before anybody has cleaned up ...
        door.house.log.publish(ON)
        await one.wait(2)
        # ... and for good.
        door.house.log.publish(AccountChanged(account="smart-home", change="key_revoked"))
        door.house.log.publish(OFF)
        await one.wait(3)
        assert two.types() == ["webhook_activation"]
        with trio.fail_after(5):
            while len((await door.ask("server_status"))["webhooks"]) > 1:
                await trio.sleep(0.01)


async def test_nobody_is_told_while_the_user_is_shut_out(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door, sinks() as [sink]:
        await register(door, sink.url)
        await sink.wait(1)
        account = door.house.authenticator.accounts.pop("smart-home")
        door.house.log.publish(ON)
        await trio.testing.wait_all_tasks_blocked(0.02)
        door.house.authenticator.accounts["smart-home"] = account
        door.house.log.publish(OFF)
        await sink.wait(2)
        assert [body.get("sub_type") for _, _, body, _ in sink.got] == [None, 0]


async def test_a_disk_that_is_full(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door, sinks() as [sink]:
        (tmp_path / "netatmo" / "webhooks.json.new").mkdir()
        reply = await register(door, sink.url)
        assert (reply.status, reply.code) == (503, 35)


async def test_what_is_on_the_disk(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door, sinks() as [sink]:
        await register(door, sink.url)
        stored = json.loads((tmp_path / "netatmo" / "webhooks.json").read_bytes())
        assert stored["told_boot"] == 7
        [row] = stored["subscriptions"]
        assert row["url"] == sink.url
        assert row["key"] == f"token {row['grant']}"
