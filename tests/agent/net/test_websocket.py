from __future__ import annotations

import errno
import logging
import socket
import ssl
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
import trio.testing
from harness.raw_websocket import (
    REQUEST,
    Certificates,
    Guarded,
    RawClient,
    Served,
    masked,
    raw_client,
    served,
)
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect
from wsproto.events import CloseConnection, Ping, Pong
from wsproto.frame_protocol import CloseReason

import agent.net.websocket
from agent.model.errors import PeerError
from agent.net.listeners import open_listeners
from agent.net.websocket import Limits, Peer, binary_frame, fan_out, serve_websocket, text_frame

CERTIFICATES = Certificates()
HASTY = Limits(upgrade_timeout_s=1.0, close_timeout_s=0.3)


@pytest.fixture(params=["plain", "tls"])
def certificates(request: pytest.FixtureRequest) -> Certificates | None:
    return CERTIFICATES if request.param == "tls" else None


async def test_echo_fragments_and_several_messages_in_one_segment(certificates: Certificates | None) -> None:
    async with served(certificates=certificates) as server, raw_client(server) as client:
        await server.until(lambda: len(server.peers) == 1)
        assert server.peers[0].path == "/door?x=1"
        assert server.peers[0].address == "127.0.0.1"
        await client.send(masked(1, b"one") + masked(1, "zwö".encode()) + masked(1, b""))
        assert [await client.message() for _ in range(3)] == ["one", "zwö", ""]
        # A character cut in half by the fragmentation is still one character.
        await client.send(masked(1, b"z\xc3", fin=False) + masked(9, b"p") + masked(0, b"\xb6"))
        assert isinstance(pong := await client.event(), Pong)
        assert pong.payload == b"p"
        assert await client.message() == "zö"
        await client.send(masked(2, b"\x00\xff"))
        await client.text("end")
        assert (await client.closed()).code == 1000
    assert server.counters.accepted == 1


async def test_one_byte_at_a_time(certificates: Certificates | None) -> None:
    async with served(certificates=certificates) as server, raw_client(server, upgrade=False) as client:
        for byte in REQUEST + b"\r\n":
            await client.send(bytes([byte]))
        await client.read_head()
        for byte in masked(1, b"slow"):
            await client.send(bytes([byte]))
        assert await client.message() == "slow"


async def test_frames_right_behind_the_request_are_not_lost(certificates: Certificates | None) -> None:
    async with served(certificates=certificates) as server, raw_client(server, upgrade=False) as client:
        await client.upgrade(behind=masked(1, b"eager") + masked(9, b"x"))
        assert await client.message() == "eager"
        assert isinstance(await client.event(), Pong)


async def test_no_extension_and_no_subprotocol_is_chosen() -> None:
    async with served() as server, raw_client(server, upgrade=False) as client:
        await client.upgrade(
            extra=b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n"
        )
        assert b"sec-websocket-extensions" not in client.head.lower()
        assert b"sec-websocket-protocol" not in client.head.lower()
        await client.text("hello")
        assert await client.message() == "hello"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (masked(1, bytes(65537)), 1009),
        (masked(1, b"x" * 65536, fin=False) + masked(0, b"x"), 1009),
        (masked(1, b"", fin=False) + masked(0, b"", fin=False) * 128, 1009),
        (masked(1, "€".encode() * 21846), 1009),
        (text_frame(b"unmasked"), 1002),
        (masked(1, b"x", rsv=4), 1002),
        (masked(3, b"x"), 1002),
        (masked(11, b"x"), 1002),
        (masked(0, b"continues nothing"), 1002),
        (masked(1, b"x", fin=False) + masked(1, b"y"), 1002),
        (masked(9, b"x", fin=False), 1002),
        (b"\x89\xfe\x00\x80" + bytes(4 + 128), 1002),
        (masked(8, b"\x03"), 1002),
        (masked(8, b"\x03\xed"), 1002),
        (masked(1, b"\xff"), 1007),
        (masked(1, b"\xc3", fin=False) + masked(0, b"x"), 1007),
        (masked(1, b"\xed\xa0\x80"), 1007),
        (masked(8, b"\x03\xe8\xff"), 1007),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else repr(value[:8]),
)
async def test_what_breaks_a_rule_is_told_so(
    frames: bytes, code: int, certificates: Certificates | None
) -> None:
    async with served(certificates=certificates) as server, raw_client(server) as client:
        await client.text("before")
        assert await client.message() == "before"
        await client.send(masked(1, b"in the same segment") + frames)
        close = await client.closed()
        assert close.code == code
        await client.quit()
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


