"""Two doors that are in one channel: our client at our server, over TLS with a pinned certificate."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import trio
from harness.context import House
from harness.zello_door import BELL, OPUS_20, cloud_config, secret

from agent.model.actions import StartTalk
from agent.model.events import CallChanged
from agent.runtime import EndpointInfo
from agent.workers.zello import WORKER
from agent.workers.zello.config import CommandsConfig, ServerConfig, ZelloConfig

LOCK = EndpointInfo(name="front", label="Front door", kind="lock")
NAME = "Front door"


class Doors:
    """host: has the server. guest: has the client; `portero` is its user there, `door` the host's name."""

    def __init__(self, host: House, guest: House) -> None:
        self.host = host
        self.guest = guest

    async def until(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(10):
            while not condition():
                await trio.sleep(0.01)

    def page(self, key: str) -> object:
        return self.guest.pages.get(f"cloud.home.{key}")


@asynccontextmanager
async def two_doors(folder: Path) -> AsyncIterator[Doors]:
    (folder / "host").mkdir()
    (folder / "guest").mkdir()
    host = House(
        folder / "host",
        endpoints=(BELL, LOCK),
        accounts={"portero": ("Türe 7", "resident")},
    )
    guest = House(folder / "guest", endpoints=(BELL, LOCK), accounts={"anna": ("x", "resident")})
    async with trio.open_nursery() as nursery:
        server = ServerConfig(host="127.0.0.1", port=0, commands=CommandsConfig(pin=()))
        await nursery.start(_run, ZelloConfig(server=server), host)
        url = host.ready["zello"]
        parts = urlsplit(url)
        assert parts.port is not None
        pem = await trio.to_thread.run_sync(ssl.get_server_certificate, ("127.0.0.1", parts.port))
        cloud = cloud_config(
            f"wss://127.0.0.1:{parts.port}/ws",
            folder,
            fingerprint=sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest(),
            token_file=None,
            password_file=secret(folder, "secret", "Türe 7\n"),
            channels=[NAME],
            packet_ms=20,
            people={"door": "anna"},
            commands={"pin": []},
        )
        await nursery.start(_run, ZelloConfig(cloud=(cloud,)), guest)
        doors = Doors(host, guest)
        await doors.until(lambda: doors.page("state") == "online")
        yield doors
        nursery.cancel_scope.cancel()


async def _run(config: ZelloConfig, house: House, *, task_status: trio.TaskStatus[None]) -> None:
    await WORKER.run(config, house.context("zello"), task_status=task_status)


async def test_each_door_is_heard_at_the_other(tmp_path: Path) -> None:
    async with two_doors(tmp_path) as doors:
        visit = doors.guest.voice.begin("visitor")
        for _ in range(15):
            visit.feed(OPUS_20)
            await trio.sleep(0.02)
        visit.end()
        await doors.until(lambda: doors.host.voice.playbacks and doors.host.voice.playbacks[0].ended)
        (playback,) = doors.host.voice.playbacks
        assert playback.by == "portero"
        assert [packet[9:] for packet in playback.packets] == [OPUS_20] * 15
        assert doors.page("packets_out") == 15
        answer = doors.host.voice.begin("visitor")
        for _ in range(15):
            answer.feed(OPUS_20)
            await trio.sleep(0.02)
        answer.end()
        await doors.until(lambda: doors.guest.voice.playbacks and doors.guest.voice.playbacks[0].ended)
        (playback,) = doors.guest.voice.playbacks
        assert playback.by == "anna"
        assert [packet[9:] for packet in playback.packets] == [OPUS_20] * 15
        ((action, principal),) = doors.guest.submitted
        assert action == StartTalk()
        assert principal.name == "anna"


async def test_a_ring_at_one_is_told_at_the_other(tmp_path: Path) -> None:
    async with two_doors(tmp_path) as doors:
        doors.guest.log.publish(CallChanged(call_id="c1", endpoint="doorbell", state="ringing"))
        await doors.until(lambda: doors.page("rings_told") == 1)
        doors.host.log.publish(CallChanged(call_id="c2", endpoint="doorbell", state="ringing"))
        await doors.until(lambda: doors.page("texts_in") == 1)
        await trio.sleep(0.1)
        # Neither takes the other's announcement for a command.
        assert doors.host.submitted == doors.guest.submitted == []


async def test_the_other_door_is_a_user_among_others(tmp_path: Path) -> None:
    async with two_doors(tmp_path) as doors:
        assert doors.page(f"users.{NAME}") == 2
        assert doors.page(f"channel.{NAME}") == "online"
        assert doors.page("malformed") is None
        assert doors.page("ignored") is None
