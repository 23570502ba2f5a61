"""When the door speaks: from the press to the last word."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from harness.sound import align, rms_dbfs, speech
from harness.studio import Studio, decoded, receive
from trio.testing import MockClock

from agent.calls import CallsConfig
from agent.intercom.conductor import BREATH_S
from agent.model.actions import AnswerCall, EndCall, StartTalk, Unlock
from agent.model.events import ActionRefused, LockChanged, MicrophoneChanged
from agent.model.principals import Principal
from agent.voice import chime
from agent.voice.codec import parse_packet


async def test_a_press_chimes_and_lets_the_visitor_be_heard(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path, ring_message_s=3)
    async with studio.running():
        said = speech(2.0)
        studio.press()
        begun = trio.current_time()
        transmission = await studio.intercom.transmission(0)
        studio.card.say(said)
        assert (transmission.number, transmission.reason, transmission.endpoint) == (1, "ring", "bell")
        assert transmission.call_id == "c1"
        with transmission.encoded() as voice:
            first = await voice.packet(7)
            assert first is not None
            assert trio.current_time() - begun < 0.05
            received = [first]
            while (packet := await voice.packet(7)) is not None:
                received.append(packet)
        assert transmission.over
        assert trio.current_time() - begun == pytest.approx(3, abs=0.1)
        headers = [parse_packet(packet)[0] for packet in received]
        assert [header.packet_id for header in headers] == list(range(len(headers)))
        assert {header.stream_id for header in headers} == {7}
        assert align(said, decoded(received)).correlation > 0.9
        # The chime was heard outside, all of it.
        heard = studio.card.heard()
        assert align(chime.ring(), heard).correlation > 0.99
    assert studio.microphone() == [(True, "ring"), (False, "ring")]


async def test_nobody_is_heard_before_the_answer_without_a_ring_message(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path, ring_message_s=0)
    async with studio.running():
        studio.press()
        await trio.sleep(5)
        assert studio.microphone() == []
        assert len(studio.sources) == 1  # the look at the start
        await studio.do(AnswerCall())
        studio.card.say(speech(2.0))
        transmission = await studio.intercom.transmission(0)
        assert transmission.reason == "visitor"


async def test_an_answered_call_is_transmitted_while_the_visitor_speaks(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        studio.press()
        ring = await studio.intercom.transmission(0)
        await trio.sleep(1)
        await studio.do(AnswerCall())
        await ring.wait_over()
        await trio.sleep(2)
        assert studio.microphone() == [(True, "ring"), (False, "ring")]
        said = speech(2.0)
        studio.card.say(said)
        visitor = await studio.intercom.transmission(ring.number)
        assert (visitor.number, visitor.reason) == (2, "visitor")
        received = await receive(visitor)
        # The syllable that opened the switch is there: it was kept.
        match = align(said, decoded(received))
        assert match.correlation > 0.9
        assert match.lag_s > 0
        await trio.sleep(2)
        assert studio.microphone()[2:] == [(True, "visitor"), (False, "visitor")]
        await studio.do(EndCall())
        studio.card.say(said)
        await trio.sleep(5)
        assert len(studio.microphone()) == 4


async def test_the_end_of_a_call_ends_the_transmission_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        studio.press()
        transmission = await studio.intercom.transmission(0)
        await studio.do(EndCall())
        with trio.fail_after(0.05):
            await transmission.wait_over()
        assert studio.microphone() == [(True, "ring"), (False, "ring")]


async def test_a_second_press_in_a_call_is_nothing_new(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, ring_message_s=5)
    async with studio.running():
        studio.press()
        await trio.sleep(1)
        studio.press()
        await trio.sleep(6)
    assert studio.microphone() == [(True, "ring"), (False, "ring")]


async def test_two_bells_share_one_microphone(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, ring_message_s=5)
    async with studio.running():
        studio.press("front")
        first = await studio.intercom.transmission(0)
        await trio.sleep(1)
        studio.press("back")
        second = await studio.intercom.transmission(first.number)
        assert first.over
        assert (second.number, second.endpoint) == (2, "back")
        await trio.sleep(6)
    # Off is told before the next on: whoever follows never thinks it off while it is on.
    assert studio.microphone() == [(True, "ring"), (False, "ring")] * 2
    assert [event.call_id for event in studio.told(MicrophoneChanged)] == ["c1", "c1", "c2", "c2"]  # type: ignore[union-attr]


async def test_constant_noise_leaves_room_for_others(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, ring_message_s=0, max_talk_s=3)
    async with studio.running():
        studio.press()
        await trio.sleep(3)
        await studio.do(AnswerCall())
        studio.card.say(speech(5.0) * 3)
        first = await studio.intercom.transmission(0)
        begun = trio.current_time()
        await first.wait_over()
        assert trio.current_time() - begun == pytest.approx(3, abs=0.1)
        await studio.intercom.transmission(first.number)
        assert trio.current_time() - begun >= 3 + BREATH_S


async def test_a_gap_in_the_log_turns_the_microphone_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        studio.press()
        transmission = await studio.intercom.transmission(0)
        for _ in range(1100):
            studio.log.publish(LockChanged(endpoint="strike", state="locked"))
        with trio.fail_after(0.1):
            await transmission.wait_over()
        assert studio.microphone() == [(True, "ring"), (False, "ring")]


async def test_cancellation_turns_the_microphone_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    for step in range(0, 200, 7):
        folder = tmp_path / str(step)
        studio = Studio(folder, ring_message_s=1, recording={"max_s": 3}, calls=CallsConfig(ring_timeout_s=2))
        with trio.move_on_after(0.101 + step * 0.04):
            async with studio.running():
                studio.card.say(speech(3.0) * 3)
                studio.press()
                await trio.sleep_forever()
        story = studio.microphone()
        assert [on for on, _ in story] == [True, False] * (len(story) // 2)
        assert not list((folder / "recordings").glob("*.part"))


# ----- chimes -----


def unlock_refused() -> ActionRefused:
    return ActionRefused(
        action_id="a",
        action=Unlock(endpoint="strike"),
        principal=Principal(name="bob", role="guest", via="test"),
        reason="no",
    )


async def test_doors_that_open_and_do_not_are_heard_outside(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        studio.log.publish(LockChanged(endpoint="strike", state="unlocked"))  # nobody's doing: a fail-safe
        await trio.sleep(1)
        assert studio.card.heard() == b""
        studio.log.publish(LockChanged(endpoint="strike", state="unlocked", by="ana"))
        await trio.sleep(1.5)
        assert align(chime.accepted(), studio.card.heard()).correlation > 0.99
        before = len(studio.card.heard())
        for _ in range(30):
            studio.log.publish(unlock_refused())
            await trio.sleep(0.02)
        await trio.sleep(4)
        heard = studio.card.heard()[before:]
        assert align(chime.refused(), heard).correlation > 0.99
        assert len(heard) < len(chime.refused()) + 10_000


async def test_a_door_without_chimes_is_silent(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, chimes=False)
    async with studio.running():
        studio.press()
        studio.log.publish(LockChanged(endpoint="strike", state="unlocked", by="ana"))
        await trio.sleep(2)
    assert studio.card.heard() == b""


async def test_the_chime_of_the_door_is_no_visitor(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, ring_message_s=0)
    async with studio.running():
        studio.press()
        await trio.sleep(3)
        await studio.do(AnswerCall())
        studio.log.publish(LockChanged(endpoint="gate", state="locked"))
        studio.log.publish(unlock_refused())
        studio.card.say(chime.refused() * 2)  # its echo
        await trio.sleep(0.6)
        assert studio.microphone() == []


# ----- without a part of the card -----


async def test_a_door_without_a_microphone_is_never_heard(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, microphone="", recording={})
    async with studio.running():
        studio.press()
        await trio.sleep(1)
        await studio.do(StartTalk())
        await trio.sleep(40)
    assert studio.microphone() == []
    assert studio.sources == []
    assert rms_dbfs(studio.card.heard()) > -60  # it chimes all the same


# ----- the card is pulled out -----


async def test_a_card_that_is_pulled_out_ends_the_transmission_and_comes_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path, ring_message_s=10)
    async with studio.running():
        studio.press()
        transmission = await studio.intercom.transmission(0)
        with transmission.encoded() as voice:
            assert await voice.packet(1) is not None
            studio.card.fail()
            with trio.fail_after(1):
                while await voice.packet(1) is not None:
                    pass
        assert studio.microphone() == [(True, "ring"), (False, "ring")]
        await trio.sleep(0.2)
        assert sorted(studio.intercom.problems()) == [
            "microphone: No such device",
            "speaker: No such device",
        ]
        await studio.do(AnswerCall())
        await trio.sleep(20)
        studio.card.heal()
        await trio.sleep(31)
        assert studio.intercom.problems() == []
        studio.card.say(speech(2.0))
        again = await studio.intercom.transmission(transmission.number)
        assert len(await receive(again)) > 50
    names = [type(event).__name__ for event in studio.log.events() if "Hardware" in type(event).__name__]
    assert sorted(names) == ["HardwareFailed"] * 2 + ["HardwareRecovered"] * 2
