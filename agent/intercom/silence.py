"""The voice of a door without a sound card."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from agent.model.actions import Action
from agent.model.errors import EndpointError
from agent.model.principals import Principal
from agent.runtime import Playback, Transmission

NO_LOUDSPEAKER = "this door has no loudspeaker"


class NoVoice:
    """`runtime.Voice` that never speaks, and the `runtime.Performer` that says so."""

    enabled = False
    interruptible = True

    async def transmission(self, after: int) -> Transmission:
        """Never: the door has no microphone."""
        await trio.sleep_forever()

    @asynccontextmanager
    async def incoming(self, *, by: str, via: str) -> AsyncIterator[Playback]:
        """Raises: EndpointError, always."""
        await trio.lowlevel.checkpoint()
        raise EndpointError("talk", NO_LOUDSPEAKER)
        yield  # what makes it a generator

    def refuse(self, action: Action) -> str | None:
        """Nobody can speak here."""
        return NO_LOUDSPEAKER

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """There is nothing to do."""
        return True

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Raises: EndpointError, always."""
        raise EndpointError("talk", NO_LOUDSPEAKER)
