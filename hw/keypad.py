"""Matrix keypads that send one byte per key: `0`..`9`, `*`, `#`, `A`..`D`; pure.

CR and LF between keys mean nothing. A key that comes more often than MAX_HZ within a second is stuck (or
somebody leans on it): it is told once and then ignored until it has been quiet for QUIET_S.
"""

from __future__ import annotations

from collections import deque

from hw.readings import KeypadStuck, KeyPress, Reading

BAUD = 9600
KEYS = frozenset(b"0123456789*#ABCD")
MAX_HZ = 12
QUIET_S = 2.0


class Keypad:
    """See readings.Framer."""

    def __init__(self) -> None:
        self.noise = 0
        self.refused = 0
        self._times: deque[float] = deque(maxlen=MAX_HZ)
        self._last_at = float("-inf")
        self._stuck = False

    def feed(self, data: bytes, now_s: float) -> list[Reading]:
        """See readings.Framer."""
        told: list[Reading] = []
        for byte in data:
            if byte in b"\r\n":
                continue
            if byte not in KEYS:
                self.noise += 1
                continue
            if self._stuck and now_s - self._last_at >= QUIET_S:
                self._stuck = False
                self._times.clear()
                told.append(KeypadStuck(False))
            self._last_at = now_s
            if self._stuck:
                self.refused += 1
                continue
            if len(self._times) == MAX_HZ and now_s - self._times[0] < 1.0:
                self._stuck = True
                self.refused += 1
                told.append(KeypadStuck(True))
                continue
            self._times.append(now_s)
            told.append(KeyPress(chr(byte)))
        return told
