"""Who speaks to the visitor, and what the visitor hears of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from harness.sound import align, rms_dbfs, speech
from harness.studio import Studio, packets, receive
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from agent.intercom.talk import FINISH_S, PROMISE_S
from agent.model.actions import AnswerCall, StartTalk
from agent.model.errors import EndpointError
from agent.model.events import CallChanged, TalkEnded, TalkStarted
from agent.model.outcomes import Done, Refused


async def test_speech_is_heard_at_the_door(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        async with studio.talking() as playback:
            said = await studio.speak(playback, 2.0)
            assert playback.cut == ""
        await trio.sleep(1)
        match = align(said, studio.card.heard())
        assert match.correlation > 0.5  # a codec, and a play-out that finds its speed
        assert match.lag_s < 0.3
    started, ended = studio.told(TalkStarted, TalkEnded)
    assert isinstance(started, TalkStarted)
    assert isinstance(ended, TalkEnded)
    assert (started.by, started.action_id) == ("ana", "a1")
    assert (ended.by, ended.reason) == ("ana", "")
    assert ended.duration_s == pytest.approx(2.0, abs=0.3)


async def test_finish_returns_when_it_was_heard(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        async with studio.talking() as playback:
            begun = trio.current_time()
            for packet in packets(speech(1.0)):
                playback.push(packet)
            await playback.finish()
            took_s = trio.current_time() - begun
        assert 0.9 < took_s < 1.4
        heard_s = len(studio.card.heard()) / 32_000
        assert heard_s > 0.9


async def test_finish_waits_two_seconds_and_no_longer(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        async with studio.talking() as playback:
            for packet in packets(speech(5.0)):
                playback.push(packet)
            begun = trio.current_time()
            await playback.finish()
            assert trio.current_time() - begun == pytest.approx(FINISH_S, abs=0.01)
        # What was not played by then is cut.
        await trio.sleep(5)
        assert len(studio.card.heard()) / 32_000 < 3


async def test_speaking_answers_the_call_that_rings_and_keeps_it_open(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        studio.press()
        ring = await studio.intercom.transmission(0)
        async with studio.talking("ana") as playback:
            assert ring.over
            await studio.speak(playback, 1.0)
        async with studio.talking("bob") as playback:
            await studio.speak(playback, 0.5)
        await trio.sleep(1)
        story = [(event.state, event.by) for event in studio.told(CallChanged)]  # type: ignore[union-attr]
        assert story == [("ringing", ""), ("answered", "ana")]
        studio.card.say(speech(2.0))
        visitor = await studio.intercom.transmission(ring.number)
        assert visitor.reason == "visitor"


async def test_who_asks_first_speaks(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        assert isinstance(await studio.do(StartTalk(), "ana"), Done)
        refused = await studio.do(StartTalk(), "bob")
        assert isinstance(refused, Refused)
        assert refused.reason == "somebody else speaks"
        with pytest.raises(EndpointError, match="somebody else speaks"):
            async with studio.intercom.incoming(by="bob", via="test"):
                pass
        async with studio.intercom.incoming(by="ana", via="test"):
            with pytest.raises(EndpointError, match="somebody else speaks"):
                async with studio.intercom.incoming(by="bob", via="test"):
                    pass
            assert isinstance(await studio.do(StartTalk(), "bob"), Refused)
        with pytest.raises(EndpointError, match="did not ask"):
            async with studio.intercom.incoming(by="ana", via="test"):
                pass
        async with studio.talking("bob"):
            pass
    assert studio.talks() == [("ana", "started"), ("ana", ""), ("bob", "started"), ("bob", "")]


async def test_a_promise_that_nobody_uses_is_taken_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        await studio.do(StartTalk(), "ana")
        await trio.sleep(PROMISE_S + 0.1)
        assert studio.talks() == [("ana", "started"), ("ana", "nothing came")]
        assert isinstance(await studio.do(StartTalk(), "bob"), Done)
    assert studio.talks()[2:] == [("bob", "started"), ("bob", "the door stopped")]


async def test_a_speech_that_is_too_long_is_cut_and_frees_the_loudspeaker(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path, max_talk_s=2)
    async with studio.running(), studio.talking("ana") as playback:
        await studio.speak(playback, 3.0, finish=False)
        assert playback.cut == "time limit"
        # The worker has not noticed yet: bob may speak all the same.
        async with studio.talking("bob") as other:
            await studio.speak(other, 0.5)
            assert other.cut == ""
        await playback.finish()
    assert studio.talks() == [("ana", "started"), ("ana", "time limit"), ("bob", "started"), ("bob", "")]


async def test_the_end_is_told_when_the_worker_dies(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        with trio.move_on_after(0.5):
            async with studio.talking() as playback:
                await studio.speak(playback, 5)
        with pytest.RaisesGroup(RuntimeError):
            async with trio.open_nursery(), studio.talking("bob"):
                raise RuntimeError
        assert studio.talks() == [("ana", "started"), ("ana", ""), ("bob", "started"), ("bob", "")]
        assert not studio.intercom.status()["talk"]
        await trio.sleep(1)
        assert not studio.intercom._microphone.muted


async def test_a_card_that_is_lost_cuts_the_speech(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        async with studio.talking() as playback:
            await studio.speak(playback, 0.5, finish=False)
            studio.card.fail("pulled out")
            await trio.sleep(0.1)
            assert playback.cut == "the loudspeaker failed: pulled out"
            playback.push(b"more")
            await playback.finish()
        refused = await studio.do(StartTalk(), "bob")
        assert isinstance(refused, Refused)
        assert refused.reason == "the loudspeaker does not work: pulled out"
    assert studio.talks() == [("ana", "started"), ("ana", "the loudspeaker failed: pulled out")]


async def test_a_door_without_a_loudspeaker(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, speaker="")
    async with studio.running():
        refused = await studio.do(StartTalk())
        assert isinstance(refused, Refused)
        assert refused.reason == "this door has no loudspeaker"
        with pytest.raises(EndpointError, match="no loudspeaker"):
            async with studio.intercom.incoming(by="ana", via="test"):
                pass
    assert studio.talks() == []


# ----- policies: what becomes of the other side -----


@pytest.mark.parametrize(
    ("policy", "interruptible", "visitor_ends", "resident_waits", "deaf_meanwhile"),
    [
        ("resident_first", True, True, False, True),
        ("visitor_first", False, False, True, True),
        ("duplex", True, False, False, False),
    ],
)
async def test_policies(
    tmp_path: Path,
    autojump_clock: MockClock,
    policy: str,
    interruptible: bool,
    visitor_ends: bool,
    resident_waits: bool,
    deaf_meanwhile: bool,
) -> None:
    studio = Studio(tmp_path, policy=policy, ring_message_s=0, chimes=False)
    async with studio.running():
        assert studio.intercom.interruptible
        studio.press()
        await studio.do(AnswerCall())
        studio.card.say(speech(3.0))
        visitor = await studio.intercom.transmission(0)
        assert studio.intercom.interruptible is interruptible
        async with studio.talking() as playback:
            assert visitor.over is visitor_ends
            await studio.speak(playback, 1.0, finish=False)
            assert (rms_dbfs(studio.card.heard()) < -100) is resident_waits
            await trio.sleep(5)  # the visitor has finished
            assert rms_dbfs(studio.card.heard()) > -40
            assert studio.intercom._microphone.muted is deaf_meanwhile
            assert visitor.over
            before = len(studio.microphone())
            studio.card.say(speech(2.0))
            await trio.sleep(2.5)
            assert (len(studio.microphone()) == before) is deaf_meanwhile
        # And a moment longer, for the echo.
        assert studio.intercom._microphone.muted is deaf_meanwhile
        await trio.sleep(0.35)
        assert not studio.intercom._microphone.muted
        await trio.sleep(1.5)
        studio.card.say(speech(2.0))
        again = await studio.intercom.transmission(visitor.number + (not deaf_meanwhile))
        assert again.reason == "visitor"


# ----- chimes and speech -----


async def test_a_chime_gives_way_to_speech_and_waits_for_its_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        studio.press()  # a chime of more than a second
        await trio.sleep(0.1)
        async with studio.talking() as playback:
            said = speech(2.0)
            for number, packet in enumerate(packets(said)):
                playback.push(packet)
                await trio.sleep(0.02)
                if number == 30:
                    studio.intercom._speaker.chime(speech(0.5, seed=9))
            await playback.finish()
        await trio.sleep(2)
        match = align(said, studio.card.heard())
        assert match.correlation > 0.5  # not mixed with anything
        after = align(speech(0.5, seed=9), studio.card.heard(), max_lag_s=6)
        assert after.correlation > 0.9
        assert after.lag_s > 2.0


# ----- bounds -----


async def test_memory_is_bounded_when_no_worker_reads(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, ring_message_s=60)
    async with studio.running():
        studio.press()
        transmission = await studio.intercom.transmission(0)
        with transmission.encoded(packet_ms=60) as voice:
            studio.card.say(speech(3.0))
            await trio.sleep(20)
            kept = voice._waiting  # type: ignore[attr-defined]
            assert len(kept) <= 100
            first = await voice.packet(1)
            assert first is not None
            assert first[5:9] == bytes(4)  # ids count from 0, whatever was dropped before
            for _ in range(32):
                await voice.packet(1)
            await trio.sleep(5)
            assert len(kept) <= 30
            packet = await voice.packet(1)
            assert packet is not None
            assert int.from_bytes(packet[5:9], "big") > 33 + 50  # those that were dropped are missed


async def test_packets_of_every_size(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, ring_message_s=2)
    async with studio.running():
        studio.press()
        transmission = await studio.intercom.transmission(0)
        counts: dict[int, int] = {}

        async def count(packet_ms: int) -> None:
            counts[packet_ms] = len(await receive(transmission, packet_ms=packet_ms))

        async with trio.open_nursery() as nursery:
            for packet_ms in (20, 40, 60):
                nursery.start_soon(count, packet_ms)
        assert counts[20] == pytest.approx(100, abs=5)
        assert counts[40] == pytest.approx(50, abs=3)
        assert counts[60] == pytest.approx(34, abs=3)
        with pytest.raises(ValueError, match="30 ms"), transmission.encoded(packet_ms=30):
            pass


@settings(max_examples=25)
@given(garbage=st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_may_be_pushed(garbage: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    async def main() -> None:
        studio = Studio(tmp_path_factory.getbasetemp())
        async with studio.running(), studio.talking() as playback:
            for packet in garbage:
                playback.push(packet)
            await playback.finish()

    trio.run(main, clock=MockClock(autojump_threshold=0))
