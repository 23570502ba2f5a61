"""A running channel server on loopback and scripted clients of it, which can say anything."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio
from harness.context import House
from harness.voice import MemoryVoice, voice_packet
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from agent.bus import EventLog
from agent.runtime import EndpointInfo
from agent.workers.zello import WORKER
from agent.workers.zello.config import ZelloConfig

PATIENCE_S = 5.0
OPUS_20 = b"\x48\x01\x02"  # SILK, wide band, 20 ms
OPUS_60 = b"\x58\x01\x02"
HEADER_20 = "gD4BFA=="
BELL = EndpointInfo(name="doorbell", label="Front bell", kind="button")
LOCK = EndpointInfo(name="lock", label="Front door", kind="lock")
LIGHT = EndpointInfo(name="light", label="Stairs", kind="light")
ACCOUNTS: dict[str, tuple[str, Any]] = {
    "alice": ("a-secret", "resident"),
    "bob": ("b-secret", "resident"),
    "carol": ("c-secret", "resident"),
    "gus": ("g-secret", "guest"),
    "ingo": ("i-secret", "installer"),
}


class ZelloClient:
    """One connection. heard: everything that came, texts as dicts, packets as bytes, until it was read.

    closed: code and reason of the server's CLOSE, None while open.
    """

    def __init__(self, socket: WebSocketConnection, stream: Any) -> None:
        self.socket = socket
        self.stream = stream
        self.heard: list[dict[str, Any] | bytes] = []
        self.closed: tuple[int, str | None] | None = None
        self._seq = itertools.count(1)
        self._news = trio.Event()

    async def read(self) -> None:
        """The reader's task."""
        try:
            while True:
                message = await self.socket.get_message()
                if isinstance(message, str):
                    found = json.loads(message)
                    assert isinstance(found, dict), "only objects may be sent"
                    self.heard.append(found)
                else:
                    self.heard.append(message)
                self._tell()
        except ConnectionClosed as error:
            self.closed = (0, "") if error.reason is None else (error.reason.code, error.reason.reason)
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first thing heard that is wanted; it and what came before it are taken away."""
        with trio.fail_after(PATIENCE_S):
            while True:
                for index, item in enumerate(self.heard):
                    if wanted(item):
                        del self.heard[: index + 1]
                        return item
                assert self.closed is None, f"closed {self.closed}, heard {self.heard}"
                await self._news.wait()

    async def event(self, command: str, **fields: Any) -> dict[str, Any]:
        """The next event of this name with these fields."""
        found: dict[str, Any] = await self.until(
            lambda item: (
                isinstance(item, dict)
                and item.get("command") == command
                and all(item.get(key) == value for key, value in fields.items())
            )
        )
        assert "seq" not in found
        return found

    async def packet(self) -> tuple[int, int, int, bytes]:
        """The next binary message: type, id, number, payload."""
        data: bytes = await self.until(lambda item: isinstance(item, bytes))
        return (*struct.unpack_from(">BII", data), data[9:])

    async def hang_up(self) -> tuple[int, str | None]:
        """How the server closed."""
        with trio.fail_after(PATIENCE_S):
            while self.closed is None:
                await self._news.wait()
        return self.closed

    async def say(self, text: str | bytes) -> None:
        """Send any message."""
        await self.socket.send_message(text)

    async def tell(self, command: str, **fields: Any) -> None:
        """Send a command without a seq."""
        await self.say(json.dumps({"command": command, **fields}))

    async def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send a command and give its reply; events that come before it stay to be read."""
        seq = fields.pop("seq", None)
        seq = next(self._seq) if seq is None else seq
        await self.say(json.dumps({"command": command, "seq": seq, **fields}))
        return await self.reply(seq)

    async def reply(self, seq: int) -> dict[str, Any]:
        """The reply with this seq; everything else stays."""
        with trio.fail_after(PATIENCE_S):
            while True:
                for index, item in enumerate(self.heard):
                    if isinstance(item, dict) and item.get("seq") == seq:
                        assert "command" not in item
                        del self.heard[index]
                        return item
                assert self.closed is None, f"closed {self.closed}, heard {self.heard}"
                await self._news.wait()

    async def log_on(self, user: str, *channels: str, **fields: Any) -> dict[str, Any]:
        """Log on with the right password and wait until each channel has its status."""
        names = list(channels) or ["Front door"]
        answer = await self.ask("logon", username=user, password=ACCOUNTS[user][0], channels=names, **fields)
        assert answer.get("success") is True, answer
        for name in names:
            await self.event("on_channel_status", channel=name)
        return answer

    async def start(self, **fields: Any) -> dict[str, Any]:
        """Ask for the floor as the makers' client does."""
        whole = {"type": "audio", "codec": "opus", "codec_header": HEADER_20, "packet_duration": 20}
        return await self.ask("start_stream", **{**whole, **fields})

    async def talk(self, stream_id: int, *numbers: int, opus: bytes = OPUS_20) -> None:
        """Send one packet for each packet id."""
        for number in numbers:
            await self.say(voice_packet(stream_id, number, opus))

    def nothing(self, *commands: str) -> bool:
        """True when none of these events, and with `packet` no packet, was heard and is unread."""
        return not any(
            item.get("command") in commands if isinstance(item, dict) else "packet" in commands
            for item in self.heard
        )

    async def settled(self) -> None:
        """Return when everything that the server has sent until now was heard."""
        await self.ask("keepalive", seq=4_000_000_000)

    async def vanish(self) -> None:
        """Be gone, without a CLOSE."""
        await trio.aclose_forcefully(self.stream)


