"""A door that is in the channels of a scripted Zello server, for testing our client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from harness.context import House
from harness.zello_cloud import ZelloCloud, zello_cloud

from agent.model.events import CallChanged, CallState
from agent.runtime import EndpointInfo
from agent.workers.zello.client import follow
from agent.workers.zello.config import CloudConfig, SnapshotConfig, ZelloConfig

CLOCK_S = 1_800_000_000.0
PASSWORD = "Türe 7"
TOKEN = "eyJ.eyJ.sig"
BELL = EndpointInfo(name="doorbell", label="Front bell", kind="button")
OPUS_20 = b"\x48\xff\xfe"
OPUS_60 = b"\x58\xff\xfe"


class Door:
    """House, cloud and configuration; `follow` runs in the background."""

    def __init__(self, house: House, cloud: ZelloCloud, config: CloudConfig) -> None:
        self.house = house
        self.cloud = cloud
        self.config = config
        self.context = house.context("zello")
        self.scope = trio.CancelScope()
        self.ended: Exception | None = None
        self.clock_s = CLOCK_S
        self.zello = ZelloConfig(cloud=(config,))

    async def run(self) -> None:
        began = trio.current_time()
        with self.scope:
            try:
                await follow(
                    self.config,
                    self.zello,
                    self.context,
                    now_s=lambda: self.clock_s + trio.current_time() - began,
                    rng=lambda: 0.5,
                )
            except Exception as error:
                self.ended = error

    def page(self, key: str) -> object:
        """One value of the status page."""
        return self.house.pages.get(f"cloud.{self.config.name}.{key}")

    async def until(self, condition: Callable[[], object], within_s: float = 60.0) -> None:
        await self.cloud.until(condition, within_s)

    async def online(self) -> None:
        await self.until(lambda: self.page("state") == "online")

    def call(self, state: CallState = "ringing", call_id: str = "c1") -> None:
        """A call at the door moves on."""
        self.house.log.publish(CallChanged(call_id=call_id, endpoint="doorbell", state=state))


def cloud_config(url: str, folder: Path, **more: Any) -> CloudConfig:
    """A user with a password and a ready-made token; None as a value leaves a setting out."""
    plain: dict[str, Any] = {
        "name": "home",
        "url": url,
        "channels": ["door"],
        "username": "portero",
        "password_file": secret(folder, "password", PASSWORD + "\n"),
        "token_file": secret(folder, "token", TOKEN + "\n"),
        "people": {"anna": "anna", "bert": "bert"},
    }
    plain |= more
    return msgspec.convert({k: v for k, v in plain.items() if v is not None}, CloudConfig)


def secret(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


@asynccontextmanager
async def door_at_cloud(
    folder: Path,
    *channels: str,
    prepare: Callable[[ZelloCloud], object] = lambda cloud: None,
    snapshot: bool = False,
    house: Callable[[House], object] = lambda house: None,
    **config: Any,
) -> AsyncIterator[Door]:
    """A running client. prepare: sets up the cloud before the first connection; house: likewise the house.
    snapshot: there is a camera; what it gives is up to the test.

    A bug of the client fails the test; an expected end of `follow` is left in `ended`.
    """
    async with zello_cloud(*channels) as cloud, trio.open_nursery() as nursery:
        prepare(cloud)
        home = House(
            folder,
            endpoints=(BELL,),
            accounts={"anna": ("x", "resident"), "bert": ("y", "guest")},
        )
        home.log._clock_ns = lambda: int(CLOCK_S * 1e9)
        house(home)
        if channels:
            config.setdefault("channels", list(channels))
        door = Door(home, cloud, cloud_config(cloud.url, folder, **config))
        if snapshot:
            door.zello = msgspec.structs.replace(door.zello, snapshot=SnapshotConfig(command=("camera",)))
        began = trio.current_time()
        home.log._clock_ns = lambda: int((door.clock_s + trio.current_time() - began) * 1e9)
        nursery.start_soon(door.run)
        yield door
        door.scope.cancel()
        nursery.cancel_scope.cancel()
    if isinstance(door.ended, ExceptionGroup):
        raise door.ended
