from __future__ import annotations

import pytest
import trio
from harness.door import who
from trio.testing import MockClock

from agent.intercom.silence import NoVoice
from agent.model.actions import StartTalk
from agent.model.errors import EndpointError


async def test_a_door_without_a_card_says_so(autojump_clock: MockClock) -> None:
    voice = NoVoice()
    assert not voice.enabled
    assert voice.interruptible
    with trio.move_on_after(3600) as waiting:
        await voice.transmission(0)
    assert waiting.cancelled_caught
    with pytest.raises(EndpointError, match="no loudspeaker"):
        async with voice.incoming(by="ana", via="test"):
            pass
    assert voice.refuse(StartTalk()) == "this door has no loudspeaker"
    assert voice.acts_without_journal(StartTalk(), who())
    with pytest.raises(EndpointError):
        voice.perform(StartTalk(), by="ana", action_id="a")
