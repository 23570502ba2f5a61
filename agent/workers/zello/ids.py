"""Numbers of streams, images and messages: one row of them for a whole server."""

from __future__ import annotations

from typing import Final

MAX_SERVED_ID: Final = 2**31 - 1  # clients exist that read them as signed


class Ids:
    """Counts up from 1, never gives 0, and begins again after MAX_SERVED_ID.

    The makers' client takes the end of a stream of its own for that of one it has heard, when both had the
    same number at any time; so no number is used for two things.
    """

    def __init__(self, last: int = 0) -> None:
        self._last = last

    def next(self) -> int:
        """The next number."""
        self._last = self._last + 1 if self._last < MAX_SERVED_ID else 1
        return self._last
