"""A websocket server of ours on loopback, and a client that can send it any bytes at all."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trustme
from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, Pong, TextMessage
from wsproto.frame_protocol import FrameProtocol

from agent.net.listeners import address_of, open_listeners
from agent.net.websocket import Counters, Limits, Peer, serve_websocket, text_frame

REQUEST = (
    b"GET /door?x=1 HTTP/1.1\r\nHost: door\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
PATIENCE_S = 10.0


@dataclass
class Certificates:
    """A throw-away authority and contexts for both ends."""

    authority: trustme.CA = field(default_factory=trustme.CA)

    def server(self) -> ssl.SSLContext:
        """For localhost and 127.0.0.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost").configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        """One that trusts the server."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@dataclass
class Guarded:
    """A guard that keeps what it swallowed."""

    caught: list[Exception] = field(default_factory=list)

    @asynccontextmanager
    async def __call__(self, name: str) -> AsyncIterator[None]:
        """Swallow and remember every Exception."""
        try:
            yield
        except Exception as error:
            self.caught.append(error)


@dataclass
class Served:
    """A running server and what is to be known of it."""

    port: int
    guard: Guarded
    counters: Counters
    peers: list[Peer]
    client_context: ssl.SSLContext | None

    @property
    def url(self) -> str:
        """Where clients of ours connect."""
        return f"{'wss' if self.client_context else 'ws'}://localhost:{self.port}/door?x=1"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the server does on its own."""
        with trio.fail_after(PATIENCE_S):
            while not condition():
                await trio.sleep(0.005)


async def echo(peer: Peer) -> None:
    """Send every text message back; end on "end", fail on "fail"."""
    while True:
        message = await peer.receive()
        if message == "end":
            return
        if message == "fail":
            raise ZeroDivisionError("a bug in a handler")
        if isinstance(message, str):
            peer.send(text_frame(message.encode()))


@asynccontextmanager
async def served(
    handler: Callable[[Peer], Awaitable[None]] = echo,
    *,
    certificates: Certificates | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Served]:
    """Our server with a handler; whatever the guard caught is asserted to be expected by the test."""
    listeners = open_listeners("127.0.0.1", 0)
    result = Served(
        port=address_of(listeners)[1],
        guard=Guarded(),
        counters=Counters(),
        peers=[],
        client_context=certificates.client() if certificates else None,
    )

    async def keep(peer: Peer) -> None:
        result.peers.append(peer)
        try:
            await handler(peer)
        finally:
            result.peers.remove(peer)

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await serve_websocket(
            keep,
            listeners,
            ssl_context=certificates.server() if certificates else None,
            limits=limits or Limits(),
            guard=result.guard,
            counters=result.counters,
            task_status=task_status,
        )

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield result
        nursery.cancel_scope.cancel()


class RawClient:
    """Bytes to and from a server; frames are read by wsproto."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self.frames = Connection(ConnectionType.CLIENT)
        self.head = b""
        self._events: list[Event] = []

    @property
    def socket(self) -> trio.socket.SocketType:
        """The TCP socket below."""
        stream = self.stream
        return stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket

    async def send(self, data: bytes) -> None:
        """Send any bytes."""
        with trio.fail_after(PATIENCE_S):
            await self.stream.send_all(data)

    async def upgrade(self, *, extra: bytes = b"", behind: bytes = b"") -> None:
        """Ask for a websocket and check the answer. extra: headers; behind: bytes in the same segment."""
        await self.send(REQUEST + extra + b"\r\n" + behind)
        await self.read_head()
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head
        assert ACCEPT in self.head

    async def read_head(self) -> bytes:
        """The HTTP answer; what follows it stays for `event`."""
        with trio.fail_after(PATIENCE_S):
            while b"\r\n\r\n" not in self.head:
                data = await self.stream.receive_some()
                if not data:
                    return self.head
                self.head += data
        self.head, _, rest = bytes(self.head).partition(b"\r\n\r\n")
        self.frames.receive_data(rest)
        return self.head

    async def text(self, text: str) -> None:
        """Send one masked text message."""
        await self.send(self.frames.send(TextMessage(data=text)))

    async def event(self) -> Event | None:
        """The next message, ping, pong or close; None at the end of the stream."""
        with trio.fail_after(PATIENCE_S):
            while True:
                if not self._events:
                    self._events = list(self.frames.events())
                if self._events:
                    return self._events.pop(0)
                data = await self.stream.receive_some()
                if not data:
                    return None
                self.frames.receive_data(bytes(data))

    async def message(self) -> str | bytes:
        """The next whole message; pings are passed over, anything else fails the test."""
        parts: list[str | bytes] = []
        while True:
            event = await self.event()
            if isinstance(event, Ping | Pong):
                continue
            assert isinstance(event, TextMessage | BytesMessage), event
            parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
            if event.message_finished:
                return parts[0] if len(parts) == 1 else "".join(str(part) for part in parts)

    async def closed(self) -> CloseConnection:
        """The CLOSE, answered, and the end of the stream behind it."""
        while not isinstance(event := await self.event(), CloseConnection):
            assert isinstance(event, Ping | Pong | Message), event
        if self.frames.state is ConnectionState.REMOTE_CLOSING:
            try:
                await self.send(self.frames.send(event.response()))
            except trio.BrokenResourceError:
                return event
        await self.ended()
        return event

    async def ended(self) -> None:
        """Nothing more comes but the end, clean or not."""
        with trio.fail_after(PATIENCE_S):
            try:
                while await self.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass

    async def quit(self) -> None:
        """Close the socket without a word."""
        await trio.aclose_forcefully(self.stream)


@asynccontextmanager
async def raw_client(
    server: Served, *, upgrade: bool = True, receive_buffer_bytes: int = 0
) -> AsyncIterator[RawClient]:
    """Connected, with TLS where the server has it, and upgraded unless told otherwise."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    await sock.connect(("127.0.0.1", server.port))
    stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    stream = plain = trio.SocketStream(sock)
    if server.client_context is not None:
        stream = trio.SSLStream(
            plain, server.client_context, server_hostname="localhost", https_compatible=True
        )
    client = RawClient(stream)
    try:
        if upgrade:
            await client.upgrade()
        yield client
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await client.quit()


def masked(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
    """A client frame with any opcode and reserved bits, mask 0."""
    size = len(payload)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of every frame a server sent, by wsproto; fails on what is not a whole frame."""
    frames = FrameProtocol(True, [])
    frames.receive_bytes(data)
    found: list[tuple[int, bytes]] = []
    for frame in frames.received_frames():
        payload = frame.payload
        assert not isinstance(payload, tuple)
        found.append((int(frame.opcode), payload.encode() if isinstance(payload, str) else bytes(payload)))
    return found
