from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from harness.raw_websocket import Certificates

from agent.net.stream import SocketStream, prepare, wrap_tls

PATIENCE_S = 20.0
CERTIFICATES = Certificates()
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def connected(send_buffer_bytes: int = 0) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    prepare(near)
    if send_buffer_bytes:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        # Not as small: tiny windows make TCP wait for its timers.
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * send_buffer_bytes)
    return near, far


@asynccontextmanager
async def pair(
    *,
    tls: bool,
    send_buffer_bytes: int = 0,
    outbox_messages: int = 64,
    outbox_bytes: int = 1 << 20,
    outbox_age_s: float = 10.0,
) -> AsyncIterator[tuple[SocketStream, trio.abc.Stream]]:
    """Our stream with its writer running, and trio's at the other end."""
    near, far = connected(send_buffer_bytes)
    far_stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    far_stream = far_socket = trio.SocketStream(trio.socket.from_stdlib_socket(far))
    if tls:
        near = wrap_tls(near, CERTIFICATES.server())
        far_stream = trio.SSLStream(far_socket, CERTIFICATES.client(), server_hostname="localhost")
    ours = SocketStream(
        near, outbox_messages=outbox_messages, outbox_bytes=outbox_bytes, outbox_age_s=outbox_age_s
    )
    try:
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                if isinstance(far_stream, trio.SSLStream):
                    nursery.start_soon(far_stream.do_handshake)
                await ours.do_handshake()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.write_pending)
                yield ours, far_stream
                nursery.cancel_scope.cancel()
    finally:
        ours.close_now()
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(far_stream)


both = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@both
async def test_bytes_both_ways(tls: bool) -> None:
    async with pair(tls=tls) as (ours, far):
        ours.write(b"there")
        assert await far.receive_some() == b"there"
        await far.send_all(b"back")
        assert await ours.receive_some() == b"back"
        await ours.send_all(b"again")
        assert await far.receive_some() == b"again"


@both
async def test_order_is_kept_under_short_writes_while_reading(tls: bool) -> None:
    # Lengths that fit no buffer, so that nearly every write ends short; and traffic the other way meanwhile.
    chunks = [bytes([n % 251]) * (1 + 7919 * n % 30000) for n in range(120)]
    async with pair(tls=tls, send_buffer_bytes=4096, outbox_messages=1000, outbox_bytes=1 << 30) as (
        ours,
        far,
    ):
        heard = bytearray()
        echoed = bytearray()

        async def read_far() -> None:
            while len(heard) < sum(map(len, chunks)):
                heard.extend(await far.receive_some(5000))
                if len(heard) % 7 == 0:
                    await trio.sleep(0.001)

        async def talk_back() -> None:
            for _ in range(300):
                await far.send_all(b"pong" * 300)

        async def read_ours() -> None:
            while len(echoed) < 300 * 1200:
                echoed.extend(await ours.receive_some())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_far)
            nursery.start_soon(talk_back)
            nursery.start_soon(read_ours)
            waited = 0
            for number, chunk in enumerate(chunks):
                if number % 2:
                    ours.write(chunk)
                else:
                    await ours.send_all(chunk)
                waited += ours.pending_messages > 0
        assert waited > 20
        assert bytes(heard) == b"".join(chunks)
        assert bytes(echoed) == b"pong" * 90000
        assert not ours.closed


@both
@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ({"outbox_messages": 5}, "does not read: 5 messages"),
        ({"outbox_bytes": 100_000}, "does not read: "),
        ({"outbox_age_s": 0.2}, "a message waited 0.2 s"),
    ],
    ids=["messages", "bytes", "age"],
)
async def test_a_peer_that_does_not_read_is_given_up(tls: bool, bound: dict[str, int], words: str) -> None:
    limits: dict[str, int | float] = {
        "outbox_messages": 10**6,
        "outbox_bytes": 10**9,
        "outbox_age_s": 100.0,
        **bound,
    }
    open_pair = partial(pair, tls=tls, send_buffer_bytes=4096)
    async with open_pair(**limits) as (ours, _):  # type: ignore[arg-type]
        for _ in range(2000):
            ours.write(bytes(4000))
            if ours.closed:
                break
            if "outbox_age_s" in bound and ours.pending_messages > 100:
                break
        while not ours.closed:
            await trio.sleep(0.01)
        assert ours.aborted
        assert words in ours.reason
        ours.write(b"nothing happens")
        with pytest.raises(trio.ClosedResourceError):
            await ours.receive_some()


@both
async def test_one_large_write_may_exceed_the_bound(tls: bool) -> None:
    data = bytes(range(256)) * 4000
    async with pair(tls=tls, send_buffer_bytes=4096, outbox_bytes=1000) as (ours, far):
        ours.write(data)
        heard = bytearray()
        while len(heard) < len(data):
            heard.extend(await far.receive_some())
        assert bytes(heard) == data
        await ours.drain()
        assert ours.pending_messages == 0


@both
async def test_the_end_of_the_stream(tls: bool) -> None:
    async with pair(tls=tls) as (ours, far), trio.open_nursery() as nursery:
        nursery.start_soon(far.aclose)
        assert await ours.receive_some() == b""


async def test_a_reset_breaks_the_reader_and_closes_on_writing() -> None:
    near, far = connected()
    ours = SocketStream(near, outbox_messages=1, outbox_bytes=1, outbox_age_s=1)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    far.close()
    with pytest.raises(trio.BrokenResourceError):
        await ours.receive_some()
    ours.write(b"x")
    assert ours.closed
    assert not ours.aborted
    assert "reset" in ours.reason


