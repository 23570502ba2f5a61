from __future__ import annotations

import errno
import gc
import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from harness.raw_websocket import Certificates

from agent.model.errors import PeerError
from agent.net.http_client import HttpAnswer, HttpClient
from agent.net.trust import client_context

CERTIFICATES = Certificates()
SERVER_CONTEXT = CERTIFICATES.server()
CLIENT_CONTEXT = CERTIFICATES.client()
SECRET = "/a-key-in-the-path?token=hunter2"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TIMEOUT_S = 0.3
NOT_SENT = "the request cannot be sent: a name, a header or the method is illegal"
BROKEN = "the answer breaks off or is malformed"

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Script = Callable[["Call"], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """A generator or a socket that is left to the garbage collector warns, and warnings are errors."""
    yield
    gc.collect()


# ----- a server that does as it is told -----


@dataclass
class Call:
    """One connection to the scripted server."""

    stream: Stream
    server: Scripted
    ended: bool = False

    async def heard(self) -> bytes:
        """The next request with its body; b"" at the end."""
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                part = await self.stream.receive_some()
                if not part:
                    self.ended = True
                    return b""
                data += bytes(part)
            head, _, body = data.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if b"content-len" in line), 0
            )
            while len(body) < length:
                body += await self.stream.receive_some()
        except trio.BrokenResourceError:
            self.ended = True
            return b""
        self.server.requests.append(head + b"\r\n\r\n" + body)
        return self.server.requests[-1]

    async def says(self, *parts: bytes) -> None:
        """Send; a client that is gone is no matter."""
        try:
            for part in parts:
                await self.stream.send_all(part)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended = True

    async def gone(self) -> None:
        """Wait for the client to close."""
        with trio.fail_after(5):
            try:
                while await self.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
        self.ended = True

    async def resets(self) -> None:
        stream = self.stream
        below = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        below.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        await trio.aclose_forcefully(below)


@dataclass
class Scripted:
    """url: without a path. calls: the connections so far. requests: as they came."""

    url: str
    port: int
    calls: list[Call] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(5):
            while not condition():
                await trio.sleep(0.005)


