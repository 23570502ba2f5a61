"""A door as a deCONZ gateway on loopback, and the clients of one test: HTTP of httpx, trio-websocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import trio
import trio.testing
from harness.context import House
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from agent.bus import EventLog
from agent.model.principals import Role
from agent.runtime import AlarmStatus, EndpointInfo, EndpointState
from agent.workers.deconz import WORKER
from agent.workers.deconz.config import DeconzConfig

Json = dict[str, Any]

BELL = EndpointInfo(name="bell", label="Bell", kind="button")
SIREN = EndpointInfo(name="siren", label="Siren", kind="siren", hold_s=60, max_s=180)
STRIKE = EndpointInfo(
    name="strike", label="Front door", kind="lock", has_door_contact=True, hold_s=5, max_s=30
)
GATE = EndpointInfo(name="gate", label="Gate", kind="lock", hold_s=5, max_s=30)
STAIRS = EndpointInfo(name="stairs", label="Staircase", kind="light", hold_s=120)
PORCH = EndpointInfo(name="porch", label="Porch", kind="light", max_s=600)
SMOKE = EndpointInfo(name="smoke", label="Smoke", kind="contact", role="smoke")
CO = EndpointInfo(name="co", label="CO", kind="contact", role="co")
MOTION = EndpointInfo(name="motion", label="Hall", kind="contact", role="motion")
TAMPER = EndpointInfo(name="tamper", label="Tamper loop", kind="contact", role="tamper")
WINDOW = EndpointInfo(name="window", label="Window", kind="contact", role="generic")
LED = EndpointInfo(name="status", label="Lamp", kind="led")
FOREIGN = EndpointInfo(name="cellar", label="Cellar", kind="contact", role="smoke", system="deconz")
EVERYTHING = (
    BELL, SIREN, STRIKE, GATE, STAIRS, PORCH, SMOKE, CO, MOTION, TAMPER, WINDOW, LED, FOREIGN,
)  # fmt: skip
ARMED = AlarmStatus(
    state="disarmed",
    mode="disarmed",
    exit_delay_s=60,
    entry_delay_s=30,
    trigger_s=180,
    watched={"strike": ("away", "stay", "night"), "motion": ("away",), "tamper": ("away", "night")},
)


class Door:
    """A running server. key: of a resident. stop: cancels the worker, as the end of the agent does.

    http: a client of the door's REST address; `ask` gives what it answers.
    """

    def __init__(
        self, house: House, nursery: trio.Nursery, stop: Callable[[], None], key: str, http: httpx.AsyncClient
    ) -> None:
        self.house = house
        self.stop = stop
        self.key = key
        self.http = http
        self.streams: list[trio.SocketStream] = []
        self._nursery = nursery

    @property
    def url(self) -> str:
        return self.house.ready["deconz"]

    @property
    def ws_url(self) -> str:
        return self.house.ready["deconz_ws"]

    async def get(self, path: str = "", *, key: str | None = None) -> Any:
        """The JSON of something that is there."""
        answer = await self.http.get(f"/api/{self.key if key is None else key}{path}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        return answer.json()

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> tuple[int, list[Json]]:
        """The status and the results of a request."""
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        answer = await self.http.request(
            method, f"/api/{self.key if key is None else key}{path}", content=content
        )
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        return answer.status_code, answer.json()

    async def put(self, path: str, body: object, *, key: str | None = None) -> tuple[int, list[Json]]:
        """As `ask`, with PUT."""
        return await self.ask("PUT", path, body, key=key)

    async def another_key(self, account: str, role: Role, name: str = "test") -> str:
        """A key of an account, which is made when it is not there."""
        return await self.house.keys.issue(user=account, role=role, name=name, by="test")

    async def connect(self) -> WebSocketConnection:
        """A websocket."""
        url = urlsplit(self.ws_url)
        assert url.hostname is not None
        assert url.port is not None
        with trio.fail_after(5):
            stream = await trio.open_tcp_stream(url.hostname, url.port)
            self.streams.append(stream)
            return await wrap_client_stream(self._nursery, stream, url.netloc, "/")

    async def listen_raw(self) -> Listener:
        """A websocket of which nothing was read yet."""
        return Listener(await self.connect())

    async def listen(self) -> Listener:
        """A websocket whose snapshot was read."""
        listener = Listener(await self.connect())
        await listener.settle()
        return listener


class Listener:
    """A websocket client. snapshot: what it was told at first."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket
        self.snapshot: list[Json] = []

    async def settle(self) -> None:
        """Read all that comes at once."""
        self.snapshot += await self.rest()

    async def next(self) -> Json:
        """The next message."""
        with trio.fail_after(5):
            message: Json = json.loads(await self.socket.get_message())
        return message

    async def take(self, count: int) -> list[Json]:
        """So many messages."""
        return [await self.next() for _ in range(count)]

    async def rest(self, within_s: float = 0.15) -> list[Json]:
        """What comes until it is quiet."""
        told = []
        while True:
            with trio.move_on_after(within_s) as waiting:
                told.append(json.loads(await self.socket.get_message()))
            if waiting.cancelled_caught:
                return told

    async def closed(self) -> int:
        """The code with which it ends."""
        with trio.fail_after(5):
            while True:
                try:
                    await self.socket.get_message()
                except ConnectionClosed as closed:
                    code: int = 0 if closed.reason is None else closed.reason.code
                    return code


@asynccontextmanager
async def deconz_door(
    folder: Path,
    *,
    endpoints: tuple[EndpointInfo, ...] = EVERYTHING,
    alarm: AlarmStatus | None = None,
    states: dict[str, EndpointState] | None = None,
    log: EventLog | None = None,
    house: House | None = None,
    **server: Any,
) -> AsyncIterator[Door]:
    """A server with this configuration; `house` to start it once more in the same house."""
    if house is None:
        house = House(folder, endpoints=endpoints, log=log)
        house.alarm = alarm
        house.states = states or {}
    config = msgspec.convert({"server": server}, DeconzConfig)
    scope = trio.CancelScope()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await WORKER.run(config, house.context("deconz"), task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        key = await house.keys.issue(user="smart-home", role="resident", name="test", by="test")
        url = urlsplit(house.ready["deconz"])
        async with httpx.AsyncClient(base_url=f"http://{url.netloc}", timeout=10, verify=False) as http:
            door = Door(house, nursery, scope.cancel, key, http)
            try:
                yield door
            finally:
                for stream in door.streams:
                    await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()
