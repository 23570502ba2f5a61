"""Outgoing websocket connections: dialled, verified and kept alive within deadlines, with our errors."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import cast
from urllib.parse import urlsplit

import trio
from trio_websocket import wrap_client_stream

from agent.model.errors import MalformedMessage, PeerError
from agent.net.frame_stream import FrameStream
from agent.net.frames import FrameMeter
from agent.net.peer import STALLED, ClientPeer
from agent.net.stream import SocketStream, prepare, wrap_tls
from agent.net.upgrade import ClientUpgrade, Response

OUTBOX_MESSAGES = 64
OUTBOX_BYTES = 1024 * 1024
MAX_FRAGMENTS = 1024
INBOUND_MESSAGES = 32
INBOUND_STALL_S = 10.0


def connect_websocket(
    url: str,
    *,
    ssl_context: ssl.SSLContext | None = None,
    headers: Sequence[tuple[str, str]] = (),
    max_message_bytes: int = 1024 * 1024,
    connect_timeout_s: float = 20.0,
    send_timeout_s: float = 10.0,
    close_timeout_s: float = 5.0,
    ping_interval_s: float = 20.0,
    silence_timeout_s: float = 60.0,
) -> AbstractAsyncContextManager[ClientPeer]:
    """A kept-alive client connection as an async context manager; closes on exit.

    ssl_context: for wss; None trusts the system's authorities (and costs 40 ms, so keep one).
    connect_timeout_s: name, TCP, TLS and HTTP together.
    send_timeout_s: for one message to be on the wire; over it the connection is dropped.
    Raises: ValueError here for a URL or header that cannot be; PeerError on entry (name, refused, TLS,
    timeout, HTTP status) and from `receive` and `send_text`.
    """
    return _Client(
        url,
        ssl_context,
        tuple(headers),
        connect_timeout_s=connect_timeout_s,
        send_timeout_s=send_timeout_s,
        close_timeout_s=close_timeout_s,
        max_message_bytes=max_message_bytes,
        ping_interval_s=ping_interval_s,
        silence_timeout_s=silence_timeout_s,
    )


class _Client(AbstractAsyncContextManager[ClientPeer]):
    """One outgoing connection; opens and owns the nursery of its reader, writer and keep-alive."""

    def __init__(
        self,
        url: str,
        ssl_context: ssl.SSLContext | None,
        headers: tuple[tuple[str, str], ...],
        *,
        connect_timeout_s: float,
        send_timeout_s: float,
        close_timeout_s: float,
        max_message_bytes: int,
        ping_interval_s: float,
        silence_timeout_s: float,
    ) -> None:
        parts = urlsplit(url)
        # The URL is not repeated here: people put passwords and keys into them.
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError("expected a URL like ws://host:port/path or wss://…")
        if parts.username is not None:
            raise ValueError("expected a URL without user and password")
        self._host = parts.hostname
        self._is_tls = parts.scheme == "wss"
        self._port = parts.port or (443 if self._is_tls else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._upgrade = ClientUpgrade(host=parts.netloc, path=self._path, headers=headers)
        self._ssl_context = ssl_context
        self._connect_timeout_s = connect_timeout_s
        self._send_timeout_s = send_timeout_s
        self._close_timeout_s = close_timeout_s
        self._max_message_bytes = max_message_bytes
        self._ping_interval_s = ping_interval_s
        self._silence_timeout_s = silence_timeout_s
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> ClientPeer:
        where = f"{self._host} port {self._port}"
        async with AsyncExitStack() as stack:
            try:
                with trio.fail_after(self._connect_timeout_s):
                    wire = await self._dial()
                    stack.callback(wire.close_now)
                    trailing = await self._ask(wire)
            except trio.TooSlowError as error:
                raise PeerError(f"{where}: no answer within {self._connect_timeout_s:g} s") from error
            except MalformedMessage as error:
                raise PeerError(f"{where}: does not speak websocket: {error.reason}") from error
            except (OSError, UnicodeError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise PeerError(f"{where}: {_words(error)}") from error
            meter = FrameMeter(max_message_bytes=self._max_message_bytes, max_fragments=MAX_FRAGMENTS)
            frames = FrameStream(wire, meter, key=None, trailing=trailing)
            self._nursery = await stack.enter_async_context(trio.open_nursery())
            self._nursery.start_soon(wire.write_pending)
            ws = await wrap_client_stream(
                self._nursery,
                # Annotated too narrowly there: any stream serves.
                cast(trio.SocketStream, frames),
                "peer",
                "/",
                message_queue_size=INBOUND_MESSAGES,
                max_message_size=self._max_message_bytes,
            )
            frames.opened(ws)
            self._peer = ClientPeer(
                ws,
                frames,
                address=self._host,
                port=self._port,
                path=self._path,
                close_timeout_s=self._close_timeout_s,
                drain_s=self._send_timeout_s,
            )
            self._nursery.start_soon(self._tend, self._peer)
            self._stack = stack.pop_all()
        return self._peer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        ordinary = error is None or isinstance(error, Exception)
        try:
            if ordinary:
                await self._peer.close()
        finally:
            self._peer.leave(1001)
            self._nursery.cancel_scope.cancel()
            # The caller's own exception passes as it is; in the nursery it would come out wrapped in a group.
            passed = (None, None, None) if ordinary else (kind, error, trace)
            swallowed = await self._stack.__aexit__(*passed)
        return swallowed and not ordinary

    async def _dial(self) -> SocketStream:
        connected = await trio.open_tcp_stream(self._host, self._port)
        sock = socket.socket(fileno=connected.socket.detach())
        try:
            prepare(sock)
            if self._is_tls:
                context = self._ssl_context or ssl.create_default_context()
                sock = wrap_tls(sock, context, server_hostname=self._host)
        except BaseException:
            sock.close()
            raise
        return SocketStream(
            sock,
            outbox_messages=OUTBOX_MESSAGES,
            outbox_bytes=OUTBOX_BYTES,
            outbox_age_s=self._send_timeout_s,
        )

    async def _ask(self, wire: SocketStream) -> bytes:
        await wire.do_handshake()
        wire.write(self._upgrade.request)
        response: Response | None = None
        while response is None:
            response = self._upgrade.feed(await wire.receive_some())
        if response.status != 101:
            raise PeerError(
                f"{self._host} port {self._port}: HTTP {response.status} instead of a websocket",
                response.retry_after_s,
                http_status=response.status,
            )
        return response.trailing

    async def _tend(self, peer: ClientPeer) -> None:
        while not peer.closed:
            await trio.sleep(min(self._ping_interval_s, self._silence_timeout_s, INBOUND_STALL_S) / 4)
            if peer.tend(
                ping_interval_s=self._ping_interval_s,
                silence_timeout_s=self._silence_timeout_s,
                stall_s=INBOUND_STALL_S,
            ):
                await peer.close(1008, STALLED)


def _words(error: Exception) -> str:
    """What went wrong in one line; trio hides the reasons of failed attempts behind a general one."""
    if not isinstance(error, OSError):
        return str(error)[:200]
    causes = getattr(error.__cause__, "exceptions", (error.__cause__,))
    reasons = {os.strerror(cause.errno) for cause in causes if isinstance(cause, OSError) and cause.errno}
    return (", ".join(sorted(reasons)) or error.strerror or str(error)).lower()[:200]
