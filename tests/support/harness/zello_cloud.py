"""A Zello server as the document and people's reports describe it, oddities included, on a real socket.

Written from descriptions with a websocket library of others, so that it shares nothing with our own two ends
but the port. A test sets what is odd before or while a client is connected, and reads what the client did.
"""

from __future__ import annotations

import base64
import json
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, generate_accept_token

PING_EVERY_S = 30.0


@dataclass
class CloudStream:
    """A stream that a client began. packets: (time, whole message). stopped_at: when it said so."""

    request: dict[str, Any]
    began_at: float
    packets: list[tuple[float, bytes]] = field(default_factory=list)
    stopped_at: float | None = None

    @property
    def header(self) -> tuple[int, int, int]:
        """Rate, frames per packet and frame duration of its codec header."""
        return struct.unpack("<HBB", base64.b64decode(self.request["codec_header"]))

    @property
    def payloads(self) -> list[bytes]:
        return [data[9:] for _, data in self.packets]


@dataclass
class CloudChannel:
    """What a client is told of one channel. online None: nothing at all, as for a name in the wrong case."""

    online: bool | None = True
    users: int = 2
    error: str = ""
    error_type: str = ""
    images: bool = True
    texts: bool = True
    after_s: float = 0.0


class CloudConnection:
    """One client. said: everything it said, decoded. closed_with: the code of its CLOSE."""

    def __init__(self, cloud: ZelloCloud, stream: trio.abc.Stream) -> None:
        self.cloud = cloud
        self.stream = stream
        self.said: list[dict[str, Any]] = []
        self.streams: dict[int, CloudStream] = {}
        self.images: dict[int, tuple[dict[str, Any], list[tuple[int, bytes]]]] = {}
        self.unknown_packets: list[bytes] = []
        self.pings = 0
        self.deaf = False
        self.over = False
        self.closed_with: int | None = None
        self._frames = Connection(ConnectionType.SERVER)

    async def tell(self, **message: Any) -> None:
        """One JSON object."""
        await self.tell_raw(json.dumps(message))

    async def tell_raw(self, text: str) -> None:
        await self._send(TextMessage(data=text))

    async def packet(self, data: bytes) -> None:
        """One binary message."""
        await self._send(BytesMessage(data=data))

    async def voice(self, stream_id: int, packet_id: int, payload: bytes = b"\x48\xff\xfe") -> None:
        await self.packet(struct.pack(">BII", 1, stream_id, packet_id) + payload)

    async def close(self, code: int, reason: str = "") -> None:
        await self._send(CloseConnection(code=code, reason=reason))

    async def drop(self) -> None:
        """End the connection without a word."""
        await self.stream.aclose()

    async def status(self, channel: str) -> None:
        """The status of one channel as it is set now."""
        known = self.cloud.channels.get(channel, CloudChannel(online=None))
        if known.online is None:
            return
        message: dict[str, Any] = {
            "command": "on_channel_status",
            "channel": channel,
            "status": "online" if known.online else "offline",
            "users_online": known.users,
            "images_supported": known.online and known.images,
            "texting_supported": known.online and known.texts,
            "locations_supported": known.online,
            "full_duplex": False,
        }
        if known.error:
            message |= {"error": known.error, "error_type": known.error_type or "unknown"}
        await self.tell(**message)

    async def _send(self, event: Any) -> None:
        try:
            await self.stream.send_all(self._frames.send(event))
        except (trio.BrokenResourceError, trio.ClosedResourceError, LocalProtocolError):
            self.over = True

    async def ping_for_ever(self) -> None:
        while True:
            await trio.sleep(PING_EVERY_S)
            if not self.deaf:
                await self._send(Ping())

    async def read(self, nursery: trio.Nursery) -> None:
        """Serve until the client is gone."""
        text, data = "", b""
        while True:
            try:
                received = await self.stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not received:
                return
            if self.deaf:
                continue
            self._frames.receive_data(bytes(received))
            for event in self._frames.events():
                match event:
                    case TextMessage():
                        text += event.data
                        if event.message_finished:
                            self._hear(json.loads(text), nursery)
                            text = ""
                    case BytesMessage():
                        data += bytes(event.data)
                        if event.message_finished:
                            self._hear_packet(data)
                            data = b""
                    case Ping():
                        self.pings += 1
                        await self._send(event.response())
                    case CloseConnection(code=code):
                        self.closed_with = code
                        await self._send(event.response())
                        return
                    case Pong():
                        pass
            self.cloud.happened()

    def _hear(self, message: dict[str, Any], nursery: trio.Nursery) -> None:
        self.said.append(message)
        self.cloud.said.append(message)
        match message["command"]:
            case "logon":
                nursery.start_soon(self._logon, message)
            case "start_stream":
                nursery.start_soon(self._start_stream, message)
            case "stop_stream":
                stream = self.streams.get(message["stream_id"] or -1)
                if stream is not None:
                    stream.stopped_at = trio.current_time()
                reply = {"success": True} if stream is not None else {"error": "failed to stop stream"}
                nursery.start_soon(self._reply, message, reply)
            case "send_text_message":
                nursery.start_soon(self._text, message)
            case "send_image":
                nursery.start_soon(self._image, message)
            case _:
                nursery.start_soon(self._reply, message, {"error": "unknown command"})

    def _hear_packet(self, data: bytes) -> None:
        kind, first, second = struct.unpack_from(">BII", data)
        if kind == 1 and first in self.streams:
            self.streams[first].packets.append((trio.current_time(), data))
        elif kind == 2 and first in self.images:
            self.images[first][1].append((second, data[9:]))
        else:
            self.unknown_packets.append(data)

    async def _reply(self, message: dict[str, Any], reply: dict[str, Any]) -> None:
        if "seq" in message:
            await self.tell(**({"seq": message["seq"]} | reply))

    async def _logon(self, message: dict[str, Any]) -> None:
        cloud = self.cloud
        cloud.logons.append(message)
        cloud.happened()
        if cloud.mute_logon:
            return
        if cloud.logon_errors:
            await self._reply(message, {"error": cloud.logon_errors.pop(0)})
            return
        reply: dict[str, Any] = {"success": True}
        if cloud.refresh_token:
            reply["refresh_token"] = cloud.refresh_token
        channels = message.get("channels") or [message.get("channel")]
        if cloud.status_first:
            for name in channels:
                await self.status(name)
            await self._reply(message, reply)
            return
        await self._reply(message, reply)
        for name in channels:
            await trio.sleep(cloud.channels.get(name, CloudChannel()).after_s)
            await self.status(name)

    async def _start_stream(self, message: dict[str, Any]) -> None:
        cloud = self.cloud
        cloud.starts.append((trio.current_time(), message))
        cloud.happened()
        if cloud.mute_starts:
            cloud.mute_starts -= 1
            return
        await trio.sleep(cloud.start_delay_s)
        if cloud.start_errors:
            await self._reply(message, {"error": cloud.start_errors.pop(0)})
            return
        stream_id = cloud.next_id()
        self.streams[stream_id] = CloudStream(message, trio.current_time())
        cloud.streams[stream_id] = self.streams[stream_id]
        if cloud.stop_at_once:
            cloud.stop_at_once -= 1
            stop = {"command": "on_stream_stop", "stream_id": stream_id}
            reply = {"seq": message["seq"], "success": True, "stream_id": stream_id}
            both = [TextMessage(data=json.dumps(each)) for each in (reply, stop)]
            # In one piece, so that a client reads both before it can do anything.
            await self.stream.send_all(b"".join(self._frames.send(each) for each in both))
            return
        await self._reply(message, {"success": True, "stream_id": stream_id})
        cloud.happened()

    async def _text(self, message: dict[str, Any]) -> None:
        if self.cloud.text_errors:
            await self._reply(message, {"error": self.cloud.text_errors.pop(0)})
            return
        self.cloud.texts.append((trio.current_time(), message))
        await self._reply(message, {"success": True})
        self.cloud.happened()

    async def _image(self, message: dict[str, Any]) -> None:
        if self.cloud.image_errors:
            await self._reply(message, {"error": self.cloud.image_errors.pop(0)})
            return
        image_id = self.cloud.next_id()
        self.images[image_id] = self.cloud.images[image_id] = (message, [])
        await self._reply(message, {"success": True, "image_id": image_id})


