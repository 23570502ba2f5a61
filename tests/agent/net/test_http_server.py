from __future__ import annotations

import errno
import http.client
import inspect
import logging
import random
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from harness.raw_websocket import Certificates, Guarded
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import TaskGroup, WorkerContext
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from agent.model.errors import PeerError
from agent.net.http_server import HttpCounters, HttpLimits, serve_http
from agent.net.listeners import open_listeners

CERTIFICATES = Certificates()
SERVER_CONTEXT = CERTIFICATES.server()
CLIENT_CONTEXT = CERTIFICATES.client()
PATIENCE_S = 10.0
TIMEOUT_S = 0.3
HASTY_REQUEST = HttpLimits(request_timeout_s=TIMEOUT_S)
HASTY_IDLE = HttpLimits(idle_timeout_s=TIMEOUT_S)
LARGE = b"x" * 3_000_000

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# ----- an app -----


@dataclass
class House:
    """What happened inside the app."""

    seen: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def hello(self, request: Request) -> Response:
        self.seen.append(f"{request.method} {request.url.path}")
        return PlainTextResponse("hello")

    async def who(self, request: Request) -> Response:
        assert request.client is not None
        scope = request.scope
        return JSONResponse(
            {
                "host": request.client.host,
                "port": request.client.port,
                "scheme": request.url.scheme,
                "version": scope["http_version"],
                "server": scope["server"][0],
                "upgrade": request.headers.get("upgrade"),
            }
        )

    async def echo(self, request: Request) -> Response:
        body = await request.body()
        self.bodies.append(body)
        return Response(body)

    async def fail(self, request: Request) -> Response:
        raise ZeroDivisionError("a secret of the app")

    async def hang(self, request: Request) -> Response:
        self.seen.append("hanging")
        try:
            await trio.sleep_forever()
        finally:
            self.seen.append("cancelled")

    async def slow(self, request: Request) -> Response:
        self.seen.append("slow begins")
        await trio.sleep(0.06)
        self.seen.append("slow ends")
        return PlainTextResponse("slow")

    async def drips(self, request: Request) -> Response:
        async def drip() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"drop"
                    await trio.sleep(0.01)
            finally:
                self.seen.append("dripping ended")

        return StreamingResponse(drip())

    async def stalls(self, request: Request) -> Response:
        async def stall() -> AsyncIterator[bytes]:
            yield b"the beginning"
            await trio.sleep_forever()

        return StreamingResponse(stall())

    async def breaks(self, request: Request) -> Response:
        async def breaking() -> AsyncIterator[bytes]:
            yield b"the beginning"
            await trio.sleep(0.02)
            raise ZeroDivisionError("in the middle")

        return StreamingResponse(breaking())

    async def large(self, request: Request) -> Response:
        return Response(LARGE)

    async def afterwards(self, request: Request) -> Response:
        async def later() -> None:
            raise ZeroDivisionError("afterwards")

        return PlainTextResponse("fine", background=BackgroundTask(later))

    def app(self) -> Starlette:
        routes = [
            Route("/", self.hello, methods=["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"]),
            Route("/echo", self.echo, methods=["POST", "PUT"]),
        ]
        names = ("who", "fail", "hang", "slow", "drips", "stalls", "breaks", "large", "afterwards")
        routes += [Route(f"/{name}", getattr(self, name)) for name in names]
        return Starlette(routes=routes)


# ----- a server and clients -----


@dataclass
class Served:
    """A running server and what is to be known of it."""

    port: int
    guard: Guarded
    counters: HttpCounters
    scope: trio.CancelScope
    stopped: trio.Event
    listeners: list[socket.socket]
    client_context: ssl.SSLContext | None

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not condition():
                await trio.sleep(0.005)

    async def emptied(self, within_s: float = PATIENCE_S) -> None:
        with trio.fail_after(within_s):
            while self.counters.open:
                await trio.sleep(0.005)


@asynccontextmanager
async def served(
    app: App,
    *,
    tls: bool = False,
    limits: HttpLimits | None = None,
    host: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
    guard: Callable[[str], AbstractAsyncContextManager[None]] | None = None,
) -> AsyncIterator[Served]:
    listeners = open_listeners(host, 0)
    server = Served(
        port=listeners[0].getsockname()[1],
        guard=Guarded(),
        counters=HttpCounters(),
        scope=trio.CancelScope(),
        stopped=trio.Event(),
        listeners=listeners,
        client_context=CLIENT_CONTEXT if tls else None,
    )

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with server.scope:
            await serve_http(
                app,
                listeners,
                ssl_context=context or (SERVER_CONTEXT if tls else None),
                limits=limits or HttpLimits(),
                guard=guard or server.guard,
                counters=server.counters,
                task_status=task_status,
            )
        server.stopped.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield server
        server.scope.cancel()
    assert server.counters.open == 0
    assert all(listener.fileno() == -1 for listener in listeners)


