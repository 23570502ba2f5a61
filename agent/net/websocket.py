"""Websockets as this house speaks them: bounded, kept alive, with our errors, one shared frame for a fan-out.

trio-websocket does the messages. Around it stand our own socket (`stream`), upgrade (`upgrade`) and limits
(`frames`), because its own server lets one handler's exception end all connections, sends no pings, is not
bounded in bytes or fragments, and makes every send a scheduler round.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

import trio
from msgspec import Struct
from trio_websocket import ConnectionClosed, wrap_server_stream

from agent.model.errors import PeerError
from agent.net.admission import Admission
from agent.net.frame_stream import FrameStream
from agent.net.frames import FrameMeter, binary_frame, text_frame
from agent.net.peer import GONE_GRACE_S, STALLED, ClientPeer, Peer
from agent.net.stream import SocketStream, prepare, wrap_tls
from agent.net.upgrade import Refusal, RequestReader, Upgrade
from agent.net.websocket_client import connect_websocket

__all__ = [
    "ClientPeer",
    "Counters",
    "Limits",
    "Peer",
    "binary_frame",
    "connect_websocket",
    "fan_out",
    "serve_websocket",
    "text_frame",
]

TLS_TURN_S = 0.25  # a hundred strangers that stall in theirs delay an honest newcomer by three seconds
FAN_OUT_BATCH = 64

# A disabled debug call still costs, several times per message, and its arguments are peer data.
logging.getLogger("trio-websocket").setLevel(logging.CRITICAL)
logging.getLogger("wsproto").setLevel(logging.CRITICAL)


class Limits(Struct, frozen=True, kw_only=True):
    """The bounds of one websocket server; the defaults suit a door with a few dozen clients.

    max_message_bytes: payload of one inbound message; one byte more is answered with CLOSE 1009.
    max_fragments: frames that one inbound message may come in; one more is answered with CLOSE 1009.
    max_connections, max_per_peer: more are closed at once, before TLS; connections in upgrade count. One IPv6
    /64, of which a stranger has every address, gets half of max_connections.
    max_tls_handshakes: at the same time; others wait within their upgrade_timeout_s.
    upgrade_timeout_s: TLS handshake and HTTP request together.
    outbox_*: what may wait for a peer that does not read; over any of the three it is dropped alone.
    inbound_messages, inbound_stall_s: undelivered messages before we stop reading, and how long we wait for
    the handler then (CLOSE 1008).
    ping_interval_s: a peer that was silent so long is pinged; silence_timeout_s: and then dropped.
    """

    max_message_bytes: int = 65536
    max_fragments: int = 128
    max_connections: int = 256
    max_per_peer: int = 32
    max_tls_handshakes: int = 8
    upgrade_timeout_s: float = 10.0
    close_timeout_s: float = 5.0
    outbox_messages: int = 64
    outbox_bytes: int = 256 * 1024
    outbox_age_s: float = 10.0
    inbound_messages: int = 32
    inbound_stall_s: float = 10.0
    ping_interval_s: float = 20.0
    silence_timeout_s: float = 60.0


class Counters(Struct, kw_only=True):
    """What happened to the connections of one server since its start, for a status page."""

    open: int = 0
    accepted: int = 0
    refused: int = 0
    failed_upgrades: int = 0
    dropped: int = 0
    accept_errors: int = 0


async def serve_websocket(
    handler: Callable[[Peer], Awaitable[None]],
    listeners: Sequence[socket.socket],
    *,
    ssl_context: ssl.SSLContext | None,
    limits: Limits,
    guard: Callable[[str], AbstractAsyncContextManager[None]],
    counters: Counters | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve for ever; owns the listeners (`agent.net.listeners.open_listeners`) and closes them at its end.

    The handler runs inside `guard(f"websocket {address}")`. When it returns, the peer is closed with 1000;
    when the guard caught something, with 1011; when we are cancelled, with 1001.
    A PeerError of a connection that is gone ends the handler quietly and never reaches the guard. A handler
    that is still busy `GONE_GRACE_S` after its connection went is cancelled.
    """
    server = _Server(handler, ssl_context, limits, guard, counters if counters is not None else Counters())
    try:
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(server.accept, listener, nursery)
            nursery.start_soon(server.tend, nursery)
            task_status.started()
    finally:
        for listener in listeners:
            listener.close()


async def fan_out(peers: Iterable[Peer], frame: bytes) -> None:
    """Send one pre-built frame to many peers, with a checkpoint every 64 of them.

    Cancellation: some may have it and others not.
    """
    # A copy: handlers come and go at the checkpoints.
    everyone = tuple(peers)
    for start in range(0, len(everyone), FAN_OUT_BATCH):
        for peer in everyone[start : start + FAN_OUT_BATCH]:
            peer.send(frame)
        await trio.lowlevel.checkpoint()
    if not everyone:
        await trio.lowlevel.checkpoint()


