"""One HTTP request on its way through an ASGI app: its body whole and bounded, its answer in time.

Source: ASGI's "HTTP & WebSocket" message format, 2.1 (asgi.readthedocs.io/en/latest/specs/www.html).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from agent.net.http_server import HttpCounters

GRACE_S = 1.0
REFUSAL_S = 1.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Shelter:
    """Where requests are answered: each within its deadline, and GRACE_S longer than their server at most."""

    def __init__(self) -> None:
        self._scopes: set[trio.CancelScope] = set()
        self._closing = False

    @contextmanager
    def until(self, deadline: float) -> Iterator[trio.CancelScope]:
        """A scope that cancellation from outside does not reach before the grace is over."""
        if self._closing:
            deadline = min(deadline, trio.current_time() + GRACE_S)
        with trio.CancelScope(deadline=deadline, shield=True) as scope:
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)

    def close(self) -> None:
        """Begin the grace of those inside."""
        self._closing = True
        latest = trio.current_time() + GRACE_S
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, latest)


class HttpRequest:
    """What hypercorn tells of one request (`put`), and what the app hears and answers.

    The app is called when the body is there: one that is too large or too slow never reaches it, and an app
    that does not care for the body cannot hold up the connection that brings it.

    forward: takes the app's messages to the peer. abort: gives up a connection on which an answer has begun.
    """

    def __init__(
        self,
        app: App,
        scope: Message,
        forward: Send,
        *,
        max_body_bytes: int,
        deadline: float,
        shelter: Shelter,
        guard: Callable[[], AbstractAsyncContextManager[None]],
        abort: Callable[[str], None],
        counters: HttpCounters,
    ) -> None:
        self._app = app
        self._scope = scope
        self._forward = forward
        self._max_body_bytes = max_body_bytes
        self._deadline = deadline
        self._shelter = shelter
        self._guard = guard
        self._abort = abort
        self._counters = counters
        self._body = bytearray()
        self._too_large = _declared_bytes(scope) > max_body_bytes
        self._complete = False
        self._given = False
        self._gone = False
        self._changed = trio.lowlevel.ParkingLot()
        self._head: Message | None = None
        self._started = False
        self._finished = False

    async def put(self, event: Message) -> None:
        """Take a part of the body, its end, or the end of the connection; never waits."""
        if event["type"] == "http.disconnect":
            self._gone = True
        elif len(self._body) + len(event["body"]) > self._max_body_bytes:
            self._too_large = True
        else:
            self._body += event["body"]
            self._complete = not event["more_body"]
        if self._gone or self._too_large or self._complete:
            self._changed.unpark_all()

    async def run(self) -> None:
        """Have it answered, by the app or by us.

        Cancellation: waits up to GRACE_S for the answer to be through.
        """
        status = 0
        with self._shelter.until(self._deadline) as patience:
            status = await self._serve()
        if patience.cancelled_caught:
            status = 503 if self._complete else 408
            self._counters.late += 1
        self._counters.failed += status == 500
        if self._finished or not status:
            return
        if self._started:
            # The end of what was promised will not come; only a broken connection tells that.
            self._abort("answer not finished")
        else:
            await self._refuse(status)

    async def _serve(self) -> int:
        """The status with which it has to be refused, or 0."""
        while not (self._complete or self._too_large or self._gone):
            await self._changed.park()
        if self._too_large:
            return 413
        if not self._complete:
            return 0
        healthy = False
        async with self._guard():
            await self._app(self._scope, self._receive, self._send)
            if not (self._finished or self._gone):
                raise RuntimeError("the app has returned without a whole answer")
            healthy = True
        return 0 if healthy else 500

    async def _receive(self) -> Message:
        await trio.lowlevel.checkpoint()
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": bytes(self._body), "more_body": False}
        while not self._gone:
            await self._changed.park()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._head is None and not self._started:
            # It goes out with the first of the body, as ASGI has it: until then an error can be told as one.
            self._head = message
            return
        if self._head is not None:
            head, self._head = self._head, None
            await self._forward(head)
            self._started = True
        await self._forward(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._finished = True

    async def _refuse(self, status: int) -> None:
        body = f"{HTTPStatus(status).phrase}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        with trio.CancelScope(deadline=trio.current_time() + REFUSAL_S, shield=True):
            await self._forward({"type": "http.response.start", "status": status, "headers": headers})
            await self._forward({"type": "http.response.body", "body": body})


def _declared_bytes(scope: Message) -> int:
    """What Content-Length says, which the parser has checked to be one number; 0 without."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
