from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from harness.door import Counting, Recorded
from trio.testing import MockClock

from agent.calls import Calls, CallsConfig
from agent.model.actions import AnswerCall, EndCall
from agent.model.errors import EndpointError
from agent.model.events import ButtonPressed, CallChanged, LockChanged, TalkEnded, TalkStarted


class Bell:
    def __init__(self) -> None:
        self.log = Recorded()
        self.calls = Calls(CallsConfig(ring_timeout_s=30, max_call_s=60), log=self.log, new_id=Counting("c"))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(self.calls.run, after=0))
            yield
            nursery.cancel_scope.cancel()

    async def press(self, endpoint: str = "bell") -> None:
        self.log.publish(ButtonPressed(endpoint=endpoint))
        await trio.testing.wait_all_tasks_blocked()

    def story(self) -> list[tuple[str, str, str]]:
        return [
            (event.call_id, event.state, event.reason)
            for event in self.log.events()
            if isinstance(event, CallChanged)
        ]


@pytest.fixture
def bell() -> Bell:
    return Bell()


async def test_nobody_answers(bell: Bell, autojump_clock: MockClock) -> None:
    async with bell.running():
        await bell.press()
        await trio.sleep(29)
        assert bell.story() == [("c1", "ringing", "")]
        await trio.sleep(1.1)
    assert bell.story() == [("c1", "ringing", ""), ("c1", "missed", "nobody answered")]


async def test_pressing_again_is_the_same_call(bell: Bell, autojump_clock: MockClock) -> None:
    async with bell.running():
        await bell.press()
        await bell.press()
        assert [call.call_id for call in bell.calls.open_calls()] == ["c1"]
        await trio.sleep(31)
        await bell.press()
        assert [call.call_id for call in bell.calls.open_calls()] == ["c2"]


async def test_two_bells_ring_two_calls(bell: Bell, autojump_clock: MockClock) -> None:
    async with bell.running():
        await bell.press("front")
        await bell.press("back")
        assert [call.endpoint for call in bell.calls.open_calls()] == ["front", "back"]


async def test_answered_and_ended(bell: Bell, autojump_clock: MockClock) -> None:
    async with bell.running():
        await bell.press()
        assert bell.calls.refuse(AnswerCall()) is None
        bell.calls.perform(AnswerCall(), by="ana", action_id="a")
        await trio.sleep(40)  # longer than the ring timeout: an answered call is not missed
        bell.calls.perform(EndCall(call_id="c1"), by="ana", action_id="a")
        assert bell.calls.open_calls() == []
    assert bell.story() == [("c1", "ringing", ""), ("c1", "answered", ""), ("c1", "ended", "hung up")]


async def test_an_answered_call_has_an_end(bell: Bell, autojump_clock: MockClock) -> None:
    async with bell.running():
        await bell.press()
        await trio.sleep(10)
        bell.calls.perform(AnswerCall(), by="ana", action_id="a")
        await trio.sleep(100)
    assert bell.story()[-1] == ("c1", "ended", "time limit")


async def test_opening_the_door_answers(bell: Bell, autojump_clock: MockClock) -> None:
    async with bell.running():
        await bell.press()
        bell.log.publish(LockChanged(endpoint="strike", state="unlocked", by="ana"))
        await trio.testing.wait_all_tasks_blocked()
    assert [state for _, state, _ in bell.story()] == ["ringing", "answered", "ended"]


async def test_speaking_answers_what_rings_once_and_keeps_it_open(
    bell: Bell, autojump_clock: MockClock
) -> None:
    async with bell.running():
        bell.log.publish(TalkStarted(by="ana"))  # nobody rings: nothing
        await bell.press()
        bell.log.publish(TalkStarted(by="ana"))
        await trio.sleep(40)  # longer than it rings
        bell.log.publish(TalkStarted(by="ben"))
        await trio.testing.wait_all_tasks_blocked()
        assert bell.story() == [("c1", "ringing", ""), ("c1", "answered", "")]
        (_, answered) = bell.log.events(CallChanged)
        assert isinstance(answered, CallChanged)
        assert answered.by == "ana"
        with pytest.raises(EndpointError):
            bell.calls.perform(AnswerCall(), by="ben", action_id="a")


async def test_a_call_ends_when_residents_have_been_silent(bell: Bell, autojump_clock: MockClock) -> None:
    bell.calls = Calls(CallsConfig(max_call_s=600, quiet_call_s=60), log=bell.log, new_id=Counting("c"))
    begun = trio.current_time()
    async with bell.running():
        await bell.press()
        bell.log.publish(TalkStarted(by="ana"))
        await trio.sleep(90)  # a long speech is no silence
        bell.log.publish(TalkEnded(by="ana", duration_s=90))
        await trio.sleep(50)
        bell.log.publish(TalkStarted(by="ben"))
        bell.log.publish(TalkEnded(by="ben", duration_s=1))
        await trio.sleep(59)
        assert [call.state for call in bell.calls.open_calls()] == ["answered"]
        await trio.sleep(2)
        assert bell.calls.open_calls() == []
    ended = bell.log.events(CallChanged)[-1]
    assert isinstance(ended, CallChanged)
    assert (ended.state, ended.reason) == ("ended", "nobody spoke")
    assert trio.current_time() - begun == pytest.approx(201)


async def test_a_call_in_which_nobody_spoke_has_its_whole_time(bell: Bell, autojump_clock: MockClock) -> None:
    bell.calls = Calls(CallsConfig(max_call_s=600, quiet_call_s=60), log=bell.log, new_id=Counting("c"))
    async with bell.running():
        await bell.press()
        bell.calls.perform(AnswerCall(), by="ana", action_id="a")
        await trio.sleep(500)
        assert [call.state for call in bell.calls.open_calls()] == ["answered"]


async def test_a_call_that_is_over_cannot_be_answered(bell: Bell, autojump_clock: MockClock) -> None:
    async with bell.running():
        assert bell.calls.refuse(AnswerCall()) == "there is no such call"
        await bell.press()
        assert bell.calls.refuse(EndCall(call_id="other")) is not None
        await trio.sleep(31)
        with pytest.raises(EndpointError):
            bell.calls.perform(AnswerCall(), by="ana", action_id="a")


async def test_stopping_ends_open_calls(bell: Bell, autojump_clock: MockClock) -> None:
    async with bell.running():
        await bell.press()
    assert bell.story()[-1] == ("c1", "ended", "the agent stopped")
