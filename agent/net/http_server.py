"""HTTP as this house serves it: an ASGI app behind limits on everything that a stranger chooses.

hypercorn speaks HTTP/1.1 (`http_connection`). Around it stand our own accepting, TLS and limits, because its
own server has no bound on connections, bodies or the time of a request, and ends with all connections when
one of them meets a bug.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from agent.net.admission import Admission, plain_address
from agent.net.http_request import App
from agent.net.stream import SocketStream, prepare, wrap_tls

if TYPE_CHECKING:
    from agent.net.http_connection import HttpService

OUTBOX_MESSAGES = 16
OUTBOX_BYTES = 256 * 1024


class HttpLimits(Struct, frozen=True, kw_only=True):
    """The bounds of one HTTP server; the defaults suit a door whose API a few programs use.

    max_header_bytes: of a request's line and headers; over it (by up to 4096) the answer is 431.
    max_body_bytes: of a request; more is answered with 413, before it is read where it is announced.
    request_timeout_s: from a request's head to the end of its answer. A body that is not there by then is
    answered with 408, an app that has not begun its answer with 503, and an answer that is not made or not
    read to its end is cut off.
    idle_timeout_s: between requests, and for the head of the first, TLS handshake included.
    max_connections, max_per_peer: more are closed at once, before TLS. One IPv6 /64, of which a stranger has
    every address, gets half of max_connections.
    max_requests: on one connection, which is closed after the last.
    """

    max_header_bytes: int = 16384
    max_body_bytes: int = 65536
    request_timeout_s: float = 10.0
    idle_timeout_s: float = 15.0
    max_connections: int = 64
    max_per_peer: int = 16
    max_requests: int = 1000


class HttpCounters(Struct, kw_only=True):
    """What happened to the connections and requests of one server since its start, for a status page.

    failed: answered with 500, because of a bug. late: ended by request_timeout_s.
    """

    open: int = 0
    accepted: int = 0
    refused: int = 0
    failed_handshakes: int = 0
    accept_errors: int = 0
    requests: int = 0
    failed: int = 0
    late: int = 0


async def serve_http(
    app: App,
    listeners: Sequence[socket.socket],
    *,
    ssl_context: ssl.SSLContext | None,
    limits: HttpLimits,
    guard: Callable[[str], AbstractAsyncContextManager[None]],
    counters: HttpCounters | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve for ever; owns the listeners (`agent.net.listeners.open_listeners`) and closes them at its end.

    app: ASGI, in practice a Starlette. It is called with `http` scopes only (no lifespan, no websockets),
    with the peer's plain address in `client`, and with the body of the request at hand. Each call runs inside
    `guard(f"http {address}")`: when the guard caught something, the peer hears 500 and nothing of the reason.
    An app that blocks a thread or shields itself cannot be stopped by request_timeout_s.
    Cancellation: listeners and idle connections are closed at once; requests that are being answered have a
    second, and their app hears of a disconnect.
    """
    try:
        # Beside everything else: a big import, and only for a door that has HTTP.
        service_class = await trio.to_thread.run_sync(_import_service, abandon_on_cancel=True)
        counters = counters if counters is not None else HttpCounters()
        service = service_class(app, limits, guard, counters)
        server = _Server(service, ssl_context, limits, guard, counters)
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(server.accept, listener, nursery)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                service.shelter.close()
    finally:
        for listener in listeners:
            listener.close()


def _import_service() -> type[HttpService]:
    from agent.net.http_connection import HttpService

    return HttpService


class _Server:
    """The connections of one `serve_http`."""

    def __init__(
        self,
        service: HttpService,
        ssl_context: ssl.SSLContext | None,
        limits: HttpLimits,
        guard: Callable[[str], AbstractAsyncContextManager[None]],
        counters: HttpCounters,
    ) -> None:
        self._service = service
        self._ssl_context = ssl_context
        self._limits = limits
        self._guard = guard
        self._counters = counters
        self._admission = Admission(
            max_connections=limits.max_connections, max_per_peer=limits.max_per_peer, counters=counters
        )

    async def accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        """Take connections in, or turn them away while that is cheap; closes the listener in the end."""
        with listener:
            await self._admission.accept(listener, nursery, self._connection)

    async def _connection(self, sock: socket.socket, address: str, port: int) -> None:
        name = f"http {address}"
        async with self._guard(name):
            await self._admit(sock, address, port, name)

    async def _admit(self, sock: socket.socket, address: str, port: int, name: str) -> None:
        head_by = trio.current_time() + self._limits.idle_timeout_s
        try:
            prepare(sock)
            local = sock.getsockname()
            if self._ssl_context is not None:
                sock = wrap_tls(sock, self._ssl_context)
        except OSError:
            # It went away in the backlog.
            self._counters.failed_handshakes += 1
            await trio.lowlevel.checkpoint()
            return
        wire = SocketStream(
            sock,
            outbox_messages=OUTBOX_MESSAGES,
            outbox_bytes=OUTBOX_BYTES,
            outbox_age_s=self._limits.request_timeout_s,
        )
        try:
            if not await _shake_hands(wire, head_by):
                self._counters.failed_handshakes += 1
                return
            self._counters.accepted += 1
            await self._service.serve(
                wire,
                client=(address, port),
                server=(plain_address(local[0]), int(local[1])),
                secure=self._ssl_context is not None,
                head_by=head_by,
                name=name,
            )
        finally:
            wire.close_now()


async def _shake_hands(wire: SocketStream, deadline: float) -> bool:
    """False when there is no TLS with this peer; True at once without TLS."""
    with trio.move_on_at(deadline):
        try:
            await wire.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True
    return False
