"""Talking on our server: floor, streams, packets and stops, over real sockets with TLS."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import pytest
import trio
from harness.voice import voice_packet
from harness.zello_client import HEADER_20, OPUS_20, OPUS_60, ZelloClient, channel_site, codec_header

from agent.workers.zello import relay
from agent.workers.zello.ids import MAX_SERVED_ID, Ids


async def until_stopped(client: ZelloClient, stream_id: int) -> None:
    await client.event("on_stream_stop", stream_id=stream_id)


async def test_a_talk_from_start_to_stop(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        answer = await alice.start(channel="Front door")
        stream = answer["stream_id"]
        assert answer == {"seq": 2, "success": True, "stream_id": stream}
        await alice.talk(stream, 1, 2, 3)
        started = await bob.event("on_stream_start")
        assert started == {
            "command": "on_stream_start",
            "type": "audio",
            "codec": "opus",
            "codec_header": HEADER_20,
            "packet_duration": 20,
            "stream_id": stream,
            "channel": "Front door",
            "from": "alice",
        }
        assert [await bob.packet() for _ in range(3)] == [(1, stream, n, OPUS_20) for n in range(3)]
        assert await alice.ask("stop_stream", stream_id=stream, channel="Front door") == {
            "seq": 3, "success": True,
        }  # fmt: skip
        assert await bob.event("on_stream_stop") == {"command": "on_stream_stop", "stream_id": stream}
        # Nobody hears themselves.
        await alice.settled()
        assert alice.nothing("on_stream_start", "on_stream_stop", "packet")


@pytest.mark.parametrize("numbers", [(0, 0, 0), (0, 1, 2), (1, 2, 3), (9, 4, 4_294_967_295)])
async def test_whatever_a_sender_numbers_listeners_get_our_numbers(
    tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, *numbers)
        assert [(await bob.packet())[2] for _ in numbers] == [0, 1, 2]


async def test_packets_that_come_before_the_reply_was_heard_belong_to_the_talk(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        await alice.talk(0, 1, 2)  # of nobody: no start was asked for
        await alice.tell(
            "start_stream", seq=50, type="audio", codec="opus", codec_header=HEADER_20, packet_duration=20
        )
        await alice.talk(0, *range(1, 30))
        stream = (await alice.reply(50))["stream_id"]
        await alice.talk(stream, 30, 31)
        assert [(await bob.packet())[1:3] for _ in range(31)] == [(stream, n) for n in range(31)]
        await alice.settled()
        assert alice.nothing("on_error")


async def test_packets_of_a_refused_talk_are_swallowed(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        assert (await bob.start())["error"] == "channel busy"
        await bob.talk(0, 1, 2, 3)
        stopped = await bob.ask("stop_stream", stream_id=None)
        assert stopped["error"] == "failed to stop stream"
        await bob.settled()
        assert bob.nothing("on_error")
        await alice.talk(stream, 0)
        assert (await bob.packet())[1] == stream


async def test_one_talks_and_the_next_may_when_they_have_stopped(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob, carol = [await site.user(name) for name in ("alice", "bob", "carol")]
        first = (await alice.start())["stream_id"]
        await alice.talk(first, 0)
        assert await bob.start() == {"seq": 2, "error": "channel busy"}
        await alice.ask("stop_stream", stream_id=first)
        second = (await bob.start())["stream_id"]
        assert second > first
        await bob.talk(second, 0)
        await until_stopped(carol, first)
        await carol.event("on_stream_start", stream_id=second)


async def test_channels_have_floors_of_their_own(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice", "Front door", "House"), await site.user("bob", "House")
        assert (await alice.start())["error"] == "not enough params"
        assert (await alice.start(channel="Front door"))["success"] is True
        assert (await bob.start())["success"] is True
        assert (await alice.start(channel="House"))["error"] == "channel busy"
        assert (await alice.start(channel="Nowhere"))["error"] == "channel is not ready"


async def test_beginning_again_ends_what_one_has_begun(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        first = (await alice.start())["stream_id"]
        await alice.talk(first, 0)
        second = (await alice.start())["stream_id"]
        await alice.talk(first, 1)
        await alice.talk(second, 0)
        await until_stopped(bob, first)
        assert (await bob.packet())[1] == second


async def test_who_vanishes_is_ended_and_loses_the_floor(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.packet()
        await alice.vanish()
        await until_stopped(bob, stream)
        assert (await bob.start())["success"] is True


async def test_who_sends_and_closes_at_once_is_heard_whole(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        for number in range(20):
            await alice.say(voice_packet(stream, number, OPUS_60))
        await alice.tell("stop_stream", stream_id=stream)
        await alice.socket.aclose()
        assert [(await bob.packet())[2] for _ in range(20)] == list(range(20))
        await until_stopped(bob, stream)


async def test_a_stop_says_what_was_wrong_with_it(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        assert (await bob.ask("stop_stream", stream_id=stream))["error"] == "invalid stream id"
        assert (await alice.ask("stop_stream", stream_id=4711))["error"] == "invalid stream id"
        assert (await alice.ask("stop_stream", stream_id=stream))["success"] is True
        assert (await alice.ask("stop_stream", stream_id=stream))["error"] == "failed to stop stream"
        assert (await alice.ask("stop_stream", stream_id="x"))["error"] == "failed to stop stream"
        again = await alice.start()
        # A client that lost the number says none.
        assert again["success"] is True
        assert (await alice.ask("stop_stream"))["success"] is True


async def test_who_is_stopped_by_us_may_go_on_and_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "IDLE_S", 0.1)
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await until_stopped(alice, stream)
        await until_stopped(bob, stream)
        await alice.talk(stream, 1, 2)
        assert (await alice.ask("stop_stream", stream_id=stream))["success"] is True
        assert bob.nothing("packet")
        assert alice.nothing("on_error")


@pytest.mark.parametrize(
    ("header", "payload", "told"),
    [
        (struct.pack("<HBB", 16000, 1, 60), b"\x6b\x03\x00", (16000, 1, 60)),
        (struct.pack("<HBB", 48000, 1, 20), b"\xbb\x83\x00", (48000, 1, 60)),
        (struct.pack("<HBB", 16000, 3, 60), OPUS_60, (16000, 1, 60)),
        (struct.pack("<HBB", 16000, 2, 20), b"\x49\x00\x00", (16000, 1, 40)),
        (struct.pack("<HBB", 44100, 1, 20), OPUS_20, (16000, 1, 20)),
        (struct.pack("<HBB", 8000, 1, 5), b"\x08\x00", (8000, 1, 20)),
        (struct.pack("<HBB", 24000, 1, 200), OPUS_60, (24000, 1, 60)),
    ],
)
async def test_a_header_that_lies_is_put_right(
    tmp_path: Path, header: bytes, payload: bytes, told: tuple[int, int, int]
) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        answer = await alice.start(codec_header=base64.b64encode(header).decode(), packet_duration=200)
        await alice.talk(answer["stream_id"], 0, opus=payload)
        started = await bob.event("on_stream_start")
        assert codec_header(started["codec_header"]) == told
        assert started["packet_duration"] == told[2]
        assert (await bob.packet())[3] == payload


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"codec_header": "gD4B"}, "invalid request"),
        ({"codec_header": "????"}, "invalid request"),
        ({"codec_header": "AAAAAA=="}, "invalid request"),
        ({"codec_header": 5}, "invalid request"),
        ({"codec": "speex"}, "invalid request"),
        ({"type": "video"}, "invalid request"),
    ],
)
async def test_a_start_that_nobody_can_serve(tmp_path: Path, fields: dict[str, object], error: str) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        assert (await alice.start(**fields))["error"] == error
        missing = await alice.ask("start_stream", type="audio", codec="opus", packet_duration=20)
        assert missing["error"] == "not enough params"
        assert (await alice.start())["success"] is True


async def test_what_a_start_may_also_have_is_passed_over(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        answer = await alice.start(
            talk_priority=100, retransmissionInterval=3, username="x", **{"for": False}
        )
        assert answer["success"] is True


async def test_a_talk_for_one_user_is_heard_by_nobody_else(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob, carol = [await site.user(name) for name in ("alice", "bob", "carol")]
        stream = (await alice.start(**{"for": "bob"}))["stream_id"]
        await alice.talk(stream, 0)
        assert (await bob.event("on_stream_start"))["for"] == "bob"
        assert (await bob.packet())[1] == stream
        # It is nobody else's floor either.
        other = (await carol.start())["stream_id"]
        assert other != stream
        await alice.ask("stop_stream", stream_id=stream)
        await until_stopped(bob, stream)
        await carol.settled()
        assert carol.nothing("on_stream_start", "on_stream_stop", "packet")
        assert not site.voice.playbacks or site.voice.playbacks[0].by == "carol"


async def test_too_many_starts_are_no_talk(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        answers = []
        for _ in range(14):
            answers.append(answer := await alice.start())
            if "stream_id" in answer:
                await alice.ask("stop_stream", stream_id=answer["stream_id"])
        assert all("stream_id" in answer for answer in answers[:10])
        assert answers[-1]["error"] == "woodpecker prohibited"


async def test_every_stream_image_and_message_has_a_number_of_its_own(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        numbers = []
        for _ in range(3):
            stream = (await alice.start())["stream_id"]
            await alice.ask("stop_stream", stream_id=stream)
            numbers.append(stream)
            await alice.ask("send_text_message", text="x")
            numbers.append((await bob.event("on_text_message"))["message_id"])
            numbers.append((await alice.ask("send_image", type="jpeg"))["image_id"])
        assert numbers == sorted(set(numbers))
        assert numbers[0] >= 1


def test_numbers_stay_below_what_signed_clients_can_read() -> None:
    ids = Ids(MAX_SERVED_ID - 1)
    assert [ids.next(), ids.next(), ids.next()] == [2**31 - 1, 1, 2]


async def test_a_reconnected_client_with_an_old_number_is_told_so(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        stream = (await alice.start())["stream_id"]
        await alice.vanish()
        again = await site.user("alice")
        await again.talk(stream, 5)
        assert (await again.event("on_error"))["error"] == "invalid stream id"
        assert (await again.ask("stop_stream", stream_id=stream))["error"] == "invalid stream id"


async def test_who_comes_in_the_middle_hears_the_rest(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0, 1)
        await alice.settled()
        bob = await site.user("bob")
        await bob.event("on_stream_start", stream_id=stream)
        await alice.talk(stream, 2)
        assert (await bob.packet())[2] == 2
        await trio.sleep(0)
