"""Decides when the door speaks: follows the calls, opens and closes transmissions, and plays the chimes."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import trio

from agent.bus import EventLog
from agent.intercom.card import PERIOD_S
from agent.intercom.config import VoiceConfig
from agent.intercom.microphone import Ear, Microphone, Use
from agent.intercom.speaker import Speaker
from agent.intercom.transmission import DoorTransmission
from agent.model.actions import Unlock
from agent.model.events import ActionRefused, AnyEvent, CallChanged, LockChanged
from agent.model.records import Gap
from agent.voice import chime
from agent.voice.codec import CodecSettings
from agent.voice.vox import Vox

BEFORE_PERIODS = 15  # what led to the opening of the voice switch is sent too
BREATH_S = 1.5  # after the longest speech, so that others have their turn
REFUSED_EVERY_S = 2.0
logger = logging.getLogger(__name__)

# Records what a visitor leaves whom nobody answered, until cancelled or done.
TakeMessage = Callable[[str, str], Awaitable[None]]


class _Call:
    """An open call, as the ear follows it. ringing, open: end with these states."""

    def __init__(self, call_id: str, endpoint: str) -> None:
        self.call_id = call_id
        self.endpoint = endpoint
        self.missed = False
        self.ringing = trio.CancelScope()
        self.open = trio.CancelScope()


class Conductor:
    """At most one transmission at a time; its number is one more than that of the last."""

    def __init__(
        self,
        config: VoiceConfig,
        *,
        log: EventLog,
        microphone: Microphone,
        speaker: Speaker,
        take_message: TakeMessage | None = None,
    ) -> None:
        self._config = config
        self._log = log
        self._microphone = microphone
        self._speaker = speaker
        self._take_message = take_message
        self._settings = CodecSettings(bitrate_bps=config.bitrate_bps, complexity=config.complexity)
        self._calls: dict[str, _Call] = {}
        self._current: DoorTransmission | None = None
        self._use: Use | None = None
        self._number = 0
        self._begun = trio.lowlevel.ParkingLot()
        self._talking = trio.Lock()  # the call that the microphone belongs to
        self._message: trio.CancelScope | None = None
        self._refused_at = float("-inf")
        microphone.when_lost(lambda reason: self.interrupt())

    @property
    def current(self) -> DoorTransmission | None:
        """The transmission that is on."""
        return self._current

    @property
    def in_call(self) -> bool:
        """It rings, or a call is open."""
        return bool(self._calls)

    async def transmission(self, after: int) -> DoorTransmission:
        """See runtime.Voice."""
        await trio.lowlevel.checkpoint()
        while self._current is None or self._current.number <= after:
            await self._begun.park()
        return self._current

    def interrupt(self) -> None:
        """End what is transmitted or recorded now: somebody speaks to the visitor, or the card is gone."""
        if self._current is not None:
            self._close(self._current)
        if self._message is not None:
            self._message.cancel()

    async def run(self, *, after: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the log for ever; owns a task for each open call."""
        self._calls.clear()
        async with trio.open_nursery() as calls:
            task_status.started()
            async for item in self._log.follow(after=after):
                if isinstance(item, Gap):
                    # An end may have been among them: then nobody may be heard any longer.
                    logger.error("missed entries first=%d last=%d", item.first, item.last)
                    for call in tuple(self._calls.values()):
                        self._over(call)
                else:
                    self._note(item.event, calls)

    def _note(self, event: AnyEvent, calls: trio.Nursery) -> None:
        match event:
            case CallChanged(state="ringing"):
                if self._message is not None:
                    self._message.cancel()
                call = self._calls[event.call_id] = _Call(event.call_id, event.endpoint)
                self._chime(chime.ring)
                calls.start_soon(self._accompany, call)
            case CallChanged(state="answered") if event.call_id in self._calls:
                self._calls[event.call_id].ringing.cancel()
            case CallChanged() if event.call_id in self._calls:
                self._calls[event.call_id].missed = event.state == "missed"
                self._over(self._calls[event.call_id])
            case LockChanged(state="unlocked", by=by) if by:
                self._chime(chime.accepted)
            case ActionRefused(action=Unlock()):
                now = trio.current_time()
                if now - self._refused_at >= REFUSED_EVERY_S:
                    self._refused_at = now
                    self._chime(chime.refused)

    def _over(self, call: _Call) -> None:
        del self._calls[call.call_id]
        call.open.cancel()

    def _chime(self, sound: Callable[[], bytes]) -> None:
        if self._config.chimes and self._speaker.present:
            self._speaker.chime(sound())

    async def _accompany(self, call: _Call) -> None:
        with call.open:
            with call.ringing:
                await self._ring(call)
                await trio.sleep_forever()
            async with self._talking:
                await self._converse(call)
        if call.missed and self._take_message is not None and self._message is None:
            with trio.CancelScope() as self._message:
                try:
                    await self._take_message(call.call_id, call.endpoint)
                finally:
                    self._message = None

    async def _ring(self, call: _Call) -> None:
        """Let the visitor be heard before anybody answers."""
        if not self._microphone.present or not self._config.ring_message_s or self._talking.locked():
            return
        with self._transmitting("ring", call) as transmission:
            with trio.move_on_after(self._config.ring_message_s):
                await transmission.wait_over()

    async def _converse(self, call: _Call) -> None:
        """Transmit while the visitor speaks, until cancelled."""
        if not self._microphone.present:
            await trio.sleep_forever()
        ear, vox = Ear(), Vox()
        before: deque[bytes] = deque(maxlen=BEFORE_PERIODS)
        with self._microphone.heard_by(ear):
            while True:
                await self._until_voice(ear, vox, before)
                with self._transmitting("visitor", call, tuple(before)) as transmission:
                    before.clear()
                    with trio.move_on_after(self._config.max_talk_s) as limit:
                        await _while_voice(ear, vox, transmission)
                if limit.cancelled_caught:
                    await trio.sleep(BREATH_S)
                    vox.reset()

    async def _until_voice(self, ear: Ear, vox: Vox, before: deque[bytes]) -> None:
        deaf_until = float("-inf")
        while True:
            heard = await ear.period()
            now = trio.current_time()
            if self._speaker.sounding and self._config.policy != "duplex":
                deaf_until = now + self._config.echo_guard_ms / 1000
            if heard is None or now < deaf_until:
                vox.reset()
                before.clear()
                continue
            before.append(heard.pcm)
            if vox.feed(heard.level, PERIOD_S):
                return

    @contextmanager
    def _transmitting(
        self, reason: Literal["ring", "visitor"], call: _Call, before: tuple[bytes, ...] = ()
    ) -> Iterator[DoorTransmission]:
        """The one transmission; the log says before it begins and when it is over."""
        if self._current is not None:
            self._close(self._current)
        self._number += 1
        transmission = DoorTransmission(
            self._number,
            reason,
            call_id=call.call_id,
            endpoint=call.endpoint,
            settings=self._settings,
            before=before,
        )
        self._current = transmission
        self._use = self._microphone.begin_use(reason, call.call_id)
        try:
            with self._microphone.heard_by(transmission):
                self._begun.unpark_all()
                yield transmission
        finally:
            self._close(transmission)

    def _close(self, transmission: DoorTransmission) -> None:
        if transmission is not self._current:
            return
        self._current = None
        transmission.end()
        if self._use is not None:
            self._microphone.end_use(self._use)


async def _while_voice(ear: Ear, vox: Vox, transmission: DoorTransmission) -> None:
    """Return when the visitor has finished, or was interrupted."""
    while not transmission.over:
        heard = await ear.period()
        if heard is None:
            break
        if not vox.feed(heard.level, PERIOD_S):
            return
    vox.reset()
