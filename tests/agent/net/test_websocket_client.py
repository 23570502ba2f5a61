from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from harness.raw_websocket import Certificates, served
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, Ping, Request

from agent.model.errors import PeerError
from agent.net.frames import binary_frame, close_frame, text_frame
from agent.net.upgrade import RequestReader, Upgrade, bare_response
from agent.net.websocket import connect_websocket

CERTIFICATES = Certificates()


@asynccontextmanager
async def scripted(script: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that does what the script says to each connection; yields its URL."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, _forgiving(script), 0)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/path"
        nursery.cancel_scope.cancel()


def _forgiving(
    script: Callable[[trio.SocketStream], Awaitable[None]],
) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def run(stream: trio.SocketStream) -> None:
        try:
            await script(stream)
        except trio.BrokenResourceError:
            pass

    return run


async def accept(stream: trio.SocketStream, behind: bytes = b"") -> None:
    reader = RequestReader()
    outcome = None
    while outcome is None:
        outcome = reader.feed(bytes(await stream.receive_some()))
    assert isinstance(outcome, Upgrade)
    await stream.send_all(bare_response(outcome.key) + behind)


@pytest.mark.parametrize("certificates", [None, CERTIFICATES], ids=["plain", "tls"])
async def test_talks_and_closes_on_leaving(certificates: Certificates | None) -> None:
    async with served(certificates=certificates) as server:
        async with connect_websocket(server.url, ssl_context=server.client_context) as peer:
            await peer.send_text("grüß Gott")
            assert await peer.receive() == "grüß Gott"
            await peer.send_text("x" * 60000)
            assert await peer.receive() == "x" * 60000
            await peer.send_binary(b"\x00")
            assert not peer.closed
        assert peer.closed
        assert peer.reason == "closed by us with 1000"
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


async def test_frames_right_behind_the_answer_are_not_lost() -> None:
    async def script(stream: trio.SocketStream) -> None:
        await accept(stream, text_frame(b"early") + close_frame(1000, ""))
        await stream.receive_some()

    async with scripted(script) as url, connect_websocket(url) as peer:
        assert await peer.receive() == "early"
        with pytest.raises(PeerError, match="closed by the peer with 1000"):
            await peer.receive()


@pytest.mark.parametrize(
    ("answer", "words", "retry_after_s"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "HTTP 401 instead of a websocket", None),
        (b"HTTP/1.1 503 No\r\nRetry-After: 30\r\n\r\n", "HTTP 503 instead of a websocket", 30.0),
        (b"", "does not speak websocket", None),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak websocket", None),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "does not fit", None),
    ],
)
async def test_servers_that_do_not_upgrade(answer: bytes, words: str, retry_after_s: float | None) -> None:
    async def script(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    async with scripted(script) as url:
        with trio.fail_after(5), pytest.raises(PeerError, match=words) as raised:
            await connect_websocket(url).__aenter__()
        assert raised.value.retry_after_s == retry_after_s


async def test_a_server_that_says_nothing() -> None:
    async def script(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with scripted(script) as url:
        with pytest.raises(PeerError, match=r"no answer within 0\.2 s"):
            await connect_websocket(url, connect_timeout_s=0.2).__aenter__()


async def test_nobody_there() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(PeerError, match=r"127\.0\.0\.1 port \d+: connection refused"):
            await connect_websocket(f"ws://127.0.0.1:{sock.getsockname()[1]}").__aenter__()
    with pytest.raises(PeerError, match=r"nowhere\.invalid"):
        await connect_websocket("ws://nowhere.invalid/").__aenter__()


async def test_a_certificate_of_a_stranger() -> None:
    async with served(certificates=CERTIFICATES) as server:
        with pytest.raises(PeerError, match="certificate refused"):
            await connect_websocket(server.url, ssl_context=Certificates().client()).__aenter__()
        other_name = server.url.replace("localhost", "127.0.0.1")
        with pytest.raises(PeerError, match="certificate refused: IP address mismatch"):
            await connect_websocket(other_name, ssl_context=server.client_context).__aenter__()
        with pytest.raises(PeerError):
            await connect_websocket(server.url.replace("wss", "ws")).__aenter__()
        await server.until(lambda: server.counters.open == 0)


@pytest.mark.parametrize(
    "url",
    ["http://door/", "ws://", "door:9000", "ws://user:secret@door/", "ws://door/a b", "ws://door:99999/"],
)
def test_a_url_that_cannot_be(url: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        connect_websocket(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (text_frame(b"x" * 1001), "closed by us with 1009: message larger than 1000 bytes"),
        (b"\x81\x81\x00\x00\x00\x00x", "closed by us with 1002"),
        (b"\xc1\x01x", "closed by us with 1002"),
        (b"\x81\x01\xff", "closed by us with 1007"),
        (b"", "connection ended without a CLOSE"),
        (close_frame(4001, "go away"), "closed by the peer with 4001: 'go away'"),
    ],
)
async def test_what_servers_do_wrong(sent: bytes, reason: str) -> None:
    heard = bytearray()

    async def script(stream: trio.SocketStream) -> None:
        await accept(stream)
        if sent:
            await stream.send_all(sent)
            while data := await stream.receive_some():
                heard.extend(data)

    async with scripted(script) as url:
        async with connect_websocket(url, max_message_bytes=1000, close_timeout_s=0.5) as peer:
            with trio.fail_after(5), pytest.raises(PeerError) as raised:
                await peer.receive()
            assert str(raised.value).startswith(reason)
            with pytest.raises(PeerError):
                await peer.send_text("x")
        await trio.sleep(0.01)
    if "by us" in reason:
        code = int(reason.split()[4].rstrip(":"))
        mask = heard[2:6]
        assert heard[0] == 0x88
        assert bytes(byte ^ mask[n] for n, byte in enumerate(heard[6:8])) == code.to_bytes(2, "big")


async def test_after_a_breach_nothing_more_is_taken_in() -> None:
    taken = 0

    async def script(stream: trio.SocketStream) -> None:
        nonlocal taken
        await accept(stream)
        await stream.send_all(b"\xc1\x01x")
        while taken < 100_000_000:
            with trio.fail_after(0.3):
                await stream.send_all(binary_frame(bytes(1_000_000)))
            taken += 1_000_000

    async def patient(stream: trio.SocketStream) -> None:
        try:
            await script(stream)
        except trio.TooSlowError:
            done.set()

    done = trio.Event()
    async with scripted(patient) as url, connect_websocket(url) as peer:
        with pytest.raises(PeerError):
            await peer.receive()
        with trio.fail_after(10):
            await done.wait()
    # Only what the kernel holds.
    assert taken < 50_000_000


async def test_keeps_alive_and_notices_silence() -> None:
    pings: list[bytes] = []

    async def script(stream: trio.SocketStream) -> None:
        await accept(stream)
        frames = Connection(ConnectionType.SERVER)
        while data := await stream.receive_some():
            frames.receive_data(bytes(data))
            for event in frames.events():
                if isinstance(event, Ping):
                    pings.append(bytes(event.payload))
                    if len(pings) < 3:
                        await stream.send_all(frames.send(event.response()))

    async with (
        scripted(script) as url,
        connect_websocket(url, ping_interval_s=0.1, silence_timeout_s=0.4) as peer,
    ):
        with trio.fail_after(10), pytest.raises(PeerError, match=r"silent for 0\.4 s"):
            await peer.receive()
    assert len(pings) >= 3


async def test_a_server_that_does_not_read() -> None:
    async def script(stream: trio.SocketStream) -> None:
        await accept(stream)
        await trio.sleep_forever()

    async with scripted(script) as url, connect_websocket(url, send_timeout_s=0.3) as peer:

        async def talk() -> None:
            while True:
                await peer.send_text("x" * 100_000)

        with trio.fail_after(10), pytest.raises(PeerError, match=r"does not read|did not take"):
            await talk()
        assert peer.aborted


async def test_the_callers_own_exception_comes_out_as_it_is() -> None:
    async with served() as server:
        with pytest.raises(ZeroDivisionError):
            async with connect_websocket(server.url):
                raise ZeroDivisionError
        with trio.move_on_after(0.1) as scope:
            async with connect_websocket(server.url) as peer:
                await peer.receive()
        assert scope.cancelled_caught
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


@pytest.mark.parametrize("step", range(12))
async def test_cancellation_at_every_await(step: int) -> None:
    """Whichever await is the one that is cancelled: out it goes, and the server sees the end."""
    async with served() as server:
        count = 0
        scope = trio.CancelScope()

        class Counting(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                nonlocal count
                if task is me:
                    count += 1
                    if count == step:
                        scope.cancel()

        me = trio.lowlevel.current_task()
        instrument = Counting()
        trio.lowlevel.add_instrument(instrument)
        try:
            with scope:
                async with connect_websocket(server.url) as peer:
                    await peer.send_text("hello")
                    await peer.receive()
                    await peer.drain()
        finally:
            trio.lowlevel.remove_instrument(instrument)
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


async def test_agrees_with_a_server_of_the_library() -> None:
    """wsproto's own handshake accepts our request."""

    async def script(stream: trio.SocketStream) -> None:
        ws = WSConnection(ConnectionType.SERVER)
        while True:
            ws.receive_data(bytes(await stream.receive_some()))
            for event in ws.events():
                assert isinstance(event, Request)
                assert event.target == "/path"
                await stream.send_all(ws.send(AcceptConnection()))
                await stream.send_all(text_frame(b"fine"))
                return

    async with scripted(script) as url, connect_websocket(url) as peer:
        assert await peer.receive() == "fine"


async def test_an_error_carries_the_status_and_the_close_code() -> None:
    async def busy(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 429 Too Many\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n")

    async def kicked(stream: trio.SocketStream) -> None:
        await accept(stream, close_frame(3003, "kicked"))
        await stream.receive_some()

    async def rude(stream: trio.SocketStream) -> None:
        await accept(stream)

    async with scripted(busy) as url:
        with pytest.raises(PeerError) as raised:
            async with connect_websocket(url):
                pass
    assert (raised.value.http_status, raised.value.close_code, raised.value.retry_after_s) == (429, None, 5)
    async with scripted(kicked) as url, connect_websocket(url) as peer:
        with pytest.raises(PeerError) as raised:
            await peer.receive()
        assert (raised.value.http_status, raised.value.close_code) == (None, 3003)
        with pytest.raises(PeerError) as raised:
            await peer.send_text("late")
        assert raised.value.close_code == 3003
    async with scripted(rude) as url, connect_websocket(url) as peer:
        with pytest.raises(PeerError) as raised:
            await peer.receive()
        assert raised.value.close_code is None
        await peer.close(3001)
        assert peer.close_code is None
