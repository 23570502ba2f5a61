"""Stands in for the network below our event server client: connections end in memory, at scripts of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from harness.event_server import ClientEnd, Gone, MemoryPeer

from agent.model.errors import PeerError
from agent.workers.zmes import client
from agent.workers.zmes.config import UpstreamConfig

PASSWORD = "fontanería"
Script = Callable[[MemoryPeer], Awaitable[None]]


class Upstream:
    """Stands in for the network: every connection the client opens is served by `behave`."""

    def __init__(self, nursery: trio.Nursery, behave: Script) -> None:
        self.behave = behave
        self.peers: list[MemoryPeer] = []
        self.asked: list[dict[str, Any]] = []
        self.unreachable = False
        self._nursery = nursery

    @asynccontextmanager
    async def connect(self, url: str, **options: Any) -> AsyncIterator[ClientEnd]:
        await trio.lowlevel.checkpoint()
        self.asked.append({"url": url} | options)
        if self.unreachable:
            raise PeerError("connection refused")
        peer = MemoryPeer()
        self.peers.append(peer)
        self._nursery.start_soon(self._serve, peer)
        async with peer.connected() as end:
            yield end

    async def _serve(self, peer: MemoryPeer) -> None:
        try:
            await self.behave(peer)
        except* Gone:
            pass


def configured(tmp_path: Path, **more: object) -> UpstreamConfig:
    """A configuration whose secret lies in tmp_path."""
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    plain = {"name": "zm", "url": "ws://127.0.0.1:9000", "user": "admin", "password_file": str(secret)}
    return msgspec.convert(plain | more, UpstreamConfig)


@asynccontextmanager
async def upstream(monkeypatch: pytest.MonkeyPatch, behave: Script) -> AsyncIterator[Upstream]:
    async with trio.open_nursery() as nursery:
        network = Upstream(nursery, behave)
        monkeypatch.setattr(client, "connect_websocket", network.connect)
        yield network
        nursery.cancel_scope.cancel()


async def welcome(peer: MemoryPeer, version: str = "6.1.29") -> None:
    """Let anybody in."""
    await peer.receive()
    await peer.send(json.dumps({"event": "auth", "status": "Success", "version": version}))


async def drain(peer: MemoryPeer) -> None:
    while True:
        await peer.receive()


def alarm_frame(event: int, *, monitor: int = 1, cause: str = "Motion") -> str:
    item = {"EventId": str(event), "MonitorId": str(monitor), "Name": "Yard", "Cause": cause}
    return json.dumps({"event": "alarm", "type": "", "status": "Success", "events": [item]})