class ChannelSite:
    """A running worker and its clients."""

    def __init__(self, house: House, nursery: trio.Nursery, stop: Callable[[], None]) -> None:
        self.house = house
        self.stop = stop
        self.clients: list[ZelloClient] = []
        self._nursery = nursery

    @property
    def voice(self) -> MemoryVoice:
        """The door's ear and mouth."""
        return self.house.voice

    async def client(self, path: str = "/ws") -> ZelloClient:
        """A connection that has not logged on. Raises: trio.BrokenResourceError when it is not taken in."""
        url = urlsplit(self.house.ready["zello"])
        assert url.hostname is not None
        assert url.port is not None
        stream: Any = await trio.open_tcp_stream(url.hostname, url.port)
        if url.scheme == "wss":
            stream = trio.SSLStream(
                stream,
                self.house.tls.client_context(),
                server_hostname=url.hostname,
                https_compatible=True,
            )
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError:
                await trio.aclose_forcefully(stream)
                raise
        socket = await wrap_client_stream(
            self._nursery, stream, url.netloc, path, max_message_size=4 * 1024 * 1024, message_queue_size=1000
        )
        client = ZelloClient(socket, stream)
        self.clients.append(client)
        self._nursery.start_soon(client.read)
        return client

    async def user(self, name: str, *channels: str, **fields: Any) -> ZelloClient:
        """A client that has logged on."""
        client = await self.client()
        await client.log_on(name, *channels, **fields)
        return client

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that the server does on its own."""
        with trio.fail_after(PATIENCE_S):
            while not condition():
                await trio.sleep(0.005)


@asynccontextmanager
async def channel_site(
    folder: Path, *, zello: dict[str, Any] | None = None, log: EventLog | None = None, **server: Any
) -> AsyncIterator[ChannelSite]:
    """The worker with a server of this configuration, and nothing left of it or its clients afterwards."""
    house = House(folder, endpoints=(BELL, LOCK, LIGHT), accounts=dict(ACCOUNTS), log=log)
    config = msgspec.convert({"server": server, **(zello or {})}, ZelloConfig)
    scope = trio.CancelScope()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await WORKER.run(config, house.context("zello"), task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        site = ChannelSite(house, nursery, scope.cancel)
        try:
            yield site
        finally:
            # First the readers: one that finds its stream closed under it ends with whatever OpenSSL says.
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                for client in site.clients:
                    await trio.aclose_forcefully(client.stream)


def codec_header(text: str) -> tuple[int, int, int]:
    """Rate, frames and milliseconds of a codec_header."""
    rate, frames, frame_ms = struct.unpack("<HBB", base64.b64decode(text, validate=True))
    return rate, frames, frame_ms
