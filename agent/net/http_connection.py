"""One HTTP connection: hypercorn's protocol over a stream of ours.

hypercorn parses (with h11) and translates to ASGI. Its own loop around that, `hypercorn.trio.tcp_server`, is
not used: it shields sends without a deadline, keeps a connection that the client has closed until the idle
timeout, waits for room in a queue that nobody reads when an app leaves the body alone, and turns to HTTP/2
and websockets when a client asks. Importing this module costs what hypercorn costs: `http_server` does it
when it serves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, cast

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, Scope, TaskGroup

from agent.net.http_request import App, HttpRequest, Message, Send, Shelter
from agent.net.stream import SocketStream

if TYPE_CHECKING:
    from agent.net.http_server import HttpCounters, HttpLimits

PIECE_BYTES = 64 * 1024
_SPOKEN = (b"1.1", b"1.0")

Put = Callable[[Message], object]


class HttpService:
    """What the connections of one server share."""

    def __init__(
        self,
        app: App,
        limits: HttpLimits,
        guard: Callable[[str], AbstractAsyncContextManager[None]],
        counters: HttpCounters,
    ) -> None:
        self.app = app
        self.limits = limits
        self.guard = guard
        self.counters = counters
        self.shelter = Shelter()
        self.context = WorkerContext(None)
        self.config = Config()
        self.config.accesslog = self.config.errorlog = None
        self.config.include_server_header = False
        self.config.h11_max_incomplete_size = limits.max_header_bytes
        self.config.keep_alive_max_requests = limits.max_requests

    async def serve(
        self,
        wire: SocketStream,
        *,
        client: tuple[str, int],
        server: tuple[str, int],
        secure: bool,
        head_by: float,
        name: str,
    ) -> None:
        """Answer the requests of one connection until it ends; closing the wire is the caller's.

        head_by: when the first request's head must be there.
        Cancellation: a request that is being answered has `http_request.GRACE_S`.
        """
        await _Connection(self, wire, client, server, secure=secure, name=name).run(head_by)


class _Connection:
    """Carries bytes between the wire and hypercorn's protocol, and time limits to both."""

    def __init__(
        self,
        service: HttpService,
        wire: SocketStream,
        client: tuple[str, int],
        server: tuple[str, int],
        *,
        secure: bool,
        name: str,
    ) -> None:
        self._service = service
        self._wire = wire
        self._name = name
        self._held = b""
        self._over = False
        self._reading = trio.CancelScope()
        self._nursery: trio.Nursery
        self._protocol = _Http1(
            # Of the app and the task group, hypercorn only ever passes the one to the other's `spawn_app`.
            cast("AppWrapper", service.app),
            service.config,
            service.context,
            cast("TaskGroup", self),
            ConnectionState({}),
            secure,
            client,
            server,
            self._send,
        )

    async def run(self, head_by: float) -> None:
        """Until the connection has ended and its last request is through."""
        async with trio.open_nursery() as self._nursery:
            self._reading.deadline = head_by
            try:
                with self._reading:
                    await self._read()
            finally:
                await self._protocol.handle(Closed())
            if self._over:
                await self._wire.finish()

    async def spawn_app(self, _app: AppWrapper, _config: Config, scope: Scope, send: Send) -> Put:
        """Begin one request; what comes of its body goes to the callable that is returned."""
        service = self._service
        service.counters.requests += 1
        request = HttpRequest(
            service.app,
            cast("Message", scope),
            send,
            max_body_bytes=service.limits.max_body_bytes,
            deadline=trio.current_time() + service.limits.request_timeout_s,
            shelter=service.shelter,
            guard=partial(service.guard, self._name),
            abort=self._wire.abort,
            counters=service.counters,
        )
        self._nursery.start_soon(request.run)
        return request.put

    async def _read(self) -> None:
        while True:
            try:
                data = await self._wire.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await self._protocol.handle(RawData(data))
            if not data:
                return

    async def _send(self, event: Event) -> None:
        """What the protocol wants of its connection."""
        match event:
            case RawData(data=data) if self._protocol.holding:
                self._held = data
            case RawData(data=data):
                data, self._held = self._held + data, b""
                await self._write(data)
            case Updated(idle=True):
                self._reading.deadline = trio.current_time() + self._service.limits.idle_timeout_s
            case Updated():
                self._reading.deadline = inf
            case Closed():
                self._over = True
                self._reading.cancel()

    async def _write(self, data: bytes) -> None:
        """Send, at the pace of the peer; for one that is gone nothing happens. A checkpoint."""
        for start in range(0, len(data), PIECE_BYTES):
            self._wire.write(data[start : start + PIECE_BYTES])
            if self._wire.pending_messages:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._wire.write_pending)
                    await self._wire.drain()
                    nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint()


class _Http1(H11Protocol):
    """HTTP/1.1 and nothing else.

    holding: the head of an answer is on its way, and is to leave together with what follows.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        task_group: TaskGroup,
        connection_state: ConnectionState,
        ssl: bool,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        super().__init__(app, config, context, task_group, connection_state, ssl, client, server, send)
        self.connection = _LastRequest(h11.SERVER, max_incomplete_event_size=config.h11_max_incomplete_size)
        self.holding = False

    async def stream_send(self, event: StreamEvent) -> None:
        """What goes to the peer of one answer."""
        self.holding = isinstance(event, Response)
        await super().stream_send(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        """hypercorn would turn to HTTP/2 here, where our limits do not hold."""

    async def _create_stream(self, request: h11.Request) -> None:
        if request.method == b"CONNECT" or request.http_version not in _SPOKEN:
            await self._send_error_response(400)
            await self.send(Closed())
            return
        if any(name == b"upgrade" for name, _ in request.headers):
            # Not asked, hypercorn makes no websocket of it; it may be answered as a request (RFC 9110, 7.8).
            request = h11.Request(
                method=request.method,
                target=request.target,
                headers=[(name, value) for name, value in request.headers if name != b"upgrade"],
                http_version=request.http_version,
            )
        await super()._create_stream(request)


class _LastRequest(h11.Connection):
    """Ignores what follows a request that was announced to be the last.

    h11 calls it an error, and hypercorn then answers 400 in the place of the app, which has done what it was
    asked to (pgjones/hypercorn issue 203).
    """

    def receive_data(self, data: bytes) -> None:
        """Take bytes in; b"" is the end of the stream."""
        if not data or self.their_state not in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
            super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event, or that there is none yet."""
        if self.their_state is h11.MUST_CLOSE:
            return h11.NEED_DATA
        return super().next_event()
