"""Hours of the week in which a key is good: `mon-fri 08:00-18:00; sat 09:00-12:00`. Pure.

Local time of the door. A part that ends before it begins goes on into the next day; equal ends are the whole
day. The hour that a change of clocks skips or repeats is as long as the clock on the wall says.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from msgspec import Struct

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_CHARS = 256
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(([01]\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII)


class Part(Struct, frozen=True):
    """Some days, from one minute up to, not including, another."""

    days: frozenset[int]
    begin_min: int
    end_min: int

    def contains(self, day: int, minute: int) -> bool:
        """day: 0 is Monday. minute: of the day."""
        if self.begin_min < self.end_min:
            return day in self.days and self.begin_min <= minute < self.end_min
        if self.begin_min == self.end_min:
            return day in self.days
        return (day in self.days and minute >= self.begin_min) or (
            (day - 1) % 7 in self.days and minute < self.end_min
        )


class Schedule(Struct, frozen=True):
    """All its parts together."""

    parts: tuple[Part, ...]

    def contains(self, at_ns: int, zone: tzinfo | None = None) -> bool:
        """Whether a UTC nanosecond stamp is inside. zone: absent, the one of this machine."""
        try:
            local = datetime.fromtimestamp(at_ns / 1e9, zone)
        except (OverflowError, OSError, ValueError):
            return False
        return any(part.contains(local.weekday(), local.hour * 60 + local.minute) for part in self.parts)


def parse(text: str) -> Schedule | None:
    """The schedule; None for an empty one, which means always. Raises: ValueError, which says the form."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"a schedule has at most {MAX_CHARS} characters")
    pieces = [piece.strip().lower() for piece in text.split(";")]
    parts = tuple(_part(piece) for piece in pieces if piece)
    return Schedule(parts) if parts else None


def _part(piece: str) -> Part:
    days, _, window = piece.rpartition(" ")
    match = _WINDOW.fullmatch(window)
    if match is None:
        days, begin, end = piece, 0, 0
    else:
        begin = int(match[1]) * 60 + int(match[2])
        end = 1440 if match[3] == "24:00" else int(match[4]) * 60 + int(match[5])
    found = _days(days.strip(), piece)
    return Part(found, begin, end)


def _days(text: str, piece: str) -> frozenset[int]:
    if text in ("", "daily"):
        if text == "" and not _WINDOW.fullmatch(piece):
            raise _wrong(piece)
        return frozenset(range(7))
    days: set[int] = set()
    for name in text.split(","):
        first, dash, last = name.strip().partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise _wrong(piece)
        begin = DAYS.index(first)
        length = (DAYS.index(last) - begin) % 7 if dash else 0
        days.update((begin + step) % 7 for step in range(length + 1))
    return frozenset(days)


def _wrong(piece: str) -> ValueError:
    return ValueError(f'expected "mon-fri 08:00-18:00; sat,sun 09:00-12:00", got {piece[:40]!r}')
