"""An `alsaaudio` in memory whose cards do what no sound server does on request: vanish, hang, be stereo."""

from __future__ import annotations

import errno
import os
import select
import threading
from types import ModuleType

PCM_CAPTURE = 1
PCM_PLAYBACK = 0
PCM_NONBLOCK = 1
PCM_FORMAT_S16_LE = 2
PCM_FORMAT_S16_BE = 3


class ALSAAudioError(Exception):
    """What pyalsaaudio raises, with ALSA's words and the device's name."""


class FakeAlsa(ModuleType):
    """Put in the place of `alsaaudio`. rate_hz, channels: all that its cards can do (None: what is wanted).

    hang: opening waits for `let_go`. opened: every card so far.
    """

    PCM_CAPTURE = PCM_CAPTURE
    PCM_PLAYBACK = PCM_PLAYBACK
    PCM_NONBLOCK = PCM_NONBLOCK
    PCM_FORMAT_S16_LE = PCM_FORMAT_S16_LE
    PCM_FORMAT_S16_BE = PCM_FORMAT_S16_BE
    ALSAAudioError = ALSAAudioError

    def __init__(self) -> None:
        super().__init__("alsaaudio")
        self.rate_hz: int | None = None
        self.channels: int | None = None
        self.format = PCM_FORMAT_S16_LE
        self.refusal: str | None = None
        self.hang = False
        self.let_go = threading.Event()
        self.opened: list[FakePcm] = []
        self.hints: dict[int, list[str]] = {PCM_CAPTURE: [], PCM_PLAYBACK: []}
        self.card_titles: dict[str, str] = {}

    def PCM(
        self,
        *,
        type: int,
        mode: int,
        device: str,
        rate: int,
        channels: int,
        format: int,
        periodsize: int,
        periods: int,
    ) -> FakePcm:
        assert mode == PCM_NONBLOCK
        if self.hang:
            self.let_go.wait(10)
        if self.refusal is not None:
            raise ALSAAudioError(f"{self.refusal} [{device}]")
        pcm = FakePcm(
            self, type, device, self.rate_hz or rate, self.channels or channels, periodsize, periods
        )
        self.opened.append(pcm)
        return pcm

    def pcms(self, pcmtype: int) -> list[str]:
        return self.hints[pcmtype]

    def cards(self) -> list[str]:
        return list(self.card_titles)

    def card_indexes(self) -> list[int]:
        return list(range(len(self.card_titles)))

    def card_name(self, index: int) -> tuple[str, str]:
        title = list(self.card_titles.values())[index]
        return title, f"{title} at somewhere"


class FakePcm:
    """One card. A test moves it: give() sound, make room(), let it overrun(), or vanish()."""

    def __init__(
        self, alsa: FakeAlsa, kind: int, device: str, rate: int, channels: int, period: int, periods: int
    ) -> None:
        self.kind = kind
        self.device = device
        self.period = period
        self.frame_bytes = 2 * channels
        self.recorded = bytearray()
        self.played = bytearray()
        self.space = period * periods
        self.closed = False
        self.reads = 0
        self.noisy = False  # its descriptor stays ready whether or not there is something
        self._gone: str | None = None
        self._xrun = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._info = {
            "rate": rate,
            "channels": channels,
            "format": alsa.format,
            "period_size": period,
            "periods": periods,
            "buffer_size": period * periods,
        }

    # The test's hand.

    def give(self, frames: bytes) -> None:
        self.recorded += frames
        self.wake()

    def room(self, frames: int) -> None:
        self.space += frames
        self.wake()

    def overrun(self) -> None:
        self._xrun = True
        self.wake()

    def vanish(self, reason: str = "No such device") -> None:
        self._gone = reason
        self.wake()

    def wake(self) -> None:
        os.eventfd_write(self._wake, 1)

    # What pyalsaaudio has.

    def info(self) -> dict[str, int]:
        return self._info

    def polldescriptors(self) -> list[tuple[int, int]]:
        return [(self._wake, select.POLLIN | select.POLLERR | select.POLLNVAL)]

    def polldescriptors_revents(self, events: list[tuple[int, int]]) -> int:
        assert [fd for fd, _ in events] == [self._wake]
        if self.noisy:
            return select.POLLIN
        if events[0][1] & select.POLLIN:
            os.eventfd_read(self._wake)
        return events[0][1]

    def avail(self) -> int:
        return len(self.recorded) // self.frame_bytes if self.kind == PCM_CAPTURE else self.space

    def read(self) -> tuple[int, bytes]:
        self.reads += 1
        self._check()
        if self._xrun:
            self._xrun = False
            return -errno.EPIPE, b""
        frames = bytes(self.recorded[: self.period * self.frame_bytes])
        del self.recorded[: len(frames)]
        return len(frames) // self.frame_bytes, frames

    def write(self, frames: bytes | memoryview) -> int:
        self._check()
        if self._xrun:
            self._xrun = False
            self.space = self._info["buffer_size"]
            return -errno.EPIPE
        count = min(self.space, len(frames) // self.frame_bytes)
        self.space -= count
        self.played += frames[: count * self.frame_bytes]
        return count

    def drop(self) -> int:
        self._check()
        return 0

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._wake)

    def _check(self) -> None:
        if self._gone is not None:
            raise ALSAAudioError(f"{self._gone} [{self.device}]")
