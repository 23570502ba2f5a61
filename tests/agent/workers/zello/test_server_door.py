"""The door as a member of its channels: it rings, speaks, listens and obeys; real sockets with TLS."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.zello_client import OPUS_20, ChannelSite, channel_site, codec_header

from agent.bus import EventLog
from agent.model.actions import Action, StartTalk, SwitchLight, Unlock
from agent.model.events import CallChanged, CallState
from agent.model.outcomes import Done, Outcome, Refused
from agent.model.principals import Principal

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080010002001011100ffd9")
DOOR = "Front door"


def call(site: ChannelSite, state: CallState, call_id: str = "c1") -> None:
    site.house.log.publish(CallChanged(call_id=call_id, endpoint="doorbell", state=state))


def only(name: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": name, **fields}]


async def test_what_the_door_says_is_heard_on_its_channels_alone(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob", "House")
        speech = site.voice.begin()
        speech.feed(OPUS_20, OPUS_20)
        started = await alice.event("on_stream_start")
        assert started["from"] == "door"
        assert codec_header(started["codec_header"]) == (16000, 1, 20)
        assert [(await alice.packet())[2] for _ in range(2)] == [0, 1]
        speech.end()
        await alice.event("on_stream_stop", stream_id=started["stream_id"])
        await bob.settled()
        assert bob.nothing("on_stream_start", "packet")


async def test_one_encoder_serves_all_channels(tmp_path: Path) -> None:
    channels = [{"name": "A"}, {"name": "B"}]
    async with channel_site(tmp_path, channels=channels, packet_ms=60) as site:
        alice, bob = await site.user("alice", "A"), await site.user("bob", "B")
        speech = site.voice.begin()
        speech.feed(b"\x58\x00", b"\x58\x00")
        assert (await alice.event("on_stream_start"))["packet_duration"] == 60
        await bob.event("on_stream_start")
        ids = {(await alice.packet())[1], (await bob.packet())[1]}
        assert len(ids) == 2
        assert len(speech.made) == 1
        assert speech.made[0].packet_ms == 60


@pytest.mark.parametrize("reason", ["ring", "announcement"])
async def test_a_ring_takes_the_floor_from_people_who_talk_among_themselves(
    tmp_path: Path, reason: Any
) -> None:
    async with channel_site(tmp_path, channels=only(DOOR, door="calls")) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.packet()
        site.voice.begin(reason).feed(OPUS_20)
        await bob.event("on_stream_stop", stream_id=stream)
        await bob.event("on_stream_start", **{"from": "door"})
        await alice.event("on_stream_stop", stream_id=stream)
        await alice.event("on_stream_start", **{"from": "door"})
        # What still comes of the old one is swallowed.
        await alice.talk(stream, 1)
        assert (await alice.ask("stop_stream", stream_id=stream))["success"] is True
        assert alice.nothing("on_error")


async def test_who_speaks_to_the_visitor_is_not_cut_off(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await site.until(lambda: site.voice.speaking)
        speech = site.voice.begin()
        speech.feed(OPUS_20, OPUS_20)
        await trio.sleep(0.05)
        assert bob.nothing("on_stream_stop")
        await alice.ask("stop_stream", stream_id=stream)
        # The floor is free again, and the door goes on.
        speech.feed(OPUS_20)
        await bob.event("on_stream_stop", stream_id=stream)
        await bob.event("on_stream_start", **{"from": "door"})


async def test_the_other_side_of_a_call_waits_for_the_floor(tmp_path: Path) -> None:
    async with channel_site(tmp_path, channels=only(DOOR, door="calls")) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        speech = site.voice.begin("visitor")
        speech.feed(OPUS_20)
        await bob.packet()
        await trio.sleep(0.05)
        assert bob.nothing("on_stream_stop", "on_stream_start")
        await alice.ask("stop_stream", stream_id=stream)
        await trio.sleep(0.05)
        speech.feed(OPUS_20)
        await bob.event("on_stream_start", **{"from": "door"})


async def test_who_begins_to_speak_ends_what_the_door_says(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        speech = site.voice.begin("visitor")
        speech.feed(OPUS_20)
        door_stream = (await bob.event("on_stream_start"))["stream_id"]
        await alice.event("on_stream_start")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.event("on_stream_stop", stream_id=door_stream)
        await bob.event("on_stream_start", stream_id=stream)
        await site.until(lambda: site.voice.incoming_by("alice", "zello"))
        # While alice speaks, the door is not heard; afterwards it is again.
        speech.feed(OPUS_20)
        await trio.sleep(0.05)
        assert bob.nothing("on_stream_stop")
        await alice.ask("stop_stream", stream_id=stream)
        await trio.sleep(0.05)
        speech.feed(OPUS_20)
        await bob.event("on_stream_start", **{"from": "door"})


async def test_a_visitor_who_is_to_be_heard_out_is(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        site.voice.interruptible = False
        alice = await site.user("alice")
        speech = site.voice.begin()
        speech.feed(OPUS_20)
        await alice.event("on_stream_start")
        assert (await alice.start())["error"] == "channel busy"
        speech.end()
        await alice.event("on_stream_stop")
        assert (await alice.start())["success"] is True


async def test_who_may_not_speak_at_the_door_does_not_interrupt_it(tmp_path: Path) -> None:
    channels = only(DOOR, roles=["resident", "installer"])
    async with channel_site(tmp_path, channels=channels) as site:
        ingo = await site.user("ingo")
        site.voice.begin().feed(OPUS_20)
        await ingo.event("on_stream_start")
        assert (await ingo.start())["error"] == "channel busy"


async def test_what_is_said_is_played_at_the_door_first_word_included(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        asked = trio.Event()

        def answer(action: Action, principal: Principal) -> Outcome:
            asked.set()
            return Done(action_id="a")

        site.house.answer = answer
        alice = await site.user("alice")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0, 1, 2)
        await asked.wait()
        await alice.talk(stream, 3)
        await alice.ask("stop_stream", stream_id=stream)
        await site.until(lambda: site.voice.playbacks and site.voice.playbacks[0].ended)
        playback = site.voice.playbacks[0]
        assert [int.from_bytes(packet[5:9], "big") for packet in playback.packets] == [0, 1, 2, 3]
        assert playback.finished
        assert (playback.by, playback.via) == ("alice", "zello")
        (action, principal) = site.house.submitted[0]
        assert isinstance(action, StartTalk)
        assert principal.proven_locally


async def test_a_refusal_of_the_door_is_told_and_the_others_hear_all_the_same(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        site.house.answer = lambda action, principal: Refused(action_id="a", reason="somebody else speaks")
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        told = await alice.event("on_text_message")
        assert told["from"] == "door"
        assert told["for"] == "alice"
        assert "somebody else speaks" in told["text"]
        await alice.talk(stream, 1)
        assert [(await bob.packet())[2] for _ in range(2)] == [0, 1]
        assert not site.voice.playbacks
        assert bob.nothing("on_text_message")


async def test_a_loudspeaker_that_is_taken_is_told_too(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        site.voice.refusal = "there is no loudspeaker"
        alice = await site.user("alice")
        await alice.start()
        assert "no loudspeaker" in (await alice.event("on_text_message"))["text"]


async def test_a_channel_for_calls_is_played_during_calls_alone(tmp_path: Path) -> None:
    async with channel_site(tmp_path, channels=only(DOOR, door="calls", ring={"text": ""})) as site:
        alice = await site.user("alice")
        first = (await alice.start())["stream_id"]
        await alice.talk(first, 0)
        await alice.ask("stop_stream", stream_id=first)
        assert not site.house.submitted
        call(site, "ringing")
        await trio.sleep(0.05)
        second = (await alice.start())["stream_id"]
        await alice.talk(second, 0)
        await site.until(lambda: site.voice.speaking)
        call(site, "answered")
        await trio.sleep(0.05)
        assert site.voice.speaking
        call(site, "ended")
        await site.until(lambda: not site.voice.speaking)
        assert not site.voice.playbacks[0].finished
        # People among themselves go on.
        await alice.talk(second, 1)
        assert (await alice.ask("stop_stream", stream_id=second))["success"] is True
        third = (await alice.start())["stream_id"]
        await alice.talk(third, 0)
        await alice.settled()
        assert len(site.house.submitted) == 1


async def test_a_call_that_was_open_before_us_counts(tmp_path: Path) -> None:
    log = EventLog(boot_id="boot")
    log.publish(CallChanged(call_id="old", endpoint="doorbell", state="ringing"))
    log.publish(CallChanged(call_id="over", endpoint="doorbell", state="ended"))
    async with channel_site(tmp_path, log=log, channels=only(DOOR, door="calls")) as site:
        alice = await site.user("alice")
        await alice.start()
        await site.until(lambda: site.voice.speaking)
        await alice.settled()
        # It was told when it rang, by whoever was there then.
        assert alice.nothing("on_text_message")


async def test_a_household_channel_is_not_the_doors_business(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice", "House"), await site.user("bob", "House")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.packet()
        await alice.ask("send_text_message", text="open")
        assert (await bob.event("on_text_message"))["text"] == "open"
        call(site, "ringing")
        await alice.settled()
        assert not site.house.submitted
        assert alice.nothing("on_text_message")


async def test_a_door_without_a_sound_card_is_still_a_member(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        site.voice.enabled = False
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.packet()
        assert not site.house.submitted
        call(site, "ringing")
        await alice.event("on_text_message")


async def test_a_ring_is_told_in_writing_also_while_somebody_talks(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        call(site, "ringing")
        told = await bob.event("on_text_message")
        assert told["from"] == "door"
        assert told["for"] is False
        assert told["text"].startswith("Front bell: somebody is at the door (")
        await alice.event("on_text_message")
        call(site, "answered")
        call(site, "ended")
        await bob.settled()
        assert bob.nothing("on_text_message", "on_stream_stop")


async def test_a_ring_may_be_for_one_user(tmp_path: Path) -> None:
    channels = only(DOOR, ring={"text": "Hello", "recipient": "alice"})
    async with channel_site(tmp_path, channels=channels) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        call(site, "ringing")
        site.voice.begin().feed(OPUS_20)
        assert (await alice.event("on_text_message"))["for"] == "alice"
        assert (await alice.event("on_stream_start"))["for"] == "alice"
        # So the floor is free for others.
        assert (await bob.start())["success"] is True
        assert bob.nothing("on_text_message", "on_stream_start")


async def test_a_muted_bell_says_nothing(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        site.house.notifications.quiet = True
        call(site, "ringing")
        muted = site.voice.begin("ring")
        muted.feed(OPUS_20)
        await trio.sleep(0.05)
        await alice.settled()
        assert alice.nothing("on_text_message", "on_stream_start", "packet")
        # Who answers such a call hears the visitor.
        muted.end()
        site.voice.begin("visitor").feed(OPUS_20)
        await alice.event("on_stream_start")


async def test_a_ring_without_voice_text_and_image(tmp_path: Path) -> None:
    channels = only(DOOR, ring={"text": "", "voice": False, "image": False})
    async with channel_site(tmp_path, channels=channels) as site:
        alice = await site.user("alice")
        call(site, "ringing")
        speech = site.voice.begin("ring")
        speech.feed(OPUS_20)
        await trio.sleep(0.05)
        await alice.settled()
        assert alice.nothing("on_text_message", "on_stream_start", "packet")
        assert not speech.made


async def test_a_picture_of_the_visitor_follows(tmp_path: Path) -> None:
    program = tmp_path / "camera.py"
    program.write_text(f"import sys\nsys.stdout.buffer.write({JPEG!r})\n")
    snapshot = {"command": [sys.executable, str(program)]}
    async with channel_site(tmp_path, zello={"snapshot": snapshot}) as site:
        alice = await site.user("alice")
        call(site, "ringing")
        await alice.event("on_text_message")
        told = await alice.event("on_image")
        assert told["from"] == "door"
        assert told["source"] == "camera"
        assert (told["width"], told["height"]) == (32, 16)
        parts = [await alice.packet(), await alice.packet()]
        assert [part[:3] for part in parts] == [(2, told["message_id"], 2), (2, told["message_id"], 1)]
        assert parts[1][3] == JPEG


async def test_a_camera_that_fails_costs_nothing_else(tmp_path: Path) -> None:
    snapshot = {"command": [sys.executable, "-c", "raise SystemExit(1)"]}
    async with channel_site(tmp_path, zello={"snapshot": snapshot}) as site:
        alice = await site.user("alice")
        call(site, "ringing")
        await alice.event("on_text_message")
        await trio.sleep(0.3)
        await alice.settled()
        assert alice.nothing("on_image")


async def test_a_word_opens_and_only_its_writer_is_answered(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        assert (await alice.ask("send_text_message", text="open"))["success"] is True
        told = await alice.event("on_text_message")
        assert told["from"] == "door"
        assert told["for"] == "alice"
        assert (await bob.event("on_text_message"))["text"] == "open"
        await bob.settled()
        assert bob.nothing("on_text_message")
        action, principal = site.house.submitted[0]
        assert action == Unlock(endpoint="lock")
        assert principal.name == "alice"


async def test_a_text_is_no_command_when_it_is_for_somebody_else(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        await alice.ask("send_text_message", text="open", **{"for": "bob"})
        await bob.event("on_text_message", text="open")
        await alice.ask("send_text_message", text="open sesame, please")
        await bob.event("on_text_message")
        assert not site.house.submitted
        await alice.ask("send_text_message", text="light", **{"for": "door"})
        await site.until(lambda: site.house.submitted)
        assert isinstance(site.house.submitted[0][0], SwitchLight)
        await bob.settled()
        assert bob.nothing("on_text_message")


async def test_a_pin_is_read_by_nobody_else(tmp_path: Path) -> None:
    async with channel_site(tmp_path, commands={"pin": ["resident"]}) as site:
        site.house.authenticator.pins["alice"] = "4711"
        alice, bob = await site.user("alice"), await site.user("bob")
        await alice.ask("send_text_message", text="open 9999")
        await alice.event("on_text_message", **{"for": "alice"})
        assert not site.house.submitted
        await alice.ask("send_text_message", text="Open 4711")
        await site.until(lambda: site.house.submitted)
        await bob.settled()
        assert bob.nothing("on_text_message")


async def test_commands_can_be_switched_off(tmp_path: Path) -> None:
    async with channel_site(tmp_path, commands={"enabled": False}) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        await alice.ask("send_text_message", text="open")
        await bob.event("on_text_message")
        await alice.settled()
        assert alice.nothing("on_text_message")
        assert not site.house.submitted


async def test_a_door_that_takes_long_holds_up_nobody(tmp_path: Path) -> None:
    async with channel_site(tmp_path, commands={"pin": ["resident"]}) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        site.house.authenticator.delay_s = 0.3
        for _ in range(3):
            await alice.ask("send_text_message", text="open 1234")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.packet()
        answers = [(await alice.event("on_text_message"))["text"] for _ in range(3)]
        assert site.house.authenticator.busiest == 2
        assert "busy" in answers[0]
