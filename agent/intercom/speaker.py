"""The loudspeaker: one voice at a time, and short sounds of the door itself around it."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio

from agent.intercom.card import (
    LINGER_S,
    PERIOD_BYTES,
    RATE_HZ,
    SILENCE,
    Jack,
    Lost,
    OpenSink,
    resampler,
)
from agent.voice.codec import Gain, Level, Meter
from hw.ports import AudioSink

FILE_PREFIX = "wav:"
SOUNDS = 4
PROOF_PERIODS = 8  # more than a card keeps before it plays
STALE_S = 3.0  # a chime for what happened longer ago would be a riddle


class Voice(Protocol):
    """Somebody who speaks, a period at a time, on the task of the sound card."""

    def pull(self, sink_delay_s: float) -> bytes | None:
        """The next 20 ms, None while there is nothing to be heard."""


class Sound:
    """A piece of PCM on its way; `done` when it was played, gave way or came too late.

    played: all of it was given to the card.
    """

    def __init__(self, pcm: bytes, begin_by: float) -> None:
        self.begin_by = begin_by
        self.done = trio.Event()
        self.played = False
        self._pcm = pcm
        self._at = 0

    def period(self) -> bytes | None:
        """The next 20 ms, the last one filled up; None at its end."""
        piece = self._pcm[self._at : self._at + PERIOD_BYTES]
        self._at += PERIOD_BYTES
        self.played = not piece
        return piece.ljust(PERIOD_BYTES, b"\0") if piece else None


class Speaker:
    """Writes to the card while there is something to be heard; closes it a little later.

    Speech comes first: a chime that plays when the first word is there ends, one that comes later waits for
    the end of the speech, or is left out when that is too long.
    """

    def __init__(self, jack: Jack, *, open_sink: OpenSink, gain_db: float = 0.0) -> None:
        self.jack = jack
        self.xruns = 0
        self.level: Level | None = None  # of what is written now
        self._open = open_sink
        self._gain_db = gain_db
        self._voice: Voice | None = None
        self._sounds: deque[Sound] = deque()
        self._sound: Sound | None = None
        self._sink: AudioSink | None = None
        self._wakes = trio.Event()
        self._when_lost: list[Lost] = []

    @property
    def present(self) -> bool:
        """The configuration has one; it may be broken."""
        return bool(self.jack.device)

    @property
    def wanted(self) -> bool:
        """See card.User."""
        return self._voice is not None or self.sounding

    @property
    def sounding(self) -> bool:
        """A sound of the door itself plays or waits."""
        return self._sound is not None or bool(self._sounds)

    def chime(self, pcm: bytes) -> None:
        """Play a short sound soon. Never waits; the fifth that would wait is left out."""
        if len(self._sounds) < SOUNDS:
            self._add(Sound(pcm, trio.current_time() + STALE_S))

    async def say(self, pcm: bytes) -> bool:
        """Play it and return when it was heard, or False when it could not be.

        Cancellation: the rest is not played.
        """
        sound = Sound(pcm, trio.current_time() + STALE_S)
        if len(self._sounds) >= SOUNDS or not self._add(sound):
            await trio.lowlevel.checkpoint()
            return False
        try:
            with trio.move_on_after(STALE_S + len(pcm) / 2 / RATE_HZ + STALE_S):
                await sound.done.wait()
                await trio.sleep(self.delay_s)
        finally:
            self._drop(sound)
        return sound.played

    def play(self, voice: Voice) -> None:
        """Play `voice` until `stop`; one at a time, whose turn it is has been settled before."""
        assert self._voice is None
        self._voice = voice
        self._wake()

    def stop(self, voice: Voice) -> None:
        """Play no more of it. Idempotent."""
        if self._voice is voice:
            self._voice = None

    @property
    def delay_s(self) -> float:
        """Sound written and not heard yet."""
        return self._sink.delay_s if self._sink is not None else 0.0

    def when_lost(self, tell: Lost) -> None:
        """Call `tell(reason)` when the card fails."""
        self._when_lost.append(tell)

    async def use(self, jack: Jack) -> None:
        """See card.User."""
        sink = await self._open(jack.device)
        xruns_before = self.xruns
        # A file would be written from its beginning again.
        linger_s = float("inf") if jack.device.startswith(FILE_PREFIX) else LINGER_S
        try:
            self._sink = sink
            feed = _Feed(sink, self._gain_db)
            meter = Meter(RATE_HZ)
            if jack.problem:
                # One that hangs can be opened all the same: only sound that it takes is a proof.
                for _ in range(PROOF_PERIODS):
                    await feed.write(SILENCE)
                jack.works()
            while True:
                pcm = self._next()
                if pcm is not None:
                    self.level = meter.measure(pcm)
                    await feed.write(pcm)
                    jack.works()
                    self.xruns = xruns_before + sink.xruns
                elif not await self._wanted_within(linger_s if feed.used else 0):
                    jack.works()  # as far as one can tell without a sound
                    return
        finally:
            self._sink = self.level = None
            sink.close()

    def lost(self, reason: str) -> None:
        """See card.User."""
        for sound in (*self._sounds, *([self._sound] if self._sound is not None else ())):
            sound.done.set()
        self._sounds.clear()
        self._sound = None
        for tell in self._when_lost:
            tell(reason)

    def _add(self, sound: Sound) -> bool:
        if not self.present or self.jack.problem:
            return False
        self._sounds.append(sound)
        self._wake()
        return True

    def _drop(self, sound: Sound) -> None:
        if sound in self._sounds:
            self._sounds.remove(sound)
        if sound is self._sound:
            self._sound = None
        sound.done.set()

    def _wake(self) -> None:
        self._wakes.set()
        self.jack.want()

    async def _wanted_within(self, delay_s: float) -> bool:
        self._wakes = trio.Event()
        self.level = None
        if not self.wanted:
            with trio.move_on_after(delay_s):
                await self._wakes.wait()
        return self.wanted

    def _next(self) -> bytes | None:
        """The next period: silence while somebody pauses, None when there is nothing to be heard."""
        voice = self._voice
        if voice is None:
            return self._next_of_sounds()
        pcm = voice.pull(self.delay_s)
        if pcm is not None:
            if self._sound is not None:
                self._drop(self._sound)
            return pcm
        if self._sound is not None and (pcm := self._sound.period()) is not None:
            return pcm
        if self._sound is not None:
            self._drop(self._sound)
        return SILENCE

    def _next_of_sounds(self) -> bytes | None:
        while True:
            if self._sound is None:
                if not self._sounds:
                    return None
                sound = self._sounds.popleft()
                if trio.current_time() > sound.begin_by:
                    sound.done.set()
                    continue
                self._sound = sound
            pcm = self._sound.period()
            if pcm is not None:
                return pcm
            self._drop(self._sound)


class _Feed:
    """Periods of 20 ms at 16 kHz into one open card, whatever its own are. What does not fill a period of the
    card waits for the next; it is less than a period."""

    def __init__(self, sink: AudioSink, gain_db: float) -> None:
        rate_hz = sink.format.sample_rate_hz
        self.used = False
        self._sink = sink
        self._gain = Gain(RATE_HZ, gain_db) if gain_db else None
        self._resampler = resampler("speaker", RATE_HZ, rate_hz)
        self._period_bytes = 2 * sink.format.period_samples
        self._rest = b""

    async def write(self, pcm: bytes) -> None:
        """Paced by the card. Raises: HardwareError."""
        self.used = True
        if self._gain is not None:
            pcm = self._gain.apply(pcm)
        if self._resampler is not None:
            pcm = self._resampler.process(pcm)
        if self._rest:
            pcm = self._rest + pcm
        at = 0
        while len(pcm) - at >= self._period_bytes:
            await self._sink.write(pcm[at : at + self._period_bytes])
            at += self._period_bytes
        self._rest = pcm[at:]
