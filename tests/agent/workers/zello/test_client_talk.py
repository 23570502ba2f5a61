"""The door's own voice on its way to a server: when it begins, at what pace it is sent, and how it ends."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.context import House
from harness.voice import MemoryTransmission
from harness.zello_cloud import CloudStream, ZelloCloud
from harness.zello_door import OPUS_20, OPUS_60, Door, door_at_cloud
from trio.testing import MockClock

from agent.workers.zello.client_stream import SILENCE
from agent.workers.zello.errors import ErrorCode


@pytest.fixture
def clock() -> MockClock:
    """Jumps when nothing moves, also not in a socket on loopback."""
    return MockClock(autojump_threshold=0.002)


async def speak(transmission: MemoryTransmission, seconds: float, *, packet_ms: int = 60) -> None:
    """Somebody speaks in real time."""
    for _ in range(int(seconds * 1000 / packet_ms)):
        transmission.feed(OPUS_60)
        await trio.sleep(packet_ms / 1000)


def only(door: Door) -> CloudStream:
    (stream,) = door.cloud.streams.values()
    return stream


async def stopped(door: Door, count: int = 1) -> None:
    await door.until(lambda: sum(s.stopped_at is not None for s in door.cloud.streams.values()) == count)


async def test_a_ring_is_heard_from_its_first_word(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.start_delay_s = 0.6

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        transmission = door.house.voice.begin()
        began = trio.current_time()
        await speak(transmission, 3)
        transmission.end()
        await stopped(door)
        stream = only(door)
    assert stream.request["channel"] == "door"
    assert stream.request["type"] == "audio"
    assert stream.request["codec"] == "opus"
    assert stream.request["codec_header"] == "gD4BPA=="
    assert stream.request["packet_duration"] == 60
    assert "for" not in stream.request
    assert stream.payloads == [OPUS_60] * 50
    ids = [int.from_bytes(data[5:9], "big") for _, data in stream.packets]
    assert ids == list(range(50))
    # What waited for the reply is sent at twice its speed, never as a burst.
    gaps = [b[0] - a[0] for a, b in zip(stream.packets, stream.packets[1:], strict=False)]
    assert min(gaps) >= 0.029
    assert max(gaps) < 0.1
    assert stream.stopped_at is not None
    assert stream.stopped_at >= began + 3


def test_no_refusal_is_left_out() -> None:
    (mark,) = test_each_refusal_has_its_consequence.pytestmark  # type: ignore[attr-defined]
    assert {code.value for code in ErrorCode} <= {row[0].lower() for row in mark.args[1]}


async def test_a_large_stream_id(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.id = 2**31 + 1

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        transmission = door.house.voice.begin()
        await speak(transmission, 1)
        transmission.end()
        await stopped(door)
        assert len(only(door).packets) == 16


async def test_a_stop_does_not_overtake_the_sound(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.start_delay_s = 0.2

    async with door_at_cloud(tmp_path, prepare=prepare, packet_ms=20) as door:
        await door.online()
        transmission = door.house.voice.begin()
        transmission.feed(*[OPUS_20] * 30)
        await trio.sleep(0.1)
        transmission.end()
        await stopped(door)
        stream = only(door)
    assert len(stream.packets) == 30
    assert stream.header == (16_000, 1, 20)
    assert stream.stopped_at is not None
    assert stream.stopped_at - stream.packets[0][0] >= 30 * 0.02 - 0.001


@pytest.mark.parametrize("packet_ms", [20, 40, 60])
@pytest.mark.parametrize("spoken", [0, 1, 2])
async def test_a_short_message_is_filled_with_silence(
    packet_ms: int, spoken: int, tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path, packet_ms=packet_ms) as door:
        await door.online()
        transmission = door.house.voice.begin()
        transmission.feed(*[OPUS_60] * spoken)
        await trio.sleep(0.1)
        transmission.end()
        await stopped(door)
        stream = only(door)
    assert stream.payloads == [OPUS_60] * spoken + [SILENCE[packet_ms]] * (3 - spoken)
    assert [data[8] for _, data in stream.packets] == [0, 1, 2]


async def test_every_channel_hears_it(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path, "A", "B") as door:
        await door.online()
        transmission = door.house.voice.begin()
        await trio.sleep(0.5)
        await speak(transmission, 1)
        transmission.end()
        await stopped(door, 2)
        streams = list(door.cloud.streams.values())
    assert {stream.request["channel"] for stream in streams} == {"A", "B"}
    assert [len(stream.packets) for stream in streams] == [16, 16]


async def test_a_busy_channel_is_tried_for_five_seconds_then_given_up(
    tmp_path: Path, clock: MockClock
) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.start_errors = ["channel busy"] * 99

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        transmission = door.house.voice.begin()
        began = trio.current_time()
        await speak(transmission, 12)
        transmission.end()
        assert door.page("not_sent") == "door: Channel busy" or door.page("not_sent") == "door: channel busy"
    times = [at - began for at, _ in door.cloud.starts]
    assert 3 <= len(times) <= 6
    assert times[-1] <= 6
    assert all(b - a >= 1.5 - 0.01 for a, b in itertools.pairwise(times))
    assert len(door.cloud.connections) == 1


async def test_nobody_is_interrupted(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        now = door.cloud.now
        await now.tell(
            command="on_stream_start", stream_id=9, channel="door", codec_header="gD4BPA==", **{"from": "zoe"}
        )
        await now.voice(9, 0)
        await door.until(lambda: door.page("talker") == "zoe")
        transmission = door.house.voice.begin()
        await speak(transmission, 2)
        assert door.cloud.starts == []
        await now.tell(command="on_stream_stop", stream_id=9)
        await speak(transmission, 2)
        assert len(door.cloud.starts) == 1
        transmission.end()
        await stopped(door)


async def test_somebody_whose_stop_was_lost_blocks_nobody(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await door.cloud.now.tell(
            command="on_stream_start", stream_id=9, channel="door", codec_header="gD4BPA==", **{"from": "zoe"}
        )
        await door.until(lambda: door.page("talker") == "zoe")
        await trio.sleep(3)
        transmission = door.house.voice.begin()
        await speak(transmission, 0.5)
        assert len(door.cloud.starts) == 1


@pytest.mark.parametrize(
    ("error", "starts", "stays"),
    [
        ("woodpecker prohibited", 2, True),
        ("busy", 2, True),
        ("failed to start stream", 2, True),
        ("internal server error", 2, True),
        ("channel is not ready", 2, True),
        ("never heard of it", 2, True),
        ("not enough params", 1, True),
        ("unknown command", 1, True),
        ("not authorized", 1, True),
        ("no phone", 1, True),
        ("invalid request", 1, True),
        ("listen only connection", 1, True),
        ("taken", 1, True),
        ("invalid stream id", 1, True),
        ("server closed connection", 2, False),
        ("not logged in", 2, False),
        ("kicked", 1, False),
        ("Channel Busy", 2, True),
        ("invalid json", 1, True),
        ("failed to stop stream", 1, True),
        ("failed to send data", 1, True),
        ("invalid audio packet", 1, True),
        ("channels limit exceeded", 1, True),
        ("empty message", 1, True),
        ("unable to verify", 1, True),
        ("invalid password", 1, True),
        ("suspended", 1, True),
        ("channel not found", 1, True),
    ],
)
async def test_each_refusal_has_its_consequence(
    error: str, starts: int, stays: bool, tmp_path: Path, clock: MockClock
) -> None:
    """starts: how often it is tried in all. stays: the connection lives on."""
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        door.cloud.start_errors = [error]
        transmission = door.house.voice.begin()
        await speak(transmission, 8)
        transmission.end()
        await trio.sleep(2)
        assert len(door.cloud.starts) == starts
        assert len(door.cloud.streams) == starts - 1
        assert (len(door.cloud.connections) == 1 and not door.cloud.now.over) is stays


async def test_a_woodpecker_waits_longer_each_time(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.start_errors = ["woodpecker prohibited"] * 4

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        transmission = door.house.voice.begin("visitor")
        await speak(transmission, 30)
        transmission.end()
        times = [at for at, _ in door.cloud.starts]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == pytest.approx([1.5, 3, 6, 8], abs=0.1)


async def test_an_invalid_request_is_made_once_more_in_the_simplest_form(
    tmp_path: Path, clock: MockClock
) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.start_errors = ["invalid request"] * 2

    async with door_at_cloud(tmp_path, prepare=prepare, packet_ms=20) as door:
        await door.online()
        transmission = door.house.voice.begin()
        await speak(transmission, 5)
        assert [start["packet_duration"] for _, start in door.cloud.starts] == [20, 60]
        assert [start["codec_header"] for _, start in door.cloud.starts] == ["gD4BFA==", "gD4BPA=="]
        assert [stream.packet_ms for stream in transmission.made] == [20, 60]


async def test_who_may_not_talk_here_does_not_try_again_until_the_channel_is_back(
    tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path, "A", "B") as door:
        await door.online()
        door.cloud.start_errors = ["no phone"]
        first = door.house.voice.begin()
        await speak(first, 2)
        first.end()
        second = door.house.voice.begin()
        await speak(second, 2)
        second.end()
        assert len(door.cloud.starts) == 3  # the other channel twice
        for online in (False, True):
            for name in ("A", "B"):
                door.cloud.channels[name].online = online
                await door.cloud.now.status(name)
        third = door.house.voice.begin()
        await speak(third, 2)
        assert len(door.cloud.starts) == 5


async def test_the_server_may_end_a_message(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        transmission = door.house.voice.begin()
        await speak(transmission, 1)
        (stream_id,) = door.cloud.streams
        await door.cloud.now.tell(command="on_stream_stop", stream_id=stream_id)
        await speak(transmission, 0.2)
        sent = len(only(door).packets)
        await speak(transmission, 4)
        assert len(only(door).packets) == sent
        assert [said["command"] for said in door.cloud.said].count("stop_stream") == 0


@pytest.mark.parametrize("error", ["invalid audio packet", "failed to send data", "invalid stream id"])
async def test_a_failed_packet_ends_a_message(error: str, tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        transmission = door.house.voice.begin()
        await speak(transmission, 1)
        await door.cloud.now.tell(command="on_error", error=error)
        await speak(transmission, 3)
        assert len(only(door).packets) < 20


async def test_the_other_side_of_a_call_begins_again(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        transmission = door.house.voice.begin("visitor")
        await speak(transmission, 1)
        (stream_id,) = door.cloud.streams
        await door.cloud.now.tell(command="on_stream_stop", stream_id=stream_id)
        await speak(transmission, 4)
        assert len(door.cloud.streams) == 2
        transmission.end()
        await stopped(door)


async def test_no_message_is_longer_than_a_minute(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        transmission = door.house.voice.begin("visitor")
        await speak(transmission, 70)
        transmission.end()
        await stopped(door, 2)
        first, second = door.cloud.streams.values()
    assert len(first.packets) == 1000
    assert len(second.packets) > 100


@pytest.mark.parametrize(("spoken_s", "again"), [(2.0, True), (11.0, False)])
async def test_an_interrupted_ring_begins_again_while_it_is_young(
    spoken_s: float, again: bool, tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        transmission = door.house.voice.begin()
        await speak(transmission, spoken_s)
        old = set(door.cloud.streams)
        await door.cloud.now.drop()
        await speak(transmission, 5)
        transmission.end()
        await trio.sleep(3)
        assert len(door.cloud.connections) == 2
        new = [stream for number, stream in door.cloud.streams.items() if number not in old]
        assert len(new) == again
        for stream in new:
            assert stream.stopped_at is not None
            assert {int.from_bytes(data[1:5], "big") for _, data in stream.packets} == set(
                door.cloud.now.streams
            )
            assert door.cloud.now.unknown_packets == []


async def test_a_ring_while_offline_is_said_when_that_is_soon_over(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.channels["door"].after_s = 4

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        transmission = door.house.voice.begin()
        await speak(transmission, 8)
        transmission.end()
        await stopped(door)
        stream = only(door)
        # The first words were too long ago; two seconds are kept.
        assert 4 / 0.06 <= len(stream.packets) <= 6.5 / 0.06


async def test_a_ring_while_long_offline_is_not(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.channels["door"].after_s = 12

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        transmission = door.house.voice.begin()
        await speak(transmission, 14)
        transmission.end()
        await door.online()
        await trio.sleep(5)
        assert door.cloud.starts == []
        assert transmission.streams == []


async def test_the_visitors_words_of_a_call_that_is_over_are_not_said_later(
    tmp_path: Path, clock: MockClock
) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.channels["door"].after_s = 6

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        transmission = door.house.voice.begin("visitor")
        await speak(transmission, 3)
        transmission.end()
        await door.online()
        await trio.sleep(5)
        assert door.cloud.starts == []


async def test_a_start_that_is_answered_too_late_is_stopped(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.start_delay_s = 12

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        transmission = door.house.voice.begin()
        await speak(transmission, 14)
        transmission.end()
        await stopped(door)
        assert only(door).packets == []
        assert door.page("late_streams") == 1


async def test_a_stream_that_is_stopped_in_the_breath_of_its_start(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        door.cloud.stop_at_once = 1
        transmission = door.house.voice.begin()
        await speak(transmission, 3)
        transmission.end()
        assert len(only(door).packets) == 0
        assert [said["command"] for said in door.cloud.said].count("stop_stream") == 0


async def test_cancelled_while_speaking_the_stream_is_stopped(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        transmission = door.house.voice.begin()
        await speak(transmission, 1)
        door.scope.cancel()
        await stopped(door)
        await door.until(lambda: door.cloud.now.over)
        assert door.page("state") == "stopped"
        assert transmission.streams == []


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_cancelled_anywhere_nothing_stays_open(steps: int, tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.start_delay_s = 0.05

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        transmission = door.house.voice.begin()
        transmission.feed(OPUS_60, OPUS_60, OPUS_60, OPUS_60)
        await trio.sleep(steps * 0.01)
        transmission.end()
        door.scope.cancel()
        with trio.fail_after(5):
            await door.until(lambda: door.cloud.now.over)
        assert transmission.streams == []
        for stream in door.cloud.streams.values():
            assert stream.stopped_at is not None or not stream.packets


@pytest.mark.parametrize("settings", [{"listen_only": True}, {"username": "", "password_file": None}])
async def test_who_only_listens_says_nothing(
    settings: dict[str, Any], tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path, **settings) as door:
        await door.online()
        transmission = door.house.voice.begin()
        door.call()
        await speak(transmission, 2)
        transmission.end()
        await trio.sleep(5)
        assert [said["command"] for said in door.cloud.said] == ["logon"]


async def test_a_suppressed_bell_is_silent(tmp_path: Path, clock: MockClock) -> None:
    def quiet(house: House) -> None:
        house.notifications.quiet = True

    async with door_at_cloud(tmp_path, house=quiet) as door:
        await door.online()
        ring = door.house.voice.begin()
        await speak(ring, 1)
        ring.end()
        assert door.cloud.starts == []
        visitor = door.house.voice.begin("visitor")
        await speak(visitor, 1)
        assert len(door.cloud.starts) == 1


async def test_a_ring_may_be_for_one_person(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path, ring={"recipient": "anna"}) as door:
        await door.online()
        ring = door.house.voice.begin()
        await speak(ring, 1)
        ring.end()
        await stopped(door)
        assert only(door).request["for"] == "anna"


@pytest.mark.parametrize("reason", ["ring", "visitor"])
async def test_nothing_is_sent_to_channels_that_the_door_is_not_on(
    tmp_path: Path, clock: MockClock, reason: Any
) -> None:
    async with door_at_cloud(tmp_path, door="never") as door:
        await door.online()
        transmission = door.house.voice.begin(reason)
        await speak(transmission, 3)
        transmission.end()
        await trio.sleep(5)
        assert door.cloud.streams == {}