@dataclass
class Answer:
    """One answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Bytes to and from a server."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self.buffer = b""

    @property
    def socket(self) -> trio.socket.SocketType:
        stream = self.stream
        return stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE_S):
            await self.stream.send_all(data)

    async def ask(self, target: str, *, method: str = "GET", extra: str = "", body: bytes = b"") -> Answer:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        await self.send(f"{method} {target} HTTP/1.1\r\nHost: door\r\n{extra}{length}\r\n".encode() + body)
        return await self.answer(bodiless=method == "HEAD")

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """Raises: EOFError when the connection ends before the answer."""
        head = await self._until(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        version, status = first.split(" ")[:2]
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert "server" not in headers
        body = b""
        if bodiless or status in ("100", "204", "304"):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await self._until(b"\r\n"), 16):
                body += await self._take(size)
                await self._take(2)
            await self._take(2)
        elif "content-length" in headers:
            body = await self._take(int(headers["content-length"]))
        else:
            body = await self.rest()
        return Answer(int(status), headers, body)

    async def _more(self) -> None:
        with trio.fail_after(PATIENCE_S):
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError as error:
                raise EOFError("broken") from error
        if not data:
            raise EOFError("ended")
        self.buffer += data

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            await self._more()
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    async def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            await self._more()
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, whichever way it ends."""
        try:
            while True:
                await self._more()
        except EOFError:
            return self.buffer

    async def reset(self) -> None:
        """Close so that the peer is told by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        await self.quit()

    async def quit(self) -> None:
        await trio.aclose_forcefully(self.stream)


@asynccontextmanager
async def connected(
    server: Served, *, receive_buffer_bytes: int = 0, source: str = "", host: str = "127.0.0.1"
) -> AsyncIterator[Client]:
    sock = trio.socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    with sock:
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        if source:
            await sock.bind((source, 0))
        await sock.connect((host, server.port))
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
        stream = plain = trio.SocketStream(sock)
        if server.client_context is not None:
            stream = trio.SSLStream(
                plain, server.client_context, server_hostname="localhost", https_compatible=True
            )
        yield Client(stream)


def simple(*messages: Message) -> App:
    """An app that sends just these."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


# ----- requests and answers -----


async def test_several_requests_on_one_connection(tls: bool) -> None:
    house = House()
    async with (
        served(house.app(), tls=tls) as server,
        connected(server) as client,
    ):
        for _ in range(3):
            answer = await client.ask("/who")
            assert answer.status == 200
            assert "date" in answer.headers
            assert "connection" not in answer.headers
            assert answer.body.startswith(b'{"host":"127.0.0.1","port":')
            assert f'"scheme":"{"https" if tls else "http"}","version":"1.1"'.encode() in answer.body
            assert b'"server":"127.0.0.1"' in answer.body
        assert (await client.ask("/echo", method="POST", body=b"body")).body == b"body"
        assert (await client.ask("/nowhere")).status == 404
        assert (await client.ask("/")).body == b"hello"
        assert (server.counters.accepted, server.counters.requests) == (1, 6)
        assert server.guard.caught == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "BREW"])
async def test_every_method_reaches_the_app(method: str) -> None:
    house = House()
    async with served(house.app()) as server, connected(server) as client:
        answer = await client.ask("/", method=method)
        assert answer.status == 200
        assert answer.headers["content-length"] == "5"
        assert house.seen == [f"{method} /"]
        # Nothing that does not belong there came behind it.
        assert (await client.ask("/")).body == b"hello"


async def test_the_last_request_of_a_connection(tls: bool) -> None:
    limits = HttpLimits(max_requests=2)
    async with (
        served(House().app(), tls=tls, limits=limits) as server,
        connected(server) as client,
    ):
        assert "connection" not in (await client.ask("/")).headers
        answer = await client.ask("/")
        assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
        assert await client.rest() == b""
        await client.quit()
        await server.emptied()


async def test_an_older_client() -> None:
    async with served(House().app()) as server, connected(server) as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.answer()).body == b"hello"
        assert await client.rest() == b""
    in_parts = simple(start(), part(b"of no ", more=True), part(b"known size"))
    async with served(in_parts) as server, connected(server) as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.answer()).body == b"of no known size"


