"""Event servers as others built them, with their quirks: what our client meets in the field.

`EventServer` behaves like server 6.1.29 or like a 7.0.x ("Ng"): it never answers a PING, does not close after
BADAUTH but grows deaf at the next tick, adds a layer of UTF-8 to every name, and lets `End:` pile up over its
listeners. It is an imitation by description and observation; no line of it comes from the servers.

It speaks over a `Wire`: a real socket (`listening`), or memory (`MemoryPeer`) for tests with a mock clock.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, generate_accept_token

from agent.model.errors import PeerError

Brand = Literal["6.1.29", "7.0.24"]


class Gone(Exception):
    """The client is no longer there."""


class Wire(Protocol):
    """One upgraded connection, seen by a server."""

    async def receive(self) -> str:
        """The next text message. Raises: Gone."""

    async def send(self, text: str) -> None: ...
    async def ping(self) -> None: ...

    async def close(self, code: int | None) -> None:
        """CLOSE with a code, with an empty payload, or (`eof`) not at all."""

    async def eof(self) -> None: ...


class SocketWire:
    """A websocket on a real stream, with access to the bytes below it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.pings_received = 0
        self.closed_with: int | None = None
        self.headers = ""
        self._frames = Connection(ConnectionType.SERVER)
        self._waiting: list[str] = []
        self._partial = ""

    async def upgrade(self) -> None:
        """Answer the HTTP request as 6.1.29 does."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += await self._read()
            if not head.startswith(b"G"):
                raise Gone
        self.headers = head.decode("latin-1")
        key = next(
            line.split(":", 1)[1].strip()
            for line in self.headers.split("\r\n")
            if line.lower().startswith("sec-websocket-key:")
        )
        await self.raw(
            b"HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + generate_accept_token(key.encode()) + b"\r\n\r\n"
        )

    async def receive(self) -> str:
        while not self._waiting:
            self._frames.receive_data(await self._read())
            for event in self._frames.events():
                self._take(event)
        return self._waiting.pop(0)

    async def send(self, text: str) -> None:
        try:
            frame = self._frames.send(Message(data=text))
        except LocalProtocolError as error:  # its CLOSE was read a moment ago
            raise Gone from error
        await self.raw(frame)

    async def ping(self) -> None:
        await self.raw(self._frames.send(Ping()))

    async def close(self, code: int | None) -> None:
        try:
            frame = b"\x88\x00" if code is None else self._frames.send(CloseConnection(code=code))
        except LocalProtocolError:
            return
        await self.raw(frame)
        await self.eof()

    async def eof(self) -> None:
        await trio.aclose_forcefully(self.stream)

    async def raw(self, data: bytes) -> None:
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Gone from error

    async def _read(self) -> bytes:
        try:
            data = await self.stream.receive_some(65536)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Gone from error
        if not data:
            raise Gone
        return bytes(data)

    def _take(self, event: object) -> None:
        match event:
            case TextMessage(data=data, message_finished=finished):
                self._partial += data
                if finished:
                    self._waiting.append(self._partial)
                    self._partial = ""
            case Ping():
                self.pings_received += 1
            case CloseConnection(code=code):
                self.closed_with = int(code)
                raise Gone
            case Pong():
                pass
            case _:
                raise AssertionError(f"unexpected {event!r}")


class MemoryPeer:
    """Both ends of a connection that exists in memory alone: a Wire for the server, and what
    `connect_websocket` gives to the client. Control frames do not show at the client's end."""

    def __init__(self) -> None:
        self._to_client, self._at_client = trio.open_memory_channel[str | bytes](64)
        self._to_server, self._at_server = trio.open_memory_channel[str](64)
        self.reason = ""
        self.stalled = False
        self.left = False

    async def send(self, text: str | bytes) -> None:
        try:
            await self._to_client.send(text)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Gone from error

    async def ping(self) -> None:
        await trio.lowlevel.checkpoint()

    async def close(self, code: int | None) -> None:
        self.reason = f"closed by the peer with {1005 if code is None else code}"
        self._to_client.close()
        await trio.lowlevel.checkpoint()

    async def eof(self) -> None:
        self.reason = "closed by the peer with 1006"
        self._to_client.close()
        await trio.lowlevel.checkpoint()

    async def receive(self) -> str:
        try:
            return await self._at_server.receive()
        except trio.EndOfChannel as error:
            raise Gone from error

    async def send_text(self, text: str) -> None:
        """The client's side; with `stalled` nothing is taken any more."""
        if self.stalled:
            with trio.move_on_after(10):
                await trio.sleep_forever()
            raise PeerError("the peer did not take a message within 10 s")
        await self._to_server.send(text)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[ClientEnd]:
        try:
            yield ClientEnd(self)
        finally:
            self.left = True
            self._to_server.close()
            self._at_client.close()


class ClientEnd:
    """The client's view of a MemoryPeer."""

    def __init__(self, peer: MemoryPeer) -> None:
        self._peer = peer

    async def send_text(self, text: str) -> None:
        await self._peer.send_text(text)

    async def receive(self) -> str | bytes:
        try:
            return await self._peer._at_client.receive()
        except trio.EndOfChannel as error:
            raise PeerError(self._peer.reason) from error


