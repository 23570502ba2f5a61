"""When a card without hardware has a period to give, or room for one: absolute deadlines, no drift.

Source: the behaviour of ALSA's ring buffers. A deadline follows from the one before and never from the moment
somebody woke up, so that a late wake-up delays one period and not all that follow.
"""

from __future__ import annotations


class CapturePace:
    """The clock of a microphone with a ring of `periods` periods. Times are seconds of the caller's clock."""

    def __init__(self, now: float, period_s: float, periods: int) -> None:
        self._periods = periods
        self._due = now + period_s
        self.xruns = 0

    def due(self, now: float, period_s: float) -> float:
        """When the next period is complete. A ring that ran over is emptied, counted, and begins anew."""
        if now - self._due > self._periods * period_s:
            self.xruns += 1
            self._due = now
        return self._due

    def took(self, period_s: float) -> None:
        self._due += period_s


class PlaybackPace:
    """The clock of a speaker with a ring of `periods` periods, which starts with all but one silent."""

    def __init__(self, periods: int) -> None:
        self._periods = periods
        self._silent_at = float("-inf")
        self._started = False
        self.xruns = 0

    def due(self, now: float, period_s: float) -> float:
        """When there is room for a period. A ring that ran dry is counted and primed with silence again."""
        if now > self._silent_at:
            self.xruns += self._started
            self._started = True
            self._silent_at = now + (self._periods - 1) * period_s
        return self._silent_at - (self._periods - 1) * period_s

    def put(self, period_s: float) -> None:
        self._silent_at += period_s

    def delay_s(self, now: float) -> float:
        return max(0.0, self._silent_at - now)
