"""One connection to one webhook, to an address that was looked at."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trustme
from harness.netatmo_door import Names, Sink, sinks

from agent.model.errors import PeerError
from agent.workers.netatmo.courier import Courier
from agent.workers.netatmo.destination import Rule, destination_of

BODY = b'{"push_type":"x"}'


@asynccontextmanager
async def courier_to(url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Courier]:
    courier = Courier(destination_of(url), Rule(()), tls)
    try:
        yield courier
    finally:
        courier.close()


async def test_a_push_and_the_next_on_the_same_connection() -> None:
    async with sinks() as [sink], courier_to(sink.url) as courier:
        for _ in range(3):
            assert await courier.post(BODY, [("X-Netatmo-secret", "ab")]) == 200
        assert sink.connections == 1
        path, headers, _, _ = sink.got[0]
        assert path == "/hook?key=secret"
        assert headers["host"] == sink.url.split("/")[2]
        assert (headers["content-type"], headers["x-netatmo-secret"]) == ("application/json", "ab")
        assert sink.raw[0] == BODY


async def test_a_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    async with sinks() as [sink], courier_to(sink.url) as courier:
        sink.close_after = True
        for _ in range(3):
            assert await courier.post(BODY, []) == 200
            await trio.sleep(0.02)
        assert sink.connections == 3
        assert len(sink.got) == 3


@pytest.mark.parametrize("status", [201, 204, 301, 307, 404, 500])
async def test_a_status_is_what_it_is_and_nothing_is_followed(status: int) -> None:
    async with sinks(2) as [sink, inner], courier_to(sink.url) as courier:
        sink.status, sink.location = status, inner.url
        assert await courier.post(BODY, []) == status
        assert not inner.got
        assert not inner.connections


async def test_nobody_there() -> None:
    async with courier_to("http://127.0.0.1:9/") as courier:
        with pytest.raises(PeerError, match="not reached"):
            await courier.post(BODY, [])


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\x00\xff" * 50, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
async def test_answers_that_break_off_or_make_no_sense(answer: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(4096)
            try:
                await stream.send_all(answer)
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with courier_to(f"http://127.0.0.1:{port}/") as courier:
            with pytest.raises(PeerError):
                await courier.post(BODY, [])
        nursery.cancel_scope.cancel()


async def test_an_answer_without_end_is_read_so_far_and_no_further() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        try:
            await stream.receive_some(4096)
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
            while True:
                await stream.send_all(b"x" * 4096)
        except trio.BrokenResourceError:
            return

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with courier_to(f"http://127.0.0.1:{port}/") as courier:
            with trio.fail_after(5):
                assert await courier.post(BODY, []) == 200
        nursery.cancel_scope.cancel()


async def test_a_name_that_turns_elsewhere_is_not_followed_there() -> None:
    """DNS rebinding: good when it was registered, and another address when it counts."""
    async with sinks() as [sink]:
        port = sink.url.split(":")[2].split("/")[0]
        names = Names(["127.0.0.1"], ["169.254.169.254"])
        trio.socket.set_custom_hostname_resolver(names)
        async with courier_to(f"http://ha.example:{port}/") as courier:
            sink.close_after = True
            assert await courier.post(BODY, []) == 200
            await trio.sleep(0.02)
            with pytest.raises(PeerError, match="not sent to an address"):
                await courier.post(BODY, [])
        # Looked up once for each connection: what was looked at is what was connected to.
        assert names.asked == 2


async def test_certificates_are_checked_against_the_name() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("ha.example").configure_cert(server)
    good = ssl.create_default_context()
    authority.configure_trust(good)
    sink = Sink()

    async def serve(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, server, server_side=True)
        await sink.serve(tls)  # type: ignore[arg-type]

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        trio.socket.set_custom_hostname_resolver(Names(["127.0.0.1"]))
        async with courier_to(f"https://ha.example:{port}/", good) as courier:
            assert await courier.post(BODY, []) == 200
            assert await courier.post(BODY, []) == 200
        assert sink.connections == 1
        for url, context in (
            (f"https://other.example:{port}/", good),
            (f"https://ha.example:{port}/", ssl.create_default_context()),
        ):
            async with courier_to(url, context) as courier:
                with pytest.raises(PeerError):
                    await courier.post(BODY, [])
        assert len(sink.got) == 2
        nursery.cancel_scope.cancel()


async def test_cancelled_in_the_middle() -> None:
    async with sinks() as [sink], courier_to(sink.url) as courier:
        sink.hang_s = 5
        with trio.move_on_after(0.05) as scope:
            await courier.post(BODY, [])
        assert scope.cancelled_caught
        sink.hang_s = 0
        assert await courier.post(BODY, []) == 200
        assert sink.connections == 2


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(nursery: trio.Nursery) -> None:
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):
                await stream.receive_some(4096)
                await stream.send_all(good)
                await trio.sleep(0.02)
                await stream.send_all(good)
                await stream.receive_some(4096)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    await nursery.start(trio.serve_listeners, serve, listeners)
    async with courier_to(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/") as courier:
        assert await courier.post(BODY, []) == 200
        first = courier._line
        await trio.sleep(0.05)
        assert await courier.post(BODY, []) == 200
        assert courier._line is not first
