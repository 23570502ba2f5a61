"""Matrix keypads that send one byte per key: `0`..`9`, `*`, `#`, `A`..`D`; pure.

CR and LF between keys mean nothing. A key that comes more often than MAX_HZ within a second is stuck (or
somebody leans on it), and so is one that repeats by itself for more than HELD_S. That is told once; then the
keypad is ignored until it has been quiet for QUIET_S. A key has no checksum: so a byte that is none (noise)
clears what was typed, and keys count again when DEAF_S have passed without another. A line of noise never
types a code.
"""

from __future__ import annotations

from collections import deque

from hw.readings import KeypadStuck, KeyPress, Reading

BAUD = 9600
KEYS = frozenset(b"0123456789*#ABCD")
MAX_HZ = 12
HELD_S = 10.0
REPEATS_WITHIN_S = 0.6
QUIET_S = 2.0
DEAF_S = 0.5
CLEAR = "*"


class Keypad:
    """See readings.Framer."""

    def __init__(self) -> None:
        self.noise = 0
        self.refused = 0
        self._times: deque[float] = deque(maxlen=MAX_HZ)
        self._last_at = float("-inf")
        self._key = -1
        self._held_since = float("-inf")
        self._stuck = False
        self._deaf_until = float("-inf")

    def feed(self, data: bytes, now_s: float) -> list[Reading]:
        """See readings.Framer."""
        told: list[Reading] = []
        for byte in data:
            if byte in b"\r\n":
                continue
            if byte not in KEYS:
                self.noise += 1
                if now_s >= self._deaf_until:
                    told.append(KeyPress(CLEAR))
                self._deaf_until = now_s + DEAF_S
                continue
            if now_s < self._deaf_until:
                self.refused += 1
                continue
            if self._stuck and now_s - self._last_at >= QUIET_S:
                self._stuck = False
                self._times.clear()
                told.append(KeypadStuck(False))
            if byte != self._key or now_s - self._last_at > REPEATS_WITHIN_S:
                self._key, self._held_since = byte, now_s
            self._last_at = now_s
            if self._stuck:
                self.refused += 1
                continue
            fast = len(self._times) == MAX_HZ and now_s - self._times[0] < 1.0
            if fast or now_s - self._held_since > HELD_S:
                self._stuck = True
                self.refused += 1
                told.append(KeypadStuck(True))
                continue
            self._times.append(now_s)
            told.append(KeyPress(chr(byte)))
        return told
