"""How fast a cloud may tell the house what it saw: a bucket, and a bounded queue behind it.

A mad cloud must neither lap the door's own bell in the event log nor push its history out of the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from agent.model.events import CloudReported

RATE_HZ = 20.0
BURST = 60
MAX_WAITING = 500
ENOUGH = 1 - 1e-9  # sums of fractions never quite reach 1


class Reports:
    """Reports on their way to the house. dropped: the oldest that gave way to newer ones."""

    def __init__(self, report: Callable[[CloudReported], None]) -> None:
        self.reported = 0
        self.dropped = 0
        self._report = report
        self._tokens = float(BURST)
        self._filled_at = float("-inf")
        self._waiting: deque[CloudReported] = deque()
        self._arrived = trio.Event()

    def tell(self, event: CloudReported) -> None:
        """Tell it now, or as soon as it may be; never waits."""
        if not self._waiting and self._take():
            self._publish(event)
            return
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(event)
        self._arrived.set()

    async def run(self) -> None:
        """Tell what waits, for ever."""
        while True:
            if not self._waiting:
                self._arrived = trio.Event()
                await self._arrived.wait()
            if self._take():
                self._publish(self._waiting.popleft())
            else:
                await trio.sleep((1 - self._tokens) / RATE_HZ)

    def _publish(self, event: CloudReported) -> None:
        self.reported += 1
        self._report(event)

    def _take(self) -> bool:
        now = trio.current_time()
        self._tokens = min(float(BURST), self._tokens + max(0.0, now - self._filled_at) * RATE_HZ)
        self._filled_at = now
        if self._tokens < ENOUGH:
            return False
        self._tokens -= 1
        return True
