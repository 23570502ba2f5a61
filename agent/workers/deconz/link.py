"""The link window: while it is open, whoever asks for a key gets one. Closed by default."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import trio

MAX_KEYS = 4  # of one window: an integration that lost an answer asks again, a stranger does so without end

logger = logging.getLogger(__name__)


class LinkWindow:
    """Opened by somebody at the door, closed by time. changed: called when it opens and when it closes."""

    def __init__(self, open_s: float, changed: Callable[[], None] = lambda: None) -> None:
        self._open_s = open_s
        self.changed = changed
        self._until = -math.inf
        self._keys = 0
        self._moved = trio.Event()

    @property
    def left_s(self) -> float:
        """For how long it stays open; 0 when it is closed."""
        return max(0.0, self._until - trio.current_time())

    def open(self, by: str) -> float:
        """Open it, or begin its time anew; for how long."""
        logger.warning("link window open by=%s seconds=%g", by, self._open_s)
        self._until = trio.current_time() + self._open_s
        self._keys = MAX_KEYS
        self._move()
        return self._open_s

    def close(self) -> None:
        """Close it."""
        if self._until != -math.inf:
            logger.info("link window closed")
        self._until = -math.inf
        self._move()

    def take(self) -> bool:
        """Take one of the keys that may be given while it is open."""
        if not self.left_s:
            return False
        self._keys -= 1
        if not self._keys:
            self.close()
        return True

    async def run(self) -> None:
        """Tell when its time is over, for ever."""
        while True:
            self._moved = trio.Event()
            with trio.move_on_at(self._until if self.left_s else math.inf) as waiting:
                await self._moved.wait()
            if waiting.cancelled_caught:
                self.close()

    def _move(self) -> None:
        self._moved.set()
        self.changed()
