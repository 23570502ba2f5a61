"""A house with endpoints at a deCONZ gateway: real remote endpoints, everything else in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from harness.deconz_gateway import KEY, DeconzGateway
from harness.door import Recorded

from agent.endpoints.health import Health
from agent.endpoints.remote import RemoteCommand, RemoteEndpoint
from agent.model.actions import Action
from agent.model.errors import EndpointError, MalformedMessage
from agent.model.events import AnyEvent, WorkerChanged
from agent.model.records import Entry
from agent.runtime import Context
from agent.supervise import supervise
from agent.workers.deconz.client import Follower
from agent.workers.deconz.client_key import Key, KeyStore
from agent.workers.deconz.config import DeconzEndpoint, GatewayConfig

ENDPOINTS: dict[str, dict[str, Any]] = {
    "bell": {"device": "Bell", "acts_as": "button"},
    "door": {"device": "Door", "acts_as": "contact"},
    "lock": {"device": "Lock", "acts_as": "lock"},
    "gate": {"device": "Garden gate", "acts_as": "lock"},
    "siren": {"device": "Siren", "acts_as": "siren"},
    "stairs": {"device": "Staircase", "acts_as": "light"},
}


class Log(Recorded):
    """Tells whoever waits that something was published."""

    def __init__(self, changed: Callable[[], object]) -> None:
        super().__init__()
        self._changed = changed

    def publish(self, event: AnyEvent) -> Entry:
        entry = super().publish(event)
        self._changed()
        return entry


class Ask:
    """A question of a person at this machine."""

    account = "local:ana"

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments

    def get(self, name: str, kind: Any, default: Any = ...) -> Any:
        value = self._arguments.get(name, default)
        if value is ...:
            raise MalformedMessage(name, "is missing")
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise MalformedMessage(name, str(error)) from error


class Home:
    """log: all that the house was told, reports of devices included. page: status values; pages: all of them.

    endpoints: of this house, by name.
    """

    def __init__(
        self,
        folder: Path,
        *,
        endpoints: dict[str, dict[str, Any]] | None = None,
        strict: bool = True,
    ) -> None:
        self._changed = trio.lowlevel.ParkingLot()
        self.log = Log(self._changed.unpark_all)
        self.page: dict[str, str | int | float | bool] = {}
        self.pages: list[tuple[str, str | int | float | bool]] = []
        self.answers: dict[str, Any] = {}
        self.strict = strict
        self.remotes = {
            name: RemoteEndpoint(
                name,
                msgspec.convert({"kind": "deconz"} | plain, DeconzEndpoint),
                log=self.log,
                health=Health(name, self.log),
            )
            for name, plain in (ENDPOINTS if endpoints is None else endpoints).items()
        }
        given: dict[str, Any] = dict.fromkeys(Context.__struct_fields__)  # the rest is no follower's business
        given |= {
            "name": "deconz",
            "boot_number": 1,
            "events": self.log,
            "endpoints": (),
            "report": self.log.publish,
            "page": self._show,
            "supervise": self._supervise,
            "remotes": tuple(self.remotes.values()),
            "answer": self.answers.__setitem__,
            "state_dir": folder,
        }
        self.context = Context(**given)

    async def follower(
        self, gateway: DeconzGateway, *, key: str = KEY, ssdp: tuple[str, int] | None = None, **config: Any
    ) -> Follower:
        """The follower of a gateway, with its key kept; empty: without one."""
        plain = {"name": "home", "url": gateway.url} | config
        configured = msgspec.convert(plain, GatewayConfig)
        if key:
            await KeyStore(configured, self.context.state_dir).keep(Key(text=key))
        more: Any = {} if ssdp is None else {"ssdp": ssdp}
        return Follower(configured, self.context, tuple(self.remotes.values()), rng=lambda: 0.0, **more)

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait for something that an event or a status value brings about."""
        while not met():
            await self._changed.park()

    async def state(self, state: str) -> None:
        """Wait until the follower is `following`, `retrying` ..."""
        await self.until(lambda: self.page.get("gateway.home.state") == state)

    def shown(self, key: str) -> list[str | int | float | bool]:
        """Everything a status value ever was."""
        return [value for name, value in self.pages if name == f"gateway.home.{key}"]

    def events(self, *kinds: type) -> list[Any]:
        """What the house was told, without how the worker fares."""
        return [event for event in self.log.events(*kinds) if not isinstance(event, WorkerChanged)]

    def problem(self, name: str) -> str:
        """Why an endpoint cannot be used; empty when it can."""
        return self.remotes[name].health.problem

    def begin(self, name: str, action: Action) -> RemoteCommand:
        """What a person asks of an endpoint. Raises: EndpointError."""
        command = self.remotes[name].perform(action, by="ana", action_id="a1")
        assert isinstance(command, RemoteCommand)
        return command

    async def do(self, name: str, action: Action) -> str | None:
        """The same, and why it was not taken on."""
        try:
            return await self.begin(name, action).failure()
        except EndpointError as error:
            return error.reason

    def _show(self, key: str, value: str | int | float | bool) -> None:
        self.page[key] = value
        self.pages.append((key, value))
        self._changed.unpark_all()

    async def _supervise(self, name: str, fn: Callable[[], Awaitable[None]]) -> None:
        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            task_status.started()
            await fn()

        await supervise(name, run, report=self.log.publish, strict=self.strict)


class Followed:
    """A home, its gateway, and the follower between them."""

    def __init__(self, home: Home, gateway: DeconzGateway, scope: trio.CancelScope) -> None:
        self.home = home
        self.gateway = gateway
        self.scope = scope
        self.ended = trio.Event()

    @property
    def puts(self) -> list[tuple[str, Any]]:
        return self.gateway.puts

    async def put(self, number: int) -> None:
        await self.gateway.until(lambda: len(self.gateway.puts) >= number)

    async def told(self, kind: type, number: int) -> list[Any]:
        await self.home.until(lambda: len(self.home.events(kind)) >= number)
        return self.home.events(kind)


@asynccontextmanager
async def followed(folder: Path, **more: Any) -> AsyncIterator[Followed]:
    home = Home(folder, **more)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        found = Followed(home, gateway, trio.CancelScope())
        follower = await home.follower(gateway)

        async def follow() -> None:
            with found.scope:
                await follower.run()
            found.ended.set()

        nursery.start_soon(follow)
        await home.state("following")
        yield found
        nursery.cancel_scope.cancel()