@asynccontextmanager
async def scripted(*scripts: Script, tls: bool = False) -> AsyncIterator[Scripted]:
    """One script for each connection, the last for all that follow."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        server = Scripted(f"{'https' if tls else 'http'}://localhost:{port}", port)

        async def serve(stream: trio.SocketStream) -> None:
            wrapped: Stream = stream
            if tls:
                wrapped = trio.SSLStream(stream, SERVER_CONTEXT, server_side=True, https_compatible=True)
                try:
                    await wrapped.do_handshake()
                except trio.BrokenResourceError:
                    return
            call = Call(wrapped, server)
            server.calls.append(call)
            await scripts[min(len(server.calls), len(scripts)) - 1](call)
            with trio.move_on_after(1):
                await wrapped.aclose()

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield server
        nursery.cancel_scope.cancel()


def answers(*parts: bytes, then: str = "close") -> Script:
    """One request is answered in parts. then: close, reset, or hold the connection."""

    async def script(call: Call) -> None:
        await call.heard()
        for part in parts:
            await call.says(part)
            await trio.sleep(0.01)
        if then == "reset":
            await call.resets()
        elif then == "hold":
            await call.gone()

    return script


async def serves(call: Call) -> None:
    """Answers everything with 200."""
    while await call.heard():
        await call.says(OK)


def client(*, tls: bool = False, timeout_s: float = 5.0, max_body_bytes: int = 65536) -> HttpClient:
    context = CLIENT_CONTEXT if tls else None
    return HttpClient(timeout_s=timeout_s, max_body_bytes=max_body_bytes, ssl_context=context)


async def reason(
    server: Scripted | str, *, tls: bool = False, method: str = "GET", timeout_s: float = 5.0
) -> str:
    """What a request that fails says, without its host and port."""
    url = server if isinstance(server, str) else server.url
    async with client(tls=tls, timeout_s=timeout_s) as http:
        with pytest.raises(PeerError) as caught:
            await http.request(method, url + SECRET)
    text = str(caught.value)
    assert "key" not in text
    assert "hunter2" not in text
    assert caught.value.__cause__ is not None
    where, _, words = text.partition(": ")
    if isinstance(server, Scripted):
        assert where == f"localhost port {server.port}"
    return words


# ----- what is asked and answered -----


async def test_a_request_and_its_answer(tls: bool) -> None:
    answer_bytes = (
        b'HTTP/1.1 207 Well\r\nContent-Type: application/json\r\nETag: "7"\r\nX-Two: a\r\nx-two: b\r\n'
        b"Content-Length: 4\r\n\r\n[42]"
    )
    async with scripted(answers(answer_bytes), tls=tls) as server, client(tls=tls) as http:
        answer = await http.request(
            "PUT", f"{server.url}/path?query=1", body=b"{}", headers={"X-Key": "hunter2"}
        )
        assert (answer.status, answer.body) == (207, b"[42]")
        assert answer.header("content-type") == answer.header("Content-Type") == "application/json"
        assert (answer.header("ETAG"), answer.header("x-two")) == ('"7"', "a, b")
        assert (answer.header("none"), answer.header("none", "default")) == ("", "default")
        (request,) = server.requests
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"PUT /path?query=1 HTTP/1.1\r\n")
        assert sorted(head.lower().split(b"\r\n")[1:]) == [
            b"accept-encoding: identity",
            b"content-length: 2",
            f"host: localhost:{server.port}".encode(),
            b"x-key: hunter2",
        ]
        assert body == b"{}"


def test_an_answer_does_not_show_what_is_in_it() -> None:
    assert (
        repr(HttpAnswer(status=200, headers={"set-cookie": "x"}, body=b"hunter2"))
        == "HttpAnswer(200, 7 bytes)"
    )


async def test_a_connection_is_kept(tls: bool) -> None:
    async with scripted(serves, tls=tls) as server, client(tls=tls) as http:
        for method in ("GET", "POST", "HEAD", "GET"):
            if method != "HEAD":
                assert (await http.request(method, server.url)).body == b"ok"
        assert len(server.calls) == 1
        await http.__aexit__(None, None, None)
        await server.until(lambda: server.calls[0].ended)


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"bo", b"dy"), b"body"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nbody", b"\r\n0\r\n\r\n"), b"body"),
        ((b"HTTP/1.1 200 OK\r\n\r\n", b"to the ", b"end"), b"to the end"),
        ((b"HTTP/1.0 200 OK\r\n\r\n", b"body"), b"body"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", OK), b"ok"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
        ((b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\n\r\n",), b""),
        ((b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno",), b"no"),
        ((b"HTTP/1.1 500 \r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",), b"<html>"),
        # Nothing is unpacked, whatever a server thinks of what we accept.
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbomb",), b"bomb"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else repr(value[0][:45]),
)  # fmt: skip
async def test_answers_of_many_shapes(parts: tuple[bytes, ...], body: bytes) -> None:
    async with scripted(answers(*parts)) as server, client() as http:
        assert (await http.request("GET", server.url)).body == body


async def test_the_answer_to_a_head_has_no_body() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"
    async with scripted(answers(large)) as server, client(max_body_bytes=10) as http:
        answer = await http.request("HEAD", server.url)
        assert (answer.header("content-length"), answer.body) == ("99999999", b"")


@pytest.mark.parametrize("location", [b"/elsewhere", b"http://elsewhere.invalid/", b"http://[", b"\xff"])
async def test_a_redirect_is_an_answer(location: bytes) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    async with scripted(answers(redirect)) as server, client() as http:
        answer = await http.request("GET", server.url)
        assert answer.status == 302
        assert len(server.requests) == 1


async def test_cookies_are_not_kept() -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with scripted(answers(cookie), serves) as server, client() as http:
        for _ in range(2):
            await http.request("GET", server.url)
        assert b"cookie" not in server.requests[1].lower()


async def test_the_environment_and_the_log_have_no_part_in_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with scripted(serves) as server, client() as http:
        assert (await http.request("GET", server.url + SECRET)).status == 200
    assert caplog.records == []


async def test_no_more_connections_than_allowed() -> None:
    busy = most = 0

    async def script(call: Call) -> None:
        nonlocal busy, most
        while await call.heard():
            busy += 1
            most = max(busy, most)
            await trio.sleep(0.01)
            busy -= 1
            await call.says(OK)

    async with (
        scripted(script) as server,
        HttpClient(max_connections=2) as http,
        trio.open_nursery() as nursery,
    ):
        for _ in range(10):
            nursery.start_soon(http.request, "GET", server.url)
    assert (len(server.calls), len(server.requests), most) == (2, 10, 2)


# ----- what goes wrong -----


async def test_nobody_listens() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    assert await reason(f"http://127.0.0.1:{port}") == "connection refused"


@pytest.mark.parametrize("host", ["nowhere.invalid", "a b", "[1", "door:99999"])
async def test_nobody_has_that_name(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    async def getaddrinfo(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    assert await reason(f"http://{host}") == "name or service not known"


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "..", ".a"])
async def test_nobody_can_have_that_name(host: str) -> None:
    assert await reason(f"http://{host}") == NOT_SENT


async def test_every_address_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: int) -> OSError:
        return OSError(code, "in the words of a library")

    async def open_tcp_stream(*args: object, **kwargs: object) -> None:
        causes = ExceptionGroup("", [refuse(errno.ECONNREFUSED), refuse(errno.ENETUNREACH)])
        raise OSError("all attempts to connect failed") from causes

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    assert await reason("http://door") == "connection refused, network is unreachable"


@pytest.mark.parametrize(
    "url",
    ["", "door", "/", "ftp://door", "http://", "http://door:x", "http://256.1.1.1", "http://user:hunter2@door",
     "http://door\r\n/", "http://do\x00or"],
)  # fmt: skip
async def test_a_url_that_cannot_be(url: str) -> None:
    assert await reason(url) == "expected one like https://host:port/path"


@pytest.mark.parametrize(
    ("method", "headers"),
    [("GET", {"x": "a\r\nb: c"}), ("GET", {"x\n": "a"}), ("GE T", {}), ("GET", {"x": "ü"})],
)
async def test_a_request_that_cannot_be(method: str, headers: dict[str, str]) -> None:
    async with scripted(serves) as server, client() as http:
        with pytest.raises(PeerError, match=NOT_SENT):
            await http.request(method, server.url, headers=headers)
        assert (await http.request("GET", server.url)).body == b"ok"
        assert len(server.requests) == 1


async def silent(call: Call) -> None:
    await call.gone()


async def drips(call: Call) -> None:
    await call.heard()
    await call.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not call.ended:
        await call.says(b"x")
        await trio.sleep(0.02)


async def drips_a_head(call: Call) -> None:
    await call.heard()
    await call.says(b"HTTP/1.1 200 OK\r\n")
    while not call.ended:
        await call.says(b"X: y\r\n")
        await trio.sleep(0.02)


async def goes_on_for_ever(call: Call) -> None:
    await call.heard()
    while not call.ended:
        await call.says(b"HTTP/1.1 102 Processing\r\n\r\n")
        await trio.sleep(0.01)


@pytest.mark.parametrize("script", [silent, drips, drips_a_head, goes_on_for_ever])
async def test_too_slow(script: Script, tls: bool) -> None:
    async with scripted(script, tls=tls) as server:
        began = trio.current_time()
        assert await reason(server, tls=tls, timeout_s=TIMEOUT_S) == "no answer within 0.3 s"
        assert TIMEOUT_S * 0.9 < trio.current_time() - began < 3
        await server.until(lambda: server.calls[0].ended)


async def test_a_server_that_is_silent_in_the_handshake() -> None:
    """Cancelled there, httpx leaves its socket to the garbage collector."""
    async with scripted(silent) as server:
        words = await reason(server.url.replace("http:", "https:"), tls=True, timeout_s=TIMEOUT_S)
        assert words == "no answer within 0.3 s"
        await server.until(lambda: server.calls[0].ended)


async def test_a_server_that_takes_no_more(tls: bool) -> None:
    async def deaf(call: Call) -> None:
        await trio.sleep(2)

    async with scripted(deaf, tls=tls) as server, client(tls=tls, timeout_s=TIMEOUT_S) as http:
        with pytest.raises(PeerError, match="no answer within"):
            await http.request("PUT", server.url, body=bytes(20_000_000))


async def test_a_server_that_does_not_take_the_connection() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        # It never accepts: the backlog is full.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        async with HttpClient(connect_timeout_s=TIMEOUT_S) as http:
            with pytest.raises(PeerError) as caught:
                await http.request("GET", f"http://127.0.0.1:{port}{SECRET}")
        assert str(caught.value) == f"127.0.0.1 port {port}: not reached within 0.3 s"
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    ("parts", "then", "words"),
    [
        ((), "close", "closed without an answer"),
        ((), "reset", "connection reset by peer"),
        ((b"HTTP/1.1 200",), "close", "closed without an answer"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",), "close", BROKEN),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",), "reset", "connection reset by peer"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",), "close", BROKEN),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n",), "hold", BROKEN),
        ((b"hunter2\r\n\r\n",), "hold", "the answer is no HTTP"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "close", "closed without an answer"),
        ((bytes(300),), "hold", "the answer is no HTTP"),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,), "hold", "the answer is no HTTP"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",), "hold", "the answer is no HTTP"),
    ],
    ids=lambda value: repr(value)[:45],
)  # fmt: skip
async def test_no_answer_or_half_of_one(parts: tuple[bytes, ...], then: str, words: str, tls: bool) -> None:
    async with scripted(answers(*parts, then=then), tls=tls) as server:
        found = await reason(server, tls=tls)
        # What ends a TLS connection without its own goodbye may be seen as a loss.
        assert found == words or (tls and found in ("connection lost", "closed without an answer"))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "head", [b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n", b"\r\n"]
)
@pytest.mark.parametrize("rest", [1, 100_000])
async def test_an_answer_that_is_too_large(head: bytes, rest: int, tls: bool) -> None:
    parts = (b"HTTP/1.1 200 OK\r\n" + head, b"x" * 1000, b"x" * rest)
    async with (
        scripted(answers(*parts, then="hold" if head != b"\r\n" else "close"), serves, tls=tls) as server,
        client(tls=tls, max_body_bytes=1000) as http,
    ):
        with pytest.raises(PeerError, match="the answer has more than 1000 bytes"):
            await http.request("GET", server.url)
        await server.until(lambda: server.calls[0].ended or head == b"\r\n")
        assert (await http.request("GET", server.url)).body == b"ok"
        assert len(server.calls) == 2


async def test_an_endless_answer_is_not_read_for_long() -> None:
    sent = 0

    async def endless(call: Call) -> None:
        nonlocal sent
        await call.heard()
        await call.says(b"HTTP/1.1 200 OK\r\n\r\n")
        while not call.ended:
            await call.says(bytes(65536))
            sent += 65536

    async with scripted(endless) as server, client(max_body_bytes=1000) as http:
        with pytest.raises(PeerError, match="more than 1000 bytes"):
            await http.request("GET", server.url)
        await server.until(lambda: server.calls[0].ended)
        assert sent < 20_000_000


async def test_the_largest_answer(tls: bool) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
    async with scripted(answers(large), tls=tls) as server, client(tls=tls, max_body_bytes=1_000_000) as http:
        assert len((await http.request("GET", server.url)).body) == 1_000_000


async def test_a_switch_of_protocols_that_nobody_asked_for() -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nwhatever"
    async with scripted(answers(switch, then="hold")) as server:
        assert await reason(server) == "the answer is no HTTP"
        await server.until(lambda: server.calls[0].ended)


# ----- trust -----


async def test_a_certificate_of_another_authority() -> None:
    async with (
        scripted(serves, tls=True) as server,
        HttpClient(ssl_context=Certificates().client()) as http,
    ):
        with pytest.raises(PeerError, match="certificate refused: unable to get local issuer certificate"):
            await http.request("GET", server.url)
        assert server.requests == []


async def test_a_certificate_for_another_name() -> None:
    async with scripted(serves, tls=True) as server, client(tls=True) as http:
        with pytest.raises(PeerError, match=r"certificate refused: .*127\.0\.0\.1"):
            await http.request("GET", server.url.replace("localhost", "127.0.0.1"))


async def test_a_pinned_certificate() -> None:
    context = client_context(ca_file=None, fingerprint=bytes(32), where="test")
    async with scripted(serves, tls=True) as server, HttpClient(ssl_context=context) as http:
        with pytest.raises(PeerError, match="certificate refused: certificate fingerprint is sha256"):
            await http.request("GET", server.url)
        assert server.requests == []


async def test_the_authorities_of_the_system_do_not_know_a_stranger() -> None:
    async with scripted(serves, tls=True) as server, HttpClient() as http:
        for _ in range(2):
            with pytest.raises(PeerError, match="certificate refused"):
                await http.request("GET", server.url)


async def test_the_authorities_of_the_system_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(self: ssl.SSLContext, purpose: object = None) -> None:
        loaded.append(self)
        CERTIFICATES.authority.configure_trust(self)

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", load)
    async with scripted(serves, tls=True) as secure, scripted(serves) as plain, HttpClient() as http:
        await http.request("GET", plain.url)
        assert loaded == []
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(http.request, "GET", secure.url)
        assert len(loaded) == 1


async def test_tls_that_is_none() -> None:
    async def plain(call: Call) -> None:
        await call.stream.receive_some()
        await call.says(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with scripted(plain) as server:
        words = await reason(server.url.replace("http:", "https:"), tls=True)
        assert words.startswith("no TLS: ")


# ----- connections that died -----


async def one_answer_then_gone(call: Call) -> None:
    await call.heard()
    await call.says(OK)


async def one_answer_then_gone_when_asked_again(call: Call) -> None:
    """Closed just when the next request is on its way: that it is dead cannot be seen beforehand."""
    await call.heard()
    await call.says(OK)
    await call.heard()


async def one_answer_then_reset_when_asked_again(call: Call) -> None:
    await one_answer_then_gone_when_asked_again(call)
    await call.resets()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_kept_connection_that_was_closed_is_seen_to_be(method: str, tls: bool) -> None:
    async with scripted(one_answer_then_gone, serves, tls=tls) as server, client(tls=tls) as http:
        await http.request("GET", server.url)
        await trio.sleep(0.05)
        assert (await http.request(method, server.url)).body == b"ok"
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "script", [one_answer_then_gone_when_asked_again, one_answer_then_reset_when_asked_again]
)
async def test_a_get_on_a_dying_connection_is_sent_once_more(script: Script, tls: bool) -> None:
    async with scripted(script, serves, tls=tls) as server, client(tls=tls) as http:
        for _ in range(2):
            assert (await http.request("GET", server.url)).body == b"ok"
        assert (len(server.calls), len(server.requests)) == (2, 3)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "script", [one_answer_then_gone_when_asked_again, one_answer_then_reset_when_asked_again]
)
async def test_nothing_else_is_ever_sent_twice(script: Script, method: str, tls: bool) -> None:
    async with scripted(script, serves, tls=tls) as server, client(tls=tls) as http:
        await http.request("GET", server.url)
        with pytest.raises(PeerError):
            await http.request(method, server.url, body=b"open")
        assert len(server.requests) == 2
        assert (await http.request(method, server.url, body=b"open")).body == b"ok"


async def test_a_get_is_not_sent_twice_on_a_new_connection() -> None:
    async with scripted(answers(then="close")) as server:
        assert await reason(server) == "closed without an answer"
        assert len(server.requests) == 1


async def test_a_get_is_not_sent_a_third_time() -> None:
    async with (
        scripted(one_answer_then_gone_when_asked_again, answers(then="close")) as server,
        client() as http,
    ):
        await http.request("GET", server.url)
        with pytest.raises(PeerError, match="closed without an answer"):
            await http.request("GET", server.url)
        assert len(server.requests) == 3


# ----- the end -----


async def test_cancelled_requests_leave_nothing_behind(tls: bool) -> None:
    """They would take places in httpx's pool with them (encode/httpcore issue 1093)."""

    async def slowly(call: Call) -> None:
        while await call.heard():
            await call.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(5):
                await call.says(b"1\r\nx\r\n")
                await trio.sleep(0.004)
            await call.says(b"0\r\n\r\n")

    async with scripted(slowly, tls=tls) as server:
        async with HttpClient(max_connections=1, ssl_context=CLIENT_CONTEXT) as http:
            for step in range(20):
                with trio.move_on_after(step * 0.002):
                    async with trio.open_nursery() as nursery:
                        for _ in range(3):
                            nursery.start_soon(http.request, "GET", server.url)
            # The one connection is free again.
            assert (await http.request("GET", server.url)).body == b"xxxxx"
        await server.until(lambda: all(call.ended for call in server.calls))


async def test_cancelled_while_it_is_entered() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with client():
            pytest.fail("entered")


def test_a_door_that_asks_nobody_does_not_pay_for_it() -> None:
    code = (
        "import sys, agent.net.http_client\n"
        "print([name for name in ('httpx', 'httpcore', 'anyio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
