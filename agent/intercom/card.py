"""One direction of the sound card: open while it is wanted, tried again when it failed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import trio

from agent.bus import EventLog
from agent.model.events import HardwareFailed, HardwareRecovered
from agent.net.backoff import Backoff
from agent.voice.codec import CodecError, Resampler
from hw.errors import HardwareError
from hw.ports import AudioSink, AudioSource

RATE_HZ = 16_000
PERIOD_MS = 20
PERIOD_S = PERIOD_MS / 1000
PERIOD_SAMPLES = RATE_HZ * PERIOD_MS // 1000
PERIOD_BYTES = 2 * PERIOD_SAMPLES
SILENCE = bytes(PERIOD_BYTES)

REOPEN_FIRST_S = 1.0
REOPEN_MAX_S = 30.0
CHECK_EVERY_S = 300.0  # a card that was pulled out is told before the next visitor comes
LINGER_S = 2.0  # between two sentences the card is not closed and opened again

Lost = Callable[[str], object]  # is told the reason why the card failed
# Both raise HardwareError within a few seconds.
OpenSource = Callable[[str], Awaitable[AudioSource]]
OpenSink = Callable[[str], Awaitable[AudioSink]]
Direction = Literal["microphone", "speaker"]
logger = logging.getLogger(__name__)


class User(Protocol):
    """Who uses one direction of the card."""

    @property
    def wanted(self) -> bool:
        """There is something to hear or to be heard."""

    async def use(self, jack: Jack) -> None:
        """Open the device, say `jack.works()`, return when it is wanted no more. Raises: HardwareError."""

    def lost(self, reason: str) -> None:
        """It failed; what was going on is over."""


class Jack:
    """Keeps one direction of the card. device: empty when there is none.

    An idle card is closed: an open one wakes the processor fifty times a second, and a closed microphone
    hears nothing. Every five minutes it is opened for a moment, so that a failure is told in time.
    """

    def __init__(self, direction: Direction, device: str, *, log: EventLog) -> None:
        self.direction = direction
        self.device = device
        self.problem = ""
        self.state: Literal["absent", "closed", "open", "failed"] = "closed" if device else "absent"
        self._log = log
        self._wanted = trio.Event()

    def want(self) -> None:
        """Somebody needs it now. Never waits; nothing while it has failed: it is tried again anyway."""
        self._wanted.set()

    def works(self) -> None:
        """The device is open and does what it should."""
        self.state = "open"
        if self.problem:
            self.problem = ""
            logger.warning("endpoint=%s works again", self.direction)
            self._log.publish(HardwareRecovered(endpoint=self.direction))

    async def keep(self, user: User) -> None:
        """Serve `user` until cancelled; the first look is taken at once."""
        if not self.device:
            await trio.sleep_forever()
        backoff = Backoff(first_s=REOPEN_FIRST_S, max_s=REOPEN_MAX_S)
        while True:
            try:
                await user.use(self)
            except HardwareError as failure:
                user.lost(failure.reason)
                self._failed(failure.reason)
                await trio.sleep(backoff.next_s())
                continue
            finally:
                if self.state == "open":
                    self.state = "closed"
            backoff.reset()
            if not user.wanted:
                self._wanted = trio.Event()
                with trio.move_on_after(CHECK_EVERY_S):
                    await self._wanted.wait()

    def _failed(self, reason: str) -> None:
        told = bool(self.problem)
        self.problem = reason
        self.state = "failed"
        if not told:
            logger.error("endpoint=%s device=%s failed reason=%s", self.direction, self.device, reason)
            self._log.publish(HardwareFailed(endpoint=self.direction, reason=reason))


def resampler(direction: Direction, rate_in_hz: int, rate_out_hz: int) -> Resampler | None:
    """What converts between the card and us, None when there is nothing to do. Raises: HardwareError."""
    if rate_in_hz == rate_out_hz:
        return None
    try:
        return Resampler(rate_in_hz, rate_out_hz)
    except CodecError as error:
        raise HardwareError(direction, f"no way from {rate_in_hz} Hz to {rate_out_hz} Hz: {error}") from error