async def test_a_client_that_waits_to_be_told_to_go_on() -> None:
    house = House()
    async with served(house.app()) as server, connected(server) as client:
        await client.send(
            b"POST /echo HTTP/1.1\r\nHost: door\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        assert (await client.answer()).status == 100
        await client.send(b"body")
        assert (await client.answer()).body == b"body"


async def test_ipv4_is_plain_behind_a_dual_stack_listener() -> None:
    async with served(House().app(), host="::") as server:
        async with connected(server) as client:
            body = (await client.ask("/who")).body
            assert b'"host":"127.0.0.1"' in body
            assert b'"server":"127.0.0.1"' in body
        if server.listeners[0].family is socket.AF_INET6:
            async with connected(server, host="::1") as client:
                assert b'"host":"::1"' in (await client.ask("/who")).body


async def test_a_client_of_another_make_is_content(tls: bool) -> None:
    def talk(port: int, context: ssl.SSLContext | None) -> list[bytes]:
        connection = (
            http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
            if context
            else http.client.HTTPConnection("localhost", port, timeout=10)
        )
        heard = []
        for method, path, body in (
            ("GET", "/", None),
            ("POST", "/echo", b"body"),
            ("POST", "/echo", iter([b"in ", b"parts"])),
            ("HEAD", "/", None),
            ("GET", "/large", None),
        ):
            connection.request(method, path, body=body, encode_chunked=True)
            heard.append(connection.getresponse().read())
        connection.close()
        return heard

    async with served(House().app(), tls=tls) as server:
        heard = await trio.to_thread.run_sync(talk, server.port, server.client_context)
        assert heard == [b"hello", b"body", b"in parts", b"", LARGE]
        assert server.counters.accepted == 1
        # An ordinary end frees the place at once, and not after idle_timeout_s.
        await server.emptied(2)


async def test_an_answer_in_parts(tls: bool) -> None:
    app = simple(start(), part(b"one ", more=True), part(b"", more=True), part(b"two", more=True), part(b""))
    async with served(app, tls=tls) as server, connected(server) as client:
        for _ in range(2):
            assert (await client.ask("/")).body == b"one two"


async def test_the_head_leaves_with_the_first_of_the_body() -> None:
    async with served(House().app()) as server, connected(server) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: door\r\n\r\n")
        assert (await client.stream.receive_some()).endswith(b"\r\n\r\nhello")


async def test_no_lifespan_and_a_state_of_ones_own() -> None:
    scopes: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        scope["state"]["mine"] = True
        await send(start(204))
        await send(part(b""))

    async with served(app) as server, connected(server) as client:
        assert (await client.ask("/%66%6f%6f?x=%20")).status == 204
        assert (await client.ask("/")).status == 204
    assert [scope["type"] for scope in scopes] == ["http", "http"]
    assert (scopes[0]["path"], scopes[0]["raw_path"], scopes[0]["query_string"]) == (
        "/foo",
        b"/%66%6f%6f",
        b"x=%20",
    )
    assert scopes[0]["state"] is not scopes[1]["state"]


# ----- what a client may not -----


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: door\r\nX: " + b"y" * 30_000,
        b"GET / HTTP/1.1\r\nHost: door\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"GET /" + b"y" * 30_000 + b" HTTP/1.1\r\nHost: door\r\n\r\n",
        b"G" * 30_000,
    ],
    ids=["endless header", "many headers", "long target", "long method"],
)
async def test_a_head_that_is_too_large(head: bytes, tls: bool) -> None:
    house = House()
    async with served(house.app(), tls=tls) as server, connected(server) as client:
        await client.send(head)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert await client.rest() == b""
        await client.quit()
        await server.emptied()
        assert (house.seen, server.guard.caught) == ([], [])


@pytest.mark.parametrize(("size", "status"), [(39_900, 200), (44_100, 431)])
async def test_the_largest_head(size: int, status: int) -> None:
    limits = HttpLimits(max_header_bytes=40_000)
    async with served(House().app(), limits=limits) as server, connected(server) as client:
        assert (await client.ask("/", extra=f"X: {'y' * (size - 44)}\r\n")).status == status


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"Content-Length: 1001\r\n\r\n",
        b"Content-Length: 1001\r\n\r\n" + b"x" * 1001,
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1001,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n",
        b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n",
    ],
)
async def test_a_body_that_is_too_large(request_bytes: bytes, tls: bool) -> None:
    house = House()
    limits = HttpLimits(max_body_bytes=1000)
    async with (
        served(house.app(), tls=tls, limits=limits) as server,
        connected(server) as client,
    ):
        await client.send(b"POST /echo HTTP/1.1\r\nHost: door\r\n" + request_bytes)
        answer = await client.answer()
        if answer.status == 100:
            answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert answer.headers["content-type"].startswith("text/plain")
        assert await client.rest() == b""
        await client.quit()
        await server.emptied()
        assert (house.bodies, server.guard.caught) == ([], [])


async def test_who_goes_on_sending_still_hears_why_it_was_too_much() -> None:
    limits = HttpLimits(max_body_bytes=1000)
    async with served(House().app(), limits=limits) as server, connected(server) as client:
        await client.send(b"POST /echo HTTP/1.1\r\nHost: door\r\nContent-Length: 500000\r\n\r\n")
        await client.send(bytes(500_000))
        assert (await client.answer()).status == 413


@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 1000\r\n\r\n" + b"x" * 1000,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
async def test_the_largest_body(framed: bytes, tls: bool) -> None:
    limits = HttpLimits(max_body_bytes=1000)
    async with (
        served(House().app(), tls=tls, limits=limits) as server,
        connected(server) as client,
    ):
        await client.send(b"POST /echo HTTP/1.1\r\nHost: door\r\n" + framed)
        assert (await client.answer()).body == b"x" * 1000
        assert (await client.ask("/")).body == b"hello"


async def test_an_app_may_leave_the_body_alone() -> None:
    """With hypercorn's own queue, more parts than fit in it hung the app for ever behind its answer."""
    async with served(simple(start(204), part(b""))) as server, connected(server) as client:
        for _ in range(2):
            await client.send(
                b"POST / HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"1\r\nx\r\n" * 50
                + b"0\r\n\r\n"
            )
            assert (await client.answer()).status == 204
        await client.quit()
        await server.emptied(2)


async def test_a_head_that_drips_is_cut_off_in_time(tls: bool) -> None:
    async with (
        served(House().app(), tls=tls, limits=HASTY_IDLE) as server,
        connected(server) as client,
    ):
        began = trio.current_time()

        async def drip() -> None:
            for byte in b"GET / HTTP/1.1\r\nHost: door\r\n" + b"X: y\r\n" * 1000:
                await client.send(bytes([byte]))
                await trio.sleep(0.02)

        with pytest.raises(trio.BrokenResourceError):
            await drip()
        assert TIMEOUT_S * 0.9 < trio.current_time() - began < 5
        await server.emptied()
        assert server.counters.requests == 0