async def test_the_largest_message_and_the_most_fragments_are_fine() -> None:
    async with served() as server, raw_client(server) as client:
        await client.send(masked(1, b"x" * 65536))
        assert await client.message() == "x" * 65536
        await client.send(masked(1, b"a", fin=False) + masked(0, b"b", fin=False) * 126 + masked(0, b"c"))
        assert await client.message() == "a" + "b" * 126 + "c"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: door\r\n\r\n", b"426"),
        (b"\x00\x01\x02garbage", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 20000, b"431"),
        (REQUEST.replace(b"13", b"8") + b"\r\n", b"426"),
    ],
)
async def test_what_is_no_upgrade_gets_an_http_answer(
    sent: bytes, status: bytes, certificates: Certificates | None
) -> None:
    async with served(certificates=certificates) as server, raw_client(server, upgrade=False) as client:
        await client.send(sent)
        assert (await client.read_head()).startswith(b"HTTP/1.1 " + status)
        await client.quit()
        await server.until(lambda: server.counters.open == 0)
        assert server.counters.failed_upgrades == 1
        assert server.guard.caught == []


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("sent", [b"", b"G", HELLO, HELLO + bytes(200), REQUEST, b"\x16" * 3000])
async def test_stalled_and_garbled_beginnings_hurt_nobody(
    sent: bytes, certificates: Certificates | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent.net.websocket, "TLS_TURN_S", 0.05)
    async with served(certificates=certificates, limits=HASTY) as server:
        stalled = []
        for _ in range(12):
            stalled.append(sock := trio.socket.socket())
            await sock.connect(("127.0.0.1", server.port))
            if sent:
                await sock.send(sent)
        started = trio.current_time()
        async with raw_client(server) as client:
            await client.text("quick")
            assert await client.message() == "quick"
        assert trio.current_time() - started < 5
        await server.until(lambda: server.counters.open == 0)
        assert server.counters.failed_upgrades == 12
        assert server.guard.caught == []
        for sock in stalled:
            sock.close()


async def test_a_slow_drip_is_cut_off_in_time(certificates: Certificates | None) -> None:
    limits = Limits(upgrade_timeout_s=0.3)
    async with (
        served(certificates=certificates, limits=limits) as server,
        raw_client(server, upgrade=False) as client,
    ):

        async def drip() -> None:
            for byte in REQUEST + b"X: y\r\n" * 1000:
                await client.send(bytes([byte]))
                await trio.sleep(0.02)

        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await drip()
        await server.until(lambda: server.counters.open == 0)


async def test_plain_http_on_the_tls_port_is_just_closed() -> None:
    async with served(certificates=CERTIFICATES) as server:
        sock = trio.socket.socket()
        await sock.connect(("127.0.0.1", server.port))
        async with trio.SocketStream(sock) as stream:
            await stream.send_all(REQUEST + b"\r\n")
            with trio.fail_after(5):
                try:
                    while data := await stream.receive_some():
                        assert not data.startswith(b"HTTP")
                except trio.BrokenResourceError:
                    pass
        await server.until(lambda: server.counters.open == 0)


