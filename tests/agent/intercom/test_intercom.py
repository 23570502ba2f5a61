"""What people at the machine see and do."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from pathlib import Path

import pytest
import trio
from harness.sound import align, rms_dbfs, speech
from harness.studio import Studio
from trio.testing import MockClock

from agent.calls import CallsConfig
from agent.intercom.intercom import TEST_S
from agent.model.actions import AnswerCall, StartTalk
from agent.model.errors import EndpointError
from agent.model.outcomes import Refused
from agent.voice import chime


async def test_status_of_a_door_at_rest(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        half = {"device": "sim", "state": "closed", "problem": "", "xruns": 0, "level": None}
        assert studio.intercom.status() == {
            "policy": "resident_first",
            "microphone": half,
            "speaker": half,
            "transmission": None,
            "talk": "",
            "playout": None,
            "recording": False,
        }


async def test_status_of_a_door_in_use(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, policy="duplex")
    async with studio.running():
        studio.press()
        await studio.do(AnswerCall())
        studio.card.say(speech(4.0))
        await studio.intercom.transmission(1)
        async with studio.talking() as playback:
            await studio.speak(playback, 1.0, finish=False)
            status = studio.intercom.status()
        assert status["talk"] == "ana"
        assert status["transmission"] == {"number": 2, "reason": "visitor", "call_id": "c1"}
        assert status["playout"]["packets"] == 50
        assert status["playout"]["end_to_end_ms"] > 20
        assert status["microphone"]["level"]["rms_dbfs"] > -60
        assert status["speaker"]["level"]["rms_dbfs"] > -60
        assert studio.intercom.status()["playout"]["packets"] == 50  # the last one's, until the next


async def test_the_test_plays_listens_and_plays(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        said = speech(TEST_S)

        async def speak() -> None:
            while (True, "test") not in studio.microphone():
                await trio.sleep(0.02)
            studio.card.say(said)
            refused = await studio.do(StartTalk())
            assert isinstance(refused, Refused)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            result = await studio.intercom.test("root")
        assert result["heard"]["rms_dbfs"] > -30
        assert result["heard"]["peak_dbfs"] > result["heard"]["rms_dbfs"]
        assert align(chime.announcement(), studio.card.heard()).correlation > 0.99
        assert align(said, studio.card.heard(), max_lag_s=8).correlation > 0.9
    assert studio.microphone() == [(True, "test"), (False, "test")]
    assert studio.talks() == []


async def test_a_cancelled_test_leaves_nothing_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        for after_s in (0.5, 1.4, 2.5, 5.5):
            with trio.move_on_after(after_s):
                await studio.intercom.test("root")
            assert not studio.intercom.status()["talk"]
            await trio.sleep(4)
            assert studio.intercom.status()["speaker"]["state"] == "closed"
            assert studio.intercom.status()["microphone"]["state"] == "closed"
    story = studio.microphone()
    assert [on for on, _ in story] == [True, False] * (len(story) // 2)


async def test_no_test_in_the_way_of_a_visitor(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        async with studio.talking():
            with pytest.raises(EndpointError, match="somebody else speaks"):
                await studio.intercom.test("root")
        studio.press()
        await trio.sleep(0.1)
        with pytest.raises(EndpointError, match="a call"):
            await studio.intercom.test("root")


@pytest.mark.parametrize("half", ["microphone", "speaker"])
async def test_no_test_of_half_a_card(tmp_path: Path, autojump_clock: MockClock, half: str) -> None:
    studio = Studio(tmp_path, microphone="") if half == "microphone" else Studio(tmp_path, speaker="")
    async with studio.running():
        with pytest.raises(EndpointError, match=f"no {half}"):
            await studio.intercom.test("root")


async def test_levels_while_somebody_looks(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, calls=CallsConfig(ring_timeout_s=3), ring_message_s=1, chimes=False)
    async with studio.running():
        studio.card.say(speech(2.0))
        seen = []
        async with aclosing(studio.intercom.levels()) as levels:
            async for item in levels:
                seen.append(item)
                if len(seen) == 10:
                    studio.press()
                if len(seen) == 30:
                    break
        assert seen[0]["microphone"] is None
        assert max(item["microphone"]["rms_dbfs"] for item in seen[1:]) > -40
        await trio.sleep(0.1)
        # Whoever follows the log never thinks it off while it is on.
        assert studio.microphone() == [
            (True, "test"),
            (False, "test"),
            (True, "ring"),
            (False, "ring"),
            (True, "test"),
            (False, "test"),
        ]
    assert rms_dbfs(studio.card.heard()) == -120


async def test_it_can_be_started_again_after_a_failure(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, ring_message_s=5)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(studio.calls.run, after=0))
        for number in (1, 2):
            async with trio.open_nursery() as attempt:
                await attempt.start(partial(studio.intercom.run, after=studio.log.last_seq))
                studio.press(f"bell{number}")
                transmission = await studio.intercom.transmission(number - 1)
                assert (transmission.number, transmission.endpoint) == (number, f"bell{number}")
                await studio.do(StartTalk())
                attempt.cancel_scope.cancel()
            assert transmission.over
            assert studio.talks()[-1] == ("ana", "the door stopped")
        nursery.cancel_scope.cancel()
    assert studio.microphone() == [(True, "ring"), (False, "ring")] * 2