class ZelloCloud:
    """The server, and everything that clients did to it.

    channels: by name; one that is not here exists for nobody. http: statuses to answer instead of an upgrade,
    one per connection. The *_errors are given out once each, in order. mute_starts: so many go
    unanswered. stop_at_once: so many streams are stopped in the same breath.
    """

    def __init__(self, *channels: str) -> None:
        self.url = ""
        self.channels = {name: CloudChannel() for name in channels or ("door",)}
        self.refresh_token = ""
        self.status_first = False
        self.mute_logon = False
        self.mute_starts = 0
        self.stop_at_once = 0
        self.start_delay_s = 0.0
        self.http: list[str] = []
        self.logon_errors: list[str] = []
        self.start_errors: list[str] = []
        self.text_errors: list[str] = []
        self.image_errors: list[str] = []
        self.connected_at: list[float] = []
        self.connections: list[CloudConnection] = []
        self.said: list[dict[str, Any]] = []
        self.logons: list[dict[str, Any]] = []
        self.starts: list[tuple[float, dict[str, Any]]] = []
        self.streams: dict[int, CloudStream] = {}
        self.texts: list[tuple[float, dict[str, Any]]] = []
        self.images: dict[int, tuple[dict[str, Any], list[tuple[int, bytes]]]] = {}
        self.greeting: Callable[[CloudConnection], Any] | None = None
        self.id = 22_694
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def now(self) -> CloudConnection:
        """The newest connection."""
        return self.connections[-1]

    def next_id(self) -> int:
        """Ids go up, with gaps: others use the server as well."""
        self.id += 7
        return self.id

    def happened(self) -> None:
        self._changed.unpark_all()

    async def until(self, condition: Callable[[], object], within_s: float = 60.0) -> None:
        """Wait for a condition on what the clients did."""
        with trio.fail_after(within_s):
            step_s = 0.01
            while not condition():
                step_s = min(step_s * 1.5, 1.0)
                with trio.move_on_after(step_s):
                    await self._changed.park()

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.connected_at.append(trio.current_time())
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                received = await stream.receive_some(4096)
                if not received:
                    return
                head += bytes(received)
            if self.http:
                await stream.send_all(f"HTTP/1.1 {self.http.pop(0)}\r\nContent-Length: 0\r\n\r\n".encode())
                return
            lines = head.decode().split("\r\n")
            key = next(line.split(": ")[1] for line in lines if line.lower().startswith("sec-websocket-key"))
            await stream.send_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + generate_accept_token(key.encode()) + b"\r\n\r\n"
            )
            connection = CloudConnection(self, stream)
            self.connections.append(connection)
            self.happened()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.ping_for_ever)
                await connection.read(nursery)
                nursery.cancel_scope.cancel()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if self.connections and self.connections[-1].stream is stream:
                self.connections[-1].over = True
            await trio.aclose_forcefully(stream)
            self.happened()


@asynccontextmanager
async def zello_cloud(*channels: str, ssl_context: ssl.SSLContext | None = None) -> AsyncIterator[ZelloCloud]:
    """A cloud on loopback; `url` tells where."""
    cloud = ZelloCloud(*channels)

    async def serve(stream: trio.SocketStream) -> None:
        if ssl_context is None:
            await cloud._serve(stream)
        else:
            await cloud._serve(trio.SSLStream(stream, ssl_context, server_side=True, https_compatible=True))

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), serve, 0)
        port = listeners[0].socket.getsockname()[1]
        cloud.url = f"{'ws' if ssl_context is None else 'wss'}://127.0.0.1:{port}/ws"
        yield cloud
        nursery.cancel_scope.cancel()
