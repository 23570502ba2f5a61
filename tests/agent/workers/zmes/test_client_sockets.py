"""The client over real sockets and TLS, against servers with the bytes and habits of the real ones."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trustme
from harness.event_server import EventServer, SocketWire, listening
from harness.observer import Observer

from agent.model.errors import AuthenticationError, PeerError
from agent.workers.zmes import client
from agent.workers.zmes.client_intake import Intake
from agent.workers.zmes.config import UpstreamConfig

PASSWORD = "fontanería ☕"
PATIENCE_S = 10.0


@pytest.fixture
def observer(tmp_path: Path) -> Observer:
    return Observer(tmp_path)


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., UpstreamConfig]:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)

    def build(url: str, **more: object) -> UpstreamConfig:
        plain = {"name": "zm", "url": url, "user": "admin", "password_file": str(secret)}
        return msgspec.convert(plain | more, UpstreamConfig)

    return build


class Certified:
    """A self-made authority, what a server needs of it, and the fingerprint of the server's certificate."""

    def __init__(self, folder: Path, *names: str) -> None:
        authority = trustme.CA()
        leaf = authority.issue_cert(*names)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(self.server)
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
        self.fingerprint = hashlib.sha256(der).hexdigest().upper()


async def follow_until(
    observer: Observer, config: UpstreamConfig, met: Callable[[], bool], then: Callable[[], Awaitable[None]]
) -> None:
    """Follow until a condition of the observer is met, do something, and stop."""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.follow, config, observer.context)
            await observer.until(met)
            await then()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("brand", ["6.1.29", "7.0.24"])
@pytest.mark.parametrize("trust", ["ca_file", "fingerprint", "verify"])
@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_the_ring_of_a_camera_over_tls(
    brand: Any,
    trust: str,
    scheme: str,
    observer: Observer,
    configured: Callable[..., UpstreamConfig],
    tmp_path: Path,
) -> None:
    certified = Certified(tmp_path, "127.0.0.1")
    server = EventServer(brand, password=PASSWORD)
    choices: dict[str, dict[str, object]] = {
        "ca_file": {"ca_file": certified.ca_file},
        "fingerprint": {"fingerprint": certified.fingerprint},
        "verify": {"verify": False},
    }

    async def ring() -> None:
        await server.alarm(3, 77, "Hof ü", "Motion: Tür")
        await observer.until(lambda: len(observer.alarms) == 1)

    async with listening(server.serve, tls=certified.server) as url:
        config = configured(url.replace("wss", scheme), **choices[trust])
        await follow_until(observer, config, lambda: server.listeners == 1, ring)
        with trio.fail_after(PATIENCE_S):
            await server.until(lambda: server.listeners == 0)
    assert [(alarm.monitor, alarm.cause) for alarm in observer.alarms] == [("Hof ü", "Motion: Tür")]


@pytest.mark.parametrize("flaw", ["authority", "name", "fingerprint", "plain"])
async def test_no_password_for_a_server_that_cannot_prove_itself(
    flaw: str, observer: Observer, configured: Callable[..., UpstreamConfig], tmp_path: Path
) -> None:
    certified = Certified(tmp_path, "other.example" if flaw == "name" else "127.0.0.1")
    more: dict[str, object] = {"ca_file": certified.ca_file}
    if flaw == "authority":
        more = {}
    if flaw == "fingerprint":
        more = {"fingerprint": "00" * 32}
    server = EventServer(password=PASSWORD)
    async with listening(server.serve, tls=None if flaw == "plain" else certified.server) as url:
        with trio.fail_after(PATIENCE_S), pytest.raises(PeerError) as caught:
            await client.follow(configured(url.replace("ws://", "wss://"), **more), observer.context)
    assert server.received == []
    assert ("fingerprint" in str(caught.value)) == (flaw == "fingerprint")


async def test_the_upgrade_and_the_frames_are_what_old_servers_take(
    observer: Observer, configured: Callable[..., UpstreamConfig]
) -> None:
    said: list[str] = []
    heads: list[str] = []

    async def old(wire: SocketWire) -> None:
        heads.append(wire.headers)
        said.append(await wire.receive())
        await wire.send('{"event":"auth","type":"","version":"0.93","status":"Success","reason":""}')
        said.append(await wire.receive())
        await wire.close(1000)

    async with listening(old) as url:
        with trio.fail_after(PATIENCE_S), pytest.raises(PeerError, match="1000"):
            await client.follow(configured(f"{url}es?site=1", monitors=["2"]), observer.context)
    assert heads[0].startswith("GET /es?site=1 HTTP/1.1\r\n")
    assert "extensions" not in heads[0].lower()
    assert all(text.isascii() for text in said)
    assert json.loads(said[0])["data"]["password"] == PASSWORD
    assert json.loads(said[1]) == {
        "event": "control",
        "data": {"type": "filter", "monlist": "2", "intlist": "0"},
    }


