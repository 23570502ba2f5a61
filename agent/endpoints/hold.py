"""A deadline that moves while a task waits for it."""

from __future__ import annotations

import math

import trio


class Hold:
    """Holds something for a while; setting again extends, clearing ends. One task waits, anybody sets."""

    def __init__(self) -> None:
        self.until = math.inf
        self._moved = trio.Event()

    def set(self, until: float) -> None:
        """Expire at this trio time; `inf` for never."""
        self.until = until
        self._moved.set()
        self._moved = trio.Event()

    def clear(self) -> None:
        """Do not expire."""
        self.set(math.inf)

    async def expired(self) -> None:
        """Return when the deadline has passed, however often it was moved before; it is clear then."""
        while True:
            moved = self._moved
            with trio.move_on_at(self.until):
                await moved.wait()
            if trio.current_time() >= self.until:
                self.clear()
                return
