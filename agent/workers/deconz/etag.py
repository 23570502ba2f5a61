"""ETags: one for each resource, one for each list, one for everything; moved by every change."""

from __future__ import annotations

import hashlib
import secrets

EVERYTHING = ""


class ETags:
    """Tags that never come again: two changes within one moment differ, and so do two starts.

    Gateways make theirs of a clock in milliseconds, and leave the full state's alone when the alarm changes.
    """

    def __init__(self, seed: str | None = None) -> None:
        self._seed = seed or secrets.token_hex(8)
        self._counts: dict[str, int] = {}
        self._changes = 0

    def touch(self, r: str = EVERYTHING, number: str = "") -> None:
        """Something of a resource (or of what is only in the full state) is another now."""
        self._changes += 1
        self._counts[EVERYTHING] = self._changes
        if r:
            self._counts[r] = self._changes
            self._counts[f"{r}/{number}"] = self._changes

    def of(self, r: str = EVERYTHING, number: str = "") -> str:
        """The tag of a resource, of a list without `number`, of everything without `r`: 32 hex digits."""
        place = f"{r}/{number}" if number else r
        text = f"{self._seed} {place} {self._counts.get(place, 0)}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
