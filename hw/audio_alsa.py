"""Sound cards through ALSA, without blocking: reads and writes happen when the card's descriptors say so.

pyalsaaudio is imported when a card is opened: a door without voice does not need it. It keeps the
interpreter's lock while it opens and closes a card, so one that hangs there holds up every thread. ALSA's
kernel drivers answer at once. A sound server that is there and does not answer may take half a minute: a
door is better off without one.

Source: the documentation of alsa-lib's PCM interface; pyalsaaudio 0.11; observed with PulseAudio 16.1.
"""

from __future__ import annotations

import contextlib
import errno
import select
import sys
import threading
from types import ModuleType
from typing import Any, Literal

import trio

from hw.audio_wav import mono, spread
from hw.errors import HardwareError
from hw.ports import AudioFormat

Direction = Literal["capture", "playback"]

OPEN_S = 5.0
FIRST_PERIOD_S = 3.0
"""The watchdog's patience until a card has given or taken its first sound: some are switched on by it."""
WATCHDOG_S = 0.2
IDLE_WAKE_S = 0.002
"""A descriptor that stays ready while the card has nothing for us is looked at again after this."""
MAX_CHANNELS = 8
MAX_DROPPED_PERIODS = 1000

EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLPRI | select.EPOLLERR

_openers = trio.CapacityLimiter(4)
"""Threads that open cards, also those given up: a card that hangs must not use up trio's threads."""


def load() -> ModuleType:
    """pyalsaaudio. Raises: ImportError."""
    import alsaaudio

    return alsaaudio  # type: ignore[no-any-return]


def open_pcm(
    alsa: ModuleType, device: str, direction: Direction, sample_rate_hz: int, period_ms: int, periods: int
) -> Any:
    """A PCM whose period is near the wanted time at whatever rate it has. Raises: HardwareError; blocks."""
    capture = direction == "capture"
    native = alsa.PCM_FORMAT_S16_LE if sys.byteorder == "little" else alsa.PCM_FORMAT_S16_BE
    for _ in range(2):
        try:
            pcm = alsa.PCM(
                type=alsa.PCM_CAPTURE if capture else alsa.PCM_PLAYBACK,
                mode=alsa.PCM_NONBLOCK,
                device=device,
                rate=sample_rate_hz,
                channels=1,
                format=native,
                periodsize=sample_rate_hz * period_ms // 1000,
                periods=periods,
            )
        except alsa.ALSAAudioError as error:
            raise HardwareError(device, reason_of(error, device)) from error
        info = pcm.info()
        if info["rate"] == sample_rate_hz:
            break
        # The period was counted in samples of the wanted rate: ask again in those of the rate there is.
        sample_rate_hz = info["rate"]
        pcm.close()
    if info["format"] != native or not 1 <= info["channels"] <= MAX_CHANNELS:
        pcm.close()
        raise HardwareError(device, "has no signed 16-bit samples, or more than eight channels")
    return pcm


def reason_of(error: Exception, device: str) -> str:
    """What ALSA said, without the name of the device, which pyalsaaudio adds."""
    return str(error).removesuffix(f" [{device}]") or "failed"


