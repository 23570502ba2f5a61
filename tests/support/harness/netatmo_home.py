"""A house with endpoints at a Netatmo cloud: real remote endpoints, everything else in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
import trio.testing
from harness.door import Recorded
from harness.netatmo_cloud import CLIENT_ID, HOME, SECRET, NetatmoCloud

from agent.endpoints.health import Health
from agent.endpoints.remote import RemoteCommand, RemoteEndpoint
from agent.model.actions import Action
from agent.model.errors import EndpointError, MalformedMessage, PeerError
from agent.model.events import AnyEvent, CloudReported, WorkerChanged
from agent.model.records import Entry
from agent.runtime import Context
from agent.supervise import supervise
from agent.workers.netatmo.client import Follower
from agent.workers.netatmo.client_clouds import Clouds
from agent.workers.netatmo.client_tokens import Tokens, replace
from agent.workers.netatmo.config import CloudConfig, NetatmoEndpoint
from agent.workers.netatmo.push_wire import signature

assert httpx  # imported early: while a thread does that, a clock that jumps would jump

ENDPOINTS: dict[str, dict[str, Any]] = {
    "bell": {"module": "Pulsantiera", "acts_as": "button"},
    "doorbell": {"module": "70:EE:50:11:22:55", "acts_as": "button"},
    "door": {"module": "Portone", "acts_as": "lock"},
    "stairs": {"module": "Luce scale", "acts_as": "light"},
    "garden": {"module": "Giardino", "acts_as": "light"},
    "siren": {"module": "Sirena", "acts_as": "siren"},
    "smoke": {"module": "Fumo", "acts_as": "contact", "role": "smoke"},
    "smoke_tamper": {"module": "Fumo", "acts_as": "contact", "role": "tamper"},
    "co": {"module": "CO", "acts_as": "contact", "role": "co"},
    "window": {"module": "Finestra", "acts_as": "contact"},
    "siren_tamper": {"module": "Sirena", "acts_as": "contact", "role": "tamper"},
}


class Log(Recorded):
    """Tells whoever waits that something was published."""

    def __init__(self, changed: Callable[[], None]) -> None:
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
    """log: all that the house was told, the cloud included. page: status values; pages: all they ever were.

    mounted: apps by path; unmountable: there is no HTTPS listener. A clock that jumps is slowed down.
    """

    def __init__(
        self,
        folder: Path,
        *,
        endpoints: dict[str, dict[str, Any]] | None = None,
        clock: trio.testing.MockClock | None = None,
        strict: bool = True,
    ) -> None:
        if clock is not None:
            clock.autojump_threshold = max(clock.autojump_threshold, 0.003)
        self._changed = trio.lowlevel.ParkingLot()
        self.log = Log(lambda: self._tell())
        self.page: dict[str, str | int | float | bool] = {}
        self.pages: list[tuple[str, str | int | float | bool]] = []
        self.answers: dict[str, Any] = {}
        self.mounted: dict[str, Any] = {}
        self.unmountable = False
        self.strict = strict
        self.folder = folder
        self.clouds: Clouds | None = None
        self.remotes = {
            name: RemoteEndpoint(
                name,
                msgspec.convert({"kind": "netatmo"} | plain, NetatmoEndpoint),
                log=self.log,
                health=Health(name, self.log),
            )
            for name, plain in (ENDPOINTS if endpoints is None else endpoints).items()
        }
        given: dict[str, Any] = dict.fromkeys(Context.__struct_fields__)  # the rest is no follower's business
        given |= {
            "name": "netatmo",
            "boot_number": 1,
            "events": self.log,
            "endpoints": (),
            "report": self.log.publish,
            "page": self._show,
            "supervise": self._supervise,
            "remotes": tuple(self.remotes.values()),
            "answer": self.answers.__setitem__,
            "mount": self._mount,
            "state_dir": folder,
        }
        self.context = Context(**given)

    def config(self, cloud: NetatmoCloud, **more: Any) -> CloudConfig:
        """What an operator would say about it."""
        secret = self.folder / "client.secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        plain = {
            "name": "casa", "url": cloud.url, "client_id": CLIENT_ID, "client_secret_file": str(secret),
        }  # fmt: skip
        return msgspec.convert(plain | more, CloudConfig)

    def keep_tokens(
        self, *, access: str = "first|access", refresh: str = "first|refresh", **more: Any
    ) -> None:
        """As if somebody had logged in."""
        tokens = Tokens(access=access, refresh=refresh, **({"obtained_s": int(time.time())} | more))
        replace(self.folder / "cloud-casa.tokens", msgspec.json.encode(tokens))

    def tokens(self) -> Tokens:
        """What is on disk."""
        return msgspec.json.decode((self.folder / "cloud-casa.tokens").read_bytes(), type=Tokens)

    async def followed(
        self, cloud: NetatmoCloud, nursery: trio.Nursery, *, logged_in: bool = True, wait: bool = True,
        **config: Any,
    ) -> Follower:  # fmt: skip
        """Follow the cloud as the worker does; wait: until it has been read."""
        if logged_in:
            self.keep_tokens()
        self.clouds = Clouds((self.config(cloud, **config),), self.context)
        await nursery.start(self.clouds.run)
        if wait:
            await self.state("following")
        return self.clouds.followers["casa"]

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait for something that an event or a status value brings about."""
        while not met():
            await self._changed.park()

    async def state(self, state: str) -> None:
        """Wait until the follower is `following`, `retrying` ..."""
        await self.until(lambda: self.page.get("cloud.casa.state") == state)

    def shown(self, key: str) -> list[str | int | float | bool]:
        """Everything a status value ever was."""
        return [value for name, value in self.pages if name == f"cloud.casa.{key}"]

    def events(self, *kinds: type) -> list[Any]:
        """What the house was told, without how the worker fares."""
        return [event for event in self.log.events(*kinds) if not isinstance(event, WorkerChanged)]

    def reports(self) -> list[CloudReported]:
        """What the cloud was seen to tell."""
        return self.events(CloudReported)

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

    async def ask(self, verb: str, **arguments: Any) -> Any:
        """A command of this machine. Raises: CommandError, MalformedMessage."""
        return await self.answers[verb](Ask(**arguments))

    async def push(
        self, value: object, *, signed: bool = True, secret: str | None = None, headers: Any = None
    ) -> int:
        """A webhook of the vendor; the status that it is answered with."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        path = secret if secret is not None else (self.folder / "cloud-casa.hook").read_text().strip()
        given = {"x-netatmo-secret": signature(SECRET, body)} if signed else {}
        return await post(
            self.mounted["/hooks/netatmo"], f"/hooks/netatmo/{path}", body, given | (headers or {})
        )

    def _tell(self) -> None:
        self._changed.unpark_all()

    def _show(self, key: str, value: str | int | float | bool) -> None:
        self.page[key] = value
        self.pages.append((key, value))
        self._changed.unpark_all()

    async def _mount(self, path: str, app: Any) -> str:
        await trio.lowlevel.checkpoint()
        if self.unmountable:
            raise PeerError("the door's HTTPS listener is not there")
        self.mounted[path] = app
        self._changed.unpark_all()
        return f"https://127.0.0.1:8443{path}/"

    async def _supervise(self, name: str, fn: Callable[[], Awaitable[None]]) -> None:
        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            task_status.started()
            await fn()

        await supervise(name, run, report=self.log.publish, strict=self.strict)


async def post(app: Any, path: str, body: bytes, headers: dict[str, str], *, method: str = "POST") -> int:
    """A request to an ASGI app as the door's listener makes it; the status of its answer."""
    sent: list[dict[str, Any]] = []
    given = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "https",
        "path": path, "raw_path": path.encode(), "root_path": "/hooks/netatmo", "query_string": b"",
        "headers": given, "client": ("192.0.2.9", 50000), "server": ("127.0.0.1", 8443),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message)

    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def press(**more: Any) -> dict[str, Any]:
    """The first sign of somebody at the door station."""
    return {
        "user_id": "u", "session_id": "s-1", "data": {"type": "offer"}, "device_id": "00:03:50:c0:00:2f",
        "home_id": HOME, "module_id": "c0002f-aa6f-c73e6db3f186", "push_type": "BNCX-rtc",
    } | more  # fmt: skip


def told(push_type: str, **more: Any) -> dict[str, Any]:
    """A push of an event of this home."""
    return {"push_type": push_type, "event_type": push_type.partition("-")[2], "home_id": HOME} | more
