"""A sound card in memory that behaves: it keeps time, runs dry, drifts, stalls and can be pulled out.

`SimulatedCard` is the card, and the ears and mouth of whoever stands at the simulated door. It belongs to
trio's thread and lives by trio's clock, so that a test's clock drives it too.
"""

from __future__ import annotations

import trio

from hw.audio_pace import CapturePace, PlaybackPace
from hw.errors import HardwareError
from hw.ports import AudioFormat

WATCHDOG_S = 0.2
HEARD_BOUND_S = 60.0
SAID_BOUND_S = 120.0


class SimulatedCard:
    """A microphone that hears what is said to it, and a speaker that remembers what it played.

    sample_rate_hz: all that this card can do. period_ms: the same, or None for what is wanted.
    drift_ppm: how much faster (+) the card's clock runs than trio's; may be changed while it plays.
    """

    def __init__(
        self,
        *,
        name: str = "sim",
        sample_rate_hz: int = 16000,
        period_ms: int | None = None,
        drift_ppm: float = 0.0,
    ) -> None:
        self.name = name
        self.drift_ppm = drift_ppm
        self.stalled = False
        self.opened = 0
        self.generation = 0
        self.sample_rate_hz = sample_rate_hz
        self._period_ms = period_ms
        self._broken: str | None = None
        self._changed = trio.Event()
        self._said = bytearray()
        self._heard = bytearray()
        self._speaker: FakeSpeaker | None = None

    # Whoever stands at the door.

    def say(self, pcm: bytes) -> None:
        """Put sound in front of the microphone, after what was said before; in the card's sample rate.

        Raises: HardwareError when more than two minutes would be waiting; nothing was added then.
        """
        if len(self._said) + len(pcm) > SAID_BOUND_S * self.sample_rate_hz * 2:
            raise HardwareError(self.name, f"more than {SAID_BOUND_S:.0f} s are waiting to be said")
        self._said += pcm

    @property
    def said_s(self) -> float:
        """How much of what was said still waits for the microphone."""
        return len(self._said) / 2 / self.sample_rate_hz

    def heard(self) -> bytes:
        """The last minute of what was audible: what was written, less what is still queued, without xruns."""
        if self._speaker is None:
            return bytes(self._heard)
        queued = round(self._speaker.delay_s * self.sample_rate_hz) * 2
        return bytes(self._heard[: max(0, len(self._heard) - queued)])

    def forget(self) -> None:
        """Empty both: what was heard, and what waits to be said."""
        self._heard.clear()
        self._said.clear()

    def fail(self, reason: str = "No such device") -> None:
        """Pull the card out: what is open fails at once and for good, opening fails until heal()."""
        self._broken = reason
        self.generation += 1
        self._tell()

    def stall(self) -> None:
        """Give and take nothing, without an error, until heal(): what a watchdog is for."""
        self.stalled = True
        self._tell()

    def heal(self) -> None:
        """Plug the card in again. What was open when it failed stays dead."""
        self._broken = None
        self.stalled = False
        self._tell()

    # The card.

    def open_source(self, *, period_ms: int = 20, periods: int = 3) -> FakeMicrophone:
        """Raises: HardwareError while the card is out."""
        return FakeMicrophone(self, self._plug_in(period_ms), periods)

    def open_sink(self, *, period_ms: int = 20, periods: int = 3) -> FakeSpeaker:
        """Raises: HardwareError while the card is out."""
        self._speaker = FakeSpeaker(self, self._plug_in(period_ms), periods)
        return self._speaker

    def _plug_in(self, period_ms: int) -> AudioFormat:
        self.check(self.generation)
        self.opened += 1
        samples = self.sample_rate_hz * (self._period_ms or period_ms) // 1000
        return AudioFormat(self.sample_rate_hz, samples)

    def check(self, generation: int) -> None:
        if self._broken is not None:
            raise HardwareError(self.name, self._broken)
        if generation != self.generation:
            raise HardwareError(self.name, "No such device")

    def period_s(self, card_format: AudioFormat) -> float:
        return card_format.period_s / (1 + self.drift_ppm * 1e-6)

    async def change(self, until: float) -> None:
        """Wait until then, or until somebody touches the card."""
        with trio.move_on_at(until):
            await self._changed.wait()

    def record(self, size: int) -> bytes:
        taken = bytes(self._said[:size])
        del self._said[:size]
        return taken.ljust(size, b"\0")

    def play(self, pcm: bytes) -> None:
        self._heard += pcm
        excess = len(self._heard) - int(HEARD_BOUND_S * self.sample_rate_hz) * 2
        if excess > 0:
            del self._heard[:excess]

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class FakeMicrophone:
    """An AudioSource on a simulated card: what was said, then silence."""

    def __init__(self, card: SimulatedCard, card_format: AudioFormat, periods: int) -> None:
        self.name = card.name
        self.format = card_format
        self._card = card
        self._generation = card.generation
        self._closed = False
        self._pace = CapturePace(trio.current_time(), card.period_s(card_format), periods)

    @property
    def xruns(self) -> int:
        return self._pace.xruns

    async def read(self) -> bytes:
        await trio.lowlevel.checkpoint()
        watchdog = trio.current_time() + max(WATCHDOG_S, 3 * self.format.period_s)
        while True:
            now = trio.current_time()
            self._check()
            period_s = self._card.period_s(self.format)
            if self._card.stalled:
                if now >= watchdog:
                    raise HardwareError(self.name, "device gave nothing for 200 ms")
                await self._card.change(watchdog)
                continue
            due = self._pace.due(now, period_s)
            if due <= now:
                self._pace.took(period_s)
                return self._card.record(self.format.period_bytes)
            await self._card.change(due)

    def close(self) -> None:
        self._closed = True
        self._card._tell()

    def _check(self) -> None:
        if self._closed:
            raise HardwareError(self.name, "is closed")
        self._card.check(self._generation)


class FakeSpeaker:
    """An AudioSink on a simulated card, which remembers what it played."""

    def __init__(self, card: SimulatedCard, card_format: AudioFormat, periods: int) -> None:
        self.name = card.name
        self.format = card_format
        self._card = card
        self._generation = card.generation
        self._closed = False
        self._pace = PlaybackPace(periods)

    @property
    def xruns(self) -> int:
        return self._pace.xruns

    @property
    def delay_s(self) -> float:
        return 0.0 if self._closed else self._pace.delay_s(trio.current_time())

    async def write(self, pcm: bytes) -> None:
        if len(pcm) != self.format.period_bytes:
            raise ValueError(f"{len(pcm)} bytes are not one period of {self.format.period_bytes}")
        await trio.lowlevel.checkpoint()
        watchdog = trio.current_time() + max(WATCHDOG_S, 3 * self.format.period_s)
        while True:
            now = trio.current_time()
            self._check()
            period_s = self._card.period_s(self.format)
            if self._card.stalled:
                if now >= watchdog:
                    raise HardwareError(self.name, "device took nothing for 200 ms")
                await self._card.change(watchdog)
                continue
            due = self._pace.due(now, period_s)
            if due <= now:
                self._pace.put(period_s)
                self._card.play(pcm)
                return
            await self._card.change(due)

    def close(self) -> None:
        self._closed = True
        self._card._tell()

    def _check(self) -> None:
        if self._closed:
            raise HardwareError(self.name, "is closed")
        self._card.check(self._generation)