@pytest.mark.parametrize("sent", [b"", b"G", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_silence_at_the_beginning_is_cut_off_in_time(sent: bytes, tls: bool) -> None:
    async with served(House().app(), tls=tls, limits=HASTY_IDLE) as server:
        began = trio.current_time()
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with stream:
            if sent:
                await stream.send_all(sent)
            await Client(stream).rest()
        await server.emptied()
        assert trio.current_time() - began < 5
        assert server.guard.caught == []


async def test_silence_between_requests_is_cut_off_in_time(tls: bool) -> None:
    async with (
        served(House().app(), tls=tls, limits=HASTY_IDLE) as server,
        connected(server) as client,
    ):
        for _ in range(3):
            # Each request begins a new wait.
            assert (await client.ask("/")).status == 200
            await trio.sleep(TIMEOUT_S / 2)
        began = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() - began < 5


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n64\r\n"]
)
async def test_a_body_that_drips_is_cut_off_in_time(framing: bytes, tls: bool) -> None:
    house = House()
    async with (
        served(house.app(), tls=tls, limits=HASTY_REQUEST) as server,
        connected(server) as client,
        trio.open_nursery() as nursery,
    ):
        began = trio.current_time()
        await client.send(b"POST /echo HTTP/1.1\r\nHost: door\r\n" + framing)

        async def drip() -> None:
            while True:
                await trio.sleep(0.02)
                try:
                    await client.send(b"x")
                except trio.BrokenResourceError:
                    return

        nursery.start_soon(drip)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert TIMEOUT_S * 0.9 < trio.current_time() - began < 5
        nursery.cancel_scope.cancel()
        assert (house.bodies, server.counters.late) == ([], 1)


async def test_a_request_may_take_longer_than_silence_may(tls: bool) -> None:
    limits = HttpLimits(idle_timeout_s=TIMEOUT_S)
    async with served(House().app(), tls=tls, limits=limits) as server, connected(server) as client:
        await client.send(b"POST /echo HTTP/1.1\r\nHost: door\r\nContent-Length: 8\r\n\r\nbody")
        await trio.sleep(TIMEOUT_S * 1.5)
        await client.send(b"body")
        assert (await client.answer()).body == b"bodybody"
        assert (await client.ask("/")).body == b"hello"


GARBAGE = [
    b"\r\n\r\n\r\n",
    b"\x00\x01\x02garbage\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",  # no Host
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: door\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: door\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    b"GET / HTTP/1.1\r\nHost: door\r\nbad header\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: door\r\nX: \x00\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: door\r\n\r\n",
    b"CONNECT door:22 HTTP/1.1\r\nHost: door\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: door\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: door\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: door\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: door\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
    b"POST / HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
]


@pytest.mark.parametrize("sent", GARBAGE, ids=lambda sent: repr(sent[:40]))
async def test_garbage_is_refused(sent: bytes, tls: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    house = House()
    async with served(house.app(), tls=tls) as server, connected(server) as client:
        await client.send(sent)
        answer = await client.answer()
        assert (400 <= answer.status <= 501, answer.headers["connection"]) == (True, "close")
        assert await client.rest() == b""
        await client.quit()
        await server.emptied()
        async with connected(server) as other:
            assert (await other.ask("/")).body == b"hello"
        assert (house.seen, server.guard.caught) == (["GET /"], [])
    assert caplog.records == []
    assert logging.getLogger("hypercorn.error").handlers == []


async def test_any_bytes_at_all_hurt_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    chance = random.Random(20)
    whole = b"POST /echo HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    whole += b"4\r\nbody\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: door\r\nUpgrade: h2c\r\n\r\n"
    async with served(House().app(), limits=HttpLimits(max_per_peer=64)) as server:

        async def torment(data: bytes, cuts: list[int], *, politely: bool) -> None:
            async with connected(server) as client:
                try:
                    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                        await client.send(data[begin:end])
                    if politely:
                        await client.stream.send_eof()
                        await client.rest()
                    else:
                        await client.reset()
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass

        for number in range(300):
            data = bytearray(whole)
            for _ in range(chance.randrange(4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            for _ in range(chance.randrange(3)):
                place = chance.randrange(len(data))
                data[place : place + chance.randrange(9)] = chance.randbytes(chance.randrange(5))
            cuts = sorted(chance.sample(range(len(data)), chance.randrange(4)))
            await torment(bytes(data), cuts, politely=number % 3 > 0)
        await server.emptied()
        assert server.guard.caught == []
        async with connected(server) as client:
            assert (await client.ask("/")).body == b"hello"
    assert caplog.records == []


# ----- what is not spoken -----


@pytest.mark.parametrize(
    "extra",
    [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade\r\nUpgrade: something, WebSocket\r\n",
    ],
    ids=["websocket", "h2c", "several"],
)
async def test_an_upgrade_is_answered_as_the_request_that_it_is(extra: str, tls: bool) -> None:
    async with served(House().app(), tls=tls) as server, connected(server) as client:
        for _ in range(2):
            answer = await client.ask("/who", extra=extra)
            assert answer.status == 200
            assert b'"version":"1.1"' in answer.body
            assert b'"upgrade":null' in answer.body
            assert "upgrade" not in answer.headers
        assert (await client.ask("/")).body == b"hello"
        assert server.guard.caught == []


async def test_http_2_is_not_offered_in_tls() -> None:
    async with served(House().app(), tls=True) as server:
        server.client_context = CERTIFICATES.client()
        server.client_context.set_alpn_protocols(["h2", "http/1.1"])
        async with connected(server) as client:
            assert (await client.ask("/")).status == 200
            assert isinstance(client.stream, trio.SSLStream)
            assert client.stream.selected_alpn_protocol() in (None, "http/1.1")


# ----- an app that does not do as it should -----


async def test_a_bug_in_the_app_is_told_to_the_guard_and_not_to_the_client(
    tls: bool,
) -> None:
    async with (
        served(House().app(), tls=tls) as server,
        connected(server) as other,
        connected(server) as client,
    ):
        assert (await other.ask("/")).status == 200
        answer = await client.ask("/fail")
        assert (answer.status, answer.body) == (500, b"Internal Server Error")
        assert (await other.ask("/")).status == 200
        assert [type(error) for error in server.guard.caught] == [ZeroDivisionError]
        assert server.counters.failed == 1
        # What Starlette answers by itself does not end the connection.
        assert (await client.ask("/")).status == 200


async def fails(scope: Message, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError("a secret of the app")


async def fails_behind_the_head(scope: Message, receive: Receive, send: Send) -> None:
    await send(start(200, (b"x-half", b"true")))
    raise PeerError("a secret of the app")


@pytest.mark.parametrize(
    ("app", "error"),
    [
        (fails, "ZeroDivisionError"),
        (fails_behind_the_head, "PeerError"),
        (simple(), "RuntimeError"),
        (simple(start()), "RuntimeError"),
        (simple(part(b"x")), "UnexpectedMessageError"),
        (simple({"type": "http.response.push"}), "UnexpectedMessageError"),
        (simple(start(200, (b"x", b"a\r\nb: c")), part(b"x")), "LocalProtocolError"),
        (simple(start(200, (b"content-length", b"many")), part(b"x")), "LocalProtocolError"),
        (simple(start(200, (b":x", b"y")), part(b"x")), "ValueError"),
        (simple(start(20000), part(b"x")), "LocalProtocolError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_the_app_does_wrong_before_its_answer_has_begun(app: App, error: str) -> None:
    async with served(app) as server:
        async with connected(server) as client:
            answer = await client.ask("/")
            assert (answer.status, answer.headers["connection"]) == (500, "close")
            assert answer.body == b"Internal Server Error\n"
            assert "x-half" not in answer.headers
            assert await client.rest() == b""
        assert [type(caught).__name__ for caught in server.guard.caught] == [error]
        assert server.counters.failed == 1


@pytest.mark.parametrize(
    "app",
    [
        simple(start(), part(b"the beginning", more=True)),
        simple(start(), part(b"the beginning", more=True), start()),
        simple(start(200, (b"content-length", b"20")), part(b"the beginning")),
        simple(start(200, (b"content-length", b"10")), part(b"the beg", more=True), part(b"inning")),
        House().app(),
    ],
    ids=["no end", "two heads", "too short", "too long", "starlette"],
)
async def test_an_answer_that_breaks_off_is_seen_to_be_broken(app: App, tls: bool) -> None:
    async with served(app, tls=tls) as server:
        async with connected(server) as client:
            with pytest.raises(EOFError):
                await client.ask("/breaks")
        await server.emptied()
        assert len(server.guard.caught) == 1
        async with connected(server) as client:
            with pytest.raises(EOFError):
                await client.ask("/breaks")


async def test_a_bug_behind_the_answer_leaves_the_answer_alone() -> None:
    async with served(House().app()) as server, connected(server) as client:
        for count in (1, 2):
            assert (await client.ask("/afterwards")).body == b"fine"
            await server.until(lambda count=count: len(server.guard.caught) == count)  # type: ignore[misc]


async def test_an_app_that_hangs_is_cancelled(tls: bool) -> None:
    house = House()
    async with (
        served(house.app(), tls=tls, limits=HASTY_REQUEST) as server,
        connected(server) as client,
    ):
        began = trio.current_time()
        answer = await client.ask("/hang")
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert TIMEOUT_S * 0.9 < trio.current_time() - began < 5
        assert house.seen == ["hanging", "cancelled"]
        assert await client.rest() == b""
        assert (server.counters.late, server.guard.caught) == (1, [])


async def test_an_app_that_hangs_in_the_middle_of_its_answer_is_cut_off(
    tls: bool,
) -> None:
    async with (
        served(House().app(), tls=tls, limits=HASTY_REQUEST) as server,
        connected(server) as client,
    ):
        await client.send(b"GET /stalls HTTP/1.1\r\nHost: door\r\n\r\n")
        assert (await client.rest()).endswith(b"d\r\nthe beginning\r\n")  # and no last chunk
        await server.emptied()
        assert (server.counters.late, server.guard.caught) == (1, [])


# ----- a client that does not read, or goes -----


async def test_a_client_that_does_not_read_is_dropped(tls: bool) -> None:
    async with (
        served(House().app(), tls=tls, limits=HASTY_REQUEST) as server,
        connected(server, receive_buffer_bytes=4096) as client,
    ):
        began = trio.current_time()
        await client.send(b"GET /large HTTP/1.1\r\nHost: door\r\n\r\n")
        await server.until(lambda: server.counters.requests == 1)
        await server.emptied()
        assert TIMEOUT_S * 0.9 < trio.current_time() - began < 5
        assert (server.counters.late, server.guard.caught) == (1, [])


async def test_a_client_that_reads_slowly_has_it_all(tls: bool) -> None:
    async with (
        served(House().app(), tls=tls) as server,
        connected(server, receive_buffer_bytes=8192) as client,
    ):
        await client.send(b"GET /large HTTP/1.1\r\nHost: door\r\n\r\n")
        await trio.sleep(0.1)
        assert (await client.answer()).body == LARGE
        assert (await client.ask("/")).body == b"hello"


@pytest.mark.parametrize("how", ["reset", "quit"])
async def test_a_client_that_goes_in_the_middle_of_the_answer(how: str, tls: bool) -> None:
    """hypercorn on trio has been deaf for that (pgjones/hypercorn issue 210)."""
    house = House()
    async with served(house.app(), tls=tls) as server:
        async with connected(server) as client:
            await client.send(b"GET /drips HTTP/1.1\r\nHost: door\r\n\r\n")
            assert b"drop" in await client.stream.receive_some()
            await getattr(client, how)()
        await server.emptied(2)
        assert house.seen == ["dripping ended"]
        assert (server.guard.caught, server.counters.failed, server.counters.late) == ([], 0, 0)


async def test_an_app_hears_that_its_client_has_gone() -> None:
    heard: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        heard.append((await receive())["type"])
        heard.append((await receive())["type"])
        heard.append((await receive())["type"])
        # What is sent to nobody is lost without an error, and gives others their turn.
        for _ in range(1000):
            await send(start() if heard[-1] != "sent" else part(b"x", more=True))
            heard.append("sent")
        heard.append("end")

    async with served(app) as server:
        async with connected(server) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: door\r\n\r\n")
            await server.until(lambda: heard == ["http.request"])
            await client.reset()
        await server.emptied(2)
    assert heard[:3] == ["http.request", "http.disconnect", "http.disconnect"]
    assert heard[-1] == "end"
    assert server.guard.caught == []


async def test_sending_to_nobody_for_ever_holds_up_nobody() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        while True:
            await send(part(b"x" * 1000, more=True))

    async with served(app, limits=HASTY_REQUEST) as server:
        async with connected(server) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: door\r\n\r\n")
            await client.stream.receive_some()
            await client.reset()
        await server.emptied(5)
        assert server.guard.caught == []


async def test_hearing_of_nobody_for_ever_holds_up_nobody() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while True:
            await receive()

    async with served(app, limits=HASTY_REQUEST) as server:
        async with connected(server) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: door\r\n\r\n")
            await server.until(lambda: server.counters.requests == 1)
        await server.emptied(5)
        assert server.guard.caught == []


async def test_an_action_goes_on_without_its_client() -> None:
    house = House()
    async with served(house.app()) as server:
        async with connected(server) as client:
            await client.send(b"GET /slow HTTP/1.1\r\nHost: door\r\n\r\n")
            await server.until(lambda: house.seen == ["slow begins"])
            await client.reset()
        await server.emptied()
        assert house.seen == ["slow begins", "slow ends"]
        assert server.guard.caught == []


async def test_a_client_that_only_stops_sending_has_its_answer() -> None:
    async with served(House().app()) as server, connected(server) as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: door\r\n\r\n")
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        assert (await client.answer()).body == b"slow"
        assert await client.rest() == b""
        await server.emptied(2)


@pytest.mark.parametrize("reset", [True, False])
async def test_a_client_that_vanishes_at_any_moment(reset: bool, tls: bool) -> None:
    whole = b"POST /echo HTTP/1.1\r\nHost: door\r\nContent-Length: 10\r\n\r\n0123456789"
    async with served(House().app(), tls=tls) as server:
        for size in (0, 1, 30, 65, 70, len(whole)):
            async with connected(server) as client:
                if size:
                    await client.send(whole[:size])
                await (client.reset() if reset else client.quit())
        await server.emptied(2)
        assert server.guard.caught == []


# ----- bytes that trail a request -----


@pytest.mark.parametrize(
    "trailing", [b"\r\n", b"EXTRA", b"GET / HTTP/1.1\r\nHost: door\r\n\r\n", bytes(9000)]
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_bytes_behind_the_last_request_are_ignored(trailing: bytes, at_once: bool, tls: bool) -> None:
    """hypercorn answers 400, and what the app did and says of it is lost (pgjones/hypercorn issue 203)."""
    house = House()
    async with served(house.app(), tls=tls) as server, connected(server) as client:
        whole = b"GET /slow HTTP/1.1\r\nHost: door\r\nConnection: close\r\n\r\n"
        await client.send(whole + trailing if at_once else whole)
        if not at_once:
            for _ in range(3):
                await trio.sleep(0.01)
                await client.send(trailing)
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"slow")
        assert await client.rest() == b""
        await client.quit()
        await server.emptied(3)
        assert (house.seen, server.guard.caught) == (["slow begins", "slow ends"], [])


async def test_a_flood_behind_the_last_request_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await trio.sleep(0.2)
        kept.append(sum(len(connection.trailing_data[0]) for connection in connections))
        await send(start(204))
        await send(part(b""))

    from agent.net import http_connection

    connections: list[http_connection._LastRequest] = []

    class Remembered(http_connection._LastRequest):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            connections.append(self)

    monkeypatch.setattr(http_connection, "_LastRequest", Remembered)
    async with served(app) as server, connected(server) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: door\r\nConnection: close\r\n\r\n")
        await client.send(bytes(1_000_000))
        assert (await client.answer()).status == 204
        assert server.guard.caught == []
    assert len(kept) == 1
    assert kept[0] < 10_000


async def test_requests_in_one_segment_are_answered_in_order(tls: bool) -> None:
    house = House()
    async with served(house.app(), tls=tls) as server, connected(server) as client:
        await client.send(
            b"GET /slow HTTP/1.1\r\nHost: door\r\n\r\n"
            b"POST /echo HTTP/1.1\r\nHost: door\r\nContent-Length: 4\r\n\r\nbody"
            b"GET /fail HTTP/1.1\r\nHost: door\r\n\r\n" + b"GET / HTTP/1.1\r\nHost: door\r\n\r\n" * 20
        )
        assert [(await client.answer()).body for _ in range(3)] == [
            b"slow",
            b"body",
            b"Internal Server Error",
        ]
        assert [(await client.answer()).body for _ in range(20)] == [b"hello"] * 20
        assert house.seen[:2] == ["slow begins", "slow ends"]


async def test_a_client_that_goes_with_requests_still_waiting() -> None:
    house = House()
    async with served(house.app()) as server:
        async with connected(server) as client:
            await client.send(b"GET /slow HTTP/1.1\r\nHost: door\r\n\r\n" * 3)
            await server.until(lambda: bool(house.seen))
            await client.reset()
        await server.emptied()
        assert server.guard.caught == []


async def test_garbage_behind_a_request_does_not_cost_its_answer() -> None:
    async with served(House().app()) as server, connected(server) as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: door\r\n\r\n\x00garbage")
        assert (await client.answer()).body == b"slow"
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
        assert server.guard.caught == []


# ----- connections -----


async def test_too_many_are_refused_and_room_is_made_again(tls: bool) -> None:
    limits = HttpLimits(max_connections=3, max_per_peer=2)
    async with (
        served(House().app(), tls=tls, limits=limits) as server,
        connected(server) as first,
        connected(server) as second,
    ):
        assert (await first.ask("/")).status == (await second.ask("/")).status == 200
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as third:
            assert await Client(third).rest() == b""
        assert server.counters.refused == 1
        await second.quit()
        await server.until(lambda: server.counters.open == 1)
        async with connected(server) as fourth:
            assert (await fourth.ask("/")).status == 200


async def test_too_many_altogether_are_refused() -> None:
    limits = HttpLimits(max_connections=3, max_per_peer=2)
    async with served(House().app(), limits=limits) as server, AsyncExitStack() as stack:
        for number in (1, 1, 2):
            client = await stack.enter_async_context(connected(server, source=f"127.0.0.{number}"))
            assert (await client.ask("/")).status == 200
        async with connected(server, source="127.0.0.3") as another:
            assert await another.rest() == b""
        assert server.counters.refused == 1


async def test_one_network_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger has as many addresses of an IPv6 /64 as it likes."""
    monkeypatch.setattr(
        "agent.net.admission.network_of", lambda host: host if host == "127.0.0.9" else "2001:db8::/64"
    )
    limits = HttpLimits(max_connections=4, max_per_peer=1)
    async with served(House().app(), limits=limits) as server, AsyncExitStack() as stack:
        for number in (1, 2):
            await stack.enter_async_context(connected(server, source=f"127.0.0.{number}"))
        await server.until(lambda: server.counters.open == 2)
        async with connected(server, source="127.0.0.3") as third:
            assert await third.rest() == b""
        assert server.counters.refused == 1
        async with connected(server, source="127.0.0.9") as phone:
            assert (await phone.ask("/")).status == 200


async def test_many_at_once(tls: bool) -> None:
    limits = HttpLimits(max_per_peer=64)
    async with (
        served(House().app(), tls=tls, limits=limits) as server,
        trio.open_nursery() as nursery,
    ):

        async def one() -> None:
            async with connected(server) as client:
                for _ in range(3):
                    assert (await client.ask("/slow")).body == b"slow"

        for _ in range(30):
            nursery.start_soon(one)
    assert (server.counters.accepted, server.counters.requests) == (30, 90)


async def test_out_of_descriptors_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    fail = [errno.EMFILE, errno.ECONNABORTED]
    real = socket.socket.accept

    def accept(self: socket.socket) -> Any:
        if fail:
            raise OSError(fail.pop(), "not now")
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    async with served(House().app()) as server, connected(server) as client:
        assert (await client.ask("/")).status == 200
        assert server.counters.accept_errors == 2


async def test_plain_http_on_the_tls_port_is_just_closed() -> None:
    async with served(House().app(), tls=True) as server:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: door\r\n\r\n")
            assert b"HTTP" not in await Client(stream).rest()
        await server.emptied()
        assert (server.counters.failed_handshakes, server.counters.accepted) == (1, 0)
        assert server.guard.caught == []


async def test_a_client_that_does_not_trust_us_is_no_bug_of_ours() -> None:
    async with served(House().app(), tls=True) as server:
        server.client_context = Certificates().client()
        async with connected(server) as client:
            with pytest.raises(trio.BrokenResourceError):
                await client.ask("/")
        await server.emptied()
        assert (server.counters.requests, server.guard.caught) == (0, [])


async def test_a_context_whose_certificate_changes_serves_the_new_one_at_once() -> None:
    other = Certificates()
    context = CERTIFICATES.server()
    async with served(House().app(), tls=True, context=context) as server:
        for trusted in (CERTIFICATES, other):
            if trusted is other:
                other.authority.issue_cert("localhost").configure_cert(context)
            server.client_context = trusted.client()
            async with connected(server) as client:
                assert (await client.ask("/")).status == 200


async def test_a_strict_guard_shows_a_test_its_bug() -> None:
    @asynccontextmanager
    async def strict(name: str) -> AsyncIterator[None]:
        assert name == "http 127.0.0.1"
        yield

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with served(House().app(), guard=strict) as server, connected(server) as client:
            await client.ask("/fail")
            await trio.sleep(PATIENCE_S)


async def test_a_bug_of_the_protocol_ends_that_connection_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.net import http_connection

    async def bug(self: Any, event: Any) -> None:
        raise ZeroDivisionError("not expected there")

    async with served(House().app()) as server, connected(server) as other:
        assert (await other.ask("/")).status == 200
        with monkeypatch.context() as patch:
            patch.setattr(http_connection._Http1, "_check_protocol", bug)
            async with connected(server) as client:
                with pytest.raises(EOFError):
                    await client.ask("/")
        assert (await other.ask("/")).status == 200
        assert len(server.guard.caught) == 1
        await server.until(lambda: server.counters.open == 1)


# ----- the end -----


async def test_stopping_lets_running_requests_finish(tls: bool) -> None:
    house = House()
    async with (
        served(house.app(), tls=tls) as server,
        connected(server) as busy,
        connected(server) as idle,
    ):
        assert (await idle.ask("/")).status == 200
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: door\r\n\r\n")
        await server.until(lambda: "slow begins" in house.seen)
        server.scope.cancel()
        assert await idle.rest() == b""
        assert "slow ends" not in house.seen
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", server.port)
        answer = await busy.answer()
        assert (answer.status, answer.body) == (200, b"slow")
        assert await busy.rest() == b""
        with trio.fail_after(1):
            await server.stopped.wait()
        assert server.guard.caught == []


async def test_stopping_does_not_wait_for_long(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.net.http_request.GRACE_S", TIMEOUT_S)
    house = House()
    async with (
        served(house.app(), tls=tls) as server,
        connected(server) as hanging,
        connected(server, receive_buffer_bytes=4096) as deaf,
        connected(server) as half,
        await trio.open_tcp_stream("127.0.0.1", server.port),
    ):
        await hanging.send(b"GET /hang HTTP/1.1\r\nHost: door\r\n\r\n")
        await deaf.send(b"GET /large HTTP/1.1\r\nHost: door\r\n\r\n")
        await half.send(b"POST /echo HTTP/1.1\r\nHost: door\r\nContent-Length: 10\r\n\r\n")
        await server.until(lambda: server.counters.requests == 3)
        began = trio.current_time()
        server.scope.cancel()
        with trio.fail_after(5):
            await server.stopped.wait()
        assert trio.current_time() - began > TIMEOUT_S * 0.9
        assert (await hanging.answer()).status == 503
        assert house.seen == ["hanging", "cancelled"]
        with pytest.raises(EOFError):
            await deaf.answer()
        # Nobody waits for a body that may never come.
        with pytest.raises(EOFError):
            await half.answer()
        assert server.guard.caught == []


async def test_stopping_without_anybody_is_immediate() -> None:
    async with served(House().app()) as server:
        began = trio.current_time()
        server.scope.cancel()
        await server.stopped.wait()
        assert trio.current_time() - began < 0.5


async def test_a_listener_that_is_no_longer_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def accept(self: socket.socket) -> Any:
        raise OSError(errno.EBADF, "not now")

    monkeypatch.setattr(socket.socket, "accept", accept)
    with pytest.RaisesGroup(pytest.RaisesExc(PeerError, match="closed"), flatten_subgroups=True):
        async with served(House().app()) as server:
            with socket.create_connection(("127.0.0.1", server.port)):
                await trio.sleep(PATIENCE_S)


# ----- what we use of others -----


def test_a_door_without_http_does_not_pay_for_it() -> None:
    code = (
        "import sys, agent.net.http_server\n"
        "print([name for name in ('hypercorn', 'starlette', 'h2', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_parts_of_hypercorn_that_are_used_are_as_they_were() -> None:
    """They are not promised to anybody: read http_connection again when this fails."""

    def parameters(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    build = "self app config context task_group"
    assert parameters(H11Protocol.__init__) == f"{build} connection_state ssl client server send".split()
    assert parameters(HTTPStream.__init__) == f"{build} ssl client server send stream_id".split()
    assert parameters(TaskGroup.spawn_app) == ["self", "app", "config", "scope", "send"]
    for name in ("handle", "stream_send", "_check_protocol"):
        assert parameters(getattr(H11Protocol, name)) == ["self", "event"]
    assert parameters(H11Protocol._create_stream) == ["self", "request"]
    assert parameters(H11Protocol._send_error_response) == ["self", "status_code"]
    assert parameters(WorkerContext.mark_request) == ["self"]
    assert {"event_class", "terminated"} <= set(WorkerContext.__annotations__)
