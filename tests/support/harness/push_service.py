"""A push service on loopback that remembers what it was sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import h11
import trio

OK = (200, b'{"name":"projects/p/messages/1"}')
UNREGISTERED = (
    404,
    b'{"error":{"code":404,"status":"NOT_FOUND","details":[{"errorCode":"UNREGISTERED"}]}}',
)
UNAVAILABLE = (503, b'{"error":{"status":"UNAVAILABLE"}}')


class PushService:
    """url: where to send. answers: used up one by one, then OK. hold: requests wait while it is not None."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[dict[str, Any]] = []
        self.authorisations: list[str] = []
        self.answers: list[tuple[int, bytes]] = []
        self.hold: trio.Event | None = None
        self._arrival = trio.lowlevel.ParkingLot()

    async def received(self, count: int) -> list[dict[str, Any]]:
        """The first `count` messages, when they are here. Raises: trio.TooSlowError."""
        with trio.fail_after(5):
            while len(self.messages) < count:
                await self._arrival.park()
        return self.messages[:count]

    async def _serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        body = b""
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                return  # the door was stopped in the middle of telling us
            match event:
                case h11.NEED_DATA:
                    try:
                        connection.receive_data(await stream.receive_some())
                    except trio.BrokenResourceError:
                        return
                case h11.Request():
                    self.authorisations.append(dict(event.headers).get(b"authorization", b"").decode())
                case h11.Data():
                    body += bytes(event.data)
                case h11.EndOfMessage():
                    self.messages.append(json.loads(body)["message"])
                    self._arrival.unpark_all()
                    if self.hold is not None:
                        await self.hold.wait()
                    status, answer = self.answers.pop(0) if self.answers else OK
                    body = b""
                    for part in (
                        h11.Response(
                            status_code=status, headers=[("content-length", str(len(answer)))], reason=b"x"
                        ),
                        h11.Data(data=answer),
                        h11.EndOfMessage(),
                    ):
                        try:
                            await stream.send_all(connection.send(part) or b"")
                        except trio.BrokenResourceError:
                            return
                    connection.start_next_cycle()
                case _:
                    return


@asynccontextmanager
async def push_service() -> AsyncIterator[PushService]:
    """A running service."""
    service = PushService()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, service._serve, 0, host="127.0.0.1"))
        service.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1/projects/p/messages:send"
        yield service
        nursery.cancel_scope.cancel()
