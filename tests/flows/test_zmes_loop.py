"""One door follows another: a ring at door B is a camera alarm at door A, over TLS."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
from harness.context import House
from harness.observer import Observer

from agent.bus import EventLog
from agent.model.errors import AuthenticationError, PeerError
from agent.model.events import ButtonPressed, CameraAlarm, ContactChanged
from agent.net.websocket import connect_websocket
from agent.runtime import EndpointInfo
from agent.workers.zmes.client import follow
from agent.workers.zmes.client_intake import Intake
from agent.workers.zmes.config import ServerConfig, UpstreamConfig
from agent.workers.zmes.server import serve

PATIENCE_S = 10.0
PASSWORD = "clave de la puerta ñ"
ENDPOINTS = (
    EndpointInfo(name="doorbell", label="Haustür", kind="button"),
    EndpointInfo(name="cellar", label="Cellar", kind="contact", role="smoke"),
)


class Doors:
    """Door B (a real server in a house of memory) and door A (which follows it)."""

    def __init__(self, b: House, a: Observer, folder: Path) -> None:
        self.b = b
        self.a = a
        self._folder = folder

    def config(self, **more: object) -> UpstreamConfig:
        """Door A's configuration: trusts door B's authority, knows the right password."""
        secret = self._folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        plain: dict[str, object] = {
            "name": "back",
            "url": self.b.ready["zmes"],
            "user": "front-door",
            "password_file": str(secret),
            "ca_file": str(self.b.tls.ca_path),
        }
        merged = {key: value for key, value in (plain | more).items() if value is not None}
        return msgspec.convert(merged, UpstreamConfig)

    async def following(self) -> None:
        """Wait until A is logged in at B, and B knows it."""
        await self.a.until(lambda: self.a.page.get("upstream.back.state") == "following")


@pytest.fixture
def log() -> EventLog:
    return EventLog(boot_id="b")


@asynccontextmanager
async def two_doors(folder: Path, log: EventLog, **server: object) -> AsyncIterator[Doors]:
    house = House(
        folder, endpoints=ENDPOINTS, accounts={"front-door": (PASSWORD, "resident")}, log=log, boot_number=3
    )
    config = msgspec.convert({"host": "127.0.0.1", "end_messages": True} | server, ServerConfig)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, config, house.context("zmes"))
            yield Doors(house, Observer(folder), folder)
            nursery.cancel_scope.cancel()


async def test_a_ring_at_one_door_is_an_alarm_at_the_other(tmp_path: Path, log: EventLog) -> None:
    async with two_doors(tmp_path, log) as doors, trio.open_nursery() as nursery:
        nursery.start_soon(follow, doors.config(), doors.a.context)
        await doors.following()
        entry = log.publish(ButtonPressed(endpoint="doorbell"))
        log.publish(ContactChanged(endpoint="cellar", role="smoke", active=True))
        log.publish(ContactChanged(endpoint="cellar", role="smoke", active=False))
        await doors.a.until(lambda: len(doors.a.alarms) == 3)
        nursery.cancel_scope.cancel()
    ring, smoke, clear = doors.a.alarms
    assert ring == CameraAlarm(
        source="back",
        monitor_id="1",
        monitor="Haustür",
        cause="Ring",
        event_id=str(3 * 100_000_000 + entry.seq),
    )
    assert (smoke.monitor, smoke.cause, smoke.ended) == ("Cellar", "Smoke alarm", False)
    assert clear == msgspec.structs.replace(smoke, ended=True)
    assert doors.a.page["upstream.back.version"] == "6.1.29"


async def test_the_filter_of_one_door_is_kept_by_the_other(tmp_path: Path, log: EventLog) -> None:
    async with two_doors(tmp_path, log) as doors, trio.open_nursery() as nursery:
        nursery.start_soon(follow, doors.config(monitors=["2"]), doors.a.context)
        await doors.following()
        # The filter is not answered; what follows it on the same connection is handled after it.
        await trio.testing.wait_all_tasks_blocked(0.05)
        log.publish(ButtonPressed(endpoint="doorbell"))
        log.publish(ContactChanged(endpoint="cellar", role="smoke", active=True))
        await doors.a.until(lambda: len(doors.a.alarms) == 1)
        nursery.cancel_scope.cancel()
    assert doors.a.alarms[0].monitor == "Cellar"


async def test_a_pinned_certificate_needs_no_authority(tmp_path: Path, log: EventLog) -> None:
    async with two_doors(tmp_path, log) as doors, trio.open_nursery() as nursery:
        port = int(doors.b.ready["zmes"].rstrip("/").rsplit(":", 1)[1])
        pem = await trio.to_thread.run_sync(ssl.get_server_certificate, ("127.0.0.1", port))
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        config = doors.config(ca_file=None, fingerprint=fingerprint)
        nursery.start_soon(follow, config, doors.a.context)
        await doors.following()
        log.publish(ButtonPressed(endpoint="doorbell"))
        await doors.a.until(lambda: len(doors.a.alarms) == 1)
        nursery.cancel_scope.cancel()


async def test_a_wrong_password_parks(tmp_path: Path, log: EventLog) -> None:
    async with two_doors(tmp_path, log) as doors:
        doors.b.authenticator.accounts["front-door"] = ("changed", "resident")
        with pytest.raises(AuthenticationError, match="BADAUTH"):
            await follow(doors.config(), doors.a.context)
        assert doors.a.page["upstream.back.state"] == "refused"


async def test_the_other_door_restarts_and_is_followed_again(tmp_path: Path, log: EventLog) -> None:
    secret = tmp_path / "escontrol"
    secret.write_text("maintenance")
    secret.chmod(0o600)
    async with (
        two_doors(tmp_path, log, escontrol=True, escontrol_password_file=str(secret)) as doors,
        trio.open_nursery() as nursery,
    ):
        config, intake = doors.config(), Intake()

        ends: list[str] = []

        async def persist() -> None:
            while True:
                try:
                    await follow(config, doors.a.context, intake=intake)
                except PeerError as error:
                    ends.append(error.reason)
                    await trio.sleep(0.01)

        nursery.start_soon(persist)
        await doors.following()
        log.publish(ButtonPressed(endpoint="doorbell"))
        await doors.a.until(lambda: len(doors.a.alarms) == 1)
        async with connect_websocket(config.url, ssl_context=doors.b.tls.client_context()) as master:
            await master.send_text(
                '{"event":"auth","category":"escontrol","data":{"password":"maintenance"}}'
            )
            assert "Success" in str(await master.receive())
            await master.send_text('{"event":"escontrol","data":{"command":"restart"}}')
            assert "Success" in str(await master.receive())
        await doors.a.until(lambda: doors.a.shown("upstream.back.state").count("following") == 2)
        log.publish(ButtonPressed(endpoint="doorbell"))
        await doors.a.until(lambda: len(doors.a.alarms) == 2)
        nursery.cancel_scope.cancel()
    first, second = doors.a.alarms
    assert first.event_id != second.event_id
    assert "1001" in ends[0]