async def test_bad_credentials_leave_the_server_to_us_to_leave(
    observer: Observer, configured: Callable[..., UpstreamConfig]
) -> None:
    server = EventServer(password="another", tick_s=0.01)
    async with listening(server.serve) as url:
        with trio.fail_after(PATIENCE_S):
            with pytest.raises(AuthenticationError, match="BADAUTH"):
                await client.follow(configured(url), observer.context)
            await server.until(lambda: server.connections == 1 and server.listeners == 0)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("restart", "1001"),
        ("die", "lost|closed|end|reset"),
        ("empty", "1005"),
        ("torn", "lost|closed|end|reset"),
        ("half", "lost|closed|end|reset"),
        ("oversize", "1009"),
        ("masked", "100[0-9]"),
        ("utf8", "100[0-9]"),
    ],
)
async def test_however_it_ends_it_is_a_peer_error(
    end: str, reason: str, observer: Observer, configured: Callable[..., UpstreamConfig]
) -> None:
    async def leave(wire: SocketWire) -> None:
        await wire.receive()
        await wire.send('{"event":"auth","type":"","version":"6.1.29","status":"Success","reason":""}')
        match end:
            case "restart":
                await wire.close(1001)
            case "die":
                await wire.eof()
            case "empty":
                await wire.close(None)
            case "torn":
                # The header promises 200 bytes, the connection ends after ten.
                await wire.raw(b"\x81\x7e\x00\xc8" + b"x" * 10)
                await wire.eof()
            case "half":
                # A message whose last fragment never comes.
                await wire.raw(b'\x01\x09{"event":')
                await wire.eof()
            case "oversize":
                await wire.raw(b"\x81\x7f" + (client.MAX_MESSAGE_BYTES + 1).to_bytes(8, "big"))
                await wire.receive()
            case "masked":
                await wire.raw(b"\x81\x82\x00\x00\x00\x00{}")
                await wire.receive()
            case "utf8":
                await wire.raw(b"\x81\x02\xc3\x28")
                await wire.receive()

    async with listening(leave) as url:
        with trio.fail_after(PATIENCE_S), pytest.raises(PeerError, match=reason):
            await client.follow(configured(url), observer.context)
    assert observer.page["upstream.zm.state"] == "offline"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 401 Unauthorized\r\n\r\n", b"\x00\xff" * 40, b"HTTP/1.1 101 X\r\n\r\n"]
)
async def test_what_is_no_websocket_is_a_peer_error(
    answer: bytes, observer: Observer, configured: Callable[..., UpstreamConfig]
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        with trio.fail_after(PATIENCE_S), pytest.raises(PeerError):
            await client.follow(configured(f"ws://127.0.0.1:{port}"), observer.context)
        nursery.cancel_scope.cancel()


async def test_nobody_at_home_is_a_peer_error(
    observer: Observer, configured: Callable[..., UpstreamConfig]
) -> None:
    async with listening(lambda wire: trio.sleep(0)) as url:
        pass
    with trio.fail_after(PATIENCE_S), pytest.raises(PeerError):
        await client.follow(configured(url), observer.context)


async def test_a_server_that_drips_bytes_is_still_understood(
    observer: Observer, configured: Callable[..., UpstreamConfig]
) -> None:
    alarm = '{"event":"alarm","status":"Success","events":[{"EventId":"1","MonitorId":"1","Name":"Yard"}]}'

    async def drip(wire: SocketWire) -> None:
        await wire.receive()
        reply = b'{"event":"auth","status":"Success","version":"6.1.29"}'
        frames = bytes([0x81, len(reply)]) + reply + bytes([0x81, len(alarm)]) + alarm.encode()
        for byte in frames:
            await wire.raw(bytes([byte]))
            await trio.sleep(0)
        await wire.receive()

    async def nothing() -> None:
        await trio.lowlevel.checkpoint()

    async with listening(drip) as url:
        await follow_until(observer, configured(url), lambda: len(observer.alarms) == 1, nothing)


async def test_a_restart_is_followed_by_a_reconnection_without_repeats(
    observer: Observer, configured: Callable[..., UpstreamConfig]
) -> None:
    server = EventServer(password=PASSWORD)
    intake = Intake()
    async with listening(server.serve) as url, trio.open_nursery() as nursery:
        config = configured(url)
        with trio.fail_after(PATIENCE_S):

            async def persist() -> None:
                for _ in range(2):
                    with pytest.raises(PeerError, match="1001"):
                        await client.follow(config, observer.context, intake=intake)

            nursery.start_soon(persist)
            await server.until(lambda: server.listeners == 1)
            await server.alarm(1, 1, "Yard", "Motion")
            await observer.until(lambda: len(observer.alarms) == 1)
            await server.restart()
            await server.until(lambda: server.connections == 2 and server.listeners == 1)
            await server.alarm(1, 1, "Yard", "Motion")
            await server.alarm(1, 2, "Yard", "Motion")
            await observer.until(lambda: len(observer.alarms) == 2)
        nursery.cancel_scope.cancel()
    assert [alarm.event_id for alarm in observer.alarms] == ["1", "2"]
