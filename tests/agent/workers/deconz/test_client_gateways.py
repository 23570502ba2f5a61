"""Several gateways, and what a person asks about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from harness.deconz_gateway import KEY, DeconzGateway
from harness.deconz_home import Ask, Home
from trio.testing import MockClock

from agent.model.errors import CommandError, MalformedMessage
from agent.workers.deconz.client_gateways import Gateways
from agent.workers.deconz.client_key import Key, KeyStore
from agent.workers.deconz.config import DeconzConfig

LAMPS: dict[str, dict[str, Any]] = {
    "front": {"device": "Staircase", "acts_as": "light", "gateway": "home"},
    "back": {"device": "Staircase", "acts_as": "light", "gateway": "barn"},
}


def configured(*gateways: dict[str, Any]) -> DeconzConfig:
    return msgspec.convert({"gateway": gateways}, DeconzConfig)


async def test_each_endpoint_is_at_its_own_gateway(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, endpoints=LAMPS)
    async with (
        DeconzGateway().running() as one,
        DeconzGateway().running() as two,
        trio.open_nursery() as nursery,
    ):
        config = configured({"name": "home", "url": one.url}, {"name": "barn", "url": two.url})
        for gateway in config.gateway:
            await KeyStore(gateway, tmp_path).keep(Key(text=KEY))
        nursery.start_soon(Gateways(config, home.context).run)
        await home.until(lambda: list(home.page.values()).count("following") == 2)
        await two.change("lights", "2", on=True)
        await home.until(lambda: home.remotes["back"].state() == "on")
        assert home.remotes["front"].state() == "off"

        rows = await home.answers["gateway_status"](Ask())
        assert [(row["name"], row["state"], row["url"]) for row in rows] == [
            ("home", "following", one.url),
            ("barn", "following", two.url),
        ]
        assert rows[1] | {"last_event": ""} == {
            "name": "barn", "state": "following", "problem": "", "url": two.url,
            "bridgeid": "00212EFFFF012345", "version": "2.33.2", "ws_port": two.port, "lights": 3,
            "sensors": 7, "last_event": "", "events": 1, "reported": 0, "dropped": 0, "malformed": 0,
        }  # fmt: skip
        assert rows[1]["last_event"].endswith("+00:00")
        devices = await home.answers["gateway_devices"](Ask())
        assert len(devices) == 20
        barn = {(row["resource"], row["id"]): row for row in devices if row["gateway"] == "barn"}
        assert barn["lights", "2"] == {
            "gateway": "barn", "resource": "lights", "id": "2", "uniqueid": "00:15:8d:00:02:00:00:02-01",
            "name": "Staircase", "type": "On/Off light", "state": "on=true", "endpoint": "back",
        }  # fmt: skip
        json.dumps([rows, devices])
        nursery.cancel_scope.cancel()


async def test_what_is_paired(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, endpoints={})
    async with DeconzGateway().running() as one, DeconzGateway().running() as two:
        Gateways(configured({"name": "home", "url": one.url}, {"name": "barn", "url": two.url}), home.context)
        pair = home.answers["pair"]
        with pytest.raises(CommandError, match="say which gateway: home, barn"):
            await pair(Ask())
        with pytest.raises(CommandError, match="no gateway named 'attic': home, barn"):
            await pair(Ask(gateway="attic"))
        for wait_s in (0, 601, "long"):
            with pytest.raises(MalformedMessage):
                await pair(Ask(gateway="barn", wait_s=wait_s))
        two.linked = True
        assert (await pair(Ask(gateway="barn", wait_s=5)))["gateway"] == "barn"
        assert (tmp_path / "gateway-barn.key").exists()
        # The only one needs no name, and may be given none.
        Gateways(configured({"name": "barn", "url": two.url}), home.context)
        assert (await home.answers["pair"](Ask(wait_s=5)))["gateway"] == "barn"
        assert (await home.answers["pair"](Ask(gateway=None)))["gateway"] == "barn"


async def test_an_endpoint_that_names_no_gateway_is_at_the_only_one(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, endpoints={"bell": {"device": "Bell", "acts_as": "button"}})
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        config = configured({"name": "home", "url": gateway.url})
        await KeyStore(config.gateway[0], tmp_path).keep(Key(text=KEY))
        nursery.start_soon(Gateways(config, home.context).run)
        await home.state("following")
        assert home.problem("bell") == ""
        nursery.cancel_scope.cancel()
