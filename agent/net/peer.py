"""One websocket connection, from either side, as the workers see it."""

from __future__ import annotations

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from agent.model.errors import PeerError
from agent.net.frame_stream import FrameStream
from agent.net.stream import LINGER_S

GONE_GRACE_S = 5.0
STALLED = "messages come faster than they are handled"
_REASON_CHARS = 80


class Connection:
    """What both ends of a websocket share. Owned by the function that opened it.

    address, port: of the other side; IPv4 in its plain form, also over a dual-stack listener.
    path: the requested path with its query, as sent.
    """

    __slots__ = (
        "__weakref__",
        "_close_timeout_s",
        "_drain_s",
        "_frames",
        "_pinged_at",
        "_wire",
        "_ws",
        "address",
        "path",
        "port",
    )

    def __init__(
        self,
        ws: WebSocketConnection,
        frames: FrameStream,
        *,
        address: str,
        port: int,
        path: str,
        close_timeout_s: float,
        drain_s: float,
    ) -> None:
        self.address = address
        self.port = port
        self.path = path
        self._ws = ws
        self._frames = frames
        self._wire = frames.wire
        self._close_timeout_s = close_timeout_s
        self._drain_s = drain_s
        self._pinged_at = 0.0

    @property
    def closed(self) -> bool:
        """True once nothing can be sent any more."""
        return self._frames.close_sent or self._wire.closed or self._ws.closed is not None

    @property
    def aborted(self) -> bool:
        """True when we gave the peer up because it was silent or did not read."""
        return self._wire.aborted

    @property
    def reason(self) -> str:
        """Why it is closed, in words; empty while it is open."""
        if self._frames.reason:
            return self._frames.reason
        if self._frames.breach is not None:
            code, text = self._frames.breach
            return f"closed by us with {code}: {text[:_REASON_CHARS]}"
        if self._frames.close_seen and (ended := self._ws.closed) is not None:
            said = f": {ended.reason[:_REASON_CHARS]!r}" if ended.reason else ""
            return f"closed by the peer with {ended.code}{said}"
        return self._wire.reason or ("connection lost" if self.closed else "")

    @property
    def close_code(self) -> int | None:
        """The code of the peer's CLOSE (1005 when it had none); None when it ended in another way."""
        if self._frames.reason or self._frames.breach is not None or not self._frames.close_seen:
            return None
        ended = self._ws.closed
        return ended.code if ended is not None else None

    @property
    def pending_messages(self) -> int:
        """How many messages wait in the outbox: 0 for a peer that reads."""
        return self._wire.pending_messages

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait in the outbox."""
        return self._wire.pending_bytes

    @property
    def pending_s(self) -> float:
        """For how long the oldest message has been waiting in the outbox; 0 when none does."""
        return self._wire.pending_s

    def limit_messages(self, max_bytes: int) -> None:
        """From now on refuse larger inbound messages (1009): less than the server's limit, or that again."""
        self._frames.limit_messages(max_bytes)

    async def receive(self) -> str | bytes:
        """The next whole message: text as str, binary as bytes.

        Messages that arrived before the peer's CLOSE are still given out; after our own they are not.
        Raises: PeerError when the connection is gone, whoever ended it; `reason` then says why.
        """
        try:
            message = await self._ws.get_message()
        except ConnectionClosed as error:
            raise PeerError(self.reason, close_code=self.close_code) from error
        if self._frames.reason:
            raise PeerError(self.reason)
        return message

    async def drain(self) -> None:
        """Wait, for a bounded time, until what was sent has left the outbox or the connection is closed."""
        with trio.move_on_after(self._drain_s):
            await self._wire.drain()

    async def close(self, code: int = 1000, reason: str = "", *, empty: bool = False) -> None:
        """Send CLOSE behind what waits, and wait a bounded time for the answer; idempotent, never raises.

        empty: the CLOSE has no payload (the peer sees 1005).
        Cancellation: the CLOSE is under way, the socket is left to the owner of the connection.
        """
        if self._frames.breach is not None:
            self._frames.end(*self._frames.breach)
        elif not self.closed:
            self._frames.end(code, reason, empty=empty)
        await self._settle()

    def leave(self, code: int) -> None:
        """Send CLOSE if that needs no waiting, and close: for the way out under cancellation."""
        if not self.closed and not self._wire.pending_messages:
            self._frames.end(code, "")
        self._wire.close_now()

    def tend(self, *, ping_interval_s: float, silence_timeout_s: float, stall_s: float) -> bool:
        """Ping or drop a silent peer. True: undelivered messages have stood still for `stall_s`."""
        now = trio.current_time()
        if self._wire.closed:
            return False
        quiet_s = now - self._wire.last_received
        busy_since = self._frames.busy_since
        if busy_since is not None and now - busy_since >= stall_s and self._ws.closed is None:
            return not self._frames.close_sent
        if quiet_s >= silence_timeout_s:
            self._wire.abort(f"silent for {silence_timeout_s:g} s")
        elif quiet_s >= ping_interval_s and now - self._pinged_at >= ping_interval_s:
            self._pinged_at = now
            self._frames.ping()
        return False

    def gone_for_s(self) -> float:
        """Seconds since the socket was closed; 0 while it is open."""
        return trio.current_time() - self._wire.closed_at if self._wire.closed else 0.0

    async def _settle(self) -> None:
        with trio.move_on_after(self._close_timeout_s):
            await self._wire.drain()
            try:
                # The reader must not stand still on a full queue now: the peer's CLOSE is behind it.
                while True:
                    await self._ws.get_message()
            except ConnectionClosed:
                pass
            await self._wire.finish(0 if self._frames.close_seen else LINGER_S)
        self._wire.close_now()


class Peer(Connection):
    """One upgraded connection, given to the handler of a server."""

    __slots__ = ()

    def send(self, frame: bytes) -> None:
        """Give a pre-built frame to the peer without ever waiting.

        One non-blocking send; what the kernel does not take waits in the bounded outbox, in order. Over the
        bound this peer is dropped alone. Does nothing when closed; never raises.
        """
        if not self._frames.close_sent:
            self._wire.write(frame)


class ClientPeer(Connection):
    """A connection that we opened: what a client sends is masked, so there is no shared frame."""

    __slots__ = ()

    async def send_text(self, text: str) -> None:
        """Send one text message and wait until it is on the wire.

        Raises: PeerError when the connection is gone or, and then it is dropped, takes too long.
        Cancellation: the message may still be sent.
        """
        await self._send(text)

    async def send_binary(self, data: bytes) -> None:
        """As `send_text`, for a binary message."""
        await self._send(data)

    async def _send(self, message: str | bytes) -> None:
        if self.closed:
            await trio.lowlevel.checkpoint()
            raise PeerError(self.reason, close_code=self.close_code)
        try:
            with trio.fail_after(self._drain_s):
                await self._ws.send_message(message)
                await self._wire.drain()
        except ConnectionClosed as error:
            raise PeerError(self.reason, close_code=self.close_code) from error
        except trio.TooSlowError as error:
            self._wire.abort(f"did not take a message for {self._drain_s:g} s")
            raise PeerError(self.reason) from error
        if self._wire.closed:
            raise PeerError(self.reason)
