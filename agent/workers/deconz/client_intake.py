"""How fast a gateway may tell the house things: what is so is told in the end, what happened may be dropped.

Pure. A token bucket guards the event log and the journal: a mad gateway must neither lap the door's own bell
nor push its history out. Time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

ENOUGH = 1 - 1e-9  # sums of fractions never quite reach 1
SHORTEST_S = 0.001


class Intake:
    """One bucket, and what waits for it.

    late: called when something has begun to wait. dropped: edges over the rate. merged: states that were
    overtaken by a newer one while they waited.
    """

    def __init__(self, *, rate_hz: float, burst: int, late: Callable[[], None] = lambda: None) -> None:
        self.dropped = 0
        self.merged = 0
        self._rate_hz = rate_hz
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at = float("-inf")
        self._late = late
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._urgent: dict[Hashable, Callable[[], None]] = {}

    def edge(self, tell: Callable[[], None], now_s: float) -> bool:
        """Something happened: tell it now, or not at all."""
        if not self._take(now_s):
            self.dropped += 1
            return False
        tell()
        return True

    def state(self, key: Hashable, tell: Callable[[], None], now_s: float, *, urgent: bool = False) -> None:
        """Something is so now: tell it, in place of what of the same key waits. urgent: before the others."""
        self.merged += self.forget(key)
        if not self._waiting and not self._urgent and self._take(now_s):
            tell()
            return
        (self._urgent if urgent else self._waiting)[key] = tell
        self._late()

    def forget(self, key: Hashable) -> bool:
        """What waits under this key is no longer so. True when something did."""
        waited = self._waiting.pop(key, None) is not None
        return (self._urgent.pop(key, None) is not None) or waited

    def flush(self, now_s: float) -> float | None:
        """Tell what may be told now. Seconds until more may be, None when nothing waits."""
        for waiting in (self._urgent, self._waiting):
            while waiting:
                if not self._take(now_s):
                    return max((1 - self._tokens) / self._rate_hz, SHORTEST_S)
                waiting.pop(next(iter(waiting)))()
        return None

    def _take(self, now_s: float) -> bool:
        gained = max(0.0, now_s - self._filled_at) * self._rate_hz
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now_s
        if self._tokens < ENOUGH:
            return False
        self._tokens -= 1
        return True
