"""What somebody says on a channel, on its way to the door's loudspeaker."""

from __future__ import annotations

import logging
from collections import deque

import trio

from agent.model.actions import StartTalk
from agent.model.errors import EndpointError
from agent.model.outcomes import Done, Failed, Refused
from agent.model.principals import Principal
from agent.runtime import Context, Playback

EARLY_PACKETS = 500  # what waits until the door has agreed; oldest dropped

logger = logging.getLogger(__name__)


class DoorEar:
    """One stream that is played at the door. Given packets by the relay, never waits."""

    def __init__(self) -> None:
        self.refusal = ""
        self._playback: Playback | None = None
        self._early: deque[bytes] = deque(maxlen=EARLY_PACKETS)
        self._over = trio.Event()
        self._cut = False
        self._scope = trio.CancelScope()

    @property
    def wanted(self) -> bool:
        """True while it is heard at the door, or the door is still being asked."""
        return not self._over.is_set()

    def push(self, packet: bytes) -> None:
        """One voice packet."""
        if self._playback is not None:
            self._playback.push(packet)
        elif not self._over.is_set():
            self._early.append(packet)

    def end(self, *, cut: bool) -> None:
        """No more will come. cut: what was not played yet is not played any more."""
        self._over.set()
        self._cut = self._cut or cut
        if cut:
            self._scope.cancel()

    async def run(self, context: Context, principal: Principal) -> None:
        """Ask the door, then play until the stream is over. `refusal` tells why it was not played."""
        with self._scope:
            outcome = await context.submit(StartTalk(), principal)
            if not isinstance(outcome, Done):
                self.refusal = outcome.reason if isinstance(outcome, Refused | Failed) else "busy"
            else:
                await self._play(context, principal)
        self._early.clear()
        self._over.set()

    async def _play(self, context: Context, principal: Principal) -> None:
        try:
            async with context.voice.incoming(by=principal.name, via=context.name) as playback:
                while self._early:
                    playback.push(self._early.popleft())
                self._playback = playback
                try:
                    await self._over.wait()
                    if not self._cut:
                        await playback.finish()
                finally:
                    self._playback = None
        except EndpointError as error:
            self.refusal = error.reason
            logger.info("not played at the door by=%r reason=%s", principal.name, error.reason)
