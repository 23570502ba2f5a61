"""One button of a remote: what its codes mean to a bell. Pure; time is an argument.

A press rings once, whatever the remote makes of it: where it rings as it goes down, 1000 does; where it
rings when it is let go, 1002 does. A long press rings too, when the remote tells that it is held, and a
double click once. A press whose release was lost is over after `PRESS_S`; the end of a long one may take
longer.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

PRESS_S = 10.0
LONG_PRESS_S = 300.0
CLICKS_S = 1.0
HELD_MS = 800  # what remotes take for long, where nothing tells how long it was
EVENTDURATION_MS = 100
MAX_HELD_MS = 3_600_000

DOWN, HOLD, SHORT, LONG = 0, 1, 2, 3
CLICKS = (4, 5, 6)


class Told(Struct, frozen=True, kw_only=True):
    """What the house is told: it was pressed, is still held, was let go."""

    what: Literal["pressed", "held", "released"]
    held_ms: int = 0


PRESSED = Told(what="pressed")


class Button:
    """ring_on: `press` or `release`."""

    def __init__(self, ring_on: Literal["press", "release"]) -> None:
        self._rings_down = ring_on == "press"
        self._down_at: float | None = None
        self._heard_at = float("-inf")
        self._rang = False  # for the press that is under way
        self._held = False
        self._rang_at = float("-inf")

    def take(self, action: int, now_s: float, duration: object = None) -> list[Told]:
        """What an action of this button is to the house. duration: `eventduration`, in tenths of a second."""
        if now_s - self._heard_at > (LONG_PRESS_S if action == LONG else PRESS_S):
            self._let_go()
        told: list[Told] = []
        if action == DOWN:
            self._let_go()
            self._down_at = now_s
            if self._rings_down:
                told = self._ring(now_s)
        elif action == HOLD:
            if not self._rang:
                told = self._ring(now_s)
            if not self._held:
                told.append(Told(what="held", held_ms=self._held_ms(now_s, duration)))
            self._held = True
        elif action in (SHORT, LONG):
            if not self._rang and not self._rings_down:
                told = self._ring(now_s)
            if self._rang:
                held_ms = self._held_ms(now_s, duration, HELD_MS if action == LONG else 0)
                told.append(Told(what="released", held_ms=held_ms))
            self._let_go()
        elif action in CLICKS:
            if not self._rang and now_s - self._rang_at > CLICKS_S:
                told = self._ring(now_s)
            if self._rang:
                told.append(Told(what="released", held_ms=self._held_ms(now_s, duration, 0)))
            self._let_go()
        else:
            return []
        self._heard_at = now_s
        return told

    def _ring(self, now_s: float) -> list[Told]:
        self._rang, self._rang_at = True, now_s
        return [PRESSED]

    def _let_go(self) -> None:
        self._down_at, self._rang, self._held = None, False, False

    def _held_ms(self, now_s: float, duration: object, unknown_ms: int = HELD_MS) -> int:
        if isinstance(duration, int) and not isinstance(duration, bool) and duration > 0:
            return min(duration * EVENTDURATION_MS, MAX_HELD_MS)
        if self._down_at is not None:
            return min(round((now_s - self._down_at) * 1000), MAX_HELD_MS)
        return unknown_ms