async def test_a_client_that_vanishes_at_any_moment(certificates: Certificates | None) -> None:
    async with served(certificates=certificates) as server:
        for sent in (b"", REQUEST[:50], REQUEST + b"\r\n", REQUEST + b"\r\n" + masked(1, b"x")[:3]):
            async with raw_client(server, upgrade=False) as client:
                if sent:
                    await client.send(sent)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
                await client.quit()
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


async def test_too_many_are_refused_and_room_is_made_again() -> None:
    limits = Limits(max_connections=3, max_per_peer=2)
    async with served(limits=limits) as server, raw_client(server), raw_client(server) as second:
        sock = trio.socket.socket()
        await sock.connect(("127.0.0.1", server.port))
        async with trio.SocketStream(sock) as third:
            await RawClient(third).ended()
        assert server.counters.refused == 1
        await second.quit()
        await server.until(lambda: server.counters.open == 1)
        async with raw_client(server) as fourth:
            await fourth.text("room")
            assert await fourth.message() == "room"


async def test_one_network_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger has as many addresses of an IPv6 /64 as it likes."""
    monkeypatch.setattr(
        "agent.net.admission.network_of", lambda host: host if host == "127.0.0.9" else "2001:db8::/64"
    )
    limits = Limits(max_connections=4, max_per_peer=1)
    async with served(limits=limits) as server, AsyncExitStack() as stack:

        async def connect(source: str) -> trio.SocketStream:
            sock = trio.socket.socket()
            await sock.bind((source, 0))
            await sock.connect(("127.0.0.1", server.port))
            return await stack.enter_async_context(trio.SocketStream(sock))

        for number in (1, 2):
            await connect(f"127.0.0.{number}")
        await server.until(lambda: server.counters.open == 2)
        await RawClient(await connect("127.0.0.3")).ended()
        assert server.counters.refused == 1
        phone = await connect("127.0.0.9")
        await server.until(lambda: server.counters.open == 3)
        await phone.aclose()


async def test_all_at_once_after_a_power_cut() -> None:
    limits = Limits(max_tls_handshakes=2, max_per_peer=100)
    async with served(certificates=CERTIFICATES, limits=limits) as server, trio.open_nursery() as nursery:

        async def one() -> None:
            async with raw_client(server) as client:
                await client.text("me")
                assert await client.message() == "me"

        for _ in range(20):
            nursery.start_soon(one)
    assert server.counters.accepted == 20


async def test_a_bug_in_one_handler_ends_that_connection_alone(certificates: Certificates | None) -> None:
    async with (
        served(certificates=certificates) as server,
        raw_client(server) as other,
        raw_client(server) as client,
    ):
        await client.text("fail")
        assert (await client.closed()).code == 1011
        assert [type(error) for error in server.guard.caught] == [ZeroDivisionError]
        await other.text("still here")
        assert await other.message() == "still here"


async def test_a_peer_error_of_somebody_else_reaches_the_guard() -> None:
    async def handler(peer: Peer) -> None:
        await peer.receive()
        raise PeerError("upstream is gone")

    async with served(handler) as server, raw_client(server) as client:
        await client.text("go")
        assert (await client.closed()).code == 1011
        assert [str(error) for error in server.guard.caught] == ["upstream is gone"]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (masked(8, b"\x03\xe8bye"), "closed by the peer with 1000: 'bye'"),
        (masked(8, b""), "closed by the peer with 1005"),
        (masked(3, b""), "closed by us with 1002: Invalid opcode 0x3"),
        (b"", "connection ended without a CLOSE"),
        (masked(1, bytes(70000)), "closed by us with 1009: message larger than 65536 bytes"),
    ],
)
async def test_the_handler_is_told_why(sent: bytes, reason: str) -> None:
    reasons: list[str] = []

    async def handler(peer: Peer) -> None:
        assert not peer.closed
        assert peer.reason == ""
        try:
            await peer.receive()
        except PeerError as error:
            reasons.append(str(error))
            assert peer.closed
            peer.send(text_frame(b"nothing happens"))
            await peer.close()
            with pytest.raises(PeerError):
                await peer.receive()
            raise

    async with served(handler) as server, raw_client(server) as client:
        if sent:
            await client.send(sent)
            await client.closed()
        else:
            await client.quit()
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []
    assert len(reasons) == 1
    assert reasons[0].startswith(reason) or reason in reasons[0]


async def test_messages_before_the_peers_close_are_still_delivered() -> None:
    got: list[str | bytes] = []

    async def handler(peer: Peer) -> None:
        await trio.sleep(0.05)
        try:
            while True:
                got.append(await peer.receive())
        except PeerError:
            pass

    async with served(handler) as server, raw_client(server) as client:
        await client.send(masked(1, b"last words") + masked(2, b"\x01") + masked(8, b"\x03\xe8"))
        await client.ended()
        await server.until(lambda: server.counters.open == 0)
    assert got == ["last words", b"\x01"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ({}, 1000, ""),
        ({"code": 1001}, 1001, ""),
        ({"code": 1008, "reason": "NOAUTH"}, 1008, "NOAUTH"),
        ({"empty": True}, CloseReason.NO_STATUS_RCVD, ""),
    ],
)
async def test_closing_says_what_the_handler_wants(
    arguments: dict[str, Any], code: int, reason: str, certificates: Certificates | None
) -> None:
    async def handler(peer: Peer) -> None:
        peer.send(text_frame(b"goodbye"))
        await peer.drain()
        await peer.close(**arguments)
        assert peer.closed
        await peer.close(1011)

    async with served(handler, certificates=certificates) as server, raw_client(server) as client:
        # trio-websocket would fail on a ping behind its own close.
        assert await client.message() == "goodbye"
        await client.send(masked(9, b"ping") + masked(1, b"late"))
        close = await client.closed()
        assert (close.code, close.reason or "") == (code, reason)
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


async def test_closing_does_not_wait_for_ever_for_an_answer() -> None:
    async with served(limits=HASTY) as server, raw_client(server) as client:
        await client.text("end")
        event = await client.event()
        assert isinstance(event, CloseConnection)
        await server.until(lambda: server.counters.open == 0)


async def test_nothing_follows_a_close_on_the_wire(certificates: Certificates | None) -> None:
    async def handler(peer: Peer) -> None:
        await peer.receive()
        peer._frames.end(1001, "")
        peer._frames.end(1011, "")
        peer.send(text_frame(b"too late"))
        await peer.close(1011)

    async with served(handler, certificates=certificates) as server, raw_client(server) as client:
        await client.text("go")
        heard = bytes(await client.stream.receive_some())
        # Messages, pings and an own CLOSE cross it; trio-websocket would answer the last two.
        await client.send(masked(1, b"x") * 50 + masked(9, b"ping") + masked(8, b"\x03\xe8"))
        with trio.fail_after(5):
            while data := await client.stream.receive_some():
                heard += data
        assert heard == b"\x88\x02\x03\xe9"
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


async def test_the_line_stays_open_until_the_peer_has_closed_too() -> None:
    async with served(limits=Limits(inbound_messages=2)) as server, raw_client(server) as client:
        await client.text("end")
        assert isinstance(await client.event(), CloseConnection)
        for _ in range(20):
            await client.send(masked(1, b"still on its way"))
        with trio.move_on_after(0.2) as waiting:
            await client.stream.receive_some()
        assert waiting.cancelled_caught
        await client.send(masked(8, b"\x03\xe8"))
        await client.ended()


async def test_a_busy_handler_does_not_keep_a_breach_from_being_told() -> None:
    async def handler(peer: Peer) -> None:
        await trio.sleep_forever()

    async with served(handler) as server, raw_client(server) as client:
        await client.send(masked(3, b""))
        assert (await client.closed()).code == 1002


async def test_silence_is_pinged_and_then_dropped() -> None:
    limits = Limits(ping_interval_s=0.1, silence_timeout_s=0.5)
    async with served(limits=limits) as server, raw_client(server) as client, raw_client(server) as alive:

        async def answer() -> None:
            while isinstance(event := await alive.event(), Ping):
                await alive.send(alive.frames.send(event.response()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            assert isinstance(event := await client.event(), Ping)
            assert event.payload == b""
            await client.ended()
            await server.until(lambda: server.counters.open == 1)
            await trio.sleep(0.3)
            assert server.counters.open == 1
            assert server.counters.dropped == 1
            nursery.cancel_scope.cancel()


async def test_a_client_that_stops_reading_is_dropped_alone(certificates: Certificates | None) -> None:
    limits = Limits(outbox_messages=20, outbox_bytes=10**6)
    async with (
        served(certificates=certificates, limits=limits) as server,
        raw_client(server, receive_buffer_bytes=4096) as stalled,
        AsyncExitStack() as stack,
    ):
        others = [await stack.enter_async_context(raw_client(server)) for _ in range(10)]
        await server.until(lambda: len(server.peers) == 11)
        sent = 600
        got: dict[RawClient, list[str | bytes]] = {other: [] for other in others}

        async def read(client: RawClient) -> None:
            while len(got[client]) < sent:
                got[client].append(await client.message())

        async with trio.open_nursery() as nursery:
            for other in others:
                nursery.start_soon(read, other)
            for number in range(sent):
                await fan_out(server.peers, text_frame(b"%06d" % number + b"." * 2000))
                # All run in this one process, where a server that never waits outruns everybody.
                await server.until(lambda: min(map(len, got.values())) > number - 20)  # noqa: B023
        for other in others:
            assert [str(message)[:6] for message in got[other]] == [f"{number:06}" for number in range(sent)]
        await server.until(lambda: server.counters.open == 10)
        assert server.counters.dropped == 1
        await stalled.ended()


async def test_broadcasts_pongs_and_closes_never_mix(certificates: Certificates | None) -> None:
    """Every byte of three writers through a tiny send buffer, read back as whole frames in order."""
    limits = Limits(outbox_messages=10**6, outbox_bytes=10**9)

    async def handler(peer: Peer) -> None:
        peer._wire._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        while True:
            message = await peer.receive()
            if message == "end":
                return

    async with (
        served(handler, certificates=certificates, limits=limits) as server,
        raw_client(server) as client,
    ):
        await server.until(lambda: len(server.peers) == 1)
        count = 150
        pongs: list[bytes] = []
        texts: list[str | bytes | bytearray] = []

        sent = False

        async def broadcast() -> None:
            nonlocal sent
            for number in range(count):
                server.peers[0].send(binary_frame(b"%05d" % number + bytes(number * 37 % 9000)))
                await trio.sleep(0)
            sent = True

        async def ping() -> None:
            for number in range(count):
                await client.send(masked(9, b"%05d" % number))
            await server.until(lambda: sent)
            await client.text("end")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(broadcast)
            nursery.start_soon(ping)
            parts = b""
            while not isinstance(event := await client.event(), CloseConnection):
                if isinstance(event, Pong):
                    pongs.append(bytes(event.payload))
                    continue
                assert event is not None
                assert not isinstance(event, Ping)
                parts += event.data  # type: ignore[attr-defined]
                if event.message_finished:  # type: ignore[attr-defined]
                    texts.append(parts)
                    parts = b""
            assert event.code == 1000
        assert texts == [b"%05d" % number + bytes(number * 37 % 9000) for number in range(count)]
        assert pongs == [b"%05d" % number for number in range(len(pongs))]
        assert server.guard.caught == []


async def test_a_flood_of_pings_without_reading_is_dropped() -> None:
    async with (
        served(limits=Limits(outbox_messages=10)) as server,
        raw_client(server, receive_buffer_bytes=4096) as client,
    ):
        await server.until(lambda: len(server.peers) == 1)
        server.peers[0]._wire._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

        async def flood() -> None:
            while True:
                await client.stream.send_all(masked(9, bytes(125)) * 50)

        with trio.fail_after(10), pytest.raises(trio.BrokenResourceError):
            await flood()
        await server.until(lambda: server.counters.dropped == 1)


async def test_a_handler_that_stands_still_is_told_1008(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.net.websocket, "GONE_GRACE_S", 0.2)

    async def handler(peer: Peer) -> None:
        await trio.sleep_forever()

    limits = Limits(inbound_messages=2, inbound_stall_s=0.3, close_timeout_s=0.5)
    async with served(handler, limits=limits) as server, raw_client(server) as client:
        for number in range(10):
            await client.text(f"{number}")
        assert (await client.closed()).code == 1008
        # The handler never looks at its peer again, and is ended for it.
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


async def test_a_busy_handler_with_an_empty_queue_is_left_alone() -> None:
    async def handler(peer: Peer) -> None:
        await peer.receive()
        await trio.sleep(0.6)
        peer.send(text_frame(b"done"))
        await peer.receive()

    async with served(handler, limits=Limits(inbound_stall_s=0.2)) as server, raw_client(server) as client:
        await client.text("work")
        assert await client.message() == "done"


async def test_stopping_tells_everybody_1001(certificates: Certificates | None) -> None:
    listeners = open_listeners("127.0.0.1", 0)
    server = Served(
        port=listeners[0].getsockname()[1],
        guard=Guarded(),
        counters=agent.net.websocket.Counters(),
        peers=[],
        client_context=certificates.client() if certificates else None,
    )

    async def handler(peer: Peer) -> None:
        await peer.receive()

    async def run(*, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def serve(*, task_status: trio.TaskStatus[None]) -> None:
                    await serve_websocket(
                        handler,
                        listeners,
                        ssl_context=certificates.server() if certificates else None,
                        limits=Limits(),
                        guard=server.guard,
                        counters=server.counters,
                        task_status=task_status,
                    )

                await nursery.start(serve)
                task_status.started(scope)

    async with trio.open_nursery() as nursery:
        scope = await nursery.start(run)
        async with raw_client(server) as client, raw_client(server, upgrade=False):
            scope.cancel()
            assert (await client.closed()).code == 1001
    assert server.counters.open == 0
    assert all(listener.fileno() == -1 for listener in listeners)


async def test_out_of_descriptors_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    fail = [errno.EMFILE, errno.ECONNABORTED]
    real = socket.socket.accept

    def accept(self: socket.socket) -> Any:
        if fail:
            raise OSError(fail.pop(), "not now")
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    async with served() as server, raw_client(server) as client:
        await client.text("in the end")
        assert await client.message() == "in the end"
        assert server.counters.accept_errors == 2


async def test_many_peers() -> None:
    async with served(limits=Limits(max_per_peer=200)) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(server)) for _ in range(130)]
        await server.until(lambda: len(server.peers) == 130)
        await fan_out(server.peers, text_frame(b"all"))
        assert [await client.message() for client in clients] == ["all"] * 130


async def test_fan_out_always_checkpoints() -> None:
    with trio.testing.assert_checkpoints():
        await fan_out([], b"")


def test_library_loggers_are_off() -> None:
    assert not logging.getLogger("trio-websocket").isEnabledFor(logging.WARNING)
    assert not logging.getLogger("wsproto").isEnabledFor(logging.WARNING)


async def test_a_context_whose_certificate_changes_serves_the_new_one_at_once() -> None:
    other = Certificates()
    context = CERTIFICATES.server()
    listeners = open_listeners("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            await serve_websocket(
                trio.sleep_forever,  # type: ignore[arg-type]
                listeners,
                ssl_context=context,
                limits=Limits(),
                guard=Guarded(),
                task_status=task_status,
            )

        await nursery.start(serve)
        port = listeners[0].getsockname()[1]
        seen = []
        for trusted in (CERTIFICATES, other):
            other_leaf = other.authority.issue_cert("localhost")
            if trusted is other:
                other_leaf.configure_cert(context)
            stream = await trio.open_ssl_over_tcp_stream("localhost", port, ssl_context=trusted.client())
            await stream.do_handshake()
            seen.append(stream.getpeercert(binary_form=True))
            await trio.aclose_forcefully(stream)
        assert seen[0] != seen[1]
        assert isinstance(context, ssl.SSLContext)
        nursery.cancel_scope.cancel()


async def test_a_client_of_another_make_is_content(certificates: Certificates | None) -> None:
    def talk(url: str, context: ssl.SSLContext | None) -> tuple[list[str | bytes], int | None, str | None]:
        with connect(url, ssl=context, max_size=None) as ws:
            # It offers permessage-deflate, and has to live without.
            heard: list[str | bytes] = []
            for text in ("one", "zwei ü", "x" * 65536, ""):
                ws.send(text)
                heard.append(ws.recv(timeout=10))
            ws.send(iter(["in ", "three ", "parts"]))
            heard.append(ws.recv(timeout=10))
            assert ws.ping().wait(10)
            ws.send("end")
            with pytest.raises(ConnectionClosedOK):
                ws.recv(timeout=10)
            return heard, ws.close_code, ws.close_reason

    async with served(certificates=certificates) as server:
        heard, code, reason = await trio.to_thread.run_sync(talk, server.url, server.client_context)
        assert heard == ["one", "zwei ü", "x" * 65536, "", "in three parts"]
        assert (code, reason) == (1000, "")
        await server.until(lambda: server.counters.open == 0)
        assert server.guard.caught == []


async def test_what_waits_for_a_peer_can_be_seen(certificates: Certificates | None) -> None:
    limits = Limits(outbox_messages=10**6, outbox_bytes=10**9)
    async with (
        served(certificates=certificates, limits=limits) as server,
        raw_client(server, receive_buffer_bytes=4096) as client,
    ):
        await server.until(lambda: len(server.peers) == 1)
        (peer,) = server.peers
        assert (peer.pending_messages, peer.pending_bytes, peer.pending_s) == (0, 0, 0.0)
        frame = binary_frame(bytes(20_000))
        sent = 0
        while not peer.pending_messages:
            peer.send(frame)
            sent += 1
        peer.send(frame)
        sent += 1
        assert peer.pending_messages == 2
        assert len(frame) < peer.pending_bytes <= 2 * len(frame)
        await trio.sleep(0.05)
        assert 0.05 <= peer.pending_s < 5
        for _ in range(sent):
            await client.message()
        await server.until(lambda: not peer.pending_messages)
        assert (peer.pending_bytes, peer.pending_s) == (0, 0.0)


async def test_a_handler_may_take_less_than_its_server_and_then_again_as_much(
    certificates: Certificates | None,
) -> None:
    got: list[int] = []

    async def handler(peer: Peer) -> None:
        peer.limit_messages(1000)
        while True:
            got.append(len(await peer.receive()))
            if len(got) == 1:
                peer.limit_messages(50_000)
            elif len(got) == 2:
                peer.limit_messages(1000)

    limits = Limits(max_message_bytes=50_000)
    async with (
        served(handler, certificates=certificates, limits=limits) as server,
        raw_client(server) as client,
    ):
        await server.until(lambda: bool(server.peers))
        for size in (1000, 50_000):
            await client.send(masked(2, bytes(size)))
            await server.until(lambda size=size: bool(got) and got[-1] == size)  # type: ignore[misc]
        await client.send(masked(2, bytes(1001)))
        assert (await client.closed()).code == 1009
    assert got == [1000, 50_000]