class _Opening:
    """One attempt to open a card in a thread, which closes a card that it got too late."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._given_up = False

    def run(
        self, device: str, direction: Direction, sample_rate_hz: int, period_ms: int, periods: int
    ) -> AlsaPcm | None:
        try:
            alsa = load()
        except ImportError as error:
            raise HardwareError(
                device, "needs pyalsaaudio: run scripts/setup.sh, or install pyalsaaudio"
            ) from error
        pcm = open_pcm(alsa, device, direction, sample_rate_hz, period_ms, periods)
        with self._mutex:
            if not self._given_up:
                return AlsaPcm(alsa, pcm, device)
        pcm.close()
        return None

    def give_up(self) -> None:
        with self._mutex:
            self._given_up = True


async def _open(
    device: str, direction: Direction, sample_rate_hz: int, period_ms: int, periods: int
) -> AlsaPcm:
    opening = _Opening()
    pcm = None
    try:
        with trio.move_on_after(OPEN_S):
            pcm = await trio.to_thread.run_sync(
                opening.run,
                device,
                direction,
                sample_rate_hz,
                period_ms,
                periods,
                abandon_on_cancel=True,
                limiter=_openers,
            )
    finally:
        if pcm is None:
            opening.give_up()
    if pcm is None:
        raise HardwareError(device, f"did not open within {OPEN_S:.0f} s")
    return pcm


async def open_alsa_source(device: str, sample_rate_hz: int, period_ms: int, periods: int) -> AlsaSource:
    """A microphone by its ALSA name. Raises: HardwareError. Cancellation: a late card is closed."""
    return AlsaSource(await _open(device, "capture", sample_rate_hz, period_ms, periods))


async def open_alsa_sink(device: str, sample_rate_hz: int, period_ms: int, periods: int) -> AlsaSink:
    """A speaker by its ALSA name. Raises: HardwareError. Cancellation: a late card is closed."""
    return AlsaSink(await _open(device, "playback", sample_rate_hz, period_ms, periods))


class AlsaPcm:
    """An opened PCM and the wait for it. Its descriptors, one or many, are gathered behind one epoll."""

    def __init__(self, alsa: ModuleType, pcm: Any, device: str) -> None:
        info = pcm.info()
        self.device = device
        self.format = AudioFormat(info["rate"], info["period_size"])
        self.channels: int = info["channels"]
        self.buffer_samples: int = info["buffer_size"]
        self.error: type[Exception] = alsa.ALSAAudioError
        self._pcm = pcm
        self._closed = False
        self._waiting = False
        self._woken = False
        self._patience_s = FIRST_PERIOD_S
        self._descriptors: list[int] = []
        self._epoll = select.epoll()
        for fd, events in pcm.polldescriptors():
            self._descriptors.append(fd)
            self._epoll.register(fd, events & EVENTS)

    def read(self) -> tuple[int, bytes]:
        """(frames, their bytes): (0, b"") when there is nothing yet, (-EPIPE, b"") after an overrun."""
        self._check()
        try:
            count, frames = self._pcm.read()
        except self.error as error:
            raise HardwareError(self.device, reason_of(error, self.device)) from error
        return int(count), frames

    def write(self, frames: memoryview | bytes) -> int:
        """How many frames were taken: 0 when there is no room yet, -EPIPE after an underrun."""
        self._check()
        try:
            return int(self._pcm.write(frames))
        except self.error as error:
            raise HardwareError(self.device, reason_of(error, self.device)) from error

    def available_samples(self) -> int:
        """Recorded and not yet read, or free to be written; negative when the card has stopped or failed."""
        return -1 if self._closed else int(self._pcm.avail())

    def queued_samples(self) -> int:
        room = self.available_samples()
        return 0 if room < 0 else max(0, self.buffer_samples - room)

    def deadline(self) -> float:
        """Until when the card has to move, from now on."""
        return trio.current_time() + max(self._patience_s, 3 * self.format.period_s)

    def moved(self) -> float:
        """The card gave or took something: the next deadline."""
        self._woken = False
        self._patience_s = WATCHDOG_S
        return self.deadline()

    async def ready(self, deadline: float) -> None:
        """Wait for the card, at most until then. A hint: the card may have nothing for us all the same.

        Raises: HardwareError when the card is closed meanwhile, or says that it is gone.
        """
        self._check()
        self._waiting = True
        try:
            with trio.move_on_at(deadline):
                if self._woken:
                    await trio.sleep(IDLE_WAKE_S)
                    self._check()
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                self._check()
                self._acknowledge()
                self._woken = True
        except trio.ClosedResourceError as error:
            raise HardwareError(self.device, "is closed") from error
        finally:
            self._waiting = False
        self._check()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._waiting:
            trio.lowlevel.notify_closing(self._epoll.fileno())
        self._epoll.close()
        # Dropped first: closing would wait until the rest was played, and on a card that is gone it never is.
        for step in (self._pcm.drop, self._pcm.close):
            with contextlib.suppress(self.error):
                step()

    def _acknowledge(self) -> None:
        """Let the plugin see its descriptors' events: it takes them back, else they would stay for ever."""
        events = dict(self._epoll.poll(0))
        try:
            self._pcm.polldescriptors_revents([(fd, events.get(fd, 0)) for fd in self._descriptors])
        except self.error as error:
            raise HardwareError(self.device, reason_of(error, self.device)) from error

    def _check(self) -> None:
        if self._closed:
            raise HardwareError(self.device, "is closed")


