"""Voices from a server: who is heard at the door, when, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from harness.context import House
from harness.zello_door import Door, door_at_cloud
from trio.testing import MockClock

from agent.model.actions import StartTalk
from agent.model.outcomes import Busy, Refused


@pytest.fixture
def clock() -> MockClock:
    """Jumps when nothing moves, also not in a socket on loopback."""
    return MockClock(autojump_threshold=0.002)


async def start(door: Door, stream_id: int, sender: str = "anna", **more: Any) -> None:
    await door.cloud.now.tell(
        **{
            "command": "on_stream_start",
            "type": "audio",
            "codec": "opus",
            "codec_header": "gD4BPA==",
            "packet_duration": 60,
            "stream_id": stream_id,
            "channel": "door",
            "from": sender,
        }
        | more
    )


async def stop(door: Door, stream_id: int) -> None:
    await door.cloud.now.tell(command="on_stream_stop", stream_id=stream_id)


async def talk(door: Door, stream_id: int, packets: int, first: int = 0) -> None:
    for number in range(first, first + packets):
        await door.cloud.now.voice(stream_id, number)
        await trio.sleep(0.06)


def heard(door: Door) -> list[tuple[str, int]]:
    return [(playback.by, len(playback.packets)) for playback in door.house.voice.playbacks]


async def test_somebody_of_the_house_is_heard(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await start(door, 0)
        await talk(door, 0, 20)
        assert door.page("talker") == "anna"
        assert not door.house.voice.playbacks[0].ended
        await stop(door, 0)
        await trio.sleep(0.1)
        (playback,) = door.house.voice.playbacks
        assert playback.finished
        assert playback.ended
        assert door.page("talker") == "nobody"
        assert [int.from_bytes(packet[5:9], "big") for packet in playback.packets] == list(range(20))
        ((action, principal),) = door.house.submitted
    assert action == StartTalk()
    assert (principal.name, principal.via, principal.peer) == ("anna", "zello", "home:anna")
    assert not principal.proven_locally


@pytest.mark.parametrize(
    ("sender", "more"),
    [
        ("stranger", {}),
        ("Anna", {}),
        ("", {}),
        ("portero", {}),
        ("anna", {"for": "bert"}),
    ],
)
async def test_who_is_not_heard(sender: str, more: dict[str, Any], tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await start(door, 7, sender, **more)
        await talk(door, 7, 5)
        await stop(door, 7)
        await trio.sleep(1)
        assert door.house.submitted == []
        assert heard(door) == []


@pytest.mark.parametrize("recipient", [False, None, "", "portero"])
async def test_for_the_door_or_for_all(recipient: Any, tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await start(door, 7, **{"for": recipient})
        await talk(door, 7, 5)
        assert heard(door) == [("anna", 5)]


@pytest.mark.parametrize(
    "outcome", [Refused(action_id="a", reason="role guest may not start_talk"), Busy(action_id="a")]
)
async def test_who_may_not_is_asked_once(outcome: Any, tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        door.house.answer = lambda action, principal: outcome
        await door.online()
        await start(door, 7, "bert")
        await talk(door, 7, 20)
        assert len(door.house.submitted) == 1
        assert heard(door) == []
        assert str(door.page("not_played")).startswith("bert: ")


async def test_a_door_without_a_free_loudspeaker(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        door.house.voice.refusal = "no sound card"
        await door.online()
        await start(door, 7)
        await talk(door, 7, 5)
        assert door.page("not_played") == "anna: no sound card"
        door.house.voice.refusal = ""
        await stop(door, 7)
        await start(door, 8)
        await talk(door, 8, 5)
        assert heard(door) == [("anna", 5)]


async def test_an_account_that_may_not_come_in(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path, people={"carl": "gone"}) as door:
        await door.online()
        await start(door, 7, "carl")
        await talk(door, 7, 5)
        assert door.house.submitted == []
        assert door.page("not_played") == "carl: the account may not come in"


async def test_the_first_wins_and_the_other_is_heard_afterwards(tmp_path: Path, clock: MockClock) -> None:
    def both(house: House) -> None:
        house.authenticator.accounts["bert"] = ("y", "resident")

    async with door_at_cloud(tmp_path, house=both) as door:
        await door.online()
        await start(door, 7)
        await talk(door, 7, 3)
        await start(door, 8, "bert")
        for number in range(5):
            await door.cloud.now.voice(7, 3 + number)
            await door.cloud.now.voice(8, number)
        await door.until(lambda: door.page("packets_not_played") == 5)
        assert heard(door) == [("anna", 8)]
        door.house.voice.playbacks[0].finish_s = 1.0
        await stop(door, 7)
        await talk(door, 8, 10, 5)  # while hers is played to its end his is kept
        await trio.sleep(1)
        await talk(door, 8, 5, 15)
        assert heard(door) == [("anna", 8), ("bert", 15)]


async def test_a_missing_stop_ends_after_three_seconds_and_may_be_resumed(
    tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await start(door, 7)
        await talk(door, 7, 5)
        await trio.sleep(2.8)
        assert not door.house.voice.playbacks[0].ended
        await trio.sleep(0.3)
        assert door.house.voice.playbacks[0].ended
        assert door.page("talker") == "nobody"
        await trio.sleep(8)
        await talk(door, 7, 5, 60)
        assert heard(door) == [("anna", 5), ("anna", 5)]
        await trio.sleep(14)
        await talk(door, 7, 5, 70)
        assert heard(door) == [("anna", 5), ("anna", 5)]
        assert door.page("packets_unknown") == 5


async def test_packets_of_nobody_are_ignored(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await talk(door, 99, 5)
        await stop(door, 99)
        await start(door, 7)
        await stop(door, 7)
        await talk(door, 7, 5)
        assert heard(door) == []
        assert door.page("packets_unknown") == 10


async def test_a_second_start_of_the_same_person_replaces_the_first(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await start(door, 7)
        await talk(door, 7, 3)
        await start(door, 8)
        await talk(door, 8, 4)
        assert heard(door) == [("anna", 3), ("anna", 4)]


async def test_what_the_door_cuts_stays_cut(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await start(door, 7)
        await talk(door, 7, 3)
        door.house.voice.playbacks[0].cut_now("time limit")
        await talk(door, 7, 10, 3)
        (playback,) = door.house.voice.playbacks
        assert playback.ended
        assert not playback.finished
        assert len(playback.packets) == 4


@pytest.mark.parametrize(
    ("setting", "in_call", "expected"),
    [("always", False, 1), ("calls", False, 0), ("calls", True, 1), ("never", True, 0)],
)
async def test_when_the_door_listens(
    setting: str, in_call: bool, expected: int, tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path, door=setting) as door:
        await door.online()
        door.call("ringing", "c0")
        door.call("missed", "c0")
        if in_call:
            door.call("ringing")
            door.call("answered")
        await trio.sleep(0.1)
        await start(door, 7)
        await talk(door, 7, 3)
        assert len(heard(door)) == expected


async def test_the_end_of_the_call_ends_what_is_played(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path, door="calls") as door:
        await door.online()
        door.call("answered")
        await start(door, 7)
        await talk(door, 7, 3)
        door.call("ended")
        await talk(door, 7, 3, 3)
        (playback,) = door.house.voice.playbacks
        assert playback.ended
        assert not playback.finished
        assert len(playback.packets) == 3


async def test_a_call_that_was_open_before_counts(tmp_path: Path, clock: MockClock) -> None:
    def ringing(house: House) -> None:
        from agent.model.events import CallChanged

        house.log.publish(CallChanged(call_id="c1", endpoint="doorbell", state="ringing"))

    async with door_at_cloud(tmp_path, door="calls", house=ringing) as door:
        await door.online()
        await start(door, 7)
        await talk(door, 7, 3)
        assert heard(door) == [("anna", 3)]
        assert door.cloud.texts == []


async def test_a_lost_connection_ends_what_is_played(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await start(door, 7)
        await talk(door, 7, 3)
        await door.cloud.now.drop()
        await door.until(lambda: len(door.cloud.connections) == 2)
        assert door.house.voice.playbacks[0].ended
        await door.online()
        await talk(door, 7, 3, 3)
        assert heard(door) == [("anna", 3)]


async def test_streams_are_bounded(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        for number in range(1, 200):
            await start(door, number, f"stranger{number}")
        await talk(door, 1, 1)
        await talk(door, 199, 1)
        await door.until(lambda: door.page("packets_unknown") == 1)


async def test_who_is_shut_out_while_speaking_is_not_heard_any_more(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await start(door, 7)
        await talk(door, 7, 3)
        door.house.authenticator.accounts.pop("anna")
        await talk(door, 7, 5, 3)
        (playback,) = door.house.voice.playbacks
        assert playback.ended
        assert not playback.finished
        assert len(playback.packets) == 3