async def test_a_reset_ends_tls_too() -> None:
    async with pair(tls=True) as (ours, far):
        assert isinstance(far, trio.SSLStream)
        far.transport_stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        far.transport_stream.socket.close()
        try:
            # OpenSSL takes it for an end at times; a websocket without CLOSE is known to be cut off anyway.
            assert await ours.receive_some() == b""
        except trio.BrokenResourceError:
            pass


@both
async def test_closing_wakes_the_reader_the_writer_and_the_drainer(tls: bool) -> None:
    async with pair(tls=tls, send_buffer_bytes=4096, outbox_messages=1000) as (ours, _):
        errors: list[Exception] = []

        async def read() -> None:
            try:
                await ours.receive_some()
            except trio.ClosedResourceError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for _ in range(200):
                ours.write(bytes(4000))
            nursery.start_soon(ours.drain)
            await trio.testing.wait_all_tasks_blocked(0.05)
            ours.close_now()
            ours.close_now()
        assert len(errors) == 1


@both
async def test_every_wait_can_be_cancelled_and_taken_up_again(tls: bool) -> None:
    async with pair(tls=tls, send_buffer_bytes=4096, outbox_messages=1000) as (ours, far):
        with trio.move_on_after(0.02) as scope:
            await ours.receive_some()
        assert scope.cancelled_caught
        for n in range(100):
            ours.write(bytes([n]) * 4000)
        with trio.move_on_after(0.02) as scope:
            await ours.drain()
        assert scope.cancelled_caught
        heard = bytearray()
        while len(heard) < 400_000:
            heard.extend(await far.receive_some())
        assert bytes(heard) == b"".join(bytes([n]) * 4000 for n in range(100))
        await far.send_all(b"still here")
        assert await ours.receive_some() == b"still here"


async def test_a_cancelled_handshake_goes_on_where_it_was() -> None:
    near, far = connected()
    ours = SocketStream(
        wrap_tls(near, CERTIFICATES.server()), outbox_messages=9, outbox_bytes=9999, outbox_age_s=9
    )
    far_stream = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(far)),
        CERTIFICATES.client(),
        server_hostname="localhost",
    )
    with trio.fail_after(PATIENCE_S):
        for _ in range(3):
            with trio.move_on_after(0.01):
                await ours.do_handshake()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far_stream.do_handshake)
            await ours.do_handshake()
        await ours.do_handshake()
        ours.write(b"hello")
        assert await far_stream.receive_some() == b"hello"
    ours.close_now()
    await trio.aclose_forcefully(far_stream)


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(300)]
)
async def test_a_handshake_of_garbage_breaks(junk: bytes) -> None:
    near, far = connected()
    ours = SocketStream(
        wrap_tls(near, CERTIFICATES.server()), outbox_messages=9, outbox_bytes=9999, outbox_age_s=9
    )
    far.sendall(junk)
    far.shutdown(socket.SHUT_WR)
    with trio.fail_after(PATIENCE_S), pytest.raises(trio.BrokenResourceError, match="TLS handshake failed"):
        await ours.do_handshake()
    ours.close_now()
    far.close()


@both
async def test_finish_lets_the_last_bytes_arrive_over_unread_ones(tls: bool) -> None:
    async with pair(tls=tls) as (ours, far):
        await far.send_all(bytes(30_000))
        ours.write(b"the last word")
        await ours.finish(0.5)
        assert ours.closed
        heard = b""
        while data := await far.receive_some():
            heard += data
        assert heard == b"the last word"


async def test_checkpoints() -> None:
    async with pair(tls=False) as (ours, far):
        with trio.testing.assert_checkpoints():
            await ours.drain()
        with trio.testing.assert_checkpoints():
            await ours.send_all(b"x")
        await far.send_all(b"y")
        with trio.testing.assert_checkpoints():
            await ours.receive_some()
        with trio.testing.assert_checkpoints():
            await ours.aclose()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
async def test_a_key_update_in_the_middle_of_everything() -> None:
    # s_client turns a line "K" into a key update that asks for ours.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-tls1_3"]
        # -quiet turns commands off; the noise on its output does not matter.
        command.remove("-quiet")
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        ) as process:
            near, _ = listener.accept()
            prepare(near)
            ours = SocketStream(
                wrap_tls(near, CERTIFICATES.server()),
                outbox_messages=99,
                outbox_bytes=1 << 20,
                outbox_age_s=9,
            )
            assert process.stdin is not None
            try:
                with trio.fail_after(PATIENCE_S):
                    await ours.do_handshake()
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(ours.write_pending)
                        heard = b""
                        for line in (b"one\n", b"K\n", b"two\n", b"K\n", b"three\n"):
                            process.stdin.write(line)
                            ours.write(b"x" * 2000)
                            if line != b"K\n":
                                while not heard.endswith(line):
                                    heard += await ours.receive_some()
                            else:
                                await trio.sleep(0.1)
                        assert heard == b"one\ntwo\nthree\n"
                        assert not ours.closed
                        nursery.cancel_scope.cancel()
            finally:
                ours.close_now()
                process.kill()


def test_a_socket_that_cannot_be_wrapped_is_closed() -> None:
    near, far = connected()
    far.close()
    with pytest.raises(ValueError, match="server_hostname"):
        wrap_tls(near, ssl.create_default_context(), server_hostname="")
    assert near.fileno() == -1