class AlsaSource:
    """A microphone: an AudioSource."""

    def __init__(self, pcm: AlsaPcm) -> None:
        self.name = pcm.device
        self.format = pcm.format
        self.xruns = 0
        self._pcm = pcm
        self._sound = bytearray()

    async def read(self) -> bytes:
        await trio.lowlevel.checkpoint()
        self._drop_what_is_old()
        size = self.format.period_bytes
        deadline = self._pcm.deadline()
        while len(self._sound) < size:
            if self._take():
                deadline = self._pcm.moved()
            elif trio.current_time() >= deadline:
                raise HardwareError(self.name, "device gave nothing for 200 ms")
            else:
                await self._pcm.ready(deadline)
        period = bytes(self._sound[:size])
        del self._sound[:size]
        return period

    def close(self) -> None:
        self._pcm.close()

    def _take(self) -> bool:
        """Fetch what is there, at most one period; True when there was something."""
        count, frames = self._pcm.read()
        if count == -errno.EPIPE:
            self.xruns += 1
            self._sound.clear()
            count, frames = self._pcm.read()  # prepared anew, the card starts when it is read from
        if count <= 0:
            return False
        self._sound += mono(frames, self._pcm.channels)
        return True

    def _drop_what_is_old(self) -> None:
        """A card that ran over says EPIPE; a sound server keeps it all, and is late from then on."""
        full = self._pcm.buffer_samples - self.format.period_samples // 4
        if self._pcm.available_samples() < full:
            return
        for _ in range(MAX_DROPPED_PERIODS):
            if self._pcm.read()[0] <= 0:
                break
        self.xruns += 1
        self._sound.clear()


class AlsaSink:
    """A speaker: an AudioSink. Its ring starts full of silence but for one period: it cannot get longer."""

    def __init__(self, pcm: AlsaPcm) -> None:
        self.name = pcm.device
        self.format = pcm.format
        self.xruns = 0
        self._pcm = pcm
        self._frame_bytes = 2 * pcm.channels
        silent_samples = max(0, pcm.buffer_samples - pcm.format.period_samples)
        self._silence = bytes(silent_samples * self._frame_bytes)
        self._primed = False

    @property
    def delay_s(self) -> float:
        return self._pcm.queued_samples() / self.format.sample_rate_hz

    async def write(self, pcm: bytes) -> None:
        if len(pcm) != self.format.period_bytes:
            raise ValueError(f"{len(pcm)} bytes are not one period of {self.format.period_bytes}")
        await trio.lowlevel.checkpoint()
        frames = memoryview(spread(pcm, self._pcm.channels))
        deadline = self._pcm.deadline()
        while frames:
            count = self._put(frames)
            if count > 0:
                frames = frames[count * self._frame_bytes :]
                deadline = self._pcm.moved()
            elif trio.current_time() >= deadline:
                raise HardwareError(self.name, "device took nothing for 200 ms")
            else:
                await self._pcm.ready(deadline)

    def close(self) -> None:
        self._pcm.close()

    def _put(self, frames: memoryview) -> int:
        if not self._primed:
            self._primed = True
            self._pcm.write(self._silence)
        count = self._pcm.write(frames)
        if count == -errno.EPIPE:  # it ran dry; pyalsaaudio has prepared it anew
            self.xruns += 1
            self._pcm.write(self._silence)
            count = self._pcm.write(frames)
        return count
