"""A ring of the bell in the channels: text, voice, picture, in this order and in time."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from harness.context import House
from harness.zello_cloud import ZelloCloud
from harness.zello_door import OPUS_60, Door, door_at_cloud
from trio.testing import MockClock

from agent.model.events import ButtonPressed, CallChanged
from agent.workers.zello import client
from agent.workers.zello.config import SnapshotConfig
from agent.workers.zello.snapshot import Picture

JPEG = b"\xff\xd8" + b"J" * 300_000
THUMBNAIL = b"\xff\xd8" + b"T" * 900


@pytest.fixture
def clock() -> MockClock:
    """Jumps when nothing moves, also not in a socket on loopback."""
    return MockClock(autojump_threshold=0.002)


class Camera:
    """taken_at: when it was asked. delay_s: how long it takes."""

    def __init__(self) -> None:
        self.taken_at: list[float] = []
        self.delay_s = 0.3
        self.picture: Picture | None = Picture(jpeg=JPEG, thumbnail=THUMBNAIL, width=1280, height=720)

    async def take(self, config: SnapshotConfig) -> Picture | None:
        self.taken_at.append(trio.current_time())
        await trio.sleep(self.delay_s)
        return self.picture


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Camera:
    camera = Camera()
    monkeypatch.setattr(client, "take", camera.take)
    return camera


async def said(door: Door, seconds: float = 2.0) -> None:
    """The voice of the ring."""
    ring = door.house.voice.begin()
    for _ in range(int(seconds / 0.06)):
        ring.feed(OPUS_60)
        await trio.sleep(0.06)
    ring.end()


def commands(door: Door) -> list[str]:
    return [said["command"] for said in door.cloud.said if said["command"] not in ("logon", "stop_stream")]


async def test_text_at_once_then_voice_then_picture(tmp_path: Path, clock: MockClock, camera: Camera) -> None:
    async with door_at_cloud(tmp_path, snapshot=True) as door:
        await door.online()
        rung_at = trio.current_time()
        door.call()
        await said(door, 4)
        await door.until(lambda: door.page("images_out") == 1)
        ((told_at, text),) = door.cloud.texts
        ((announced, parts),) = door.cloud.images.values()
        await door.until(lambda: len(parts) == 2)
    assert commands(door) == ["send_text_message", "start_stream", "send_image"]
    assert text["text"].startswith("Front bell: somebody is at the door (")
    assert "{" not in text["text"]
    assert text["channel"] == "door"
    assert "for" not in text
    assert told_at - rung_at < 0.1
    assert camera.taken_at[0] - rung_at < 0.1
    assert parts == [(2, THUMBNAIL), (1, JPEG)]
    assert announced["type"] == "jpeg"
    assert announced["source"] == "camera"
    assert (announced["width"], announced["height"]) == (1280, 720)
    assert announced["content_length"] == len(JPEG)
    assert announced["thumbnail_content_length"] == len(THUMBNAIL)


async def test_a_busy_channel_gets_text_and_picture(tmp_path: Path, clock: MockClock, camera: Camera) -> None:
    def busy(cloud: ZelloCloud) -> None:
        cloud.start_errors = ["channel busy"] * 99

    async with door_at_cloud(tmp_path, snapshot=True, prepare=busy) as door:
        await door.online()
        rung_at = trio.current_time()
        door.call()
        await said(door, 10)
        assert door.cloud.texts[0][0] - rung_at < 0.1
        assert commands(door)[-1] == "send_image"
        assert door.page("images_out") == 1
        assert door.cloud.streams == {}


async def test_without_a_voice_the_picture_comes_at_once(
    tmp_path: Path, clock: MockClock, camera: Camera
) -> None:
    async with door_at_cloud(tmp_path, snapshot=True, ring={"voice": False, "recipient": "anna"}) as door:
        await door.online()
        rung_at = trio.current_time()
        door.call()
        await door.until(lambda: door.page("images_out") == 1)
        assert trio.current_time() - rung_at < 1
        assert [said.get("for") for said in door.cloud.said[1:]] == ["anna", "anna"]


async def test_a_press_in_a_call_sends_nothing(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        door.house.log.publish(ButtonPressed(endpoint="doorbell"))
        door.call("ringing")
        door.house.log.publish(ButtonPressed(endpoint="doorbell"))
        door.call("answered")
        door.call("ended")
        await trio.sleep(5)
        assert len(door.cloud.texts) == 1
        door.call("ringing", "c2")
        await trio.sleep(5)
        assert len(door.cloud.texts) == 2


async def test_a_suppressed_bell_sends_nothing(tmp_path: Path, clock: MockClock, camera: Camera) -> None:
    def quiet(house: House) -> None:
        house.notifications.quiet = True

    async with door_at_cloud(tmp_path, snapshot=True, house=quiet) as door:
        await door.online()
        door.call()
        await said(door)
        await trio.sleep(5)
        assert commands(door) == []
        assert camera.taken_at == []


@pytest.mark.parametrize(("offline_s", "told"), [(20.0, 1), (40.0, 0)])
async def test_a_ring_older_than_half_a_minute_is_not_sent(
    offline_s: float, told: int, tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path, ring={"voice": False}) as door:
        await door.online()
        door.cloud.channels["door"].online = False
        await door.cloud.now.status("door")
        await trio.sleep(1)
        door.call()
        await trio.sleep(offline_s)
        door.cloud.channels["door"].online = True
        await door.cloud.now.status("door")
        await trio.sleep(10)
        assert len(door.cloud.texts) == told


async def test_an_old_entry_is_not_told(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        clock_ns = door.house.log._clock_ns
        door.house.log._clock_ns = lambda: clock_ns() - 31_000_000_000
        door.call()
        await trio.sleep(5)
        assert door.cloud.texts == []


async def test_rings_from_before_are_not_told(tmp_path: Path, clock: MockClock) -> None:
    def rung(house: House) -> None:
        house.log.publish(CallChanged(call_id="c0", endpoint="doorbell", state="ringing"))

    async with door_at_cloud(tmp_path, house=rung) as door:
        await door.online()
        await trio.sleep(5)
        assert door.cloud.texts == []


async def test_what_a_channel_does_not_support_is_not_sent(
    tmp_path: Path, clock: MockClock, camera: Camera
) -> None:
    def poor(cloud: ZelloCloud) -> None:
        cloud.channels["door"].images = cloud.channels["door"].texts = False

    async with door_at_cloud(tmp_path, snapshot=True, prepare=poor, ring={"voice": False}) as door:
        await door.online()
        door.call()
        await trio.sleep(5)
        assert commands(door) == []
        assert door.page("rings_not_told") == 1
        assert door.page("images_not_sent") == 1


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        ("internal server error", 2),
        ("channel is not ready", 2),
        ("busy", 2),
        ("not enough params", 1),
        ("taken", 1),
    ],
)
async def test_a_refused_text(error: str, sent: int, tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path, ring={"voice": False, "image": False}) as door:
        await door.online()
        door.cloud.text_errors = [error]
        door.call()
        await trio.sleep(5)
        assert len(commands(door)) == sent
        assert len(door.cloud.texts) == sent - 1


async def test_every_channel_is_told(tmp_path: Path, clock: MockClock, camera: Camera) -> None:
    async with door_at_cloud(tmp_path, "A", "B", snapshot=True, ring={"voice": False}) as door:
        await door.online()
        await trio.sleep(0.5)
        door.call()
        await door.until(lambda: door.page("images_out") == 2)
        assert {text["channel"] for _, text in door.cloud.texts} == {"A", "B"}
        assert {image[0]["channel"] for image in door.cloud.images.values()} == {"A", "B"}
    assert len(camera.taken_at) == 1


async def test_a_camera_that_gives_nothing(tmp_path: Path, clock: MockClock, camera: Camera) -> None:
    camera.picture = None
    async with door_at_cloud(tmp_path, snapshot=True, ring={"voice": False}) as door:
        await door.online()
        door.call()
        await trio.sleep(5)
        assert commands(door) == ["send_text_message"]


async def test_channels_that_the_door_is_not_on_are_told_nothing(
    tmp_path: Path, clock: MockClock, camera: Camera
) -> None:
    async with door_at_cloud(tmp_path, snapshot=True, door="never") as door:
        await door.online()
        door.call()
        await trio.sleep(10)
        assert commands(door) == []
        assert camera.taken_at == []
