"""The relay on a mock clock: connections that keep what they were sent, and when."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from harness.raw_websocket import parse

from agent.workers.zello.agenda import Agenda
from agent.workers.zello.channel import Channel
from agent.workers.zello.config import ChannelConfig, ServerConfig
from agent.workers.zello.counters import Counters
from agent.workers.zello.downlink import Downlink
from agent.workers.zello.ids import Ids
from agent.workers.zello.images import Gallery
from agent.workers.zello.relay import Relay


class RecordingPeer:
    """What a downlink needs of a Peer. told: (seconds since the start, what), packets as (id, number).

    pending_*: a test sets them to say that this one is behind.
    """

    def __init__(self) -> None:
        self.told: list[tuple[float, Any]] = []
        self.pending_s = 0.0
        self.pending_messages = 0
        self.pending_bytes = 0
        self._began = trio.current_time()

    def send(self, frame: bytes) -> None:
        for opcode, payload in parse(frame):
            what: Any = json.loads(payload) if opcode == 1 else struct.unpack_from(">II", payload, 1)
            self.told.append((round(trio.current_time() - self._began, 3), what))

    @property
    def packets(self) -> list[tuple[int, int]]:
        """Ids and numbers of the packets."""
        return [what for _, what in self.told if isinstance(what, tuple)]

    def times(self, command: str) -> list[tuple[float, int]]:
        """When which stream was told of with this event."""
        return [
            (at, what["stream_id"])
            for at, what in self.told
            if isinstance(what, dict) and what["command"] == command
        ]

    def order(self) -> list[str]:
        """What came, in short: start N, N (a packet), stop N."""
        short = {"on_stream_start": "start", "on_stream_stop": "stop"}
        return [
            str(what[0]) if isinstance(what, tuple) else f"{short[what['command']]} {what['stream_id']}"
            for _, what in self.told
            if isinstance(what, tuple) or what["command"] in short
        ]


class RelayBench:
    """A relay and its channels; streams have ids from 1 on."""

    def __init__(self, **server: Any) -> None:
        self.config = ServerConfig(**server)
        self.agenda = Agenda()
        self.counters = Counters()
        self.ids = Ids()
        self.relay = Relay(self.config, self.agenda, self.counters, self.ids, lambda: None)
        self.gallery = Gallery(self.agenda, self.counters, self.ids)
        self.front = self.channel("Front door")
        self.house = self.channel("House")

    def channel(self, name: str) -> Channel:
        return Channel(ChannelConfig(name=name), self.agenda, door_user="door")

    def link(self, account: str, *channels: Channel) -> tuple[Downlink, RecordingPeer]:
        """A connection that is online on these channels, or on the first one."""
        peer = RecordingPeer()
        link = Downlink(peer, self.agenda, self.counters)  # type: ignore[arg-type]
        link.account = account
        for channel in channels or (self.front,):
            channel.join(link, "talk")
        return link, peer


@asynccontextmanager
async def relay_bench(**server: Any) -> AsyncIterator[RelayBench]:
    """With its agenda running."""
    bench = RelayBench(**server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.agenda.run)
        yield bench
        nursery.cancel_scope.cancel()
