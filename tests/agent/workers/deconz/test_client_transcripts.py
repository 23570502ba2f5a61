"""What gateways have said, and the events that it becomes: through sockets, codec, mirror and endpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from harness.deconz_gateway import DeconzGateway
from harness.deconz_home import Home
from trio.testing import MockClock

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "deconz"
FILES = sorted(FOLDER.glob("client_*.json"))


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def show(gateway: DeconzGateway, full: dict[str, Any]) -> None:
    gateway.lights, gateway.sensors = full["lights"], full["sensors"]
    gateway.more_config = full["config"]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
async def test_each_transcript(path: Path, tmp_path: Path, patient_clock: MockClock) -> None:
    script = load(path)
    home = Home(tmp_path, endpoints=script["endpoints"])
    heard: list[Any] = []
    told: list[Any] = []
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        show(gateway, script["full"])
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        for events, expected, after in (("events", "told", "restarted"), ("events_then", "told_then", "")):
            for event in script.get(events, []):
                await gateway.push(event)
                heard.append(event)
                await home.until(lambda: home.page.get("gateway.home.events", 0) == len(heard))
                await trio.sleep(1)  # people are slow
            found = [msgspec.to_builtins(event) for event in home.events()[len(told) :]]
            told += found
            assert found == script.get(expected, [])
            if after in script:
                show(gateway, script[after])
                times = home.shown("state").count("following")
                await gateway.restart()
                await home.until(lambda n=times: home.shown("state").count("following") > n)  # type: ignore[misc]
        nursery.cancel_scope.cancel()


def test_each_says_where_it_came_from() -> None:
    assert FILES
    assert all("written anew" in load(path)["SOURCE"] for path in FILES)
