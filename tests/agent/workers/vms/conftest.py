from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from harness.context import House
from harness.vms_server import INTERCOM, LOGIN, PASSWORD, VmsServer

from agent.workers.vms.client import Follower
from agent.workers.vms.config import VmsConfig


class Followed:
    """A VMS, a house, and the follower between them."""

    def __init__(self, folder: Path, server: VmsServer, **config: Any) -> None:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        self.house = House(folder)
        self.server = server
        plain = {"url": server.url, "login": LOGIN, "password_file": str(secret), "intercom_id": INTERCOM}
        self.config = msgspec.convert(plain | config, VmsConfig)
        self.context = self.house.context("vms")
        self.follower = Follower(self.config, self.context, rng=lambda: 0.0)

    @property
    def page(self) -> dict[str, Any]:
        return self.house.pages

    async def until(self, met: Callable[[], bool], within_s: float = 1000.0) -> None:
        with trio.fail_after(within_s):
            step_s = 0.01
            while not met():
                await trio.sleep(step_s)  # of a clock that jumps
                step_s = min(step_s * 1.5, 1.0)

    async def state(self, state: str) -> None:
        await self.until(lambda: self.page.get("state") == state)

    async def settled(self, *channels: str) -> None:
        await self.state("connected")
        await self.until(lambda: self.server.is_live(*channels))


Make = Callable[..., Awaitable[Followed]]


@asynccontextmanager
async def followed(folder: Path, server: VmsServer | None = None, **config: Any) -> AsyncIterator[Followed]:
    server = server or VmsServer()
    async with server.running(), trio.open_nursery() as nursery:
        it = Followed(folder, server, **config)
        nursery.start_soon(it.follower.run)
        yield it
        nursery.cancel_scope.cancel()


@pytest.fixture
def vms() -> Any:
    return followed