class _Entry:
    """A connection in the server's list."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.state: Literal["pending", "valid", "deleted", "forgotten"] = "pending"
        self.heard_at = trio.current_time()
        self.monitors = ""
        self.lists: tuple[str, str] | None = None


class EventServer:
    """Serves any number of wires as one server.

    tick_s: period of its job. silent: it never answers anything. numeric_ids, picture: as newer ones do.
    """

    def __init__(
        self,
        brand: Brand = "6.1.29",
        *,
        user: str = "admin",
        password: str = "fontanería",
        tick_s: float = 5.0,
        numeric_ids: bool = False,
        picture: bool = False,
    ) -> None:
        self.brand = brand
        self.tick_s = tick_s
        self.silent = False
        self.received: list[dict[str, Any]] = []
        self.connections = 0
        self.filters: list[tuple[str, str]] = []
        self._user = user
        self._password = password
        self._numeric_ids = numeric_ids
        self._picture = picture
        self._entries: list[_Entry] = []
        self._changed = trio.lowlevel.ParkingLot()

    async def serve(self, wire: Wire) -> None:
        """One connection until it ends."""
        entry = _Entry(wire)
        self._entries.append(entry)
        self.connections += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ticks, entry, nursery.cancel_scope)
                while True:
                    text = await wire.receive()
                    entry.heard_at = trio.current_time()
                    if not self.silent:
                        await self._hear(entry, text)
                    self._changed.unpark_all()
        except* Gone:
            pass
        finally:
            self._entries.remove(entry)
            self._changed.unpark_all()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait for something that a message or the end of a connection brings about."""
        while not met():
            await self._changed.park()

    @property
    def listeners(self) -> int:
        """How many would get an alarm."""
        return sum(entry.state == "valid" for entry in self._entries)

    async def alarm(
        self, monitor: int, event: int, name: str, cause: str, *, ended: bool = False, times: int = 1
    ) -> None:
        """Send an alarm to whom it concerns; the n-th listener gets the `End:` n times."""
        for _ in range(times):
            prefix = ""
            for entry in list(self._entries):
                if entry.state != "valid" or not self._concerns(entry, monitor):
                    continue
                prefix += "End:" if ended else ""
                await entry.wire.send(self._alarm(monitor, event, name, prefix + cause))

    async def restart(self) -> None:
        for entry in list(self._entries):
            await entry.wire.close(1001)

    async def die(self) -> None:
        for entry in list(self._entries):
            await entry.wire.eof()

    def _concerns(self, entry: _Entry, monitor: int) -> bool:
        return entry.monitors in ("", "-1", "0") or str(monitor) in entry.monitors.split(",")

    def _alarm(self, monitor: int, event: int, name: str, cause: str) -> str:
        item: dict[str, Any] = {
            "Cause": mojibake(mojibake(cause)),
            "DetectionJson": [],
            "EventId": event if self._numeric_ids else str(event),
            "MonitorId": monitor if self._numeric_ids else str(monitor),
            "Name": mojibake(name),
            "RulesObject": {},
        }
        if self._picture:
            item["Picture"] = f"https://zm.example/zm/index.php?view=image&eid={event}"
        frame = {"events": [item], "status": "Success", "event": "alarm", "type": ""}
        return json.dumps(frame, ensure_ascii=False)

    async def _ticks(self, entry: _Entry, scope: trio.CancelScope) -> None:
        born = trio.current_time()
        while True:
            await trio.sleep(self.tick_s)
            now = trio.current_time()
            if entry.state == "pending" and now - born > 20:
                await entry.wire.send(_fail("auth", "", "NOAUTH"))
                await entry.wire.close(None)
                scope.cancel()
            if entry.state == "deleted":
                entry.state = "forgotten"
            if now - entry.heard_at > 10:
                await entry.wire.ping()

    async def _hear(self, entry: _Entry, text: str) -> None:
        if not text.isascii():
            await entry.wire.send(_fail("malformed", "", "BADJSON"))
            return
        message = json.loads(text)
        self.received.append(message)
        if entry.state == "forgotten":
            return
        data = message.get("data", {})
        match message.get("event"), data.get("type"):
            case "auth", _:
                await self._authenticate(entry, data)
            case "control", "version":
                reply = {"event": "control", "type": "version", "reason": "", "version": self.brand}
                await entry.wire.send(json.dumps(reply | {"status": "Success"}))
            case "control", "filter":
                if "monlist" not in data:
                    await entry.wire.send(_fail("control", "filter", "MISSINGMONITORLIST"))
                elif "intlist" not in data:
                    await entry.wire.send(_fail("control", "filter", "MISSINGINTERVALLIST"))
                else:
                    entry.monitors = data["monlist"]
                    self.filters.append((data["monlist"], data["intlist"]))
            case event, _ if self.brand != "6.1.29":
                await entry.wire.send(_fail(event, "", "NOTSUPPORTED"))

    async def _authenticate(self, entry: _Entry, data: dict[str, Any]) -> None:
        if (data.get("user"), data.get("password")) == (self._user, self._password):
            entry.state = "valid"
            reply = {"event": "auth", "type": "", "status": "Success", "reason": "", "version": self.brand}
            await entry.wire.send(json.dumps(reply))
        else:
            entry.state = "deleted"
            await entry.wire.send(_fail("auth", "", "BADAUTH"))


def mojibake(text: str) -> str:
    """The text with one more layer of UTF-8."""
    return text.encode().decode("latin-1")


@asynccontextmanager
async def listening(
    behave: Callable[[SocketWire], Awaitable[None]], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Run `behave` for every websocket that connects; the value is the URL to connect to."""

    async def handle(stream: trio.abc.Stream) -> None:
        wire = SocketWire(stream)
        try:
            await wire.upgrade()
            await behave(wire)
        except Gone:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        bound = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = bound[0].socket.getsockname()[1]
        listeners: list[trio.abc.Listener[Any]] = list(bound)
        if tls is not None:
            listeners = [trio.SSLListener(listener, tls) for listener in bound]
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield f"{'ws' if tls is None else 'wss'}://127.0.0.1:{port}/"
        nursery.cancel_scope.cancel()


def _fail(event: Any, kind: str, reason: str) -> str:
    return json.dumps({"event": event, "type": kind, "status": "Fail", "reason": reason})