class _Server:
    """The connections of one `serve_websocket`."""

    def __init__(
        self,
        handler: Callable[[Peer], Awaitable[None]],
        ssl_context: ssl.SSLContext | None,
        limits: Limits,
        guard: Callable[[str], AbstractAsyncContextManager[None]],
        counters: Counters,
    ) -> None:
        self._handler = handler
        self._ssl_context = ssl_context
        self._limits = limits
        self._guard = guard
        self._counters = counters
        self._admission = Admission(
            max_connections=limits.max_connections, max_per_peer=limits.max_per_peer, counters=counters
        )
        self._sessions: dict[Peer, trio.CancelScope] = {}
        self._arrival = trio.lowlevel.ParkingLot()
        self._tls_turns = trio.CapacityLimiter(limits.max_tls_handshakes)

    async def accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        """Take connections in, or turn them away while that is still cheap."""
        await self._admission.accept(listener, nursery, self._connection)

    async def tend(self, nursery: trio.Nursery) -> None:
        """Keep connections alive and end dead ones; one task for all of them."""
        limits = self._limits
        # So nothing that falls due is late by more than a quarter of itself.
        round_s = (
            min(limits.ping_interval_s, limits.silence_timeout_s, limits.inbound_stall_s, GONE_GRACE_S) / 4
        )
        while True:
            while not self._sessions:
                await self._arrival.park()
            await trio.sleep(round_s)
            for peer, scope in list(self._sessions.items()):
                if peer.gone_for_s() > GONE_GRACE_S:
                    scope.cancel()
                elif peer.tend(
                    ping_interval_s=limits.ping_interval_s,
                    silence_timeout_s=limits.silence_timeout_s,
                    stall_s=limits.inbound_stall_s,
                ):
                    nursery.start_soon(peer.close, 1008, STALLED)

    async def _connection(self, sock: socket.socket, address: str, port: int) -> None:
        name = f"websocket {address}"
        async with self._guard(name):
            await self._admit(sock, address, port, name)

    async def _admit(self, sock: socket.socket, address: str, port: int, name: str) -> None:
        limits = self._limits
        try:
            prepare(sock)
            if self._ssl_context is not None:
                sock = wrap_tls(sock, self._ssl_context)
        except OSError:
            # It went away in the backlog.
            self._counters.failed_upgrades += 1
            await trio.lowlevel.checkpoint()
            return
        wire = SocketStream(
            sock,
            outbox_messages=limits.outbox_messages,
            outbox_bytes=limits.outbox_bytes,
            outbox_age_s=limits.outbox_age_s,
        )
        try:
            upgrade: Upgrade | None = None
            with trio.move_on_after(limits.upgrade_timeout_s):
                upgrade = await self._upgrade(wire)
            if upgrade is None:
                self._counters.failed_upgrades += 1
                return
            await self._session(wire, upgrade, address, port, name)
        finally:
            wire.close_now()

    async def _upgrade(self, wire: SocketStream) -> Upgrade | None:
        """The request, or None when there is none that we can serve; the peer has its answer then."""
        reader = RequestReader()
        try:
            if self._ssl_context is not None:
                # Neither silence nor half a hello may keep the others from their turn.
                await wire.wait_readable()
                async with self._tls_turns:
                    with trio.move_on_after(TLS_TURN_S):
                        await wire.do_handshake()
                await wire.do_handshake()
            outcome = None
            while outcome is None:
                data = await wire.receive_some()
                if not data:
                    return None
                outcome = reader.feed(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None
        if isinstance(outcome, Refusal):
            wire.write(outcome.response)
            await wire.finish()
            return None
        return outcome

    async def _session(
        self, wire: SocketStream, upgrade: Upgrade, address: str, port: int, name: str
    ) -> None:
        limits = self._limits
        meter = FrameMeter(max_message_bytes=limits.max_message_bytes, max_fragments=limits.max_fragments)
        frames = FrameStream(wire, meter, key=upgrade.key, trailing=upgrade.trailing)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.write_pending)
            request = await wrap_server_stream(
                nursery,
                frames,
                message_queue_size=limits.inbound_messages,
                max_message_size=limits.max_message_bytes,
            )
            try:
                ws = await request.accept()
            except ConnectionClosed:
                nursery.cancel_scope.cancel()
                return
            frames.opened(ws)
            peer = Peer(
                ws,
                frames,
                address=address,
                port=port,
                path=upgrade.path,
                close_timeout_s=limits.close_timeout_s,
                drain_s=limits.outbox_age_s,
            )
            self._counters.accepted += 1
            try:
                healthy = await self._handle(peer, name)
                if peer.aborted:
                    self._counters.dropped += 1
                await peer.close(1000 if healthy else 1011)
            finally:
                peer.leave(1001)
            nursery.cancel_scope.cancel()

    async def _handle(self, peer: Peer, name: str) -> bool:
        """False when the guard had something to catch."""
        healthy = False
        with trio.CancelScope() as scope:
            self._sessions[peer] = scope
            self._arrival.unpark_all()
            try:
                async with self._guard(name):
                    try:
                        await self._handler(peer)
                    except PeerError:
                        # It may also be another connection's, of which the guard shall hear.
                        if not peer.closed:
                            raise
                    healthy = True
            finally:
                del self._sessions[peer]
        return healthy
