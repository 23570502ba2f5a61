"""Where a camera is reached, in three steps, and the addresses of what it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
from harness.netatmo_cloud import CAMERA, DOORBELL, OUTDOOR, NetatmoCloud
from harness.netatmo_home import Home
from trio.testing import MockClock

from agent.model.errors import CommandError
from agent.net.http_client import HttpClient
from agent.workers.netatmo.client_cameras import (
    Address,
    Cameras,
    is_home,
    is_tunnel,
    live,
    live_snapshot,
    picture,
    recorded,
)
from agent.workers.netatmo.client_state import Module
from agent.workers.netatmo.wire import Picture

assert httpx  # imported early: while a thread does that, a clock that jumps would jump
TUNNEL = Address("https://prodvpn-eu-2.netatmo.net/10.255.0.1/d257/MTU4,,", False)
LOCAL = Address("http://192.168.128.232/52ced8", True)


@asynccontextmanager
async def camera(
    clock: MockClock, *, tells: str = "SELF", local_tells: str = "SELF", is_local: bool = True
) -> AsyncIterator[tuple[Cameras, Module, NetatmoCloud]]:
    """A camera behind a tunnel; SELF: the local address. What it answers at either end."""
    clock.autojump_threshold = 0.003
    stub = NetatmoCloud()

    def ping(method: str, path: str, body: bytes) -> tuple[int, object]:
        local = f"{stub.url}local"
        told = tells if path.startswith("/vpn") else local_tells
        if told == "none":
            return 200, {}
        if told == "fails":
            return 500, "<html>"
        return 200, {"local_url": told.replace("SELF", local), "product_name": "Smart Indoor Camera"}

    stub.answer = ping
    async with stub.running(), HttpClient(timeout_s=10) as http:
        cameras = Cameras(http, tunnel_good=lambda url: True, home_good=lambda url: url.startswith(stub.url))
        values: dict[str, bool | int | float | str] = {"vpn_url": f"{stub.url}vpn/,,", "is_local": is_local}
        yield cameras, Module(id=CAMERA, type="NACamera", values=values), stub


async def test_on_the_same_network(patient_clock: MockClock) -> None:
    async with camera(patient_clock) as (cameras, module, stub):
        address = await cameras.address(module)
        assert address == Address(f"{stub.url}local", True)
        assert [path for _, path in stub.requests] == ["/vpn/,,/command/ping", "/local/command/ping"]
        assert stub.bearers == []
        await cameras.address(module)
        assert len(stub.requests) == 2  # kept
        await trio.sleep(3 * 3600 + 1)
        await cameras.address(module)
        assert len(stub.requests) == 4
        cameras.failed(module)
        await cameras.address(module)
        assert len(stub.requests) == 6
        module.values["vpn_url"] = f"{stub.url}vpn/other,,"
        await cameras.address(module)
        assert len(stub.requests) == 8


@pytest.mark.parametrize(
    ("tells", "local_tells", "is_local", "asked"),
    [
        ("SELF", "SELF", False, 0), ("none", "SELF", True, 1), ("fails", "SELF", True, 1),
        ("SELF", "none", True, 2), ("SELF", "fails", True, 2), ("SELF", "SELF/other", True, 2),
        ("http://169.254.1.2/x", "SELF", True, 1), ("http://example.org/x", "SELF", True, 1),
    ],
)  # fmt: skip
async def test_on_another_network(
    tells: str, local_tells: str, is_local: bool, asked: int, patient_clock: MockClock
) -> None:
    async with camera(patient_clock, tells=tells, local_tells=local_tells, is_local=is_local) as (
        cameras, module, stub,
    ):  # fmt: skip
        assert await cameras.address(module) == Address(f"{stub.url}vpn/,,", False)
        assert len(stub.requests) == asked


async def test_a_camera_that_does_not_answer_at_home(patient_clock: MockClock) -> None:
    async with camera(patient_clock) as (cameras, module, stub):
        answer = stub.answer

        def silent(method: str, path: str, body: bytes) -> tuple[int, object] | None:
            stub.mute = path.startswith("/vpn")  # from the next one on
            return answer(method, path, body)

        stub.answer = silent
        begun = trio.current_time()
        assert not (await cameras.address(module)).local
        assert 2.9 <= trio.current_time() - begun <= 3.5


async def test_no_right_to_it(patient_clock: MockClock) -> None:
    async with camera(patient_clock) as (cameras, _, _):
        with pytest.raises(CommandError, match="access_ scope"):
            await cameras.address(Module(id="x", name="Salotto"))


async def test_an_address_that_is_not_the_vendors() -> None:
    async with HttpClient() as http:
        with pytest.raises(CommandError, match="none of the vendor's"):
            await Cameras(http).address(Module(id="x", values={"vpn_url": "https://evil.example.org/x,,"}))


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://prodvpn-eu-2.netatmo.net/x,,", True), ("http://prodvpn-eu-2.netatmo.net/x", False),
        ("https://netatmo.net.evil.org/", False), ("https://evilnetatmo.net/", False),
        ("https://u:p@a.netatmo.net/", False), ("https://[", False), ("", False),
    ],
)  # fmt: skip
def test_tunnels(url: str, good: bool) -> None:
    assert is_tunnel(url) is good


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://192.168.128.232/52", True),
        ("http://10.0.0.9/52", True),
        ("http://169.254.3.4/52", False),
        ("http://127.0.0.1/52", False),
        ("http://8.8.8.8/52", False),
        ("http://camera.local/52", False),
        ("https://192.168.1.1/", False),
        ("http://0.0.0.0/", False),
        ("http://[fe80::1]/", False),
        ("x", False),
    ],
)
def test_homes(url: str, good: bool) -> None:
    assert is_home(url) is good


def test_addresses_of_what_it_shows() -> None:
    module = Module(id=CAMERA, type="NACamera")
    assert live(module, TUNNEL) == f"{TUNNEL.url}/live/index.m3u8"
    assert live(module, LOCAL) == f"{LOCAL.url}/live/index_local.m3u8"
    assert live(module, LOCAL, "high") == f"{LOCAL.url}/live/files/high/index.m3u8"
    assert live_snapshot(module, TUNNEL) == f"{TUNNEL.url}/live/snapshot_720.jpg"
    assert recorded(TUNNEL, "1a-B2") == f"{TUNNEL.url}/vod/1a-B2/index.m3u8"
    assert recorded(LOCAL, "1a-B2") == f"{LOCAL.url}/vod/1a-B2/index_local.m3u8"
    assert recorded(LOCAL, "1a", "poor") == f"{LOCAL.url}/vod/1a/files/poor/index.m3u8"


@pytest.mark.parametrize("video_id", ["", "../x", "a/b", "a b", "é", "x" * 200, "a\n"])
def test_what_is_no_video(video_id: str) -> None:
    with pytest.raises(CommandError):
        recorded(LOCAL, video_id)


@pytest.mark.parametrize("product", ["NDB", "NPC"])
def test_no_live_video_but_webrtc(product: str) -> None:
    for what in (live, live_snapshot):
        with pytest.raises(CommandError, match="WebRTC"):
            what(Module(id="x", type=product), TUNNEL)


def test_pictures() -> None:
    assert picture(None, Picture("https://a/b")) == "https://a/b"
    assert picture(LOCAL, Picture("", "vod/x.jpg")) == f"{LOCAL.url}/vod/x.jpg"
    assert picture(None, Picture("", "vod/x.jpg")) == ""
    assert picture(LOCAL, Picture("", "../../x")) == picture(LOCAL, Picture("", "/x")) == ""
    assert picture(LOCAL, Picture()) == ""


async def test_asked_by_a_person(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        found = await home.ask("cloud_video", module="Giardino")
        assert found["url"].endswith(",,/live/index.m3u8")
        found = await home.ask("cloud_video", module=OUTDOOR, what="event", video="v1")
        assert found["url"].endswith("/vod/v1/index.m3u8")
        found = await home.ask("cloud_video", module=OUTDOOR, what="snapshot")
        assert found["url"].endswith("/live/snapshot_720.jpg")
        with pytest.raises(CommandError, match="WebRTC"):
            await home.ask("cloud_video", module=DOORBELL)
        with pytest.raises(CommandError, match="no module"):
            await home.ask("cloud_video", module="Nobody")
        nursery.cancel_scope.cancel()
