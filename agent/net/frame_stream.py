"""What stands between trio-websocket and the socket: the limits, the order of frames, and the last word."""

from __future__ import annotations

import trio
from trio_websocket import WebSocketConnection

from agent.net.frames import PING, FrameMeter, close_frame, is_close, masked_ping
from agent.net.stream import LINGER_S, SocketStream
from agent.net.upgrade import RequestReader, Upgrade, bare_request, bare_response

_BREACHES = (1002, 1007)


class FrameStream(trio.abc.Stream):
    """What trio-websocket reads and writes instead of the socket.

    The real upgrade is over before this exists; trio-websocket is led through one in memory, so that it never
    sees a stranger's HTTP. Afterwards incoming frames are metered and outgoing ones go through the outbox.
    Nothing is written behind a CLOSE, whoever tries: trio-websocket answers pings without looking.

    key: the client's Sec-WebSocket-Key on a server, None on a client. trailing: bytes behind the upgrade.
    """

    __slots__ = (
        "_ended",
        "_head",
        "_meter",
        "_opened",
        "_trailing",
        "busy_since",
        "close_sent",
        "is_client",
        "reason",
        "wire",
        "ws",
    )

    def __init__(self, wire: SocketStream, meter: FrameMeter, *, key: bytes | None, trailing: bytes) -> None:
        self.wire = wire
        self.ws: WebSocketConnection | None = None
        self.is_client = key is None
        self._meter = meter
        self._head = bare_request(key) if key is not None else b""
        self._trailing = trailing
        # wsproto loses what a client sends before it is accepted, so that has to wait.
        self._opened = trio.Event() if key is not None else None
        self._ended = False
        self.close_sent = False
        self.reason = ""
        self.busy_since: float | None = None

    @property
    def close_seen(self) -> bool:
        """Whether the peer has sent its CLOSE."""
        return self._meter.close_seen

    @property
    def breach(self) -> tuple[int, str] | None:
        """Code and reason when the peer broke the protocol: trio-websocket notices, but does not tell it."""
        closed = self.ws.closed if self.ws is not None else None
        # What wsproto objects to gets these two; a peer's own CLOSE with one of them is answered by now.
        if closed is None or self.close_sent or closed.code not in _BREACHES:
            return None
        return closed.code, closed.reason or ""

    def limit_messages(self, max_bytes: int) -> None:
        """Refuse larger messages from the next frame on."""
        self._meter.max_message_bytes = max_bytes

    def opened(self, ws: WebSocketConnection) -> None:
        """Let the frames in, now that trio-websocket thinks itself connected."""
        self.ws = ws
        if self._opened is not None:
            self._opened.set()
            self._opened = None

    def end(self, code: int, reason: str, *, empty: bool = False) -> None:
        """Write a CLOSE behind what waits, once, and remember why."""
        if self.close_sent or self.wire.closed:
            return
        self.close_sent = True
        self.reason = f"closed by us with {code}" + (f": {reason}" if reason else "")
        self.wire.write(close_frame(code, reason, empty=empty, masked=self.is_client))

    def ping(self) -> None:
        """Write an empty PING."""
        if not self.close_sent:
            self.wire.write(masked_ping() if self.is_client else PING)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Bytes of frames within the limits; b"" when there will be no more."""
        if self._head:
            head, self._head = self._head, b""
            await trio.lowlevel.checkpoint()
            return head
        if self._opened is not None:
            await self._opened.wait()
        # After a breach wsproto parses no more but would keep every byte.
        if self._ended or self.breach is not None:
            await trio.lowlevel.checkpoint()
            return b""
        self.busy_since = None
        if self._trailing:
            data, self._trailing = self._trailing, b""
            await trio.lowlevel.checkpoint()
        else:
            data = await self.wire.receive_some(max_bytes)
        self.busy_since = trio.current_time()
        if not data and not self.close_seen:
            self.wire.reason = self.wire.reason or "connection ended without a CLOSE"
        excess = self._meter.feed(data)
        if excess is None:
            return data
        self._ended = True
        self.end(excess.code, excess.reason)
        return data[: excess.offset]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write one whole frame (trio-websocket never sends less), or swallow the client's request."""
        frame = bytes(data)
        if self.is_client and self.ws is None and not self._head:
            upgrade = RequestReader().feed(frame)
            assert isinstance(upgrade, Upgrade)
            self._head = bare_response(upgrade.key)
        elif not self.close_sent:
            if self.ws is not None:
                self.close_sent = is_close(frame)
            self.wire.write(frame)
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until nothing waits in the outbox."""
        await self.wire.drain()

    async def aclose(self) -> None:
        """Say why, when nobody has, and close; the peer gets a moment to read it."""
        breach = self.breach
        if breach is not None:
            self.end(*breach)
        await self.wire.finish(0 if self.close_seen and breach is None else LINGER_S)
