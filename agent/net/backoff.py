"""How long to wait before trying again: exponential, bounded, jittered."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S = 1.0
MAX_S = 60.0
FACTOR = 2.0
JITTER = 0.25


class Backoff:
    """A sequence of delays: 1, 2, 4 … 60 s, each cut by up to a quarter so that a fleet does not march.

    rng: gives numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        first_s: float = FIRST_S,
        max_s: float = MAX_S,
        factor: float = FACTOR,
        jitter: float = JITTER,
        rng: Callable[[], float] = random.random,
    ) -> None:
        if not (first_s > 0 and max_s >= first_s and factor >= 1 and 0 <= jitter < 1):
            raise ValueError("expected 0 < first_s <= max_s, factor >= 1, 0 <= jitter < 1")
        self._first_s = first_s
        self._max_s = max_s
        self._factor = factor
        self._jitter = jitter
        self._rng = rng
        self._next_s = first_s

    def next_s(self) -> float:
        """The delay before the next attempt; each call moves on. Never above `max_s`."""
        delay_s = self._next_s
        self._next_s = min(delay_s * self._factor, self._max_s)
        # Downwards only: spread around the cap and cut there, half of a fleet would come at the same second.
        return delay_s * (1 - self._jitter * self._rng())

    def reset(self) -> None:
        """Start over, after an attempt that proved healthy."""
        self._next_s = self._first_s
