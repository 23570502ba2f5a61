"""The microphone: periods of sound for whoever listens, and nothing for anybody while it is muted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, Protocol

import trio

from agent.bus import EventLog
from agent.intercom.card import (
    LINGER_S,
    PERIOD_BYTES,
    RATE_HZ,
    Jack,
    Lost,
    OpenSource,
    resampler,
)
from agent.model.events import MicrophoneChanged
from agent.voice.codec import Gain, Level, Meter
from hw.ports import AudioSource

UseReason = Literal["ring", "visitor", "recording", "test"]
EAR_PERIODS = 10
NOTHING_HEARD_S = 0.5


class Heard(NamedTuple):
    """20 ms of the microphone."""

    pcm: bytes
    level: Level


class Listener(Protocol):
    """Gets every period, on the task of the sound card: it must not wait and not raise."""

    def hear(self, heard: Heard) -> None: ...


class Ear:
    """A listener with a queue of its own: the oldest of more than `limit` periods is dropped."""

    def __init__(self, limit: int = EAR_PERIODS) -> None:
        self._waiting: deque[Heard] = deque(maxlen=limit)
        self._wakes = trio.lowlevel.ParkingLot()

    def hear(self, heard: Heard) -> None:
        """See Listener."""
        self._waiting.append(heard)
        self._wakes.unpark()

    async def period(self) -> Heard | None:
        """The next period, or None when there was none for half a second: muted, or no card."""
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(NOTHING_HEARD_S):
            while not self._waiting:
                await self._wakes.park()
        return self._waiting.popleft() if self._waiting else None


class Use(NamedTuple):
    """Why the microphone is heard by others, or recorded."""

    reason: UseReason
    call_id: str
    number: int


class Microphone:
    """Reads the card while somebody listens. `level` is that of the last period, None while nobody does.

    What comes in while it is muted is thrown away unread.
    """

    def __init__(self, jack: Jack, *, log: EventLog, open_source: OpenSource, gain_db: float = 0.0) -> None:
        self.jack = jack
        self.level: Level | None = None
        self.xruns = 0
        self._log = log
        self._open = open_source
        self._uses: list[Use] = []
        self._used = 0
        self._gain_db = gain_db
        self._listeners: list[Listener] = []
        self._mutes = 0
        self._deaf_until = float("-inf")
        self._meter = Meter(RATE_HZ)
        self._when_lost: list[Lost] = []

    @property
    def present(self) -> bool:
        """The configuration has one; it may be broken."""
        return bool(self.jack.device)

    @property
    def wanted(self) -> bool:
        """See card.User."""
        return bool(self._listeners)

    @property
    def muted(self) -> bool:
        """Nobody gets what it hears."""
        return self._mutes > 0 or trio.current_time() < self._deaf_until

    @contextmanager
    def heard_by(self, listener: Listener) -> Iterator[None]:
        """Give every period to `listener` while the context lasts."""
        self._listeners.append(listener)
        self.jack.want()
        try:
            yield
        finally:
            self._listeners.remove(listener)
            if not self._listeners:
                self.level = None

    def begin_use(self, reason: UseReason, call_id: str = "") -> Use:
        """Tell the log that others hear it from now on; the newest use is the one that is told of.

        On and off alternate in the log: whoever follows it never thinks the microphone off while it is on.
        """
        if self._uses:
            self._tell(False, self._uses[-1])
        self._used += 1
        use = Use(reason, call_id, self._used)
        self._uses.append(use)
        self._tell(True, use)
        return use

    def end_use(self, use: Use) -> None:
        """See begin_use. Idempotent."""
        if use not in self._uses:
            return
        told = self._uses[-1] is use
        self._uses.remove(use)
        if told:
            self._tell(False, use)
            if self._uses:
                self._tell(True, self._uses[-1])

    @contextmanager
    def used_by(self, listener: Listener, reason: UseReason, call_id: str = "") -> Iterator[None]:
        """Give every period to `listener`, and tell the log, while the context lasts."""
        use = self.begin_use(reason, call_id)
        try:
            with self.heard_by(listener):
                yield
        finally:
            self.end_use(use)

    def _tell(self, on: bool, use: Use) -> None:
        self._log.publish(MicrophoneChanged(on=on, reason=use.reason, call_id=use.call_id))

    def mute(self) -> None:
        """Deaf until as many `unmute` as there were `mute`."""
        self._mutes += 1

    def unmute(self, guard_s: float = 0.0) -> None:
        """It may hear again, `guard_s` from now."""
        self._mutes -= 1
        self._deaf_until = max(self._deaf_until, trio.current_time() + guard_s)

    def when_lost(self, tell: Lost) -> None:
        """Call `tell(reason)` when the card fails while it is used."""
        self._when_lost.append(tell)

    async def use(self, jack: Jack) -> None:
        """See card.User."""
        source = await self._open(jack.device)
        xruns_before = self.xruns
        try:
            blocks = Blocks(source, self._gain_db)
            needed_at: float | None = None
            while True:
                raw = await source.read()
                jack.works()
                self.xruns = xruns_before + source.xruns
                now = trio.current_time()
                if self._listeners:
                    needed_at = now
                    if not self.muted:
                        self._give(blocks.add(raw))
                elif needed_at is None or now - needed_at >= LINGER_S:
                    return
        finally:
            source.close()

    def lost(self, reason: str) -> None:
        """See card.User."""
        for tell in self._when_lost:
            tell(reason)

    def _give(self, periods: list[bytes]) -> None:
        for pcm in periods:
            self.level = self._meter.measure(pcm)
            heard = Heard(pcm, self.level)
            for listener in tuple(self._listeners):
                listener.hear(heard)


class Blocks:
    """The sound of one open card in periods of 20 ms at 16 kHz, whatever its own are."""

    def __init__(self, source: AudioSource, gain_db: float) -> None:
        rate_hz = source.format.sample_rate_hz
        self._gain = Gain(RATE_HZ, gain_db) if gain_db else None
        self._resampler = resampler("microphone", rate_hz, RATE_HZ)
        self._rest = b""

    def add(self, raw: bytes) -> list[bytes]:
        """The whole periods that there are now."""
        pcm = self._resampler.process(raw) if self._resampler is not None else raw
        if self._gain is not None:
            pcm = self._gain.apply(pcm)
        if len(pcm) == PERIOD_BYTES and not self._rest:
            return [pcm]
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % PERIOD_BYTES
        self._rest = pcm[whole:]
        return [pcm[at : at + PERIOD_BYTES] for at in range(0, whole, PERIOD_BYTES)]
