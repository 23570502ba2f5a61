"""The Netatmo server of a house in memory, asked as clients ask it, and receivers of its webhooks."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import h11
import trio
from harness.context import House

from agent.runtime import EndpointInfo
from agent.workers.netatmo.config import ServerConfig
from agent.workers.netatmo.server import serve

ALL = "read_mx write_mx read_camera write_camera"
ENDPOINTS = (
    EndpointInfo(name="bell", label="Pulsantiera", kind="button"),
    EndpointInfo(name="door", label="Portone", kind="lock", hold_s=5),
    EndpointInfo(name="stairs", label="Luce <scale>", kind="light"),
    EndpointInfo(name="siren", label="Sirena", kind="siren"),
    EndpointInfo(name="cover", label="Tamper", kind="contact", role="tamper"),
    EndpointInfo(name="cloud_lock", label="At the vendor's", kind="lock", system="netatmo"),
    EndpointInfo(name="lamp", label="", kind="led"),
)


class Reply:
    """One answer. json: its body; None where it is none."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.json: Any = json.loads(body) if body else None

    @property
    def code(self) -> int | str | None:
        """The code of an error of the API."""
        error = self.json.get("error") if isinstance(self.json, dict) else None
        return error.get("code") if isinstance(error, dict) else None

    @property
    def text(self) -> str:
        """The message of an error."""
        return str(self.json["error"]["message"])


class Asked:
    """A question of a person at this machine."""

    account = "local:anna"

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments

    def get(self, name: str, kind: Any, default: Any = ...) -> Any:
        return self._arguments[name] if default is ... else self._arguments.get(name, default)


class NetatmoDoor:
    """A running server."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.token = ""

    @property
    def home_id(self) -> str:
        path = self.house.context("netatmo").state_dir / "home.json"
        return str(json.loads(path.read_bytes())["home_id"])

    async def ask(self, verb: str, **arguments: Any) -> Any:
        """What a command of this machine hears."""
        return await self.house.answers[verb](Asked(**arguments))

    async def issue(self, scope: str = ALL, **more: Any) -> str:
        """A new token that lasts."""
        return str((await self.ask("token", scope=scope, **more))["token"])

    async def module(self, endpoint: str, kind: str | None = None) -> str:
        """The id of an endpoint's module."""
        rows = (await self.ask("server_status"))["modules"]
        return str(
            next(row["id"] for row in rows if row["endpoint"] == endpoint and kind in (None, row["type"]))
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        form: Mapping[str, Any] | Sequence[tuple[str, str]] | None = None,
        query: str = "",
        plain: object = ...,
        body: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        peer: str = "192.0.2.7",
    ) -> Reply:
        """A request. token: absent, one for everything; empty, none."""
        fields = list(headers)
        token = self.token if token is None else token
        if token:
            fields.append((b"authorization", b"Bearer " + token.encode()))
        if form is not None:
            body = urlencode(form).encode()
            fields.append((b"content-type", b"application/x-www-form-urlencoded"))
        elif plain is not ...:
            body = json.dumps(plain).encode()
            fields.append((b"content-type", b"application/json"))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "https", "path": f"/netatmo{path}", "raw_path": f"/netatmo{path}".encode(),
            "root_path": "/netatmo", "query_string": query.encode(), "headers": fields,
            "client": (peer, 5), "server": ("192.0.2.10", 8443),
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            await trio.lowlevel.checkpoint()
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(message)

        await self.house.mounted["/netatmo"](scope, receive, send)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], found, b"".join(part.get("body", b"") for part in sent[1:]))

    async def set(self, *modules: object, **more: Any) -> Reply:
        """A setstate of these modules."""
        plain = {"home": {"id": self.home_id, "modules": list(modules)}}
        return await self.call("POST", "/api/setstate", plain=plain, **more)

    async def events(self, **parameters: Any) -> list[Any]:
        """What getevents tells."""
        reply = await self.call("POST", "/api/getevents", form={"home_id": self.home_id, **parameters})
        assert reply.status == 200, reply.json
        return list(reply.json["body"]["home"]["events"])


@asynccontextmanager
async def netatmo_door(
    folder: Path,
    *,
    house: House | None = None,
    endpoints: tuple[EndpointInfo, ...] = ENDPOINTS,
    told: bool = True,
    **config: Any,
) -> AsyncIterator[NetatmoDoor]:
    """A running server with a token for everything. told: this start of the agent was told of before."""
    house = house or House(folder, endpoints=endpoints)
    context = house.context("netatmo")
    webhooks = context.state_dir / "webhooks.json"
    if told and not webhooks.exists():
        webhooks.write_text(json.dumps({"told_boot": house.boot_number}))
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, ServerConfig(**config), context)
        door = NetatmoDoor(house)
        door.token = await door.issue()
        yield door
        nursery.cancel_scope.cancel()


class Names(trio.abc.HostnameResolver):
    """Answers in turn; each answer is the addresses of a host."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        found = self.answers[min(self.asked, len(self.answers)) - 1]
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, int(port)))
            for text in found
        ]

    async def getnameinfo(self, *_: Any) -> Any:
        raise NotImplementedError


class Sink:
    """A receiver of webhooks on a real socket. got: (path, headers, body, trio time) of each push.

    status: of its answers; hang_s: how long it takes; location: of redirects; connections: how many came.
    """

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], Any, float]] = []
        self.raw: list[bytes] = []
        self.status = 200
        self.hang_s = 0.0
        self.location = ""
        self.close_after = False
        self.connections = 0
        self.url = ""
        self._changed = trio.lowlevel.ParkingLot()

    def types(self) -> list[str]:
        """What was pushed, in order."""
        return [str(body["push_type"]) for _, _, body, _ in self.got]

    async def wait(self, count: int) -> None:
        """Until so many came."""
        with trio.fail_after(5):
            while len(self.got) < count:
                await self._changed.park()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection."""
        self.connections += 1
        http = h11.Connection(h11.SERVER)
        request: h11.Request | None = None
        body = b""
        try:
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    http.receive_data(await stream.receive_some(4096))
                elif isinstance(event, h11.Request):
                    request, body = event, b""
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    assert request is not None
                    headers = {name.decode(): value.decode() for name, value in request.headers}
                    self.raw.append(body)
                    self.got.append((request.target.decode(), headers, json.loads(body), trio.current_time()))
                    self._changed.unpark_all()
                    await trio.sleep(self.hang_s)
                    fields = [("content-length", "0"), *([("location", self.location)] * bool(self.location))]
                    answer = http.send(h11.Response(status_code=self.status, headers=fields)) or b""
                    await stream.send_all(answer + (http.send(h11.EndOfMessage()) or b""))
                    if self.close_after:
                        return
                    http.start_next_cycle()
                else:
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            await stream.aclose()


@asynccontextmanager
async def sinks(count: int = 1) -> AsyncIterator[list[Sink]]:
    """So many receivers."""
    found = [Sink() for _ in range(count)]
    async with trio.open_nursery() as nursery:
        for sink in found:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await nursery.start(trio.serve_listeners, sink.serve, listeners)
            sink.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/hook?key=secret"
        yield found
        nursery.cancel_scope.cancel()
