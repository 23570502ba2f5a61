"""Wrong codes and unknown tags at one reader: after some, its codes are closed for a while. Pure.

Forgotten by a restart, which nobody at a keypad can bring about.
"""

from __future__ import annotations

from collections import deque

from agent.entrance.config import EntranceConfig

MAX_CLOSED_S = 900.0
CALM_S = 3600.0  # after so long without closing, it begins anew


class Attempts:
    """Of one reader; times are monotonic seconds."""

    def __init__(self, config: EntranceConfig) -> None:
        self._config = config
        self._wrong: deque[float] = deque(maxlen=config.free_attempts)
        self._closed_until = float("-inf")
        self._times_closed = 0

    def closed_s(self, now: float) -> float:
        """How long codes are still closed; 0: they are not."""
        return max(0.0, self._closed_until - now)

    def wrong(self, now: float) -> float:
        """One more; for how long codes are closed because of it, 0 for not."""
        config = self._config
        self._wrong.append(now)
        if len(self._wrong) < config.free_attempts or now - self._wrong[0] > config.within_s:
            return 0.0
        if now - self._closed_until > CALM_S:
            self._times_closed = 0
        closed_s = min(config.closed_s * float(1 << self._times_closed), MAX_CLOSED_S)
        self._times_closed = min(self._times_closed + 1, 16)
        self._closed_until = now + closed_s
        self._wrong.clear()
        return closed_s

    def right(self) -> None:
        """Somebody was let in by a code: earlier mistakes were fingers'."""
        self._wrong.clear()
