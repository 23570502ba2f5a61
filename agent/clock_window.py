"""Times of the day: `22:00-06:30`, in the door's local time, across midnight too."""

from __future__ import annotations

import re
import time

from msgspec import Struct

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class ClockWindow(Struct, frozen=True, kw_only=True):
    """From one minute of the day up to, not including, another; equal ends mean the whole day."""

    begin_min: int
    end_min: int

    @classmethod
    def parse(cls, text: str) -> ClockWindow:
        """Raises: ValueError with the expected form."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f'expected "HH:MM-HH:MM", got {text[:40]!r}')
        h1, m1, h2, m2 = (int(group) for group in match.groups())
        return cls(begin_min=h1 * 60 + m1, end_min=h2 * 60 + m2)

    def contains(self, minute: int) -> bool:
        """Is this minute of the day (0..1439) inside?"""
        if self.begin_min == self.end_min:
            return True
        if self.begin_min < self.end_min:
            return self.begin_min <= minute < self.end_min
        return minute >= self.begin_min or minute < self.end_min


def local_minute(at_ns: int) -> int:
    """The minute of the day in local time of a UTC nanosecond stamp."""
    local = time.localtime(at_ns / 1e9)
    return local.tm_hour * 60 + local.tm_min
