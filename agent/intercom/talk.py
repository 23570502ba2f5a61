"""Who speaks through the loudspeaker: one at a time, who asked first, and not for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from agent.bus import EventLog
from agent.intercom.card import PERIOD_S
from agent.intercom.config import VoiceConfig
from agent.intercom.microphone import Microphone
from agent.intercom.silence import NO_LOUDSPEAKER
from agent.intercom.speaker import Speaker
from agent.model.actions import Action
from agent.model.errors import EndpointError
from agent.model.events import TalkEnded, TalkStarted
from agent.model.principals import Principal
from agent.runtime import Playback
from agent.voice.playout import Playout, PlayoutMetrics

PROMISE_S = 5.0
FINISH_S = 2.0
SOMEBODY_SPEAKS = "somebody else speaks"


class DoorPlayback:
    """See runtime.Playback. A voice of the speaker.

    held: the visitor is heard out first; what comes meanwhile waits, up to what a Playout keeps.
    on_sound: is told before the first sound of it. deafens: it keeps the microphone mute.
    """

    def __init__(
        self,
        by: str,
        *,
        until: float,
        held: Callable[[], bool],
        on_sound: Callable[[DoorPlayback], None],
    ) -> None:
        self.by = by
        self.until = until
        self.played_s = 0.0
        self.deafens = False
        self._playout = Playout()
        self._held = held
        self._on_sound = on_sound
        self._over_at = float("inf")
        self._done = trio.Event()
        self._cut = ""

    @property
    def cut(self) -> str:
        """See runtime.Playback."""
        return self._cut

    def push(self, packet: bytes) -> None:
        """See runtime.Playback."""
        if not self._cut:
            self._playout.push(packet)

    async def finish(self) -> None:
        """See runtime.Playback."""
        self._playout.finish()
        with trio.move_on_after(FINISH_S):
            await self._done.wait()
        await trio.lowlevel.checkpoint()

    def end(self, reason: str) -> None:
        """Play no more of it."""
        self._cut = self._cut or reason
        self._done.set()

    def pull(self, sink_delay_s: float) -> bytes | None:
        """See speaker.Voice."""
        if self._cut or self._held():
            return None
        self._playout.sink_delay_s = sink_delay_s
        pcm = self._playout.pull()
        if pcm is not None:
            if not self.played_s:
                self._on_sound(self)
            self.played_s += PERIOD_S
        elif self._playout.drained:
            now = trio.current_time()
            self._over_at = min(self._over_at, now + sink_delay_s)
            if now >= self._over_at:
                self._done.set()
        return pcm

    @property
    def metrics(self) -> PlayoutMetrics:
        return self._playout.metrics


class Talk:
    """The right to speak to the visitor: asked for as an action, used once, lost after five seconds.

    begun: is called when somebody's turn begins, so that the door stops to transmit. held: the visitor is to
    be heard out now.
    """

    def __init__(
        self,
        config: VoiceConfig,
        *,
        log: EventLog,
        speaker: Speaker,
        microphone: Microphone,
        begun: Callable[[], None],
        held: Callable[[], bool],
    ) -> None:
        self._config = config
        self._log = log
        self._speaker = speaker
        self._microphone = microphone
        self._begun = begun
        self._held = held
        self._promised: tuple[str, float] | None = None
        self._playback: DoorPlayback | None = None
        self._reserved = ""
        self._changed = trio.Event()
        self.last: PlayoutMetrics | None = None
        speaker.when_lost(self._card_lost)

    @property
    def speaking(self) -> str:
        """Who has the loudspeaker, or was promised it; empty: nobody."""
        if self._playback is not None:
            return self._playback.by
        return self._promised[0] if self._promised is not None else self._reserved

    @property
    def metrics(self) -> PlayoutMetrics | None:
        """How the present speech fares, or how the last one did."""
        return self._playback.metrics if self._playback is not None else self.last

    # ----- runtime.Performer -----

    def refuse(self, action: Action) -> str | None:
        """Nobody is interrupted, and a loudspeaker must be there."""
        if not self._speaker.present:
            return NO_LOUDSPEAKER
        if self._speaker.jack.problem:
            return f"the loudspeaker does not work: {self._speaker.jack.problem}"
        return SOMEBODY_SPEAKS if self.speaking else None

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """Talking moves no metal."""
        return True

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Promise the loudspeaker to `by`. Raises: EndpointError when it is not to be had any more."""
        reason = self.refuse(action)
        if reason is not None:
            raise EndpointError("talk", reason)
        self._promised = by, trio.current_time() + PROMISE_S
        self._log.publish(TalkStarted(by=by, action_id=action_id))
        self._wake()

    # ----- runtime.Voice -----

    @asynccontextmanager
    async def incoming(self, *, by: str, via: str) -> AsyncIterator[Playback]:
        """See runtime.Voice. by: the name of the principal whose StartTalk was done."""
        await trio.lowlevel.checkpoint()
        if not self._speaker.present:
            raise EndpointError("talk", NO_LOUDSPEAKER)
        if self._playback is not None or (self._promised is not None and self._promised[0] != by):
            raise EndpointError("talk", SOMEBODY_SPEAKS)
        if self._promised is None:
            raise EndpointError("talk", f"{by} did not ask to speak")
        problem = self._speaker.jack.problem
        if problem:
            self._unpromise(f"the loudspeaker failed: {problem}")
            raise EndpointError("talk", f"the loudspeaker does not work: {problem}")
        playback = DoorPlayback(
            by,
            until=trio.current_time() + self._config.max_talk_s,
            held=self._held,
            on_sound=self._deafen,
        )
        self._promised = None
        self._playback = playback
        try:
            if self._config.policy == "resident_first":
                self._deafen(playback)
                self._begun()
            self._speaker.play(playback)
            self._wake()
            yield playback
        finally:
            self._end(playback)

    # ----- time -----

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take promises back that nobody used, and cut speeches that are too long, until cancelled."""
        try:
            task_status.started()
            while True:
                self._changed = trio.Event()
                with trio.move_on_at(self._deadline()):
                    await self._changed.wait()
                now = trio.current_time()
                if self._promised is not None and now >= self._promised[1]:
                    self._unpromise("nothing came")
                if self._playback is not None and now >= self._playback.until:
                    self._playback.end("time limit")
                    self._end(self._playback)
        finally:
            if self._promised is not None:
                self._unpromise("the door stopped")

    @contextmanager
    def reserved(self, by: str) -> Iterator[None]:
        """Nobody else may speak while the context lasts. Raises on entry: EndpointError."""
        if self.speaking:
            raise EndpointError("talk", SOMEBODY_SPEAKS)
        self._reserved = by
        try:
            yield
        finally:
            self._reserved = ""

    def _deadline(self) -> float:
        if self._promised is not None:
            return self._promised[1]
        return self._playback.until if self._playback is not None else float("inf")

    def _wake(self) -> None:
        self._changed.set()

    def _deafen(self, playback: DoorPlayback) -> None:
        """What the loudspeaker says is not sent back."""
        if self._config.policy != "duplex" and not playback.deafens:
            playback.deafens = True
            self._microphone.mute()

    def _unpromise(self, reason: str) -> None:
        assert self._promised is not None
        by, self._promised = self._promised[0], None
        self._log.publish(TalkEnded(by=by, duration_s=0.0, reason=reason))

    def _end(self, playback: DoorPlayback) -> None:
        """Give the loudspeaker back and tell it, once."""
        if playback is not self._playback:
            return
        self._playback = None
        self._speaker.stop(playback)
        if playback.deafens:
            self._microphone.unmute(self._config.echo_guard_ms / 1000)
        self.last = playback.metrics
        duration_s = round(playback.played_s, 2)
        self._log.publish(TalkEnded(by=playback.by, duration_s=duration_s, reason=playback.cut))

    def _card_lost(self, reason: str) -> None:
        if self._playback is not None:
            self._playback.end(f"the loudspeaker failed: {reason}")
            self._end(self._playback)
