"""The door and a cloud: from nothing to a ring, through everything that clouds do to it."""

from __future__ import annotations

from pathlib import Path

import trio
from harness.netatmo_cloud import NetatmoCloud
from harness.netatmo_home import Home, press
from trio.testing import MockClock

from agent.model.events import ButtonPressed

HOOK = "https://door.example.org/hooks/netatmo/"


async def test_a_press_rings_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    home = Home(tmp_path, clock=autojump_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery, webhook_url=HOOK)
        await home.until(lambda: "/hooks/netatmo" in home.mounted)
        for _ in range(8):
            assert await home.push(press()) == 200
            await trio.sleep(4)
        assert [event.endpoint for event in home.events(ButtonPressed)] == ["bell"]
        assert next(event.kind for event in home.reports()) == "rtc"
        nursery.cancel_scope.cancel()
